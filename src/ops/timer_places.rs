//! The database, cache and Hub for which the timer was installed: a tick with other
//! ones is refused.

use anyhow::Result;
use thiserror::Error;

use super::timer::{HomeContext, state};
use super::timer_record::TimerRecord;
use crate::domain::settings::{SettingKey, SettingSource, Settings};
use crate::store::Store;
use crate::timer::PLACES;

/// Returns the database id in an entry: the beginning of the random install id.
pub fn database_id(store: &Store) -> Result<String> {
    let mut id = store.install_id()?.simple().to_string();
    id.truncate(8);
    Ok(id)
}

/// Returns the problem of a home whose timer is installed and whose database is
/// missing; `None` for any other home.
pub fn lost_database(context: HomeContext<'_>) -> Option<String> {
    let database = context.home.database();
    // An unreadable file is reported when it is opened.
    let is_missing = database.try_exists().is_ok_and(|exists| !exists);
    (is_missing && state(context, None).installed).then(|| {
        format!(
            "a timer is installed for it, and there is no `{}`; its disk may not be mounted",
            database.display()
        )
    })
}

/// The next step for a missing database.
pub const LOST_DATABASE_HINT: &str =
    "mount the disk or restore the file; `hfdl stop` removes the timer's entry";

/// Returns the cache and Hub of a tick: saved settings override those of this
/// shell.
pub fn places_of_tick(store: &Store, settings: &Settings) -> Result<Vec<(SettingKey, String)>> {
    let mut places = Vec::new();
    for key in PLACES {
        let saved = store.setting(key.as_str())?.map(|setting| setting.value);
        let here = || settings.get(key).map(|(value, _)| value.to_string());
        places.extend(saved.or_else(here).map(|value| (key, value)));
    }
    Ok(places)
}

/// The error of a tick that would use another cache or Hub than at installation.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "the timer was installed with `{key}` = `{installed}`, and this run would use `{now}` ({origin})"
)]
pub struct OtherPlace {
    key: SettingKey,
    installed: String,
    now: String,
    /// The source of the setting in this run.
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

/// Refuses a tick whose environment selects another cache or Hub than at
/// installation: it would download everything again, or contact another Hub.
///
/// A saved setting is intended, and so is a variable in the entry.
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
