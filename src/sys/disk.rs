//! Free space and identity of file systems.

use std::fs::Metadata;
use std::io;
use std::path::{Path, PathBuf};

use super::files::{self, FileIdentity};
#[cfg(unix)]
use super::files::{create_new, unused_name};

/// Free space and limits of the file system that holds a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// Equal for two paths on one file system, where the platform tells.
    pub file_system: u64,
    /// Bytes that this user may still write, where the file system tells.
    pub free_bytes: Option<u64>,
    /// Number of files that may still be created, where the file system has a
    /// known limit.
    pub free_files: Option<u64>,
    /// The largest allowed file size, where a small limit is known.
    pub largest_file: Option<u64>,
}

/// Returns the space at an existing path.
pub fn space_at(path: &Path) -> io::Result<Space> {
    Ok(Space {
        file_system: file_system_of(path)?,
        free_bytes: free_bytes(path)?,
        free_files: free_files(path)?,
        largest_file: [largest_on(path)?, largest_for_us()]
            .into_iter()
            .flatten()
            .min(),
    })
}

#[cfg(unix)]
fn free_bytes(path: &Path) -> io::Result<Option<u64>> {
    let found = rustix::fs::statvfs(path)?;
    // Some user-space file systems answer zero to every question.
    let free = found.f_bavail.saturating_mul(found.f_frsize);
    Ok((found.f_blocks > 0).then_some(free))
}

#[cfg(not(unix))]
fn free_bytes(path: &Path) -> io::Result<Option<u64>> {
    fs2::available_space(path).map(Some)
}

#[cfg(unix)]
fn free_files(path: &Path) -> io::Result<Option<u64>> {
    let found = rustix::fs::statvfs(path)?;
    // Without a limit the total is zero or meaningless, or none are ever free.
    let is_known = found.f_files > 0
        && found.f_favail <= found.f_files
        && (found.f_favail > 0 || !can_create_file(path));
    Ok(is_known.then_some(found.f_favail))
}

#[cfg(unix)]
fn can_create_file(folder: &Path) -> bool {
    let probe = unused_name(folder);
    create_new(&probe).is_ok() && std::fs::remove_file(&probe).is_ok()
}

#[cfg(not(unix))]
fn free_files(_path: &Path) -> io::Result<Option<u64>> {
    Ok(None)
}

/// The largest file size on FAT file systems other than exFAT.
#[cfg(any(target_os = "linux", target_os = "macos"))]
const LARGEST_ON_FAT: u64 = u32::MAX as u64;

#[cfg(target_os = "linux")]
fn largest_on(path: &Path) -> io::Result<Option<u64>> {
    const FAT: i128 = 0x4d44;
    let kind = i128::from(rustix::fs::statfs(path)?.f_type);
    Ok((kind == FAT).then_some(LARGEST_ON_FAT))
}

#[cfg(target_os = "macos")]
fn largest_on(path: &Path) -> io::Result<Option<u64>> {
    let name = rustix::fs::statfs(path)?.f_fstypename;
    let is_fat = name.iter().zip(b"msdos\0").all(|(a, b)| *a as u8 == *b);
    Ok(is_fat.then_some(LARGEST_ON_FAT))
}

#[cfg(not(any(target_os = "linux", target_os = "macos")))]
fn largest_on(_path: &Path) -> io::Result<Option<u64>> {
    Ok(None)
}

/// Returns the file size limit of this process (`RLIMIT_FSIZE`).
#[cfg(unix)]
fn largest_for_us() -> Option<u64> {
    rustix::process::getrlimit(rustix::process::Resource::Fsize).current
}

#[cfg(not(unix))]
fn largest_for_us() -> Option<u64> {
    None
}

/// Returns a number that is equal for two paths on one file system.
#[cfg(unix)]
pub fn file_system_of(path: &Path) -> io::Result<u64> {
    use std::os::unix::fs::MetadataExt;
    Ok(std::fs::metadata(path)?.dev())
}

/// Returns a number that is equal for two paths on one drive or share.
#[cfg(not(unix))]
pub fn file_system_of(path: &Path) -> io::Result<u64> {
    let path = std::fs::canonicalize(path)?;
    let prefix = path
        .components()
        .next()
        .map(|part| part.as_os_str().to_ascii_lowercase());
    let name = prefix.unwrap_or_default();
    Ok(name.as_encoded_bytes().iter().fold(0, |sum, byte| {
        sum.wrapping_mul(257).wrapping_add(u64::from(*byte))
    }))
}

/// Returns type and id of the file system that holds a path, such as `ext4 1f2e3d`.
/// For a path that does not exist its nearest existing ancestor is used.
///
/// Two file systems rarely share the result. It may change at boot where the id is
/// assigned at mount.
pub fn file_system_at(path: &Path) -> Option<String> {
    let existing = path.ancestors().find(|path| path.exists())?;
    identity_of(existing).ok()
}

#[cfg(target_os = "linux")]
fn identity_of(path: &Path) -> io::Result<String> {
    const NAMES: [(u32, &str); 16] = [
        (0xef53, "ext4"),
        (0x5846_5342, "xfs"),
        (0x9123_683e, "btrfs"),
        (0xf2f5_2010, "f2fs"),
        (0x2fc1_2fc1, "zfs"),
        (0xca45_1a4e, "bcachefs"),
        (0x0102_1994, "tmpfs"),
        (0x794c_7630, "overlayfs"),
        (0x6969, "nfs"),
        (0xff53_4d42, "cifs"),
        (0xfe53_4d42, "smb"),
        (0x00c3_6400, "ceph"),
        (0x6573_5546, "fuse"),
        (0x2011_bab0, "exfat"),
        (0x4d44, "vfat"),
        (0x7366_746e, "ntfs"),
    ];
    // The type is a signed word on some platforms.
    let kind = i128::from(rustix::fs::statfs(path)?.f_type) as u32;
    let id = rustix::fs::statvfs(path)?.f_fsid;
    let name = NAMES.iter().find(|(number, _)| *number == kind);
    Ok(match name {
        Some((_, name)) => format!("{name} {id:x}"),
        None => format!("type-{kind:x} {id:x}"),
    })
}

#[cfg(target_os = "macos")]
fn identity_of(path: &Path) -> io::Result<String> {
    let name = rustix::fs::statfs(path)?.f_fstypename;
    let name: String = name
        .iter()
        .map_while(|byte| (*byte != 0).then(|| char::from(*byte as u8)))
        .collect();
    let id = rustix::fs::statvfs(path)?.f_fsid;
    Ok(format!("{name} {id:x}"))
}

#[cfg(all(unix, not(any(target_os = "linux", target_os = "macos"))))]
fn identity_of(path: &Path) -> io::Result<String> {
    let id = rustix::fs::statvfs(path)?.f_fsid;
    Ok(format!("file-system {id:x}"))
}

#[cfg(not(unix))]
fn identity_of(path: &Path) -> io::Result<String> {
    Ok(format!("volume {:x}", file_system_of(path)?))
}

/// Tells whether the files at a path keep their inode numbers after the next mount.
/// User-space and network file systems, and those of memory cards, invent them.
#[cfg(unix)]
pub fn keeps_inodes(path: &Path) -> bool {
    const INVENTED: [&str; 11] = [
        "fuse", "exfat", "vfat", "cifs", "smb", "msdos", "smbfs", "macfuse", "osxfuse", "webdav",
        "afpfs",
    ];
    identity_of(path).is_ok_and(|identity| {
        let name = identity.split(' ').next();
        name.is_some_and(|name| !INVENTED.contains(&name))
    })
}

/// Returns how many bytes a file occupies on disk; 0 when it is missing.
pub fn allocated_bytes(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |found| blocks_of(&found))
}

/// Returns the bytes of all files below a folder; 0 when it is missing. Links are not
/// followed, a file with several names counts once, and the holes of an unfinished file
/// do not count. A file that goes away meanwhile is passed over.
pub fn folder_bytes(folder: &Path) -> io::Result<u64> {
    let mut several_names = std::collections::HashSet::new();
    let mut sum = 0u64;
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let entries = match std::fs::read_dir(&folder) {
            Err(err) if err.kind() == io::ErrorKind::NotFound => continue,
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            let found = match entry.metadata() {
                Err(err) if err.kind() == io::ErrorKind::NotFound => continue,
                found => found?,
            };
            if found.is_dir() {
                folders.push(entry.path());
            } else if found.is_file() && several_names.insert(names_of(&found, &entry.path())) {
                sum = sum.saturating_add(found.len().min(blocks_of(&found)));
            }
        }
    }
    Ok(sum)
}

/// Returns a value that is the same for two names of one file, where the platform tells.
fn names_of(found: &Metadata, path: &Path) -> Result<FileIdentity, PathBuf> {
    let found = files::identity(path, found);
    found
        .map(|(identity, _)| identity)
        .ok_or_else(|| path.to_path_buf())
}

#[cfg(unix)]
fn blocks_of(found: &Metadata) -> u64 {
    use std::os::unix::fs::MetadataExt;
    found.blocks().saturating_mul(512)
}

#[cfg(not(unix))]
fn blocks_of(found: &Metadata) -> u64 {
    found.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_has_space_and_a_written_file_occupies_some() {
        let folder = tempfile::tempdir().unwrap();
        let space = space_at(folder.path()).unwrap();
        assert_eq!(
            space.file_system,
            space_at(&folder.path().join(".")).unwrap().file_system
        );
        assert!(space.free_bytes.is_some_and(|n_bytes| n_bytes > 0));
        let missing = folder.path().join("not/there");
        assert_eq!(file_system_at(&missing), file_system_at(folder.path()));
        assert!(file_system_at(&missing).is_some());
        let file = folder.path().join("x");
        assert_eq!(allocated_bytes(&file), 0);
        std::fs::write(&file, vec![1; 100_000]).unwrap();
        assert!(allocated_bytes(&file) > 0);
    }
}
