//! The tables `views` and `view_files`: the views of models, and the files in them.
//!
//! Rows decide about removals: an unreadable one is an error.

use rusqlite::params;

use super::error::Result;
use super::open::Store;
use super::row::Row;
use super::value::{integer, path_text, seconds, unreadable};
use crate::domain::deletion::OwnershipStamp;
use crate::domain::model::{EntryName, ModelId};
use crate::domain::repo::CommitSha;
use crate::domain::status::FailedView;
use crate::domain::time::Timestamp;
use crate::domain::view::{MadeView, ViewFile, ViewSpec};

impl Store {
    /// Returns the views of all models, and of models that were removed.
    pub fn views(&self) -> Result<Vec<MadeView>> {
        let sql = "SELECT * FROM views ORDER BY model_name, kind, root, id";
        let mut views: Vec<MadeView> = self.list(sql, [], read_view)?;
        for view in &mut views {
            view.files = self.view_files(view.id)?;
        }
        Ok(views)
    }

    /// Returns the row of a view of a model, which is created if it is missing.
    pub fn view_of(&self, model: ModelId, name: &EntryName, spec: &ViewSpec) -> Result<MadeView> {
        self.transaction(|store| {
            let sql = "INSERT INTO views (model_id, model_name, kind, root) VALUES (?1, ?2, ?3, ?4)
                ON CONFLICT (model_id, kind, root) DO UPDATE SET model_name = excluded.model_name";
            let (kind, root) = (spec.kind.as_str(), path_text(&spec.root)?);
            store.execute(sql, params![model.0, name.as_str(), kind, root])?;
            let sql = "SELECT * FROM views WHERE model_id = ?1 AND kind = ?2 AND root = ?3";
            let found = store.find(sql, params![model.0, kind, root], read_view)?;
            let mut view = found.ok_or_else(|| super::StoreError::not_found("view", name))?;
            view.files = store.view_files(view.id)?;
            Ok(view)
        })
    }

    /// Returns the commits that views of a model show by symbolic links: their files
    /// must stay.
    pub fn commits_linked_by_views(&self, model: ModelId) -> Result<Vec<CommitSha>> {
        let sql = "SELECT DISTINCT commit_sha FROM views WHERE model_id = ?1
            AND commit_sha IS NOT NULL AND EXISTS (
                SELECT 1 FROM view_files WHERE view_id = views.id AND method = 'symlink')";
        self.list(sql, [model.0], |row| row.parsed("commit_sha"))
    }

    /// Returns the views of models whose last attempt failed.
    pub fn failed_views(&self) -> Result<Vec<FailedView>> {
        let sql = "SELECT model_name, kind, root, failure FROM views
            WHERE failure IS NOT NULL AND model_id IS NOT NULL ORDER BY model_name, kind, root";
        self.list_readable("views", sql, [], |row| {
            Ok(FailedView {
                model: row.parsed("model_name")?,
                spec: read_spec(row)?,
                failure: row.get("failure")?,
            })
        })
    }

    /// Tells whether any view is recorded.
    pub fn has_views(&self) -> Result<bool> {
        let found = self.find("SELECT 1 FROM views LIMIT 1", [], |_| Ok(()))?;
        Ok(found.is_some())
    }

    fn view_files(&self, view: i64) -> Result<Vec<ViewFile>> {
        let sql = "SELECT * FROM view_files WHERE view_id = ?1 ORDER BY rowid";
        self.list(sql, [view], read_file)
    }

    /// Returns the files of all other views with the same root.
    pub fn files_of_other_views(&self, view: &MadeView) -> Result<Vec<ViewFile>> {
        let sql = "SELECT * FROM view_files WHERE view_id IN
            (SELECT id FROM views WHERE root = ?1 AND id <> ?2) ORDER BY rowid";
        let root = path_text(&view.spec.root)?;
        self.list(sql, params![root, view.id], read_file)
    }

    /// Records files of a view before they get their names, beside the earlier ones.
    pub fn add_view_files(&self, view: i64, files: &[ViewFile]) -> Result<()> {
        let sql = "INSERT INTO view_files
                (view_id, path, content_id, source, method, size, modified_ns)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
        self.transaction(|store| {
            for file in files {
                let source = file.source.as_deref().map(path_text).transpose()?;
                let modified = i64::try_from(file.stamp.modified).unwrap_or(0);
                store.execute(
                    sql,
                    params![
                        view,
                        file.path.as_str(),
                        file.content.to_string(),
                        source,
                        file.method.as_str(),
                        integer(file.stamp.size_bytes),
                        modified
                    ],
                )?;
            }
            Ok(())
        })
    }

    /// Replaces the records of a view's files.
    pub fn replace_view_files(&self, view: i64, files: &[ViewFile]) -> Result<()> {
        self.transaction(|store| {
            store.execute("DELETE FROM view_files WHERE view_id = ?1", [view])?;
            store.add_view_files(view, files)
        })
    }

    /// Records that a view shows a commit.
    pub fn save_view(&self, view: i64, commit: &CommitSha, now: Timestamp) -> Result<()> {
        let sql = "UPDATE views SET commit_sha = ?2, made_at = ?3, failure = NULL, is_conflict = 0
            WHERE id = ?1";
        self.execute(sql, params![view, commit.as_str(), seconds(now)])?;
        Ok(())
    }

    /// Records the reason why a view could not be made; returns whether it is a new one.
    pub fn save_view_failure(&self, view: i64, failure: &str, is_conflict: bool) -> Result<bool> {
        let sql = "UPDATE views SET failure = ?2, is_conflict = ?3
            WHERE id = ?1 AND (failure IS NOT ?2 OR is_conflict <> ?3)";
        Ok(self.execute(sql, params![view, failure, is_conflict])? > 0)
    }

    /// Removes the record of a view whose files are gone or given up.
    pub fn forget_view(&self, view: i64) -> Result<()> {
        self.execute("DELETE FROM views WHERE id = ?1", [view])?;
        Ok(())
    }
}

fn read_view(row: &Row<'_>) -> rusqlite::Result<MadeView> {
    Ok(MadeView {
        id: row.get("id")?,
        model: row.get::<Option<i64>>("model_id")?.map(ModelId),
        name: row.parsed("model_name")?,
        spec: read_spec(row)?,
        commit: row.parsed_if_any("commit_sha")?,
        made_at: row.time_if_any("made_at")?,
        failure: row.get("failure")?,
        is_conflict: row.get("is_conflict")?,
        files: Vec::new(),
    })
}

fn read_spec(row: &Row<'_>) -> rusqlite::Result<ViewSpec> {
    Ok(ViewSpec {
        kind: row.parsed("kind")?,
        root: row.path("root")?,
    })
}

fn read_file(row: &Row<'_>) -> rusqlite::Result<ViewFile> {
    let modified: i64 = row
        .get("modified_ns")
        .map_err(|err| unreadable("modified_ns", err))?;
    Ok(ViewFile {
        path: row.parsed("path")?,
        content: row.parsed("content_id")?,
        source: row.path_if_any("source")?,
        method: row.parsed("method")?,
        stamp: OwnershipStamp {
            size_bytes: row.count("size")?,
            modified: modified.into(),
        },
    })
}
