//! The table `tags`: the defaults that tags give to their models.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::types::ValueRef;
use rusqlite::{named_params, params};

use super::error::Result;
use super::open::Store;
use super::row::Row;
use super::value::{integer, seconds};
use super::wire;
use crate::domain::guard::Guards;
use crate::domain::model::{ModelId, Tag};
use crate::domain::policy::UpdateRules;
use crate::domain::tag::TagSpec;
use crate::domain::time::Timestamp;
use crate::domain::units::{ByteSize, Seconds};

impl Store {
    /// Returns the tags that have defaults, by name.
    pub fn tags(&self) -> Result<Vec<TagSpec>> {
        self.list("SELECT * FROM tags ORDER BY name", [], read_tag)
    }

    pub fn find_tag(&self, name: &Tag) -> Result<Option<TagSpec>> {
        let sql = "SELECT * FROM tags WHERE name = ?1";
        self.find(sql, [name.as_str()], read_tag)
    }

    /// Returns the number of models of each tag in use.
    pub fn tags_in_use(&self) -> Result<BTreeMap<Tag, u64>> {
        let sql = "SELECT tag, count(*) AS n FROM model_tags GROUP BY tag";
        self.list(sql, [], |row| Ok((row.parsed("tag")?, row.count("n")?)))
    }

    /// Returns the tags that enabled models have.
    pub fn tags_of_enabled_models(&self) -> Result<BTreeSet<Tag>> {
        let sql = "SELECT DISTINCT tag FROM model_tags JOIN models ON models.id = model_id
            WHERE enabled = 1";
        self.list(sql, [], |row| row.parsed("tag"))
    }

    /// Returns the tags of each model that has one.
    pub fn tags_of_models(&self) -> Result<BTreeMap<ModelId, Vec<Tag>>> {
        let sql = "SELECT model_id, tag FROM model_tags ORDER BY model_id";
        let rows: Vec<(ModelId, Tag)> = self.list(sql, [], |row| {
            Ok((ModelId(row.get("model_id")?), row.parsed("tag")?))
        })?;
        let mut tags: BTreeMap<ModelId, Vec<Tag>> = BTreeMap::new();
        for (model, tag) in rows {
            tags.entry(model).or_default().push(tag);
        }
        Ok(tags)
    }

    /// Saves the defaults of a tag.
    pub fn save_tag(&self, tag: &TagSpec, now: Timestamp) -> Result<()> {
        let columns = RuleColumns::new(&tag.update);
        let values = named_params! {
            "name": tag.name.as_str(),
            "updated_at": seconds(now),
            "policy": columns.policy,
            "delay": columns.delay,
            "follow_tags": columns.follow_tags,
            "guards": columns.guards,
            "limit_daily": tag.limit_daily.map(|size| integer(size.bytes())),
            "limit_monthly": tag.limit_monthly.map(|size| integer(size.bytes())),
        };
        self.upsert("tags", &["name"], values)
    }

    /// Removes the defaults of a tag. Returns whether there were any.
    pub fn remove_tag(&self, name: &Tag) -> Result<bool> {
        let sql = "DELETE FROM tags WHERE name = ?1";
        Ok(self.execute(sql, params![name.as_str()])? > 0)
    }

    /// Returns the rules of the tags that have any.
    pub fn tag_rules(&self) -> Result<BTreeMap<Tag, UpdateRules>> {
        let tags = self.tags()?.into_iter();
        Ok(tags.map(|tag| (tag.name, tag.update)).collect())
    }
}

/// The values of the columns that models and tags share.
pub(super) struct RuleColumns {
    pub policy: Option<String>,
    pub delay: Option<i64>,
    pub follow_tags: Option<String>,
    pub guards: Option<String>,
}

impl RuleColumns {
    pub fn new(rules: &UpdateRules) -> Self {
        let guards = rules.guards.as_ref();
        Self {
            policy: rules.policy.as_ref().map(ToString::to_string),
            delay: rules.delay.map(|delay| integer(delay.get())),
            follow_tags: rules.follow_tags.as_ref().map(ToString::to_string),
            guards: guards.map(|guards| wire::render_list(&guards.0)),
        }
    }
}

pub(super) fn read_rules(row: &Row<'_>) -> rusqlite::Result<UpdateRules> {
    let guards = match row.get_ref("guards")? {
        ValueRef::Null => None,
        _ => Some(Guards(wire::read_words(row, "guards")?)),
    };
    Ok(UpdateRules {
        policy: row.parsed_if_any("policy")?,
        delay: row.count_if_any("delay")?.map(Seconds),
        follow_tags: row.parsed_if_any("follow_tags")?,
        guards,
    })
}

fn read_tag(row: &Row<'_>) -> rusqlite::Result<TagSpec> {
    Ok(TagSpec {
        name: row.parsed("name")?,
        update: read_rules(row)?,
        limit_daily: row.count_if_any("limit_daily")?.map(ByteSize),
        limit_monthly: row.count_if_any("limit_monthly")?.map(ByteSize),
    })
}
