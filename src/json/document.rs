//! Documents: a schema name and the fields of an entity, as a value or as text.

use serde::Serialize;
use serde_json::{Value, json};

use crate::domain::outcome::ExitStatus;
use crate::domain::time::{Timestamp, render_utc};

/// Renders a document for stdout: indented, with a final newline.
pub fn render(document: &Value) -> String {
    let mut text = format!("{document:#}");
    text.push('\n');
    text
}

/// Renders a document as one line, for streams.
pub fn line(document: &Value) -> String {
    document.to_string()
}

/// Returns a document: the name of its schema, then the fields of `body`.
pub fn document(schema: &str, body: impl Serialize) -> Value {
    let mut object = serde_json::Map::from_iter([("schema".to_owned(), json!(schema))]);
    // The shapes of this module serialise to objects with text keys, which cannot fail.
    if let Ok(Value::Object(fields)) = serde_json::to_value(body) {
        object.extend(fields);
    }
    Value::Object(object)
}

/// Returns the document of an error, for stderr with `--log-format json`.
pub fn error(headline: &str, cause: Option<&str>, next: Option<&str>, status: ExitStatus) -> Value {
    document(
        "hfdl.error/1",
        json!({"level": "error", "message": headline, "cause": cause, "hint": next, "exit": status.word(), "exit_code": status.code()}),
    )
}

pub(super) fn time(at: Option<Timestamp>) -> Option<String> {
    at.map(render_utc)
}
