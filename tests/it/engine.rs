//! The download engine against a real server that misbehaves on order.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::{BufRead, BufReader, Cursor, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use hfdl::domain::content::ContentId;
use hfdl::domain::outcome::ErrorKind;
use hfdl::domain::ranges::ByteRange;
use hfdl::domain::retry::RetryPolicy;
use hfdl::download::{
    ByteSource, ByteStream, EngineEvent, EngineOptions, FetchJob, FetchResult, FileError,
    FileReport, LimitGroup, SourceError, fetch,
};
use hfdl::sys::stop::{StopFlag, StopReason};
use hfdl_test_hub::{
    Fault, On, RangeAsked, Shape, TestHub, generated_bytes, git_blob_id, sha256_hex,
};

use crate::support::http_source::HttpSource;

const MIB: u64 = 1 << 20;

/// A hub with one repository, and a folder for what is fetched from it.
pub(crate) struct Env {
    pub(crate) hub: TestHub,
    dir: tempfile::TempDir,
    pub(crate) options: EngineOptions,
    /// The lane of all files that are not given another.
    pub(crate) lane: LimitGroup,
}

/// A published file and the job that fetches it.
pub(crate) struct Wanted {
    pub(crate) bytes: Vec<u8>,
    pub(crate) job: FetchJob,
}

impl Env {
    pub(crate) fn new() -> Self {
        let limits = LimitGroup::default();
        Self {
            hub: TestHub::builder().shape(Shape::caching_proxy()).start(),
            dir: tempfile::tempdir().unwrap(),
            options: EngineOptions {
                retry: RetryPolicy {
                    base: Duration::ZERO,
                    ..RetryPolicy::default()
                },
                limits: limits.clone(),
                ..EngineOptions::default()
            },
            lane: limits.child(None),
        }
    }

    /// Gives the files that are published from now on the limits of a new run.
    fn begin_run(&mut self, max_transfer: Option<u64>) {
        self.options.limits = LimitGroup::root(StopFlag::new(), max_transfer);
        self.lane = self.options.limits.child(None);
    }

    /// Publishes a file of noise that the engine fetches in ranges.
    pub(crate) fn large(&self, name: &str, size: u64) -> Wanted {
        let bytes = generated_bytes(size as usize, size);
        self.publish_lfs(name, bytes)
    }

    fn publish_lfs(&self, name: &str, bytes: Vec<u8>) -> Wanted {
        let draft = self.hub.repo("acme/tiny").commit("main");
        draft.lfs(name, bytes.clone()).publish();
        let content = ContentId::from_etag(&sha256_hex(&bytes)).unwrap();
        self.wanted(name, bytes, content)
    }

    fn wanted(&self, name: &str, bytes: Vec<u8>, content: ContentId) -> Wanted {
        let url = format!("{}/acme/tiny/resolve/main/{name}", self.hub.endpoint());
        let job = FetchJob {
            name: name.into(),
            content,
            size_bytes: bytes.len() as u64,
            partial: self.dir.path().join(name.replace('/', "-")),
            evidence: self.dir.path().join(name.replace('/', "-") + ".bad").into(),
            source: Arc::new(HttpSource::new(&url)),
            limits: self.lane.clone(),
            copies: None,
            rank: 0,
        };
        Wanted { bytes, job }
    }

    pub(crate) fn fetch(&self, wanted: &Wanted) -> FileReport {
        self.fetch_with(wanted, &mut |_| ())
    }

    fn fetch_with(&self, wanted: &Wanted, on_event: &mut dyn FnMut(EngineEvent)) -> FileReport {
        let mut reports = fetch(vec![wanted.job.clone()], &self.options, on_event);
        assert_eq!(reports.len(), 1);
        reports.remove(0)
    }

    pub(crate) fn sent(&self, name: &str) -> u64 {
        self.hub.downloads(name).iter().map(|r| r.bytes_sent).sum()
    }

    fn files(&self) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(self.dir.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

#[track_caller]
pub(crate) fn assert_verified(report: &FileReport, wanted: &Wanted) {
    assert!(
        matches!(report.result, FetchResult::Verified { .. }),
        "{report:?}"
    );
    assert!(fs::read(&wanted.job.partial).unwrap() == wanted.bytes);
}

#[track_caller]
fn error_of(report: &FileReport) -> &FileError {
    match &report.result {
        FetchResult::Failed(error) => error,
        other => panic!("{other:?}"),
    }
}

fn with_patience(wanted: &mut Wanted, env: &Env, patience: Duration) {
    let url = format!(
        "{}/acme/tiny/resolve/main/{}",
        env.hub.endpoint(),
        wanted.job.name
    );
    let mut source = HttpSource::new(&url);
    source.patience = patience;
    wanted.job.source = Arc::new(source);
}

#[test]
fn a_large_file_arrives_whole_and_each_byte_once() {
    let env = Env::new();
    let wanted = env.large("model.bin", 20 * MIB + 17);
    let report = env.fetch(&wanted);
    assert_verified(&report, &wanted);
    assert_eq!(report.result, FetchResult::Verified { durable: true });
    let counts = (report.fetched, report.reused, report.retries);
    assert_eq!(counts, (20 * MIB + 17, 0, 0));
}

#[test]
fn a_slow_line_gets_more_connections_up_to_the_bound() {
    let mut env = Env::new();
    env.options.connections = 4;
    let wanted = env.large("model.bin", 24 * MIB);
    let pause = Duration::from_millis(20);
    env.hub
        .fault(On::content("model.bin"), Fault::Trickle(256 << 10, pause));
    let report = env.fetch(&wanted);
    assert_verified(&report, &wanted);
    assert_eq!(report.fetched, 24 * MIB);
    let n_requests = env.hub.downloads("model.bin").len();
    assert!(n_requests >= 4, "{}", env.hub.describe_requests());
}

#[test]
fn an_empty_file_needs_no_request() {
    let env = Env::new();
    let wanted = env.publish_lfs("empty", Vec::new());
    env.hub.forget_requests();
    assert_verified(&env.fetch(&wanted), &wanted);
    assert_eq!(env.hub.requests().len(), 0);
}

#[test]
fn many_small_files_take_one_request_each() {
    let env = Env::new();
    let files: Vec<(String, Vec<u8>)> = (0..2000)
        .map(|n| {
            (
                format!("f{n}.json"),
                format!("{{\"n\": {n}}}").repeat(20).into_bytes(),
            )
        })
        .collect();
    let draft = env.hub.repo("acme/tiny").commit("main");
    draft.files(files.clone()).publish();
    let wanted: Vec<Wanted> = files
        .into_iter()
        .map(|(name, bytes)| {
            let content = ContentId::from_etag(&git_blob_id(&bytes)).unwrap();
            env.wanted(&name, bytes, content)
        })
        .collect();
    let jobs = wanted.iter().map(|w| w.job.clone()).collect();
    let mut verified = 0;
    let reports = fetch(jobs, &env.options, &mut |event| {
        verified += usize::from(matches!(event, EngineEvent::Verified { .. }));
    });
    assert_eq!((reports.len(), verified), (2000, 2000));
    for (report, wanted) in reports.iter().zip(&wanted) {
        assert_verified(report, wanted);
        assert_eq!(report.fetched, wanted.bytes.len() as u64);
    }
    assert_eq!(env.hub.requests().len(), 2000);
    assert_eq!(env.files().len(), 2000, "{:?}", env.files());
}

#[test]
fn a_cut_download_continues_at_the_byte() {
    let env = Env::new();
    let wanted = env.large("model.bin", 5 * MIB);
    env.hub
        .fault(On::content("model.bin").times(1), Fault::CutAfter(MIB + 7));
    let report = env.fetch(&wanted);
    assert_verified(&report, &wanted);
    assert_eq!((report.fetched, report.retries), (5 * MIB, 1));
    let last = env.hub.last_range("model.bin");
    assert_eq!(last, Some(RangeAsked::Between(MIB + 7, 5 * MIB - 1)));
}

#[test]
fn a_line_that_breaks_again_and_again_still_brings_the_file() {
    let env = Env::new();
    let wanted = env.large("model.bin", 8 * MIB);
    env.hub
        .fault(On::content("model.bin"), Fault::CutAfter(300_000));
    let report = env.fetch(&wanted);
    assert_verified(&report, &wanted);
    assert_eq!(report.fetched, 8 * MIB);
    // 28 answers, of which the first of each connection is no retry.
    assert!(report.retries >= 12, "{report:?}");
}

#[test]
fn a_later_run_continues_at_the_byte() {
    let env = Env::new();
    let wanted = env.large("model.bin", 5 * MIB);
    env.hub
        .fault(On::content("model.bin").times(1), Fault::CutAfter(MIB + 7));
    env.hub.fault(On::any(), Fault::Status(503));
    let report = env.fetch(&wanted);
    assert_eq!(error_of(&report).kind, ErrorKind::Hub);
    assert_eq!(report.fetched, MIB + 7);

    env.hub.heal();
    let report = env.fetch(&wanted);
    assert_verified(&report, &wanted);
    assert_eq!((report.fetched, report.reused), (4 * MIB - 7, MIB + 7));
}

#[test]
fn a_whole_partial_is_only_hashed() {
    let env = Env::new();
    let wanted = env.large("model.bin", 5 * MIB);
    assert_verified(&env.fetch(&wanted), &wanted);
    env.hub.forget_requests();
    let report = env.fetch(&wanted);
    assert_verified(&report, &wanted);
    assert_eq!((report.fetched, report.reused), (0, 5 * MIB));
    assert_eq!(env.hub.requests().len(), 0);
}

#[test]
fn a_silent_connection_is_given_up() {
    let env = Env::new();
    let mut wanted = env.large("model.bin", 5 * MIB);
    with_patience(&mut wanted, &env, Duration::from_millis(200));
    env.hub
        .fault(On::content("model.bin").times(1), Fault::StallAfter(MIB));
    let report = env.fetch(&wanted);
    assert_verified(&report, &wanted);
    assert_eq!(report.fetched, 5 * MIB);
    env.hub.heal();
}

#[test]
fn a_trickling_connection_is_given_up() {
    let mut env = Env::new();
    env.options.stall_after = Duration::from_millis(100);
    env.options.min_rate = 100_000;
    let wanted = env.large("model.bin", 3 * MIB);
    let pause = Duration::from_millis(20);
    env.hub.fault(
        On::content("model.bin").times(1),
        Fault::Trickle(100, pause),
    );
    let mut slow = false;
    let report = env.fetch_with(&wanted, &mut |event| {
        if let EngineEvent::Retrying { error, .. } = event {
            slow |= error.message.contains("slower than 97.7 KiB/s");
        }
    });
    assert_verified(&report, &wanted);
    assert!(slow, "{report:?}");
}

#[test]
fn wrong_bytes_are_fetched_once_more_in_one_stream() {
    for size in [3 * MIB, 1000] {
        let env = Env::new();
        let wanted = env.large("model.bin", size);
        env.hub.fault(
            On::content("model.bin").times(1),
            Fault::FlipByteAt(size / 2),
        );
        let report = env.fetch(&wanted);
        assert_verified(&report, &wanted);
        assert_eq!((report.fetched, report.retries), (2 * size, 1));
        assert_eq!(env.hub.last_range("model.bin"), None);
    }
}

#[test]
fn the_second_try_survives_a_cut() {
    let env = Env::new();
    let wanted = env.large("model.bin", 3 * MIB);
    env.hub
        .fault(On::content("model.bin").times(1), Fault::FlipByteAt(5));
    env.hub
        .fault(On::content("model.bin").times(1), Fault::CutAfter(MIB));
    let report = env.fetch(&wanted);
    assert_verified(&report, &wanted);
    assert_eq!((report.fetched, report.retries), (6 * MIB, 2));
}

#[test]
fn the_second_try_is_the_last_also_where_ranges_are_ignored() {
    let env = Env::new();
    let wanted = env.large("model.bin", 3 * MIB);
    let mut bytes = wanted.bytes.clone();
    bytes[9] ^= 1;
    env.publish_lfs("model.bin", bytes);
    let second = On::content("model.bin").skip(1).times(1);
    env.hub.fault(second, Fault::CutAfter(MIB));
    env.hub.fault(On::content("model.bin"), Fault::IgnoreRange);
    let report = env.fetch(&wanted);
    assert_eq!(error_of(&report).kind, ErrorKind::Integrity);
    assert_eq!(env.hub.downloads("model.bin").len(), 3);
}

#[test]
fn bytes_that_are_wrong_twice_are_put_aside() {
    for size in [3 * MIB, 1000] {
        let env = Env::new();
        let wanted = env.large("model.bin", size);
        let other = env.large("other.bin", 2 * MIB);
        env.hub
            .fault(On::content("model.bin"), Fault::FlipByteAt(size / 2));
        let jobs = vec![wanted.job.clone(), other.job.clone()];
        let reports = fetch(jobs, &env.options, &mut |_| ());
        let error = error_of(&reports[0]);
        assert_eq!(error.kind, ErrorKind::Integrity);
        let evidence = error.evidence.clone().expect("kept");
        assert_eq!(fs::metadata(&evidence).unwrap().len(), size);
        assert!(!wanted.job.partial.exists());
        assert_verified(&reports[1], &other);

        env.hub.heal();
        assert_verified(&env.fetch(&wanted), &wanted);
    }
}

#[test]
fn a_file_of_another_length_is_an_integrity_failure() {
    for (size, fault) in [
        (3 * MIB, Fault::WrongTotal(1)),
        (1000, Fault::LongBy(1)),
        (1000, Fault::ShortBy(1)),
    ] {
        let env = Env::new();
        let wanted = env.large("model.bin", size);
        env.hub.fault(On::content("model.bin"), fault.clone());
        let report = env.fetch(&wanted);
        let error = error_of(&report);
        assert_eq!(error.kind, ErrorKind::Integrity, "{fault:?}: {error}");
        assert!(error.message.contains("wrong file size"), "{error}");
    }
}

#[test]
fn a_part_that_begins_elsewhere_is_refused_and_asked_for_again() {
    let env = Env::new();
    let wanted = env.large("model.bin", 3 * MIB);
    env.hub
        .fault(On::content("model.bin").times(1), Fault::WrongStart(5));
    let report = env.fetch(&wanted);
    assert_verified(&report, &wanted);
    assert_eq!((report.fetched, report.retries), (3 * MIB, 1));
}

#[test]
fn a_server_that_ignores_ranges_costs_nothing_that_was_saved() {
    let env = Env::new();
    let wanted = env.large("model.bin", 5 * MIB);
    env.hub.fault(On::content("model.bin"), Fault::IgnoreRange);
    let report = env.fetch(&wanted);
    assert_verified(&report, &wanted);
    assert_eq!(report.fetched, 5 * MIB);

    // With a part on disk the server sends that part again, and it is skipped.
    let env = Env::new();
    let wanted = env.large("model.bin", 5 * MIB);
    env.hub
        .fault(On::content("model.bin").times(1), Fault::CutAfter(MIB));
    env.hub.fault(On::content("model.bin"), Fault::IgnoreRange);
    let report = env.fetch(&wanted);
    assert_verified(&report, &wanted);
    assert_eq!(report.fetched, 6 * MIB);
}

#[test]
fn a_refused_range_starts_over_once() {
    let env = Env::new();
    let wanted = env.large("model.bin", 3 * MIB);
    env.hub
        .fault(On::content("model.bin").times(1), Fault::CutAfter(MIB));
    env.hub.fault(
        On::content("model.bin").times(1),
        Fault::RangeNotSatisfiable,
    );
    let report = env.fetch(&wanted);
    assert_verified(&report, &wanted);
    assert_eq!(report.fetched, 4 * MIB);

    let env = Env::new();
    let wanted = env.large("model.bin", 3 * MIB);
    env.hub
        .fault(On::content("model.bin"), Fault::RangeNotSatisfiable);
    error_of(&env.fetch(&wanted));
    assert_eq!(env.hub.downloads("model.bin").len(), 2);
}

#[test]
fn a_missing_file_ends_at_once_and_alone() {
    let env = Env::new();
    let gone = env.wanted("gone.bin", vec![1; 2 << 20], ContentId::Sha256([0; 32]));
    let wanted = env.large("model.bin", 3 * MIB);
    let jobs = vec![gone.job.clone(), wanted.job.clone()];
    let reports = fetch(jobs, &env.options, &mut |_| ());
    assert_eq!(error_of(&reports[0]).kind, ErrorKind::NotFound);
    assert_eq!(reports[0].retries, 0);
    assert_verified(&reports[1], &wanted);
}

#[test]
fn a_server_in_trouble_is_asked_so_often_and_not_more() {
    let env = Env::new();
    for size in [3 * MIB, 1000] {
        let wanted = env.large("model.bin", size);
        env.hub.forget_requests();
        env.hub.fault(On::any(), Fault::Status(503));
        let report = env.fetch(&wanted);
        assert_eq!(error_of(&report).kind, ErrorKind::Hub);
        let attempts = env.options.retry.max_attempts;
        assert_eq!(report.retries, attempts - 1);
        assert_eq!(env.hub.requests().len(), attempts as usize);
        env.hub.heal();
    }
}

/// Sends a part of its bytes, then raises a stop flag, and says nothing more.
pub(crate) struct Silent {
    pub(crate) bytes: Vec<u8>,
    pub(crate) stop: StopFlag,
    pub(crate) released: Arc<(Mutex<bool>, Condvar)>,
}

impl ByteSource for Silent {
    fn open(&self, _range: Option<ByteRange>) -> Result<ByteStream, SourceError> {
        let last_words = LastWords(self.stop.clone(), self.released.clone());
        Ok(ByteStream {
            starts_at: 0,
            total_size: None,
            whole_file: false,
            wire_bytes: None,
            wire_total: None,
            reader: Box::new(Cursor::new(self.bytes.clone()).chain(last_words)),
        })
    }
}

struct LastWords(StopFlag, Arc<(Mutex<bool>, Condvar)>);

impl Read for LastWords {
    fn read(&mut self, _buffer: &mut [u8]) -> std::io::Result<usize> {
        self.0.raise(StopReason::Interrupted);
        let (released, changed) = &*self.1;
        let wait = changed.wait_while(released.lock().unwrap(), |released| !*released);
        drop(wait.unwrap());
        Ok(0)
    }
}

#[test]
fn a_stopped_run_keeps_what_came_and_leaves_a_silent_server_behind() {
    let mut env = Env::new();
    env.options.grace = Duration::from_millis(50);
    env.options.connections = 1;
    let mut wanted = env.large("model.bin", 5 * MIB);
    let waiting = env.large("other.bin", 5 * MIB);
    let honest = wanted.job.source.clone();
    let released = Arc::new((Mutex::new(false), Condvar::new()));
    wanted.job.source = Arc::new(Silent {
        bytes: wanted.bytes[..2 << 20].to_vec(),
        stop: env.options.limits.stop().clone(),
        released: released.clone(),
    });
    let jobs = vec![wanted.job.clone(), waiting.job.clone()];
    let reports = fetch(jobs, &env.options, &mut |_| ());
    assert_eq!(reports[0].result, FetchResult::Partial { kept: 2 * MIB });
    assert_eq!(reports[1].result, FetchResult::Partial { kept: 0 });
    assert_eq!(reports[0].fetched, 2 * MIB);

    // The connection that hangs may still write, so the file stays its own.
    env.begin_run(None);
    wanted.job.limits = env.lane.clone();
    wanted.job.source = honest;
    assert_eq!(env.fetch(&wanted).result, FetchResult::Busy);
    *released.0.lock().unwrap() = true;
    released.1.notify_all();
    let report = loop {
        let report = env.fetch(&wanted);
        if report.result != FetchResult::Busy {
            break report;
        }
    };
    assert_verified(&report, &wanted);
    assert_eq!(report.reused, 2 * MIB);
}

#[test]
fn a_transfer_budget_ends_the_run_and_the_next_one_continues() {
    let mut env = Env::new();
    env.begin_run(Some(2 * MIB));
    let mut wanted = env.large("model.bin", 5 * MIB);
    let report = env.fetch(&wanted);
    let reason = env.options.limits.stop().reason();
    assert_eq!(reason, Some(StopReason::TransferBudget));
    let FetchResult::Partial { kept } = report.result else {
        panic!("{report:?}");
    };
    assert_eq!(kept, report.fetched);
    assert!((2 * MIB..3 * MIB).contains(&kept), "{kept}");

    env.begin_run(None);
    wanted.job.limits = env.lane.clone();
    let report = env.fetch(&wanted);
    assert_verified(&report, &wanted);
    assert_eq!((report.fetched, report.reused), (5 * MIB - kept, kept));
}

#[test]
fn a_rate_limit_holds_over_all_connections() {
    let env = Env::new();
    env.options.limits.rate().store(8 * MIB, Ordering::Relaxed);
    let jobs: Vec<Wanted> = (0..3)
        .map(|n| env.large(&format!("model-{n}.bin"), 2 * MIB + n))
        .collect();
    let began = std::time::Instant::now();
    let reports = fetch(
        jobs.iter().map(|w| w.job.clone()).collect(),
        &env.options,
        &mut |_| (),
    );
    let least = Duration::from_millis(600);
    assert!(began.elapsed() > least, "{:?}", began.elapsed());
    for (report, wanted) in reports.iter().zip(&jobs) {
        assert_verified(report, wanted);
    }
}

#[test]
fn a_file_that_another_process_fetches_is_busy() {
    let env = Env::new();
    let wanted = env.large("model.bin", 3 * MIB);
    let mut second = None;
    let report = env.fetch_with(&wanted, &mut |event| {
        if let EngineEvent::Verified { file, .. } = event {
            // Not published yet, so not free for others.
            second = Some(env.fetch(&wanted).result);
            drop(file);
        }
    });
    assert_verified(&report, &wanted);
    assert_eq!(second, Some(FetchResult::Busy));
    assert_verified(&env.fetch(&wanted), &wanted);
}

/// Panics at its first request; answers the others.
struct Explosive(AtomicBool, Vec<u8>);

impl ByteSource for Explosive {
    fn open(&self, range: Option<ByteRange>) -> Result<ByteStream, SourceError> {
        assert!(self.0.swap(true, Ordering::SeqCst), "boom");
        let start = range.map_or(0, |range| range.start);
        Ok(ByteStream {
            starts_at: start,
            total_size: None,
            whole_file: false,
            wire_bytes: None,
            wire_total: None,
            reader: Box::new(Cursor::new(self.1[start as usize..].to_vec())),
        })
    }
}

#[test]
fn a_panic_costs_one_file() {
    for size in [3 << 20, 1000] {
        let env = Env::new();
        let mut broken = env.large("model.bin", size);
        broken.job.source = Arc::new(Explosive(AtomicBool::new(false), broken.bytes.clone()));
        let wanted = env.large("other.bin", 2 * MIB);
        let jobs = vec![broken.job.clone(), wanted.job.clone()];
        let reports = fetch(jobs, &env.options, &mut |_| ());
        assert_eq!(error_of(&reports[0]).kind, ErrorKind::Internal);
        assert_verified(&reports[1], &wanted);
        assert_verified(&env.fetch(&broken), &broken);
    }
}

#[test]
fn another_content_at_the_same_place_starts_from_nothing() {
    let env = Env::new();
    let old = env.large("model.bin", 3 * MIB);
    env.hub
        .fault(On::content("model.bin").times(1), Fault::CutAfter(MIB));
    env.hub.fault(On::any(), Fault::Status(404));
    error_of(&env.fetch(&old));
    env.hub.heal();
    let mut bytes = old.bytes.clone();
    bytes[0] ^= 1;
    let new = env.publish_lfs("model.bin", bytes);
    let report = env.fetch(&new);
    assert_verified(&report, &new);
    assert_eq!((report.fetched, report.reused), (3 * MIB, 0));
}

const CHILD: &str = "HFDL_TEST_ENGINE_CHILD";

/// Names the parts of a job for a child process: URL, etag, size, partial path.
fn child_fetches(wanted_by_parent: &str) {
    let parts: Vec<&str> = wanted_by_parent.split('|').collect();
    let limits = LimitGroup::default();
    let job = FetchJob {
        name: "model.bin".into(),
        content: ContentId::from_etag(parts[1]).unwrap(),
        size_bytes: parts[2].parse().unwrap(),
        partial: PathBuf::from(parts[3]),
        evidence: PathBuf::from(format!("{}.bad", parts[3])).into(),
        source: Arc::new(HttpSource::new(parts[0])),
        limits: limits.clone(),
        copies: None,
        rank: 0,
    };
    let options = EngineOptions {
        limits,
        connections: 4,
        ..EngineOptions::default()
    };
    fetch(vec![job], &options, &mut |event| {
        if let EngineEvent::Saved { bytes, .. } = event {
            let mut out = std::io::stdout();
            writeln!(out, "saved {bytes}").unwrap();
        }
    });
}

#[test]
fn a_killed_process_loses_nothing_that_it_saved() {
    const NAME: &str = "engine::a_killed_process_loses_nothing_that_it_saved";
    if let Ok(wanted) = std::env::var(CHILD) {
        return child_fetches(&wanted);
    }
    let env = Env::new();
    let wanted = env.large("model.bin", 40 * MIB);
    // Each connection brings so much and then hangs, until the process is killed.
    env.hub
        .fault(On::content("model.bin"), Fault::StallAfter(3 * MIB));
    let url = format!("{}/acme/tiny/resolve/main/model.bin", env.hub.endpoint());
    let partial: &Path = &wanted.job.partial;
    let told = [
        url,
        sha256_hex(&wanted.bytes),
        wanted.bytes.len().to_string(),
        partial.to_str().unwrap().to_owned(),
    ];
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", NAME, "--nocapture"])
        .env(CHILD, told.join("|"))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let saved = lines
        .map(|line| line.unwrap())
        .filter_map(|line| Some(line.split_once("saved ")?.1.parse::<u64>().unwrap()))
        .find(|saved| *saved >= 10 * MIB)
        .expect("the child saves what all its connections brought");
    child.kill().unwrap();
    child.wait().unwrap();
    let sent_before = env.sent("model.bin");
    env.hub.heal();

    let report = env.fetch(&wanted);
    assert_verified(&report, &wanted);
    assert!(report.reused >= saved, "{report:?}, {saved} saved");
    assert_eq!(report.fetched, 40 * MIB - report.reused);
    // Four connections, and at most the last stride of each is lost.
    let lost = sent_before + report.fetched - 40 * MIB;
    assert!(lost <= 4 * MIB, "{lost} bytes came twice");
}
