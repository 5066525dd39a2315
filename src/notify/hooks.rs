//! Hooks: programs of the user, started with the facts of a run and without secrets.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::wire;
use crate::domain::alert::{Failing, HookEvent, Reason, RunFacts};
use crate::domain::argv::Argv;
use crate::domain::session::Session;
use crate::domain::time::{Timestamp, render_utc};
use crate::sys::child::{self, ChildCommand, ChildOutput, Ended, Pipes};
use crate::sys::stop::StopFlag;

/// The exit code of a hook that had nothing to do, as for borgmatic.
const LEAVE_OUT: i32 = 75;

/// The part of a hook's output that is kept.
const MOST_OUTPUT_BYTES: usize = 16 << 10;

/// The longest text in a variable; the facts on stdin are complete.
const MOST_VARIABLE_CHARS: usize = 4_096;

/// The variable by which an `hfdl` that a hook starts knows its event.
pub const EVENT_VARIABLE: &str = "HFDL_EVENT";

/// A call of a hook, for which there may be no program.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    pub event: HookEvent,
    pub reason: Reason,
    pub run: &'a RunFacts,
    /// `None` for an event of the whole run.
    pub session: Option<&'a Session>,
    pub failing: Option<Failing>,
}

/// The conditions of a hook's process.
#[derive(Clone, Debug)]
pub struct Manner {
    /// The home: the working directory of the hook, and the home of an `hfdl` that it starts.
    pub home: PathBuf,
    pub timeout: Duration,
    /// Ends the running hook when it is raised.
    pub stop: StopFlag,
}

/// The result of a hook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    Done,
    /// It had nothing to do.
    LeftOut,
    /// The reason of its failure.
    Failed(String),
}

/// Runs a hook to its end; returns its result and its output.
pub fn run(program: &Path, argv: &Argv, call: &Call<'_>, manner: &Manner) -> (Answer, String) {
    let facts = facts(call, &manner.home).into_iter();
    let command = ChildCommand {
        program: program.as_os_str(),
        arguments: argv.arguments().iter().map(OsStr::new).collect(),
        variables: facts
            .map(|(name, value)| (name, value.map(|value| sendable(&value))))
            .collect(),
        directory: Some(&manner.home),
        stdin: Some(wire::hook(call).into_bytes()),
        timeout: manner.timeout,
        stop: manner.stop.clone(),
        most_output_bytes: MOST_OUTPUT_BYTES,
        pipes: Pipes::MayStayOpen,
    };
    match child::run(command) {
        Ok(output) => (answer(&output, manner.timeout), printed(&output)),
        Err(err) => (
            Answer::Failed(format!("it cannot be started: {err}")),
            String::new(),
        ),
    }
}

fn answer(output: &ChildOutput, timeout: Duration) -> Answer {
    match output.ended {
        Ended::Code(0) => Answer::Done,
        Ended::Code(LEAVE_OUT) => Answer::LeftOut,
        Ended::Code(code) => Answer::Failed(format!("it ended with code {code}")),
        Ended::Signal(Some(signal)) => Answer::Failed(format!("signal {signal} ended it")),
        Ended::Signal(None) => Answer::Failed("it was ended".to_owned()),
        Ended::Stopped => Answer::Failed("hfdl was asked to end, and ended it".to_owned()),
        Ended::TimedOut => Answer::Failed(format!(
            "it took longer than {} s and was ended",
            timeout.as_secs()
        )),
    }
}

fn printed(output: &ChildOutput) -> String {
    let mut text = output.text().trim_end().to_owned();
    if output.is_cut {
        text.push_str(" […]");
    }
    text
}

/// Returns the variables that a hook gets. One without a value must not come from
/// our own environment either.
fn facts(call: &Call<'_>, home: &Path) -> Vec<(&'static str, Option<String>)> {
    let (run, session) = (call.run, call.session);
    let end = session.and_then(|session| session.end.as_ref());
    let trouble = end.and_then(|end| end.trouble.as_ref());
    let progress = session.map(|session| &session.progress);
    let start = session.map(|session| &session.start);
    let (from, to) = match (start, end) {
        (Some(start), Some(end)) => (start.at, end.at),
        _ => (run.started_at, run.finished_at),
    };
    let outcome = end.map_or(run.outcome.as_str(), |end| end.outcome.as_str());
    vec![
        (EVENT_VARIABLE, Some(call.event.to_string())),
        ("HFDL_REASON", Some(call.reason.to_string())),
        ("HFDL_HOME", Some(home.display().to_string())),
        ("HFDL_RUN_ID", Some(run.run_id.to_string())),
        ("HFDL_TRIGGER", Some(run.trigger.to_string())),
        ("HFDL_EXIT_CODE", Some(run.status.code().to_string())),
        ("HFDL_OUTCOME", Some(outcome.to_owned())),
        (
            "HFDL_DURATION_SECONDS",
            Some(seconds_between(from, to).to_string()),
        ),
        ("HFDL_MODEL", session.map(Session::label)),
        ("HFDL_REPO", start.map(|start| start.repo.to_string())),
        (
            "HFDL_REVISION",
            start.map(|start| start.revision.to_string()),
        ),
        (
            "HFDL_SCHEDULE",
            start.and_then(|start| Some(start.schedule_name.as_ref()?.to_string())),
        ),
        (
            "HFDL_OLD_COMMIT",
            start.and_then(|start| Some(start.old_commit.as_ref()?.to_string())),
        ),
        (
            "HFDL_NEW_COMMIT",
            progress.and_then(|progress| Some(progress.new_commit.as_ref()?.to_string())),
        ),
        (
            "HFDL_PATH",
            progress.and_then(|progress| Some(progress.path.as_ref()?.display().to_string())),
        ),
        (
            "HFDL_BYTES",
            progress.map(|progress| progress.bytes.fetched.to_string()),
        ),
        ("HFDL_ERROR", trouble.map(|trouble| trouble.message.clone())),
        (
            "HFDL_ERROR_KIND",
            trouble.map(|trouble| trouble.kind.to_string()),
        ),
        (
            "HFDL_HINT",
            trouble.and_then(|trouble| trouble.hint.clone()),
        ),
        (
            "HFDL_FAILURES",
            call.failing.map(|failing| failing.n_failures.to_string()),
        ),
        (
            "HFDL_FAILING_SINCE",
            call.failing.map(|failing| render_utc(failing.since)),
        ),
    ]
}

/// Makes a text fit for a variable.
fn sendable(text: &str) -> String {
    let kept = text.chars().filter(|c| *c != '\0');
    kept.take(MOST_VARIABLE_CHARS).collect()
}

fn seconds_between(from: Timestamp, to: Timestamp) -> i64 {
    (to.as_second() - from.as_second()).max(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_of_hooks_mean_done_nothing_to_do_or_failed() {
        let answer = |ended| {
            let output = ChildOutput {
                ended,
                pieces: Vec::new(),
                is_cut: false,
            };
            super::answer(&output, Duration::from_secs(60))
        };
        assert_eq!(answer(Ended::Code(0)), Answer::Done);
        assert_eq!(answer(Ended::Code(75)), Answer::LeftOut);
        for bad in [Ended::Code(1), Ended::Signal(Some(9)), Ended::TimedOut] {
            assert!(matches!(answer(bad), Answer::Failed(_)));
        }
    }
}
