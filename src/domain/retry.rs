//! Whether and when to try again after a failure.
//!
//! The decision is a function of plain values, the random number included, so
//! that tests see every branch and no test ever waits.

use std::time::Duration;

use super::units::Seconds;

/// The longest time for which a server's `Retry-After` is honoured.
pub const LONGEST_RETRY_AFTER: Seconds = Seconds(24 * 3600);

/// One window of the Hub's counters and a margin: no `RateLimit` header says more.
pub const RATE_LIMIT_WINDOW: Seconds = Seconds(330);

/// The name under which a `Retry-After` is kept among the Hub's counters.
pub const RETRY_AFTER: &str = "retry-after";

/// Returns how long a counter of this name may keep us from asking.
pub fn longest_wait(bucket: &str) -> Seconds {
    match bucket {
        RETRY_AFTER => LONGEST_RETRY_AFTER,
        _ => RATE_LIMIT_WINDOW,
    }
}

/// How often and for how long to try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Attempts in all, the first one included; 1 means never again.
    pub max_attempts: u32,
    /// The longest pause after the first failure; it doubles with each further one.
    pub base: Duration,
    /// The longest pause that is chosen by us rather than asked for by the server.
    pub cap: Duration,
    /// The sum of all pauses that one request may cost.
    pub max_total: Duration,
    /// Whether pauses are taken at all; tests take them out, and the decisions
    /// stay the same.
    pub waits: bool,
}

impl Default for RetryPolicy {
    /// Waits out one window of the Hub's rate limit (300 s), but not two.
    fn default() -> Self {
        Self {
            max_attempts: 6,
            base: Duration::from_secs(1),
            cap: Duration::from_secs(16),
            max_total: Duration::from_secs(330),
            waits: true,
        }
    }
}

impl RetryPolicy {
    /// Returns the policy of a caller that counts and repeats attempts itself.
    pub fn never() -> Self {
        Self {
            max_attempts: 1,
            ..Self::default()
        }
    }
}

/// What happened to one request so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// Failed attempts, the latest included.
    pub failures: u32,
    /// The sum of the pauses taken.
    pub waited: Duration,
}

/// What the latest failure says about another attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prospect {
    /// The same question will get the same answer.
    Permanent,
    /// Another attempt may succeed, after `wait` if the server named a time.
    Transient { wait: Option<Duration> },
}

/// The decision.
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
    /// The pause would exceed `max_total`; another process run is the better retry.
    NoTimeLeft,
}

/// Decides what follows a failure; `random` lies in `0.0..1.0`.
///
/// Without a hint the pause is drawn from the whole of `0..base * 2^n` (full
/// jitter), which spreads clients that failed together best. A server's hint is
/// a promise that earlier is useless: it is waited out, with a second on top
/// because it is cut to whole seconds, and a little jitter so that parallel
/// requests do not return in one burst.
pub fn decide(policy: &RetryPolicy, history: History, prospect: Prospect, random: f64) -> Verdict {
    let Prospect::Transient { wait } = prospect else {
        return Verdict::GiveUp(Why::Permanent);
    };
    if history.failures >= policy.max_attempts {
        return Verdict::GiveUp(Why::NoAttemptsLeft);
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
            waited: Duration::ZERO,
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
    fn the_server_is_never_asked_before_the_time_it_named() {
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
}
