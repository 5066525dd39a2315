//! The path of this executable.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::host::Host;
use super::search_path::find_in_path;
use super::{files, paths};

/// Returns the absolute path by which this program was started, with links
/// unresolved.
///
/// A package manager's link outlives the versioned folder that
/// `std::env::current_exe` returns. The typed name counts only if it leads to the
/// same file.
pub fn path(host: &Host) -> Result<PathBuf> {
    let real = std::env::current_exe().context("cannot find the path of this program")?;
    let typed = host.arguments().first().and_then(|typed| {
        if Path::new(typed).components().count() > 1 {
            paths::absolute(host, Path::new(typed)).ok()
        } else {
            find_in_path(host, typed)
        }
    });
    Ok(typed
        .filter(|typed| is_same_file(typed, &real))
        .unwrap_or(real))
}

/// Returns the path of the windowless variant beside this program, if it exists.
pub fn windowless(program: &Path) -> Option<PathBuf> {
    let name = if cfg!(windows) { "hfdlw.exe" } else { "hfdlw" };
    Some(program.with_file_name(name)).filter(|path| path.is_file())
}

fn is_same_file(one: &Path, other: &Path) -> bool {
    let identity = |path: &Path| Some(files::identity(path, &path.metadata().ok()?)?.0);
    match (identity(one), identity(other)) {
        (Some(one), Some(other)) => one == other,
        // Without file identities compare the canonical paths.
        _ => matches!((one.canonicalize(), other.canonicalize()), (Ok(a), Ok(b)) if a == b),
    }
}
