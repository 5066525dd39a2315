//! The error type of the timer: why nothing was changed, and the next step.

use thiserror::Error;

/// Why an entry was not changed; the headline is the error's context.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{reason}")]
pub struct TimerRefusal {
    pub reason: String,
    pub next: Option<String>,
    /// Whether the request is wrong, rather than the state of the machine.
    pub is_usage: bool,
}

impl TimerRefusal {
    /// Refuses because of the state of the machine.
    pub fn state(reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
            next: None,
            is_usage: false,
        }
    }

    /// Refuses a wrong request.
    pub fn usage(reason: impl Into<String>) -> Self {
        Self {
            is_usage: true,
            ..Self::state(reason)
        }
    }

    pub fn next(mut self, next: impl Into<String>) -> Self {
        self.next = Some(next.into());
        self
    }
}
