//! `hfdl models remove`

use std::collections::BTreeSet;

use anyhow::Result;
use clap::Args;
use serde_json::json;

use super::find::{known, open_for};
use crate::cli::context::Context;
use crate::cli::lock::take_lock;
use crate::cli::names::{Names, quoted, texts};
use crate::domain::deletion::Refusal;
use crate::domain::model::{EntryName, Model};
use crate::domain::outcome::Trigger;
use crate::domain::retention::OnlyCopy;
use crate::domain::run::RunCommand;
use crate::domain::units::ByteSize;
use crate::json::document;
use crate::ops;
use crate::ops::models::ModelRemoval;
use crate::ops::views::ViewContext;
use crate::store::Store;

/// Remove models from the database
///
/// Files stay on disk unless --delete-files is given; the history of sessions stays in any case.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:
  hfdl models remove org/name
  hfdl models remove org/one org/two --delete-files")]
pub(super) struct RemoveModels {
    #[command(flatten)]
    names: Names,

    /// Delete the files too, unless another model uses them
    #[arg(long)]
    delete_files: bool,
}

/// The result of deleting the files of removed models.
#[derive(Default)]
struct DeletedFiles {
    freed_bytes: u64,
    /// The reasons for files that stay.
    kept: BTreeSet<Refusal>,
}

impl RemoveModels {
    pub(super) fn run(self, context: &Context) -> Result<()> {
        let names = self.names.distinct();
        let store = open_for(context, &names[0])?;
        let models: Vec<Model> = names
            .iter()
            .map(|name| known(&store, name))
            .collect::<Result<_>>()?;
        let settings = context.settings(Some(&store))?;
        let listed = quoted(&names);
        let identity = ops::ownership::identity(&context.host, &context.home, &store)?;
        let cache = ops::ownership::cache_of(&settings, &identity);
        let mut only_copies = ops::retention::only_copies(&store, &cache)?;
        only_copies.retain(|copy| names.contains(&copy.model));
        let about_files = if self.delete_files {
            format!("and delete the files{}", lost(&only_copies))
        } else {
            "and leave the files".to_owned()
        };
        context.confirm(&format!("remove {listed} {about_files}?"))?;
        // No run may download files or make views that are about to be removed.
        let has_views = models
            .iter()
            .any(|model| !model.spec.all_views().is_empty());
        let lock = (self.delete_files || has_views)
            .then(|| take_lock(context, RunCommand::Models, Trigger::Manual, None));
        let _lock = lock.transpose()?;
        if self.delete_files {
            // Files on a disk that is missing now would stay for ever, claimed by no model.
            let places = ops::places::Places::load(&store, &settings)?;
            for model in &models {
                places.check(&model.spec.destination, Some(model.id))?;
            }
        }
        let removals = remove(&store, &models)?;
        if has_views {
            // Before the files, so that no link of a view dangles.
            let about = ViewContext {
                store: &store,
                cache: &cache,
                run: None,
                now: context.now(),
            };
            ops::views::settle(about)?;
        }
        let mut deleted = DeletedFiles::default();
        if self.delete_files {
            for removal in &removals {
                let forgotten = removal.delete_files(&store, &cache, context.now())?;
                deleted.freed_bytes += forgotten.freed_bytes;
                deleted.kept.extend(forgotten.kept);
            }
        }
        ops::ownership::note_claims(&store, &cache, models.iter().map(|it| &it.spec.repo));
        if self.delete_files && !only_copies.is_empty() {
            let lost = lost(&only_copies);
            context.out.say(&format!("the files are deleted{lost}"));
        }
        report(context, &names, self.delete_files, &deleted)
    }
}

/// Names the commits that exist nowhere else any more.
fn lost(copies: &[OnlyCopy]) -> String {
    let commits: Vec<_> = copies.iter().map(|copy| copy.commit.short()).collect();
    match commits.len() {
        0 => String::new(),
        1 => format!(
            ", of which commit {} exists nowhere else any more",
            commits[0]
        ),
        _ => format!(
            ", of which the commits {} exist nowhere else any more",
            commits.join(", ")
        ),
    }
}

/// Removes the entries before any file is deleted: a crash in between leaves
/// too many files, not a model without files.
fn remove(store: &Store, models: &[Model]) -> Result<Vec<ModelRemoval>> {
    let removals = models
        .iter()
        .map(|model| ModelRemoval::of(store, model.clone()))
        .collect::<Result<_>>()?;
    store.transaction(|store| -> Result<()> {
        for model in models {
            store.remove_model(model.id)?;
        }
        Ok(())
    })?;
    Ok(removals)
}

fn report(
    context: &Context,
    names: &[EntryName],
    files_deleted: bool,
    deleted: &DeletedFiles,
) -> Result<()> {
    for refusal in &deleted.kept {
        context
            .out
            .say(&format!("at least one file stays: {refusal}"));
    }
    let listed = quoted(names);
    context.out.done(
        || {
            if files_deleted {
                let freed = ByteSize(deleted.freed_bytes).render_short();
                format!("removed {listed}; {freed} freed")
            } else {
                format!("removed {listed}; files stay")
            }
        },
        || {
            let kept: Vec<&str> = deleted
                .kept
                .iter()
                .map(|refusal| refusal.as_str())
                .collect();
            let body = json!({
                "models": texts(names),
                "files_deleted": files_deleted,
                "freed_bytes": deleted.freed_bytes,
                "bytes_freed": deleted.freed_bytes,
                "kept": kept,
            });
            document("hfdl.removal/1", body)
        },
    )
}
