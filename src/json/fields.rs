//! The fields of a table, as programs read them.

use serde_json::{Map, Value, json};

use crate::domain::field::{Entity, FieldValue, listed};

/// Returns the fields of an entry that have the same key in JSON and in the table.
pub(super) fn fields<S: Entity>(entry: &S) -> Map<String, Value> {
    let pairs = listed::<S>()
        .filter_map(|field| Some((field.json?.to_owned(), value((field.write)(entry)))));
    pairs.collect()
}

fn value(value: FieldValue) -> Value {
    match value {
        FieldValue::Absent => Value::Null,
        FieldValue::Switch(value) => json!(value),
        FieldValue::Number(value) => json!(value),
        FieldValue::Text(text) => json!(text),
        FieldValue::List(texts) => json!(texts),
    }
}
