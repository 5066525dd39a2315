//! A setting, as programs read it.

use serde::Serialize;

use crate::domain::settings::{SettingKey, SettingSource, Settings};

/// A setting with its value and where that came from; of a secret value, only
/// what may be shown.
#[derive(Debug, Serialize)]
pub struct SettingView {
    pub key: &'static str,
    pub value: Option<String>,
    pub default: Option<&'static str>,
    pub origin: &'static str,
    pub variable: Option<String>,
    pub help: &'static str,
}

impl SettingView {
    pub fn new(key: SettingKey, settings: &Settings) -> Self {
        let found = settings.get(key);
        let (origin, variable) = match found.map(|(_, origin)| origin) {
            Some(SettingSource::Flag) => ("flag", None),
            Some(SettingSource::Environment(name)) => ("environment", Some(name.clone())),
            Some(SettingSource::Saved) => ("saved", None),
            Some(SettingSource::Default) | None => ("default", None),
        };
        let spec = key.spec();
        Self {
            key: key.as_str(),
            value: found.map(|(value, _)| key.shown(&value.to_string())),
            default: spec.default,
            origin,
            variable,
            help: spec.help,
        }
    }
}
