//! Forecasts: the time at which a model under way is expected to be whole.
//!
//! The coming runs are played through: ticks, windows, rate tables, budgets and
//! allowances are known, and the rate of the line comes from past days with runs. It is done
//! three times: with the rates of the past days, again and again; and with the rates that
//! only one byte in ten was slower or faster than. The last two are the ends of the range.
//! With fewer than three days the range goes from half the slowest to twice the fastest rate.
//!
//! Simplifications: models of equal priority share the line equally, as the queue
//! approximately does; a slot that has begun goes on in each window until it is done;
//! failures, kills and new revisions are not foreseen. `nights` states and tests the error.

mod facts;
#[cfg(test)]
mod nights;
mod rates;
mod simulation;

pub use facts::{
    Forecast, ForecastFacts, ForecastModel, ForecastSchedule, HORIZON, Obstacle, RunLimits,
    forecast,
};
pub use rates::{DayRate, PastRates};
