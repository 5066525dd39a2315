//! I/O on large files: positions, allocation, and the page cache.
//!
//! Each platform has its own calls; where one is missing, a slower one or none
//! gives the same result.

use std::fs::File;
use std::io;

use crate::domain::ranges::{ByteRange, RangeSet};

/// Writes all bytes at a position; other threads may write other ranges at the same
/// time.
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

/// Fills the buffer from a position; fails if the file ends before.
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

/// Sets a file's final length and reserves disk space for it where that is cheap,
/// except for the `shared` ranges: reserved space is not shared with another file.
///
/// A full disk is reported here and not after hours. On other platforms the file is
/// sparse.
pub fn allocate(file: &File, size_bytes: u64, shared: &RangeSet) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::{FallocateFlags, fallocate};
        use rustix::io::Errno;
        let whole = ByteRange::new(0, size_bytes.max(1));
        for range in shared.lacking(whole) {
            match fallocate(file, FallocateFlags::empty(), range.start, range.len()) {
                Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = shared;
    file.set_len(size_bytes)
}

/// Starts writing a range to disk, without waiting.
pub fn start_write_back(file: &File, range: ByteRange) {
    // On Linux this advice starts the write-back of dirty pages and drops clean
    // ones. The pages just written are dirty, so they stay in memory for the hash
    // thread.
    advise_not_needed(file, range);
}

/// Drops a range that is on disk from the page cache, so that a model of 400 GB
/// does not evict everything else.
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

/// Returns an id that changes with each boot, where the platform has one.
///
/// While it is unchanged, data written by an earlier process is readable even if it
/// was never flushed.
pub fn boot_id() -> Option<String> {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(id.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn no_space_is_reserved_for_ranges_that_will_be_shared() {
        use std::os::unix::fs::MetadataExt;
        let mut shared = RangeSet::new();
        shared.insert(ByteRange::new(128 << 10, 1 << 20));
        let reserved = |shared: &RangeSet| {
            let file = tempfile::tempfile().unwrap();
            allocate(&file, 1 << 20, shared).unwrap();
            let found = file.metadata().unwrap();
            assert_eq!(found.len(), 1 << 20);
            found.blocks() * 512
        };
        let whole = reserved(&RangeSet::new());
        assert!(whole == 0 || whole >= 1 << 20, "{whole}");
        assert!(reserved(&shared) <= 256 << 10);
    }

    #[test]
    fn bytes_are_written_at_their_position() {
        let file = tempfile::tempfile().unwrap();
        allocate(&file, 10_000, &RangeSet::new()).unwrap();
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
