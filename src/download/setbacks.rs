//! The failures of one large file's connections, weighed together.

use std::time::{Duration, Instant};

use super::source::SourceError;
use crate::domain::retry::{History, Prospect, RetryPolicy, Verdict, decide};

/// Bytes after which a failure counts as the first one again.
const PROGRESS: u64 = 64 << 10;

#[derive(Default)]
pub(crate) struct Setbacks {
    history: History,
    bytes_since: u64,
    failed_at: Option<Instant>,
    not_before: Option<Instant>,
}

/// What a failure comes to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Weighed {
    /// It was counted with another one.
    Nothing,
    /// Everybody waits so long.
    Retry(Duration, SourceError),
    GiveUp(SourceError),
}

impl Setbacks {
    /// Notes bytes that came, which excuse what went wrong before.
    pub(crate) fn progressed(&mut self, bytes: u64, is_end_of_piece: bool) {
        self.bytes_since += bytes;
        if self.bytes_since >= PROGRESS || is_end_of_piece {
            self.history = History::default();
        }
    }

    /// Returns when the file may be asked for again, if that is in the future.
    pub(crate) fn not_before(&self) -> Option<Instant> {
        self.not_before
    }

    /// Weighs a failure of a connection that was sent out at a time. Those that
    /// failed together count once: the others had been sent out before the first
    /// one came back.
    pub(crate) fn weigh(
        &mut self,
        error: SourceError,
        sent_at: Instant,
        now: Instant,
        policy: &RetryPolicy,
    ) -> Weighed {
        let is_counted = self.failed_at.is_some_and(|then| sent_at < then);
        if error.transient && is_counted {
            return Weighed::Nothing;
        }
        self.failed_at = Some(now);
        self.bytes_since = 0;
        self.history.failures += 1;
        let prospect = if error.transient {
            Prospect::Transient {
                wait: error.retry_after,
            }
        } else {
            Prospect::Permanent
        };
        match decide(policy, self.history, prospect, fastrand::f64()) {
            Verdict::RetryAfter(pause) => {
                self.history.waited += pause;
                self.not_before = Some(now + pause);
                Weighed::Retry(pause, error)
            }
            Verdict::GiveUp(_) => Weighed::GiveUp(error),
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

    /// One that gives up at the second failure in a row.
    fn impatient() -> RetryPolicy {
        RetryPolicy {
            base: Duration::ZERO,
            max_attempts: 2,
            ..RetryPolicy::default()
        }
    }

    #[test]
    fn connections_that_break_together_count_as_one_failure() {
        let (mut setbacks, policy) = (Setbacks::default(), impatient());
        let sent_at = Instant::now();
        let now = sent_at + SECOND;
        let retry = Weighed::Retry(Duration::ZERO, broken());
        assert_eq!(setbacks.weigh(broken(), sent_at, now, &policy), retry);
        let together = setbacks.weigh(broken(), sent_at, now + SECOND, &policy);
        assert_eq!(together, Weighed::Nothing);
        let again = setbacks.weigh(broken(), now + SECOND, now + SECOND, &policy);
        assert_eq!(again, Weighed::GiveUp(broken()));
    }

    #[test]
    fn progress_excuses_what_went_wrong_before() {
        let (mut setbacks, policy) = (Setbacks::default(), impatient());
        let now = Instant::now();
        let fail = |setbacks: &mut Setbacks| setbacks.weigh(broken(), now, now, &policy);
        let retry = Weighed::Retry(Duration::ZERO, broken());
        assert_eq!(fail(&mut setbacks), retry);
        setbacks.progressed(PROGRESS, false);
        assert_eq!(fail(&mut setbacks), retry);
        setbacks.progressed(1, true);
        assert_eq!(fail(&mut setbacks), retry);
        setbacks.progressed(PROGRESS - 1, false);
        assert_eq!(fail(&mut setbacks), Weighed::GiveUp(broken()));
    }
}
