//! A tick that ended without a run: its metrics and its ping.
//!
//! The home may be full or read-only, and the database damaged, busy or missing.
//! Ping and metrics report the failure then.

use std::path::Path;

use super::Notifier;
use super::metrics::{metrics_path, write_early_metrics, write_metrics};
use super::ping::Ping;
use crate::domain::outcome::ExitStatus;
use crate::domain::run::RunId;
use crate::domain::settings::Settings;
use crate::notify::metrics::LastRun;
use crate::notify::ping::{Signal, signal_of};
use crate::store::Store;
use crate::sys::host::Host;
use crate::sys::paths::Home;

/// The end of a tick without a run.
pub struct EarlyEnd<'a> {
    pub host: &'a Host,
    pub home: &'a Home,
    /// The readable settings; saved ones need the database.
    pub settings: &'a Settings,
    pub store: Option<&'a Store>,
    pub status: ExitStatus,
    pub why: &'a str,
    /// Whether the exit code of the tick has a meaning.
    pub is_in_order: bool,
}

/// Writes the metrics file and sends the ping of a tick without a run, or whose run
/// ended without a report; the latter has started a ping already.
pub fn tell_early_end(end: &EarlyEnd<'_>, metrics: Option<&Path>, ping: Option<Ping>) {
    let now = end.host.now();
    let notifier = end.store.map(|store| Notifier {
        host: end.host,
        home: end.home,
        store,
        settings: end.settings,
        stop: None,
    });
    if let Some(path) = metrics_path(end.host, end.settings, metrics) {
        let early = LastRun::without_run(now, end.status);
        match &notifier {
            Some(notifier) => write_metrics(notifier, &path, Some(early)),
            None => write_early_metrics(&path, early),
        }
    }
    // No run has this id; services pair signals by it.
    let id = RunId::from_parts(now, fastrand::u128(..));
    if let Some(ping) = ping.or_else(|| Ping::of(end.host, end.settings, &id)) {
        let signal = if end.is_in_order {
            signal_of(end.status)
        } else {
            Signal::Fail
        };
        ping.end_without_run(notifier.as_ref(), signal, end.why);
    }
}
