//! The connections of one large file: how many work on it, and how many help.

use std::time::{Duration, Instant};

/// How often the number of connections is thought over.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// The same for the first time: how slow a line is shows soon.
const FIRST_LOOK: Duration = Duration::from_millis(100);

/// Who has no answer for so long is not waited for by the others.
const SILENCE: Duration = Duration::from_secs(2);

/// A connection this fast is held up by disk and processor, not by the line.
const FAST_CONNECTION: f64 = 150e6;

/// One this slow says that the line gives each connection a small share.
const SLOW_CONNECTION: f64 = FAST_CONNECTION / 4.0;

pub(crate) struct Crew {
    working: usize,
    /// How many may work now.
    target: usize,
    /// When the first of them asked; others join when it has an answer.
    asked_at: Option<Instant>,
    window: Option<Window>,
}

/// A span over which it is seen how fast bytes come.
#[derive(Clone, Copy)]
struct Window {
    began: Instant,
    /// What had been fetched then.
    fetched: u64,
    span: Duration,
}

impl Crew {
    pub(crate) fn new() -> Self {
        Self {
            working: 0,
            target: 1,
            asked_at: None,
            window: None,
        }
    }

    pub(crate) fn working(&self) -> usize {
        self.working
    }

    pub(crate) fn target(&self) -> usize {
        self.target
    }

    pub(crate) fn join(&mut self, now: Instant) {
        if self.working == 0 {
            (self.asked_at, self.window) = (Some(now), None);
        }
        self.working += 1;
    }

    pub(crate) fn leave(&mut self) {
        self.working = self.working.saturating_sub(1);
    }

    /// Notes that a source has begun to answer. How fast the line is shows only
    /// from now on, and the next connections find the way that this one found.
    /// Tells whether this is news.
    pub(crate) fn answered(&mut self, now: Instant, fetched: u64) -> bool {
        let is_news = self.window.is_none();
        self.window.get_or_insert(Window {
            began: now,
            fetched,
            span: FIRST_LOOK,
        });
        is_news
    }

    /// Returns when the number of connections is thought over next.
    pub(crate) fn next_look(&self) -> Option<Instant> {
        let window = self.window?;
        Some(window.began + window.span)
    }

    /// Thinks over the number of connections, when it is time.
    pub(crate) fn look(&mut self, now: Instant, fetched: u64, most: usize, held_back: bool) {
        let Some(window) = self.window else {
            let is_silent = self.asked_at.is_some_and(|then| now >= then + SILENCE);
            if is_silent && !held_back && self.working >= self.target {
                self.target = (2 * self.target).min(most.max(1));
                self.asked_at = Some(now);
            }
            return;
        };
        let span = now.saturating_duration_since(window.began);
        if span < window.span || self.working < self.target {
            return;
        }
        let bytes = fetched.saturating_sub(window.fetched);
        let target = next_target(self.target, bytes, span, held_back);
        self.target = target.min(most.max(1));
        self.window = Some(Window {
            began: now,
            fetched,
            span: LOOK_EVERY,
        });
    }
}

/// Decides how many connections a file may have after a look at those it has.
///
/// Lines give each connection a share, so more of them help; where one alone
/// brings all that the machine can take in, others only cost. A slow line gets
/// as many as there are, at once; one in between is felt out.
fn next_target(target: usize, bytes: u64, span: Duration, held_back: bool) -> usize {
    let per_connection = bytes as f64 / span.as_secs_f64().max(1e-3) / target.max(1) as f64;
    if held_back || per_connection >= FAST_CONNECTION {
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
    fn connections_join_where_the_line_is_the_limit() {
        assert_eq!(next_target(1, 40_000_000, SECOND, false), 2);
        assert_eq!(next_target(2, 280_000_000, SECOND, false), 4);
        assert_eq!(next_target(1, 20_000_000, SECOND, false), usize::MAX);
        assert_eq!(next_target(1, 0, SECOND, false), usize::MAX);
        assert_eq!(next_target(1, 900_000_000, SECOND, false), 1);
        assert_eq!(next_target(1, 1_000, SECOND, true), 1);
    }

    #[test]
    fn nothing_is_decided_before_there_is_an_answer_and_time_to_see() {
        let mut crew = Crew::new();
        let began = Instant::now();
        crew.join(began);
        crew.look(began + SECOND, 0, 8, false);
        assert_eq!((crew.target(), crew.next_look()), (1, None));
        assert!(crew.answered(began + SECOND, 0));
        assert!(!crew.answered(began + SECOND, 0));
        crew.look(began + SECOND + FIRST_LOOK / 2, 0, 8, false);
        assert_eq!(crew.target(), 1);
        crew.look(began + SECOND + FIRST_LOOK, 0, 8, false);
        assert_eq!(crew.target(), 8, "eight are all there are");
    }

    #[test]
    fn a_line_that_is_neither_slow_nor_fast_is_felt_out() {
        let mut crew = Crew::new();
        let began = Instant::now();
        crew.join(began);
        crew.answered(began, 0);
        crew.look(began + SECOND, 100_000_000, 8, false);
        assert_eq!(crew.target(), 2);
        crew.look(began + 2 * SECOND, 300_000_000, 8, false);
        assert_eq!(crew.target(), 2, "the second one has not come yet");
        crew.join(began);
        crew.look(began + 2 * SECOND, 300_000_000, 8, false);
        assert_eq!(crew.target(), 4);
    }

    #[test]
    fn whoever_begins_again_after_all_have_left_is_looked_at_anew() {
        let mut crew = Crew::new();
        let began = Instant::now();
        crew.join(began);
        crew.answered(began, 0);
        crew.leave();
        crew.join(began);
        crew.look(began + SECOND, 0, 8, false);
        assert_eq!(crew.target(), 1);
    }

    #[test]
    fn a_silent_source_does_not_keep_the_others_away() {
        let mut crew = Crew::new();
        let began = Instant::now();
        crew.join(began);
        crew.look(began + SILENCE - FIRST_LOOK, 0, 8, false);
        assert_eq!(crew.target(), 1);
        crew.look(began + SILENCE, 0, 8, false);
        crew.look(began + SILENCE, 0, 8, false);
        assert_eq!(crew.target(), 2);
        crew.join(began + SILENCE);
        crew.look(began + SILENCE + SECOND, 0, 8, false);
        assert_eq!(crew.target(), 2);
        crew.look(began + 2 * SILENCE, 0, 8, false);
        assert_eq!(crew.target(), 4);
    }
}
