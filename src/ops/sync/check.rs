//! Asks the Hub for the current commit of a target, and plans the changes on disk.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use anyhow::{Result, anyhow};

use super::delta::Asker;
use super::destination::{DestinationWriter, TargetDestination};
use super::local_reads::LocalReads;
use super::target::{CacheChoice, Target};
use crate::cache::{Prove, Vanished};
use crate::domain::content::ContentId;
use crate::domain::hold::{Loss, hold_reason};
use crate::domain::plan::{self, Action, LocalFacts, SyncPlan, plan_sync};
use crate::domain::proof::ProofStamp;
use crate::domain::repo::{CommitSha, RepoPath};
use crate::domain::snapshot::{Amount, NothingSelected, RemoteFile, RemoteSnapshot};
use crate::download::has_content;
use crate::hub::{FileAddress, Gated, HubClient};
use crate::ops::login::HubClients;
use crate::ops::parallel::{QUESTIONS_AT_ONCE, map_at_once};
use crate::sys::stamp::stamp_at;
use crate::xet::XetStorage;

/// The result of comparing the Hub with the disk.
pub enum Checked {
    /// Nothing has changed and every file exists: one request, no listing.
    Current {
        destination: TargetDestination,
        commit: CommitSha,
        amount: Amount,
        /// The files, each of which must still be proven.
        reused: Vec<ReusedFile>,
        /// The current name of a renamed repository.
        renamed_to: Option<String>,
    },
    /// A rollback holds an older commit in place, and this commit is newer.
    Held {
        commit: CommitSha,
        /// The folder of the older commit.
        path: PathBuf,
    },
    /// A newer commit that looks like a loss; the published one stays.
    Suspicious {
        loss: Box<Loss>,
        /// The folder of the published commit.
        path: PathBuf,
        renamed_to: Option<String>,
    },
    Planned(Box<Planned>),
}

/// A file in the destination that a target uses unchanged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReusedFile {
    /// The first of its names in the repository.
    pub path: RepoPath,
    pub content: ContentId,
    pub size_bytes: u64,
    pub file: PathBuf,
    /// The stamp of the file at the check; `None` if it did not exist.
    pub stamp: Option<ProofStamp>,
}

impl Checked {
    /// Returns the destination and those of its files that must be proven.
    pub(super) fn reused(&self) -> Option<(&TargetDestination, &[ReusedFile])> {
        match self {
            Self::Current {
                destination,
                reused,
                ..
            } => Some((destination, reused)),
            Self::Planned(planned) => Some((&planned.destination, &planned.reused)),
            _ => None,
        }
    }

    pub(super) fn reused_mut(&mut self) -> Option<&mut Vec<ReusedFile>> {
        match self {
            Self::Current { reused, .. } => Some(reused),
            Self::Planned(planned) => Some(&mut planned.reused),
            _ => None,
        }
    }
}

/// The plan of a target, with the facts that its sync needs.
pub struct Planned {
    pub destination: TargetDestination,
    pub remote: RemoteSnapshot,
    pub plan: SyncPlan,
    /// The commit that was published before.
    pub old_commit: Option<CommitSha>,
    /// Whether the revision's ref may move to this commit.
    pub moves_ref: bool,
    /// The current name of a renamed repository.
    pub renamed_to: Option<String>,
    /// Contents whose stored files must not be used even if their size is right.
    pub distrusted: BTreeSet<ContentId>,
    /// Files in the destination that are used unchanged.
    pub reused: Vec<ReusedFile>,
    /// The results of reading files on this machine for this sync.
    pub local_reads: LocalReads,
}

impl Planned {
    /// Prepares the destination, tests the file names on disk, and records the
    /// contents that the plan needs.
    pub(super) fn open(&self, target: &Target) -> Result<DestinationWriter> {
        let writer = self.destination.open()?;
        let files = self.plan.files.iter();
        let paths: Vec<_> = files.map(|file| &file.file.path).collect();
        writer.check_names(&paths)?;
        writer.begin(&target.fetch_key(), &self.plan)?;
        Ok(writer)
    }
}

/// Files that were read and found bad, with the content that they should hold.
///
/// Their size is right, so only this record shows the damage.
pub type BadFiles = BTreeMap<PathBuf, ContentId>;

/// Checks all targets, several at a time, and returns the results in their order.
pub fn check_all(
    clients: &HubClients,
    xet: Option<&XetStorage>,
    choice: &CacheChoice,
    targets: &[Target],
    bad: &BadFiles,
) -> Vec<Result<Checked>> {
    let results = map_at_once(targets, QUESTIONS_AT_ONCE, |target| {
        check(clients, xet, choice, target, bad, &has_content)
    });
    let results = results.into_iter();
    results
        .map(|result| result.unwrap_or_else(|| Err(anyhow!("the check ended without a result"))))
        .collect()
}

/// Checks one target: one request where nothing has changed.
///
/// With `xet` it also plans deltas of changed files. `prove` decides about files
/// of a directory that have no metadata.
pub fn check(
    clients: &HubClients,
    xet: Option<&XetStorage>,
    choice: &CacheChoice,
    target: &Target,
    bad: &BadFiles,
    prove: Prove<'_>,
) -> Result<Checked> {
    // Before the request to the Hub: a rollback that holds a model also writes.
    let destination = TargetDestination::new(choice, target)?;
    let hub = &clients.with_token(target.token_name.as_ref())?;
    let info = hub
        .revision(&target.repo, &target.revision)
        .map_err(|error| hub.explain_absence(error, target.needs_token))?;
    let commit = info.commit;
    if let Some(held) = target.held_commit.as_ref().filter(|held| **held != commit) {
        let path = destination.readable_at(held);
        return Ok(Checked::Held { commit, path });
    }
    let renamed_to = (info.id != target.repo.id).then(|| info.id.to_string());
    let known = destination.stored_listing(&commit)?;
    let old_commit = destination.published(target, known.as_ref())?;
    if let Some(remote) = &known
        && old_commit.as_ref() == Some(&commit)
        && let Some(reused) = files_in_place(&destination, target, remote, bad)?
    {
        return Ok(Checked::Current {
            amount: remote.amount(Some(&target.filter)),
            reused,
            destination,
            commit,
            renamed_to,
        });
    }
    let remote = match known {
        Some(remote) => remote,
        None => hub.tree(&target.repo, &commit)?,
    };
    check_required(&remote, target)?;
    let facts = destination.facts(&remote, &target.filter, old_commit.as_ref(), prove)?;
    if let Some(loss) = loss(&destination, target, &remote, old_commit.as_ref(), &facts)? {
        return Ok(Checked::Suspicious {
            path: destination.readable_at(&loss.published.0),
            loss: Box::new(loss),
            renamed_to,
        });
    }
    let mut planned = Planned {
        renamed_to,
        ..plan(destination, remote, old_commit, facts, target, bad)?
    };
    if info.gated != Gated::No {
        check_access(hub, target, &planned)?;
    }
    // A forced sync reuses no stored bytes.
    if let Some(xet) = xet.filter(|_| !target.force) {
        add_deltas(hub, xet, target, bad, &mut planned);
    }
    Ok(Checked::Planned(Box::new(planned)))
}

/// Plans the changes of a commit from the facts of the disk.
fn plan(
    destination: TargetDestination,
    remote: RemoteSnapshot,
    old_commit: Option<CommitSha>,
    mut facts: LocalFacts,
    target: &Target,
    bad: &BadFiles,
) -> Result<Planned> {
    leave_out_bad_sources(&mut facts, &destination, bad);
    let distrusted = distrust_files(&mut facts, &selected(&remote, target), target, |file| {
        is_bad(&destination, &remote.commit, file, bad)
    });
    let placement = destination.likely_placement();
    let plan = plan_sync(&remote, &target.filter, &placement, &facts)?;
    let kept = plan.in_destination();
    let kept = kept.map(|file| (&file.file, &file.action));
    Ok(Planned {
        reused: reused(&destination, &remote.commit, kept),
        moves_ref: target.model.is_some() || !hides_files(&remote, target, &facts.previous),
        local_reads: LocalReads::default(),
        renamed_to: None,
        destination,
        remote,
        plan,
        old_commit,
        distrusted,
    })
}

/// Checks that the files to fetch may be downloaded: the listing of a gated repository
/// is open, and the refusal must come before any byte.
fn check_access(hub: &HubClient, target: &Target, planned: &Planned) -> Result<()> {
    let Some(file) = planned.plan.fetches().next() else {
        return Ok(());
    };
    Ok(hub.check_access(&FileAddress {
        repo: target.repo.clone(),
        commit: planned.remote.commit.clone(),
        path: file.file.path.clone(),
    })?)
}

/// Adds deltas to the plan of a target.
fn add_deltas(
    hub: &HubClient,
    xet: &XetStorage,
    target: &Target,
    bad: &BadFiles,
    planned: &mut Planned,
) {
    let (destination, remote) = (&planned.destination, &planned.remote);
    let noted = destination.noted_commit(remote);
    let asker = Asker {
        hub,
        xet,
        target,
        destination,
        remote,
        old_commit: planned.old_commit.as_ref().or(noted.as_ref()),
        // No caller waits for a check that is no longer needed.
        goes_on: &|| true,
        bad: &|file| {
            let is_bad = is_bad(destination, &remote.commit, file, bad);
            is_bad.then(|| destination.read_as(&remote.commit, file))
        },
    };
    asker.add_deltas(&mut planned.plan);
}

/// Returns the files of a published commit if all of them are in place and none is
/// known to be bad.
fn files_in_place(
    destination: &TargetDestination,
    target: &Target,
    remote: &RemoteSnapshot,
    bad: &BadFiles,
) -> Result<Option<Vec<ReusedFile>>> {
    let commit = &remote.commit;
    check_required(remote, target)?;
    let wanted = selected(remote, target);
    let is_bad = |file: &&RemoteFile| is_bad(destination, commit, file, bad);
    let may_stay = !target.force && target.vanished == Vanished::Keep;
    let has_any = !wanted.is_empty() || target.accepts(commit);
    if !may_stay
        || !has_any
        || !destination.is_complete(commit, &wanted)?
        || wanted.iter().any(is_bad)
    {
        return Ok(None);
    }
    let kept = wanted.iter().map(|file| (*file, &Action::Keep));
    Ok(Some(reused(destination, commit, kept)))
}

/// Makes the plan fetch damaged files again, and all files of a forced sync. Returns
/// their contents.
fn distrust_files(
    facts: &mut LocalFacts,
    files: &[&RemoteFile],
    target: &Target,
    is_bad: impl Fn(&RemoteFile) -> bool,
) -> BTreeSet<ContentId> {
    let mut distrusted = BTreeSet::new();
    for file in files {
        if target.force {
            facts.partials.remove(&file.content);
        }
        let is_bad = is_bad(file);
        if is_bad {
            let label = target.label();
            log::info!("{label}: `{}` is damaged and is fetched again", file.path);
        }
        if target.force || is_bad {
            facts.distrust(file);
            distrusted.insert(file.content);
        }
    }
    distrusted
}

/// Decides whether a commit is held because it looks like a loss; it is an
/// error if nothing was ever selected.
fn loss(
    destination: &TargetDestination,
    target: &Target,
    remote: &RemoteSnapshot,
    old_commit: Option<&CommitSha>,
    facts: &LocalFacts,
) -> Result<Option<Loss>> {
    let found = remote.amount(Some(&target.filter));
    let old_commit = old_commit.filter(|old| **old != remote.commit);
    let selected = |paths: &BTreeSet<RepoPath>| {
        let selected = |path: &&RepoPath| target.filter.selects(path.as_str());
        paths.iter().filter(selected).count() as u64
    };
    let published = match old_commit {
        Some(old) => match destination.stored_listing(old)? {
            Some(listing) => listing.amount(Some(&target.filter)),
            // Published by another program, so its sizes are unknown.
            None => Amount {
                files: selected(&facts.previous),
                bytes: 0,
            },
        },
        None => Amount::default(),
    };
    let is_new = !target.accepts(&remote.commit);
    if let (Some(old), Some(reason), true) = (old_commit, hold_reason(published, found), is_new) {
        return Ok(Some(Loss {
            reason,
            published: (old.clone(), published),
            found: (remote.commit.clone(), found),
        }));
    }
    if found.files == 0 && is_new {
        return Err(NothingSelected {
            repo: target.repo.clone(),
            commit: remote.commit.clone(),
            examples: remote.examples(),
        }
        .into());
    }
    Ok(None)
}

/// Returns whether a file is on record as bad.
fn is_bad(
    destination: &TargetDestination,
    commit: &CommitSha,
    file: &RemoteFile,
    bad: &BadFiles,
) -> bool {
    // The path costs a read of the disk, and the record is mostly empty.
    let is_known = |path: PathBuf| bad.get(&path) == Some(&file.content);
    !bad.is_empty()
        && (is_known(destination.read_as(commit, file))
            || is_known(destination.stored(&file.content)))
}

/// Returns the files that are used unchanged, each once, with their stamps.
fn reused<'f>(
    destination: &TargetDestination,
    commit: &CommitSha,
    files: impl Iterator<Item = (&'f RemoteFile, &'f Action)>,
) -> Vec<ReusedFile> {
    let mut seen = BTreeSet::new();
    let mut reused = Vec::new();
    for (file, action) in files {
        let path = match action {
            Action::Keep => destination.read_as(commit, file),
            _ => destination.stored(&file.content),
        };
        if seen.insert((path.clone(), file.content)) {
            reused.push(ReusedFile {
                path: file.path.clone(),
                content: file.content,
                size_bytes: file.size_bytes,
                stamp: stamp_at(&path).ok().flatten(),
                file: path,
            });
        }
    }
    reused
}

/// Removes sources of contents that are on record as bad.
fn leave_out_bad_sources(facts: &mut LocalFacts, destination: &TargetDestination, bad: &BadFiles) {
    facts.contents.retain(|content, found| match &found.place {
        plan::ContentLocation::Here => bad.get(&destination.stored(content)) != Some(content),
        plan::ContentLocation::At(path) => bad.get(path) != Some(content),
    });
}

/// Returns whether this sync would hide published files that the repository
/// still has.
///
/// A download of one file must not hide the rest of a model from its readers.
fn hides_files(remote: &RemoteSnapshot, target: &Target, published: &BTreeSet<RepoPath>) -> bool {
    let left_out = |file: &&RemoteFile| !target.filter.selects(file.path.as_str());
    remote
        .files
        .iter()
        .filter(left_out)
        .any(|file| published.contains(&file.path))
}

/// Returns the files that the target's filter selects.
fn selected<'r>(remote: &'r RemoteSnapshot, target: &Target) -> Vec<&'r RemoteFile> {
    let selected = |file: &&RemoteFile| target.filter.selects(file.path.as_str());
    remote.files.iter().filter(selected).collect()
}

/// Checks that a commit has the files that the target requires.
fn check_required(remote: &RemoteSnapshot, target: &Target) -> Result<()> {
    for path in &target.required {
        if !remote.files.iter().any(|file| file.path == *path) {
            return Err(MissingFile {
                path: path.to_string(),
                repo: target.repo.to_string(),
                commit: remote.commit.short().to_owned(),
            }
            .into());
        }
    }
    Ok(())
}

/// A required file does not exist in the repository.
#[derive(Debug, thiserror::Error)]
#[error("`{repo}` has no file `{path}` at {commit}")]
pub struct MissingFile {
    path: String,
    repo: String,
    commit: String,
}
