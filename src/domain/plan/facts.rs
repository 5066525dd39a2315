//! What is known of the disk before a plan is made.

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;

use crate::domain::content::ContentId;
use crate::domain::repo::RepoPath;
use crate::domain::snapshot::RemoteFile;

/// What the disk holds that a sync can use.
///
/// Whoever fills it in reports what is there; whether that is good enough is
/// decided by the plan.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LocalFacts {
    /// The files that stand under their final names at the wanted commit.
    pub in_place: HashMap<RepoPath, InPlace>,
    /// Whole contents under the names of their hashes, or known otherwise.
    pub contents: HashMap<ContentId, Found>,
    /// Bytes that an earlier, interrupted fetch left and that need no second fetch.
    pub partials: HashMap<ContentId, u64>,
    /// The paths of the snapshot that is published now.
    pub previous: BTreeSet<RepoPath>,
}

/// A file under its final name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InPlace {
    pub size_bytes: u64,
    /// Which content it is; `None` when only the commit vouches for it, as
    /// with a real file in a snapshot folder.
    pub content: Option<ContentId>,
}

impl LocalFacts {
    /// Forgets a file and its content, because its bytes were found to be
    /// wrong or are to be fetched again; the next plan fetches it.
    pub fn distrust(&mut self, file: &RemoteFile) {
        self.contents.remove(&file.content);
        self.in_place.retain(|path, there| {
            *path != file.path && there.content.is_none_or(|content| content != file.content)
        });
    }
}

impl InPlace {
    /// Tells whether this is the listed file, as far as its size and name tell.
    pub fn is_the_file(&self, file: &RemoteFile) -> bool {
        self.size_bytes == file.size_bytes
            && self.content.is_none_or(|content| content == file.content)
    }
}

/// A whole content on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    pub size_bytes: u64,
    pub place: Place,
}

/// Where a content lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the destination's own store, under its own name.
    Here,
    /// In another file, from which it must be linked or copied first.
    At(PathBuf),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::plan::Action;
    use crate::domain::plan::fixture::{carried_out, file, plan};

    #[test]
    fn what_is_distrusted_is_fetched_again_with_its_twins_and_nothing_else() {
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
