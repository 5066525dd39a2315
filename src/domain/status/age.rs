//! Warnings about time: clocks that cannot be right, checks that are too old, schedules
//! that check nothing.

use super::facts::{ModelStatus, Status};
use super::health::{Warning, WarningKind};
use crate::domain::invalid_value::InvalidValue;
use crate::domain::model::{EntryName, ModelSummary};
use crate::domain::schedule::Selection;
use crate::domain::time::{EARLIEST_BELIEVABLE, render_utc};

/// Returns a warning about a clock that shows a time before the release of this
/// program, or before a recorded time.
pub(super) fn wrong_clock(status: &Status) -> Option<Warning> {
    let shown = render_utc(status.now);
    let hint = "set the clock, or switch time synchronisation on";
    if status.now < EARLIEST_BELIEVABLE {
        let message = format!(
            "the clock is wrong: it shows {shown}, which is before this program was made; \
             every tick ends without work"
        );
        return Some(Warning::new(WarningKind::Clock, message, hint));
    }
    let message = format!(
        "the clock shows {shown}, and a tick is dated {}: the clock was wrong then or is wrong \
         now",
        render_utc(status.false_future?)
    );
    let hint = format!("{hint}; if it is right now, the next tick accepts it");
    Some(Warning::new(WarningKind::Clock, message, hint))
}

pub(super) fn impossible_schedule((name, why): &(EntryName, InvalidValue)) -> Warning {
    let message = format!("the schedule `{name}` can never run: {why}");
    let change = why.next_step().unwrap_or("change it");
    let hint = format!(
        "{change} with `hfdl schedules set {name}`, or let the timer tick more often with \
         `hfdl start --every`"
    );
    Warning::new(WarningKind::ScheduleImpossible, message, hint)
}

/// Returns a warning about a schedule without a model, and names the way to one.
pub fn empty_schedule((name, selection): &(EntryName, Selection)) -> Warning {
    let (why, hint) = match selection.tags.first() {
        _ if selection.all => (
            "there are no models".to_owned(),
            "`hfdl models add org/name` keeps one".to_owned(),
        ),
        Some(tag) => (
            format!("no model has the tag `{tag}`"),
            format!("`hfdl models set NAME --tag {tag}` gives it to a model"),
        ),
        None => (
            "the models that it named were removed".to_owned(),
            format!("`hfdl schedules set {name} --all` includes all models"),
        ),
    };
    let message = format!("the schedule `{name}` includes no model: {why}");
    let hint = format!("{hint}; `hfdl schedules remove {name}` removes the schedule");
    Warning::new(WarningKind::ScheduleEmpty, message, hint)
}

/// Returns a warning about a check that is too old. A model without a schedule is
/// never overdue; a rare schedule allows a greater age than the setting.
pub(super) fn stale_check(model: &ModelStatus, status: &Status) -> Option<Warning> {
    let planned = model.planned_age.unwrap_or_default();
    let allowed = status.check_max_age.max(planned);
    let is_kept = model.is_scheduled && model.summary != ModelSummary::Disabled;
    if !is_kept || model.checked_ago(status.now) <= allowed {
        return None;
    }
    let age = model.checked_ago(status.now).render_short();
    let name = &model.name;
    let limit = if allowed > status.check_max_age {
        format!("twice the longest gap of its schedule ({allowed})")
    } else {
        format!("`check.max_age` ({allowed})")
    };
    let message = match model.last_check_at {
        Some(_) => format!("`{name}` was last checked {age} ago, longer than {limit}"),
        None => format!("`{name}` was added {age} ago and never checked, longer than {limit}"),
    };
    let hint =
        "see whether the timer ticks and the schedule is due; `hfdl schedules next` tells when";
    Some(Warning::new(WarningKind::StaleCheck, message, hint).about(model))
}
