//! The gate: a program of the user that checks a snapshot before it is published.
//!
//! It gets the facts and the path in its environment and a document on its stdin, like a
//! hook, and no token.

use std::path::Path;

use super::hooks::{self, EVENT_VARIABLE, HookOptions, LEAVE_OUT, RUN_VARIABLE};
use crate::domain::argv::Argv;
use crate::domain::gate::{GateAgain, GateVerdict};
use crate::json::{GateDocument, gate_line};
use crate::sys::child::{ChildOutput, Ended, Stream};
use crate::sys::process::kill_with_variables;

/// The number of lines of the gate's stderr in its finding.
const LAST_LINES: usize = 5;

/// The word in the variable with the event.
const EVENT: &str = "gate";

/// Runs the gate to its end; returns its verdict and its output.
pub fn run(
    program: &Path,
    argv: &Argv,
    document: &GateDocument,
    options: &HookOptions,
) -> (GateVerdict, String) {
    let facts = facts(document, &options.home);
    match hooks::run_program((program, argv), facts, gate_line(document), options) {
        Ok(output) => (verdict(&output, &document.path, options), output.text()),
        Err(err) => {
            let detail = format!("the gate cannot be started: {err}");
            (
                GateVerdict::held(detail, GateAgain::NextCheck),
                String::new(),
            )
        }
    }
}

/// `folder` is left out of the finding: it is gone when a person reads it.
fn verdict(output: &ChildOutput, folder: &str, options: &HookOptions) -> GateVerdict {
    let again = match output.ended {
        Ended::Code(0) => return GateVerdict::Passed,
        Ended::Code(LEAVE_OUT) => return GateVerdict::later(),
        Ended::Stopped => return GateVerdict::Stopped,
        Ended::Code(_) => GateAgain::Never,
        Ended::Signal(_) | Ended::TimedOut => GateAgain::Later,
    };
    let words = hooks::end_words(&output.ended, options.timeout);
    let lines = last_lines(output).map(|lines| lines.replace(&format!("{folder}/"), ""));
    let detail = match lines {
        Some(lines) => format!("the gate did not let it pass: {words}: {lines}"),
        None => format!("the gate did not let it pass: {words}"),
    };
    GateVerdict::held(detail, again)
}

/// Returns the last lines of stderr as one line; of stdout if stderr is empty, because
/// scanners often report there.
fn last_lines(output: &ChildOutput) -> Option<String> {
    let streams = [Stream::Err, Stream::Out].into_iter();
    let mut texts = streams.map(|stream| {
        let text = String::from_utf8_lossy(&output.of(stream)).into_owned();
        let lines = text
            .lines()
            .map(|line| hooks::plain(line).trim().to_owned());
        let lines: Vec<String> = lines.filter(|line| !line.is_empty()).collect();
        lines[lines.len().saturating_sub(LAST_LINES)..].join(" | ")
    });
    texts.find(|text| !text.is_empty())
}

/// Ends the processes that the gates of a crashed run left, and returns their number.
pub fn end_orphans(run_id: &str) -> usize {
    kill_with_variables(&[(EVENT_VARIABLE, EVENT), (RUN_VARIABLE, run_id)])
}

/// Returns the variables of the gate, under the names that hooks have.
fn facts(document: &GateDocument, home: &Path) -> Vec<(&'static str, Option<String>)> {
    vec![
        (EVENT_VARIABLE, Some(EVENT.to_owned())),
        ("HFDL_HOME", Some(home.display().to_string())),
        (RUN_VARIABLE, Some(document.run_id.clone())),
        ("HFDL_MODEL", Some(document.model.clone())),
        ("HFDL_REPO", Some(document.repo.clone())),
        ("HFDL_REVISION", Some(document.revision.clone())),
        ("HFDL_OLD_COMMIT", document.old_commit.clone()),
        ("HFDL_NEW_COMMIT", Some(document.new_commit.clone())),
        ("HFDL_PATH", Some(document.path.clone())),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::hold::HoldReason;
    use crate::sys::stop::StopFlag;
    use std::path::PathBuf;
    use std::time::Duration;

    fn judged(ended: Ended, stderr: &str) -> GateVerdict {
        let output = ChildOutput {
            ended,
            pieces: vec![(Stream::Err, stderr.as_bytes().to_vec())],
            is_cut: false,
        };
        let options = HookOptions {
            home: PathBuf::new(),
            timeout: Duration::from_secs(9),
            stop: StopFlag::new(),
        };
        verdict(&output, "/tmp/x", &options)
    }

    #[test]
    fn only_exit_code_0_lets_a_commit_pass() {
        assert_eq!(judged(Ended::Code(0), "a warning"), GateVerdict::Passed);
        assert_eq!(judged(Ended::Stopped, ""), GateVerdict::Stopped);
        for (ended, stderr, reason, detail, again) in [
            (
                Ended::Code(75),
                "x",
                HoldReason::GateLater,
                "the gate decides later",
                GateAgain::Later,
            ),
            (
                Ended::Code(1),
                "",
                HoldReason::Gate,
                "the gate did not let it pass: it ended with code 1",
                GateAgain::Never,
            ),
            (
                Ended::Code(2),
                "1\n2\n3\n\n4\u{1b}[0m\n/tmp/x/5\n 6 \n",
                HoldReason::Gate,
                "the gate did not let it pass: it ended with code 2: 2 | 3 | 4[0m | 5 | 6",
                GateAgain::Never,
            ),
            (
                Ended::Signal(Some(9)),
                "",
                HoldReason::Gate,
                "the gate did not let it pass: signal 9 ended it",
                GateAgain::Later,
            ),
            (
                Ended::TimedOut,
                "slow",
                HoldReason::Gate,
                "the gate did not let it pass: it took longer than 9 s and was ended: slow",
                GateAgain::Later,
            ),
        ] {
            let GateVerdict::Held {
                finding,
                again: found,
            } = judged(ended.clone(), stderr)
            else {
                panic!("{ended:?}");
            };
            assert_eq!(
                (finding.reason, &*finding.detail, found),
                (reason, detail, again)
            );
        }
    }
}
