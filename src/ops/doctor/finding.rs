//! What one check found, in words for a person and one word for a program.

use anyhow::Error;

use crate::domain::outcome::words;
use crate::ops::diagnose::diagnose;

words! {
    /// How bad a finding is.
    Verdict {
        Ok = "ok",
        /// There was nothing to look at.
        Skipped = "skipped",
        /// Runs work, and somebody should know.
        Warn = "warn",
        /// Runs fail, or will.
        Fail = "fail",
    }
}

/// What one check found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The name of the check, which stays.
    pub check: &'static str,
    pub verdict: Verdict,
    pub what: String,
    pub why: Option<String>,
    /// What mends it.
    pub next: Option<String>,
    /// What has just been done about it.
    pub mended: Option<String>,
}

impl Finding {
    pub fn new(check: &'static str, verdict: Verdict, what: impl Into<String>) -> Self {
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
        Self::new(check, Verdict::Ok, what)
    }

    pub fn skipped(check: &'static str, what: impl Into<String>) -> Self {
        Self::new(check, Verdict::Skipped, what)
    }

    pub fn warn(check: &'static str, what: impl Into<String>) -> Self {
        Self::new(check, Verdict::Warn, what)
    }

    pub fn fail(check: &'static str, what: impl Into<String>) -> Self {
        Self::new(check, Verdict::Fail, what)
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
pub fn worst(findings: &[Finding]) -> Verdict {
    let all = findings.iter().map(|finding| finding.verdict);
    match all.max() {
        // Nothing to look at is no trouble.
        Some(Verdict::Skipped) | None => Verdict::Ok,
        Some(worst) => worst,
    }
}
