//! Copies ranges of files by the cheapest available method.

use std::fs::File;
use std::io;
use std::path::Path;

use super::file_io::{read_exact_at, write_all_at};
use super::open;

/// Forces a file's bytes to disk.
pub fn flush(path: &Path) -> io::Result<()> {
    match open::flushable(path) {
        // A file that cannot be opened for writing has no unflushed bytes of ours.
        Err(err) if cfg!(windows) && err.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        file => file?.sync_data(),
    }
}

/// File systems share space between files in units of this size or less.
pub const SHARED_UNIT: u64 = 4096;

/// Copies a range of one file to a position in another.
///
/// On Linux the file system copies, which shares the space where it can. On other
/// platforms, and where that fails, the bytes are read and written.
pub fn copy_range(
    from: &File,
    from_at: u64,
    to: &File,
    to_at: u64,
    length: u64,
    buffer: &mut Vec<u8>,
) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    let done = {
        let mut done = 0;
        // Only whole units can be shared: copy the bytes before the first one
        // separately.
        if from_at % SHARED_UNIT == to_at % SHARED_UNIT {
            done = from_at.next_multiple_of(SHARED_UNIT) - from_at;
            done = done.min(length);
            read_and_write(from, from_at, to, to_at, done, buffer)?;
        }
        done + system_copy(from, from_at + done, to, to_at + done, length - done)
    };
    #[cfg(not(target_os = "linux"))]
    let done = 0;
    read_and_write(
        from,
        from_at + done,
        to,
        to_at + done,
        length - done,
        buffer,
    )
}

/// Returns how many bytes the system copied. An error is not returned: the fallback
/// meets it again and reports it.
#[cfg(target_os = "linux")]
fn system_copy(from: &File, from_at: u64, to: &File, to_at: u64, length: u64) -> u64 {
    let (mut from_at, mut to_at, mut done) = (from_at, to_at, 0);
    while done < length {
        let most = usize::try_from(length - done)
            .unwrap_or(usize::MAX)
            .min(1 << 30);
        match rustix::fs::copy_file_range(from, Some(&mut from_at), to, Some(&mut to_at), most) {
            Ok(0) | Err(_) => break,
            Ok(n) => done += n as u64,
        }
    }
    done
}

fn read_and_write(
    from: &File,
    from_at: u64,
    to: &File,
    to_at: u64,
    length: u64,
    buffer: &mut Vec<u8>,
) -> io::Result<()> {
    const PIECE: u64 = 64 << 10;
    buffer.resize(PIECE as usize, 0);
    let mut done = 0;
    while done < length {
        let n = (length - done).min(PIECE) as usize;
        read_exact_at(from, &mut buffer[..n], from_at + done)?;
        write_all_at(to, &buffer[..n], to_at + done)?;
        done += n as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_copied_and_no_byte_beside_it() {
        let bytes: Vec<u8> = (0..300_000u32).map(|n| (n * 7 % 251) as u8).collect();
        let (from, to) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
        write_all_at(&from, &bytes, 0).unwrap();
        for (from_at, to_at, length) in [
            (0, 0, 300_000),
            (1, 2, 100_000),
            (5000, 904, 200_000),
            (8192, 4096, 8192),
            (4095, 12_287, 2),
            (7, 7, 0),
        ] {
            to.set_len(0).unwrap();
            to.set_len(400_000).unwrap();
            copy_range(&from, from_at, &to, to_at, length, &mut Vec::new()).unwrap();
            let mut found = vec![0; 400_000];
            read_exact_at(&to, &mut found, 0).unwrap();
            let mut expected = vec![0; 400_000];
            let (f, t, n) = (from_at as usize, to_at as usize, length as usize);
            expected[t..t + n].copy_from_slice(&bytes[f..f + n]);
            assert!(found == expected, "{from_at} {to_at} {length}");
        }
    }

    #[test]
    fn a_source_that_is_too_short_is_an_error() {
        let (from, to) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
        write_all_at(&from, &[1; 10_000], 0).unwrap();
        to.set_len(20_000).unwrap();
        let error = copy_range(&from, 5000, &to, 0, 5001, &mut Vec::new()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }
}
