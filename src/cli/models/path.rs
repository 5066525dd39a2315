//! `hfdl models path`

use anyhow::Result;
use clap::Args;

use super::find::{known, open_for};
use crate::cli::context::Context;
use crate::cli::download_report::show_published;
use crate::cli::names::Names;
use crate::domain::model::EntryName;
use crate::domain::outcome::ExitStatus;
use crate::domain::repo::Revision;
use crate::ops::services::Services;
use crate::ops::sync::Target;

/// Print the folders of the published files of models
///
/// Does not ask the Hub. Fails if files are missing; `hfdl verify` also reads the bytes.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:
  llama-server --model \"$(hfdl models path org/name:Q4_K_M)\"/name-Q4_K_M.gguf
  hfdl models path org/name --revision v1.0
  hfdl models path org/name datasets/org/corpus --json")]
pub(super) struct ModelPath {
    #[command(flatten)]
    names: Names,

    /// Another revision or commit that is in the cache
    #[arg(long, value_name = "REV")]
    revision: Option<Revision>,
}

impl ModelPath {
    pub(super) fn run(self, context: &Context) -> Result<ExitStatus> {
        let names = self.names.distinct();
        let store = open_for(context, &names[0])?;
        let settings = context.settings(Some(&store))?;
        let revision = self.revision.as_ref();
        let target = |name: &EntryName| -> Result<Target> {
            let mut target = Target::from(&known(&store, name)?);
            if let Some(revision) = revision {
                target.known_commit = None;
                target.revision = revision.clone();
            }
            Ok(target)
        };
        let targets: Vec<Target> = names.iter().map(target).collect::<Result<_>>()?;
        let services = Services::read_only(&context.host, &context.home, settings, store);
        let missing = ExitStatus::Failed;
        show_published(context, &services, &targets, None, revision, missing)
    }
}
