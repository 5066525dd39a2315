//! The official Hub cache on disk, and directories of real files.
//!
//! Files are written in the layout of `huggingface_hub`, `transformers` and
//! `hf cache`, and read in every form that these programs write. Invariants: a
//! name in `blobs/` means verified content; no file of hfdl lies at the cache root
//! or in a snapshot; the ref is written last; each file that may be deleted later
//! has a record of its home.
//!
//! Decision: the ref is written last, because readers follow it. A process that is killed
//! before that leaves the old revision whole, and the next run finds the new files.
//!
//! Callers pass verified files and a plan in, and get facts about the disk as
//! values of `domain` back. Deliberately absent: the network, the decision about a
//! deletion (`domain::deletion`), and the shared Xet store (`blobs/` at the cache
//! root), which is read through links and never written.

mod abilities;
pub mod disk;
mod facts;
mod forget;
mod home_text;
pub mod homes;
pub mod layout;
mod links;
pub mod local_dir;
pub mod local_publish;
mod local_records;
mod local_vanished;
mod mark;
pub mod publish;
mod refs;
pub mod scan;
pub mod sweep;
mod sweep_dir;
pub mod sweep_plan;
pub mod unpublished;
mod wire;

pub use abilities::LinkChoice;
pub use facts::{facts_of_cache, local_facts, stored_contents};
pub use forget::{Forgotten, Leaving, Rest, forget_revision};
pub use homes::{
    HomeFolder, is_kept_by_another_home, is_ref_of_hfdl, origin_of_snapshot, ownership_in_cache,
    ownership_in_directory, stamp_of,
};
pub use layout::{CacheLayout, RepoLayout, is_blob_of_a_cache};
pub use links::{blob_metadata, entry_metadata, names_of, whole_entry};
pub use local_dir::{LocalDir, Prove};
pub use local_publish::{Placed, Vanished};
pub use mark::{ensure_mark, read_mark};
pub use publish::{CacheWriter, Published};
pub use refs::{moved_ref, published_commit};
pub use scan::{
    BlobKind, LocalEntry, LocalRepo, LocalSnapshot, cached_repos, listed_snapshots, scan_repo,
    snapshot_is_complete, stored_listing,
};
pub use sweep::{borrowed_contents, contents_used_elsewhere, execute_sweep};
pub use sweep_dir::{DirLeftover, LeftoverKind};
pub use sweep_plan::{Evidence, SweepPlan, SweepRules, SweepTarget, plan_sweep};
pub use unpublished::{SnapshotChanges, UnpublishedFile, UnpublishedSnapshot};
