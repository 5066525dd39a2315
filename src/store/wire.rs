//! The JSON form of what no query looks into: lists, and the pause.

use std::collections::BTreeSet;

use rusqlite::Row;
use serde::{Deserialize, Serialize};

use super::value::unreadable;
use crate::domain::pause::Pause;
use crate::domain::time::{Timestamp, render_utc};

/// Renders a list of texts as a JSON array.
pub(super) fn render_list(texts: &[String]) -> String {
    serde_json::Value::from(texts.to_vec()).to_string()
}

/// Reads a column that holds a JSON array of texts, or NULL.
pub(super) fn read_list(row: &Row<'_>, column: &str) -> rusqlite::Result<Option<Vec<String>>> {
    let text: Option<String> = row.get(column)?;
    text.map(|text| serde_json::from_str(&text).map_err(|err| unreadable(column, err)))
        .transpose()
}

/// Reads a column of a query that gathers words with `json_group_array`.
pub(super) fn read_words<T: std::str::FromStr<Err: ToString> + Ord>(
    row: &Row<'_>,
    column: &str,
) -> rusqlite::Result<BTreeSet<T>> {
    let words = read_list(row, column)?.unwrap_or_default();
    words
        .iter()
        .map(|word| word.parse().map_err(|err: T::Err| unreadable(column, err)))
        .collect()
}

/// The form of a pause: times are RFC 3339, as a person who looks into the
/// database reads them.
#[derive(Deserialize, Serialize)]
struct PauseForm {
    since: String,
    #[serde(default)]
    until: Option<String>,
    #[serde(default)]
    reason: Option<String>,
}

pub(super) fn render_pause(pause: &Pause) -> String {
    let form = PauseForm {
        since: render_utc(pause.since),
        until: pause.until.map(render_utc),
        reason: pause.reason.clone(),
    };
    serde_json::json!(form).to_string()
}

/// Reads a pause, or says why it is none.
pub(super) fn read_pause(text: &str) -> Result<Pause, String> {
    let form: PauseForm = serde_json::from_str(text).map_err(|err| err.to_string())?;
    let time = |text: String| text.parse::<Timestamp>().map_err(|err| err.to_string());
    Ok(Pause {
        since: time(form.since)?,
        until: form.until.map(time).transpose()?,
        reason: form.reason,
    })
}
