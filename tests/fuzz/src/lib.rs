//! What all targets share: a meter of the memory that a parser takes.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

/// The allocator of the system, which counts.
struct Meter;

#[global_allocator]
static METER: Meter = Meter;

static HELD: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

impl Meter {
    fn grew(n: usize) {
        let held = HELD.fetch_add(n, Ordering::Relaxed) + n;
        MOST.fetch_max(held, Ordering::Relaxed);
    }

    fn shrank(n: usize) {
        HELD.fetch_sub(n, Ordering::Relaxed);
    }
}

// SAFETY: everything is the system allocator's own work, and counting touches no memory of it.
unsafe impl GlobalAlloc for Meter {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        Self::grew(layout.size());
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        Self::shrank(layout.size());
        unsafe { System.dealloc(place, layout) }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // Both places exist for a moment when the bytes must move.
        Self::grew(size);
        Self::shrank(layout.size());
        unsafe { System.realloc(place, layout, size) }
    }
}

/// Does something and fails if it ever held more memory than that.
pub fn within<T>(most_bytes: usize, work: impl FnOnce() -> T) -> T {
    let before = HELD.load(Ordering::Relaxed);
    MOST.store(before, Ordering::Relaxed);
    let value = work();
    let taken = MOST.load(Ordering::Relaxed).saturating_sub(before);
    assert!(
        taken <= most_bytes,
        "it took {taken} bytes of memory, and {most_bytes} would have to do"
    );
    value
}
