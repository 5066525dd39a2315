//! Settings.

use serde::Serialize;
use serde_json::{Value, json};

use crate::domain::settings::{SettingKey, SettingSource, SettingValue, Settings};

/// A setting with its value and the origin of the value. A secret value is masked.
#[derive(Debug, Serialize)]
pub struct SettingView {
    pub key: &'static str,
    pub value: Option<String>,
    /// The value as `hfdl export` writes it: a number for a count, a list for a command.
    pub typed_value: Value,
    /// A size; null for other values.
    pub bytes: Option<u64>,
    /// A span of time; null for other values.
    pub seconds: Option<u64>,
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
            typed_value: match found {
                Some((SettingValue::Count(count), _)) => json!(count),
                Some((SettingValue::Argv(argv), _)) if !argv.arguments().is_empty() => {
                    json!(argv.words().collect::<Vec<_>>())
                }
                Some((value, _)) => json!(key.shown(&value.to_string())),
                None => Value::Null,
            },
            bytes: match found {
                Some((SettingValue::Size(size), _)) => Some(size.bytes()),
                _ => None,
            },
            seconds: match found {
                Some((SettingValue::Duration(span), _)) => Some(span.get()),
                _ => None,
            },
            default: spec.default,
            origin,
            variable,
            help: spec.help,
        }
    }
}
