//! `hfdl models enable` and `hfdl models disable`

use anyhow::Result;
use serde_json::json;

use super::find::{known, open_for};
use crate::cli::context::Context;
use crate::cli::names::{quoted, texts};
use crate::domain::model::EntryName;
use crate::json::document;

pub(super) fn switch(context: &Context, names: &[EntryName], enabled: bool) -> Result<()> {
    let store = open_for(context, &names[0])?;
    store.transaction(|store| -> Result<()> {
        for name in names {
            let model = known(store, name)?;
            store.set_model_enabled(model.id, enabled, context.now())?;
        }
        Ok(())
    })?;
    let word = if enabled { "enabled" } else { "disabled" };
    context.out.done(
        || format!("{word} {}", quoted(names)),
        || {
            let body = json!({ "models": texts(names), "enabled": enabled });
            document("hfdl.change/1", body)
        },
    )
}
