//! Writing large files well: positions, space, and what the page cache keeps.
//!
//! Each platform has its own calls; where one is missing, a slower way or
//! nothing at all has the same result.

use std::fs::File;
use std::io;
use std::path::Path;

use crate::domain::ranges::ByteRange;

/// Writes all bytes at a position; other threads may write elsewhere meanwhile.
pub fn write_all_at(file: &File, bytes: &[u8], position: u64) -> io::Result<()> {
    #[cfg(unix)]
    {
        std::os::unix::fs::FileExt::write_all_at(file, bytes, position)
    }
    #[cfg(windows)]
    {
        let mut done = 0;
        while done < bytes.len() {
            let at = position + done as u64;
            match std::os::windows::fs::FileExt::seek_write(file, &bytes[done..], at) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => done += written,
                Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
                Err(err) => return Err(err),
            }
        }
        Ok(())
    }
}

/// Fills the buffer with the bytes at a position, or fails if the file ends before.
pub fn read_exact_at(file: &File, buffer: &mut [u8], position: u64) -> io::Result<()> {
    #[cfg(unix)]
    {
        std::os::unix::fs::FileExt::read_exact_at(file, buffer, position)
    }
    #[cfg(windows)]
    {
        let mut done = 0;
        while done < buffer.len() {
            let at = position + done as u64;
            match std::os::windows::fs::FileExt::seek_read(file, &mut buffer[done..], at) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(read) => done += read,
                Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
                Err(err) => return Err(err),
            }
        }
        Ok(())
    }
}

/// Gives a file its final length, with disk space behind it where that is cheap.
///
/// A full disk shows here and not after hours. Elsewhere the file is sparse.
pub fn allocate(file: &File, size_bytes: u64) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::{FallocateFlags, fallocate};
        use rustix::io::Errno;
        match fallocate(file, FallocateFlags::empty(), 0, size_bytes.max(1)) {
            Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    file.set_len(size_bytes)
}

/// Asks the system to begin writing a range to disk, and waits for nothing.
pub fn start_write_back(file: &File, range: ByteRange) {
    // On Linux this advice begins to write dirty pages and drops clean ones;
    // those just written are dirty, so they stay for whoever hashes them.
    advise_not_needed(file, range);
}

/// Tells the system that a range on disk will not be read again soon, so that
/// a model of 400 GB does not push everything else out of memory.
pub fn forget(file: &File, range: ByteRange) {
    advise_not_needed(file, range);
}

#[cfg(target_os = "linux")]
fn advise_not_needed(file: &File, range: ByteRange) {
    use rustix::fs::{Advice, fadvise};
    if let Some(len) = std::num::NonZeroU64::new(range.len()) {
        let _ = fadvise(file, range.start, Some(len), Advice::DontNeed);
    }
}

#[cfg(not(target_os = "linux"))]
fn advise_not_needed(_file: &File, _range: ByteRange) {}

/// Returns what changes with each boot of the machine, where the platform tells.
///
/// As long as it is the same, what a process wrote is there for the next one,
/// whether it was forced to disk or not.
pub fn boot_id() -> Option<String> {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(id.trim().to_owned())
}

/// Forces everything on a folder's file system to disk; tells whether the
/// platform can. One call for thousands of small files that were not synced.
pub fn sync_file_system(dir: &Path) -> io::Result<bool> {
    #[cfg(target_os = "linux")]
    {
        rustix::fs::syncfs(File::open(dir)?)?;
        Ok(true)
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = dir;
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_land_where_they_were_sent() {
        let file = tempfile::tempfile().unwrap();
        allocate(&file, 10_000).unwrap();
        assert_eq!(file.metadata().unwrap().len(), 10_000);
        write_all_at(&file, b"there", 9_000).unwrap();
        write_all_at(&file, b"here", 10).unwrap();
        let mut bytes = [0; 5];
        read_exact_at(&file, &mut bytes, 9_000).unwrap();
        assert_eq!(&bytes, b"there");
        assert!(read_exact_at(&file, &mut bytes, 9_998).is_err());
        start_write_back(&file, ByteRange::new(0, 10_000));
        forget(&file, ByteRange::new(0, 10_000));
        read_exact_at(&file, &mut bytes, 10).unwrap();
        assert_eq!(&bytes[..4], b"here");
    }
}
