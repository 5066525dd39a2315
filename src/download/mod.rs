//! Downloads files from byte sources into verified partial files.
//!
//! [`Engine`] takes jobs at any time and returns events; `fetch` does the same for a fixed
//! list. A bounded number of connections serves any number of files. Each job ends with exactly
//! one end event, and a failed file never stops the others. Files of a [`LimitGroup`] share limits
//! and stop together.
//!
//! A verified file stays at its partial path, and a large one is locked until its
//! [`VerifiedFile`] is dropped; the caller renames it. Final names, the database and the choice of sources are deliberately
//! absent.
//!
//! Two kinds of locks exist, always taken in this order: the scheduler's, then one large
//! file's. No lock is held while bytes are received. A source cannot be interrupted, so a
//! stopped run abandons a stuck connection together with the lock of its file.
//!
//! Decisions. Blocking threads and no async runtime: a few dozen connections need no
//! more, and the hash and the disk would block a runtime anyway. The journal lies beside
//! the partial file and not in the database: it is written several times a second, must
//! survive without the database, and goes with the file.
//!
//! | file | contents |
//! |---|---|
//! | `engine` | interface: jobs in, events out, end of stopped jobs |
//! | `engine_state`, `inbox` | state shared by all threads; their events |
//! | `scheduler`, `queue` | next task of a connection; files not started yet |
//! | `limits`, `budget`, `pace` | limit groups, transfer budgets, rate limits and stalls |
//! | `worker` | connection thread: from a source to the partial file |
//! | `large_file`, `segments` | a file fetched in segments and its segment map |
//! | `connection_scaler`, `failures` | connections of a large file, its retries |
//! | `small_file` | a file fetched in one request |
//! | `copies` | ranges copied from old files |
//! | `hash_thread`, `hash_buffers`, `verify` | hashing behind the received bytes |
//! | `flush_thread` | flushes to disk, then records that in the journal |
//! | `partial`, `journal` | state on disk that a later run resumes |
//! | `backlog` | verified files without a final name |
//! | `counters` | counters of one file |

mod backlog;
mod budget;
mod connection_scaler;
mod copies;
mod counters;
mod engine;
mod engine_state;
mod event;
mod failures;
mod flush_thread;
mod hash_buffers;
mod hash_thread;
mod inbox;
mod journal;
mod large_file;
mod limits;
mod pace;
mod partial;
mod queue;
mod scheduler;
mod segments;
mod small_file;
mod source;
mod verify;
mod worker;

pub use budget::TransferBudget;
pub use copies::Copies;
pub use engine::Engine;
#[cfg(any(test, debug_assertions))]
pub use engine::fetch;
pub use event::{EngineEvent, EngineOptions, FetchJob, FetchResult, FileError, FileId, FileReport};
pub use limits::LimitGroup;
pub use partial::{VerifiedFile, reusable_bytes, reusable_ranges};
pub use queue::SMALL_FILE_MAX;
pub use source::{ByteSource, ByteStream, SourceError};
pub use verify::{
    PartRead, PartialHash, WholeRead, has_content, hash_both_ways, prove_content, prove_part,
};
