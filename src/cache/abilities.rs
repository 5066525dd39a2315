//! The ways in which the file system of a cache can hold snapshots.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use crate::sys::{abilities, disk};

/// The allowed forms of snapshot entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LinkChoice {
    /// Links where the file system and the user's rights allow them.
    WherePossible,
    /// `HF_HUB_DISABLE_SYMLINKS`: hard links at most.
    NoSymlinks,
    /// Files of their own, as on a file system without any links.
    NoLinks,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EntryForm {
    Symlinks,
    /// A second name of the blob, which stays for the next revision.
    HardLinks,
    /// The blob itself, as the official client does it without links; a copy
    /// for every other entry of that content.
    Files,
}

/// The ways in which a file system can hold snapshots.
#[derive(Clone, Copy, Debug)]
pub(super) struct SnapshotAbilities {
    pub(super) entries: EntryForm,
    /// Whether a snapshot can be put together aside and then renamed.
    pub(super) renames_folders: bool,
}

impl SnapshotAbilities {
    /// Tries them in a private folder. The first answer for a file system holds for
    /// the whole run.
    pub(super) fn try_out(private: &Path, links: LinkChoice) -> io::Result<Self> {
        type Known = BTreeMap<(u64, LinkChoice), SnapshotAbilities>;
        static KNOWN: Mutex<Known> = Mutex::new(BTreeMap::new());
        let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        let place = (disk::file_system_of(private)?, links);
        if let Some(found) = known.get(&place) {
            return Ok(*found);
        }
        let has_symlinks =
            links == LinkChoice::WherePossible && abilities::supports_symlinks(private)?;
        let entries = if has_symlinks {
            EntryForm::Symlinks
        } else if links != LinkChoice::NoLinks && abilities::supports_hard_links(private) {
            EntryForm::HardLinks
        } else {
            EntryForm::Files
        };
        let found = Self {
            entries,
            renames_folders: abilities::renames_folders(private)?,
        };
        known.insert(place, found);
        Ok(found)
    }
}
