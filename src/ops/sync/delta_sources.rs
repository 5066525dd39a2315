//! Finds old files on this disk that may share chunks with a new file.
//!
//! The files of the published commit come first, and those with a sidecar. Only a file
//! without such an old file is compared with files of the same name in the cache: other
//! revisions of the repository, and the models that it may be made of.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};
use std::path::PathBuf;

use super::delta::Asker;
use super::destination::TargetDestination;
use crate::cache::{self, RepoLayout};
use crate::domain::content::ContentId;
use crate::domain::repo::{CommitSha, Repo, RepoPath};
use crate::domain::snapshot::RemoteFile;
use crate::domain::xet::{FileMap, Term, XetHash, fit};
use crate::ops::parallel::{QUESTIONS_AT_ONCE, map_at_once};
use crate::xet::{XetClient, sidecar};

/// The most old files that one new file is compared with.
const MOST_SOURCES: usize = 32;

/// The most files of the same name in the cache.
const MOST_NAMESAKES: usize = 4;

/// The most repositories whose files are searched for namesakes.
const MOST_REPOS: usize = 256;

/// A repository that shares nothing with as many files is asked about no more.
const MOST_MISSES: u32 = 3;

/// An old file on this disk, and its chunks if they are known.
pub(super) struct OldFile {
    pub path: PathBuf,
    pub content: ContentId,
    pub size_bytes: u64,
    /// `None` if the storage must be asked.
    pub map: Option<FileMap>,
    /// Its sidecar has the map.
    pub has_sidecar: bool,
    /// The Xet hash of its listing, and the commit that has it.
    pub listed: Option<(XetHash, Repo, CommitSha)>,
    pub is_same_path: bool,
    /// It belongs to the destination, which has a place for its sidecar.
    pub is_own: bool,
}

/// The old files for the new files of one plan.
pub(super) struct Sources<'a> {
    asker: &'a Asker<'a>,
    /// The files of the published commit by path.
    published: HashMap<RepoPath, RemoteFile>,
    /// Those of them whose path is gone, the largest first.
    gone: Vec<RemoteFile>,
    /// Contents of the destination whose sidecar has terms: content, path, size.
    described: Vec<(ContentId, PathBuf, u64)>,
    /// Files of the cache with the name of a new file; `None` before they are needed.
    namesakes: Option<Vec<Namesake>>,
    wanted: &'a [RemoteFile],
    known: HashMap<ContentId, FileMap>,
    misses: HashMap<Repo, u32>,
}

struct Namesake {
    repo: Repo,
    commit: CommitSha,
    file: RemoteFile,
    path: PathBuf,
}

impl<'a> Sources<'a> {
    pub fn new(asker: &'a Asker<'a>, wanted: &'a [RemoteFile]) -> Self {
        let listing = asker.old_commit.map(|commit| {
            let listing = asker.destination.stored_listing(commit);
            listing.inspect_err(|err| log::debug!("cannot read an old listing: {err:#}"))
        });
        let published = match listing {
            Some(Ok(Some(listing))) => listing.files,
            _ => Vec::new(),
        };
        let new: HashSet<&RepoPath> = asker.remote.files.iter().map(|file| &file.path).collect();
        let is_gone = |old: &&RemoteFile| old.may_have_delta() && !new.contains(&old.path);
        let mut gone: Vec<RemoteFile> = published.iter().filter(is_gone).cloned().collect();
        gone.sort_by_key(|old| Reverse(old.size_bytes));
        // Each is read once here: most sidecars may have lengths only.
        let mut described = asker.destination.described_contents();
        described.retain(|(content, _, size_bytes)| {
            let map = in_sidecar(asker, content, *size_bytes);
            map.is_some_and(|map| !map.has_only_lengths())
        });
        Self {
            asker,
            published: published
                .into_iter()
                .map(|file| (file.path.clone(), file))
                .collect(),
            gone,
            described,
            namesakes: None,
            wanted,
            known: HashMap::new(),
            misses: HashMap::new(),
        }
    }

    /// Returns old files that may share chunks with a new one.
    pub fn of(&mut self, file: &RemoteFile) -> Vec<OldFile> {
        let mut found = self.published_files(file);
        self.add_described(file, &mut found);
        if found.is_empty() {
            found = self.cached_files(file);
        }
        for one in &mut found {
            let is_described = |map: &FileMap| !map.has_only_lengths();
            one.has_sidecar = one.map.as_ref().is_some_and(is_described);
            if let Some(known) = self.known.get(&one.content).filter(|_| !one.has_sidecar) {
                one.map = Some(known.clone());
            }
        }
        found
    }

    /// Returns the old file of the same path, and those whose path is gone.
    fn published_files(&self, file: &RemoteFile) -> Vec<OldFile> {
        let asker = self.asker;
        let at = asker.old_commit.unwrap_or(&asker.remote.commit);
        let same = self.published.get(&file.path).into_iter();
        let mut found = Vec::new();
        for old in same.chain(&self.gone).take(MOST_SOURCES) {
            let path = asker.destination.file_of(at, old);
            let is_there = std::fs::metadata(&path).is_ok_and(|m| m.len() == old.size_bytes);
            if !is_there || old.content == file.content || !asker.destination.vouches_for(old) {
                continue;
            }
            found.extend(old.xet_hash.map(|hash| OldFile {
                path,
                content: old.content,
                size_bytes: old.size_bytes,
                map: in_sidecar(asker, &old.content, old.size_bytes),
                has_sidecar: false,
                listed: Some((hash, asker.target.repo.clone(), at.clone())),
                is_same_path: old.path == file.path,
                is_own: true,
            }));
        }
        found
    }

    /// Adds the files of the destination with a sidecar.
    fn add_described(&self, file: &RemoteFile, found: &mut Vec<OldFile>) {
        for (content, path, size_bytes) in &self.described {
            let is_known = found.iter().any(|one| one.content == *content);
            if is_known || *content == file.content || found.len() >= MOST_SOURCES {
                continue;
            }
            found.push(OldFile {
                path: path.clone(),
                content: *content,
                size_bytes: *size_bytes,
                map: in_sidecar(self.asker, content, *size_bytes),
                has_sidecar: true,
                listed: None,
                is_same_path: false,
                is_own: true,
            });
        }
    }

    /// Returns files of the same name in the cache: of other revisions first, then those
    /// nearest in size.
    fn cached_files(&mut self, file: &RemoteFile) -> Vec<OldFile> {
        let (repo, layout) = (&self.asker.target.repo, self.asker.destination.cache());
        let namesakes = match &mut self.namesakes {
            Some(namesakes) => namesakes,
            none => none.insert(find_namesakes(self.asker, self.wanted)),
        };
        let misses = |repo: &Repo| self.misses.get(repo).copied().unwrap_or(0);
        let is_similar = |old: &&Namesake| {
            let (old, new) = (old.file.size_bytes, file.size_bytes);
            old / 2 <= new && new / 2 <= old
        };
        let mut found: Vec<&Namesake> = namesakes
            .iter()
            .filter(|old| old.file.path == file.path && old.file.content != file.content)
            .filter(|old| misses(&old.repo) < MOST_MISSES)
            .filter(is_similar)
            .collect();
        found.sort_by_key(|old| {
            let is_other = old.repo != *repo;
            (is_other, old.file.size_bytes.abs_diff(file.size_bytes))
        });
        found.truncate(MOST_NAMESAKES);
        let found = found.into_iter().filter_map(|old| {
            Some(OldFile {
                path: old.path.clone(),
                content: old.file.content,
                size_bytes: old.file.size_bytes,
                map: sidecar_of(&layout.repo(&old.repo), &old.file),
                has_sidecar: false,
                listed: Some((old.file.xet_hash?, old.repo.clone(), old.commit.clone())),
                is_same_path: false,
                is_own: false,
            })
        });
        found.collect()
    }

    /// Keeps the old files that share a xorb with a new file. The storage is asked about
    /// those with unknown terms.
    pub fn keep_related(
        &mut self,
        old: Vec<OldFile>,
        terms: &[Term],
        client: &XetClient,
    ) -> Vec<OldFile> {
        let with_client = |one: OldFile| {
            let listed = one.listed.as_ref();
            let own = listed.map(|(_, repo, commit)| self.asker.client(repo, commit));
            (one, own)
        };
        let old: Vec<_> = old.into_iter().map(with_client).collect();
        let asked = map_at_once(&old, QUESTIONS_AT_ONCE, |(one, own)| {
            ask_about(one, client, own.as_ref())
        });
        let xorbs: HashSet<XetHash> = terms.iter().map(|term| term.xorb).collect();
        let mut related = Vec::new();
        for ((mut one, _), map) in old.into_iter().zip(asked) {
            let Some(map) = map.flatten() else {
                continue;
            };
            self.known.insert(one.content, map.clone());
            if map.terms.iter().any(|term| xorbs.contains(&term.xorb)) {
                one.map = Some(map);
                related.push(one);
            } else if let Some((_, repo, _)) = one.listed.filter(|_| !one.is_own) {
                *self.misses.entry(repo).or_default() += 1;
            }
        }
        related
    }

    /// Remembers the chunks of old files for the next new file.
    pub fn remember(&mut self, old: &[OldFile]) {
        for one in old {
            if let Some(map) = &one.map {
                self.known.insert(one.content, map.clone());
            }
        }
    }
}

fn in_sidecar(asker: &Asker<'_>, content: &ContentId, size_bytes: u64) -> Option<FileMap> {
    let path = asker.destination.sidecar(content);
    sidecar::read(&path, content, size_bytes).ok()?
}

/// Returns the terms of an old file; first with the token of the new commit, which is at
/// hand, then with its own.
fn ask_about(old: &OldFile, client: &XetClient, own_client: Option<&XetClient>) -> Option<FileMap> {
    if let Some(map) = old.map.as_ref().filter(|map| !map.has_only_lengths()) {
        return Some(map.clone());
    }
    let (hash, ..) = old.listed.as_ref()?;
    let ask = |client: &XetClient| {
        let found = client.terms(*hash, old.size_bytes);
        let found =
            found.inspect_err(|err| log::debug!("cannot list the chunks of an old file: {err}"));
        Some(found.ok()?.terms)
    };
    let terms = ask(client).or_else(|| ask(own_client?))?;
    let recorded = old.map.as_ref().and_then(|map| map.chunk_lengths.clone());
    Some(FileMap {
        hash: *hash,
        chunk_lengths: recorded.filter(|lengths| fit(&terms, lengths)),
        terms,
    })
}

fn sidecar_of(layout: &RepoLayout, file: &RemoteFile) -> Option<FileMap> {
    let path = layout.sidecar(&file.content);
    sidecar::read(&path, &file.content, file.size_bytes).ok()?
}

/// Returns the name of a repository without its owner.
fn name_of(repo: &Repo) -> &str {
    let id = repo.id.as_str();
    id.rsplit_once('/').map_or(id, |(_, name)| name)
}

/// Lists the large files of the cache that have the name of a new file. Repositories
/// whose names begin alike come first.
fn find_namesakes(asker: &Asker<'_>, wanted: &[RemoteFile]) -> Vec<Namesake> {
    let layout = asker.destination.cache();
    let own = name_of(&asker.target.repo);
    let likeness = |repo: &Repo| {
        let pairs = name_of(repo).bytes().zip(own.bytes());
        pairs.take_while(|(one, other)| one == other).count()
    };
    let mut repos = cache::cached_repos(layout).unwrap_or_default();
    repos.sort_by_key(|repo| Reverse((*repo == asker.target.repo, likeness(repo))));
    repos.truncate(MOST_REPOS);
    let wanted: HashSet<&RepoPath> = wanted.iter().map(|file| &file.path).collect();
    let mut found = Vec::new();
    for repo in repos {
        let place = TargetDestination::Cache {
            cache: layout.clone(),
            repo: repo.clone(),
            links: asker.destination.links(),
        };
        let commits = cache::listed_snapshots(&layout.repo(&repo)).unwrap_or_default();
        for commit in commits {
            let Ok(Some(listing)) = place.stored_listing(&commit) else {
                continue;
            };
            for file in listing.files {
                let path = place.file_of(&commit, &file);
                let is_there = || {
                    let found = std::fs::metadata(&path);
                    found.is_ok_and(|found| found.len() == file.size_bytes)
                };
                if file.may_have_delta() && wanted.contains(&file.path) && is_there() {
                    found.push(Namesake {
                        repo: repo.clone(),
                        commit: commit.clone(),
                        file,
                        path,
                    });
                }
            }
        }
    }
    found
}
