//! The report of a period as one value.

use jiff::civil::Date;

use super::tally::{DayFigures, FailureFigures, ModelFigures, MovedBytes, RunFigures};
use crate::domain::changes::ChangeNote;
use crate::domain::model::EntryName;
use crate::domain::repo::{CommitSha, Repo};
use crate::domain::run::Event;
use crate::domain::status::NextDue;
use crate::domain::time::Timestamp;
use crate::domain::update::{OfferedUpdate, UpdateState};

/// The activity of a home, or of some of its models, in a period.
#[derive(Clone, Debug)]
pub struct PeriodReport {
    pub since: Timestamp,
    /// The first instant behind the period.
    pub until: Timestamp,
    pub made_at: Timestamp,
    /// The models that the report is about; an empty list means all.
    pub selection: Vec<EntryName>,
    pub days: Vec<DayFigures>,
    /// Models that moved bytes, the largest first.
    pub models: Vec<ModelFigures>,
    /// The newest updates, newest first.
    pub updates: Vec<PublishedUpdate>,
    pub n_more_updates: u64,
    /// Updates that wait for a person, or that a person decided about.
    pub offers: Vec<Offer>,
    pub failures: Vec<FailureFigures>,
    /// The newest other events, newest first.
    pub events: Vec<(Option<String>, Event)>,
    pub n_more_events: u64,
    pub disk: Vec<DiskSample>,
    pub proofs: ProofFigures,
    pub runs: RunFigures,
    pub next_due: Vec<NextDue>,
}

/// An update that was published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishedUpdate {
    pub at: Timestamp,
    pub label: String,
    pub repo: Repo,
    /// `None` for a first download.
    pub old_commit: Option<CommitSha>,
    pub commit: CommitSha,
    pub bytes: MovedBytes,
    pub note: Option<ChangeNote>,
    /// The address of the commit's page.
    pub page: Option<String>,
}

/// An update that was held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    pub update: OfferedUpdate,
    pub note: Option<ChangeNote>,
    /// The address of the commit's page.
    pub page: Option<String>,
}

impl Offer {
    /// Tells whether the update waits for a person.
    pub fn is_waiting(&self) -> bool {
        self.update.state() == UpdateState::Waiting
    }
}

/// Tells whether a report of a period shows a held update: it was found, decided or
/// published in the period, or still waits.
pub fn is_reported(update: &OfferedUpdate, since: Timestamp, until: Timestamp) -> bool {
    let is_then = |at: Timestamp| since <= at && at < until;
    let is_waiting = update.state() == UpdateState::Waiting && update.found_at < until;
    !update.findings.is_empty()
        && (is_waiting
            || is_then(update.found_at)
            || update.decided_at.is_some_and(is_then)
            || update.published_at.is_some_and(is_then))
}

/// The bytes on disk at one day's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskSample {
    pub day: Date,
    pub cache_bytes: u64,
    pub directory_bytes: u64,
    /// The free space of the cache's disk.
    pub free_bytes: Option<u64>,
}

/// The proofs of the files on disk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProofFigures {
    pub n_models: u64,
    /// Models that a verification found whole, with no later damage.
    pub n_verified: u64,
    pub damaged: Vec<String>,
    pub n_files: u64,
    pub n_bytes: u64,
    /// The time of the oldest proof of a file.
    pub oldest_at: Option<Timestamp>,
}

impl PeriodReport {
    /// Returns the bytes of the whole period.
    pub fn bytes(&self) -> MovedBytes {
        let mut sum = MovedBytes::default();
        self.days.iter().for_each(|day| sum.add(day.bytes));
        sum
    }

    /// Returns the number of checks of models.
    pub fn n_checks(&self) -> u64 {
        let days = self.days.iter();
        days.map(|day| day.outcomes.values().sum::<u64>()).sum()
    }

    pub fn n_verifications(&self) -> u64 {
        self.days.iter().map(|day| day.n_verifications).sum()
    }

    /// Returns the number of all updates of the period.
    pub fn n_updates(&self) -> u64 {
        self.updates.len() as u64 + self.n_more_updates
    }

    /// Tells whether no run, session or event falls into the period.
    pub fn is_empty(&self) -> bool {
        self.runs.n_runs() == 0
            && self.n_checks() + self.n_verifications() == 0
            && self.events.is_empty()
            && self.updates.is_empty()
            && self.offers.is_empty()
    }
}
