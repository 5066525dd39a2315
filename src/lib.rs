//! Keeps Hugging Face repositories on disk, verified and current, with nothing
//! resident: a timer of the operating system starts `hfdl`, which does the due work
//! and exits.
//!
//! # Map of the code
//!
//! | layer | module | purpose | may import |
//! |---|---|---|---|
//! | 0 | [`domain`] | values and decisions: repositories, schedules, plans, outcomes; pure | nothing of ours |
//! | 1 | [`sys`] | the operating system: clock, environment, files, locks, HTTP, logs | `domain` |
//! | 1 | [`manual`] | the topics of the manual, for terminals and manual pages | nothing of ours |
//! | 1 | [`json`] | the JSON shapes that other programs read | `domain` |
//! | 2 | [`store`] | one SQLite file: models, schedules, runs, sessions, settings | `domain`, `sys` |
//! | 2 | [`hub`] | the client of the Hub: API, redirects, token, rate limits | `domain`, `sys` |
//! | 2 | [`download`] | the engine: sources in, verified partial files out | `domain`, `sys` |
//! | 2 | [`xet`] | Xet storage: the chunks of files, and the fetch of changed ranges only | `domain`, `sys` |
//! | 2 | [`cache`] | the official cache and plain directories: read, publish, prune | `domain`, `sys` |
//! | 2 | [`view`] | views of models for other programs: make, compare, remove | `domain`, `sys` |
//! | 2 | [`timer`] | the operating system's timer entry: render, install, remove | `domain`, `sys` |
//! | 2 | [`notify`] | hooks, pings, metrics | `domain`, `sys`, `json` |
//! | 3 | [`ops`] | use cases; the only place where the above meet | layers 0 to 2 |
//! | 4 | [`ui`] | tables, YAML, progress; the only place that prints | `domain`, `sys`, `json` |
//! | 4 | `cli` | one file per command; errors become words and exit codes | all |
//!
//! Modules of layer 2 never import each other. A test reads the sources and
//! fails when one imports against this direction or uses a package outside
//! its border.
//!
//! # One model of a due slot
//!
//! 1. `cli::run_due` takes the lock of the home and calls [`ops::run_due::run_due`].
//! 2. The due finder reads schedules from the [`store`]; [`domain::schedule`] decides which
//!    slots are due; the active slots claim them in the database.
//! 3. [`ops::run::ActiveRun`] opens a session for the model and gives its `Target` to the
//!    syncer, as a `SyncRequest` with the schedule's limits.
//! 4. [`ops::sync`] takes the target from state to state: it asks the [`hub`] for revision
//!    and listing, reads the disk, plans (`SyncPlan`), proves, imports, fetches, publishes.
//! 5. The `SyncResult` moves out of the syncer. `ActiveRun::close` records session, model,
//!    events and proofs in one transaction; the active slots serve the slot.
//! 6. With all slots served, [`ops::scrub`] reads a part of the published files again.
//! 7. `ops::finish` records the news, writes `status.json`, releases the lock, and lets the
//!    terminal, hooks, metrics file and ping report the run.
//!
//! # One byte of a large file
//!
//! 1. The plan has no better source, so the syncer adds a job to the [`download`] engine
//!    and locks the partial file.
//! 2. The scheduler gives a connection the next segment; its thread asks the `ByteSource`
//!    (the Hub's CDN, or Xet chunks) for the range, within the limits of run and schedule.
//! 3. The worker writes the byte into the partial file and leaves a copy in the hash buffer.
//! 4. The flush thread forces it to disk, then the journal beside the partial file says so:
//!    after a crash the next run resumes behind it.
//! 5. The hash thread hashes it in order. With the last byte the hash is compared; only a
//!    verified file leaves the engine.
//! 6. The syncer renames it to its blob, and with the target's last file [`cache`] makes the
//!    links and, last, moves the ref: readers see the whole revision at once.
//!
//! Four ideas hold everywhere. *Decide, then do*: a plan is a plain value, and a
//! dry run prints it. *One door*: only `sys` asks the system anything.
//! *Crash-only*: any step may be the last, and the next start continues from the
//! state on disk. *One writer*: threads fetch and hash, the coordinating thread
//! alone touches the database and final names.

// Exports of a room that only tests use count as unused without them.
#![cfg_attr(not(debug_assertions), allow(unused_imports))]

// The modules are private, so that the compiler reports dead code. With debug assertions they are
// public, for `tests/it`: a feature would need a package that depends on itself.
#[cfg(not(debug_assertions))]
mod cache;
#[cfg(not(debug_assertions))]
mod domain;
#[cfg(not(debug_assertions))]
mod download;
#[cfg(not(debug_assertions))]
mod hub;
#[cfg(not(debug_assertions))]
mod json;
#[cfg(not(debug_assertions))]
mod manual;
#[cfg(not(debug_assertions))]
mod notify;
#[cfg(not(debug_assertions))]
mod ops;
#[cfg(not(debug_assertions))]
mod store;
#[cfg(not(debug_assertions))]
mod sys;
#[cfg(not(debug_assertions))]
mod timer;
#[cfg(not(debug_assertions))]
mod ui;
#[cfg(not(debug_assertions))]
mod view;
#[cfg(not(debug_assertions))]
mod xet;

#[cfg(debug_assertions)]
pub mod cache;
#[cfg(debug_assertions)]
pub mod domain;
#[cfg(debug_assertions)]
pub mod download;
#[cfg(debug_assertions)]
pub mod hub;
#[cfg(debug_assertions)]
pub mod json;
#[cfg(debug_assertions)]
pub mod manual;
#[cfg(debug_assertions)]
pub mod notify;
#[cfg(debug_assertions)]
pub mod ops;
#[cfg(debug_assertions)]
pub mod store;
#[cfg(debug_assertions)]
pub mod sys;
#[cfg(debug_assertions)]
pub mod timer;
#[cfg(debug_assertions)]
pub mod ui;
#[cfg(debug_assertions)]
pub mod view;
#[cfg(debug_assertions)]
pub mod xet;

mod cli;

pub use cli::run;
#[doc(hidden)]
pub use sys::windowless::run as run_without_console;
