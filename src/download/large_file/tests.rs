//! Tests of the state of a large file, without connections.

use super::*;
use crate::domain::content::ContentId;
use crate::domain::outcome::ErrorKind;
use crate::download::event::FileId;
use crate::download::hash_buffers::BufferPool;
use crate::download::limits::LimitGroup;
use crate::download::source::{ByteSource, ByteStream, SourceError};
use std::sync::Arc;

struct BrokenSource;

impl ByteSource for BrokenSource {
    fn open(&self, _range: Option<ByteRange>) -> Result<ByteStream, SourceError> {
        Err(broken())
    }
}

fn broken() -> SourceError {
    SourceError::transient(ErrorKind::Network, "broken")
}

fn large(dir: &std::path::Path) -> LargeFile {
    let job = FetchJob {
        name: "model.bin".into(),
        content: ContentId::Sha256([1; 32]),
        size_bytes: 400 << 20,
        partial: dir.join("blob"),
        evidence: dir.join("blob.bad").into(),
        source: Arc::new(BrokenSource),
        limits: LimitGroup::default(),
        copies: None,
        rank: 0,
    };
    // Allocate less than `size_bytes`: these tests never write the partial file.
    let opened = PartialFile::open(&job.partial, job.content, 1000, &RangeSet::new()).unwrap();
    let (partial, on_disk) = opened.expect("no other process holds the lock");
    LargeFile::new(FileId(0), job.into(), partial, &on_disk)
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_slow_link_gets_all_connections() {
    let dir = tempfile::tempdir().unwrap();
    let file = large(dir.path());
    let started_at = Instant::now() - 60 * SECOND;
    let join = |after: u32| {
        file.next_request(started_at + after * SECOND, 4, false, None)
            .is_some()
    };
    assert!(join(0));
    assert!(!join(1), "no response yet");
    assert!(file.response_started(started_at + SECOND));
    assert!(!join(1));
    assert_eq!([join(2), join(2), join(2)], [true; 3]);
    assert!(!join(3), "the maximum is four");
}

#[test]
fn a_fast_link_keeps_one_connection() {
    let dir = tempfile::tempdir().unwrap();
    let file = large(dir.path());
    let started_at = Instant::now() - 60 * SECOND;
    let request = file.next_request(started_at, 4, false, None).unwrap();
    assert_eq!(request.claim.range, ByteRange::new(0, 400 << 20));
    file.response_started(started_at);
    file.counters
        .fetched
        .fetch_add(300 << 20, Ordering::Relaxed);
    file.advance(request.claim.id, 0, 300 << 20, &mut Vec::new())
        .unwrap();
    assert!(
        file.next_request(started_at + SECOND, 4, false, None)
            .is_none()
    );
}

fn hash_buffer(pool: &Arc<BufferPool>, at: u64, length: usize) -> HashBuffer {
    pool.keep(at, &mut vec![0; length], length).unwrap()
}

/// Returns the end of the next range to hash, and the parts of it that are in memory.
fn next_hash_input(file: &LargeFile, hashed: u64) -> (u64, Vec<(u64, u64)>) {
    match file.wait_for_hash_input(hashed, file.epoch(), || true) {
        HashInput::Ready(to, buffers) => {
            (to, buffers.iter().map(|f| (f.start(), f.end())).collect())
        }
        other => panic!("{other:?}"),
    }
}

const MIB: u64 = 1 << 20;

#[test]
fn recently_written_bytes_are_hashed_from_memory() {
    let dir = tempfile::tempdir().unwrap();
    let file = large(dir.path());
    let pool = Arc::new(BufferPool::default());
    let id = file
        .next_request(Instant::now(), 1, false, None)
        .unwrap()
        .claim
        .id;
    let is_next = |at| file.claim_status(ByteRange::new(at, 2 * MIB)).keep_for_hash;
    assert!(is_next(0));
    assert!(!is_next(MIB), "an earlier range is missing");
    let mut segments = vec![hash_buffer(&pool, 0, 1000), hash_buffer(&pool, 5000, 1000)];
    let claim_status = file.advance(id, 0, MIB, &mut segments).unwrap();
    assert!(claim_status.keep_for_hash && segments.is_empty());
    assert_eq!(
        next_hash_input(&file, 0),
        (MIB, vec![(0, 1000), (5000, 6000)])
    );
    // The hash is far behind, so the next bytes are read back from disk.
    let claim_status = file.advance(id, MIB, 10 * MIB, &mut segments).unwrap();
    assert!(!claim_status.keep_for_hash);
    // A hash step never ends inside a buffer.
    let mut segments = vec![hash_buffer(&pool, 9 * MIB - 10, 1000)];
    file.advance(id, 10 * MIB, 11 * MIB, &mut segments).unwrap();
    assert_eq!(next_hash_input(&file, MIB), (9 * MIB - 10, vec![]));
    let segment = (9 * MIB - 10, 9 * MIB + 990);
    assert_eq!(
        next_hash_input(&file, 9 * MIB - 10),
        (11 * MIB, vec![segment])
    );
}

#[test]
fn discarded_bytes_are_not_hashed() {
    let dir = tempfile::tempdir().unwrap();
    let file = large(dir.path());
    let pool = Arc::new(BufferPool::default());
    let request = file.next_request(Instant::now(), 1, false, None).unwrap();
    let first = request.claim.id;
    let mut segments = vec![hash_buffer(&pool, 0, 1000)];
    file.advance(first, 0, MIB, &mut segments).unwrap();
    assert!(file.restart_as_single_stream());
    let mut late = vec![hash_buffer(&pool, MIB, 1000)];
    assert!(file.advance(first, MIB, 2 * MIB, &mut late).is_none());
    file.connection_ended(
        &request,
        first,
        ConnectionEnd::Done,
        &RetryPolicy::default(),
    );
    let second = file
        .next_request(Instant::now(), 1, false, None)
        .unwrap()
        .claim
        .id;
    file.advance(second, 0, 3 * MIB, &mut Vec::new()).unwrap();
    assert_eq!(next_hash_input(&file, 0), (3 * MIB, vec![]));
}

#[test]
fn connections_that_fail_together_count_as_one_failure() {
    let dir = tempfile::tempdir().unwrap();
    let file = large(dir.path());
    let started_at = Instant::now() - 60 * SECOND;
    let requests = [0, 1, 2].map(|n| {
        let request = file
            .next_request(started_at + n * SECOND, 4, false, None)
            .unwrap();
        file.response_started(started_at);
        request
    });
    let policy = RetryPolicy {
        base: Duration::ZERO,
        ..RetryPolicy::default()
    };
    let retries = requests.map(|request| {
        let end = ConnectionEnd::Source(broken());
        file.connection_ended(&request, request.claim.id, end, &policy)
    });
    let once = Some((Duration::ZERO, broken()));
    assert_eq!(retries, [once, None, None]);
    assert_eq!(file.counters.retries.load(Ordering::Relaxed), 1);
    assert_eq!(file.take_failure(), None);
}
