//! The document on the stdin of the gate: `hfdl.gate/1`.

use serde::Serialize;

use super::document::document;

/// A snapshot that the gate checks.
#[derive(Clone, Debug, Serialize)]
pub struct GateDocument {
    pub run_id: String,
    /// The name of the model; of an unregistered repository, the repository.
    pub model: String,
    pub repo: String,
    pub repo_type: &'static str,
    pub revision: String,
    /// The commit that is published now; null before the first.
    pub old_commit: Option<String>,
    pub new_commit: String,
    /// The folder with the files.
    pub path: String,
    pub files: Vec<GateFile>,
}

/// A file of the snapshot.
#[derive(Clone, Debug, Serialize)]
pub struct GateFile {
    pub path: String,
    pub size: u64,
    /// The hash that the bytes have.
    pub content: String,
}

/// Renders the document as one line, with a newline.
pub fn gate_line(gate: &GateDocument) -> String {
    format!("{}\n", document("hfdl.gate/1", gate))
}
