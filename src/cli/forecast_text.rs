//! Forecasts and allowances in words.

use jiff::tz::TimeZone;

use crate::domain::allowance::Allowance;
use crate::domain::forecast::{Forecast, Obstacle};
use crate::domain::time::Timestamp;
use crate::ui::text;

/// Renders a forecast with its range.
pub(super) fn forecast_text(forecast: &Result<Forecast, Obstacle>, zone: &TimeZone) -> String {
    let forecast = match forecast {
        Ok(forecast) => forecast,
        Err(obstacle) => return format!("no forecast: {}", obstacle.describe()),
    };
    let time = |at: Timestamp, form: &str| at.to_zoned(zone.clone()).strftime(form).to_string();
    let latest = forecast
        .latest
        .map_or("later than 120 days from now".to_owned(), |at| {
            time(at, "%a %-d %b %H:%M")
        });
    format!(
        "whole on {} (between {} and {latest}, by {})",
        time(forecast.at, "%a %-d %b about %H:%M"),
        time(forecast.earliest, "%a %-d %b %H:%M"),
        text::count(forecast.n_days as u64, "past day", "past days")
    )
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
