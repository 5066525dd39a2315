//! `hfdl logs`

use std::io::{BufRead, BufReader};
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Args;
use serde_json::{Value, json};

use super::context::Context;
use super::explain::Complaint;
use super::run_id;
use crate::domain::outcome::{ExitStatus, words};
use crate::domain::units::ByteSize;
use crate::json::document;
use crate::ops::status::unfinished;
use crate::store::Store;
use crate::sys::logging::{self, LogFile};
use crate::ui::table::Column;
use crate::ui::{Format, table, yaml_document};

words! {
    /// The least severe level that is shown.
    LogLevel {
        Error = "error",
        Warn = "warn",
        Info = "info",
        Debug = "debug",
    }
}

/// Show the logs of runs
///
/// Without options it lists the log files, one for each run.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:
  hfdl logs --last
  hfdl logs --last --level warn
  hfdl logs --last --follow")]
pub struct Logs {
    /// Show the log of the run with this id, or with a unique ending of it
    #[arg(long, value_name = "ID", conflicts_with = "last")]
    run: Option<String>,

    /// Show the log of the latest run
    #[arg(long)]
    last: bool,

    /// Show lines of this level and more severe ones: error, warn, info or debug
    #[arg(long, value_name = "LEVEL", default_value = "debug")]
    level: LogLevel,

    /// Show new lines as they are written, until the run ends
    #[arg(long)]
    follow: bool,
}

impl Logs {
    pub fn run(self, context: &Context) -> Result<ExitStatus> {
        let mut files = logging::list_files(&context.home.logs())?;
        let file = match &self.run {
            Some(id) => find(&files, id)?,
            None if self.last || self.follow => match files.pop() {
                Some(file) => file,
                None => {
                    let none = Complaint::new(ExitStatus::Failed, "no run has left a log yet");
                    return Err(none
                        .next("`hfdl run-due` or `hfdl download NAME` leaves one")
                        .into());
                }
            },
            None => return list(context, &files),
        };
        show(context, &file, self.level, self.follow)
    }
}

fn find(files: &[LogFile], id: &str) -> Result<LogFile> {
    let fits = files
        .iter()
        .filter(|file| run_id::is_id_or_ending(id, &file.run_id));
    run_id::the_only(fits.cloned().collect(), id, "log of a run", "hfdl logs")
}

fn list(context: &Context, files: &[LogFile]) -> Result<ExitStatus> {
    let clock = context.clock();
    context.out.list(
        || files.iter().map(|file| file.run_id.clone()).collect(),
        |out| {
            if files.is_empty() {
                return String::new();
            }
            let columns = [Column::kept("RUN"), Column::kept("STARTED"), Column::number("SIZE").least(1), Column::name("FILE").least(2)];
            let rows = files.iter().map(|file| {
                let path = file.path.display().to_string();
                vec![file.run_id.clone(), clock.past(file.started_at), ByteSize(file.size_bytes).render_short(), path]
            });
            table::render(out, &columns, rows.collect())
        },
        || {
            let logs: Vec<Value> = files
                .iter()
                .map(|file| {
                    json!({"run_id": file.run_id, "started_at": file.started_at.to_string(), "bytes": file.size_bytes, "path": file.path.display().to_string()})
                })
                .collect();
            document("hfdl.logs/1", json!({ "logs": logs }))
        },
    )?;
    if files.is_empty() {
        context.hint("no logs yet; `hfdl run-due` or `hfdl download NAME` leaves one");
    } else {
        context.hint("`hfdl logs --last` shows the newest");
    }
    Ok(ExitStatus::Ok)
}

fn show(context: &Context, file: &LogFile, level: LogLevel, follow: bool) -> Result<ExitStatus> {
    let problem = || format!("cannot read the log file `{}`", file.path.display());
    let mut reader = BufReader::new(std::fs::File::open(&file.path).with_context(problem)?);
    let store = if follow {
        context.existing_store()?
    } else {
        None
    };
    let mut line = String::new();
    let mut has_ended = !follow;
    loop {
        if reader.read_line(&mut line).with_context(problem)? == 0 {
            if has_ended {
                return Ok(ExitStatus::Ok);
            }
            context.host.pause(Duration::from_millis(250));
            // Lines written before the end of the run are read in one more pass.
            has_ended = !is_in_progress(context, store.as_ref(), &file.run_id)?;
            continue;
        }
        // The run may not have written the whole line yet.
        if follow && !line.ends_with('\n') {
            continue;
        }
        if let Some(shown) = render(&line, level, context.out.format)
            && !context.out.print_line(&shown)?
        {
            return Ok(ExitStatus::Ok);
        }
        line.clear();
    }
}

/// Returns whether the run of a log file is in progress.
fn is_in_progress(context: &Context, store: Option<&Store>, run_id: &str) -> Result<bool> {
    let Some(store) = store else {
        return Ok(false);
    };
    let (alive, _) = unfinished(store, &context.home)?;
    Ok(alive.is_some_and(|alive| alive.run.id.as_str() == run_id))
}

/// Renders one line of a log file; `None` if its level is not shown.
fn render(line: &str, least: LogLevel, format: Format) -> Option<String> {
    let line = line.trim_end();
    let Ok(entry) = serde_json::from_str::<Value>(line) else {
        // Half a line, left by a killed run, is shown as it is.
        return Some(match format {
            Format::Yaml => yaml_document(&Value::from(line)).unwrap_or_default(),
            _ => line.to_owned(),
        });
    };
    let word = |key: &str| entry.get(key).and_then(Value::as_str).unwrap_or_default();
    let shown = match word("level") {
        "error" => true,
        "warn" => least >= LogLevel::Warn,
        "info" => least >= LogLevel::Info,
        _ => least >= LogLevel::Debug,
    };
    shown.then(|| match format {
        Format::Json => line.to_owned(),
        Format::Yaml => yaml_document(&entry).unwrap_or_else(|_| line.to_owned()),
        _ => format!("{} {:5} {}", word("at"), word("level"), word("message")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_hides_less_severe_lines() {
        let line = r#"{"at":"T","level":"info","target":"hfdl","message":"m"}"#;
        assert_eq!(
            render(line, LogLevel::Info, Format::Table).as_deref(),
            Some("T info  m")
        );
        assert_eq!(render(line, LogLevel::Warn, Format::Table), None);
        assert_eq!(
            render("half a li", LogLevel::Error, Format::Table).as_deref(),
            Some("half a li")
        );
    }
}
