//! Forecasts and allowances in words.

use jiff::Zoned;
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
    let days = text::count(forecast.n_days as u64, "past day", "past days");
    let at = forecast.at.to_zoned(zone.clone());
    let at = at.strftime("%a %-d %b about %H:%M %Z");
    format!("whole on {at} ({}by {days})", range(forecast, zone))
}

/// Renders the range of a forecast; nothing if all past days give the same minute.
fn range(forecast: &Forecast, zone: &TimeZone) -> String {
    let local = |at: Timestamp| at.to_zoned(zone.clone());
    let render = |at: &Zoned, form: &str| at.strftime(form).to_string();
    let (long, short) = ("%a %-d %b %H:%M", "%H:%M");
    let earliest = local(forecast.earliest);
    let Some(latest) = forecast.latest.map(local) else {
        let earliest = render(&earliest, long);
        return format!("between {earliest} and later than 120 days from now, ");
    };
    let form = if earliest.date() == latest.date() {
        short
    } else {
        long
    };
    if render(&earliest, long) == render(&latest, long) {
        return String::new();
    }
    let (earliest, latest) = (render(&earliest, form), render(&latest, form));
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
