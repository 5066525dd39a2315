//! One run of this process: its row in the database, its log file, its sessions.
//!
//! What `download` and `verify` have in common lies here: both hold the lock
//! of the home, open a session for each target, fetch through the same engine,
//! and close each session once.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use anyhow::{Context, Result};

use super::records::{add_up, run_outcome, state_after, status_of};
use super::sync::{Limits, Planned, Progress, SyncEnd, Target, carry_out};
use super::watch::Watch;
use super::{rate_limits, retention};
use crate::domain::outcome::{ExitStatus, RunOutcome, Trigger};
use crate::domain::retry::RetryPolicy;
use crate::domain::run::{RunCommand, RunEnd, RunId, RunProcess, RunStart};
use crate::domain::schedule::RateTable;
use crate::domain::session::{Session, SessionEnd, SessionId, SessionProgress, SessionStart};
use crate::domain::settings::Settings;
use crate::domain::time::Timestamp;
use crate::domain::units::{ByteSize, Seconds};
use crate::download::EngineOptions;
use crate::hub::HubClient;
use crate::store::Store;
use crate::sys::host::{Host, checkpoint};
use crate::sys::lock::FileLock;
use crate::sys::logging;
use crate::sys::paths::Home;
use crate::sys::stop::{StopFlag, StopReason};

/// What a run works with, whatever its command.
#[derive(Clone, Copy)]
pub struct Tools<'a> {
    pub host: &'a Host,
    pub home: &'a Home,
    pub store: &'a Store,
    pub settings: &'a Settings,
    pub hub: &'a HubClient,
    pub stop: &'a StopFlag,
}

/// How much a run may use.
#[derive(Clone, Debug, Default)]
pub struct Bounds {
    pub max_duration: Option<Seconds>,
    pub max_transfer: Option<ByteSize>,
    pub limit_rate: Option<RateTable>,
}

/// A run that has begun, with an open session for each of its targets.
pub struct Run<'a> {
    tools: Tools<'a>,
    targets: &'a [Target],
    command: RunCommand,
    trigger: Trigger,
    id: RunId,
    sessions: Vec<SessionId>,
    started_at: Timestamp,
    last_beat: Cell<Timestamp>,
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
}

/// Takes the lock of the home, waiting as long as was asked for.
pub fn take_run_lock(host: &Host, home: &Home, wait: Option<Seconds>) -> Result<Option<FileLock>> {
    const STEP: Duration = Duration::from_millis(200);
    crate::sys::fs::create_private_dir(home.path())
        .with_context(|| format!("cannot create `{}`", home.path().display()))?;
    let path = home.lock();
    let mut waited = Duration::ZERO;
    loop {
        let lock = FileLock::try_acquire(&path)
            .with_context(|| format!("cannot lock `{}`", path.display()))?;
        let may_wait = wait.is_some_and(|wait| waited < Duration::from_secs(wait.get()));
        if lock.is_some() || !may_wait {
            return Ok(lock);
        }
        host.pause(STEP);
        waited += STEP;
    }
}

/// Describes this process for the database.
pub fn this_process(host: &Host) -> RunProcess {
    RunProcess {
        host: host.name(),
        pid: std::process::id(),
        boot_id: host.boot_id(),
        process_start: None,
        version: env!("CARGO_PKG_VERSION").to_owned(),
    }
}

impl<'a> Run<'a> {
    /// Begins a run; the lock of the home is held by the caller.
    pub fn begin(
        tools: Tools<'a>,
        command: RunCommand,
        trigger: Trigger,
        targets: &'a [Target],
    ) -> Result<Self> {
        let started_at = tools.host.now();
        let start = RunStart {
            command,
            trigger,
            process: this_process(tools.host),
            at: started_at,
        };
        let id = tools.store.start_run(&start)?;
        checkpoint("run started");
        start_log(tools.home, &id, started_at);
        retention::prune_logs(tools.home, tools.settings.keep_logs(), started_at);
        let stranded = tools.store.close_crashed_runs(&id)?;
        if !stranded.runs.is_empty() {
            log::info!(
                "{} earlier run(s) had ended without a word; what they fetched is used",
                stranded.runs.len()
            );
        }
        let mut run = Self {
            tools,
            targets,
            command,
            trigger,
            id,
            sessions: Vec::new(),
            started_at,
            last_beat: Cell::new(started_at),
        };
        run.sessions = run.open_sessions()?;
        checkpoint("sessions opened");
        Ok(run)
    }

    fn open_sessions(&self) -> Result<Vec<SessionId>> {
        let now = self.tools.host.now();
        self.tools
            .store
            .transaction(|store| -> Result<Vec<SessionId>> {
                let open = |target: &Target| {
                    let (model_id, model_name) = target.model.clone().unzip();
                    Ok(store.open_session(&SessionStart {
                        run_id: self.id.clone(),
                        model_id,
                        model_name,
                        repo: target.repo.clone(),
                        revision: target.revision.clone(),
                        destination: target.destination.clone(),
                        schedule_id: None,
                        schedule_name: None,
                        slot_at: None,
                        trigger: self.trigger,
                        old_commit: target.known_commit.clone(),
                        at: now,
                    })?)
                };
                self.targets.iter().map(open).collect()
            })
    }

    /// Fetches and publishes, with somebody watching clock and rate meanwhile.
    ///
    /// `close` is told the end of each target, and closes its session.
    pub fn fetch(
        &self,
        plans: &[(usize, &Planned<'_>)],
        bounds: &Bounds,
        close: &mut dyn FnMut(usize, &SyncEnd) -> Result<()>,
        show: &mut dyn FnMut(&Progress<'_>),
    ) -> Result<()> {
        let host = self.tools.host;
        let rate = Arc::new(AtomicU64::new(0));
        let limits = Limits {
            engine: self.engine_options(bounds, &rate),
        };
        let done = StopFlag::new();
        let mut problem = None;
        let now = host.now();
        let watch = Watch {
            host,
            deadline: bounds
                .max_duration
                .and_then(|span| now.checked_add(span.span()).ok()),
            limit_rate: bounds.limit_rate.as_ref(),
            stop: self.tools.stop,
        };
        std::thread::scope(|scope| {
            watch.set_rate(&rate);
            scope.spawn(|| watch.until(&done, &rate));
            let hub = self.tools.hub;
            carry_out(hub, self.targets, plans, &limits, &mut |progress| {
                show(&progress);
                let result = match &progress {
                    Progress::Ended { target, end } => close(*target, end),
                    Progress::Kept { target, progress } => self.beat(Some((*target, progress))),
                    _ => Ok(()),
                };
                if let Err(err) = result {
                    // The bytes go on; the first thing that could not be written is told at the end.
                    log::error!("{err:#}");
                    problem.get_or_insert(err);
                }
            });
            done.raise(StopReason::TimeBudget);
        });
        problem.map_or(Ok(()), Err)
    }

    fn engine_options(&self, bounds: &Bounds, rate: &Arc<AtomicU64>) -> EngineOptions {
        let settings = self.tools.settings;
        let defaults = EngineOptions::default();
        EngineOptions {
            connections: settings.connections(),
            files: settings.files(),
            min_rate: settings.min_rate().bytes(),
            stall_after: Duration::from_secs(settings.stall_after().get()),
            retry: RetryPolicy {
                max_attempts: settings.retries().saturating_add(1),
                waits: self.tools.host.takes_pauses(),
                ..defaults.retry
            },
            rate: Arc::clone(rate),
            max_transfer: bounds.max_transfer.map(ByteSize::bytes),
            stop: self.tools.stop.clone(),
            ..defaults
        }
    }

    /// Says that the run is alive, and hears whether it is to stop; at most
    /// once a second. With it goes how far a target has come.
    pub fn beat(&self, came_so_far: Option<(usize, &SessionProgress)>) -> Result<()> {
        let now = self.tools.host.now();
        if now <= self.last_beat.get() {
            return Ok(());
        }
        self.last_beat.set(now);
        if let Some((target, progress)) = came_so_far {
            self.tools
                .store
                .save_progress(self.sessions[target], progress)?;
        }
        if self.tools.store.heartbeat(&self.id, now)?.is_some() {
            self.tools.stop.raise(StopReason::Terminated);
        }
        Ok(())
    }

    /// Closes the session of a target and writes down what is known of its model now.
    pub fn close(&self, target: usize, end: &SyncEnd) -> Result<()> {
        let session = self.sessions[target];
        let target = &self.targets[target];
        let now = self.tools.host.now();
        if let Some(trouble) = &end.trouble {
            log::warn!(target: logging::SESSION, "{}: {}: {}", target.label(), end.outcome, trouble.message);
        } else {
            log::info!("{}: {}", target.label(), end.outcome);
        }
        self.tools.store.transaction(|store| -> Result<()> {
            for file in &end.files {
                store.save_session_file(session, file)?;
            }
            for (path, content, size_bytes) in &end.proven {
                store.save_blob(path, content, *size_bytes, now)?;
            }
            let close = SessionEnd {
                at: now,
                outcome: end.outcome,
                trouble: end.trouble.clone(),
            };
            store.finish_session(session, &end.progress, &close)?;
            // Whoever verifies does not ask what is current upstream, so the
            // end says nothing about the model's last check or success.
            if self.command != RunCommand::Verify
                && let Some((id, _)) = &target.model
                && let Some(model) = store.model_by_id(*id)?
            {
                let state = state_after(&model, end, now);
                if let Some(commit) = &state.published_commit
                    && state.published_at != model.state.published_at
                {
                    store.save_revision(*id, commit, now)?;
                }
                store.save_model_state(*id, &state)?;
            }
            Ok(())
        })
    }

    /// Ends the run; each of its sessions has been closed.
    pub fn end(self) -> Result<RunReport> {
        let store = self.tools.store;
        rate_limits::remember(store, self.tools.hub, self.tools.host.now())?;
        let sessions = self.sessions.iter();
        let sessions = sessions
            .map(|id| Ok(store.session(*id)?))
            .collect::<Result<Vec<Session>>>()?;
        let finished_at = self.tools.host.now();
        let status = sessions.iter().fold(ExitStatus::Ok, |worst, session| {
            worst.worst(status_of(session, self.tools.stop.reason()))
        });
        let outcome = run_outcome(status);
        let end = RunEnd {
            at: finished_at,
            outcome,
            exit_code: Some(status.code()),
        };
        checkpoint("run ends");
        store.finish_run(&self.id, &add_up(&sessions), &end)?;
        log::info!("run {} ended: {outcome}", self.id);
        Ok(RunReport {
            run_id: self.id,
            trigger: self.trigger,
            outcome,
            status,
            started_at: self.started_at,
            finished_at,
            sessions,
        })
    }
}

/// A log that cannot be written is no reason not to work.
pub fn start_log(home: &Home, run_id: &RunId, started_at: Timestamp) {
    let logs = home.logs();
    if let Err(err) = logging::start_file(&logs, run_id.as_str(), started_at) {
        log::warn!("{err:#}");
        return;
    }
    log::info!(
        "hfdl {} run {run_id} in `{}`",
        env!("CARGO_PKG_VERSION"),
        home.path().display()
    );
}
