//! The end of a run, in one order for every command:
//!
//! ```text
//! news are recorded → status file → the lock is released
//! → report → hooks → metrics file → ping
//! ```
//!
//! Two runs that recorded news at the same time would both report the same, so that
//! this happens under the lock. Everything after the report ends in warnings: the
//! exit status is decided before.

use std::path::Path;

use anyhow::Result;

use super::notify::{EarlyEnd, News, Notifier, Ping, tell_early_end};
use super::services::Services;
use crate::domain::alert::RunFacts;
use crate::domain::outcome::ExitStatus;
use crate::sys::lock::FileLock;

/// The parts of a command that its end needs.
pub struct Finish<'a> {
    pub services: &'a Services<'a>,
    pub lock: FileLock,
    /// Writes `status.json`; `None` if nothing has changed.
    pub status_file: Option<&'a dyn Fn()>,
    /// The metrics file of the command line.
    pub metrics_file: Option<&'a Path>,
    /// The ping that announced the run.
    pub ping: Option<Ping>,
}

/// The runs to report.
#[derive(Default)]
pub struct EndedRuns<'a> {
    /// The run of this command.
    pub run: Option<&'a RunFacts>,
    /// A run that a pause has skipped.
    pub paused: Option<&'a RunFacts>,
    /// The reason why a tick waits for the Hub, without a run.
    pub wait: Option<String>,
    /// Whether this command has found runs that crashed.
    pub has_crashed: bool,
}

impl Finish<'_> {
    /// Reports the end of a run to everybody who asked for it, and returns the exit
    /// status of the process. `report` writes to the terminal.
    pub fn finish(
        self,
        runs: EndedRuns<'_>,
        report: impl FnOnce(Option<&News>) -> Result<ExitStatus>,
    ) -> Result<ExitStatus> {
        let notifier = Notifier::from(self.services);
        let news = runs.run.cloned().and_then(|run| notifier.record_news(run));
        let earlier = match &news {
            None if runs.has_crashed => notifier.record_crashes(),
            _ => Vec::new(),
        };
        if let Some(write) = self.status_file {
            write();
        }
        drop(self.lock);
        let status = report(news.as_ref());
        notifier.warn_of_logins();
        notifier.run_earlier_hooks(&earlier);
        if let Some(run) = runs.paused {
            notifier.run_skip_hook(run);
        }
        if let Some(news) = &news {
            notifier.run_hooks(news);
        }
        if let Some(reason) = &runs.wait {
            let status = status.as_ref().copied().unwrap_or(ExitStatus::Temporary);
            let end = EarlyEnd {
                host: self.services.host,
                home: self.services.home,
                settings: &self.services.settings,
                store: Some(&self.services.store),
                status,
                why: reason,
                is_in_order: true,
            };
            tell_early_end(&end, self.metrics_file, None);
        } else {
            notifier.write_metrics_file(self.metrics_file);
        }
        if let (Some(run), Some(ping)) = (runs.run, self.ping) {
            ping.end(&notifier, run);
        }
        Ok(self.services.end_status(status?))
    }
}
