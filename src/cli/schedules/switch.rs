//! `hfdl schedules enable` and `hfdl schedules disable`

use anyhow::Result;
use serde_json::json;

use super::find::{known, known_id, open_for};
use crate::cli::context::Context;
use crate::cli::names::{quoted, texts};
use crate::domain::model::EntryName;
use crate::json::document;
use crate::ops;

pub(super) fn switch(context: &Context, names: &[EntryName], enabled: bool) -> Result<()> {
    let store = open_for(context, &names[0])?;
    let tick = context.settings(Some(&store))?.timer_every();
    let now = context.now();
    store.transaction(|store| -> Result<()> {
        for name in names {
            if !enabled {
                // Only by its id, so that an unreadable schedule can be disabled, too.
                store.set_schedule_enabled(known_id(store, name)?, false, now)?;
                continue;
            }
            let schedule = known(store, name)?;
            let mut spec = schedule.spec.clone();
            spec.enabled = enabled;
            let state = schedule.state.after_edit(&schedule.spec, &spec, now);
            store.set_schedule_enabled(schedule.id, enabled, now)?;
            store.save_schedule_state(schedule.id, &state)?;
            ops::schedules::save_next_look(store, &context.host, name, tick)?;
        }
        Ok(())
    })?;
    let word = if enabled { "enabled" } else { "disabled" };
    context.out.done(
        || format!("{word} {}", quoted(names)),
        || {
            document(
                "hfdl.change/1",
                json!({ "schedules": texts(names), "enabled": enabled }),
            )
        },
    )
}
