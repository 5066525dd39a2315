//! Tags.

use serde::Serialize;
use serde_json::{Map, Value};

use super::fields::fields;
use crate::domain::tag::TagSpec;

/// A tag with its defaults and the models that have it.
#[derive(Debug, Serialize)]
pub struct TagView {
    pub name: String,
    /// The defaults.
    #[serde(flatten)]
    pub fields: Map<String, Value>,
    pub models: u64,
}

impl TagView {
    pub fn new(tag: &TagSpec, models: u64) -> Self {
        Self {
            name: tag.name.to_string(),
            fields: fields(tag),
            models,
        }
    }
}
