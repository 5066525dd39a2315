//! A tick that ended without a run: its metrics and its ping.
//!
//! The home may be full or read-only, and the database damaged, busy or missing.
//! Then ping and metrics must not go on saying that all is well.

use std::path::Path;

use super::Voice;
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

/// How a tick ended that had no run.
pub struct EarlyEnd<'a> {
    pub host: &'a Host,
    pub home: &'a Home,
    /// The settings that could be read; saved ones need the database.
    pub settings: &'a Settings,
    pub store: Option<&'a Store>,
    pub status: ExitStatus,
    pub why: &'a str,
    /// Whether the tick ended in order, so that its exit code has a meaning.
    pub is_in_order: bool,
}

/// Writes the metrics file and sends the ping of a tick that had no run, or
/// whose run ended without a report: then there is a ping already.
pub fn tell_early_end(end: &EarlyEnd<'_>, metrics: Option<&Path>, ping: Option<Ping>) {
    let now = end.host.now();
    let voice = end.store.map(|store| Voice {
        host: end.host,
        home: end.home,
        store,
        settings: end.settings,
        stop: None,
    });
    if let Some(path) = metrics_path(end.host, end.settings, metrics) {
        let early = LastRun::without_run(now, end.status);
        match &voice {
            Some(voice) => write_metrics(voice, &path, Some(early)),
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
        ping.end_without_run(voice.as_ref(), signal, end.why);
    }
}
