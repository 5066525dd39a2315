//! The progress of a run on stderr: lines that are drawn again on a terminal, else a line in
//! the log now and then.

use std::path::PathBuf;
use std::time::Duration;

use super::context::Context;
use super::download_report::is_watched;
use crate::domain::run::RunProcess;
use crate::domain::schedule::shift;
use crate::domain::time::Timestamp;
use crate::json::progress_text;
use crate::ops::lock::this_process;
use crate::ops::sync::SyncEvent;
use crate::sys::files::remove_if_present;
use crate::sys::fs::replace_passing_file;
use crate::sys::host::Host;
use crate::sys::live_lines;
use crate::sys::pause::Stopwatch;
use crate::sys::signals::process_stop;
use crate::sys::stop::StopReason;
use crate::ui::progress::Progress;

/// Shows the progress of a run.
pub struct Watcher {
    host: Host,
    progress: Progress,
    draws: bool,
    /// The process of a run, which tells its progress to `hfdl status`, and the file for it.
    told: Option<(RunProcess, PathBuf)>,
    told_at: Option<Stopwatch>,
    /// The time of the last line in the log, which stderr shows with `-v`.
    logged_at: Timestamp,
    since_start: Stopwatch,
}

impl Watcher {
    pub fn new(context: &Context) -> Self {
        Self {
            host: context.host.clone(),
            progress: Progress::new(&context.out),
            draws: may_draw(context),
            told: None,
            told_at: None,
            logged_at: context.now(),
            since_start: Stopwatch::start(),
        }
    }

    /// Watches a run that has the lock of the home.
    pub fn of_run(context: &Context) -> Self {
        let process = this_process(&context.host);
        Self {
            told: Some((process, context.home.progress_file())),
            ..Self::new(context)
        }
    }

    pub fn note(&mut self, event: &SyncEvent) {
        note(&mut self.progress, event);
        self.tell_if_due();
        if !self.draws {
            return self.log_if_due();
        }
        if process_stop().is_raised() {
            let message = "stopping; received bytes are kept; Ctrl-C again quits at once";
            self.progress.wait(None, message, None);
        }
        self.progress.draw();
    }

    /// Tells the progress to other processes, once a second.
    fn tell_if_due(&mut self) {
        const EVERY: Duration = Duration::from_secs(1);
        let Some((process, path)) = &self.told else {
            return;
        };
        if self.told_at.as_ref().is_some_and(|at| at.elapsed() < EVERY) {
            return;
        }
        self.told_at = Some(Stopwatch::start());
        let text = progress_text(process, self.host.now(), &self.progress.snapshot());
        if let Err(err) = replace_passing_file(path, text.as_bytes()) {
            log::debug!("cannot write `{}`: {err}", path.display());
        }
    }

    fn log_if_due(&mut self) {
        const EVERY_SECONDS: i64 = 30;
        self.progress.measure();
        let now = self.host.now();
        // A clock that was set back begins a new interval.
        if now >= shift(self.logged_at, EVERY_SECONDS) || now < self.logged_at {
            self.logged_at = now;
            if let Some(sentence) = self.progress.sentence() {
                log::info!("{sentence}");
            }
        }
    }

    pub fn finish(&self) {
        if let Some((_, path)) = self.told.as_ref().filter(|_| self.told_at.is_some())
            && let Err(err) = remove_if_present(path)
        {
            log::debug!("cannot remove `{}`: {err}", path.display());
        }
        if self.draws {
            self.progress.finish();
        } else if self.host.stderr_is_terminal()
            && process_stop().reason() == Some(StopReason::Interrupted)
        {
            // The terminal has written `^C` into the line of the cursor.
            let _ = live_lines::write(b"\n");
        }
    }

    /// Returns the time since the watcher was made.
    pub fn elapsed(&self) -> Duration {
        self.since_start.elapsed()
    }
}

/// Says at a terminal that the Hub is asked about something, until the answer is there.
pub fn while_asking<T>(context: &Context, label: &str, ask: impl FnOnce() -> T) -> T {
    let mut progress = may_draw(context).then(|| Progress::new(&context.out));
    if let Some(progress) = &mut progress {
        progress.start_check(0, label);
        progress.draw();
    }
    let answer = ask();
    if let Some(progress) = &progress {
        progress.finish();
    }
    answer
}

/// Tells whether to draw; results are shown on any terminal.
fn may_draw(context: &Context) -> bool {
    let host = &context.host;
    is_watched(context)
        && !host.is_on("HF_HUB_DISABLE_PROGRESS_BARS")
        && host.variable("TERM") != Some("dumb")
        && live_lines::can_draw()
}

fn note(progress: &mut Progress, event: &SyncEvent) {
    match event {
        SyncEvent::CheckStarted { target, label } => progress.start_check(target.number(), label),
        SyncEvent::CheckEnded { target } => progress.end_check(target.number()),
        SyncEvent::FetchPlanned {
            n_files,
            n_bytes,
            have,
        } => progress.add_fetches(*n_files, *n_bytes, *have),
        SyncEvent::FilesHere { n_files, n_bytes } => progress.add_here(*n_files, *n_bytes),
        SyncEvent::ReadPlanned { n_files, n_bytes } => progress.add_reads(*n_files, *n_bytes),
        SyncEvent::FileStarted {
            name,
            n_bytes,
            have,
        } => progress.start_file(name, *n_bytes, *have),
        SyncEvent::BytesFetched { name, n_bytes } => progress.fetched(name, *n_bytes),
        SyncEvent::BytesRead { name, n_bytes } => progress.read(name, *n_bytes),
        SyncEvent::BytesCopied { name, n_bytes } => progress.copied(name, *n_bytes),
        SyncEvent::FileEnded {
            name,
            n_files,
            n_stored,
        } => progress.end_file(name, *n_files, *n_stored),
        SyncEvent::ReadEnded { name, is_whole } => progress.end_read(name, *is_whole),
        SyncEvent::Waiting {
            file,
            message,
            span,
        } => progress.wait(file.as_deref(), message, *span),
        SyncEvent::Ended { target, .. } => progress.end_model(target.number()),
        SyncEvent::Moment | SyncEvent::Short { .. } | SyncEvent::ProgressSaved { .. } => {}
    }
}
