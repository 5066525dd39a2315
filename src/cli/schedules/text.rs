//! The cadence and the selection of a schedule in one cell of a table.

use jiff::tz::TimeZone;

use crate::domain::schedule::{Cadence, CadenceKind, OnceAt, ScheduleSpec, find_zone};
use crate::ui::{Clock, text};

pub(super) fn cadence(spec: &ScheduleSpec, clock: &Clock) -> String {
    let zone = zone_of(spec, clock);
    let once = match &spec.cadence {
        Cadence::Once(OnceAt::Exact(at)) => Some(*at),
        Cadence::Once(OnceAt::Local(at)) => zone.to_timestamp(*at).ok(),
        _ => None,
    };
    if let Some(at) = once {
        return format!("once {}", clock.future(at, &zone));
    }
    let word = match spec.cadence.kind() {
        CadenceKind::Interval => "every",
        kind => kind.as_str(),
    };
    format!("{word} {}", spec.cadence.spec())
}

/// Returns the zone of a schedule; where this machine does not know it, that of the reader.
pub fn zone_of(spec: &ScheduleSpec, clock: &Clock) -> TimeZone {
    find_zone(&spec.time_zone).unwrap_or_else(|_| clock.zone.clone())
}

pub(super) fn selection(spec: &ScheduleSpec) -> String {
    if spec.selection.all {
        return "all".to_owned();
    }
    let models = spec.selection.models.iter().map(ToString::to_string);
    let tags = spec.selection.tags.iter().map(|tag| format!("tag {tag}"));
    text::list(models.chain(tags))
}
