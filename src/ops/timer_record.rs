//! The record of an installation. With it `status` and a later `start` know the
//! expected entry, independent of their own environment.

use crate::domain::settings::SettingKey;
use crate::domain::time::{Timestamp, render_utc};
use crate::domain::timer::TimerKind;
use crate::domain::units::Seconds;
use crate::store::{MetaKey, Store, StoreError};
use crate::timer::{TimerId, TimerSpec};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimerRecord {
    pub kind: TimerKind,
    pub id: TimerId,
    /// The home directory at installation; it may have moved since.
    pub home: String,
    pub every: Seconds,
    pub variables: Vec<(String, String)>,
    /// Cache and Hub at installation.
    pub places: Vec<(SettingKey, String)>,
    /// When the entry was last written: earlier ticks are not expected.
    pub since: Option<Timestamp>,
}

impl TimerRecord {
    pub fn new(
        kind: TimerKind,
        spec: &TimerSpec,
        places: Vec<(SettingKey, String)>,
        since: Timestamp,
    ) -> Self {
        Self {
            since: Some(since),
            kind,
            id: spec.id.clone(),
            home: spec.home.clone(),
            every: Seconds(u64::from(spec.tick.every()) * 60),
            variables: spec.variables.clone(),
            places,
        }
    }

    pub fn load(store: &Store) -> Result<Option<Self>, StoreError> {
        Ok(store
            .meta(MetaKey::TimerEntry)?
            .and_then(|text| Self::parse(&text)))
    }

    pub fn save(&self, store: &Store) -> Result<(), StoreError> {
        store.set_meta(MetaKey::TimerEntry, &self.render())
    }

    /// Writes one fact per line; no value contains a line break
    /// (`TimerSpec::check`).
    fn render(&self) -> String {
        let Self { kind, id, home, .. } = self;
        let mut text = format!("kind {kind}\nid {id}\nhome {home}\nevery {}\n", self.every);
        if let Some(since) = self.since {
            text.push_str(&format!("since {}\n", render_utc(since)));
        }
        for (name, value) in &self.variables {
            text.push_str(&format!("env {name}={value}\n"));
        }
        for (key, value) in &self.places {
            // A value with a line break is not compared later.
            if !value.contains('\n') {
                text.push_str(&format!("place {key}={value}\n"));
            }
        }
        text
    }

    /// A record in an unknown format counts as none.
    fn parse(text: &str) -> Option<Self> {
        let (mut kind, mut id, mut home, mut every) = (None, None, None, None);
        let (mut variables, mut places, mut since) = (Vec::new(), Vec::new(), None);
        for (name, value) in text.lines().filter_map(|line| line.split_once(' ')) {
            match name {
                "kind" => kind = value.parse().ok(),
                "id" => id = TimerId::parse(value),
                "home" => home = Some(value.to_owned()),
                "every" => every = value.parse().ok(),
                "since" => since = value.parse().ok(),
                "env" => variables.extend(pair(value)),
                "place" => places.extend(
                    pair(value)
                        .and_then(|(key, value)| Some((SettingKey::find(&key).ok()?, value))),
                ),
                _ => {}
            }
        }
        Some(Self {
            kind: kind?,
            id: id?,
            home: home?,
            every: every?,
            variables,
            places,
            since,
        })
    }
}

fn pair(text: &str) -> Option<(String, String)> {
    let (name, value) = text.split_once('=')?;
    Some((name.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rendered_record_parses_to_the_same_record() {
        let record = TimerRecord {
            kind: TimerKind::TaskScheduler,
            id: TimerId::parse("7f3a9c12").unwrap(),
            home: "/srv/my models".to_owned(),
            every: Seconds(300),
            variables: vec![("NO_PROXY".to_owned(), "a=b, c".to_owned())],
            places: vec![(SettingKey::CacheDir, "/data/hf=x/hub".to_owned())],
            since: Timestamp::from_second(1_772_355_600).ok(),
        };
        assert_eq!(TimerRecord::parse(&record.render()), Some(record));
        assert_eq!(TimerRecord::parse("kind sundial\nid 7f3a9c12\n"), None);
    }
}
