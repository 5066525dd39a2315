//! Decides which revisions stay on disk, and which one a rollback goes to.
//!
//! Pure, and on the side of keeping: the current revision, the rollback target, a
//! held or pinned commit, a commit that the Hub has no more, a commit that any ref
//! names and files of other programs are never in the plan of removals, whatever
//! the rules say. Only [`RetentionRules::with_only_copies`], which a person asks for,
//! lets a commit go that is gone upstream.

mod history;
mod item;
mod plan;

pub use history::{
    NoTarget, OnlyCopy, PublishedRevision, SHORTEST_PREFIX, UpstreamAnswer, latest_first,
    previous_of, pruning_date, rollback_target,
};
pub use item::{Item, ItemKind, Proposal, Removal, proposals, proposals_text};
pub use plan::{
    FolderFacts, ModelClaim, RetentionDecision, RetentionPlan, RetentionRules, RevisionVerdict,
    SnapshotFacts, StayReason, plan_retention, room_rules,
};
