//! A pause of all ticks, as programs read it.

use serde::Serialize;

use super::time;
use crate::domain::pause::Pause;

/// Whether ticks are paused, and until when.
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
