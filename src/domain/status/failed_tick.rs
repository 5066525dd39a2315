//! A tick that failed before its run, and the text that records it.
//!
//! The record is a file beside the database, because a busy or replaced database
//! is one of the causes.

use super::health::{Warning, WarningKind};
use crate::domain::health::LASTS_AFTER;
use crate::domain::outcome::{ExitStatus, Trigger};
use crate::domain::time::{Timestamp, render_utc};

/// The latest tick, if it failed before its run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedTick {
    pub at: Timestamp,
    pub trigger: Trigger,
    pub status: ExitStatus,
    /// The number of ticks in a row that ended with this exit code.
    pub n_times: u32,
    pub why: String,
    pub hint: Option<String>,
}

impl FailedTick {
    /// Continues the count of the previous record.
    pub fn following(self, previous: Option<&Self>) -> Self {
        let same = previous.filter(|previous| previous.status == self.status);
        Self {
            n_times: same.map_or(1, |same| same.n_times.saturating_add(1)),
            ..self
        }
    }

    /// Tells whether a person is needed. A temporary failure is left to the next
    /// ticks at first.
    pub fn needs_person(&self) -> bool {
        self.status != ExitStatus::Temporary || self.n_times >= LASTS_AFTER
    }

    /// Says that ticks fail, without the reason.
    pub fn headline(&self) -> String {
        let ticks = match self.n_times {
            1 => "the last tick".to_owned(),
            n => format!("the last {n} ticks"),
        };
        format!(
            "{ticks} failed before a run began (exit {})",
            self.status.code()
        )
    }

    /// Returns the advice of the error, or a general one.
    pub fn advice(&self) -> String {
        let general = match self.status {
            ExitStatus::Usage => {
                "correct the command line of the timer's entry, or write it anew with `hfdl start`"
            }
            _ => "`hfdl run-due` by hand shows the error, and `hfdl doctor` what causes it",
        };
        self.hint.clone().unwrap_or_else(|| general.to_owned())
    }

    pub(super) fn warning(&self) -> Option<Warning> {
        let message = format!("{}: {}", self.headline(), self.why);
        let kind = WarningKind::TickFailed;
        self.needs_person()
            .then(|| Warning::new(kind, message, self.advice()))
    }

    /// Renders the record: one line of facts, one with the reason, one with the hint.
    pub fn render(&self) -> String {
        let one_line = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        format!(
            "{} {} {} {}\n{}\n{}\n",
            render_utc(self.at),
            self.trigger,
            self.status.code(),
            self.n_times,
            one_line(&self.why),
            one_line(self.hint.as_deref().unwrap_or_default())
        )
    }

    /// Reads a record; a damaged one is none.
    pub fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        let mut facts = lines.next()?.split(' ');
        let at = facts.next()?.parse().ok()?;
        let trigger = facts.next()?.parse().ok()?;
        let code = facts.next()?.parse::<u8>().ok()?;
        let n_times = facts.next()?.parse().ok()?;
        let mut all = ExitStatus::ALL.into_iter();
        Some(Self {
            at,
            trigger,
            status: all.find(|status| status.code() == code)?,
            n_times,
            why: lines.next()?.to_owned(),
            hint: lines
                .next()
                .filter(|hint| !hint.is_empty())
                .map(str::to_owned),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(status: ExitStatus) -> FailedTick {
        FailedTick {
            at: "2026-03-02T10:00:00Z".parse().unwrap(),
            trigger: Trigger::Timer,
            status,
            n_times: 0,
            why: "database is locked".to_owned(),
            hint: None,
        }
    }

    #[test]
    fn ticks_with_the_same_exit_code_are_counted() {
        let first = failed(ExitStatus::Temporary).following(None);
        let second = failed(ExitStatus::Temporary).following(Some(&first));
        let third = failed(ExitStatus::Temporary).following(Some(&second));
        assert_eq!((first.n_times, third.n_times), (1, 3));
        assert!(!second.needs_person() && third.needs_person());
        let other = failed(ExitStatus::Usage).following(Some(&third));
        assert_eq!(other.n_times, 1);
        assert!(other.needs_person(), "no later tick puts it right");
    }

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let plain = failed(ExitStatus::Disk).following(None);
        assert_eq!(FailedTick::parse(&plain.render()), Some(plain.clone()));
        let with_hint = FailedTick {
            hint: Some("free\nsome space".to_owned()),
            ..plain
        };
        let read = FailedTick::parse(&with_hint.render()).unwrap();
        assert_eq!(read.hint.as_deref(), Some("free some space"));
        for damaged in ["", "2026-03-02T10:00:00Z timer", "now timer 5 1\nbusy\n\n"] {
            assert_eq!(FailedTick::parse(damaged), None, "{damaged}");
        }
    }
}
