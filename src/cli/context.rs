//! The context of every command: the host, the home, the output, the settings.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result};

use super::explain::{self, Complaint, Explanation};
use crate::domain::settings::{SettingKey, Settings};
use crate::domain::time::Timestamp;
use crate::ops::services::Services;
use crate::ops::settings::resolve_settings;
use crate::store::Store;
use crate::sys::files::write_for_all;
use crate::sys::host::Host;
use crate::sys::logging::LogFormat;
use crate::sys::paths::Home;
use crate::ui::{self, Clock, Format, Output};

/// The name of stdout for options that take the path of a document.
pub const STDOUT: &str = "-";

#[derive(Clone)]
pub struct Context {
    pub host: Host,
    pub home: Home,
    pub out: Output,
    pub yes: bool,
    /// Whether times of tables are written with their date.
    pub absolute: bool,
    pub log_format: LogFormat,
    /// Settings given by `--set`.
    pub flags: BTreeMap<SettingKey, String>,
}

impl Context {
    /// Writes a document to a file, which is replaced as a whole, or for `-` to stdout.
    pub fn write_document(&self, output: &Path, text: &str) -> Result<()> {
        if output == Path::new(STDOUT) {
            return self.out.print(text);
        }
        write_for_all(output, text.as_bytes())
            .with_context(|| format!("cannot write `{}`", output.display()))
    }

    pub fn now(&self) -> Timestamp {
        self.host.now()
    }

    /// Returns the clock for times that people read.
    pub fn clock(&self) -> Clock {
        Clock::new(&self.host, self.absolute)
    }

    /// Returns the clock for messages on stderr.
    pub fn message_clock(&self) -> Clock {
        Clock::of_messages(&self.host, self.absolute)
    }

    /// Shows a warning, with its times as those of the reader.
    pub fn warn(&self, message: &str) {
        self.out.warn(&self.message_clock().told(message));
    }

    /// Opens the database, making it when there is none.
    pub fn store(&self) -> Result<Store> {
        Store::open(&self.home.database(), self.now())
    }

    /// Opens the database for a command that only looks: where there is none,
    /// looking makes none.
    pub fn existing_store(&self) -> Result<Option<Store>> {
        let path = self.home.database();
        let exists = path
            .try_exists()
            .with_context(|| format!("cannot look at `{}`", path.display()))?;
        exists.then(|| self.store()).transpose()
    }

    pub fn settings(&self, store: Option<&Store>) -> Result<Settings> {
        resolve_settings(&self.host, store, self.flags.clone())
    }

    /// Tells whether a person works at the terminal and reads the table.
    pub fn is_interactive(&self) -> bool {
        let (host, format) = (&self.host, self.out.format);
        host.stdin_is_terminal() && host.stderr_is_terminal() && format == Format::Table
    }

    /// Shows the warnings of the Hub.
    pub fn show_hub_warnings(&self, services: &Services<'_>) {
        for message in services.warnings() {
            self.out.warn(&format!("the Hub says: {message}"));
        }
    }

    /// Prints a sentence beside a table, unless `--quiet` is given.
    pub fn say_to_people(&self, sentence: &str) {
        if !self.out.quiet && self.out.format == Format::Table {
            self.out.say_folded(sentence);
        }
    }

    /// Names the next step to a person at a terminal. Scripts and pipes do not get it.
    pub fn hint(&self, sentence: &str) {
        if self.host.stderr_is_terminal() {
            self.say_to_people(sentence);
        }
    }

    /// Shows a problem of one model; the command goes on with the others.
    pub fn show_problem(&self, explanation: &Explanation) {
        explain::show(
            explanation,
            &self.out,
            &self.message_clock(),
            self.log_format,
        );
    }

    /// Shows a note, unless `--quiet` is given.
    pub fn show_note(&self, explanation: &Explanation) {
        if !self.out.quiet {
            self.show_note_always(explanation);
        }
    }

    /// Shows a note, also with `--quiet`.
    pub fn show_note_always(&self, explanation: &Explanation) {
        let clock = self.message_clock();
        explain::show_note(explanation, &self.out, &clock, self.log_format);
    }

    /// Asks before something that cannot be taken back. Without a terminal
    /// and without `--yes` the answer is no, loudly.
    pub fn confirm(&self, question: &str) -> Result<()> {
        if self.yes {
            return Ok(());
        }
        if !self.host.stdin_is_terminal() || !self.host.stderr_is_terminal() {
            return Err(Complaint::usage(format!("not confirmed: {question}"))
                .cause("there is no terminal to ask on")
                .next("add `--yes` if that is what you want")
                .into());
        }
        if ui::ask(question)? {
            Ok(())
        } else {
            Err(Complaint::usage("not confirmed; nothing was changed").into())
        }
    }
}
