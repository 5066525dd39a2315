//! The results on stdout and the messages on stderr.

use std::io::{self, BufWriter, Write};

use anyhow::{Context, Result};
use console::measure_text_width;
use serde::Serialize;
use serde_json::Value;

use super::{text, yaml};
use crate::domain::outcome::words;
use crate::json;
use crate::sys::host::Host;
use crate::sys::live_lines;
use crate::sys::text::escaped;

words! {
    /// Format of the results on stdout.
    Format {
        Table = "table",
        Json = "json",
        Yaml = "yaml",
        /// For reports only, as is `html`.
        Markdown = "markdown",
        Html = "html",
    }
}

words! {
    /// Use of colours.
    ColourChoice {
        Auto = "auto",
        Always = "always",
        Never = "never",
    }
}

/// stdout and stderr, with the resolved choices of format, colour and width.
#[derive(Clone, Debug)]
pub struct Output {
    pub format: Format,
    pub colour: bool,
    pub colour_on_stderr: bool,
    pub quiet: bool,
    /// Columns of the terminal; `None` without one, and then lines are not folded.
    pub width: Option<u16>,
    /// Columns of the terminal behind stderr; messages are folded there only.
    pub stderr_width: Option<u16>,
    /// Whether both widths are those of terminals, which may be resized.
    pub may_be_resized: bool,
    /// Whether the locale has more characters than ASCII.
    pub unicode: bool,
}

impl Output {
    pub fn new(host: &Host, format: Format, colour: ColourChoice, quiet: bool) -> Self {
        let wanted = |terminal: bool| match colour {
            ColourChoice::Always => true,
            ColourChoice::Never => false,
            ColourChoice::Auto => decide_colour(
                terminal,
                host.variable("NO_COLOR").is_some(),
                host.variable("CLICOLOR_FORCE")
                    .is_some_and(|value| value != "0"),
                host.variable("TERM") == Some("dumb"),
            ),
        };
        let columns_of = |is_terminal: bool, columns: fn() -> Option<u16>| {
            let columns = is_terminal.then(|| host.columns().or_else(columns));
            columns.flatten()
        };
        let width = columns_of(host.stdout_is_terminal(), live_lines::stdout_columns);
        Self {
            format,
            colour: wanted(host.stdout_is_terminal()),
            colour_on_stderr: wanted(host.stderr_is_terminal()),
            quiet,
            width: width.or_else(|| host.columns()),
            stderr_width: columns_of(host.stderr_is_terminal(), live_lines::stderr_columns),
            may_be_resized: host.columns().is_none(),
            unicode: host.has_unicode(),
        }
    }

    /// Tables without colour, as a pipe gets them, or for a terminal of that width.
    #[cfg(test)]
    pub fn plain(width: Option<u16>) -> Self {
        Self {
            format: Format::Table,
            colour: false,
            colour_on_stderr: false,
            quiet: false,
            width,
            stderr_width: width,
            may_be_resized: false,
            unicode: true,
        }
    }

    /// Returns the output with the present widths of its terminals.
    pub fn resized(&self) -> Self {
        let mut out = self.clone();
        if self.may_be_resized {
            let present = |width: Option<u16>, columns: fn() -> Option<u16>| {
                width.map(|known| columns().unwrap_or(known))
            };
            out.width = present(self.width, live_lines::stdout_columns);
            out.stderr_width = present(self.stderr_width, live_lines::stderr_columns);
        }
        out
    }

    /// Returns the output with the present width and the colours of stderr, for messages.
    pub fn for_stderr(&self) -> Self {
        let mut out = self.resized();
        out.width = out.stderr_width;
        out.colour = out.colour_on_stderr;
        out
    }

    /// The mark of a text that was cut.
    pub fn ellipsis(&self) -> &'static str {
        if self.unicode { "…" } else { "..." }
    }

    /// Writes a result: text for people, or the document for programs.
    pub fn result<D: Serialize>(
        &self,
        text: impl FnOnce(&Self) -> String,
        document: impl FnOnce() -> D,
    ) -> Result<()> {
        match self.format {
            Format::Table | Format::Markdown | Format::Html => self.print(&text(&self.resized())),
            Format::Json => write_to_stdout(|out| json::write(out, &document())),
            Format::Yaml => write_to_stdout(|out| yaml::write(out, &document())),
        }
    }

    /// Writes a list: a table, or with `--quiet` its names alone, one a line.
    pub fn list<D: Serialize>(
        &self,
        names: impl FnOnce() -> Vec<String>,
        text: impl FnOnce(&Self) -> String,
        document: impl FnOnce() -> D,
    ) -> Result<()> {
        if self.quiet && self.format == Format::Table {
            return self.print(&names().join("\n"));
        }
        self.result(text, document)
    }

    /// Writes a document for programs; a table has nothing to say here.
    pub fn document(&self, document: impl FnOnce() -> Value) -> Result<()> {
        self.result(|_| String::new(), document)
    }

    /// Writes the result of a change: a sentence for people unless `--quiet` is given,
    /// and the document for programs in any case.
    pub fn done(
        &self,
        sentence: impl FnOnce() -> String,
        document: impl FnOnce() -> Value,
    ) -> Result<()> {
        if self.format == Format::Table && self.quiet {
            return Ok(());
        }
        self.result(|_| sentence(), document)
    }

    /// Writes text to stdout, with a final newline if it lacks one.
    pub fn print(&self, text: &str) -> Result<()> {
        if text.is_empty() {
            return Ok(());
        }
        self.print_bytes(text.as_bytes())?;
        if text.ends_with('\n') {
            Ok(())
        } else {
            self.print_bytes(b"\n")
        }
    }

    /// Writes bytes to stdout as they are.
    pub fn print_bytes(&self, bytes: &[u8]) -> Result<()> {
        write_to_stdout(|out| out.write_all(bytes))
    }

    /// Writes a line of a stream to stdout; `false` if the reader is gone.
    pub fn print_line(&self, line: &str) -> Result<bool> {
        match writeln!(io::stdout().lock(), "{line}") {
            Ok(()) => Ok(true),
            Err(err) if err.kind() == io::ErrorKind::BrokenPipe => Ok(false),
            Err(err) => Err(err).context("cannot write to stdout"),
        }
    }

    /// Replaces the text on the terminal; `false` if the reader is gone.
    ///
    /// One write, line by line over the old text, avoids flicker. Lines below the
    /// screen are counted: a terminal that scrolls would show them twice.
    pub fn redraw(&self, text: &str, rows: Option<u16>) -> Result<bool> {
        let mut out = io::stdout().lock();
        let frame = frame(text, rows, self.width);
        match out.write_all(frame.as_bytes()).and_then(|()| out.flush()) {
            Ok(()) => Ok(true),
            Err(err) if err.kind() == io::ErrorKind::BrokenPipe => Ok(false),
            Err(err) => Err(err).context("cannot write to stdout"),
        }
    }

    /// Writes a message to stderr. A write error is ignored: there is no other stream
    /// to report it on.
    pub fn say(&self, message: &str) {
        let _ = live_lines::write(format!("{message}\n").as_bytes());
    }

    /// Writes a sentence to stderr, folded between words at a terminal.
    pub fn say_folded(&self, sentence: &str) {
        self.say(&self.folded(sentence, 0));
    }

    /// Folds a message for stderr, whose first line begins behind a label of `indent` columns.
    pub fn folded(&self, message: &str, indent: usize) -> String {
        let text = text::paragraph(&self.for_stderr(), message, indent);
        text.trim_end().to_owned()
    }

    /// Writes a warning to stderr.
    pub fn warn(&self, message: &str) {
        let label = if self.colour_on_stderr {
            "\u{1b}[33mwarning\u{1b}[0m"
        } else {
            "warning"
        };
        let message = self.folded(&escaped(message), "warning: ".len());
        self.say(&format!("{label}: {message}"));
    }
}

/// Writes to stdout in large pieces. A reader that is gone is no error.
fn write_to_stdout(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<()> {
    let mut out = BufWriter::new(io::stdout().lock());
    match write(&mut out).and_then(|()| out.flush()) {
        Err(err) if err.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other.context("cannot write to stdout"),
    }
}

/// Renders a screen: the cursor goes to the upper left corner, each line is cleared
/// behind its text, and at last everything below.
fn frame(text: &str, rows: Option<u16>, columns: Option<u16>) -> String {
    // The last row holds the cursor.
    let most = rows.map_or(usize::MAX, |rows| usize::from(rows.saturating_sub(1)));
    // A word that is wider than the terminal takes several rows.
    let columns = columns.map_or(usize::MAX, |columns| usize::from(columns.max(1)));
    let height = |line: &str| measure_text_width(line).div_ceil(columns).max(1);
    let mut lines: Vec<&str> = text.lines().collect();
    let mut height_of_all: usize = lines.iter().map(|line| height(line)).sum();
    let mut n_cut: u64 = 0;
    // The note about the lines that are cut takes a row.
    while height_of_all + usize::from(n_cut > 0) > most
        && let Some(cut) = lines.pop()
    {
        height_of_all -= height(cut);
        n_cut += 1;
    }
    let count = text::count(n_cut, "more line", "more lines");
    let note = (n_cut > 0).then(|| format!("and {count}"));
    let lines = lines.into_iter().chain(note.as_deref());
    let lines = lines.map(|line| format!("{line}\u{1b}[K\n"));
    format!("\u{1b}[H{}\u{1b}[J", lines.collect::<String>())
}

fn decide_colour(terminal: bool, no_colour: bool, forced: bool, dumb: bool) -> bool {
    !no_colour && (forced || (terminal && !dumb))
}

/// Asks a question on stderr and reads one line from stdin; at its end, none.
pub fn ask_line(question: &str) -> Result<Option<String>> {
    live_lines::write(format!("{question} ").as_bytes()).context("cannot ask on stderr")?;
    let mut answer = String::new();
    let n_bytes = io::stdin()
        .read_line(&mut answer)
        .context("cannot read the answer")?;
    Ok((n_bytes > 0).then(|| answer.trim().to_owned()))
}

/// Asks a question that only `y` or `yes` affirms.
pub fn ask(question: &str) -> Result<bool> {
    let answer = ask_line(&format!("{question} [y/N]"))?.unwrap_or_default();
    Ok(yes_or_no(&answer) == Some(true))
}

/// Reads `y`, `yes`, `n` or `no`; any other answer is none of both.
pub fn yes_or_no(answer: &str) -> Option<bool> {
    match answer.to_lowercase().as_str() {
        "y" | "yes" => Some(true),
        "n" | "no" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_overwrites_and_then_clears_the_rest() {
        let drawn = "\u{1b}[Ha\u{1b}[K\nb\u{1b}[K\n\u{1b}[J";
        assert_eq!(frame("a\nb\n", None, None), drawn);
        assert_eq!(frame("a\nb\n", Some(3), None), drawn);
    }

    #[test]
    fn a_frame_counts_the_lines_that_have_no_room() {
        let shown = |text: &str, rows: u16| {
            let frame = frame(text, Some(rows), Some(4));
            let lines = frame.split("\u{1b}[K\n");
            let lines = lines.map(|line| line.trim_start_matches("\u{1b}[H").to_owned());
            lines.collect::<Vec<String>>()
        };
        let end = "\u{1b}[J";
        assert_eq!(shown("a\nb\nc\n", 4), ["a", "b", "c", end]);
        assert_eq!(shown("a\nb\nc\n", 3), ["a", "and 2 more lines", end]);
        assert_eq!(shown("a\n12345\n", 4), ["a", "12345", end]);
        assert_eq!(shown("a\n12345\n", 3), ["a", "and 1 more line", end]);
    }

    #[test]
    fn colour_needs_a_terminal_or_force_and_no_veto() {
        assert!(decide_colour(true, false, false, false));
        assert!(!decide_colour(false, false, false, false));
        assert!(!decide_colour(true, true, true, false));
        assert!(decide_colour(false, false, true, false));
        assert!(!decide_colour(true, false, false, true));
    }
}
