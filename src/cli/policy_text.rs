//! Update policies in words: the rules in force, and updates that wait for a delay.

use jiff::tz::TimeZone;

use crate::cli::context::Context;
use crate::domain::model::{EntryName, Model};
use crate::domain::policy::{EffectiveRules, UpdateWait};
use crate::domain::units::Seconds;
use crate::ops::sync::{PolicyInput, siblings_of};
use crate::store::Store;
use crate::ui::text;

/// The rules in force for a model, and the models that share them.
pub struct RulesInForce {
    pub rules: EffectiveRules,
    pub shared_with: Vec<EntryName>,
    /// Whether the model or a sibling alone would have other rules.
    pub differ: bool,
}

impl RulesInForce {
    pub fn of(store: &Store, context: &Context, model: &Model) -> anyhow::Result<Self> {
        let input = PolicyInput::load(store, context.now())?;
        let mut siblings = siblings_of(store, model)?;
        siblings.retain(|it| it.spec.enabled);
        let rules = input.rules(model, &siblings);
        let all = std::iter::once(model).chain(&siblings);
        let mut alone = all.map(|it| EffectiveRules::of_model(&it.spec, &input.tags));
        Ok(Self {
            differ: alone.any(|it| it != rules),
            shared_with: siblings.into_iter().map(|it| it.spec.name).collect(),
            rules,
        })
    }

    /// Says that siblings with other rules share the strictest ones.
    pub fn note(&self, name: &EntryName) -> Option<String> {
        let others: Vec<String> = self
            .shared_with
            .iter()
            .map(|it| format!("`{it}`"))
            .collect();
        self.differ.then(|| {
            format!(
                "`{name}` shares its revision with {}; the strictest of their rules count for all: {}",
                others.join(", "),
                self.rules
            )
        })
    }
}

/// Says how long an update waits.
pub fn waits(wait: &UpdateWait, delay: Seconds, zone: &TimeZone) -> String {
    format!(
        "waits until {} (delay {delay})",
        text::day(wait.until, zone)
    )
}
