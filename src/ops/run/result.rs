//! The consequences of one result: for the model, for the run, and for the exit status.

use std::borrow::Cow;

use super::watchdog;
use crate::cache::{self, CacheLayout};
use crate::domain::allowance::Allowance;
use crate::domain::health::{self, CheckEnd};
use crate::domain::model::{Destination, Model, ModelState};
use crate::domain::moved_ref::MovedRef;
use crate::domain::outcome::{Effect, ErrorKind, ExitStatus, Outcome, RunOutcome};
use crate::domain::repo::CommitSha;
use crate::domain::run::{EventKind, RunCommand, RunTotals};
use crate::domain::session::{Session, SessionProgress, Trouble};
use crate::domain::settings::Settings;
use crate::domain::time::Timestamp;
use crate::ops::sync::{SyncResult, Target};
use crate::sys::stop::StopReason;

/// Returns the state of a model after a result.
pub(super) fn state_after(model: &Model, result: &SyncResult, now: Timestamp) -> ModelState {
    health::state_after(&model.state, &check_end(result), now)
}

/// Returns the events to record for a model; each change is one event.
pub(super) fn events_of(
    before: &Model,
    after: &ModelState,
    result: &SyncResult,
) -> Vec<(EventKind, String)> {
    let names = (&before.spec.name, &before.spec.repo);
    health::events(names, &before.state, after, &check_end(result))
}

fn check_end(result: &SyncResult) -> CheckEnd<'_> {
    CheckEnd {
        outcome: result.outcome,
        trouble: result.failure.as_ref(),
        commit: result.progress.new_commit.as_ref(),
        renamed_to: result.renamed_to.as_deref(),
        hold: result.hold.as_ref(),
        terms: &result.terms,
        is_offline: result.is_offline,
    }
}

/// Returns the exit status for one target.
///
/// A download by hand promises a folder: without a published revision it has failed.
pub(super) fn exit_status(result: &SyncResult, command: RunCommand) -> ExitStatus {
    let failure = result.failure.as_ref();
    let by_kind = || failure.map_or(ExitStatus::Failed, |failure| failure.kind.exit_status());
    let kind = failure.map(|failure| failure.kind);
    match result.outcome.effect(kind) {
        Effect::Held if command == RunCommand::Download && result.progress.path.is_none() => {
            ExitStatus::Failed
        }
        Effect::Current | Effect::Held | Effect::Untried => ExitStatus::Ok,
        Effect::FailedTemporarily => ExitStatus::Temporary,
        Effect::Gone | Effect::Failed => by_kind(),
        Effect::Unfinished => match result.stopped {
            Some(StopReason::Interrupted) => ExitStatus::Interrupted,
            Some(StopReason::Terminated | StopReason::HungUp | StopReason::Requested) => {
                ExitStatus::Terminated
            }
            Some(StopReason::TimeBudget | StopReason::WindowClosed) => ExitStatus::TimeBudget,
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
        let end = session.end.as_ref();
        end.is_none_or(|end| end.effect().is_failure())
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

/// Adds a moved ref to the message of a result that leaves the ref where it is.
pub(super) fn naming_moved_ref<'r>(
    result: Cow<'r, SyncResult>,
    moved: Option<&MovedRef>,
) -> Cow<'r, SyncResult> {
    let kind = result.failure.as_ref().map(|failure| failure.kind);
    let is_mended = matches!(
        result.outcome.effect(kind),
        Effect::Current | Effect::Held | Effect::Untried
    );
    let Some(moved) = moved.filter(|_| !is_mended) else {
        return result;
    };
    let unmended = moved.describe_unmended();
    let failure = match &result.failure {
        Some(failure) => Trouble {
            message: format!("{}; {unmended}", failure.message),
            ..failure.clone()
        },
        None => Trouble {
            kind: ErrorKind::Internal,
            message: unmended,
            hint: None,
        },
    };
    Cow::Owned(SyncResult {
        failure: Some(failure),
        ..result.into_owned()
    })
}

/// Adds the spent allowance to the message of a result that it has cut short.
pub(super) fn naming_allowance<'r>(
    result: Cow<'r, SyncResult>,
    spent: Option<&Allowance>,
) -> Cow<'r, SyncResult> {
    // A target can become whole with the last bytes of an allowance.
    let is_cut = result.stopped == Some(StopReason::TransferBudget)
        && result.failure.is_none()
        && result.outcome.effect(None) != Effect::Current;
    let Some(spent) = spent.filter(|_| is_cut) else {
        return result;
    };
    let hint = format!(
        "a run on {} continues; `--ignore-limits` goes beyond the allowance now",
        spent.renewal_day()
    );
    Cow::Owned(SyncResult {
        failure: Some(Trouble {
            kind: ErrorKind::Allowance,
            message: spent.spent_message(),
            hint: Some(hint),
        }),
        ..result.into_owned()
    })
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
            hint: Some("the next run continues with the bytes that were kept".to_owned()),
        }),
        ..result.clone()
    })
}
