//! Schedules that cannot run, and why.
//!
//! A row may have been edited by hand, copied from another machine, or written
//! by a newer version. Such a schedule is reported and skipped; it never hides
//! or delays the others.

use std::fmt;

use jiff::tz::TimeZone;

use super::{Schedule, ScheduleId, find_zone};

/// Stored schedules, readable and unreadable.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoredSchedules {
    pub readable: Vec<Schedule>,
    pub unreadable: Vec<Unusable>,
}

impl StoredSchedules {
    /// Returns all names in alphabetical order.
    pub fn names(&self) -> Vec<&str> {
        let readable = self.readable.iter().map(|one| one.spec.name.as_str());
        let unreadable = self.unreadable.iter().map(|one| one.name.as_str());
        let mut names: Vec<&str> = readable.chain(unreadable).collect();
        names.sort_unstable();
        names
    }

    /// Returns the enabled schedules that cannot run.
    pub fn unusable(&self) -> Vec<Unusable> {
        let unreadable = self.unreadable.iter().filter(|one| one.is_enabled).cloned();
        let enabled = self.readable.iter().filter(|one| one.spec.enabled);
        let unknown_zone = enabled.filter_map(|one| usable_zone(one).err());
        unreadable.chain(unknown_zone).collect()
    }
}

/// A schedule that cannot run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unusable {
    pub id: ScheduleId,
    /// The name as stored, which may be invalid.
    pub name: String,
    pub is_enabled: bool,
    pub why: String,
    pub kind: UnusableKind,
}

/// Why a schedule cannot run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnusableKind {
    /// This version cannot read one of its values.
    Unreadable,
    /// The schedule is valid, but this machine has no rules for its time zone.
    UnknownZone,
}

/// Returns the time zone of a schedule, or why it cannot run on this machine.
pub fn usable_zone(schedule: &Schedule) -> Result<TimeZone, Unusable> {
    find_zone(&schedule.spec.time_zone).map_err(|why| Unusable {
        id: schedule.id,
        name: schedule.spec.name.to_string(),
        is_enabled: schedule.spec.enabled,
        why: why.to_string(),
        kind: UnusableKind::UnknownZone,
    })
}

impl Unusable {
    /// Returns the command that repairs it.
    pub fn hint(&self) -> String {
        let name = &self.name;
        match self.kind {
            UnusableKind::Unreadable => format!(
                "if a newer hfdl wrote it, update this one; otherwise `hfdl schedules remove {name}` and add it anew"
            ),
            UnusableKind::UnknownZone => format!(
                "`hfdl schedules set {name} --tz ZONE` names another one, or install the time zone data of the system"
            ),
        }
    }
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, why, .. } = self;
        write!(f, "the schedule `{name}` cannot run: {why}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::schedule::fixture;

    #[test]
    fn only_enabled_schedules_that_cannot_run_are_unusable() {
        let in_zone = |id, zone: &str, enabled| {
            let mut schedule = fixture::schedule(id, "daily 03:00");
            schedule.spec.name = format!("s{id}").parse().unwrap();
            schedule.spec.time_zone = zone.to_owned();
            schedule.spec.enabled = enabled;
            schedule
        };
        let unreadable = |name: &str, is_enabled| Unusable {
            id: ScheduleId(9),
            name: name.to_owned(),
            is_enabled,
            why: "`windows`: odd".to_owned(),
            kind: UnusableKind::Unreadable,
        };
        let all = StoredSchedules {
            readable: vec![
                in_zone(1, "UTC", true),
                in_zone(2, "Mars/Base", true),
                in_zone(3, "Mars/Base", false),
            ],
            unreadable: vec![unreadable("a", true), unreadable("b", false)],
        };
        let found = all.unusable();
        let names: Vec<&str> = found.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(names, ["a", "s2"]);
        assert!(found[1].to_string().contains("`Mars/Base`"), "{}", found[1]);
        assert!(found[1].hint().contains("schedules set s2 --tz"));
        assert!(found[0].hint().contains("schedules remove a"));
        assert_eq!(all.names(), ["a", "b", "s1", "s2", "s3"]);
    }
}
