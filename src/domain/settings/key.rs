//! The keys of settings, and the checks of their values.

use super::kind::ValueKind;
use super::table::{SPECS, SettingSpec};
use super::url::{without_credentials, without_path};
use super::value::{SettingError, SettingValue};
use crate::domain::invalid_value::shown;
use crate::domain::nearest::nearest;
use crate::domain::outcome::words;

/// The value of a setting that is switched off.
pub(super) const OFF: &str = "off";

words! {
    /// The key of a setting.
    SettingKey {
        CacheDir = "cache.dir",
        CacheMaxSize = "cache.max_size",
        CheckMaxAge = "check.max_age",
        DiskReserve = "disk.reserve",
        Connections = "download.connections",
        Files = "download.files",
        LimitRate = "download.limit_rate",
        MinRate = "download.min_rate",
        Retries = "download.retries",
        StallAfter = "download.stall_after",
        Xet = "download.xet",
        HooksFinally = "hooks.finally",
        HooksGate = "hooks.gate",
        HooksGateTimeout = "hooks.gate_timeout",
        HooksOnFailure = "hooks.on_failure",
        HooksOnHold = "hooks.on_hold",
        HooksOnRecovery = "hooks.on_recovery",
        HooksOnRefMoved = "hooks.on_ref_moved",
        HooksOnSkip = "hooks.on_skip",
        HooksOnUpdate = "hooks.on_update",
        HooksTimeout = "hooks.timeout",
        HubEndpoint = "hub.endpoint",
        KeepLogs = "keep.logs",
        KeepRevisions = "keep.revisions",
        KeepSessions = "keep.sessions",
        LimitBillingDay = "limit.billing_day",
        LimitDaily = "limit.daily",
        LimitKind = "limit.kind",
        LimitMonthly = "limit.monthly",
        LimitZone = "limit.zone",
        MetricsFile = "metrics.file",
        PingUrl = "ping.url",
        PruneAuto = "prune.auto",
        RunMaxDuration = "run.max_duration",
        RunMaxTransfer = "run.max_transfer",
        StatusFile = "status.file",
        TimerEvery = "timer.every",
        UpdateGuards = "update.guards",
        UpdateSizeChange = "update.size_change",
        VerifyBudget = "verify.budget",
        VerifyEvery = "verify.every",
    }
}

impl SettingKey {
    pub fn spec(self) -> SettingSpec {
        SPECS[self as usize].1
    }

    /// Reports whether a value of this key grants access to something.
    pub fn is_secret(self) -> bool {
        matches!(self.spec().kind, ValueKind::SecretUrl)
    }

    /// Tells whether `off` means that there is no such limit, program or file.
    fn can_be_off(self) -> bool {
        let spec = self.spec();
        match self {
            // Without a value the system decides about these.
            Self::CacheDir | Self::LimitZone => false,
            Self::VerifyEvery => true,
            _ => spec.default.is_none() || spec.kind == ValueKind::Allowance,
        }
    }

    /// Tells whether a value switches this key off.
    pub fn is_off(self, value: &str) -> bool {
        self.can_be_off() && value.eq_ignore_ascii_case(OFF)
    }

    /// Returns a value of this key in the form for lists and messages.
    pub fn shown(self, value: &str) -> String {
        if self.is_secret() && !self.is_off(value) {
            without_path(value)
        } else {
            value.to_owned()
        }
    }

    /// Returns the environment variable of this key, such as
    /// `HFDL_DOWNLOAD_CONNECTIONS`.
    pub fn variable(self) -> String {
        format!("HFDL_{}", self.as_str().replace('.', "_").to_uppercase())
    }

    /// Finds a key by name; the error suggests the nearest one.
    pub fn find(name: &str) -> Result<Self, SettingError> {
        name.parse().map_err(|_| SettingError::UnknownKey {
            key: shown(name),
            nearest: nearest(name, Self::ALL.iter().map(|key| key.as_str())),
        })
    }

    /// Parses a value for this key and returns it in its canonical spelling.
    pub fn check(self, value: &str) -> Result<SettingValue, SettingError> {
        let value = value.trim();
        if self.is_off(value) {
            return Ok(SettingValue::Choice(OFF));
        }
        self.spec().kind.parse(value).map_err(|why| {
            let form = format!("`{OFF}`");
            SettingError::WrongValue {
                key: self,
                value: shown(&self.shown(&without_credentials(value))),
                why: if self.can_be_off() {
                    why.or_form(&form)
                } else {
                    why
                },
            }
        })
    }
}
