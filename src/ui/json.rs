//! The documents that programs read: stable names, a `schema` in each.
//!
//! These structs are the contract. Fields are added, never renamed or
//! dropped; a change of meaning gets a new schema number.

use serde::Serialize;
use serde_json::{Value, json};

use crate::domain::model::{Destination, Model};
use crate::domain::outcome::ExitStatus;
use crate::domain::schedule::{CatchUp, Schedule};
use crate::domain::session::Session;
use crate::domain::settings::{Origin, SettingKey, Settings};
use crate::domain::time::{Timestamp, render_utc};

/// Renders a document for stdout: indented, with a final newline.
pub fn render(document: &Value) -> String {
    let mut text = format!("{document:#}");
    text.push('\n');
    text
}

/// Renders a document as one line, for streams.
pub fn line(document: &Value) -> String {
    document.to_string()
}

/// Puts the schema's name in front of a document's fields.
pub fn document(schema: &str, body: impl Serialize) -> Value {
    let mut object = serde_json::Map::from_iter([("schema".to_owned(), json!(schema))]);
    // The structs of this file serialise to objects with text keys, which cannot fail.
    if let Ok(Value::Object(fields)) = serde_json::to_value(body) {
        object.extend(fields);
    }
    Value::Object(object)
}

/// An error on stderr when the diary is JSON.
pub fn error(headline: &str, cause: Option<&str>, next: Option<&str>, status: ExitStatus) -> Value {
    document(
        "hfdl.error/1",
        json!({"level": "error", "message": headline, "cause": cause, "hint": next, "exit": status.word(), "exit_code": status.code()}),
    )
}

fn time(at: Option<Timestamp>) -> Option<String> {
    at.map(render_utc)
}

/// A registered model.
#[derive(Debug, Serialize)]
pub struct ModelView {
    pub name: String,
    pub repo: String,
    pub repo_type: &'static str,
    pub repo_id: String,
    pub revision: String,
    pub include: Option<Vec<String>>,
    pub exclude: Vec<String>,
    pub to: String,
    pub tags: Vec<String>,
    pub priority: u8,
    pub keep_revisions: Option<u32>,
    pub enabled: bool,
    pub state: &'static str,
    pub upstream_state: &'static str,
    pub held_commit: Option<String>,
    pub published_commit: Option<String>,
    pub published_at: Option<String>,
    pub last_check_at: Option<String>,
    pub last_success_at: Option<String>,
    pub last_change_at: Option<String>,
    pub consecutive_failures: u32,
    pub created_at: String,
    pub updated_at: String,
}

impl From<&Model> for ModelView {
    fn from(model: &Model) -> Self {
        let (spec, state) = (&model.spec, &model.state);
        Self {
            name: spec.name.to_string(),
            repo: spec.repo.to_string(),
            repo_type: spec.repo.kind.as_str(),
            repo_id: spec.repo.id.to_string(),
            revision: spec.revision.to_string(),
            include: spec.filter.include.clone(),
            exclude: spec.filter.exclude.clone(),
            to: destination(&spec.destination),
            tags: spec.tags.iter().map(ToString::to_string).collect(),
            priority: spec.priority.get(),
            keep_revisions: spec.keep_revisions,
            enabled: spec.enabled,
            state: model.summary().as_str(),
            upstream_state: state.upstream_state.as_str(),
            held_commit: state.held_commit.as_ref().map(ToString::to_string),
            published_commit: state.published_commit.as_ref().map(ToString::to_string),
            published_at: time(state.published_at),
            last_check_at: time(state.last_check_at),
            last_success_at: time(state.last_success_at),
            last_change_at: time(state.last_change_at),
            consecutive_failures: state.consecutive_failures,
            created_at: render_utc(model.created_at),
            updated_at: render_utc(model.updated_at),
        }
    }
}

/// Writes a destination as `--to` takes it.
pub fn destination(destination: &Destination) -> String {
    match destination {
        Destination::Cache => "cache".to_owned(),
        Destination::Directory(path) => path.display().to_string(),
    }
}

/// A registered schedule.
#[derive(Debug, Serialize)]
pub struct ScheduleView {
    pub name: String,
    pub cadence: &'static str,
    pub when: String,
    pub time_zone: String,
    pub all: bool,
    pub models: Vec<String>,
    pub tags: Vec<String>,
    pub windows: Vec<String>,
    pub catch_up: &'static str,
    pub catch_up_within: Option<String>,
    pub jitter: String,
    pub limit_rate: Option<String>,
    pub max_duration: Option<String>,
    pub max_transfer: Option<String>,
    pub priority: u8,
    pub enabled: bool,
    pub anchor_at: String,
    pub not_before_at: String,
    pub next_due_at: Option<String>,
    pub last_slot_at: Option<String>,
    pub open_slot_at: Option<String>,
    pub retry_at: Option<String>,
    pub retry_count: u32,
    pub created_at: String,
    pub updated_at: String,
}

impl From<&Schedule> for ScheduleView {
    fn from(schedule: &Schedule) -> Self {
        let (spec, state) = (&schedule.spec, &schedule.state);
        let (catch_up, within) = match spec.catch_up {
            CatchUp::Once { within } => ("once", within),
            CatchUp::Skip => ("skip", None),
        };
        Self {
            name: spec.name.to_string(),
            cadence: spec.cadence.kind().as_str(),
            when: spec.cadence.spec(),
            time_zone: spec.time_zone.clone(),
            all: spec.selection.all,
            models: spec
                .selection
                .models
                .iter()
                .map(ToString::to_string)
                .collect(),
            tags: spec
                .selection
                .tags
                .iter()
                .map(ToString::to_string)
                .collect(),
            windows: spec.windows.texts(),
            catch_up,
            catch_up_within: within.map(|span| span.to_string()),
            jitter: spec.jitter.to_string(),
            limit_rate: spec.limit_rate.as_ref().map(ToString::to_string),
            max_duration: spec.max_duration.map(|span| span.to_string()),
            max_transfer: spec.max_transfer.map(|size| size.to_string()),
            priority: spec.priority.get(),
            enabled: spec.enabled,
            anchor_at: render_utc(state.anchor_at),
            not_before_at: render_utc(state.not_before_at),
            next_due_at: time(state.next_due_at),
            last_slot_at: time(state.last_slot_at),
            open_slot_at: time(state.open_slot_at),
            retry_at: time(state.retry_at),
            retry_count: state.retry_count,
            created_at: render_utc(schedule.created_at),
            updated_at: render_utc(schedule.updated_at),
        }
    }
}

/// A setting with its value and where that came from; of a secret value, only
/// what may be shown.
#[derive(Debug, Serialize)]
pub struct SettingView {
    pub key: &'static str,
    pub value: Option<String>,
    pub default: Option<&'static str>,
    pub origin: &'static str,
    pub variable: Option<String>,
    pub help: &'static str,
}

impl SettingView {
    pub fn new(key: SettingKey, settings: &Settings) -> Self {
        let found = settings.get(key);
        let (origin, variable) = match found.map(|(_, origin)| origin) {
            Some(Origin::Flag) => ("flag", None),
            Some(Origin::Environment(name)) => ("environment", Some(name.clone())),
            Some(Origin::Saved) => ("saved", None),
            Some(Origin::Default) | None => ("default", None),
        };
        let spec = key.spec();
        Self {
            key: key.as_str(),
            value: found.map(|(value, _)| key.shown(&value.to_string())),
            default: spec.default,
            origin,
            variable,
            help: spec.help,
        }
    }
}

/// A session in a list.
#[derive(Debug, Serialize)]
pub struct SessionView {
    pub session_id: i64,
    pub run_id: String,
    pub model: Option<String>,
    pub repo: String,
    pub repo_type: &'static str,
    pub revision: String,
    pub schedule: Option<String>,
    pub trigger: &'static str,
    pub outcome: Option<&'static str>,
    pub error_kind: Option<&'static str>,
    pub error: Option<String>,
    pub hint: Option<String>,
    pub old_commit: Option<String>,
    pub new_commit: Option<String>,
    pub path: Option<String>,
    pub files: Value,
    pub bytes: Value,
    pub retries: u32,
    pub started_at: String,
    pub finished_at: Option<String>,
}

impl From<&Session> for SessionView {
    fn from(session: &Session) -> Self {
        let (start, progress, end) = (&session.start, &session.progress, session.end.as_ref());
        let trouble = end.and_then(|end| end.trouble.as_ref());
        let (files, bytes) = (progress.files, progress.bytes);
        Self {
            session_id: session.id.0,
            run_id: start.run_id.to_string(),
            model: start.model_name.as_ref().map(ToString::to_string),
            repo: start.repo.to_string(),
            repo_type: start.repo.kind.as_str(),
            revision: start.revision.to_string(),
            schedule: start.schedule_name.as_ref().map(ToString::to_string),
            trigger: start.trigger.as_str(),
            outcome: end.map(|end| end.outcome.as_str()),
            error_kind: trouble.map(|trouble| trouble.kind.as_str()),
            error: trouble.map(|trouble| trouble.message.clone()),
            hint: trouble.and_then(|trouble| trouble.hint.clone()),
            old_commit: start.old_commit.as_ref().map(ToString::to_string),
            new_commit: progress.new_commit.as_ref().map(ToString::to_string),
            path: progress
                .path
                .as_ref()
                .map(|path| path.display().to_string()),
            files: json!({"total": files.total, "fetched": files.fetched, "reused": files.reused, "deleted": files.deleted}),
            bytes: json!({"total": bytes.total, "fetched": bytes.fetched, "reused": bytes.reused, "left": bytes.left}),
            retries: progress.retries,
            started_at: render_utc(start.at),
            finished_at: end.map(|end| render_utc(end.at)),
        }
    }
}
