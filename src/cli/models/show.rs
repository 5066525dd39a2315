//! `hfdl models show`

use anyhow::Result;
use clap::Args;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::find::find;
use crate::cli::context::Context;
use crate::cli::fields;
use crate::cli::policy_text::{rules_in_force, waits};
use crate::domain::hold::{Decision, HeldUpdate};
use crate::domain::model::{EntryName, Model};
use crate::domain::outcome::Outcome;
use crate::domain::policy::SharedRules;
use crate::domain::repo::CommitSha;
use crate::domain::schedule::Schedule;
use crate::domain::session::{Session, SessionEnd};
use crate::domain::time::{Timestamp, render_utc};
use crate::domain::units::ByteSize;
use crate::json::{ModelView, SessionView, document};
use crate::ops;
use crate::store::{SessionFilter, SessionsOf};
use crate::ui::{table, text};

/// Show all fields and the state of a model
#[derive(Debug, Args)]
pub(super) struct ShowModel {
    /// Name of the model
    name: EntryName,
}

/// The facts that `show` adds to the model.
struct ModelFacts {
    schedules: Vec<Schedule>,
    sessions: Vec<Session>,
    last_outcome: Option<Outcome>,
    partial_bytes: u64,
    /// The reason why its destination cannot be used now.
    place_problem: Option<String>,
    in_force: SharedRules,
}

impl ShowModel {
    pub(super) fn run(self, context: &Context) -> Result<()> {
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
        let facts = ModelFacts {
            in_force: rules_in_force(&store, context, &model)?,
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
            |_| show_text(context, &model, &facts),
            || show_document(&model, &facts),
        )
    }
}

fn next_due(facts: &ModelFacts) -> Option<Timestamp> {
    let enabled = facts
        .schedules
        .iter()
        .filter(|schedule| schedule.spec.enabled);
    enabled
        .filter_map(|schedule| schedule.state.next_due_at)
        .min()
}

fn last_sessions(sessions: &[Session], zone: &TimeZone) -> String {
    if sessions.is_empty() {
        return text::NOTHING.to_owned();
    }
    let lines = sessions.iter().map(|session| {
        let outcome = session.end.as_ref().map_or("running", SessionEnd::word);
        format!("{}  {outcome}", text::local_time(session.start.at, zone))
    });
    lines.collect::<Vec<String>>().join("\n")
}

fn show_text(context: &Context, model: &Model, facts: &ModelFacts) -> String {
    let zone = context.host.time_zone();
    let (spec, state) = (&model.spec, &model.state);
    let commit = |commit: Option<&CommitSha>| match commit {
        Some(commit) => commit.to_string(),
        None => text::NOTHING.to_owned(),
    };
    let schedules = facts.schedules.iter().map(|schedule| &schedule.spec.name);
    let head = [
        ("name", spec.name.to_string()),
        ("repository", format!("{} ({})", spec.repo, spec.repo.kind)),
    ];
    let fields = fields::rows(spec);
    let fields = fields
        .iter()
        .map(|(label, value)| (label.as_str(), value.clone()));
    let state = [
        ("state", model.summary(facts.last_outcome).to_string()),
        ("published", commit(state.published_commit.as_ref())),
        ("held at", commit(state.held_commit.as_ref())),
        ("held update", held_update(state.held_update.as_ref())),
        ("updates", updates(context, model, facts)),
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
        ("next due", text::optional_time(next_due(facts), &zone)),
        (
            "partial bytes",
            ByteSize(facts.partial_bytes).render_short(),
        ),
        ("last sessions", last_sessions(&facts.sessions, &zone)),
    ];
    let problem = facts
        .place_problem
        .clone()
        .map(|problem| ("place", problem));
    let rows: Vec<(&str, String)> = head
        .into_iter()
        .chain(fields)
        .chain(state)
        .chain(problem)
        .collect();
    table::facts(&context.out, &rows)
}

fn show_document(model: &Model, facts: &ModelFacts) -> Value {
    let mut value = document("hfdl.model/1", ModelView::new(model, facts.last_outcome));
    let names = facts
        .schedules
        .iter()
        .map(|schedule| schedule.spec.name.to_string());
    value["schedules"] = json!(names.collect::<Vec<_>>());
    value["next_due_at"] = json!(next_due(facts).map(render_utc));
    value["partial_bytes"] = json!(facts.partial_bytes);
    let SharedRules { rules, with, .. } = &facts.in_force;
    let texts = |list: Vec<String>| json!(list);
    value["rules"] = json!({
        "policy": rules.policy.as_str(),
        "delay": rules.delay.to_string(),
        "follow_tags": texts(rules.follow_tags.iter().map(ToString::to_string).collect()),
        "shared_with": texts(with.iter().map(ToString::to_string).collect()),
    });
    value["place_problem"] = json!(facts.place_problem);
    value["sessions"] = json!(
        facts
            .sessions
            .iter()
            .map(SessionView::from)
            .collect::<Vec<_>>()
    );
    value
}

/// Describes the rules in force about updates, and the update that they keep waiting.
fn updates(context: &Context, model: &Model, facts: &ModelFacts) -> String {
    let in_force = &facts.in_force;
    let state = &model.state;
    let pinned = state.pinned.as_ref();
    let pinned = pinned.map(|pin| format!("pinned at {} by a {}", pin.commit.short(), pin.by));
    let tag = state.followed_tag().map(|tag| format!("at the tag {tag}"));
    let wait = state.wait.as_ref().map(|wait| {
        let zone = context.host.time_zone();
        let words = waits(wait, in_force.rules.delay, &zone);
        format!("{} {words}", wait.commit.short())
    });
    let note = in_force.note(&model.spec.name);
    let last = facts.sessions.first().and_then(|last| last.end.as_ref());
    let last = last.filter(|end| end.outcome == Outcome::UpToDate);
    let gone = last.and_then(|end| end.trouble.as_ref());
    let gone = gone.map(|trouble| trouble.message.clone());
    let lines = [
        Some(in_force.rules.to_string()),
        pinned,
        gone,
        tag,
        wait,
        note,
    ];
    let lines: Vec<String> = lines.into_iter().flatten().collect();
    lines.join("\n")
}

/// Names a commit that waits for approval, and whether it has been accepted.
fn held_update(update: Option<&HeldUpdate>) -> String {
    let Some(update) = update else {
        return text::NOTHING.to_owned();
    };
    let (commit, reasons) = (update.commit.short(), update.reasons());
    let decision = match update.decision {
        Decision::Waiting => "",
        Decision::Approved => ", approved",
        Decision::Rejected => ", rejected",
    };
    format!("{commit} ({reasons}){decision}")
}
