//! What a session's end means for its model, for its run and for the caller.

use std::borrow::Cow;

use anyhow::Result;

use super::run::Opening;
use super::sync::{SyncEnd, Target};
use super::watchdog;
use crate::cache::{self, CacheLayout};
use crate::domain::health::{self, CheckEnd};
use crate::domain::model::{Destination, Model, ModelState};
use crate::domain::outcome::{Effect, ErrorKind, ExitStatus, Outcome, RunOutcome};
use crate::domain::repo::CommitSha;
use crate::domain::run::{EventKind, RunTotals};
use crate::domain::session::{Session, Trouble};
use crate::domain::settings::Settings;
use crate::domain::time::Timestamp;
use crate::store::Store;
use crate::sys::stop::StopReason;

/// Returns the state of a model after a session.
pub fn state_after(model: &Model, end: &SyncEnd, now: Timestamp) -> ModelState {
    health::state_after(&model.state, &check_end(end), now)
}

/// Returns the events of a session.
pub fn news_of(before: &Model, after: &ModelState, end: &SyncEnd) -> Vec<(EventKind, String)> {
    let names = (&before.spec.name, &before.spec.repo);
    health::events(names, &before.state, after, &check_end(end))
}

fn check_end(end: &SyncEnd) -> CheckEnd<'_> {
    CheckEnd {
        outcome: end.outcome,
        trouble: end.trouble.as_ref(),
        commit: end.progress.new_commit.as_ref(),
        renamed_to: end.renamed_to.as_deref(),
        held_update: end.held_update.as_ref(),
        is_offline: end.is_offline,
    }
}

/// Names the exit code that one target asks for.
pub fn status_of(end: &SyncEnd) -> ExitStatus {
    let by_kind = || {
        end.trouble
            .as_ref()
            .map_or(ExitStatus::Failed, |trouble| trouble.kind.exit_status())
    };
    let kind = end.trouble.as_ref().map(|trouble| trouble.kind);
    match end.outcome.effect(kind) {
        Effect::Current | Effect::Held | Effect::Untried => ExitStatus::Ok,
        Effect::FailedTemporarily => ExitStatus::Temporary,
        Effect::Gone | Effect::Failed => by_kind(),
        Effect::Unfinished => match end.stopped {
            Some(StopReason::Interrupted) => ExitStatus::Interrupted,
            Some(StopReason::Terminated) => ExitStatus::Terminated,
            Some(StopReason::TimeBudget) => ExitStatus::TimeBudget,
            Some(StopReason::TransferBudget) => ExitStatus::TransferBudget,
            Some(StopReason::Idle) => ExitStatus::Failed,
            None => by_kind(),
        },
    }
}

pub fn run_outcome(status: ExitStatus) -> RunOutcome {
    match status {
        ExitStatus::Ok => RunOutcome::Ok,
        ExitStatus::TimeBudget | ExitStatus::TransferBudget => RunOutcome::Partial,
        ExitStatus::Interrupted | ExitStatus::Terminated => RunOutcome::Interrupted,
        ExitStatus::Locked => RunOutcome::SkippedLocked,
        ExitStatus::Failed
        | ExitStatus::Usage
        | ExitStatus::Integrity
        | ExitStatus::Auth
        | ExitStatus::Temporary
        | ExitStatus::Disk => RunOutcome::Failed,
    }
}

pub fn add_up(sessions: &[Session], n_due: u64) -> RunTotals {
    let failed = |session: &Session| {
        let end = session.end.as_ref();
        end.is_none_or(|end| end.effect().is_failure())
    };
    RunTotals {
        n_due,
        n_sessions: sessions.len() as u64,
        n_failed: sessions.iter().filter(|session| failed(session)).count() as u64,
        files_fetched: sessions
            .iter()
            .map(|session| session.progress.files.fetched)
            .sum(),
        bytes_fetched: sessions
            .iter()
            .map(|session| session.progress.bytes.fetched)
            .sum(),
        bytes_reused: sessions
            .iter()
            .map(|session| session.progress.bytes.reused)
            .sum(),
    }
}

/// Tells whether a schedule and its model are still there to refer to.
pub(super) fn is_still_there(store: &Store, opening: &Opening) -> Result<bool> {
    let Some((schedule, ..)) = &opening.slot else {
        return Ok(true);
    };
    let model = opening.target.model.as_ref();
    Ok(store.has_schedule(*schedule)? && model.map_or(Ok(true), |(id, _)| store.has_model(*id))?)
}

/// Returns the commit that is published before a session. The database knows
/// those of models; of other repositories the cache tells.
pub(super) fn published_before(settings: &Settings, target: &Target) -> Option<CommitSha> {
    if target.known_commit.is_some() || target.destination != Destination::Cache {
        return target.known_commit.clone();
    }
    let repo = CacheLayout::new(settings.cache_dir()).repo(&target.repo);
    // A cache that cannot be read is told by the session itself.
    cache::published_commit(&repo, &target.revision)
        .ok()
        .flatten()
}

/// Returns the end of a target; one whose run was ended because nothing moved has failed.
pub(super) fn hung_end(end: &SyncEnd) -> Cow<'_, SyncEnd> {
    if end.stopped != Some(StopReason::Idle) {
        return Cow::Borrowed(end);
    }
    Cow::Owned(SyncEnd {
        outcome: Outcome::Failed,
        trouble: Some(Trouble {
            kind: ErrorKind::Internal,
            message: watchdog::reason(),
            hint: Some("the next run goes on with the bytes that were kept".to_owned()),
        }),
        ..end.clone()
    })
}
