//! The progress of a run at the end of the terminal: its models, all bytes, the busiest
//! files, and the reason of a wait.
//!
//! Counts enter by methods as the run makes progress; `draw` renders them for the present
//! width and is called many times a second.

use std::collections::BTreeMap;
use std::time::Duration;

use console::measure_text_width;

use super::Output;
use super::rate::{RateMeter, Share, time_left};
use super::table::{clean, cut_middle};
use super::text::count;
use crate::domain::units::{ByteSize, Seconds};
use crate::sys::live_lines::{self, TerminalSize};
use crate::sys::pause::Stopwatch;

/// Maximum of lines for single files.
const MOST_FILES: usize = 4;

/// Maximum of lines about waits.
const MOST_WAITS: usize = 2;

/// The time between two drawings.
const DRAW_EVERY: Duration = Duration::from_millis(125);

/// The time until the rate allows an estimate of the time left.
const LEAST_RATE_SPAN: Duration = Duration::from_secs(2);

/// The time without a byte after which a download counts as stalled.
const STALLED_AFTER: Duration = Duration::from_secs(5);

/// The time for which a wait is shown at least, after its last mention.
const WAIT_LASTS: Duration = Duration::from_secs(1);

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

struct Wait {
    message: String,
    /// The time until the next attempt, where it is known.
    span: Option<Duration>,
    since: Stopwatch,
}

/// The progress of one run.
pub struct Progress {
    has_unicode: bool,
    ellipsis: &'static str,
    colour: bool,
    fetched: Share,
    read: Share,
    copied: u64,
    files: Share,
    models: Share,
    /// Models that are being checked or have not ended, by a number of the caller.
    checking: BTreeMap<u64, String>,
    unfinished: BTreeMap<u64, String>,
    active: Vec<ActiveFile>,
    waits: Vec<Wait>,
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
            models: Share::default(),
            checking: BTreeMap::new(),
            unfinished: BTreeMap::new(),
            active: Vec::new(),
            waits: Vec::new(),
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

    /// Adds files on this machine to read.
    pub fn add_reads(&mut self, n_files: u64, n_bytes: u64) {
        self.files.total += n_files;
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

    pub fn end_file(&mut self, name: &str, is_done: bool) {
        self.active.retain(|file| file.name != name);
        self.files.done += u64::from(is_done);
    }

    /// Shows a wait while it lasts.
    pub fn wait(&mut self, message: &str, span: Option<Duration>) {
        let message = clean(message);
        self.waits.retain(|wait| wait.message != message);
        self.waits.push(Wait {
            message,
            span,
            since: Stopwatch::start(),
        });
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

    /// Renders the lines, each narrower than the terminal.
    fn render(&mut self, size: TerminalSize, now: Duration) -> Vec<String> {
        let width = usize::from(size.columns.saturating_sub(1));
        self.rate.sample(now, self.main_bytes().done);
        let lasts =
            |wait: &Wait| wait.since.elapsed() < wait.span.unwrap_or(WAIT_LASTS).max(WAIT_LASTS);
        self.waits.retain(lasts);
        let mut lines = Vec::new();
        if self.files.total > 0 {
            lines.push(self.subject(width));
            lines.push(self.total(width));
            lines.extend(self.file_lines(width));
        }
        let waits = self.wait_lines();
        lines.extend(waits.iter().map(|line| {
            let line = cut_middle(line, width, self.ellipsis);
            self.coloured(YELLOW, &line)
        }));
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

    /// The first line: the models, and the numbers of files and models.
    fn subject(&self, width: usize) -> String {
        let mut counts = format!(
            "{} of {}",
            self.files.done,
            count(self.files.total, "file", "files")
        );
        if self.models.total > 1 {
            let models = count(self.models.total, "model", "models");
            counts = format!("{counts}, {} of {models}", self.models.done);
        }
        let mut labels = self.unfinished.values();
        let Some(first) = labels.next() else {
            return cut_middle(&counts, width, self.ellipsis);
        };
        let more = match labels.count() {
            0 => String::new(),
            n => format!(" and {n} more"),
        };
        let room =
            width.saturating_sub(measure_text_width(&counts) + measure_text_width(&more) + 2);
        let name = cut_middle(first, room.max(8), self.ellipsis);
        cut_middle(&format!("{name}{more}  {counts}"), width, self.ellipsis)
    }

    /// The second line: bytes, rate, time left.
    fn total(&self, width: usize) -> String {
        let bytes = self.main_bytes();
        let size = |bytes: u64| ByteSize(bytes).render_short();
        let percent = bytes.percent();
        let mut parts = vec![format!("{} of {}", size(bytes.done), size(bytes.total))];
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
        if self.fetched.total > 0 && self.read.total > self.read.done {
            let (read, all) = (size(self.read.done), size(self.read.total));
            parts.push(format!("{read} of {all} on this machine read"));
        }
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
        // The names of the only model's files go without its own.
        let label = (self.models.total == 1).then(|| self.unfinished.values().next());
        let label = label.flatten().map(|label| format!("{label}: "));
        let shown = self.active.iter().filter(|file| file.is_shown);
        let lines = shown.map(|file| {
            let own = label.as_deref().and_then(|it| file.name.strip_prefix(it));
            let room = width.saturating_sub(9);
            let name = cut_middle(own.unwrap_or(&file.name), room, self.ellipsis);
            format!("  {:>3} %  {name}", file.bytes.percent())
        });
        lines.collect()
    }

    fn wait_lines(&self) -> Vec<String> {
        let dots = self.ellipsis;
        let mut lines = Vec::new();
        let mut checking = self.checking.values();
        if let Some(first) = checking.next() {
            lines.push(match checking.count() {
                0 => format!("asking the Hub about {first} {dots}"),
                n => format!("asking the Hub about {first} and {n} more {dots}"),
            });
        }
        let newest = self.waits.iter().rev().take(MOST_WAITS);
        lines.extend(newest.map(|wait| match wait.span {
            Some(span) => {
                let left = span.saturating_sub(wait.since.elapsed());
                match left.as_millis().div_ceil(1000) {
                    0 => format!("{}, trying again", wait.message),
                    seconds => format!("{}, again in {}", wait.message, Seconds(seconds as u64)),
                }
            }
            None => wait.message.clone(),
        }));
        let quiet = self.last_byte.elapsed();
        if self.waits.is_empty() && !self.active.is_empty() && quiet >= STALLED_AFTER {
            let seconds = Seconds(quiet.as_secs());
            lines.push(format!(
                "stalled: no byte for {seconds}; a new connection follows"
            ));
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

#[cfg(test)]
mod tests {
    use super::*;

    fn progress(unicode: bool, colour: bool) -> Progress {
        Progress::new(&Output {
            colour_on_stderr: colour,
            unicode,
            ..Output::plain(None)
        })
    }

    fn size(columns: u16) -> TerminalSize {
        TerminalSize { columns, rows: 24 }
    }

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// Two models with names of sixty characters, and six files of the first one.
    fn busy(unicode: bool, colour: bool) -> (Progress, String) {
        let mut progress = progress(unicode, colour);
        let long = format!("acme/{}", "very-long-name-".repeat(4));
        for model in 0..2 {
            progress.start_check(model, &long);
            progress.end_check(model);
        }
        progress.add_fetches(1200, 300 << 20, 49 << 20);
        for n in 0..6 {
            let name = format!("{long}: model-0000{n}-of-00006.safetensors");
            progress.start_file(&name, 1 << 20, 1 << 19);
        }
        progress.render(size(80), at(0));
        (progress, long)
    }

    #[test]
    fn no_line_is_as_wide_as_the_terminal_and_the_four_busiest_files_have_one() {
        for (unicode, colour) in [(true, false), (true, true), (false, false)] {
            for columns in [20, 40, 60, 80, 100, 200] {
                let (mut progress, long) = busy(unicode, colour);
                progress.fetched(&format!("{long}: model-00005-of-00006.safetensors"), 9);
                progress.copied("other", 5 << 30);
                progress.wait(&"x".repeat(300), Some(at(8)));
                progress.chosen = Stopwatch::start();
                for file in &mut progress.active {
                    file.is_shown = false;
                }
                let lines = progress.render(size(columns), at(3));
                assert_eq!(lines.len(), 2 + MOST_FILES + 1, "{lines:#?}");
                for line in &lines {
                    let width = measure_text_width(line);
                    assert!(width < usize::from(columns), "{columns}: {line}");
                    assert!(unicode || line.is_ascii(), "{line}");
                    assert!(colour || !line.contains('\u{1b}'), "{line}");
                }
                assert!(columns < 60 || lines[5].ends_with("05-of-00006.safetensors"));
            }
        }
    }

    #[test]
    fn resumed_bytes_count_as_done_and_not_into_the_rate() {
        let (mut progress, long) = busy(true, false);
        let lines = progress.render(size(100), at(1));
        assert_eq!(
            lines[1],
            "━━━─────────────────────   14 %  49.0 MiB of 349 MiB"
        );
        assert!(lines[0].ends_with("  0 of 1200 files, 0 of 2 models"));
        for seconds in 1..4 {
            progress.fetched(&long, 10 << 20);
            progress.render(size(100), at(seconds));
        }
        let line = &progress.render(size(100), at(4))[1];
        assert!(
            line.ends_with("22 %  79.0 MiB of 349 MiB  10.0 MiB/s  27s left"),
            "{line}"
        );
    }

    #[test]
    fn the_time_left_is_hidden_until_it_is_known() {
        let (mut progress, long) = busy(true, false);
        progress.fetched(&long, 1 << 20);
        for millis in [300, 600] {
            let lines = progress.render(size(100), Duration::from_millis(millis));
            assert!(!lines[1].contains("left"), "{}", lines[1]);
        }
        progress.render(size(100), at(3));
        progress.start_check(7, "acme/third");
        let lines = progress.render(size(100), at(4));
        assert!(!lines[1].contains("left"), "{}", lines[1]);
        assert_eq!(lines.last().unwrap(), "asking the Hub about acme/third …");
        progress.end_check(7);
        assert!(progress.render(size(100), at(5))[1].contains(" left"));
    }

    #[test]
    fn a_wait_is_counted_down_and_ends() {
        let mut progress = progress(false, false);
        progress.start_check(1, "acme/tiny");
        progress.wait("the Hub allows no more requests", Some(at(8)));
        progress.wait("HTTP 503", Some(Duration::ZERO));
        let expected = [
            "asking the Hub about acme/tiny ...",
            "HTTP 503, trying again",
            "the Hub allows no more requests, again in 8s",
        ];
        assert_eq!(progress.render(size(80), at(0)), expected);
        progress.end_model(1);
        progress.waits.clear();
        assert!(progress.render(size(80), at(1)).is_empty());
    }
}
