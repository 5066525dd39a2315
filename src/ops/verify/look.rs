//! The files that a published commit should have, and the differences that show
//! without reading a file.

use std::fmt;

use anyhow::{Context, Result};

use super::prove::HashResult;
use super::report::Verified;
use crate::cache::{self, CacheLayout, LocalEntry};
use crate::domain::content::ContentId;
use crate::domain::filter::Filter;
use crate::domain::outcome::words;
use crate::domain::repo::{CommitSha, Repo, RepoPath};
use crate::domain::repo_arg::escape_pattern;
use crate::domain::settings::Settings;
use crate::domain::snapshot::{RemoteFile, RemoteSnapshot};
use crate::hub::HubClient;
use crate::ops::cancellable::cancellable;
use crate::ops::login::HubClients;
use crate::ops::sync::{CacheChoice, Target, TargetDestination};
use crate::sys::files;
use crate::sys::stop::StopFlag;

words! {
    /// The reason why a file is bad.
    BadReason {
        Missing = "missing",
        WrongSize = "wrong-size",
        WrongBytes = "wrong-bytes",
        Unreadable = "unreadable",
        /// Edited by a person, in a plain directory.
        Changed = "changed",
    }
}

/// The source of the expected files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Listed {
    /// The listing of the commit, with every file and its hash.
    #[default]
    ByListing,
    /// The names of the blobs, which do not tell of missing files.
    ByNames,
}

impl Listed {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ByListing => "listing",
            Self::ByNames => "blob-names",
        }
    }
}

/// The files of a listing that are expected at the destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// All files that the filter of the target selects.
    Selected,
    /// Those of them that have a name there. The filter may be newer than the files.
    Named,
}

impl Expected {
    /// Returns the files to expect of a target that a person names. The filter of the
    /// download of an unregistered repository is unknown.
    pub fn of(target: &Target) -> Self {
        match target.model {
            Some(_) => Self::Selected,
            None => Self::Named,
        }
    }
}

/// A file that differs from the listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadFile {
    pub path: RepoPath,
    pub reason: BadReason,
    pub detail: String,
    /// The expected file, if it is known.
    pub file: Option<RemoteFile>,
    /// Whether the bytes that were read have the known Xet hash.
    pub xet_agrees: Option<bool>,
    pub is_repaired: bool,
}

impl BadFile {
    pub fn size_bytes(&self) -> u64 {
        self.file.as_ref().map_or(0, |file| file.size_bytes)
    }
}

impl fmt::Display for BadFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` {}", self.path, self.detail)
    }
}

/// The published files of one target, before they are read.
pub struct Look {
    pub place: TargetDestination,
    pub commit: CommitSha,
    pub listed: Listed,
    /// The listing; `None` if the names of the blobs are used.
    pub remote: Option<RemoteSnapshot>,
    /// The filter of the target.
    pub filter: Filter,
    /// Files of the right size, to be read.
    pub present: Vec<RemoteFile>,
    pub bad: Vec<BadFile>,
    n_unknown: u64,
}

/// Finds the published files of a target; `None` if nothing is published.
///
/// Without a stored listing and an answer of the hub, the names of the blobs are used.
pub fn look(
    clients: Option<&HubClients>,
    stop: &StopFlag,
    choice: &CacheChoice,
    target: &Target,
    expected: Expected,
) -> Result<Option<Look>> {
    let place = TargetDestination::new(choice, target)?;
    // The commit that hfdl published, even if another program has moved the ref since.
    let commit = match &target.known_commit {
        Some(commit) => commit.clone(),
        None => match place.published(target, None)? {
            Some(commit) => commit,
            None => return Ok(None),
        },
    };
    let mut look = Look {
        listed: Listed::ByListing,
        remote: place.stored_listing(&commit)?,
        filter: target.filter.clone(),
        present: Vec::new(),
        bad: Vec::new(),
        n_unknown: 0,
        commit,
        place,
    };
    let mut unanswered = None;
    if let (None, Some(clients)) = (&look.remote, clients) {
        let asked = clients.with_token(target.token_name.as_ref());
        let listed = |hub| ask_for_listing(&hub, stop, &target.repo, &look.commit);
        match asked.and_then(listed) {
            Ok(remote) => look.remote = Some(remote),
            Err(err) if stop.is_raised() => return Err(err),
            Err(err) => unanswered = Some(err),
        }
    }
    if look.remote.is_some() {
        look.by_listing(target, expected)?;
        return Ok(Some(look));
    }
    let folder = look.place.readable_at(&look.commit);
    if matches!(look.place, TargetDestination::Cache { .. }) && folder.is_dir() {
        log::warn!(
            "no listing of `{}` at {} is kept; its blobs are verified by their names",
            target.label(),
            look.commit.short()
        );
        look.by_names(&choice.layout(), target)?;
        return Ok(Some(look));
    }
    let missing = format!(
        "no listing of commit {} is kept for `{}`",
        look.commit.short(),
        folder.display()
    );
    Err(match unanswered {
        Some(err) => err.context(missing),
        None => anyhow::anyhow!("{missing}, and `--offline` forbids asking for it"),
    })
}

/// Tells whether the cache has a revision of a repository that is not registered.
pub fn is_in_cache(settings: &Settings, target: &Target) -> Result<bool> {
    let cache = CacheLayout::new(settings.cache_dir());
    let commit = cache::published_commit(&cache.repo(&target.repo), &target.revision)?;
    Ok(commit.is_some())
}

/// Requests the listing of a commit, until the stop flag is raised.
pub(super) fn ask_for_listing(
    hub: &HubClient,
    stop: &StopFlag,
    repo: &Repo,
    commit: &CommitSha,
) -> Result<RemoteSnapshot> {
    let (hub, repo, commit) = (hub.clone(), repo.clone(), commit.clone());
    Ok(cancellable(stop, move || hub.tree(&repo, &commit))??)
}

impl Look {
    /// Returns the findings before any file is read.
    pub fn begin(&self) -> Verified {
        let bad_bytes: u64 = self.bad.iter().map(BadFile::size_bytes).sum();
        let present_bytes: u64 = self.present.iter().map(|file| file.size_bytes).sum();
        Verified {
            commit: Some(self.commit.clone()),
            listed: self.listed,
            n_files: (self.present.len() + self.bad.len()) as u64 + self.n_unknown,
            n_bytes: present_bytes + bad_bytes,
            files_unknown: self.n_unknown,
            bad: self.bad.clone(),
            ..Verified::default()
        }
    }

    /// Returns the bad file for a proof that failed.
    pub fn bad(&self, file: &RemoteFile, proof: &HashResult) -> BadFile {
        let (reason, detail) = match proof {
            HashResult::Unreadable(why) => {
                (BadReason::Unreadable, format!("cannot be read: {why}"))
            }
            HashResult::Good(found, _) | HashResult::Bad(found) => {
                (BadReason::WrongBytes, found.fault().to_owned())
            }
        };
        let mut bad = self.judge(file, reason, detail);
        if let HashResult::Bad(found) = proof {
            bad.xet_agrees = found.xet_agrees();
        }
        bad
    }

    fn by_listing(&mut self, target: &Target, expected: Expected) -> Result<()> {
        let remote = self.remote.iter();
        let mut wanted: Vec<RemoteFile> = remote
            .flat_map(|remote| remote.selected(&target.filter))
            .cloned()
            .collect();
        if expected == Expected::Named {
            let has_name = |file: &RemoteFile| {
                let entry = self.place.entry(&self.commit, &file.path);
                entry.symlink_metadata().is_ok()
            };
            wanted.retain(has_name);
            let paths = wanted.iter().map(|file| escape_pattern(file.path.as_str()));
            self.filter.include = Some(paths.collect());
        }
        for file in wanted {
            let entry = self.place.entry(&self.commit, &file.path);
            let found = match &self.place {
                TargetDestination::Cache { cache, repo, .. } => {
                    cache::entry_metadata(&cache.repo(repo), &self.commit, &file.path)
                }
                // A link has replaced the file.
                TargetDestination::Directory { .. } => files::link_metadata_if_present(&entry),
            };
            let found = found.with_context(|| format!("cannot look at `{}`", entry.display()))?;
            match found.filter(std::fs::Metadata::is_file) {
                Some(found) if found.len() == file.size_bytes => self.present.push(file),
                Some(found) => {
                    let (has, wants) = (found.len(), file.size_bytes);
                    let detail = format!("has {has} bytes instead of {wants}");
                    self.bad
                        .push(self.judge(&file, BadReason::WrongSize, detail));
                }
                None => {
                    let detail = "is missing".to_owned();
                    self.bad.push(self.judge(&file, BadReason::Missing, detail));
                }
            }
        }
        Ok(())
    }

    fn by_names(&mut self, cache: &CacheLayout, target: &Target) -> Result<()> {
        self.listed = Listed::ByNames;
        let mut local = cache::scan_repo(cache, &target.repo)?;
        let snapshot = local.snapshots.remove(&self.commit).unwrap_or_default();
        self.n_unknown = snapshot.n_unreadable;
        let paths: Vec<&str> = snapshot.entries.keys().map(RepoPath::as_str).collect();
        let selection = target.filter.among(&paths);
        let selected = snapshot.entries.iter();
        for (path, entry) in selected.filter(|(path, _)| selection.has(path.as_str())) {
            let path = path.clone();
            match *entry {
                LocalEntry::Blob {
                    content,
                    size_bytes,
                } => self.present.push(named(path, content, size_bytes)),
                LocalEntry::RealFile { .. } => self.n_unknown += 1,
                LocalEntry::Dangling => self.bad.push(BadFile {
                    path,
                    reason: BadReason::Missing,
                    detail: "is missing".to_owned(),
                    file: None,
                    xet_agrees: None,
                    is_repaired: false,
                }),
            }
        }
        Ok(())
    }

    /// Tells whether a person has edited a file; a failing disk does not change its time.
    pub fn is_edited(&self, file: &RemoteFile) -> bool {
        match &self.place {
            TargetDestination::Directory {
                known: Some(dir), ..
            } => dir.was_edited(&file.path),
            _ => false,
        }
    }

    /// Returns `Changed` for a file that a person has edited, else the reason itself.
    fn judge(&self, file: &RemoteFile, reason: BadReason, detail: String) -> BadFile {
        let (reason, detail) = if self.is_edited(file) {
            (BadReason::Changed, "was changed by somebody".to_owned())
        } else {
            (reason, detail)
        };
        BadFile {
            path: file.path.clone(),
            reason,
            detail,
            file: Some(file.clone()),
            xet_agrees: None,
            is_repaired: false,
        }
    }
}

/// Returns the file that the name of a blob describes, for verification only.
fn named(path: RepoPath, content: ContentId, size_bytes: u64) -> RemoteFile {
    RemoteFile {
        path,
        size_bytes,
        content,
        git_oid: match content {
            ContentId::GitSha1(oid) => oid,
            ContentId::Sha256(_) => [0; 20],
        },
        xet_hash: None,
    }
}
