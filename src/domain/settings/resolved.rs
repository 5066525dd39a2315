//! All settings of a process, resolved once at its start.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;

use super::key::SettingKey;
use super::value::{SettingError, SettingSource, SettingValue};
use crate::domain::allowance::AllowanceKind;
use crate::domain::argv::Argv;
use crate::domain::guard::{GuardRules, Guards};
use crate::domain::schedule::{RateTable, find_zone};
use crate::domain::units::{ByteSize, Seconds};

/// The texts found for the keys, by source.
#[derive(Clone, Debug, Default)]
pub struct SettingLayers {
    pub flags: BTreeMap<SettingKey, String>,
    /// Value and name of the variable.
    pub environment: BTreeMap<SettingKey, (String, String)>,
    pub saved: BTreeMap<SettingKey, String>,
    /// Defaults that depend on the machine, such as the cache directory.
    pub machine: BTreeMap<SettingKey, String>,
}

/// All settings, parsed, each with its source. A key without a value is
/// unlimited.
#[derive(Clone, Debug)]
pub struct Settings {
    values: BTreeMap<SettingKey, (SettingValue, SettingSource)>,
}

impl Settings {
    /// Takes the first of flag, environment, saved value and default for each
    /// key.
    pub fn resolve(layers: &SettingLayers) -> Result<Self, SettingError> {
        let mut values = BTreeMap::new();
        for key in SettingKey::ALL.iter().copied() {
            let found = if let Some(text) = layers.flags.get(&key) {
                Some((text.as_str(), SettingSource::Flag))
            } else if let Some((text, name)) = layers.environment.get(&key) {
                Some((text.as_str(), SettingSource::Environment(name.clone())))
            } else if let Some(text) = layers.saved.get(&key) {
                Some((text.as_str(), SettingSource::Saved))
            } else {
                let default = layers
                    .machine
                    .get(&key)
                    .map(String::as_str)
                    .or(key.spec().default);
                default.map(|text| (text, SettingSource::Default))
            };
            if let Some((text, origin)) = found {
                let value = key.check(text).map_err(|err| SettingError::At {
                    origin: origin.clone(),
                    source: Box::new(err),
                })?;
                values.insert(key, (value, origin));
            }
        }
        Ok(Self { values })
    }

    pub fn get(&self, key: SettingKey) -> Option<&(SettingValue, SettingSource)> {
        self.values.get(&key)
    }

    fn text(&self, key: SettingKey) -> &str {
        self.given(key).unwrap_or_default()
    }

    fn given(&self, key: SettingKey) -> Option<&str> {
        match self.values.get(&key) {
            Some((SettingValue::Text(text), _)) => Some(text),
            _ => None,
        }
    }

    fn count(&self, key: SettingKey) -> u64 {
        match self.values.get(&key) {
            Some((SettingValue::Count(count), _)) => *count,
            _ => 0,
        }
    }

    fn size(&self, key: SettingKey) -> Option<ByteSize> {
        match self.values.get(&key) {
            Some((SettingValue::Size(size), _)) => Some(*size),
            _ => None,
        }
    }

    fn duration(&self, key: SettingKey) -> Option<Seconds> {
        match self.values.get(&key) {
            Some((SettingValue::Duration(span), _)) => Some(*span),
            _ => None,
        }
    }

    pub fn endpoint(&self) -> &str {
        self.text(SettingKey::HubEndpoint)
    }

    pub fn cache_dir(&self) -> &str {
        self.text(SettingKey::CacheDir)
    }

    pub fn connections(&self) -> usize {
        self.count(SettingKey::Connections) as usize
    }

    pub fn files(&self) -> usize {
        self.count(SettingKey::Files) as usize
    }

    pub fn retries(&self) -> u32 {
        self.count(SettingKey::Retries) as u32
    }

    pub fn keep_revisions(&self) -> u32 {
        self.count(SettingKey::KeepRevisions) as u32
    }

    pub fn limit_rate(&self) -> Option<&RateTable> {
        match self.values.get(&SettingKey::LimitRate) {
            Some((SettingValue::Rate(table), _)) => Some(table),
            _ => None,
        }
    }

    pub fn min_rate(&self) -> ByteSize {
        self.size(SettingKey::MinRate).unwrap_or_default()
    }

    pub fn stall_after(&self) -> Seconds {
        self.duration(SettingKey::StallAfter).unwrap_or_default()
    }

    pub fn xet_is_off(&self) -> bool {
        matches!(
            self.values.get(&SettingKey::Xet),
            Some((SettingValue::Choice("off"), _))
        )
    }

    pub fn disk_reserve(&self) -> ByteSize {
        self.size(SettingKey::DiskReserve).unwrap_or_default()
    }

    pub fn cache_max_size(&self) -> Option<ByteSize> {
        self.size(SettingKey::CacheMaxSize)
    }

    pub fn prune_is_auto(&self) -> bool {
        matches!(
            self.values.get(&SettingKey::PruneAuto),
            Some((SettingValue::Choice("on"), _))
        )
    }

    pub fn run_max_duration(&self) -> Option<Seconds> {
        self.duration(SettingKey::RunMaxDuration)
    }

    pub fn run_max_transfer(&self) -> Option<ByteSize> {
        self.size(SettingKey::RunMaxTransfer)
    }

    pub fn limit_daily(&self) -> Option<ByteSize> {
        self.size(SettingKey::LimitDaily)
    }

    pub fn limit_monthly(&self) -> Option<ByteSize> {
        self.size(SettingKey::LimitMonthly)
    }

    pub fn limit_billing_day(&self) -> i8 {
        i8::try_from(self.count(SettingKey::LimitBillingDay)).unwrap_or(1)
    }

    pub fn limit_kind(&self) -> AllowanceKind {
        match self.values.get(&SettingKey::LimitKind) {
            Some((SettingValue::Choice("soft"), _)) => AllowanceKind::Soft,
            _ => AllowanceKind::Hard,
        }
    }

    /// Returns the zone of allowances; `None` is that of the system.
    pub fn limit_zone(&self) -> Option<TimeZone> {
        find_zone(self.given(SettingKey::LimitZone)?).ok()
    }

    pub fn check_max_age(&self) -> Seconds {
        self.duration(SettingKey::CheckMaxAge).unwrap_or_default()
    }

    pub fn keep_sessions(&self) -> Seconds {
        self.duration(SettingKey::KeepSessions).unwrap_or_default()
    }

    pub fn keep_logs(&self) -> Seconds {
        self.duration(SettingKey::KeepLogs).unwrap_or_default()
    }

    /// Returns the program of a hook, if one is set.
    pub fn hook(&self, key: SettingKey) -> Option<&Argv> {
        match self.values.get(&key) {
            Some((SettingValue::Argv(argv), _)) => Some(argv),
            _ => None,
        }
    }

    pub fn gate_timeout(&self) -> Seconds {
        self.duration(SettingKey::HooksGateTimeout)
            .unwrap_or_default()
    }

    pub fn hooks_timeout(&self) -> Seconds {
        self.duration(SettingKey::HooksTimeout).unwrap_or_default()
    }

    pub fn ping_url(&self) -> Option<&str> {
        self.given(SettingKey::PingUrl)
    }

    pub fn metrics_file(&self) -> Option<&str> {
        self.given(SettingKey::MetricsFile)
    }

    pub fn status_file(&self) -> Option<&str> {
        self.given(SettingKey::StatusFile)
    }

    /// Returns the guards that check updates, with the limits of those that have one.
    pub fn guard_rules(&self) -> GuardRules {
        let guards = match self.values.get(&SettingKey::UpdateGuards) {
            Some((SettingValue::Guards(guards), _)) => guards.clone(),
            _ => Guards::all(),
        };
        let size_change = match self.values.get(&SettingKey::UpdateSizeChange) {
            Some((SettingValue::Percent(percent), _)) => *percent,
            _ => None,
        };
        GuardRules {
            guards,
            size_change,
        }
    }

    pub fn timer_every(&self) -> Seconds {
        self.duration(SettingKey::TimerEvery).unwrap_or_default()
    }

    /// Returns the time within which every file is read again; `None`: never.
    pub fn verify_every(&self) -> Option<Seconds> {
        self.duration(SettingKey::VerifyEvery)
    }

    /// Returns the limits of one run's reading: bytes or time.
    pub fn verify_budget(&self) -> (Option<ByteSize>, Option<Seconds>) {
        let key = SettingKey::VerifyBudget;
        (self.size(key), self.duration(key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layers() -> SettingLayers {
        SettingLayers {
            machine: BTreeMap::from([(SettingKey::CacheDir, "/cache".to_owned())]),
            ..SettingLayers::default()
        }
    }

    #[test]
    fn every_default_is_a_valid_value_in_canonical_spelling() {
        for key in SettingKey::ALL {
            if let Some(default) = key.spec().default {
                assert_eq!(key.check(default).unwrap().to_string(), default, "{key}");
            }
        }
    }

    #[test]
    fn a_flag_beats_the_environment_beats_a_saved_value_beats_the_default() {
        let key = SettingKey::Connections;
        let mut layers = layers();
        let origin = |layers: &SettingLayers| {
            let settings = Settings::resolve(layers).unwrap();
            (
                settings.connections(),
                settings.get(key).unwrap().1.to_string(),
            )
        };
        assert_eq!(origin(&layers), (16, "default".to_owned()));
        layers.saved.insert(key, "3".to_owned());
        assert_eq!(origin(&layers), (3, "saved".to_owned()));
        layers
            .environment
            .insert(key, ("4".to_owned(), "X".to_owned()));
        assert_eq!(origin(&layers), (4, "environment (X)".to_owned()));
        layers.flags.insert(key, "5".to_owned());
        assert_eq!(origin(&layers), (5, "flag".to_owned()));
    }

    #[test]
    fn an_allowance_is_off_or_at_least_a_block_and_its_zone_exists() {
        let mut layers = layers();
        let resolved = |layers: &SettingLayers| Settings::resolve(layers).unwrap();
        let settings = resolved(&layers);
        assert_eq!(
            (settings.limit_daily(), settings.limit_zone()),
            (None, None)
        );
        assert_eq!(settings.limit_kind(), AllowanceKind::Hard);
        for (key, text) in [
            (SettingKey::LimitDaily, "2G"),
            (SettingKey::LimitMonthly, "OFF"),
            (SettingKey::LimitZone, "europe/berlin"),
            (SettingKey::LimitBillingDay, "31"),
        ] {
            layers.saved.insert(key, text.to_owned());
        }
        let settings = resolved(&layers);
        assert_eq!(settings.limit_daily(), Some(ByteSize(2 << 30)));
        assert_eq!(
            (settings.limit_monthly(), settings.limit_billing_day()),
            (None, 31)
        );
        assert_eq!(
            settings.limit_zone().unwrap().iana_name(),
            Some("Europe/Berlin")
        );
        for bad in ["0", "1023K", "much"] {
            assert!(SettingKey::LimitDaily.check(bad).is_err(), "{bad}");
        }
        assert!(SettingKey::LimitZone.check("Europe/Atlantis").is_err());
    }

    #[test]
    fn a_wrong_value_names_the_allowed_values_and_its_source() {
        let mut layers = layers();
        layers
            .saved
            .insert(SettingKey::Connections, "many".to_owned());
        let text = Settings::resolve(&layers).unwrap_err().to_string();
        assert!(
            text.contains("saved") && text.contains("from 1 to 256"),
            "{text}"
        );
        assert!(
            SettingKey::find("download.conections")
                .unwrap_err()
                .hint()
                .contains("download.connections")
        );
    }

    #[test]
    fn a_budget_of_verification_is_a_size_or_a_time() {
        let key = SettingKey::VerifyBudget;
        let read = |text: &str| {
            let mut layers = layers();
            layers.saved.insert(key, text.to_owned());
            Settings::resolve(&layers).map(|settings| settings.verify_budget())
        };
        assert_eq!(read("10m").unwrap(), (None, Some(Seconds(600))));
        assert_eq!(read("10M").unwrap(), (Some(ByteSize(10 << 20)), None));
        assert_eq!(read("20G").unwrap(), (Some(ByteSize(20 << 30)), None));
        for bad in ["", "0", "0s", "off", "much"] {
            assert!(read(bad).is_err(), "{bad}");
        }
        let every = |text: &str| {
            let mut layers = layers();
            layers
                .saved
                .insert(SettingKey::VerifyEvery, text.to_owned());
            Settings::resolve(&layers).map(|settings| settings.verify_every())
        };
        assert_eq!(every("off").unwrap(), None);
        assert_eq!(every("7d").unwrap(), Some(Seconds(7 * 86_400)));
        assert!(every("23h").is_err());
    }

    #[test]
    fn an_endpoint_has_a_scheme_and_a_host_and_no_password() {
        let key = SettingKey::HubEndpoint;
        assert_eq!(
            key.check("http://[::1]:8080/hub/").unwrap().to_string(),
            "http://[::1]:8080/hub"
        );
        for bad in [
            "",
            "huggingface.co",
            "ftp://x",
            "https://",
            "https://u:p@host",
            "https://a b",
            "https://h?x",
        ] {
            assert!(key.check(bad).is_err(), "{bad}");
        }
    }
}
