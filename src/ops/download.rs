//! `hfdl download`: one run over the targets of a command line.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use anyhow::Result;

use super::adopt::adopted_files;
use super::places::Places;
use super::rate_limits;
use super::retention::{LackingRoom, lacking_room};
use super::run::{ActiveRun, Bounds, Opening};
use super::services::Services;
use super::sync::{CacheChoice, Checked, SyncEvent, SyncRequest, Target, check_all};
use crate::cache::LinkChoice;
use crate::domain::adopt::AdoptedFiles;
use crate::domain::alert::RunFacts;
use crate::domain::hold::Hold;
use crate::domain::model::{Destination, Priority};
use crate::domain::outcome::Trigger;
use crate::domain::plan::Totals;
use crate::domain::policy::{EffectiveRules, UpdateWait};
use crate::domain::queue_order::QueueOrder;
use crate::domain::repo::Repo;
use crate::domain::run::RunCommand;
use crate::domain::session::Session;
use crate::domain::settings::Settings;
use crate::domain::units::ByteSize;
use crate::sys::host::Host;

/// The result of a dry run for one target.
#[derive(Debug)]
pub struct DryRun {
    pub label: String,
    pub commit: String,
    pub files: Vec<(String, u64, u64)>,
    pub totals: Totals,
    /// The newer commit that is held, and why.
    pub held: Option<Hold>,
    /// A newer commit that is too young, and the rules in force.
    pub wait: Option<(UpdateWait, EffectiveRules)>,
}

/// Returns the cache and the kinds of links that may be used in it.
pub fn cache_choice(host: &Host, settings: &Settings, places: Arc<Places>) -> CacheChoice {
    let links = if host.is_on("HF_HUB_DISABLE_SYMLINKS") {
        LinkChoice::NoSymlinks
    } else {
        LinkChoice::WherePossible
    };
    CacheChoice {
        root: settings.cache_dir().into(),
        home: None,
        links,
        places,
        adopted: Arc::default(),
        guards: settings.guard_rules(),
    }
}

/// Downloads targets as one run; the caller holds the lock of the home.
pub fn download(
    services: &Services<'_>,
    targets: Vec<Target>,
    bounds: &Bounds,
    show: &mut dyn FnMut(&SyncEvent),
) -> Result<RunFacts> {
    let hub = &services.network()?.hub;
    rate_limits::refuse_long_wait(&services.store, hub, services.host.now())?;
    let mut run = ActiveRun::begin(services, RunCommand::Download, Trigger::Manual)?;
    run.start_syncer(bounds)?;
    // After the start of the syncer, because the time limit of the run includes this wait.
    run.wait_for_rate_limits(show)?;
    let targets: Vec<Arc<Target>> = targets.into_iter().map(Arc::new).collect();
    let openings = targets.iter().cloned();
    let sessions = run.open(openings.map(Opening::without_slot).collect())?;
    for (session, target) in sessions.into_iter().flatten().zip(targets) {
        let request = SyncRequest {
            target,
            limits: run.limits()?,
            order: QueueOrder::new(Priority::default(), Priority::default()),
        };
        run.sync(session, request, None)?;
    }
    while run.is_syncing() {
        for (session, result) in run.step(show) {
            run.close(session, &result);
        }
    }
    run.end(0)
}

/// Returns the bytes that a download would fetch. It only reads.
pub fn dry_run(services: &Services<'_>, targets: &[Target]) -> Result<Vec<Result<DryRun>>> {
    let Services {
        host,
        store,
        settings,
        ..
    } = services;
    let network = services.network()?;
    let places = Places::load(store, settings)?;
    let choice = CacheChoice {
        adopted: Arc::new(AdoptedFiles::new(adopted_files(store)?)),
        ..cache_choice(host, settings, Arc::new(places))
    };
    let bad = store.bad_files()?;
    let checked = check_all(
        &network.clients,
        network.xet.as_ref(),
        &choice,
        targets,
        &bad,
    );
    let pairs = targets.iter().zip(checked);
    Ok(pairs
        .map(|(target, checked)| checked.map(|checked| describe(target, checked)))
        .collect())
}

/// Returns the room that the results of a dry run would lack in the cache.
pub fn lacking_room_of(
    services: &Services<'_>,
    targets: &[Target],
    found: &[&DryRun],
) -> Result<Option<LackingRoom>> {
    let bytes_of = |target: &Target| {
        let mut plans = found.iter().filter(|plan| plan.label == target.label());
        plans.next().map_or(0, |plan| plan.totals.bytes_to_fetch)
    };
    let in_cache = targets
        .iter()
        .filter(|it| it.destination == Destination::Cache);
    let fetching: Vec<(&Repo, u64)> = in_cache
        .map(|target| (&target.repo, bytes_of(target)))
        .filter(|(_, n_bytes)| *n_bytes > 0)
        .collect();
    let need = fetching.iter().map(|(_, n_bytes)| n_bytes).sum();
    // The old revisions of a single target may go for its new one.
    let busy = fetching.iter().skip(usize::from(fetching.len() == 1));
    let busy: BTreeSet<Repo> = busy.map(|(repo, _)| (*repo).clone()).collect();
    lacking_room(services, ByteSize(need), busy)
}

fn describe(target: &Target, checked: Checked) -> DryRun {
    let mut held = None;
    let wait = checked.note().and_then(|note| note.wait.clone());
    let (commit, files, totals) = match checked {
        Checked::Unchanged(unchanged) => {
            let amount = unchanged.amount;
            let totals = Totals {
                files: amount.files,
                files_reused: amount.files,
                bytes: amount.bytes,
                bytes_reused: amount.bytes,
                ..Default::default()
            };
            (unchanged.commit, Vec::new(), totals)
        }
        Checked::Held { commit, .. } => (commit, Vec::new(), Default::default()),
        Checked::Waiting { hold, .. } => {
            let commit = hold.published.clone();
            let commit = commit.unwrap_or_else(|| hold.commit.clone());
            held = Some(hold);
            (commit, Vec::new(), Default::default())
        }
        Checked::Planned(planned) => {
            let files = planned.plan.fetches().map(|file| {
                (
                    file.file.path.to_string(),
                    file.file.size_bytes,
                    file.missing_bytes(),
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
        held,
        wait: wait.map(|wait| (wait, target.policy.rules.clone())),
    }
}

/// Returns the path that a session published: a file if one was asked for, else the folder.
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
