//! The options of the download engine and of the gate, from settings and limits.

use std::sync::Arc;
use std::time::Duration;

use super::Bounds;
use crate::domain::retry::RetryPolicy;
use crate::domain::run::RunId;
use crate::domain::settings::SettingKey;
use crate::domain::units::ByteSize;
use crate::download::{EngineOptions, LimitGroup, TransferBudget};
use crate::notify::hooks::HookOptions;
use crate::ops::services::Services;
use crate::ops::sync::GateProgram;
use crate::sys::file_limit::{self, connections_within};
use crate::sys::search_path::find_named;
use crate::sys::stop::StopFlag;

/// Bytes are limited by a group below `run`: with the last byte the downloads end, and the
/// run can still read files.
pub(super) fn engine_options(
    services: &Services<'_>,
    run: &LimitGroup,
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
        limits: run
            .child(bounds.max_transfer.map(ByteSize::bytes))
            .with_allowances([allowance]),
        ..defaults
    }
}

/// Returns the program of `hooks.gate`, if one is set.
pub(super) fn gate_program(services: &Services<'_>, run: &RunId) -> Option<GateProgram> {
    let settings = &services.settings;
    let argv = settings.hook(SettingKey::HooksGate)?;
    Some(GateProgram {
        path: find_named(services.host, argv.program()),
        argv: argv.clone(),
        options: HookOptions {
            home: services.home.path().to_path_buf(),
            timeout: Duration::from_secs(settings.gate_timeout().get()),
            stop: StopFlag::new(),
        },
        run: run.clone(),
    })
}
