//! The state of a large file, without a connection.

use super::*;
use crate::domain::content::ContentId;
use crate::domain::outcome::ErrorKind;
use crate::download::fresh::Buffers;
use crate::download::lane::Lane;
use crate::download::partial::Opening;
use crate::download::source::{ByteSource, ByteStream, SourceError};
use std::sync::Arc;

struct Nothing;

impl ByteSource for Nothing {
    fn open(&self, _range: Option<ByteRange>) -> Result<ByteStream, SourceError> {
        Err(broken())
    }
}

fn broken() -> SourceError {
    SourceError::transient(ErrorKind::Network, "broken")
}

fn large(dir: &std::path::Path) -> Large {
    let job = FetchJob {
        name: "model.bin".to_owned(),
        content: ContentId::Sha256([1; 32]),
        size_bytes: 400 << 20,
        partial: dir.join("blob"),
        source: Arc::new(Nothing),
        lane: Lane::default(),
        copies: None,
        rank: 0,
    };
    // The size on disk does not matter here.
    match Partial::open(&job.partial, job.content, 1000).unwrap() {
        Opening::Ready(partial, on_disk) => Large::new(0, job, partial, &on_disk),
        Opening::Busy => panic!("busy"),
    }
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn all_connections_join_when_the_line_turns_out_slow() {
    let dir = tempfile::tempdir().unwrap();
    let file = large(dir.path());
    let began = Instant::now() - 60 * SECOND;
    let join = |after: u32| file.order(began + after * SECOND, 4, false, None).is_some();
    assert!(join(0));
    assert!(!join(1), "the first one has no answer yet");
    assert!(file.answered(began + SECOND));
    assert!(!join(1));
    assert_eq!([join(2), join(2), join(2)], [true; 3]);
    assert!(!join(3), "four is the bound");
}

#[test]
fn a_fast_line_is_left_to_one_connection() {
    let dir = tempfile::tempdir().unwrap();
    let file = large(dir.path());
    let began = Instant::now() - 60 * SECOND;
    let order = file.order(began, 4, false, None).unwrap();
    assert_eq!(order.claim.range, ByteRange::new(0, 400 << 20));
    file.answered(began);
    file.costs.fetched.fetch_add(300 << 20, Ordering::Relaxed);
    file.advance(order.claim.id, 0, 300 << 20, &mut Vec::new())
        .unwrap();
    assert!(file.order(began + SECOND, 4, false, None).is_none());
}

fn fresh(buffers: &Arc<Buffers>, at: u64, length: usize) -> Fresh {
    buffers.keep(at, &mut vec![0; length], length).unwrap()
}

/// Returns where to hash to, and what is in memory of that.
fn heard(file: &Large, hashed: u64) -> (u64, Vec<(u64, u64)>) {
    match file.wait_for_front(hashed, file.epoch(), || true) {
        Front::At(to, fresh) => (to, fresh.iter().map(|f| (f.start(), f.end())).collect()),
        other => panic!("{other:?}"),
    }
}

const MIB: u64 = 1 << 20;

#[test]
fn what_was_written_a_moment_ago_is_handed_over_for_hashing() {
    let dir = tempfile::tempdir().unwrap();
    let file = large(dir.path());
    let buffers = Arc::new(Buffers::default());
    let id = file.order(Instant::now(), 1, false, None).unwrap().claim.id;
    let is_next = |at| file.standing(ByteRange::new(at, 2 * MIB)).is_hashed_next;
    assert!(is_next(0));
    assert!(!is_next(MIB), "something before it is open");
    let mut pieces = vec![fresh(&buffers, 0, 1000), fresh(&buffers, 5000, 1000)];
    let standing = file.advance(id, 0, MIB, &mut pieces).unwrap();
    assert!(standing.is_hashed_next && pieces.is_empty());
    assert_eq!(heard(&file, 0), (MIB, vec![(0, 1000), (5000, 6000)]));
    // The hash is far behind, so the next bytes will be read back.
    let standing = file.advance(id, MIB, 10 * MIB, &mut pieces).unwrap();
    assert!(!standing.is_hashed_next);
    // A step ends in no piece's middle.
    let mut pieces = vec![fresh(&buffers, 9 * MIB - 10, 1000)];
    file.advance(id, 10 * MIB, 11 * MIB, &mut pieces).unwrap();
    assert_eq!(heard(&file, MIB), (9 * MIB - 10, vec![]));
    let piece = (9 * MIB - 10, 9 * MIB + 990);
    assert_eq!(heard(&file, 9 * MIB - 10), (11 * MIB, vec![piece]));
}

#[test]
fn what_is_thrown_away_is_not_hashed() {
    let dir = tempfile::tempdir().unwrap();
    let file = large(dir.path());
    let buffers = Arc::new(Buffers::default());
    let order = file.order(Instant::now(), 1, false, None).unwrap();
    let first = order.claim.id;
    let mut pieces = vec![fresh(&buffers, 0, 1000)];
    file.advance(first, 0, MIB, &mut pieces).unwrap();
    assert!(file.try_once_more());
    let mut late = vec![fresh(&buffers, MIB, 1000)];
    assert!(file.advance(first, MIB, 2 * MIB, &mut late).is_none());
    file.leave(&order, first, Leaving::Quietly, &RetryPolicy::default());
    let second = file.order(Instant::now(), 1, false, None).unwrap().claim.id;
    file.advance(second, 0, 3 * MIB, &mut Vec::new()).unwrap();
    assert_eq!(heard(&file, 0), (3 * MIB, vec![]));
}

#[test]
fn connections_that_break_together_count_as_one_failure() {
    let dir = tempfile::tempdir().unwrap();
    let file = large(dir.path());
    let began = Instant::now() - 60 * SECOND;
    let orders = [0, 1, 2].map(|n| {
        let order = file.order(began + n * SECOND, 4, false, None).unwrap();
        file.answered(began);
        order
    });
    let policy = RetryPolicy {
        base: Duration::ZERO,
        ..RetryPolicy::default()
    };
    let aftermaths = orders.map(|order| {
        let leaving = Leaving::Source(broken());
        file.leave(&order, order.claim.id, leaving, &policy)
    });
    let once = Aftermath::Retry(Duration::ZERO, broken());
    assert_eq!(aftermaths, [once, Aftermath::Nothing, Aftermath::Nothing]);
    assert_eq!(file.costs.retries.load(Ordering::Relaxed), 1);
    assert_eq!(file.take_failure(), None);
}
