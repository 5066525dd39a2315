//! Origins: where reused bytes came from.
//!
//! They are counted by kind and repository. The names of the files are in the
//! records of the session's files.

use std::collections::BTreeMap;

use super::outcome::words;
use super::repo::Repo;

words! {
    /// The kind of place that bytes came from.
    OriginKind {
        /// The file was in the destination already.
        InPlace = "in-place",
        /// Another run fetched them but did not finish the file.
        OtherRun = "other-run",
        /// The same content in another place of this machine, or fetched for another file.
        SameContent = "same-content",
        /// An older file that shares some of the bytes.
        OldFile = "old-file",
        /// Several small origins, summed up by an older version.
        Others = "others",
        /// Not recorded: a session of an older version.
        Unknown = "unknown",
    }
}

/// The bytes of one origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reused {
    pub kind: OriginKind,
    /// `None` for the session's own repository.
    pub repo: Option<Repo>,
    pub n_files: u64,
    pub bytes: u64,
}

/// The files and bytes of one session by origin, except `in-place`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origins(BTreeMap<(OriginKind, Option<Repo>), (u64, u64)>);

impl Origins {
    /// Adds a file.
    pub fn add(&mut self, kind: OriginKind, repo: Option<Repo>, bytes: u64) {
        if bytes > 0 {
            let (n_files, sum) = self.0.entry((kind, repo)).or_default();
            *n_files += 1;
            *sum = sum.saturating_add(bytes);
        }
    }

    /// Returns the origins, the one with the most bytes first.
    pub fn by_size(&self) -> Vec<Reused> {
        let all = self.0.iter();
        let mut all: Vec<Reused> = all
            .map(|((kind, repo), (n_files, bytes))| Reused {
                kind: *kind,
                repo: repo.clone(),
                n_files: *n_files,
                bytes: *bytes,
            })
            .collect();
        all.sort_by_key(|reused| std::cmp::Reverse(reused.bytes));
        all
    }
}

/// Completes a list: reused bytes without a recorded origin were in place.
pub fn with_in_place(from: &[Reused], bytes_reused: u64) -> Vec<Reused> {
    let mut all = from.to_vec();
    let elsewhere = from
        .iter()
        .map(|one| one.bytes)
        .fold(0, u64::saturating_add);
    if let Some(bytes @ 1..) = bytes_reused.checked_sub(elsewhere) {
        all.push(Reused {
            kind: OriginKind::InPlace,
            repo: None,
            n_files: 1,
            bytes,
        });
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::repo::RepoType;

    #[test]
    fn files_are_counted_by_kind_and_repository() {
        let other = Repo::new(RepoType::Model, "acme/base".parse().unwrap());
        let mut origins = Origins::default();
        origins.add(OriginKind::OldFile, None, 5);
        origins.add(OriginKind::SameContent, Some(other.clone()), 7);
        origins.add(OriginKind::SameContent, None, 3);
        origins.add(OriginKind::OldFile, None, 6);
        origins.add(OriginKind::OtherRun, None, 0);
        let all = origins.by_size().into_iter();
        let all: Vec<_> = all
            .map(|one| (one.kind, one.repo, one.n_files, one.bytes))
            .collect();
        let expected = [
            (OriginKind::OldFile, None, 2, 11),
            (OriginKind::SameContent, Some(other), 1, 7),
            (OriginKind::SameContent, None, 1, 3),
        ];
        assert_eq!(all, expected);
    }

    #[test]
    fn bytes_without_an_origin_were_in_place() {
        let mut origins = Origins::default();
        origins.add(OriginKind::OldFile, None, 30);
        let from = origins.by_size();
        let all = with_in_place(&from, 100);
        assert_eq!(all[0], from[0]);
        assert_eq!((all[1].kind, all[1].bytes), (OriginKind::InPlace, 70));
        assert_eq!(with_in_place(&from, 30), from);
        assert_eq!(with_in_place(&[], 0), []);
    }
}
