//! One run of this process: its row in the database, its log file, its sessions.
//!
//! What `run-due`, `download` and `verify` have in common lies here: they hold
//! the lock of the home, open a session for each target, fetch through the same
//! engine, and close each session once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Error, Result};

use super::dead_ends;
use super::deadline_thread::{DeadlineThread, TimeLimits};
use super::download::cache_choice;
use super::engine::engine_options;
use super::places::Places;
use super::records::{
    add_up, hung_end, is_still_there, news_of, published_before, run_outcome, state_after,
    status_of,
};
use super::recover::recover;
use super::run_log::sweep_home;
use super::sync::{
    CacheChoice, Planned, Proofs, SyncEvent, SyncRequest, SyncResult, Syncer, Target, TargetId,
};
use super::watchdog::Watchdog;
use super::{ownership, rate_limits, retention};
use crate::cache::CacheLayout;
use crate::domain::model::{Destination, EntryName};
use crate::domain::outcome::{ExitStatus, Outcome, RunOutcome, Trigger};
use crate::domain::repo::Repo;
use crate::domain::run::{Event, EventKind, RunCommand, RunEnd, RunId, RunStart};
use crate::domain::schedule::{RateTable, ScheduleId};
use crate::domain::session::{Session, SessionEnd, SessionId, SessionProgress, SessionStart};
use crate::domain::settings::Settings;
use crate::domain::time::{Timestamp, whole_seconds};
use crate::domain::units::{ByteSize, Seconds};
use crate::hub::HubClient;
use crate::store::Store;
use crate::sys::host::{Host, checkpoint};
use crate::sys::logging;
use crate::sys::paths::Home;
use crate::sys::pause::Stopwatch;
use crate::sys::stop::{StopFlag, StopReason};
use crate::xet::XetStorage;

pub use super::run_log::start_log;

/// What a run works with, whatever its command.
#[derive(Clone, Copy)]
pub struct Tools<'a> {
    pub host: &'a Host,
    pub home: &'a Home,
    pub store: &'a Store,
    pub settings: &'a Settings,
    pub hub: &'a HubClient,
    /// `None` when Xet storage is not to be used.
    pub xet: Option<&'a XetStorage>,
    pub stop: &'a StopFlag,
}

/// How much a run may use.
#[derive(Clone, Debug, Default)]
pub struct Bounds {
    pub max_duration: Option<Seconds>,
    pub max_transfer: Option<ByteSize>,
    pub limit_rate: Option<RateTable>,
}

/// A run that has begun.
pub struct Run<'a> {
    pub tools: Tools<'a>,
    command: RunCommand,
    trigger: Trigger,
    id: RunId,
    started_at: Timestamp,
    entries: Vec<Entry>,
    /// The entries of targets that the syncer is working on.
    syncing: BTreeMap<TargetId, usize>,
    places: Arc<Places>,
    /// Places that this run has written down already.
    remembered: BTreeSet<Destination>,
    offline: BTreeSet<SessionId>,
    /// What the run comes to at best, whatever becomes of its targets.
    at_best: ExitStatus,
    last_beat: Stopwatch,
    watchdog: Watchdog,
    /// The first thing that could not be written down.
    problem: Option<Error>,
    /// The cache, as this home writes to it.
    cache: CacheLayout,
    /// The repositories in the cache of which a download has come to its end.
    whole: BTreeSet<Repo>,
}

/// One target and its session.
struct Entry {
    target: Arc<Target>,
    session: SessionId,
    status: Option<ExitStatus>,
}

/// A target for which a session is to be opened.
#[derive(Clone, Debug)]
pub struct Opening {
    pub target: Arc<Target>,
    /// The schedule that asked for it, and the slot that it serves.
    pub slot: Option<(ScheduleId, EntryName, Timestamp)>,
}

/// Whether the end of a session is in the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Record {
    Written,
    /// The next start will take the session for one that crashed.
    Lost,
}

/// What a run came to.
#[derive(Clone, Debug)]
pub struct RunReport {
    pub run_id: RunId,
    pub trigger: Trigger,
    pub outcome: RunOutcome,
    pub status: ExitStatus,
    pub started_at: Timestamp,
    pub finished_at: Timestamp,
    pub sessions: Vec<Session>,
    /// The sessions in which this machine had no network.
    pub offline: BTreeSet<SessionId>,
}

impl<'a> Run<'a> {
    /// Begins a run; the lock of the home is held by the caller.
    pub fn begin(tools: Tools<'a>, command: RunCommand, trigger: Trigger) -> Result<Self> {
        recover(tools.store, tools.host.now())?;
        let at = tools.host.precise_now();
        let started_at = whole_seconds(at);
        let start = RunStart {
            command,
            trigger,
            process: super::lock::this_process(tools.host),
            at,
        };
        let id = tools.store.start_run(&start)?;
        tools.store.wait_for_writers(tools.stop)?;
        checkpoint("run started");
        start_log(tools.home, &id, started_at);
        let watchdog = Watchdog::start(tools.host, tools.home, &id, tools.stop);
        sweep_home(tools.home);
        retention::prune_logs(tools.home, tools.settings.keep_logs(), started_at);
        Ok(Self {
            tools,
            command,
            trigger,
            id,
            started_at,
            entries: Vec::new(),
            syncing: BTreeMap::new(),
            places: Arc::new(Places::load(tools.store, tools.settings)?),
            remembered: BTreeSet::new(),
            offline: BTreeSet::new(),
            at_best: ExitStatus::Ok,
            last_beat: Stopwatch::start(),
            watchdog,
            problem: None,
            cache: ownership::cache_of(
                tools.settings,
                &ownership::identity(tools.host, tools.home, tools.store)?,
            ),
            whole: BTreeSet::new(),
        })
    }

    pub fn id(&self) -> &RunId {
        &self.id
    }

    /// Notes trouble that belongs to no target.
    pub fn is_no_better_than(&mut self, status: ExitStatus) {
        self.at_best = self.at_best.worst(status);
    }

    /// Opens a session for each of some targets and returns their numbers. What
    /// a schedule asked for and a person has removed meanwhile gets none.
    pub fn open(&mut self, openings: Vec<Opening>) -> Result<Vec<Option<usize>>> {
        let at = self.tools.host.now();
        for opening in &openings {
            ownership::prepare(self.tools.store, &self.cache, &opening.target);
        }
        let entries = self
            .tools
            .store
            .transaction(|store| -> Result<Vec<Option<Entry>>> {
                let open = |opening: Opening| {
                    if !is_still_there(store, &opening)? {
                        return Ok(None);
                    }
                    let Opening { target, slot } = opening;
                    let (model_id, model_name) = target.model.clone().unzip();
                    let (schedule_id, schedule_name, slot_at) = match slot {
                        Some((id, name, slot)) => (Some(id), Some(name), Some(slot)),
                        None => (None, None, None),
                    };
                    let session = store.open_session(&SessionStart {
                        run_id: self.id.clone(),
                        model_id,
                        model_name,
                        repo: target.repo.clone(),
                        revision: target.revision.clone(),
                        destination: target.destination.clone(),
                        schedule_id,
                        schedule_name,
                        slot_at,
                        trigger: self.trigger,
                        old_commit: published_before(self.tools.settings, &target),
                        at,
                    })?;
                    Ok(Some(Entry {
                        target,
                        session,
                        status: None,
                    }))
                };
                openings.into_iter().map(open).collect()
            })?;
        checkpoint("sessions opened");
        let number = |entry: Option<Entry>| {
            self.entries.push(entry?);
            Some(self.entries.len() - 1)
        };
        Ok(entries.into_iter().map(number).collect())
    }

    /// Returns the cache of this run, with the places that the home knows.
    pub fn cache_choice(&self) -> CacheChoice {
        CacheChoice {
            home: self.cache.home().cloned(),
            ..cache_choice(self.tools.host, self.tools.settings, self.places.clone())
        }
    }

    /// Returns the way for this run's targets, and the thread that enforces its limits of time.
    pub fn start_syncer(&self, bounds: &Bounds) -> Result<(Syncer<'a>, DeadlineThread)> {
        let host = self.tools.host;
        let options = engine_options(&self.tools, bounds);
        let choice = self.cache_choice();
        let reserve = self.tools.settings.disk_reserve();
        let proofs = Proofs::new(self.tools.store, host, self.id.clone());
        let syncer = Syncer::new(
            self.tools.hub,
            self.tools.xet,
            &choice,
            proofs,
            options,
            reserve,
        )?;
        let deadlines = DeadlineThread::start(host);
        let table = bounds.limit_rate.clone();
        deadlines.add(TimeLimits {
            limits: syncer.limits().clone(),
            lasts: bounds.max_duration,
            limit_rate: table.map(|table| (table, host.time_zone())),
            ..TimeLimits::default()
        });
        Ok((syncer, deadlines))
    }

    /// Hands a target to the syncer.
    pub fn sync(&mut self, syncer: &mut Syncer<'_>, index: usize, request: SyncRequest) {
        self.syncing.insert(syncer.add(request), index);
    }

    /// Hands a target that has a plan already to the syncer.
    pub fn sync_planned(
        &mut self,
        syncer: &mut Syncer<'_>,
        index: usize,
        request: SyncRequest,
        planned: Box<Planned>,
    ) {
        let id = syncer.add_planned(request, planned);
        self.syncing.insert(id, index);
    }

    /// Runs the syncer for a moment and returns the targets that have ended;
    /// writes the heartbeat and reads a request to stop.
    pub fn step(
        &mut self,
        syncer: &mut Syncer<'_>,
        show: &mut dyn FnMut(&SyncEvent),
    ) -> Vec<(usize, SyncResult)> {
        const WAIT: Duration = Duration::from_millis(100);
        let (mut ended, mut kept) = (Vec::new(), BTreeMap::new());
        for event in syncer.step(WAIT) {
            if !matches!(event, SyncEvent::Retrying { .. }) {
                self.watchdog.note_progress();
            }
            match event {
                SyncEvent::Ended { target, result } => ended.push((target, *result)),
                SyncEvent::ProgressSaved { target, progress } => {
                    kept.insert(target, progress);
                }
                other => show(&other),
            }
        }
        for (target, progress) in kept {
            if let Some(&index) = self.syncing.get(&target) {
                self.note(index, &progress);
            }
        }
        let ended = ended.into_iter().filter_map(|(target, result)| {
            let index = self.syncing.remove(&target)?;
            Some((index, result))
        });
        let ended = ended.collect();
        self.beat();
        ended
    }

    /// Leads everything in a syncer to its end; `alter` may change how one ends.
    pub fn lead(
        &mut self,
        mut syncer: Syncer<'_>,
        alter: &mut dyn FnMut(usize, SyncResult) -> SyncResult,
        show: &mut dyn FnMut(&SyncEvent),
    ) {
        while !syncer.is_idle() {
            for (index, end) in self.step(&mut syncer, show) {
                self.close(index, &alter(index, end));
            }
        }
    }

    /// Writes down how far a target has come: after a crash it tells that bytes were kept.
    fn note(&mut self, index: usize, progress: &SessionProgress) {
        let entry = &self.entries[index];
        let saved = self.tools.store.save_progress(entry.session, progress);
        let target = entry.target.clone();
        self.keep_problem(saved.map_err(Error::from));
        // Before the first revision is published there: the disk may be gone tomorrow.
        if target.model.is_some() && self.remembered.insert(target.destination.clone()) {
            let Tools { store, host, .. } = self.tools;
            let place = &target.destination;
            self.keep_problem(self.places.remember(store, place, None, host.now()));
        }
    }

    /// Notes that bytes came or were read: the run does not hang.
    pub fn note_progress(&mut self) {
        self.watchdog.note_progress();
        self.beat();
    }

    /// Says that the run is alive, and hears whether it is to stop; at most
    /// once a second.
    pub fn beat(&mut self) {
        const EVERY: Duration = Duration::from_secs(1);
        if self.last_beat.elapsed() < EVERY {
            return;
        }
        self.last_beat = Stopwatch::start();
        match self.tools.store.heartbeat(&self.id, self.tools.host.now()) {
            Ok(None) => {}
            Ok(Some(_)) => self.tools.stop.raise(StopReason::Terminated),
            // The next beat may find room; what has to be written down will tell.
            Err(err) => log::debug!("no heartbeat: {err}"),
        }
    }

    /// Closes the session of a target and writes down what is known of its model now.
    ///
    /// The bytes of others go on when that fails; the first such problem is
    /// told at the end of the run.
    pub fn close(&mut self, index: usize, end: &SyncResult) -> Record {
        self.watchdog.note_progress();
        let end = &*hung_end(end);
        let entry = &mut self.entries[index];
        entry.status = Some(status_of(end));
        self.offline.extend(end.is_offline.then_some(entry.session));
        let label = entry.target.label();
        if let Some(trouble) = &end.failure {
            log::warn!(target: logging::SESSION, "{label}: {}: {}", end.outcome, trouble.message);
        } else {
            log::info!("{label}: {}", end.outcome);
        }
        let written = self.write_down(index, end);
        let record = match &written {
            Ok(()) => Record::Written,
            Err(_) => Record::Lost,
        };
        self.keep_problem(written);
        checkpoint("session closed");
        self.note_success(index, end);
        record
    }

    fn note_success(&mut self, index: usize, end: &SyncResult) {
        let is_whole = matches!(
            end.outcome,
            Outcome::Updated | Outcome::UpToDate | Outcome::Repaired
        );
        if is_whole {
            let target = &self.entries[index].target;
            let commit = end.progress.new_commit.as_ref();
            ownership::note_success(self.tools.store, &self.cache, target, end.outcome, commit);
            if target.destination == Destination::Cache {
                self.whole.insert(target.repo.clone());
            }
        }
    }

    fn write_down(&self, index: usize, end: &SyncResult) -> Result<()> {
        let Entry {
            target, session, ..
        } = &self.entries[index];
        let now = self.tools.host.now();
        self.tools.store.transaction(|store| -> Result<()> {
            // A person may have removed it since the session was opened.
            let model = match &target.model {
                Some((id, _)) => store.model_by_id(*id)?,
                None => None,
            };
            for file in &end.files {
                store.save_session_file(*session, file)?;
            }
            for (from, to) in &end.named {
                store.copy_proof(from, to)?;
            }
            for path in &end.moved {
                store.forget_blob(path)?;
            }
            let close = SessionEnd {
                at: now,
                outcome: end.outcome,
                verify_outcome: end.verify_outcome,
                trouble: end.failure.clone(),
            };
            store.finish_session(*session, &end.progress, &close)?;
            for detail in &end.abandoned_deltas {
                store.record_event(&Event {
                    at: now,
                    kind: EventKind::DeltaAbandoned,
                    model_id: model.as_ref().map(|model| model.id),
                    run_id: Some(self.id.clone()),
                    detail: detail.clone(),
                })?;
            }
            // A verification does not ask for news upstream, so its end says
            // nothing about the model's last check or success.
            if let (Some(word), Some(model)) = (end.verify_outcome, &model) {
                let state = model.state.after_verification(word, now);
                store.save_model_state(model.id, &state)?;
            }
            if self.command != RunCommand::Verify
                && let Some(model) = &model
            {
                let id = model.id;
                let mut state = state_after(model, end, now);
                if let Some(needs_token) = self.tools.hub.needs_token(&target.repo) {
                    state.needs_token = needs_token;
                }
                if let Some(commit) = &state.published_commit
                    && state.published_commit != model.state.published_commit
                {
                    store.save_revision(id, commit, now)?;
                }
                for (kind, detail) in news_of(model, &state, end) {
                    store.record_event(&Event {
                        at: now,
                        kind,
                        model_id: Some(id),
                        run_id: Some(self.id.clone()),
                        detail,
                    })?;
                }
                store.save_model_state(id, &state)?;
            }
            if let Some(model) = &model {
                let (places, to) = (&self.places, &target.destination);
                places.remember_end(store, to, model.id, &end.progress, now)?;
            }
            Ok(())
        })
    }

    /// Goes on after something could not be written down; the first is told at the end.
    pub fn keep_problem(&mut self, result: Result<()>) {
        let Err(err) = result else {
            return;
        };
        let text = format!("{err:#}");
        let first = self.problem.get_or_insert(err);
        // A disk that is full refuses everything, and is told of once.
        match format!("{first:#}") == text {
            true => log::error!(target: logging::SESSION, "{text}"),
            false => log::error!("{text}"),
        }
    }

    /// Lets go of what is old; what arrived is published, whatever becomes of that.
    fn let_go(&self) {
        let targets = self.entries.iter().map(|entry| &*entry.target);
        let let_go = retention::newly_published(self.tools.store, targets).and_then(|moved| {
            let now = self.tools.host.now();
            retention::after_run(&self.tools, &moved, self.whole.clone(), now)
        });
        if let Err(err) = let_go {
            log::warn!("could not let go of what is old: {err:#}");
        }
    }

    /// Ends the run; each of its sessions has been closed.
    pub fn end(mut self, n_due: u64) -> Result<RunReport> {
        let store = self.tools.store;
        if self.command != RunCommand::Verify {
            self.let_go();
        }
        let remembered = rate_limits::remember(store, self.tools.hub, self.tools.host.now());
        self.keep_problem(remembered);
        if let Some(xet) = self.tools.xet {
            let now = self.tools.host.now();
            let remembered = dead_ends::remember(store, self.tools.hub, xet, now);
            self.keep_problem(remembered);
        }
        if let Some(problem) = self.problem {
            return Err(problem);
        }
        let sessions = self.entries.iter();
        let sessions = sessions
            .map(|entry| Ok(store.session(entry.session)?))
            .collect::<Result<Vec<Session>>>()?;
        let finished_at = self.tools.host.now();
        let status = self.entries.iter().fold(self.at_best, |worst, entry| {
            worst.worst(entry.status.unwrap_or(ExitStatus::Failed))
        });
        let outcome = run_outcome(status);
        let end = RunEnd {
            at: finished_at,
            outcome,
            exit_code: Some(status.code()),
        };
        checkpoint("run ends");
        store.finish_run(&self.id, &add_up(&sessions, n_due), &end)?;
        log::info!("run {} ended: {outcome}", self.id);
        Ok(RunReport {
            run_id: self.id,
            trigger: self.trigger,
            outcome,
            status,
            started_at: self.started_at,
            finished_at,
            sessions,
            offline: self.offline,
        })
    }
}
