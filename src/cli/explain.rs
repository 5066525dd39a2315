//! Errors for people: headline, cause, next step and exit code.
//!
//! `ops::diagnose` finds the cause, the next step and the code. A command that
//! refuses a request itself makes a [`Complaint`], which is shown as it is.

use std::fmt;

use anyhow::Error;
use serde_json::Value;

use crate::domain::invalid_value::InvalidValue;
use crate::domain::nearest::nearest;
use crate::domain::outcome::ExitStatus;
use crate::json;
use crate::ops::diagnose::diagnose;
use crate::sys::logging::LogFormat;
use crate::sys::text::escaped;
use crate::ui::{Clock, Output};

/// An error that a command words itself.
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

    /// Refuses a request before anything was done.
    pub fn usage(headline: impl Into<String>) -> Self {
        Self::new(ExitStatus::Usage, headline)
    }

    /// Reports that no entry has a name, and suggests a similar one.
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

impl From<InvalidValue> for Complaint {
    fn from(value: InvalidValue) -> Self {
        Self {
            next: value.next_step().map(str::to_owned),
            ..Self::usage(value.to_string())
        }
    }
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.headline)
    }
}

impl std::error::Error for Complaint {}

/// Ends the program with an exit code and without a message.
#[derive(Debug)]
pub struct Quiet(pub ExitStatus);

impl fmt::Display for Quiet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.word())
    }
}

impl std::error::Error for Quiet {}

/// The text about an error, and the exit code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    pub headline: String,
    pub cause: Option<String>,
    pub next: Option<String>,
    pub status: ExitStatus,
}

/// Turns an error into its text and exit code.
pub fn explain(error: &Error) -> Explanation {
    if let Some(complaint) = error.downcast_ref::<Complaint>() {
        return Explanation {
            headline: complaint.headline.clone(),
            cause: complaint.cause.clone(),
            next: complaint.next.clone(),
            status: complaint.status,
        };
    }
    let diagnosis = diagnose(error);
    let mut messages = diagnosis.messages.into_iter();
    let headline = messages.next().unwrap_or_default();
    let causes: Vec<String> = messages.collect();
    Explanation {
        headline,
        cause: (!causes.is_empty()).then(|| causes.join(": ")),
        next: diagnosis.hint,
        status: diagnosis.status,
    }
}

impl Explanation {
    /// Returns the document of an error.
    pub fn document(&self) -> Value {
        let (cause, next) = (self.cause.as_deref(), self.next.as_deref());
        json::error(&self.headline, cause, next, self.status)
    }
}

/// Shows a note, which is no error.
pub fn show_note(explanation: &Explanation, out: &Output, clock: &Clock, format: LogFormat) {
    match format {
        LogFormat::Text => out.say(&render(("note", 36), explanation, out, clock)),
        LogFormat::Json => show(explanation, out, clock, format),
    }
}

/// Shows an error on stderr, in the format of the log.
pub fn show(explanation: &Explanation, out: &Output, clock: &Clock, format: LogFormat) {
    match format {
        LogFormat::Text => out.say(&render(ERROR, explanation, out, clock)),
        LogFormat::Json => out.say(&json::line(&explanation.document())),
    }
}

const ERROR: (&str, u8) = ("error", 31);

/// Renders an explanation under a coloured word.
fn render(word: (&str, u8), explanation: &Explanation, out: &Output, clock: &Clock) -> String {
    let label = |text: &str, code: u8| {
        if out.colour_on_stderr {
            format!("\u{1b}[{code}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    };
    let indented = |text: &str| out.folded(&escaped(&clock.told(text)), "error: ".len());
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
    use crate::sys::host::Host;
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
        let clock = Clock::new(&Host::with_variables([]), false);
        assert_eq!(
            render(ERROR, &explain(&error), &Output::plain(None), &clock),
            "error: no\ncause: because\n next: do"
        );
    }
}
