//! The progress of a run on stderr: lines that are drawn again on a terminal, else lines in
//! the log.

use std::time::Duration;

use super::context::Context;
use super::download_report::is_watched;
use crate::domain::schedule::shift;
use crate::domain::time::Timestamp;
use crate::domain::units::ByteSize;
use crate::ops::sync::SyncEvent;
use crate::sys::host::Host;
use crate::sys::live_lines;
use crate::sys::pause::Stopwatch;
use crate::sys::signals::process_stop;
use crate::ui::progress::Progress;

/// Shows the progress of a run.
pub struct Watcher {
    host: Host,
    progress: Option<Progress>,
    lines: ProgressLines,
    since_start: Stopwatch,
}

impl Watcher {
    pub fn new(context: &Context) -> Self {
        Self {
            progress: may_draw(context).then(|| Progress::new(&context.out)),
            lines: ProgressLines::new(context.now()),
            host: context.host.clone(),
            since_start: Stopwatch::start(),
        }
    }

    pub fn note(&mut self, event: &SyncEvent) {
        match &mut self.progress {
            Some(progress) => show(progress, event),
            None => {
                self.lines.note(event);
                self.lines.write_if_due(self.host.now());
            }
        }
    }

    pub fn finish(&self) {
        if let Some(progress) = &self.progress {
            progress.finish();
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

fn show(progress: &mut Progress, event: &SyncEvent) {
    match event {
        SyncEvent::CheckStarted { target, label } => progress.start_check(target.number(), label),
        SyncEvent::CheckEnded { target } => progress.end_check(target.number()),
        SyncEvent::FetchPlanned {
            n_files,
            n_bytes,
            have,
        } => progress.add_fetches(*n_files, *n_bytes, *have),
        SyncEvent::ReadPlanned { n_files, n_bytes } => progress.add_reads(*n_files, *n_bytes),
        SyncEvent::FileStarted {
            name,
            n_bytes,
            have,
        } => progress.start_file(name, *n_bytes, *have),
        SyncEvent::BytesFetched { name, n_bytes } => progress.fetched(name, *n_bytes),
        SyncEvent::BytesRead { name, n_bytes } => progress.read(name, *n_bytes),
        SyncEvent::BytesCopied { name, n_bytes } => progress.copied(name, *n_bytes),
        SyncEvent::FileEnded { name, is_done } => progress.end_file(name, *is_done),
        SyncEvent::Waiting { message, span } => progress.wait(message, *span),
        SyncEvent::Ended { target, .. } => progress.end_model(target.number()),
        SyncEvent::Moment | SyncEvent::Short { .. } | SyncEvent::ProgressSaved { .. } => {}
    }
    if process_stop().is_raised() {
        let message = "stopping; received bytes are kept, and Ctrl-C again ends at once";
        progress.wait(message, None);
    }
    progress.draw();
}

/// Progress without a terminal: a line in the log now and then, which stderr shows
/// with `-v`.
struct ProgressLines {
    fetched: u64,
    copied: u64,
    total: u64,
    read: u64,
    to_read: u64,
    last_at: Timestamp,
}

impl ProgressLines {
    fn new(now: Timestamp) -> Self {
        Self {
            fetched: 0,
            copied: 0,
            total: 0,
            read: 0,
            to_read: 0,
            last_at: now,
        }
    }

    fn note(&mut self, event: &SyncEvent) {
        match event {
            SyncEvent::FetchPlanned { n_bytes, have, .. } => {
                self.total += n_bytes + have;
                self.fetched += have;
            }
            SyncEvent::BytesFetched { n_bytes, .. } => self.fetched += n_bytes,
            SyncEvent::BytesCopied { n_bytes, .. } => self.copied += n_bytes,
            SyncEvent::ReadPlanned { n_bytes, .. } => self.to_read += *n_bytes,
            SyncEvent::BytesRead { n_bytes, .. } => self.read += *n_bytes,
            _ => {}
        }
    }

    fn write_if_due(&mut self, now: Timestamp) {
        const EVERY_SECONDS: i64 = 30;
        // A clock that was set back begins a new interval.
        let is_due = now >= shift(self.last_at, EVERY_SECONDS) || now < self.last_at;
        if is_due {
            self.last_at = now;
            if self.total + self.to_read > 0 {
                log::info!("{}", self.line());
            }
        }
    }

    fn line(&self) -> String {
        let percent = (self.fetched * 100).checked_div(self.total).unwrap_or(100);
        let size = |bytes| ByteSize(bytes).render_short();
        let (fetched, total) = (size(self.fetched), size(self.total));
        let mut line = format!("{fetched} of {total} fetched ({percent} %)");
        if self.copied > 0 {
            line.push_str(&format!(", {} copied from old files", size(self.copied)));
        }
        if self.to_read > 0 {
            let (read, to_read) = (size(self.read), size(self.to_read));
            line.push_str(&format!(", {read} of {to_read} on this machine hashed"));
        }
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_progress_counts_what_came() {
        let mut lines = ProgressLines::new(Timestamp::UNIX_EPOCH);
        assert_eq!(lines.line(), "0 B of 0 B fetched (100 %)");
        lines.note(&SyncEvent::FetchPlanned {
            n_files: 1,
            n_bytes: 3 << 20,
            have: 1 << 20,
        });
        lines.note(&SyncEvent::BytesFetched {
            name: "x".into(),
            n_bytes: 1 << 20,
        });
        assert_eq!(lines.line(), "2.00 MiB of 4.00 MiB fetched (50 %)");
        // Copied bytes are not part of the percentage.
        lines.note(&SyncEvent::BytesCopied {
            name: "x".into(),
            n_bytes: 7 << 20,
        });
        let line = "2.00 MiB of 4.00 MiB fetched (50 %), 7.00 MiB copied from old files";
        assert_eq!(lines.line(), line);
        lines.note(&SyncEvent::ReadPlanned {
            n_files: 1,
            n_bytes: 9 << 20,
        });
        lines.note(&SyncEvent::BytesRead {
            name: "y".into(),
            n_bytes: 2 << 20,
        });
        let line = format!("{line}, 2.00 MiB of 9.00 MiB on this machine hashed");
        assert_eq!(lines.line(), line);
    }
}
