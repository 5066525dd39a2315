//! One row in the report of a prune.

use crate::domain::model::EntryName;
use crate::domain::outcome::words;
use crate::domain::repo::Repo;

words! {
    /// The kinds of things that can be removed.
    ItemKind {
        /// A published commit, with the blobs that it alone uses.
        Revision = "revision",
        /// The rest of a revision after an interrupted prune.
        Trash = "trash",
        /// A content that no revision uses.
        Blob = "blob",
        /// An unfinished download.
        Partial = "partial",
        /// Bytes with a wrong hash, kept as evidence.
        Evidence = "evidence",
    }
}

/// A thing on disk, with the decision about it and the reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// A model that it belongs to.
    pub model: Option<EntryName>,
    pub repo: Repo,
    pub what: ItemKind,
    /// The commit, or the hash of the content.
    pub id: String,
    /// The bytes that a removal frees; for a revision that stays, the bytes that no
    /// other revision uses.
    pub size_bytes: u64,
    pub goes: bool,
    pub reason: &'static str,
}

impl Item {
    /// Notes that the removal failed.
    pub fn stays_after_all(&mut self) {
        self.goes = false;
        self.reason = "another program has it in use";
    }
}
