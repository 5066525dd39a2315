//! Warnings about telling others, once a day.
//!
//! A timer comes every few minutes; who mails what is printed would send the
//! same sentence a hundred times a day.

use anyhow::Result;

use super::Voice;
use crate::domain::time::{Timestamp, believed, render_utc};
use crate::store::MetaKey;

/// How long nothing is said of trouble that goes on.
const REMINDS_AFTER_SECONDS: i64 = 24 * 3_600;

/// Warns of trouble unless the same was told within a day; without trouble the
/// next one is news again.
pub fn warn_daily(voice: &Voice<'_>, key: MetaKey, trouble: Option<&str>) {
    let words = trouble.unwrap_or_default();
    match remember(voice, key, trouble) {
        Ok(true) => log::warn!("{words}"),
        Ok(false) => {}
        Err(err) => log::warn!("{words}: {err:#}"),
    }
}

/// Tells whether the trouble is news, and remembers that it was told.
fn remember(voice: &Voice<'_>, key: MetaKey, trouble: Option<&str>) -> Result<bool> {
    let (store, now) = (voice.store, voice.host.now());
    let told = store.meta(key)?;
    let Some(trouble) = trouble else {
        if told.is_some() {
            store.clear_meta(key)?;
        }
        return Ok(false);
    };
    let is_news = voice.host.stderr_is_terminal() || is_news(told.as_deref(), trouble, now);
    if is_news {
        let told = format!("{} {trouble}", render_utc(now));
        store.set_meta(key, &told)?;
    }
    Ok(is_news)
}

/// Judges trouble by what was told of it last: an instant, a space, the words.
fn is_news(told: Option<&str>, trouble: &str, now: Timestamp) -> bool {
    let told = told.and_then(|told| told.split_once(' '));
    let Some((Ok(at), words)) = told.map(|(at, words)| (at.parse::<Timestamp>(), words)) else {
        return true;
    };
    let told = believed(at, now);
    words != trouble
        || told.is_none_or(|at| now.as_second() - at.as_second() >= REMINDS_AFTER_SECONDS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_trouble_is_news_once_a_day() {
        let now: Timestamp = "2026-03-02T10:00:00Z".parse().unwrap();
        for (told, expected) in [
            (None, true),
            (Some("2026-03-02T09:45:00Z no metrics"), false),
            (Some("2026-03-01T10:00:01Z no metrics"), false),
            (Some("2026-03-01T10:00:00Z no metrics"), true),
            (Some("2026-03-02T09:45:00Z another trouble"), true),
            (Some("nobody can read this"), true),
        ] {
            assert_eq!(is_news(told, "no metrics", now), expected, "{told:?}");
        }
    }
}
