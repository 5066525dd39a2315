//! The fact `pause` of the table `meta`.

use super::error::{Result, StoreError};
use super::meta::MetaKey;
use super::open::Store;
use super::wire;
use crate::domain::pause::Pause;

impl Store {
    /// Returns the last requested pause, expired or not.
    pub fn pause(&self) -> Result<Option<Pause>> {
        let text = self.meta(MetaKey::Pause)?;
        let read = |text: String| {
            wire::read_pause(&text).map_err(|why| StoreError::unreadable(MetaKey::Pause, why))
        };
        text.map(read).transpose()
    }

    pub fn set_pause(&self, pause: &Pause) -> Result<()> {
        self.set_meta(MetaKey::Pause, &wire::render_pause(pause))
    }

    pub fn clear_pause(&self) -> Result<()> {
        self.clear_meta(MetaKey::Pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::Timestamp;

    #[test]
    fn a_pause_is_read_as_it_was_written_and_an_unreadable_one_is_named() {
        let home = tempfile::tempdir().unwrap();
        let now = Timestamp::from_second(1_900_000_000).unwrap();
        let store = Store::open(&home.path().join("hfdl.db"), now).unwrap();
        assert_eq!(store.pause().unwrap(), None);
        let whole = Pause {
            since: now,
            until: Timestamp::from_second(1_900_003_600).ok(),
            reason: Some("a \"move\"".to_owned()),
        };
        let bare = Pause {
            until: None,
            reason: None,
            ..whole.clone()
        };
        for pause in [whole, bare] {
            store.set_pause(&pause).unwrap();
            assert_eq!(store.pause().unwrap(), Some(pause));
        }
        for nonsense in [
            "",
            "1",
            "{}",
            r#"{"since": "x"}"#,
            r#"{"since": 1, "until": "x"}"#,
        ] {
            store.set_meta(MetaKey::Pause, nonsense).unwrap();
            let err = store.pause().unwrap_err().to_string();
            assert!(err.contains("`pause`"), "{nonsense}: {err}");
        }
    }
}
