//! Origins: where reused bytes came from.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::content::ContentId;
use super::outcome::words;
use super::repo::{CommitSha, Repo, RepoPath};

/// The most origins a session keeps by name; the smallest are summed up. This
/// bounds the history of repositories with thousands of files.
pub const MOST_ORIGINS: usize = 20;

words! {
    /// The kind of place that bytes came from.
    OriginKind {
        /// The file was in the destination already.
        InPlace = "in-place",
        /// Another run fetched them but did not finish the file.
        OtherRun = "other-run",
        /// The same content under another name on this machine.
        SameContent = "same-content",
        /// A file of another program that was adopted.
        Adopted = "adopted",
        /// An older file that shares some of the bytes.
        OldFile = "old-file",
        /// Several small origins, summed up.
        Others = "others",
        /// Not recorded: a session of an older version.
        Unknown = "unknown",
    }
}

/// A place that bytes came from, with its name if known.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Origin {
    pub kind: OriginKind,
    /// `None` for the session's own repository.
    pub repo: Option<Repo>,
    pub revision: Option<CommitSha>,
    pub path: Option<RepoPath>,
    /// The path of an adopted file.
    pub file: Option<PathBuf>,
    pub content: Option<ContentId>,
}

impl Origin {
    /// Returns an origin of which only the kind is known.
    pub fn of_kind(kind: OriginKind) -> Self {
        Self {
            kind,
            repo: None,
            revision: None,
            path: None,
            file: None,
            content: None,
        }
    }

    /// Returns the origin of bytes of an adopted file.
    pub fn adopted(file: &Path) -> Self {
        Self {
            file: Some(file.to_owned()),
            ..Self::of_kind(OriginKind::Adopted)
        }
    }

    /// Returns the origin of bytes of a file that another run fetched.
    pub fn other_run(path: RepoPath) -> Self {
        Self {
            path: Some(path),
            ..Self::of_kind(OriginKind::OtherRun)
        }
    }
}

/// A number of bytes from one origin, or from several summed up.
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

/// All origins of one session except `in-place`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origins(BTreeMap<Origin, u64>);

impl Origins {
    pub fn add(&mut self, origin: Origin, bytes: u64) {
        if bytes > 0 {
            let sum = self.0.entry(origin).or_default();
            *sum = sum.saturating_add(bytes);
        }
    }

    /// Returns the origins with the most bytes, and the sum of the others as
    /// the last entry.
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

/// Completes a list: reused bytes without a recorded origin were in place.
pub fn with_in_place(from: &[Reused], bytes_reused: u64) -> Vec<Reused> {
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
    fn an_origin_is_listed_once_with_all_its_bytes() {
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
    fn bytes_without_an_origin_were_in_place() {
        let from = [Reused::one(old("a"), 30)];
        let all = with_in_place(&from, 100);
        assert_eq!(all[0], from[0]);
        assert_eq!(
            (all[1].origin.kind, all[1].bytes),
            (OriginKind::InPlace, 70)
        );
        assert_eq!(with_in_place(&from, 30), from);
        assert_eq!(with_in_place(&[], 0), []);
    }
}
