//! The engine while files are added to it, and the limits that some of them share.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use hfdl::download::{
    Engine, EngineEvent, EngineOptions, FetchJob, FetchResult, FileReport, LimitGroup,
    reusable_bytes,
};
use hfdl::sys::stop::StopReason;
use hfdl_test_hub::{Fault, On};

use crate::engine::{Env, Silent, Wanted, assert_verified};
use crate::support::process::Dice;
use crate::support::sound::say;

const MIB: u64 = 1 << 20;

/// Only a broken engine takes so long.
const FAR_TOO_LONG: Duration = Duration::from_secs(60);

impl Wanted {
    fn in_lane(mut self, lane: &LimitGroup) -> Self {
        self.job.limits = lane.clone();
        self
    }

    fn ranked(mut self, rank: u64) -> Self {
        self.job.rank = rank;
        self
    }

    fn job(&self) -> FetchJob {
        self.job.clone()
    }
}

/// Listens until the condition is met; returns the ends that were told meanwhile.
#[track_caller]
fn listen(
    engine: &mut Engine,
    mut on: impl FnMut(&EngineEvent),
    mut enough: impl FnMut(&Engine, &BTreeMap<usize, FileReport>) -> bool,
) -> BTreeMap<usize, FileReport> {
    let began = Instant::now();
    let mut reports = BTreeMap::new();
    while !enough(engine, &reports) {
        assert!(began.elapsed() < FAR_TOO_LONG, "so far only {reports:?}");
        let Some(event) = engine.next(Duration::from_millis(20)) else {
            continue;
        };
        on(&event);
        if let EngineEvent::Verified { report, .. } | EngineEvent::Ended { report } = event {
            let before = reports.insert(report.id.index(), report);
            assert_eq!(before, None, "reported twice");
        }
    }
    reports
}

#[track_caller]
fn until_idle(engine: &mut Engine, on: impl FnMut(&EngineEvent)) -> BTreeMap<usize, FileReport> {
    listen(engine, on, |engine, _| engine.is_idle())
}

#[track_caller]
fn kept(report: &FileReport) -> u64 {
    match report.result {
        FetchResult::Partial { kept } => kept,
        _ => panic!("{report:?}"),
    }
}

fn on_disk(wanted: &Wanted) -> u64 {
    let job = &wanted.job;
    reusable_bytes(&job.partial, &job.content, job.size_bytes)
}

/// Lets the line give each connection some MB/s.
fn slow_line(env: &Env, name: &str) {
    let pause = Duration::from_millis(5);
    env.hub
        .fault(On::content(name), Fault::Trickle(64 << 10, pause));
}

/// Raises a lane's flag as soon as so many bytes of a job have come.
fn stop_after(lane: &LimitGroup, of: usize, bytes: u64) -> impl FnMut(&EngineEvent) + use<> {
    let stop = lane.stop().clone();
    let mut came = 0;
    move |event| {
        if let EngineEvent::Progress { id, bytes } = event
            && id.index() == of
        {
            came += bytes;
        }
        if came >= bytes {
            stop.raise(StopReason::TimeBudget);
        }
    }
}

#[test]
fn a_file_that_is_added_to_a_pool_with_nothing_to_do_is_fetched() {
    let env = Env::new();
    let mut engine = Engine::start(env.options.clone());
    assert!(engine.is_idle());
    assert!(engine.next(Duration::ZERO).is_none());
    for size in [1000, 3 * MIB, 2000, 4 * MIB] {
        let wanted = env.large(&format!("{size}.bin"), size);
        let number = engine.add(wanted.job());
        assert!(!engine.is_idle());
        let reports = until_idle(&mut engine, |_| ());
        assert_verified(&reports[&number.index()], &wanted);
        assert!(engine.next(Duration::ZERO).is_none());
    }
    engine.close(&mut |event| panic!("{event:?}"));
}

#[test]
fn a_file_that_is_added_while_others_are_on_their_way_does_not_wait_for_them() {
    let env = Env::new();
    let slow = env.large("slow.bin", 30 * MIB);
    let added = [env.large("large.bin", 3 * MIB), env.large("small.bin", 500)];
    env.hub
        .fault(On::content("slow.bin").times(1), Fault::StallAfter(MIB));
    let mut engine = Engine::start(env.options.clone());
    let first = engine.add(slow.job());
    let mut came = 0;
    let mut numbers = Vec::new();
    // Not before the slow one is under way.
    while came < MIB {
        if let Some(EngineEvent::Progress { bytes, .. }) = engine.next(FAR_TOO_LONG) {
            came += bytes;
        }
    }
    for wanted in &added {
        numbers.push(engine.add(wanted.job()));
    }
    let reports = listen(&mut engine, |_| (), |_, reports| reports.len() == 2);
    assert!(!reports.contains_key(&first.index()) && !engine.is_idle());
    for (number, wanted) in numbers.iter().zip(&added) {
        assert_verified(&reports[&number.index()], wanted);
    }
    env.hub.heal();
    engine.close(&mut |_| ());
}

#[test]
fn a_lane_that_stops_in_mid_file_leaves_the_others_alone_and_is_resumed_later() {
    let env = Env::new();
    let lane = env.options.limits.child(None);
    let stopped = env.large("a.bin", 40 * MIB).in_lane(&lane);
    let other = env.large("b.bin", 12 * MIB);
    slow_line(&env, "a.bin");
    slow_line(&env, "b.bin");
    let mut engine = Engine::start(env.options.clone());
    let numbers = engine.add_all(vec![stopped.job(), other.job()]);
    let reports = until_idle(&mut engine, stop_after(&lane, numbers[0].index(), 3 * MIB));
    assert_verified(&reports[&1], &other);
    assert_eq!(reports[&1].fetched, 12 * MIB);
    let kept = kept(&reports[&0]);
    assert_eq!(kept, reports[&0].fetched);
    assert!((3 * MIB..40 * MIB).contains(&kept), "{kept}");
    assert_eq!(env.options.limits.stop().reason(), None);
    drop(engine);

    env.hub.heal();
    let report = env.fetch(&stopped.in_lane(&env.options.limits.child(None)));
    assert_eq!((report.fetched, report.reused), (40 * MIB - kept, kept));
    assert!(matches!(report.result, FetchResult::Verified { .. }));
}

#[test]
fn a_lane_ends_with_its_own_budget() {
    let env = Env::new();
    let lane = env.options.limits.child(Some(2 * MIB));
    let bounded = env.large("a.bin", 9 * MIB).in_lane(&lane);
    let other = env.large("b.bin", 9 * MIB);
    slow_line(&env, "a.bin");
    let mut engine = Engine::start(env.options.clone());
    engine.add_all(vec![bounded.job(), other.job()]);
    let reports = until_idle(&mut engine, |_| ());
    assert_verified(&reports[&1], &other);
    let kept = kept(&reports[&0]);
    assert!((2 * MIB..4 * MIB).contains(&kept), "{kept}");
    assert_eq!(lane.stop().reason(), Some(StopReason::TransferBudget));
    assert_eq!(lane.transferred(), reports[&0].fetched);
    assert_eq!(env.options.limits.stop().reason(), None);
}

#[test]
fn a_waiting_file_of_a_stopped_lane_ends_at_once_and_keeps_its_bytes() {
    let mut env = Env::new();
    env.options.files = 1;
    let lane = env.options.limits.child(None);
    // A part of this one is there from another day.
    let begun = env.large("begun.bin", 5 * MIB).in_lane(&lane);
    env.hub
        .fault(On::content("begun.bin").times(1), Fault::CutAfter(MIB));
    env.hub.fault(On::content("begun.bin"), Fault::Status(404));
    env.fetch(&begun);
    assert_eq!(on_disk(&begun), MIB);
    env.hub.heal();
    env.hub.forget_requests();

    let under_way = env.large("a.bin", 9 * MIB);
    env.hub
        .fault(On::content("a.bin").times(1), Fault::StallAfter(MIB));
    let mut engine = Engine::start(env.options.clone());
    engine.add(under_way.job());
    let waiting = engine.add(begun.job());
    listen(&mut engine, stop_after(&lane, 0, MIB), |_, _| {
        lane.stop().is_raised()
    });
    let reports = listen(&mut engine, |_| (), |_, reports| !reports.is_empty());
    assert_eq!(kept(&reports[&waiting.index()]), MIB);
    let late = engine.add(begun.job());
    let reports = listen(&mut engine, |_| (), |_, reports| !reports.is_empty());
    assert_eq!(kept(&reports[&late.index()]), MIB);
    assert_eq!(env.hub.downloads("begun.bin").len(), 0);
    env.hub.heal();
    engine.close(&mut |_| ());
}

#[test]
fn a_whole_file_of_a_stopped_lane_is_still_proven() {
    let env = Env::new();
    let lane = env.options.limits.child(None);
    let wanted = env.large("model.bin", 5 * MIB).in_lane(&lane);
    assert_verified(&env.fetch(&wanted), &wanted);
    env.hub.forget_requests();
    let mut engine = Engine::start(env.options.clone());
    engine.add(wanted.job());
    let reports = until_idle(&mut engine, |event| {
        if matches!(event, EngineEvent::Started { .. }) {
            lane.stop().raise(StopReason::TimeBudget);
        }
    });
    assert_verified(&reports[&0], &wanted);
    assert_eq!(env.hub.requests().len(), 0);
}

#[test]
fn a_silent_connection_of_a_stopped_lane_is_left_behind_and_the_others_go_on() {
    let mut env = Env::new();
    env.options.grace = Duration::from_millis(50);
    env.options.connections = 2;
    for size in [4 * MIB, 1000] {
        let lane = env.options.limits.child(None);
        let mut silent = env.large(&format!("silent-{size}"), size).in_lane(&lane);
        let name = format!("beside-{size}");
        let other = env.large(&name, 20 * MIB);
        slow_line(&env, &name);
        let released = Arc::new((Mutex::new(false), Condvar::new()));
        silent.job.source = Arc::new(Silent {
            bytes: silent.bytes[..size as usize / 2].to_vec(),
            stop: lane.stop().clone(),
            released: released.clone(),
        });
        let mut engine = Engine::start(env.options.clone());
        engine.add_all(vec![silent.job(), other.job()]);
        let told = listen(&mut engine, |_| (), |_, reports| reports.contains_key(&0));
        let has_journal = size > MIB;
        assert_eq!(kept(&told[&0]), if has_journal { size / 2 } else { 0 });
        assert!(!told.contains_key(&1), "the other one is slower than that");
        let rest = until_idle(&mut engine, |_| ());
        assert_verified(&rest[&1], &other);
        *released.0.lock().unwrap() = true;
        released.1.notify_all();
        engine.close(&mut |event| panic!("{event:?}"));
    }
}

#[test]
fn the_rates_of_the_run_and_of_the_lane_hold_at_once() {
    for (run, lane) in [
        (0, 8 * MIB),
        (8 * MIB, 0),
        (64 * MIB, 8 * MIB),
        (8 * MIB, 64 * MIB),
    ] {
        let env = Env::new();
        env.options.limits.rate().store(run, Ordering::Relaxed);
        env.lane.rate().store(lane, Ordering::Relaxed);
        let files: Vec<Wanted> = (0..3)
            .map(|n| env.large(&format!("{n}.bin"), 2 * MIB + n))
            .collect();
        let mut engine = Engine::start(env.options.clone());
        let began = Instant::now();
        engine.add_all(files.iter().map(Wanted::job).collect());
        let reports = until_idle(&mut engine, |_| ());
        let least = Duration::from_millis(600);
        assert!(
            began.elapsed() > least,
            "{run} {lane}: {:?}",
            began.elapsed()
        );
        for (number, wanted) in files.iter().enumerate() {
            assert_verified(&reports[&number], wanted);
        }
    }
}

#[test]
fn a_lane_that_waits_for_its_rate_lends_its_connections_to_the_others() {
    let mut env = Env::new();
    env.options.connections = 4;
    let lane = env.options.limits.child(None);
    // Its files would take hours.
    lane.rate().store(10, Ordering::Relaxed);
    let crawling: Vec<Wanted> = (0..20)
        .map(|n| env.large(&format!("a{n}.json"), 2000 + n).in_lane(&lane))
        .collect();
    let others: Vec<Wanted> = (0..20)
        .map(|n| env.large(&format!("b{n}.json"), 4000 + n))
        .collect();
    let mut engine = Engine::start(env.options.clone());
    engine.add(crawling[0].job());
    // The lane waits by now; bytes are counted when they are paid for.
    let waits = || lane.transferred() > 0;
    listen(&mut engine, |_| (), |_, _| waits());
    engine.add_all(crawling[1..].iter().map(Wanted::job).collect());
    let numbers = engine.add_all(others.iter().map(Wanted::job).collect());
    let is_other = |number: &usize| numbers.iter().any(|id| id.index() == *number);
    let reports = listen(&mut engine, |_| (), |_, reports| reports.len() == 20);
    assert!(reports.keys().all(is_other), "{reports:?}");
    let mut rest = 0;
    engine.close(&mut |event| rest += usize::from(event.is_end()));
    assert_eq!(rest, 20);
}

#[test]
fn files_are_begun_by_rank_and_large_ones_first() {
    let mut env = Env::new();
    env.options.connections = 1;
    env.options.files = 2;
    let ranked = |name: &str, size: u64, rank: u64| {
        let lane = env.options.limits.child(None);
        env.large(name, size).in_lane(&lane).ranked(rank)
    };
    let files = [
        ranked("small late", 1000, 9),
        ranked("large late", 3 * MIB, 9),
        ranked("small first of two", 1001, 5),
        ranked("small second of two", 1002, 5),
        ranked("large early", 3 * MIB + 1, 1),
        ranked("small early", 1003, 1),
        ranked("large middle", 3 * MIB + 2, 4),
    ];
    let mut engine = Engine::start(env.options.clone());
    engine.add_all(files.iter().map(Wanted::job).collect());
    let mut order = Vec::new();
    let reports = until_idle(&mut engine, |event| {
        if let EngineEvent::Started { id, .. } = event {
            order.push(files[id.index()].job.name.as_ref());
        }
    });
    assert_eq!(reports.len(), files.len());
    let expected = [
        "large early",
        "large middle",
        "small early",
        "small first of two",
        "small second of two",
        "small late",
        "large late",
    ];
    assert_eq!(order, expected);
}

#[test]
fn closing_saves_and_reports_what_has_not_ended() {
    let mut env = Env::new();
    env.options.files = 1;
    let under_way = env.large("a.bin", 40 * MIB);
    let waiting = env.large("b.bin", 5 * MIB);
    slow_line(&env, "a.bin");
    let mut engine = Engine::start(env.options.clone());
    engine.add_all(vec![under_way.job(), waiting.job()]);
    let mut came = 0;
    while came < 2 * MIB {
        if let Some(EngineEvent::Progress { bytes, .. }) = engine.next(FAR_TOO_LONG) {
            came += bytes;
        }
    }
    let mut reports = BTreeMap::new();
    engine.close(&mut |event| {
        if let EngineEvent::Verified { report, .. } | EngineEvent::Ended { report } = event {
            reports.insert(report.id.index(), report);
        }
    });
    assert_eq!(kept(&reports[&0]), on_disk(&under_way));
    assert_eq!(kept(&reports[&0]), reports[&0].fetched);
    assert!(came <= reports[&0].fetched);
    assert_eq!(kept(&reports[&1]), 0);
    assert_eq!(env.options.limits.stop().reason(), None);
}

#[test]
fn each_file_ends_exactly_once_with_stops_at_random_moments() {
    const SEED: u64 = 20_261_125;
    say(&format!("seed {SEED}"));
    let mut dice = Dice(SEED);
    let mut env = Env::new();
    let files: Vec<Wanted> = (0..12)
        .map(|n| {
            let size = if n % 3 == 0 { 2 * MIB + n } else { 3000 + n };
            env.large(&format!("f{n}.bin"), size)
        })
        .collect();
    for round in 0..60 {
        env.options = EngineOptions {
            limits: LimitGroup::default(),
            grace: Duration::from_millis(dice.below(3) * 20),
            ..env.options.clone()
        };
        let lanes = [(); 3].map(|()| {
            env.options
                .limits
                .child((dice.below(2) == 0).then_some(MIB))
        });
        let mut engine = Engine::start(env.options.clone());
        let mut ends = vec![0; files.len()];
        let mut verified = 0;
        let mut count = |event: EngineEvent| {
            verified += usize::from(matches!(event, EngineEvent::Verified { .. }));
            ends[event.id().index()] += usize::from(event.is_end());
        };
        for wanted in &files {
            let lane = &lanes[dice.below(3) as usize];
            engine.add(FetchJob {
                limits: lane.clone(),
                rank: dice.below(3),
                ..wanted.job()
            });
            for _ in 0..dice.below(8) {
                engine.next(Duration::from_millis(1)).map(&mut count);
            }
            if dice.below(8) == 0 {
                lane.stop().raise(StopReason::TimeBudget);
            }
            if dice.below(30) == 0 {
                env.options.limits.stop().raise(StopReason::Interrupted);
            }
        }
        let closes = dice.below(3) == 0;
        while !closes && !engine.is_idle() {
            engine.next(Duration::from_millis(20)).map(&mut count);
        }
        engine.close(&mut count);
        assert_eq!(ends, vec![1; files.len()], "round {round}");
        for wanted in &files {
            if dice.below(2) == 0 {
                let _ = std::fs::remove_file(&wanted.job.partial);
            }
        }
    }
}
