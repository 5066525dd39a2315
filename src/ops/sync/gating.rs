//! The state in which the gate checks a snapshot that is not published.
//!
//! The gate runs on a thread of its own, so that heartbeat, signals and other targets go
//! on. Targets that share a snapshot share its verdict. Nothing is published unless the
//! gate passed: a gate that cannot be started, does not end or changes a file holds the
//! commit, and a later run does not fetch its files again.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::thread::JoinHandle;

use super::local_reads::LocalReads;
use super::syncer::{Syncer, TargetEntry, TargetState};
use super::target::{SyncRequest, Target, TargetId};
use super::target_sync::TargetSync;
use crate::cache::{SnapshotChanges, UnpublishedSnapshot};
use crate::domain::argv::Argv;
use crate::domain::gate::{GateAgain, GateRecord, GateVerdict};
use crate::domain::repo::CommitSha;
use crate::domain::run::RunId;
use crate::json::{GateDocument, GateFile};
use crate::notify::gate;
use crate::notify::hooks::{HookOptions, plain};
use crate::ops::rollback;
use crate::sys::host::checkpoint;
use crate::sys::stop::{StopFlag, StopReason};

/// The program of `hooks.gate`.
#[derive(Clone)]
pub struct GateProgram {
    pub argv: Argv,
    /// `None` if there is no such program.
    pub path: Option<PathBuf>,
    pub options: HookOptions,
    pub run: RunId,
}

/// A snapshot: the folder of its destination, and the commit.
type SnapshotKey = (PathBuf, CommitSha);

/// The gate of a run, with its verdicts.
#[derive(Default)]
pub(super) struct Gate {
    program: Option<GateProgram>,
    running: BTreeMap<SnapshotKey, RunningGate>,
    /// Snapshots that passed.
    passed: Vec<SnapshotKey>,
    /// Snapshots that are held, by this run or an earlier one.
    held: BTreeMap<SnapshotKey, GateRecord>,
}

struct RunningGate {
    thread: JoinHandle<GateEnd>,
    /// Ends the program.
    stop: StopFlag,
}

struct GateEnd {
    verdict: GateVerdict,
    /// The program has changed or removed verified files.
    has_changed_sources: bool,
}

impl Syncer<'_> {
    /// Lets a program check all new commits from now on.
    pub fn use_gate(&mut self, program: GateProgram) {
        self.gate.program = Some(program);
    }

    /// Tells whether the gate is judging a snapshot.
    pub fn is_gating(&self) -> bool {
        !self.gate.running.is_empty()
    }

    /// Returns a complete target if the gate does not have to check it first. A commit
    /// that the gate holds is returned as held.
    pub(super) fn pass_gate(
        &mut self,
        id: TargetId,
        request: SyncRequest,
        mut sync: TargetSync,
    ) -> Option<(SyncRequest, TargetSync)> {
        let target = &request.target;
        let Some(program) = self
            .gate
            .program
            .as_ref()
            .filter(|_| sync.is_new_for(target))
        else {
            return Some((request, sync));
        };
        let key = sync.snapshot_key();
        if self.gate.passed.contains(&key) {
            return Some((request, sync));
        }
        let command = program.argv.to_string();
        let known = self.gate.held.get(&key).cloned();
        if let Some(record) = known.or_else(|| self.proofs.gate_record(target, &key.1, &command)) {
            self.gate.held.insert(key, record.clone());
            if let Some(old) = &sync.record.planned.old_commit {
                rollback::hold(&self.cache, target, old);
            }
            sync.record.hold_by_gate(record);
            return Some((request, sync));
        }
        if stop_reason(&request).is_some() {
            (sync.record.is_stopped, sync.record.in_gate) = (true, true);
            return Some((request, sync));
        }
        if !self.gate.running.contains_key(&key) {
            let message = format!("the gate checks `{}` at {}", target.label(), key.1.short());
            let running = start(program, sync.unpublished(self.reserve), target, &sync);
            self.gate.running.insert(key, running);
            log::info!("{message}");
            self.show_wait(None, message, None);
        }
        self.insert(id, request, TargetState::Gating(sync));
        None
    }

    /// Ends gates whose targets are all stopped, and handles those that have ended.
    pub(super) fn take_gates(&mut self) {
        let keys: Vec<SnapshotKey> = self.gate.running.keys().cloned().collect();
        for key in keys {
            let waiting = self.waiting_for(&key);
            let Some(running) = self.gate.running.get(&key) else {
                continue;
            };
            let reasons = waiting
                .iter()
                .map(|id| stop_reason(&self.targets[id].request));
            let reasons: Option<Vec<StopReason>> = reasons.collect();
            if let Some(reason) = reasons.and_then(|reasons| reasons.first().copied()) {
                running.stop.raise(reason);
            }
            if running.thread.is_finished()
                && let Some(running) = self.gate.running.remove(&key)
            {
                let end = running.thread.join();
                self.end_gate(key, waiting, end.unwrap_or_else(|_| GateEnd::panicked()));
            }
        }
    }

    /// Shows which targets wait for the gate.
    pub(super) fn show_gates(&mut self) {
        for key in self.gate.running.keys().cloned().collect::<Vec<_>>() {
            if let Some(id) = self.waiting_for(&key).first() {
                let label = self.targets[id].request.target.label();
                let message = format!("the gate checks `{label}` at {}", key.1.short());
                self.show_wait(None, message, None);
            }
        }
    }

    fn waiting_for(&self, key: &SnapshotKey) -> Vec<TargetId> {
        let targets = self.targets.iter().filter(|(_, entry)| match &entry.state {
            TargetState::Gating(sync) => sync.snapshot_key() == *key,
            _ => false,
        });
        targets.map(|(id, _)| *id).collect()
    }

    fn end_gate(&mut self, key: SnapshotKey, waiting: Vec<TargetId>, end: GateEnd) {
        checkpoint("gate ended");
        match (end.verdict, &self.gate.program) {
            (GateVerdict::Passed, _) => self.gate.passed.push(key),
            (GateVerdict::Held { finding, again }, Some(program)) => {
                let (command, now) = (program.argv.to_string(), self.proofs.now());
                let record = GateRecord::new(command, finding, again, now);
                self.gate.held.insert(key, record);
            }
            // Each target ends as stopped, or starts the gate again.
            _ => {}
        }
        for id in waiting {
            let Some(TargetEntry {
                request,
                state: TargetState::Gating(sync),
            }) = self.targets.remove(&id)
            else {
                continue;
            };
            if end.has_changed_sources {
                // Reads the files again, and fetches those that are damaged.
                self.check_again(id, request, LocalReads::default());
            } else {
                self.publish(id, request, sync, None);
            }
        }
    }
}

impl TargetSync {
    /// Tells whether the commit is new for the readers of a target, and not approved by
    /// a person. A repair of the published commit is not.
    fn is_new_for(&self, target: &Target) -> bool {
        let planned = self.planned();
        let commit = Some(&planned.remote.commit);
        let is_new = match &target.model {
            Some(_) => target.known_commit.as_ref() != commit,
            None => planned.old_commit.as_ref() != commit || !planned.plan.changes_nothing(),
        };
        is_new && !target.accepts(&planned.remote.commit)
    }

    fn snapshot_key(&self) -> SnapshotKey {
        let planned = self.planned();
        (planned.destination.folder(), planned.remote.commit.clone())
    }
}

impl GateEnd {
    fn panicked() -> Self {
        let detail = "a programming error ended the gate".to_owned();
        Self {
            verdict: GateVerdict::held(detail, GateAgain::NextCheck),
            has_changed_sources: false,
        }
    }
}

/// Returns the reason for which a gate of a target has to end. It needs no bytes, so that
/// the end of a transfer budget is none.
fn stop_reason(request: &SyncRequest) -> Option<StopReason> {
    let mut reasons = request
        .limits
        .path()
        .filter_map(|group| group.stop().reason());
    reasons.find(|reason| *reason != StopReason::TransferBudget)
}

/// Starts the gate on a thread of its own.
fn start(
    program: &GateProgram,
    snapshot: UnpublishedSnapshot,
    target: &Target,
    sync: &TargetSync,
) -> RunningGate {
    let planned = sync.planned();
    let files = planned.plan.files.iter().map(|planned| GateFile {
        path: planned.file.path.to_string(),
        size: planned.file.size_bytes,
        content: planned.file.content.to_string(),
    });
    let document = GateDocument {
        run_id: program.run.to_string(),
        model: target.label(),
        repo: target.repo.to_string(),
        repo_type: target.repo.kind.as_str(),
        revision: target.revision.to_string(),
        old_commit: planned.old_commit.as_ref().map(ToString::to_string),
        new_commit: planned.remote.commit.to_string(),
        path: snapshot.root.display().to_string(),
        files: files.collect(),
    };
    let mut program = program.clone();
    program.options.stop = StopFlag::new();
    RunningGate {
        stop: program.options.stop.clone(),
        thread: std::thread::spawn(move || judge(&program, &snapshot, &document)),
    }
}

/// Lets the program check a snapshot, and removes the folder that it saw.
fn judge(
    program: &GateProgram,
    snapshot: &UnpublishedSnapshot,
    document: &GateDocument,
) -> GateEnd {
    let Some(path) = &program.path else {
        let name = program.argv.program();
        let detail = format!(
            "the gate cannot be started: there is no program `{name}`, or this user may not run it"
        );
        return GateEnd {
            verdict: GateVerdict::held(detail, GateAgain::NextCheck),
            has_changed_sources: false,
        };
    };
    log::info!("the gate `{}` checks `{}`", program.argv, document.path);
    let judged = snapshot.expose().map(|exposed| {
        let (verdict, printed) = gate::run(path, &program.argv, document, &program.options);
        for line in printed.lines() {
            log::info!("the gate says: {}", plain(line));
        }
        (verdict, exposed.changes())
    });
    if let Err(err) = snapshot.remove() {
        log::warn!("{err:#}");
    }
    match judged {
        Ok((verdict, changes)) => GateEnd {
            has_changed_sources: changes.has_changed_sources,
            verdict: unless_changed(verdict, changes),
        },
        Err(err) => {
            let detail = format!("the gate cannot be started: {err:#}");
            GateEnd {
                verdict: GateVerdict::held(detail, GateAgain::NextCheck),
                has_changed_sources: false,
            }
        }
    }
}

/// Holds a commit in whose files the gate has written, whatever its verdict is.
fn unless_changed(verdict: GateVerdict, changes: SnapshotChanges) -> GateVerdict {
    const SHOWN: usize = 3;
    if changes.messages.is_empty() || verdict == GateVerdict::Stopped {
        return verdict;
    }
    let n_more = changes.messages.len().saturating_sub(SHOWN);
    let mut messages = changes.messages;
    messages.truncate(SHOWN);
    if n_more > 0 {
        messages.push(format!("{n_more} more changes"));
    }
    let detail = format!(
        "the gate has changed the files that it was to check: {}",
        messages.join(", ")
    );
    GateVerdict::held(detail, GateAgain::Never)
}
