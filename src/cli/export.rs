//! `hfdl export`

use anyhow::Result;
use clap::Args;

use super::context::Context;
use crate::domain::outcome::ExitStatus;
use crate::json;
use crate::ops::apply::Current;
use crate::ops::document::{to_json, to_yaml};
use crate::ops::export::export;
use crate::store::Store;
use crate::ui::Format;

/// Export models, schedules and settings as a file for `hfdl apply`
///
/// Prints YAML unless --format json is given, without states and secrets. Applying it changes
/// nothing here and adds the same entries elsewhere.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:
  hfdl export > hfdl.yaml
  hfdl export --format json")]
pub struct Export {}

impl Export {
    pub fn run(self, context: &Context) -> Result<ExitStatus> {
        let store = Store::open_read_only(&context.home.database(), context.now())?;
        let (root, warnings) = export(&Current::read(&store)?)?;
        for warning in warnings {
            context.warn(&warning);
        }
        let text = match context.out.format {
            Format::Json => json::render(&to_json(&root)),
            Format::Table | Format::Yaml | Format::Markdown | Format::Html => format!(
                "# Models, schedules and settings of hfdl.\n\
                 # To apply: hfdl apply -f FILE (first with --dry-run to see the differences)\n{}",
                to_yaml(&root)?
            ),
        };
        context.out.print(&text)?;
        Ok(ExitStatus::Ok)
    }
}
