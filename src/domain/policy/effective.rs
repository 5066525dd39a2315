//! The rules in force for a model: its own, its tags', its siblings'.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::{PinnedCommit, Policy, TagPattern, UpdateRules};
use crate::domain::guard::Guards;
use crate::domain::model::{EntryName, ModelSpec, Tag};
use crate::domain::repo::Revision;
use crate::domain::units::Seconds;

/// The rules in force for a model, or for models that share a ref.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EffectiveRules {
    pub policy: Policy,
    /// The commit that a pin names.
    pub pinned: Option<PinnedCommit>,
    pub delay: Seconds,
    /// A tag must match all of them; an empty set follows the revision.
    pub follow_tags: BTreeSet<TagPattern>,
    /// Guards that a model or a tag names.
    pub guards: Guards,
    /// The guards of the setting are on, too.
    pub has_default_guards: bool,
}

impl Default for EffectiveRules {
    fn default() -> Self {
        Self {
            policy: Policy::Follow,
            pinned: None,
            delay: Seconds(0),
            follow_tags: BTreeSet::new(),
            guards: Guards::default(),
            has_default_guards: true,
        }
    }
}

impl EffectiveRules {
    /// Returns the rules of a model: each field is its own, else the strictest of its
    /// tags', else the built-in one.
    ///
    /// The tags' `follow_tags` is for models at the default revision: another revision is
    /// a choice of its own.
    pub fn of_model(spec: &ModelSpec, defaults: &BTreeMap<Tag, UpdateRules>) -> Self {
        let own = &spec.update;
        let tags = || spec.tags.iter().filter_map(|tag| defaults.get(tag));
        let choice = own.policy.as_ref();
        let policy = match choice {
            Some(choice) => choice.policy,
            None => {
                let policies = tags().filter_map(|tag| tag.policy.as_ref());
                let policies = policies.map(|choice| choice.policy);
                policies.max().unwrap_or(Policy::Follow)
            }
        };
        let delays = tags().filter_map(|tag| tag.delay).max();
        let is_default_revision = spec.revision == Revision::main();
        let patterns = tags().filter_map(|tag| tag.follow_tags.clone());
        let guards = match &own.guards {
            Some(guards) => Some(guards.clone()),
            None => {
                let guards = tags().filter_map(|tag| tag.guards.clone());
                guards.reduce(|one, other| Guards(&one.0 | &other.0))
            }
        };
        Self {
            policy,
            pinned: choice.and_then(|choice| choice.commit.clone()),
            delay: own.delay.or(delays).unwrap_or(Seconds(0)),
            follow_tags: match &own.follow_tags {
                Some(own) => [own.clone()].into(),
                None if is_default_revision => patterns.collect(),
                None => BTreeSet::new(),
            },
            has_default_guards: guards.is_none(),
            guards: guards.unwrap_or_default(),
        }
    }

    /// Returns the strictest of two rules, for models that share a ref. Of two pinned
    /// commits it is the same one whatever the order.
    #[must_use]
    pub fn strictest(self, other: Self) -> Self {
        Self {
            policy: self.policy.max(other.policy),
            pinned: self.pinned.max(other.pinned),
            delay: self.delay.max(other.delay),
            follow_tags: &self.follow_tags | &other.follow_tags,
            guards: Guards(&self.guards.0 | &other.guards.0),
            has_default_guards: self.has_default_guards || other.has_default_guards,
        }
    }
}

/// The strictest rules of a model and of its siblings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedRules {
    pub rules: EffectiveRules,
    /// The siblings.
    pub with: Vec<EntryName>,
    /// One of the models alone would have other rules.
    pub differ: bool,
}

impl SharedRules {
    /// Finds the siblings of a model among others; disabled ones do not count.
    pub fn of<'a>(
        spec: &ModelSpec,
        others: impl IntoIterator<Item = &'a ModelSpec>,
        defaults: &BTreeMap<Tag, UpdateRules>,
    ) -> Self {
        let is_sibling =
            |other: &&ModelSpec| other.enabled && other.name != spec.name && other.shares_ref(spec);
        let siblings: Vec<&ModelSpec> = others.into_iter().filter(is_sibling).collect();
        let all = std::iter::once(spec).chain(siblings.iter().copied());
        let alone: Vec<EffectiveRules> = all
            .map(|it| EffectiveRules::of_model(it, defaults))
            .collect();
        let rules = alone.iter().cloned().reduce(EffectiveRules::strictest);
        let rules = rules.unwrap_or_default();
        Self {
            differ: alone.iter().any(|it| *it != rules),
            with: siblings.iter().map(|it| it.name.clone()).collect(),
            rules,
        }
    }

    /// Says that siblings with other rules share the strictest ones.
    pub fn note(&self, name: &EntryName) -> Option<String> {
        let others: Vec<String> = self.with.iter().map(|it| format!("`{it}`")).collect();
        self.differ.then(|| {
            format!(
                "`{name}` shares its revision with {}; the strictest of their rules count for all: {}",
                others.join(", "),
                self.rules
            )
        })
    }
}

impl fmt::Display for EffectiveRules {
    /// Writes the rules in a line, without those that hold nothing back.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut words = vec![match &self.pinned {
            Some(commit) if self.policy == Policy::Pin => {
                format!("{} at {}", self.policy, commit.as_str())
            }
            _ => self.policy.to_string(),
        }];
        if self.delay.get() > 0 {
            words.push(format!("delay {}", self.delay));
        }
        words.extend(self.follow_tags.iter().map(|it| format!("tags {it}")));
        f.pad(&words.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::hold::HoldReason;
    use crate::domain::repo::{Repo, RepoType};
    use proptest::option;
    use proptest::prelude::*;
    use proptest::sample::{select, subsequence};

    fn rules(with_commit: bool) -> impl Strategy<Value = UpdateRules> {
        let mut policies = vec!["follow", "approve", "pin"];
        if with_commit {
            policies.extend(["pin@aaaaaaa", "pin@bbbbbbb"]);
        }
        let guards = subsequence(HoldReason::ALL.to_vec(), 0..=HoldReason::ALL.len());
        (
            option::of(select(policies)),
            option::of(0u64..9),
            option::of(select(vec!["v*", "w?"])),
            option::of(guards),
        )
            .prop_map(|(policy, delay, pattern, guards)| UpdateRules {
                policy: policy.map(|text| text.parse().unwrap()),
                delay: delay.map(Seconds),
                follow_tags: pattern.map(|text| text.parse().unwrap()),
                guards: guards.map(|guards| Guards(guards.into_iter().collect())),
            })
    }

    fn model(update: UpdateRules) -> ModelSpec {
        let repo = Repo::new(RepoType::Model, "a/b".parse().unwrap());
        let mut spec = ModelSpec::new("m".parse().unwrap(), repo);
        spec.tags = ["one", "two"].map(|tag| tag.parse().unwrap()).into();
        spec.update = update;
        spec
    }

    fn effective(own: &UpdateRules, tags: &[UpdateRules]) -> EffectiveRules {
        let names = ["one", "two", "three"].map(|tag| tag.parse().unwrap());
        EffectiveRules::of_model(
            &model(own.clone()),
            &names.into_iter().zip(tags.iter().cloned()).collect(),
        )
    }

    #[test]
    fn the_tags_follow_tags_are_for_the_default_revision() {
        let pattern = UpdateRules {
            follow_tags: "v*".parse().ok(),
            ..UpdateRules::default()
        };
        let defaults = [("one".parse().unwrap(), pattern.clone())].into();
        let mut spec = model(UpdateRules::default());
        let followed =
            |spec: &ModelSpec| EffectiveRules::of_model(spec, &defaults).follow_tags.len();
        assert_eq!(followed(&spec), 1);
        spec.revision = "dev".parse().unwrap();
        assert_eq!(followed(&spec), 0);
        spec.update = pattern;
        assert_eq!(followed(&spec), 1, "its own");
    }

    proptest! {
        #[test]
        fn an_own_field_wins_and_tags_give_the_rest(own in rules(true), one in rules(false), two in rules(false)) {
            let found = effective(&own, &[one.clone(), two.clone()]);
            let alone = effective(&own, &[]);
            let tags = effective(&UpdateRules::default(), &[one.clone(), two.clone()]);
            prop_assert_eq!(found.policy, if own.policy.is_some() { alone.policy } else { tags.policy });
            prop_assert_eq!(found.delay, if own.delay.is_some() { alone.delay } else { tags.delay });
            prop_assert_eq!(&found.follow_tags, if own.follow_tags.is_some() { &alone.follow_tags } else { &tags.follow_tags });
            prop_assert_eq!(&found.guards, if own.guards.is_some() { &alone.guards } else { &tags.guards });
            prop_assert_eq!(&tags, &effective(&UpdateRules::default(), &[two, one.clone()]), "in any order");
            let third = effective(&own, &[UpdateRules::default(), UpdateRules::default(), one]);
            prop_assert_eq!(third, alone, "a tag that the model does not have");
        }

        #[test]
        fn several_tags_are_as_strict_as_the_strictest(one in rules(false), two in rules(false)) {
            let both = effective(&UpdateRules::default(), &[one.clone(), two.clone()]);
            for each in [one, two] {
                prop_assert!(each.policy.is_none_or(|choice| choice.policy <= both.policy));
                prop_assert!(each.delay.is_none_or(|delay| delay <= both.delay));
                prop_assert!(each.follow_tags.is_none_or(|pattern| both.follow_tags.contains(&pattern)));
                prop_assert!(each.guards.is_none_or(|guards| guards.0.is_subset(&both.guards.0)));
            }
        }

        #[test]
        fn siblings_agree_on_the_strictest(one in rules(true), two in rules(true), three in rules(true)) {
            let [one, two, three] = [one, two, three].map(|rules| effective(&rules, &[]));
            let both = one.clone().strictest(two.clone());
            prop_assert_eq!(&both, &two.clone().strictest(one.clone()));
            prop_assert_eq!(&one.clone().strictest(one.clone()), &one);
            prop_assert_eq!(both.clone().strictest(three.clone()), one.clone().strictest(two.strictest(three)));
            prop_assert!(both.policy >= one.policy && both.delay >= one.delay);
            prop_assert!(both.follow_tags.is_superset(&one.follow_tags));
        }
    }
}
