//! The syncer: the table of targets with their states, and the loop that moves
//! them on. Each state has a module of its own.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Error, Result};

use super::cache_room::CacheRoom;
use super::check::Planned;
use super::checking::Checker;
use super::file_fetch::FileFetch;
use super::gating::Gate;
use super::importing::Importing;
use super::local_reads::LocalReads;
use super::preflight::{Need, NeedPlace, PromisedBytes, refuse_unfit_plan};
use super::proofs::Proofs;
use super::proving::{FileKey, Proving};
use super::readers::{ReadId, Readers};
use super::reading::ReadPurpose;
use super::result::{SyncEvent, SyncResult};
use super::target::{CacheChoice, SyncRequest, TargetId};
use super::target_sync::{SyncRecord, TargetSync};
use crate::cache::CacheLayout;
use crate::domain::allowance::BLOCK;
use crate::domain::settings::Settings;
use crate::domain::units::ByteSize;
use crate::download::{Engine, EngineOptions, FileId, LimitGroup};
use crate::ops::diagnose::trouble_of;
use crate::ops::login::HubClients;
use crate::sys::host::checkpoint;
use crate::sys::pause::Stopwatch;
use crate::sys::stop::StopReason;
use crate::xet::XetStorage;

/// Plans wait this long for those of other targets, so that small targets come
/// before large ones, and a nearly full disk goes to the first in queue order.
const PLAN_WAIT: Duration = Duration::from_secs(2);

/// After the end of the time budget, a check may still answer that nothing is
/// left to do. It gets this long.
const LAST_ANSWER_WAIT: Duration = Duration::from_secs(1);

/// Synchronises many targets at a time; targets can be added at any time.
pub struct Syncer<'a> {
    pub(super) targets: BTreeMap<TargetId, TargetEntry>,
    n_targets: usize,
    /// Files that are fetched, each once for all targets that want it.
    pub(super) files: BTreeMap<FileId, FileFetch>,
    /// The files above by the path of their evidence: one content in one folder has one.
    pub(super) by_evidence: HashMap<Arc<Path>, FileId>,
    /// Files that the engine has started: their partial files grow.
    pub(super) started: BTreeSet<FileId>,
    /// Bytes that targets have still to write, without those of started files.
    pub(super) promised: PromisedBytes,
    /// Events that the caller has not received yet.
    pub(super) events: Vec<SyncEvent>,
    pub(super) checker: Checker,
    pub(super) readers: Readers,
    /// Files that are being read: the purpose, and the name in messages.
    pub(super) reads: BTreeMap<ReadId, (ReadPurpose, Arc<str>)>,
    pub(super) proofs: Proofs<'a>,
    pub(super) proofs_in_progress: BTreeSet<FileKey>,
    pub(super) gate: Gate,
    pub(super) engine: Engine,
    pub(super) clients: HubClients,
    pub(super) xet: Option<XetStorage>,
    pub(super) cache: CacheLayout,
    pub(super) reserve: ByteSize,
    /// `None`: the cache may grow as the disk allows.
    cache_room: Option<CacheRoom>,
    /// Limits of the run; those of the targets are the same or below them.
    pub(super) limits: LimitGroup,
    /// Running since the first plan became ready.
    pub(super) first_plan_ready: Stopwatch,
    /// Running since the end of the time budget.
    time_is_up: Option<Stopwatch>,
    waits_for_last_answer: bool,
    /// Targets whose progress has changed since the last `ProgressSaved`, and the time
    /// since then.
    pub(super) with_progress: BTreeSet<TargetId>,
    saved_at: Stopwatch,
    /// Running since the last retry of files and commits that other processes had.
    pub(super) retried_at: Stopwatch,
}

/// A target that has not ended.
pub(super) struct TargetEntry {
    pub(super) request: SyncRequest,
    pub(super) state: TargetState,
}

pub(super) enum TargetState {
    Checking(LocalReads),
    Proving(Proving),
    /// The plan waits for its turn.
    Ready(Box<Planned>),
    /// The plan does not fit, and waits for room.
    Short(Box<Planned>, Error),
    Importing(Importing),
    Fetching(TargetSync),
    /// The gate checks the snapshot.
    Gating(TargetSync),
    /// Another process was publishing the same commit at the last attempt.
    Publishing {
        sync: TargetSync,
        busy_since: Stopwatch,
    },
}

impl TargetEntry {
    /// Returns the plan, once there is one.
    pub(super) fn planned(&self) -> Option<&Planned> {
        match &self.state {
            TargetState::Checking(_) | TargetState::Proving(_) => None,
            TargetState::Ready(planned) | TargetState::Short(planned, _) => Some(planned),
            TargetState::Importing(importing) => Some(importing.planned()),
            TargetState::Fetching(sync)
            | TargetState::Gating(sync)
            | TargetState::Publishing { sync, .. } => Some(sync.planned()),
        }
    }
}

impl<'a> Syncer<'a> {
    pub fn new(
        clients: &HubClients,
        xet: Option<&XetStorage>,
        choice: &CacheChoice,
        proofs: Proofs<'a>,
        options: EngineOptions,
        settings: &Settings,
    ) -> Result<Self> {
        let bad = proofs.bad_files()?;
        Ok(Self {
            targets: BTreeMap::new(),
            n_targets: 0,
            files: BTreeMap::new(),
            by_evidence: HashMap::new(),
            started: BTreeSet::new(),
            promised: PromisedBytes::default(),
            events: Vec::new(),
            checker: Checker::new(clients, xet, choice, bad),
            readers: Readers::new(),
            reads: BTreeMap::new(),
            proofs,
            proofs_in_progress: BTreeSet::new(),
            gate: Gate::default(),
            limits: options.limits.clone(),
            engine: Engine::start(options),
            clients: clients.clone(),
            xet: xet.cloned(),
            cache: choice.layout(),
            reserve: settings.disk_reserve(),
            cache_room: settings
                .cache_max_size()
                .map(|max| CacheRoom::new(choice.layout().root().to_path_buf(), max)),
            first_plan_ready: Stopwatch::start(),
            time_is_up: None,
            waits_for_last_answer: true,
            with_progress: BTreeSet::new(),
            saved_at: Stopwatch::start(),
            retried_at: Stopwatch::start(),
        })
    }

    /// Returns the limits of the run's downloads, the parent of those of its targets.
    pub fn limits(&self) -> &LimitGroup {
        &self.limits
    }

    /// Makes all targets end at once when the time budget is used up: the Hub has
    /// asked for no requests now.
    pub fn expect_no_answer(&mut self) {
        self.waits_for_last_answer = false;
    }

    /// Adds a target, which will end exactly once.
    pub fn add(&mut self, request: SyncRequest) -> TargetId {
        let id = self.new_id();
        self.check(id, request, LocalReads::default());
        id
    }

    /// Adds a target that has a plan already.
    pub fn add_planned(&mut self, request: SyncRequest, planned: Box<Planned>) -> TargetId {
        let id = self.new_id();
        self.begin(id, request, planned);
        id
    }

    fn new_id(&mut self) -> TargetId {
        self.n_targets += 1;
        TargetId(self.n_targets - 1)
    }

    /// Returns whether every target has ended and the caller has all events.
    pub fn is_idle(&self) -> bool {
        self.targets.is_empty() && self.events.is_empty()
    }

    /// Waits up to `wait` for news, handles them, and returns the events.
    pub fn step(&mut self, wait: Duration) -> Vec<SyncEvent> {
        self.end_stopped();
        // With no fetch and no reading in progress, block on the checker.
        let only_checks = self.has_checks() && !self.has_fetches() && !self.readers.is_busy();
        self.take_gates();
        self.take_checks(self.wait_if(only_checks, wait));
        self.begin_ready();
        // With a fetch in progress, block on the engine below.
        self.take_reads(self.wait_if(!self.has_fetches(), wait));
        if self.has_fetches() {
            self.retry_busy();
            self.take_engine_events(self.wait_if(true, wait));
        }
        let has_ended = |event: &SyncEvent| matches!(event, SyncEvent::Ended { .. });
        self.proofs.flush(self.events.iter().any(has_ended));
        self.show_waits();
        self.save_progress();
        std::mem::take(&mut self.events)
    }

    /// Shows the waits that last. Called after the waiting for news, which an event would
    /// cut short.
    fn show_waits(&mut self) {
        self.show_gates();
        if self.has_checks() {
            for (message, left) in self.clients.own().pauses() {
                self.show_wait(None, message, Some(left));
            }
        }
    }

    /// Reports the progress of targets about once a second.
    fn save_progress(&mut self) {
        const EVERY: Duration = Duration::from_secs(1);
        if self.saved_at.elapsed() < EVERY {
            return;
        }
        self.saved_at = Stopwatch::start();
        for target in std::mem::take(&mut self.with_progress) {
            self.report_progress(target);
        }
    }

    /// Returns the time to block for: none while events wait for the caller.
    fn wait_if(&self, condition: bool, wait: Duration) -> Duration {
        if condition && self.events.is_empty() {
            wait
        } else {
            Duration::ZERO
        }
    }

    fn has_state(&self, is_wanted: impl Fn(&TargetState) -> bool) -> bool {
        self.targets.values().any(|entry| is_wanted(&entry.state))
    }

    fn has_fetches(&self) -> bool {
        use TargetState::{Fetching, Gating, Publishing};
        self.has_state(|state| matches!(state, Fetching(_) | Gating(_) | Publishing { .. }))
    }

    pub(super) fn has_ready(&self) -> bool {
        self.has_state(|state| matches!(state, TargetState::Ready(_)))
    }

    fn has_checks(&self) -> bool {
        self.has_state(|state| matches!(state, TargetState::Checking(_)))
    }

    pub(super) fn insert(&mut self, id: TargetId, request: SyncRequest, state: TargetState) {
        self.targets.insert(id, TargetEntry { request, state });
    }

    /// Reports the end of a target, which is in no table any more.
    pub(super) fn end(&mut self, target: TargetId, result: SyncResult) {
        let result = Box::new(result);
        self.events.push(SyncEvent::Ended { target, result });
    }

    /// Ends a target with a plan of which nothing was fetched: it failed, was stopped, or its
    /// allowance is spent.
    pub(super) fn end_early(
        &mut self,
        id: TargetId,
        request: &SyncRequest,
        planned: Box<Planned>,
        failure: Option<&Error>,
    ) {
        let mut record = SyncRecord::new(planned.into(), &request.target.repo);
        match failure {
            Some(err) => record.fail(err),
            None => record.is_stopped = true,
        }
        let is_spent = request.limits.is_spent(BLOCK);
        let allowance = is_spent.then_some(StopReason::TransferBudget);
        let stopped = request.limits.stop_reason().or(allowance);
        let result = record.into_result(&request.target, stopped);
        self.end(id, result);
    }

    /// Begins the plans that are ready, unless others may soon come before them.
    fn begin_ready(&mut self) {
        let may_wait = self.has_checks() && self.first_plan_ready.elapsed() < PLAN_WAIT;
        if !self.has_ready() || may_wait || self.limits.is_stopped() {
            return;
        }
        let ready = self.targets.iter().filter_map(|(id, entry)| {
            let TargetState::Ready(planned) = &entry.state else {
                return None;
            };
            let mut order = entry.request.order;
            Some((order.next(planned.plan.totals.bytes_to_fetch), *id))
        });
        let mut ready: Vec<_> = ready.collect();
        ready.sort();
        for (_, id) in ready {
            if let Some(TargetEntry {
                request,
                state: TargetState::Ready(planned),
            }) = self.targets.remove(&id)
            {
                self.begin(id, request, planned);
                // Complete files hold open locks until they are stored; those of
                // many new models would add up.
                self.take_engine_events(Duration::ZERO);
            }
        }
    }

    fn begin(&mut self, id: TargetId, request: SyncRequest, planned: Box<Planned>) {
        if let Some(new) = &planned.renamed_to {
            log::warn!("`{}` is called `{new}` now", request.target.repo);
        }
        let is_to_fetch = planned.plan.totals.bytes_to_fetch > 0;
        if is_to_fetch && request.limits.is_spent(BLOCK) {
            return self.end_early(id, &request, planned, None);
        }
        let need = match self.fit(&planned) {
            Ok(need) => need,
            Err(err) => match self.missing_in_cache(&planned, &err) {
                Some(missing) => {
                    self.events.push(SyncEvent::Short {
                        target: id,
                        missing,
                    });
                    return self.insert(id, request, TargetState::Short(planned, err));
                }
                None => return self.end_unfit(id, *planned, &trouble_of(&err)),
            },
        };
        let opened = planned.open(&request.target);
        checkpoint("place opened");
        match opened {
            Ok(writer) if planned.plan.imports().is_empty() => {
                self.start_fetching(id, request, planned, writer, need);
            }
            Ok(writer) => self.start_importing(id, request, planned, writer, need),
            Err(err) => self.end_early(id, &request, planned, Some(&err)),
        }
    }

    /// Returns the bytes that a plan has to write, if they fit beside those of
    /// the targets that have begun.
    pub(super) fn fit(&mut self, planned: &Planned) -> Result<Need> {
        let unwritten = |is_meant: &dyn Fn(NeedPlace) -> bool| {
            let started = self.started.iter().filter_map(|id| self.files.get(id));
            let started = started.filter(|file| is_meant(file.need.place));
            started.fold(self.promised.at(is_meant), |sum, file| {
                sum.saturating_add(file.missing_on_disk())
            })
        };
        let need = refuse_unfit_plan(planned, self.reserve, |file_system| {
            unwritten(&|place| place.file_system == file_system)
        })?;
        let more = need.bytes.saturating_sub(planned.replaced_bytes());
        if let Some(room) = self.cache_room.as_mut().filter(|_| need.place.is_cache)
            && more > 0
        {
            room.promise(more, || unwritten(&|place| place.is_cache))?;
        }
        Ok(need)
    }

    /// Ends targets whose limits or run have been stopped; those that fetch are
    /// ended by the engine.
    fn end_stopped(&mut self) {
        let run = self.limits.stop_reason();
        if let Some(StopReason::TimeBudget | StopReason::WindowClosed) = run {
            self.time_is_up.get_or_insert_with(Stopwatch::start);
        }
        let time_is_up = self.time_is_up.as_ref();
        let may_answer = self.waits_for_last_answer
            && time_is_up.is_some_and(|since| since.elapsed() < LAST_ANSWER_WAIT);
        let (mut ended, mut imported) = (Vec::new(), Vec::new());
        for (id, entry) in &mut self.targets {
            let limits = &entry.request.limits;
            let Some(reason) = limits.stop_reason() else {
                continue;
            };
            let is_of_run = limits.is_same(&self.limits) || !limits.stop().is_raised();
            match &mut entry.state {
                TargetState::Checking(_) if may_answer && is_of_run => {}
                TargetState::Checking(_) | TargetState::Ready(_) | TargetState::Short(..) => {
                    ended.push((*id, SyncResult::unseen(reason)));
                }
                TargetState::Proving(proving) => ended.push((*id, proving.stopped(reason))),
                TargetState::Importing(importing) => {
                    if importing.is_given_up() {
                        imported.push(*id);
                    }
                }
                TargetState::Fetching(_)
                | TargetState::Gating(_)
                | TargetState::Publishing { .. } => {}
            }
        }
        for (id, result) in ended {
            self.targets.remove(&id);
            self.end(id, result);
        }
        for id in imported {
            self.finish_importing(id);
        }
    }
}
