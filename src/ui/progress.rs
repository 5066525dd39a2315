//! The progress of a run: its models, all bytes, the busiest files, and the reason of a wait.
//!
//! Counts enter by methods as the run makes progress. `draw` renders them at the end of the
//! terminal for its present width, many times a second; `sentence` is for a log.

use std::collections::BTreeMap;
use std::time::Duration;

use console::measure_text_width;

use super::Output;
use super::rate::{RateMeter, Share, time_left};
use super::table::{clean, cut_middle};
use super::text::{count, duration};
use super::waits::Waits;
use crate::domain::units::ByteSize;
use crate::sys::live_lines::{self, TerminalSize};
use crate::sys::pause::Stopwatch;

/// Maximum of lines for single files.
const MOST_FILES: usize = 4;

/// The time between two drawings.
const DRAW_EVERY: Duration = Duration::from_millis(125);

/// The time until the rate allows an estimate of the time left.
const LEAST_RATE_SPAN: Duration = Duration::from_secs(2);

/// The time without a byte after which a download counts as stalled.
const STALLED_AFTER: Duration = Duration::from_secs(5);

const CYAN: u8 = 36;
const YELLOW: u8 = 33;
const DIM: u8 = 2;

/// A file that is fetched or read.
struct ActiveFile {
    name: String,
    bytes: Share,
    /// Bytes since the busiest files were chosen.
    recent: u64,
    is_shown: bool,
}

/// The progress of one run.
pub struct Progress {
    has_unicode: bool,
    ellipsis: &'static str,
    colour: bool,
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
            has_unicode: out.unicode,
            ellipsis: out.ellipsis(),
            colour: out.colour_on_stderr,
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
            name: clean(name),
            bytes: Share {
                done: have,
                total: n_bytes,
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
        if let Some(file) = self.active.iter_mut().find(|file| file.name == name) {
            file.bytes.done += n_bytes;
            file.recent += n_bytes;
        }
    }

    /// Ends a fetch, by which so many files are whole. Another process has stored `n_stored`
    /// of its bytes.
    pub fn end_file(&mut self, name: &str, n_files: u64, n_stored: u64) {
        self.active.retain(|file| file.name != name);
        self.files.done += n_files;
        self.fetched.done += n_stored;
        self.rate.base += n_stored;
    }

    pub fn end_read(&mut self, name: &str, is_whole: bool) {
        self.active.retain(|file| file.name != name);
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
    pub fn sentence(&self) -> Option<String> {
        let bytes = self.main_bytes();
        if bytes.total == 0 {
            return None;
        }
        let mut line = String::new();
        let mut labels = self.unfinished.values();
        if let Some(first) = labels.next() {
            line = format!("{first}{}", and_more(labels.count()));
            if self.models.total > 1 {
                let models = count(self.models.total, "model", "models");
                line.push_str(&format!(" ({} of {models} done)", self.models.done));
            }
            line.push_str(": ");
        }
        let word = if self.fetched.total > 0 {
            "here"
        } else {
            "read"
        };
        let (done, total, percent) = (size(bytes.done), size(bytes.total), bytes.percent());
        line.push_str(&format!("{done} of {total} {word} ({percent} %)"));
        for part in [vec![self.files_text()], self.rate_and_rest()].concat() {
            line.push_str(&format!(", {part}"));
        }
        Some(line)
    }

    /// Takes a sample of the rate, which `draw` does by itself.
    pub fn measure(&mut self) {
        let done = self.main_bytes().done;
        self.rate.sample(self.since_start.elapsed(), done);
    }

    /// Renders the lines, each narrower than the terminal.
    fn render(&mut self, size: TerminalSize, now: Duration) -> Vec<String> {
        let width = usize::from(size.columns.saturating_sub(1));
        self.rate.sample(now, self.main_bytes().done);
        let waits = self.wait_lines(width);
        let waits = waits.iter().map(|line| {
            let line = cut_middle(line, width, self.ellipsis);
            self.coloured(YELLOW, &line)
        });
        let waits: Vec<String> = waits.collect();
        let mut lines = Vec::new();
        if self.files.total + self.files_read.total > 0 {
            lines.push(self.subject(width));
            lines.push(self.total(width));
            let used = lines.len() + waits.len() + 1;
            let room = usize::from(size.rows).saturating_sub(used);
            lines.extend(self.file_lines(width).into_iter().take(room));
        }
        lines.extend(waits);
        lines.truncate(usize::from(size.rows.saturating_sub(1)));
        lines
    }

    /// The bytes of the second line: of the network, or of this machine if none is fetched.
    fn main_bytes(&self) -> Share {
        if self.fetched.total > 0 {
            self.fetched
        } else {
            self.read
        }
    }

    /// The number of files: of the models that are fetched, or of those that are only read.
    fn files_text(&self) -> String {
        let files = if self.files.total > 0 {
            self.files
        } else {
            self.files_read
        };
        format!("{} of {}", files.done, count(files.total, "file", "files"))
    }

    /// The first line: the models, and the numbers of files and models.
    fn subject(&self, width: usize) -> String {
        let mut counts = self.files_text();
        if self.models.total > 1 {
            let models = count(self.models.total, "model", "models");
            counts = format!("{counts}, {} of {models}", self.models.done);
        }
        let mut labels = self.unfinished.values();
        let Some(first) = labels.next() else {
            return cut_middle(&counts, width, self.ellipsis);
        };
        let more = and_more(labels.count());
        let room =
            width.saturating_sub(measure_text_width(&counts) + measure_text_width(&more) + 2);
        let name = cut_middle(first, room.max(8), self.ellipsis);
        cut_middle(&format!("{name}{more}  {counts}"), width, self.ellipsis)
    }

    /// The second line: bytes, rate, time left.
    fn total(&self, width: usize) -> String {
        let bytes = self.main_bytes();
        let percent = bytes.percent();
        let mut parts = vec![format!("{} of {}", size(bytes.done), size(bytes.total))];
        parts.extend(self.rate_and_rest());
        // The last part goes first where the terminal is too narrow.
        let text = |parts: &[String]| format!("{percent:>3} %  {}", parts.join("  "));
        while parts.len() > 1 && measure_text_width(&text(&parts)) > width {
            parts.pop();
        }
        let text = text(&parts);
        let room = width.saturating_sub(measure_text_width(&text) + 2);
        const BAR: usize = 24;
        if room < BAR / 2 || width < 2 * BAR {
            return cut_middle(&text, width, self.ellipsis);
        }
        format!("{}  {text}", self.bar(percent, room.min(BAR)))
    }

    /// Rate and time left, as far as they are known, and bytes that are not fetched.
    fn rate_and_rest(&self) -> Vec<String> {
        let bytes = self.main_bytes();
        let mut parts = Vec::new();
        if let Some(rate) = self.rate.bytes_per_second() {
            parts.push(format!("{}/s", size(rate)));
            let left = bytes.total.saturating_sub(bytes.done);
            let seconds = left.checked_div(rate).filter(|_| self.may_estimate());
            if let Some(left) = seconds.and_then(time_left) {
                parts.push(format!("{left} left"));
            }
        }
        if self.copied > 0 {
            parts.push(format!("{} copied", size(self.copied)));
        }
        let is_reading = self.files_read.done < self.files_read.total;
        if self.fetched.total > 0 && is_reading && self.read.total > self.read.done {
            let (read, all) = (size(self.read.done), size(self.read.total));
            parts.push(format!("{read} of {all} on this machine read"));
        }
        parts
    }

    fn bar(&self, percent: u64, width: usize) -> String {
        let n = width * usize::try_from(percent).unwrap_or(0) / 100;
        let (full, empty) = if self.has_unicode {
            ("━", "─")
        } else {
            ("#", "-")
        };
        let (full, empty) = (full.repeat(n), empty.repeat(width - n));
        format!(
            "{}{}",
            self.coloured(CYAN, &full),
            self.coloured(DIM, &empty)
        )
    }

    /// The time left is known when no check can add bytes and the rate was measured for a
    /// while.
    fn may_estimate(&self) -> bool {
        self.checking.is_empty() && self.rate.span() >= LEAST_RATE_SPAN
    }

    /// The lines of the busiest files. They are chosen once a second, so that they can be read.
    fn file_lines(&mut self, width: usize) -> Vec<String> {
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
        let label = self.only_model();
        let shown = self.active.iter().filter(|file| file.is_shown);
        let lines = shown.map(|file| {
            let own = label.as_deref().and_then(|it| file.name.strip_prefix(it));
            let room = width.saturating_sub(9);
            let name = cut_middle(own.unwrap_or(&file.name), room, self.ellipsis);
            format!("  {:>3} %  {name}", file.bytes.percent())
        });
        lines.collect()
    }

    /// Returns the beginning of the names of the only model's files, which go without it.
    fn only_model(&self) -> Option<String> {
        let label = (self.models.total == 1).then(|| self.unfinished.values().next());
        label.flatten().map(|label| format!("{label}: "))
    }

    fn wait_lines(&mut self, width: usize) -> Vec<String> {
        let has_none = self.waits.tidy();
        let mut lines = Vec::new();
        let mut checking = self.checking.values();
        if let Some(first) = checking.next() {
            let more = and_more(checking.count());
            lines.push(format!(
                "asking the Hub about {first}{more} {}",
                self.ellipsis
            ));
        }
        let model = self.only_model();
        lines.extend(self.waits.lines(width, self.ellipsis, model.as_deref()));
        let quiet = self.last_byte.elapsed();
        if has_none && !self.active.is_empty() && quiet >= STALLED_AFTER {
            let quiet = duration(quiet.as_secs());
            lines.push(format!("stalled: no data for {quiet}; will reconnect"));
        }
        lines
    }

    fn coloured(&self, code: u8, text: &str) -> String {
        if self.colour && !text.is_empty() {
            format!("\u{1b}[{code}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    }
}

fn size(bytes: u64) -> String {
    ByteSize(bytes).render_short()
}

fn and_more(number: usize) -> String {
    match number {
        0 => String::new(),
        n => format!(" and {n} more"),
    }
}

#[cfg(test)]
mod tests;
