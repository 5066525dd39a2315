//! Brings one or many repositories on disk up to date.
//!
//! A [`SyncRequest`] enters by `Syncer::add`; events and, last, a [`SyncResult`]
//! leave by `Syncer::step`. Between them each target passes through the states
//! of `syncer`: `checking` asks the Hub and plans, `proving` reads files that are
//! used unchanged and have no proof, `preflight` refuses plans that cannot
//! succeed, `importing` adopts contents from elsewhere on this machine,
//! `fetching` downloads the files of all targets through one engine,
//! `gating` lets a program of the user check a new commit, and `publishing` makes a target
//! visible after its last file is proven.
//!
//! Invariants: an error of a target becomes its result and stops no other; only
//! the coordinating thread gives final names and writes proofs; a name and a
//! size prove nothing, so each file is hashed once and its proof is valid while
//! size, change time and inode stay the same; the ref of the cache moves when the
//! commit is whole for the target and for its siblings. Deliberately absent: sessions and
//! schedules, which belong to the callers.

mod access;
mod cache_room;
mod check;
mod checking;
mod delta;
mod delta_sources;
mod destination;
mod destination_writer;
mod either_source;
mod fetching;
mod file_fetch;
mod gating;
mod guarding;
mod holds;
mod importing;
mod local_files;
mod local_reads;
mod official_lock;
mod preflight;
mod proofs;
mod proving;
mod publishing;
mod readers;
mod reading;
mod result;
mod short;
mod source;
mod syncer;
mod target;
mod target_sync;
mod upstream;

pub use crate::cache::Vanished;
pub use cache_room::CacheFull;
pub use check::{Checked, MissingFile, Planned, check_all};
pub use delta::Asker;
pub use destination::TargetDestination;
pub use gating::GateProgram;
pub use local_files::BadFiles;
pub use local_reads::LocalReads;
pub use preflight::{NoFiles, NoSpace, TooLarge};
pub use proofs::Proofs;
pub use result::{SyncEvent, SyncResult};
pub use syncer::Syncer;
pub use target::{CacheChoice, PolicyInput, Sibling, SyncRequest, Target, TargetId, siblings_of};
