//! The database, the cache and the Hub that a timer was installed for: a tick
//! that finds others is refused.

use anyhow::Result;
use thiserror::Error;

use super::timer::{Place, facts};
use super::timer_record::TimerRecord;
use crate::domain::settings::{SettingKey, SettingSource, Settings};
use crate::store::Store;
use crate::timer::PLACES;

/// Returns the id by which an entry knows its database: the beginning of the
/// random id that is made with it.
pub fn database_id(store: &Store) -> Result<String> {
    let mut id = store.install_id()?.simple().to_string();
    id.truncate(8);
    Ok(id)
}

/// Says what is wrong with a home whose timer is installed and whose database is
/// missing; `None` for any other.
pub fn lost_database(place: Place<'_>) -> Option<String> {
    let database = place.home.database();
    // A file that cannot be looked at is told when it is opened.
    let is_missing = database.try_exists().is_ok_and(|exists| !exists);
    (is_missing && facts(place, None).installed).then(|| {
        format!(
            "a timer is installed for it, and there is no `{}`; its disk may not be mounted",
            database.display()
        )
    })
}

/// What to do about a lost database.
pub const LOST_DATABASE_HINT: &str =
    "mount the disk or restore the file; `hfdl stop` removes the timer's entry";

/// Returns the places that a tick will use: saved ones come before those of this shell.
pub fn places_of_tick(store: &Store, settings: &Settings) -> Result<Vec<(SettingKey, String)>> {
    let mut places = Vec::new();
    for key in PLACES {
        let saved = store.setting(key.as_str())?.map(|setting| setting.value);
        let here = || settings.get(key).map(|(value, _)| value.to_string());
        places.extend(saved.or_else(here).map(|value| (key, value)));
    }
    Ok(places)
}

/// A tick would use another place than the timer was installed with.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "the timer was installed with `{key}` = `{installed}`, and this run would use `{now}` ({origin})"
)]
pub struct OtherPlace {
    key: SettingKey,
    installed: String,
    now: String,
    /// What names the place of this run.
    origin: String,
}

impl OtherPlace {
    pub fn hint(&self) -> String {
        format!(
            "`hfdl start` takes the new one over; `hfdl config set {} '{}'` and no variable keep the old one",
            self.key, self.installed
        )
    }
}

/// Refuses a tick whose environment leads it to another cache or Hub than
/// `start` found: it would fetch everything again, or ask elsewhere.
///
/// A saved setting is a person's word, and so is a variable in the entry.
pub fn check_places_of_tick(store: &Store, settings: &Settings) -> Result<()> {
    let Some(record) = TimerRecord::load(store)? else {
        return Ok(());
    };
    for (key, installed) in record.places {
        let Some((now, origin)) = settings.get(key) else {
            continue;
        };
        let is_meant = match origin {
            SettingSource::Saved | SettingSource::Flag => true,
            SettingSource::Environment(name) => record.variables.iter().any(|(own, _)| own == name),
            SettingSource::Default => false,
        };
        let now = now.to_string();
        if !is_meant && now != installed {
            return Err(OtherPlace {
                key,
                installed,
                now,
                origin: origin.to_string(),
            }
            .into());
        }
    }
    Ok(())
}
