//! `hfdl pause` and `hfdl resume`

use anyhow::Result;
use clap::Args;

use super::context::Context;
use super::explain::Complaint;
use super::since::present;
use crate::domain::outcome::ExitStatus;
use crate::domain::pause;
use crate::domain::time::{Timestamp, Toward};
use crate::domain::units::Seconds;
use crate::json::{PauseView, document};
use crate::ops;
use crate::ui::Clock;

/// Make ticks do nothing for a while
///
/// Each `hfdl run-due` records a skipped run and ends, also if you start it by hand. A run in
/// progress continues, and all other commands work as usual. A second pause replaces the end and
/// the reason of the first.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:
  hfdl pause
  hfdl pause --for 2h --reason 'demo on the same line'
  hfdl pause --until 'tomorrow 08:00'
  hfdl resume")]
pub struct PauseCommand {
    /// End automatically at this time, such as "mon 08:00" or RFC 3339 (default: `hfdl resume` ends it)
    #[arg(long, value_name = "TIME", conflicts_with = "span")]
    until: Option<String>,

    /// End automatically after this long
    #[arg(id = "span", long = "for", value_name = "DUR")]
    span: Option<Seconds>,

    /// Why; `hfdl status` shows it
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

impl PauseCommand {
    pub fn run(self, context: &Context) -> Result<ExitStatus> {
        let now = context.now();
        let until = self.end(context, now)?;
        let reason = self.reason.filter(|reason| !reason.trim().is_empty());
        let store = context.store()?;
        let pause = ops::pause::pause(&store, until, reason, now)?;
        context.out.done(
            || format!("ticks are paused {}", describe(&pause, &context.clock())),
            || document("hfdl.pause/1", PauseView::from(Some(&pause))),
        )?;
        Ok(ExitStatus::Ok)
    }

    fn end(&self, context: &Context, now: Timestamp) -> Result<Option<Timestamp>> {
        let until = match (&self.until, self.span) {
            (Some(text), _) => Some(present(context, Toward::Future).parse(text)?),
            (None, Some(span)) => Some(now.checked_add(span.span())?),
            (None, None) => None,
        };
        if until.is_some_and(|until| until <= now) {
            return Err(Complaint::usage("a pause cannot end before it begins")
                .cause(format!("it is {} now", context.clock().local(now)))
                .next("name a time to come, or `--for 2h`")
                .into());
        }
        Ok(until)
    }
}

/// Renders end and reason of a pause: `until 2026-06-01 08:00: reason`.
pub(super) fn describe(pause: &pause::Pause, clock: &Clock) -> String {
    let until = match pause.until {
        Some(until) => format!("until {}", clock.future(until, &clock.zone)),
        None => "until `hfdl resume`".to_owned(),
    };
    match &pause.reason {
        Some(reason) => format!("{until}: {reason}"),
        None => until,
    }
}

/// Let ticks work again after `hfdl pause`
#[derive(Debug, Args)]
#[command(after_long_help = "Example:
  hfdl resume")]
pub struct Resume {}

impl Resume {
    pub fn run(self, context: &Context) -> Result<ExitStatus> {
        let ended = match context.existing_store()? {
            Some(store) => ops::pause::resume(&store, context.now())?,
            None => None,
        };
        context.out.done(
            || match &ended {
                Some(_) => "ticks work again".to_owned(),
                None => "ticks were not paused".to_owned(),
            },
            || document("hfdl.pause/1", PauseView::from(None)),
        )?;
        Ok(ExitStatus::Ok)
    }
}
