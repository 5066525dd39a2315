//! The files of a run in the home: its log, and unfinished copies of the database.

use crate::domain::run::RunId;
use crate::domain::time::Timestamp;
use crate::sys::logging;
use crate::sys::paths::Home;

/// Removes unfinished copies of the database that killed processes left.
pub(super) fn remove_unfinished_copies(home: &Home) {
    for path in home.leftovers() {
        match std::fs::remove_file(&path) {
            Ok(()) => log::info!("removed the unfinished `{}`", path.display()),
            Err(err) => log::debug!("cannot remove `{}`: {err}", path.display()),
        }
    }
}

/// Opens the log file of a run. A run works without a log too.
pub(super) fn start_log(home: &Home, run_id: &RunId, started_at: Timestamp) {
    let logs = home.logs();
    if let Err(err) = logging::start_file(&logs, run_id.as_str(), started_at) {
        log::warn!("{err:#}");
        return;
    }
    log::info!(
        "hfdl {} run {run_id} in `{}`",
        env!("CARGO_PKG_VERSION"),
        home.path().display()
    );
}
