//! `hfdl download`: one run over targets that a person or a CI step named.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use anyhow::{Context, Result};

use super::rate_limits;
use super::records::{add_up, run_outcome, state_after, status_of};
use super::sync::{
    CacheChoice, Checked, Limits, Planned, Progress, SyncEnd, Target, carry_out, check_all,
    outcome_of, refuse_what_does_not_fit, trouble_of,
};
use super::watch::Watch;
use crate::cache::{CacheLayout, LinkChoice};
use crate::domain::outcome::{ExitStatus, Outcome, RunOutcome, Trigger};
use crate::domain::run::{RunCommand, RunEnd, RunId, RunProcess, RunStart};
use crate::domain::schedule::RateTable;
use crate::domain::session::{
    ByteCounts, FileCounts, Session, SessionEnd, SessionId, SessionProgress, SessionStart, Trouble,
};
use crate::domain::settings::Settings;
use crate::domain::time::Timestamp;
use crate::domain::units::{ByteSize, Seconds};
use crate::download::EngineOptions;
use crate::hub::HubClient;
use crate::store::Store;
use crate::sys::host::Host;
use crate::sys::lock::FileLock;
use crate::sys::logging;
use crate::sys::paths::Home;
use crate::sys::stop::{StopFlag, StopReason};

/// Everything that a download works with.
pub struct Download<'a> {
    pub host: &'a Host,
    pub home: &'a Home,
    pub store: &'a Store,
    pub settings: &'a Settings,
    pub hub: &'a HubClient,
    pub targets: Vec<Target>,
    pub bounds: Bounds,
    pub stop: StopFlag,
}

/// How much the run may use.
#[derive(Clone, Debug, Default)]
pub struct Bounds {
    pub max_duration: Option<Seconds>,
    pub max_transfer: Option<ByteSize>,
    pub limit_rate: Option<RateTable>,
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

/// What a dry run found for one target.
#[derive(Debug)]
pub struct DryRun {
    pub label: String,
    pub commit: String,
    pub files: Vec<(String, u64, u64)>,
    pub totals: crate::domain::plan::Totals,
}

/// Returns where models go and which links may be used there.
pub fn cache_choice(host: &Host, settings: &Settings) -> CacheChoice {
    let links = if host.is_on("HF_HUB_DISABLE_SYMLINKS") {
        LinkChoice::NoSymlinks
    } else {
        LinkChoice::WherePossible
    };
    CacheChoice {
        root: settings.cache_dir().into(),
        links,
    }
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

impl Download<'_> {
    /// Finds out what a run would fetch; only looks.
    pub fn dry_run(&self) -> Vec<(usize, Result<DryRun>)> {
        let choice = cache_choice(self.host, self.settings);
        let cache = CacheLayout::new(&choice.root);
        let checked = check_all(self.hub, &cache, &choice, &self.targets);
        checked
            .into_iter()
            .enumerate()
            .map(|(index, checked)| {
                (
                    index,
                    checked.map(|checked| describe(&self.targets[index], checked)),
                )
            })
            .collect()
    }

    /// Downloads; the lock of the home is held by the caller.
    pub fn run(&self, show: &mut dyn FnMut(&Progress<'_>)) -> Result<RunReport> {
        let started_at = self.host.now();
        let trigger = Trigger::Manual;
        let start = RunStart {
            command: RunCommand::Download,
            trigger,
            process: this_process(self.host),
            at: started_at,
        };
        let run_id = self.store.start_run(&start)?;
        self.start_log(&run_id, started_at);
        let stranded = self.store.close_crashed_runs(&run_id)?;
        if !stranded.runs.is_empty() {
            log::info!(
                "{} earlier run(s) had ended without a word; what they fetched is used",
                stranded.runs.len()
            );
        }
        self.wait_for_the_hub()?;
        let sessions = self.sync(&run_id, trigger, show)?;
        rate_limits::remember(self.store, self.hub, self.host.now())?;
        let finished_at = self.host.now();
        let status = sessions.iter().fold(ExitStatus::Ok, |worst, session| {
            worst.worst(status_of(session, self.stop.reason()))
        });
        let outcome = run_outcome(status);
        let totals = add_up(&sessions);
        let end = RunEnd {
            at: finished_at,
            outcome,
            exit_code: Some(status.code()),
        };
        self.store.finish_run(&run_id, &totals, &end)?;
        log::info!("run {run_id} ended: {outcome}");
        Ok(RunReport {
            run_id,
            trigger,
            outcome,
            status,
            started_at,
            finished_at,
            sessions,
        })
    }

    /// Sits out what an earlier process has used up of the Hub's patience:
    /// asking before would only be refused.
    fn wait_for_the_hub(&self) -> Result<()> {
        const STEP: Duration = Duration::from_millis(250);
        // One window of the Hub's counters; what is told beyond is not believed.
        const LONGEST: Duration = Duration::from_secs(330);
        let now = self.host.now();
        let Some(until) = rate_limits::exhausted_until(self.store, self.hub, now)? else {
            return Ok(());
        };
        log::info!("the Hub allows no more requests until {until}; waiting");
        let span = Duration::try_from(until.duration_since(now)).unwrap_or_default();
        let mut waited = Duration::ZERO;
        while waited < span.min(LONGEST) && !self.stop.is_raised() {
            self.host.pause(STEP);
            waited += STEP;
        }
        Ok(())
    }

    /// A log that cannot be written is no reason not to download.
    fn start_log(&self, run_id: &RunId, started_at: Timestamp) {
        const MOST_BYTES: u64 = 64 << 20;
        let logs = self.home.logs();
        if let Err(err) = logging::start_file(&logs, run_id.as_str(), started_at) {
            log::warn!("{err:#}");
            return;
        }
        let keep = Duration::from_secs(self.settings.keep_logs().get());
        let files = logging::list_files(&logs).unwrap_or_default();
        for old in logging::plan_pruning(&files, started_at, keep, MOST_BYTES) {
            if let Err(err) = std::fs::remove_file(&old.path) {
                log::warn!(
                    "cannot remove the old log file `{}`: {err}",
                    old.path.display()
                );
            }
        }
        log::info!(
            "hfdl {} run {run_id} in `{}`",
            env!("CARGO_PKG_VERSION"),
            self.home.path().display()
        );
    }

    fn sync(
        &self,
        run_id: &RunId,
        trigger: Trigger,
        show: &mut dyn FnMut(&Progress<'_>),
    ) -> Result<Vec<Session>> {
        let choice = cache_choice(self.host, self.settings);
        let cache = CacheLayout::new(&choice.root);
        let ids = self.open_sessions(run_id, trigger)?;
        let checked = check_all(self.hub, &cache, &choice, &self.targets);
        let mut plans: Vec<(usize, Box<Planned<'_>>)> = Vec::new();
        for (index, checked) in checked.into_iter().enumerate() {
            match checked {
                Ok(Checked::Planned(planned)) => plans.push((index, planned)),
                Ok(Checked::Current {
                    place,
                    commit,
                    n_files,
                    n_bytes,
                }) => {
                    let progress = SessionProgress {
                        path: Some(place.readable_at(&commit)),
                        files: FileCounts {
                            total: n_files,
                            reused: n_files,
                            ..FileCounts::default()
                        },
                        bytes: ByteCounts {
                            total: n_bytes,
                            reused: n_bytes,
                            ..ByteCounts::default()
                        },
                        new_commit: Some(commit),
                        retries: 0,
                    };
                    self.close(
                        index,
                        ids[index],
                        &end_of(Outcome::UpToDate, None, progress),
                    )?;
                }
                Ok(Checked::Held { commit }) => {
                    let progress = SessionProgress {
                        new_commit: Some(commit),
                        ..SessionProgress::default()
                    };
                    self.close(index, ids[index], &end_of(Outcome::Held, None, progress))?;
                }
                Err(err) => {
                    let outcome = outcome_of(&err, self.targets[index].known_commit.is_some());
                    let end = end_of(outcome, Some(trouble_of(&err)), SessionProgress::default());
                    self.close(index, ids[index], &end)?;
                }
            }
        }
        let all: Vec<&Planned<'_>> = plans.iter().map(|(_, planned)| planned.as_ref()).collect();
        let fits = refuse_what_does_not_fit(&all, self.settings.disk_reserve());
        let mut go: Vec<(usize, &Planned<'_>)> = Vec::new();
        for ((index, planned), fits) in plans.iter().zip(fits) {
            if let Some(new) = &planned.renamed_to {
                log::warn!("`{}` is called `{new}` now", self.targets[*index].repo);
            }
            match fits {
                Ok(()) => go.push((*index, planned)),
                Err(err) => {
                    let progress = SessionProgress {
                        new_commit: Some(planned.remote.commit.clone()),
                        ..SessionProgress::default()
                    };
                    self.close(
                        *index,
                        ids[*index],
                        &end_of(Outcome::Failed, Some(trouble_of(&err)), progress),
                    )?;
                }
            }
        }
        self.fetch(run_id, &ids, &go, show)?;
        ids.iter().map(|id| Ok(self.store.session(*id)?)).collect()
    }

    fn open_sessions(&self, run_id: &RunId, trigger: Trigger) -> Result<Vec<SessionId>> {
        let now = self.host.now();
        self.store.transaction(|store| -> Result<Vec<SessionId>> {
            let open = |target: &Target| {
                let (model_id, model_name) = target.model.clone().unzip();
                Ok(store.open_session(&SessionStart {
                    run_id: run_id.clone(),
                    model_id,
                    model_name,
                    repo: target.repo.clone(),
                    revision: target.revision.clone(),
                    destination: target.destination.clone(),
                    schedule_id: None,
                    schedule_name: None,
                    slot_at: None,
                    trigger,
                    old_commit: target.known_commit.clone(),
                    at: now,
                })?)
            };
            self.targets.iter().map(open).collect()
        })
    }

    /// Fetches and publishes, with somebody watching clock and rate meanwhile.
    fn fetch(
        &self,
        run_id: &RunId,
        ids: &[SessionId],
        plans: &[(usize, &Planned<'_>)],
        show: &mut dyn FnMut(&Progress<'_>),
    ) -> Result<()> {
        let rate = Arc::new(AtomicU64::new(0));
        let limits = Limits {
            engine: self.engine_options(&rate),
        };
        let done = StopFlag::new();
        let mut problem = None;
        let mut last_beat = self.host.now();
        let now = self.host.now();
        let watch = Watch {
            host: self.host,
            deadline: self
                .bounds
                .max_duration
                .and_then(|span| now.checked_add(span.span()).ok()),
            limit_rate: self.bounds.limit_rate.as_ref(),
            stop: &self.stop,
        };
        std::thread::scope(|scope| {
            watch.set_rate(&rate);
            scope.spawn(|| watch.until(&done, &rate));
            carry_out(self.hub, &self.targets, plans, &limits, &mut |progress| {
                show(&progress);
                let result = match &progress {
                    Progress::Ended { target, end } => self.close(*target, ids[*target], end),
                    Progress::Kept { target, progress } if self.host.now() > last_beat => {
                        last_beat = self.host.now();
                        self.beat(run_id, ids[*target], progress)
                    }
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

    fn engine_options(&self, rate: &Arc<AtomicU64>) -> EngineOptions {
        let defaults = EngineOptions::default();
        EngineOptions {
            connections: self.settings.connections(),
            files: self.settings.files(),
            min_rate: self.settings.min_rate().bytes(),
            stall_after: Duration::from_secs(self.settings.stall_after().get()),
            retry: crate::domain::retry::RetryPolicy {
                max_attempts: self.settings.retries().saturating_add(1),
                ..defaults.retry
            },
            rate: Arc::clone(rate),
            max_transfer: self.bounds.max_transfer.map(ByteSize::bytes),
            stop: self.stop.clone(),
            ..defaults
        }
    }

    fn beat(&self, run_id: &RunId, session: SessionId, progress: &SessionProgress) -> Result<()> {
        self.store.save_progress(session, progress)?;
        if self.store.heartbeat(run_id, self.host.now())?.is_some() {
            self.stop.raise(StopReason::Terminated);
        }
        Ok(())
    }

    /// Closes the session of a target and writes down what is known of its model now.
    fn close(&self, target: usize, session: SessionId, end: &SyncEnd) -> Result<()> {
        let target = &self.targets[target];
        let now = self.host.now();
        if let Some(trouble) = &end.trouble {
            log::warn!(target: logging::SESSION, "{}: {}: {}", target.label(), end.outcome, trouble.message);
        } else {
            log::info!("{}: {}", target.label(), end.outcome);
        }
        self.store.transaction(|store| -> Result<()> {
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
            if let Some((id, _)) = &target.model
                && let Some(model) = store.model_by_id(*id)?
            {
                store.save_model_state(*id, &state_after(&model, end, now))?;
            }
            Ok(())
        })
    }
}

fn end_of(outcome: Outcome, trouble: Option<Trouble>, progress: SessionProgress) -> SyncEnd {
    SyncEnd {
        outcome,
        trouble,
        progress,
        files: Vec::new(),
        proven: Vec::new(),
    }
}

fn describe(target: &Target, checked: Checked<'_>) -> DryRun {
    let (commit, files, totals) = match checked {
        Checked::Current {
            commit,
            n_files,
            n_bytes,
            ..
        } => {
            let totals = crate::domain::plan::Totals {
                files: n_files,
                files_reused: n_files,
                bytes: n_bytes,
                bytes_reused: n_bytes,
                ..Default::default()
            };
            (commit, Vec::new(), totals)
        }
        Checked::Held { commit } => (commit, Vec::new(), Default::default()),
        Checked::Planned(planned) => {
            let files = planned.plan.fetches().map(|file| {
                let have = match file.action {
                    crate::domain::plan::Action::Resume { have_bytes } => have_bytes,
                    _ => 0,
                };
                (
                    file.file.path.to_string(),
                    file.file.size_bytes,
                    file.file.size_bytes - have,
                )
            });
            (
                planned.remote.commit.clone(),
                files.collect(),
                planned.plan.totals,
            )
        }
    };
    DryRun {
        label: target.label(),
        commit: commit.to_string(),
        files,
        totals,
    }
}

/// Returns the file or folder that a session published, for stdout.
pub fn shown_path<'s>(
    session: &'s Session,
    single: Option<&Path>,
) -> Option<std::borrow::Cow<'s, Path>> {
    let path = session.progress.path.as_deref()?;
    Some(match single {
        Some(file) => path.join(file).into(),
        None => path.into(),
    })
}
