//! Sums over the rows of sessions and runs.

use std::collections::BTreeMap;

use jiff::civil::Date;

use super::days::Day;
use crate::domain::model::ModelId;
use crate::domain::outcome::{Effect, ErrorKind, Outcome, RunOutcome};
use crate::domain::session::SessionId;
use crate::domain::time::Timestamp;

/// A session that has ended, as a report counts it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionRow {
    pub id: SessionId,
    pub at: Timestamp,
    pub target: ReportedTarget,
    pub outcome: Outcome,
    pub is_verification: bool,
    pub trouble: Option<ErrorKind>,
    pub bytes: MovedBytes,
}

/// A registered model, or the label of a model or repository that is not registered.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ReportedTarget {
    Model(ModelId),
    Other(String),
}

/// Bytes that came from the network, and bytes of updates that did not have to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MovedBytes {
    pub fetched: u64,
    pub reused: u64,
}

impl MovedBytes {
    pub fn add(&mut self, other: Self) {
        self.fetched = self.fetched.saturating_add(other.fetched);
        self.reused = self.reused.saturating_add(other.reused);
    }

    pub fn is_none(self) -> bool {
        self == Self::default()
    }
}

/// The figures of one day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DayFigures {
    pub date: Date,
    pub bytes: MovedBytes,
    pub outcomes: BTreeMap<Outcome, u64>,
    pub n_verifications: u64,
}

/// The figures of one model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ModelFigures {
    pub label: String,
    pub bytes: MovedBytes,
    pub n_updates: u64,
    pub n_failures: u64,
}

/// The failures of one model, and their end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailureFigures {
    pub label: String,
    /// A model that is registered; no later run would try another repository again.
    pub is_registered: bool,
    pub n_failures: u64,
    pub last_at: Timestamp,
    pub last_session: SessionId,
    pub kind: Option<ErrorKind>,
    pub message: String,
    /// The first success after the last failure.
    pub recovered_at: Option<Timestamp>,
}

impl FailureFigures {
    /// Tells whether the model still fails.
    pub fn lasts(&self) -> bool {
        self.is_registered && self.recovered_at.is_none()
    }
}

/// Adds up sessions.
#[derive(Debug)]
pub struct Tally {
    days: Vec<Day>,
    figures: Vec<DayFigures>,
    models: BTreeMap<ReportedTarget, ModelTally>,
}

#[derive(Debug, Default)]
struct ModelTally {
    figures: ModelFigures,
    failure: Option<FailureFigures>,
}

impl Tally {
    /// Makes a tally of days without a gap.
    pub fn new(days: Vec<Day>) -> Self {
        let empty = |day: &Day| DayFigures {
            date: day.date,
            bytes: MovedBytes::default(),
            outcomes: BTreeMap::new(),
            n_verifications: 0,
        };
        Self {
            figures: days.iter().map(empty).collect(),
            days,
            models: BTreeMap::new(),
        }
    }

    /// Adds a session; sessions of one model come in the order of their ids.
    pub fn add(&mut self, row: SessionRow) {
        let index = self.days.partition_point(|day| day.until <= row.at);
        let bytes = moved_bytes(&row);
        if let Some(day) = self.figures.get_mut(index) {
            day.bytes.add(bytes);
            if row.is_verification {
                day.n_verifications += 1;
            } else {
                *day.outcomes.entry(row.outcome).or_default() += 1;
            }
        }
        let effect = row.outcome.effect(row.trouble);
        let is_news = row.outcome != Outcome::UpToDate || !bytes.is_none();
        if !is_news && !self.models.contains_key(&row.target) {
            return;
        }
        let is_registered = matches!(row.target, ReportedTarget::Model(_));
        let model = self.models.entry(row.target).or_default();
        model.figures.bytes.add(bytes);
        model.figures.n_updates += u64::from(row.outcome == Outcome::Updated);
        if effect.is_failure() || effect == Effect::Gone {
            model.figures.n_failures += 1;
            model.failure = Some(FailureFigures {
                label: String::new(),
                is_registered,
                n_failures: model.figures.n_failures,
                last_at: row.at,
                last_session: row.id,
                kind: row.trouble,
                message: String::new(),
                recovered_at: None,
            });
        } else if let Some(failure) = &mut model.failure
            && matches!(effect, Effect::Current | Effect::Held)
            && !row.is_verification
        {
            failure.recovered_at.get_or_insert(row.at);
        }
    }

    /// Returns the days; the models with bytes or failures, the largest first; and the
    /// failures, those that last first. `name` returns the name of a registered model.
    pub fn finish(
        self,
        name: impl Fn(ModelId) -> String,
    ) -> (Vec<DayFigures>, Vec<ModelFigures>, Vec<FailureFigures>) {
        let (mut models, mut failures) = (Vec::new(), Vec::new());
        for (target, tally) in self.models {
            let label = match target {
                ReportedTarget::Model(id) => name(id),
                ReportedTarget::Other(label) => label,
            };
            failures.extend(tally.failure.map(|failure| FailureFigures {
                label: label.clone(),
                ..failure
            }));
            if !tally.figures.bytes.is_none() || tally.figures.n_failures > 0 {
                models.push(ModelFigures {
                    label,
                    ..tally.figures
                });
            }
        }
        models.sort_by(|a, b| {
            let order = |one: &ModelFigures| (one.bytes.fetched, one.bytes.reused);
            order(b).cmp(&order(a)).then(a.label.cmp(&b.label))
        });
        failures.sort_by(|a, b| b.lasts().cmp(&a.lasts()).then(b.last_at.cmp(&a.last_at)));
        (self.figures, models, failures)
    }
}

/// Returns the bytes that a session moved. One that changed nothing reused no bytes: they
/// were in place before.
fn moved_bytes(row: &SessionRow) -> MovedBytes {
    let is_change = matches!(
        row.outcome,
        Outcome::Updated | Outcome::Repaired | Outcome::Partial
    );
    MovedBytes {
        fetched: row.bytes.fetched,
        reused: if is_change && !row.is_verification {
            row.bytes.reused
        } else {
            0
        },
    }
}

/// A run that has ended, as a report counts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunRow {
    pub outcome: RunOutcome,
    pub seconds: u64,
    /// The run had sessions; a run without them was skipped or removed files.
    pub had_work: bool,
}

/// The figures of runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunFigures {
    pub outcomes: BTreeMap<RunOutcome, u64>,
    /// The runs that had work; the durations are theirs.
    pub n_with_work: u64,
    pub total_seconds: u64,
    pub median_seconds: u64,
    pub longest_seconds: u64,
}

impl RunFigures {
    pub fn of(rows: &[RunRow]) -> Self {
        let mut figures = Self::default();
        for row in rows {
            *figures.outcomes.entry(row.outcome).or_default() += 1;
        }
        let worked = rows.iter().filter(|row| row.had_work);
        let mut seconds: Vec<u64> = worked.map(|row| row.seconds).collect();
        seconds.sort_unstable();
        Self {
            n_with_work: seconds.len() as u64,
            total_seconds: seconds.iter().sum(),
            median_seconds: seconds.get(seconds.len() / 2).copied().unwrap_or(0),
            longest_seconds: seconds.last().copied().unwrap_or(0),
            ..figures
        }
    }

    pub fn n_runs(&self) -> u64 {
        self.outcomes.values().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::super::days::days;
    use super::*;
    use jiff::tz::TimeZone;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn row(id: i64, time: &str, outcome: Outcome, fetched: u64) -> SessionRow {
        SessionRow {
            id: SessionId(id),
            at: at(time),
            target: ReportedTarget::Model(ModelId(1)),
            outcome,
            is_verification: false,
            trouble: None,
            bytes: MovedBytes {
                fetched,
                reused: 10,
            },
        }
    }

    fn tally(rows: Vec<SessionRow>) -> (Vec<DayFigures>, Vec<ModelFigures>, Vec<FailureFigures>) {
        let (since, until) = (at("2026-03-01T00:00:00Z"), at("2026-03-04T00:00:00Z"));
        let mut tally = Tally::new(days(since, until, &TimeZone::UTC));
        rows.into_iter().for_each(|row| tally.add(row));
        tally.finish(|id| format!("m{}", id.0))
    }

    #[test]
    fn bytes_and_outcomes_belong_to_the_day_of_the_session() {
        let (days, models, failures) = tally(vec![
            row(1, "2026-03-01T23:59:59Z", Outcome::Updated, 5),
            row(2, "2026-03-02T00:00:00Z", Outcome::UpToDate, 0),
            row(3, "2026-03-03T12:00:00Z", Outcome::Partial, 7),
        ]);
        let fetched: Vec<u64> = days.iter().map(|day| day.bytes.fetched).collect();
        assert_eq!(fetched, [5, 0, 7]);
        let reused: Vec<u64> = days.iter().map(|day| day.bytes.reused).collect();
        assert_eq!(
            reused,
            [10, 0, 10],
            "nothing is reused where nothing changed"
        );
        assert_eq!(days[1].outcomes, BTreeMap::from([(Outcome::UpToDate, 1)]));
        assert_eq!((models[0].label.as_str(), models[0].n_updates), ("m1", 1));
        assert!(failures.is_empty());
    }

    #[test]
    fn a_failure_is_over_with_the_first_success_after_it() {
        let (_, models, failures) = tally(vec![
            row(1, "2026-03-01T01:00:00Z", Outcome::Failed, 0),
            row(2, "2026-03-01T02:00:00Z", Outcome::UpToDate, 0),
            row(3, "2026-03-01T03:00:00Z", Outcome::CouldNotCheck, 0),
            row(4, "2026-03-01T04:00:00Z", Outcome::Skipped, 0),
            row(5, "2026-03-01T05:00:00Z", Outcome::Updated, 0),
            row(6, "2026-03-01T06:00:00Z", Outcome::UpToDate, 0),
        ]);
        let [failure] = failures.as_slice() else {
            panic!("{failures:?}");
        };
        assert_eq!(
            (failure.n_failures, failure.last_session),
            (2, SessionId(3))
        );
        assert_eq!(failure.recovered_at, Some(at("2026-03-01T05:00:00Z")));
        assert_eq!((models.len(), models[0].n_failures), (1, 2));
    }

    #[test]
    fn a_model_that_only_failed_is_one_of_the_models() {
        let (_, models, _) = tally(vec![row(1, "2026-03-01T01:00:00Z", Outcome::Failed, 0)]);
        assert_eq!((models.len(), models[0].n_failures), (1, 1));
        let (_, models, _) = tally(vec![row(1, "2026-03-01T01:00:00Z", Outcome::UpToDate, 0)]);
        assert_eq!(models, [], "nothing is new about it");
    }

    #[test]
    fn a_repository_that_is_not_registered_fails_once_and_does_not_last() {
        let failed = row(1, "2026-03-01T01:00:00Z", Outcome::Failed, 0);
        let by_hand = SessionRow {
            target: ReportedTarget::Other("acme/typo".to_owned()),
            ..failed.clone()
        };
        let (_, _, failures) = tally(vec![by_hand, failed]);
        let lasting: Vec<(&str, bool)> = failures
            .iter()
            .map(|it| (it.label.as_str(), it.lasts()))
            .collect();
        assert_eq!(lasting, [("m1", true), ("acme/typo", false)]);
    }

    #[test]
    fn durations_are_those_of_runs_with_work() {
        let run = |seconds, had_work| RunRow {
            outcome: RunOutcome::Ok,
            seconds,
            had_work,
        };
        let figures = RunFigures::of(&[run(9, true), run(1, true), run(500, false), run(2, true)]);
        assert_eq!(figures.n_runs(), 4);
        assert_eq!((figures.n_with_work, figures.total_seconds), (3, 12));
        assert_eq!((figures.median_seconds, figures.longest_seconds), (2, 9));
        assert_eq!(RunFigures::of(&[]), RunFigures::default());
    }
}
