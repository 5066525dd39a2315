//! `hfdl doctor`: tests the requirements of unattended runs.
//!
//! - A check uses the thing itself instead of reading its description: it writes
//!   files, takes locks, sends requests. It removes its own probes.
//! - Each check returns results: a verdict, the reason and the next step.
//! - Nothing is changed without `--fix`, and then only files and entries of hfdl
//!   that are safe to change.
//!
//! Deliberately absent: exit codes and text layout (`cli`).

mod abilities;
mod as_cron;
mod check_result;
mod clock;
mod copies;
mod database;
mod hub;
mod places;
mod programs;
mod readers;
mod refs;
mod schedules;
mod timer;
mod views;

use std::collections::BTreeMap;

use crate::domain::settings::{SettingKey, SettingLayers, Settings};
use crate::domain::time::Timestamp;
use crate::ops::settings::resolve_settings;
use crate::ops::timer::HomeContext;
use crate::ops::timer_places::lost_database;
use crate::store::Store;
use crate::sys::host::Host;
use crate::sys::paths::Home;

pub use as_cron::examine_as_cron;
pub use check_result::{CheckLevel, CheckResult, worst};

/// The permission to repair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mending {
    LookOnly,
    /// Repair files and entries of hfdl, where that is safe.
    Mend,
}

/// The subject of the checks.
pub struct Doctor<'a> {
    pub host: &'a Host,
    pub home: &'a Home,
    /// Settings given for this command only.
    pub flags: BTreeMap<SettingKey, String>,
    pub mending: Mending,
}

impl Doctor<'_> {
    /// Runs all checks; each one depends only on those before it.
    pub fn examine(&self) -> Vec<CheckResult> {
        let (host, home, now) = (self.host, self.home, self.host.now());
        let mut found = places::home(home, self.mending);
        let store = database::open(home, now, self.mending, &mut found);
        let settings = self.settings(store.as_ref(), &mut found);
        found.extend(places::known(store.as_ref(), &settings, now, self.mending));
        found.extend(places::cache(host, &settings, self.mending));
        found.extend(readers::elsewhere(host, &settings));
        if let Some(store) = &store {
            let others = places::other_homes(host, home, &settings, store, now);
            found.extend(database::adopted(store, self.mending));
            found.extend(database::scrub(store, &settings, now));
            found.extend(others.unwrap_or_else(|err| {
                vec![CheckResult::of_error(
                    "other-homes",
                    "cannot be looked at",
                    &err,
                )]
            }));
            let refs = refs::refs(host, home, &settings, store, now);
            found.extend(refs.unwrap_or_else(|err| {
                vec![CheckResult::of_error("refs", "cannot be looked at", &err)]
            }));
            let copies = copies::copies(host, home, &settings, store);
            found.extend(copies.unwrap_or_else(|err| {
                vec![CheckResult::of_error(
                    "only-copies",
                    "cannot be looked at",
                    &err,
                )]
            }));
        }
        found.extend(store.as_ref().map_or_else(Vec::new, views::views));
        found.extend(places::space(home, &settings));
        found.push(clock::zone(host));
        let answer = hub::reach(host, &settings, &mut found);
        found.push(clock::clock(now, answer));
        let clients = hub::clients(host, &settings);
        found.extend(hub::token(host, &clients));
        found.extend(hub::logins(host, &settings, store.as_ref(), &clients));
        found.extend(hub::storage(host, &clients, store.as_ref()));
        found.extend(programs::hooks(host, &settings));
        found.extend(programs::files(host, &settings));
        let place = HomeContext {
            host,
            home,
            settings: &settings,
        };
        let is_new = !home.database().exists() && lost_database(place).is_none();
        found.extend(schedules::schedules(store.as_ref(), is_new));
        found.extend(timer::timer(place, store.as_ref(), now, self.mending));
        found
    }

    /// Resolves the settings; if one is wrong, without the saved ones, else the defaults.
    fn settings(&self, store: Option<&Store>, found: &mut Vec<CheckResult>) -> Settings {
        let wrong = match resolve_settings(self.host, store, self.flags.clone()) {
            Ok(settings) => return settings,
            Err(err) => err,
        };
        found.push(CheckResult::of_error("settings", "cannot be used", &wrong));
        resolve_settings(self.host, None, self.flags.clone())
            .or_else(|_| Settings::resolve(&SettingLayers::default()))
            .expect("a unit test parses every default")
    }
}

/// Renders an age, such as `3 hours ago`.
fn ago(at: Timestamp, now: Timestamp) -> String {
    let seconds = (now.as_second() - at.as_second()).max(0).unsigned_abs();
    let (number, unit) = match seconds {
        0..=119 => (seconds, "second"),
        120..=7_199 => (seconds / 60, "minute"),
        7_200..=172_799 => (seconds / 3_600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    let s = if number == 1 { "" } else { "s" };
    format!("{number} {unit}{s} ago")
}
