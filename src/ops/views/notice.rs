//! Finds blobs that another program has written to through a link of a view.

use std::path::Path;

use anyhow::{Context, Result};

use super::refresh::ViewContext;
use crate::cache::names_of;
use crate::domain::model::{Destination, ModelId};
use crate::domain::run::{Event, EventKind};
use crate::domain::view::{FoundKind, MadeView, ViewFile, ViewMethod};
use crate::download::has_content;
use crate::view;

/// Compares the linked files of all views with their records. A file of the cache that
/// was written since is hashed; a wrong one is recorded as bad, so that the next sync
/// fetches it again.
pub fn notice_writes(context: ViewContext<'_>) -> Result<()> {
    if !context.store.has_views()? {
        return Ok(());
    }
    for made in context.store.views()? {
        let model = match made.model {
            Some(id) => context.store.model_by_id(id)?,
            None => None,
        };
        // A person may edit the files of a directory.
        if model.is_some_and(|model| model.spec.destination == Destination::Cache) {
            look_at_links(context, &made)?;
        }
    }
    Ok(())
}

fn look_at_links(context: ViewContext<'_>, made: &MadeView) -> Result<()> {
    let mut files = made.files.clone();
    let bad = context.store.bad_files()?;
    for file in &mut files {
        let Some(source) = file.source.clone() else {
            continue;
        };
        if bad.contains_key(&source) || !is_written(made, file, &source)? {
            continue;
        }
        let is_good = has_content(&source, &file.content)
            .with_context(|| format!("cannot read `{}`", source.display()))?;
        if is_good {
            let stamp = view::stamp_at(&source)
                .with_context(|| format!("cannot look at `{}`", source.display()))?;
            file.stamp = stamp.unwrap_or(file.stamp);
        } else {
            tell(context, made, file, &source)?;
        }
    }
    if files != made.files {
        context.store.replace_view_files(made.id, &files)?;
    }
    Ok(())
}

/// Tells whether the file behind a link has another size or time than it had.
fn is_written(made: &MadeView, file: &ViewFile, source: &Path) -> Result<bool> {
    let found = view::look(&made.spec.root, [(&file.path, Some(source))])?;
    let Some(found) = found.get(&file.path) else {
        return Ok(false);
    };
    let is_linked = match &found.kind {
        FoundKind::Plain { is_source, .. } => *is_source && file.method == ViewMethod::HardLink,
        FoundKind::Link { target, .. } => target == source && file.method == ViewMethod::Symlink,
        FoundKind::Absent | FoundKind::Other => false,
    };
    let differs = found.source.is_some_and(|now| !file.stamp.fits(&now));
    Ok(is_linked && differs)
}

fn tell(context: ViewContext<'_>, made: &MadeView, file: &ViewFile, source: &Path) -> Result<()> {
    let path = made.spec.root.join(file.path.as_str());
    let detail = format!(
        "another program has written to `{}`, which is `{}` of the cache: its hash is wrong",
        path.display(),
        source.display()
    );
    let model: Option<ModelId> = made.model;
    context.store.transaction(|store| -> Result<()> {
        if store.save_bad_file(&names_of(source), &file.content, context.now)? {
            log::warn!("{detail}");
            store.record_event(&Event {
                at: context.now,
                kind: EventKind::Corrupt,
                model_id: model,
                run_id: context.run.cloned(),
                detail,
            })?;
        }
        Ok(())
    })
}
