//! The progress of a run: its models, all bytes, the busiest files, and the reason of a wait.
//!
//! Counts enter by methods as the run makes progress. `snapshot` is all that is shown of them:
//! `draw` renders it at the end of the terminal for its present width, many times a second,
//! `sentence` for a log, and `hfdl status` of another process with the same `lines`.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Output;
use super::rate::RateMeter;
use super::text::clean;
use super::waits::Waits;
use crate::domain::progress::{FileProgress, RunProgress, STALLED_AFTER, Share, SomeModels};
use crate::sys::live_lines::{self, TerminalSize};
use crate::sys::pause::Stopwatch;

mod lines;

pub use lines::ProgressLines;

/// Maximum of lines for single files.
const MOST_FILES: usize = 4;

/// The time between two drawings.
const DRAW_EVERY: Duration = Duration::from_millis(125);

/// A file that is fetched or read.
struct ActiveFile {
    file: FileProgress,
    /// Bytes since the busiest files were chosen.
    recent: u64,
    is_shown: bool,
}

/// The progress of one run.
pub struct Progress {
    lines: ProgressLines,
    fetched: Share,
    read: Share,
    copied: u64,
    /// All files of the models that are fetched, those that were here before included.
    files: Share,
    files_read: Share,
    models: Share,
    /// Models that are being checked or have not ended, by a number of the caller.
    checking: BTreeMap<u64, String>,
    unfinished: BTreeMap<u64, String>,
    active: Vec<ActiveFile>,
    waits: Waits,
    rate: RateMeter,
    last_byte: Stopwatch,
    drawn: Option<Stopwatch>,
    chosen: Stopwatch,
    since_start: Stopwatch,
}

impl Progress {
    pub fn new(out: &Output) -> Self {
        Self {
            lines: ProgressLines::on_stderr(out),
            fetched: Share::default(),
            read: Share::default(),
            copied: 0,
            files: Share::default(),
            files_read: Share::default(),
            models: Share::default(),
            checking: BTreeMap::new(),
            unfinished: BTreeMap::new(),
            active: Vec::new(),
            waits: Waits::default(),
            rate: RateMeter::default(),
            last_byte: Stopwatch::start(),
            drawn: None,
            chosen: Stopwatch::start(),
            since_start: Stopwatch::start(),
        }
    }

    /// Adds a model, of which the Hub is asked. A model that is checked again counts once.
    pub fn start_check(&mut self, model: u64, label: &str) {
        let label = clean(label);
        if self.unfinished.insert(model, label.clone()).is_none() {
            self.models.total += 1;
        }
        self.checking.insert(model, label);
        self.drawn = None;
    }

    pub fn end_check(&mut self, model: u64) {
        self.checking.remove(&model);
    }

    pub fn end_model(&mut self, model: u64) {
        self.checking.remove(&model);
        if self.unfinished.remove(&model).is_some() {
            self.models.done += 1;
        }
    }

    /// Adds files to fetch; `have` bytes of them are here from an earlier run.
    pub fn add_fetches(&mut self, n_files: u64, n_bytes: u64, have: u64) {
        self.files.total += n_files;
        self.fetched.total += n_bytes + have;
        self.fetched.done += have;
        self.rate.base += have;
    }

    /// Adds files that need no fetch, with their bytes.
    pub fn add_here(&mut self, n_files: u64, n_bytes: u64) {
        self.files.total += n_files;
        self.files.done += n_files;
        self.fetched.total += n_bytes;
        self.fetched.done += n_bytes;
        self.rate.base += n_bytes;
    }

    /// Adds files on this machine to read.
    pub fn add_reads(&mut self, n_files: u64, n_bytes: u64) {
        self.files_read.total += n_files;
        self.read.total += n_bytes;
    }

    pub fn start_file(&mut self, name: &str, n_bytes: u64, have: u64) {
        self.last_byte = Stopwatch::start();
        self.active.push(ActiveFile {
            file: FileProgress {
                name: clean(name),
                bytes: Share {
                    done: have,
                    total: n_bytes,
                },
            },
            recent: 0,
            is_shown: false,
        });
    }

    pub fn fetched(&mut self, name: &str, n_bytes: u64) {
        self.fetched.done += n_bytes;
        self.advance_file(name, n_bytes);
    }

    pub fn read(&mut self, name: &str, n_bytes: u64) {
        self.read.done += n_bytes;
        self.advance_file(name, n_bytes);
    }

    /// Adds bytes copied from an old file, which are not part of the bytes to fetch.
    pub fn copied(&mut self, name: &str, n_bytes: u64) {
        self.copied += n_bytes;
        self.advance_file(name, n_bytes);
    }

    fn advance_file(&mut self, name: &str, n_bytes: u64) {
        self.last_byte = Stopwatch::start();
        if let Some(active) = self.active.iter_mut().find(|it| it.file.name == name) {
            active.file.bytes.done += n_bytes;
            active.recent += n_bytes;
        }
    }

    /// Ends a fetch, by which so many files are whole. Another process has stored `n_stored`
    /// of its bytes.
    pub fn end_file(&mut self, name: &str, n_files: u64, n_stored: u64) {
        self.active.retain(|active| active.file.name != name);
        self.files.done += n_files;
        self.fetched.done += n_stored;
        self.rate.base += n_stored;
    }

    pub fn end_read(&mut self, name: &str, is_whole: bool) {
        self.active.retain(|active| active.file.name != name);
        self.files_read.done += u64::from(is_whole);
    }

    /// Shows a wait of a file, or of the whole run, while it lasts.
    pub fn wait(&mut self, file: Option<&str>, message: &str, span: Option<Duration>) {
        self.waits.add(file, message, span);
    }

    /// Draws the progress if the last drawing is old enough.
    pub fn draw(&mut self) {
        let is_recent = |drawn: &Stopwatch| drawn.elapsed() < DRAW_EVERY;
        if self.drawn.as_ref().is_some_and(is_recent) {
            return;
        }
        self.drawn = Some(Stopwatch::start());
        let now = self.since_start.elapsed();
        live_lines::draw(self.render(live_lines::size(), now));
    }

    /// Removes the progress from the screen.
    pub fn finish(&self) {
        live_lines::clear();
    }

    /// Describes the progress in one line; `None` while nothing is fetched or read.
    pub fn sentence(&mut self) -> Option<String> {
        lines::sentence(&self.snapshot())
    }

    /// Takes a sample of the rate, which `snapshot` does by itself.
    pub fn measure(&mut self) {
        self.measure_at(self.since_start.elapsed());
    }

    fn measure_at(&mut self, now: Duration) {
        let bytes = if self.fetched.total > 0 {
            self.fetched
        } else {
            self.read
        };
        self.rate.sample(now, bytes.done);
    }

    /// Returns all that is shown of the progress.
    pub fn snapshot(&mut self) -> RunProgress {
        self.snapshot_at(self.since_start.elapsed())
    }

    fn snapshot_at(&mut self, now: Duration) -> RunProgress {
        self.measure_at(now);
        self.choose_busiest();
        let waits = self.waits.newest();
        let shown = self.active.iter().filter(|active| active.is_shown);
        let stalled_for = Some(self.last_byte.elapsed())
            .filter(|quiet| waits.is_empty() && !self.active.is_empty() && *quiet >= STALLED_AFTER);
        let mut progress = RunProgress {
            unfinished: some_models(&self.unfinished),
            checking: some_models(&self.checking),
            models: self.models,
            files: self.files,
            files_read: self.files_read,
            fetched: self.fetched,
            read: self.read,
            bytes_copied: self.copied,
            bytes_per_second: self.rate.bytes_per_second(),
            seconds_left: None,
            active: shown.map(|active| active.file.clone()).collect(),
            waits,
            stalled_for,
        };
        // A check can add bytes.
        if self.checking.is_empty() {
            let bytes = progress.main_bytes();
            let left = bytes.total.saturating_sub(bytes.done);
            progress.seconds_left = self.rate.seconds_left(now, left);
        }
        progress
    }

    /// Renders the lines, each narrower than the terminal.
    fn render(&mut self, size: TerminalSize, now: Duration) -> Vec<String> {
        let progress = self.snapshot_at(now);
        self.lines.render(&progress, size)
    }

    /// Chooses the busiest files once a second, so that they can be read.
    fn choose_busiest(&mut self) {
        let n_shown = self.active.iter().filter(|file| file.is_shown).count();
        let wanted = self.active.len().min(MOST_FILES);
        if n_shown < wanted || self.chosen.elapsed() >= Duration::from_secs(1) {
            self.chosen = Stopwatch::start();
            let mut order: Vec<usize> = (0..self.active.len()).collect();
            order.sort_by_key(|&index| std::cmp::Reverse(self.active[index].recent));
            for (rank, index) in order.into_iter().enumerate() {
                let file = &mut self.active[index];
                (file.is_shown, file.recent) = (rank < MOST_FILES, 0);
            }
        }
    }
}

fn some_models(labels: &BTreeMap<u64, String>) -> SomeModels {
    SomeModels {
        first: labels.values().next().cloned(),
        n_more: labels.len().saturating_sub(1) as u64,
    }
}

#[cfg(test)]
mod tests;
