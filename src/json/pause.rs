//! Pauses of all ticks.

use serde::Serialize;

use super::document::time;
use crate::domain::pause::Pause;

/// The state of pausing: without a pause all times are null.
#[derive(Debug, Serialize)]
pub struct PauseView {
    pub paused: bool,
    pub since: Option<String>,
    /// `None`: until `hfdl resume`.
    pub until: Option<String>,
    pub reason: Option<String>,
}

impl From<Option<&Pause>> for PauseView {
    fn from(pause: Option<&Pause>) -> Self {
        Self {
            paused: pause.is_some(),
            since: time(pause.map(|pause| pause.since)),
            until: time(pause.and_then(|pause| pause.until)),
            reason: pause.and_then(|pause| pause.reason.clone()),
        }
    }
}
