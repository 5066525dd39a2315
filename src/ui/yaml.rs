//! The JSON documents, rendered as YAML.

use anyhow::{Context, Result};
use serde_json::Value;

use crate::domain::yaml::quote_for_1_1;

/// Renders a document as YAML.
pub fn render(document: &Value) -> Result<String> {
    let text = serde_yaml::to_string(document).context("cannot render the result as YAML")?;
    Ok(quote_for_1_1(&text))
}

/// Renders one document of a stream, with its start and without the final newline.
///
/// Commands whose JSON is one document a line write such a stream.
pub fn yaml_document(document: &Value) -> Result<String> {
    Ok(format!("---\n{}", render(document)?.trim_end()))
}
