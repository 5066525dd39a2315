//! Lines at the end of the terminal behind stderr that are drawn again and again.
//!
//! All text for stderr passes through `write`, so that messages of any thread go above the
//! drawn lines, and none of these stays on the screen. A terminal that becomes narrower
//! folds the lines that it shows: the rows to erase are counted with its present width.

use std::io::{self, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};

use console::{Term, measure_text_width};

/// The size of a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TerminalSize {
    pub columns: u16,
    pub rows: u16,
}

/// The lines on the screen; the cursor is at the beginning of the line below them.
static DRAWN: Mutex<Vec<String>> = Mutex::new(Vec::new());

fn drawn() -> MutexGuard<'static, Vec<String>> {
    DRAWN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Replaces the drawn lines. Each is shorter than the terminal is wide.
pub fn draw(lines: Vec<String>) {
    let mut drawn = drawn();
    if drawn.is_empty() && lines.is_empty() {
        return;
    }
    let mut text = erasing(&drawn, size().columns);
    append(&mut text, &lines);
    *drawn = lines;
    // A closed stderr is no error.
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

/// Removes the drawn lines from the screen.
pub fn clear() {
    draw(Vec::new());
}

/// As `clear`, for the end of the process: another thread may be drawing for ever.
pub(super) fn clear_at_exit() {
    if let Ok(drawn) = DRAWN.try_lock() {
        let text = erasing(&drawn, size().columns);
        let _ = io::stderr().lock().write_all(text.as_bytes());
    }
}

/// Writes text to stderr, above the drawn lines. Behind text without a line end they
/// disappear until they are drawn again.
pub fn write(bytes: &[u8]) -> io::Result<()> {
    let mut drawn = drawn();
    if drawn.is_empty() {
        return io::stderr().lock().write_all(bytes);
    }
    let mut text = erasing(&drawn, size().columns).into_bytes();
    text.extend_from_slice(bytes);
    if bytes.ends_with(b"\n") {
        let mut again = String::new();
        append(&mut again, &drawn);
        text.extend_from_slice(again.as_bytes());
    } else {
        drawn.clear();
    }
    io::stderr().lock().write_all(&text)
}

/// Returns the text that moves the cursor to the first of these lines and erases them.
fn erasing(lines: &[String], columns: u16) -> String {
    let columns = usize::from(columns.max(1));
    let rows = lines
        .iter()
        .map(|line| measure_text_width(line).div_ceil(columns));
    match rows.map(|rows| rows.max(1)).sum::<usize>() {
        0 => String::new(),
        n => format!("\r\u{1b}[{n}A\u{1b}[J"),
    }
}

fn append(text: &mut String, lines: &[String]) {
    for line in lines {
        text.push_str(line);
        text.push('\n');
    }
}

/// Returns the size of the terminal behind stderr, or a usual one where it is not known.
pub fn size() -> TerminalSize {
    let known = Term::stderr().size_checked();
    let known = known.filter(|(rows, columns)| *rows > 0 && *columns > 0);
    let (rows, columns) = known.unwrap_or((24, 80));
    TerminalSize { columns, rows }
}

/// Returns the width of the terminal behind stdout, where it is known.
pub fn stdout_columns() -> Option<u16> {
    Term::stdout().size_checked().map(|(_, columns)| columns)
}

/// As `stdout_columns`, for stderr.
pub fn stderr_columns() -> Option<u16> {
    Term::stderr().size_checked().map(|(_, columns)| columns)
}

/// Tells whether the terminal behind stderr moves its cursor when it is asked to. An old
/// console of Windows is set to do so.
pub fn can_draw() -> bool {
    cfg!(not(windows)) || Term::stderr().features().colors_supported()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_a_narrower_terminal_has_folded_are_erased_whole() {
        let coloured = format!("\u{1b}[36m{}\u{1b}[0m", "x".repeat(20));
        let lines = ["x".repeat(79), String::new(), coloured];
        assert_eq!(erasing(&lines, 80), "\r\u{1b}[3A\u{1b}[J");
        assert_eq!(erasing(&lines, 60), "\r\u{1b}[4A\u{1b}[J");
        assert_eq!(erasing(&lines, 20), "\r\u{1b}[6A\u{1b}[J");
        assert_eq!(erasing(&[], 80), "");
    }
}
