//! Every JSON document that a test sees is held against its schema.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use hfdl::json::schema;
use jsonschema::Validator;
use serde_json::{Value, json};

/// Files above this size are not held against their schema: it would take seconds.
const MOST_BYTES: u64 = 1 << 20;

static VALIDATORS: Mutex<BTreeMap<String, Arc<Validator>>> = Mutex::new(BTreeMap::new());

/// Checks all documents of a stream: one, or one in each line. Other text is ignored.
pub fn check_stream(text: &str) {
    if let Ok(document) = serde_json::from_str::<Value>(text) {
        check(&document);
        return;
    }
    let lines = text.lines().filter(|line| line.starts_with('{'));
    lines
        .filter_map(|line| serde_json::from_str(line).ok())
        .for_each(|document: Value| check(&document));
}

/// Checks the document of a file, if there is one.
pub fn check_file(path: &Path) {
    let is_small = path.metadata().is_ok_and(|it| it.len() <= MOST_BYTES);
    if is_small && let Ok(text) = std::fs::read_to_string(path) {
        check_stream(&text);
    }
}

/// Checks a document that names a schema, or a line of the log.
pub fn check(document: &Value) {
    let Some(name) = name(document) else {
        return;
    };
    let wrong = complaints(&name, document);
    assert!(
        wrong.is_empty(),
        "this is not as src/json/schema/{name}.json says; describe new fields there\n{}\n{document:#}",
        wrong.join("\n")
    );
}

/// Returns the differences between a document and a schema.
pub fn complaints(name: &str, document: &Value) -> Vec<String> {
    let validator = validator(name);
    let errors = validator.iter_errors(document);
    errors
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect()
}

fn name(document: &Value) -> Option<String> {
    match document["schema"].as_str() {
        Some(schema) => {
            let name = schema.strip_prefix("hfdl.")?.split('/').next();
            name.map(str::to_owned)
        }
        None if document["target"].is_string() => Some("log-line".to_owned()),
        None if document["config"].is_object() => Some("export".to_owned()),
        None => None,
    }
}

fn validator(name: &str) -> Arc<Validator> {
    let mut validators = VALIDATORS.lock().unwrap();
    let entry = validators.entry(name.to_owned()).or_insert_with(|| {
        let mut schema = schema(name).unwrap_or_else(|| panic!("there is no schema `{name}`"));
        close(&mut schema);
        let options = jsonschema::options().should_validate_formats(true);
        Arc::new(options.build(&schema).unwrap())
    });
    entry.clone()
}

/// Forbids fields that a schema does not describe. Readers must expect them, but what
/// is written today has a description.
fn close(schema: &mut Value) {
    if schema["properties"].is_object() {
        schema["additionalProperties"] = json!(false);
    }
    match schema {
        Value::Object(fields) => fields.values_mut().for_each(close),
        Value::Array(items) => items.iter_mut().for_each(close),
        _ => {}
    }
}
