//! Removes old revisions, history and logs.
//!
//! Before that the Hub is asked whether it still has the kept commits of a repository
//! that has changed or vanished. A commit that is gone upstream stays, and a run removes
//! only commits that the Hub has just confirmed.
//!
//! There are two ways in. `Prune` is the command: it reads everything, reports each
//! removal with its reason, and removes. `after_run` is called at the end of a run, only
//! for models that have just been given a new revision; it does not read the disk if
//! the database knows no surplus revision.
//!
//! Files are removed before their rows. A crash in between leaves rows of revisions that
//! are gone, which the next prune deletes, and never a revision without a row. The
//! decisions are in `domain::retention` and `domain::deletion`; files are removed
//! through `sys::removal`.

mod after_run;
mod folder;
mod history;
mod leftovers;
mod prune;
mod room;
mod upstream;

pub use after_run::{Summary, after_run, newly_published};
pub use history::{HistoryPruned, prune_logs};
pub use prune::{Prune, PruneLimits, PrunePlan, PruneReport};
pub use room::{
    CacheShortage, LackingRoom, cache_use, lacking_room, make_room, note_cache_size, room_hint,
};
pub use upstream::{UpstreamNews, only_copies};
