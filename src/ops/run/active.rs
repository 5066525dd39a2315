//! A run while it is active: its row, its log, its sessions and its syncer.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Error, Result};

use super::close_crashed_runs;
use super::engine_options::{engine_options, gate_program};
use super::home_files::{remove_unfinished_copies, start_log};
use super::result::{
    exit_status, idle_as_failure, naming_allowance, naming_moved_ref, run_outcome, totals,
};
use super::room::RoomAttempts;
use super::watchdog::Watchdog;
use crate::cache::CacheLayout;
use crate::domain::adopt::AdoptedFiles;
use crate::domain::alert::RunFacts;
use crate::domain::allowance::AllowanceRule;
use crate::domain::hold::Hold;
use crate::domain::model::{Destination, EntryName, ModelId};
use crate::domain::moved_ref::MovedRef;
use crate::domain::outcome::{Effect, ExitStatus, Outcome, Trigger};
use crate::domain::repo::Repo;
use crate::domain::retention::Removal;
use crate::domain::run::{RunCommand, RunEnd, RunId, RunStart};
use crate::domain::schedule::{RateTable, ScheduleId};
use crate::domain::session::{Session, SessionId, SessionProgress, SessionStart};
use crate::domain::time::{Timestamp, whole_seconds};
use crate::domain::units::{ByteSize, Seconds};
use crate::download::{LimitGroup, TransferBudget};
use crate::ops::allowances::Accounts;
use crate::ops::deadline_thread::{DeadlineThread, TimeLimits};
use crate::ops::download::cache_choice;
use crate::ops::lock::this_process;
use crate::ops::login::save_refused_logins;
use crate::ops::places::Places;
use crate::ops::report::sample_disk;
use crate::ops::retention::{self, UpstreamNews, note_cache_size};
use crate::ops::services::Services;
use crate::ops::sync::{
    CacheChoice, Planned, Proofs, SyncEvent, SyncRequest, SyncResult, Syncer, Target, TargetId,
};
use crate::ops::{adopt, dead_ends, ownership, rate_limits};
use crate::store::Store;
use crate::sys::host::checkpoint;
use crate::sys::logging;
use crate::sys::pause::Stopwatch;
use crate::sys::stop::StopReason;

/// A programming error: every command starts the syncer before it adds targets.
const NO_SYNCER: &str = "the syncer of the run was not started";

/// The limits of a run.
#[derive(Clone, Debug, Default)]
pub struct Bounds {
    pub max_duration: Option<Seconds>,
    pub max_transfer: Option<ByteSize>,
    pub limit_rate: Option<RateTable>,
    /// Bytes may go beyond the allowances, which count them all the same.
    pub ignores_allowances: bool,
}

/// A run between its begin and its end.
pub struct ActiveRun<'a> {
    pub services: &'a Services<'a>,
    pub(super) command: RunCommand,
    trigger: Trigger,
    pub(super) id: RunId,
    started_at: Timestamp,
    sessions: BTreeMap<SessionId, OpenSession>,
    syncer: Option<RunningSyncer<'a>>,
    accounts: Accounts,
    pub(super) places: Arc<Places>,
    /// Destinations that this run has recorded already.
    recorded_places: BTreeSet<Destination>,
    /// Sessions in which this machine had no network.
    offline: BTreeSet<SessionId>,
    /// Moved refs that no earlier run has found.
    moved_refs: BTreeMap<SessionId, MovedRef>,
    /// Updates that are held.
    holds: BTreeMap<SessionId, Hold>,
    /// The exit status so far, apart from the sessions.
    status: ExitStatus,
    last_heartbeat: Stopwatch,
    since_start: Stopwatch,
    /// `None` for a command that reports no progress.
    watchdog: Option<Watchdog>,
    first_error: Option<Error>,
    pub(super) cache: CacheLayout,
    /// Repositories in the cache of which a sync has succeeded.
    synced_repos: BTreeSet<Repo>,
    upstream_news: UpstreamNews,
    /// Revisions and leftovers that were removed to make room.
    pub(super) removed: Vec<Removal>,
    pub(super) room: RoomAttempts,
}

/// A target and its session.
struct OpenSession {
    target: Arc<Target>,
    /// The limits of its files, from the start of its sync.
    limits: Option<LimitGroup>,
    /// The ref of the model before the sync, if it was not at the published commit.
    moved_ref: Option<MovedRef>,
    /// `None` until the session is closed.
    status: Option<ExitStatus>,
}

/// The syncer of a run, with the thread that applies limits of time.
struct RunningSyncer<'a> {
    syncer: Syncer<'a>,
    deadlines: DeadlineThread,
    sessions: BTreeMap<TargetId, SessionId>,
}

/// A target for which a session is to be opened.
#[derive(Clone, Debug)]
pub struct Opening {
    pub target: Arc<Target>,
    /// The schedule and the slot that the session serves.
    pub slot: Option<(ScheduleId, EntryName, Timestamp)>,
    /// Whether the commit of the target is only verified, whatever its ref names.
    pub is_verification: bool,
}

impl Opening {
    pub fn without_slot(target: Arc<Target>) -> Self {
        Self {
            target,
            slot: None,
            is_verification: false,
        }
    }

    pub fn of_verification(target: Arc<Target>) -> Self {
        Self {
            is_verification: true,
            ..Self::without_slot(target)
        }
    }
}

impl<'a> ActiveRun<'a> {
    /// Begins a run; the caller holds the lock of the home.
    pub fn begin(
        services: &'a Services<'a>,
        command: RunCommand,
        trigger: Trigger,
    ) -> Result<Self> {
        let Services {
            host,
            home,
            store,
            settings,
            ..
        } = services;
        close_crashed_runs(store, host.now())?;
        let at = host.precise_now();
        let started_at = whole_seconds(at);
        let id = store.start_run(&RunStart {
            command,
            trigger,
            process: this_process(host),
            at,
        })?;
        store.wait_for_writers(&services.stop)?;
        checkpoint("run started");
        start_log(home, &id, started_at);
        let mut watchdog = None;
        if command != RunCommand::Prune {
            watchdog = Some(Watchdog::start(host, home, &id, &services.stop));
            remove_unfinished_copies(home);
            retention::prune_logs(store, home, settings.keep_logs(), started_at)?;
        }
        let identity = ownership::identity(host, home, store)?;
        let run = Self {
            services,
            command,
            trigger,
            id,
            started_at,
            sessions: BTreeMap::new(),
            syncer: None,
            accounts: Accounts::default(),
            places: Arc::new(Places::load(store, settings)?),
            recorded_places: BTreeSet::new(),
            offline: BTreeSet::new(),
            moved_refs: BTreeMap::new(),
            holds: BTreeMap::new(),
            status: ExitStatus::Ok,
            last_heartbeat: Stopwatch::start(),
            since_start: Stopwatch::start(),
            watchdog,
            first_error: None,
            cache: ownership::cache_of(settings, &identity),
            synced_repos: BTreeSet::new(),
            upstream_news: UpstreamNews::default(),
            removed: Vec::new(),
            room: RoomAttempts::default(),
        };
        if matches!(command, RunCommand::RunDue | RunCommand::Download) {
            run.prepare_views();
        }
        Ok(run)
    }

    pub fn id(&self) -> &RunId {
        &self.id
    }

    pub fn started_at(&self) -> Timestamp {
        self.started_at
    }

    /// Makes the exit status of the run at least as bad as this one.
    pub fn note_status(&mut self, status: ExitStatus) {
        self.status = self.status.worst(status);
    }

    /// Returns the cache of this run, with the places that the home knows.
    pub fn cache_choice(&self) -> CacheChoice {
        let Services { host, settings, .. } = self.services;
        CacheChoice {
            home: self.cache.home().cloned(),
            ..cache_choice(host, settings, self.places.clone())
        }
    }

    /// Opens a session for each target and returns the ids in the same order. A
    /// model or schedule that a person has removed meanwhile has no session.
    pub fn open(&mut self, openings: Vec<Opening>) -> Result<Vec<Option<SessionId>>> {
        let store = &self.services.store;
        let at = self.services.host.now();
        for opening in &openings {
            ownership::prepare(store, &self.cache, &opening.target);
        }
        let ids = store.transaction(|store| -> Result<Vec<Option<SessionId>>> {
            let ids = openings.iter().map(|opening| {
                let is_present = is_still_there(store, opening)?;
                let start = is_present.then(|| self.session_start(opening, at));
                Ok(start.map(|start| store.open_session(&start)).transpose()?)
            });
            ids.collect()
        })?;
        checkpoint("sessions opened");
        for (id, opening) in ids.iter().zip(openings) {
            let session = OpenSession {
                moved_ref: if opening.is_verification {
                    None
                } else {
                    self.moved_ref(&opening.target)
                },
                target: opening.target,
                limits: None,
                status: None,
            };
            self.sessions.extend(id.map(|id| (id, session)));
        }
        Ok(ids)
    }

    fn session_start(&self, opening: &Opening, at: Timestamp) -> SessionStart {
        let Opening { target, slot, .. } = opening;
        let (model_id, model_name) = target.model.clone().unzip();
        let slot = slot.as_ref();
        SessionStart {
            run_id: self.id.clone(),
            model_id,
            model_name,
            repo: target.repo.clone(),
            revision: target.revision.clone(),
            destination: target.destination.clone(),
            schedule_id: slot.map(|(id, ..)| *id),
            schedule_name: slot.map(|(_, name, _)| name.clone()),
            slot_at: slot.map(|(.., slot_at)| *slot_at),
            trigger: self.trigger,
            old_commit: super::result::published_before(&self.services.settings, target),
            at,
        }
    }

    /// Starts the syncer; the limits count from now.
    pub fn start_syncer(&mut self, bounds: &Bounds) -> Result<()> {
        let services = self.services;
        let network = services.network()?;
        let (accounts, allowance) = Accounts::open(services, bounds.ignores_allowances)?;
        self.accounts = accounts;
        let options = engine_options(services, bounds, allowance);
        let adopted = adopt::adopted_files(&services.store)?;
        self.note_error(adopt::finish_moves(&services.store, &self.cache, &adopted));
        let proofs = Proofs::new(&services.store, services.host, self.id.clone());
        let updates = matches!(self.command, RunCommand::RunDue | RunCommand::Download);
        let clients = if updates {
            network.clients.counted()
        } else {
            network.clients.clone()
        };
        let mut syncer = Syncer::new(
            &clients,
            network.xet.as_ref(),
            &CacheChoice {
                adopted: Arc::new(AdoptedFiles::new(adopted)),
                ..self.cache_choice()
            },
            proofs,
            options,
            &services.settings,
        )?;
        if let Some(gate) = gate_program(services, &self.id).filter(|_| updates) {
            syncer.use_gate(gate);
        }
        let deadlines = DeadlineThread::start(services.host);
        let table = bounds.limit_rate.clone();
        deadlines.add(TimeLimits {
            limits: syncer.limits().clone(),
            lasts: bounds.max_duration,
            limit_rate: table.map(|table| (table, services.host.time_zone())),
            ..TimeLimits::default()
        });
        self.syncer = Some(RunningSyncer {
            syncer,
            deadlines,
            sessions: BTreeMap::new(),
        });
        Ok(())
    }

    /// Tells whether the run has a session of a model.
    pub fn has_synced(&self, model: ModelId) -> bool {
        let mut targets = self.sessions.values().map(|session| &session.target);
        targets.any(|target| target.model.as_ref().is_some_and(|(id, _)| *id == model))
    }

    pub fn has_syncer(&self) -> bool {
        self.syncer.is_some()
    }

    /// Returns the limits of the run, which begin with its syncer.
    pub fn limits(&self) -> Result<LimitGroup> {
        let running = self.syncer.as_ref().context(NO_SYNCER)?;
        Ok(running.syncer.limits().clone())
    }

    /// Returns the budget of an allowance, which limits the files of the groups that have it.
    pub fn allowance(&mut self, rule: AllowanceRule) -> Result<Arc<TransferBudget>> {
        let Services { store, host, .. } = self.services;
        self.accounts.budget(store, rule, host.now())
    }

    /// Adds the allowances of a model's tags to the limits of its files.
    fn limits_with_tags(&mut self, limits: &LimitGroup, target: &Target) -> Result<LimitGroup> {
        let Services { store, host, .. } = self.services;
        let budgets = match &target.model {
            Some((id, _)) => self.accounts.budgets_of_tags(store, *id, host.now())?,
            None => Vec::new(),
        };
        if budgets.is_empty() {
            return Ok(limits.clone());
        }
        Ok(limits.child(None).with_allowances(budgets))
    }

    /// Applies limits of time to some targets of this run.
    pub fn add_time_limits(&self, limits: TimeLimits) {
        if let Some(running) = &self.syncer {
            running.deadlines.add(limits);
        }
    }

    /// Waits until the Hub's rate limits allow requests again. If the run has to
    /// end before that, its targets end without a request.
    pub fn wait_for_rate_limits(&mut self) -> Result<()> {
        let may_ask = rate_limits::wait_out(self.services, &mut || self.heartbeat())?;
        if let Some(running) = self.syncer.as_mut().filter(|_| !may_ask) {
            running.syncer.expect_no_answer();
        }
        Ok(())
    }

    /// Gives the target of a session to the syncer, with its plan if that exists already.
    pub fn sync(
        &mut self,
        session: SessionId,
        mut request: SyncRequest,
        plan: Option<Box<Planned>>,
    ) -> Result<()> {
        request.limits = self.limits_with_tags(&request.limits, &request.target)?;
        if let Some(open) = self.sessions.get_mut(&session) {
            open.limits = Some(request.limits.clone());
        }
        let running = self.syncer.as_mut();
        let running = running.context(NO_SYNCER)?;
        let target = match plan {
            Some(planned) => running.syncer.add_planned(request, planned),
            None => running.syncer.add(request),
        };
        running.sessions.insert(target, session);
        Ok(())
    }

    /// Tells whether the syncer has targets left.
    pub fn is_syncing(&self) -> bool {
        let running = self.syncer.as_ref();
        running.is_some_and(|running| !running.syncer.is_idle())
    }

    /// Lets the syncer work for a moment, and returns the targets that ended. The
    /// run gives its heartbeat and notices a request to stop.
    pub fn step(&mut self, show: &mut dyn FnMut(&SyncEvent)) -> Vec<(SessionId, Box<SyncResult>)> {
        const WAIT: Duration = Duration::from_millis(100);
        let Some(mut running) = self.syncer.take() else {
            return Vec::new();
        };
        let (mut ended, mut saved, mut short) = (Vec::new(), BTreeMap::new(), Vec::new());
        for event in running.syncer.step(WAIT) {
            show(&event);
            if !matches!(event, SyncEvent::Waiting { .. }) {
                self.note_progress();
            }
            match event {
                SyncEvent::Ended { target, result } => {
                    if let Some(session) = running.sessions.remove(&target) {
                        saved.remove(&session);
                        ended.push((session, result));
                    }
                }
                SyncEvent::Short { target, missing } => short.push((target, missing)),
                SyncEvent::FetchPlanned { .. } => self.accounts.begin_fetching(),
                SyncEvent::ProgressSaved { target, progress } => {
                    if let Some(session) = running.sessions.get(&target) {
                        saved.insert(*session, progress);
                    }
                }
                _ => {}
            }
        }
        if running.syncer.is_gating() {
            // Its own time limit ends a gate that hangs.
            self.note_progress();
        }
        for (target, missing) in short {
            self.settle_short(&mut running.syncer, target, missing);
        }
        self.syncer = Some(running);
        self.keep_accounts();
        for (session, progress) in saved {
            self.save_progress(session, &progress);
        }
        self.heartbeat();
        ended
    }

    /// Records received bytes for the allowances. Without the record no further bytes are
    /// granted, and the next attempt is a moment away: the disk may be full for a moment.
    fn keep_accounts(&mut self) {
        let Services { store, host, .. } = self.services;
        if let Err(err) = self
            .accounts
            .keep(store, host.now(), self.since_start.elapsed())
        {
            log::debug!("cannot record received bytes: {err:#}");
        }
    }

    /// Records how far a target has come, for the case that the run crashes.
    fn save_progress(&mut self, session: SessionId, progress: &SessionProgress) {
        let Services { store, host, .. } = self.services;
        let saved = store.save_progress(session, progress);
        self.note_error(saved.map_err(Error::from));
        let Some(OpenSession { target, .. }) = self.sessions.get(&session) else {
            return;
        };
        // Before the first revision is published there: the disk may be gone tomorrow.
        let place = &target.destination;
        if target.model.is_some() && self.recorded_places.insert(place.clone()) {
            let recorded = self.places.remember(store, place, None, host.now());
            self.note_error(recorded);
        }
    }

    /// Tells the watchdog that the run does not hang.
    pub fn note_progress(&self) {
        if let Some(watchdog) = &self.watchdog {
            watchdog.note_progress();
        }
    }

    /// Updates the heartbeat and reads whether the run was asked to stop; at most
    /// once a second.
    pub fn heartbeat(&mut self) {
        const EVERY: Duration = Duration::from_secs(1);
        if self.last_heartbeat.elapsed() < EVERY {
            return;
        }
        self.last_heartbeat = Stopwatch::start();
        let Services { store, host, .. } = self.services;
        match store.heartbeat(&self.id, host.now()) {
            Ok(None) => {}
            Ok(Some(_)) => self.services.stop.raise(StopReason::Terminated),
            // The disk may be full for a moment; records that matter report their own errors.
            Err(err) => log::debug!("no heartbeat: {err}"),
        }
    }

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
        session.status = Some(exit_status(result));
        let target = session.target.clone();
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

    /// Ends the run; each of its sessions has been closed.
    pub fn end(mut self, n_due: u64) -> Result<RunFacts> {
        let services = self.services;
        let (store, host) = (&services.store, services.host);
        if matches!(self.command, RunCommand::RunDue | RunCommand::Download) {
            self.prune();
        }
        let recorded = self.accounts.close(store, host.now());
        self.note_error(recorded);
        if let Some(network) = services.connected() {
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
        if let Some(err) = self.first_error {
            return Err(err);
        }
        let ids = self.sessions.keys();
        let sessions: Vec<Session> = ids
            .map(|id| Ok(store.session(*id)?))
            .collect::<Result<_>>()?;
        if self.command != RunCommand::Verify
            && (sessions.iter().any(|it| it.progress.bytes.fetched > 0) || !self.removed.is_empty())
        {
            let noted = note_cache_size(store, &services.settings, host.now());
            noted.unwrap_or_else(|err| log::warn!("{err:#}"));
        }
        let finished_at = host.now();
        let status = self.sessions.values().fold(self.status, |worst, session| {
            worst.worst(session.status.unwrap_or(ExitStatus::Failed))
        });
        if self.command != RunCommand::Prune
            && let Err(err) = sample_disk(services, &sessions)
        {
            log::warn!("could not sample the disk use: {err:#}");
        }
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
            moved_refs: self.moved_refs,
            holds: self.holds,
            removed: self.removed,
        })
    }
}

/// Tells whether the schedule and the model of an opening still exist.
fn is_still_there(store: &Store, opening: &Opening) -> Result<bool> {
    let Some((schedule, ..)) = &opening.slot else {
        return Ok(true);
    };
    let model = opening.target.model.as_ref();
    Ok(store.has_schedule(*schedule)? && model.map_or(Ok(true), |(id, _)| store.has_model(*id))?)
}
