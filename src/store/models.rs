//! The tables `models` and `model_tags`: the registered models.

use std::collections::BTreeSet;
use std::path::PathBuf;

use rusqlite::types::Value;
use rusqlite::{ToSql, named_params, params};

use super::error::{Result, StoreError};
use super::open::Store;
use super::row::Row;
use super::tags::{RuleColumns, read_rules};
use super::value::{CACHE, destination_text, integer, seconds};
use super::wire;
use crate::domain::content::{parse_hex, render_hex};
use crate::domain::filter::Filter;
use crate::domain::guard::Terms;
use crate::domain::hold::{HeldUpdate, Pin};
use crate::domain::login::TokenName;
use crate::domain::model::{EntryName, Model, ModelId, ModelSpec, ModelState, Tag};
use crate::domain::outcome::UpstreamState;
use crate::domain::policy::{FollowedTag, UpdateWait};
use crate::domain::repo::Repo;
use crate::domain::schedule::ScheduleId;
use crate::domain::time::Timestamp;

/// A filter for lists of models; `None` admits every value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ModelFilter {
    pub tag: Option<Tag>,
    pub upstream_state: Option<UpstreamState>,
    pub enabled: Option<bool>,
}

const SELECT: &str = "SELECT models.*,
    (SELECT json_group_array(tag) FROM model_tags WHERE model_id = models.id) AS tags,
    findings, decision, first_seen_at
    FROM models
    LEFT JOIN updates ON model_id = models.id AND updates.commit_sha = models.update_commit ";

impl Store {
    /// Registers a model.
    pub fn insert_model(&self, spec: &ModelSpec, now: Timestamp) -> Result<ModelId> {
        self.transaction(|store| {
            let id = store.write_model_spec(None, spec, now)?;
            store.write_tags(id, &spec.tags)?;
            Ok(id)
        })
    }

    /// Changes the entry of a model and keeps its state.
    pub fn update_model(&self, id: ModelId, spec: &ModelSpec, now: Timestamp) -> Result<()> {
        self.transaction(|store| {
            store.write_model_spec(Some(id), spec, now)?;
            store.write_tags(id, &spec.tags)
        })
    }

    /// Saves the state of a model.
    pub fn save_model_state(&self, id: ModelId, state: &ModelState) -> Result<()> {
        let update = state.held_update.as_ref();
        let values = named_params! {
            "held_commit": state.held_commit.as_ref().map(|commit| commit.as_str()),
            "update_commit": update.map(|update| update.commit.as_str()),
            "pinned_commit": state.pinned.as_ref().map(|pin| pin.commit.as_str()),
            "pinned_by": state.pinned.as_ref().map(|pin| pin.by.as_str()),
            "locked_files": state.locked_files.as_ref().map(|digest| render_hex(digest)),
            "waiting_commit": state.wait.as_ref().map(|wait| wait.commit.as_str()),
            "waiting_until": state.wait.as_ref().map(|wait| seconds(wait.until)),
            "followed_tag": state.followed.as_ref().map(|it| it.tag.as_str()),
            "followed_target": state.followed.as_ref().map(|it| it.target.as_str()),
            "followed_commit": state.followed.as_ref().map(|it| it.commit.as_str()),
            "published_commit": state.published_commit.as_ref().map(|commit| commit.as_str()),
            "published_at": state.published_at.map(seconds),
            "published_licence": state.published_terms.licence,
            "published_gating": state.published_terms.gating,
            "last_check_at": state.last_check_at.map(seconds),
            "last_success_at": state.last_success_at.map(seconds),
            "last_change_at": state.last_change_at.map(seconds),
            "consecutive_failures": state.consecutive_failures,
            "upstream_state": state.upstream_state.as_str(),
            "last_verify_at": state.last_verify_at.map(seconds),
            "last_verify_outcome": state.last_verify_outcome.map(|word| word.as_str()),
            "needs_token": state.needs_token,
            "moved_ref": state.moved_ref.as_ref().map(ToString::to_string),
        };
        expect_one(self.update("models", id.0, values, "true")?, id)?;
        let held = update.map(|update| self.save_held_update(id, update, state));
        held.unwrap_or(Ok(()))
    }

    pub fn set_model_enabled(&self, id: ModelId, enabled: bool, now: Timestamp) -> Result<()> {
        let sql = "UPDATE models SET enabled = ?2, updated_at = ?3 WHERE id = ?1";
        expect_one(self.execute(sql, params![id.0, enabled, seconds(now)])?, id)
    }

    /// Removes a model. Its sessions stay under its name; schedules no longer select it.
    pub fn remove_model(&self, id: ModelId) -> Result<()> {
        expect_one(
            self.execute("DELETE FROM models WHERE id = ?1", [id.0])?,
            id,
        )
    }

    /// Returns the model of a name; a missing one is an error.
    pub fn model(&self, name: &EntryName) -> Result<Model> {
        self.find_model(name)?
            .ok_or_else(|| StoreError::not_found("model", name))
    }

    pub fn find_model(&self, name: &EntryName) -> Result<Option<Model>> {
        let sql = format!("{SELECT} WHERE name = ?1");
        self.find(&sql, [name.as_str()], read_model)
    }

    pub fn model_by_id(&self, id: ModelId) -> Result<Option<Model>> {
        self.find(&format!("{SELECT} WHERE id = ?1"), [id.0], read_model)
    }

    /// Tells whether a model is still registered.
    pub fn has_model(&self, id: ModelId) -> Result<bool> {
        let sql = "SELECT 1 FROM models WHERE id = ?1";
        Ok(self.find(sql, [id.0], |_| Ok(()))?.is_some())
    }

    /// Tells whether any model is registered.
    pub fn has_models(&self) -> Result<bool> {
        let sql = "SELECT 1 FROM models LIMIT 1";
        Ok(self.find(sql, [], |_| Ok(()))?.is_some())
    }

    /// Returns the names of the enabled models.
    pub fn enabled_names(&self) -> Result<BTreeSet<EntryName>> {
        let sql = "SELECT name FROM models WHERE enabled = 1";
        self.list(sql, [], |row| row.parsed("name"))
    }

    /// Returns the models of a repository, at all revisions and in all places.
    pub fn models_of_repo(&self, repo: &Repo) -> Result<Vec<Model>> {
        let sql = format!("{SELECT} WHERE repo_type = ?1 AND repo_id = ?2 ORDER BY name");
        let params = [repo.kind.as_str(), repo.id.as_str()];
        self.list(&sql, params, read_model)
    }

    /// Returns models by name; an unreadable one is an error.
    pub fn models(&self, filter: &ModelFilter) -> Result<Vec<Model>> {
        with_filter(filter, &NameRange::ALL, |sql, params| {
            self.list(sql, params, read_model)
        })
    }

    /// Returns the readable models by name.
    pub fn readable_models(&self, filter: &ModelFilter) -> Result<Vec<Model>> {
        self.map_models(filter, |model| model)
    }

    /// Reads the readable models one after the other, by name, and returns a value for
    /// each: a list of ten thousand models takes much memory.
    pub fn map_models<T>(
        &self,
        filter: &ModelFilter,
        make: impl FnMut(Model) -> T,
    ) -> Result<Vec<T>> {
        self.map_models_of(filter, &NameRange::ALL, make)
    }

    pub(super) fn map_models_of<T>(
        &self,
        filter: &ModelFilter,
        range: &NameRange,
        mut make: impl FnMut(Model) -> T,
    ) -> Result<Vec<T>> {
        with_filter(filter, range, |sql, params| {
            let read = |row: &Row<'_>| read_model(row).map(&mut make);
            self.list_readable("models", sql, params, read)
        })
    }

    /// Returns the directories of the models outside the cache.
    pub fn directories(&self) -> Result<Vec<PathBuf>> {
        // The name is for the message about an unreadable row.
        let sql = "SELECT name, destination FROM models WHERE destination <> ?1";
        self.list_readable("models", sql, [CACHE], |row| row.path("destination"))
    }

    /// Counts the models of the cache that were published.
    pub fn n_published_in_cache(&self) -> Result<u64> {
        let sql = "SELECT count(*) AS n FROM models
            WHERE published_commit IS NOT NULL AND destination = 'cache'";
        let n = self.find(sql, [], |row| row.count("n"))?;
        Ok(n.unwrap_or(0))
    }

    /// Returns the models that were published, by name.
    pub fn published_model_ids(&self) -> Result<Vec<ModelId>> {
        let sql = "SELECT id FROM models WHERE published_commit IS NOT NULL ORDER BY name";
        self.list(sql, [], |row| Ok(ModelId(row.get("id")?)))
    }

    /// Returns the enabled models that any of some schedules selects, by name.
    pub fn models_of_schedules(
        &self,
        ids: impl IntoIterator<Item = ScheduleId>,
    ) -> Result<Vec<Model>> {
        let ids = [wire::render_ids(ids.into_iter().map(|id| id.0))];
        self.list_readable("models", &of_schedules(), ids, read_model)
    }

    /// Changes the row of a model, or inserts one without an id.
    fn write_model_spec(
        &self,
        id: Option<ModelId>,
        spec: &ModelSpec,
        now: Timestamp,
    ) -> Result<ModelId> {
        let now = seconds(now);
        let rules = RuleColumns::new(&spec.update);
        let values = named_params! {
            "name": spec.name.as_str(),
            "repo_type": spec.repo.kind.as_str(),
            "repo_id": spec.repo.id.as_str(),
            "revision": spec.revision.as_str(),
            "include": spec.filter.include.as_deref().map(wire::render_list),
            "exclude": wire::render_list(&spec.filter.exclude),
            "destination": destination_text(&spec.destination)?,
            "priority": spec.priority.get(),
            "enabled": spec.enabled,
            "keep_revisions": spec.keep_revisions.map(|n| integer(n.into())),
            "token_name": spec.token_name.as_ref().map(TokenName::as_str),
            "views": list_or_null(&spec.views),
            "view_map": list_or_null(&spec.view_map),
            "view_copy": spec.view_copy,
            "checksums": spec.checksums,
            "policy": rules.policy,
            "delay": rules.delay,
            "follow_tags": rules.follow_tags,
            "guards": rules.guards,
            "updated_at": now,
        };
        let written = match id {
            Some(id) => self.update("models", id.0, values, "true").map(|n| (n, id)),
            None => {
                let created = named_params! { "created_at": now };
                let inserted = self.insert("models", &[values, created].concat());
                inserted.map(|id| (1, ModelId(id)))
            }
        };
        let (n_changed, id) = written.map_err(|err| {
            let is_duplicate = matches!(err, StoreError::Duplicate(_));
            let existing = is_duplicate.then(|| self.conflicting_model(id, spec));
            existing.flatten().unwrap_or(err)
        })?;
        expect_one(n_changed, id)?;
        Ok(id)
    }

    /// Returns the error that names the entry with the same name or the same copy.
    fn conflicting_model(&self, own: Option<ModelId>, spec: &ModelSpec) -> Option<StoreError> {
        let models = self.readable_models(&ModelFilter::default()).ok()?;
        let mut others = models.into_iter().filter(|model| Some(model.id) != own);
        let existing = others.find(|it| it.spec.name == spec.name || it.spec.is_same_copy(spec))?;
        let what = if existing.spec.name == spec.name {
            "the name".to_owned()
        } else {
            format!("`{}` at `{}`", spec.repo, spec.revision)
        };
        Some(StoreError::NotUnique {
            entity: "model",
            what,
            existing: existing.spec.name.to_string(),
        })
    }

    fn write_tags(&self, id: ModelId, tags: &BTreeSet<Tag>) -> Result<()> {
        self.execute("DELETE FROM model_tags WHERE model_id = ?1", [id.0])?;
        for tag in tags {
            let sql = "INSERT INTO model_tags (model_id, tag) VALUES (?1, ?2)";
            self.execute(sql, params![id.0, tag.as_str()])?;
        }
        Ok(())
    }
}

/// The names of a part of the models: from the first one up to, but without, the second.
pub(super) struct NameRange {
    from: String,
    to: Value,
}

impl NameRange {
    /// SQLite sorts bytes after texts.
    pub(super) const ALL: Self = Self {
        from: String::new(),
        to: Value::Blob(Vec::new()),
    };

    pub(super) fn split_at(self, middle: String) -> [Self; 2] {
        let first = Self {
            from: self.from,
            to: Value::Text(middle.clone()),
        };
        let second = Self {
            from: middle,
            to: self.to,
        };
        [first, second]
    }
}

fn with_filter<T>(
    filter: &ModelFilter,
    range: &NameRange,
    list: impl FnOnce(&str, &[(&str, &dyn ToSql)]) -> Result<Vec<T>>,
) -> Result<Vec<T>> {
    let sql = format!(
        "{SELECT}
        WHERE name >= :from AND name < :to
            AND (:tag IS NULL
                OR id IN (SELECT model_id FROM model_tags WHERE tag = :tag))
            AND (:upstream_state IS NULL OR upstream_state = :upstream_state)
            AND (:enabled IS NULL OR enabled = :enabled)
        ORDER BY name"
    );
    let params = named_params! {
        ":from": range.from,
        ":to": range.to,
        ":tag": filter.tag.as_ref().map(|tag| tag.as_str()),
        ":upstream_state": filter.upstream_state.map(|state| state.as_str()),
        ":enabled": filter.enabled,
    };
    list(&sql, params)
}

/// Joins from the schedules to their models, so that other models are not read.
pub(super) fn of_schedules() -> String {
    format!(
        "{SELECT}
        WHERE enabled = 1 AND id IN (
            SELECT model_id FROM json_each(?1) CROSS JOIN schedule_models ON schedule_id = value
            UNION SELECT model_id FROM json_each(?1) CROSS JOIN schedule_tags ON schedule_id = value
                CROSS JOIN model_tags USING (tag)
            UNION SELECT models.id FROM (
                SELECT 1 FROM json_each(?1) CROSS JOIN schedules ON schedules.id = value
                WHERE selects_all = 1 LIMIT 1) CROSS JOIN models)
        ORDER BY name"
    )
}

/// Most models have no views: NULL takes no space.
fn list_or_null<T: ToString>(values: &BTreeSet<T>) -> Option<String> {
    (!values.is_empty()).then(|| wire::render_list(values.iter().map(T::to_string)))
}

fn expect_one(n_changed: usize, id: ModelId) -> Result<()> {
    if n_changed == 0 {
        return Err(StoreError::not_found("model", id.0));
    }
    Ok(())
}

fn read_model(row: &Row<'_>) -> rusqlite::Result<Model> {
    Ok(Model {
        id: ModelId(row.get("id")?),
        spec: ModelSpec {
            name: row.parsed("name")?,
            repo: Repo::new(row.parsed("repo_type")?, row.parsed("repo_id")?),
            revision: row.parsed("revision")?,
            filter: Filter {
                include: wire::read_list(row, "include")?,
                exclude: wire::read_list(row, "exclude")?.unwrap_or_default(),
                others: Vec::new(),
            },
            destination: row.destination("destination")?,
            priority: row.priority("priority")?,
            keep_revisions: row.get("keep_revisions")?,
            enabled: row.get("enabled")?,
            tags: wire::read_words(row, "tags")?,
            token_name: row.parsed_if_any("token_name")?,
            views: wire::read_words(row, "views")?,
            view_map: wire::read_words(row, "view_map")?,
            view_copy: row.get("view_copy")?,
            checksums: row.get("checksums")?,
            update: read_rules(row)?,
        },
        state: ModelState {
            held_commit: row.parsed_if_any("held_commit")?,
            held_update: read_held_update(row)?,
            pinned: read_pin(row)?,
            locked_files: (row.get::<Option<String>>("locked_files")?)
                .and_then(|hex| parse_hex(&hex)),
            wait: read_wait(row)?,
            followed: read_followed(row)?,
            published_commit: row.parsed_if_any("published_commit")?,
            published_at: row.time_if_any("published_at")?,
            published_terms: Terms {
                licence: row.get("published_licence")?,
                gating: row.get("published_gating")?,
            },
            last_check_at: row.time_if_any("last_check_at")?,
            last_success_at: row.time_if_any("last_success_at")?,
            last_change_at: row.time_if_any("last_change_at")?,
            consecutive_failures: row.get("consecutive_failures")?,
            upstream_state: row.parsed("upstream_state")?,
            last_verify_at: row.time_if_any("last_verify_at")?,
            last_verify_outcome: row.parsed_if_any("last_verify_outcome")?,
            needs_token: row.get("needs_token")?,
            moved_ref: row.parsed_if_any("moved_ref")?,
        },
        created_at: row.time("created_at")?,
        updated_at: row.time("updated_at")?,
    })
}

fn read_held_update(row: &Row<'_>) -> rusqlite::Result<Option<HeldUpdate>> {
    let Some(commit) = row.parsed_if_any("update_commit")? else {
        return Ok(None);
    };
    Ok(Some(HeldUpdate {
        commit,
        findings: wire::read_findings(row)?,
        decision: row.parsed("decision")?,
        found_at: row.time("first_seen_at")?,
    }))
}

fn read_pin(row: &Row<'_>) -> rusqlite::Result<Option<Pin>> {
    let Some(commit) = row.parsed_if_any("pinned_commit")? else {
        return Ok(None);
    };
    let by = row.parsed("pinned_by")?;
    Ok(Some(Pin { commit, by }))
}

fn read_wait(row: &Row<'_>) -> rusqlite::Result<Option<UpdateWait>> {
    let Some(commit) = row.parsed_if_any("waiting_commit")? else {
        return Ok(None);
    };
    let until = row.time("waiting_until")?;
    Ok(Some(UpdateWait { commit, until }))
}

fn read_followed(row: &Row<'_>) -> rusqlite::Result<Option<FollowedTag>> {
    let Some(tag) = row.parsed_if_any("followed_tag")? else {
        return Ok(None);
    };
    Ok(Some(FollowedTag {
        tag,
        target: row.parsed("followed_target")?,
        commit: row.parsed("followed_commit")?,
    }))
}
