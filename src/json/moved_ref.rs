//! A ref away from the published commit, for `hfdl.status/1` and `hfdl.hook/1`.

use serde::Serialize;

use crate::domain::moved_ref::MovedRef;
use crate::domain::repo::CommitSha;

#[derive(Serialize)]
pub struct MovedRefView {
    #[serde(rename = "ref")]
    path: String,
    /// Null if the ref is gone or its text is no commit.
    commit: Option<String>,
    snapshot: &'static str,
    published_commit: String,
}

impl From<&MovedRef> for MovedRefView {
    fn from(moved: &MovedRef) -> Self {
        Self {
            path: moved.path(),
            commit: moved.target.commit().map(CommitSha::to_string),
            snapshot: moved.snapshot.as_str(),
            published_commit: moved.published.to_string(),
        }
    }
}
