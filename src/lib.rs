//! Keeps Hugging Face repositories on disk, verified and current, with nothing
//! resident: a timer of the operating system starts `hfdl`, it does what there
//! is to do and exits.
//!
//! # Map of the code
//!
//! | layer | module | purpose | may import |
//! |---|---|---|---|
//! | 0 | [`domain`] | values and decisions: repositories, schedules, plans, outcomes; pure | nothing of ours |
//! | 1 | [`sys`] | the operating system: clock, environment, files, locks, HTTP, logs | `domain` |
//! | 1 | [`json`] | the JSON shapes that other programs read | `domain` |
//! | 2 | [`store`] | one SQLite file: models, schedules, runs, sessions, settings | `domain`, `sys` |
//! | 2 | [`hub`] | the client of the Hub: API, redirects, token, rate limits | `domain`, `sys` |
//! | 2 | [`download`] | the engine: sources in, verified partial files out | `domain`, `sys` |
//! | 2 | [`xet`] | Xet storage: what files are made of, and how to fetch only what changed | `domain`, `sys` |
//! | 2 | [`cache`] | the official cache and plain directories: look, publish, sweep | `domain`, `sys` |
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
//! # The way of a download
//!
//! ```text
//! argv → command → Settings → Store (migrated) → lock → close crashed runs
//! → per target: revision → listing → what is on disk → SyncPlan
//! → files that no proof holds for are hashed
//! → preflight → contents of this machine are taken in, hashed
//! → one pool fetches and verifies all files
//! → per target: blobs, links, ref (last) → session closed
//! → report on stdout → exit code
//! ```
//!
//! Four ideas hold everywhere. *Decide, then do*: a plan is a plain value, and a
//! dry run prints it. *One door*: only `sys` asks the system anything.
//! *Crash-only*: any step may be the last, and the next start goes on from what
//! the disk says. *One writer*: threads fetch and hash, the coordinating thread
//! alone touches the database and final names.

// Exports of a room that only tests use count as unused without them.
#![cfg_attr(not(feature = "for-tests"), allow(unused_imports))]

// The modules are private, so that the compiler reports dead code. The feature
// `for-tests`, a door for `tests/it` only, makes them public.
#[cfg(not(feature = "for-tests"))]
mod cache;
#[cfg(not(feature = "for-tests"))]
mod domain;
#[cfg(not(feature = "for-tests"))]
mod download;
#[cfg(not(feature = "for-tests"))]
mod hub;
#[cfg(not(feature = "for-tests"))]
mod json;
#[cfg(not(feature = "for-tests"))]
mod notify;
#[cfg(not(feature = "for-tests"))]
mod ops;
#[cfg(not(feature = "for-tests"))]
mod store;
#[cfg(not(feature = "for-tests"))]
mod sys;
#[cfg(not(feature = "for-tests"))]
mod timer;
#[cfg(not(feature = "for-tests"))]
mod ui;
#[cfg(not(feature = "for-tests"))]
mod xet;

#[cfg(feature = "for-tests")]
pub mod cache;
#[cfg(feature = "for-tests")]
pub mod domain;
#[cfg(feature = "for-tests")]
pub mod download;
#[cfg(feature = "for-tests")]
pub mod hub;
#[cfg(feature = "for-tests")]
pub mod json;
#[cfg(feature = "for-tests")]
pub mod notify;
#[cfg(feature = "for-tests")]
pub mod ops;
#[cfg(feature = "for-tests")]
pub mod store;
#[cfg(feature = "for-tests")]
pub mod sys;
#[cfg(feature = "for-tests")]
pub mod timer;
#[cfg(feature = "for-tests")]
pub mod ui;
#[cfg(feature = "for-tests")]
pub mod xet;

mod cli;

pub use cli::run;
#[doc(hidden)]
pub use sys::windowless::run as run_without_console;
