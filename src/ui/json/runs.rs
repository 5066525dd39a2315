//! What one process did, as programs read it.

use serde::Serialize;
use serde_json::{Value, json};

use super::{SessionView, document, time};
use crate::domain::alert::RunFacts as SkippedRun;
use crate::domain::outcome::{ExitStatus, Outcome, RunOutcome, Trigger};
use crate::domain::run::{Run, RunEnd, RunId};
use crate::domain::schedule::Unusable;
use crate::domain::session::Session;
use crate::domain::time::{Timestamp, render_utc};

/// What `hfdl.run/1` tells, whether the run has just ended or is looked up
/// months later.
#[derive(Clone, Copy, Debug)]
pub struct RunFacts<'a> {
    pub id: &'a RunId,
    pub trigger: Trigger,
    pub started_at: Timestamp,
    /// `None` while the run is in progress.
    pub end: Option<RunEnd>,
    /// How many models were due.
    pub n_due: u64,
    /// Models that were due and have no session, each with the reason.
    pub left_out: &'a [(String, String)],
    /// Schedules that could not be followed.
    pub unusable: &'a [Unusable],
    pub sessions: &'a [Session],
}

impl<'a> RunFacts<'a> {
    pub fn of(run: &'a Run, sessions: &'a [Session]) -> Self {
        Self {
            id: &run.id,
            trigger: run.start.trigger,
            started_at: run.start.at,
            end: run.end,
            n_due: run.totals.n_due,
            left_out: &[],
            unusable: &[],
            sessions,
        }
    }
}

/// Renders a run with its sessions: `hfdl.run/1`.
pub fn run(facts: &RunFacts<'_>) -> Value {
    let end = facts.end;
    let sessions = facts.sessions.iter();
    let sessions: Vec<Value> = sessions
        .map(|session| document("hfdl.session/1", SessionView::from(session)))
        .collect();
    let left_out = facts.left_out.iter();
    let left_out = left_out.map(|(model, reason)| skipped_model(model, Some(reason)));
    let skipped = facts.sessions.iter().filter_map(skipped);
    let skipped = skipped
        .chain(left_out)
        .chain(skipped_schedules(facts.unusable));
    let skipped: Vec<Value> = skipped.collect();
    document(
        "hfdl.run/1",
        json!({
            "run_id": facts.id.as_str(),
            "trigger": facts.trigger.as_str(),
            "outcome": end.map(|end| end.outcome.as_str()),
            "exit_code": end.and_then(|end| end.exit_code),
            "started_at": render_utc(facts.started_at),
            "finished_at": time(end.map(|end| end.at)),
            "due": facts.n_due,
            "skipped": skipped,
            "sessions": sessions,
        }),
    )
}

/// Renders a run that did not take place, in the form of one that did. The id
/// is null only where no run was written down.
pub fn skipped_run(
    trigger: Trigger,
    run: Option<&SkippedRun>,
    outcome: RunOutcome,
    status: ExitStatus,
    skipped: Vec<Value>,
) -> Value {
    document(
        "hfdl.run/1",
        json!({
            "run_id": run.map(|run| run.run_id.as_str()),
            "trigger": trigger.as_str(),
            "outcome": outcome.as_str(),
            "exit_code": status.code(),
            "started_at": time(run.map(|run| run.started_at)),
            "finished_at": time(run.map(|run| run.finished_at)),
            "due": 0,
            "skipped": skipped,
            "sessions": [],
        }),
    )
}

/// Names a model that was left out, and why.
fn skipped(session: &Session) -> Option<Value> {
    let end = session.end.as_ref()?;
    let reason = end.trouble.as_ref().map(|trouble| trouble.message.clone());
    let name = session.start.label();
    (end.outcome == Outcome::Skipped).then(|| skipped_model(&name, reason.as_deref()))
}

fn skipped_model(name: &str, reason: Option<&str>) -> Value {
    json!({"model": name, "schedule": null, "reason": reason})
}

/// Names schedules that were left out with all that they cover, and why.
pub fn skipped_schedules(unusable: &[Unusable]) -> impl Iterator<Item = Value> {
    let named = |one: &Unusable| json!({"model": null, "schedule": one.name, "reason": one.why});
    unusable.iter().map(named)
}

/// A run in a list: who it was and what it came to, without its sessions.
#[derive(Debug, Serialize)]
pub struct RunSummaryView {
    pub run_id: String,
    pub command: &'static str,
    pub trigger: &'static str,
    pub outcome: Option<&'static str>,
    pub exit_code: Option<u8>,
    pub started_at: String,
    pub finished_at: Option<String>,
    pub heartbeat_at: String,
    pub stop_requested_at: Option<String>,
    pub host: String,
    pub pid: u32,
    pub version: String,
    pub due: u64,
    pub totals: Value,
}

impl From<&Run> for RunSummaryView {
    fn from(run: &Run) -> Self {
        let (start, totals) = (&run.start, run.totals);
        Self {
            run_id: run.id.to_string(),
            command: start.command.as_str(),
            trigger: start.trigger.as_str(),
            outcome: run.end.map(|end| end.outcome.as_str()),
            exit_code: run.end.and_then(|end| end.exit_code),
            started_at: render_utc(start.at),
            finished_at: time(run.end.map(|end| end.at)),
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
