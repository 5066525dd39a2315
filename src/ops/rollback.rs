//! Rollback to a revision that is still on disk; the model is held there.
//!
//! A rollback sends no request. It is recorded in the database before the ref moves. If
//! the process is killed in between, the model is held while readers still see the newer
//! revision, and the next run or the same command moves the ref. In the opposite order
//! the next run would see an old ref and publish the newest revision again.

use std::any::Any;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use thiserror::Error;

use crate::cache::{self, CacheLayout, CacheWriter, LinkChoice, RepoLayout};
use crate::domain::hold::PinKind;
use crate::domain::model::{Destination, EntryName, Model};
use crate::domain::repo::{CommitSha, Repo};
use crate::domain::retention::{NoTarget, PublishedRevision, UpstreamAnswer, rollback_target};
use crate::domain::run::{Event, EventKind};
use crate::domain::time::Timestamp;
use crate::ops::sync::{Target, siblings_of};
use crate::store::Store;
use crate::sys::host::checkpoint;

/// The reason why a model cannot be rolled back.
#[derive(Debug, Error)]
pub enum CannotRollBack {
    #[error("`{0}` is a directory, which holds one revision only")]
    Directory(PathBuf),
    #[error("it is kept at one commit, which no other can take the place of")]
    ByCommit,
    #[error("nothing has been published for it yet")]
    NeverPublished,
    #[error("{why}")]
    NoTarget {
        why: NoTarget,
        kept: Vec<PublishedRevision>,
    },
    #[error("{commit} is not whole for `{model}`: {why}")]
    NotWhole {
        /// The model itself, or another one that follows the same ref.
        model: EntryName,
        commit: CommitSha,
        why: String,
    },
    #[error("`{model}`, which shares the revision, is held at {commit}")]
    HeldByOther { model: EntryName, commit: CommitSha },
}

/// The result of a rollback.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RolledBack {
    pub from: CommitSha,
    pub to: CommitSha,
    /// The snapshot's folder.
    pub path: PathBuf,
    /// Other models whose readers go back too, because they follow the same ref.
    pub others: Vec<EntryName>,
}

impl RolledBack {
    /// Tells whether the model was at the commit already.
    pub fn is_nothing(&self) -> bool {
        self.from == self.to
    }
}

/// Moves a model's ref to another commit on disk, and holds the model there.
///
/// `asked` is a commit or its first digits; the default is the revision that was
/// published before the current one. The caller holds the lock of the home.
pub fn roll_back(
    store: &Store,
    cache: &CacheLayout,
    model: &Model,
    asked: Option<&str>,
    now: Timestamp,
) -> Result<RolledBack> {
    if let Destination::Directory(path) = &model.spec.destination {
        return Err(CannotRollBack::Directory(path.clone()).into());
    }
    if model.spec.revision.as_commit().is_some() {
        return Err(CannotRollBack::ByCommit.into());
    }
    let layout = cache.repo(&model.spec.repo);
    let Some(published) = model.state.published_commit.clone() else {
        return Err(CannotRollBack::NeverPublished.into());
    };
    let kept = kept_revisions(store, &layout, model)?;
    let seen = cache::published_commit(&layout, &model.spec.revision)?;
    let current = current_commit(model, &published, seen.as_ref(), &kept).clone();
    let target = choose_target(store, &layout, model, kept, &current, asked)?;
    let siblings = siblings_of(store, model)?;
    let followers = followers(model, &siblings);
    let others = followers.iter().skip(1).map(|it| it.spec.name.clone());
    let is_read_there = seen.as_ref() == Some(&target);
    let rolled_back = RolledBack {
        others: others.collect(),
        path: layout.snapshot(&target),
        from: seen.unwrap_or(published),
        to: target,
    };
    if rolled_back.is_nothing() && is_read_there {
        return Ok(rolled_back);
    }
    for sibling in &siblings {
        if let Some(held) = sibling.state.held_commit.as_ref()
            && *held != rolled_back.to
        {
            let model = sibling.spec.name.clone();
            let commit = held.clone();
            return Err(CannotRollBack::HeldByOther { model, commit }.into());
        }
    }
    for follower in &followers {
        check_whole(store, &layout, follower, &rolled_back.to)?;
    }
    remember(store, &followers, &rolled_back, now)?;
    checkpoint("rollback remembered");
    move_ref(cache, model, &rolled_back.to)?;
    checkpoint("rolled back");
    Ok(rolled_back)
}

/// Returns the commit that a rollback goes to: a kept revision, else one on disk that the
/// database has no record of.
fn choose_target(
    store: &Store,
    layout: &RepoLayout,
    model: &Model,
    kept: Vec<PublishedRevision>,
    current: &CommitSha,
    asked: Option<&str>,
) -> Result<CommitSha> {
    let why = match rollback_target(&kept, Some(current), asked) {
        Ok(target) => return Ok(target.commit.clone()),
        Err(why) => why,
    };
    let others = unrecorded_revisions(store, layout, model, current)?;
    match rollback_target(&others, Some(current), asked) {
        Ok(target) => Ok(target.commit.clone()),
        Err(_) => Err(CannotRollBack::NoTarget { why, kept }.into()),
    }
}

/// Returns a model, then the others whose readers the ref moves too: those that are
/// enabled and published.
fn followers<'m>(model: &'m Model, siblings: &'m [Model]) -> Vec<&'m Model> {
    let is_read = |it: &&Model| it.spec.enabled && it.state.published_commit.is_some();
    std::iter::once(model)
        .chain(siblings.iter().filter(is_read))
        .collect()
}

/// Returns the commit that a rollback leaves: the published one, wherever another
/// program has moved the ref. After a rollback that was killed before it moved the
/// ref, the same command goes to the same commit again.
fn current_commit<'c>(
    model: &Model,
    published: &'c CommitSha,
    seen: Option<&'c CommitSha>,
    kept: &[PublishedRevision],
) -> &'c CommitSha {
    let is_ours = |commit: &&CommitSha| kept.iter().any(|it| it.commit == **commit);
    let unfinished = seen.filter(|_| model.state.held_commit.is_some());
    unfinished.filter(is_ours).unwrap_or(published)
}

/// Returns the revisions of a model that are on disk, the latest published first.
pub fn kept_revisions(
    store: &Store,
    layout: &RepoLayout,
    model: &Model,
) -> Result<Vec<PublishedRevision>> {
    let mut kept = store.revisions(model.id)?;
    kept.retain(|revision| layout.snapshot(&revision.commit).is_dir());
    Ok(kept)
}

/// Returns the whole revisions on disk that are older than the current one and that this
/// database has no record of: hfdl published them for another home, before a database
/// was lost, or before it kept records.
fn unrecorded_revisions(
    store: &Store,
    layout: &RepoLayout,
    model: &Model,
    current: &CommitSha,
) -> Result<Vec<PublishedRevision>> {
    let made_at = |commit: &CommitSha| -> Option<Timestamp> {
        let made = layout.snapshot(commit).metadata().ok()?.modified().ok()?;
        Timestamp::try_from(made).ok()
    };
    let current_made_at = made_at(current);
    let mut found = Vec::new();
    for commit in cache::listed_snapshots(layout)? {
        let Some(published_at) = made_at(&commit).filter(|at| Some(*at) < current_made_at) else {
            continue;
        };
        if check_whole(store, layout, model, &commit).is_ok() {
            found.push(PublishedRevision {
                commit,
                published_at,
                upstream: UpstreamAnswer::default(),
            });
        }
    }
    Ok(found)
}

/// Moves the ref of a target to the commit that it is held at, unless it is there.
///
/// A rollback may have been killed before this, or another program may have moved the
/// ref since. A failure is logged and does not end the run.
pub fn hold(cache: &CacheLayout, target: &Target, held: &CommitSha) {
    let moved = || -> Result<bool> {
        let (repo, revision) = (&target.repo, &target.revision);
        let layout = cache.repo(repo);
        let has_ref = target.destination == Destination::Cache && revision.as_commit().is_none();
        if !has_ref || cache::published_commit(&layout, revision)?.as_ref() == Some(held) {
            return Ok(false);
        }
        ensure!(
            layout.snapshot(held).is_dir(),
            "there is no snapshot of commit {held}; `hfdl verify {} --repair` fetches it again",
            target.label()
        );
        writer(cache, repo)?.move_ref(revision, held)
    };
    match moved() {
        Ok(true) => log::warn!(
            "`{}` had left the commit that it is held at; it is there again",
            target.label()
        ),
        Ok(false) => {}
        Err(err) => log::warn!("`{}` cannot be held in place: {err:#}", target.label()),
    }
}

/// Releases a held model, and returns the commit that it was held at.
pub fn release(store: &Store, model: &Model, now: Timestamp) -> Result<Option<CommitSha>> {
    store.transaction(|store| {
        let Some(model) = store.model_by_id(model.id)? else {
            return Ok(None);
        };
        let mut state = model.state.clone();
        let Some(held) = state.held_commit.take() else {
            return Ok(None);
        };
        store.save_model_state(model.id, &state)?;
        store.record_event(&Event {
            at: now,
            kind: EventKind::Released,
            model_id: Some(model.id),
            run_id: None,
            detail: format!("no longer held at {held}"),
        })?;
        Ok(Some(held))
    })
}

/// Compares a snapshot with its stored listing and with the records of damaged files.
pub(super) fn check_whole(
    store: &Store,
    layout: &RepoLayout,
    model: &Model,
    commit: &CommitSha,
) -> Result<()> {
    let broken = |why: String| CannotRollBack::NotWhole {
        model: model.spec.name.clone(),
        commit: commit.clone(),
        why,
    };
    let Some(listing) = cache::stored_listing(layout, commit)? else {
        return Err(broken("the listing of its files is gone".to_owned()).into());
    };
    let bad = store.bad_files()?;
    for file in listing.selected(&model.spec.filter) {
        if !cache::snapshot_is_complete(layout, commit, [file])? {
            let why = format!("`{}` is missing or has another size", file.path);
            return Err(broken(why).into());
        }
        let copies = [layout.blob(&file.content), layout.entry(commit, &file.path)];
        if copies
            .iter()
            .any(|copy| bad.get(copy) == Some(&file.content))
        {
            return Err(broken(format!("`{}` is damaged", file.path)).into());
        }
    }
    Ok(())
}

/// Records that the followers of a ref are at another commit, and that the first of them
/// is held there.
fn remember(store: &Store, followers: &[&Model], went: &RolledBack, now: Timestamp) -> Result<()> {
    store.transaction(|store| {
        for (index, model) in followers.iter().enumerate() {
            let mut state = model.state.clone();
            if index == 0 {
                state.held_commit = Some(went.to.clone());
            }
            state.published_commit = Some(went.to.clone());
            // A pin at the published commit goes along; a commit that is written in the
            // policy stays, and the model returns to it when it is released.
            let policy = model.spec.update.policy.as_ref();
            if let Some(pin) = state.pinned.as_mut()
                && pin.by == PinKind::Policy
                && policy.is_none_or(|choice| choice.commit.is_none())
            {
                pin.commit = went.to.clone();
            }
            state.published_at = Some(now);
            state.last_change_at = Some(now);
            // No file of this commit is known to be bad.
            state.forget_damage();
            state.moved_ref = None;
            store.save_model_state(model.id, &state)?;
            store.save_revision(model.id, &went.to, now)?;
        }
        store.record_event(&Event {
            at: now,
            kind: EventKind::RolledBack,
            model_id: followers.first().map(|model| model.id),
            run_id: None,
            detail: format!("from {} to {}", went.from, went.to),
        })?;
        Ok(())
    })
}

fn move_ref(cache: &CacheLayout, model: &Model, commit: &CommitSha) -> Result<()> {
    let (repo, revision) = (&model.spec.repo, &model.spec.revision);
    writer(cache, repo)?
        .move_ref(revision, commit)
        .map(drop)
        .with_context(|| {
            format!(
                "cannot point `{revision}` of `{repo}` at {}",
                commit.short()
            )
        })
}

fn writer<'a>(cache: &'a CacheLayout, repo: &'a Repo) -> Result<CacheWriter<'a>> {
    // Only the ref moves: no link and no blob is written.
    CacheWriter::open(cache, repo, LinkChoice::NoLinks, &no_lock)
}

fn no_lock(_path: &Path) -> Result<Box<dyn Any>> {
    Ok(Box::new(()))
}
