//! The loop that repeats a failed attempt; `domain::retry` decides about each repetition.

use std::time::Duration;

use super::pause::Stopwatch;
use crate::domain::retry::{AttemptError, History, RetryPolicy, Verdict, decide};

/// Makes attempts until one succeeds or no further one is allowed; returns its result.
///
/// `pause` takes the pause before the next attempt. It returns the error, or
/// another one, when the caller has been stopped meanwhile.
pub fn run<T, E: AttemptError>(
    policy: &RetryPolicy,
    mut pause: impl FnMut(E, Duration) -> Result<(), E>,
    mut attempt: impl FnMut() -> Result<T, E>,
) -> Result<T, E> {
    let mut history = History::default();
    loop {
        let began = Stopwatch::start();
        let error = match attempt() {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        history.busy += began.elapsed();
        history.failures += 1;
        let verdict = decide(policy, history, error.prospect(), fastrand::f64());
        let Verdict::RetryAfter(span) = verdict else {
            return Err(error);
        };
        history.waited += span;
        pause(error, span)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::retry::Prospect;

    #[derive(Debug, PartialEq, Eq)]
    enum Error {
        Transient,
        Permanent,
        Stopped,
    }

    impl AttemptError for Error {
        fn prospect(&self) -> Prospect {
            match self {
                Self::Transient => Prospect::Transient { wait: None },
                Self::Permanent | Self::Stopped => Prospect::Permanent,
            }
        }
    }

    /// Runs attempts with these results; also returns how many were made.
    fn run_all(results: Vec<Result<(), Error>>, stops: bool) -> (Result<(), Error>, usize) {
        let policy = RetryPolicy {
            max_attempts: 3,
            ..RetryPolicy::default()
        };
        let n_results = results.len();
        let mut results = results.into_iter();
        let pause = |_, _| if stops { Err(Error::Stopped) } else { Ok(()) };
        let end = run(&policy, pause, || {
            results.next().expect("no further attempt is made")
        });
        (end, n_results - results.len())
    }

    #[test]
    fn transient_errors_are_repeated_as_often_as_the_policy_allows() {
        let transient = || Err(Error::Transient);
        assert_eq!(run_all(vec![transient(), Ok(())], false), (Ok(()), 2));
        let all = vec![transient(), transient(), transient(), Ok(())];
        assert_eq!(run_all(all, false), (transient(), 3));
        let permanent = vec![transient(), Err(Error::Permanent), Ok(())];
        assert_eq!(run_all(permanent, false), (Err(Error::Permanent), 2));
    }

    #[test]
    fn a_stop_in_a_pause_ends_the_attempts() {
        let results = vec![Err(Error::Transient), Ok(())];
        assert_eq!(run_all(results, true), (Err(Error::Stopped), 1));
    }
}
