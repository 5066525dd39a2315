//! A parsed value, its source, and the errors about it.

use std::fmt;

use thiserror::Error;

use super::key::SettingKey;
use crate::domain::argv::Argv;
use crate::domain::guard::Guards;
use crate::domain::invalid_value::InvalidValue;
use crate::domain::schedule::RateTable;
use crate::domain::units::{ByteSize, Seconds};

/// A parsed value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SettingValue {
    Count(u64),
    Size(ByteSize),
    Duration(Seconds),
    Rate(RateTable),
    Choice(&'static str),
    Argv(Argv),
    Guards(Guards),
    Percent(Option<u32>),
    Text(String),
}

impl fmt::Display for SettingValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => write!(f, "{count}"),
            Self::Size(size) => write!(f, "{size}"),
            Self::Duration(span) => write!(f, "{span}"),
            Self::Rate(table) => write!(f, "{table}"),
            Self::Choice(word) => f.write_str(word),
            Self::Argv(argv) => write!(f, "{argv}"),
            Self::Guards(guards) => write!(f, "{guards}"),
            Self::Percent(Some(percent)) => write!(f, "{percent}%"),
            Self::Percent(None) => f.write_str("off"),
            Self::Text(text) => f.write_str(text),
        }
    }
}

/// An error in a setting, with the correct form.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SettingError {
    #[error("there is no setting `{key}`")]
    UnknownKey {
        key: String,
        nearest: Option<&'static str>,
    },
    #[error("`{value}` is not a valid value for `{key}`: {why}")]
    WrongValue {
        key: SettingKey,
        value: String,
        why: InvalidValue,
    },
    #[error("{origin}: {source}")]
    At {
        origin: SettingSource,
        source: Box<SettingError>,
    },
}

impl SettingError {
    /// Returns a suggestion for the user.
    pub fn hint(&self) -> String {
        match self {
            Self::UnknownKey {
                nearest: Some(key), ..
            } => format!("did you mean `{key}`? `hfdl config list` shows all settings"),
            Self::UnknownKey { nearest: None, .. } => {
                "`hfdl config list` shows all settings".to_owned()
            }
            Self::WrongValue { key, why, .. } => {
                let way_back = match key.spec().default {
                    Some(default) => format!(
                        "the default is `{default}`; `hfdl config unset {key}` goes back to it"
                    ),
                    None => format!("`hfdl config unset {key}` removes the setting"),
                };
                match why.next_step() {
                    Some(form) if form.ends_with('?') => format!("{form} {way_back}"),
                    Some(form) => format!("{form}; {way_back}"),
                    None => way_back,
                }
            }
            Self::At { origin, source } => match origin {
                SettingSource::Environment(name) => format!("correct `{name}` or unset it"),
                SettingSource::Flag | SettingSource::Saved | SettingSource::Default => {
                    source.hint()
                }
            },
        }
    }
}

/// The source of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SettingSource {
    Flag,
    /// The name of the variable.
    Environment(String),
    Saved,
    Default,
}

impl fmt::Display for SettingSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag => f.write_str("flag"),
            Self::Environment(name) => write!(f, "environment ({name})"),
            Self::Saved => f.write_str("saved"),
            Self::Default => f.write_str("default"),
        }
    }
}
