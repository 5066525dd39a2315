//! Differences between the environment of a shell and that of a tick.
//!
//! A timer starts the program with an almost empty environment. Where a tick would
//! behave differently from the same command in a shell, a setting is saved, or a
//! warning is shown.

use std::collections::BTreeMap;

use super::variables::{has_password, is_in_credentials};
use crate::domain::settings::{SettingKey, SettingSource, Settings};
use crate::domain::timer::TimerKind;

/// Variables that change a run and are not settings of hfdl.
pub const WATCHED: [&str; 13] = [
    "HF_HOME",
    "HF_TOKEN_PATH",
    "XDG_CACHE_HOME",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
];

/// The environment of the shell and that of a tick.
#[derive(Clone, Debug)]
pub struct TickEnvironment<'a> {
    pub kind: TimerKind,
    /// The watched variables that are set in the shell.
    pub variables: BTreeMap<&'static str, String>,
    /// Names of the variables in the entry.
    pub carried: Vec<String>,
    pub settings: &'a Settings,
    pub saved: BTreeMap<SettingKey, String>,
    /// The variable that contains a token in this shell.
    pub token_variable: Option<&'static str>,
    /// Whether this shell, and whether a tick, finds a token file.
    pub finds_token_file: bool,
    pub tick_finds_token_file: bool,
    /// The zone in `TZ`, if it is not the system's.
    pub other_zone: Option<String>,
}

/// A difference between this shell and a tick.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Gap {
    /// Resolved by saving a setting.
    Save {
        key: SettingKey,
        value: String,
        origin: SettingSource,
    },
    /// Shown to the user.
    Warn(String),
}

/// Settings for the source and the destination of files. A tick with other values
/// would fill another cache or contact another Hub, so they are saved.
pub const PLACES: [SettingKey; 2] = [SettingKey::CacheDir, SettingKey::HubEndpoint];

/// Returns the settings to save and the warnings to show.
pub fn gaps(environment: &TickEnvironment<'_>) -> Vec<Gap> {
    let mut found: Vec<Gap> = SettingKey::ALL
        .iter()
        .filter_map(|key| setting_gap(environment, *key))
        .collect();
    found.extend(network_gap(environment).map(Gap::Warn));
    found.extend(token_gap(environment).map(Gap::Warn));
    if let Some(zone) = &environment.other_zone
        && !is_carried(environment, "TZ")
    {
        found.push(Gap::Warn(format!(
            "`TZ` is `{zone}` here, and the timer uses the system's zone: schedules keep their own, \
             timetables in `download.limit_rate` do not{}",
            env_advice(environment.kind, &["TZ"])
        )));
    }
    found
}

fn is_carried(environment: &TickEnvironment<'_>, name: &str) -> bool {
    environment.carried.iter().any(|carried| carried == name)
}

/// Describes how far a timer sees a variable of this shell.
fn missing(kind: TimerKind) -> &'static str {
    match kind {
        TimerKind::TaskScheduler => "the timer has it only if it is set for your account",
        _ => "the timer will not have it",
    }
}

fn setting_gap(environment: &TickEnvironment<'_>, key: SettingKey) -> Option<Gap> {
    let (value, origin) = environment.settings.get(key)?;
    let value = value.to_string();
    let shown = key.shown(&value);
    // A value shown without its secret must not be copied.
    let meant = if shown == value {
        format!("'{value}'")
    } else {
        "VALUE".to_owned()
    };
    let from = match origin {
        SettingSource::Environment(name) if is_carried(environment, name) => return None,
        SettingSource::Environment(name) => format!("`{name}`"),
        // `--every` and its setting are part of the installation itself.
        SettingSource::Flag if key == SettingKey::TimerEvery => return None,
        SettingSource::Flag => "`--set`".to_owned(),
        SettingSource::Saved => return None,
        // The default cache may depend on a variable.
        SettingSource::Default if key == SettingKey::CacheDir => {
            environment
                .variables
                .get("XDG_CACHE_HOME")
                .filter(|_| !is_carried(environment, "XDG_CACHE_HOME"))?;
            "`XDG_CACHE_HOME`".to_owned()
        }
        SettingSource::Default => return None,
    };
    match environment.saved.get(&key) {
        Some(saved) if *saved == value => None,
        Some(saved) => {
            let saved = key.shown(saved);
            Some(Gap::Warn(format!(
                "`{key}` is `{shown}` here by {from}, and the timer will use `{saved}`, which is saved; \
                 `hfdl config set {key} {meant}` changes that"
            )))
        }
        None if PLACES.contains(&key) => Some(Gap::Save {
            key,
            value,
            origin: match origin {
                SettingSource::Default => SettingSource::Environment("XDG_CACHE_HOME".to_owned()),
                other => other.clone(),
            },
        }),
        None => Some(Gap::Warn(format!(
            "`{key}` is `{shown}` here by {from}, and {}; `hfdl config set {key} {meant}` keeps it",
            missing(environment.kind)
        ))),
    }
}

fn network_gap(environment: &TickEnvironment<'_>) -> Option<String> {
    let is_network =
        |name: &str| name.starts_with("SSL_") || name.to_ascii_lowercase().ends_with("_proxy");
    let lacking: Vec<(&str, &String)> = environment
        .variables
        .iter()
        .map(|(name, value)| (*name, value))
        .filter(|(name, _)| is_network(name) && !is_carried(environment, name))
        .collect();
    let names: Vec<&str> = lacking.iter().map(|(name, _)| *name).collect();
    let (are, them) = match names.as_slice() {
        [] => return None,
        [_] => ("is", "it"),
        _ => ("are", "them"),
    };
    let missing = match environment.kind {
        TimerKind::TaskScheduler => format!("the timer has {them} only if set for your account"),
        _ => format!("the timer will not have {them}"),
    };
    // An entry must not contain a password, so `--env` is not offered.
    let secret = lacking.iter().find(|(_, value)| has_password(value));
    let advice = match secret {
        Some((name, _)) => format!("; `{name}` holds a password, which an entry must not contain"),
        None => env_advice(environment.kind, &names),
    };
    Some(format!(
        "`{}` {are} set here, and {missing}{advice}",
        names.join("`, `")
    ))
}

/// Returns the advice for passing a variable to the timer; a Windows task cannot
/// have variables.
fn env_advice(kind: TimerKind, names: &[&str]) -> String {
    if kind == TimerKind::TaskScheduler {
        return String::new();
    }
    let flags: Vec<String> = names.iter().map(|name| format!("--env {name}")).collect();
    let them = if names.len() == 1 { "it" } else { "them" };
    format!("; `{}` passes {them} to the timer", flags.join(" "))
}

fn token_gap(environment: &TickEnvironment<'_>) -> Option<String> {
    if environment.tick_finds_token_file {
        return None;
    }
    if let Some(name) = environment.token_variable {
        return Some(format!(
            "`{name}` is set in this shell, and {}: private and gated models will fail; \
             `hf auth login` keeps a token in a file that the timer finds",
            missing(environment.kind)
        ));
    }
    let name = ["HF_TOKEN_PATH", "HF_HOME", "XDG_CACHE_HOME"]
        .into_iter()
        .find(|name| environment.variables.contains_key(name))?;
    let path = environment.variables.get("HF_TOKEN_PATH");
    if path.is_some_and(|path| is_in_credentials(path)) {
        return Some(
            "`HF_TOKEN_PATH` is a credential of this unit of systemd, which another unit does not see: \
             private and gated models will fail; `hf auth login` keeps a token in a file that the timer finds"
                .to_owned(),
        );
    }
    environment.finds_token_file.then(|| {
        format!(
            "the token file is found by `{name}`, and {}: private and gated models will fail{}",
            missing(environment.kind),
            env_advice(environment.kind, &[name])
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::settings::SettingLayers;

    fn settings(
        environment: &[(SettingKey, &str, &str)],
        saved: &BTreeMap<SettingKey, String>,
    ) -> Settings {
        let environment = environment
            .iter()
            .map(|(key, value, name)| (*key, ((*value).to_owned(), (*name).to_owned())))
            .collect();
        let layers = SettingLayers {
            environment,
            saved: saved.clone(),
            machine: BTreeMap::from([(SettingKey::CacheDir, "/default/hub".to_owned())]),
            ..SettingLayers::default()
        };
        Settings::resolve(&layers).unwrap()
    }

    fn tick_environment(settings: &Settings) -> TickEnvironment<'_> {
        TickEnvironment {
            kind: TimerKind::Crontab,
            variables: BTreeMap::new(),
            carried: Vec::new(),
            settings,
            saved: BTreeMap::new(),
            token_variable: None,
            finds_token_file: false,
            tick_finds_token_file: false,
            other_zone: None,
        }
    }

    fn warnings(environment: &TickEnvironment<'_>) -> String {
        let lines = gaps(environment).into_iter().map(|gap| match gap {
            Gap::Warn(text) => text,
            Gap::Save { key, value, origin } => format!("save {key}={value} from {origin}"),
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn a_secret_address_is_not_shown() {
        let given = (
            SettingKey::PingUrl,
            "https://ping.example/geheim",
            "HFDL_PING_URL",
        );
        let other = (
            SettingKey::PingUrl,
            "https://ping.example/anders".to_owned(),
        );
        for saved in [BTreeMap::new(), BTreeMap::from([other])] {
            let settings = settings(&[given], &saved);
            let warnings = warnings(&TickEnvironment {
                saved,
                ..tick_environment(&settings)
            });
            assert!(warnings.contains("https://ping.example/***"), "{warnings}");
            assert!(
                warnings.contains("`hfdl config set ping.url VALUE`"),
                "{warnings}"
            );
            assert!(
                !warnings.contains("geheim") && !warnings.contains("anders"),
                "{warnings}"
            );
        }
    }

    #[test]
    fn an_empty_environment_has_no_gaps() {
        let settings = settings(&[], &BTreeMap::new());
        assert_eq!(gaps(&tick_environment(&settings)), []);
    }

    #[test]
    fn places_are_saved_and_other_settings_are_warned_about() {
        let environment = [
            (SettingKey::CacheDir, "/data/hf/hub", "HF_HOME"),
            (
                SettingKey::HubEndpoint,
                "https://mirror.example",
                "HF_ENDPOINT",
            ),
            (SettingKey::Connections, "32", "HFDL_DOWNLOAD_CONNECTIONS"),
        ];
        let settings = settings(&environment, &BTreeMap::new());
        assert_eq!(
            warnings(&tick_environment(&settings)),
            "save cache.dir=/data/hf/hub from environment (HF_HOME)\n\
             `download.connections` is `32` here by `HFDL_DOWNLOAD_CONNECTIONS`, and the timer will not have it; \
             `hfdl config set download.connections '32'` keeps it\n\
             save hub.endpoint=https://mirror.example from environment (HF_ENDPOINT)"
        );
        let environment = TickEnvironment {
            carried: ["HF_HOME", "HF_ENDPOINT", "HFDL_DOWNLOAD_CONNECTIONS"]
                .map(str::to_owned)
                .into(),
            ..tick_environment(&settings)
        };
        assert_eq!(gaps(&environment), []);
    }

    #[test]
    fn a_saved_setting_is_not_overwritten() {
        let saved = BTreeMap::from([(SettingKey::CacheDir, "/saved".to_owned())]);
        let environment = [(SettingKey::CacheDir, "/other", "HF_HUB_CACHE")];
        let other = settings(&environment, &saved);
        let environment = TickEnvironment {
            saved: saved.clone(),
            ..tick_environment(&other)
        };
        let text = warnings(&environment);
        assert!(
            text.contains("the timer will use `/saved`, which is saved"),
            "{text}"
        );
        let same = settings(&[(SettingKey::CacheDir, "/saved", "HF_HUB_CACHE")], &saved);
        let environment = TickEnvironment {
            saved,
            ..tick_environment(&same)
        };
        assert_eq!(gaps(&environment), []);
    }

    #[test]
    fn the_default_cache_is_saved_if_it_depends_on_a_variable() {
        let settings = settings(&[], &BTreeMap::new());
        let environment = TickEnvironment {
            variables: BTreeMap::from([("XDG_CACHE_HOME", "/default".to_owned())]),
            ..tick_environment(&settings)
        };
        assert_eq!(
            warnings(&environment),
            "save cache.dir=/default/hub from environment (XDG_CACHE_HOME)"
        );
    }

    #[test]
    fn proxies_and_certificates_are_offered_as_env_flags() {
        let settings = settings(&[], &BTreeMap::new());
        let mut environment = tick_environment(&settings);
        for name in ["https_proxy", "SSL_CERT_FILE"] {
            environment.variables.insert(name, "x".to_owned());
        }
        let text = warnings(&environment);
        assert!(
            text.contains("`--env SSL_CERT_FILE --env https_proxy` passes them to the timer"),
            "{text}"
        );
        environment.carried = vec!["https_proxy".to_owned(), "SSL_CERT_FILE".to_owned()];
        assert_eq!(gaps(&environment), []);
        let proxy = "http://me:pass@proxy:3128".to_owned();
        environment.carried.clear();
        environment.variables.insert("https_proxy", proxy);
        let text = warnings(&environment);
        assert!(
            text.contains("`https_proxy` holds a password, which an entry must not contain"),
            "{text}"
        );
        assert!(!text.contains("--env"), "{text}");
        environment.variables.clear();
        environment.other_zone = Some("Asia/Tokyo".to_owned());
        assert!(warnings(&environment).contains("`TZ` is `Asia/Tokyo` here"));
    }

    #[test]
    fn a_token_of_the_shell_alone_is_warned_about() {
        let settings = settings(&[], &BTreeMap::new());
        let mut environment = tick_environment(&settings);
        environment.token_variable = Some("HF_TOKEN");
        assert!(warnings(&environment).contains("`HF_TOKEN` is set in this shell"));
        environment.kind = TimerKind::TaskScheduler;
        assert!(warnings(&environment).contains("only if it is set for your account"));
        environment.tick_finds_token_file = true;
        assert_eq!(gaps(&environment), []);
        environment.tick_finds_token_file = false;
        environment.kind = TimerKind::Systemd;
        environment.token_variable = None;
        environment.finds_token_file = true;
        environment.variables.insert("HF_HOME", "/data".to_owned());
        assert!(warnings(&environment).contains("`--env HF_HOME` passes it to the timer"));
        let credential = "/run/credentials/hfdl.service/hf_token".to_owned();
        environment.variables.insert("HF_TOKEN_PATH", credential);
        let warnings = warnings(&environment);
        assert!(warnings.contains("a credential of this unit"), "{warnings}");
        assert!(!warnings.contains("--env"), "{warnings}");
    }
}
