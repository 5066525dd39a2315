//! `hfdl runs`

use anyhow::Result;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::context::Context;
use super::list_options::ListOptions;
use super::next_steps::NO_RUNS;
use super::run_id;
use super::sessions::list_text;
use crate::domain::outcome::{ExitStatus, RunOutcome};
use crate::domain::retention::Removal;
use crate::domain::run::Run;
use crate::domain::session::Session;
use crate::domain::units::ByteSize;
use crate::json::{RunSummaryView, RunView, document};
use crate::ops::status::unfinished;
use crate::store::{RunFilter, SessionFilter, Store};
use crate::ui::table::Column;
use crate::ui::{Output, table, text};

/// List and show runs: processes that had work or were skipped
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:
  hfdl runs list
  hfdl runs show 5c0ffee1")]
pub struct Runs {
    #[command(subcommand)]
    command: RunsCommand,
}

#[derive(Debug, Subcommand)]
enum RunsCommand {
    #[command(visible_alias = "ls")]
    List(RunsList),
    Show(RunsShow),
}

impl Runs {
    pub fn run(self, context: &Context) -> Result<ExitStatus> {
        match self.command {
            RunsCommand::List(command) => command.run(context),
            RunsCommand::Show(command) => command.run(context),
        }?;
        Ok(ExitStatus::Ok)
    }
}

/// List runs, the newest first
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:
  hfdl runs list
  hfdl runs list --since 2d --limit 200")]
struct RunsList {
    #[command(flatten)]
    options: ListOptions,
}

impl RunsList {
    fn run(self, context: &Context) -> Result<()> {
        let since = self.options.since(context)?;
        let (mut runs, mut crashed) = (Vec::new(), Vec::new());
        if let Some(store) = context.existing_store()? {
            runs = store.runs(&RunFilter {
                since,
                limit: Some(self.options.query_limit()),
                ..RunFilter::default()
            })?;
            crashed = unfinished(&store, &context.home)?.1;
        }
        let has_more = self.options.cut(&mut runs);
        context.out.list(
            || runs.iter().map(|run| run.id.to_string()).collect(),
            |out| runs_text(context, out, &runs, &crashed),
            || {
                let views: Vec<RunSummaryView> = runs.iter().map(RunSummaryView::from).collect();
                document("hfdl.runs/1", json!({ "runs": views, "more": has_more }))
            },
        )?;
        self.options.hint_at_more(context, has_more);
        if runs.is_empty() {
            context.hint(match since {
                Some(_) => "no run since then; `hfdl runs list` shows the newest",
                None => NO_RUNS,
            });
        }
        Ok(())
    }
}

fn runs_text(context: &Context, out: &Output, runs: &[Run], crashed: &[Run]) -> String {
    if runs.is_empty() {
        return String::new();
    }
    let clock = context.clock();
    let columns = [
        Column::kept("RUN"),
        Column::kept("STARTED"),
        Column::kept("COMMAND").least(3),
        Column::kept("STARTED BY").least(5),
        Column::kept("OUTCOME"),
        Column::number("CODE").least(6),
        Column::number("SESSIONS").least(4),
        Column::number("FAILED").if_any(),
        Column::number("FETCHED").least(1),
        Column::number("TOOK").least(2),
    ];
    let rows = runs.iter().map(|run| {
        let (start, totals) = (&run.start, run.totals);
        // The totals of a run are written at its end.
        let count = |text: String| run.end.map_or_else(|| text::NOTHING.to_owned(), |_| text);
        vec![
            ending(run),
            clock.past(start.at),
            start.command.to_string(),
            start.trigger.to_string(),
            outcome(run, crashed).to_owned(),
            text::or_nothing(run.end.and_then(|end| end.exit_code)),
            count(totals.n_sessions.to_string()),
            text::count_or_nothing(totals.n_failed),
            count(ByteSize(totals.bytes_fetched).render_short()),
            text::took(start.at, run.end.map(|end| end.at)),
        ]
    });
    table::render(out, &columns, rows.collect())
}

/// Returns the last part of an id, which identifies the run and fits into a table.
fn ending(run: &Run) -> String {
    run.id.ending().to_owned()
}

/// Returns the outcome for a table. A crashed run is `crashed`, even if no later run
/// has closed it yet.
fn outcome(run: &Run, crashed: &[Run]) -> &'static str {
    let has_crashed = crashed.iter().any(|other| other.id == run.id);
    match run.end {
        Some(end) => end.outcome.as_str(),
        None if has_crashed => RunOutcome::Crashed.as_str(),
        None => "running",
    }
}

/// Show a run and its sessions
#[derive(Debug, Args)]
#[command(after_long_help = "Example:
  hfdl runs show 5c0ffee1")]
struct RunsShow {
    /// Id of the run, or a unique ending of it
    id: String,
}

impl RunsShow {
    fn run(self, context: &Context) -> Result<()> {
        let store = Store::open_read_only(&context.home.database(), context.now())?;
        let run = find_run(&store, &self.id)?;
        let crashed = unfinished(&store, &context.home)?.1;
        let mut sessions = store.sessions(&SessionFilter {
            run: Some(run.id.clone()),
            ..SessionFilter::default()
        })?;
        // In the order of their start, as the run itself reports them.
        sessions.reverse();
        let removed = store.removals(&run.id)?;
        context.out.result(
            |out| show_text(context, out, &run, &sessions, &crashed),
            || show_document(&run, &sessions, &removed),
        )
    }
}

/// Finds a run by its id or the end of it.
pub(super) fn find_run(store: &Store, id: &str) -> Result<Run> {
    run_id::the_only(store.runs_by_ending(id)?, id, "run", "hfdl runs list")
}

fn show_text(
    context: &Context,
    out: &Output,
    run: &Run,
    sessions: &[Session],
    crashed: &[Run],
) -> String {
    let clock = context.clock();
    let (start, end) = (&run.start, run.end);
    let process = &start.process;
    let ended = end.map(|end| end.at);
    let facts = table::facts(
        out,
        &[
            ("run", run.id.to_string()),
            ("command", start.command.to_string()),
            ("started by", start.trigger.to_string()),
            (
                "process",
                format!(
                    "{} on {}, hfdl {}",
                    process.pid, process.host, process.version
                ),
            ),
            ("started", clock.past_in_full(start.at)),
            ("last seen", clock.past_in_full(run.heartbeat_at)),
            ("asked to stop", clock.past_in_full(run.stop_requested_at)),
            ("ended", clock.past_in_full(ended)),
            ("took", text::took(start.at, ended)),
            ("outcome", outcome(run, crashed).to_owned()),
            (
                "exit code",
                text::or_nothing(end.and_then(|end| end.exit_code)),
            ),
            ("due", run.totals.n_due.to_string()),
        ],
    );
    if sessions.is_empty() {
        return facts;
    }
    format!("{facts}\n{}", list_text(context, out, sessions, crashed))
}

/// Returns the document that the run itself printed, with the fields of `runs list`.
fn show_document(run: &Run, sessions: &[Session], removed: &[Removal]) -> Value {
    let view = RunView::from((run, sessions)).with_removed(removed);
    let mut value = view.document();
    if let (Value::Object(fields), Value::Object(more)) = (
        &mut value,
        document("hfdl.run/1", RunSummaryView::from(run)),
    ) {
        for (name, value) in more {
            fields.entry(name).or_insert(value);
        }
    }
    value
}
