//! The apply file that `init` makes of the answers.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::Result;
use jiff::SignedDuration;

use super::document::Node;
use super::export::entry;
use super::login::HubClients;
use super::models::{HubCheck, check_with_hub};
use crate::domain::model::{EntryName, ModelSpec};
use crate::domain::retry::RetryPolicy;
use crate::domain::schedule::{Schedule, ScheduleSpec, Slots, find_zone};
use crate::domain::settings::SettingKey;
use crate::domain::time::Timestamp;
use crate::domain::units::ByteSize;
use crate::hub::HubError;
use crate::sys::disk::space_at;

/// The entries to add.
#[derive(Clone, Debug, Default)]
pub struct Additions {
    /// The directory of the cache, if another one than now is wanted.
    pub cache: Option<String>,
    pub models: Vec<ModelSpec>,
    pub schedule: Option<ScheduleSpec>,
}

impl Additions {
    pub fn is_empty(&self) -> bool {
        self.cache.is_none() && self.models.is_empty() && self.schedule.is_none()
    }

    /// Returns the file; a section without an entry is left out.
    pub fn document(&self) -> Node {
        let cache = self.cache.iter().map(|path| {
            let key = SettingKey::CacheDir.to_string();
            (key, Node::Text(path.clone()))
        });
        let mut sections = vec![("version", Node::Number(1))];
        if self.cache.is_some() {
            sections.push(("config", Node::Map(cache.collect())));
        }
        if !self.models.is_empty() {
            let models = self.models.iter().map(entry);
            sections.push(("models", Node::List(models.collect())));
        }
        if let Some(schedule) = &self.schedule {
            sections.push(("schedules", Node::List(vec![entry(schedule)])));
        }
        let sections = sections.into_iter();
        Node::Map(
            sections
                .map(|(name, node)| (name.to_owned(), node))
                .collect(),
        )
    }

    /// Returns a file of earlier answers with these; entries of the same name are replaced.
    pub fn added_to(&self, mut earlier: Node) -> Node {
        let (Node::Map(sections), Node::Map(added)) = (&mut earlier, self.document()) else {
            return earlier;
        };
        for (name, node) in added {
            match sections.iter_mut().find(|(known, _)| *known == name) {
                Some((_, section)) => add(section, node),
                None => sections.push((name, node)),
            }
        }
        earlier
    }
}

fn add(section: &mut Node, added: Node) {
    match (section, added) {
        (Node::Map(entries), Node::Map(added)) => {
            entries.retain(|(key, _)| added.iter().all(|(new, _)| new != key));
            entries.extend(added);
        }
        (Node::List(entries), Node::List(added)) => {
            entries.retain(|entry| added.iter().all(|new| names(new) != names(entry)));
            entries.extend(added);
        }
        (section, added) => *section = added,
    }
}

/// Returns the fields that tell an entry from others.
fn names(entry: &Node) -> Vec<&(String, Node)> {
    let Node::Map(fields) = entry else {
        return Vec::new();
    };
    let is_name = |field: &&(String, Node)| ["name", "repo"].contains(&field.0.as_str());
    fields.iter().filter(is_name).collect()
}

/// Returns the time of day of a schedule at which its windows are never open.
pub fn time_outside(spec: &ScheduleSpec, now: Timestamp) -> Result<Option<String>> {
    const TWO_WEEKS: SignedDuration = SignedDuration::from_hours(14 * 24);
    let zone = find_zone(&spec.time_zone)?;
    let end = now.checked_add(TWO_WEEKS)?;
    let slots = Slots::new(&spec.cadence, &zone, now).iter_after(now);
    let (open, closed): (Vec<Timestamp>, Vec<Timestamp>) = slots
        .take_while(|slot| *slot < end)
        .partition(|slot| spec.windows.is_open(&zone, *slot));
    let time = |at: &Timestamp| at.to_zoned(zone.clone()).strftime("%H:%M").to_string();
    let open: BTreeSet<String> = open.iter().map(time).collect();
    Ok(closed.iter().map(time).find(|time| !open.contains(time)))
}

/// Returns the first of `nightly`, `nightly-2` and so on that no schedule has.
pub fn free_schedule_name(schedules: &[Schedule]) -> EntryName {
    let is_free = |name: &EntryName| schedules.iter().all(|one| one.spec.name != *name);
    let names = (1_u32..).filter_map(|n| match n {
        1 => "nightly".parse().ok(),
        n => format!("nightly-{n}").parse().ok(),
    });
    let mut free = names.filter(is_free);
    free.next()
        .expect("no database has a schedule of each number")
}

/// Asks the Hub about a model, once: a person waits for the answer.
pub fn ask_hub(clients: &HubClients, spec: &ModelSpec) -> Result<HubCheck, HubError> {
    check_with_hub(&clients.own().with_retry(RetryPolicy::never()), spec)
}

/// Returns the free space at a path that may not exist yet.
pub fn free_space(path: &Path) -> Option<ByteSize> {
    let existing = path.ancestors().find(|path| path.exists())?;
    space_at(existing).ok()?.free_bytes.map(ByteSize)
}
