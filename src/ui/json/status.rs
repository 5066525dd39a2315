//! How things stand, as programs read it.

use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use super::{PauseView, RunSummaryView, time};
use crate::domain::run::Event;
use crate::domain::status::{
    DiskFacts, ModelStatus, NextDue, RunInProgress, Status, TimerFacts, Warning, missed_ticks,
};
use crate::domain::time::{Timestamp, render_utc};

/// Renders `hfdl.status/1`.
///
/// The rate is known only to somebody who has looked before.
pub fn status(status: &Status, warnings: &[Warning], bytes_per_second: Option<u64>) -> Value {
    let mut document = head(status, warnings, bytes_per_second);
    document["warnings"] = warnings.iter().map(warning).collect();
    document["models"] = status.models.iter().map(model).collect();
    document
}

/// Renders the same as text, model by model: as one tree, ten thousand of them
/// weigh more than the run that leaves this behind.
pub fn status_text(status: &Status, warnings: &[Warning]) -> String {
    let document = Text {
        head: head(status, warnings, None),
        warnings: Each(warnings, warning),
        models: Each(&status.models, model),
    };
    // Values with text keys, which cannot fail.
    let mut text = serde_json::to_string_pretty(&document).unwrap_or_default();
    text.push('\n');
    text
}

#[derive(Serialize)]
struct Text<'a> {
    #[serde(flatten)]
    head: Value,
    warnings: Each<'a, Warning>,
    models: Each<'a, ModelStatus>,
}

/// A list of which one item at a time becomes a value.
struct Each<'a, T>(&'a [T], fn(&T) -> Value);

impl<T> Serialize for Each<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(self.1))
    }
}

/// Renders everything but the two lists that may be long.
fn head(status: &Status, warnings: &[Warning], bytes_per_second: Option<u64>) -> Value {
    json!({
        "schema": "hfdl.status/1",
        "at": render_utc(status.now),
        "home": status.home.display().to_string(),
        "set_up": status.is_set_up,
        "healthy": warnings.is_empty(),
        "timer": timer(status.timer.as_ref(), status.last_timer_tick, status.now),
        "last_timer_tick_at": time(status.last_timer_tick),
        "last_tick_at": time(status.last_tick),
        "pause": PauseView::from(status.pause.as_ref()),
        "next_due": status.next_due.iter().map(next_due).collect::<Vec<_>>(),
        "run": status.run.as_ref().map(|run| run_in_progress(run, bytes_per_second)),
        "crashed_runs": status.crashed.iter().map(RunSummaryView::from).collect::<Vec<_>>(),
        "bytes_left": status.bytes_left(),
        "leftover_bytes": status.leftover_bytes,
        "shards": status.shards.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "missed_slots": status.missed_slots.iter().map(missed_slot).collect::<Vec<_>>(),
        "asked_to_wait_until": time(status.asked_to_wait),
        "disks": status.disks.iter().map(disk).collect::<Vec<_>>(),
    })
}

fn missed_slot(event: &Event) -> Value {
    json!({"at": render_utc(event.at), "message": event.detail})
}

fn warning(warning: &Warning) -> Value {
    json!({
        "kind": warning.kind.as_str(),
        "model": warning.model.as_ref().map(ToString::to_string),
        "message": warning.message,
        "hint": warning.hint,
    })
}

fn timer(timer: Option<&TimerFacts>, last: Option<Timestamp>, now: Timestamp) -> Value {
    let installed = timer.filter(|timer| timer.installed);
    let missed = installed.map_or(0, |timer| missed_ticks(timer, last, now));
    json!({
        "installed": installed.is_some(),
        "backend": timer.map(|timer| timer.backend.clone()),
        "every": timer.map(|timer| timer.every.to_string()),
        "since": time(timer.and_then(|timer| timer.since)),
        "drift": timer.and_then(|timer| timer.drift.clone()),
        "missed_ticks": missed,
    })
}

fn next_due(due: &NextDue) -> Value {
    let planned = due.next.planned;
    json!({
        "schedule": due.schedule.as_str(),
        "state": due.next.waiting.as_str(),
        "slot": render_utc(planned.slot),
        "starts": render_utc(planned.ready),
        "window_ends": time(planned.deadline),
    })
}

fn run_in_progress(progress: &RunInProgress, bytes_per_second: Option<u64>) -> Value {
    let run = RunSummaryView::from(&progress.run);
    let bytes = progress.bytes;
    json!({
        "run_id": run.run_id,
        "command": run.command,
        "trigger": run.trigger,
        "started_at": run.started_at,
        "heartbeat_at": run.heartbeat_at,
        "stop_requested_at": run.stop_requested_at,
        "host": run.host,
        "pid": run.pid,
        "sessions": {"total": progress.n_sessions, "finished": progress.n_finished},
        "bytes": {"total": bytes.total, "fetched": bytes.fetched, "reused": bytes.reused, "left": bytes.left},
        "bytes_per_second": bytes_per_second,
    })
}

fn model(model: &ModelStatus) -> Value {
    let trouble = model.trouble.as_ref();
    json!({
        "name": model.name.as_str(),
        "state": model.summary.as_str(),
        "scheduled": model.is_scheduled,
        "last_outcome": model.last_outcome.map(|outcome| outcome.as_str()),
        "error_kind": trouble.map(|trouble| trouble.kind.as_str()),
        "error": trouble.map(|trouble| trouble.message.clone()),
        "last_check_at": time(model.last_check_at),
        "last_success_at": time(model.last_success_at),
        "last_change_at": time(model.last_change_at),
        "consecutive_failures": model.consecutive_failures,
        "bytes_left": model.bytes_left,
    })
}

fn disk(disk: &DiskFacts) -> Value {
    json!({
        "used_for": disk.used_for.as_str(),
        "path": disk.path.display().to_string(),
        "free_bytes": disk.free.bytes(),
        "reserve_bytes": disk.reserve.bytes(),
    })
}
