//! The gate: a program of the user that checks each new commit before it is published.
//!
//! Exit code 0 publishes the commit. A held commit is not checked at each tick: its
//! record has the time of the next check.

use super::hold::{Finding, HoldReason};
use super::time::{Timestamp, believed_wait};
use super::units::Seconds;

/// The time after which the gate looks again at a commit about which it said nothing
/// final. It is shorter than a day, so that a daily check always finds it over.
const AGAIN_AFTER: Seconds = Seconds(20 * 3_600);

/// The result of the gate for one commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GateVerdict {
    Passed,
    /// The gate holds the commit.
    Held {
        finding: Finding,
        again: GateAgain,
    },
    /// The run was asked to end, and the gate was ended.
    Stopped,
}

/// When the gate looks again at the same commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GateAgain {
    /// After a decision of a person, or with another command.
    Never,
    /// The gate did not come to an end: about a day later.
    Later,
    /// The gate could not be started.
    NextCheck,
}

impl GateVerdict {
    /// Describes a gate that did not let a commit pass.
    pub fn held(detail: String, again: GateAgain) -> Self {
        let reason = HoldReason::Gate;
        let finding = Finding { reason, detail };
        Self::Held { finding, again }
    }

    /// Describes a gate that decides later.
    pub fn later() -> Self {
        let finding = Finding {
            reason: HoldReason::GateLater,
            detail: "the gate decides later".to_owned(),
        };
        let again = GateAgain::Later;
        Self::Held { finding, again }
    }
}

/// The record of a gate that held a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GateRecord {
    /// The program with its arguments, as the setting has it.
    pub command: String,
    pub finding: Finding,
    /// When the gate looks again; `None` for never.
    pub again_at: Option<Timestamp>,
}

impl GateRecord {
    pub fn new(command: String, finding: Finding, again: GateAgain, now: Timestamp) -> Self {
        let after = |span: Seconds| now.saturating_add(span.span()).unwrap_or(now);
        Self {
            command,
            finding,
            again_at: match again {
                GateAgain::Never => None,
                GateAgain::Later => Some(after(AGAIN_AFTER)),
                GateAgain::NextCheck => Some(now),
            },
        }
    }

    /// Tells whether the record still holds the commit, without another look.
    pub fn is_valid(&self, command: &str, now: Timestamp) -> bool {
        let waits = |at| believed_wait(at, now, AGAIN_AFTER).is_some();
        self.command == command && self.again_at.is_none_or(waits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(hours: i64) -> Timestamp {
        Timestamp::from_second(1_772_000_000 + 3_600 * hours).unwrap()
    }

    #[test]
    fn a_commit_is_judged_again_when_there_is_a_reason() {
        let record = |again| {
            let GateVerdict::Held { finding, .. } = GateVerdict::later() else {
                unreachable!();
            };
            GateRecord::new("scan".to_owned(), finding, again, at(0))
        };
        for (again, hours, is_valid) in [
            (GateAgain::Never, 0, true),
            (GateAgain::Never, 24_000, true),
            (GateAgain::Later, 0, true),
            (GateAgain::Later, 19, true),
            (GateAgain::Later, 20, false),
            // The clock went back: the time of the next look means nothing.
            (GateAgain::Later, -24, false),
            (GateAgain::NextCheck, 0, false),
        ] {
            let found = record(again).is_valid("scan", at(hours));
            assert_eq!(found, is_valid, "{again:?} {hours}");
            assert!(!record(again).is_valid("scan --strict", at(hours)));
        }
    }
}
