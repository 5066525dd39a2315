//! The changes between two commits: their files compared, and the change note of an
//! update.

use super::content::ContentId;
use super::filter::Filter;
use super::guard::{Terms, code_kind};
use super::outcome::words;
use super::repo::{CommitSha, RepoPath, RepoType};
use super::session::{ByteCounts, FileResult, Session, SessionFile};
use super::snapshot::{RemoteFile, RemoteSnapshot};
use super::time::Timestamp;
use super::units::ByteSize;

/// A note keeps so many commits and names so many files at most; the counts include
/// the others.
pub const MOST_COMMITS: usize = 100;
pub const MOST_FILES: usize = 200;

words! {
    /// The difference of a file between two commits.
    FileChange {
        Added = "added",
        Changed = "changed",
        Removed = "removed",
        Same = "same",
    }
}

/// Compares each file of a session with the commit before; also returns the
/// paths that are gone from the new commit and that the session did not list.
///
/// `old` and `new` are the complete listings of both commits, or `None` when
/// the cache no longer has them. Without them only the session's own records
/// count.
pub fn file_changes(
    session: &Session,
    files: &[SessionFile],
    old: Option<&RemoteSnapshot>,
    new: Option<&RemoteSnapshot>,
    filter: &Filter,
) -> (Vec<Option<FileChange>>, Vec<RepoPath>) {
    let is_first = session.start.old_commit.is_none();
    let changes = files.iter().map(|file| match (file.result, old) {
        (FileResult::Deleted, _) => Some(FileChange::Removed),
        (_, _) if is_first => Some(FileChange::Added),
        (_, Some(old)) => Some(change_since(old.find(&file.path), &file.content)),
        (_, None) => None,
    });
    let changes = changes.collect();
    let (Some(old), Some(new)) = (old, new) else {
        return (changes, Vec::new());
    };
    let is_gone =
        |path: &&RepoPath| new.find(path).is_none() && files.iter().all(|file| file.path != **path);
    let paths = old.selected(filter).into_iter().map(|file| &file.path);
    (changes, paths.filter(is_gone).cloned().collect())
}

/// Compares a content with the file at its path in the commit before.
fn change_since(before: Option<&RemoteFile>, content: &ContentId) -> FileChange {
    match before {
        Some(before) if before.content == *content => FileChange::Same,
        Some(_) => FileChange::Changed,
        None => FileChange::Added,
    }
}

/// A file that two commits do not share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangedFile {
    pub path: RepoPath,
    pub change: FileChange,
    /// The size in the newer commit, or in the older one for a removed file.
    pub size_bytes: u64,
    /// The newer commit has the file, and a program that loads it may run code of it.
    pub has_code: bool,
}

/// The selected files that differ between two commits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChangedFiles {
    /// The first files by path.
    pub files: Vec<ChangedFile>,
    /// The number of changed files that `files` does not name.
    pub n_more: u64,
    pub added: ChangedAmount,
    pub changed: ChangedAmount,
    pub removed: ChangedAmount,
    /// Changed or added files that run code, `n_more` included.
    pub n_with_code: u64,
}

/// A number of changed files and their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChangedAmount {
    pub files: u64,
    pub bytes: u64,
}

/// Returns the selected files that differ between two listings. `names_code` tells whether
/// a new or changed file names new code for a loader to import.
pub fn compare(
    repo: RepoType,
    old: &RemoteSnapshot,
    new: &RemoteSnapshot,
    filter: &Filter,
    names_code: &dyn Fn(&RemoteFile) -> bool,
) -> ChangedFiles {
    let entry = |file: &RemoteFile, change| ChangedFile {
        path: file.path.clone(),
        change,
        size_bytes: file.size_bytes,
        has_code: matches!(change, FileChange::Added | FileChange::Changed)
            && (code_kind(repo, file.path.as_str()).is_some() || names_code(file)),
    };
    let selected = new.selected(filter).into_iter();
    let mut files: Vec<ChangedFile> = selected
        .map(|file| entry(file, change_since(old.find(&file.path), &file.content)))
        .filter(|file| file.change != FileChange::Same)
        .collect();
    let before = old.selected(filter).into_iter();
    let removed = before.filter(|file| new.find(&file.path).is_none());
    files.extend(removed.map(|file| entry(file, FileChange::Removed)));
    files.sort_by(|a, b| a.path.cmp(&b.path));
    let amount = |change| {
        let of_kind = files.iter().filter(|file| file.change == change);
        of_kind.fold(ChangedAmount::default(), |sum, file| ChangedAmount {
            files: sum.files + 1,
            bytes: sum.bytes.saturating_add(file.size_bytes),
        })
    };
    let (added, changed) = (amount(FileChange::Added), amount(FileChange::Changed));
    let removed = amount(FileChange::Removed);
    let n_with_code = files.iter().filter(|file| file.has_code).count() as u64;
    let n_more = files.len().saturating_sub(MOST_FILES) as u64;
    files.truncate(MOST_FILES);
    ChangedFiles {
        files,
        n_more,
        added,
        changed,
        removed,
        n_with_code,
    }
}

/// A commit of a repository's history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TitledCommit {
    pub commit: CommitSha,
    /// One line by anybody who may write to the repository.
    pub title: String,
    pub at: Option<Timestamp>,
}

/// The commits after the published one, newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewCommits {
    pub commits: Vec<TitledCommit>,
    /// The history goes on behind the last of them before it reaches the published one.
    pub has_more: bool,
    /// The published commit is no ancestor any more; `commits` are those of the whole history.
    pub is_rewritten: bool,
}

/// The changes of an update, as far as they are known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changes {
    pub old_commit: CommitSha,
    pub commit: CommitSha,
    /// `None`: the Hub did not send them.
    pub commits: Option<NewCommits>,
    /// `None`: the listing of the older commit is not kept.
    pub files: Option<ChangedFiles>,
    /// Licence and gating when the older commit was published.
    pub old_terms: Terms,
    pub terms: Terms,
}

/// A change note: the changes of an update of a model, published or held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangeNote {
    pub changes: Changes,
    /// The bytes of all sessions that worked on the update.
    pub bytes_fetched: u64,
    pub bytes_reused: u64,
    pub noted_at: Timestamp,
}

impl ChangeNote {
    /// Returns the note after a session that worked on the update.
    #[must_use]
    pub fn after_session(
        changes: Changes,
        earlier: Option<&Self>,
        bytes: ByteCounts,
        now: Timestamp,
    ) -> Self {
        let before = earlier.filter(|note| note.changes.old_commit == changes.old_commit);
        let bytes_fetched = before.map_or(0, |note| note.bytes_fetched) + bytes.fetched;
        let whole = bytes.fetched.saturating_add(bytes.reused);
        let reused = match before {
            Some(note) if whole == 0 => note.bytes_reused,
            // A resumed session counts the bytes of the earlier ones as reused.
            _ => whole.saturating_sub(bytes_fetched),
        };
        let commits = changes.commits.clone();
        let known = before.and_then(|note| note.changes.commits.clone());
        Self {
            changes: Changes {
                commits: commits.or(known),
                ..changes
            },
            bytes_fetched,
            bytes_reused: reused,
            noted_at: now,
        }
    }

    /// Describes the changes in one line.
    pub fn summary(&self) -> String {
        let changes = &self.changes;
        let mut parts = vec![changes.commits_text()];
        parts.push(match &changes.files {
            Some(files) => files.summary(),
            None => "files unknown".to_owned(),
        });
        parts.extend(changes.terms_text());
        parts.push(if self.bytes_fetched == 0 && self.bytes_reused == 0 {
            "nothing fetched yet".to_owned()
        } else {
            let size = |bytes| ByteSize(bytes).render_short();
            let (fetched, reused) = (size(self.bytes_fetched), size(self.bytes_reused));
            format!("{fetched} fetched, {reused} reused")
        });
        parts.join("; ")
    }
}

impl Changes {
    /// Describes the number of commits.
    pub fn commits_text(&self) -> String {
        match &self.commits {
            None => "commits unknown".to_owned(),
            Some(log) if log.is_rewritten => "history rewritten".to_owned(),
            Some(log) if log.has_more => format!("more than {} commits", log.commits.len()),
            Some(log) if log.commits.len() == 1 => "1 commit".to_owned(),
            Some(log) => format!("{} commits", log.commits.len()),
        }
    }
}

impl Changes {
    /// Describes licence and gating if they have changed.
    fn terms_text(&self) -> Vec<String> {
        let (before, now) = (&self.old_terms, &self.terms);
        let licence = ("licence", &before.licence, &now.licence);
        let gating = ("gating", &before.gating, &now.gating);
        let changed = [licence, gating]
            .into_iter()
            .filter_map(|(noun, before, now)| {
                let (before, now) = before.as_ref().zip(now.as_ref())?;
                (before != now).then(|| format!("{noun} `{before}` to `{now}`"))
            });
        changed.collect()
    }
}

impl ChangedFiles {
    /// Describes the numbers of files and their sizes.
    pub fn summary(&self) -> String {
        let part = |amount: ChangedAmount, change: FileChange| {
            let size = ByteSize(amount.bytes).render_short();
            let files = if amount.files == 1 { "file" } else { "files" };
            (amount.files > 0).then(|| format!("{} {files} {change} ({size})", amount.files))
        };
        let parts = [
            part(self.added, FileChange::Added),
            part(self.changed, FileChange::Changed),
            part(self.removed, FileChange::Removed),
        ];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        if parts.is_empty() {
            return "no selected file changed".to_owned();
        }
        let mut text = parts.join(", ");
        if self.n_with_code > 0 {
            text.push_str(&format!(", {} with code", self.n_with_code));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::model::Destination;
    use crate::domain::outcome::Trigger;
    use crate::domain::repo::{Repo, Revision};
    use crate::domain::run::RunId;
    use crate::domain::session::{FileSource, SessionId, SessionProgress, SessionStart};

    fn content(digit: &str) -> ContentId {
        format!("sha256:{}", digit.repeat(64)).parse().unwrap()
    }

    fn listing(commit: &str, files: &[(&str, &str)]) -> RemoteSnapshot {
        let file = |(path, digit): &(&str, &str)| RemoteFile {
            path: path.parse().unwrap(),
            size_bytes: 1,
            content: content(digit),
            git_oid: [0; 20],
            xet_hash: None,
        };
        RemoteSnapshot {
            commit: commit.repeat(40).parse().unwrap(),
            files: files.iter().map(file).collect(),
        }
    }

    fn touched(path: &str, digit: &str, result: FileResult) -> SessionFile {
        SessionFile {
            path: path.parse().unwrap(),
            content: content(digit),
            size_bytes: 1,
            bytes_fetched: 1,
            bytes_reused: 0,
            found_bad: false,
            source: Some(FileSource::Http),
            retries: 0,
            result,
        }
    }

    fn session(old_commit: Option<&str>) -> Session {
        Session {
            id: SessionId(1),
            start: SessionStart {
                run_id: RunId::from_parts(Timestamp::UNIX_EPOCH, 0),
                model_id: None,
                model_name: None,
                repo: Repo::new(RepoType::Model, "acme/tiny".parse().unwrap()),
                revision: Revision::main(),
                destination: Destination::Cache,
                schedule_id: None,
                schedule_name: None,
                slot_at: None,
                trigger: Trigger::Manual,
                old_commit: old_commit.map(|digit| digit.repeat(40).parse().unwrap()),
                at: Timestamp::UNIX_EPOCH,
            },
            progress: SessionProgress::default(),
            end: None,
        }
    }

    #[test]
    fn listings_of_both_commits_show_all_changes() {
        let old = listing(
            "a",
            &[("a", "1"), ("b", "1"), ("gone", "1"), ("gone.tmp", "1")],
        );
        let new = listing("b", &[("a", "2"), ("b", "1"), ("c", "3")]);
        let files = [
            touched("a", "2", FileResult::Verified),
            touched("b", "1", FileResult::Verified),
            touched("c", "3", FileResult::Partial),
        ];
        let filter = Filter {
            exclude: vec!["*.tmp".to_owned()],
            ..Filter::default()
        };
        let (changes, gone) =
            file_changes(&session(Some("a")), &files, Some(&old), Some(&new), &filter);
        let words = [FileChange::Changed, FileChange::Same, FileChange::Added];
        assert_eq!(changes, words.map(Some));
        assert_eq!(gone, ["gone".parse().unwrap()]);
    }

    #[test]
    fn without_listings_only_the_records_of_the_session_count() {
        let files = [
            touched("a", "2", FileResult::Verified),
            touched("b", "1", FileResult::Deleted),
        ];
        let tell = |old_commit| {
            let all = Filter::default();
            file_changes(&session(old_commit), &files, None, None, &all).0
        };
        let removed = Some(FileChange::Removed);
        assert_eq!(tell(Some("a")), [None, removed]);
        assert_eq!(tell(None), [Some(FileChange::Added), removed]);
    }

    fn note(fetched: u64, reused: u64, earlier: Option<&ChangeNote>) -> ChangeNote {
        let changes = Changes {
            old_commit: "a".repeat(40).parse().unwrap(),
            commit: "b".repeat(40).parse().unwrap(),
            commits: None,
            files: None,
            old_terms: Terms::default(),
            terms: Terms::default(),
        };
        let bytes = ByteCounts {
            fetched,
            reused,
            ..ByteCounts::default()
        };
        ChangeNote::after_session(changes, earlier, bytes, Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn the_bytes_of_an_update_are_those_of_all_its_sessions() {
        let first = note(30, 10, None);
        assert_eq!((first.bytes_fetched, first.bytes_reused), (30, 10));
        // The second session finds the 30 bytes on disk.
        let second = note(60, 40, Some(&first));
        assert_eq!((second.bytes_fetched, second.bytes_reused), (90, 10));
        let held = note(0, 0, Some(&second));
        assert_eq!((held.bytes_fetched, held.bytes_reused), (90, 10));
    }

    #[test]
    fn compared_listings_count_files_and_name_those_that_run_code() {
        let old = listing(
            "a",
            &[("a", "1"), ("b.py", "1"), ("gone.pt", "1"), ("same", "1")],
        );
        let new = listing(
            "b",
            &[("a", "2"), ("b.py", "2"), ("new.PT", "3"), ("same", "1")],
        );
        let found = compare(RepoType::Model, &old, &new, &Filter::default(), &|_| false);
        let paths: Vec<&str> = found.files.iter().map(|file| file.path.as_str()).collect();
        assert_eq!(paths, ["a", "b.py", "gone.pt", "new.PT"]);
        assert_eq!(found.n_with_code, 2, "a removed file brings none");
        assert_eq!(
            found.summary(),
            "1 file added (1 B), 2 files changed (2 B), 1 file removed (1 B), 2 with code"
        );
        let none = compare(RepoType::Model, &old, &old, &Filter::default(), &|_| false);
        assert_eq!(none.summary(), "no selected file changed");
    }

    #[test]
    fn a_note_names_a_limited_number_of_files_and_counts_all() {
        let names: Vec<String> = (0..MOST_FILES + 5).map(|n| format!("f{n:04}.py")).collect();
        let files: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "1")).collect();
        let found = compare(
            RepoType::Model,
            &listing("a", &[]),
            &listing("b", &files),
            &Filter::default(),
            &|_| false,
        );
        assert_eq!((found.files.len(), found.n_more), (MOST_FILES, 5));
        assert_eq!(found.added.files, MOST_FILES as u64 + 5);
        assert_eq!(found.n_with_code, found.added.files);
    }
}
