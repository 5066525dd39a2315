//! The document that a hook reads on stdin: `hfdl.hook/1`.
//!
//! Fields are added, never renamed or dropped. Sessions have the names of
//! `hfdl.session/1`.

use serde::Serialize;

use super::hooks::Call;
use crate::domain::alert::RunFacts;
use crate::domain::session::Session;
use crate::domain::time::render_utc;

#[derive(Serialize)]
struct Hook<'a> {
    schema: &'static str,
    event: &'static str,
    reason: &'static str,
    run: Run<'a>,
    /// The session that is meant; null where the whole run is.
    session: Option<SessionFacts>,
    failing: Option<Failing>,
    /// All sessions of the run.
    sessions: Vec<SessionFacts>,
}

#[derive(Serialize)]
struct Run<'a> {
    run_id: &'a str,
    command: &'static str,
    trigger: &'static str,
    outcome: &'static str,
    exit_code: u8,
    started_at: String,
    finished_at: String,
}

#[derive(Serialize)]
struct Failing {
    kind: &'static str,
    since: String,
    n_failures: u32,
}

#[derive(Serialize)]
struct SessionFacts {
    session_id: i64,
    model: Option<String>,
    repo: String,
    repo_type: &'static str,
    revision: String,
    schedule: Option<String>,
    outcome: Option<&'static str>,
    error_kind: Option<&'static str>,
    error: Option<String>,
    hint: Option<String>,
    old_commit: Option<String>,
    new_commit: Option<String>,
    path: Option<String>,
    files: Files,
    bytes: Bytes,
    retries: u32,
    started_at: String,
    finished_at: Option<String>,
}

#[derive(Serialize)]
struct Files {
    total: u64,
    fetched: u64,
    reused: u64,
    deleted: u64,
}

#[derive(Serialize)]
struct Bytes {
    total: u64,
    fetched: u64,
    reused: u64,
    left: u64,
}

/// Renders what a hook reads, as one line.
pub(super) fn hook(call: &Call<'_>) -> String {
    let document = Hook {
        schema: "hfdl.hook/1",
        event: call.event.as_str(),
        reason: call.reason.as_str(),
        run: Run::from(call.run),
        session: call.session.map(SessionFacts::from),
        failing: call.failing.map(|failing| Failing {
            kind: failing.kind.as_str(),
            since: render_utc(failing.since),
            n_failures: failing.n_failures,
        }),
        sessions: call.run.sessions.iter().map(SessionFacts::from).collect(),
    };
    // Structs with text keys, which cannot fail.
    let mut line = serde_json::to_string(&document).unwrap_or_default();
    line.push('\n');
    line
}

impl<'a> From<&'a RunFacts> for Run<'a> {
    fn from(run: &'a RunFacts) -> Self {
        Self {
            run_id: run.run_id.as_str(),
            command: run.command.as_str(),
            trigger: run.trigger.as_str(),
            outcome: run.outcome.as_str(),
            exit_code: run.status.code(),
            started_at: render_utc(run.started_at),
            finished_at: render_utc(run.finished_at),
        }
    }
}

impl From<&Session> for SessionFacts {
    fn from(session: &Session) -> Self {
        let (start, progress, end) = (&session.start, &session.progress, session.end.as_ref());
        let trouble = end.and_then(|end| end.trouble.as_ref());
        let (files, bytes) = (progress.files, progress.bytes);
        Self {
            session_id: session.id.0,
            model: start.model_name.as_ref().map(ToString::to_string),
            repo: start.repo.to_string(),
            repo_type: start.repo.kind.as_str(),
            revision: start.revision.to_string(),
            schedule: start.schedule_name.as_ref().map(ToString::to_string),
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
            files: Files {
                total: files.total,
                fetched: files.fetched,
                reused: files.reused,
                deleted: files.deleted,
            },
            bytes: Bytes {
                total: bytes.total,
                fetched: bytes.fetched,
                reused: bytes.reused,
                left: bytes.left,
            },
            retries: progress.retries,
            started_at: render_utc(start.at),
            finished_at: end.map(|end| render_utc(end.at)),
        }
    }
}
