//! `hfdl tags unset`

use anyhow::Result;
use serde_json::json;

use super::show::{known, unknown};
use crate::cli::context::Context;
use crate::cli::names::{quoted, texts};
use crate::domain::model::Tag;
use crate::json::document;

pub(super) fn unset(context: &Context, names: &[Tag]) -> Result<()> {
    let store = context.existing_store()?;
    let store = store.ok_or_else(|| unknown(&names[0], &[]))?;
    for name in names {
        known(&store, name)?;
    }
    store.transaction(|store| -> Result<()> {
        for name in names {
            store.remove_tag(name)?;
        }
        Ok(())
    })?;
    context.out.done(
        || format!("removed the defaults of {}", quoted(names)),
        || document("hfdl.change/1", json!({ "tags": texts(names) })),
    )
}
