//! The consequences of one result: for the model, for the run, and for the exit status.

use std::borrow::Cow;

use super::watchdog;
use crate::cache::{self, CacheLayout};
use crate::domain::model::{Destination, Model, ModelState};
use crate::domain::outcome::{ErrorKind, ExitStatus, Outcome, RunOutcome, UpstreamState};
use crate::domain::repo::CommitSha;
use crate::domain::run::{EventKind, RunTotals};
use crate::domain::session::{Session, SessionProgress, Trouble};
use crate::domain::settings::Settings;
use crate::domain::time::Timestamp;
use crate::ops::sync::{SyncResult, Target};
use crate::sys::stop::StopReason;

/// Returns the state of a model after a result. The last check, the last success
/// and the last change are three different facts.
pub(super) fn state_after(model: &Model, result: &SyncResult, now: Timestamp) -> ModelState {
    let mut state = model.state.clone();
    let commit = result.progress.new_commit.clone();
    if commit.is_some() {
        state.last_check_at = Some(now);
        state.upstream_state = match result.renamed_to {
            Some(_) => UpstreamState::Renamed,
            None => UpstreamState::Ok,
        };
    }
    match result.outcome {
        Outcome::Updated | Outcome::Repaired | Outcome::UpToDate => {
            state.last_success_at = Some(now);
            state.consecutive_failures = 0;
            state.forget_damage();
            if state.published_commit != commit {
                state.published_at = Some(now);
                state.last_change_at = Some(now);
            }
            // An accepted update stays accepted as long as it is published.
            let accepted = state.held_update.filter(|update| update.is_accepted);
            state.held_update = accepted.filter(|update| commit.as_ref() == Some(&update.commit));
            state.published_commit = commit;
        }
        Outcome::Held => {
            state.last_success_at = Some(now);
            state.consecutive_failures = 0;
            state.held_update = result.held_update.clone();
        }
        Outcome::Orphaned => {
            state.upstream_state = UpstreamState::Orphaned;
            state.last_check_at = Some(now);
        }
        // Without a network nothing was attempted.
        Outcome::Failed | Outcome::CouldNotCheck if result.is_offline => {}
        Outcome::Failed | Outcome::CouldNotCheck => {
            state.consecutive_failures = state.consecutive_failures.saturating_add(1);
            let kind = result.failure.as_ref().map(|failure| failure.kind);
            if kind == Some(ErrorKind::Auth) {
                state.upstream_state = UpstreamState::Gated;
            }
        }
        Outcome::Partial | Outcome::Skipped => {}
    }
    state
}

/// Returns the events to record for a model; each change is one event.
pub(super) fn events_of(
    before: &Model,
    after: &ModelState,
    result: &SyncResult,
) -> Vec<(EventKind, String)> {
    let (name, old) = (&before.spec.name, &before.state);
    let mut events = Vec::new();
    if after.upstream_state != old.upstream_state {
        match after.upstream_state {
            UpstreamState::Orphaned => events.push((
                EventKind::Orphaned,
                format!("`{name}` is gone upstream; the local copy is kept"),
            )),
            UpstreamState::Gated => {
                events.push((EventKind::Gated, format!("access to `{name}` was refused")))
            }
            UpstreamState::Renamed => {
                let new = result.renamed_to.as_deref().unwrap_or_default();
                events.push((
                    EventKind::Renamed,
                    format!("`{}` is called `{new}` now", before.spec.repo),
                ));
            }
            UpstreamState::Ok => {}
        }
    }
    match (old.consecutive_failures, after.consecutive_failures) {
        (0, 1..) => {
            let failure = result.failure.as_ref();
            let cause = failure.map_or("it failed", |failure| &failure.message);
            events.push((EventKind::Failing, cause.to_owned()));
        }
        (failures @ 1.., 0) => events.push((
            EventKind::Recovered,
            format!("`{name}` is well again after {failures} failures"),
        )),
        _ => {}
    }
    // A held update is one event, however many ticks find it.
    let is_known = after.held_update.is_some() && after.held_update == old.held_update;
    if result.outcome == Outcome::Held
        && !is_known
        && let Some(commit) = &result.progress.new_commit
    {
        events.push((
            EventKind::Held,
            match &result.failure {
                Some(failure) => format!("`{name}` is held: {}", failure.message),
                None => format!("`{name}` is held; upstream has {}", commit.short()),
            },
        ));
    }
    events
}

/// Returns the exit status for one target.
pub(super) fn exit_status(result: &SyncResult) -> ExitStatus {
    let failure = result.failure.as_ref();
    let by_kind = || failure.map_or(ExitStatus::Failed, |failure| failure.kind.exit_status());
    match result.outcome {
        Outcome::Updated
        | Outcome::UpToDate
        | Outcome::Repaired
        | Outcome::Held
        | Outcome::Skipped => ExitStatus::Ok,
        Outcome::CouldNotCheck => ExitStatus::Temporary,
        Outcome::Orphaned | Outcome::Failed => by_kind(),
        Outcome::Partial => match result.stopped {
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

pub(super) fn totals(sessions: &[Session], n_due: u64) -> RunTotals {
    let failed = |session: &Session| {
        let outcome = session.end.as_ref().map(|end| end.outcome);
        matches!(
            outcome,
            None | Some(Outcome::Failed | Outcome::CouldNotCheck)
        )
    };
    let sum = |count: fn(&SessionProgress) -> u64| {
        let counts = sessions.iter().map(|session| count(&session.progress));
        counts.sum()
    };
    RunTotals {
        n_due,
        n_sessions: sessions.len() as u64,
        n_failed: sessions.iter().filter(|session| failed(session)).count() as u64,
        files_fetched: sum(|progress| progress.files.fetched),
        bytes_fetched: sum(|progress| progress.bytes.fetched),
        bytes_reused: sum(|progress| progress.bytes.reused),
    }
}

/// Returns the commit that is published before a session: from the database for a
/// model, from the cache for any other repository.
pub(super) fn published_before(settings: &Settings, target: &Target) -> Option<CommitSha> {
    if target.known_commit.is_some() || target.destination != Destination::Cache {
        return target.known_commit.clone();
    }
    let repo = CacheLayout::new(settings.cache_dir()).repo(&target.repo);
    // The session itself reports a cache that cannot be read.
    cache::published_commit(&repo, &target.revision)
        .ok()
        .flatten()
}

/// Turns the result of a target that the watchdog stopped into a failure.
pub(super) fn idle_as_failure(result: &SyncResult) -> Cow<'_, SyncResult> {
    if result.stopped != Some(StopReason::Idle) {
        return Cow::Borrowed(result);
    }
    Cow::Owned(SyncResult {
        outcome: Outcome::Failed,
        failure: Some(Trouble {
            kind: ErrorKind::Internal,
            message: watchdog::reason(),
            hint: Some("the next run goes on with the bytes that were kept".to_owned()),
        }),
        ..result.clone()
    })
}
