//! What one synchronisation has to do: pure, from a listing and local facts.
//!
//! The plan is the whole truth about a sync. A dry run prints it, a real run
//! carries it out, and its totals are exact because both read the same value.

mod decide;
mod facts;
#[cfg(test)]
mod fixture;
#[cfg(test)]
mod properties;
mod sync_plan;
mod totals;

pub use decide::{PlanError, plan_sync};
pub use facts::{Found, InPlace, LocalFacts, Place};
pub use sync_plan::{Action, DeltaSource, FileDelta, PlannedFile, SyncPlan};
pub use totals::Totals;
