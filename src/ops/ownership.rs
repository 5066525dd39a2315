//! The records of this home in each place: its claims, and the files that it has
//! created or begun.
//!
//! The database is the source of the claims; the records show them to other homes. A
//! record that cannot be written does not end the run: fewer files may be deleted then.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use anyhow::Result;

use super::sync::Target;
use crate::cache::{
    self, CacheLayout, HomeFolder, LeftoverKind, LocalDir, LocalEntry, LocalRepo, LocalSnapshot,
    RepoLayout,
};
use crate::domain::content::ContentId;
use crate::domain::deletion::{
    FileOrigin, HomeIdentity, HomeRecord, Ownership, Refusal, UnfinishedFetch,
};
use crate::domain::model::{Destination, Model};
use crate::domain::outcome::Outcome;
use crate::domain::repo::{CommitSha, Repo};
use crate::domain::retention::PublishedRevision;
use crate::domain::settings::Settings;
use crate::domain::time::Timestamp;
use crate::store::Store;
use crate::sys::host::Host;
use crate::sys::paths::Home;

/// Returns the identity of this home in records.
pub fn identity(host: &Host, home: &Home, store: &Store) -> Result<Arc<HomeIdentity>> {
    Ok(Arc::new(HomeIdentity {
        id: store.install_id()?.to_string(),
        path: home.path().to_string_lossy().into_owned(),
        host: host.name(),
        seen_at: host.now(),
    }))
}

/// Returns the cache of the settings, with this home as the writer.
pub fn cache_of(settings: &Settings, home: &Arc<HomeIdentity>) -> CacheLayout {
    CacheLayout::new(settings.cache_dir()).of_home(home)
}

/// Returns the commits that the models of this home need in a repository's folder.
pub fn wanted_commits(store: &Store, repo: &Repo) -> Result<BTreeSet<CommitSha>> {
    let mut wanted = BTreeSet::new();
    for model in store.models_of_repo(repo)? {
        if model.spec.destination == Destination::Cache {
            wanted.extend(commits_of(store, &model)?);
        }
    }
    Ok(wanted)
}

/// Returns the commits that a model has, holds, is kept at, waits with or can go back to.
pub fn commits_of(store: &Store, model: &Model) -> Result<BTreeSet<CommitSha>> {
    let state = &model.state;
    let current = [state.published_commit.clone(), state.held_commit.clone()];
    let mut commits: BTreeSet<CommitSha> = current.into_iter().flatten().collect();
    let revisions = store.revisions(model.id)?;
    commits.extend(pinned_commits(model, &revisions));
    commits.extend(waiting_commit(model));
    commits.extend(revisions.into_iter().map(|it| it.commit));
    commits.extend(store.commits_linked_by_views(model.id)?);
    Ok(commits)
}

/// Returns the commits that a model is kept at: by its revision, its policy or a lock
/// file. A policy may name only the first digits of one of its revisions.
pub fn pinned_commits(model: &Model, revisions: &[PublishedRevision]) -> BTreeSet<CommitSha> {
    let mut pinned: BTreeSet<CommitSha> = model.spec.revision.as_commit().into_iter().collect();
    pinned.extend(model.state.pinned.as_ref().map(|pin| pin.commit.clone()));
    let policy = model.spec.update.policy.as_ref();
    if let Some(named) = policy.and_then(|policy| policy.commit.as_ref()) {
        let commits = revisions.iter().map(|revision| &revision.commit);
        pinned.extend(commits.filter(|commit| named.is_start_of(commit)).cloned());
    }
    pinned
}

/// Returns the commit of an update that waits for a person.
pub fn waiting_commit(model: &Model) -> Option<CommitSha> {
    let update = model.state.held_update.as_ref();
    update.map(|update| update.commit.clone())
}

/// Updates the records of a target's place before the place is read.
pub fn prepare(store: &Store, cache: &CacheLayout, target: &Target) {
    prepare_place(store, cache, &target.repo, &target.destination);
}

/// Updates the records of a place. For a folder of an older version they are made
/// once, from the database.
pub fn prepare_place(store: &Store, cache: &CacheLayout, repo: &Repo, place: &Destination) {
    let prepared = || -> Result<()> {
        let Some(home) = home_folder(cache, repo, place) else {
            return Ok(());
        };
        if home.exists() {
            if home.is_to_be_renewed()? {
                home.write_claims(&wanted_commits(store, repo)?)?;
            }
            return Ok(());
        }
        match derived_record(store, cache, repo, place)? {
            Some(record) => home.write_record(&record, &wanted_commits(store, repo)?),
            None => Ok(()),
        }
    };
    tell(repo, prepared());
}

/// Returns the creators of the files in a repository's folder, and the claims on it. It
/// only reads.
pub fn ownership_of(
    store: &Store,
    cache: &CacheLayout,
    repo: &Repo,
    now: Timestamp,
) -> Result<Ownership> {
    let mut ownership = cache::ownership_in_cache(cache, repo, now)?;
    if ownership.own.home.is_none()
        && let Some(derived) = derived_record(store, cache, repo, &Destination::Cache)?
    {
        ownership.own = derived;
    }
    Ok(ownership)
}

/// As `ownership_of`, for a directory of plain files.
pub fn ownership_of_directory(
    store: &Store,
    cache: &CacheLayout,
    repo: &Repo,
    root: &Path,
    now: Timestamp,
) -> Result<Ownership> {
    let mut ownership = match cache.home() {
        Some(home) => cache::ownership_in_directory(root, home, now)?,
        None => Ownership::default(),
    };
    let place = Destination::Directory(root.to_path_buf());
    if ownership.own.home.is_none()
        && let Some(derived) = derived_record(store, cache, repo, &place)?
    {
        ownership.own = derived;
    }
    Ok(ownership)
}

/// Records that a sync has succeeded, so that its download needs no more files. A
/// verification ends no download: a newer commit may be under way or held.
pub fn note_success(
    store: &Store,
    cache: &CacheLayout,
    target: &Target,
    outcome: Outcome,
    commit: Option<&CommitSha>,
) {
    let noted = || -> Result<()> {
        let Some(home) = home_folder(cache, &target.repo, &target.destination) else {
            return Ok(());
        };
        // A sibling may still fetch its files of a commit that is whole for this target.
        if outcome != Outcome::UpToDate || target.siblings.is_empty() {
            home.change_begun(|begun| begun.end(&target.fetch_key(), commit))?;
        }
        if let Destination::Directory(root) = &target.destination {
            return settle_directory(cache, &home, root);
        }
        let is_known = outcome == Outcome::UpToDate && home.exists();
        if !is_known && cache.repo(&target.repo).folder().is_dir() {
            home.write_claims(&wanted_commits(store, &target.repo)?)?;
        }
        Ok(())
    };
    tell(&target.repo, noted());
}

/// Records the present claims of the models of some repositories.
pub fn note_claims<'r>(
    store: &Store,
    cache: &CacheLayout,
    repos: impl IntoIterator<Item = &'r Repo>,
) {
    for repo in repos {
        let layout = cache.repo(repo);
        let noted = || -> Result<()> {
            let Some(home) = layout.home().filter(|_| layout.folder().is_dir()) else {
                return Ok(());
            };
            let wanted = wanted_commits(store, repo)?;
            // A home without claims and files leaves no record.
            let has_nothing = || -> Result<bool> {
                let record = home.record()?;
                Ok(record.blobs.is_empty()
                    && record.snapshots.is_empty()
                    && record.begun.is_empty())
            };
            if wanted.is_empty() && has_nothing()? {
                home.remove_all()
            } else {
                home.write_claims(&wanted)
            }
        };
        tell(repo, noted());
    }
}

/// Tells whether an unfinished download of this home has files in a repository's folder.
pub fn has_begun(cache: &CacheLayout, repo: &Repo) -> bool {
    cache.repo(repo).home().is_some_and(HomeFolder::has_begun)
}

fn home_folder(cache: &CacheLayout, repo: &Repo, place: &Destination) -> Option<HomeFolder> {
    match place {
        Destination::Cache => cache.repo(repo).home().cloned(),
        Destination::Directory(root) => Some(HomeFolder::in_directory(root, cache.home()?)),
    }
}

fn tell(repo: &Repo, result: Result<()>) {
    if let Err(err) = result {
        log::debug!("no record of `{repo}`: {err:#}");
    }
}

/// Removes unfinished files of this home from a directory that no download needs.
fn settle_directory(cache: &CacheLayout, home: &HomeFolder, root: &Path) -> Result<()> {
    if !home.has_begun() {
        return Ok(());
    }
    let Some(identity) = cache.home() else {
        return Ok(());
    };
    let ownership = cache::ownership_in_directory(root, identity, identity.seen_at)?;
    LocalDir::open(root)?.clear_stored(&ownership)?;
    let left: BTreeSet<ContentId> = LocalDir::leftovers(root)?
        .into_iter()
        .map(|left| left.content)
        .collect();
    home.change_begun(|begun| {
        // A directory holds one revision only.
        begun.abandoned.clear();
        begun.retain(|content| left.contains(content));
    })
}

/// Makes the record of a folder that has none, from the database; `None` if no older
/// version has written there.
fn derived_record(
    store: &Store,
    cache: &CacheLayout,
    repo: &Repo,
    place: &Destination,
) -> Result<Option<HomeRecord>> {
    let private = match place {
        Destination::Cache => cache.repo(repo).private(),
        Destination::Directory(root) => LocalDir::private_below(root),
    };
    if !private.is_dir() {
        return Ok(None);
    }
    let contents = store.contents_of(repo)?;
    let mut record = HomeRecord::default();
    let left = match place {
        Destination::Cache => derive_cache(store, cache, repo, &contents, &mut record)?,
        Destination::Directory(root) => {
            let left = LocalDir::leftovers(root)?.into_iter();
            left.map(|left| left.content).collect()
        }
    };
    let begun = &mut record.begun;
    begun.earlier = left.intersection(&contents).copied().collect();
    if !begun.is_empty() {
        for (key, commit) in store.unfinished_downloads(repo, place)? {
            let contents = begun.earlier.clone();
            begun
                .fetches
                .insert(key, UnfinishedFetch { commit, contents });
        }
    }
    Ok(Some(record))
}

/// Finds blobs and snapshots, and returns the contents that no snapshot uses.
fn derive_cache(
    store: &Store,
    cache: &CacheLayout,
    repo: &Repo,
    contents: &BTreeSet<ContentId>,
    record: &mut HomeRecord,
) -> Result<BTreeSet<ContentId>> {
    let layout = cache.repo(repo);
    let local = cache::scan_repo(cache, repo)?;
    for (content, blob) in &local.blobs {
        let row = store.blob(&layout.blob(content))?;
        let is_proven =
            row.is_some_and(|row| row.content == *content && row.size_bytes == blob.size_bytes);
        if is_proven && blob.kind == cache::BlobKind::Plain {
            record.blobs.insert(*content, blob.stamp);
        }
    }
    let published = store.commits_published(repo)?;
    let snapshots = local.snapshots.iter().chain(&local.trash);
    for (commit, snapshot) in snapshots {
        if published.contains(commit) && layout.private_tree(commit).exists() {
            add_snapshot(store, &layout, (commit, snapshot), contents, record)?;
        }
    }
    Ok(unused_contents(&local))
}

/// Adds a snapshot to a record, if the database knows the content of each name.
fn add_snapshot(
    store: &Store,
    layout: &RepoLayout,
    (commit, snapshot): (&CommitSha, &LocalSnapshot),
    contents: &BTreeSet<ContentId>,
    record: &mut HomeRecord,
) -> Result<()> {
    let mut put = BTreeMap::new();
    for (path, entry) in &snapshot.entries {
        let content = match entry {
            LocalEntry::Blob { content, .. } => {
                Some(*content).filter(|it| contents.contains(it) || record.blobs.contains_key(it))
            }
            LocalEntry::RealFile { size_bytes } => {
                let row = store.blob(&layout.entry(commit, path))?;
                let row = row.filter(|row| row.size_bytes == *size_bytes);
                let stamp = snapshot.real_files.get(path);
                row.zip(stamp).map(|(row, stamp)| {
                    record.blobs.insert(row.content, *stamp);
                    row.content
                })
            }
            LocalEntry::Dangling => None,
        };
        let Some(content) = content else {
            return Ok(());
        };
        put.insert(path.clone(), content);
    }
    if snapshot.is_readable() {
        record.snapshots.insert(commit.clone(), put);
    }
    Ok(())
}

fn unused_contents(local: &LocalRepo) -> BTreeSet<ContentId> {
    let snapshots = local.snapshots.values().chain(local.trash.values());
    let used: BTreeSet<ContentId> = snapshots.flat_map(|it| it.contents()).collect();
    let blobs = local.blobs.keys().filter(|it| !used.contains(it));
    let others = local.partials.keys().chain(local.evidence.keys());
    blobs.chain(others).copied().collect()
}

/// Counts the bytes of unfinished downloads that no revision needs; the next successful
/// sync of their repository removes them. Bad bytes that are kept do not count.
pub fn leftover_bytes(store: &Store, cache: &CacheLayout, now: Timestamp) -> Result<u64> {
    let mut sum = 0;
    for root in store.directories()? {
        sum += leftover_bytes_in(&root, cache, now)?;
    }
    // Of ten thousand models few have begun: the rest costs no row and no scan.
    let cached = cache::cached_repos(cache)?;
    for repo in cached.iter().filter(|repo| has_begun(cache, repo)) {
        if store.models_of_repo(repo)?.is_empty() {
            continue;
        }
        let ownership = cache::ownership_in_cache(cache, repo, now)?;
        let local = cache::scan_repo(cache, repo)?;
        let mut left = unused_contents(&local);
        left.retain(|it| !local.evidence.contains_key(it) && is_left_over(&ownership, it));
        let left = left.iter();
        sum += left.map(|content| bytes_of(&local, content)).sum::<u64>();
    }
    Ok(sum)
}

fn leftover_bytes_in(root: &Path, cache: &CacheLayout, now: Timestamp) -> Result<u64> {
    let Some(identity) = cache.home() else {
        return Ok(0);
    };
    if !HomeFolder::in_directory(root, identity).has_begun() {
        return Ok(0);
    }
    let ownership = cache::ownership_in_directory(root, identity, now)?;
    let left = LocalDir::leftovers(root)?.into_iter();
    let left = left.filter(|left| {
        left.kind != LeftoverKind::Evidence && is_left_over(&ownership, &left.content)
    });
    Ok(left.map(|left| left.size_bytes).sum())
}

/// Tells whether this home has begun a content that no download needs any more.
fn is_left_over(ownership: &Ownership, content: &ContentId) -> bool {
    let claimed = ownership.refusal_of_content(content);
    ownership.origin_of_partial(content) == FileOrigin::ThisHome
        && !matches!(
            claimed,
            Some(Refusal::PerhapsContinued | Refusal::OtherHome)
        )
}

fn bytes_of(local: &LocalRepo, content: &ContentId) -> u64 {
    let partial = local.partials.get(content).map_or(0, |it| it.size_bytes);
    partial + local.gain_of(content)
}
