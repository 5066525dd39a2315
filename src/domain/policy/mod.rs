//! Update policies: which commit of a repository a model takes, and when.
//!
//! The rules of a model are its own fields, else those of its tags, else the built-in
//! ones (`rules`). Models that share a ref of the cache have one policy together, the
//! strictest of theirs. From the rules follow a pinned commit, the newest tag (`versions`),
//! or the newest commit that is old enough (`delay`). Everything here is a function of
//! plain values; the time is an argument.
//!
//! Deliberately absent: requests to the Hub (`ops::sync`), and the hold of an update for
//! a person (`hold`).

mod delay;
mod effective;
mod rules;
mod versions;

pub use delay::{Adoption, SeenCommits, UpdateWait, adopt_from, adopt_known, note_seen};
pub use effective::EffectiveRules;
pub use rules::{
    Guards, HasRules, PinnedCommit, Policy, PolicyChoice, UpdateRules, delay_field,
    follow_tags_field, guards_field, policy_field,
};
pub use versions::{TagPattern, newest_tag};
