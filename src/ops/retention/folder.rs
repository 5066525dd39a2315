//! The folder of one repository in the cache: its facts, its plan, its removal.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use anyhow::Result;

use crate::cache::layout::native;
use crate::cache::sweep_plan::own_bytes;
use crate::cache::{
    self, CacheLayout, Evidence, LocalEntry, LocalRepo, LocalSnapshot, SweepPlan, SweepRules,
    SweepTarget,
};
use crate::domain::content::ContentId;
use crate::domain::deletion::{Ownership, Reason, Refusal, judge};
use crate::domain::model::{Destination, Model};
use crate::domain::repo::{CommitSha, Repo};
use crate::domain::retention::{FolderFacts, ModelClaim, SnapshotFacts};
use crate::domain::run::{Event, EventKind, RunId};
use crate::domain::time::Timestamp;
use crate::domain::units::ByteSize;
use crate::ops::ownership;
use crate::store::Store;
use crate::sys::host::checkpoint;
use crate::sys::lock::FileLock;
use crate::sys::open_files;

/// A folder with all models that use it.
pub(super) struct Folder {
    pub repo: Repo,
    pub models: Vec<Model>,
    pub local: LocalRepo,
    pub facts: FolderFacts,
    pub used_elsewhere: BTreeSet<ContentId>,
    pub ownership: Rc<Ownership>,
}

/// Returns the number of revisions that a model keeps, and whether it is selected.
pub(super) type Say<'a> = &'a dyn Fn(&Model) -> (u32, bool);

impl Folder {
    /// Reads the folder of a repository; `None` if there is none.
    ///
    /// The needs of other programs are checked later, because that reads the whole
    /// cache and all processes.
    pub fn look(
        store: &Store,
        cache: &CacheLayout,
        repo: &Repo,
        say: Say<'_>,
        now: Timestamp,
    ) -> Result<Option<Self>> {
        let layout = cache.repo(repo);
        if !layout.folder().is_dir() {
            return Ok(None);
        }
        let mut models = store.models_of_repo(repo)?;
        models.retain(|model| model.spec.destination == Destination::Cache);
        let mut ownership = ownership::ownership_of(store, cache, repo, now)?;
        end_rejected(&mut ownership, &models);
        let local = cache::scan_repo(cache, repo)?;
        let mut facts = FolderFacts {
            models: claims(store, &models, say)?,
            named_by_refs: local.refs.values().cloned().collect(),
            total_bytes: total_bytes(&local),
            ..FolderFacts::default()
        };
        // An unreadable snapshot may use any blob, so all blobs stay.
        if local
            .snapshots
            .values()
            .all(cache::LocalSnapshot::is_readable)
        {
            let blobs = local.blobs.keys();
            facts.gains = blobs.map(|it| (*it, local.gain_of(it))).collect();
        }
        for (commit, snapshot) in &local.snapshots {
            let seen = SnapshotFacts {
                own_bytes: own_bytes(snapshot),
                contents: snapshot.contents().collect(),
                seen_bytes: snapshot.bytes(),
                refusal: refusal_of(&ownership, &local, commit, snapshot),
                is_abandoned: ownership.own.begun.abandoned.contains(commit),
                is_open: false,
            };
            facts.snapshots.insert(commit.clone(), seen);
        }
        Ok(Some(Self {
            repo: repo.clone(),
            models,
            local,
            facts,
            used_elsewhere: BTreeSet::new(),
            ownership: ownership.into(),
        }))
    }

    /// Finds the files that other repositories or other programs use.
    pub fn ask_others(folders: &mut [Self], cache: &CacheLayout) -> Result<()> {
        let repos: Vec<&Repo> = folders.iter().map(|folder| &folder.repo).collect();
        let borrowed = cache::borrowed_contents(cache, &repos)?;
        let mut files: BTreeMap<PathBuf, (usize, Held)> = BTreeMap::new();
        for (index, (folder, used)) in folders.iter_mut().zip(borrowed).enumerate() {
            for content in &used {
                folder.facts.gains.remove(content);
            }
            folder.used_elsewhere = used;
            for (path, held) in folder.files(cache) {
                files.insert(path, (index, held));
            }
            for content in folder.local.blobs.keys() {
                if is_locked(&cache.blob_lock(&folder.repo, content)) {
                    folder.facts.open.insert(*content);
                }
            }
        }
        for path in open_files::opened_by_others(files.keys().cloned()) {
            match files.remove(&path) {
                Some((index, Held::Content(content))) => {
                    folders[index].facts.open.insert(content);
                }
                Some((index, Held::Snapshot(commit))) => {
                    let snapshot = folders[index].facts.snapshots.get_mut(&commit);
                    snapshot.into_iter().for_each(|it| it.is_open = true);
                }
                None => {}
            }
        }
        Ok(())
    }

    /// Returns the files with contents, and the owner of each.
    fn files(&self, cache: &CacheLayout) -> Vec<(PathBuf, Held)> {
        let layout = cache.repo(&self.repo);
        let blobs = self.local.blobs.keys();
        let mut files: Vec<_> = blobs
            .map(|content| (layout.blob(content), Held::Content(*content)))
            .collect();
        for (commit, snapshot) in &self.local.snapshots {
            for (path, entry) in &snapshot.entries {
                if matches!(entry, LocalEntry::RealFile { .. }) {
                    let path = layout.snapshot(commit).join(native(path));
                    files.push((path, Held::Snapshot(commit.clone())));
                }
            }
        }
        files
    }

    /// Returns the rules of a sweep that keeps these revisions.
    pub fn sweep_rules(&self, keep: BTreeSet<CommitSha>, evidence: Evidence) -> SweepRules {
        SweepRules {
            keep,
            reason: Reason::BeyondNumber,
            used_elsewhere: self.used_elsewhere.clone(),
            open: self.facts.open.clone(),
            // The plan for revisions has checked this.
            open_snapshots: BTreeSet::new(),
            ownership: self.ownership.clone(),
            evidence,
        }
    }

    /// Deletes the rows of removed revisions, and records the removals.
    pub fn forget(
        &self,
        store: &Store,
        cache: &CacheLayout,
        done: &SweepPlan,
        run: Option<&RunId>,
        now: Timestamp,
    ) -> Result<()> {
        checkpoint("swept");
        let layout = cache.repo(&self.repo);
        let mut n_revisions = 0u64;
        let mut n_removed = 0u64;
        store.transaction(|store| -> Result<()> {
            for (item, _) in done.removals() {
                n_removed += 1;
                match &item.what {
                    SweepTarget::Snapshot(commit) => {
                        n_revisions += 1;
                        store.forget_files_below(&layout.snapshot(commit))?;
                    }
                    SweepTarget::Blob(content) => {
                        store.forget_blob(&layout.blob(content))?;
                        store.forget_bad_file(&layout.blob(content))?;
                    }
                    _ => {}
                }
            }
            // Includes revisions whose files an earlier sweep removed before it was killed.
            for (model, claim) in self.models.iter().zip(&self.facts.models) {
                for revision in &claim.history {
                    let is_current = claim.published.as_ref() == Some(&revision.commit);
                    if !is_current && !layout.snapshot(&revision.commit).is_dir() {
                        store.forget_revision(model.id, &revision.commit)?;
                    }
                }
            }
            if n_removed == 0 {
                return Ok(());
            }
            let freed = ByteSize(done.freed_bytes).render_short();
            let meant = self.models.iter().zip(&self.facts.models);
            let mut meant = meant.filter(|(_, claim)| claim.is_meant);
            Ok(store.record_event(&Event {
                at: now,
                kind: EventKind::Pruned,
                model_id: meant.next().map(|(model, _)| model.id),
                run_id: run.cloned(),
                detail: format!("`{}`: {n_revisions} revision(s), {freed} freed", self.repo),
            })?)
        })?;
        checkpoint("revisions forgotten");
        ownership::note_claims(store, cache, [&self.repo]);
        if n_removed > 0 {
            log::info!("{}: {n_revisions} revision(s) removed", self.repo);
        }
        Ok(())
    }
}

/// Ends the downloads of rejected updates: no run continues them.
pub(super) fn end_rejected(ownership: &mut Ownership, models: &[Model]) {
    for model in models {
        let update = model.state.held_update.as_ref();
        if let Some(rejected) = update.filter(|update| update.is_rejected()) {
            ownership.own.begun.end_commit(&rejected.commit);
        }
    }
}

/// The owner of a file on disk.
enum Held {
    Content(ContentId),
    Snapshot(CommitSha),
}

/// Applies the deletion rule, apart from the settings of the models.
fn refusal_of(
    ownership: &Ownership,
    local: &LocalRepo,
    commit: &CommitSha,
    snapshot: &LocalSnapshot,
) -> Option<Refusal> {
    let origin = cache::origin_of_snapshot(ownership, local, commit, snapshot);
    let claims = [ownership.refusal_of_commit(commit)];
    judge(Reason::BeyondNumber, origin, claims).err()
}

fn claims(store: &Store, models: &[Model], say: Say<'_>) -> Result<Vec<ModelClaim>> {
    let claim = |model: &Model| {
        let (keep, is_meant) = say(model);
        let history = store.revisions(model.id)?;
        Ok(ModelClaim {
            published: model.state.published_commit.clone(),
            held: model.state.held_commit.clone(),
            pinned: ownership::pinned_commits(model, &history),
            waiting: ownership::waiting_commit(model),
            linked_by_views: store.commits_linked_by_views(model.id)?,
            keep,
            history,
            is_meant,
        })
    };
    models.iter().map(claim).collect()
}

fn total_bytes(local: &LocalRepo) -> u64 {
    let blobs = local.blobs.values();
    let blobs = blobs.filter(|blob| blob.kind == cache::BlobKind::Plain);
    let own = local.snapshots.values().chain(local.trash.values());
    blobs.map(|blob| blob.size_bytes).sum::<u64>()
        + own.map(own_bytes).sum::<u64>()
        + local.partials.values().map(|it| it.size_bytes).sum::<u64>()
        + local.evidence.values().sum::<u64>()
}

/// Tells whether another program may hold the lock under which blobs are written
/// and linked. Without a lock file no program does; if the lock cannot be tried, one may.
fn is_locked(path: &Path) -> bool {
    path.exists() && !FileLock::try_acquire(path).is_ok_and(|lock| lock.is_some())
}
