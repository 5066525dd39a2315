//! Documents: a schema name and the fields of an entity, as a value or as text.

use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use crate::domain::outcome::ExitStatus;
use crate::domain::time::{Timestamp, render_utc};

/// A list whose items become views one at a time: a value of ten thousand models takes
/// much memory.
pub(super) struct Each<'a, T, V>(pub(super) &'a [T], pub(super) fn(&'a T) -> V);

impl<T, V: Serialize> Serialize for Each<'_, T, V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(self.1))
    }
}

/// Renders a document for stdout: indented, with a final newline.
pub fn render(document: &Value) -> String {
    render_long(document, 0)
}

/// Renders a document of many items. Text that grows by doubling would need up to three
/// times its size; reserved memory that is not written costs nothing.
pub(super) fn render_long(document: &impl Serialize, reserved: usize) -> String {
    let mut text = Vec::with_capacity(reserved);
    // The shapes of this module serialise to objects with text keys, which cannot fail.
    let _ = serde_json::to_writer_pretty(&mut text, document);
    text.push(b'\n');
    String::from_utf8(text).unwrap_or_default()
}

/// Renders a document as one line, for streams.
pub fn line(document: &Value) -> String {
    document.to_string()
}

/// Returns a document: the name of its schema, then the fields of `body`.
pub fn document(schema: &str, body: impl Serialize) -> Value {
    let mut object = serde_json::Map::from_iter([("schema".to_owned(), json!(schema))]);
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
