//! Lets go of what is not kept any more: old revisions, history, logs.
//!
//! Two ways in. `Prune` is the command: it looks at everything, says what it
//! would remove and why, and removes it. `after_run` is what a run does at its
//! end: only for models that have just been given a new revision, and without
//! a look at the disk when their history says that nothing is too much.
//!
//! Files go first and the database forgets them afterwards: a crash in between
//! leaves rows of revisions that are gone, which the next look removes, and
//! never a revision that nobody remembers.

mod after_run;
mod folder;
mod history;
mod item;
mod leftovers;
mod prune;

pub use after_run::{Summary, after_run, newly_published};
pub use history::{HistoryPruned, prune_logs};
pub use item::{Item, ItemKind};
pub use prune::{Prune, PruneLimits, PrunePlan, PruneReport};
