//! The values of this home that complete a word.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Result;
use clap_complete::engine::{CompletionCandidate, PathCompleter, ValueCompleter as _};

use super::line::TypedLine;
use super::values::ValueSource;
use crate::cli::context::Context;
use crate::cli::help::TOPIC_LIST;
use crate::domain::settings::{SettingKey, ValueKind};
use crate::json::schema_names;
use crate::manual::TOPICS;
use crate::store::{ModelFilter, RunFilter, SessionFilter, Store};
use crate::sys::paths::{Home, expand_home};
use crate::ui::text;

/// The most ids that are offered; they are listed newest first.
const MAX_IDS: u32 = 50;

/// The line and the home that values are found for.
pub struct KnownNames {
    context: Context,
    line: TypedLine,
}

impl KnownNames {
    /// Takes the home that the line names, or else that of the environment.
    pub fn new(context: &Context, line: &TypedLine) -> Arc<Self> {
        let mut context = context.clone();
        let named = line.value_of("--home");
        let named = named.and_then(|home| expand_home(&context.host, &home).ok());
        if let Some(home) = named.and_then(|path| Home::find(&context.host, Some(&path)).ok()) {
            context.home = home;
        }
        Arc::new(Self {
            context,
            line: line.clone(),
        })
    }

    /// Returns the candidates that begin with the typed text.
    pub fn candidates(&self, values: &ValueSource, typed: &str) -> Vec<CompletionCandidate> {
        let found = match values {
            ValueSource::Free | ValueSource::Paths => Vec::new(),
            ValueSource::Words(words) => words.iter().map(|word| plain(word)).collect(),
            ValueSource::Lists(words) => lists(words, typed),
            ValueSource::Zones => jiff::tz::db()
                .available()
                .map(|zone| plain(zone.as_str()))
                .collect(),
            ValueSource::Schemas => schema_names().map(plain).collect(),
            ValueSource::TopicsAndCommands => topics_and_commands(&self.line.words_after("help")),
            ValueSource::CacheOrFolder => {
                let folders = PathCompleter::dir().complete(OsStr::new(typed));
                [plain("cache")].into_iter().chain(folders).collect()
            }
            ValueSource::Settings => SettingKey::ALL.iter().map(|key| of_key(*key, "")).collect(),
            ValueSource::SettingValue => {
                let key = self.line.previous();
                of_setting(&key.unwrap_or_default(), "")
            }
            ValueSource::SettingPair => match typed.split_once('=') {
                Some((key, _)) => of_setting(key, &format!("{key}=")),
                None => SettingKey::ALL
                    .iter()
                    .map(|key| of_key(*key, "="))
                    .collect(),
            },
            // An error is no completion: a person is typing.
            stored => self.stored(stored).unwrap_or_default(),
        };
        let begins = |it: &CompletionCandidate| it.get_value().to_string_lossy().starts_with(typed);
        let found = found.into_iter().filter(begins);
        // clap would sort candidates without a place by their names.
        let placed = found.enumerate();
        placed
            .map(|(at, candidate)| candidate.display_order(Some(at)))
            .collect()
    }

    fn stored(&self, values: &ValueSource) -> Result<Vec<CompletionCandidate>> {
        let path: PathBuf = self.context.home.database();
        if !path.try_exists()? {
            return Ok(Vec::new());
        }
        let store = Store::open_read_only(&path, self.context.now())?;
        let clock = self.context.clock();
        Ok(match values {
            ValueSource::Models => {
                let models = store.readable_models(&ModelFilter::default())?;
                let models = models.iter();
                models.map(|it| plain(it.spec.name.as_str())).collect()
            }
            ValueSource::Schedules => {
                let schedules = store.schedules()?;
                schedules.names().into_iter().map(plain).collect()
            }
            ValueSource::Tags => {
                let mut tags = store.tags_in_use()?;
                tags.extend(store.tags()?.into_iter().map(|tag| (tag.name, 0)));
                tags.keys().map(|tag| plain(tag.as_str())).collect()
            }
            ValueSource::Runs => {
                let runs = store.runs(&RunFilter {
                    limit: Some(MAX_IDS),
                    ..RunFilter::default()
                })?;
                let about = runs.iter().map(|run| {
                    let outcome = text::or_nothing(run.end.as_ref().map(|end| end.outcome));
                    let (command, at) = (run.start.command, clock.past(run.start.at));
                    with_help(&run.id.to_string(), &format!("{command} {outcome}, {at}"))
                });
                about.collect()
            }
            ValueSource::Sessions => {
                let sessions = store.sessions(&SessionFilter {
                    limit: Some(MAX_IDS),
                    ..SessionFilter::default()
                })?;
                let about = sessions.iter().map(|session| {
                    let outcome = text::or_nothing(session.outcome());
                    let (label, at) = (session.start.label(), clock.past(session.start.at));
                    with_help(
                        &session.id.0.to_string(),
                        &format!("{label} {outcome}, {at}"),
                    )
                });
                about.collect()
            }
            _ => Vec::new(),
        })
    }
}

/// Returns the topics of the manual and the commands; behind a command, those below it.
fn topics_and_commands(typed: &[String]) -> Vec<CompletionCandidate> {
    let mut command = &crate::cli::command();
    for word in typed {
        let Some(below) = command.find_subcommand(word) else {
            return Vec::new();
        };
        command = below;
    }
    let topics = TOPICS.iter().map(|topic| (topic.name, topic.title()));
    let topics = [(TOPIC_LIST, "the pages of the manual")]
        .into_iter()
        .chain(topics);
    let topics = topics.filter(|_| typed.is_empty());
    let commands = command.get_subcommands().filter(|it| !it.is_hide_set());
    let commands = commands.map(|it| {
        let about = it.get_about().map(ToString::to_string);
        with_help(it.get_name(), &about.unwrap_or_default())
    });
    topics
        .map(|(name, title)| with_help(name, title))
        .chain(commands)
        .collect()
}

fn plain(text: &str) -> CompletionCandidate {
    CompletionCandidate::new(text.to_owned())
}

fn with_help(text: &str, help: &str) -> CompletionCandidate {
    plain(text).help(Some(help.to_owned().into()))
}

fn of_key(key: SettingKey, ending: &str) -> CompletionCandidate {
    with_help(&format!("{key}{ending}"), key.spec().help)
}

/// Returns the words that a setting can have, after a text that stays.
fn of_setting(key: &str, before: &str) -> Vec<CompletionCandidate> {
    let Ok(key) = SettingKey::find(key) else {
        return Vec::new();
    };
    let spec = key.spec();
    let mut words: Vec<&str> = match spec.kind {
        ValueKind::Choice(words) => words.to_vec(),
        ValueKind::TickPeriod => TICK_PERIODS.to_vec(),
        _ => spec.default.into_iter().collect(),
    };
    if key.is_off("off") && !words.contains(&"off") {
        words.push("off");
    }
    let words = words.iter().map(|word| plain(&format!("{before}{word}")));
    words.collect()
}

/// The periods of a timer.
pub const TICK_PERIODS: [&str; 12] = [
    "1m", "2m", "3m", "4m", "5m", "6m", "10m", "12m", "15m", "20m", "30m", "1h",
];

/// Returns the lists that one more word makes of the typed one.
fn lists(words: &[&'static str], typed: &str) -> Vec<CompletionCandidate> {
    let before = typed.rfind(',').map_or("", |at| &typed[..=at]);
    let words = words.iter().map(|word| plain(&format!("{before}{word}")));
    words.collect()
}
