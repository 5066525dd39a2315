//! The same documents as JSON, written as YAML.

use anyhow::{Context, Result};
use serde_json::Value;

/// Renders a document as YAML.
pub fn render(document: &Value) -> Result<String> {
    serde_yaml::to_string(document).context("cannot render the result as YAML")
}
