//! Finds programs by name.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::fs::is_program;
use super::host::Host;
use super::paths::expand_home;

/// Folders of system programs, for an environment without a usable `PATH`, such as
/// cron's.
#[cfg(not(windows))]
const KNOWN_FOLDERS: [&str; 6] = [
    "/usr/bin",
    "/bin",
    "/usr/local/bin",
    "/usr/sbin",
    "/sbin",
    "/run/current-system/sw/bin",
];

/// Finds a system program: in `PATH`, then in the known folders.
pub fn find_helper(host: &Host, name: &str) -> Option<PathBuf> {
    if let Some(folder) = host.test_variable("HFDL_TEST_PROGRAMS") {
        // Tests never run programs of the machine.
        return Some(Path::new(folder).join(name)).filter(|path| is_program(path));
    }
    find_in_path(host, OsStr::new(name)).or_else(|| {
        known_folders(host)
            .into_iter()
            .map(|folder| folder.join(file_name(name)))
            .find(|path| is_program(path))
    })
}

/// Finds a program named by a user: by its path, which may begin with `~`, or by
/// its bare name in `PATH`.
pub fn find_named(host: &Host, name: &str) -> Option<PathBuf> {
    if name.starts_with('~') {
        return expand_home(host, name).ok().filter(|path| is_program(path));
    }
    if name.contains(['/', std::path::MAIN_SEPARATOR]) {
        return Some(PathBuf::from(name)).filter(|path| is_program(path));
    }
    find_in_path(host, OsStr::new(name))
}

/// Finds a program in the absolute folders of `PATH`, as a shell would.
pub fn find_in_path(host: &Host, name: &OsStr) -> Option<PathBuf> {
    std::env::split_paths(host.variable("PATH")?)
        // A relative folder would mean another program in each current directory.
        .filter(|folder| folder.is_absolute())
        .map(|folder| folder.join(file_name(name)))
        .find(|path| is_program(path))
}

#[cfg(windows)]
fn file_name(name: impl AsRef<OsStr>) -> PathBuf {
    let name = Path::new(name.as_ref());
    match name.extension() {
        Some(_) => name.to_path_buf(),
        None => name.with_extension("exe"),
    }
}

#[cfg(not(windows))]
fn file_name(name: impl AsRef<OsStr>) -> PathBuf {
    PathBuf::from(name.as_ref())
}

#[cfg(windows)]
fn known_folders(host: &Host) -> Vec<PathBuf> {
    let system = host.variable("SystemRoot").map(PathBuf::from);
    system
        .map(|root| root.join("System32"))
        .into_iter()
        .collect()
}

#[cfg(not(windows))]
fn known_folders(_host: &Host) -> Vec<PathBuf> {
    KNOWN_FOLDERS.iter().map(PathBuf::from).collect()
}
