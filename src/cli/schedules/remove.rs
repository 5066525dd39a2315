//! `hfdl schedules remove`

use anyhow::Result;
use serde_json::json;

use super::find::{known_id, open_for};
use crate::cli::context::Context;
use crate::cli::names::{quoted, texts};
use crate::domain::model::EntryName;
use crate::json::document;

pub(super) fn remove(context: &Context, names: &[EntryName]) -> Result<()> {
    let store = open_for(context, &names[0])?;
    let ids = names
        .iter()
        .map(|name| known_id(&store, name))
        .collect::<Result<Vec<_>>>()?;
    context.confirm(&format!("remove the schedule {}?", quoted(names)))?;
    store.transaction(|store| -> Result<()> {
        for id in ids {
            store.remove_schedule(id)?;
        }
        Ok(())
    })?;
    context.out.done(
        || format!("removed {}", quoted(names)),
        || document("hfdl.removal/1", json!({ "schedules": texts(names) })),
    )
}
