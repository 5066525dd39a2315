//! Where bytes came from that did not have to be fetched.

use std::collections::BTreeMap;

use super::content::ContentId;
use super::outcome::words;
use super::repo::{CommitSha, Repo, RepoPath};

/// A session keeps so many origins by name; the smallest are added up. A
/// history of a million sessions must not be longer for one of a thousand files.
pub const MOST_ORIGINS: usize = 20;

words! {
    /// What kind of place bytes came from.
    OriginKind {
        /// The file was there already.
        InPlace = "in-place",
        /// Another run fetched them and did not end with this file.
        OtherRun = "other-run",
        /// The same content under another name, on this machine.
        SameContent = "same-content",
        /// An older file that has some of the same bytes.
        OldFile = "old-file",
        /// Several origins with few bytes each.
        Others = "others",
        /// Nobody wrote it down: a session of an older version.
        Unknown = "unknown",
    }
}

/// A place that bytes came from, as far as it has a name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Origin {
    pub kind: OriginKind,
    /// `None` for the session's own repository.
    pub repo: Option<Repo>,
    pub revision: Option<CommitSha>,
    pub path: Option<RepoPath>,
    pub content: Option<ContentId>,
}

impl Origin {
    /// Returns an origin of which no more than its kind is known.
    pub fn of_kind(kind: OriginKind) -> Self {
        Self {
            kind,
            repo: None,
            revision: None,
            path: None,
            content: None,
        }
    }

    /// Returns what another run has fetched of a file.
    pub fn other_run(path: RepoPath) -> Self {
        Self {
            path: Some(path),
            ..Self::of_kind(OriginKind::OtherRun)
        }
    }
}

/// So many bytes from one place, or from several that were added up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reused {
    pub origin: Origin,
    pub n_origins: u64,
    pub bytes: u64,
}

impl Reused {
    pub fn one(origin: Origin, bytes: u64) -> Self {
        Self {
            origin,
            n_origins: 1,
            bytes,
        }
    }
}

/// All places that the bytes of one session came from, in place ones left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origins(BTreeMap<Origin, u64>);

impl Origins {
    pub fn add(&mut self, origin: Origin, bytes: u64) {
        if bytes > 0 {
            let sum = self.0.entry(origin).or_default();
            *sum = sum.saturating_add(bytes);
        }
    }

    /// Returns those with the most bytes, and the sum of the others as the last one.
    pub fn largest(&self, most: usize) -> Vec<Reused> {
        let all = self.0.iter();
        let mut all: Vec<Reused> = all
            .map(|(origin, bytes)| Reused::one(origin.clone(), *bytes))
            .collect();
        all.sort_by_key(|reused| std::cmp::Reverse(reused.bytes));
        if all.len() > most {
            let rest = all.split_off(most);
            all.push(Reused {
                origin: Origin::of_kind(OriginKind::Others),
                n_origins: rest.len() as u64,
                bytes: sum_of(&rest),
            });
        }
        all
    }
}

/// Completes a list: bytes that came from nowhere else were in place.
pub fn with_those_in_place(from: &[Reused], bytes_reused: u64) -> Vec<Reused> {
    let mut all = from.to_vec();
    let in_place = bytes_reused.saturating_sub(sum_of(from));
    if in_place > 0 {
        let origin = Origin::of_kind(OriginKind::InPlace);
        all.push(Reused::one(origin, in_place));
    }
    all
}

fn sum_of(reused: &[Reused]) -> u64 {
    let bytes = reused.iter().map(|one| one.bytes);
    bytes.fold(0, u64::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn old(path: &str) -> Origin {
        Origin {
            path: Some(path.parse().unwrap()),
            ..Origin::of_kind(OriginKind::OldFile)
        }
    }

    #[test]
    fn one_place_is_named_once_with_all_its_bytes() {
        let mut origins = Origins::default();
        origins.add(old("a"), 5);
        origins.add(old("b"), 7);
        origins.add(old("a"), 6);
        origins.add(old("c"), 0);
        let expected = [Reused::one(old("a"), 11), Reused::one(old("b"), 7)];
        assert_eq!(origins.largest(20), expected);
    }

    #[test]
    fn the_smallest_are_added_up_and_no_byte_is_lost() {
        let mut origins = Origins::default();
        for n in 1..=30 {
            origins.add(old(&format!("f{n}")), n);
        }
        let kept = origins.largest(MOST_ORIGINS);
        assert_eq!(kept.len(), MOST_ORIGINS + 1);
        assert_eq!(kept[0], Reused::one(old("f30"), 30));
        let others = kept.last().unwrap();
        assert_eq!(others.origin.kind, OriginKind::Others);
        assert_eq!((others.n_origins, others.bytes), (10, 55));
        assert_eq!(sum_of(&kept), 465);
    }

    #[test]
    fn what_came_from_nowhere_else_was_in_place() {
        let from = [Reused::one(old("a"), 30)];
        let all = with_those_in_place(&from, 100);
        assert_eq!(all[0], from[0]);
        assert_eq!(
            (all[1].origin.kind, all[1].bytes),
            (OriginKind::InPlace, 70)
        );
        assert_eq!(with_those_in_place(&from, 30), from);
        assert_eq!(with_those_in_place(&[], 0), []);
    }
}
