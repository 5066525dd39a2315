//! Collects the facts of a bill of materials.

use anyhow::Result;

use super::card::licence_of;
use crate::cache::CacheLayout;
use crate::domain::model::Model;
use crate::domain::repo::CommitSha;
use crate::domain::sbom::{BillOfMaterials, ListedFile, ListedModel};
use crate::domain::settings::Settings;
use crate::domain::snapshot::RemoteFile;
use crate::domain::time::Timestamp;
use crate::ops::checksums::{read_hashed, sha256_of};
use crate::ops::published::{file_of, stored_listing};
use crate::store::Store;

/// The name of the model card.
const CARD: &str = "README.md";

/// A larger card is not read.
const LARGEST_CARD: u64 = 4 << 20;

/// The point in time of a bill of materials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// The models as they are; the document bears this time.
    Now(Timestamp),
    /// The models as the history says that they were.
    Past(Timestamp),
}

/// Collects the published commits of models, with their files and licences.
pub fn collect(
    store: &Store,
    settings: &Settings,
    models: &[Model],
    moment: Moment,
) -> Result<BillOfMaterials> {
    let (Moment::Now(at) | Moment::Past(at)) = moment;
    let cache = CacheLayout::new(settings.cache_dir());
    let mut bill = BillOfMaterials {
        at,
        endpoint: settings.endpoint().to_owned(),
        models: Vec::new(),
        without_commit: Vec::new(),
    };
    for model in models {
        let commit = match moment {
            Moment::Now(_) => model.state.published_commit.clone(),
            Moment::Past(at) if model.created_at > at => continue,
            Moment::Past(at) => store.commit_published_at(model.id, at)?,
        };
        match commit {
            Some(commit) => bill.models.push(list_model(store, &cache, model, commit)?),
            None => bill.without_commit.push(model.spec.name.clone()),
        }
    }
    bill.models.sort_by(|a, b| a.name.cmp(&b.name));
    bill.without_commit.sort();
    Ok(bill)
}

fn list_model(
    store: &Store,
    cache: &CacheLayout,
    model: &Model,
    commit: CommitSha,
) -> Result<ListedModel> {
    let spec = &model.spec;
    let listing = stored_listing(cache, &spec.repo, &spec.destination, &commit)?;
    let mut licence = None;
    let mut files = None;
    if let Some(listing) = &listing {
        let on_disk = |file: &RemoteFile| file_of(cache, spec, &commit, file);
        let mut card = listing.files.iter();
        let card = card.find(|file| file.path.as_str() == CARD);
        licence = match card {
            // A repository without a card declares no licence.
            None => Some(licence_of(b"")),
            Some(card) if card.size_bytes > LARGEST_CARD => None,
            Some(card) => read_hashed(&on_disk(card), &card.content).map(|text| licence_of(&text)),
        };
        let mut listed = Vec::new();
        for file in listing.selected(&spec.filter) {
            listed.push(ListedFile {
                path: file.path.clone(),
                size_bytes: file.size_bytes,
                content: file.content,
                sha256: sha256_of(store, &on_disk(file), file)?,
            });
        }
        files = Some(listed);
    }
    let mut lacks_files = false;
    if listing.is_none() {
        let (known, n_files) = recorded_files(store, model, &commit)?;
        lacks_files = (known.len() as u64) < n_files || known.is_empty();
        files = Some(known).filter(|known| !known.is_empty());
    }
    Ok(ListedModel {
        name: spec.name.clone(),
        repo: spec.repo.clone(),
        revision: spec.revision.clone(),
        filter: spec.filter.clone(),
        commit,
        licence,
        files,
        lacks_files,
    })
}

/// Returns the files of a commit that the history knows, and the number of all.
fn recorded_files(
    store: &Store,
    model: &Model,
    commit: &CommitSha,
) -> Result<(Vec<ListedFile>, u64)> {
    let (files, n_files) = store.files_of_commit(model.id, commit)?;
    let listed = files.into_iter().map(|file| {
        Ok(ListedFile {
            sha256: store.sha256_of(&file.content)?,
            path: file.path,
            size_bytes: file.size_bytes,
            content: file.content,
        })
    });
    Ok((listed.collect::<Result<_>>()?, n_files))
}
