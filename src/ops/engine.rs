//! Turns settings and limits into options of the download engine.

use std::time::Duration;

use super::run::{Bounds, Tools};
use crate::domain::retry::RetryPolicy;
use crate::domain::units::ByteSize;
use crate::download::{EngineOptions, LimitGroup};
use crate::sys::file_limit::{self, connections_within};

/// Returns how the engine of a run fetches.
pub fn engine_options(tools: &Tools<'_>, bounds: &Bounds) -> EngineOptions {
    let settings = tools.settings;
    let defaults = EngineOptions {
        // The user waits this long after Ctrl-C; leaving earlier loses no more
        // than a crash would.
        grace: Duration::from_millis(1_500),
        ..EngineOptions::default()
    };
    EngineOptions {
        connections: connections_within(settings.connections(), file_limit::current()),
        files: settings.files(),
        min_rate: settings.min_rate().bytes(),
        stall_after: Duration::from_secs(settings.stall_after().get()),
        retry: RetryPolicy {
            max_attempts: settings.retries().saturating_add(1),
            waits: tools.host.takes_pauses(),
            ..defaults.retry
        },
        limits: LimitGroup::root(tools.stop.clone(), bounds.max_transfer.map(ByteSize::bytes)),
        ..defaults
    }
}
