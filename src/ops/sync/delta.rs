//! Finds the ranges of a changed file that old files on this disk have already.
//!
//! It requests one token and one list of terms for each changed Xet file with a
//! similar old file, and positions of chunks within long terms. Every error here only
//! means that more is fetched.

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::delta_sources::{OldFile, Sources};
use super::destination::TargetDestination;
use super::target::Target;
use crate::domain::chunk_search::{ChunkSearch, Probe};
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
use crate::ops::parallel::{QUESTIONS_AT_ONCE, map_at_once};
use crate::sys::host::cores;
use crate::sys::open;
use crate::xet::{
    CasToken, TokenRequestError, XetClient, XetError, XetFault, XetStorage, chunk_file,
    complete_lengths, sidecar, verify_terms,
};

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

impl Asker<'_> {
    /// Adds deltas to a plan: the ranges of changed files that old files have.
    pub fn add_deltas(&self, plan: &mut SyncPlan) {
        let is_candidate =
            |file: &PlannedFile| file.action.is_fetch() && file.file.may_have_delta();
        let wanted: Vec<RemoteFile> = plan
            .files
            .iter()
            .filter(|file| is_candidate(file))
            .map(|file| file.file.clone())
            .collect();
        if wanted.is_empty() {
            return;
        }
        let mut sources = Sources::new(self, &wanted);
        let client = self.client(&self.target.repo, &self.remote.commit);
        for file in &wanted {
            if self.xet.routes().is_unusable(Way::XetAnswers, 0) {
                return;
            }
            match self.delta_of(file, &mut sources, &client) {
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

    fn delta_of(
        &self,
        file: &RemoteFile,
        sources: &mut Sources<'_>,
        client: &XetClient,
    ) -> Result<Option<FileDelta>, XetError> {
        let Some(hash) = file.xet_hash else {
            return Ok(None);
        };
        let bad = (self.bad)(file).filter(|bad| {
            let found = fs::metadata(bad);
            found.is_ok_and(|found| found.len() == file.size_bytes)
        });
        let old = sources.of(file);
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
        let mut old = sources.keep_related(old, &map.terms, client);
        let rules = DeltaRules::default();
        let plan = |terms: &[Term], old: &[OldFile]| {
            plan_delta(file.size_bytes, terms, &maps_of(old), &rules)
        };
        let mut delta = plan(&map.terms, &old);
        let is_good =
            |delta: &Delta| delta.missing.total().saturating_mul(GOOD_ENOUGH) <= file.size_bytes;
        if !delta.as_ref().is_some_and(is_good) && read_again(&mut old) {
            sources.remember(&old);
            delta = plan(&map.terms, &old).or(delta);
        }
        if let Some(terms) = self.locate_chunks(client, &map, &maps_of(&old)) {
            delta = plan(&terms, &old).or(delta);
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

    /// Returns the terms of a new file, split where the storage told the start of a chunk;
    /// `None` if no more starts are needed.
    fn locate_chunks(
        &self,
        client: &XetClient,
        map: &FileMap,
        old: &[FileMap],
    ) -> Option<Vec<Term>> {
        let mut search = ChunkSearch::new(&map.terms, old);
        while (self.goes_on)() {
            let probes = search.next_probes();
            if probes.is_empty() {
                break;
            }
            let ask = |probe: &Probe| client.chunk_at(map.hash, probe.offset);
            let mut is_useful = true;
            for answer in map_at_once(&probes, QUESTIONS_AT_ONCE, ask) {
                match answer {
                    Some(Ok(Some(start))) => search.learn(&start),
                    Some(Err(err)) => {
                        log::debug!("cannot ask for the start of a chunk: {err}");
                        is_useful = false;
                    }
                    Some(Ok(None)) | None => is_useful = false,
                }
            }
            if !is_useful {
                break;
            }
        }
        let n_probes = search.n_probes();
        if n_probes > 0 {
            log::debug!("asked for the starts of {n_probes} chunks");
        }
        (n_probes > 0).then(|| search.into_terms())
    }

    /// Finds the ranges of a damaged file that are still right.
    fn what_is_right(
        &self,
        file: &RemoteFile,
        hash: XetHash,
        terms: &[Term],
        bad: &Path,
    ) -> Option<(OldFile, RangeSet)> {
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
        let bad = OldFile {
            path: bad.to_owned(),
            content: file.content,
            size_bytes: file.size_bytes,
            map: Some(proven.map),
            listed: None,
            is_same_path: true,
            // Only a part of a damaged file is known; the whole file gets a sidecar later.
            has_sidecar: true,
            is_own: true,
        };
        Some((bad, proven.ranges))
    }

    fn file_delta(
        &self,
        file: &RemoteFile,
        map: FileMap,
        old: Vec<OldFile>,
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
            if one.is_own && known.chunk_lengths.is_some() && !one.has_sidecar {
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

    /// Returns a client with the tokens of a commit.
    pub(super) fn client(&self, repo: &Repo, commit: &CommitSha) -> XetClient {
        client_for(self.xet, self.hub, repo, commit)
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

fn maps_of(old: &[OldFile]) -> Vec<FileMap> {
    old.iter().filter_map(|one| one.map.clone()).collect()
}

/// Reads old files with unknown chunk lengths; returns whether any were found.
///
/// A file is used only if its bytes have its Xet hash: then its chunks are those
/// of the terms, one by one.
fn read_again(old: &mut [OldFile]) -> bool {
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
