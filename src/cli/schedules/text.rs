//! The cadence and the selection of a schedule in one cell of a table.

use crate::domain::schedule::{CadenceKind, ScheduleSpec};
use crate::ui::text;

pub(super) fn cadence(spec: &ScheduleSpec) -> String {
    let word = match spec.cadence.kind() {
        CadenceKind::Interval => "every",
        kind => kind.as_str(),
    };
    format!("{word} {}", spec.cadence.spec())
}

pub(super) fn selection(spec: &ScheduleSpec) -> String {
    if spec.selection.all {
        return "all".to_owned();
    }
    let models = spec.selection.models.iter().map(ToString::to_string);
    let tags = spec.selection.tags.iter().map(|tag| format!("tag {tag}"));
    text::list(models.chain(tags))
}
