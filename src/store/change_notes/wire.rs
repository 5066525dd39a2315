//! The JSON form of the commits and files of a change note.

use serde::{Deserialize, Serialize};

use crate::domain::changes::{ChangedAmount, ChangedFile, ChangedFiles, NewCommits, TitledCommit};
use crate::domain::guard::Terms;
use crate::domain::time::render_utc;

pub(super) fn render_commits(commits: &NewCommits) -> String {
    serde_json::json!(CommitsForm::from(commits)).to_string()
}

pub(super) fn read_commits(text: &str) -> Result<NewCommits, String> {
    let form: CommitsForm = serde_json::from_str(text).map_err(|err| err.to_string())?;
    form.read()
}

pub(super) fn render_files(files: &ChangedFiles) -> String {
    serde_json::json!(FilesForm::from(files)).to_string()
}

pub(super) fn read_files(text: &str) -> Result<ChangedFiles, String> {
    let form: FilesForm = serde_json::from_str(text).map_err(|err| err.to_string())?;
    form.read()
}

/// Renders licence and gating of the older and of the newer commit.
pub(super) fn render_terms(old: &Terms, new: &Terms) -> String {
    serde_json::json!([old.licence, old.gating, new.licence, new.gating]).to_string()
}

pub(super) fn read_terms(text: &str) -> Result<(Terms, Terms), String> {
    let [licence, gating, new_licence, new_gating]: [Option<String>; 4] =
        serde_json::from_str(text).map_err(|err| err.to_string())?;
    let old = Terms { licence, gating };
    let new = Terms {
        licence: new_licence,
        gating: new_gating,
    };
    Ok((old, new))
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
    fn read(self) -> Result<NewCommits, String> {
        let read = |form: CommitForm| {
            Ok(TitledCommit {
                commit: form.id.parse().map_err(|err| format!("{err}"))?,
                title: form.title,
                at: form.at.and_then(|at| at.parse().ok()),
            })
        };
        let commits: Result<_, String> = self.list.into_iter().map(read).collect();
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
    #[serde(default)]
    code: bool,
}

impl From<&ChangedFiles> for FilesForm {
    fn from(files: &ChangedFiles) -> Self {
        let form = |file: &ChangedFile| FileForm {
            path: file.path.to_string(),
            change: file.change.to_string(),
            size: file.size_bytes,
            code: file.has_code,
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
    fn read(self) -> Result<ChangedFiles, String> {
        let read = |form: FileForm| {
            Ok(ChangedFile {
                path: form.path.parse().map_err(|err| format!("{err}"))?,
                change: form.change.parse().map_err(|err| format!("{err}"))?,
                size_bytes: form.size,
                has_code: form.code,
            })
        };
        let files: Result<_, String> = self.list.into_iter().map(read).collect();
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
