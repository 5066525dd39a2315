//! Removes the views that no model has any more.

use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::Result;

use super::refresh::{ViewContext, ViewFailure, refresh, temporary_prefix};
use crate::domain::deletion::Refusal;
use crate::domain::model::ModelId;
use crate::domain::repo::RepoPath;
use crate::domain::view::{MadeView, ViewFile, ViewKind, ViewSpec, of_other};
use crate::ops::lock::take_run_lock;
use crate::sys::host::Host;
use crate::sys::paths::Home;
use crate::sys::removal;
use crate::view;

/// Files of removed views that stay, with the reason.
pub type Settled = Vec<(PathBuf, Refusal)>;

/// Removes the files of views whose model is gone or has the view no more. Files that
/// are not as the view made them stay.
pub fn settle(context: ViewContext<'_>) -> Result<Settled> {
    let mut kept = Settled::new();
    if !context.store.has_views()? {
        return Ok(kept);
    }
    for made in context.store.views()? {
        let model = match made.model {
            Some(id) => context.store.model_by_id(id)?,
            None => None,
        };
        if model.is_some_and(|model| model.spec.all_views().contains(&made.spec)) {
            continue;
        }
        kept.extend(remove(context, &made)?);
        context.store.forget_view(made.id)?;
    }
    Ok(kept)
}

fn remove(context: ViewContext<'_>, made: &MadeView) -> Result<Settled> {
    let root = &made.spec.root;
    if !made.files.is_empty() && !root.exists() {
        let root = root.display();
        log::warn!("`{root}` is not there: files of a view are left if its disk comes back");
    }
    let prefix = temporary_prefix(context.cache)?;
    let paths = made.files.iter().map(|file| &file.path);
    view::clear_leftovers(root, paths, &made.files, &prefix);
    // Manifests first: a blob goes only when nothing names it.
    let mut files: Vec<ViewFile> = made.files.iter().rev().cloned().collect();
    let others = context.store.files_of_other_views(made)?;
    if !others.is_empty() {
        let paths = files.iter();
        let found = view::look(root, paths.map(|file| (&file.path, None)))?;
        files.retain(|file| {
            let found = found.get(&file.path);
            found.is_none_or(|found| of_other(&others, &file.path, found).is_none())
        });
    }
    let claim = claim_of(&made.spec, BTreeSet::new(), &files);
    let removed = view::remove_files(root, &files, &claim)?;
    if matches!(made.spec.kind, ViewKind::Dir | ViewKind::Checksums) {
        removal::remove_empty_dir(root);
    }
    for (path, refusal) in &removed.kept {
        log::warn!("`{}` stays: {refusal}", path.display());
    }
    Ok(removed.kept)
}

/// Returns the claims of other ollama manifests on blobs. `current` and `going` are the
/// paths of this view, whose manifests do not count.
pub(super) fn claim_of(
    spec: &ViewSpec,
    current: BTreeSet<RepoPath>,
    going: &[ViewFile],
) -> impl Fn(&RepoPath) -> Option<Refusal> + use<> {
    let mut own = current;
    own.extend(going.iter().map(|file| file.path.clone()));
    let texts = match spec.kind {
        ViewKind::Ollama if !going.is_empty() => view::named_by_others(&spec.root, &own),
        _ => Vec::new(),
    };
    move |path| {
        let digest = path.as_str().strip_prefix("blobs/sha256-")?;
        let digest = format!("sha256:{digest}");
        let is_named = texts.iter().any(|text| text.contains(&digest));
        is_named.then_some(Refusal::NamedByManifest)
    }
}

/// Removes old views and makes those of some models, after a person has changed models.
/// `None` if a run holds the lock; it or the next one does the same.
pub fn settle_and_refresh(
    (host, home): (&Host, &Home),
    context: ViewContext<'_>,
    models: &[ModelId],
) -> Result<Option<(Settled, Vec<ViewFailure>)>> {
    let Some(_lock) = take_run_lock(host, home, None)? else {
        return Ok(None);
    };
    let kept = settle(context)?;
    let mut failures = Vec::new();
    for id in models {
        if let Some(model) = context.store.model_by_id(*id)? {
            failures.extend(refresh(context, &model)?);
        }
    }
    Ok(Some((kept, failures)))
}
