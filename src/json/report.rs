//! The report of a period.

use std::collections::BTreeMap;

use serde::Serialize;

use super::change_note::ChangeNoteView;
use super::document::time;
use super::model::FindingView;
use super::status::NextDueView;
use crate::domain::report::{
    DayFigures, DiskSample, FailureFigures, ModelFigures, Offer, PeriodReport, ProofFigures,
    PublishedUpdate, RunFigures,
};
use crate::domain::run::Event;
use crate::domain::time::render_utc;

/// A report names so many commits and files of each change note.
const MOST_CHANGES: usize = 100;

/// A report: `hfdl.report/1`.
#[derive(Debug, Serialize)]
pub struct ReportView {
    since: String,
    until: String,
    at: String,
    /// The models of the report; an empty list means all.
    models: Vec<String>,
    /// Whether nothing happened in the period.
    empty: bool,
    totals: ReportTotalsView,
    days: Vec<DayView>,
    by_model: Vec<ModelFiguresView>,
    updates: Vec<PublishedUpdateView>,
    more_updates: u64,
    held_updates: Vec<OfferView>,
    failures: Vec<FailureView>,
    events: Vec<ReportedEventView>,
    more_events: u64,
    disk: Vec<DiskSampleView>,
    verification: ProofFiguresView,
    runs: RunFiguresView,
    next_due: Vec<NextDueView>,
}

#[derive(Debug, Serialize)]
struct ReportTotalsView {
    updates: u64,
    checks: u64,
    verifications: u64,
    bytes_fetched: u64,
    bytes_reused: u64,
}

impl From<&PeriodReport> for ReportView {
    fn from(report: &PeriodReport) -> Self {
        let bytes = report.bytes();
        Self {
            since: render_utc(report.since),
            until: render_utc(report.until),
            at: render_utc(report.made_at),
            models: report.selection.iter().map(ToString::to_string).collect(),
            empty: report.is_empty(),
            totals: ReportTotalsView {
                updates: report.n_updates(),
                checks: report.n_checks(),
                verifications: report.n_verifications(),
                bytes_fetched: bytes.fetched,
                bytes_reused: bytes.reused,
            },
            days: report.days.iter().map(DayView::from).collect(),
            by_model: report.models.iter().map(ModelFiguresView::from).collect(),
            updates: report.updates.iter().map(Into::into).collect(),
            more_updates: report.n_more_updates,
            held_updates: report.offers.iter().map(OfferView::from).collect(),
            failures: report.failures.iter().map(FailureView::from).collect(),
            events: report.events.iter().map(Into::into).collect(),
            more_events: report.n_more_events,
            disk: report.disk.iter().map(DiskSampleView::from).collect(),
            verification: (&report.proofs).into(),
            runs: (&report.runs).into(),
            next_due: report.next_due.iter().map(NextDueView::from).collect(),
        }
    }
}

#[derive(Debug, Serialize)]
struct DayView {
    /// A calendar day of the local zone.
    day: String,
    bytes_fetched: u64,
    bytes_reused: u64,
    /// Number of sessions for each outcome that occurs.
    outcomes: BTreeMap<&'static str, u64>,
    verifications: u64,
}

impl From<&DayFigures> for DayView {
    fn from(day: &DayFigures) -> Self {
        let outcomes = day.outcomes.iter();
        Self {
            day: day.date.to_string(),
            bytes_fetched: day.bytes.fetched,
            bytes_reused: day.bytes.reused,
            outcomes: outcomes.map(|(word, n)| (word.as_str(), *n)).collect(),
            verifications: day.n_verifications,
        }
    }
}

#[derive(Debug, Serialize)]
struct ModelFiguresView {
    model: String,
    bytes_fetched: u64,
    bytes_reused: u64,
    updates: u64,
    failures: u64,
}

impl From<&ModelFigures> for ModelFiguresView {
    fn from(model: &ModelFigures) -> Self {
        Self {
            model: model.label.clone(),
            bytes_fetched: model.bytes.fetched,
            bytes_reused: model.bytes.reused,
            updates: model.n_updates,
            failures: model.n_failures,
        }
    }
}

#[derive(Debug, Serialize)]
struct PublishedUpdateView {
    at: String,
    model: String,
    repo: String,
    repo_type: &'static str,
    /// Null for a first download.
    old_commit: Option<String>,
    commit: String,
    bytes_fetched: u64,
    bytes_reused: u64,
    page: Option<String>,
    change_note: Option<ChangeNoteView>,
}

impl From<&PublishedUpdate> for PublishedUpdateView {
    fn from(update: &PublishedUpdate) -> Self {
        let note = update.note.as_ref();
        Self {
            at: render_utc(update.at),
            model: update.label.clone(),
            repo: update.repo.to_string(),
            repo_type: update.repo.kind.as_str(),
            old_commit: update.old_commit.as_ref().map(ToString::to_string),
            commit: update.commit.to_string(),
            bytes_fetched: update.bytes.fetched,
            bytes_reused: update.bytes.reused,
            page: update.page.clone(),
            change_note: note.map(|note| ChangeNoteView::new(note, MOST_CHANGES)),
        }
    }
}

#[derive(Debug, Serialize)]
struct OfferView {
    model: String,
    commit: String,
    state: &'static str,
    found_at: String,
    first_seen_at: String,
    findings: Vec<FindingView>,
    decision: &'static str,
    decided_at: Option<String>,
    note: Option<String>,
    remark: Option<String>,
    published_at: Option<String>,
    page: Option<String>,
    change_note: Option<ChangeNoteView>,
}

impl From<&Offer> for OfferView {
    fn from(offer: &Offer) -> Self {
        let (update, note) = (&offer.update, offer.note.as_ref());
        Self {
            model: update.model.to_string(),
            commit: update.commit.to_string(),
            state: update.state().as_str(),
            found_at: render_utc(update.found_at),
            first_seen_at: render_utc(update.found_at),
            findings: update.findings.iter().map(FindingView::from).collect(),
            decision: update.decision.as_str(),
            decided_at: time(update.decided_at),
            note: update.note.clone(),
            remark: update.note.clone(),
            published_at: time(update.published_at),
            page: offer.page.clone(),
            change_note: note.map(|note| ChangeNoteView::new(note, MOST_CHANGES)),
        }
    }
}

#[derive(Debug, Serialize)]
struct FailureView {
    model: String,
    failures: u64,
    last_at: String,
    session_id: i64,
    error_kind: Option<&'static str>,
    error: String,
    /// Null while the model fails.
    recovered_at: Option<String>,
    /// The model is registered and still fails.
    lasts: bool,
}

impl From<&FailureFigures> for FailureView {
    fn from(failure: &FailureFigures) -> Self {
        Self {
            model: failure.label.clone(),
            failures: failure.n_failures,
            last_at: render_utc(failure.last_at),
            session_id: failure.last_session.0,
            error_kind: failure.kind.map(|kind| kind.as_str()),
            error: failure.message.clone(),
            recovered_at: time(failure.recovered_at),
            lasts: failure.lasts(),
        }
    }
}

#[derive(Debug, Serialize)]
struct ReportedEventView {
    at: String,
    kind: &'static str,
    model: Option<String>,
    detail: String,
}

impl From<&(Option<String>, Event)> for ReportedEventView {
    fn from((model, event): &(Option<String>, Event)) -> Self {
        Self {
            at: render_utc(event.at),
            kind: event.kind.as_str(),
            model: model.clone().filter(|name| !name.is_empty()),
            detail: event.detail.clone(),
        }
    }
}

#[derive(Debug, Serialize)]
struct DiskSampleView {
    day: String,
    cache_bytes: u64,
    directory_bytes: u64,
    free_bytes: Option<u64>,
}

impl From<&DiskSample> for DiskSampleView {
    fn from(sample: &DiskSample) -> Self {
        Self {
            day: sample.day.to_string(),
            cache_bytes: sample.cache_bytes,
            directory_bytes: sample.directory_bytes,
            free_bytes: sample.free_bytes,
        }
    }
}

#[derive(Debug, Serialize)]
struct ProofFiguresView {
    models: u64,
    models_verified: u64,
    models_damaged: Vec<String>,
    files: u64,
    bytes: u64,
    oldest_at: Option<String>,
}

impl From<&ProofFigures> for ProofFiguresView {
    fn from(proofs: &ProofFigures) -> Self {
        Self {
            models: proofs.n_models,
            models_verified: proofs.n_verified,
            models_damaged: proofs.damaged.clone(),
            files: proofs.n_files,
            bytes: proofs.n_bytes,
            oldest_at: time(proofs.oldest_at),
        }
    }
}

#[derive(Debug, Serialize)]
struct RunFiguresView {
    outcomes: BTreeMap<&'static str, u64>,
    with_work: u64,
    total_seconds: u64,
    median_seconds: u64,
    longest_seconds: u64,
}

impl From<&RunFigures> for RunFiguresView {
    fn from(runs: &RunFigures) -> Self {
        let outcomes = runs.outcomes.iter();
        Self {
            outcomes: outcomes.map(|(word, n)| (word.as_str(), *n)).collect(),
            with_work: runs.n_with_work,
            total_seconds: runs.total_seconds,
            median_seconds: runs.median_seconds,
            longest_seconds: runs.longest_seconds,
        }
    }
}
