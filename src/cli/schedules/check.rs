//! Checks that `schedules add` and `schedules set` share.

use anyhow::Result;
use jiff::tz::TimeZone;

use crate::cli::context::Context;
use crate::cli::explain::Complaint;
use crate::cli::fields::FieldFlags;
use crate::cli::models::unknown;
use crate::domain::model::{EntryName, Model};
use crate::domain::schedule::{ScheduleSpec, find_zone};
use crate::domain::time::{Present, Timestamp, Toward, whole_minutes};
use crate::ops;
use crate::store::Store;

pub(super) fn refuse_taken_name(store: &Store, spec: &ScheduleSpec) -> Result<()> {
    match store.find_schedule(&spec.name)? {
        Some(_) => Err(
            Complaint::usage(format!("the schedule `{}` exists already", spec.name))
                .next("`hfdl schedules set` changes it")
                .into(),
        ),
        None => Ok(()),
    }
}

/// Replaces a `--once` that is counted from now, such as `tomorrow 08:00`, by its date in the
/// zone of the schedule.
pub(super) fn date_once<const CAN_CLEAR: bool>(
    context: &Context,
    flags: &mut FieldFlags<ScheduleSpec, CAN_CLEAR>,
    zone: &str,
) -> Result<()> {
    // A day without a time would silently mean midnight.
    let has_time = |text: &&str| text.contains(':') || text.trim().starts_with("in ");
    let Some(text) = flags.first_text(&["once"]).filter(has_time) else {
        return Ok(());
    };
    let zone = find_zone(flags.first_text(&["tz"]).unwrap_or(zone))?;
    let present = Present {
        now: context.now(),
        zone: zone.clone(),
        toward: Toward::Future,
    };
    let is_dated = text.trim().starts_with(|c: char| c.is_ascii_digit()) && text.contains('-');
    if let (false, Ok(at)) = (is_dated, present.parse(text)) {
        let text = dated(at, &zone);
        flags.replace_text("once", text);
    }
    Ok(())
}

/// Renders the whole minute of a time; exactly where its local time occurs twice.
fn dated(at: Timestamp, zone: &TimeZone) -> String {
    let minute = whole_minutes(at);
    let local = minute.to_zoned(zone.clone()).datetime();
    if zone.to_ambiguous_timestamp(local).is_ambiguous() {
        return minute.to_string();
    }
    local.strftime("%Y-%m-%dT%H:%M").to_string()
}

/// Returns all models; without a database there are none.
pub(super) fn all_models(store: Option<&Store>) -> Result<Vec<Model>> {
    store.map_or(Ok(Vec::new()), ops::schedules::all_models)
}

pub(super) fn refuse_unknown_models(models: &[Model], spec: &ScheduleSpec) -> Result<()> {
    let mut named = spec.selection.models.iter();
    let is_unknown = |name: &&EntryName| models.iter().all(|model| model.spec.name != **name);
    match named.find(is_unknown) {
        Some(name) => Err(unknown(name, models).into()),
        None => Ok(()),
    }
}
