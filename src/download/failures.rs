//! Counts the failures of one large file's connections and decides on retries.

use std::time::{Duration, Instant};

use super::source::SourceError;
use crate::domain::retry::{AttemptError, History, RetryPolicy, Verdict, decide};

/// Received bytes that reset the failure history.
const PROGRESS: u64 = 64 << 10;

#[derive(Default)]
pub(crate) struct FailureTracker {
    history: History,
    bytes_since: u64,
    failed_at: Option<Instant>,
    not_before: Option<Instant>,
}

/// The reaction to a failure.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum FailureDecision {
    /// The failure belongs to one that was counted before.
    AlreadyCounted,
    /// Retry after this delay; it applies to all connections of the file.
    Retry(Duration, SourceError),
    GiveUp(SourceError),
}

impl FailureTracker {
    /// Records received bytes. Enough of them, or a complete segment, reset the history.
    pub(crate) fn record_progress(&mut self, bytes: u64, is_segment_end: bool) {
        self.bytes_since += bytes;
        if self.bytes_since >= PROGRESS || is_segment_end {
            self.history = History::default();
        }
    }

    /// Returns the end of the last retry delay.
    pub(crate) fn not_before(&self) -> Option<Instant> {
        self.not_before
    }

    /// Records the failure of a request that was sent at `sent_at`. Requests that were in progress
    /// at the last counted failure are not counted again.
    pub(crate) fn record_failure(
        &mut self,
        error: SourceError,
        sent_at: Instant,
        now: Instant,
        policy: &RetryPolicy,
    ) -> FailureDecision {
        let is_counted = self.failed_at.is_some_and(|then| sent_at < then);
        if error.transient && is_counted {
            return FailureDecision::AlreadyCounted;
        }
        self.failed_at = Some(now);
        self.bytes_since = 0;
        self.history.failures += 1;
        match decide(policy, self.history, error.prospect(), fastrand::f64()) {
            Verdict::RetryAfter(pause) => {
                self.history.waited += pause;
                self.not_before = Some(now + pause);
                FailureDecision::Retry(pause, error)
            }
            Verdict::GiveUp(_) => FailureDecision::GiveUp(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::outcome::ErrorKind;

    const SECOND: Duration = Duration::from_secs(1);

    fn broken() -> SourceError {
        SourceError::transient(ErrorKind::Network, "broken")
    }

    /// A policy that gives up at the second failure in a row.
    fn impatient() -> RetryPolicy {
        RetryPolicy {
            base: Duration::ZERO,
            max_attempts: 2,
            ..RetryPolicy::default()
        }
    }

    #[test]
    fn connections_that_fail_together_count_as_one_failure() {
        let (mut failures, policy) = (FailureTracker::default(), impatient());
        let sent_at = Instant::now();
        let now = sent_at + SECOND;
        let retry = FailureDecision::Retry(Duration::ZERO, broken());
        assert_eq!(
            failures.record_failure(broken(), sent_at, now, &policy),
            retry
        );
        let together = failures.record_failure(broken(), sent_at, now + SECOND, &policy);
        assert_eq!(together, FailureDecision::AlreadyCounted);
        let again = failures.record_failure(broken(), now + SECOND, now + SECOND, &policy);
        assert_eq!(again, FailureDecision::GiveUp(broken()));
    }

    #[test]
    fn progress_resets_the_failure_history() {
        let (mut failures, policy) = (FailureTracker::default(), impatient());
        let now = Instant::now();
        let fail =
            |failures: &mut FailureTracker| failures.record_failure(broken(), now, now, &policy);
        let retry = FailureDecision::Retry(Duration::ZERO, broken());
        assert_eq!(fail(&mut failures), retry);
        failures.record_progress(PROGRESS, false);
        assert_eq!(fail(&mut failures), retry);
        failures.record_progress(1, true);
        assert_eq!(fail(&mut failures), retry);
        failures.record_progress(PROGRESS - 1, false);
        assert_eq!(fail(&mut failures), FailureDecision::GiveUp(broken()));
    }
}
