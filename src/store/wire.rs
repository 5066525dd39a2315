//! The JSON form of lists that no query looks into.

use std::collections::BTreeSet;

use rusqlite::Row;

use super::value::unreadable;

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
