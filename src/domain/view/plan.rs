//! Compares the entries of a view with the records and with the disk.
//!
//! A record is saved before its file gets its name. During a change a path may
//! therefore have two records, of the old and of the new file; a file on disk is
//! ours if it fits one of them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::layout::ViewEntry;
use crate::domain::content::ContentId;
use crate::domain::deletion::OwnershipStamp;
use crate::domain::outcome::words;
use crate::domain::repo::RepoPath;

words! {
    /// The method by which a file of a view was made.
    ViewMethod {
        Reflink = "reflink",
        HardLink = "hardlink",
        Symlink = "symlink",
        Copy = "copy",
        /// Small content that no file of the repository has.
        Written = "written",
    }
}

/// The record of one file of a view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ViewFile {
    pub path: RepoPath,
    pub content: ContentId,
    /// The file that it shows; `None` for content that the view has written.
    pub source: Option<PathBuf>,
    pub method: ViewMethod,
    /// Of a symbolic link, that of its source.
    pub stamp: OwnershipStamp,
}

/// A path of a view on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundFile {
    pub kind: FoundKind,
    /// The stamp of the file that the path should show.
    pub source: Option<OwnershipStamp>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FoundKind {
    Absent,
    /// A symbolic link, with its target, and whether that exists.
    Link {
        target: PathBuf,
        resolves: bool,
    },
    Plain {
        stamp: OwnershipStamp,
        /// It is the source under another name.
        is_source: bool,
    },
    /// A folder or something else that is no file.
    Other,
}

/// A file of a view compared with its record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileState {
    AsMade,
    Missing,
    Changed,
}

/// Compares a record with the disk. A link whose target is gone is missing.
pub fn file_state(record: &ViewFile, found: &FoundFile) -> FileState {
    let is_as_made = match &found.kind {
        FoundKind::Absent => return FileState::Missing,
        FoundKind::Link {
            resolves: false, ..
        } if is_own_link(record, found) => return FileState::Missing,
        FoundKind::Link { .. } => is_own_link(record, found),
        FoundKind::Plain { stamp, .. } => {
            record.method != ViewMethod::Symlink && record.stamp.fits(stamp)
        }
        FoundKind::Other => false,
    };
    if is_as_made {
        FileState::AsMade
    } else {
        FileState::Changed
    }
}

/// Tells whether a link leads where this view has made it lead.
fn is_own_link(record: &ViewFile, found: &FoundFile) -> bool {
    let FoundKind::Link { target, .. } = &found.kind else {
        return false;
    };
    record.method == ViewMethod::Symlink && record.source.as_ref() == Some(target)
}

/// The steps that bring a view to its entries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ViewPlan {
    /// Entries that are to be made, by their indices.
    pub make: Vec<usize>,
    /// Files that stay as they are.
    pub keep: Vec<ViewFile>,
    /// Files of this view that no entry has any more.
    pub remove: Vec<ViewFile>,
    /// Records whose files were changed or are gone, and that no entry has any more.
    pub given_up: Vec<ViewFile>,
    /// Paths of entries with a file that is not of this view, and the reason.
    pub conflicts: Vec<(RepoPath, &'static str)>,
}

impl ViewPlan {
    pub fn is_nothing(&self) -> bool {
        self.make.is_empty() && self.remove.is_empty() && self.given_up.is_empty()
    }
}

/// Decides about each path. `sources` are the files that the entries show, and
/// `found` has every path of an entry or a record. `others` are the records of other
/// views with the same root: two quantisations of a repository have companions in
/// common, which are files of both views.
pub fn plan_view(
    entries: &[ViewEntry],
    sources: &[Option<PathBuf>],
    records: &[ViewFile],
    others: &[ViewFile],
    found: &BTreeMap<RepoPath, FoundFile>,
) -> ViewPlan {
    let mut plan = ViewPlan::default();
    let mut by_path: BTreeMap<&RepoPath, Vec<&ViewFile>> = BTreeMap::new();
    for record in records {
        by_path.entry(&record.path).or_default().push(record);
    }
    for (index, entry) in entries.iter().enumerate() {
        let own = by_path.remove(&entry.path).unwrap_or_default();
        let source = sources.get(index).and_then(Option::as_ref);
        let Some(found) = found.get(&entry.path) else {
            plan.make.push(index);
            continue;
        };
        let is_made = |record: &&ViewFile| file_state(record, found) == FileState::AsMade;
        let of_other = of_other(others, &entry.path, found);
        let shared = of_other.filter(|record| is_current(entry, source, record, found));
        match own.iter().copied().find(is_made).or(shared) {
            Some(record) if is_current(entry, source, record, found) => {
                let mut record = record.clone();
                if record.method == ViewMethod::Symlink {
                    record.stamp = found.source.unwrap_or(record.stamp);
                }
                plan.keep.push(record);
            }
            Some(_) => plan.make.push(index),
            None if found.kind == FoundKind::Absent => plan.make.push(index),
            None if own.iter().any(|record| is_own_link(record, found)) => plan.make.push(index),
            None if serves(entry, found) => {}
            None if of_other.is_some() => plan.conflicts.push((entry.path.clone(), OF_OTHER)),
            None if own.is_empty() => plan.conflicts.push((entry.path.clone(), NOT_OURS)),
            None => plan.conflicts.push((entry.path.clone(), WAS_CHANGED)),
        }
    }
    for record in by_path.into_values().flatten() {
        let found = found.get(&record.path);
        let is_ours = |found: &FoundFile| {
            file_state(record, found) == FileState::AsMade || is_own_link(record, found)
        };
        let is_shared = |found| of_other(others, &record.path, found).is_some();
        match found {
            Some(found) if is_ours(found) && !is_shared(found) => plan.remove.push(record.clone()),
            _ => plan.given_up.push(record.clone()),
        }
    }
    plan
}

/// Returns the record of another view of which a file is.
pub fn of_other<'r>(
    others: &'r [ViewFile],
    path: &RepoPath,
    found: &FoundFile,
) -> Option<&'r ViewFile> {
    let mut of_path = others.iter().filter(|record| record.path == *path);
    of_path.find(|record| file_state(record, found) == FileState::AsMade)
}

const OF_OTHER: &str = "the view of another model has another file there";
const NOT_OURS: &str = "a file of another program or person is there";
const WAS_CHANGED: &str = "another program has changed it since";

/// Tells whether a file shows the content of an entry, and not an older one.
fn is_current(
    entry: &ViewEntry,
    source: Option<&PathBuf>,
    record: &ViewFile,
    found: &FoundFile,
) -> bool {
    let shows_source = match record.method {
        ViewMethod::Written => true,
        // A link to another name of the blob, such as one in a cache that was moved.
        ViewMethod::Symlink => record.source.as_ref() == source,
        ViewMethod::HardLink => matches!(
            found.kind,
            FoundKind::Plain {
                is_source: true,
                ..
            }
        ),
        // These have the time of their source: one that was repaired has another.
        ViewMethod::Reflink | ViewMethod::Copy => found
            .source
            .is_some_and(|source| record.stamp.fits(&source)),
    };
    entry.content == record.content && shows_source
}

/// Tells whether a file of another program is as good as the entry.
fn serves(entry: &ViewEntry, found: &FoundFile) -> bool {
    match &found.kind {
        FoundKind::Plain { stamp, .. } => {
            entry.is_named_by_content && stamp.size_bytes == entry.size_bytes
        }
        _ => false,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::layout::EntrySource;
    use super::*;

    const BLOB: &str = "/cache/blob";

    fn stamp(modified: i128) -> OwnershipStamp {
        OwnershipStamp {
            size_bytes: 5,
            modified,
        }
    }

    pub(in super::super) fn record(path: &str, method: ViewMethod, n: u8) -> ViewFile {
        ViewFile {
            path: path.parse().unwrap(),
            content: ContentId::Sha256([n; 32]),
            source: (method != ViewMethod::Written).then(|| BLOB.into()),
            method,
            stamp: stamp(1001),
        }
    }

    fn entry(path: &str, n: u8) -> ViewEntry {
        ViewEntry {
            path: path.parse().unwrap(),
            content: ContentId::Sha256([n; 32]),
            size_bytes: 5,
            source: EntrySource::File(path.parse().unwrap()),
            is_named_by_content: false,
        }
    }

    pub(in super::super) fn plain(modified: i128, is_source: bool) -> FoundFile {
        let stamp = stamp(modified);
        FoundFile {
            kind: FoundKind::Plain { stamp, is_source },
            source: Some(self::stamp(1001)),
        }
    }

    fn link(to: &str, resolves: bool) -> FoundFile {
        let target = to.into();
        FoundFile {
            kind: FoundKind::Link { target, resolves },
            source: Some(stamp(1001)),
        }
    }

    fn plan(entries: &[ViewEntry], records: &[ViewFile], found: FoundFile) -> ViewPlan {
        let sources = vec![Some(PathBuf::from(BLOB)); entries.len()];
        let paths = entries.iter().map(|it| &it.path);
        let paths = paths.chain(records.iter().map(|it| &it.path));
        let found = paths.map(|path| (path.clone(), found.clone())).collect();
        plan_view(entries, &sources, records, &[], &found)
    }

    #[test]
    fn a_file_is_kept_made_again_or_in_the_way() {
        use ViewMethod::{Copy, HardLink, Reflink, Symlink, Written};
        let absent = FoundFile {
            kind: FoundKind::Absent,
            source: Some(stamp(1001)),
        };
        let repaired = FoundFile {
            source: Some(stamp(2002)),
            ..plain(1001, false)
        };
        type Row<'r> = (&'r str, Option<(ViewMethod, u8)>, FoundFile, &'r str);
        #[rustfmt::skip]
        let rows: &[Row<'_>] = &[
            ("nothing is there", None, absent.clone(), "make"),
            ("it was removed", Some((HardLink, 1)), absent, "make"),
            ("a foreign file", None, plain(7, false), "conflict"),
            ("a foreign link", None, link("/x", true), "conflict"),
            ("a hard link", Some((HardLink, 1)), plain(1001, true), "keep"),
            ("a hard link of a replaced blob", Some((HardLink, 1)), plain(1001, false), "make"),
            ("a written hard link", Some((HardLink, 1)), plain(3, true), "conflict"),
            ("a link", Some((Symlink, 1)), link(BLOB, true), "keep"),
            ("a link that dangles", Some((Symlink, 1)), link(BLOB, false), "make"),
            ("a link elsewhere", Some((Symlink, 1)), link("/x", true), "conflict"),
            ("a reflink", Some((Reflink, 1)), plain(1001, false), "keep"),
            ("a reflink of a repaired blob", Some((Reflink, 1)), repaired.clone(), "make"),
            ("a copy of a repaired blob", Some((Copy, 1)), repaired, "make"),
            ("an older content", Some((Copy, 2)), plain(1001, false), "make"),
            ("written content", Some((Written, 1)), plain(1001, false), "keep"),
            ("a folder in its place", Some((Copy, 1)), FoundFile { kind: FoundKind::Other, source: None }, "conflict"),
        ];
        for (case, known, found, expected) in rows {
            let records = known.map(|(method, n)| record("a", method, n));
            let plan = plan(&[entry("a", 1)], records.as_slice(), found.clone());
            let seen = [
                ("make", plan.make.len()),
                ("keep", plan.keep.len()),
                ("conflict", plan.conflicts.len()),
            ];
            for (word, n) in seen {
                assert_eq!(n, usize::from(word == *expected), "{case}: {word}");
            }
        }
    }

    #[test]
    fn a_file_that_another_view_has_made_is_of_both() {
        let others = [record("a", ViewMethod::HardLink, 1)];
        let found = BTreeMap::from([(others[0].path.clone(), plain(1001, true))]);
        let sources = [Some(PathBuf::from(BLOB))];
        let plan = |entries: &[ViewEntry], own: &[ViewFile]| {
            plan_view(entries, &sources[..entries.len()], own, &others, &found)
        };
        assert_eq!(plan(&[entry("a", 1)], &[]).keep, others);
        let other_content = plan(&[entry("a", 2)], &[]).conflicts;
        assert_eq!(other_content, [(others[0].path.clone(), OF_OTHER)]);
        let left = plan(&[], &others);
        assert_eq!((left.remove, left.given_up), (vec![], others.to_vec()));
    }

    #[test]
    fn a_file_named_by_its_content_may_be_of_another_program() {
        let mut blob = entry("a", 1);
        blob.is_named_by_content = true;
        let served = plan(&[blob.clone()], &[], plain(7, false));
        assert_eq!(served, ViewPlan::default());
        blob.size_bytes = 6;
        assert_eq!(plan(&[blob], &[], plain(7, false)).conflicts.len(), 1);
    }

    #[test]
    fn an_old_file_goes_only_while_it_is_as_it_was_made() {
        let old = [record("old", ViewMethod::Copy, 1)];
        assert_eq!(plan(&[], &old, plain(1001, false)).remove, old);
        assert_eq!(plan(&[], &old, plain(3, false)).given_up, old);
        let linked = [record("old", ViewMethod::Symlink, 1)];
        assert_eq!(plan(&[], &linked, link(BLOB, false)).remove, linked);
        assert_eq!(plan(&[], &linked, link("/x", true)).given_up, linked);
    }
}
