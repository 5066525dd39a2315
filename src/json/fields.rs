//! The fields of a table, as programs read them.

use serde::{Serialize, Serializer};

use crate::domain::field::{Entity, FieldValue, listed};

/// The fields of an entry that have the same key in JSON and in the table.
#[derive(Debug)]
pub struct FieldsView(Vec<(&'static str, FieldValue)>);

impl FieldsView {
    pub(super) fn new<S: Entity>(entry: &S) -> Self {
        let pairs = listed::<S>().filter_map(|field| Some((field.json?, (field.write)(entry))));
        Self(pairs.collect())
    }
}

impl Serialize for FieldsView {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let pairs = self.0.iter();
        serializer.collect_map(pairs.map(|(key, value)| (key, ValueView(value))))
    }
}

struct ValueView<'a>(&'a FieldValue);

impl Serialize for ValueView<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            FieldValue::Absent => serializer.serialize_none(),
            FieldValue::Switch(value) => value.serialize(serializer),
            FieldValue::Number(value) => value.serialize(serializer),
            FieldValue::Text(text) => text.serialize(serializer),
            FieldValue::List(texts) => texts.serialize(serializer),
        }
    }
}
