//! The table `change_notes`: the changes of updates, by model and commit.

use rusqlite::{Row, named_params, params};
use serde::{Deserialize, Serialize};

use super::error::Result;
use super::open::Store;
use super::value::{Columns, integer, seconds, unreadable};
use crate::domain::changes::{
    ChangeNote, ChangedAmount, ChangedFile, ChangedFiles, Changes, NewCommits, TitledCommit,
};
use crate::domain::model::ModelId;
use crate::domain::repo::CommitSha;
use crate::domain::time::{Timestamp, render_utc};

impl Store {
    /// Saves the note of an update; a later note of the same commit replaces it.
    pub fn save_change_note(&self, model: ModelId, note: &ChangeNote) -> Result<()> {
        let changes = &note.changes;
        let commits = changes.commits.as_ref().map(CommitsForm::from);
        let files = changes.files.as_ref().map(FilesForm::from);
        let values = named_params! {
            "model_id": model.0,
            "commit_sha": changes.commit.as_str(),
            "old_commit": changes.old_commit.as_str(),
            "commits": commits.map(|form| serde_json::json!(form).to_string()),
            "files": files.map(|form| serde_json::json!(form).to_string()),
            "bytes_fetched": integer(note.bytes_fetched),
            "bytes_reused": integer(note.bytes_reused),
            "noted_at": seconds(note.noted_at),
        };
        Ok(self.upsert("change_notes", &["model_id", "commit_sha"], values)?)
    }

    /// Returns the note of a commit, if there is one that can be read.
    pub fn change_note(&self, model: ModelId, commit: &CommitSha) -> Result<Option<ChangeNote>> {
        let sql = "SELECT * FROM change_notes WHERE model_id = ?1 AND commit_sha = ?2";
        self.find_readable(
            "change_notes",
            sql,
            params![model.0, commit.as_str()],
            read_note,
        )
    }

    /// Deletes notes and samples of the disk use from before an instant; notes of commits
    /// that are published or wait stay. Part of `prune_history`.
    pub(super) fn prune_change_notes(&self, before: Timestamp) -> Result<()> {
        let sql = "DELETE FROM change_notes WHERE noted_at < ?1 AND NOT EXISTS (
            SELECT 1 FROM models WHERE models.id = model_id
                AND commit_sha IN (models.published_commit, models.update_commit))";
        self.execute(sql, [seconds(before)])?;
        let samples = "DELETE FROM disk_samples WHERE measured_at < ?1";
        self.execute(samples, [seconds(before)])?;
        Ok(())
    }
}

fn read_note(row: &Row<'_>) -> rusqlite::Result<ChangeNote> {
    let commits = row.converted_if_any("commits", |text: String| {
        serde_json::from_str::<CommitsForm>(&text)
    })?;
    let files = row.converted_if_any("files", |text: String| {
        serde_json::from_str::<FilesForm>(&text)
    })?;
    Ok(ChangeNote {
        changes: Changes {
            old_commit: row.parsed("old_commit")?,
            commit: row.parsed("commit_sha")?,
            commits: commits
                .map(CommitsForm::read)
                .transpose()
                .map_err(|why| unreadable("commits", why))?,
            files: files
                .map(FilesForm::read)
                .transpose()
                .map_err(|why| unreadable("files", why))?,
        },
        bytes_fetched: row.count("bytes_fetched")?,
        bytes_reused: row.count("bytes_reused")?,
        noted_at: row.time("noted_at")?,
    })
}

/// The JSON form of the commits of a note.
#[derive(Deserialize, Serialize)]
struct CommitsForm {
    list: Vec<CommitForm>,
    #[serde(default)]
    more: bool,
    #[serde(default)]
    rewritten: bool,
}

#[derive(Deserialize, Serialize)]
struct CommitForm {
    id: String,
    title: String,
    #[serde(default)]
    at: Option<String>,
}

impl From<&NewCommits> for CommitsForm {
    fn from(new: &NewCommits) -> Self {
        let form = |commit: &TitledCommit| CommitForm {
            id: commit.commit.to_string(),
            title: commit.title.clone(),
            at: commit.at.map(render_utc),
        };
        Self {
            list: new.commits.iter().map(form).collect(),
            more: new.has_more,
            rewritten: new.is_rewritten,
        }
    }
}

impl CommitsForm {
    fn read(self) -> std::result::Result<NewCommits, String> {
        let read = |form: CommitForm| {
            Ok(TitledCommit {
                commit: form.id.parse().map_err(|err| format!("{err}"))?,
                title: form.title,
                at: form.at.and_then(|at| at.parse().ok()),
            })
        };
        let commits: std::result::Result<_, String> = self.list.into_iter().map(read).collect();
        Ok(NewCommits {
            commits: commits?,
            has_more: self.more,
            is_rewritten: self.rewritten,
        })
    }
}

/// The JSON form of the files of a note.
#[derive(Deserialize, Serialize)]
struct FilesForm {
    list: Vec<FileForm>,
    more: u64,
    added: [u64; 2],
    changed: [u64; 2],
    removed: [u64; 2],
    with_code: u64,
}

#[derive(Deserialize, Serialize)]
struct FileForm {
    path: String,
    change: String,
    size: u64,
}

impl From<&ChangedFiles> for FilesForm {
    fn from(files: &ChangedFiles) -> Self {
        let form = |file: &ChangedFile| FileForm {
            path: file.path.to_string(),
            change: file.change.to_string(),
            size: file.size_bytes,
        };
        let pair = |amount: ChangedAmount| [amount.files, amount.bytes];
        Self {
            list: files.files.iter().map(form).collect(),
            more: files.n_more,
            added: pair(files.added),
            changed: pair(files.changed),
            removed: pair(files.removed),
            with_code: files.n_with_code,
        }
    }
}

impl FilesForm {
    fn read(self) -> std::result::Result<ChangedFiles, String> {
        let read = |form: FileForm| {
            Ok(ChangedFile {
                path: form.path.parse().map_err(|err| format!("{err}"))?,
                change: form.change.parse().map_err(|err| format!("{err}"))?,
                size_bytes: form.size,
            })
        };
        let files: std::result::Result<_, String> = self.list.into_iter().map(read).collect();
        let amount = |[files, bytes]: [u64; 2]| ChangedAmount { files, bytes };
        Ok(ChangedFiles {
            files: files?,
            n_more: self.more,
            added: amount(self.added),
            changed: amount(self.changed),
            removed: amount(self.removed),
            n_with_code: self.with_code,
        })
    }
}
