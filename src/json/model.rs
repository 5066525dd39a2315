//! Registered models.

use serde::Serialize;
use serde_json::Value;

use super::document::{Each, time};
use super::fields::FieldsView;
use crate::domain::hold::{Finding, HeldUpdate};
use crate::domain::model::{Destination, Model};
use crate::domain::outcome::{Outcome, VerifyOutcome};
use crate::domain::time::render_utc;

/// A registered model.
#[derive(Debug, Serialize)]
pub struct ModelView {
    pub name: String,
    pub repo: String,
    pub repo_type: &'static str,
    pub repo_id: String,
    /// The other fields of the specification.
    #[serde(flatten)]
    pub fields: FieldsView,
    pub state: &'static str,
    pub upstream_state: &'static str,
    pub held_commit: Option<String>,
    pub held_update: Option<HeldUpdateView>,
    /// The commit that the model stays at.
    pub pinned_commit: Option<String>,
    pub pinned_by: Option<&'static str>,
    /// A newer commit that a delay keeps from being taken, and until when.
    pub waiting_commit: Option<String>,
    pub waiting_until: Option<String>,
    /// The tag of the published commit, for a model that follows tags.
    pub followed_tag: Option<String>,
    pub published_commit: Option<String>,
    pub published_at: Option<String>,
    pub last_check_at: Option<String>,
    pub last_success_at: Option<String>,
    pub last_change_at: Option<String>,
    pub last_outcome: Option<&'static str>,
    pub last_verify_at: Option<String>,
    pub last_verify_outcome: Option<&'static str>,
    pub consecutive_failures: u32,
    pub created_at: String,
    pub updated_at: String,
}

/// The document of `models list`.
#[derive(Serialize)]
struct ModelsView<'a> {
    schema: &'static str,
    models: Each<'a, SizedModel<'a>, ListedModelView>,
    totals: Value,
}

/// A model, the outcome of its last check, and its published size.
pub type SizedModel<'a> = (&'a Model, Option<Outcome>, Option<u64>);

#[derive(Serialize)]
struct ListedModelView {
    #[serde(flatten)]
    model: ModelView,
    size_bytes: Option<u64>,
}

/// Returns the document of `models list`, whose models become views one at a time.
pub fn models<'a>(models: &'a [SizedModel<'a>], totals: Value) -> impl Serialize + 'a {
    ModelsView {
        schema: "hfdl.models/1",
        models: Each(models, |(model, last, size_bytes)| ListedModelView {
            model: ModelView::new(model, *last),
            size_bytes: *size_bytes,
        }),
        totals,
    }
}

impl ModelView {
    /// `last` is the outcome of the last check.
    pub fn new(model: &Model, last: Option<Outcome>) -> Self {
        let (spec, state) = (&model.spec, &model.state);
        Self {
            name: spec.name.to_string(),
            repo: spec.repo.to_string(),
            repo_type: spec.repo.kind.as_str(),
            repo_id: spec.repo.id.to_string(),
            fields: FieldsView::new(spec),
            state: model.summary(last).as_str(),
            upstream_state: state.upstream_state.as_str(),
            held_commit: state.held_commit.as_ref().map(ToString::to_string),
            held_update: state.held_update.as_ref().map(HeldUpdateView::from),
            pinned_commit: state.pinned.as_ref().map(|pin| pin.commit.to_string()),
            pinned_by: state.pinned.as_ref().map(|pin| pin.by.as_str()),
            waiting_commit: state.wait.as_ref().map(|wait| wait.commit.to_string()),
            waiting_until: time(state.wait.as_ref().map(|wait| wait.until)),
            followed_tag: state.followed_tag().map(ToString::to_string),
            published_commit: state.published_commit.as_ref().map(ToString::to_string),
            published_at: time(state.published_at),
            last_check_at: time(state.last_check_at),
            last_success_at: time(state.last_success_at),
            last_change_at: time(state.last_change_at),
            last_outcome: last.map(Outcome::as_str),
            last_verify_at: time(state.last_verify_at),
            last_verify_outcome: state.last_verify_outcome.map(VerifyOutcome::as_str),
            consecutive_failures: state.consecutive_failures,
            created_at: render_utc(model.created_at),
            updated_at: render_utc(model.updated_at),
        }
    }
}

/// An update that waits for a person, or that a person decided about.
#[derive(Debug, Serialize)]
pub struct HeldUpdateView {
    pub commit: String,
    /// The first of the findings.
    pub reason: Option<&'static str>,
    pub accepted: bool,
    pub decision: &'static str,
    pub findings: Vec<FindingView>,
    pub found_at: String,
}

/// One reason to hold an update.
#[derive(Debug, Serialize)]
pub struct FindingView {
    pub reason: &'static str,
    pub detail: String,
}

impl From<&Finding> for FindingView {
    fn from(finding: &Finding) -> Self {
        Self {
            reason: finding.reason.as_str(),
            detail: finding.detail.clone(),
        }
    }
}

impl From<&HeldUpdate> for HeldUpdateView {
    fn from(update: &HeldUpdate) -> Self {
        Self {
            commit: update.commit.to_string(),
            reason: update.findings.first().map(|it| it.reason.as_str()),
            accepted: update.is_approved(),
            decision: update.decision.as_str(),
            findings: update.findings.iter().map(FindingView::from).collect(),
            found_at: render_utc(update.found_at),
        }
    }
}

/// Renders a destination in the form of `--to`.
pub fn destination(destination: &Destination) -> String {
    match destination {
        Destination::Cache => "cache".to_owned(),
        Destination::Directory(path) => path.display().to_string(),
    }
}
