//! The lines of a progress: on the terminal of its run, in `hfdl status` of another process,
//! and in a log.

use console::measure_text_width;

use crate::domain::progress::{RunProgress, SomeModels};
use crate::domain::units::ByteSize;
use crate::sys::live_lines::TerminalSize;
use crate::ui::Output;
use crate::ui::rate::time_left;
use crate::ui::table::cut_middle;
use crate::ui::text::{count, duration};
use crate::ui::waits::wait_lines;

const CYAN: u8 = 36;
const YELLOW: u8 = 33;
const DIM: u8 = 2;

/// Renders a progress for an output.
pub struct ProgressLines {
    has_unicode: bool,
    ellipsis: &'static str,
    colour: bool,
}

impl ProgressLines {
    pub fn on_stderr(out: &Output) -> Self {
        Self {
            has_unicode: out.unicode,
            ellipsis: out.ellipsis(),
            colour: out.colour_on_stderr,
        }
    }

    /// Renders parts of other text, which removes control characters.
    pub fn within_text(out: &Output) -> Self {
        Self {
            colour: false,
            ..Self::on_stderr(out)
        }
    }

    /// Renders the lines of a terminal, each narrower than it.
    pub(super) fn render(&self, progress: &RunProgress, size: TerminalSize) -> Vec<String> {
        let width = usize::from(size.columns.saturating_sub(1));
        let waits = self.waits(progress, width);
        let mut lines = Vec::new();
        if has_files(progress) {
            lines.push(self.subject(progress, width));
            lines.push(self.total(progress, width));
            let used = lines.len() + waits.len() + 1;
            let room = usize::from(size.rows).saturating_sub(used);
            lines.extend(self.files(progress, width).into_iter().take(room));
        }
        lines.extend(waits);
        lines.truncate(usize::from(size.rows.saturating_sub(1)));
        lines
    }

    /// Renders the lines, without a bar, behind a line that names the models. None is wider
    /// than `width`.
    pub fn beneath_models(&self, progress: &RunProgress, width: usize) -> Vec<String> {
        let mut lines = Vec::new();
        if has_files(progress) {
            let total = total_text(progress, width);
            for line in [&counts(progress), total.trim_start()] {
                lines.push(cut_middle(line, width, self.ellipsis));
            }
            lines.extend(self.files(progress, width));
        }
        lines.extend(self.waits(progress, width));
        lines
    }

    /// The first line: the models, and the numbers of files and models.
    fn subject(&self, progress: &RunProgress, width: usize) -> String {
        let counts = counts(progress);
        let Some(first) = &progress.unfinished.first else {
            return cut_middle(&counts, width, self.ellipsis);
        };
        let more = and_more(&progress.unfinished);
        let room =
            width.saturating_sub(measure_text_width(&counts) + measure_text_width(&more) + 2);
        let name = cut_middle(first, room.max(8), self.ellipsis);
        cut_middle(&format!("{name}{more}  {counts}"), width, self.ellipsis)
    }

    /// The second line: bytes, rate, time left.
    fn total(&self, progress: &RunProgress, width: usize) -> String {
        let text = total_text(progress, width);
        let room = width.saturating_sub(measure_text_width(&text) + 2);
        const BAR: usize = 24;
        if room < BAR / 2 || width < 2 * BAR {
            return cut_middle(&text, width, self.ellipsis);
        }
        let percent = progress.main_bytes().percent();
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

    /// The lines of the busiest files.
    fn files(&self, progress: &RunProgress, width: usize) -> Vec<String> {
        let model = only_model(progress);
        let lines = progress.active.iter().map(|file| {
            let own = model.as_deref().and_then(|it| file.name.strip_prefix(it));
            let room = width.saturating_sub(9);
            let name = cut_middle(own.unwrap_or(&file.name), room, self.ellipsis);
            format!("  {:>3} %  {name}", file.bytes.percent())
        });
        lines.collect()
    }

    fn waits(&self, progress: &RunProgress, width: usize) -> Vec<String> {
        let mut lines = Vec::new();
        let checking = &progress.checking;
        if let Some(first) = &checking.first {
            let (more, ellipsis) = (and_more(checking), self.ellipsis);
            lines.push(format!("asking the Hub about {first}{more} {ellipsis}"));
        }
        let model = only_model(progress);
        for wait in &progress.waits {
            lines.extend(wait_lines(wait, width, self.ellipsis, model.as_deref()));
        }
        if let Some(quiet) = progress.stalled_for {
            let quiet = duration(quiet.as_secs());
            lines.push(format!("stalled: no data for {quiet}; will reconnect"));
        }
        let lines = lines.iter().map(|line| {
            let line = cut_middle(line, width, self.ellipsis);
            self.coloured(YELLOW, &line)
        });
        lines.collect()
    }

    fn coloured(&self, code: u8, text: &str) -> String {
        if self.colour && !text.is_empty() {
            format!("\u{1b}[{code}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    }
}

/// Describes a progress in one line; `None` while nothing is fetched or read.
pub(super) fn sentence(progress: &RunProgress) -> Option<String> {
    let bytes = progress.main_bytes();
    if bytes.total == 0 {
        return None;
    }
    let mut line = String::new();
    if let Some(first) = &progress.unfinished.first {
        line = format!("{first}{}", and_more(&progress.unfinished));
        let models = progress.models;
        if models.total > 1 {
            let all = count(models.total, "model", "models");
            line.push_str(&format!(" ({} of {all} done)", models.done));
        }
        line.push_str(": ");
    }
    let word = if progress.fetched.total > 0 {
        "here"
    } else {
        "read"
    };
    let (done, total, percent) = (size(bytes.done), size(bytes.total), bytes.percent());
    line.push_str(&format!("{done} of {total} {word} ({percent} %)"));
    for part in [vec![files_text(progress)], rate_and_rest(progress)].concat() {
        line.push_str(&format!(", {part}"));
    }
    Some(line)
}

fn has_files(progress: &RunProgress) -> bool {
    progress.files.total + progress.files_read.total > 0
}

/// The numbers of files and models.
fn counts(progress: &RunProgress) -> String {
    let files = files_text(progress);
    let models = progress.models;
    if models.total <= 1 {
        return files;
    }
    let all = count(models.total, "model", "models");
    format!("{files}, {} of {all}", models.done)
}

fn files_text(progress: &RunProgress) -> String {
    let files = progress.main_files();
    format!("{} of {}", files.done, count(files.total, "file", "files"))
}

/// Percentage, bytes, rate, and time left.
fn total_text(progress: &RunProgress, width: usize) -> String {
    let bytes = progress.main_bytes();
    let percent = bytes.percent();
    let mut parts = vec![format!("{} of {}", size(bytes.done), size(bytes.total))];
    parts.extend(rate_and_rest(progress));
    // The last part goes first where the terminal is too narrow.
    let text = |parts: &[String]| format!("{percent:>3} %  {}", parts.join("  "));
    while parts.len() > 1 && measure_text_width(&text(&parts)) > width {
        parts.pop();
    }
    text(&parts)
}

/// Rate and time left, as far as they are known, and bytes that are not fetched.
fn rate_and_rest(progress: &RunProgress) -> Vec<String> {
    let mut parts = Vec::new();
    if let Some(rate) = progress.bytes_per_second {
        parts.push(format!("{}/s", size(rate)));
    }
    if let Some(left) = progress.seconds_left.and_then(time_left) {
        parts.push(format!("{left} left"));
    }
    if progress.bytes_copied > 0 {
        parts.push(format!("{} copied", size(progress.bytes_copied)));
    }
    let (files, read) = (progress.files_read, progress.read);
    let is_reading = files.done < files.total && read.done < read.total;
    if progress.fetched.total > 0 && is_reading {
        let (done, all) = (size(read.done), size(read.total));
        parts.push(format!("{done} of {all} on this machine read"));
    }
    parts
}

/// Returns the beginning of the names of the only model's files, which go without it.
fn only_model(progress: &RunProgress) -> Option<String> {
    let label = progress.unfinished.first.as_ref();
    let label = label.filter(|_| progress.models.total == 1)?;
    Some(format!("{label}: "))
}

fn size(bytes: u64) -> String {
    ByteSize(bytes).render_short()
}

fn and_more(models: &SomeModels) -> String {
    match models.n_more {
        0 => String::new(),
        n => format!(" and {n} more"),
    }
}
