//! The record of adopted files, as later commands use it.

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::cache::{CacheLayout, is_blob_of_a_cache, is_kept_by_another_home, stored_contents};
use crate::domain::adopt::AdoptedFile;
use crate::domain::deletion::Permit;
use crate::domain::model::Destination;
use crate::store::{ModelFilter, Store};
use crate::sys::files;
use crate::sys::open;
use crate::sys::paths::real_place;
use crate::sys::removal;
use crate::sys::stamp::{is_same_file, stamp_at};

/// Returns all adopted files.
///
/// Files of registered directories, those of other homes as well, of views, and blobs of
/// a Hub cache are never moved, whatever was asked for: models and links refer to them.
pub fn adopted_files(store: &Store) -> Result<Vec<AdoptedFile>> {
    let mut files = store.adopted_files()?;
    if files.iter().any(|file| file.moves) {
        let kept = directories_of_models(store)?;
        let of_views = files_of_views(store)?;
        let own = store.install_id()?.to_string();
        let mut foreign = HashMap::new();
        let mut is_foreign = |dir: &Path| {
            let known = foreign.entry(dir.to_owned());
            *known.or_insert_with(|| is_kept_by_another_home(dir, &own))
        };
        for file in files.iter_mut().filter(|file| file.moves) {
            let is_kept = of_views.contains(&file.path)
                || kept.iter().any(|dir| file.path.starts_with(dir))
                || file.path.ancestors().skip(1).any(&mut is_foreign);
            file.moves &= !is_kept && !is_blob_of_a_cache(&file.path);
        }
    }
    Ok(files)
}

fn directories_of_models(store: &Store) -> Result<Vec<PathBuf>> {
    let models = store.readable_models(&ModelFilter::default())?;
    let destinations = models.iter().map(|model| &model.spec.destination);
    let directories = destinations.filter_map(|destination| match destination {
        Destination::Directory(root) => Some(real_place(root)),
        Destination::Cache => None,
    });
    Ok(directories.collect())
}

/// Returns the paths of the files that views have made.
pub(super) fn files_of_views(store: &Store) -> Result<HashSet<PathBuf>> {
    let mut paths = HashSet::new();
    for view in store.views()? {
        let root = real_place(&view.spec.root);
        let files = view.files.iter();
        paths.extend(files.map(|file| root.join(file.path.as_str())));
    }
    Ok(paths)
}

/// Tells whether an adopted file is another one now, or gone from its folder.
///
/// A missing folder proves nothing: its disk may not be mounted.
pub fn is_changed(file: &AdoptedFile) -> bool {
    match stamp_at(&file.path) {
        Ok(Some(found)) => found != file.stamp,
        Ok(None) => file.path.parent().is_some_and(Path::is_dir),
        Err(_) => false,
    }
}

/// Returns the adopted files that have changed or are gone.
pub fn changed_files(store: &Store) -> Result<Vec<AdoptedFile>> {
    let mut files = store.adopted_files()?;
    files.retain(is_changed);
    Ok(files)
}

/// Forgets the adopted files that have changed or are gone. Returns their number.
pub fn forget_changed(store: &Store) -> Result<usize> {
    let changed = changed_files(store)?;
    for file in &changed {
        store.forget_adopted(&file.path)?;
    }
    Ok(changed.len())
}

/// Finishes moves of a run that was killed: the file is a second name of a blob.
pub fn finish_moves(store: &Store, cache: &CacheLayout, files: &[AdoptedFile]) -> Result<()> {
    let moving = files.iter();
    let moving: Vec<&AdoptedFile> = moving
        .filter(|file| file.moves && has_two_names(&file.path))
        .collect();
    if moving.is_empty() {
        return Ok(());
    }
    let stored = stored_contents(cache)?;
    for file in moving {
        let blobs = [file.sha256, file.git_sha1];
        let mut blobs = blobs.iter().filter_map(|content| stored.get(content));
        if let Some((blob, _)) = blobs.find(|(blob, _)| is_same_file(blob, &file.path)) {
            let path = &file.path;
            removal::remove_file(path, Permit::moved())
                .with_context(|| format!("cannot remove `{}`", path.display()))?;
            protect(blob).with_context(|| format!("cannot make `{}` read-only", blob.display()))?;
            store.forget_adopted(path)?;
        }
    }
    Ok(())
}

fn protect(blob: &Path) -> io::Result<()> {
    let blob = open::flushable(blob)?;
    let permissions = files::read_only(&blob.metadata()?.permissions());
    open::set_permissions(&blob, permissions)
}

/// Tells whether a file has a second hard link.
pub fn has_two_names(path: &Path) -> bool {
    let found = std::fs::metadata(path).ok();
    let identity = found.and_then(|found| files::identity(path, &found));
    identity.is_some_and(|(_, n_names)| n_names > 1)
}
