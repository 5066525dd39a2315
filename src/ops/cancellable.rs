//! Blocking calls that a stop of the run cancels.

use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::sys::stop::StopFlag;

/// Interval between two checks of the stop flag.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// Returns the result of a call, or an error if the run is stopped first.
///
/// The call runs on its own thread, which is abandoned after a stop: a silent
/// server delays nothing. The call must not change anything.
pub fn cancellable<T: Send + 'static>(
    stop: &StopFlag,
    call: impl FnOnce() -> T + Send + 'static,
) -> Result<T> {
    let (sender, answer) = sync_channel(1);
    let thread = std::thread::Builder::new().name("ask".into());
    thread
        .spawn(move || {
            let _ = sender.send(call());
        })
        .context("could not start a thread")?;
    while !stop.is_raised() {
        match answer.recv_timeout(POLL_INTERVAL) {
            Ok(answer) => return Ok(answer),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => bail!("a programming error ended the request"),
        }
    }
    bail!("the run was stopped before the answer arrived")
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;
    use crate::sys::stop::StopReason;

    #[test]
    fn a_result_is_returned_and_a_panic_is_an_error() {
        let stop = StopFlag::new();
        assert_eq!(cancellable(&stop, || 7).unwrap(), 7);
        let broken = cancellable(&stop, || panic!("on purpose"));
        let broken: Result<()> = broken;
        assert!(broken.unwrap_err().to_string().contains("programming"));
    }

    #[test]
    fn a_stopped_run_does_not_wait_for_the_result() {
        let stop = StopFlag::new();
        let (raise, (_keep_open, never)) = (stop.clone(), channel::<()>());
        let ended = cancellable(&stop, move || {
            raise.raise(StopReason::Terminated);
            let _ = never.recv();
        });
        assert!(ended.unwrap_err().to_string().contains("stopped before"));
    }
}
