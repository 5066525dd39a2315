//! Gathers the facts of a report.

use std::collections::BTreeMap;

use anyhow::Result;

use crate::domain::model::{EntryName, Model, ModelId};
use crate::domain::outcome::{Outcome, VerifyOutcome};
use crate::domain::report::{
    FailureFigures, LONGEST_PERIOD, MovedBytes, Offer, PeriodReport, ProofFigures, PublishedUpdate,
    RunFigures, Tally, days, is_reported,
};
use crate::domain::run::{Event, EventKind};
use crate::domain::session::Session;
use crate::domain::time::Timestamp;
use crate::hub::Endpoint;
use crate::ops::changes::{note_of, note_of_session};
use crate::ops::next_due::next_due_of_all;
use crate::ops::status::StatusContext;
use crate::store::{ModelFilter, Period, SessionFilter, Store};

/// So many entries of a list are shown; the others are counted.
const MOST_UPDATES: u32 = 500;
const MOST_OFFERS: usize = 500;
const MOST_EVENTS: usize = 200;
const MOST_FAILURES: usize = 200;

/// Events that a report lists. Failures, holds and updates have sections of their own.
const EVENTS: [EventKind; 16] = [
    EventKind::MissedSlot,
    EventKind::Crashed,
    EventKind::Orphaned,
    EventKind::Gated,
    EventKind::Renamed,
    EventKind::RolledBack,
    EventKind::Released,
    EventKind::RefMoved,
    EventKind::Corrupt,
    EventKind::DeltaAbandoned,
    EventKind::HookFailed,
    EventKind::ViewFailed,
    EventKind::DiskLow,
    EventKind::ClockBack,
    EventKind::ClockReset,
    EventKind::ZoneDataChanged,
];

/// The period and the models of a report.
#[derive(Clone, Debug)]
pub struct ReportRequest {
    pub since: Timestamp,
    pub until: Timestamp,
    /// The models; an empty list means all.
    pub models: Vec<Model>,
}

/// Gathers a report. A period that is longer than any history is cut.
pub fn report(
    context: &StatusContext<'_>,
    store: &Store,
    request: ReportRequest,
) -> Result<PeriodReport> {
    let until = request.until;
    let earliest = until.saturating_sub(LONGEST_PERIOD.span());
    let since = request.since.max(earliest.unwrap_or(request.since));
    let zone = context.host.time_zone();
    let chosen: Vec<ModelId> = request.models.iter().map(|model| model.id).collect();
    let period = Period {
        since,
        until,
        models: (!chosen.is_empty()).then_some(&chosen),
    };
    let all = if chosen.is_empty() {
        store.readable_models(&ModelFilter::default())?
    } else {
        request.models.clone()
    };
    let names: BTreeMap<ModelId, &EntryName> = all
        .iter()
        .map(|model| (model.id, &model.spec.name))
        .collect();
    let name = |id: ModelId| names.get(&id).map_or_else(String::new, ToString::to_string);

    let mut tally = Tally::new(days(since, until, &zone));
    store.each_session(period, |row| tally.add(row))?;
    let (days, models, failures) = tally.finish(name);
    let endpoint: Option<Endpoint> = context.settings.endpoint().parse().ok();
    let (updates, n_more_updates) = updates(store, period, endpoint.as_ref())?;
    let (events, n_more_events) = store.events_of_period(period, &EVENTS, MOST_EVENTS)?;
    let named = |event: Event| (event.model_id.map(name), event);
    Ok(PeriodReport {
        since,
        until,
        made_at: context.host.now(),
        selection: request
            .models
            .iter()
            .map(|it| it.spec.name.clone())
            .collect(),
        days,
        models,
        updates,
        n_more_updates,
        offers: offers(store, period, &all, endpoint.as_ref())?,
        failures: with_messages(store, failures)?,
        events: events.into_iter().map(named).collect(),
        n_more_events,
        disk: store.disk_samples(period)?,
        proofs: proofs(store, &all)?,
        runs: RunFigures::of(&store.runs_of_period(period)?),
        next_due: next_due_of_all(context, store)?,
    })
}

/// Returns the newest updates of a period, and the number of the others.
fn updates(
    store: &Store,
    period: Period<'_>,
    endpoint: Option<&Endpoint>,
) -> Result<(Vec<PublishedUpdate>, u64)> {
    let mut sessions = store.sessions(&SessionFilter {
        outcome: Some(Outcome::Updated),
        since: Some(period.since),
        until: Some(period.until),
        ..SessionFilter::default()
    })?;
    sessions.retain(|session| {
        let is_chosen = |chosen: &[ModelId]| {
            let model = session.start.model_id;
            model.is_some_and(|id| chosen.contains(&id))
        };
        period.models.is_none_or(is_chosen)
    });
    let n_more = sessions.len().saturating_sub(MOST_UPDATES as usize);
    sessions.truncate(MOST_UPDATES as usize);
    let mut updates = Vec::new();
    for session in sessions {
        updates.extend(published_update(store, session, endpoint)?);
    }
    Ok((updates, n_more as u64))
}

fn published_update(
    store: &Store,
    session: Session,
    endpoint: Option<&Endpoint>,
) -> Result<Option<PublishedUpdate>> {
    let note = note_of_session(store, &session)?;
    let (label, start, progress) = (session.label(), session.start, session.progress);
    let Some(commit) = progress.new_commit else {
        return Ok(None);
    };
    Ok(Some(PublishedUpdate {
        at: start.at,
        label,
        page: endpoint.map(|endpoint| endpoint.commit_page(&start.repo, &commit)),
        repo: start.repo,
        old_commit: start.old_commit,
        commit,
        bytes: MovedBytes {
            fetched: progress.bytes.fetched,
            reused: progress.bytes.reused,
        },
        note,
    }))
}

fn offers(
    store: &Store,
    period: Period<'_>,
    models: &[Model],
    endpoint: Option<&Endpoint>,
) -> Result<Vec<Offer>> {
    let by_id: BTreeMap<ModelId, &Model> = models.iter().map(|it| (it.id, it)).collect();
    let mut offered = store.offered_updates(None)?;
    offered.retain(|update| {
        by_id.contains_key(&update.model_id) && is_reported(update, period.since, period.until)
    });
    let mut offers = Vec::new();
    for update in offered.into_iter().take(MOST_OFFERS) {
        let repo = by_id.get(&update.model_id).map(|model| &model.spec.repo);
        offers.push(Offer {
            note: note_of(store, update.model_id, &update.commit)?,
            page: endpoint
                .zip(repo)
                .map(|(it, repo)| it.commit_page(repo, &update.commit)),
            update,
        });
    }
    Ok(offers)
}

/// Adds the message of each last failure.
fn with_messages(store: &Store, mut failures: Vec<FailureFigures>) -> Result<Vec<FailureFigures>> {
    failures.truncate(MOST_FAILURES);
    for failure in &mut failures {
        let session = store.session(failure.last_session)?;
        let trouble = session.end.and_then(|end| end.trouble);
        failure.message = trouble.map_or_else(String::new, |trouble| trouble.message);
    }
    Ok(failures)
}

fn proofs(store: &Store, models: &[Model]) -> Result<ProofFigures> {
    let is_verified =
        |model: &&Model| model.state.last_verify_outcome == Some(VerifyOutcome::Verified);
    let damaged = models.iter().filter(|model| model.state.is_damaged());
    Ok(ProofFigures {
        n_models: models.len() as u64,
        n_verified: models.iter().filter(is_verified).count() as u64,
        damaged: damaged.map(|model| model.spec.name.to_string()).collect(),
        ..store.proof_figures()?
    })
}
