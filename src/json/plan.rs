//! The totals of a plan, in the documents of dry runs, and forecasts.

use serde::Serialize;

use super::document::time;
use crate::domain::forecast::{Forecast, Obstacle};
use crate::domain::plan::Totals;
use crate::domain::time::render_utc;

/// Files or bytes of a plan.
#[derive(Debug, Serialize)]
pub struct TotalsView {
    total: u64,
    to_fetch: u64,
    reused: u64,
}

impl TotalsView {
    pub fn files(totals: &Totals) -> Self {
        Self {
            total: totals.files,
            to_fetch: totals.files_to_fetch,
            reused: totals.files_reused,
        }
    }

    pub fn bytes(totals: &Totals) -> Self {
        Self {
            total: totals.bytes,
            to_fetch: totals.bytes_to_fetch,
            reused: totals.bytes_here(),
        }
    }
}

/// The time at which a model is expected to be whole, or the reason why that is not known.
#[derive(Debug, Serialize)]
pub struct ForecastView {
    at: Option<String>,
    earliest: Option<String>,
    /// Null is beyond the horizon.
    latest: Option<String>,
    basis: Option<BasisView>,
    obstacle: Option<&'static str>,
}

/// The past days behind a forecast, and their median rate.
#[derive(Debug, Serialize)]
struct BasisView {
    days: usize,
    bytes_per_second: u64,
}

impl From<&Result<Forecast, Obstacle>> for ForecastView {
    fn from(forecast: &Result<Forecast, Obstacle>) -> Self {
        let known = forecast.as_ref().ok();
        Self {
            at: known.map(|known| render_utc(known.at)),
            earliest: known.map(|known| render_utc(known.earliest)),
            latest: time(known.and_then(|known| known.latest)),
            basis: known.map(|known| BasisView {
                days: known.n_days,
                bytes_per_second: known.bytes_per_second,
            }),
            obstacle: forecast.as_ref().err().map(|obstacle| obstacle.as_str()),
        }
    }
}
