//! The plan: each wanted file and its action.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use super::{ContentLocation, Totals};
use crate::domain::content::ContentId;
use crate::domain::delta::RangeCopy;
use crate::domain::repo::{CommitSha, RepoPath};
use crate::domain::snapshot::RemoteFile;
use crate::domain::xet::FileMap;

/// The actions for all wanted files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncPlan {
    pub commit: CommitSha,
    /// Every wanted file, sorted by path.
    pub files: Vec<PlannedFile>,
    /// Files of the published snapshot that are gone from the repository.
    pub deleted: Vec<RepoPath>,
    pub totals: Totals,
}

/// One wanted file and its action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedFile {
    pub file: RemoteFile,
    pub action: Action,
    /// The delta from old files, if one saves fetching.
    pub delta: Option<Arc<FileDelta>>,
}

/// How a file is built from old files on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileDelta {
    /// Copies refer to the old files by their index in `sources`.
    pub copies: Vec<RangeCopy>,
    pub sources: Vec<PathBuf>,
    /// Bytes to copy and bytes to fetch; bytes in the partial file count as
    /// neither.
    pub copied_bytes: u64,
    pub missing_bytes: u64,
    /// The structure of the new file.
    pub map: FileMap,
    /// The structures of the old files.
    pub old: Vec<FileMap>,
    /// Structures of old contents that were determined on the way and should be
    /// stored.
    pub new_maps: Vec<(ContentId, u64, FileMap)>,
}

/// The action for a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// It is in place already.
    Keep,
    /// Its content is on this machine.
    Link(ContentLocation),
    /// Its content is fetched for another file of this plan.
    LinkToFetched,
    /// It is fetched, except for the bytes left by an earlier fetch.
    Resume {
        have_bytes: u64,
    },
    Fetch,
}

impl PlannedFile {
    /// Counts the bytes that an earlier run has left.
    pub fn resumed_bytes(&self) -> u64 {
        match self.action {
            Action::Resume { have_bytes } if self.delta.is_none() => have_bytes,
            _ => 0,
        }
    }

    /// Counts the bytes to download.
    pub fn missing_bytes(&self) -> u64 {
        if let Some(delta) = &self.delta {
            return delta.missing_bytes;
        }
        match self.action {
            Action::Fetch => self.file.size_bytes,
            Action::Resume { have_bytes } => self.file.size_bytes.saturating_sub(have_bytes),
            Action::Keep | Action::Link(_) | Action::LinkToFetched => 0,
        }
    }
}

impl Action {
    /// Reports whether bytes must be downloaded.
    pub fn is_fetch(&self) -> bool {
        matches!(self, Self::Fetch | Self::Resume { .. })
    }
}

impl SyncPlan {
    /// Reports whether every wanted file is in place already.
    pub fn changes_nothing(&self) -> bool {
        self.files.iter().all(|file| file.action == Action::Keep)
    }

    /// Builds a file from old ones instead of fetching all of it.
    pub fn use_delta(&mut self, content: &ContentId, delta: FileDelta) {
        let is_it = |file: &&mut PlannedFile| {
            file.action.is_fetch() && file.delta.is_none() && file.file.content == *content
        };
        let Some(file) = self.files.iter_mut().find(is_it) else {
            return;
        };
        let before = file.missing_bytes();
        let totals = &mut self.totals;
        totals.bytes_to_fetch = totals.bytes_to_fetch.saturating_sub(before);
        totals.bytes_to_fetch = totals.bytes_to_fetch.saturating_add(delta.missing_bytes);
        totals.bytes_copied = totals.bytes_copied.saturating_add(delta.copied_bytes);
        file.delta = Some(Arc::new(delta));
    }

    /// Returns the files to download, each content once.
    pub fn fetches(&self) -> impl Iterator<Item = &PlannedFile> {
        self.files.iter().filter(|file| file.action.is_fetch())
    }

    /// Returns the files that are used as they are in the destination. Each
    /// must be proven before it is published.
    pub fn in_destination(&self) -> impl Iterator<Item = &PlannedFile> {
        let is_there = |file: &&PlannedFile| {
            matches!(
                file.action,
                Action::Keep | Action::Link(ContentLocation::Here)
            )
        };
        self.files.iter().filter(is_there)
    }

    /// Fetches a content that was to be imported from elsewhere on this
    /// machine, because its bytes there are wrong or gone.
    pub fn fetch_instead(&mut self, content: &ContentId) {
        let is_import = |file: &&mut PlannedFile| {
            file.file.content == *content
                && matches!(file.action, Action::Link(ContentLocation::At(_)))
        };
        let mut files = self.files.iter_mut().filter(is_import);
        let Some(first) = files.next() else { return };
        let size_bytes = first.file.size_bytes;
        first.action = Action::Fetch;
        files.for_each(|other| other.action = Action::LinkToFetched);
        let totals = &mut self.totals;
        totals.files_reused -= 1;
        totals.files_to_fetch += 1;
        totals.bytes_reused = totals.bytes_reused.saturating_sub(size_bytes);
        totals.bytes_to_fetch = totals.bytes_to_fetch.saturating_add(size_bytes);
    }

    /// Returns the contents to import from elsewhere on this machine, each
    /// once.
    pub fn imports(&self) -> BTreeMap<ContentId, (u64, &PathBuf)> {
        let mut imports = BTreeMap::new();
        for PlannedFile { file, action, .. } in &self.files {
            if let Action::Link(ContentLocation::At(path)) = action {
                imports.insert(file.content, (file.size_bytes, path));
            }
        }
        imports
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::plan::fixture::{content, file, plan};
    use crate::domain::plan::{LocalContent, LocalFacts};

    #[test]
    fn a_bad_source_is_fetched_once_for_all_files_of_its_content() {
        let elsewhere = LocalContent {
            size_bytes: 10,
            place: ContentLocation::At("/other/blob".into()),
        };
        let local = LocalFacts {
            contents: [(content(1), elsewhere)].into(),
            ..LocalFacts::default()
        };
        let files = vec![file("a", 1, 10), file("b", 1, 10), file("c", 2, 7)];
        let mut changed = plan(files.clone(), &local);
        assert_eq!(changed.imports().len(), 1);
        changed.fetch_instead(&content(2));
        assert_eq!(changed, plan(files.clone(), &local), "it is fetched anyway");
        changed.fetch_instead(&content(1));
        assert_eq!(changed, plan(files, &LocalFacts::default()));
    }

    #[test]
    fn a_delta_moves_bytes_from_fetched_to_copied() {
        let mut plan = plan(
            vec![file("a", 1, 100), file("b", 2, 7)],
            &LocalFacts::default(),
        );
        let delta = FileDelta {
            copies: Vec::new(),
            sources: Vec::new(),
            copied_bytes: 90,
            missing_bytes: 10,
            map: FileMap {
                hash: crate::domain::xet::XetHash::ZERO,
                terms: Vec::new(),
                chunk_lengths: None,
            },
            old: Vec::new(),
            new_maps: Vec::new(),
        };
        plan.use_delta(&content(9), delta.clone());
        assert_eq!(plan.totals.bytes_to_fetch, 107);
        plan.use_delta(&content(1), delta);
        assert_eq!(plan.files[0].missing_bytes(), 10);
        let totals = plan.totals;
        assert_eq!((totals.bytes_to_fetch, totals.bytes_here()), (17, 90));
    }
}
