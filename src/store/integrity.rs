//! Checks of the whole database: by `doctor`, and once a day at the end of a run.

use super::error::{Result, StoreError};
use super::meta::MetaKey;
use super::open::Store;
use super::value::seconds;
use crate::domain::time::Timestamp;

/// The time between two checks by runs.
const EVERY_SECONDS: i64 = 24 * 3_600;

/// A check by a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IntegrityCheck {
    pub at: Timestamp,
    pub damage: Option<String>,
}

impl Store {
    /// Reads the whole file and returns all damage, for `doctor`.
    pub fn check_integrity(&self) -> Result<Vec<String>> {
        let mut found: Vec<String> = self.list("PRAGMA integrity_check", [], |row| row.nth(0))?;
        found.retain(|line| line != "ok");
        let broken: Vec<String> = self.list("PRAGMA foreign_key_check", [], |row| {
            let (table, other): (String, String) = (row.nth(0)?, row.nth(2)?);
            Ok(format!("a row of {table} refers to missing {other}"))
        })?;
        found.extend(broken);
        Ok(found)
    }

    /// Reads the pages of all tables and indexes and records the result, at most once a day;
    /// after damage at the end of each run. Other commands read few pages of an index, so that
    /// they rarely meet its damage.
    pub fn check_daily(&self, now: Timestamp) -> Result<Option<IntegrityCheck>> {
        let is_recent = |last: &IntegrityCheck| {
            let age = seconds(now) - seconds(last.at);
            last.damage.is_none() && (0..EVERY_SECONDS).contains(&age)
        };
        if self.last_integrity_check()?.as_ref().is_some_and(is_recent) {
            return Ok(None);
        }
        let first = self.find("PRAGMA quick_check(1)", [], |row| row.nth::<String>(0));
        let damage = match first {
            Ok(answer) => answer.filter(|line| line != "ok"),
            Err(StoreError::Damaged { detail, .. }) => Some(detail),
            Err(err) => return Err(err),
        };
        let damage = damage.map(|text| text.replace("*** in database main ***\n", ""));
        let told = damage.as_deref().unwrap_or_default();
        let value = format!("{} {told}", seconds(now));
        self.set_meta(MetaKey::IntegrityCheck, &value)?;
        Ok(Some(IntegrityCheck { at: now, damage }))
    }

    /// Returns the last check by a run; a record that cannot be read counts as none.
    pub fn last_integrity_check(&self) -> Result<Option<IntegrityCheck>> {
        let text = self.meta(MetaKey::IntegrityCheck)?;
        Ok(text.as_deref().and_then(|text| {
            let (at, damage) = text.split_once(' ')?;
            Some(IntegrityCheck {
                at: Timestamp::from_second(at.parse().ok()?).ok()?,
                damage: Some(damage.to_owned()).filter(|damage| !damage.is_empty()),
            })
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(hours: i64) -> Timestamp {
        Timestamp::from_second(1_900_000_000 + hours * 3_600).unwrap()
    }

    #[test]
    fn a_whole_database_is_checked_once_a_day_and_a_damaged_one_at_each_run() {
        let store = Store::in_memory(at(0)).unwrap();
        assert_eq!(store.last_integrity_check().unwrap(), None);
        let whole = |hours| {
            Some(IntegrityCheck {
                at: at(hours),
                damage: None,
            })
        };
        assert_eq!(store.check_daily(at(0)).unwrap(), whole(0));
        assert_eq!(store.check_daily(at(23)).unwrap(), None);
        assert_eq!(store.last_integrity_check().unwrap(), whole(0));
        // A clock that was set back does not put the check off.
        assert_eq!(store.check_daily(at(-1)).unwrap(), whole(-1));
        assert_eq!(store.check_daily(at(23)).unwrap(), whole(23));
        let damage = format!("{} page 7 is bad", seconds(at(23)));
        store.set_meta(MetaKey::IntegrityCheck, &damage).unwrap();
        let last = store.last_integrity_check().unwrap().unwrap();
        assert_eq!(last.damage.as_deref(), Some("page 7 is bad"));
        assert_eq!(store.check_daily(at(24)).unwrap(), whole(24));
    }
}
