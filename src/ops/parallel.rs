//! The same work for many items, several at a time.

use std::ops::ControlFlow;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::sync_channel;

use crate::sys::host::slow_down_reading;
use crate::sys::stop::StopFlag;

/// Number of concurrent API requests. Most of their time is waiting; more of them
/// would reach the rate limit sooner.
pub const QUESTIONS_AT_ONCE: usize = 8;

/// Returns the result of `work` for each item, in the order of the items; `None` if it
/// panicked.
pub fn map_at_once<'i, T: Sync, R: Send>(
    items: &'i [T],
    at_once: usize,
    work: impl Fn(&'i T) -> R + Sync,
) -> Vec<Option<R>> {
    let next = AtomicUsize::new(0);
    let results: Vec<Mutex<Option<R>>> = items.iter().map(|_| Mutex::new(None)).collect();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..at_once.clamp(1, items.len().max(1)))
            .map(|_| {
                scope.spawn(|| {
                    while let Some((item, slot)) = take(&next, items, &results) {
                        let result = work(item);
                        if let Ok(mut slot) = slot.lock() {
                            *slot = Some(result);
                        }
                    }
                })
            })
            .collect();
        for thread in threads {
            // The panic was printed; only its item has no result.
            let _ = thread.join();
        }
    });
    let results = results.into_iter();
    results
        .map(|slot| slot.into_inner().ok().flatten())
        .collect()
}

fn take<'a, 'i, T, R>(
    next: &AtomicUsize,
    items: &'i [T],
    results: &'a [Mutex<Option<R>>],
) -> Option<(&'i T, &'a Mutex<Option<R>>)> {
    let index = next.fetch_add(1, Ordering::Relaxed);
    Some((items.get(index)?, results.get(index)?))
}

/// The progress of reading files; `job` is the index of a file in the caller's list.
pub enum HashEvent<R> {
    Started { job: usize },
    Read { job: usize, bytes: u64 },
    Ended { job: usize, result: R },
}

/// Reads files on some threads, in order; after a stop the rest has no `Ended` event.
/// Events arrive on the calling thread.
///
/// `read` passes each block on, ends early when told to, and then returns `None`.
pub fn read_all<R: Send>(
    chosen: &[usize],
    threads: usize,
    stop: &StopFlag,
    read: impl Fn(usize, &mut dyn FnMut(&[u8]) -> ControlFlow<()>) -> Option<R> + Sync,
    on: &mut dyn FnMut(HashEvent<R>),
) {
    const TELL_EVERY: u64 = 4 << 20;
    let next = AtomicUsize::new(0);
    let (events, inbox) = sync_channel(64);
    std::thread::scope(|scope| {
        for _ in 0..threads.min(chosen.len()) {
            let (events, next, read) = (events.clone(), &next, &read);
            scope.spawn(move || {
                // The listener outlives the threads, so a send cannot fail.
                let tell = |event| drop(events.send(event));
                while !stop.is_raised() {
                    let Some(&job) = chosen.get(next.fetch_add(1, Ordering::Relaxed)) else {
                        break;
                    };
                    tell(HashEvent::Started { job });
                    let mut untold = 0;
                    let result = read(job, &mut |block| {
                        slow_down_reading(block.len());
                        untold += block.len() as u64;
                        if untold >= TELL_EVERY {
                            let bytes = std::mem::take(&mut untold);
                            tell(HashEvent::Read { job, bytes });
                        }
                        if stop.is_raised() {
                            ControlFlow::Break(())
                        } else {
                            ControlFlow::Continue(())
                        }
                    });
                    tell(HashEvent::Read { job, bytes: untold });
                    if let Some(result) = result {
                        tell(HashEvent::Ended { job, result });
                    }
                }
            });
        }
        drop(events);
        inbox.iter().for_each(on);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_have_the_order_of_the_items() {
        let items: Vec<u32> = (0..100).collect();
        let doubled = map_at_once(&items, 3, |n| n * 2);
        let expected: Vec<_> = items.iter().map(|n| Some(n * 2)).collect();
        assert_eq!(doubled, expected);
        assert!(map_at_once(&[], 3, |n: &u32| *n).is_empty());
    }
}
