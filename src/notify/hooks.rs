//! Hooks: programs of the user. They get facts about a run, and no secrets.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::domain::alert::HookCall;
use crate::domain::argv::Argv;
use crate::domain::hold::Hold;
use crate::domain::session::Session;
use crate::domain::time::{Timestamp, render_utc};
use crate::json::hook_line;
use crate::sys::child::{self, ChildCommand, ChildOutput, Ended, Pipes};
use crate::sys::stop::StopFlag;

/// Exit code of a hook that had nothing to do, as in borgmatic.
pub(super) const LEAVE_OUT: i32 = 75;

/// Maximum of the kept output of a hook.
const MOST_OUTPUT_BYTES: usize = 16 << 10;

/// Maximum length of a variable; the document on stdin is not cut.
const MOST_VARIABLE_CHARS: usize = 4_096;

/// The variable by which an `hfdl` that a hook starts knows that it runs in a hook.
pub const EVENT_VARIABLE: &str = "HFDL_EVENT";
pub const RUN_VARIABLE: &str = "HFDL_RUN_ID";

/// The variables of hooks, each with its meaning; the manual has the same list. One
/// without a value is not set.
#[rustfmt::skip]
pub const VARIABLES: &[(&str, &str)] = &[
    (EVENT_VARIABLE, "The event: `on_update`, `on_failure`, `on_recovery`, `on_hold`, `on_ref_moved`, `on_skip` or `finally`; of the gate `gate`."),
    ("HFDL_REASON", "The reason of the call, such as `published`, `began` or `reminder`."),
    ("HFDL_HOME", "The directory of the database, the logs and the lock."),
    (RUN_VARIABLE, "The id of the run."),
    ("HFDL_TRIGGER", "The starter of the run: `timer`, `ci` or `manual`."),
    ("HFDL_EXIT_CODE", "The exit code of the run."),
    ("HFDL_OUTCOME", "The outcome of the session; for events of the whole run, that of the run."),
    ("HFDL_DURATION_SECONDS", "The duration of the session; for events of the whole run, that of the run."),
    ("HFDL_MODEL", "The name of the model; of an unregistered repository, the repository."),
    ("HFDL_REPO", "The repository, with the prefix of its type."),
    ("HFDL_REVISION", "The revision that the model follows."),
    ("HFDL_SCHEDULE", "The schedule that made the model due."),
    ("HFDL_OLD_COMMIT", "The commit that was published before."),
    ("HFDL_NEW_COMMIT", "The commit that the session worked on."),
    ("HFDL_PATH", "The folder with the files."),
    ("HFDL_BYTES", "The number of bytes that were fetched."),
    ("HFDL_ERROR", "The error in words."),
    ("HFDL_ERROR_KIND", "The kind of error, such as `network` or `auth`."),
    ("HFDL_HINT", "The next step, where there is a sure one."),
    ("HFDL_FINDINGS", "The reasons for which an update is held, separated by commas."),
    ("HFDL_FAILURES", "The number of failures in a row."),
    ("HFDL_FAILING_SINCE", "The time of the first of them."),
];

/// Options of all hooks of a run.
#[derive(Clone, Debug)]
pub struct HookOptions {
    /// The home of hfdl: their working directory, and the home of an `hfdl` they start.
    pub home: PathBuf,
    pub timeout: Duration,
    /// Ends the running hook when raised.
    pub stop: StopFlag,
}

/// The result of a hook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HookResult {
    Done,
    /// The hook exited with 75: it had nothing to do.
    LeftOut,
    /// The reason of the failure.
    Failed(String),
}

/// Runs a hook to its end; returns its result and its output.
pub fn run(
    program: &Path,
    argv: &Argv,
    call: &HookCall<'_>,
    options: &HookOptions,
) -> (HookResult, String) {
    let facts = facts(call, &options.home);
    match run_program((program, argv), facts, hook_line(call), options) {
        Ok(output) => (result_of(&output, options.timeout), printed(&output)),
        Err(err) => (
            HookResult::Failed(format!("it cannot be started: {err}")),
            String::new(),
        ),
    }
}

/// Runs a program of the user with facts in its environment and on its stdin.
pub(super) fn run_program(
    (program, argv): (&Path, &Argv),
    facts: Vec<(&'static str, Option<String>)>,
    stdin: String,
    options: &HookOptions,
) -> io::Result<ChildOutput> {
    let facts = facts.into_iter();
    child::run(ChildCommand {
        program: program.as_os_str(),
        arguments: argv.arguments().iter().map(OsStr::new).collect(),
        variables: facts
            .map(|(name, value)| (name, value.map(|value| sendable(&value))))
            .collect(),
        directory: Some(&options.home),
        stdin: Some(stdin.into_bytes()),
        timeout: options.timeout,
        stop: options.stop.clone(),
        most_output_bytes: MOST_OUTPUT_BYTES,
        pipes: Pipes::MayStayOpen,
    })
}

fn result_of(output: &ChildOutput, timeout: Duration) -> HookResult {
    match output.ended {
        Ended::Code(0) => HookResult::Done,
        Ended::Code(LEAVE_OUT) => HookResult::LeftOut,
        ref ended => HookResult::Failed(end_words(ended, timeout)),
    }
}

/// Says how a program ended that has failed.
pub(super) fn end_words(ended: &Ended, timeout: Duration) -> String {
    match ended {
        Ended::Code(code) => format!("it ended with code {code}"),
        Ended::Signal(Some(signal)) => format!("signal {signal} ended it"),
        Ended::Signal(None) => "it was ended".to_owned(),
        Ended::Stopped => "hfdl was asked to end, and ended it".to_owned(),
        Ended::TimedOut => {
            let seconds = timeout.as_secs();
            format!("it took longer than {seconds} s and was ended")
        }
    }
}

fn printed(output: &ChildOutput) -> String {
    let mut text = output.text().trim_end().to_owned();
    if output.is_cut {
        text.push_str(" […]");
    }
    text
}

/// Removes control characters from a line that a program has printed.
pub fn plain(line: &str) -> String {
    let plain = line.chars().filter(|c| !c.is_control() || *c == '\t');
    plain.collect()
}

/// Returns the variables of a hook. A variable without a value is removed from the
/// environment of the hook.
fn facts(call: &HookCall<'_>, home: &Path) -> Vec<(&'static str, Option<String>)> {
    let run = call.run;
    let mut facts = vec![
        (EVENT_VARIABLE, Some(call.event.to_string())),
        ("HFDL_REASON", Some(call.reason.to_string())),
        ("HFDL_HOME", Some(home.display().to_string())),
        (RUN_VARIABLE, Some(run.run_id.to_string())),
        ("HFDL_TRIGGER", Some(run.trigger.to_string())),
        ("HFDL_EXIT_CODE", Some(run.status.code().to_string())),
    ];
    let failing = call.failing;
    facts.extend(session_facts(call));
    let hold = call.session.and_then(|session| run.holds.get(&session.id));
    facts.push(("HFDL_FINDINGS", hold.map(Hold::reasons)));
    facts.extend([
        (
            "HFDL_FAILURES",
            failing.map(|failing| failing.n_failures.to_string()),
        ),
        (
            "HFDL_FAILING_SINCE",
            failing.map(|failing| render_utc(failing.since)),
        ),
    ]);
    facts
}

/// Returns the variables about a session. Outcome and duration are those of the run
/// if the event is about the whole run.
fn session_facts(call: &HookCall<'_>) -> [(&'static str, Option<String>); 13] {
    fn text(value: Option<impl ToString>) -> Option<String> {
        value.map(|value| value.to_string())
    }
    let (run, session) = (call.run, call.session);
    let start = session.map(|session| &session.start);
    let progress = session.map(|session| &session.progress);
    let end = session.and_then(|session| session.end.as_ref());
    let trouble = end.and_then(|end| end.trouble.as_ref());
    let path = progress.and_then(|progress| progress.path.as_ref());
    let (from, to) = match (start, end) {
        (Some(start), Some(end)) => (start.at, end.at),
        _ => (run.started_at, run.finished_at),
    };
    let outcome = end.map_or(run.outcome.as_str(), |end| end.outcome.as_str());
    let schedule = start.and_then(|start| start.schedule_name.as_ref());
    let old_commit = start.and_then(|start| start.old_commit.as_ref());
    let new_commit = progress.and_then(|progress| progress.new_commit.as_ref());
    [
        ("HFDL_OUTCOME", Some(outcome.to_owned())),
        (
            "HFDL_DURATION_SECONDS",
            text(Some(seconds_between(from, to))),
        ),
        ("HFDL_MODEL", session.map(Session::label)),
        ("HFDL_REPO", text(start.map(|start| &start.repo))),
        ("HFDL_REVISION", text(start.map(|start| &start.revision))),
        ("HFDL_SCHEDULE", text(schedule)),
        ("HFDL_OLD_COMMIT", text(old_commit)),
        ("HFDL_NEW_COMMIT", text(new_commit)),
        ("HFDL_PATH", text(path.map(|path| path.display()))),
        (
            "HFDL_BYTES",
            text(progress.map(|progress| progress.bytes.fetched)),
        ),
        ("HFDL_ERROR", text(trouble.map(|trouble| &trouble.message))),
        ("HFDL_ERROR_KIND", text(trouble.map(|trouble| trouble.kind))),
        (
            "HFDL_HINT",
            trouble.and_then(|trouble| trouble.hint.clone()),
        ),
    ]
}

/// Removes NULs and cuts a text, so that it fits a variable.
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
    use crate::domain::alert::{HookEvent, NoticeReason, RunFacts};
    use crate::domain::outcome::{ExitStatus, RunOutcome, Trigger};
    use crate::domain::run::{RunCommand, RunId};

    #[test]
    fn a_hook_gets_the_variables_of_the_table() {
        let now = Timestamp::UNIX_EPOCH;
        let run = RunFacts {
            run_id: RunId::from_parts(now, 0),
            command: RunCommand::RunDue,
            trigger: Trigger::Timer,
            outcome: RunOutcome::Ok,
            status: ExitStatus::Ok,
            started_at: now,
            finished_at: now,
            sessions: Vec::new(),
            offline: Default::default(),
            moved_refs: Default::default(),
            holds: Default::default(),
            removed: Vec::new(),
            spent: Vec::new(),
            stopped: Default::default(),
        };
        let call = HookCall {
            event: HookEvent::Finally,
            reason: NoticeReason::Ended,
            run: &run,
            session: None,
            failing: None,
            note: None,
        };
        let facts = facts(&call, Path::new("home"));
        let given: Vec<&str> = facts.iter().map(|(name, _)| *name).collect();
        let table: Vec<&str> = VARIABLES.iter().map(|(name, _)| *name).collect();
        assert_eq!(given, table);
    }

    #[test]
    fn exit_codes_of_hooks_mean_done_left_out_or_failed() {
        let result = |ended| {
            let output = ChildOutput {
                ended,
                pieces: Vec::new(),
                is_cut: false,
            };
            super::result_of(&output, Duration::from_secs(60))
        };
        assert_eq!(result(Ended::Code(0)), HookResult::Done);
        assert_eq!(result(Ended::Code(75)), HookResult::LeftOut);
        for bad in [Ended::Code(1), Ended::Signal(Some(9)), Ended::TimedOut] {
            assert!(matches!(result(bad), HookResult::Failed(_)));
        }
    }
}
