//! The JSON documents, rendered as YAML.

use anyhow::{Context, Result};
use serde_json::Value;

use crate::domain::yaml::quote_for_1_1;

/// Renders a document as YAML.
pub fn render(document: &Value) -> Result<String> {
    let text = serde_yaml::to_string(document).context("cannot render the result as YAML")?;
    Ok(quote_for_1_1(&text))
}

/// Renders a value as one item of a list, without the final newline.
pub fn yaml_item(value: Value) -> Result<String> {
    let text = render(&Value::Array(vec![value]))?;
    Ok(text.trim_end().to_owned())
}
