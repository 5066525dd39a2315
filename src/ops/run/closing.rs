//! The end of each session, and then of the run.

use std::collections::BTreeMap;

use anyhow::Result;

use super::active::ActiveRun;
use super::result::{
    exit_status, idle_as_failure, naming_allowance, naming_moved_ref, run_outcome, totals,
};
use crate::domain::alert::RunFacts;
use crate::domain::model::Destination;
use crate::domain::outcome::{Effect, ErrorKind, ExitStatus, Outcome};
use crate::domain::run::{RunCommand, RunEnd};
use crate::domain::session::{Session, SessionId, SessionStop};
use crate::domain::time::Timestamp;
use crate::ops::login::save_refused_logins;
use crate::ops::report::sample_disk;
use crate::ops::retention::note_cache_size;
use crate::ops::sync::SyncResult;
use crate::ops::{dead_ends, ownership, rate_limits, retention};
use crate::store::{IntegrityCheck, Store};
use crate::sys::host::checkpoint;
use crate::sys::logging;

impl ActiveRun<'_> {
    /// Closes a session and records its result; returns whether the result is in
    /// the database. The other targets go on if it is not.
    pub fn close(&mut self, id: SessionId, result: &SyncResult) -> bool {
        self.note_progress();
        let Some(session) = self.sessions.get_mut(&id) else {
            return false;
        };
        let moved_ref = session.moved_ref.take();
        let limits = session.limits.as_ref();
        let spent = limits.and_then(|limits| self.accounts.spent_for(limits));
        let result = idle_as_failure(result);
        let result = naming_allowance(result, spent.as_ref());
        let result = &*naming_moved_ref(result, moved_ref.as_ref());
        let target = session.target.clone();
        let limits = session.limits.clone();
        let cause = (result.stopped).and_then(|it| self.stop_cause(limits.as_ref(), it));
        if let Some(session) = self.sessions.get_mut(&id) {
            session.stop = Some(SessionStop {
                status: exit_status(result, self.command),
                cause,
                in_gate: result.in_gate,
            });
        }
        let failure = result.failure.as_ref();
        if failure.is_some_and(|it| it.kind == ErrorKind::Allowance) {
            self.spent.extend(spent);
        }
        self.offline.extend(result.is_offline.then_some(id));
        self.holds
            .extend(result.hold.clone().map(|hold| (id, hold)));
        let label = target.label();
        if let Some(failure) = &result.failure {
            let message = &failure.message;
            log::warn!(target: logging::SESSION, "{label}: {}: {message}", result.outcome);
        } else {
            log::info!("{label}: {}", result.outcome);
        }
        let noted = (self.upstream_news).note(&self.services.store, &target, result);
        self.note_error(noted);
        let recorded = self.record(id, &target, result, moved_ref);
        let recorded = recorded.map(|moved| {
            self.moved_refs.extend(moved.map(|moved| (id, moved)));
        });
        let is_recorded = recorded.is_ok();
        self.note_error(recorded);
        checkpoint("session closed");
        if self.command != RunCommand::Verify || result.outcome == Outcome::Repaired {
            self.refresh_views(&target);
        }
        if result.outcome.effect(None) == Effect::Current {
            let commit = result.progress.new_commit.as_ref();
            let store = &self.services.store;
            if result.verify_outcome.is_none() && self.command != RunCommand::Verify {
                ownership::note_success(store, &self.cache, &target, result.outcome, commit);
            }
            if target.destination == Destination::Cache {
                self.synced_repos.insert(target.repo.clone());
            }
        }
        is_recorded
    }

    /// Logs an error of the bookkeeping; the first one is returned at the end of the run.
    pub fn note_error(&mut self, result: Result<()>) {
        let Err(err) = result else {
            return;
        };
        let text = format!("{err:#}");
        let first = self.first_error.get_or_insert(err);
        // A full disk refuses every record; the terminal shows it once.
        if format!("{first:#}") == text {
            log::error!(target: logging::SESSION, "{text}");
        } else {
            log::error!("{text}");
        }
    }

    /// Removes old revisions and old history. A failure here does not fail the run.
    fn prune(&mut self) {
        let now = self.services.host.now();
        let news = std::mem::take(&mut self.upstream_news);
        if let Err(err) = news.settle(self.services, &self.cache, &self.id, now) {
            log::debug!("could not ask about kept commits: {err:#}");
        }
        let targets = self.sessions.values().map(|session| &*session.target);
        let repos = std::mem::take(&mut self.synced_repos);
        let pruned = retention::newly_published(&self.services.store, targets)
            .and_then(|moved| retention::after_run(self.services, &moved, repos, now));
        if let Err(err) = pruned {
            log::warn!("could not remove old revisions and history: {err:#}");
        }
    }

    /// Saves the facts about the Hub and its storage that the next run can use.
    fn save_network_facts(&mut self) {
        let services = self.services;
        let (store, host) = (&services.store, services.host);
        let Some(network) = services.connected() else {
            return;
        };
        let saved = rate_limits::remember(store, &network.hub, host.now());
        self.note_error(saved);
        let refused = network.clients.refused_logins();
        let saved = save_refused_logins(store, &refused);
        self.note_error(saved);
        if let Some(xet) = &network.xet {
            let saved = dead_ends::remember(store, &network.hub, xet, host.now());
            self.note_error(saved);
        }
    }

    /// Returns the sessions that a limit or a signal has ended.
    fn stopped(&self, sessions: &[Session]) -> BTreeMap<SessionId, SessionStop> {
        let stopped = sessions.iter().filter_map(|session| {
            let is_stopped = session.end.as_ref()?.effect() == Effect::Unfinished;
            let stop = self.sessions.get(&session.id)?.stop.clone()?;
            is_stopped.then_some((session.id, stop))
        });
        stopped.collect()
    }

    /// Ends the run; each of its sessions has been closed.
    pub fn end(mut self, n_due: u64) -> Result<RunFacts> {
        let services = self.services;
        let (store, host) = (&services.store, services.host);
        // Frees the buffers of its connections before whole folders are listed.
        self.syncer = None;
        if matches!(self.command, RunCommand::RunDue | RunCommand::Download) {
            self.prune();
            check_database(store, host.now());
        }
        let recorded = self.accounts.close(store, host.now());
        self.note_error(recorded);
        self.save_network_facts();
        if let Some(err) = self.first_error {
            return Err(err);
        }
        let ids = self.sessions.keys();
        let sessions: Vec<Session> = ids
            .map(|id| Ok(store.session(*id)?))
            .collect::<Result<_>>()?;
        self.note_sizes(&sessions);
        let finished_at = host.now();
        let status = self.sessions.values().fold(self.status, |worst, session| {
            let status = session.stop.as_ref().map(|stop| stop.status);
            worst.worst(status.unwrap_or(ExitStatus::Failed))
        });
        let stopped = self.stopped(&sessions);
        let outcome = run_outcome(status);
        let end = RunEnd {
            at: finished_at,
            outcome,
            exit_code: Some(status.code()),
        };
        checkpoint("run ends");
        store.finish_run(&self.id, &totals(&sessions, n_due), &end)?;
        log::info!("run {} ended: {outcome}", self.id);
        Ok(RunFacts {
            run_id: self.id,
            command: self.command,
            trigger: self.trigger,
            outcome,
            status,
            started_at: self.started_at,
            finished_at,
            sessions,
            offline: self.offline,
            stopped,
            moved_refs: self.moved_refs,
            holds: self.holds,
            removed: self.removed,
            spent: self.spent,
        })
    }

    /// Records the size of the cache and the disk use after changes. A failure here does not
    /// fail the run.
    fn note_sizes(&self, sessions: &[Session]) {
        let services = self.services;
        let has_fetched = sessions.iter().any(|it| it.progress.bytes.fetched > 0);
        if self.command != RunCommand::Verify && (has_fetched || !self.removed.is_empty()) {
            let noted = note_cache_size(&services.store, &services.settings, services.host.now());
            noted.unwrap_or_else(|err| log::warn!("{err:#}"));
        }
        if self.command != RunCommand::Prune
            && let Err(err) = sample_disk(services, sessions)
        {
            log::warn!("could not sample the disk use: {err:#}");
        }
    }
}

/// Checks the database once a day; `status` shows damage. A failure here does not fail the run.
fn check_database(store: &Store, now: Timestamp) {
    match store.check_daily(now) {
        Ok(Some(IntegrityCheck {
            damage: Some(damage),
            ..
        })) => log::error!("{}", store.damaged(damage)),
        Ok(_) => {}
        Err(err) => log::warn!("could not check the database: {err}"),
    }
}
