//! The settings: their keys, what each may be, and where a value came from.
//!
//! One table says everything about a key. A value travels as text until
//! `Settings::resolve` has parsed all of them; after that nobody parses again
//! and nobody asks whether a flag was given.

use std::collections::BTreeMap;
use std::fmt;

use thiserror::Error;

use super::nearest::nearest;
use super::outcome::words;
use super::schedule::RateTable;
use super::units::{ByteSize, Seconds};

words! {
    /// The key of a setting.
    SettingKey {
        CacheDir = "cache.dir",
        CheckMaxAge = "check.max_age",
        DiskReserve = "disk.reserve",
        Connections = "download.connections",
        Files = "download.files",
        LimitRate = "download.limit_rate",
        MinRate = "download.min_rate",
        Retries = "download.retries",
        StallAfter = "download.stall_after",
        Xet = "download.xet",
        HubEndpoint = "hub.endpoint",
        KeepLogs = "keep.logs",
        KeepRevisions = "keep.revisions",
        KeepSessions = "keep.sessions",
        RunMaxDuration = "run.max_duration",
        RunMaxTransfer = "run.max_transfer",
        TimerEvery = "timer.every",
    }
}

/// What a value may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueKind {
    Count {
        min: u64,
        max: u64,
    },
    Size,
    /// A span of time; `min` is the shortest that makes sense.
    Duration {
        min: u64,
    },
    /// A span of time that divides an hour, so that a timer can tick evenly.
    TickPeriod,
    Rate,
    Choice(&'static [&'static str]),
    Url,
    Path,
}

/// Everything about one key.
#[derive(Clone, Copy, Debug)]
pub struct SettingSpec {
    pub kind: ValueKind,
    /// `None`: unlimited or worked out from the environment.
    pub default: Option<&'static str>,
    pub help: &'static str,
}

impl SettingKey {
    pub fn spec(self) -> SettingSpec {
        use ValueKind::{Choice, Count, Duration, Path, Rate, Size, TickPeriod, Url};
        let spec = |kind, default, help| SettingSpec {
            kind,
            default,
            help,
        };
        match self {
            Self::HubEndpoint => spec(
                Url,
                Some("https://huggingface.co"),
                "base URL of the Hub or of a mirror",
            ),
            Self::CacheDir => spec(Path, None, "the Hub cache that models go to"),
            Self::Connections => spec(
                Count { min: 1, max: 256 },
                Some("16"),
                "connections of a whole run, over all files",
            ),
            Self::Files => spec(
                Count { min: 1, max: 256 },
                Some("4"),
                "large files in progress at a time",
            ),
            Self::LimitRate => spec(
                Rate,
                Some("off"),
                "bytes per second of a whole run, or a time table",
            ),
            Self::MinRate => spec(
                Size,
                Some("1K"),
                "a connection slower than this for `download.stall_after` is dropped",
            ),
            Self::StallAfter => spec(
                Duration { min: 1 },
                Some("1m"),
                "how long a connection may be too slow",
            ),
            Self::Retries => spec(
                Count { min: 0, max: 100 },
                Some("5"),
                "attempts without progress before a file fails",
            ),
            Self::Xet => spec(
                Choice(&["auto", "off"]),
                Some("auto"),
                "whether Xet storage may be used",
            ),
            Self::DiskReserve => spec(Size, Some("5G"), "space that downloads leave free"),
            Self::RunMaxDuration => spec(Duration { min: 1 }, None, "how long a run may take"),
            Self::RunMaxTransfer => spec(Size, None, "how many bytes a run may fetch"),
            Self::CheckMaxAge => spec(
                Duration { min: 60 },
                Some("7d"),
                "a model not checked for longer needs a person",
            ),
            Self::KeepRevisions => spec(
                Count { min: 1, max: 1_000 },
                Some("2"),
                "revisions kept of each model, the published one included",
            ),
            Self::KeepSessions => spec(
                Duration { min: 86_400 },
                Some("180d"),
                "how long the history of sessions is kept",
            ),
            Self::KeepLogs => spec(
                Duration { min: 3_600 },
                Some("30d"),
                "how long log files are kept",
            ),
            Self::TimerEvery => spec(
                TickPeriod,
                Some("15m"),
                "how often the timer starts `hfdl run-due`",
            ),
        }
    }

    /// Returns the variable that sets this key for one process, such as
    /// `HFDL_DOWNLOAD_CONNECTIONS`.
    pub fn variable(self) -> String {
        format!("HFDL_{}", self.as_str().replace('.', "_").to_uppercase())
    }

    /// Finds a key by its name; a wrong one names the nearest right one.
    pub fn find(name: &str) -> Result<Self, SettingError> {
        name.parse().map_err(|_| SettingError::UnknownKey {
            key: name.chars().take(80).flat_map(char::escape_debug).collect(),
            nearest: nearest(name, Self::ALL.iter().map(|key| key.as_str())),
        })
    }

    /// Parses a value for this key and returns it in its canonical spelling.
    pub fn check(self, value: &str) -> Result<SettingValue, SettingError> {
        let value = value.trim();
        let refuse = |why: String| SettingError::WrongValue {
            key: self,
            value: without_credentials(value)
                .chars()
                .take(80)
                .flat_map(char::escape_debug)
                .collect(),
            why,
        };
        match self.spec().kind {
            ValueKind::Count { min, max } => match value.parse::<u64>() {
                Ok(count) if (min..=max).contains(&count) => Ok(SettingValue::Count(count)),
                _ => Err(refuse(format!(
                    "it must be a whole number from {min} to {max}"
                ))),
            },
            ValueKind::Size => value
                .parse()
                .map(SettingValue::Size)
                .map_err(|err| refuse(err.to_string())),
            ValueKind::Duration { min } => match value.parse::<Seconds>() {
                Ok(span) if span.get() >= min => Ok(SettingValue::Duration(span)),
                Ok(_) => Err(refuse(format!("it must be at least {}", Seconds(min)))),
                Err(err) => Err(refuse(err.to_string())),
            },
            ValueKind::TickPeriod => match value.parse::<Seconds>() {
                Ok(span) if span.get() >= 60 && 3_600 % span.get() == 0 && span.get() % 60 == 0 => {
                    Ok(SettingValue::Duration(span))
                }
                _ => Err(refuse(
                    "it must be 1m, 2m, 3m, 4m, 5m, 6m, 10m, 12m, 15m, 20m, 30m or 1h".to_owned(),
                )),
            },
            ValueKind::Rate => value
                .parse::<RateTable>()
                .map(SettingValue::Rate)
                .map_err(|err| refuse(err.to_string())),
            ValueKind::Choice(words) => match words.iter().find(|word| **word == value) {
                Some(word) => Ok(SettingValue::Choice(word)),
                None => Err(refuse(format!("it must be one of {}", words.join(", ")))),
            },
            ValueKind::Url => check_url(value).map(SettingValue::Text).map_err(refuse),
            ValueKind::Path => match value {
                "" => Err(refuse("it must be a directory".to_owned())),
                path if path.contains('\0') => Err(refuse("it contains a NUL".to_owned())),
                path => Ok(SettingValue::Text(path.to_owned())),
            },
        }
    }
}

/// Accepts `http://` and `https://` with a host, without credentials, and
/// drops the final slash.
fn check_url(value: &str) -> Result<String, String> {
    let rest = value
        .strip_prefix("https://")
        .or_else(|| value.strip_prefix("http://"))
        .ok_or("it must start with https:// or http://")?;
    let authority = rest.split('/').next().unwrap_or_default();
    if authority.contains('@') {
        return Err("it must not contain a user name or password; tokens belong in HF_TOKEN or a token file".to_owned());
    }
    let host = authority
        .rsplit_once(':')
        .map_or(authority, |(host, _)| host);
    let odd =
        |c: char| c.is_whitespace() || c.is_control() || matches!(c, '?' | '#' | '"' | '<' | '>');
    if host.is_empty() || value.contains(odd) {
        return Err(
            "it must be a host with an optional port and path, such as https://huggingface.co"
                .to_owned(),
        );
    }
    Ok(value.trim_end_matches('/').to_owned())
}

/// Hides what stands before the host of an address: a refused password is one
/// all the same, and messages end up in mails and logs.
fn without_credentials(value: &str) -> String {
    let hidden = value.split_once("://").and_then(|(scheme, rest)| {
        let authority = rest.split('/').next().unwrap_or_default();
        let (credentials, _) = authority.rsplit_once('@')?;
        Some(format!("{scheme}://***{}", &rest[credentials.len()..]))
    });
    hidden.unwrap_or_else(|| value.to_owned())
}

/// A value that has been parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SettingValue {
    Count(u64),
    Size(ByteSize),
    Duration(Seconds),
    Rate(RateTable),
    Choice(&'static str),
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
            Self::Text(text) => f.write_str(text),
        }
    }
}

/// Says what is wrong with a setting and what would be right.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SettingError {
    #[error("there is no setting `{key}`")]
    UnknownKey {
        key: String,
        nearest: Option<&'static str>,
    },
    #[error("`{value}` is no value for `{key}`: {why}")]
    WrongValue {
        key: SettingKey,
        value: String,
        why: String,
    },
    #[error("{origin}: {source}")]
    At {
        origin: Origin,
        source: Box<SettingError>,
    },
}

impl SettingError {
    /// Returns what to try instead.
    pub fn hint(&self) -> String {
        match self {
            Self::UnknownKey {
                nearest: Some(key), ..
            } => format!("did you mean `{key}`? `hfdl config list` shows all settings"),
            Self::UnknownKey { nearest: None, .. } => {
                "`hfdl config list` shows all settings".to_owned()
            }
            Self::WrongValue { key, .. } => match key.spec().default {
                Some(default) => {
                    format!("the default is `{default}`; `hfdl config unset {key}` goes back to it")
                }
                None => format!("`hfdl config unset {key}` removes the setting"),
            },
            Self::At { origin, source } => match origin {
                Origin::Environment(name) => format!("correct `{name}` or unset it"),
                Origin::Flag | Origin::Saved | Origin::Default => source.hint(),
            },
        }
    }
}

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    Flag,
    /// The name of the variable.
    Environment(String),
    Saved,
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag => f.write_str("flag"),
            Self::Environment(name) => write!(f, "environment ({name})"),
            Self::Saved => f.write_str("saved"),
            Self::Default => f.write_str("default"),
        }
    }
}

/// The texts that were found for the keys, by where they were found.
#[derive(Clone, Debug, Default)]
pub struct SettingLayers {
    pub flags: BTreeMap<SettingKey, String>,
    /// Value and name of the variable.
    pub environment: BTreeMap<SettingKey, (String, String)>,
    pub saved: BTreeMap<SettingKey, String>,
    /// Defaults that depend on the machine, such as the cache directory.
    pub machine: BTreeMap<SettingKey, String>,
}

/// All settings, parsed, each with its origin. A key without a value is unlimited.
#[derive(Clone, Debug)]
pub struct Settings {
    values: BTreeMap<SettingKey, (SettingValue, Origin)>,
}

impl Settings {
    /// Takes for each key the first of flag, environment, saved and default.
    pub fn resolve(layers: &SettingLayers) -> Result<Self, SettingError> {
        let mut values = BTreeMap::new();
        for key in SettingKey::ALL.iter().copied() {
            let found = if let Some(text) = layers.flags.get(&key) {
                Some((text.as_str(), Origin::Flag))
            } else if let Some((text, name)) = layers.environment.get(&key) {
                Some((text.as_str(), Origin::Environment(name.clone())))
            } else if let Some(text) = layers.saved.get(&key) {
                Some((text.as_str(), Origin::Saved))
            } else {
                let default = layers
                    .machine
                    .get(&key)
                    .map(String::as_str)
                    .or(key.spec().default);
                default.map(|text| (text, Origin::Default))
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

    pub fn get(&self, key: SettingKey) -> Option<&(SettingValue, Origin)> {
        self.values.get(&key)
    }

    fn text(&self, key: SettingKey) -> &str {
        match self.values.get(&key) {
            Some((SettingValue::Text(text), _)) => text,
            _ => "",
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

    pub fn run_max_duration(&self) -> Option<Seconds> {
        self.duration(SettingKey::RunMaxDuration)
    }

    pub fn run_max_transfer(&self) -> Option<ByteSize> {
        self.size(SettingKey::RunMaxTransfer)
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

    pub fn timer_every(&self) -> Seconds {
        self.duration(SettingKey::TimerEvery).unwrap_or_default()
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
    fn a_wrong_value_says_what_is_allowed_and_where_it_stood() {
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
