//! Hooks: a program of the user's is started with facts, and without secrets.

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

/// The exit code by which a hook says that there was nothing for it to do, as
/// for borgmatic.
const LEAVE_OUT: i32 = 75;

/// What is kept of what a hook prints.
const MOST_OUTPUT_BYTES: usize = 16 << 10;

/// As much of a text as goes into a variable; the facts on stdin are whole.
const MOST_VARIABLE_CHARS: usize = 4_096;

/// The variable by which a hook's own `hfdl` knows what it is part of.
pub const EVENT_VARIABLE: &str = "HFDL_EVENT";

/// One call of a hook, before it is known whether there is a program for it.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    pub event: HookEvent,
    pub reason: Reason,
    pub run: &'a RunFacts,
    /// `None` where the whole run is meant.
    pub session: Option<&'a Session>,
    pub failing: Option<Failing>,
}

/// How hooks are run.
#[derive(Clone, Debug)]
pub struct Manner {
    /// The state directory: theirs to be in, and that of an `hfdl` they start.
    pub home: PathBuf,
    pub timeout: Duration,
    /// Ends the hook that runs when it is raised.
    pub stop: StopFlag,
}

/// What became of a hook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    Done,
    /// It had nothing to do, and said so.
    LeftOut,
    /// Why it did not do its work.
    Failed(String),
}

/// Runs a hook to its end; returns what became of it and what it printed.
pub fn run(program: &Path, argv: &Argv, call: &Call<'_>, manner: &Manner) -> (Answer, String) {
    let facts = facts(call, &manner.home).into_iter();
    let errand = ChildCommand {
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
    match child::run(errand) {
        Ok(returned) => (answer(&returned, manner.timeout), printed(&returned)),
        Err(err) => (
            Answer::Failed(format!("it cannot be started: {err}")),
            String::new(),
        ),
    }
}

fn answer(returned: &ChildOutput, timeout: Duration) -> Answer {
    match returned.ended {
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

fn printed(returned: &ChildOutput) -> String {
    let mut text = returned.text().trim_end().to_owned();
    if returned.is_cut {
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
            let returned = ChildOutput {
                ended,
                pieces: Vec::new(),
                is_cut: false,
            };
            super::answer(&returned, Duration::from_secs(60))
        };
        assert_eq!(answer(Ended::Code(0)), Answer::Done);
        assert_eq!(answer(Ended::Code(75)), Answer::LeftOut);
        for bad in [Ended::Code(1), Ended::Signal(Some(9)), Ended::TimedOut] {
            assert!(matches!(answer(bad), Answer::Failed(_)));
        }
    }
}
