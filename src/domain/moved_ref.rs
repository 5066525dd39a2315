//! A ref of the cache that does not name the commit that was published.
//!
//! Online readers such as llama.cpp, vLLM and the official client move a ref before
//! they fetch a file, so that it may name a commit of which nothing is on disk.

use std::fmt;
use std::str::FromStr;

use super::outcome::words;
use super::repo::{CommitSha, Revision};
use crate::domain::invalid_value::InvalidValue;

/// The target of a ref as it was found. As text it is the commit, or `nothing`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RefTarget {
    Commit(CommitSha),
    /// The ref is gone, or its text is no commit.
    Nothing,
}

const NOTHING: &str = "nothing";

words! {
    /// The files of a snapshot that a model selects.
    SnapshotState {
        Whole = "whole",
        Partial = "partial",
        Missing = "missing",
        /// No listing of the commit is on disk.
        Unknown = "unknown",
    }
}

/// A ref that names something else than the published commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MovedRef {
    pub revision: Revision,
    pub published: CommitSha,
    pub target: RefTarget,
    /// The snapshot of the target.
    pub snapshot: SnapshotState,
}

impl MovedRef {
    /// Tells whether readers that follow the ref may find files missing.
    pub fn may_break_readers(&self) -> bool {
        self.snapshot != SnapshotState::Whole
    }

    /// Returns the path of the ref below the folder of its repository.
    pub fn path(&self) -> String {
        format!("refs/{}", self.revision)
    }

    /// Describes the ref and its target.
    pub fn describe(&self) -> String {
        let (path, published) = (self.path(), self.published.short());
        let commit = match &self.target {
            RefTarget::Commit(commit) => commit.short(),
            RefTarget::Nothing => {
                return format!("`{path}` names no commit instead of the published {published}");
            }
        };
        let snapshot = match self.snapshot {
            SnapshotState::Whole => "whole",
            SnapshotState::Partial => "not whole",
            SnapshotState::Missing => "missing",
            SnapshotState::Unknown => "of unknown completeness",
        };
        format!(
            "`{path}` names {commit}, whose snapshot is {snapshot}, instead of the published \
             {published}"
        )
    }

    /// Describes the ref after a session that could not put it right.
    pub fn describe_unmended(&self) -> String {
        let moved = self.describe();
        format!("{moved}, which can still be loaded by its commit")
    }
}

impl RefTarget {
    pub fn commit(&self) -> Option<&CommitSha> {
        match self {
            Self::Commit(commit) => Some(commit),
            Self::Nothing => None,
        }
    }
}

impl fmt::Display for RefTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.commit().map_or(NOTHING, CommitSha::as_str))
    }
}

impl FromStr for RefTarget {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        if text == NOTHING {
            return Ok(Self::Nothing);
        }
        text.parse().map(Self::Commit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_read_as_it_was_written() {
        for target in [
            RefTarget::Nothing,
            RefTarget::Commit("a".repeat(40).parse().unwrap()),
        ] {
            assert_eq!(target.to_string().parse(), Ok(target));
        }
        assert!("main".parse::<RefTarget>().is_err());
    }

    #[test]
    fn the_description_names_ref_target_and_snapshot() {
        let mut moved = MovedRef {
            revision: Revision::main(),
            published: "a".repeat(40).parse().unwrap(),
            target: RefTarget::Commit("b".repeat(40).parse().unwrap()),
            snapshot: SnapshotState::Partial,
        };
        assert_eq!(
            moved.describe(),
            "`refs/main` names bbbbbbbbbb, whose snapshot is not whole, instead of the published \
             aaaaaaaaaa"
        );
        assert!(moved.may_break_readers());
        moved.target = RefTarget::Nothing;
        assert_eq!(
            moved.describe(),
            "`refs/main` names no commit instead of the published aaaaaaaaaa"
        );
    }
}
