//! Retry policy: whether and when to try again after a failure.
//!
//! The decision is a function of plain values, including the random number, so
//! tests cover every branch without waiting. `sys::retry` has the loop.

use std::time::Duration;

use super::units::Seconds;

/// The longest `Retry-After` that is honoured.
pub const LONGEST_RETRY_AFTER: Seconds = Seconds(24 * 3600);

/// One rate-limit window of the Hub plus a margin; no `RateLimit` header names
/// a longer wait.
pub const RATE_LIMIT_WINDOW: Seconds = Seconds(330);

/// The bucket name under which a `Retry-After` is stored beside the Hub's
/// rate-limit counters.
pub const RETRY_AFTER: &str = "retry-after";

/// Returns how long a rate-limit bucket of this name may block requests.
pub fn longest_wait(bucket: &str) -> Seconds {
    match bucket {
        RETRY_AFTER => LONGEST_RETRY_AFTER,
        _ => RATE_LIMIT_WINDOW,
    }
}

/// The limits of retries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Attempts in all, the first included; 1 means no retry.
    pub max_attempts: u32,
    /// The longest pause after the first failure; it doubles with each further
    /// failure.
    pub base: Duration,
    /// The longest pause chosen by us; a pause requested by the server may be
    /// longer.
    pub cap: Duration,
    /// The limit for the sum of all pauses of one request.
    pub max_total: Duration,
    /// The limit for the time of all attempts together: a slow server must not
    /// block a run for minutes.
    pub max_busy: Duration,
    /// Take the pauses. Tests turn them off; the decisions stay
    /// the same.
    pub waits: bool,
}

impl Default for RetryPolicy {
    /// Long enough to wait out one rate-limit window of the Hub (300 s), but
    /// not two.
    fn default() -> Self {
        Self {
            max_attempts: 6,
            base: Duration::from_secs(1),
            cap: Duration::from_secs(16),
            max_total: Duration::from_secs(330),
            max_busy: Duration::MAX,
            waits: true,
        }
    }
}

impl RetryPolicy {
    /// Returns the policy of a question that a person waits for.
    pub fn short() -> Self {
        Self {
            max_attempts: 3,
            base: Duration::from_millis(500),
            cap: Duration::from_secs(2),
            max_total: Duration::from_secs(5),
            ..Self::default()
        }
    }

    /// Returns the policy of a caller that counts and repeats attempts itself.
    pub fn never() -> Self {
        Self {
            max_attempts: 1,
            ..Self::default()
        }
    }
}

/// The attempts of one request so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// Failed attempts, including the latest.
    pub failures: u32,
    /// The sum of the pauses taken.
    pub waited: Duration,
    /// The sum of the times that the attempts took.
    pub busy: Duration,
}

/// The prospect of another attempt after the latest failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prospect {
    /// The same request would fail the same way.
    Permanent,
    /// Another attempt may succeed, after `wait` if the server named a time.
    Transient { wait: Option<Duration> },
}

/// An error of an attempt that may be repeated.
pub trait AttemptError {
    fn prospect(&self) -> Prospect;
}

/// Tells whether an HTTP status is transient.
///
/// A server error is, unless it says that the server lacks an ability: 501 (not
/// implemented) and 505 (version of HTTP not supported).
pub fn is_transient_status(status: u16) -> bool {
    matches!(status, 408 | 429 | 500..=599) && !matches!(status, 501 | 505)
}

/// The decision: retry or give up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    RetryAfter(Duration),
    GiveUp(Why),
}

/// Why there is no further attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    Permanent,
    NoAttemptsLeft,
    /// The attempts or their pauses take too long; the next tick retries instead.
    NoTimeLeft,
}

/// Decides whether to retry after a failure; `random` lies in `0.0..1.0`.
///
/// Without a hint from the server the pause is drawn from the whole range of
/// `0..base * 2^n` (full jitter), which spreads clients that failed together
/// best. A hint is always waited out, because an earlier request is useless.
/// One second is added because the hint is cut to whole seconds, and a little
/// jitter so that parallel requests do not return in one burst.
pub fn decide(policy: &RetryPolicy, history: History, prospect: Prospect, random: f64) -> Verdict {
    let Prospect::Transient { wait } = prospect else {
        return Verdict::GiveUp(Why::Permanent);
    };
    if history.failures >= policy.max_attempts {
        return Verdict::GiveUp(Why::NoAttemptsLeft);
    }
    if history.busy >= policy.max_busy {
        return Verdict::GiveUp(Why::NoTimeLeft);
    }
    let random = random.clamp(0.0, 1.0);
    let pause = match wait {
        Some(hint) => hint
            .saturating_add(Duration::from_secs(1))
            .saturating_add(policy.base.mul_f64(random)),
        None => {
            let doublings = history.failures.saturating_sub(1).min(30);
            let ceiling = policy.base.saturating_mul(1 << doublings).min(policy.cap);
            ceiling.mul_f64(random)
        }
    };
    if history.waited.saturating_add(pause) > policy.max_total {
        return Verdict::GiveUp(Why::NoTimeLeft);
    }
    Verdict::RetryAfter(if policy.waits { pause } else { Duration::ZERO })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRANSIENT: Prospect = Prospect::Transient { wait: None };

    fn after(failures: u32) -> History {
        History {
            failures,
            ..History::default()
        }
    }

    fn pause(history: History, prospect: Prospect, random: f64) -> Duration {
        match decide(&RetryPolicy::default(), history, prospect, random) {
            Verdict::RetryAfter(pause) => pause,
            Verdict::GiveUp(why) => panic!("gave up: {why:?}"),
        }
    }

    #[test]
    fn a_permanent_failure_is_never_repeated() {
        assert_eq!(
            decide(&RetryPolicy::default(), after(1), Prospect::Permanent, 0.5),
            Verdict::GiveUp(Why::Permanent)
        );
    }

    #[test]
    fn pauses_double_up_to_the_cap_and_use_the_whole_range() {
        let longest: Vec<u64> = (1..=5)
            .map(|n| pause(after(n), TRANSIENT, 1.0).as_secs())
            .collect();
        assert_eq!(longest, [1, 2, 4, 8, 16]);
        assert_eq!(pause(after(3), TRANSIENT, 0.0), Duration::ZERO);
        assert_eq!(pause(after(3), TRANSIENT, 0.5), Duration::from_secs(2));
        let policy = RetryPolicy {
            max_attempts: u32::MAX,
            ..RetryPolicy::default()
        };
        assert_eq!(
            decide(&policy, after(4_000_000), TRANSIENT, 1.0),
            Verdict::RetryAfter(policy.cap)
        );
    }

    #[test]
    fn no_request_is_sent_before_the_time_the_server_named() {
        let hint = Duration::from_secs(212);
        let prospect = Prospect::Transient { wait: Some(hint) };
        for random in [0.0, 0.3, 1.0] {
            let pause = pause(after(1), prospect, random);
            assert!(pause >= hint + Duration::from_secs(1), "{pause:?}");
            assert!(pause <= hint + Duration::from_secs(2), "{pause:?}");
        }
    }

    #[test]
    fn attempts_are_counted() {
        let policy = RetryPolicy::default();
        assert!(matches!(
            decide(&policy, after(policy.max_attempts - 1), TRANSIENT, 0.9),
            Verdict::RetryAfter(_)
        ));
        assert_eq!(
            decide(&policy, after(policy.max_attempts), TRANSIENT, 0.9),
            Verdict::GiveUp(Why::NoAttemptsLeft)
        );
        assert_eq!(
            decide(&RetryPolicy::never(), after(1), TRANSIENT, 0.9),
            Verdict::GiveUp(Why::NoAttemptsLeft)
        );
    }

    #[test]
    fn a_pause_longer_than_the_remaining_time_is_not_begun() {
        let hint = Prospect::Transient {
            wait: Some(Duration::from_secs(300)),
        };
        let history = History {
            failures: 2,
            waited: Duration::from_secs(60),
            ..History::default()
        };
        assert_eq!(
            decide(&RetryPolicy::default(), history, hint, 0.0),
            Verdict::GiveUp(Why::NoTimeLeft)
        );
        let endless = Prospect::Transient {
            wait: Some(Duration::MAX),
        };
        assert_eq!(
            decide(&RetryPolicy::default(), after(1), endless, 1.0),
            Verdict::GiveUp(Why::NoTimeLeft)
        );
    }

    #[test]
    fn attempts_that_take_long_are_not_repeated() {
        let policy = RetryPolicy {
            max_busy: Duration::from_secs(60),
            ..RetryPolicy::default()
        };
        let busy = |seconds| History {
            busy: Duration::from_secs(seconds),
            ..after(1)
        };
        assert!(matches!(
            decide(&policy, busy(59), TRANSIENT, 0.5),
            Verdict::RetryAfter(_)
        ));
        assert_eq!(
            decide(&policy, busy(60), TRANSIENT, 0.5),
            Verdict::GiveUp(Why::NoTimeLeft)
        );
    }

    #[test]
    fn a_status_is_transient_if_a_server_or_proxy_can_recover_from_it() {
        let transient = [408, 429, 500, 502, 503, 504, 507, 520, 524, 530, 599];
        assert_eq!(transient.map(is_transient_status), [true; 11]);
        let permanent = [200, 400, 401, 403, 404, 410, 416, 418, 501, 505, 600];
        assert_eq!(permanent.map(is_transient_status), [false; 11]);
    }
}
