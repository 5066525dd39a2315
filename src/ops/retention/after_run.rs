//! Pruning at the end of a run: old revisions of the models that were updated, old
//! history, and leftovers of earlier runs.

use std::collections::BTreeSet;

use anyhow::{Error, Result};

use super::folder::Folder;
use super::history::{prune_evidence, prune_history};
use crate::cache::{CacheLayout, Evidence, execute_sweep, plan_sweep};
use crate::domain::deletion::Reason;
use crate::domain::model::{Destination, Model, ModelId};
use crate::domain::repo::{CommitSha, Repo};
use crate::domain::retention::{
    FolderFacts, RetentionDecision, RetentionPlan, RetentionRules, plan_retention,
};
use crate::domain::settings::Settings;
use crate::domain::time::Timestamp;
use crate::ops::ownership;
use crate::ops::places::Places;
use crate::ops::services::Services;
use crate::ops::sync::Target;
use crate::store::{Pruned, Store};

/// The totals of one pruning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    pub n_revisions: u64,
    pub freed_bytes: u64,
    pub rows: Pruned,
    pub n_logs: usize,
}

/// Returns the models whose published commit has changed since the run began.
pub fn newly_published<'t>(
    store: &Store,
    targets: impl IntoIterator<Item = &'t Target>,
) -> Result<Vec<ModelId>> {
    let mut moved = Vec::new();
    for target in targets {
        let Some((id, _)) = &target.model else {
            continue;
        };
        let model = store.model_by_id(*id)?;
        if model.is_some_and(|model| model.state.published_commit != target.known_commit) {
            moved.push(*id);
        }
    }
    Ok(moved)
}

/// Removes the revisions and the history that the settings do not keep.
///
/// `models_touched` have just been given a new revision, and a sync of `repos_whole`
/// has succeeded; no other folder is read. The caller holds the lock of the home. A
/// failure in one folder is logged and does not stop the others.
pub fn after_run(
    services: &Services<'_>,
    models_touched: &[ModelId],
    repos_whole: BTreeSet<Repo>,
    now: Timestamp,
) -> Result<Summary> {
    let Services {
        host,
        home,
        store,
        settings,
        ..
    } = services;
    let mut summary = Summary::default();
    let identity = ownership::identity(host, home, store)?;
    let cache = ownership::cache_of(settings, &identity);
    let mut repos = repos_with_too_many(store, settings, models_touched)?;
    let whole = repos_whole.into_iter();
    repos.extend(whole.filter(|repo| ownership::has_begun(&cache, repo)));
    if !repos.is_empty() {
        // The disk may have been unmounted since the last file was stored.
        Places::load(store, settings)?.check(&Destination::Cache, None)?;
        summary = sweep(store, settings, &cache, &repos, now)?;
    }
    prune_evidence(store, settings.keep_logs(), now);
    let history = prune_history(store, home, settings, now)?;
    summary.rows = history.rows;
    summary.n_logs = history.n_logs;
    Ok(summary)
}

/// Returns the repositories with too many revisions, from the database alone.
fn repos_with_too_many(
    store: &Store,
    settings: &Settings,
    models: &[ModelId],
) -> Result<BTreeSet<Repo>> {
    let mut repos = BTreeSet::new();
    for id in models {
        let Some(model) = store.model_by_id(*id)? else {
            continue;
        };
        let is_in_cache = model.spec.destination == Destination::Cache;
        if is_in_cache && store.revisions(*id)?.len() > keep_of(&model, settings) as usize {
            repos.insert(model.spec.repo);
        }
    }
    Ok(repos)
}

pub(super) fn keep_of(model: &Model, settings: &Settings) -> u32 {
    let own = model.spec.keep_revisions;
    own.unwrap_or_else(|| settings.keep_revisions())
}

fn sweep(
    store: &Store,
    settings: &Settings,
    cache: &CacheLayout,
    repos: &BTreeSet<Repo>,
    now: Timestamp,
) -> Result<Summary> {
    let run = store.unfinished_runs()?.pop().map(|run| run.id);
    let run = run.as_ref();
    let say = |model: &Model| (keep_of(model, settings), true);
    let mut folders = Vec::new();
    for repo in repos {
        ownership::prepare_place(store, cache, repo, &Destination::Cache);
        match Folder::look(store, cache, repo, &say, now) {
            Ok(folder) => folders.extend(folder),
            Err(err) => warn(repo, err),
        }
    }
    let planned = |folders: &[Folder], rules| {
        let facts: Vec<&FolderFacts> = folders.iter().map(|folder| &folder.facts).collect();
        plan_retention(&facts, rules, now)
    };
    let rules = RetentionRules {
        // The Hub was asked about the commits of updated models just now.
        confirmed_since: Some(now),
        ..RetentionRules::default()
    };
    let mut plan = planned(&folders, rules);
    let has_leftovers = |folder: &Folder| {
        let all = folder.local.snapshots.keys().cloned().collect();
        let rules = folder.sweep_rules(all, Evidence::Keep);
        let sweep = plan_sweep(&folder.local, &rules);
        sweep.removals().next().is_some()
    };
    if going(&plan).next().is_some() || folders.iter().any(has_leftovers) {
        Folder::ask_others(&mut folders, cache)?;
        plan = planned(&folders, rules);
    }
    for (commit, reason) in going(&plan) {
        log::debug!("{commit} goes: {}", reason.as_str());
    }
    let mut summary = Summary::default();
    for (index, folder) in folders.iter_mut().enumerate() {
        let rules = folder.sweep_rules(plan.staying(index), Evidence::Keep);
        // Two descriptions of a large folder at once take much memory.
        let swept = plan_sweep(&std::mem::take(&mut folder.local), &rules);
        let swept = execute_sweep(cache, &folder.repo, &swept, &rules);
        match swept.and_then(|done| folder.forget(store, cache, &done, run, now).map(|()| done)) {
            Ok(done) => {
                let snapshots = done.removals();
                let snapshots = snapshots.filter(|(item, _)| item.what.as_snapshot().is_some());
                summary.n_revisions += snapshots.count() as u64;
                summary.freed_bytes += done.freed_bytes;
            }
            Err(err) => warn(&folder.repo, err),
        }
    }
    Ok(summary)
}

/// The run has succeeded; the next run tries again to remove the revisions.
fn warn(repo: &Repo, err: Error) {
    log::warn!("could not remove old revisions of `{repo}`: {err:#}");
}

fn going(plan: &RetentionPlan) -> impl Iterator<Item = (&CommitSha, Reason)> {
    let revisions = plan.folders.iter().flatten();
    revisions.filter_map(|revision| match revision.verdict {
        RetentionDecision::Go(reason) => Some((&revision.commit, reason)),
        RetentionDecision::Stay(_) => None,
    })
}
