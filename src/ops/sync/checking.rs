//! The state in which the Hub is asked about a target, and the threads that ask.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Error, Result, anyhow};

use super::check::{Checked, Unchanged, check};
use super::local_files::BadFiles;
use super::local_reads::LocalReads;
use super::result::{SyncEvent, SyncResult};
use super::syncer::{Syncer, TargetEntry, TargetState};
use super::target::{CacheChoice, SyncRequest, Target, TargetId};
use crate::domain::content::ContentId;
use crate::domain::hold::Hold;
use crate::domain::model::EntryName;
use crate::domain::outcome::{ErrorKind, Outcome};
use crate::domain::repo::CommitSha;
use crate::domain::session::{ByteCounts, FileCounts, SessionProgress, Trouble};
use crate::domain::snapshot::Amount;
use crate::ops::changes::commits_of;
use crate::ops::diagnose::{is_offline, outcome_of, trouble_of};
use crate::ops::login::HubClients;
use crate::ops::parallel::QUESTIONS_AT_ONCE;
use crate::ops::rollback;
use crate::sys::host::checkpoint;
use crate::sys::pause::Stopwatch;
use crate::xet::XetStorage;

type Question = (TargetId, Arc<Target>, Arc<BadFiles>);

type Answer = (TargetId, Result<Checked>);

impl Syncer<'_> {
    pub(super) fn check(&mut self, id: TargetId, request: SyncRequest, reads: LocalReads) {
        let label = request.target.label();
        self.events
            .push(SyncEvent::CheckStarted { target: id, label });
        self.checker.ask(id, request.target.clone());
        self.insert(id, request, TargetState::Checking(reads));
    }

    /// Checks a target once more, without the files that were found bad.
    pub(super) fn check_again(
        &mut self,
        id: TargetId,
        request: SyncRequest,
        mut reads: LocalReads,
    ) {
        const MAX_CHECKS: u32 = 5;
        reads.n_checks += 1;
        if reads.n_checks > MAX_CHECKS {
            let err = anyhow!("its files are damaged faster than they can be replaced");
            return self.end(id, failed_check(&request.target, &err));
        }
        self.check(id, request, reads);
    }

    /// Waits up to `wait` for answers, and handles all that are there.
    pub(super) fn take_checks(&mut self, mut wait: Duration) {
        while let Some((id, checked)) = self.checker.next(wait) {
            self.take_check(id, checked);
            wait = Duration::ZERO;
        }
    }

    fn take_check(&mut self, id: TargetId, checked: Result<Checked>) {
        // A stopped target has ended already; no other state expects an answer.
        let Some(TargetEntry {
            request,
            state: TargetState::Checking(reads),
        }) = self.targets.remove(&id)
        else {
            return;
        };
        self.events.push(SyncEvent::CheckEnded { target: id });
        checkpoint("checked");
        match checked {
            Ok(checked) => self.prove_first(id, request, checked, reads),
            Err(err) => {
                let result = match request.limits.stop_reason() {
                    // The pause before a retry was cut short, so nothing is known.
                    Some(reason) => SyncResult::unseen(reason),
                    None => failed_check(&request.target, &err),
                };
                self.end(id, result);
            }
        }
    }

    /// Continues with a target of which all used files are proven.
    pub(super) fn take_proven_check(
        &mut self,
        id: TargetId,
        request: SyncRequest,
        checked: Checked,
        reads: LocalReads,
    ) {
        let target = &request.target;
        let result = match checked {
            Checked::Planned(mut planned) => {
                planned.local_reads = reads;
                self.proofs.forget_adopted(&planned.adopted.changed);
                if !self.has_ready() {
                    self.first_plan_ready = Stopwatch::start();
                }
                return self.insert(id, request, TargetState::Ready(planned));
            }
            Checked::Unchanged(unchanged) => up_to_date(target, unchanged, &reads),
            Checked::Held { commit, path } => {
                if let Some(held) = &target.held_commit {
                    rollback::hold(&self.cache, target, held);
                }
                rolled_back(target, commit, path)
            }
            Checked::Waiting {
                hold,
                published,
                renamed_to,
                changes,
                note,
            } => {
                if let (Some(_), Some(commit)) = (&target.known_commit, &hold.published) {
                    rollback::hold(&self.cache, target, commit);
                }
                SyncResult {
                    renamed_to,
                    changes,
                    note: Some(note),
                    ..hold_update(target, hold, published)
                }
            }
        };
        self.end(id, result);
    }
}

/// A few threads that check one target after the other.
///
/// A stopping run does not wait for them: a server may be silent, and a check
/// changes nothing.
pub(super) struct Checker {
    questions: Sender<Question>,
    waiting: Arc<Mutex<Receiver<Question>>>,
    answers: Receiver<Answer>,
    answer: Sender<Answer>,
    clients: HubClients,
    xet: Option<XetStorage>,
    choice: CacheChoice,
    bad: Arc<BadFiles>,
    n_threads: usize,
    n_pending: usize,
}

impl Checker {
    pub(super) fn new(
        clients: &HubClients,
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
            clients: clients.clone(),
            xet: xet.cloned(),
            choice: choice.clone(),
            bad: Arc::new(bad),
            n_threads: 0,
            n_pending: 0,
        }
    }

    pub(super) fn ask(&mut self, id: TargetId, target: Arc<Target>) {
        self.n_pending += 1;
        // This value holds the receiving end as well.
        let _ = self.questions.send((id, target, self.bad.clone()));
        if self.n_threads < self.n_pending.min(QUESTIONS_AT_ONCE) {
            match self.start_thread() {
                Ok(()) => self.n_threads += 1,
                Err(err) if self.n_threads > 0 => log::warn!("could not start a thread: {err}"),
                Err(err) => {
                    let problem = anyhow!(err).context("could not start a thread");
                    let _ = self.answer.send((id, Err(problem)));
                }
            }
        }
    }

    /// Treats a file as bad in all later checks.
    pub(super) fn distrust(&mut self, path: &Path, content: ContentId) {
        Arc::make_mut(&mut self.bad).insert(path.to_owned(), content);
    }

    /// Waits up to `wait` for the next answer.
    pub(super) fn next(&mut self, wait: Duration) -> Option<Answer> {
        let answer = if wait.is_zero() {
            self.answers.try_recv().ok()
        } else {
            self.answers.recv_timeout(wait).ok()
        };
        self.n_pending -= usize::from(answer.is_some());
        answer
    }

    fn start_thread(&self) -> std::io::Result<()> {
        let (waiting, answer) = (self.waiting.clone(), self.answer.clone());
        let (clients, xet) = (self.clients.clone(), self.xet.clone());
        let choice = self.choice.clone();
        let thread = std::thread::Builder::new().name("check".into());
        thread.spawn(move || {
            loop {
                let question = waiting
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .recv();
                let Ok((id, target, bad)) = question else {
                    return;
                };
                let checked = catch_unwind(AssertUnwindSafe(|| {
                    // Files of the right size and without a proof are hashed later.
                    let prove = |_: &Path, _: &ContentId| Ok(true);
                    let checked = check(&clients, xet.as_ref(), &choice, &target, &bad, &prove)?;
                    Ok(with_commits(&clients, &target, checked))
                }));
                let checked =
                    checked.unwrap_or_else(|_| Err(anyhow!("a programming error ended the check")));
                if answer.send((id, checked)).is_err() {
                    return;
                }
            }
        })?;
        Ok(())
    }
}

/// Adds the commits of an update to its changes, unless a guard has asked for them.
fn with_commits(clients: &HubClients, target: &Target, mut checked: Checked) -> Checked {
    if let Some(changes) = checked.changes_mut()
        && changes.commits.is_none()
        && let Ok(hub) = clients.with_token(target.token_name.as_ref())
    {
        changes.commits = commits_of(&hub, target, changes);
    }
    checked
}

/// Describes a session for which nothing had to be done.
fn all_reused(path: PathBuf, amount: Amount) -> SessionProgress {
    SessionProgress {
        path: Some(path),
        files: FileCounts {
            total: amount.files,
            reused: amount.files,
            ..FileCounts::default()
        },
        bytes: ByteCounts {
            total: amount.bytes,
            reused: amount.bytes,
            ..ByteCounts::default()
        },
        ..SessionProgress::default()
    }
}

/// Returns the result of a target whose newest commit is in place.
fn up_to_date(target: &Target, unchanged: Unchanged, reads: &LocalReads) -> SyncResult {
    let commit = unchanged.commit;
    let path = unchanged.destination.readable_at(&commit);
    let outcome = if target.is_news(&commit) {
        // A sibling has fetched the files and moved the ref.
        Outcome::Updated
    } else {
        Outcome::UpToDate
    };
    let gone = unchanged.note.is_gone.then(|| gone_pin(&commit));
    let progress = SessionProgress {
        new_commit: Some(commit),
        ..all_reused(path, unchanged.amount)
    };
    SyncResult {
        renamed_to: unchanged.renamed_to,
        terms: unchanged.terms,
        note: Some(unchanged.note),
        files: reads.found_files(&unchanged.reused),
        ..SyncResult::without_files(outcome, gone, progress)
    }
}

/// Returns the result of a target whose rollback holds an older commit at `path`.
fn rolled_back(target: &Target, commit: CommitSha, path: PathBuf) -> SyncResult {
    let progress = SessionProgress {
        path: Some(path),
        new_commit: Some(commit),
        ..SessionProgress::default()
    };
    let failure = target.held_by.as_ref().map(held_by_sibling);
    SyncResult::without_files(Outcome::Held, failure, progress)
}

/// Says that a pinned commit, whose files are whole here, is gone upstream.
fn gone_pin(commit: &CommitSha) -> Trouble {
    Trouble {
        kind: ErrorKind::NotFound,
        message: format!("the pinned commit is gone upstream; the files of {commit} stay"),
        hint: None,
    }
}

/// Says that the rollback of another model holds the ref that both follow.
fn held_by_sibling(name: &EntryName) -> Trouble {
    Trouble {
        kind: ErrorKind::Hub,
        message: format!("`{name}`, which shares the revision, was rolled back and is held there"),
        hint: Some(format!(
            "`hfdl models release {name}` lets both move to the newest revision again"
        )),
    }
}

/// Ends a target whose newest commit waits for a person. `published` is the folder of
/// the published commit with its selected files.
fn hold_update(target: &Target, hold: Hold, published: Option<(PathBuf, Amount)>) -> SyncResult {
    let label = target.label();
    let failure = trouble_of_hold(&label, &hold);
    let commit = Some(hold.commit.clone());
    let progress = published.map(|(path, amount)| all_reused(path, amount));
    let progress = SessionProgress {
        new_commit: commit,
        ..progress.unwrap_or_default()
    };
    SyncResult {
        hold: Some(hold),
        ..SyncResult::without_files(Outcome::Held, failure, progress)
    }
}

/// Describes and logs a hold. One that ends by itself is no trouble; a rejected commit stays
/// held.
pub(super) fn trouble_of_hold(label: &str, hold: &Hold) -> Option<Trouble> {
    let message = hold.message();
    log::info!("`{label}` is held: {message}");
    (!hold.is_silent() || hold.is_rejected).then(|| Trouble {
        kind: ErrorKind::Hub,
        message,
        hint: Some(hold.hint(label)),
    })
}

pub(super) fn failed_check(target: &Target, err: &Error) -> SyncResult {
    let outcome = outcome_of(err, target.known_commit.is_some());
    SyncResult {
        is_offline: is_offline(err),
        ..SyncResult::without_files(outcome, Some(trouble_of(err)), SessionProgress::default())
    }
}
