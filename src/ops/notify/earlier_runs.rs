//! The news of earlier runs that ended before their hooks.
//!
//! A run may be killed, or the database be busy, between the publishing of a model and
//! the hooks. The id of the last reported run is kept; the next run reports those after it.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;

use super::News;
use crate::domain::alert::{HookEvent, Notice, NoticeReason, RunFacts, decide};
use crate::domain::hold::Hold;
use crate::domain::model::ModelId;
use crate::domain::outcome::{ExitStatus, Outcome, RunOutcome};
use crate::domain::run::{Run, RunId};
use crate::domain::schedule::shift;
use crate::domain::session::{Session, SessionId};
use crate::domain::time::{Timestamp, latest_believable};
use crate::store::{MetaKey, SessionFilter, Store};

/// Without a record of the last reported run, the crashes of one day are reported.
const FIRST_LOOK_SECONDS: i64 = 24 * 3_600;

/// Returns the news of the runs before the present one, and records that they are reported.
pub fn news_of_earlier_runs(
    store: &Store,
    present: Option<&RunFacts>,
    now: Timestamp,
) -> Result<Vec<News>> {
    let mut earlier = Vec::new();
    for run in unreported_runs(store, present, now)? {
        let facts = facts(store, &run, present)?;
        let alerts = decide(&facts, &store.standings()?, now);
        for (model, standing) in &alerts.standings {
            store.save_standing(*model, standing)?;
        }
        earlier.push(News::new(facts, alerts));
    }
    let latest = present.map(|present| &present.run_id);
    if let Some(id) = latest.or(earlier.last().map(|news| &news.run.run_id)) {
        store.set_meta(MetaKey::LastRunTold, id.as_str())?;
    }
    Ok(earlier)
}

/// Returns the updates that the present run found in place: a run that was killed after
/// publishing could not report them.
pub fn found_in_place(present: &RunFacts, earlier: &[News]) -> Vec<Notice> {
    let killed = earlier.iter().flat_map(|news| &news.run.sessions);
    let killed: BTreeSet<ModelId> = killed.filter_map(|one| one.start.model_id).collect();
    let is_one = |session: &Session| {
        let (old, new) = (&session.start.old_commit, &session.progress.new_commit);
        let end = session.end.as_ref();
        let model = session.start.model_id;
        model.is_some_and(|model| killed.contains(&model) || old.is_some())
            && end.is_some_and(|end| end.outcome == Outcome::UpToDate)
            && new.is_some()
            && old != new
    };
    let sessions = present.sessions.iter().enumerate();
    let found = sessions.filter(|(_, session)| is_one(session));
    let notice = |(session, _)| Notice {
        event: HookEvent::OnUpdate,
        reason: NoticeReason::Published,
        session,
        failing: None,
    };
    found.map(notice).collect()
}

fn unreported_runs(store: &Store, present: Option<&RunFacts>, now: Timestamp) -> Result<Vec<Run>> {
    let end = RunId::first_at(latest_believable(now));
    let end = present.map_or(&end, |present| &present.run_id);
    let told = store.meta(MetaKey::LastRunTold)?;
    // A note that a clock far ahead has dated does not count.
    let told = told
        .and_then(|id| id.parse::<RunId>().ok())
        .filter(|id| id <= end);
    match told {
        Some(told) => Ok(store.runs_with_sessions(&told, end)?),
        None => {
            let since = RunId::first_at(shift(now, -FIRST_LOOK_SECONDS));
            let mut runs = store.runs_with_sessions(&since, end)?;
            runs.retain(is_crashed);
            Ok(runs)
        }
    }
}

fn is_crashed(run: &Run) -> bool {
    run.end
        .is_some_and(|end| end.outcome == RunOutcome::Crashed)
}

/// Returns the facts of an earlier run, without the models that the present run reports.
fn facts(store: &Store, run: &Run, present: Option<&RunFacts>) -> Result<RunFacts> {
    let seen = present.map(judged_models).unwrap_or_default();
    let is_crashed = is_crashed(run);
    let of_run = SessionFilter {
        run: Some(run.id.clone()),
        ..SessionFilter::default()
    };
    let mut sessions = store.sessions(&of_run)?;
    for session in &mut sessions {
        let is_seen = session.start.model_id.is_some_and(|id| seen.contains(&id));
        let Some(end) = &mut session.end else {
            continue;
        };
        // A crash is a failure, although bytes were kept.
        let is_cut_short = is_crashed && end.trouble.is_some() && end.outcome == Outcome::Partial;
        if is_cut_short {
            end.outcome = Outcome::Failed;
        }
        if is_seen && end.outcome != Outcome::Updated {
            end.outcome = Outcome::Skipped;
        }
    }
    let end = run.end;
    let code = end.and_then(|end| end.exit_code);
    let status = ExitStatus::ALL
        .into_iter()
        .find(|status| Some(status.code()) == code);
    Ok(RunFacts {
        run_id: run.id.clone(),
        command: run.start.command,
        trigger: run.start.trigger,
        outcome: end.map_or(RunOutcome::Crashed, |end| end.outcome),
        status: status.unwrap_or(ExitStatus::Failed),
        started_at: run.start.at,
        finished_at: end.map_or(run.heartbeat_at, |end| end.at),
        holds: holds_of(store, &sessions)?,
        sessions,
        offline: BTreeSet::new(),
        stopped: BTreeMap::new(),
        moved_refs: BTreeMap::new(),
        removed: Vec::new(),
        spent: Vec::new(),
    })
}

/// Returns the updates that sessions have held and that are still held.
fn holds_of(store: &Store, sessions: &[Session]) -> Result<BTreeMap<SessionId, Hold>> {
    let mut holds = BTreeMap::new();
    for session in sessions {
        let is_held = session
            .end
            .as_ref()
            .is_some_and(|end| end.outcome == Outcome::Held);
        let Some(model) = session.start.model_id.filter(|_| is_held) else {
            continue;
        };
        let update = store
            .model_by_id(model)?
            .and_then(|model| model.state.held_update);
        let commit = session.progress.new_commit.as_ref();
        if let Some(update) = update.filter(|update| Some(&update.commit) == commit) {
            let hold = Hold {
                is_rejected: update.is_rejected(),
                findings: update.findings,
                commit: update.commit,
                published: session.start.old_commit.clone(),
            };
            holds.insert(session.id, hold);
        }
    }
    Ok(holds)
}

/// Returns the models whose health the run has determined.
fn judged_models(run: &RunFacts) -> BTreeSet<ModelId> {
    let is_judged = |session: &&Session| {
        let outcome = session.end.as_ref().map(|end| end.outcome);
        !matches!(
            outcome,
            None | Some(Outcome::CouldNotCheck | Outcome::Partial | Outcome::Skipped)
        )
    };
    let judged = run.sessions.iter().filter(is_judged);
    judged
        .filter_map(|session| session.start.model_id)
        .collect()
}
