//! `hfdl models show`

use anyhow::Result;
use clap::Args;
use serde_json::{Value, json};

use super::find::find;
use crate::cli::context::Context;
use crate::cli::fields;
use crate::cli::policy_text::{rules_in_force, state_text, waits};
use crate::cli::schedules::zone_of;
use crate::domain::hold::Decision;
use crate::domain::model::{EntryName, Model, ModelState};
use crate::domain::outcome::Outcome;
use crate::domain::policy::{SeenCommits, SharedRules};
use crate::domain::repo::CommitSha;
use crate::domain::schedule::{Schedule, ScheduleSpec};
use crate::domain::session::{LastCheck, Session, SessionEnd, Trouble};
use crate::domain::snapshot::Amount;
use crate::domain::time::{Timestamp, render_utc};
use crate::domain::units::ByteSize;
use crate::json::{ModelView, SessionView, document};
use crate::ops;
use crate::ops::sizes::{KeptRevision, ModelFiles};
use crate::store::{SessionFilter, SessionsOf};
use crate::ui::{Clock, table, text};

/// Show all fields and the state of a model
#[derive(Debug, Args)]
#[command(after_long_help = "Example:
  hfdl models show org/name")]
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
    files: ModelFiles,
    /// The reason why its destination cannot be used now.
    place_problem: Option<String>,
    in_force: SharedRules,
    /// The newest commit that waits for the end of a delay, with a held one before it.
    newer: Option<CommitSha>,
}

impl ShowModel {
    pub(super) fn run(self, context: &Context) -> Result<()> {
        let (store, mut model) = find(context, &self.name)?;
        model.state = model.state.without_future_times(context.now());
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
        let last = store.last_session(model.id, context.now())?;
        let last = last.as_ref().map(LastCheck::of);
        let facts = ModelFacts {
            in_force: rules_in_force(&store, context, &model)?,
            newer: newer_than_held(&model.state, &store.seen_commits(model.id)?),
            schedules: all
                .readable
                .into_iter()
                .filter(|schedule| schedule.spec.selection.includes(&model.spec))
                .collect(),
            sessions: store.sessions(&sessions)?,
            files: ModelFiles::of(&store, &settings, &model, last.as_ref())?,
            last_outcome: last.and_then(|last| last.outcome()),
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

/// Returns the next due time of a model, and the schedule that has it.
fn next_due(facts: &ModelFacts) -> Option<(Timestamp, &ScheduleSpec)> {
    let specs = facts.schedules.iter();
    let enabled = specs.filter(|schedule| schedule.spec.enabled);
    let due = enabled.filter_map(|it| Some((it.state.next_due_at?, &it.spec)));
    due.min_by_key(|(at, _)| *at)
}

fn last_sessions(sessions: &[Session], clock: &Clock) -> String {
    if sessions.is_empty() {
        return text::NOTHING.to_owned();
    }
    let started = |session: &Session| clock.past(session.start.at);
    let width = sessions.iter().map(|it| started(it).len()).max();
    let width = width.unwrap_or_default();
    let lines = sessions.iter().map(|session| {
        let outcome = session.end.as_ref().map_or("running", SessionEnd::word);
        format!("{:width$}  {outcome}", started(session))
    });
    lines.collect::<Vec<String>>().join("\n")
}

fn last_verified(model: &Model, clock: &Clock) -> String {
    match (model.state.last_verify_at, model.state.last_verify_outcome) {
        (Some(at), Some(word)) => format!("{} ({word})", clock.past(at)),
        _ => text::NOTHING.to_owned(),
    }
}

fn show_text(context: &Context, model: &Model, facts: &ModelFacts) -> String {
    let clock = context.clock();
    let (spec, state) = (&model.spec, &model.state);
    let path = facts.files.path.as_ref().map(|path| path.display());
    let schedules = facts.schedules.iter().map(|schedule| &schedule.spec.name);
    let next = next_due(facts).map(|(at, spec)| clock.due(at, &zone_of(spec, &clock)));
    let head = [
        ("name", spec.name.to_string()),
        ("repository", format!("{} ({})", spec.repo, spec.repo.kind)),
    ];
    let fields = fields::rows(spec);
    let fields = fields
        .iter()
        .map(|(label, value)| (label.as_str(), value.clone()));
    let state = [
        (
            "state",
            state_text(model.summary(facts.last_outcome), state.rejected_first()),
        ),
        (
            "published",
            text::or_nothing(state.published_commit.as_ref()),
        ),
        ("path", text::or_nothing(path)),
        ("size", text::or_nothing(facts.files.published.map(size))),
        ("kept revisions", kept_revisions(&facts.files.kept, &clock)),
        ("held at", text::or_nothing(state.held_commit.as_ref())),
        ("held update", held_update(state, facts.newer.as_ref())),
        ("updates", updates(&clock, model, facts)),
        ("last check", clock.past_in_full(state.last_check_at)),
        ("last success", clock.past_in_full(state.last_success_at)),
        ("last change", clock.past_in_full(state.last_change_at)),
        ("last verified", last_verified(model, &clock)),
        ("schedules", text::list(schedules)),
        ("next due", text::or_nothing(next)),
        (
            "partial bytes",
            ByteSize(facts.partial_bytes).render_short(),
        ),
        ("last sessions", last_sessions(&facts.sessions, &clock)),
    ];
    let error = last_trouble(facts).map(|(outcome, trouble)| {
        let is_held = outcome == Outcome::Held;
        let label = if is_held {
            "held because"
        } else {
            "last error"
        };
        (label, clock.told(&error_text(trouble, is_held)))
    });
    let problem = facts.place_problem.clone();
    let rows: Vec<(&str, String)> = head
        .into_iter()
        .chain(fields)
        .chain(state)
        .chain(error)
        .chain(problem.map(|problem| ("place", problem)))
        .collect();
    table::facts(&context.out, &rows)
}

/// Returns the error of the last session with its outcome, if it had one.
fn last_trouble(facts: &ModelFacts) -> Option<(Outcome, &Trouble)> {
    let last = facts.sessions.first().and_then(|last| last.end.as_ref())?;
    Some((last.outcome, last.trouble.as_ref()?))
}

/// Describes an error; a hold has no kind, because it is none.
fn error_text(trouble: &Trouble, is_held: bool) -> String {
    let kind = if is_held {
        String::new()
    } else {
        format!(" ({})", trouble.kind)
    };
    let hint = trouble.hint.iter().map(|hint| format!("\nnext: {hint}"));
    let hint: String = hint.collect();
    format!("{}{kind}{hint}", trouble.message)
}

fn size(amount: Amount) -> String {
    let count = text::count(amount.files, "file", "files");
    format!("{} in {count}", ByteSize(amount.bytes).render_short())
}

fn kept_revisions(kept: &[KeptRevision], clock: &Clock) -> String {
    let line = |kept: &KeptRevision| {
        let bytes = kept
            .amount
            .map(|amount| ByteSize(amount.bytes).render_short());
        let role = match (kept.is_published, kept.is_rollback_target) {
            (true, _) => ", published",
            (false, true) => ", the rollback target",
            (false, false) => "",
        };
        let revision = &kept.revision;
        let at = clock.past(revision.published_at);
        format!(
            "{}  {}, {at}{role}",
            revision.commit.short(),
            text::or_nothing(bytes)
        )
    };
    if kept.is_empty() {
        return text::NOTHING.to_owned();
    }
    kept.iter().map(line).collect::<Vec<String>>().join("\n")
}

fn revision_view(kept: &KeptRevision) -> Value {
    json!({
        "commit": kept.revision.commit.as_str(),
        "published_at": render_utc(kept.revision.published_at),
        "size_bytes": kept.amount.map(|amount| amount.bytes),
        "published": kept.is_published,
        "rollback_target": kept.is_rollback_target,
    })
}

fn show_document(model: &Model, facts: &ModelFacts) -> Value {
    let mut value = document("hfdl.model/1", ModelView::new(model, facts.last_outcome));
    let names = facts
        .schedules
        .iter()
        .map(|schedule| schedule.spec.name.to_string());
    value["schedules"] = json!(names.collect::<Vec<_>>());
    value["next_due_at"] = json!(next_due(facts).map(|(at, _)| render_utc(at)));
    value["partial_bytes"] = json!(facts.partial_bytes);
    let files = &facts.files;
    value["path"] = json!(files.path.as_ref().map(|path| path.display().to_string()));
    value["size_bytes"] = json!(files.published.map(|amount| amount.bytes));
    value["files"] = json!(files.published.map(|amount| amount.files));
    let kept = files.kept.iter().map(revision_view);
    value["revisions"] = json!(kept.collect::<Vec<Value>>());
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

/// Returns the newest commit that this home has seen after the held one.
fn newer_than_held(state: &ModelState, seen: &SeenCommits) -> Option<CommitSha> {
    let held = &state.held_update.as_ref()?.commit;
    let waiting = state.wait.as_ref().map(|wait| &wait.commit);
    let held_since = seen.get(held);
    let later = seen.iter().filter(|(_, since)| Some(*since) > held_since);
    let newest = later
        .max_by_key(|(_, since)| **since)
        .map(|(commit, _)| commit);
    waiting.or(newest).filter(|newer| *newer != held).cloned()
}

/// Describes the rules in force about updates, and the update that they keep waiting.
fn updates(clock: &Clock, model: &Model, facts: &ModelFacts) -> String {
    let in_force = &facts.in_force;
    let state = &model.state;
    let pinned = state.pinned.as_ref();
    let pinned = pinned.map(|pin| format!("pinned at {} by a {}", pin.commit.short(), pin.by));
    let tag = state.followed_tag().map(|tag| format!("at the tag {tag}"));
    let wait = state.wait.as_ref().map(|wait| {
        let words = waits(wait, &in_force.rules, clock);
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

/// Names a commit that waits for approval, whether it has been accepted, and whether a newer
/// one waits for its delay.
fn held_update(state: &ModelState, newer: Option<&CommitSha>) -> String {
    let Some(update) = &state.held_update else {
        return text::NOTHING.to_owned();
    };
    let newer = newer.map(CommitSha::short);
    let newer = newer.map(|newer| format!("; {newer} is newer and waits for the delay"));
    let (commit, reasons) = (update.commit.short(), update.reasons());
    let decision = match update.decision {
        Decision::Waiting => "",
        Decision::Approved => ", approved",
        Decision::Rejected => ", rejected",
    };
    format!(
        "{commit} ({reasons}){decision}{}",
        newer.unwrap_or_default()
    )
}
