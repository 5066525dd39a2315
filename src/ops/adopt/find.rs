//! Finds the files worth adopting below some folders.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::domain::adopt::{LEAST_BYTES, SkipReason, skipped_name};
use crate::domain::proof::ProofStamp;
use crate::sys::paths::real_place;
use crate::sys::stamp::stamp_of;

/// The files below some folders.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) files: BTreeMap<PathBuf, ProofStamp>,
    /// The number of entries that were passed over. A folder counts as one.
    pub(super) skipped: BTreeMap<SkipReason, u64>,
    pub(super) unreadable: Vec<(PathBuf, String)>,
}

/// Walks the given files and folders.
///
/// Rules about names and links hold below the given paths, not for these themselves:
/// `.lmstudio` or a link can be named. No link is followed below them, so no file is
/// reached twice. Files of views are passed over: they show files that are here.
pub(super) fn find(paths: &[PathBuf], cache_root: &Path, of_views: &HashSet<PathBuf>) -> Found {
    let mut found = Found::default();
    let cache_root = real_place(cache_root);
    let mut folders = Vec::new();
    let mut seen = BTreeSet::new();
    for path in paths {
        let known = path.canonicalize();
        let known = known.and_then(|real| Ok((fs::metadata(&real)?, real)));
        match known {
            Ok((metadata, real)) => found.enter(real, &metadata, &cache_root, &mut folders),
            Err(err) => found.cannot_read(path, &err),
        }
    }
    while let Some(folder) = folders.pop() {
        if !seen.insert(folder.clone()) {
            continue;
        }
        let entries = fs::read_dir(&folder).and_then(Iterator::collect::<io::Result<Vec<_>>>);
        let entries = match entries {
            Ok(entries) => entries,
            Err(err) => {
                found.cannot_read(&folder, &err);
                continue;
            }
        };
        let names: HashSet<_> = entries.iter().map(fs::DirEntry::file_name).collect();
        for entry in &entries {
            let name = entry.file_name();
            let has_sibling = |other: &str| names.contains(std::ffi::OsStr::new(other));
            if let Some(reason) = skipped_name(&name.to_string_lossy(), has_sibling) {
                found.skip(reason);
                continue;
            }
            // Metadata of the entry itself: links are not followed.
            match entry.metadata() {
                Ok(metadata) => found.enter(entry.path(), &metadata, &cache_root, &mut folders),
                Err(err) => found.cannot_read(&entry.path(), &err),
            }
        }
    }
    let n_found = found.files.len();
    found.files.retain(|path, _| !of_views.contains(path));
    let n_of_views = (n_found - found.files.len()) as u64;
    if n_of_views > 0 {
        found.skipped.insert(SkipReason::InView, n_of_views);
    }
    found
}

impl Found {
    fn enter(
        &mut self,
        path: PathBuf,
        metadata: &fs::Metadata,
        cache_root: &Path,
        folders: &mut Vec<PathBuf>,
    ) {
        if path.starts_with(cache_root) {
            self.skip(SkipReason::InCache);
        } else if metadata.is_dir() {
            folders.push(path);
        } else if metadata.is_symlink() {
            self.skip(SkipReason::Link);
        } else if !metadata.is_file() {
            self.skip(SkipReason::Special);
        } else if metadata.len() < LEAST_BYTES {
            self.skip(SkipReason::Small);
        } else if path.to_str().is_none() {
            let why = "its path is not valid UTF-8".to_owned();
            self.unreadable.push((path, why));
        } else {
            let stamp = stamp_of(metadata, &path);
            self.files.insert(path, stamp);
        }
    }

    fn skip(&mut self, reason: SkipReason) {
        *self.skipped.entry(reason).or_default() += 1;
    }

    fn cannot_read(&mut self, path: &Path, err: &io::Error) {
        self.unreadable.push((path.to_owned(), err.to_string()));
    }
}
