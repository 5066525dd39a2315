//! The history in the database and the log files, by age.

use std::time::Duration;

use anyhow::{Context, Result};

use crate::domain::deletion::{FileOrigin, Reason, judge};
use crate::domain::retention::pruning_date;
use crate::domain::settings::Settings;
use crate::domain::time::Timestamp;
use crate::domain::units::Seconds;
use crate::store::{Pruned, Store};
use crate::sys::logging::{self, LogFile};
use crate::sys::paths::Home;
use crate::sys::removal;

/// All log files together hold at most this much.
const MOST_LOG_BYTES: u64 = 64 << 20;

/// The amount of history that a pruning deletes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HistoryPruned {
    pub rows: Pruned,
    pub n_logs: usize,
    pub log_bytes: u64,
    /// Records of adopted files that have changed or are gone.
    pub n_adopted: usize,
}

impl HistoryPruned {
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

/// Deletes old rows and log files.
pub(super) fn prune_history(
    store: &Store,
    home: &Home,
    settings: &Settings,
    now: Timestamp,
) -> Result<HistoryPruned> {
    let (n_logs, log_bytes) = prune_logs(store, home, settings.keep_logs(), now)?;
    let date = pruning_date(store.last_heartbeat(now)?, now);
    let rows = store.prune_history(long_ago(settings.keep_sessions(), date))?;
    Ok(HistoryPruned {
        rows,
        n_logs,
        log_bytes,
        n_adopted: 0,
    })
}

/// Counts the rows and files that `prune_history` would delete.
pub(super) fn old_history(
    store: &Store,
    home: &Home,
    settings: &Settings,
    now: Timestamp,
) -> Result<HistoryPruned> {
    let date = pruning_date(store.last_heartbeat(now)?, now);
    let logs = old_logs(home, settings.keep_logs(), date);
    Ok(HistoryPruned {
        rows: store.old_history(long_ago(settings.keep_sessions(), date))?,
        n_logs: logs.len(),
        log_bytes: logs.iter().map(|log| log.size_bytes).sum(),
        n_adopted: 0,
    })
}

fn long_ago(keep: Seconds, now: Timestamp) -> Timestamp {
    now.checked_sub(keep.span()).unwrap_or(Timestamp::MIN)
}

/// Removes log files by age and total size; returns how many, and their bytes.
///
/// A failure to remove one is logged.
pub fn prune_logs(
    store: &Store,
    home: &Home,
    keep: Seconds,
    now: Timestamp,
) -> Result<(usize, u64)> {
    let (mut n_logs, mut bytes) = (0, 0);
    let date = pruning_date(store.last_heartbeat(now)?, now);
    for old in old_logs(home, keep, date) {
        match std::fs::remove_file(&old.path) {
            Ok(()) => {
                n_logs += 1;
                bytes += old.size_bytes;
            }
            Err(err) => log::warn!(
                "cannot remove the old log file `{}`: {err}",
                old.path.display()
            ),
        }
    }
    Ok((n_logs, bytes))
}

/// Removes bad bytes of repaired files that were kept as long as logs are. A failure is
/// logged.
pub(super) fn prune_evidence(store: &Store, keep: Seconds, now: Timestamp) {
    let removed = || -> Result<()> {
        let date = pruning_date(store.last_heartbeat(now)?, now);
        for path in store.evidence_before(long_ago(keep, date))? {
            if let Ok(permit) = judge(Reason::WrongHash, FileOrigin::ThisHome, []) {
                removal::remove_file(&path, permit)
                    .with_context(|| format!("cannot remove `{}`", path.display()))?;
            }
            store.forget_evidence(&path)?;
        }
        Ok(())
    };
    if let Err(err) = removed() {
        log::warn!("old evidence of damage stays: {err:#}");
    }
}

fn old_logs(home: &Home, keep: Seconds, now: Timestamp) -> Vec<LogFile> {
    let files = logging::list_files(&home.logs()).unwrap_or_default();
    let keep = Duration::from_secs(keep.get());
    logging::plan_pruning(&files, now, keep, MOST_LOG_BYTES)
}
