//! Asks the Hub about targets while others are being fetched.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Result, anyhow};

use super::check::{BadFiles, Checked, check};
use super::result::TargetId;
use super::{CacheChoice, Target};
use crate::domain::content::ContentId;
use crate::hub::HubClient;
use crate::ops::parallel::QUESTIONS_AT_ONCE;
use crate::xet::XetStorage;

/// A target to check, by the caller's number.
type Question = (TargetId, Arc<Target>, Arc<BadFiles>);

type Answer = (TargetId, Result<Checked>);

/// A few threads that check one target after the other.
///
/// They are never waited for: a run that is to end does not sit out a server
/// that says nothing, and a check leaves no trace.
pub(super) struct Checker {
    questions: Sender<Question>,
    waiting: Arc<Mutex<Receiver<Question>>>,
    answers: Receiver<Answer>,
    answer: Sender<Answer>,
    hub: HubClient,
    xet: Option<XetStorage>,
    choice: CacheChoice,
    bad: Arc<BadFiles>,
    n_threads: usize,
    n_pending: usize,
}

impl Checker {
    pub(super) fn new(
        hub: &HubClient,
        xet: Option<&XetStorage>,
        choice: &CacheChoice,
        bad: BadFiles,
    ) -> Self {
        let (questions, waiting) = channel();
        let (answer, answers) = channel();
        Self {
            questions,
            waiting: Arc::new(Mutex::new(waiting)),
            answers,
            answer,
            hub: hub.clone(),
            xet: xet.cloned(),
            choice: choice.clone(),
            bad: Arc::new(bad),
            n_threads: 0,
            n_pending: 0,
        }
    }

    pub(super) fn ask(&mut self, index: TargetId, target: Arc<Target>) {
        self.n_pending += 1;
        // We hold the other end ourselves.
        let _ = self.questions.send((index, target, self.bad.clone()));
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

    /// Takes a file for bad in all checks from now on.
    pub(super) fn distrust(&mut self, path: &Path, content: ContentId) {
        Arc::make_mut(&mut self.bad).insert(path.to_owned(), content);
    }

    /// Returns an answer, waiting so long for one.
    pub(super) fn next(&mut self, wait: Duration) -> Option<Answer> {
        let answer = match wait.is_zero() {
            true => self.answers.try_recv().ok(),
            false => self.answers.recv_timeout(wait).ok(),
        };
        self.n_pending -= usize::from(answer.is_some());
        answer
    }

    fn start_thread(&self) -> std::io::Result<()> {
        let (waiting, answer) = (self.waiting.clone(), self.answer.clone());
        let (hub, xet) = (self.hub.clone(), self.xet.clone());
        let choice = self.choice.clone();
        let thread = std::thread::Builder::new().name("check".into());
        thread.spawn(move || {
            loop {
                let question = waiting
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .recv();
                let Ok((index, target, bad)) = question else {
                    return;
                };
                let checked = catch_unwind(AssertUnwindSafe(|| {
                    // Files of the right size are hashed later, like all that no proof holds for.
                    let prove = |_: &Path, _: &ContentId| Ok(true);
                    check(&hub, xet.as_ref(), &choice, &target, &bad, &prove)
                }));
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
