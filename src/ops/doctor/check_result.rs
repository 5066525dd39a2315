//! The result of one check, with a verdict for programs and a text for people.

use anyhow::Error;

use crate::domain::outcome::words;
use crate::ops::diagnose::diagnose;

words! {
    /// The severity of a result.
    CheckLevel {
        Ok = "ok",
        /// There was nothing to check.
        Skipped = "skipped",
        /// Runs work, and a person should know.
        Warn = "warn",
        /// Runs fail, or will.
        Fail = "fail",
    }
}

/// The result of one check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckResult {
    /// The name of the check; stable for programs.
    pub check: &'static str,
    pub verdict: CheckLevel,
    pub what: String,
    pub why: Option<String>,
    /// The step that mends it.
    pub next: Option<String>,
    /// The repair that was just made.
    pub mended: Option<String>,
}

impl CheckResult {
    pub fn new(check: &'static str, verdict: CheckLevel, what: impl Into<String>) -> Self {
        Self {
            check,
            verdict,
            what: what.into(),
            why: None,
            next: None,
            mended: None,
        }
    }

    pub fn ok(check: &'static str, what: impl Into<String>) -> Self {
        Self::new(check, CheckLevel::Ok, what)
    }

    pub fn skipped(check: &'static str, what: impl Into<String>) -> Self {
        Self::new(check, CheckLevel::Skipped, what)
    }

    pub fn warn(check: &'static str, what: impl Into<String>) -> Self {
        Self::new(check, CheckLevel::Warn, what)
    }

    pub fn fail(check: &'static str, what: impl Into<String>) -> Self {
        Self::new(check, CheckLevel::Fail, what)
    }

    /// Makes a failure out of an error, with its diagnosis.
    pub fn of_error(check: &'static str, what: impl Into<String>, error: &Error) -> Self {
        let diagnosis = diagnose(error);
        Self {
            next: diagnosis.hint.clone(),
            ..Self::fail(check, what).why(diagnosis.cause())
        }
    }

    pub fn why(mut self, why: impl Into<String>) -> Self {
        self.why = Some(why.into());
        self
    }

    pub fn next(mut self, next: impl Into<String>) -> Self {
        self.next = Some(next.into());
        self
    }

    pub fn mended(mut self, what: impl Into<String>) -> Self {
        self.mended = Some(what.into());
        self
    }
}

/// Returns the worst verdict of all.
pub fn worst(results: &[CheckResult]) -> CheckLevel {
    let all = results.iter().map(|result| result.verdict);
    match all.max() {
        // A skipped check is no trouble.
        Some(CheckLevel::Skipped) | None => CheckLevel::Ok,
        Some(worst) => worst,
    }
}
