//! JSON Schemas (2020-12) of the documents, for `hfdl schema`.
//!
//! `schema/NAME.json` describes the documents whose `schema` is `hfdl.NAME/1`, and in
//! `$defs` the parts of them. All definitions share one namespace: a file refers to a
//! part or a document of another one as if it were its own. `words.json` has the lists
//! of words, which a test compares with the code.
//!
//! Objects may have more fields than a schema names: documents grow.

use serde_json::{Map, Value, json};

const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

/// The start of a reference to a definition.
const REFERENCE: &str = "#/$defs/";

#[rustfmt::skip]
const FILES: &[(&str, &str)] = &[
    ("adopt", include_str!("schema/adopt.json")),
    ("adopted", include_str!("schema/adopted.json")),
    ("apply", include_str!("schema/apply.json")),
    ("change", include_str!("schema/change.json")),
    ("config", include_str!("schema/config.json")),
    ("decisions", include_str!("schema/decisions.json")),
    ("doctor", include_str!("schema/doctor.json")),
    ("due", include_str!("schema/due.json")),
    ("error", include_str!("schema/error.json")),
    ("export", include_str!("schema/export.json")),
    ("gate", include_str!("schema/gate.json")),
    ("hook", include_str!("schema/hook.json")),
    ("init", include_str!("schema/init.json")),
    ("lock", include_str!("schema/lock.json")),
    ("log-line", include_str!("schema/log-line.json")),
    ("logs", include_str!("schema/logs.json")),
    ("model", include_str!("schema/model.json")),
    ("models", include_str!("schema/models.json")),
    ("next", include_str!("schema/next.json")),
    ("outdated", include_str!("schema/outdated.json")),
    ("path", include_str!("schema/path.json")),
    ("pause", include_str!("schema/pause.json")),
    ("plan", include_str!("schema/plan.json")),
    ("prune", include_str!("schema/prune.json")),
    ("published", include_str!("schema/published.json")),
    ("release", include_str!("schema/release.json")),
    ("removal", include_str!("schema/removal.json")),
    ("report", include_str!("schema/report.json")),
    ("rollback", include_str!("schema/rollback.json")),
    ("run", include_str!("schema/run.json")),
    ("runs", include_str!("schema/runs.json")),
    ("schedule", include_str!("schema/schedule.json")),
    ("schedules", include_str!("schema/schedules.json")),
    ("schemas", include_str!("schema/schemas.json")),
    ("session", include_str!("schema/session.json")),
    ("sessions", include_str!("schema/sessions.json")),
    ("setting", include_str!("schema/setting.json")),
    ("setting-change", include_str!("schema/setting-change.json")),
    ("status", include_str!("schema/status.json")),
    ("stop", include_str!("schema/stop.json")),
    ("tag", include_str!("schema/tag.json")),
    ("tags", include_str!("schema/tags.json")),
    ("timer", include_str!("schema/timer.json")),
    ("update", include_str!("schema/update.json")),
    ("updates", include_str!("schema/updates.json")),
    ("verify", include_str!("schema/verify.json")),
    ("views", include_str!("schema/views.json")),
    ("words", include_str!("schema/words.json")),
];

/// The file of word lists, which describes no document.
const WORDS: &str = "words";

/// Returns the names of all schemas, sorted.
pub fn schema_names() -> impl Iterator<Item = &'static str> {
    let names = FILES.iter().map(|(name, _)| *name);
    names.filter(|name| *name != WORDS)
}

/// Returns a schema with all definitions that it refers to.
pub fn schema(name: &str) -> Option<Value> {
    let definitions = definitions();
    let root = definitions
        .get(name)
        .filter(|it| it.get("title").is_some())?;
    let mut used = Map::new();
    add_references(root, &definitions, &mut used);
    let mut schema = Map::from_iter([("$schema".to_owned(), json!(DIALECT))]);
    schema.extend(root.as_object().cloned().unwrap_or_default());
    if root["properties"].get("schema").is_some()
        && let Some(Value::Array(required)) = schema.get_mut("required")
    {
        required.insert(0, json!("schema"));
    }
    schema.insert("$defs".to_owned(), Value::Object(used));
    Some(Value::Object(schema))
}

/// Reads all files: documents by their names, parts and words by theirs.
fn definitions() -> Map<String, Value> {
    let mut definitions = Map::new();
    for (name, text) in FILES {
        // A test reads each of these constants.
        let mut file: Map<String, Value> = serde_json::from_str(text).unwrap_or_default();
        if let Some(Value::Object(parts)) = file.shift_remove("$defs") {
            definitions.extend(parts);
        }
        if *name != WORDS {
            describe_name(&mut file);
            definitions.insert((*name).to_owned(), Value::Object(file));
        }
    }
    definitions
}

/// Adds the field with the name of the schema, which documents begin with. As a part
/// of another document an entity may lack it.
fn describe_name(file: &mut Map<String, Value>) {
    let title = file.get("title").and_then(Value::as_str);
    let Some(title) = title.filter(|title| title.contains('/')).map(str::to_owned) else {
        return;
    };
    if let Some(Value::Object(properties)) = file.get_mut("properties") {
        let field = json!({"description": "The name of this schema.", "const": title});
        properties.shift_insert(0, "schema".to_owned(), field);
    }
}

/// Adds the definitions that a schema refers to, and those that they refer to.
fn add_references(schema: &Value, all: &Map<String, Value>, used: &mut Map<String, Value>) {
    match schema {
        Value::Object(fields) => {
            let reference = fields.get("$ref").and_then(Value::as_str);
            let name = reference.and_then(|text| text.strip_prefix(REFERENCE));
            if let Some(name) = name.filter(|name| !used.contains_key(*name)) {
                let definition = all.get(name).cloned().unwrap_or_default();
                used.insert(name.to_owned(), definition.clone());
                add_references(&definition, all, used);
            }
            fields.values().for_each(|it| add_references(it, all, used));
        }
        Value::Array(items) => items.iter().for_each(|it| add_references(it, all, used)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn each_definition_has_one_file_and_each_reference_a_definition() {
        let mut names = BTreeSet::new();
        for (name, text) in FILES {
            let file: Value =
                serde_json::from_str(text).unwrap_or_else(|err| panic!("{name}: {err}"));
            assert!(
                *name == WORDS || names.insert((*name).to_owned()),
                "{name} twice"
            );
            for part in file["$defs"].as_object().into_iter().flat_map(Map::keys) {
                assert!(names.insert(part.clone()), "{part} twice");
            }
        }
        let mut used = Map::new();
        let all = definitions();
        for name in schema_names() {
            add_references(&all[name], &all, &mut used);
            let first = all[name]["properties"]
                .as_object()
                .and_then(|it| it.keys().next().cloned());
            let is_named = first.as_deref() == Some("schema");
            assert_eq!(
                is_named,
                all[name]["title"] == format!("hfdl.{name}/1"),
                "{name}"
            );
        }
        for (name, definition) in &used {
            assert!(definition.is_object(), "nothing defines `{name}`");
        }
        let mut unused = names.iter().filter(|name| !used.contains_key(*name));
        let unused = unused.find(|name| all[*name].get("title").is_none());
        assert_eq!(unused, None, "unused");
    }

    #[test]
    fn each_object_describes_its_fields_and_requires_none_that_it_lacks() {
        for (name, definition) in definitions() {
            let sentence = |value: &Value| {
                let text = value["description"].as_str().unwrap_or_default();
                text.ends_with('.') && text.starts_with(char::is_uppercase)
                    || text.starts_with("SHA256SUMS")
            };
            assert!(sentence(&definition), "{name}: {definition}");
            let Some(properties) = definition.get("properties").and_then(Value::as_object) else {
                assert!(definition["enum"].is_array(), "{name}");
                continue;
            };
            for (field, value) in properties {
                assert!(sentence(value), "{name}.{field}: {value}");
            }
            for field in definition["required"].as_array().into_iter().flatten() {
                let field = field.as_str().unwrap_or_default();
                assert!(properties.contains_key(field), "{name} lacks {field}");
            }
        }
    }
}
