//! The views of all models, compared with the disk. It changes nothing.

use std::path::PathBuf;

use anyhow::Result;

use crate::domain::model::{EntryName, Model};
use crate::domain::repo::CommitSha;
use crate::domain::view::{MadeView, ViewMethod, ViewSpec, ViewState, view_state};
use crate::store::{ModelFilter, Store};
use crate::view;

/// A view as `views list` shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedView {
    pub model: EntryName,
    pub spec: ViewSpec,
    /// The revision that it shows.
    pub commit: Option<CommitSha>,
    pub state: ViewState,
    /// The methods of its files, without written ones.
    pub methods: Vec<ViewMethod>,
    /// Bytes that need no second copy.
    pub shared_bytes: u64,
    /// Files that are missing or changed.
    pub differing: Vec<PathBuf>,
    /// The reason why the last attempt failed.
    pub failure: Option<String>,
}

impl ListedView {
    /// Returns the state with its reason.
    pub fn describe(&self) -> String {
        let mut text = format!("view `{}` is {}", self.spec, self.state);
        if let Some(failure) = &self.failure {
            text.push_str(&format!(": {failure}"));
        } else if let Some(first) = self.differing.first() {
            text.push_str(&format!(": `{}`", first.display()));
            if self.differing.len() > 1 {
                text.push_str(&format!(" and {} more", self.differing.len() - 1));
            }
        }
        text
    }
}

/// Compares the views of all models with the disk, in the order of the models.
pub fn list(store: &Store) -> Result<Vec<ListedView>> {
    let made = store.views()?;
    let mut listed = Vec::new();
    for model in store.readable_models(&ModelFilter::default())? {
        for spec in &model.spec.all_views() {
            let mut own = made.iter();
            let own = own.find(|view| view.model == Some(model.id) && view.spec == *spec);
            listed.push(describe(store, &model, spec, own)?);
        }
    }
    Ok(listed)
}

fn describe(
    store: &Store,
    model: &Model,
    spec: &ViewSpec,
    made: Option<&MadeView>,
) -> Result<ListedView> {
    let mut listed = ListedView {
        model: model.spec.name.clone(),
        spec: spec.clone(),
        commit: None,
        state: ViewState::Missing,
        methods: Vec::new(),
        shared_bytes: 0,
        differing: Vec::new(),
        failure: None,
    };
    let Some(made) = made else {
        return Ok(listed);
    };
    listed.commit.clone_from(&made.commit);
    listed.failure.clone_from(&made.failure);
    let paths = made.files.iter();
    let paths = paths.map(|file| (&file.path, file.source.as_deref()));
    let found = match view::look(&spec.root, paths) {
        Ok(found) => found,
        Err(err) => {
            listed.failure = Some(format!("{err:#}"));
            return Ok(listed);
        }
    };
    let published = model.state.published_commit.as_ref();
    let mut judged = view_state(made, published, &found, &[]);
    if !judged.1.is_empty() {
        let others = store.files_of_other_views(made)?;
        judged = view_state(made, published, &found, &others);
    }
    let (state, differing) = judged;
    let differing = differing.iter().map(|path| spec.root.join(path.as_str()));
    listed.differing = differing.collect();
    listed.state = state;
    for file in &made.files {
        let is_shared = match file.method {
            ViewMethod::Reflink | ViewMethod::HardLink | ViewMethod::Symlink => true,
            ViewMethod::Copy | ViewMethod::Written => false,
        };
        if is_shared {
            listed.shared_bytes += file.stamp.size_bytes;
        }
        if file.method != ViewMethod::Written && !listed.methods.contains(&file.method) {
            listed.methods.push(file.method);
        }
    }
    listed.methods.sort();
    Ok(listed)
}
