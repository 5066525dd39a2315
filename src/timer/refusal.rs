//! A refusal: why nothing was installed or removed, and what to do instead.

use thiserror::Error;

/// Says why an entry is left alone; the headline is the context around it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{why}")]
pub struct Refusal {
    pub why: String,
    pub next: Option<String>,
    /// Whether what was asked for is wrong, rather than what was met.
    pub is_usage: bool,
}

impl Refusal {
    /// Refuses because of what was met on the machine.
    pub fn met(why: impl Into<String>) -> Self {
        Self {
            why: why.into(),
            next: None,
            is_usage: false,
        }
    }

    /// Refuses what was asked for.
    pub fn asked(why: impl Into<String>) -> Self {
        Self {
            is_usage: true,
            ..Self::met(why)
        }
    }

    pub fn next(mut self, next: impl Into<String>) -> Self {
        self.next = Some(next.into());
        self
    }
}
