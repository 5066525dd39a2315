//! `hfdl models release`

use anyhow::Result;
use clap::Args;
use serde_json::json;

use super::find::find;
use crate::cli::context::Context;
use crate::domain::model::EntryName;
use crate::json::document;
use crate::ops;

/// Let a model that was rolled back follow its revision again
#[derive(Debug, Args)]
#[command(after_long_help = "Example:
  hfdl models release org/name")]
pub struct Release {
    /// Name of the model
    name: EntryName,
}

impl Release {
    pub fn run(self, context: &Context) -> Result<()> {
        let (store, model) = find(context, &self.name)?;
        let released = ops::rollback::release(&store, &model, context.now())?;
        let name = &model.spec.name;
        context.out.done(
            || match &released {
                Some(held) => format!(
                    "`{name}` is no longer held at {}; the next run moves it to the newest revision",
                    held.short()
                ),
                None => format!("`{name}` is not held; nothing was changed"),
            },
            || {
                let released = released.as_ref().map(ToString::to_string);
                document(
                    "hfdl.release/1",
                    json!({ "model": name.as_str(), "released": released }),
                )
            },
        )
    }
}
