//! The events of all threads on their way to the caller's thread.
//!
//! Waking a thread costs more than the handling of most events. The first event wakes the
//! caller; those that follow within a moment are collected and taken together.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::event::EngineEvent;

/// How long further events are collected.
const COLLECT: Duration = Duration::from_millis(4);

/// So many events are taken at once.
const ENOUGH: usize = 48;

#[derive(Default)]
pub(crate) struct Inbox {
    state: Mutex<Events>,
    arrived: Condvar,
}

#[derive(Default)]
struct Events {
    queue: VecDeque<EngineEvent>,
    /// The number of events that the caller's thread waits for.
    awaited: Option<usize>,
}

impl Inbox {
    pub(crate) fn add(&self, event: EngineEvent) {
        let mut events = self.events();
        events.queue.push_back(event);
        let is_awaited = events.awaited.is_some_and(|n| events.queue.len() >= n);
        if is_awaited {
            events.awaited = None;
        }
        drop(events);
        if is_awaited {
            self.arrived.notify_one();
        }
    }

    /// Waits up to `wait` for an event, and returns all that are there. While `many` are
    /// expected, it collects them for a moment.
    pub(crate) fn take(&self, wait: Duration, many: bool) -> VecDeque<EngineEvent> {
        let mut events = self.wait_for(1, wait, self.events());
        if many && !wait.is_zero() && !events.queue.is_empty() {
            events = self.wait_for(ENOUGH, COLLECT, events);
        }
        std::mem::take(&mut events.queue)
    }

    fn wait_for<'a>(
        &self,
        n_events: usize,
        wait: Duration,
        mut events: MutexGuard<'a, Events>,
    ) -> MutexGuard<'a, Events> {
        if wait.is_zero() || events.queue.len() >= n_events {
            return events;
        }
        events.awaited = Some(n_events);
        let lacks_events = |events: &mut Events| events.queue.len() < n_events;
        let waited = self.arrived.wait_timeout_while(events, wait, lacks_events);
        let mut events = waited.unwrap_or_else(PoisonError::into_inner).0;
        events.awaited = None;
        events
    }

    fn events(&self) -> MutexGuard<'_, Events> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::super::event::FileId;
    use super::*;
    use std::sync::Arc;
    use std::time::Instant;

    const LONG: Duration = Duration::from_secs(60);

    fn event(number: usize) -> EngineEvent {
        let id = FileId(number);
        EngineEvent::Started { id, reused: 0 }
    }

    #[test]
    fn a_waiting_thread_gets_an_event_at_once_and_those_that_follow_together() {
        let inbox = Arc::new(Inbox::default());
        let sender = inbox.clone();
        let sending = std::thread::spawn(move || {
            for number in 0..2 * ENOUGH {
                sender.add(event(number));
            }
        });
        let (began, mut numbers) = (Instant::now(), Vec::new());
        while numbers.len() < 2 * ENOUGH {
            let taken = inbox.take(LONG, true);
            assert!(!taken.is_empty());
            numbers.extend(taken.iter().map(|event| event.id().index()));
        }
        sending.join().unwrap();
        assert_eq!(numbers, (0..2 * ENOUGH).collect::<Vec<_>>());
        assert!(began.elapsed() < LONG);
    }

    #[test]
    fn without_a_wait_only_the_events_that_are_there_are_taken() {
        let inbox = Inbox::default();
        assert!(inbox.take(Duration::ZERO, true).is_empty());
        inbox.add(event(7));
        assert_eq!(inbox.take(Duration::ZERO, true).len(), 1);
        assert!(inbox.take(Duration::from_millis(1), false).is_empty());
    }
}
