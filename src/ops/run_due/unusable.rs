//! Schedules that no run can follow: each is passed over and told of, and the
//! others go on.

use std::collections::BTreeSet;

use anyhow::Result;

use super::look::event;
use crate::domain::run::{EventKind, RunId};
use crate::domain::schedule::{ScheduleId, Unusable};
use crate::domain::time::Timestamp;
use crate::domain::units::Seconds;
use crate::store::Store;

/// Trouble that lasts is told of once in so long: a timer comes every few
/// minutes, and cron mails whatever is said.
pub(super) const TELL_EVERY: Seconds = Seconds(24 * 3600);

/// Schedules that were passed over.
#[derive(Debug, Default)]
pub struct PassedOver {
    pub schedules: Vec<Unusable>,
    /// Those of them that nobody was told of in the last day.
    pub untold: BTreeSet<ScheduleId>,
}

impl PassedOver {
    pub(super) fn new(store: &Store, schedules: Vec<Unusable>, now: Timestamp) -> Result<Self> {
        let since = now.checked_sub(TELL_EVERY.span()).unwrap_or(now);
        let mut untold = BTreeSet::new();
        for one in &schedules {
            log::debug!("{one}");
            if !store.has_event(EventKind::Skipped, &one.to_string(), since, now)? {
                untold.insert(one.id);
            }
        }
        Ok(Self { schedules, untold })
    }

    pub fn is_empty(&self) -> bool {
        self.schedules.is_empty()
    }

    /// Returns what is to be written down: what nobody was told of.
    pub(super) fn news(&self) -> Vec<String> {
        let untold = self.schedules.iter();
        let untold = untold.filter(|one| self.untold.contains(&one.id));
        untold.map(ToString::to_string).collect()
    }

    /// Writes the news down as part of a run that has other things to do.
    pub(super) fn record(&self, store: &Store, run: &RunId, now: Timestamp) -> Result<()> {
        store.transaction(|store| -> Result<()> {
            for detail in self.news() {
                let mut event = event(now, EventKind::Skipped, detail);
                event.run_id = Some(run.clone());
                store.record_event(&event)?;
            }
            Ok(())
        })
    }
}
