//! The part of a plan about the defaults of tags.

use std::collections::BTreeSet;

use super::apply::{ApplyPlan, Change, Kind, Step, differences};
use super::entries::{Entry, Objection};
use crate::domain::tag::TagSpec;

pub(super) fn plan_tags(
    plan: &mut ApplyPlan,
    current: &[TagSpec],
    entries: &[Entry<TagSpec>],
    prune: bool,
) -> Result<(), Objection> {
    let mut seen = BTreeSet::new();
    for entry in entries {
        let new = &entry.value;
        if !seen.insert(&new.name) {
            let message = format!("a second tag `{}`", new.name);
            return Err(Objection::new(&entry.place, message));
        }
        match current.iter().find(|old| old.name == new.name) {
            None => {
                plan.changes.push(Change::added(Kind::Tag, &new.name, new));
                plan.tags.push(Step::Add(new.clone()));
            }
            Some(old) => {
                let fields = differences(old, new);
                if !fields.is_empty() {
                    plan.changes
                        .push(Change::changed(Kind::Tag, &new.name, fields));
                    plan.tags.push(Step::Change(old.clone(), new.clone()));
                }
            }
        }
    }
    let gone = current
        .iter()
        .filter(|old| prune && !seen.contains(&old.name));
    for old in gone {
        plan.changes.push(Change::removed(Kind::Tag, &old.name));
        plan.tags.push(Step::Remove(old.clone()));
    }
    Ok(())
}
