//! `hfdl status`

use std::io::Write;
use std::time::Duration;

use anyhow::Result;
use clap::Args;
use serde::Serialize;

use super::context::Context;
use super::status_text::{render, warnings_text};
use crate::domain::outcome::ExitStatus;
use crate::domain::settings::Settings;
use crate::domain::status::{DatabaseTrouble, Status as Standing, Warning, assess};
use crate::json::{self, line};
use crate::ops::status::{StatusContext, gather, trouble_of, write_status_file};
use crate::ops::timer;
use crate::ops::timer_places::{LOST_DATABASE_HINT, lost_database};
use crate::store::Store;
use crate::sys::files::write_for_all_with;
use crate::sys::paths;
use crate::sys::signals;
use crate::sys::stop::StopFlag;
use crate::ui::{Clock, Format, Output, table, yaml_document};

/// Show the state of everything, and whether it needs a person
///
/// Shows the timer, the run in progress, the next due schedules, the last outcome of each model,
/// and the disk. Exits with 0 when there is no warning, and with 1 when something needs a person: a
/// model that fails, or is gone or closed upstream; an update that is held; a check older than
/// check.max_age and than twice the longest gap of its schedule; a tick that was missed or failed
/// before its run; schedules that nothing starts; a schedule that no tick can serve or that
/// includes no model; a run that crashed or has given no sign of life for five minutes; a full
/// disk; a spent allowance that a model waits for; a clock that cannot be right; trouble with the
/// database. The next tick retries temporary trouble, which becomes a warning only when it lasts.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:
  hfdl status
  hfdl status --watch
  hfdl status -q 2> warnings || mail -s 'hfdl needs you' me < warnings
  hfdl status --json")]
pub struct StatusCommand {
    /// Refresh every two seconds until Ctrl-C; in a pipe, print only changes
    #[arg(long)]
    watch: bool,
}

/// The status and its warnings.
struct Report {
    status: Standing,
    warnings: Vec<Warning>,
}

impl Report {
    fn new(status: Standing) -> Self {
        Self {
            warnings: assess(&status),
            status,
        }
    }

    fn document(&self) -> impl Serialize {
        json::status(&self.status, &self.warnings)
    }

    fn text(&self, out: &Output, clock: &Clock) -> String {
        render(&self.status, &self.warnings, clock, out)
    }
}

impl StatusCommand {
    pub fn run(self, context: &Context) -> Result<ExitStatus> {
        if self.watch {
            return watch(context);
        }
        let report = Report::new(look(context)?);
        if context.out.quiet && context.out.format == Format::Table {
            say_warnings(&context.message_clock(), &context.out, &report.warnings);
        } else {
            context.out.result(
                |out| report.text(out, &context.clock()),
                || report.document(),
            )?;
        }
        Ok(if report.warnings.is_empty() {
            ExitStatus::Ok
        } else {
            ExitStatus::Failed
        })
    }
}

/// Names the reasons of the exit code on stderr.
fn say_warnings(clock: &Clock, out: &Output, warnings: &[Warning]) {
    if warnings.is_empty() {
        return;
    }
    let stderr = out.for_stderr();
    out.say(warnings_text(warnings, clock, &stderr).trim_end());
}

/// Gathers the status; a database that cannot be read is part of it.
fn look(context: &Context) -> Result<Standing> {
    let opened = Store::open_read_only(&context.home.database(), context.now());
    let mut store = opened.map_err(|err| trouble_of(&err));
    if !context.home.database().exists() {
        // Without this check a missing database would look like an empty one.
        let settings = context.settings(None)?;
        let place = timer::HomeContext {
            host: &context.host,
            home: &context.home,
            settings: &settings,
        };
        if let Some(message) = lost_database(place) {
            let hint = Some(LOST_DATABASE_HINT.to_owned());
            store = Err(DatabaseTrouble { message, hint });
        }
    }
    // Saved settings are in the same database.
    match (context.settings(store.as_ref().ok()), store) {
        (Ok(settings), store) => {
            gather_with(context, &settings, store.as_ref().map_err(Clone::clone))
        }
        (Err(err), Ok(_)) if err.is::<crate::store::StoreError>() => {
            gather_with(context, &context.settings(None)?, Err(trouble_of(&err)))
        }
        (Err(err), _) => Err(err),
    }
}

fn gather_with(
    context: &Context,
    settings: &Settings,
    store: Result<&Store, DatabaseTrouble>,
) -> Result<Standing> {
    let places = StatusContext {
        host: &context.host,
        home: &context.home,
        settings,
    };
    let place = timer::HomeContext {
        host: &context.host,
        home: &context.home,
        settings,
    };
    let timer = match &store {
        Ok(store) => timer::status_facts(place, store)?,
        Err(_) => None,
    };
    gather(&places, store, timer)
}

/// As `leave_status_file`, for a tick that failed and perhaps has no database.
pub(super) fn leave_early_status_file(context: &Context, settings: &Settings) {
    // Without a database the home may be the mount point of a disk that is not
    // mounted; write nothing there.
    if !context.home.database().exists() {
        return;
    }
    match look(context) {
        Ok(status) => {
            let report = Report::new(status);
            for trouble in write_report(context, &report, settings) {
                log::debug!("{trouble}");
            }
        }
        Err(err) => log::debug!("cannot tell how things stand: {err:#}"),
    }
}

/// Writes the document of `hfdl status --json` beside the database, for programs
/// that read it often, and to `status.file`, for those of other users. Called at
/// the end of a run; a failure is only a warning.
pub(super) fn leave_status_file(context: &Context, store: &Store, settings: &Settings) {
    match gather_with(context, settings, Ok(store)) {
        Ok(status) => {
            let report = Report::new(status);
            for trouble in write_report(context, &report, settings) {
                log::warn!("{trouble}");
            }
        }
        Err(err) => log::warn!("cannot tell how things stand: {err:#}"),
    }
}

/// Writes both status files; returns the errors.
fn write_report(context: &Context, report: &Report, settings: &Settings) -> Vec<String> {
    let path = context.home.status_file();
    let mut trouble = Vec::new();
    let write = |file: &mut dyn Write| json::write(file, &report.document());
    let written = write_status_file(&path, write);
    if let Err(err) = written {
        trouble.push(format!("cannot write `{}`: {err:#}", path.display()));
    }
    if let Some(path) = settings.status_file() {
        let written = paths::expand(&context.host, path)
            .and_then(|path| Ok(write_for_all_with(&path, write)?));
        trouble.extend(
            written
                .err()
                .map(|err| format!("cannot write `{path}`: {err:#}")),
        );
    }
    trouble
}

fn watch(context: &Context) -> Result<ExitStatus> {
    const EVERY: Duration = Duration::from_secs(2);
    let stop = StopFlag::new();
    signals::stop_on_signals(&stop)?;
    let every = if context.host.takes_pauses() {
        EVERY
    } else {
        EVERY / 100
    };
    let mut screen = Screen::new(context);
    loop {
        if !screen.show(&Report::new(look(context)?))? {
            return Ok(ExitStatus::Ok);
        }
        if stop.pause(every) {
            // The terminal has written `^C` into the line of the cursor.
            if screen.is_terminal {
                context.out.print("\n")?;
            }
            return Ok(ExitStatus::Ok);
        }
    }
}

/// The output of `--watch`.
struct Screen<'a> {
    context: &'a Context,
    is_terminal: bool,
    /// The text of the last report.
    last: String,
}

impl<'a> Screen<'a> {
    fn new(context: &'a Context) -> Self {
        Self {
            context,
            is_terminal: context.host.stdout_is_terminal(),
            last: String::new(),
        }
    }

    /// Shows a report; `false` when the reader has closed the pipe.
    fn show(&mut self, report: &Report) -> Result<bool> {
        let out = &self.context.out;
        match out.format {
            Format::Json => return out.print_line(&line(&report.document())),
            Format::Yaml => return out.print_line(&yaml_document(&report.document())?),
            Format::Table | Format::Markdown | Format::Html => {}
        }
        if self.is_terminal {
            let out = out.resized();
            let text = report.text(&out, &self.context.clock());
            return out.redraw(&text, self.context.host.rows());
        }
        let text = report.text(out, &self.context.clock());
        // A file or a pipe gets a report only if it differs from the last one. Free
        // space is left out, because other programs change it.
        let mut status = report.status.clone();
        status.disks.clear();
        // A relative time changes although nothing happens.
        let exact = Clock {
            absolute: true,
            ..self.context.clock()
        };
        let news = Report::new(status).text(out, &exact);
        if news == self.last {
            return Ok(true);
        }
        self.last = news;
        let at = table::facts(out, &[("at", exact.local(report.status.now))]);
        out.print_line(&format!("{at}{text}"))
    }
}
