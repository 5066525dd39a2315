//! The documents that programs read: stable names, a `schema` in each.
//!
//! The structs of these files are the contract. Fields are added, never renamed or
//! dropped; a change of meaning gets a new schema number.

mod fields;
mod models;
mod pause;
mod runs;
mod schedules;
mod sessions;
mod settings;
mod status;

use serde::Serialize;
use serde_json::{Value, json};

use crate::domain::outcome::ExitStatus;
use crate::domain::time::{Timestamp, render_utc};

use fields::fields;
pub use models::{ModelView, destination};
pub use pause::PauseView;
pub use runs::{RunFacts, RunSummaryView, run, skipped_run, skipped_schedules};
pub use schedules::ScheduleView;
pub use sessions::{SessionFileView, SessionView};
pub use settings::SettingView;
pub use status::{status, status_text};

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

/// Puts the schema's name in front of a document's fields.
pub fn document(schema: &str, body: impl Serialize) -> Value {
    let mut object = serde_json::Map::from_iter([("schema".to_owned(), json!(schema))]);
    // The structs of these files serialise to objects with text keys, which cannot fail.
    if let Ok(Value::Object(fields)) = serde_json::to_value(body) {
        object.extend(fields);
    }
    Value::Object(object)
}

/// An error on stderr when the diary is JSON.
pub fn error(headline: &str, cause: Option<&str>, next: Option<&str>, status: ExitStatus) -> Value {
    document(
        "hfdl.error/1",
        json!({"level": "error", "message": headline, "cause": cause, "hint": next, "exit": status.word(), "exit_code": status.code()}),
    )
}

fn time(at: Option<Timestamp>) -> Option<String> {
    at.map(render_utc)
}
