//! The state of the disk before planning.

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;

use crate::domain::content::ContentId;
use crate::domain::repo::RepoPath;
use crate::domain::snapshot::RemoteFile;

/// Files and contents on disk that a sync can use.
///
/// The caller reports the state as found; the plan decides whether it is good
/// enough.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LocalFacts {
    /// Files under their final names at the wanted commit.
    pub in_place: HashMap<RepoPath, InPlace>,
    /// Whole contents, identified by their file name or by a record.
    pub contents: HashMap<ContentId, LocalContent>,
    /// Bytes left by an interrupted fetch that need not be fetched again.
    pub partials: HashMap<ContentId, u64>,
    /// The paths of the published snapshot.
    pub previous: BTreeSet<RepoPath>,
}

/// A file under its final name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InPlace {
    pub size_bytes: u64,
    /// The content, or `None` when only the commit identifies it, as with a
    /// regular file in a snapshot folder.
    pub content: Option<ContentId>,
}

impl LocalFacts {
    /// Removes a file and its content, because its bytes are wrong or are to be
    /// fetched again. The next plan fetches it.
    pub fn distrust(&mut self, file: &RemoteFile) {
        self.contents.remove(&file.content);
        self.in_place.retain(|path, there| {
            *path != file.path && there.content.is_none_or(|content| content != file.content)
        });
    }
}

impl InPlace {
    /// Reports whether size and name match the listed file.
    pub fn is_the_file(&self, file: &RemoteFile) -> bool {
        self.size_bytes == file.size_bytes
            && self.content.is_none_or(|content| content == file.content)
    }
}

/// A complete content on this machine, with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalContent {
    pub size_bytes: u64,
    pub place: ContentLocation,
}

/// The location of a content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ContentLocation {
    /// In the destination's own blob store.
    Here,
    /// In another file, from which it must be linked or copied.
    At(PathBuf),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::plan::Action;
    use crate::domain::plan::fixture::{carried_out, file, plan};

    #[test]
    fn a_distrusted_file_is_fetched_again_with_all_files_of_its_content() {
        let files = vec![file("a", 1, 10), file("twin", 1, 10), file("b", 2, 20)];
        let local = carried_out(
            &plan(files.clone(), &LocalFacts::default()),
            LocalFacts::default(),
        );
        let mut doubted = local.clone();
        doubted.distrust(&files[0]);
        let plan = plan(files, &doubted);
        let actions: Vec<_> = plan.files.iter().map(|file| file.action.clone()).collect();
        assert_eq!(
            actions,
            [Action::Fetch, Action::Keep, Action::LinkToFetched]
        );
    }
}
