//! `hfdl models path`

use anyhow::Result;
use clap::Args;

use super::find::find;
use crate::cli::context::Context;
use crate::cli::download_report::show_published;
use crate::domain::model::EntryName;
use crate::domain::outcome::ExitStatus;
use crate::domain::repo::Revision;
use crate::ops::services::Services;
use crate::ops::sync::Target;

/// Print the folder of the published files of a model
///
/// Asks nothing of the Hub. Files that are missing are an error; `hfdl verify` also reads the bytes.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:
  llama-server --model \"$(hfdl models path org/name:Q4_K_M)\"/name-Q4_K_M.gguf
  hfdl models path org/name --revision v1.0")]
pub(super) struct ModelPath {
    /// Name of the model
    name: EntryName,

    /// Another revision or commit that is in the cache
    #[arg(long, value_name = "REV")]
    revision: Option<Revision>,
}

impl ModelPath {
    pub(super) fn run(self, context: &Context) -> Result<ExitStatus> {
        let (store, model) = find(context, &self.name)?;
        let settings = context.settings(Some(&store))?;
        let mut target = Target::from(&model);
        let revision = self.revision.as_ref();
        if let Some(revision) = revision {
            target.known_commit = None;
            target.revision = revision.clone();
        }
        let services = Services::read_only(&context.host, &context.home, settings, store);
        let missing = ExitStatus::Failed;
        show_published(context, &services, &[target], None, revision, missing)
    }
}
