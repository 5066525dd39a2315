//! `hfdl models show`

use anyhow::Result;
use clap::Args;
use serde_json::{Value, json};

use super::context::Context;
use super::models::find;
use crate::domain::hold::HeldUpdate;
use crate::domain::model::{EntryName, Model};
use crate::domain::outcome::Outcome;
use crate::domain::repo::CommitSha;
use crate::domain::schedule::Schedule;
use crate::domain::session::{Session, SessionEnd};
use crate::domain::time::{Timestamp, render_utc};
use crate::domain::units::ByteSize;
use crate::json::{ModelView, SessionView, destination, document};
use crate::ops;
use crate::store::{SessionFilter, SessionsOf};
use crate::ui::{table, text};

/// Show everything known about a model
#[derive(Debug, Args)]
pub struct Show {
    /// Name of the model
    name: EntryName,
}

/// What `show` tells beside the model itself.
struct Surroundings {
    schedules: Vec<Schedule>,
    sessions: Vec<Session>,
    last_outcome: Option<Outcome>,
    partial_bytes: u64,
    /// Why its place cannot be used now.
    place_problem: Option<String>,
}

impl Show {
    pub fn run(self, context: &Context) -> Result<()> {
        let (store, mut model) = find(context, &self.name)?;
        model.state = model.state.as_of(context.now());
        let settings = context.settings(Some(&store))?;
        let places = ops::places::Places::load(&store, &settings)?;
        let mut all = store.schedules()?;
        let tick = settings.timer_every();
        ops::shards::show_as_run_here(&store, &context.host, &mut all.readable, tick)?;
        let sessions = SessionFilter {
            of: Some(SessionsOf::Model(model.id)),
            limit: Some(5),
            ..SessionFilter::default()
        };
        let around = Surroundings {
            schedules: all
                .readable
                .into_iter()
                .filter(|schedule| schedule.spec.selection.includes(&model.spec))
                .collect(),
            sessions: store.sessions(&sessions)?,
            last_outcome: store
                .last_session(model.id, context.now())?
                .and_then(|last| last.outcome()),
            partial_bytes: ops::models::partial_bytes(&model.spec, &settings)?,
            place_problem: places
                .check(&model.spec.destination, Some(model.id))
                .err()
                .map(|err| err.to_string()),
        };
        context.out.result(
            |_| show_text(context, &model, &around),
            || show_document(&model, &around),
        )
    }
}

fn next_due(around: &Surroundings) -> Option<Timestamp> {
    let enabled = around
        .schedules
        .iter()
        .filter(|schedule| schedule.spec.enabled);
    enabled
        .filter_map(|schedule| schedule.state.next_due_at)
        .min()
}

fn show_text(context: &Context, model: &Model, around: &Surroundings) -> String {
    let zone = context.host.time_zone();
    let (spec, state) = (&model.spec, &model.state);
    let commit = |commit: Option<&CommitSha>| match commit {
        Some(commit) => commit.to_string(),
        None => text::NOTHING.to_owned(),
    };
    let include = match &spec.filter.include {
        Some(patterns) => text::list(patterns),
        None => "all files".to_owned(),
    };
    let sessions: Vec<String> = around
        .sessions
        .iter()
        .map(|session| {
            let outcome = session.end.as_ref().map_or("running", SessionEnd::word);
            format!("{}  {outcome}", text::local_time(session.start.at, &zone))
        })
        .collect();
    let schedules = around.schedules.iter().map(|schedule| &schedule.spec.name);
    let mut facts = vec![
        ("name", spec.name.to_string()),
        ("repository", format!("{} ({})", spec.repo, spec.repo.kind)),
        ("revision", spec.revision.to_string()),
        ("include", include),
        ("exclude", text::list(&spec.filter.exclude)),
        ("to", destination(&spec.destination)),
        ("tags", text::list(&spec.tags)),
        ("priority", spec.priority.get().to_string()),
        (
            "keep revisions",
            spec.keep_revisions
                .map_or_else(|| "as the setting says".to_owned(), |n| n.to_string()),
        ),
        ("state", model.summary(around.last_outcome).to_string()),
        ("published", commit(state.published_commit.as_ref())),
        ("held at", commit(state.held_commit.as_ref())),
        ("held update", held_update(state.held_update.as_ref())),
        (
            "last check",
            text::optional_time(state.last_check_at, &zone),
        ),
        (
            "last success",
            text::optional_time(state.last_success_at, &zone),
        ),
        (
            "last change",
            text::optional_time(state.last_change_at, &zone),
        ),
        (
            "last verified",
            match (state.last_verify_at, state.last_verify_outcome) {
                (Some(at), Some(word)) => format!("{} ({word})", text::local_time(at, &zone)),
                _ => text::NOTHING.to_owned(),
            },
        ),
        ("schedules", text::list(schedules)),
        ("next due", text::optional_time(next_due(around), &zone)),
        (
            "partial bytes",
            ByteSize(around.partial_bytes).render_short(),
        ),
        (
            "last sessions",
            if sessions.is_empty() {
                text::NOTHING.to_owned()
            } else {
                sessions.join("\n")
            },
        ),
    ];
    if let Some(problem) = &around.place_problem {
        facts.push(("place", problem.clone()));
    }
    table::facts(&facts)
}

fn show_document(model: &Model, around: &Surroundings) -> Value {
    let mut value = document("hfdl.model/1", ModelView::new(model, around.last_outcome));
    let names = around
        .schedules
        .iter()
        .map(|schedule| schedule.spec.name.to_string());
    value["schedules"] = json!(names.collect::<Vec<_>>());
    value["next_due_at"] = json!(next_due(around).map(render_utc));
    value["partial_bytes"] = json!(around.partial_bytes);
    value["place_problem"] = json!(around.place_problem);
    value["sessions"] = json!(
        around
            .sessions
            .iter()
            .map(SessionView::from)
            .collect::<Vec<_>>()
    );
    value
}

/// Names a commit that waits for a person, and what becomes of it.
fn held_update(update: Option<&HeldUpdate>) -> String {
    let Some(update) = update else {
        return text::NOTHING.to_owned();
    };
    let (commit, reason) = (update.commit.short(), update.reason);
    match update.is_accepted {
        true => format!("{commit} ({reason}), accepted"),
        false => format!("{commit} ({reason})"),
    }
}
