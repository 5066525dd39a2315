//! Progress bars on a terminal: one for all bytes, and some for large files below it.

use std::collections::HashMap;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::table::clean;
use crate::domain::units::ByteSize;

/// Maximum of bars for single files.
const MOST_FILES: usize = 4;

/// Size from which a file has a bar: smaller files end before the bar can be read.
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
    /// Draws on stderr, at most eight times a second.
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

    /// Adds bytes that have to be fetched.
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

    /// Advances the bar of a file by bytes copied from an old file. The bar for all
    /// bytes measures the network and does not include them.
    pub fn copied(&mut self, name: &str, n_bytes: u64) {
        self.n_copied += n_bytes;
        let copied = ByteSize(self.n_copied).render_short();
        self.total.set_message(format!(", {copied} copied"));
        if self.total.position() == 0 {
            // The time spent on copying would distort the estimate.
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

    /// Writes a line above the bars, which stays.
    pub fn note(&self, text: &str) {
        // Without a terminal there is nothing to write to.
        let _ = self.lines.println(clean(text));
    }

    /// Removes all bars from the screen.
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
    fn copied_bytes_advance_the_bar_of_their_file_and_not_the_bar_for_all_bytes() {
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
