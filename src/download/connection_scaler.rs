//! Scales the number of connections of one large file.

use std::time::{Duration, Instant};

/// Interval between two evaluations.
const POLL_INTERVAL: Duration = Duration::from_millis(250);

/// Delay of the first evaluation, shorter so that slow links are detected early.
const FIRST_EVALUATION: Duration = Duration::from_millis(100);

/// Time without a response after which more connections may start.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(2);

/// A connection this fast is limited by disk and processor, not by the network.
const FAST_CONNECTION: f64 = 150e6;

/// At this speed the network limits each connection.
const SLOW_CONNECTION: f64 = FAST_CONNECTION / 4.0;

pub(crate) struct ConnectionScaler {
    connections: usize,
    /// Number of connections allowed now.
    target: usize,
    /// Start of the first request. More connections start after its response.
    asked_at: Option<Instant>,
    window: Option<SpeedWindow>,
    /// All connections start with the first one.
    starts_all: bool,
}

/// The time span of a speed measurement.
#[derive(Clone, Copy)]
struct SpeedWindow {
    started_at: Instant,
    /// Total of fetched bytes at the start of the window.
    fetched: u64,
    span: Duration,
}

impl ConnectionScaler {
    pub(crate) fn new(starts_all: bool) -> Self {
        Self {
            connections: 0,
            target: 1,
            asked_at: None,
            window: None,
            starts_all,
        }
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections
    }

    pub(crate) fn target(&self) -> usize {
        self.target
    }

    pub(crate) fn connection_started(&mut self, now: Instant) {
        if self.connections == 0 {
            (self.asked_at, self.window) = (Some(now), None);
        }
        self.connections += 1;
    }

    pub(crate) fn connection_ended(&mut self) {
        self.connections = self.connections.saturating_sub(1);
    }

    /// Records the start of a response and opens the first speed window; false if a window is open.
    /// More connections start only now, so that they use the route that this one found.
    pub(crate) fn response_started(&mut self, now: Instant, fetched: u64) -> bool {
        let is_first = self.window.is_none();
        self.window.get_or_insert(SpeedWindow {
            started_at: now,
            fetched,
            span: FIRST_EVALUATION,
        });
        is_first
    }

    /// Returns the time of the next evaluation.
    pub(crate) fn next_evaluation(&self) -> Option<Instant> {
        let window = self.window?;
        Some(window.started_at + window.span)
    }

    /// Adjusts the target when the speed window has ended.
    pub(crate) fn evaluate(&mut self, now: Instant, fetched: u64, most: usize, rate_limited: bool) {
        if self.starts_all && !rate_limited {
            self.target = most.max(1);
        }
        let Some(window) = self.window else {
            let is_unanswered = self
                .asked_at
                .is_some_and(|then| now >= then + RESPONSE_TIMEOUT);
            if is_unanswered && !rate_limited && self.connections >= self.target {
                self.target = (2 * self.target).min(most.max(1));
                self.asked_at = Some(now);
            }
            return;
        };
        let span = now.saturating_duration_since(window.started_at);
        if span < window.span || self.connections < self.target {
            return;
        }
        let bytes = fetched.saturating_sub(window.fetched);
        let target = next_target(self.target, bytes, span, rate_limited);
        self.target = target.min(most.max(1));
        self.window = Some(SpeedWindow {
            started_at: now,
            fetched,
            span: POLL_INTERVAL,
        });
    }
}

/// Returns the new target after a speed window.
///
/// Networks often limit each connection, so more of them help. Where one connection fills the
/// machine's capacity, more only add cost. A slow link gets all connections at once; in
/// between, the target doubles.
fn next_target(target: usize, bytes: u64, span: Duration, rate_limited: bool) -> usize {
    let per_connection = bytes as f64 / span.as_secs_f64().max(1e-3) / target.max(1) as f64;
    if rate_limited || per_connection >= FAST_CONNECTION {
        target
    } else if per_connection < SLOW_CONNECTION {
        usize::MAX
    } else {
        target.saturating_mul(2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn connections_are_added_where_the_network_is_the_bottleneck() {
        assert_eq!(next_target(1, 40_000_000, SECOND, false), 2);
        assert_eq!(next_target(2, 280_000_000, SECOND, false), 4);
        assert_eq!(next_target(1, 20_000_000, SECOND, false), usize::MAX);
        assert_eq!(next_target(1, 0, SECOND, false), usize::MAX);
        assert_eq!(next_target(1, 900_000_000, SECOND, false), 1);
        assert_eq!(next_target(1, 1_000, SECOND, true), 1);
    }

    #[test]
    fn the_target_changes_only_after_a_response_and_a_full_window() {
        let mut scaler = ConnectionScaler::new(false);
        let started_at = Instant::now();
        scaler.connection_started(started_at);
        scaler.evaluate(started_at + SECOND, 0, 8, false);
        assert_eq!((scaler.target(), scaler.next_evaluation()), (1, None));
        assert!(scaler.response_started(started_at + SECOND, 0));
        assert!(!scaler.response_started(started_at + SECOND, 0));
        scaler.evaluate(started_at + SECOND + FIRST_EVALUATION / 2, 0, 8, false);
        assert_eq!(scaler.target(), 1);
        scaler.evaluate(started_at + SECOND + FIRST_EVALUATION, 0, 8, false);
        assert_eq!(scaler.target(), 8, "the maximum is eight");
    }

    #[test]
    fn connections_to_a_far_source_start_together() {
        let mut scaler = ConnectionScaler::new(true);
        scaler.evaluate(Instant::now(), 0, 8, true);
        assert_eq!(
            scaler.target(),
            1,
            "a rate limit needs no second connection"
        );
        scaler.evaluate(Instant::now(), 0, 8, false);
        assert_eq!(scaler.target(), 8);
    }

    #[test]
    fn at_a_medium_speed_the_target_doubles_step_by_step() {
        let mut scaler = ConnectionScaler::new(false);
        let started_at = Instant::now();
        scaler.connection_started(started_at);
        scaler.response_started(started_at, 0);
        scaler.evaluate(started_at + SECOND, 100_000_000, 8, false);
        assert_eq!(scaler.target(), 2);
        scaler.evaluate(started_at + 2 * SECOND, 300_000_000, 8, false);
        assert_eq!(
            scaler.target(),
            2,
            "the second connection has not started yet"
        );
        scaler.connection_started(started_at);
        scaler.evaluate(started_at + 2 * SECOND, 300_000_000, 8, false);
        assert_eq!(scaler.target(), 4);
    }

    #[test]
    fn the_speed_window_is_reset_after_all_connections_ended() {
        let mut scaler = ConnectionScaler::new(false);
        let started_at = Instant::now();
        scaler.connection_started(started_at);
        scaler.response_started(started_at, 0);
        scaler.connection_ended();
        scaler.connection_started(started_at);
        scaler.evaluate(started_at + SECOND, 0, 8, false);
        assert_eq!(scaler.target(), 1);
    }

    #[test]
    fn a_source_that_does_not_respond_does_not_block_other_connections() {
        let mut scaler = ConnectionScaler::new(false);
        let started_at = Instant::now();
        scaler.connection_started(started_at);
        scaler.evaluate(
            started_at + RESPONSE_TIMEOUT - FIRST_EVALUATION,
            0,
            8,
            false,
        );
        assert_eq!(scaler.target(), 1);
        scaler.evaluate(started_at + RESPONSE_TIMEOUT, 0, 8, false);
        scaler.evaluate(started_at + RESPONSE_TIMEOUT, 0, 8, false);
        assert_eq!(scaler.target(), 2);
        scaler.connection_started(started_at + RESPONSE_TIMEOUT);
        scaler.evaluate(started_at + RESPONSE_TIMEOUT + SECOND, 0, 8, false);
        assert_eq!(scaler.target(), 2);
        scaler.evaluate(started_at + 2 * RESPONSE_TIMEOUT, 0, 8, false);
        assert_eq!(scaler.target(), 4);
    }
}
