//! `hfdl sessions`

use std::str::FromStr;

use anyhow::Result;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::context::Context;
use super::list_options::ListOptions;
use super::models;
use super::runs::find_run;
use super::sessions_show::SessionsShow;
use crate::domain::invalid_value::InvalidValue;
use crate::domain::model::EntryName;
use crate::domain::outcome::{ExitStatus, Outcome, RunOutcome, VerifyOutcome};
use crate::domain::run::Run;
use crate::domain::session::Session;
use crate::domain::units::ByteSize;
use crate::json::{SessionView, document};
use crate::ops::status::unfinished;
use crate::store::{ModelFilter, SessionFilter, SessionsOf, Store};
use crate::ui::table::Column;
use crate::ui::{Output, table, text};

/// List and show sessions: the syncs and verifications of models
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:
  hfdl sessions list --model org/name
  hfdl sessions show 12")]
pub struct Sessions {
    #[command(subcommand)]
    command: SessionsCommand,
}

#[derive(Debug, Subcommand)]
enum SessionsCommand {
    #[command(visible_alias = "ls")]
    List(SessionsList),
    Show(SessionsShow),
}

impl Sessions {
    pub fn run(self, context: &Context) -> Result<ExitStatus> {
        match self.command {
            SessionsCommand::List(command) => command.run(context),
            SessionsCommand::Show(command) => command.run(context),
        }?;
        Ok(ExitStatus::Ok)
    }
}

/// List sessions, the newest first
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:
  hfdl sessions list --model org/name
  hfdl sessions list --outcome failed --since 7d
  hfdl sessions list --run 5c0ffee1 --json")]
struct SessionsList {
    /// Show only sessions of this model, which may have been removed
    #[arg(long, value_name = "NAME")]
    model: Option<EntryName>,

    /// Show only sessions of the run with this id, or with a unique ending of it
    #[arg(long, value_name = "ID")]
    run: Option<String>,

    /// Show only sessions with this outcome: updated, up-to-date, repaired, partial, held, could-not-check,
    /// orphaned, skipped or failed; for verifications: verified, damaged or unproven
    #[arg(long, value_name = "WORD")]
    outcome: Option<EndWord>,

    #[command(flatten)]
    options: ListOptions,
}

/// An outcome of a session, or of a verification.
#[derive(Clone, Copy, Debug)]
enum EndWord {
    Session(Outcome),
    Verification(VerifyOutcome),
}

impl EndWord {
    fn of_session(self) -> Option<Outcome> {
        match self {
            Self::Session(outcome) => Some(outcome),
            Self::Verification(_) => None,
        }
    }

    fn of_verification(self) -> Option<VerifyOutcome> {
        match self {
            Self::Session(_) => None,
            Self::Verification(outcome) => Some(outcome),
        }
    }
}

impl FromStr for EndWord {
    type Err = InvalidValue;

    fn from_str(text: &str) -> std::result::Result<Self, InvalidValue> {
        if let Ok(outcome) = text.parse() {
            return Ok(Self::Verification(outcome));
        }
        let words = Outcome::ALL.iter().map(|word| word.as_str());
        let all = words.chain(VerifyOutcome::ALL.iter().map(|word| word.as_str()));
        let unknown = InvalidValue::unknown_word(text, all);
        text.parse().map(Self::Session).map_err(|_| unknown)
    }
}

impl SessionsList {
    fn run(self, context: &Context) -> Result<()> {
        let since = self.options.since(context)?;
        let (mut sessions, mut crashed) = (Vec::new(), Vec::new());
        if let Some(store) = existing_store(context, self.model.as_ref(), self.run.as_deref())? {
            let of = self.model.as_ref().map(|name| sessions_of(&store, name));
            let run = self.run.as_deref().map(|id| find_run(&store, id));
            sessions = store.sessions(&SessionFilter {
                of: of.transpose()?,
                run: run.transpose()?.map(|run| run.id),
                outcome: self.outcome.and_then(EndWord::of_session),
                verify_outcome: self.outcome.and_then(EndWord::of_verification),
                since,
                until: None,
                limit: Some(self.options.query_limit()),
            })?;
            crashed = unfinished(&store, &context.home)?.1;
        }
        let has_more = self.options.cut(&mut sessions);
        context.out.list(
            || sessions.iter().map(|it| it.id.0.to_string()).collect(),
            |out| list_text(context, out, &sessions, &crashed),
            || {
                let views = sessions.iter().map(SessionView::from);
                let views: Vec<Value> = views.map(|it| document("hfdl.session/1", it)).collect();
                document(
                    "hfdl.sessions/1",
                    json!({ "sessions": views, "more": has_more }),
                )
            },
        )?;
        self.options.hint_at_more(context, has_more);
        if sessions.is_empty() {
            let is_filtered = self.outcome.is_some() || self.run.is_some() || since.is_some();
            context.hint(match &self.model {
                _ if is_filtered => "no session fits; `hfdl sessions list` shows the newest",
                Some(_) => "no session yet; `hfdl download NAME` makes one",
                None => "no sessions yet; `hfdl run-due` or `hfdl download NAME` makes one",
            });
        }
        Ok(())
    }
}

/// Opens the database if there is one. A missing database is an error if a model or
/// run is given: neither can exist.
fn existing_store(
    context: &Context,
    model: Option<&EntryName>,
    run: Option<&str>,
) -> Result<Option<Store>> {
    let is_particular = model.is_some() || run.is_some();
    match context.existing_store()? {
        None if is_particular => {
            let home = &context.home;
            Ok(Some(Store::open_read_only(
                &home.database(),
                context.now(),
            )?))
        }
        store => Ok(store),
    }
}

/// Returns the filter for the sessions of a model, registered or removed.
fn sessions_of(store: &Store, name: &EntryName) -> Result<SessionsOf> {
    if let Some(model) = store.find_model(name)? {
        return Ok(SessionsOf::Model(model.id));
    }
    let removed = SessionsOf::RemovedModel(name.clone());
    let any = store.sessions(&SessionFilter {
        of: Some(removed.clone()),
        limit: Some(1),
        ..SessionFilter::default()
    })?;
    if any.is_empty() {
        let known = store.readable_models(&ModelFilter::default())?;
        return Err(models::unknown(name, &known).into());
    }
    Ok(removed)
}

pub(super) fn list_text(
    context: &Context,
    out: &Output,
    sessions: &[Session],
    crashed: &[Run],
) -> String {
    if sessions.is_empty() {
        return String::new();
    }
    let clock = context.clock();
    let columns = [
        Column::number("ID"),
        Column::kept("STARTED"),
        Column::name("MODEL"),
        Column::kept("OUTCOME"),
        Column::number("FETCHED").least(2),
        Column::number("REUSED").least(4),
        Column::number("TOOK").least(3),
        Column::sentence("ERROR").least(1).if_any(),
    ];
    let rows = sessions.iter().map(|session| {
        let (bytes, end) = (session.progress.bytes, session.end.as_ref());
        let trouble = end.and_then(|end| end.trouble.as_ref());
        vec![
            session.id.0.to_string(),
            clock.past(session.start.at),
            session.start.label(),
            outcome(session, crashed).to_owned(),
            ByteSize(bytes.fetched).render_short(),
            ByteSize(bytes.reused).render_short(),
            text::took(session.start.at, end.map(|end| end.at)),
            text::or_nothing(trouble.and_then(|it| it.message.lines().next())),
        ]
    });
    table::render(out, &columns, rows.collect())
}

/// Returns the outcome for a table. A session of a crashed run is `crashed`, even if
/// no later run has closed it yet.
pub(super) fn outcome(session: &Session, crashed: &[Run]) -> &'static str {
    let has_crashed = crashed.iter().any(|run| run.id == session.start.run_id);
    match &session.end {
        Some(end) => end.word(),
        None if has_crashed => RunOutcome::Crashed.as_str(),
        None => "running",
    }
}
