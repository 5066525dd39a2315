//! The file changes of a session: two commits compared.

use super::filter::Filter;
use super::outcome::words;
use super::repo::RepoPath;
use super::session::{FileResult, Session, SessionFile};
use super::snapshot::RemoteSnapshot;

words! {
    /// How a file differs between two commits.
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
        (_, Some(old)) => Some(match old.find(&file.path) {
            Some(before) if before.content == file.content => FileChange::Same,
            Some(_) => FileChange::Changed,
            None => FileChange::Added,
        }),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::content::ContentId;
    use crate::domain::model::Destination;
    use crate::domain::outcome::Trigger;
    use crate::domain::repo::{Repo, RepoType, Revision};
    use crate::domain::run::RunId;
    use crate::domain::session::{FileSource, SessionId, SessionProgress, SessionStart};
    use crate::domain::snapshot::RemoteFile;
    use crate::domain::time::Timestamp;

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
}
