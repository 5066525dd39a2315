//! Exports the database in the form that `apply` reads.

use anyhow::{Context, Result};

use super::apply::Current;
use super::document::Node;
use crate::domain::field::{Entity, needed_values};
use crate::domain::settings::{SettingKey, SettingValue};

/// Returns the whole file, and a warning for each setting that it lacks.
///
/// Only fields that differ from their defaults are written, in the order of
/// names, so that two exports differ only where their databases do.
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
    let tags = current.tags.iter().map(entry);
    let models = current.models.iter().map(|model| entry(&model.spec));
    let schedules = current
        .schedules
        .iter()
        .map(|schedule| entry(&schedule.spec));
    let sections = [
        ("version", Node::Number(1)),
        ("config", Node::Map(settings)),
        ("tags", Node::List(tags.collect())),
        ("models", Node::List(models.collect())),
        ("schedules", Node::List(schedules.collect())),
    ];
    let root = sections.map(|(name, node)| (name.to_owned(), node));
    Ok((Node::Map(root.into()), warnings))
}

/// Returns an entry with the fields that differ from their defaults.
pub(super) fn entry<S: Entity>(spec: &S) -> Node {
    let values = needed_values(spec).into_iter();
    Node::Map(
        values
            .map(|(key, value)| (key.to_owned(), value.into()))
            .collect(),
    )
}
