//! Which files other programs have open, as far as the system tells.
//!
//! Linux shows it in `/proc`, for the processes that this user may look at.
//! Elsewhere nothing is known and nothing counts as open: on Windows the
//! system itself refuses to delete such a file, on other systems a program
//! that has a file open goes on reading it after its name is gone.

use std::path::PathBuf;

/// Returns those of some files that another process has open or mapped.
///
/// Files are told by what they are, not by their paths: a process in a
/// container knows them under others.
#[cfg(target_os = "linux")]
pub fn opened_by_others(files: impl IntoIterator<Item = PathBuf>) -> Vec<PathBuf> {
    linux::opened_by_others(files.into_iter().collect())
}

/// Returns those of some files that another process has open or mapped.
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
            // A process that ends meanwhile, or belongs to somebody else, tells nothing.
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
    /// The number of the file alone decides: for some file systems the device
    /// here is another than the one that the file itself names.
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
    fn a_file_that_another_process_has_open_is_told_from_one_of_our_own() {
        let dir = tempfile::tempdir().unwrap();
        let [theirs, ours, nobodys] = ["a", "b", "c"].map(|name| dir.path().join(name));
        for file in [&theirs, &ours, &nobodys] {
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
        let open = opened_by_others([theirs.clone(), ours, nobodys]);
        other.kill().unwrap();
        other.wait().unwrap();
        assert_eq!(open, [theirs]);
    }
}
