//! The document on the stdin of a hook: `hfdl.hook/1`.

use serde::Serialize;
use serde_json::Value;

use super::document::document;
use super::model::FindingView;
use super::{ChangeNoteView, MovedRefView, RunResult, SessionView};
use crate::domain::alert::{Failing, HookCall};
use crate::domain::hold::Hold;
use crate::domain::session::Session;
use crate::domain::time::render_utc;

/// Fields of `hfdl.session/1` that hooks do not get.
const LEFT_OUT: [&str; 5] = [
    "run_id",
    "slot_at",
    "trigger",
    "verify_outcome",
    "reused_from",
];

/// A hook gets so many commits and files of a change note.
const MOST_CHANGES: usize = 25;

#[derive(Serialize)]
struct HookView {
    event: &'static str,
    reason: &'static str,
    run: HookRunView,
    /// The session of the event; null if the event is about the whole run.
    session: Option<Value>,
    failing: Option<FailingView>,
    /// The ref of the session's model, if it was found away from the published commit.
    moved_ref: Option<MovedRefView>,
    /// The update of the session's model that is held, with its findings.
    hold: Option<HoldView>,
    /// All sessions of the run.
    sessions: Vec<Value>,
    /// The changes of the update that is published or held; null for other events.
    change_note: Option<ChangeNoteView>,
}

#[derive(Serialize)]
struct HookRunView {
    run_id: String,
    command: &'static str,
    #[serde(flatten)]
    result: RunResult,
}

#[derive(Serialize)]
struct FailingView {
    kind: &'static str,
    since: String,
    failures: u32,
    n_failures: u32,
}

/// Renders the document of a hook as one line, with a newline.
pub fn hook_line(call: &HookCall<'_>) -> String {
    format!("{}\n", document("hfdl.hook/1", HookView::from(call)))
}

impl From<&HookCall<'_>> for HookView {
    fn from(call: &HookCall<'_>) -> Self {
        let run = call.run;
        Self {
            event: call.event.as_str(),
            reason: call.reason.as_str(),
            run: HookRunView {
                run_id: run.run_id.to_string(),
                command: run.command.as_str(),
                result: RunResult::from(run),
            },
            session: call.session.map(session_view),
            failing: call.failing.map(FailingView::from),
            moved_ref: (call.session)
                .and_then(|session| run.moved_refs.get(&session.id))
                .map(MovedRefView::from),
            hold: (call.session)
                .and_then(|session| run.holds.get(&session.id))
                .map(HoldView::from),
            sessions: run.sessions.iter().map(session_view).collect(),
            change_note: call
                .note
                .map(|note| ChangeNoteView::new(note, MOST_CHANGES)),
        }
    }
}

#[derive(Serialize)]
struct HoldView {
    commit: String,
    findings: Vec<FindingView>,
}

impl From<&Hold> for HoldView {
    fn from(hold: &Hold) -> Self {
        Self {
            commit: hold.commit.to_string(),
            findings: hold.findings.iter().map(FindingView::from).collect(),
        }
    }
}

impl From<Failing> for FailingView {
    fn from(failing: Failing) -> Self {
        Self {
            kind: failing.kind.as_str(),
            since: render_utc(failing.since),
            failures: failing.n_failures,
            n_failures: failing.n_failures,
        }
    }
}

fn session_view(session: &Session) -> Value {
    let mut view = serde_json::to_value(SessionView::from(session)).unwrap_or_default();
    if let Value::Object(fields) = &mut view {
        for name in LEFT_OUT {
            // The other fields keep their order.
            fields.shift_remove(name);
        }
    }
    view
}
