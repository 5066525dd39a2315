//! A view as the database knows it, and its state in one word.

use std::collections::{BTreeMap, BTreeSet};

use super::plan::{FileState, FoundFile, ViewFile, file_state, of_other};
use super::spec::ViewSpec;
use crate::domain::model::{EntryName, ModelId};
use crate::domain::outcome::words;
use crate::domain::repo::{CommitSha, RepoPath};
use crate::domain::time::Timestamp;

words! {
    /// The state of a view, the worst last.
    ViewState {
        Ok = "ok",
        /// It shows another revision than the published one.
        Behind = "behind",
        /// Files are gone, or it was never made.
        Missing = "missing",
        /// Another program has written to a file of the view.
        Changed = "changed",
        /// A path that it needs has a file of another program.
        Conflict = "conflict",
    }
}

/// A view as the database knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MadeView {
    pub id: i64,
    /// `None` after the model was removed.
    pub model: Option<ModelId>,
    pub name: EntryName,
    pub spec: ViewSpec,
    /// The revision that it shows; `None` until it was made once.
    pub commit: Option<CommitSha>,
    pub made_at: Option<Timestamp>,
    /// The reason why the last attempt failed.
    pub failure: Option<String>,
    pub is_conflict: bool,
    pub files: Vec<ViewFile>,
}

/// Returns the state of a view, with the paths that are not as they were made. `others`
/// are the records of other views with the same root: a file that one of them has
/// brought to a newer revision is of this view, too.
pub fn view_state(
    view: &MadeView,
    published: Option<&CommitSha>,
    found: &BTreeMap<RepoPath, FoundFile>,
    others: &[ViewFile],
) -> (ViewState, Vec<RepoPath>) {
    let mut state = match view.commit.as_ref() {
        None => ViewState::Missing,
        commit if commit != published => ViewState::Behind,
        Some(_) => ViewState::Ok,
    };
    let mut differing = BTreeSet::new();
    let mut files: BTreeMap<&RepoPath, Vec<FileState>> = BTreeMap::new();
    for record in &view.files {
        if let Some(found) = found.get(&record.path) {
            let states = files.entry(&record.path).or_default();
            states.push(file_state(record, found));
        }
    }
    for (path, states) in files {
        let is_of_other = found
            .get(path)
            .is_some_and(|found| of_other(others, path, found).is_some());
        let worst = if states.contains(&FileState::AsMade) {
            continue;
        } else if is_of_other {
            state = state.max(ViewState::Behind);
            continue;
        } else if states.contains(&FileState::Missing) {
            ViewState::Missing
        } else {
            ViewState::Changed
        };
        differing.insert(path.clone());
        state = state.max(worst);
    }
    if view.is_conflict {
        state = state.max(ViewState::Conflict);
    }
    (state, differing.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::super::ViewKind;
    use super::super::plan::tests::{plain, record};
    use super::super::plan::{FoundKind, ViewMethod};
    use super::*;

    #[test]
    fn the_state_is_the_worst_of_all_files() {
        let commit = |c: char| -> CommitSha { c.to_string().repeat(40).parse().unwrap() };
        let (old, new) = (commit('a'), commit('b'));
        let view = MadeView {
            id: 1,
            model: Some(ModelId(1)),
            name: "m".parse().unwrap(),
            spec: ViewSpec {
                kind: ViewKind::Dir,
                root: "/v".into(),
            },
            commit: Some(new.clone()),
            made_at: None,
            failure: None,
            is_conflict: false,
            files: vec![
                record("a", ViewMethod::Copy, 1),
                record("b", ViewMethod::Copy, 1),
            ],
        };
        let absent = FoundFile {
            kind: FoundKind::Absent,
            source: None,
        };
        let judge = |view: &MadeView, a: &FoundFile, b: &FoundFile| {
            let found = [("a", a), ("b", b)];
            let found = found.map(|(path, it)| (path.parse().unwrap(), it.clone()));
            view_state(view, Some(&new), &found.into(), &[]).0
        };
        let good = plain(1001, false);
        assert_eq!(judge(&view, &good, &good), ViewState::Ok);
        assert_eq!(judge(&view, &good, &absent), ViewState::Missing);
        assert_eq!(judge(&view, &plain(3, false), &absent), ViewState::Changed);
        let behind = MadeView {
            commit: Some(old),
            ..view.clone()
        };
        assert_eq!(judge(&behind, &good, &good), ViewState::Behind);
        let blocked = MadeView {
            is_conflict: true,
            ..view.clone()
        };
        assert_eq!(judge(&blocked, &good, &good), ViewState::Conflict);
        let never = MadeView {
            commit: None,
            files: Vec::new(),
            ..view
        };
        assert_eq!(judge(&never, &good, &good), ViewState::Missing);
    }
}
