//! Forecasts and allowances in words.

use crate::domain::allowance::Allowance;
use crate::domain::forecast::{Forecast, Obstacle};
use crate::domain::time::Timestamp;
use crate::ui::{Clock, text};

/// Renders a forecast with its range, in the zone of its schedule.
pub(super) fn forecast_text(forecast: &Result<Forecast, Obstacle>, clock: &Clock) -> String {
    let forecast = match forecast {
        Ok(forecast) => forecast,
        Err(obstacle) => return format!("no forecast: {}", obstacle.describe()),
    };
    let days = text::count(forecast.n_days as u64, "past day", "past days");
    let at = clock.future(forecast.at, &forecast.zone);
    format!("whole about {at} ({}by {days})", range(forecast, clock))
}

/// Renders the range of a forecast; nothing if all past days give the same minute.
fn range(forecast: &Forecast, clock: &Clock) -> String {
    let moment = |at: Timestamp| clock.moment(at, &forecast.zone);
    let earliest = moment(forecast.earliest);
    let Some(latest) = forecast.latest.map(moment) else {
        return format!("from {earliest} to more than 120 days from now, ");
    };
    if earliest == latest {
        return String::new();
    }
    format!("between {earliest} and {latest}, ")
}

/// Renders the spent part of an allowance.
pub(super) fn allowance_text(allowance: &Allowance) -> String {
    format!(
        "{}: {} of {} spent, new on {}",
        allowance.title(),
        allowance.spent.render_short(),
        allowance.limit.render_short(),
        allowance.renewal_day()
    )
}
