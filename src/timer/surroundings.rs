//! What a shell has that a timer will not have: its environment.
//!
//! A timer starts the program with next to nothing in its environment. Where
//! that would make a tick behave differently from the same command by hand,
//! the difference is closed by a saved setting or said plainly.

use std::collections::BTreeMap;

use super::variables::has_password;
use crate::domain::settings::{SettingKey, SettingSource, Settings};
use crate::domain::timer::TimerKind;

/// Variables that change what a run does and are no settings of ours.
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

/// What a person's shell says, and what a tick will find.
#[derive(Clone, Debug)]
pub struct Surroundings<'a> {
    pub kind: TimerKind,
    /// The watched variables that are set.
    pub variables: BTreeMap<&'static str, String>,
    /// Names of the variables that the entry will set.
    pub carried: Vec<String>,
    pub settings: &'a Settings,
    pub saved: BTreeMap<SettingKey, String>,
    /// The variable that holds a token in this shell.
    pub token_variable: Option<&'static str>,
    /// Whether this shell, and whether a tick, finds a token in a file.
    pub finds_token_file: bool,
    pub tick_finds_token_file: bool,
    /// The zone that `TZ` names, if it is not the system's.
    pub other_zone: Option<String>,
}

/// A difference between this shell and a tick.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Gap {
    /// Closed by saving a setting.
    Save {
        key: SettingKey,
        value: String,
        origin: SettingSource,
    },
    /// Left to a person.
    Say(String),
}

/// Settings that decide where bytes come from and go to. A tick that got them
/// wrong would fill another cache or ask another Hub, so they are saved.
pub const PLACES: [SettingKey; 2] = [SettingKey::CacheDir, SettingKey::HubEndpoint];

/// Finds what is to be saved or said.
pub fn gaps(look: &Surroundings<'_>) -> Vec<Gap> {
    let mut found: Vec<Gap> = SettingKey::ALL
        .iter()
        .filter_map(|key| setting_gap(look, *key))
        .collect();
    found.extend(network_gap(look).map(Gap::Say));
    found.extend(token_gap(look).map(Gap::Say));
    if let Some(zone) = &look.other_zone
        && !is_carried(look, "TZ")
    {
        found.push(Gap::Say(format!(
            "`TZ` is `{zone}` here, and the timer uses the system's zone: schedules keep their own, \
             time tables in `download.limit_rate` do not{}",
            take_along(look.kind, &["TZ"])
        )));
    }
    found
}

fn is_carried(look: &Surroundings<'_>, name: &str) -> bool {
    look.carried.iter().any(|carried| carried == name)
}

/// Says how far a timer sees a variable of this shell.
fn missing(kind: TimerKind) -> &'static str {
    match kind {
        TimerKind::TaskScheduler => "the timer has it only if it is set for your account",
        _ => "the timer will not have it",
    }
}

fn setting_gap(look: &Surroundings<'_>, key: SettingKey) -> Option<Gap> {
    let (value, origin) = look.settings.get(key)?;
    let value = value.to_string();
    let shown = key.shown(&value);
    // What is shown without its secret must not be copied as it stands.
    let meant = if shown == value {
        format!("'{value}'")
    } else {
        "VALUE".to_owned()
    };
    let from = match origin {
        SettingSource::Environment(name) if is_carried(look, name) => return None,
        SettingSource::Environment(name) => format!("`{name}`"),
        // `--every` and its setting are what is being installed.
        SettingSource::Flag if key == SettingKey::TimerEvery => return None,
        SettingSource::Flag => "`--set`".to_owned(),
        SettingSource::Saved => return None,
        // The default cache may itself hang on a variable.
        SettingSource::Default if key == SettingKey::CacheDir => {
            look.variables
                .get("XDG_CACHE_HOME")
                .filter(|_| !is_carried(look, "XDG_CACHE_HOME"))?;
            "`XDG_CACHE_HOME`".to_owned()
        }
        SettingSource::Default => return None,
    };
    match look.saved.get(&key) {
        Some(saved) if *saved == value => None,
        Some(saved) => {
            let saved = key.shown(saved);
            Some(Gap::Say(format!(
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
        None => Some(Gap::Say(format!(
            "`{key}` is `{shown}` here by {from}, and {}; `hfdl config set {key} {meant}` keeps it",
            missing(look.kind)
        ))),
    }
}

fn network_gap(look: &Surroundings<'_>) -> Option<String> {
    let is_network =
        |name: &str| name.starts_with("SSL_") || name.to_ascii_lowercase().ends_with("_proxy");
    let lacking: Vec<(&str, &String)> = look
        .variables
        .iter()
        .map(|(name, value)| (*name, value))
        .filter(|(name, _)| is_network(name) && !is_carried(look, name))
        .collect();
    let names: Vec<&str> = lacking.iter().map(|(name, _)| *name).collect();
    let (are, them) = match names.as_slice() {
        [] => return None,
        [_] => ("is", "it"),
        _ => ("are", "them"),
    };
    let missing = match look.kind {
        TimerKind::TaskScheduler => format!("the timer has {them} only if set for your account"),
        _ => format!("the timer will not have {them}"),
    };
    // An entry must not hold a password, so it cannot be told to take it along.
    let secret = lacking.iter().find(|(_, value)| has_password(value));
    let advice = match secret {
        Some((name, _)) => format!("; `{name}` holds a password, which no entry takes along"),
        None => take_along(look.kind, &names),
    };
    Some(format!(
        "`{}` {are} set here, and {missing}{advice}",
        names.join("`, `")
    ))
}

/// Says how a variable gets to the timer; a task of Windows can be given none.
fn take_along(kind: TimerKind, names: &[&str]) -> String {
    if kind == TimerKind::TaskScheduler {
        return String::new();
    }
    let flags: Vec<String> = names.iter().map(|name| format!("--env {name}")).collect();
    let them = if names.len() == 1 { "it" } else { "them" };
    format!("; `{}` takes {them} along", flags.join(" "))
}

fn token_gap(look: &Surroundings<'_>) -> Option<String> {
    if look.tick_finds_token_file {
        return None;
    }
    if let Some(name) = look.token_variable {
        return Some(format!(
            "`{name}` is set in this shell, and {}: private and gated models will fail; \
             `hf auth login` keeps a token in a file that the timer finds",
            missing(look.kind)
        ));
    }
    let name = ["HF_TOKEN_PATH", "HF_HOME", "XDG_CACHE_HOME"]
        .into_iter()
        .find(|name| look.variables.contains_key(name))?;
    look.finds_token_file.then(|| {
        format!(
            "the token file is found by `{name}`, and {}: private and gated models will fail{}",
            missing(look.kind),
            take_along(look.kind, &[name])
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

    fn surroundings(settings: &Settings) -> Surroundings<'_> {
        Surroundings {
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

    fn said(look: &Surroundings<'_>) -> String {
        let lines = gaps(look).into_iter().map(|gap| match gap {
            Gap::Say(text) => text,
            Gap::Save { key, value, origin } => format!("save {key}={value} from {origin}"),
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn an_address_that_is_a_secret_is_spoken_of_without_it() {
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
            let said = said(&Surroundings {
                saved,
                ..surroundings(&settings)
            });
            assert!(said.contains("https://ping.example/***"), "{said}");
            assert!(said.contains("`hfdl config set ping.url VALUE`"), "{said}");
            assert!(
                !said.contains("geheim") && !said.contains("anders"),
                "{said}"
            );
        }
    }

    #[test]
    fn an_empty_environment_has_no_gaps() {
        let settings = settings(&[], &BTreeMap::new());
        assert_eq!(gaps(&surroundings(&settings)), []);
    }

    #[test]
    fn places_are_saved_and_other_settings_are_spoken_of() {
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
            said(&surroundings(&settings)),
            "save cache.dir=/data/hf/hub from environment (HF_HOME)\n\
             `download.connections` is `32` here by `HFDL_DOWNLOAD_CONNECTIONS`, and the timer will not have it; \
             `hfdl config set download.connections '32'` keeps it\n\
             save hub.endpoint=https://mirror.example from environment (HF_ENDPOINT)"
        );
        let look = Surroundings {
            carried: ["HF_HOME", "HF_ENDPOINT", "HFDL_DOWNLOAD_CONNECTIONS"]
                .map(str::to_owned)
                .into(),
            ..surroundings(&settings)
        };
        assert_eq!(gaps(&look), []);
    }

    #[test]
    fn what_is_saved_is_not_overwritten() {
        let saved = BTreeMap::from([(SettingKey::CacheDir, "/saved".to_owned())]);
        let environment = [(SettingKey::CacheDir, "/other", "HF_HUB_CACHE")];
        let other = settings(&environment, &saved);
        let look = Surroundings {
            saved: saved.clone(),
            ..surroundings(&other)
        };
        let text = said(&look);
        assert!(
            text.contains("the timer will use `/saved`, which is saved"),
            "{text}"
        );
        let same = settings(&[(SettingKey::CacheDir, "/saved", "HF_HUB_CACHE")], &saved);
        let look = Surroundings {
            saved,
            ..surroundings(&same)
        };
        assert_eq!(gaps(&look), []);
    }

    #[test]
    fn the_default_cache_is_saved_where_it_hangs_on_a_variable() {
        let settings = settings(&[], &BTreeMap::new());
        let look = Surroundings {
            variables: BTreeMap::from([("XDG_CACHE_HOME", "/default".to_owned())]),
            ..surroundings(&settings)
        };
        assert_eq!(
            said(&look),
            "save cache.dir=/default/hub from environment (XDG_CACHE_HOME)"
        );
    }

    #[test]
    fn proxies_and_certificates_are_offered_to_be_taken_along() {
        let settings = settings(&[], &BTreeMap::new());
        let mut look = surroundings(&settings);
        for name in ["https_proxy", "SSL_CERT_FILE"] {
            look.variables.insert(name, "x".to_owned());
        }
        let text = said(&look);
        assert!(
            text.contains("`--env SSL_CERT_FILE --env https_proxy` takes them along"),
            "{text}"
        );
        look.carried = vec!["https_proxy".to_owned(), "SSL_CERT_FILE".to_owned()];
        assert_eq!(gaps(&look), []);
        let proxy = "http://me:pass@proxy:3128".to_owned();
        look.carried.clear();
        look.variables.insert("https_proxy", proxy);
        let text = said(&look);
        assert!(
            text.contains("`https_proxy` holds a password, which no entry takes along"),
            "{text}"
        );
        assert!(!text.contains("--env"), "{text}");
        look.variables.clear();
        look.other_zone = Some("Asia/Tokyo".to_owned());
        assert!(said(&look).contains("`TZ` is `Asia/Tokyo` here"));
    }

    #[test]
    fn a_token_that_only_the_shell_has_is_spoken_of() {
        let settings = settings(&[], &BTreeMap::new());
        let mut look = surroundings(&settings);
        look.token_variable = Some("HF_TOKEN");
        assert!(said(&look).contains("`HF_TOKEN` is set in this shell"));
        look.kind = TimerKind::TaskScheduler;
        assert!(said(&look).contains("only if it is set for your account"));
        look.tick_finds_token_file = true;
        assert_eq!(gaps(&look), []);
        look.tick_finds_token_file = false;
        look.kind = TimerKind::Systemd;
        look.token_variable = None;
        look.finds_token_file = true;
        look.variables.insert("HF_HOME", "/data".to_owned());
        assert!(said(&look).contains("`--env HF_HOME` takes it along"));
    }
}
