//! Questions whose answers are waited for no longer than the run lasts.

use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::sys::stop::StopFlag;

/// How long a run that is to end goes on waiting.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Returns the answer to a question, or an error when the run is to end first.
///
/// It is asked on a thread of its own, which then is left to itself: a server
/// that says nothing holds nobody up, and a question leaves no trace.
pub fn unless_stopped<T: Send + 'static>(
    stop: &StopFlag,
    question: impl FnOnce() -> T + Send + 'static,
) -> Result<T> {
    let (sender, answer) = sync_channel(1);
    let thread = std::thread::Builder::new().name("ask".into());
    thread
        .spawn(move || {
            let _ = sender.send(question());
        })
        .context("could not start a thread")?;
    while !stop.is_raised() {
        match answer.recv_timeout(LOOK_EVERY) {
            Ok(answer) => return Ok(answer),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => bail!("a programming error ended the question"),
        }
    }
    bail!("the run was asked to end before the answer came")
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;
    use crate::sys::stop::StopReason;

    #[test]
    fn an_answer_is_returned_and_a_question_that_breaks_is_an_error() {
        let stop = StopFlag::new();
        assert_eq!(unless_stopped(&stop, || 7).unwrap(), 7);
        let broken = unless_stopped(&stop, || panic!("on purpose"));
        let broken: Result<()> = broken;
        assert!(broken.unwrap_err().to_string().contains("programming"));
    }

    #[test]
    fn a_run_that_is_to_end_waits_for_no_answer() {
        let stop = StopFlag::new();
        let (raise, (_keep_open, never)) = (stop.clone(), channel::<()>());
        let ended = unless_stopped(&stop, move || {
            raise.raise(StopReason::Terminated);
            let _ = never.recv();
        });
        assert!(ended.unwrap_err().to_string().contains("asked to end"));
    }
}
