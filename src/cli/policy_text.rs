//! Update policies in words: the rules in force, updates that wait for a delay, and the
//! rejection of a first commit.

use anyhow::Result;

use super::context::Context;
use crate::domain::model::{Model, ModelSummary};
use crate::domain::policy::{EffectiveRules, Policy, SharedRules, UpdateWait};
use crate::domain::repo::CommitSha;
use crate::ops::sync::PolicyInput;
use crate::store::Store;
use crate::ui::Clock;

/// Returns the rules in force for a model.
pub fn rules_in_force(store: &Store, context: &Context, model: &Model) -> Result<SharedRules> {
    let input = PolicyInput::load(store, context.now())?;
    let others = store.models_of_repo(&model.spec.repo)?;
    Ok(input.rules(model, &others))
}

/// Says how long an update waits.
pub fn waits(wait: &UpdateWait, rules: &EffectiveRules, clock: &Clock) -> String {
    let until = until(wait, rules, clock);
    format!("waits until {until} (delay {})", rules.delay)
}

/// Names the end of a delay, and the approval that an update waits for from then on.
pub fn until(wait: &UpdateWait, rules: &EffectiveRules, clock: &Clock) -> String {
    let then = match rules.policy {
        Policy::Approve => ", then for an approval",
        _ => "",
    };
    format!("{}{then}", clock.future(wait.until, &clock.zone))
}

/// Returns the state of a model in words; `rejected_first` is the rejected commit of a model
/// of which nothing was ever published.
pub fn state_text(state: ModelSummary, rejected_first: Option<&CommitSha>) -> String {
    match rejected_first {
        Some(_) if state == ModelSummary::Held => format!("{state}, first commit rejected"),
        _ => state.to_string(),
    }
}
