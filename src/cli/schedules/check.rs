//! Checks that `schedules add` and `schedules set` share.

use anyhow::Result;

use crate::cli::explain::Complaint;
use crate::cli::models::unknown;
use crate::domain::model::{EntryName, Model};
use crate::domain::schedule::ScheduleSpec;
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
