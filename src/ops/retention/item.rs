//! What a prune says about one thing that it looked at.

use crate::domain::model::EntryName;
use crate::domain::outcome::words;
use crate::domain::repo::Repo;

words! {
    /// What can be removed.
    ItemKind {
        /// A published commit, with the blobs that it alone uses.
        Revision = "revision",
        /// What an interrupted prune has left of a revision.
        Trash = "trash",
        /// A content that no revision uses.
        Blob = "blob",
        /// An unfinished download.
        Partial = "partial",
        /// Bytes with a wrong hash, which were kept to be looked at.
        Evidence = "evidence",
    }
}

/// One thing, what becomes of it, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// A model that it belongs to.
    pub model: Option<EntryName>,
    pub repo: Repo,
    pub what: ItemKind,
    /// The commit, or the hash of the content.
    pub id: String,
    /// What the disk gains when it goes; of a revision that stays, what it
    /// alone holds.
    pub size_bytes: u64,
    pub goes: bool,
    pub reason: &'static str,
}

impl Item {
    /// Says that it was to go and could not.
    pub fn stays_after_all(&mut self) {
        self.goes = false;
        self.reason = "another program has it in use";
    }
}
