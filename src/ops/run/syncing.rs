//! The syncer of an active run, with its limits, its allowances and its heartbeat.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Error, Result};

use super::active::{ActiveRun, Bounds, OpenSession};
use super::engine_options::{engine_options, gate_program};
use crate::domain::adopt::AdoptedFiles;
use crate::domain::allowance::AllowanceRule;
use crate::domain::run::RunCommand;
use crate::domain::session::{SessionId, SessionProgress, StopCause};
use crate::download::{LimitGroup, TransferBudget};
use crate::ops::allowances::Accounts;
use crate::ops::deadline_thread::{DeadlineThread, TimeLimits};
use crate::ops::services::Services;
use crate::ops::sync::{
    CacheChoice, Planned, Proofs, SyncEvent, SyncRequest, SyncResult, Syncer, Target, TargetId,
};
use crate::ops::{adopt, rate_limits};
use crate::sys::pause::Stopwatch;
use crate::sys::stop::StopReason;

/// A programming error: every command starts the syncer before it adds targets.
const NO_SYNCER: &str = "the syncer of the run was not started";

/// The syncer of a run, with the thread that applies limits of time.
pub(super) struct RunningSyncer<'a> {
    syncer: Syncer<'a>,
    deadlines: DeadlineThread,
    sessions: BTreeMap<TargetId, SessionId>,
}

impl<'a> ActiveRun<'a> {
    /// Starts the syncer; the limits count from now.
    pub fn start_syncer(&mut self, bounds: &Bounds) -> Result<()> {
        let services = self.services;
        self.bounds = bounds.clone();
        let network = services.network()?;
        let (accounts, allowance) = Accounts::open(services, bounds.ignores_allowances)?;
        self.accounts = accounts;
        let of_run = LimitGroup::root(services.stop.clone(), None);
        let options = engine_options(services, &of_run, bounds, allowance);
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
            limits: of_run,
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

    pub fn has_syncer(&self) -> bool {
        self.syncer.is_some()
    }

    /// Returns the limits of the run's downloads, which begin with its syncer.
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
    pub fn wait_for_rate_limits(&mut self, show: &mut dyn FnMut(&SyncEvent)) -> Result<()> {
        let may_ask = rate_limits::wait_out(self.services, &mut |left| {
            self.heartbeat();
            show(&SyncEvent::Waiting {
                file: None,
                message: "rate limited".to_owned(),
                span: Some(left),
            });
        })?;
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

    /// Returns the limit or the signal for whose reason a session has ended.
    pub(super) fn stop_cause(
        &self,
        limits: Option<&LimitGroup>,
        reason: StopReason,
    ) -> Option<StopCause> {
        let is_of_run = || {
            let run = self.limits().ok();
            let stopped = limits.and_then(LimitGroup::stopped_group);
            run.zip(stopped)
                .is_none_or(|(run, stopped)| run.path().any(|group| group.is_same(stopped)))
        };
        let Bounds {
            max_duration,
            max_transfer,
            max_duration_name,
            max_transfer_name,
            ..
        } = &self.bounds;
        let of_run = |name: &str, value: Option<String>| {
            StopCause::RunLimit(format!("`{name}` of {}", value.unwrap_or_default()))
        };
        Some(match reason {
            StopReason::Interrupted => StopCause::CtrlC,
            // `hfdl stop` sends the signal, too.
            StopReason::Terminated if self.is_stop_requested() => StopCause::StopCommand,
            StopReason::Terminated => StopCause::Sigterm,
            StopReason::HungUp => StopCause::Sighup,
            StopReason::Requested => StopCause::StopCommand,
            StopReason::WindowClosed => StopCause::WindowClosed,
            StopReason::TimeBudget if is_of_run() => {
                of_run(max_duration_name, max_duration.map(|it| it.to_string()))
            }
            StopReason::TimeBudget => StopCause::ScheduleDuration,
            StopReason::TransferBudget if is_of_run() => {
                of_run(max_transfer_name, max_transfer.map(|it| it.to_string()))
            }
            StopReason::TransferBudget => StopCause::ScheduleTransfer,
            StopReason::Idle => return None,
        })
    }

    /// Tells whether `hfdl stop` has asked this run to end.
    fn is_stop_requested(&self) -> bool {
        let run = self.services.store.run(&self.id);
        run.is_ok_and(|run| run.stop_requested_at.is_some())
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
        show(&SyncEvent::Moment);
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
            Ok(Some(_)) => self.services.stop.raise(StopReason::Requested),
            // The disk may be full for a moment; records that matter report their own errors.
            Err(err) => log::debug!("no heartbeat: {err}"),
        }
    }
}
