//! Every error on its way out: headline, cause, next step, exit code.
//!
//! Typed facts are found through any number of contexts; what has no type is
//! shown as the chain of contexts that it gathered.

use std::fmt;

use anyhow::Error;

use crate::domain::nearest::nearest;
use crate::domain::outcome::{ExitStatus, UnknownWord};
use crate::domain::repo::NameError;
use crate::domain::schedule::{Impossible, SpecError};
use crate::domain::settings::SettingError;
use crate::domain::shard::ShardError;
use crate::domain::snapshot::NothingSelected;
use crate::domain::time::MomentError;
use crate::domain::units::UnitError;
use crate::hub::{HubError, TokenError};
use crate::json;
use crate::ops::hold::OtherUpdate;
use crate::ops::hub::UnreadableTokenFile;
use crate::ops::models::DirectoryInUse;
use crate::ops::places::PlaceError;
use crate::ops::rate_limits::AskedToWait;
use crate::ops::run_due::WrongClock;
use crate::ops::schedules::Duplicate;
use crate::ops::timer::Refusal;
use crate::ops::timer_places::OtherPlace;
use crate::store::StoreError;
use crate::sys::files::is_disk_failure;
use crate::sys::host::VariableNotUtf8;
use crate::sys::logging::LogFormat;
use crate::sys::paths::PathNotUtf8;
use crate::sys::text::escaped;
use crate::ui::Output;

/// A complaint that a command itself makes, already in people's words.
#[derive(Debug)]
pub struct Complaint {
    status: ExitStatus,
    headline: String,
    cause: Option<String>,
    next: Option<String>,
}

impl Complaint {
    pub fn new(status: ExitStatus, headline: impl Into<String>) -> Self {
        Self {
            status,
            headline: headline.into(),
            cause: None,
            next: None,
        }
    }

    /// Refuses what was asked before anything was done.
    pub fn usage(headline: impl Into<String>) -> Self {
        Self::new(ExitStatus::Usage, headline)
    }

    /// Says that no entry has a name, and which name is near.
    pub fn unknown(entity: &str, name: &str, known: &[&str], list_command: &str) -> Self {
        let complaint = Self::usage(format!("there is no {entity} `{name}`"));
        match nearest(name, known.iter().copied()) {
            Some(near) => {
                complaint.next(format!("did you mean `{near}`? `{list_command}` shows all"))
            }
            None => complaint.next(format!("`{list_command}` shows all")),
        }
    }

    pub fn cause(mut self, cause: impl Into<String>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    pub fn next(mut self, next: impl Into<String>) -> Self {
        self.next = Some(next.into());
        self
    }
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.headline)
    }
}

impl std::error::Error for Complaint {}

/// Ends the program with a code and without a word.
#[derive(Debug)]
pub struct Quiet(pub ExitStatus);

impl fmt::Display for Quiet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.word())
    }
}

impl std::error::Error for Quiet {}

/// What a person is told about an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    pub headline: String,
    pub cause: Option<String>,
    pub next: Option<String>,
    pub status: ExitStatus,
}

/// Turns an error into what a person is told and the code for the caller.
pub fn explain(error: &Error) -> Explanation {
    if let Some(complaint) = error.downcast_ref::<Complaint>() {
        return Explanation {
            headline: complaint.headline.clone(),
            cause: complaint.cause.clone(),
            next: complaint.next.clone(),
            status: complaint.status,
        };
    }
    let mut chain = error.chain().map(|link| link.to_string());
    let headline = chain.next().unwrap_or_default();
    let mut causes: Vec<String> = Vec::new();
    for link in chain {
        // A wrapper that repeats what it wraps says nothing new.
        if !headline.contains(&link) && !causes.iter().any(|known| known.contains(&link)) {
            causes.push(link);
        }
    }
    let (status, next) = classify(error);
    Explanation {
        headline,
        cause: (!causes.is_empty()).then(|| causes.join(": ")),
        next,
        status,
    }
}

/// Finds the typed fact that decides about code and hint.
fn classify(error: &Error) -> (ExitStatus, Option<String>) {
    for link in error.chain() {
        if let Some(setting) = link.downcast_ref::<SettingError>() {
            return (ExitStatus::Usage, Some(setting.hint()));
        }
        if let Some(place) = link.downcast_ref::<PlaceError>() {
            return (place.kind().exit_status(), Some(place.hint()));
        }
        if let Some(place) = link.downcast_ref::<OtherPlace>() {
            return (ExitStatus::Usage, Some(place.hint()));
        }
        if link.is::<DirectoryInUse>() {
            let next = "name another directory: each model deletes what is not in its revision";
            return (ExitStatus::Usage, Some(next.to_owned()));
        }
        if link.is::<NameError>()
            || link.is::<UnitError>()
            || link.is::<SpecError>()
            || link.is::<Impossible>()
            || link.is::<Duplicate>()
            || link.is::<MomentError>()
            || link.is::<UnknownWord>()
            || link.is::<ShardError>()
            || link.is::<PathNotUtf8>()
        {
            return (ExitStatus::Usage, None);
        }
        if link.is::<VariableNotUtf8>() {
            let next = "give it a value in UTF-8, or unset it";
            return (ExitStatus::Usage, Some(next.to_owned()));
        }
        if let Some(other) = link.downcast_ref::<OtherUpdate>() {
            let next = format!("`hfdl models show {}` tells more", other.model);
            return (ExitStatus::Usage, Some(next));
        }
        if let Some(nothing) = link.downcast_ref::<NothingSelected>() {
            return (ExitStatus::Usage, nothing.hint().map(str::to_owned));
        }
        if let Some(refusal) = link.downcast_ref::<Refusal>() {
            let status = match refusal.is_usage {
                true => ExitStatus::Usage,
                false => ExitStatus::Failed,
            };
            return (status, refusal.next.clone());
        }
        if let Some(hub) = link.downcast_ref::<HubError>() {
            return (hub_status(hub), hub.hint());
        }
        if let Some(store) = link.downcast_ref::<StoreError>() {
            return (store_status(store), store_hint(store));
        }
        if link.is::<AskedToWait>() {
            let next = "run it again after that time";
            return (ExitStatus::Temporary, Some(next.to_owned()));
        }
        if link.is::<WrongClock>() {
            let next =
                "set the clock, or switch time synchronisation on; the next tick tries again";
            return (ExitStatus::Temporary, Some(next.to_owned()));
        }
        if link.is::<TokenError>() {
            return (ExitStatus::Auth, None);
        }
        if link.is::<UnreadableTokenFile>() {
            let next = "make it readable for this user, or name another one with `HF_TOKEN_PATH`";
            return (ExitStatus::Auth, Some(next.to_owned()));
        }
        if let Some(io) = link.downcast_ref::<std::io::Error>() {
            use std::io::ErrorKind;
            match io.kind() {
                ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
                    return (
                        ExitStatus::Disk,
                        Some("free space on that file system and try again".to_owned()),
                    );
                }
                ErrorKind::ReadOnlyFilesystem => {
                    return (
                        ExitStatus::Disk,
                        Some("make that file system writable or use another place".to_owned()),
                    );
                }
                _ if is_disk_failure(io) => return (ExitStatus::Disk, None),
                _ => {}
            }
        }
    }
    (ExitStatus::Failed, None)
}

fn hub_status(error: &HubError) -> ExitStatus {
    match error.kind() {
        // Asked for by hand, a name that does not exist is a wrong argument's cousin,
        // but only the Hub could tell: something failed, nothing was misused.
        kind if error.is_transient() => kind.exit_status().worst(ExitStatus::Temporary),
        kind => kind.exit_status(),
    }
}

fn store_hint(error: &StoreError) -> Option<String> {
    match error {
        StoreError::NotUnique {
            entity: "model",
            existing,
            ..
        } => Some(format!(
            "`hfdl models set {existing}` changes it; another revision or place needs another `--name`"
        )),
        StoreError::UnusableSchedule(schedule) => Some(schedule.hint()),
        other => other.hint().map(str::to_owned),
    }
}

fn store_status(error: &StoreError) -> ExitStatus {
    match error {
        StoreError::DiskFull | StoreError::DiskFailed { .. } | StoreError::ReadOnly => {
            ExitStatus::Disk
        }
        StoreError::Busy => ExitStatus::Temporary,
        StoreError::NotUnique { .. }
        | StoreError::NotFound { .. }
        | StoreError::Refused(_)
        | StoreError::PathNotUtf8(_)
        | StoreError::UnusableSchedule(_)
        | StoreError::MissingReference => ExitStatus::Usage,
        _ => ExitStatus::Failed,
    }
}

/// Shows an explanation of what is no error.
pub fn show_note(explanation: &Explanation, out: &Output, format: LogFormat) {
    match format {
        LogFormat::Text => out.say(&render(("note", 36), explanation, out.colour_on_stderr)),
        LogFormat::Json => show(explanation, out, format),
    }
}

/// Shows an explanation on stderr, in the form of the diary.
pub fn show(explanation: &Explanation, out: &Output, format: LogFormat) {
    match format {
        LogFormat::Text => out.say(&render(ERROR, explanation, out.colour_on_stderr)),
        LogFormat::Json => out.say(&json::line(&json::error(
            &explanation.headline,
            explanation.cause.as_deref(),
            explanation.next.as_deref(),
            explanation.status,
        ))),
    }
}

const ERROR: (&str, u8) = ("error", 31);

/// Renders an explanation under a word, which has a colour.
fn render(word: (&str, u8), explanation: &Explanation, colour: bool) -> String {
    let label = |text: &str, code: u8| {
        if colour {
            format!("\u{1b}[{code}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    };
    let indented = |text: &str| escaped(text).replace('\n', "\n       ");
    let mut lines = format!(
        "{}: {}",
        label(word.0, word.1),
        indented(&explanation.headline)
    );
    if let Some(cause) = &explanation.cause {
        lines.push_str(&format!("\n{}: {}", label("cause", 33), indented(cause)));
    }
    if let Some(next) = &explanation.next {
        lines.push_str(&format!("\n {}: {}", label("next", 36), indented(next)));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;

    #[test]
    fn a_typed_fact_is_found_through_contexts() {
        let error = Err::<(), _>(
            "x".repeat(3)
                .parse::<crate::domain::units::ByteSize>()
                .unwrap_err(),
        )
        .context("cannot read the setting")
        .unwrap_err();
        let explanation = explain(&error);
        assert_eq!(explanation.status, ExitStatus::Usage);
        assert_eq!(explanation.headline, "cannot read the setting");
        assert!(explanation.cause.unwrap().contains("`xxx` is not a size"));
    }

    #[test]
    fn an_explanation_has_up_to_three_parts() {
        let error = Error::new(Complaint::usage("no").cause("because").next("do"));
        assert_eq!(
            render(ERROR, &explain(&error), false),
            "error: no\ncause: because\n next: do"
        );
    }
}
