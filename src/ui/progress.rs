//! Progress on a terminal: one bar over everything, and the busiest files below it.

use std::collections::HashMap;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::domain::units::ByteSize;
use crate::sys::text::steers_terminal;

/// At most so many files have a line of their own.
const MOST_FILES: usize = 4;

/// Files smaller than this come and go too quickly to be read.
const LEAST_BYTES: u64 = 16 << 20;

const TOTAL: &str =
    "{bar:24} {binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec} {eta} left{msg}";
const FILE: &str = "  {percent:>3}% {wide_msg}";

/// The bars of one run.
pub struct Bars {
    lines: MultiProgress,
    total: ProgressBar,
    files: HashMap<String, ProgressBar>,
    n_copied: u64,
}

impl Bars {
    /// Draws on stderr, a few times a second.
    pub fn new() -> Self {
        let lines = MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(8));
        let total = lines.add(ProgressBar::new(0));
        total.set_style(style(TOTAL));
        Self {
            lines,
            total,
            files: HashMap::new(),
            n_copied: 0,
        }
    }

    /// Tells of so many more bytes that are to come.
    pub fn add(&self, n_bytes: u64) {
        self.total.inc_length(n_bytes);
        self.total.enable_steady_tick(Duration::from_millis(500));
    }

    pub fn start_file(&mut self, name: &str, n_bytes: u64, have: u64) {
        if n_bytes < LEAST_BYTES || self.files.len() >= MOST_FILES {
            return;
        }
        let bar = self
            .lines
            .add(ProgressBar::new(n_bytes).with_position(have));
        bar.set_style(style(FILE));
        bar.set_message(clean(name));
        self.files.insert(name.to_owned(), bar);
    }

    pub fn advance(&self, name: &str, n_bytes: u64) {
        self.total.inc(n_bytes);
        self.advance_file(name, n_bytes);
    }

    /// Moves one file's bar by bytes that an old file has. The bar over
    /// everything measures the line and does not wait for them.
    pub fn copied(&mut self, name: &str, n_bytes: u64) {
        self.n_copied += n_bytes;
        let copied = ByteSize(self.n_copied).render_short();
        self.total.set_message(format!(", {copied} copied"));
        if self.total.position() == 0 {
            // Copying is no time in which the line was slow.
            self.total.reset_eta();
        }
        self.advance_file(name, n_bytes);
    }

    fn advance_file(&self, name: &str, n_bytes: u64) {
        if let Some(bar) = self.files.get(name) {
            bar.inc(n_bytes);
        }
    }

    pub fn end_file(&mut self, name: &str) {
        if let Some(bar) = self.files.remove(name) {
            bar.finish_and_clear();
            self.lines.remove(&bar);
        }
    }

    /// Takes all bars off the screen.
    pub fn finish(&self) {
        self.total.finish_and_clear();
        let _ = self.lines.clear();
    }
}

impl Default for Bars {
    fn default() -> Self {
        Self::new()
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

/// Names come from elsewhere and must not move the cursor.
fn clean(name: &str) -> String {
    name.chars()
        .map(|c| if steers_terminal(c) { '\u{fffd}' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_templates_are_valid_and_small_files_have_no_line() {
        for template in [TOTAL, FILE] {
            assert!(ProgressStyle::with_template(template).is_ok());
        }
        let mut bars = Bars::new();
        bars.start_file("small", 10, 0);
        assert!(bars.files.is_empty());
        for i in 0..9 {
            bars.start_file(&format!("large {i}"), LEAST_BYTES, 0);
        }
        assert_eq!(bars.files.len(), MOST_FILES);
        bars.end_file("large 0");
        assert_eq!(bars.files.len(), MOST_FILES - 1);
    }

    #[test]
    fn copied_bytes_fill_the_bar_of_their_file_and_not_the_one_over_everything() {
        let mut bars = Bars::new();
        bars.add(10);
        bars.start_file("large", LEAST_BYTES, 2);
        bars.copied("large", LEAST_BYTES - 12);
        assert_eq!((bars.total.position(), bars.total.length()), (0, Some(10)));
        bars.advance("large", 10);
        assert_eq!(bars.total.position(), 10);
        assert_eq!(bars.files["large"].position(), LEAST_BYTES);
        assert_eq!(bars.total.message(), ", 16.0 MiB copied");
    }
}
