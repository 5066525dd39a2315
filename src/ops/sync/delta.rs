//! Finds the ranges of a changed file that old files on this disk have already.
//!
//! It requests one token and one list of terms for each changed Xet file with a
//! similar old file. Every error here only means that the whole file is fetched.

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::destination::TargetDestination;
use super::target::Target;
use crate::domain::content::ContentId;
use crate::domain::delta::{Delta, DeltaRules, known_lengths, plan_delta};
use crate::domain::plan::{FileDelta, PlannedFile, SyncPlan};
use crate::domain::ranges::RangeSet;
use crate::domain::repo::{CommitSha, Repo};
use crate::domain::retry::RetryPolicy;
use crate::domain::snapshot::{RemoteFile, RemoteSnapshot};
use crate::domain::units::ByteSize;
use crate::domain::way::Way;
use crate::domain::xet::{FileMap, Term, XetHash};
use crate::download::reusable_ranges;
use crate::hub::HubClient;
use crate::sys::host::cores;
use crate::sys::open;
use crate::xet::{
    CasToken, TokenRequestError, XetClient, XetError, XetFault, XetStorage, chunk_file,
    complete_lengths, sidecar, verify_terms,
};

/// Smaller files are fetched in one request anyway.
const SMALLEST: u64 = 1 << 20;

/// The most old files that one new file is compared with.
const MOST_SOURCES: usize = 32;

/// A shared part smaller than one in this many does not justify a read of the old file.
const GOOD_ENOUGH: u64 = 20;

/// Attempts to get a token; plain downloads are a good way out.
const TOKEN_ATTEMPTS: u32 = 3;

/// The inputs of the search for deltas.
pub struct Asker<'a> {
    pub hub: &'a HubClient,
    pub xet: &'a XetStorage,
    pub target: &'a Target,
    pub destination: &'a TargetDestination,
    pub remote: &'a RemoteSnapshot,
    /// The commit of the old files.
    pub old_commit: Option<&'a CommitSha>,
    /// Returns whether the result is still needed; called during long reads.
    pub goes_on: &'a dyn Fn() -> bool,
    /// Returns the path of a file that is replaced because its bytes are wrong.
    pub bad: &'a dyn Fn(&RemoteFile) -> Option<PathBuf>,
}

/// An old file on this disk, and its chunks if they are known.
struct Old {
    path: PathBuf,
    content: ContentId,
    size_bytes: u64,
    /// `None` if the storage must be asked.
    map: Option<FileMap>,
    /// The file in the listing.
    listed: Option<RemoteFile>,
    is_same_path: bool,
}

impl Asker<'_> {
    /// Adds deltas to a plan: the ranges of changed files that old files have.
    pub fn add_deltas(&self, plan: &mut SyncPlan) {
        let is_candidate = |file: &PlannedFile| {
            file.action.is_fetch()
                && file.file.size_bytes > SMALLEST
                && file.file.xet_hash.is_some()
        };
        let wanted: Vec<RemoteFile> = plan
            .files
            .iter()
            .filter(|file| is_candidate(file))
            .map(|file| file.file.clone())
            .collect();
        if wanted.is_empty() {
            return;
        }
        let old_listing = self.old_listing();
        let client = self.client(&self.remote.commit);
        for file in wanted {
            if self.xet.routes().is_unusable(Way::XetAnswers, 0) {
                return;
            }
            match self.delta_of(&file, old_listing.as_ref(), &client) {
                Ok(Some(delta)) => {
                    log::info!(
                        "`{}`: {} of {} are in old files, {} to fetch",
                        file.path,
                        ByteSize(delta.copied_bytes).render_short(),
                        ByteSize(file.size_bytes).render_short(),
                        ByteSize(delta.missing_bytes).render_short()
                    );
                    plan.use_delta(&file.content, delta);
                }
                Ok(None) => log::debug!("`{}`: no old file shares ranges with it", file.path),
                Err(err) => {
                    log::info!("`{}`: the whole file is fetched: {err}", file.path);
                    if matches!(err.fault, XetFault::NoToken(_)) {
                        // All files of the commit need the same token.
                        return;
                    }
                }
            }
        }
    }

    fn old_listing(&self) -> Option<RemoteSnapshot> {
        let commit = self.old_commit?;
        let listing = self.destination.stored_listing(commit);
        listing
            .inspect_err(|err| log::debug!("cannot read an old listing: {err:#}"))
            .ok()?
    }

    fn delta_of(
        &self,
        file: &RemoteFile,
        old_listing: Option<&RemoteSnapshot>,
        client: &XetClient,
    ) -> Result<Option<FileDelta>, XetError> {
        let Some(hash) = file.xet_hash else {
            return Ok(None);
        };
        let bad = (self.bad)(file).filter(|bad| {
            let found = fs::metadata(bad);
            found.is_ok_and(|found| found.len() == file.size_bytes)
        });
        let mut old = self.old_files(file, old_listing);
        if old.is_empty() && bad.is_none() {
            return Ok(None);
        }
        let terms = client.terms(hash, file.size_bytes)?.terms;
        let proven = bad.and_then(|bad| self.what_is_right(file, hash, &terms, &bad));
        let map = FileMap {
            hash,
            terms,
            chunk_lengths: None,
        };
        let old_client = self.old_commit.map(|commit| self.client(commit));
        for one in &mut old {
            if one.map.is_none() {
                one.map = self.ask_about(one, client, old_client.as_ref());
            }
        }
        old.retain(|one| one.map.is_some());
        let rules = DeltaRules::default();
        let mut delta = plan(file, &map, &old, &rules);
        let is_good =
            |delta: &Delta| delta.missing.total().saturating_mul(GOOD_ENOUGH) <= file.size_bytes;
        if !delta.as_ref().is_some_and(is_good) && read_again(&mut old) {
            delta = plan(file, &map, &old, &rules).or(delta);
        }
        if let Some((bad, right)) = proven {
            let around = Delta::around(&right, delta.as_ref(), file.size_bytes);
            delta = around
                .is_worth_it(file.size_bytes, &rules)
                .then_some(around);
            old.insert(0, bad);
        }
        Ok(delta.map(|delta| self.file_delta(file, map, old, delta)))
    }

    /// Finds the ranges of a damaged file that are still right.
    fn what_is_right(
        &self,
        file: &RemoteFile,
        hash: XetHash,
        terms: &[Term],
        bad: &Path,
    ) -> Option<(Old, RangeSet)> {
        let mut on_read = |_| {
            if (self.goes_on)() {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            }
        };
        let proven = open::read_through_links(bad)
            .and_then(|bad| verify_terms(&bad, hash, terms, &mut on_read));
        let proven = proven
            .inspect_err(|err| log::info!("cannot read `{}`: {err}", bad.display()))
            .ok()??;
        let bad = Old {
            path: bad.to_owned(),
            content: file.content,
            size_bytes: file.size_bytes,
            map: Some(proven.map),
            listed: None,
            is_same_path: true,
        };
        Some((bad, proven.ranges))
    }

    fn file_delta(
        &self,
        file: &RemoteFile,
        map: FileMap,
        old: Vec<Old>,
        delta: Delta,
    ) -> FileDelta {
        let partial = self.destination.partial(&file.content);
        let on_disk = reusable_ranges(&partial, &file.content, file.size_bytes);
        let copies = delta.copies_beyond(&on_disk);
        let copied_bytes: u64 = copies.iter().map(|copy| copy.length).sum();
        let (mut sources, mut maps, mut new_maps) = (Vec::new(), Vec::new(), Vec::new());
        for one in old {
            let Some(known) = one.map else {
                continue;
            };
            let path = self.destination.sidecar(&one.content);
            // Only a part of a damaged file is known; the whole file gets a sidecar later.
            let is_whole = one.content != file.content;
            if is_whole && known.chunk_lengths.is_some() && !path.exists() {
                new_maps.push((one.content, one.size_bytes, known.clone()));
            }
            sources.push(one.path);
            maps.push(known);
        }
        FileDelta {
            missing_bytes: file.size_bytes - on_disk.total() - copied_bytes,
            copied_bytes,
            copies: delta.copies,
            sources,
            map,
            old: maps,
            new_maps,
        }
    }

    /// Returns old files that may share ranges with a new file: that of the same
    /// path, those with a sidecar, and large files whose path is gone.
    fn old_files(&self, file: &RemoteFile, old_listing: Option<&RemoteSnapshot>) -> Vec<Old> {
        const MOST_GONE: usize = 4;
        let mut found: Vec<Old> = Vec::new();
        let at = self.old_commit.unwrap_or(&self.remote.commit);
        let listed = old_listing
            .map(|listing| listing.files.as_slice())
            .unwrap_or_default();
        let mut gone: Vec<&RemoteFile> = listed
            .iter()
            .filter(|old| old.xet_hash.is_some() && old.size_bytes > SMALLEST)
            .filter(|old| !self.remote.files.iter().any(|new| new.path == old.path))
            .collect();
        gone.sort_by_key(|old| std::cmp::Reverse(old.size_bytes));
        let same = listed
            .iter()
            .filter(|old| old.path == file.path && old.xet_hash.is_some());
        for old in same.chain(gone.into_iter().take(MOST_GONE)) {
            let path = self.destination.file_of(at, old);
            let is_there = std::fs::metadata(&path).is_ok_and(|m| m.len() == old.size_bytes);
            if !is_there || old.content == file.content || !self.destination.vouches_for(old) {
                continue;
            }
            found.push(Old {
                path,
                content: old.content,
                size_bytes: old.size_bytes,
                map: self.written_down(old.content, old.size_bytes),
                listed: Some(old.clone()),
                is_same_path: old.path == file.path,
            });
        }
        for (content, path, size_bytes) in self.destination.described_contents() {
            let is_known = found.iter().any(|one| one.content == content);
            if is_known || content == file.content || found.len() >= MOST_SOURCES {
                continue;
            }
            if let Some(map) = self.written_down(content, size_bytes) {
                found.push(Old {
                    path,
                    content,
                    size_bytes,
                    map: Some(map),
                    listed: None,
                    is_same_path: false,
                });
            }
        }
        found
    }

    fn written_down(&self, content: ContentId, size_bytes: u64) -> Option<FileMap> {
        let path = self.destination.sidecar(&content);
        sidecar::read(&path, &content, size_bytes).ok()?
    }

    /// Requests the chunks of an old file; first with the token of the new commit,
    /// which is at hand, then with its own.
    fn ask_about(
        &self,
        old: &Old,
        client: &XetClient,
        old_client: Option<&XetClient>,
    ) -> Option<FileMap> {
        let hash = old.listed.as_ref()?.xet_hash?;
        let clients = [Some(client), old_client];
        for client in clients.into_iter().flatten() {
            match client.terms(hash, old.size_bytes) {
                Ok(all) => {
                    return Some(FileMap {
                        hash,
                        terms: all.terms,
                        chunk_lengths: None,
                    });
                }
                Err(err) => log::debug!("cannot list the chunks of an old file: {err}"),
            }
        }
        None
    }

    fn client(&self, commit: &CommitSha) -> XetClient {
        client_for(self.xet, self.hub, &self.target.repo, commit)
    }
}

/// Returns a client for the Xet files of a repository at a commit.
pub(crate) fn client_for(
    xet: &XetStorage,
    hub: &HubClient,
    repo: &Repo,
    commit: &CommitSha,
) -> XetClient {
    let scope = format!("{repo}@{commit}");
    let hub = hub.with_retry(RetryPolicy {
        max_attempts: TOKEN_ATTEMPTS,
        ..RetryPolicy::default()
    });
    let (repo, commit) = (repo.clone(), commit.clone());
    let tokens = move || {
        let token = hub.xet_read_token(&repo, &commit);
        let token = token.map_err(|err| {
            XetFault::NoToken(TokenRequestError {
                kind: err.kind(),
                is_transient: err.is_transient(),
                retry_after: None,
                message: err.to_string(),
            })
        })?;
        Ok(CasToken {
            cas_url: token.cas_url,
            secret: token.access_token,
            expires_at: token.expires_at,
        })
    };
    xet.client(&scope, Arc::new(tokens))
}

/// Saves the sidecars of old contents.
pub(super) fn save_new_maps(destination: &TargetDestination, delta: &FileDelta) {
    for (content, size_bytes, map) in &delta.new_maps {
        let path = destination.sidecar(content);
        if let Err(err) = sidecar::write(&path, content, *size_bytes, map) {
            log::debug!("cannot write `{}`: {err}", path.display());
        }
    }
}

/// Saves the sidecar of a proven new content. Only the chunks that no old file
/// has are read for that.
pub(super) fn write_down(
    destination: &TargetDestination,
    file: &RemoteFile,
    delta: &FileDelta,
    proven: &Path,
) {
    let known = known_lengths(&delta.map.terms, &delta.old);
    let lengths =
        open::read(proven).and_then(|proven| complete_lengths(&proven, file.size_bytes, &known));
    let map = FileMap {
        chunk_lengths: lengths.ok(),
        ..delta.map.clone()
    };
    let path = destination.sidecar(&file.content);
    if !map.is_sound(file.size_bytes) {
        log::debug!("the chunks of `{}` do not match its terms", file.path);
        return;
    }
    if let Err(err) = sidecar::write(&path, &file.content, file.size_bytes, &map) {
        log::debug!("cannot write `{}`: {err}", path.display());
    }
}

fn plan(file: &RemoteFile, map: &FileMap, old: &[Old], rules: &DeltaRules) -> Option<Delta> {
    let maps: Vec<FileMap> = old.iter().filter_map(|one| one.map.clone()).collect();
    plan_delta(file.size_bytes, &map.terms, &maps, rules)
}

/// Reads old files with unknown chunk lengths; returns whether any were found.
///
/// A file is used only if its bytes have its Xet hash: then its chunks are those
/// of the terms, one by one.
fn read_again(old: &mut [Old]) -> bool {
    let mut helped = false;
    for one in old.iter_mut() {
        let Some(map) = one.map.as_mut().filter(|map| map.chunk_lengths.is_none()) else {
            continue;
        };
        let began = crate::sys::pause::Stopwatch::start();
        let read = chunk_file(&one.path, cores(), &mut |_| ControlFlow::Continue(()));
        match read {
            Ok(Some(found)) if found.hash == map.hash => {
                map.chunk_lengths = Some(found.chunk_lengths);
                let is_sound = map.is_sound(one.size_bytes);
                if !is_sound {
                    map.chunk_lengths = None;
                }
                helped |= is_sound;
                let seconds = began.elapsed().as_secs_f64();
                let name = if one.is_same_path {
                    "the old version"
                } else {
                    "an old file"
                };
                log::debug!("read {name} again in {seconds:.1} s");
            }
            Ok(_) => log::info!(
                "the chunks of `{}` do not match its Xet hash",
                one.path.display()
            ),
            Err(err) => log::info!("cannot read `{}`: {err}", one.path.display()),
        }
    }
    helped
}
