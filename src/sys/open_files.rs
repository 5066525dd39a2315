//! Files that other programs have open, as far as the system tells.
//!
//! Linux lists them in `/proc`, for the processes that this user may inspect. On
//! other platforms nothing is known and no file counts as open: Windows refuses to
//! delete an open file by itself, and on other systems a program goes on reading a
//! file after its name is gone.

use std::path::PathBuf;

/// Returns those of the given files that another process has open or mapped.
///
/// Files are compared by inode, not by path: a process in a container sees them
/// under other paths.
#[cfg(target_os = "linux")]
pub fn opened_by_others(files: impl IntoIterator<Item = PathBuf>) -> Vec<PathBuf> {
    linux::opened_by_others(files.into_iter().collect())
}

/// Returns those of the given files that another process has open or mapped.
///
/// Files are compared by inode, not by path: a process in a container sees them
/// under other paths.
#[cfg(not(target_os = "linux"))]
pub fn opened_by_others(_files: impl IntoIterator<Item = PathBuf>) -> Vec<PathBuf> {
    Vec::new()
}

#[cfg(target_os = "linux")]
mod linux {
    use std::collections::{BTreeMap, BTreeSet};
    use std::fs;
    use std::os::unix::fs::MetadataExt;
    use std::path::{Path, PathBuf};

    pub fn opened_by_others(files: Vec<PathBuf>) -> Vec<PathBuf> {
        let mut wanted: BTreeMap<u64, Vec<(u64, PathBuf)>> = BTreeMap::new();
        for file in files {
            if let Ok(found) = fs::metadata(&file) {
                let same_number = wanted.entry(found.ino()).or_default();
                same_number.push((found.dev(), file));
            }
        }
        let mut open = BTreeSet::new();
        let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
        for process in processes {
            let name = process.file_name();
            let pid: Option<u32> = name.to_str().and_then(|name| name.parse().ok());
            if pid.is_none_or(|pid| pid == std::process::id()) {
                continue;
            }
            // Processes that end meanwhile, or belong to other users, are skipped.
            by_descriptor(&process.path(), &wanted, &mut open);
            by_mapping(&process.path(), &wanted, &mut open);
        }
        open.into_iter().collect()
    }

    fn by_descriptor(
        process: &Path,
        wanted: &BTreeMap<u64, Vec<(u64, PathBuf)>>,
        open: &mut BTreeSet<PathBuf>,
    ) {
        let descriptors = fs::read_dir(process.join("fd")).into_iter().flatten();
        for descriptor in descriptors.flatten() {
            let Ok(found) = fs::metadata(descriptor.path()) else {
                continue;
            };
            let same_number = wanted.get(&found.ino()).into_iter().flatten();
            let same = same_number.filter(|(device, _)| *device == found.dev());
            open.extend(same.map(|(_, path)| path.clone()));
        }
    }

    /// A mapped model stays in use after its descriptor is closed.
    ///
    /// Only the inode is compared: for some file systems the device number here
    /// differs from that of the file's metadata.
    fn by_mapping(
        process: &Path,
        wanted: &BTreeMap<u64, Vec<(u64, PathBuf)>>,
        open: &mut BTreeSet<PathBuf>,
    ) {
        let Ok(maps) = fs::read(process.join("maps")) else {
            return;
        };
        for line in String::from_utf8_lossy(&maps).lines() {
            let number = line.split_ascii_whitespace().nth(4);
            let number = number.and_then(|number| number.parse().ok());
            let Some(number) = number.filter(|number| *number != 0) else {
                continue;
            };
            let same = wanted.get(&number).into_iter().flatten();
            open.extend(same.map(|(_, path)| path.clone()));
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use std::fs::{self, File};
    use std::process::{Command, Stdio};

    #[test]
    fn a_file_open_in_another_process_is_found_and_our_own_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let [theirs, ours, unopened] = ["a", "b", "c"].map(|name| dir.path().join(name));
        for file in [&theirs, &ours, &unopened] {
            fs::write(file, "x").unwrap();
        }
        let _ours = File::open(&ours).unwrap();
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&theirs, &link).unwrap();
        let mut other = Command::new("sleep")
            .arg("60")
            .stdin(Stdio::from(File::open(&link).unwrap()))
            .spawn()
            .unwrap();
        let open = opened_by_others([theirs.clone(), ours, unopened]);
        other.kill().unwrap();
        other.wait().unwrap();
        assert_eq!(open, [theirs]);
    }
}
