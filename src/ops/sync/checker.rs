//! Asks the Hub about targets while others are being fetched.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Result, anyhow};

use super::check::{Checked, check};
use super::{CacheChoice, Target};
use crate::hub::HubClient;
use crate::ops::parallel::QUESTIONS_AT_ONCE;

/// A target and the caller's number of it.
type Question = (usize, Arc<Target>);

/// A few threads that check one target after the other.
///
/// They are never waited for: a run that is to end does not sit out a server
/// that says nothing, and a check leaves no trace.
pub(super) struct Checker {
    orders: Sender<Question>,
    waiting: Arc<Mutex<Receiver<Question>>>,
    answers: Receiver<(usize, Result<Checked>)>,
    answer: Sender<(usize, Result<Checked>)>,
    hub: HubClient,
    choice: CacheChoice,
    n_threads: usize,
    n_pending: usize,
}

impl Checker {
    pub(super) fn new(hub: &HubClient, choice: &CacheChoice) -> Self {
        let (orders, waiting) = channel();
        let (answer, answers) = channel();
        Self {
            orders,
            waiting: Arc::new(Mutex::new(waiting)),
            answers,
            answer,
            hub: hub.clone(),
            choice: choice.clone(),
            n_threads: 0,
            n_pending: 0,
        }
    }

    pub(super) fn ask(&mut self, index: usize, target: Arc<Target>) {
        self.n_pending += 1;
        // We hold the other end ourselves.
        let _ = self.orders.send((index, target));
        if self.n_threads < self.n_pending.min(QUESTIONS_AT_ONCE) {
            match self.start_thread() {
                Ok(()) => self.n_threads += 1,
                Err(err) if self.n_threads > 0 => log::warn!("could not start a thread: {err}"),
                Err(err) => {
                    let problem = anyhow!(err).context("could not start a thread");
                    let _ = self.answer.send((index, Err(problem)));
                }
            }
        }
    }

    /// Returns an answer, waiting so long for one.
    pub(super) fn next(&mut self, wait: Duration) -> Option<(usize, Result<Checked>)> {
        let answer = match wait.is_zero() {
            true => self.answers.try_recv().ok(),
            false => self.answers.recv_timeout(wait).ok(),
        };
        self.n_pending -= usize::from(answer.is_some());
        answer
    }

    fn start_thread(&self) -> std::io::Result<()> {
        let (waiting, answer) = (self.waiting.clone(), self.answer.clone());
        let (hub, choice) = (self.hub.clone(), self.choice.clone());
        let thread = std::thread::Builder::new().name("check".into());
        thread.spawn(move || {
            loop {
                let order = waiting
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .recv();
                let Ok((index, target)) = order else { return };
                let checked = catch_unwind(AssertUnwindSafe(|| check(&hub, &choice, &target)));
                let checked =
                    checked.unwrap_or_else(|_| Err(anyhow!("a programming error ended the check")));
                if answer.send((index, checked)).is_err() {
                    return;
                }
            }
        })?;
        Ok(())
    }
}
