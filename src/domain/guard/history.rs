//! The relation of the published commit to the new one.

use crate::domain::hold::{Finding, HoldReason};
use crate::domain::repo::{CommitSha, Revision};

/// The place of the published commit in the history of the new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ancestry {
    Ancestor,
    /// The complete history has no such commit.
    NoAncestor,
    /// The newest commits, of this number, have no such commit.
    NotAmong(usize),
    /// An ancestor, and the revision is a tag, which should never move.
    MovedTag,
    /// The server does not list commits.
    Unknown,
}

/// Finds that the history of a revision was rewritten.
pub fn history_finding(
    revision: &Revision,
    published: &CommitSha,
    found: &CommitSha,
    ancestry: Ancestry,
) -> Option<Finding> {
    let (old, new) = (published.short(), found.short());
    let detail = match ancestry {
        Ancestry::Ancestor | Ancestry::Unknown => return None,
        Ancestry::NoAncestor => {
            format!("the published commit {old} is no longer in the history of `{revision}`")
        }
        Ancestry::NotAmong(n) => format!(
            "the published commit {old} is not among the newest {n} commits of `{revision}`"
        ),
        Ancestry::MovedTag => format!("the tag `{revision}` moved from {old} to {new}"),
    };
    Some(Finding {
        reason: HoldReason::HistoryRewritten,
        detail,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ancestor_is_no_finding_and_every_other_place_is() {
        let judged = |ancestry| {
            let commit = |digit: &str| digit.repeat(40).parse().unwrap();
            let found =
                history_finding(&"v1".parse().unwrap(), &commit("a"), &commit("b"), ancestry);
            found.map(|found| found.detail)
        };
        assert_eq!(judged(Ancestry::Ancestor), None);
        assert_eq!(judged(Ancestry::Unknown), None);
        assert!(judged(Ancestry::NoAncestor).unwrap().contains("aaaa"));
        assert!(judged(Ancestry::NotAmong(1000)).unwrap().contains("1000"));
        assert!(judged(Ancestry::MovedTag).unwrap().contains("bbbb"));
    }
}
