//! The views of models in the directories of other programs.

use super::check_result::CheckResult;
use crate::domain::view::ViewState;
use crate::ops::views::{ListedView, list};
use crate::store::Store;

/// Compares each view with the disk. Without views there is nothing to report.
pub(super) fn views(store: &Store) -> Vec<CheckResult> {
    match list(store) {
        Ok(views) => views.iter().map(judge).collect(),
        Err(err) => vec![CheckResult::of_error(
            "view",
            "views cannot be looked at",
            &err,
        )],
    }
}

fn judge(view: &ListedView) -> CheckResult {
    let what = format!("`{}`: {}", view.model, view.describe());
    let (why, next) = match view.state {
        ViewState::Ok => return CheckResult::ok("view", what),
        ViewState::Behind | ViewState::Missing => (
            "the program there finds another revision, or none",
            format!("`hfdl download {}` makes it again", view.model),
        ),
        ViewState::Changed => (
            "another program has written there; a hard link shares the bytes of the cache",
            format!(
                "`hfdl verify {}` reads the cache; move the changed file away, and the next run makes it again",
                view.model
            ),
        ),
        ViewState::Conflict => (
            "a file that is not of the view is never replaced",
            "move it away, or give the view another directory".to_owned(),
        ),
    };
    CheckResult::warn("view", what).why(why).next(next)
}
