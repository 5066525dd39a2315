//! The waits of a run, and their lines: the file, the reason, and the time until the next
//! attempt. The reason and the time stay readable at any width: the name of the file is cut first, and
//! a long reason has a second line.

use std::time::Duration;

use console::measure_text_width;

use super::table::cut_middle;
use super::text::duration;
use super::text::{clean, folded};
use crate::domain::progress::RunWait;
use crate::sys::pause::Stopwatch;

/// Maximum of waits that are shown.
const MOST_WAITS: usize = 2;

/// The time for which a wait is shown at least, after its last mention.
const WAIT_LASTS: Duration = Duration::from_secs(1);

/// The indent of lines that belong to the one before.
const INDENT: &str = "  ";

/// The waits that last.
#[derive(Default)]
pub(super) struct Waits(Vec<(RunWait, Stopwatch)>);

impl Waits {
    /// Adds a wait, or begins it anew.
    pub(super) fn add(&mut self, file: Option<&str>, message: &str, left: Option<Duration>) {
        let (file, message) = (file.map(clean), clean(message));
        self.0
            .retain(|(wait, _)| wait.file != file || wait.message != message);
        let wait = RunWait {
            file,
            message,
            left,
        };
        self.0.push((wait, Stopwatch::start()));
    }

    /// Returns the newest waits that are not over.
    pub(super) fn newest(&mut self) -> Vec<RunWait> {
        self.0.retain(|(wait, since)| {
            since.elapsed() < wait.left.unwrap_or(WAIT_LASTS).max(WAIT_LASTS)
        });
        let newest = self.0.iter().rev().take(MOST_WAITS);
        let newest = newest.map(|(wait, since)| RunWait {
            left: wait.left.map(|left| left.saturating_sub(since.elapsed())),
            ..wait.clone()
        });
        newest.collect()
    }
}

/// Renders a wait. `model` begins the names of files that go without it.
pub(super) fn wait_lines(
    wait: &RunWait,
    width: usize,
    ellipsis: &str,
    model: Option<&str>,
) -> Vec<String> {
    let when = wait.left.map_or(String::new(), |left| {
        match left.as_millis().div_ceil(1000) {
            0 => ", trying again".to_owned(),
            seconds => format!(", again in {}", duration(seconds as u64)),
        }
    });
    let Some(file) = &wait.file else {
        return reason_lines(&wait.message, &when, width, ellipsis);
    };
    let own = model.and_then(|model| file.strip_prefix(model));
    let file = own.unwrap_or(file);
    let line = format!("{file}: {}{when}", wait.message);
    if measure_text_width(&line) <= width {
        return vec![line];
    }
    let room = width.saturating_sub(INDENT.len());
    let mut lines = vec![cut_middle(&format!("{file}:"), width, ellipsis)];
    let reason = reason_lines(&wait.message, &when, room, ellipsis);
    lines.extend(reason.iter().map(|line| format!("{INDENT}{line}")));
    lines
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
            let wait = RunWait {
                file: file.map(str::to_owned),
                message: reason.to_owned(),
                left: Some(Duration::from_secs(250)),
            };
            for width in [39, 59, 79, 99] {
                let lines = wait_lines(&wait, width, "…", None);
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
        let wait = RunWait {
            file: Some("acme/a: m.bin".to_owned()),
            message: "rate limited".to_owned(),
            left: None,
        };
        assert_eq!(
            wait_lines(&wait, 79, "…", None),
            ["acme/a: m.bin: rate limited"]
        );
        let lines = wait_lines(&wait, 79, "…", Some("acme/a: "));
        assert_eq!(lines, ["m.bin: rate limited"]);
    }
}
