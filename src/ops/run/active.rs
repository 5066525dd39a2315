//! A run while it is active: its row, its log, and the opening of its sessions.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use anyhow::{Error, Result};

use super::close_crashed_runs;
use super::home_files::{remove_unfinished_copies, start_log};
use super::room::RoomAttempts;
use super::syncing::RunningSyncer;
use super::watchdog::Watchdog;
use crate::cache::CacheLayout;
use crate::domain::allowance::Allowance;
use crate::domain::hold::Hold;
use crate::domain::model::{Destination, EntryName, ModelId};
use crate::domain::moved_ref::MovedRef;
use crate::domain::outcome::{ExitStatus, Trigger};
use crate::domain::repo::Repo;
use crate::domain::retention::Removal;
use crate::domain::run::{RunCommand, RunId, RunStart};
use crate::domain::schedule::{RateTable, ScheduleId};
use crate::domain::session::{SessionId, SessionStart, SessionStop};
use crate::domain::time::{Timestamp, whole_seconds};
use crate::domain::units::{ByteSize, Seconds};
use crate::download::LimitGroup;
use crate::ops::allowances::Accounts;
use crate::ops::download::cache_choice;
use crate::ops::lock::this_process;
use crate::ops::places::Places;
use crate::ops::retention::UpstreamNews;
use crate::ops::services::Services;
use crate::ops::sync::{CacheChoice, Target};
use crate::ops::{ownership, retention};
use crate::store::Store;
use crate::sys::host::checkpoint;
use crate::sys::pause::Stopwatch;

/// The limits of a run.
#[derive(Clone, Debug, Default)]
pub struct Bounds {
    pub max_duration: Option<Seconds>,
    pub max_transfer: Option<ByteSize>,
    /// The flags or the settings that have set these two limits.
    pub max_duration_name: &'static str,
    pub max_transfer_name: &'static str,
    pub limit_rate: Option<RateTable>,
    /// Bytes may go beyond the allowances, which count them all the same.
    pub ignores_allowances: bool,
}

/// A run between its begin and its end.
pub struct ActiveRun<'a> {
    pub services: &'a Services<'a>,
    pub(super) command: RunCommand,
    pub(super) trigger: Trigger,
    pub(super) id: RunId,
    pub(super) started_at: Timestamp,
    pub(super) sessions: BTreeMap<SessionId, OpenSession>,
    pub(super) syncer: Option<RunningSyncer<'a>>,
    /// The limits of the syncer.
    pub(super) bounds: Bounds,
    pub(super) accounts: Accounts,
    pub(super) places: Arc<Places>,
    /// Destinations that this run has recorded already.
    pub(super) recorded_places: BTreeSet<Destination>,
    /// Sessions in which this machine had no network.
    pub(super) offline: BTreeSet<SessionId>,
    /// Moved refs that no earlier run has found.
    pub(super) moved_refs: BTreeMap<SessionId, MovedRef>,
    /// Updates that are held.
    pub(super) holds: BTreeMap<SessionId, Hold>,
    /// The exit status so far, apart from the sessions.
    pub(super) status: ExitStatus,
    pub(super) last_heartbeat: Stopwatch,
    pub(super) since_start: Stopwatch,
    /// `None` for a command that reports no progress.
    pub(super) watchdog: Option<Watchdog>,
    pub(super) first_error: Option<Error>,
    pub(super) cache: CacheLayout,
    /// Repositories in the cache of which a sync has succeeded.
    pub(super) synced_repos: BTreeSet<Repo>,
    pub(super) upstream_news: UpstreamNews,
    /// Revisions and leftovers that were removed to make room.
    pub(super) removed: Vec<Removal>,
    /// Allowances that were spent before all files were fetched.
    pub(super) spent: Vec<Allowance>,
    pub(super) room: RoomAttempts,
}

/// A target and its session.
pub(super) struct OpenSession {
    pub(super) target: Arc<Target>,
    /// The limits of its files, from the start of its sync.
    pub(super) limits: Option<LimitGroup>,
    /// The ref of the model before the sync, if it was not at the published commit.
    pub(super) moved_ref: Option<MovedRef>,
    /// `None` until the session is closed.
    pub(super) stop: Option<SessionStop>,
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
        let watched = command != RunCommand::Prune;
        let watchdog = watched.then(|| prepare_home(services, &id, started_at));
        let watchdog = watchdog.transpose()?;
        let identity = ownership::identity(host, home, store)?;
        let run = Self {
            services,
            command,
            trigger,
            id,
            started_at,
            sessions: BTreeMap::new(),
            syncer: None,
            bounds: Bounds::default(),
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
            spent: Vec::new(),
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
                stop: None,
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

    /// Tells whether the run has a session of a model.
    pub fn has_synced(&self, model: ModelId) -> bool {
        let mut targets = self.sessions.values().map(|session| &session.target);
        targets.any(|target| target.model.as_ref().is_some_and(|(id, _)| *id == model))
    }
}

/// Starts the watchdog of a run, and removes leftovers and old logs.
fn prepare_home(services: &Services<'_>, id: &RunId, started_at: Timestamp) -> Result<Watchdog> {
    let Services {
        host,
        home,
        store,
        settings,
        ..
    } = services;
    let watchdog = Watchdog::start(host, home, id, &services.stop);
    remove_unfinished_copies(home);
    retention::prune_logs(store, home, settings.keep_logs(), started_at)?;
    Ok(watchdog)
}

/// Tells whether the schedule and the model of an opening still exist.
fn is_still_there(store: &Store, opening: &Opening) -> Result<bool> {
    let Some((schedule, ..)) = &opening.slot else {
        return Ok(true);
    };
    let model = opening.target.model.as_ref();
    Ok(store.has_schedule(*schedule)? && model.map_or(Ok(true), |(id, _)| store.has_model(*id))?)
}
