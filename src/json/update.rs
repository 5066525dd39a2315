//! Updates that models were offered.

use serde::Serialize;

use super::document::time;
use super::model::FindingView;
use crate::domain::time::render_utc;
use crate::domain::update::{FileDifference, OfferedUpdate};

/// A commit that a model was offered.
#[derive(Debug, Serialize)]
pub struct UpdateView {
    pub model: String,
    pub commit: String,
    pub old_commit: Option<String>,
    pub state: &'static str,
    pub findings: Vec<FindingView>,
    pub found_at: String,
    pub decision: &'static str,
    pub decided_at: Option<String>,
    pub note: Option<String>,
    pub published_at: Option<String>,
    /// The end of the delay of a delayed commit.
    pub waiting_until: Option<String>,
}

impl From<&OfferedUpdate> for UpdateView {
    fn from(update: &OfferedUpdate) -> Self {
        Self {
            model: update.model.to_string(),
            commit: update.commit.to_string(),
            old_commit: update.old_commit.as_ref().map(ToString::to_string),
            state: update.state().as_str(),
            findings: update.findings.iter().map(FindingView::from).collect(),
            found_at: render_utc(update.found_at),
            decision: update.decision.as_str(),
            decided_at: time(update.decided_at),
            note: update.note.clone(),
            published_at: time(update.published_at),
            waiting_until: time(update.waits_until),
        }
    }
}

/// A file that differs between two commits.
#[derive(Debug, Serialize)]
pub struct FileDifferenceView {
    pub path: String,
    pub change: &'static str,
    pub old_bytes: Option<u64>,
    pub new_bytes: Option<u64>,
}

impl From<&FileDifference> for FileDifferenceView {
    fn from(file: &FileDifference) -> Self {
        Self {
            path: file.path.to_string(),
            change: file.change.as_str(),
            old_bytes: file.old_bytes,
            new_bytes: file.new_bytes,
        }
    }
}
