//! The plan of one synchronisation: which files to keep, link, resume, fetch
//! and delete.
//!
//! `plan_sync` computes it from a remote listing, a filter and local facts,
//! without touching the disk or the network. A dry run prints the plan and a
//! real run carries it out, so both have the same totals. Callers may later
//! refine a plan in two ways: `use_delta` replaces a fetch by a delta, and
//! `fetch_instead` replaces a bad local source by a fetch.
//!
//! Deliberately absent: retention (see `retention`), and the proof that a kept
//! file still has its hash (see `proof`).

mod decide;
mod facts;
#[cfg(test)]
mod fixture;
#[cfg(test)]
mod properties;
mod sync_plan;
mod totals;

pub use decide::{PlanError, plan_sync};
pub use facts::{ContentLocation, InPlace, LocalContent, LocalFacts};
pub use sync_plan::{Action, FileDelta, PlannedFile, SyncPlan};
pub use totals::Totals;
