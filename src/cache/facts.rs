//! The contents of the cache that one sync can use.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};

use super::layout::{self, CacheLayout, RepoLayout};
use super::links;
use super::scan::{cached_repos, files_below, read_dir, stored_listing};
use crate::domain::content::ContentId;
use crate::domain::filter::Filter;
use crate::domain::plan::{ContentLocation, InPlace, LocalContent, LocalFacts};
use crate::domain::repo::{CommitSha, Repo};
use crate::domain::snapshot::{RemoteFile, RemoteSnapshot};
use crate::sys::files;

/// Finds the wanted files: in the snapshot, among the blobs, in older snapshots of real
/// files and in other repositories.
///
/// Searches farther places only for files that nearer ones lack. Sizes are
/// compared, bytes are not read: a file is hashed before it
/// is used, unless a proof of it holds. The partial files are left out: their
/// journals belong to the engine.
pub fn local_facts(
    cache: &CacheLayout,
    repo: &Repo,
    remote: &RemoteSnapshot,
    filter: &Filter,
    published: Option<&CommitSha>,
) -> Result<LocalFacts> {
    let repo_layout = cache.repo(repo);
    let wanted = remote.selected(filter);
    let mut facts = LocalFacts::default();
    look_in_snapshot(&repo_layout, &remote.commit, &wanted, &mut facts)?;

    let mut missing: HashMap<String, &RemoteFile> = wanted
        .iter()
        .filter(|file| !is_in_place(&facts, file))
        .map(|file| (file.content.etag(), *file))
        .collect();
    look_among_blobs(&repo_layout, true, &mut missing, &mut facts)?;
    if !missing.is_empty() {
        look_in_listed_snapshots(&repo_layout, &mut missing, &mut facts)?;
    }
    if !missing.is_empty() {
        // This repository's own folder has none of them, so it need not be left out.
        look_in_cache(cache, &mut missing, &mut facts)?;
    }
    if let Some(commit) = published {
        let names = files_below(&repo_layout.snapshot(commit))?;
        facts.previous = names.into_iter().filter_map(|(path, _)| path).collect();
    }
    Ok(facts)
}

/// Finds the wanted files in all repositories of the cache, for a place that has
/// none of its own.
pub fn facts_of_cache(
    cache: &CacheLayout,
    remote: &RemoteSnapshot,
    filter: &Filter,
) -> Result<LocalFacts> {
    let mut facts = LocalFacts::default();
    let mut missing: HashMap<String, &RemoteFile> = remote
        .selected(filter)
        .into_iter()
        .map(|file| (file.content.etag(), file))
        .collect();
    look_in_cache(cache, &mut missing, &mut facts)?;
    Ok(facts)
}

/// An entry that is a link counts only if it leads to the content that is
/// wanted; a real file has the commit's word for it.
fn look_in_snapshot(
    layout: &RepoLayout,
    commit: &CommitSha,
    wanted: &[&RemoteFile],
    facts: &mut LocalFacts,
) -> Result<()> {
    if !layout.snapshot(commit).is_dir() {
        return Ok(());
    }
    for file in wanted {
        let entry = layout.entry(commit, &file.path);
        let found = links::entry_metadata(layout, commit, &file.path)
            .with_context(|| format!("cannot look at `{}`", entry.display()))?;
        let Some(found) = found.filter(fs::Metadata::is_file) else {
            continue;
        };
        let target = fs::read_link(&entry).ok();
        let name = target.as_ref().map(|target| target.file_name());
        let name = name.map(|name| name.and_then(OsStr::to_str).unwrap_or_default());
        let content = match name {
            Some(name) => match ContentId::from_etag(name) {
                Ok(content) => Some(content),
                Err(_) => continue,
            },
            None => None,
        };
        let there = InPlace {
            size_bytes: found.len(),
            content,
        };
        facts.in_place.insert(file.path.clone(), there);
    }
    Ok(())
}

/// Looks for contents in every repository of a cache.
pub(super) fn look_in_cache(
    cache: &CacheLayout,
    missing: &mut HashMap<String, &RemoteFile>,
    facts: &mut LocalFacts,
) -> Result<()> {
    for repo in cached_repos(cache)? {
        let layout = cache.repo(&repo);
        let has_blobs = look_among_blobs(&layout, false, missing, facts)?;
        if !has_blobs && !missing.is_empty() {
            look_in_listed_snapshots(&layout, missing, facts)?;
        }
    }
    Ok(())
}

/// Returns all blobs of a cache by content, with their sizes.
pub fn stored_contents(cache: &CacheLayout) -> Result<HashMap<ContentId, (PathBuf, u64)>> {
    let mut stored = HashMap::new();
    for repo in cached_repos(cache)? {
        for entry in read_dir(&cache.repo(&repo).blobs())? {
            let name = entry.file_name();
            let content = name.to_str().map(ContentId::from_etag);
            let found = fs::metadata(entry.path())
                .ok()
                .filter(fs::Metadata::is_file);
            if let (Some(Ok(content)), Some(found)) = (content, found) {
                stored.insert(content, (entry.path(), found.len()));
            }
        }
    }
    Ok(stored)
}

fn is_in_place(facts: &LocalFacts, file: &RemoteFile) -> bool {
    (facts.in_place.get(&file.path)).is_some_and(|there| there.is_the_file(file))
}

/// Lists the folder once instead of asking for each name: most are there, or none. Returns
/// whether it has any blob.
fn look_among_blobs(
    layout: &RepoLayout,
    is_own: bool,
    missing: &mut HashMap<String, &RemoteFile>,
    facts: &mut LocalFacts,
) -> Result<bool> {
    let mut has_blobs = false;
    if missing.is_empty() {
        return Ok(has_blobs);
    }
    for entry in read_dir(&layout.blobs())? {
        has_blobs = true;
        let name = entry.file_name();
        let Some(file) = name.to_str().and_then(|name| missing.get(name)).copied() else {
            continue;
        };
        let path = entry.path();
        let place = if is_own {
            ContentLocation::Here
        } else {
            ContentLocation::At(path.clone())
        };
        let found = links::metadata_of_blob(layout, &path)
            .with_context(|| format!("cannot look at `{}`", path.display()))?;
        if let Some(found) = of_the_size(found, file, place) {
            facts.contents.insert(file.content, found);
            missing.remove(&file.content.etag());
        }
    }
    Ok(has_blobs)
}

/// Without links the contents lie in the snapshots themselves, and only the listings
/// tell the content of each name.
fn look_in_listed_snapshots(
    layout: &RepoLayout,
    missing: &mut HashMap<String, &RemoteFile>,
    facts: &mut LocalFacts,
) -> Result<()> {
    let mut folders: BTreeMap<CommitSha, Vec<PathBuf>> = BTreeMap::new();
    let private = [layout::STAGING_PREFIX, layout::TRASH_PREFIX];
    for (folder, prefixes) in [
        (layout.snapshots(), &[""][..]),
        (layout.private(), &private),
    ] {
        for entry in read_dir(&folder)? {
            let name = entry.file_name();
            let name = name.to_str().unwrap_or_default();
            let rest = prefixes.iter().find_map(|prefix| name.strip_prefix(prefix));
            // The name of a folder of staging ends with the id of its home.
            let commit = rest.and_then(|rest| rest.split('-').next());
            if let Some(commit) = commit.and_then(|commit| commit.parse().ok()) {
                folders.entry(commit).or_default().push(entry.path());
            }
        }
    }
    for (commit, folders) in folders {
        let Some(listing) = stored_listing(layout, &commit)? else {
            continue;
        };
        for old in listing.files {
            let etag = old.content.etag();
            for folder in &folders {
                let path = folder.join(layout::native(&old.path));
                let Some(file) = missing.get(&etag).copied() else {
                    break;
                };
                let found = files::link_metadata_if_present(&path)
                    .with_context(|| format!("cannot look at `{}`", path.display()))?;
                if let Some(found) = of_the_size(found, file, ContentLocation::At(path)) {
                    facts.contents.insert(file.content, found);
                    missing.remove(&etag);
                }
            }
        }
    }
    Ok(())
}

fn of_the_size(
    found: Option<fs::Metadata>,
    file: &RemoteFile,
    place: ContentLocation,
) -> Option<LocalContent> {
    let found = found.filter(|found| found.is_file() && found.len() == file.size_bytes);
    found.map(|found| LocalContent {
        size_bytes: found.len(),
        place,
    })
}
