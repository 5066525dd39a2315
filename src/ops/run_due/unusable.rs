//! Schedules that cannot run: skipped and reported, while the others run.

use std::collections::BTreeSet;

use anyhow::Result;

use crate::domain::run::{Event, EventKind, RunId};
use crate::domain::schedule::{ScheduleId, Unusable};
use crate::domain::time::Timestamp;
use crate::domain::units::Seconds;
use crate::store::Store;

/// The time between two reports of the same trouble: a timer ticks every few
/// minutes, and cron mails all output.
pub(super) const REPORT_EVERY: Seconds = Seconds(24 * 3600);

#[derive(Debug, Default)]
pub struct UnusableSchedules {
    pub schedules: Vec<Unusable>,
    /// Schedules without a report in the last day.
    pub unreported: BTreeSet<ScheduleId>,
}

impl UnusableSchedules {
    pub(super) fn new(store: &Store, schedules: Vec<Unusable>, now: Timestamp) -> Result<Self> {
        let since = now.checked_sub(REPORT_EVERY.span()).unwrap_or(now);
        let mut unreported = BTreeSet::new();
        for one in &schedules {
            log::debug!("{one}");
            if !store.has_event(EventKind::Skipped, &one.to_string(), since, now)? {
                unreported.insert(one.id);
            }
        }
        Ok(Self {
            schedules,
            unreported,
        })
    }

    pub fn is_empty(&self) -> bool {
        self.schedules.is_empty()
    }

    /// Returns the details of the events to record.
    pub(super) fn unreported(&self) -> Vec<String> {
        let schedules = self.schedules.iter();
        let unreported = schedules.filter(|one| self.unreported.contains(&one.id));
        unreported.map(ToString::to_string).collect()
    }

    /// Records the events as part of a run that has work.
    pub(super) fn record(&self, store: &Store, run: &RunId, now: Timestamp) -> Result<()> {
        store.transaction(|store| -> Result<()> {
            for detail in self.unreported() {
                store.record_event(&Event {
                    at: now,
                    kind: EventKind::Skipped,
                    model_id: None,
                    run_id: Some(run.clone()),
                    detail,
                })?;
            }
            Ok(())
        })
    }
}
