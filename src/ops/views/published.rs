//! The published files of a model, as views show them.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

use crate::cache::CacheLayout;
use crate::domain::content::ContentId;
use crate::domain::model::Model;
use crate::domain::repo::{CommitSha, RepoPath};
use crate::domain::snapshot::RemoteFile;
use crate::domain::view::{
    GGUF_PREFIX_BYTES, GgufFacts, OllamaTexts, ViewKind, ViewLayout, ViewListing, lay_out,
    model_file,
};
use crate::ops::checksums::sha256_remembered;
use crate::ops::published::{file_of, stored_listing};
use crate::store::Store;

/// A larger file is no template of ollama, and is not read.
const LARGEST_TEXT: u64 = 1 << 20;

/// The selected files of a published commit.
pub(super) struct PublishedFiles<'a> {
    cache: &'a CacheLayout,
    model: &'a Model,
    commit: &'a CommitSha,
    /// Sorted by path.
    files: Vec<RemoteFile>,
}

impl<'a> PublishedFiles<'a> {
    /// Reads the listing that was stored when the commit was published.
    pub(super) fn read(
        cache: &'a CacheLayout,
        model: &'a Model,
        commit: &'a CommitSha,
    ) -> Result<Self> {
        let spec = &model.spec;
        let listing = stored_listing(cache, &spec.repo, &spec.destination, commit)?;
        let listing =
            listing.with_context(|| format!("no listing of commit {} is kept", commit.short()))?;
        let files = listing.selected(&spec.filter);
        let files = files.into_iter().cloned().collect();
        Ok(Self {
            cache,
            model,
            commit,
            files,
        })
    }

    /// Returns the path of the bytes of a file: the blob, or the file itself where the
    /// destination has no links.
    pub(super) fn source(&self, path: &RepoPath) -> Option<PathBuf> {
        let at = self.files.binary_search_by(|file| file.path.cmp(path));
        let file = self.files.get(at.ok()?)?;
        Some(file_of(self.cache, &self.model.spec, self.commit, file))
    }

    pub(super) fn lay_out(&self, store: &Store, kind: ViewKind) -> Result<ViewLayout> {
        let mut listing = ViewListing {
            repo: &self.model.spec.repo,
            revision: &self.model.spec.revision,
            files: &self.files,
            mappings: &self.model.spec.view_map,
            header: None,
            texts: OllamaTexts::default(),
            sha256: |bytes| Sha256::digest(bytes).into(),
            checksums: self.checksums(store)?,
        };
        if kind == ViewKind::Ollama {
            let weights = model_file(&self.files)?;
            if let Some(source) = self.source(&weights.path) {
                listing.header = read_header(&source)?;
            }
            let [template, system, params] = OllamaTexts::NAMES.map(|name| self.text(name));
            listing.texts = OllamaTexts {
                template: template?,
                system: system?,
                params: params?,
            };
        }
        Ok(lay_out(kind, &listing)?)
    }

    /// Returns the SHA-256 of each content if the model wants a file of checksums. A file
    /// that the Hub knows by its git blob id is read once, and its hash remembered.
    fn checksums(&self, store: &Store) -> Result<Option<BTreeMap<ContentId, [u8; 32]>>> {
        if !self.model.spec.checksums {
            return Ok(None);
        }
        let mut known = BTreeMap::new();
        for file in &self.files {
            let path = file_of(self.cache, &self.model.spec, self.commit, file);
            if let Some(sha256) = sha256_remembered(store, &path, file)? {
                known.insert(file.content, sha256);
            }
        }
        Ok(Some(known))
    }

    /// Returns the content of a small file at the top of the repository.
    fn text(&self, name: &str) -> Result<Option<Vec<u8>>> {
        let mut files = self.files.iter();
        let file = files.find(|file| file.path.as_str() == name && file.size_bytes <= LARGEST_TEXT);
        let source = file.and_then(|file| self.source(&file.path));
        let read = |path: &PathBuf| {
            std::fs::read(path).with_context(|| format!("cannot read `{}`", path.display()))
        };
        source.as_ref().map(read).transpose()
    }
}

fn read_header(path: &Path) -> Result<Option<GgufFacts>> {
    let mut begin = Vec::new();
    File::open(path)
        .and_then(|file| file.take(GGUF_PREFIX_BYTES).read_to_end(&mut begin))
        .with_context(|| format!("cannot read `{}`", path.display()))?;
    Ok(GgufFacts::read(&begin))
}
