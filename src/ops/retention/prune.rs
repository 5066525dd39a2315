//! `hfdl prune`: everything that is not kept, with a reason for each thing.

use std::cell::OnceCell;
use std::collections::BTreeSet;

use anyhow::{Context, Error, Result};

use super::after_run::keep_of;
use super::folder::Folder;
use super::history::{HistoryPruned, old_history, prune_history};
use super::item::Item;
use super::leftovers::{is_of, item_of_dir, items_of};
use crate::cache::{
    self, CacheLayout, DirLeftover, LocalDir, SweepPlan, SweepRules, Unused, execute_sweep,
    plan_sweep,
};
use crate::domain::model::{Destination, Model, ModelId};
use crate::domain::repo::Repo;
use crate::domain::retention::{FolderFacts, RetentionRules, plan_retention};
use crate::domain::run::RunId;
use crate::domain::settings::Settings;
use crate::domain::time::Timestamp;
use crate::domain::units::ByteSize;
use crate::ops::places::Places;
use crate::store::Store;
use crate::sys::paths::Home;

/// What a person asked for.
#[derive(Clone, Copy, Debug, Default)]
pub struct PruneLimits {
    /// Beats what models and settings say, for the models that are meant.
    pub keep_revisions: Option<u32>,
    pub rules: RetentionRules,
}

/// What to look at, and by which rules.
pub struct Prune<'a> {
    pub store: &'a Store,
    pub home: &'a Home,
    pub settings: &'a Settings,
    pub models: Vec<Model>,
    pub limits: PruneLimits,
    /// Whether history and logs are meant too.
    pub with_history: bool,
}

/// What would be removed.
pub struct PrunePlan {
    folders: Vec<FolderPlan>,
    in_directories: Vec<(Item, DirLeftover)>,
    pub history: Option<HistoryPruned>,
    /// What the folders in the cache hold afterwards.
    pub bytes_left: u64,
    /// Folders that could not be looked at.
    pub problems: Vec<Error>,
}

struct FolderPlan {
    folder: Folder,
    rules: SweepRules,
    sweep: SweepPlan,
    items: Vec<Item>,
}

/// What was removed, or would be.
pub struct PruneReport {
    pub items: Vec<Item>,
    pub freed_bytes: u64,
    pub history: Option<HistoryPruned>,
    pub bytes_left: u64,
    pub problems: Vec<Error>,
}

impl PrunePlan {
    pub fn items(&self) -> impl Iterator<Item = &Item> {
        let in_cache = self.folders.iter().flat_map(|folder| &folder.items);
        in_cache.chain(self.in_directories.iter().map(|(item, _)| item))
    }

    /// Describes the plan as if it had been carried out.
    pub fn into_report(self) -> PruneReport {
        let freed = self.items().filter(|item| item.goes);
        PruneReport {
            freed_bytes: freed.map(|item| item.size_bytes).sum(),
            items: self.items().cloned().collect(),
            history: self.history,
            bytes_left: self.bytes_left,
            problems: self.problems,
        }
    }
}

impl Prune<'_> {
    /// Decides what goes; only looks.
    pub fn plan(&self, now: Timestamp) -> Result<PrunePlan> {
        let cache = CacheLayout::new(self.settings.cache_dir());
        let places = Places::load(self.store, self.settings)?;
        let unsettled = Unsettled::new(self.store);
        let mut problems = Vec::new();
        let mut folders = self.look(&cache, &places, &mut problems)?;
        Folder::ask_others(&mut folders, &cache)?;

        let mut unused = Vec::new();
        for folder in &mut folders {
            let may_remove = may_remove_unused(folder, &cache, &unsettled)?;
            // That goes whatever becomes of the revisions, so it fills no room.
            let all = folder.local.snapshots.keys().cloned().collect();
            let rules = folder.sweep_rules(all, may_remove, Unused::Remove);
            let gain = plan_sweep(&folder.local, &rules).freed_bytes;
            folder.facts.total_bytes = folder.facts.total_bytes.saturating_sub(gain);
            unused.push(may_remove);
        }
        let facts: Vec<FolderFacts> = folders.iter().map(|it| it.facts.clone()).collect();
        let plan = plan_retention(&facts, self.limits.rules, now);

        let mut planned = Vec::new();
        for (index, (folder, unused)) in folders.into_iter().zip(unused).enumerate() {
            let rules = folder.sweep_rules(plan.staying(index), unused, Unused::Remove);
            let sweep = plan_sweep(&folder.local, &rules);
            let items = items_of(&folder, &plan.folders[index], &sweep);
            planned.push(FolderPlan {
                folder,
                rules,
                sweep,
                items,
            });
        }
        let history = self
            .with_history
            .then(|| old_history(self.store, self.home, self.settings, now));
        Ok(PrunePlan {
            folders: planned,
            in_directories: self.look_into_directories(&unsettled, &places, &mut problems),
            history: history.transpose()?,
            bytes_left: plan.bytes_left,
            problems,
        })
    }

    fn look_into_directories(
        &self,
        unsettled: &Unsettled<'_>,
        places: &Places,
        problems: &mut Vec<Error>,
    ) -> Vec<(Item, DirLeftover)> {
        let mut found = Vec::new();
        for model in &self.models {
            let Destination::Directory(root) = &model.spec.destination else {
                continue;
            };
            let look = || -> Result<Vec<(Item, DirLeftover)>> {
                places.check(&model.spec.destination, Some(model.id))?;
                let left = LocalDir::leftovers(root)?;
                let may_be_continued = !left.is_empty()
                    && (LocalDir::is_being_fetched(root)?
                        || unsettled.has(&model.spec.repo, &model.spec.destination)?);
                let left = left.into_iter();
                let item = |left| (item_of_dir(model, &left, may_be_continued), left);
                Ok(left.map(item).collect())
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
        problems: &mut Vec<Error>,
    ) -> Result<Vec<Folder>> {
        let meant: BTreeSet<ModelId> = self.models.iter().map(|model| model.id).collect();
        let say = |model: &Model| {
            let is_meant = meant.contains(&model.id);
            let asked = self.limits.keep_revisions.filter(|_| is_meant);
            (
                asked.unwrap_or_else(|| keep_of(model, self.settings)),
                is_meant,
            )
        };
        let mut repos: BTreeSet<&Repo> = BTreeSet::new();
        let mut refused: BTreeSet<&Repo> = BTreeSet::new();
        let in_cache = self.models.iter();
        for model in in_cache.filter(|model| model.spec.destination == Destination::Cache) {
            match places.check(&model.spec.destination, Some(model.id)) {
                Ok(()) => drop(repos.insert(&model.spec.repo)),
                Err(err) => {
                    // One disk that is not mounted is one problem, however many models it holds.
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
            match Folder::look(self.store, cache, repo, &say) {
                Ok(folder) => folders.extend(folder),
                Err(err) => problems.push(err.context(could_not(repo))),
            }
        }
        Ok(folders)
    }

    /// Removes what was planned; the lock of the home is held by the caller.
    ///
    /// What cannot be removed does not stop the rest.
    pub fn carry_out(&self, plan: PrunePlan, run: &RunId, now: Timestamp) -> Result<PruneReport> {
        let cache = CacheLayout::new(self.settings.cache_dir());
        let mut report = PruneReport {
            items: Vec::new(),
            freed_bytes: 0,
            history: None,
            bytes_left: plan.bytes_left,
            problems: plan.problems,
        };
        for planned in plan.folders {
            let repo = &planned.folder.repo;
            match execute_sweep(&cache, repo, &planned.sweep, &planned.rules) {
                Ok(done) => {
                    planned
                        .folder
                        .forget(self.store, &cache, &done, Some(run), now)?;
                    report.freed_bytes += done.freed_bytes;
                    let is_done = |item: &Item| {
                        done.removals()
                            .any(|(removed, _)| is_of(item, &removed.what))
                    };
                    report
                        .items
                        .extend(planned.items.into_iter().map(|mut item| {
                            if item.goes && !is_done(&item) {
                                item.stays_after_all();
                            }
                            item
                        }));
                }
                Err(err) => report.problems.push(err.context(could_not(repo))),
            }
        }
        for (mut item, left) in plan.in_directories {
            if item.goes {
                match left.remove().with_context(|| could_not(&item.repo)) {
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
            let pruned = prune_history(self.store, self.home, self.settings, now)?;
            report.history = Some(pruned);
        }
        let freed = ByteSize(report.freed_bytes).render_short();
        log::info!("{freed} freed");
        Ok(report)
    }
}

/// Decides whether blobs and partial files that no revision uses may go: not
/// while a download may go on with them, in this run's home or another's.
fn may_remove_unused(
    folder: &Folder,
    cache: &CacheLayout,
    unsettled: &Unsettled<'_>,
) -> Result<Unused> {
    let may_be_continued = cache::is_being_fetched(&cache.repo(&folder.repo).private())?
        || folder.has_begun_downloads() && unsettled.has(&folder.repo, &Destination::Cache)?;
    Ok(match may_be_continued {
        true => Unused::Keep,
        false => Unused::Remove,
    })
}

/// Where downloads have not come to their end; asked for once, and only if
/// there is anything that they could go on with.
struct Unsettled<'a> {
    store: &'a Store,
    places: OnceCell<BTreeSet<(Repo, Destination)>>,
}

impl<'a> Unsettled<'a> {
    fn new(store: &'a Store) -> Self {
        Self {
            store,
            places: OnceCell::new(),
        }
    }

    fn has(&self, repo: &Repo, place: &Destination) -> Result<bool> {
        if self.places.get().is_none() {
            let _ = self.places.set(self.store.unsettled_places()?);
        }
        let place = (repo.clone(), place.clone());
        Ok(self
            .places
            .get()
            .is_some_and(|places| places.contains(&place)))
    }
}

fn could_not(repo: &Repo) -> String {
    format!("could not prune `{repo}`")
}
