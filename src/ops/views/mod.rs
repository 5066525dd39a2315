//! Views of models: each shows the published revision where another program looks.
//!
//! - `refresh` brings the views of one model to its published commit. It runs after
//!   each session, also after one that found nothing new, and after a rollback. A view
//!   that fails does not change the outcome of the session: the failure is recorded,
//!   reported, and tried again with the next run.
//! - `settle` removes views that no model has any more.
//! - `notice` finds blobs that another program has written to through a link of a view,
//!   before a run asks the Hub, so that the run itself repairs them.
//! - `list` compares all views with the disk, for `views list`, `doctor` and `verify`.
//!
//! The caller holds the lock of the home, except for `list`. Deliberately absent: the
//! rules (`domain::view`) and the files (`crate::view`).

mod list;
mod notice;
mod published;
mod refresh;
mod settle;

pub use list::{ListedView, list};
pub use notice::notice_writes;
pub use refresh::{ViewContext, ViewFailure, refresh};
pub use settle::{Settled, settle, settle_and_refresh};
