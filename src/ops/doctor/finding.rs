//! The finding of one check, with a verdict for programs and a text for people.

use anyhow::Error;

use crate::domain::outcome::words;
use crate::ops::diagnose::diagnose;

words! {
    /// The severity of a finding.
    FindingLevel {
        Ok = "ok",
        /// There was nothing to check.
        Skipped = "skipped",
        /// Runs work, and a person should know.
        Warn = "warn",
        /// Runs fail, or will.
        Fail = "fail",
    }
}

/// The finding of one check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The name of the check; stable for programs.
    pub check: &'static str,
    pub verdict: FindingLevel,
    pub what: String,
    pub why: Option<String>,
    /// The step that mends it.
    pub next: Option<String>,
    /// The repair that was just made.
    pub mended: Option<String>,
}

impl Finding {
    pub fn new(check: &'static str, verdict: FindingLevel, what: impl Into<String>) -> Self {
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
        Self::new(check, FindingLevel::Ok, what)
    }

    pub fn skipped(check: &'static str, what: impl Into<String>) -> Self {
        Self::new(check, FindingLevel::Skipped, what)
    }

    pub fn warn(check: &'static str, what: impl Into<String>) -> Self {
        Self::new(check, FindingLevel::Warn, what)
    }

    pub fn fail(check: &'static str, what: impl Into<String>) -> Self {
        Self::new(check, FindingLevel::Fail, what)
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
pub fn worst(findings: &[Finding]) -> FindingLevel {
    let all = findings.iter().map(|finding| finding.verdict);
    match all.max() {
        // A skipped check is no trouble.
        Some(FindingLevel::Skipped) | None => FindingLevel::Ok,
        Some(worst) => worst,
    }
}
