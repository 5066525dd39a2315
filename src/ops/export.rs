//! Writes down what the database says, in the form that `apply` reads.

use anyhow::{Context, Result};

use super::apply::Current;
use super::document::Node;
use super::entry_fields::{Field, model_fields, schedule_fields};
use crate::domain::settings::{SettingKey, SettingValue};

/// Returns the whole file, and what could not go into it.
///
/// Only what differs from a new entry is written, in the order of names, so
/// that two exports differ where their databases do.
pub fn export(current: &Current) -> Result<(Node, Vec<String>)> {
    let mut warnings = Vec::new();
    let mut settings = Vec::new();
    for setting in &current.settings {
        let Ok(key) = setting.key.parse::<SettingKey>() else {
            warnings.push(format!(
                "the setting `{}` is left out: this version does not know it",
                setting.key
            ));
            continue;
        };
        if key.is_secret() {
            warnings.push(format!(
                "the setting `{key}` is left out: its value is a secret; set it elsewhere with `hfdl config set {key} …`"
            ));
            continue;
        }
        let value = key
            .check(&setting.value)
            .context("a saved setting has a wrong value")?;
        let node = match value {
            SettingValue::Count(count) => Node::Number(count.into()),
            SettingValue::Argv(argv) if !argv.arguments().is_empty() => Node::List(
                argv.words()
                    .map(|word| Node::Text(word.to_owned()))
                    .collect(),
            ),
            other => Node::Text(other.to_string()),
        };
        settings.push((key.to_string(), node));
    }
    let models = current.models.iter().map(|model| {
        let spec = &model.spec;
        let default_name = spec.repo.to_string();
        let is_default = spec.name.as_str() == default_name;
        entry(spec.name.as_str(), is_default, model_fields(spec), 1)
    });
    let schedules = current.schedules.iter().map(|schedule| {
        let spec = &schedule.spec;
        entry(spec.name.as_str(), false, schedule_fields(spec), 0)
    });
    let sections = [
        ("version", Node::Number(1)),
        ("config", Node::Map(settings)),
        ("models", Node::List(models.collect())),
        ("schedules", Node::List(schedules.collect())),
    ];
    let root = sections.map(|(name, node)| (name.to_owned(), node));
    Ok((Node::Map(root.into()), warnings))
}

/// Puts the name at its place among the fields, where it says something.
fn entry(name: &str, is_default_name: bool, fields: Vec<Field>, name_at: usize) -> Node {
    let mut entries: Vec<(String, Node)> = fields
        .into_iter()
        .filter(|field| !field.is_default)
        .map(|field| (field.name.to_owned(), field.value))
        .collect();
    if !is_default_name {
        let name = ("name".to_owned(), Node::Text(name.to_owned()));
        entries.insert(name_at.min(entries.len()), name);
    }
    Node::Map(entries)
}
