//! Decides which revisions stay on disk, and which one a rollback goes to.
//!
//! Pure, and on the side of keeping: what is current, what can be gone back
//! to, what a rollback holds, what any ref names and what hfdl did not put
//! there itself is never in the plan of removals, whatever the rules say.

mod history;
mod plan;

pub use history::{
    NoTarget, PublishedRevision, SHORTEST_PREFIX, latest_first, previous_of, pruning_date,
    rollback_target,
};
pub use plan::{
    FolderFacts, ModelClaim, RetentionDecision, RetentionPlan, RetentionRules, RevisionVerdict,
    SnapshotFacts, StayReason, plan_retention,
};
