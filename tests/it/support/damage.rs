//! Damage to files on disk. hfdl protects its blobs, and an ordinary user who runs the tests
//! cannot write to a protected file.

use std::fs::{self, File};
use std::path::Path;
use std::time::SystemTime;

/// Replaces the bytes of a file in place, because other names of it may be hard links.
pub fn overwrite(path: &Path, bytes: impl AsRef<[u8]>) {
    unprotected(path, || fs::write(path, bytes).unwrap());
}

pub fn set_modified(path: &Path, at: SystemTime) {
    unprotected(path, || {
        let file = File::options().write(true).open(path).unwrap();
        file.set_modified(at).unwrap();
    });
}

/// Inverts one byte as a failing disk does: nothing else tells of it.
pub fn flip(path: &Path, at: usize) {
    let modified = fs::metadata(path).unwrap().modified().unwrap();
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 0xff;
    overwrite(path, bytes);
    set_modified(path, modified);
}

/// Inverts the byte in the middle.
pub fn rot(path: &Path) {
    flip(path, fs::metadata(path).unwrap().len() as usize / 2);
}

fn unprotected(path: &Path, change: impl FnOnce()) {
    let before = fs::metadata(path).unwrap().permissions();
    let mut writable = before.clone();
    #[cfg(unix)]
    std::os::unix::fs::PermissionsExt::set_mode(&mut writable, 0o644);
    #[cfg(not(unix))]
    writable.set_readonly(false);
    fs::set_permissions(path, writable).unwrap();
    change();
    fs::set_permissions(path, before).unwrap();
}
