//! Runs, with and without their sessions.

use serde::Serialize;
use serde_json::{Value, json};

use super::SessionView;
use super::document::{document, time};
use crate::domain::alert::RunFacts;
use crate::domain::outcome::{ExitStatus, Outcome, RunOutcome, Trigger};
use crate::domain::retention::Removal;
use crate::domain::run::{Run, RunEnd, RunId};
use crate::domain::schedule::Unusable;
use crate::domain::session::Session;
use crate::domain::time::{Timestamp, render_utc};

/// Trigger, times and end of a run: fields of every document about a run.
#[derive(Debug, Serialize)]
pub struct RunResult {
    trigger: &'static str,
    outcome: Option<&'static str>,
    exit_code: Option<u8>,
    started_at: Option<String>,
    finished_at: Option<String>,
}

impl RunResult {
    /// `end` is `None` while the run is in progress.
    pub fn new(trigger: Trigger, started_at: Timestamp, end: Option<RunEnd>) -> Self {
        Self {
            trigger: trigger.as_str(),
            outcome: end.map(|end| end.outcome.as_str()),
            exit_code: end.and_then(|end| end.exit_code),
            started_at: Some(render_utc(started_at)),
            finished_at: time(end.map(|end| end.at)),
        }
    }
}

impl From<&Run> for RunResult {
    fn from(run: &Run) -> Self {
        Self::new(run.start.trigger, run.start.at, run.end)
    }
}

impl From<&RunFacts> for RunResult {
    fn from(run: &RunFacts) -> Self {
        let end = RunEnd {
            at: run.finished_at,
            outcome: run.outcome,
            exit_code: Some(run.status.code()),
        };
        Self::new(run.trigger, run.started_at, Some(end))
    }
}

/// A run with its sessions: `hfdl.run/1`.
#[derive(Debug, Serialize)]
pub struct RunView {
    /// `None` only for a skipped run without a row in the database.
    run_id: Option<String>,
    #[serde(flatten)]
    result: RunResult,
    due: u64,
    skipped: Vec<SkippedView>,
    sessions: Vec<Value>,
    removed: Vec<RemovedView>,
}

/// A revision or leftover that was removed to make room.
#[derive(Debug, Serialize)]
struct RemovedView {
    repo: String,
    kind: &'static str,
    what: &'static str,
    id: String,
    size: u64,
}

impl From<&Removal> for RemovedView {
    fn from(item: &Removal) -> Self {
        Self {
            repo: item.repo.to_string(),
            kind: item.what.as_str(),
            what: item.what.as_str(),
            id: item.id.clone(),
            size: item.size_bytes,
        }
    }
}

impl RunView {
    /// `n_due` is the number of models that were due.
    pub fn new(id: &RunId, result: RunResult, n_due: u64, sessions: &[Session]) -> Self {
        let view = |session| document("hfdl.session/1", SessionView::from(session));
        Self {
            run_id: Some(id.to_string()),
            result,
            due: n_due,
            skipped: sessions.iter().filter_map(skipped_session).collect(),
            sessions: sessions.iter().map(view).collect(),
            removed: Vec::new(),
        }
    }

    /// Adds the removals that made room.
    pub fn with_removed(mut self, removed: &[Removal]) -> Self {
        self.removed = removed.iter().map(RemovedView::from).collect();
        self
    }

    /// Adds models that were due and have no session, each with the reason, and
    /// schedules that could not be followed.
    pub fn with_left_out(mut self, models: &[(String, String)], unusable: &[Unusable]) -> Self {
        let models = models.iter();
        let models = models.map(|(name, reason)| SkippedView::model(name, Some(reason)));
        self.skipped.extend(models);
        self.skipped.extend(skipped_schedules(unusable));
        self
    }

    pub fn document(&self) -> Value {
        document("hfdl.run/1", self)
    }
}

impl From<(&Run, &[Session])> for RunView {
    fn from((run, sessions): (&Run, &[Session])) -> Self {
        Self::new(&run.id, RunResult::from(run), run.totals.n_due, sessions)
    }
}

/// Returns the `hfdl.run/1` of a run that was skipped. `run` is `None` if the
/// database has no row for it.
pub fn skipped_run(
    trigger: Trigger,
    run: Option<&RunFacts>,
    outcome: RunOutcome,
    status: ExitStatus,
    skipped: Vec<SkippedView>,
) -> Value {
    let view = RunView {
        run_id: run.map(|run| run.run_id.to_string()),
        result: RunResult {
            trigger: trigger.as_str(),
            outcome: Some(outcome.as_str()),
            exit_code: Some(status.code()),
            started_at: time(run.map(|run| run.started_at)),
            finished_at: time(run.map(|run| run.finished_at)),
        },
        due: 0,
        skipped,
        sessions: Vec::new(),
        removed: Vec::new(),
    };
    view.document()
}

/// A model or schedule that was left out of a run, with the reason.
#[derive(Debug, Serialize)]
pub struct SkippedView {
    model: Option<String>,
    schedule: Option<String>,
    reason: Option<String>,
}

impl SkippedView {
    fn model(name: &str, reason: Option<&str>) -> Self {
        Self {
            model: Some(name.to_owned()),
            schedule: None,
            reason: reason.map(str::to_owned),
        }
    }
}

impl From<&Unusable> for SkippedView {
    fn from(schedule: &Unusable) -> Self {
        Self {
            model: None,
            schedule: Some(schedule.name.clone()),
            reason: Some(schedule.why.clone()),
        }
    }
}

fn skipped_session(session: &Session) -> Option<SkippedView> {
    let end = session.end.as_ref()?;
    let reason = end.trouble.as_ref().map(|trouble| trouble.message.as_str());
    let is_skipped = end.outcome == Outcome::Skipped;
    is_skipped.then(|| SkippedView::model(&session.start.label(), reason))
}

/// Returns the entries of schedules that could not be followed.
pub fn skipped_schedules(unusable: &[Unusable]) -> impl Iterator<Item = SkippedView> {
    unusable.iter().map(SkippedView::from)
}

/// A run without its sessions, as lists show it.
#[derive(Debug, Serialize)]
pub struct RunSummaryView {
    run_id: String,
    command: &'static str,
    #[serde(flatten)]
    result: RunResult,
    heartbeat_at: String,
    stop_requested_at: Option<String>,
    host: String,
    pid: u32,
    version: String,
    due: u64,
    totals: Value,
}

impl From<&Run> for RunSummaryView {
    fn from(run: &Run) -> Self {
        let (start, totals) = (&run.start, run.totals);
        Self {
            run_id: run.id.to_string(),
            command: start.command.as_str(),
            result: RunResult::from(run),
            heartbeat_at: render_utc(run.heartbeat_at),
            stop_requested_at: time(run.stop_requested_at),
            host: start.process.host.clone(),
            pid: start.process.pid,
            version: start.process.version.clone(),
            due: totals.n_due,
            totals: json!({
                "sessions": totals.n_sessions,
                "failed": totals.n_failed,
                "files_fetched": totals.files_fetched,
                "bytes_fetched": totals.bytes_fetched,
                "bytes_reused": totals.bytes_reused,
            }),
        }
    }
}
