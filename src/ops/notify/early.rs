//! A tick that ended before its run: told as far as it can be.
//!
//! The home may be full or read-only and the database damaged, busy or missing.
//! The exit code and the words on stderr tell of that anyway; ping and metrics
//! must not go on saying that all is well.

use std::path::Path;

use super::Voice;
use super::metrics::{metrics_path, write_early_metrics, write_metrics};
use super::ping::Ping;
use crate::domain::outcome::ExitStatus;
use crate::domain::run::RunId;
use crate::domain::settings::Settings;
use crate::notify::metrics::LastRun;
use crate::store::Store;
use crate::sys::host::Host;
use crate::sys::paths::Home;

/// How a tick ended before its run.
pub struct EarlyEnd<'a> {
    pub host: &'a Host,
    pub home: &'a Home,
    /// The settings that could be read; saved ones need the database.
    pub settings: &'a Settings,
    pub store: Option<&'a Store>,
    pub status: ExitStatus,
    pub why: &'a str,
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
        let early = LastRun {
            started_at: now,
            duration_seconds: 0,
            exit_code: end.status.code(),
        };
        match &voice {
            Some(voice) => write_metrics(voice, &path, Some(early)),
            None => write_early_metrics(&path, early),
        }
    }
    // No run has this id; services pair signals by it.
    let id = RunId::from_parts(now, fastrand::u128(..));
    if let Some(ping) = ping.or_else(|| Ping::of(end.host, end.settings, &id)) {
        ping.fail(voice.as_ref(), end.why);
    }
}
