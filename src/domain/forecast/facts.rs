//! The facts and the result of a forecast.

use jiff::tz::TimeZone;

use super::rates::PastRates;
use super::simulation::Simulation;
use crate::domain::allowance::{Allowance, AllowanceRule};
use crate::domain::model::Priority;
use crate::domain::outcome::words;
use crate::domain::schedule::{RateTable, Windows};
use crate::domain::time::Timestamp;
use crate::domain::units::{ByteSize, Seconds};

/// The time beyond which nothing is forecast.
pub const HORIZON: Seconds = Seconds(120 * 86_400);

/// The facts of a home that decide when models are whole.
#[derive(Clone, Debug)]
pub struct ForecastFacts {
    pub now: Timestamp,
    /// The period of the timer.
    pub tick: Seconds,
    /// The time until which nothing runs.
    pub not_before: Timestamp,
    pub rates: Option<PastRates>,
    /// The limits of each run, by the settings.
    pub run: RunLimits,
    pub schedules: Vec<ForecastSchedule>,
    pub models: Vec<ForecastModel>,
    /// All allowances; schedules and models refer to them by index.
    pub allowances: Vec<(AllowanceRule, Vec<Allowance>)>,
}

/// The limits of one run: of all its models, or of those of a schedule.
#[derive(Clone, Debug, Default)]
pub struct RunLimits {
    pub max_duration: Option<Seconds>,
    pub max_transfer: Option<ByteSize>,
    /// The table, and the zone of its hours.
    pub limit_rate: Option<(RateTable, TimeZone)>,
}

/// An enabled schedule.
#[derive(Clone, Debug)]
pub struct ForecastSchedule {
    pub priority: Priority,
    /// The first time at which its models may run.
    pub ready: Timestamp,
    pub windows: Windows,
    pub zone: TimeZone,
    pub limits: RunLimits,
    pub allowance: Option<usize>,
}

/// A model with bytes left to fetch.
#[derive(Clone, Debug)]
pub struct ForecastModel {
    pub priority: Priority,
    pub bytes_left: u64,
    /// The schedules that include it, by index.
    pub schedules: Vec<usize>,
    /// The allowances of the home and of its tags, by index.
    pub allowances: Vec<usize>,
}

words! {
    /// The reason why there is no forecast.
    Obstacle {
        NoHistory = "no-history",
        NoSchedule = "no-schedule",
        Paused = "paused",
        TooFar = "too-far",
    }
}

impl Obstacle {
    pub fn describe(self) -> &'static str {
        match self {
            Self::NoHistory => "no run has fetched enough yet to know a rate",
            Self::NoSchedule => "no enabled schedule includes it",
            Self::Paused => "ticks are paused",
            Self::TooFar => "it is not whole within 120 days under its windows and limits",
        }
    }
}

/// The forecast of one model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forecast {
    /// The time if the coming runs have the rates of past days.
    pub at: Timestamp,
    pub earliest: Timestamp,
    /// `None` is beyond the horizon.
    pub latest: Option<Timestamp>,
    /// The number of past days behind the rates.
    pub n_days: usize,
    /// The median rate.
    pub bytes_per_second: u64,
    /// The zone of the schedule that starts first.
    pub zone: TimeZone,
}

/// Returns the forecast of each model, in their order.
pub fn forecast(facts: &ForecastFacts) -> Vec<Result<Forecast, Obstacle>> {
    let refuse = |obstacle| facts.models.iter().map(|_| Err(obstacle)).collect();
    let Some(rates) = &facts.rates else {
        return refuse(Obstacle::NoHistory);
    };
    if facts.not_before == Timestamp::MAX {
        return refuse(Obstacle::Paused);
    }
    let play = |rates: &[u64]| Simulation::new(facts, rates).run();
    let (slow, fast) = (play(&[rates.slow]), play(&[rates.fast]));
    let expected = play(&rates.past);
    let of_model = |index: usize| {
        let schedules = facts.models[index].schedules.iter();
        let first = schedules
            .map(|schedule| &facts.schedules[*schedule])
            .min_by_key(|schedule| schedule.ready)
            .ok_or(Obstacle::NoSchedule)?;
        let at = expected[index].ok_or(Obstacle::TooFar)?;
        Ok(Forecast {
            at,
            // Another order of the models may make one of them later at a higher rate.
            earliest: fast[index].unwrap_or(at).min(at),
            latest: slow[index].map(|latest| latest.max(at)),
            n_days: rates.past.len(),
            bytes_per_second: rates.median,
            zone: first.zone.clone(),
        })
    };
    (0..facts.models.len()).map(of_model).collect()
}
