//! The guards that compare the names, contents and sizes of the selected files.

use std::collections::{BTreeMap, BTreeSet};

use super::code::{CodeKind, code_kind, count};
use crate::domain::content::ContentId;
use crate::domain::hold::{Finding, HoldReason};
use crate::domain::repo::RepoType;
use crate::domain::snapshot::RemoteFile;
use crate::domain::units::ByteSize;

/// The files of the published and of the new commit that one filter selects.
pub struct ListingPair<'a> {
    pub(super) kind: RepoType,
    old: BTreeMap<&'a str, &'a RemoteFile>,
    new: BTreeMap<&'a str, &'a RemoteFile>,
}

impl<'a> ListingPair<'a> {
    pub fn new(kind: RepoType, old: Vec<&'a RemoteFile>, new: Vec<&'a RemoteFile>) -> Self {
        let by_path = |files: Vec<&'a RemoteFile>| {
            let files = files.into_iter();
            files.map(|file| (file.path.as_str(), file)).collect()
        };
        Self {
            kind,
            old: by_path(old),
            new: by_path(new),
        }
    }

    /// Returns the files that the published commit had not.
    pub(super) fn added(&self) -> impl Iterator<Item = &'a RemoteFile> {
        let new = self.new.values();
        new.copied()
            .filter(|file| !self.old.contains_key(file.path.as_str()))
    }

    /// Returns the files with other bytes than in the published commit.
    pub(super) fn changed(&self) -> impl Iterator<Item = &'a RemoteFile> {
        self.new.values().copied().filter(|file| {
            let old = self.old.get(file.path.as_str());
            old.is_some_and(|old| old.content != file.content)
        })
    }

    /// Returns the files whose path is gone.
    fn removed(&self) -> impl Iterator<Item = &'a RemoteFile> {
        let old = self.old.values();
        old.copied()
            .filter(|file| !self.new.contains_key(file.path.as_str()))
    }

    /// Returns the file of a path in the published commit.
    pub fn find_old(&self, path: &str) -> Option<&'a RemoteFile> {
        self.old.get(path).copied()
    }

    /// Returns the new and the changed files.
    pub fn news(&self) -> impl Iterator<Item = &'a RemoteFile> {
        self.added().chain(self.changed())
    }
}

/// Compares names and sizes; `most_percent` is the largest change of the size.
pub fn file_findings(update: &ListingPair<'_>, most_percent: Option<u32>) -> Vec<Finding> {
    // The loss rules report a commit without any selected file.
    if update.new.is_empty() {
        return Vec::new();
    }
    let size_change = most_percent.and_then(|percent| size_change(update, percent));
    let found = [no_safetensors(update), size_change, mass_deletion(update)];
    found.into_iter().flatten().collect()
}

fn no_safetensors(update: &ListingPair<'_>) -> Option<Finding> {
    let is_safe = |file: &&RemoteFile| file.path.as_str().ends_with(".safetensors");
    let n_before = update.old.values().copied().filter(|f| is_safe(f)).count();
    let n_now = update.new.values().copied().filter(|f| is_safe(f)).count();
    let removed: Vec<&RemoteFile> = update.removed().filter(|file| is_safe(file)).collect();
    if removed.is_empty() {
        return None;
    }
    let folders: BTreeSet<&str> = removed.iter().map(|f| folder(f.path.as_str())).collect();
    let is_pickle = |file: &&RemoteFile| {
        code_kind(update.kind, file.path.as_str()) == Some(CodeKind::Pickle)
            && folders.contains(folder(file.path.as_str()))
    };
    let pickles: Vec<&RemoteFile> = update.added().filter(is_pickle).collect();
    let gone = names(removed.iter().copied());
    let detail = match (n_now, pickles.as_slice()) {
        (0, []) if n_before == 1 => format!("the only safetensors file is gone: {gone}"),
        (0, []) => format!("all {n_before} safetensors files are gone: {gone}"),
        (_, []) => return None,
        (_, pickles) => format!(
            "{} ({gone}), and pickle files came in their place: {}",
            part_gone(removed.len(), n_before, "safetensors file"),
            names(pickles.iter().copied())
        ),
    };
    Some(Finding {
        reason: HoldReason::NoSafetensors,
        detail,
    })
}

fn size_change(update: &ListingPair<'_>, most_percent: u32) -> Option<Finding> {
    let sum = |files: &BTreeMap<&str, &RemoteFile>| -> u64 {
        let sizes = files.values().map(|file| file.size_bytes);
        sizes.fold(0, u64::saturating_add)
    };
    let (before, now) = (sum(&update.old), sum(&update.new));
    let change = u128::from(before.abs_diff(now)) * 100;
    let most = u128::from(before) * u128::from(most_percent);
    if before == 0 || change <= most {
        return None;
    }
    let percent = change / u128::from(before);
    let direction = if now > before { "more" } else { "less" };
    Some(Finding {
        reason: HoldReason::SizeChange,
        detail: format!(
            "the selected files have {} instead of {}: {percent} % {direction}, and {most_percent} % are allowed",
            ByteSize(now).render_short(),
            ByteSize(before).render_short(),
        ),
    })
}

/// Finds that more than half of the files are gone. A renamed file is not, and each new
/// file counts as the replacement of another, such as after a new division into shards.
fn mass_deletion(update: &ListingPair<'_>) -> Option<Finding> {
    let contents: BTreeSet<&ContentId> = update.new.values().map(|file| &file.content).collect();
    let removed = update.removed();
    let gone: Vec<&RemoteFile> = removed
        .filter(|file| !contents.contains(&file.content))
        .collect();
    let n_lost = gone.len().saturating_sub(update.added().count());
    let n_before = update.old.len();
    (n_lost * 2 > n_before).then(|| Finding {
        reason: HoldReason::MassDeletion,
        detail: format!(
            "{}: {}",
            part_gone(gone.len(), n_before, "selected file"),
            names(gone)
        ),
    })
}

/// Renders such as `1 of 1 file is gone`, `1 of 3 files is gone`.
fn part_gone(n_gone: usize, n_before: usize, noun: &str) -> String {
    let verb = if n_gone == 1 { "is" } else { "are" };
    format!("{n_gone} of {} {verb} gone", count(n_before, noun))
}

fn folder(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// Lists a few files and the number of the others.
pub(super) fn names<'a>(files: impl IntoIterator<Item = &'a RemoteFile>) -> String {
    list(files.into_iter().map(|file| format!("`{}`", file.path)))
}

/// Lists a few texts and the number of the others.
pub(super) fn list(texts: impl IntoIterator<Item = String>) -> String {
    const MOST: usize = 3;
    let texts: Vec<String> = texts.into_iter().collect();
    if texts.len() > MOST + 1 {
        let first = texts[..MOST].join(", ");
        return format!("{first} and {} more", texts.len() - MOST);
    }
    texts.join(", ")
}

#[cfg(test)]
pub(super) mod fixture {
    use super::*;

    /// Returns a file whose content is that of a number.
    pub fn file(path: &str, content: u8, size_bytes: u64) -> RemoteFile {
        RemoteFile {
            path: path.parse().unwrap(),
            size_bytes,
            content: ContentId::Sha256([content; 32]),
            git_oid: [content; 20],
            xet_hash: None,
        }
    }

    /// Returns files of 100 bytes, each with its own content.
    pub fn files(paths: &[&str]) -> Vec<RemoteFile> {
        let content = |path: &str| path.bytes().fold(7_u8, |sum, b| sum.wrapping_mul(31) ^ b);
        let files = paths.iter();
        files.map(|path| file(path, content(path), 100)).collect()
    }

    pub fn update<'a>(old: &'a [RemoteFile], new: &'a [RemoteFile]) -> ListingPair<'a> {
        let refs = |files: &'a [RemoteFile]| files.iter().collect();
        ListingPair::new(RepoType::Model, refs(old), refs(new))
    }

    pub fn reasons(findings: &[Finding]) -> Vec<&'static str> {
        findings.iter().map(|it| it.reason.as_str()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::fixture::{file, files, reasons, update};
    use super::*;

    fn judged(old: &[&str], new: &[&str]) -> Vec<Finding> {
        file_findings(&update(&files(old), &files(new)), None)
    }

    #[test]
    fn safetensors_that_are_gone_or_became_pickles_are_found() {
        let found = judged(&["a.safetensors", "c.json"], &["a.bin", "c.json"]);
        assert_eq!(reasons(&found), ["no-safetensors"]);
        assert!(found[0].detail.contains("`a.safetensors`"), "{found:?}");
        assert!(found[0].detail.contains("`a.bin`"), "{found:?}");
        let found = judged(
            &["u/a.safetensors", "v/b.safetensors"],
            &["u/a.pt", "v/b.safetensors"],
        );
        assert_eq!(reasons(&found), ["no-safetensors"]);
        assert!(found[0].detail.contains("1 of 2"), "{found:?}");
        let found = judged(&["a.safetensors", "c.json"], &["a.gguf", "c.json"]);
        assert_eq!(reasons(&found), ["no-safetensors"]);
        // Another division into shards, or a pickle that was there before.
        assert_eq!(judged(&["a.safetensors"], &["b.safetensors"]), []);
        let kept = &["a.safetensors", "b.safetensors", "a.bin"];
        assert_eq!(judged(kept, &["b.safetensors", "a.bin"]), []);
        assert_eq!(judged(&["a.safetensors"], &[]), []);
    }

    #[test]
    fn more_than_half_of_the_files_gone_is_found_and_moved_files_are_not() {
        let old = &["a.txt", "b.txt", "c.txt", "d.txt"];
        let found = judged(old, &["a.txt"]);
        assert_eq!(reasons(&found), ["mass-deletion"]);
        assert!(found[0].detail.contains("3 of 4"), "{found:?}");
        assert_eq!(judged(old, &["a.txt", "b.txt"]), []);
        // Other shards in their place.
        assert_eq!(judged(old, &["e.txt", "f.txt", "g.txt"]), []);
        let (old, mut new) = (files(old), files(old));
        for file in &mut new {
            file.path = format!("moved/{}", file.path).parse().unwrap();
        }
        assert_eq!(file_findings(&update(&old, &new), None), []);
    }

    #[test]
    fn the_size_may_change_by_the_allowed_percentage_in_both_directions() {
        let judged = |before, now, percent| {
            let (old, new) = ([file("a", 1, before)], [file("a", 2, now)]);
            reasons(&file_findings(&update(&old, &new), percent))
        };
        assert_eq!(judged(1000, 1300, Some(30)), [""; 0]);
        assert_eq!(judged(1000, 1301, Some(30)), ["size-change"]);
        assert_eq!(judged(1000, 699, Some(30)), ["size-change"]);
        assert_eq!(judged(1000, 9000, None), [""; 0]);
        assert_eq!(judged(0, 9000, Some(30)), [""; 0]);
        assert_eq!(judged(u64::MAX, u64::MAX - 1, Some(1)), [""; 0]);
    }

    #[test]
    fn a_long_list_is_shortened() {
        let texts = |n: usize| list((0..n).map(|n| n.to_string()));
        assert_eq!(texts(4), "0, 1, 2, 3");
        assert_eq!(texts(5), "0, 1, 2 and 2 more");
    }
}
