//! The cadence and the selection of a schedule in one cell of a table.

use jiff::tz::TimeZone;

use crate::domain::schedule::{CadenceKind, ScheduleSpec, find_zone};
use crate::ui::{Clock, text};

pub(super) fn cadence(spec: &ScheduleSpec) -> String {
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
