//! Records which routes to file bytes have failed, in this run and in earlier ones.
//!
//! The whole run shares this state, so a failure with one file is not repeated with all others.
//! A route that succeeds is used again at once. A failure is stored for later runs only if
//! another route worked at that time; otherwise the network may have been down.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::error::XetFault;
use crate::domain::outcome::ErrorKind;
use crate::domain::way::Way;

/// Transient failures in a row that make a route unusable.
const MAX_FAILURES: u32 = 3;

#[derive(Debug, Default)]
pub struct RouteHealth(Mutex<BTreeMap<Way, RouteState>>);

#[derive(Clone, Copy, Debug, Default)]
struct RouteState {
    /// The route is unusable for files of this size and larger ones.
    unusable_from: Option<u64>,
    /// Failures since the last success.
    failures: u32,
    /// The state differs from the one an earlier run stored.
    is_changed: bool,
    /// Another route worked after this one failed.
    is_confirmed: bool,
}

impl RouteHealth {
    pub fn is_unusable(&self, way: Way, size_bytes: u64) -> bool {
        let state = self.all().get(&way).copied().unwrap_or_default();
        state.unusable_from.is_some_and(|from| size_bytes >= from)
    }

    /// Loads the result of an earlier run.
    pub fn load(&self, way: Way, from_size: u64) {
        self.all().entry(way).or_default().unusable_from = Some(from_size);
    }

    /// Records that a file of this size arrived by this route.
    pub fn record_success(&self, way: Way, size_bytes: u64) {
        let mut all = self.all();
        let state = all.entry(way).or_default();
        state.failures = 0;
        if state.unusable_from.is_some_and(|from| size_bytes >= from) {
            *state = RouteState {
                is_changed: true,
                is_confirmed: true,
                ..RouteState::default()
            };
        }
        for (other, state) in all.iter_mut() {
            state.is_confirmed |= *other != way;
        }
    }

    /// Marks a route as unusable for files of this size and larger ones.
    pub fn mark_unusable(&self, way: Way, size_bytes: u64) {
        let mut all = self.all();
        let state = all.entry(way).or_default();
        if state.unusable_from.is_none_or(|from| size_bytes < from) {
            let failure = match way {
                Way::XetAnswers => "the Xet storage does not answer requests",
                Way::XetChunks => "downloads of chunks from the Xet storage fail",
                Way::PlainFiles if size_bytes == 0 => "plain downloads from the storage fail",
                Way::PlainFiles => "the storage refuses plain downloads of large files",
            };
            log::info!("{failure}; this route is not used for a while");
            state.unusable_from = Some(size_bytes);
            (state.is_changed, state.is_confirmed) = (true, false);
        }
    }

    /// Records a failed request to the storage.
    pub(super) fn record_failure(&self, fault: &XetFault) {
        match fault.scope() {
            FaultScope::Request => {}
            FaultScope::Storage => self.mark_unusable(Way::XetAnswers, 0),
            FaultScope::Transient => {
                let mut all = self.all();
                let state = all.entry(Way::XetAnswers).or_default();
                state.failures += 1;
                let is_enough = state.failures >= MAX_FAILURES;
                drop(all);
                if is_enough {
                    self.mark_unusable(Way::XetAnswers, 0);
                }
            }
        }
    }

    /// Returns the changes to store for later runs: each changed route, with the smallest
    /// file size for which it is unusable, if any.
    pub fn changes(&self) -> Vec<(Way, Option<u64>)> {
        let all = self.all();
        let changes = all
            .iter()
            .filter(|(_, state)| state.is_changed && state.is_confirmed);
        changes
            .map(|(way, state)| (*way, state.unusable_from))
            .collect()
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<Way, RouteState>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The requests that a failure affects.
enum FaultScope {
    /// Only this file, or the storage asked to wait.
    Request,
    /// Possibly a transient failure; if repeated, the whole storage.
    Transient,
    /// Every request.
    Storage,
}

impl XetFault {
    fn scope(&self) -> FaultScope {
        match self {
            Self::UnknownFile
            | Self::BadRange
            | Self::RateLimited { .. }
            | Self::Storage { .. }
            | Self::BadData(_) => FaultScope::Request,
            Self::NoToken(error) if error.kind == ErrorKind::RateLimit => FaultScope::Request,
            Self::NoToken(_) | Self::Refused { .. } => FaultScope::Storage,
            Self::Server { .. } if !self.is_transient() => FaultScope::Storage,
            Self::Server { .. } | Self::Network(_) | Self::BadAnswer(_) => FaultScope::Transient,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWERS: Way = Way::XetAnswers;

    fn busy() -> XetFault {
        XetFault::Server { status: 503 }
    }

    #[test]
    fn three_transient_failures_in_a_row_make_a_route_unusable() {
        let routes = RouteHealth::default();
        for _ in 0..5 {
            routes.record_failure(&busy());
            routes.record_failure(&busy());
            assert!(!routes.is_unusable(ANSWERS, 0));
            routes.record_success(ANSWERS, 0);
        }
        assert_eq!(routes.changes(), []);
        for _ in 0..3 {
            routes.record_failure(&busy());
        }
        assert!(routes.is_unusable(ANSWERS, 0));
        assert_eq!(routes.changes(), [], "the network may be down");
        routes.record_success(Way::PlainFiles, 5);
        assert_eq!(routes.changes(), [(ANSWERS, Some(0))]);
    }

    #[test]
    fn a_refusal_makes_a_route_unusable_and_a_file_error_does_not() {
        let routes = RouteHealth::default();
        for _ in 0..9 {
            routes.record_failure(&XetFault::UnknownFile);
            routes.record_failure(&XetFault::RateLimited { retry_after: None });
        }
        assert!(!routes.is_unusable(ANSWERS, 0));
        routes.record_failure(&XetFault::Refused { status: 403 });
        assert!(routes.is_unusable(ANSWERS, 0));
        assert!(!routes.is_unusable(Way::XetChunks, 0));
    }

    #[test]
    fn a_loaded_state_is_a_change_only_when_it_is_disproved() {
        let routes = RouteHealth::default();
        routes.load(ANSWERS, 0);
        routes.mark_unusable(ANSWERS, 0);
        assert!(routes.is_unusable(ANSWERS, 0));
        assert_eq!(routes.changes(), [], "an earlier failure is not extended");
        routes.record_success(ANSWERS, 0);
        assert!(!routes.is_unusable(ANSWERS, 0));
        assert_eq!(routes.changes(), [(ANSWERS, None)]);
    }

    #[test]
    fn a_route_is_unusable_from_a_file_size_on() {
        let routes = RouteHealth::default();
        routes.mark_unusable(Way::PlainFiles, 50);
        routes.mark_unusable(Way::PlainFiles, 70);
        routes.record_success(Way::PlainFiles, 49);
        let refused = [49, 50, 70].map(|size| routes.is_unusable(Way::PlainFiles, size));
        assert_eq!(refused, [false, true, true]);
        routes.record_success(Way::PlainFiles, 60);
        assert_eq!(routes.changes(), [(Way::PlainFiles, None)]);
    }
}
