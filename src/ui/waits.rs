//! The waits of a run, as lines: the file, the reason, and the time until the next attempt.
//!
//! The reason and the time stay readable at any width: the name of the file is cut first, and
//! a long reason has a second line.

use std::time::Duration;

use console::measure_text_width;

use super::table::{clean, cut_middle, folded};
use super::text::duration;
use crate::sys::pause::Stopwatch;

/// Maximum of waits that are shown.
const MOST_WAITS: usize = 2;

/// The time for which a wait is shown at least, after its last mention.
const WAIT_LASTS: Duration = Duration::from_secs(1);

/// The indent of lines that belong to the one before.
const INDENT: &str = "  ";

struct Wait {
    file: Option<String>,
    message: String,
    /// The time until the next attempt, where it is known.
    span: Option<Duration>,
    since: Stopwatch,
}

/// The waits that last.
#[derive(Default)]
pub(super) struct Waits(Vec<Wait>);

impl Waits {
    /// Adds a wait, or begins it anew.
    pub(super) fn add(&mut self, file: Option<&str>, message: &str, span: Option<Duration>) {
        let (file, message) = (file.map(clean), clean(message));
        self.0
            .retain(|wait| wait.file != file || wait.message != message);
        self.0.push(Wait {
            file,
            message,
            span,
            since: Stopwatch::start(),
        });
    }

    /// Removes the waits that are over; returns whether none is left.
    pub(super) fn tidy(&mut self) -> bool {
        let lasts =
            |wait: &Wait| wait.since.elapsed() < wait.span.unwrap_or(WAIT_LASTS).max(WAIT_LASTS);
        self.0.retain(lasts);
        self.0.is_empty()
    }

    /// Renders the newest waits. `model` begins the names of files that go without it.
    pub(super) fn lines(&self, width: usize, ellipsis: &str, model: Option<&str>) -> Vec<String> {
        let newest = self.0.iter().rev().take(MOST_WAITS);
        let lines = newest.flat_map(|wait| wait.lines(width, ellipsis, model));
        lines.collect()
    }
}

impl Wait {
    fn lines(&self, width: usize, ellipsis: &str, model: Option<&str>) -> Vec<String> {
        let when = self.span.map_or(String::new(), |span| {
            let left = span.saturating_sub(self.since.elapsed());
            match left.as_millis().div_ceil(1000) {
                0 => ", trying again".to_owned(),
                seconds => format!(", again in {}", duration(seconds as u64)),
            }
        });
        let Some(file) = &self.file else {
            return reason_lines(&self.message, &when, width, ellipsis);
        };
        let own = model.and_then(|model| file.strip_prefix(model));
        let file = own.unwrap_or(file);
        let line = format!("{file}: {}{when}", self.message);
        if measure_text_width(&line) <= width {
            return vec![line];
        }
        let room = width.saturating_sub(INDENT.len());
        let mut lines = vec![cut_middle(&format!("{file}:"), width, ellipsis)];
        let reason = reason_lines(&self.message, &when, room, ellipsis);
        lines.extend(reason.iter().map(|line| format!("{INDENT}{line}")));
        lines
    }
}

/// Folds a reason into two lines at most, and cuts it so that the time behind it stays.
fn reason_lines(reason: &str, when: &str, width: usize, ellipsis: &str) -> Vec<String> {
    let room = width.saturating_sub(INDENT.len());
    let mut most = measure_text_width(reason);
    loop {
        let text = format!("{}{when}", cut_middle(reason, most, ellipsis));
        if measure_text_width(&text) <= width {
            return vec![text];
        }
        let lines = folded(&text, room, 0);
        let fits = |line: &String| measure_text_width(line) <= room;
        if (lines.len() <= 2 && lines.iter().all(fits)) || most == 0 {
            let lines = lines.iter().enumerate();
            let indented = lines.map(|(index, line)| match index {
                0 => cut_middle(line, width, ellipsis),
                _ => format!("{INDENT}{}", cut_middle(line, room, ellipsis)),
            });
            return indented.collect();
        }
        most -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REASON: &str =
        "the storage host `cdn-lfs-us-1.example.org` answered HTTP 503 for `model.safetensors`";

    #[test]
    fn the_reason_and_the_time_are_readable_at_any_width() {
        let file = format!("acme/{}: model-00001-of-00005.safetensors", "x".repeat(60));
        for (file, reason) in [
            (Some(file.as_str()), "the connection stalled"),
            (Some(&file), REASON),
            (None, REASON),
            (None, "rate limited"),
        ] {
            let mut waits = Waits::default();
            waits.add(file, reason, Some(Duration::from_secs(250)));
            for width in [39, 59, 79, 99] {
                let lines = waits.lines(width, "…", None);
                assert!(lines.len() <= 3, "{lines:#?}");
                for line in &lines {
                    assert!(measure_text_width(line) <= width, "{width}: {line}");
                }
                let shown = lines.join(" ");
                let words: Vec<&str> = shown.split_whitespace().collect();
                let shown = words.join(" ");
                assert!(shown.ends_with(", again in 4 min 10 s"), "{shown}");
                let whole = width >= 59 && (reason != REASON || width >= 79);
                assert!(!whole || shown.contains(reason), "{width}: {shown}");
            }
        }
    }

    #[test]
    fn a_file_of_the_only_model_goes_without_its_name() {
        let mut waits = Waits::default();
        waits.add(Some("acme/a: m.bin"), "rate limited", None);
        assert_eq!(waits.lines(79, "…", None), ["acme/a: m.bin: rate limited"]);
        let lines = waits.lines(79, "…", Some("acme/a: "));
        assert_eq!(lines, ["m.bin: rate limited"]);
    }
}
