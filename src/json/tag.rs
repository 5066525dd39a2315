//! Tags.

use serde::Serialize;

use super::fields::FieldsView;
use crate::domain::tag::TagSpec;

/// A tag with its defaults and the models that have it.
#[derive(Debug, Serialize)]
pub struct TagView {
    pub name: String,
    /// The defaults.
    #[serde(flatten)]
    pub fields: FieldsView,
    pub models: u64,
}

impl TagView {
    pub fn new(tag: &TagSpec, models: u64) -> Self {
        Self {
            name: tag.name.to_string(),
            fields: FieldsView::new(tag),
            models,
        }
    }
}
