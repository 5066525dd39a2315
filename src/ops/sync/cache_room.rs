//! The room that `cache.max_size` leaves for downloads.

use std::path::PathBuf;

use anyhow::{Context, Result};
use thiserror::Error;

use crate::domain::units::ByteSize;
use crate::sys::disk;

/// The cache would hold more than `cache.max_size`.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("it needs {} more in the cache `{}`, which has {} and may have {}: {} are missing", .need.render_short(), .folder.display(), .used.render_short(), .max.render_short(), .missing.render_short())]
pub struct CacheFull {
    pub folder: PathBuf,
    pub need: ByteSize,
    /// The bytes of all files in the folder and those that other targets still write.
    pub used: ByteSize,
    pub max: ByteSize,
    pub missing: ByteSize,
}

impl CacheFull {
    /// Returns the hint for a cache in which old revisions would not make room.
    pub fn hint(&self) -> String {
        "raise `cache.max_size`; `hfdl prune --dry-run` shows what may go and why the rest stays"
            .to_owned()
    }
}

/// The measured size of the cache, and the bytes that were promised since.
///
/// The whole folder counts, with the files of other programs: the setting is about the
/// disk space of the cache, which all of them share. The folder is read only if a
/// target has bytes to write there, and again only if the sum leaves no room.
pub(super) struct CacheRoom {
    folder: PathBuf,
    max: ByteSize,
    /// At most as many bytes are in use; `None` before the first measurement.
    at_most: Option<u64>,
}

impl CacheRoom {
    pub fn new(folder: PathBuf, max: ByteSize) -> Self {
        Self {
            folder,
            max,
            at_most: None,
        }
    }

    /// Promises `need` bytes to a target, or returns an error if they do not fit.
    /// `unwritten` returns the bytes that other targets have still to write there.
    pub fn promise(&mut self, need: u64, unwritten: impl FnOnce() -> u64) -> Result<()> {
        let is_known_to_fit = |used: u64| used.saturating_add(need) <= self.max.bytes();
        let known = self.at_most.filter(|used| is_known_to_fit(*used));
        let used = match known {
            Some(used) => used,
            None => self.measure()?.saturating_add(unwritten()),
        };
        if !is_known_to_fit(used) {
            let wanted = used.saturating_add(need);
            return Err(CacheFull {
                folder: self.folder.clone(),
                need: ByteSize(need),
                used: ByteSize(used),
                max: self.max,
                missing: ByteSize(wanted.saturating_sub(self.max.bytes())),
            }
            .into());
        }
        self.at_most = Some(used.saturating_add(need));
        Ok(())
    }

    fn measure(&self) -> Result<u64> {
        disk::folder_bytes(&self.folder)
            .with_context(|| format!("cannot measure the cache `{}`", self.folder.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_share_the_room_and_the_folder_is_measured_again_before_a_refusal() {
        let folder = scratch_folder();
        let file = folder.join("blob");
        std::fs::write(&file, [0; 600]).unwrap();
        let mut room = CacheRoom::new(folder.clone(), ByteSize(1000));
        room.promise(300, || 0).unwrap();
        let full = room.promise(200, || 300).unwrap_err();
        let full = full.downcast_ref::<CacheFull>().unwrap();
        assert_eq!((full.used, full.missing), (ByteSize(900), ByteSize(100)));
        std::fs::remove_file(&file).unwrap();
        room.promise(200, || 300).unwrap();
        std::fs::remove_dir(&folder).unwrap();
    }

    fn scratch_folder() -> PathBuf {
        let name = format!("hfdl-cache-room-{}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        folder
    }
}
