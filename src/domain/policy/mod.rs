//! Update policies: which commit of a repository a model takes, and when.
//!
//! The rules of a model are its own fields, else those of its tags, else the built-in
//! ones (`rules`). Models that share a ref of the cache have one policy together, the
//! strictest of theirs. From the rules follow a pinned commit, the newest tag (`versions`),
//! or the newest commit that is old enough (`delay`). Everything here is a function of
//! plain values; the time is an argument.
//!
//! Decision: the ref of the model's own revision moves to the commit that the policy
//! allows, also for a followed tag and a pin. Readers that name no revision load it
//! offline. No ref with the tag's name is written: a ref keeps its commit on disk.
//!
//! Decision: the first download waits for nothing. There is no good copy to protect yet,
//! and a person has just chosen the repository.
//!
//! Deliberately absent: requests to the Hub (`ops::sync`), and the hold of an update for
//! a person (`hold`).

mod delay;
mod effective;
mod note;
mod rules;
mod versions;

pub use delay::{DelayVerdict, SeenCommits, UpdateWait, adopt_from, adopt_known, note_seen};
pub use effective::{EffectiveRules, SharedRules};
pub use note::{FollowedTag, PolicyNote, UnmetPolicy};
pub use rules::{
    HasRules, PinnedCommit, Policy, PolicyChoice, UpdateRules, delay_field, follow_tags_field,
    guards_field, policy_field,
};
pub use versions::{TagPattern, is_older_tag, newest_tags};
