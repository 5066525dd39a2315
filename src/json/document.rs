//! Documents: a schema name and the fields of an entity, as a value or as text.

use std::io::{self, Write};

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
pub fn render(document: &impl Serialize) -> String {
    let mut text = Vec::new();
    // Objects with text keys, in memory, which cannot fail.
    let _ = write(&mut text, document);
    String::from_utf8(text).unwrap_or_default()
}

/// Writes a document as `render` does, item by item: the text of ten thousand models
/// takes much memory.
pub fn write(mut out: impl Write, document: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut out, document)?;
    out.write_all(b"\n")
}

/// Renders a document as one line, for streams.
pub fn line(document: &impl Serialize) -> String {
    serde_json::to_string(document).unwrap_or_default()
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
