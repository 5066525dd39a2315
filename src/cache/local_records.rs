//! The notes about the files of a `--to DIR` download.
//!
//! `<path>.metadata` is the official note: commit, etag and time on three
//! lines, valid while the file was not changed after that time. Other programs
//! write it, too. The private list of written files names the files of hfdl, which
//! are the only ones that may be deleted.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs::Metadata;
use std::time::UNIX_EPOCH;

use super::layout::{folder_name, parse_folder_name};
use crate::domain::content::ContentId;
use crate::domain::repo::{CommitSha, Repo, RepoPath};

/// The official note about one file.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct FileNote {
    pub commit: CommitSha,
    pub content: ContentId,
    /// Seconds since 1970.
    noted_at: f64,
}

impl FileNote {
    /// Makes the note for a file as it lies on disk now.
    ///
    /// It carries the file's own time of change, not the clock's: that is never
    /// too early, and lets no later change of the same minute pass unseen.
    pub fn new(commit: &CommitSha, content: &ContentId, file: &Metadata) -> Self {
        Self {
            commit: commit.clone(),
            content: *content,
            noted_at: changed_at(file),
        }
    }

    /// Tells whether the file is still the one that the note was made for.
    pub fn vouches_for(&self, file: &Metadata) -> bool {
        changed_at(file) - 1.0 <= self.noted_at
    }

    /// Tells whether the file has not been written since, to the last digit
    /// that the note holds. Before a deletion a second of slack is too much.
    pub fn is_of_this_very(&self, file: &Metadata) -> bool {
        (changed_at(file) - self.noted_at).abs() < 2e-6
    }

    pub fn render(&self) -> String {
        let (commit, etag) = (&self.commit, self.content.etag());
        format!("{commit}\n{etag}\n{:.6}\n", self.noted_at)
    }

    /// Parses a note; with `None` nothing is known about the file.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let mut lines = std::str::from_utf8(text).ok()?.lines();
        let mut next = || lines.next().map(str::trim);
        Some(Self {
            commit: next()?.parse().ok()?,
            content: ContentId::from_etag(next()?).ok()?,
            noted_at: next()?.parse().ok().filter(|at: &f64| at.is_finite())?,
        })
    }
}

fn changed_at(file: &Metadata) -> f64 {
    let since = file.modified().ok();
    let since = since.and_then(|at| at.duration_since(UNIX_EPOCH).ok());
    since.unwrap_or_default().as_secs_f64()
}

/// The files that we wrote, and with which content.
pub(super) type Written = BTreeMap<RepoPath, WrittenFile>;

/// One file that was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct WrittenFile {
    pub content: ContentId,
    /// The repository that it is of; lists of old versions do not say.
    pub repo: Option<Repo>,
}

pub(super) fn render_written(written: &Written) -> String {
    let mut text = String::new();
    let mut of: Option<&Repo> = None;
    // Old versions read the lines of files and leave out the others.
    let (mut unknown, mut known): (Vec<_>, Vec<_>) =
        written.iter().partition(|(_, file)| file.repo.is_none());
    known.sort_by(|(a, one), (b, other)| (&one.repo, a).cmp(&(&other.repo, b)));
    unknown.append(&mut known);
    for (path, file) in unknown {
        if file.repo.as_ref() != of {
            of = file.repo.as_ref();
            if let Some(repo) = of {
                let _ = writeln!(text, "of {}", folder_name(repo));
            }
        }
        // A path has no control characters, so a line is a file.
        let _ = writeln!(text, "{} {path}", file.content);
    }
    text
}

/// Parses the list; a line that is not understood only makes a file not ours.
pub(super) fn parse_written(text: &[u8]) -> Written {
    let text = String::from_utf8_lossy(text);
    let mut written = Written::new();
    let mut of: Option<Repo> = None;
    for (word, rest) in text.lines().filter_map(|line| line.split_once(' ')) {
        if word == "of" {
            of = parse_folder_name(rest);
        } else if let (Ok(path), Ok(content)) = (rest.parse(), word.parse()) {
            let repo = of.clone();
            written.insert(path, WrittenFile { content, repo });
        }
    }
    written
}

/// The contents of some paths, one a line.
pub(super) fn render_contents(contents: &BTreeMap<RepoPath, ContentId>) -> String {
    let mut text = String::new();
    for (path, content) in contents {
        let _ = writeln!(text, "{content} {path}");
    }
    text
}

pub(super) fn parse_contents(text: &[u8]) -> BTreeMap<RepoPath, ContentId> {
    let text = String::from_utf8_lossy(text);
    let lines = text.lines().filter_map(|line| line.split_once(' '));
    lines
        .filter_map(|(content, path)| Some((path.parse().ok()?, content.parse().ok()?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_has_three_lines_and_survives_them() {
        let note = FileNote {
            commit: "a".repeat(40).parse().unwrap(),
            content: ContentId::GitSha1([0xbc; 20]),
            noted_at: 1_712_656_091.25,
        };
        let text = note.render();
        let (a, bc) = ("a".repeat(40), "bc".repeat(20));
        assert_eq!(text, format!("{a}\n{bc}\n1712656091.250000\n"));
        assert_eq!(FileNote::parse(text.as_bytes()), Some(note));
    }

    #[test]
    fn a_damaged_note_is_none() {
        let (a, bc) = ("a".repeat(40), "bc".repeat(20));
        for bad in [
            String::new(),
            format!("{a}\n{bc}\n"),
            format!("{a}\n{bc}\nsoon\n"),
            format!("{a}\n{bc}\nNaN\n"),
            format!("main\n{bc}\n1.5\n"),
            format!("{a}\nW/\"x\"\n1.5\n"),
        ] {
            assert_eq!(FileNote::parse(bad.as_bytes()), None, "{bad:?}");
        }
    }

    #[test]
    fn the_list_of_written_files_survives_odd_names_and_odd_lines() {
        let files = [("a b", 1), ("sub/ünï  x", 2), (" lead", 3)];
        let repo = |n: u8| (n > 1).then(|| parse_folder_name("datasets--acme--x").unwrap());
        let file = |n: u8| WrittenFile {
            content: ContentId::Sha256([n; 32]),
            repo: repo(n),
        };
        let written: Written = files
            .iter()
            .map(|(path, n)| (path.parse().unwrap(), file(*n)))
            .collect();
        let text = render_written(&written) + "git:zz x\n../../x\n\nsha256:00";
        assert_eq!(parse_written(text.as_bytes()), written);
    }
}
