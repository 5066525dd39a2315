//! Decides for a check which files on disk a sync may use.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::PathBuf;

use anyhow::Result;

use super::check::check_required;
use super::destination::{StampedFile, TargetDestination};
use super::target::Target;
use crate::cache::Vanished;
use crate::domain::adopt::{AdoptedFiles, AdoptedSources};
use crate::domain::content::ContentId;
use crate::domain::plan;
use crate::domain::plan::LocalFacts;
use crate::domain::proof::ProofStamp;
use crate::domain::repo::{CommitSha, RepoPath};
use crate::domain::snapshot::{RemoteFile, RemoteSnapshot};
use crate::ops::adopt::is_changed;
use crate::sys::stamp::stamp_at;

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

/// Files that were read and found bad, with the content that they should hold.
///
/// Their size is right, so only this record shows the damage.
pub type BadFiles = BTreeMap<PathBuf, ContentId>;

/// Returns the files of a published commit if all of them are in place and none is
/// known to be bad.
pub(super) fn files_in_place(
    destination: &TargetDestination,
    target: &Target,
    remote: &RemoteSnapshot,
    bad: &BadFiles,
) -> Result<Option<Vec<ReusedFile>>> {
    let commit = &remote.commit;
    check_required(remote, target)?;
    let wanted = remote.selected(&target.filter);
    let is_bad = |file: &&RemoteFile| is_bad(destination, commit, file, bad);
    let may_stay = !target.force && target.vanished == Vanished::Keep;
    let has_any = !wanted.is_empty() || target.accepts(commit);
    if !may_stay || !has_any {
        return Ok(None);
    }
    let found = destination.whole_files(commit, &wanted)?;
    let found = found.filter(|_| !wanted.iter().any(is_bad));
    Ok(found.map(|found| reused(wanted.into_iter().zip(found))))
}

/// Adds the contents of adopted files that nothing nearer has. A changed file is left
/// out, and noted.
pub(super) fn add_adopted(
    facts: &mut LocalFacts,
    adopted: &AdoptedFiles,
    wanted: &[&RemoteFile],
) -> AdoptedSources {
    let mut sources = AdoptedSources::default();
    for file in wanted {
        let in_place = facts.in_place.get(&file.path);
        if in_place.is_some_and(|there| there.is_the_file(file))
            || facts.contents.contains_key(&file.content)
        {
            continue;
        }
        for candidate in adopted.with_content(&file.content) {
            if is_changed(candidate) {
                sources.changed.push(candidate.path.clone());
            } else if stamp_at(&candidate.path).is_ok_and(|found| found == Some(candidate.stamp)) {
                let place = plan::ContentLocation::At(candidate.path.clone());
                let size_bytes = candidate.stamp.size_bytes;
                let found = plan::LocalContent { size_bytes, place };
                facts.contents.insert(file.content, found);
                sources.used.insert(file.content, candidate.clone());
                break;
            }
        }
    }
    sources
}

/// Makes the plan fetch damaged files again, and those of a forced sync. Returns their
/// contents.
pub(super) fn distrust_files(
    facts: &mut LocalFacts,
    files: &[&RemoteFile],
    forced: &BTreeSet<&RepoPath>,
    is_bad: impl Fn(&RemoteFile) -> bool,
) -> BTreeSet<ContentId> {
    let mut distrusted = BTreeSet::new();
    for file in files {
        let is_forced = forced.contains(&file.path);
        if is_forced {
            facts.partials.remove(&file.content);
        }
        if is_bad(file) || is_forced {
            facts.distrust(file);
            distrusted.insert(file.content);
        }
    }
    distrusted
}

/// Returns whether a file is on record as bad.
pub(super) fn is_bad(
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

/// Returns the files that are used unchanged, each once.
pub(super) fn reused<'f>(
    files: impl Iterator<Item = (&'f RemoteFile, StampedFile)>,
) -> Vec<ReusedFile> {
    let mut seen = HashSet::new();
    let mut reused = Vec::new();
    for (file, (path, stamp)) in files {
        if seen.insert((path.clone(), file.content)) {
            reused.push(ReusedFile {
                path: file.path.clone(),
                content: file.content,
                size_bytes: file.size_bytes,
                stamp,
                file: path,
            });
        }
    }
    reused
}

/// Removes sources of contents that are on record as bad.
pub(super) fn leave_out_bad_sources(
    facts: &mut LocalFacts,
    destination: &TargetDestination,
    bad: &BadFiles,
) {
    facts.contents.retain(|content, found| match &found.place {
        plan::ContentLocation::Here => bad.get(&destination.stored(content)) != Some(content),
        plan::ContentLocation::At(path) => bad.get(path) != Some(content),
    });
}

/// Returns whether this sync would hide published files that the repository
/// still has.
///
/// A download of one file must not hide the rest of a model from its readers.
pub(super) fn hides_files(
    remote: &RemoteSnapshot,
    target: &Target,
    published: &BTreeSet<RepoPath>,
) -> bool {
    let selected = remote.selected(&target.filter);
    let selected: BTreeSet<&RepoPath> = selected.into_iter().map(|file| &file.path).collect();
    let mut files = remote.files.iter();
    files.any(|file| published.contains(&file.path) && !selected.contains(&file.path))
}
