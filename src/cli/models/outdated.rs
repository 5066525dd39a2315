//! `hfdl models outdated`

use anyhow::Result;
use clap::Args;
use serde_json::{Value, json};

use super::find::named_or_all;
use crate::cli::context::Context;
use crate::cli::explain::Explanation;
use crate::cli::next_steps::FIRST_MODEL;
use crate::cli::policy_text::{rules_in_force, until};
use crate::cli::watcher::while_asking;
use crate::domain::model::{EntryName, Model};
use crate::domain::outcome::ExitStatus;
use crate::domain::policy::UpdateWait;
use crate::domain::time::render_utc;
use crate::domain::units::ByteSize;
use crate::json::document;
use crate::ops;
use crate::ops::login::Renewal;
use crate::ops::outdated::{ModelStanding, UpstreamStanding};
use crate::store::{ModelFilter, Store};
use crate::sys::stop::StopFlag;
use crate::ui::table::Column;
use crate::ui::{table, text};

/// Ask the Hub which models have a newer revision
///
/// Sends one request for each model, and one more for the size of an update or of a first download;
/// downloads and records nothing. An outdated model is not an error; the exit code is not 0 when some
/// models could not be checked.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:
  hfdl models outdated
  hfdl models outdated org/name --json")]
pub(super) struct Outdated {
    /// Models to ask about (default: all that are enabled)
    #[arg(value_name = "NAME")]
    names: Vec<EntryName>,
}

impl Outdated {
    pub(super) fn run(self, context: &Context) -> Result<ExitStatus> {
        let store = Store::open_read_only(&context.home.database(), context.now())?;
        let settings = context.settings(Some(&store))?;
        let models = self.models(&store)?.into_iter().map(|model| {
            let in_force = rules_in_force(&store, context, &model)?;
            Ok((model, in_force.rules))
        });
        let models = models.collect::<Result<Vec<_>>>()?;
        let stop = StopFlag::new();
        let clients = ops::hub::connect(&context.host, &settings, &stop, Renewal::Never)?;
        let label = text::count(models.len() as u64, "model", "models");
        let ask = || ops::outdated::ask_all(&clients, &settings, models);
        let answers = while_asking(context, &label, ask);
        for answer in &answers {
            if let Some(explanation) = explain(answer) {
                context.show_problem(&explanation);
            }
        }
        context
            .out
            .result(|out| text(context, out, &answers), || views(&answers))?;
        if answers.is_empty() {
            context.say_to_people("no models");
            context.hint(FIRST_MODEL);
        }
        Ok(ops::outdated::status_of(&answers))
    }

    /// Finds the models by name, each once; a disabled one only when it is named.
    fn models(&self, store: &Store) -> Result<Vec<Model>> {
        if self.names.is_empty() {
            return Ok(store.readable_models(&ModelFilter {
                enabled: Some(true),
                ..ModelFilter::default()
            })?);
        }
        named_or_all(store, &self.names)
    }
}

/// Explains the failed check of a model; all other answers are in the table.
fn explain(answer: &ModelStanding) -> Option<Explanation> {
    let trouble = answer.trouble.as_ref()?;
    (answer.standing == UpstreamStanding::CouldNotCheck).then(|| Explanation {
        headline: format!("could not check `{}`", answer.model.spec.name),
        cause: Some(trouble.message.clone()),
        next: trouble.hint.clone(),
        status: trouble.kind.exit_status(),
    })
}

fn text(context: &Context, out: &crate::ui::Output, answers: &[ModelStanding]) -> String {
    if answers.is_empty() {
        return String::new();
    }
    let columns = [
        Column::name("NAME"),
        Column::name("REVISION").least(3),
        Column::sentence("STATE"),
        Column::number("TO FETCH").if_any(),
        Column::kept("DELAYED UNTIL").least(2).if_any(),
        Column::kept("PUBLISHED").least(4),
        Column::kept("UPSTREAM").least(1),
    ];
    let clock = context.clock();
    let rows = answers.iter().map(|answer| {
        let short = |commit: Option<&crate::domain::repo::CommitSha>| {
            commit
                .map_or(text::NOTHING, |commit| commit.short())
                .to_owned()
        };
        vec![
            answer.model.spec.name.to_string(),
            match &answer.tag {
                Some(tag) => tag.to_string(),
                None => answer.model.spec.revision.to_string(),
            },
            state_words(answer),
            text::or_nothing(answer.bytes_to_fetch.map(|it| ByteSize(it).render_short())),
            text::or_nothing(delay(answer).map(|wait| until(wait, &answer.rules, &clock))),
            short(answer.model.state.published_commit.as_ref()),
            short(answer.upstream.as_ref()),
        ]
    });
    table::render(out, &columns, rows.collect())
}

/// Returns the state of a model, and the reason why it does not take the newest commit.
fn state_words(answer: &ModelStanding) -> String {
    let state = &answer.model.state;
    let is_outdated = answer.standing == UpstreamStanding::Outdated;
    let reason = if answer.is_held {
        ", held"
    } else if is_outdated && state.pinned.is_some() {
        ", pinned"
    } else if delay(answer).is_some() {
        ", delayed"
    } else {
        ""
    };
    format!("{}{reason}", answer.standing)
}

/// Returns the delay that the newest commit of an outdated model waits for.
fn delay(answer: &ModelStanding) -> Option<&UpdateWait> {
    let is_outdated = answer.standing == UpstreamStanding::Outdated;
    let wait = answer.model.state.wait.as_ref().filter(|_| is_outdated);
    wait.filter(|_| !answer.is_held && answer.model.state.pinned.is_none())
}

fn views(answers: &[ModelStanding]) -> Value {
    let models: Vec<Value> = answers
        .iter()
        .map(|answer| {
            let (spec, trouble) = (&answer.model.spec, answer.trouble.as_ref());
            let published = answer.model.state.published_commit.as_ref();
            let held = answer.upstream.as_ref().filter(|_| answer.is_held);
            let held = held.map(ToString::to_string);
            let wait = answer.model.state.wait.as_ref();
            let waiting_until = wait.map(|wait| render_utc(wait.until));
            json!({
                "model": spec.name.as_str(),
                "repo": spec.repo.to_string(),
                "repo_type": spec.repo.kind.as_str(),
                "revision": spec.revision.to_string(),
                "state": answer.standing.as_str(),
                "published_commit": published.map(ToString::to_string),
                "held_update_commit": held,
                "held_update": held,
                "pinned_commit": answer.model.state.pinned.as_ref().map(|pin| pin.commit.to_string()),
                "waiting_until": waiting_until,
                "waits_until": waiting_until,
                "upstream_tag": answer.tag.as_ref().map(ToString::to_string),
                "bytes_to_fetch": answer.bytes_to_fetch,
                "upstream_commit": answer.upstream.as_ref().map(ToString::to_string),
                "error_kind": trouble.map(|trouble| trouble.kind.as_str()),
                "error": trouble.map(|trouble| trouble.message.clone()),
                "hint": trouble.and_then(|trouble| trouble.hint.clone()),
            })
        })
        .collect();
    document("hfdl.outdated/1", json!({ "models": models }))
}
