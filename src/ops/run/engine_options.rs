//! The options of the download engine, from settings and limits.

use std::sync::Arc;
use std::time::Duration;

use super::Bounds;
use crate::domain::retry::RetryPolicy;
use crate::domain::units::ByteSize;
use crate::download::{EngineOptions, LimitGroup, TransferBudget};
use crate::ops::services::Services;
use crate::sys::file_limit::{self, connections_within};

pub(super) fn engine_options(
    services: &Services<'_>,
    bounds: &Bounds,
    allowance: Arc<TransferBudget>,
) -> EngineOptions {
    let settings = &services.settings;
    let defaults = EngineOptions {
        // The longest time that a person waits after Ctrl-C.
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
            waits: services.host.takes_pauses(),
            ..defaults.retry
        },
        limits: LimitGroup::root(
            services.stop.clone(),
            bounds.max_transfer.map(ByteSize::bytes),
        )
        .with_allowances([allowance]),
        ..defaults
    }
}
