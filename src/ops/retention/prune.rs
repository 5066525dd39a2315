//! `hfdl prune`: the removal of everything that is not kept, with a reason for each thing.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use anyhow::{Context, Error, Result};

use super::after_run::keep_of;
use super::folder::{Folder, end_rejected};
use super::history::{HistoryPruned, old_history, prune_history};
use super::leftovers::{item_of_dir, items_of, name_of};
use crate::cache::{
    CacheLayout, DirLeftover, Evidence, LeftoverKind, LocalDir, LocalRepo, SweepPlan, SweepRules,
    execute_sweep, plan_sweep,
};
use crate::domain::deletion::{HomeIdentity, Permit, Reason, Refusal, judge};
use crate::domain::model::{Destination, EntryName, Model, ModelId};
use crate::domain::repo::Repo;
use crate::domain::retention::{FolderFacts, Item, RetentionRules, plan_retention};
use crate::domain::run::RunId;
use crate::domain::settings::Settings;
use crate::domain::time::Timestamp;
use crate::domain::units::ByteSize;
use crate::ops::adopt::{changed_files, forget_changed};
use crate::ops::ownership;
use crate::ops::places::Places;
use crate::store::Store;
use crate::sys::paths::Home;

/// The limits from the command line.
#[derive(Clone, Copy, Debug, Default)]
pub struct PruneLimits {
    /// Overrides models and settings, for the selected models.
    pub keep_revisions: Option<u32>,
    pub rules: RetentionRules,
    /// Whether bytes with a wrong hash stay.
    pub keeps_evidence: bool,
}

/// The models to prune, and the rules.
pub struct Prune<'a> {
    pub store: &'a Store,
    pub home: &'a Home,
    pub settings: &'a Settings,
    pub identity: Arc<HomeIdentity>,
    pub models: Vec<Model>,
    pub limits: PruneLimits,
    /// Whether history and logs are pruned too.
    pub with_history: bool,
}

/// The planned removals.
pub struct PrunePlan {
    folders: Vec<FolderPlan>,
    in_directories: Vec<(Item, DirLeftover, Permitted)>,
    /// Homes whose claims have expired.
    pub outdated: Vec<HomeIdentity>,
    pub history: Option<HistoryPruned>,
    /// The size of the folders in the cache afterwards.
    pub bytes_left: u64,
    /// Errors of folders that could not be read.
    pub problems: Vec<Error>,
}

struct FolderPlan {
    folder: Folder,
    rules: SweepRules,
    sweep: SweepPlan,
    items: Vec<Item>,
}

/// The removals, planned or done.
pub struct PruneReport {
    pub items: Vec<Item>,
    pub freed_bytes: u64,
    pub history: Option<HistoryPruned>,
    pub bytes_left: u64,
    pub problems: Vec<Error>,
    /// Homes whose claims have expired.
    pub outdated: Vec<HomeIdentity>,
}

type Permitted = Result<Permit, Refusal>;

impl PrunePlan {
    pub fn items(&self) -> impl Iterator<Item = &Item> {
        let in_cache = self.folders.iter().flat_map(|folder| &folder.items);
        in_cache.chain(self.in_directories.iter().map(|(item, ..)| item))
    }

    /// Returns the report of a dry run.
    pub fn into_report(self) -> PruneReport {
        let freed = self.items().filter(|item| item.goes);
        PruneReport {
            freed_bytes: freed.map(|item| item.size_bytes).sum(),
            items: self.items().cloned().collect(),
            history: self.history,
            bytes_left: self.bytes_left,
            problems: self.problems,
            outdated: self.outdated,
        }
    }
}

impl Prune<'_> {
    fn evidence(&self) -> Evidence {
        if self.limits.keeps_evidence {
            Evidence::Keep
        } else {
            Evidence::Remove
        }
    }

    /// Tells whether a model is registered and disabled.
    pub fn is_disabled(&self, name: &EntryName) -> bool {
        let mut models = self.models.iter();
        models.any(|model| model.spec.name == *name && !model.spec.enabled)
    }

    pub fn cache(&self) -> CacheLayout {
        ownership::cache_of(self.settings, &self.identity)
    }

    /// Plans the removals. It only reads.
    pub fn plan(&self, now: Timestamp) -> Result<PrunePlan> {
        let cache = self.cache();
        let places = Places::load(self.store, self.settings)?;
        let mut problems = Vec::new();
        let mut folders = self.look(&cache, &places, now, &mut problems)?;
        Folder::ask_others(&mut folders, &cache)?;

        let mut limits = self.limits.rules;
        for folder in &mut folders {
            // Leftovers are removed in any case, so they do not count.
            let all = folder.local.snapshots.keys().cloned().collect();
            let rules = folder.sweep_rules(all, self.evidence());
            let gain = plan_sweep(&folder.local, &rules).freed_bytes;
            folder.facts.total_bytes = folder.facts.total_bytes.saturating_sub(gain);
            if let Some(room) = &mut limits.make_room {
                *room = ByteSize(room.bytes().saturating_sub(gain));
            }
        }
        let mut outdated: Vec<HomeIdentity> = folders
            .iter()
            .flat_map(|folder| folder.ownership.outdated.iter().cloned())
            .collect();
        outdated.sort_by(|a, b| (&a.id, b.seen_at).cmp(&(&b.id, a.seen_at)));
        outdated.dedup_by(|a, b| a.id == b.id);
        let facts: Vec<&FolderFacts> = folders.iter().map(|it| &it.facts).collect();
        let plan = plan_retention(&facts, limits, now);

        let mut planned = Vec::new();
        for (index, folder) in folders.into_iter().enumerate() {
            let rules = folder.sweep_rules(plan.staying(index), self.evidence());
            let sweep = plan_sweep(&folder.local, &rules);
            let items = items_of(&folder, &plan.folders[index], &sweep);
            planned.push(FolderPlan {
                folder,
                rules,
                sweep,
                items,
            });
        }
        let history = || -> Result<HistoryPruned> {
            Ok(HistoryPruned {
                n_adopted: changed_files(self.store)?.len(),
                ..old_history(self.store, self.home, self.settings, now)?
            })
        };
        let history = self.with_history.then(history).transpose()?;
        Ok(PrunePlan {
            folders: planned,
            in_directories: self.look_into_directories(&cache, &places, now, &mut problems),
            outdated,
            history,
            bytes_left: plan.bytes_left,
            problems,
        })
    }

    fn look_into_directories(
        &self,
        cache: &CacheLayout,
        places: &Places,
        now: Timestamp,
        problems: &mut Vec<Error>,
    ) -> Vec<(Item, DirLeftover, Permitted)> {
        let mut found = Vec::new();
        for model in &self.models {
            let Destination::Directory(root) = &model.spec.destination else {
                continue;
            };
            let repo = &model.spec.repo;
            let look = || -> Result<Vec<(Item, DirLeftover, Permitted)>> {
                places.check(&model.spec.destination, Some(model.id))?;
                let left = LocalDir::leftovers(root)?;
                let mut ownership =
                    ownership::ownership_of_directory(self.store, cache, repo, root, now)?;
                end_rejected(&mut ownership, std::slice::from_ref(model));
                let item = |left: DirLeftover| {
                    let reason = match left.kind {
                        LeftoverKind::Evidence => Reason::WrongHash,
                        _ => Reason::NothingUsesIt,
                    };
                    let claim = ownership.refusal_of_content(&left.content);
                    let is_evidence = left.kind == LeftoverKind::Evidence;
                    let claim =
                        claim.filter(|it| !(is_evidence && *it == Refusal::PerhapsContinued));
                    let origin = ownership.origin_of_partial(&left.content);
                    let verdict = judge(reason, origin, [claim]);
                    (
                        item_of_dir(model, &left, &ownership, verdict),
                        left,
                        verdict,
                    )
                };
                Ok(left.into_iter().map(item).collect())
            };
            match look() {
                Ok(left) => found.extend(left),
                Err(err) => problems.push(err.context(could_not(&model.spec.repo))),
            }
        }
        found
    }

    fn look(
        &self,
        cache: &CacheLayout,
        places: &Places,
        now: Timestamp,
        problems: &mut Vec<Error>,
    ) -> Result<Vec<Folder>> {
        let meant: BTreeSet<ModelId> = self.models.iter().map(|model| model.id).collect();
        let say = |model: &Model| {
            let is_meant = meant.contains(&model.id);
            let asked = self.limits.keep_revisions.filter(|_| is_meant);
            let keep = keep_of(model, self.settings);
            // The rollback target stays, unless the settings keep one revision only.
            let asked = asked.map(|asked| asked.max(keep.min(2)));
            (asked.unwrap_or(keep), is_meant)
        };
        let mut repos: BTreeSet<&Repo> = BTreeSet::new();
        let mut refused: BTreeSet<&Repo> = BTreeSet::new();
        let in_cache = self.models.iter();
        for model in in_cache.filter(|model| model.spec.destination == Destination::Cache) {
            match places.check(&model.spec.destination, Some(model.id)) {
                Ok(()) => drop(repos.insert(&model.spec.repo)),
                Err(err) => {
                    // A disk that is not mounted is one problem, however many models are on it.
                    if refused.is_empty() {
                        problems.push(err.into());
                    }
                    refused.insert(&model.spec.repo);
                }
            }
        }
        repos.retain(|repo| !refused.contains(repo));
        let mut folders = Vec::new();
        for repo in repos {
            match Folder::look(self.store, cache, repo, &say, now) {
                Ok(folder) => folders.extend(folder),
                Err(err) => problems.push(err.context(could_not(repo))),
            }
        }
        Ok(folders)
    }

    /// Carries the plan out; the caller holds the lock of the home. A removal that
    /// fails does not stop the others.
    pub fn carry_out(&self, plan: PrunePlan, run: &RunId, now: Timestamp) -> Result<PruneReport> {
        let cache = self.cache();
        let mut report = PruneReport {
            items: Vec::new(),
            freed_bytes: 0,
            history: None,
            bytes_left: plan.bytes_left,
            problems: plan.problems,
            outdated: plan.outdated,
        };
        for mut planned in plan.folders {
            // Two descriptions of a large folder at once take much memory.
            planned.folder.local = LocalRepo::default();
            let repo = &planned.folder.repo;
            ownership::prepare_place(self.store, &cache, repo, &Destination::Cache);
            match execute_sweep(&cache, repo, &planned.sweep, &planned.rules) {
                Ok(done) => {
                    planned
                        .folder
                        .forget(self.store, &cache, &done, Some(run), now)?;
                    report.freed_bytes += done.freed_bytes;
                    let removed = done.removals().map(|(item, _)| name_of(&item.what));
                    let removed: HashSet<_> = removed.collect();
                    report
                        .items
                        .extend(planned.items.into_iter().map(|mut item| {
                            if item.goes && !removed.contains(&(item.what, item.id.clone())) {
                                item.stays_after_all();
                            }
                            item
                        }));
                }
                Err(err) => report.problems.push(err.context(could_not(repo))),
            }
        }
        for (mut item, left, permitted) in plan.in_directories {
            if let Ok(permit) = permitted {
                match left.remove(permit).with_context(|| could_not(&item.repo)) {
                    Ok(true) => report.freed_bytes += item.size_bytes,
                    Ok(false) => item.stays_after_all(),
                    Err(err) => {
                        item.stays_after_all();
                        report.problems.push(err);
                    }
                }
            }
            report.items.push(item);
        }
        if self.with_history {
            report.history = Some(HistoryPruned {
                // Not after each run: the files may lie on a slow disk.
                n_adopted: forget_changed(self.store)?,
                ..prune_history(self.store, self.home, self.settings, now)?
            });
        }
        let freed = ByteSize(report.freed_bytes).render_short();
        log::info!("{freed} freed");
        Ok(report)
    }
}

fn could_not(repo: &Repo) -> String {
    format!("could not prune `{repo}`")
}
