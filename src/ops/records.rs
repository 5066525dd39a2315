//! What a session's end means for its model, for its run and for the caller.

use std::borrow::Cow;

use anyhow::Result;

use super::run::Opening;
use super::sync::{SyncResult, Target};
use super::watchdog;
use crate::cache::{self, CacheLayout};
use crate::domain::model::{Destination, Model, ModelState};
use crate::domain::outcome::{ErrorKind, ExitStatus, Outcome, RunOutcome, UpstreamState};
use crate::domain::repo::CommitSha;
use crate::domain::run::{EventKind, RunTotals};
use crate::domain::session::{Session, Trouble};
use crate::domain::settings::Settings;
use crate::domain::time::Timestamp;
use crate::store::Store;
use crate::sys::stop::StopReason;

/// Decides what a session's end says about its model: check, success and
/// change are three different facts.
pub fn state_after(model: &Model, end: &SyncResult, now: Timestamp) -> ModelState {
    let mut state = model.state.clone();
    let commit = end.progress.new_commit.clone();
    if commit.is_some() {
        state.last_check_at = Some(now);
        state.upstream_state = match end.renamed_to {
            Some(_) => UpstreamState::Renamed,
            None => UpstreamState::Ok,
        };
    }
    match end.outcome {
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
            state.held_update = end.held_update.clone();
        }
        Outcome::Orphaned => {
            state.upstream_state = UpstreamState::Orphaned;
            state.last_check_at = Some(now);
        }
        // Without a network nothing was tried, so nothing has failed.
        Outcome::Failed | Outcome::CouldNotCheck if end.is_offline => {}
        Outcome::Failed | Outcome::CouldNotCheck => {
            state.consecutive_failures = state.consecutive_failures.saturating_add(1);
            if end
                .failure
                .as_ref()
                .is_some_and(|trouble| trouble.kind == ErrorKind::Auth)
            {
                state.upstream_state = UpstreamState::Gated;
            }
        }
        Outcome::Partial | Outcome::Skipped => {}
    }
    state
}

/// Names what a person should know later: changes, each told once.
pub fn news_of(before: &Model, after: &ModelState, end: &SyncResult) -> Vec<(EventKind, String)> {
    let (name, old) = (&before.spec.name, &before.state);
    let mut news = Vec::new();
    if after.upstream_state != old.upstream_state {
        match after.upstream_state {
            UpstreamState::Orphaned => news.push((
                EventKind::Orphaned,
                format!("`{name}` is gone upstream; the local copy is kept"),
            )),
            UpstreamState::Gated => {
                news.push((EventKind::Gated, format!("access to `{name}` was refused")))
            }
            UpstreamState::Renamed => {
                let new = end.renamed_to.as_deref().unwrap_or_default();
                news.push((
                    EventKind::Renamed,
                    format!("`{}` is called `{new}` now", before.spec.repo),
                ));
            }
            UpstreamState::Ok => {}
        }
    }
    match (old.consecutive_failures, after.consecutive_failures) {
        (0, 1..) => {
            let why = end.failure.as_ref().map(|trouble| trouble.message.as_str());
            news.push((EventKind::Failing, why.unwrap_or("it failed").to_owned()));
        }
        (failures @ 1.., 0) => news.push((
            EventKind::Recovered,
            format!("`{name}` is well again after {failures} failures"),
        )),
        _ => {}
    }
    // A suspicious update is told when it is seen first, not at each tick.
    let is_known = after.held_update.is_some() && after.held_update == old.held_update;
    if end.outcome == Outcome::Held
        && !is_known
        && let Some(commit) = &end.progress.new_commit
    {
        news.push((
            EventKind::Held,
            match &end.failure {
                Some(trouble) => format!("`{name}` is held: {}", trouble.message),
                None => format!("`{name}` is held; upstream has {}", commit.short()),
            },
        ));
    }
    news
}

/// Names the exit code that one target asks for.
pub fn status_of(end: &SyncResult) -> ExitStatus {
    let by_kind = || {
        end.failure
            .as_ref()
            .map_or(ExitStatus::Failed, |trouble| trouble.kind.exit_status())
    };
    match end.outcome {
        Outcome::Updated
        | Outcome::UpToDate
        | Outcome::Repaired
        | Outcome::Held
        | Outcome::Skipped => ExitStatus::Ok,
        Outcome::CouldNotCheck => ExitStatus::Temporary,
        Outcome::Orphaned | Outcome::Failed => by_kind(),
        Outcome::Partial => match end.stopped {
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
        let outcome = session.end.as_ref().map(|end| end.outcome);
        matches!(
            outcome,
            None | Some(Outcome::Failed | Outcome::CouldNotCheck)
        )
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
pub(super) fn hung_end(end: &SyncResult) -> Cow<'_, SyncResult> {
    if end.stopped != Some(StopReason::Idle) {
        return Cow::Borrowed(end);
    }
    Cow::Owned(SyncResult {
        outcome: Outcome::Failed,
        failure: Some(Trouble {
            kind: ErrorKind::Internal,
            message: watchdog::reason(),
            hint: Some("the next run goes on with the bytes that were kept".to_owned()),
        }),
        ..end.clone()
    })
}
