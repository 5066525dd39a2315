//! Properties of every schedule, zone and moment.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use hfdl::domain::schedule::{
    Cadence, CadenceKind, CatchUp, CronExpr, DueContext, DueState, RateTable, ScheduleSpec,
    ScheduleState, Selection, Slots, Window, Windows, assess,
};
use hfdl::domain::time::Timestamp;
use hfdl::domain::units::Seconds;
use jiff::SignedDuration;
use jiff::civil::DateTime;
use jiff::tz::{TimeZone, TimeZoneDatabase};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed};

use crate::schedule_oracle::{Sample, calendar, changes, cron, moment, readings_near};

/// Always the same cases: a test that fails now and then helps nobody.
fn config(cases: u32) -> Config {
    Config {
        cases,
        rng_seed: RngSeed::Fixed(20_260_308),
        failure_persistence: None,
        ..Config::default()
    }
}

fn slots<'a>(sample: &'a Sample, zone: &'a TimeZone) -> Slots<'a> {
    Slots::new(&sample.cadence, zone, Timestamp::UNIX_EPOCH)
}

/// Lists the slots in `(after, until]` upwards, and checks that downwards they are the same.
fn list(slots: Slots<'_>, after: Timestamp, until: Timestamp) -> Vec<Timestamp> {
    let upwards: Vec<_> = slots
        .iter_after(after)
        .take_while(|at| *at <= until)
        .collect();
    let before = |at: Timestamp| slots.latest(after, at - SignedDuration::from_nanos(1));
    let mut downwards: Vec<_> =
        std::iter::successors(slots.latest(after, until), |at| before(*at)).collect();
    downwards.reverse();
    assert_eq!(upwards, downwards);
    assert_eq!(slots.count(after, until, 5_000), upwards.len());
    upwards
}

proptest! {
    #![proptest_config(config(96))]

    #[test]
    fn slots_are_those_of_a_walk_through_every_minute(
        sample in calendar(),
        (zone, start) in moment(),
    ) {
        // A repeated hour and both of its ends are looked at even then.
        let hours = if sample.is_dense() { 4 } else { 50 };
        let end = start + SignedDuration::from_hours(hours);
        let expected = sample.slots(&zone, start, end, 1);
        prop_assert_eq!(list(slots(&sample, &zone), start, end), expected);
    }
}

proptest! {
    #![proptest_config(config(128))]

    #[test]
    fn the_next_slot_is_the_first_one_after(
        sample in calendar(),
        (zone, start) in moment(),
        nanos in 0i64..120_000_000_000,
    ) {
        let slots = slots(&sample, &zone);
        let start = start + SignedDuration::from_nanos(nanos);
        if let Some(next) = slots.after(start) {
            prop_assert!(next > start);
            prop_assert_eq!(slots.latest(start, next), Some(next));
            let just_before = next - SignedDuration::from_nanos(1);
            prop_assert_eq!(slots.latest(start, just_before), None);
            prop_assert_eq!(slots.count(start, next, 5), 1);
            prop_assert_eq!(slots.after(just_before), Some(next));
        }
    }

    #[test]
    fn an_interval_is_a_grid_that_starts_at_its_anchor(
        minutes in 1u64..3_000,
        anchor in 1_700_000_000i64..1_800_000_000,
        distance in -2_000_000i64..2_000_000,
    ) {
        let cadence = Cadence::parse(CadenceKind::Interval, &format!("{minutes}m")).unwrap();
        let anchor = Timestamp::from_second(anchor).unwrap();
        let start = anchor + SignedDuration::from_secs(distance);
        let zone = TimeZone::UTC;
        let slots = Slots::new(&cadence, &zone, anchor);
        let next = slots.after(start).unwrap();
        // The grid starts with the minute of the anchor.
        let first = anchor.as_second() - anchor.as_second() % 60;
        prop_assert!(next > start && next.as_second() >= first);
        prop_assert!(((next.as_second() - first) as u64).is_multiple_of(minutes * 60));
        let gap = next.as_second() - start.as_second().max(first - 1);
        prop_assert!(gap as u64 <= minutes * 60);
        let end = start + SignedDuration::from_secs(minutes as i64 * 60 * 9);
        list(slots, start, end);
    }

    #[test]
    fn cron_agrees_with_croner_where_the_clock_is_never_changed(
        sample in cron(),
        (_, start) in moment(),
    ) {
        let text = sample.cadence.spec();
        let fields: Vec<_> = text.split(' ').collect();
        // croner lets one day field do even if the other is `*/2`.
        let stepped = |field: &str| field.starts_with("*/");
        prop_assume!(!stepped(fields[2]) && !stepped(fields[4]));
        agree_with_croner(&text, start, 4);
    }

    #[test]
    fn a_cadence_survives_rendering_and_parsing(
        sample in calendar(),
        seconds in 1u64..100_000,
    ) {
        let spec = sample.cadence.spec();
        let kind = sample.cadence.kind();
        let again = Cadence::parse(kind, &spec);
        prop_assert_eq!(again.as_ref(), Ok(&sample.cadence));
        prop_assert_eq!(again.unwrap().spec(), spec);
        let every = Cadence::Interval(Seconds(seconds * 60));
        prop_assert_eq!(Cadence::parse(CadenceKind::Interval, &every.spec()), Ok(every));
    }

    #[test]
    fn no_text_makes_a_parser_panic(
        text in "[-0-9*,/#@: LWTZHMFS?a-z]{0,24}",
        wild in "\\PC{0,16}",
    ) {
        for text in [&text, &wild] {
            for kind in CadenceKind::ALL {
                if let Ok(cadence) = Cadence::parse(*kind, text) {
                    prop_assert_eq!(Cadence::parse(*kind, &cadence.spec()), Ok(cadence));
                }
            }
            if let Ok(window) = text.parse::<Window>() {
                prop_assert_eq!(window.to_string().parse(), Ok(window));
            }
            if let Ok(table) = text.parse::<RateTable>() {
                prop_assert_eq!(table.to_string().parse(), Ok(table));
            }
        }
    }
}

/// Compares the next slots with those of croner, as far as it finds any;
/// returns how many were compared.
fn agree_with_croner(text: &str, start: Timestamp, count: usize) -> usize {
    let expr: CronExpr = text.parse().unwrap();
    let cadence = Cadence::Cron(expr);
    let zone = TimeZone::UTC;
    let slots = Slots::new(&cadence, &zone, start);
    let croner = croner::parser::CronParser::builder()
        .seconds(croner::parser::Seconds::Disallowed)
        .build()
        .parse(text)
        .unwrap();
    let mut reading: DateTime = zone.to_datetime(start);
    let mut at = start;
    for n_compared in 0..count {
        let Ok(expected) = croner.find_next_occurrence(&reading, false) else {
            return n_compared;
        };
        let next = slots.after(at).map(|next| zone.to_datetime(next));
        assert_eq!(next, Some(expected), "`{text}` after {reading}");
        (reading, at) = (expected, slots.after(at).unwrap());
    }
    count
}

#[test]
fn special_cron_days_agree_with_croner() {
    for text in [
        "0 3 L * *",
        "0 3 LW * *",
        "0 3 15W * *",
        "0 3 1W * *",
        "0 3 31W * *",
        "0 3 * * 5L",
        "0 3 * * FRI#2",
        "0 3 * * 5#5",
        "0 3 13 * FRI",
        "0 3 1,L * *",
        "0 3 29 2 *",
        "@weekly",
        "@yearly",
    ] {
        let start = "2026-01-31T12:00Z".parse().unwrap();
        assert_eq!(agree_with_croner(text, start, 30), 30, "{text}");
    }
}

/// Every zone, but only its shape: most zones share their rules with others.
#[test]
fn slots_survive_every_change_of_every_clock_in_the_world() {
    let mut n_changes = 0;
    let mut seen = BTreeSet::new();
    for name in TimeZoneDatabase::bundled().available() {
        let zone = TimeZoneDatabase::bundled().get(name.as_str()).unwrap();
        for change in changes(&zone) {
            n_changes += 1;
            let planned = Sample::daily(readings_near(&zone, change));
            compare(&planned, &zone, change, 26);

            let before = zone.to_datetime(change - SignedDuration::from_secs(1));
            let jump = (before.time(), zone.to_datetime(change).time());
            if seen.insert(jump) {
                compare(&Sample::every_minutes(15), &zone, change, 5);
                compare(
                    &Sample::daily((0..1440).step_by(15).collect()),
                    &zone,
                    change,
                    5,
                );
            }
        }
    }
    assert!(n_changes > 800, "only {n_changes} changes were tried");
}

/// Newfoundland did so until 2011; nobody does today.
#[test]
fn slots_survive_a_clock_that_is_put_back_to_yesterday() {
    let zone = TimeZone::posix("NST3:30NDT,M3.2.0/0:01,M11.1.0/0:01").unwrap();
    let midnight = BTreeSet::from([0, 1, 30, 1_380, 1_381, 1_410, 1_439]);
    let all = changes(&zone);
    assert_eq!(all.len(), 6);
    for change in all {
        for sample in [Sample::every_minutes(5), Sample::daily(midnight.clone())] {
            compare_by(1, &sample, &zone, change, 4);
            let slots = slots(&sample, &zone);
            for minute in -70..70 {
                let at = change + SignedDuration::from_mins(minute);
                let start = change - SignedDuration::from_hours(4);
                let expected = sample.slots(&zone, start, at, 1).pop();
                assert_eq!(slots.latest(start, at), expected, "{at}");
            }
        }
    }
}

fn compare(sample: &Sample, zone: &TimeZone, change: Timestamp, hours: i64) {
    // Today all clocks are changed by whole quarters of an hour.
    compare_by(15, sample, zone, change, hours);
}

fn compare_by(step: i64, sample: &Sample, zone: &TimeZone, change: Timestamp, hours: i64) {
    let around = SignedDuration::from_hours(hours);
    let (start, end) = (change - around, change + around);
    let expected = sample.slots(zone, start, end, step);
    let found = list(slots(sample, zone), start, end);
    let name = zone.iana_name().unwrap_or_default();
    assert_eq!(
        found,
        expected,
        "{name} at {change}: {}",
        sample.cadence.spec()
    );
}

fn windows() -> impl Strategy<Value = Windows> {
    let quarter = prop_oneof![0i16..16, 0i16..96].prop_map(|quarter| quarter * 15);
    let days = proptest::sample::select(&["", "Sun@", "Sat,Sun@", "Mon-Fri@"][..]);
    let window = (days, quarter.clone(), quarter).prop_filter_map("empty", |(days, from, to)| {
        let time = |minute: i16| format!("{:02}:{:02}", minute / 60, minute % 60);
        (from != to).then(|| format!("{days}{}-{}", time(from), time(to)))
    });
    proptest::collection::vec(window, 1..4).prop_map(|texts| Windows::parse(texts).unwrap())
}

proptest! {
    #![proptest_config(config(128))]

    #[test]
    fn windows_turn_where_they_say_and_nowhere_before(
        windows in windows(),
        (zone, start) in moment(),
    ) {
        let quarter = SignedDuration::from_mins(15);
        let start = Timestamp::from_second(start.as_second() / 900 * 900).unwrap();
        prop_assert_eq!(Windows::parse(windows.texts()), Ok(windows.clone()));
        let mut samples = std::iter::successors(Some(start), |at| Some(*at + quarter));
        let opens = windows.opens_at(&zone, start).unwrap();
        let expected = samples.find(|at| windows.is_open(&zone, *at));
        prop_assert_eq!(Some(opens), expected);
        // A week and a change of the clock decide; more openings are the same.
        let closes = windows.closes_after(&zone, opens);
        let expected = samples.take(15 * 96).find(|at| !windows.is_open(&zone, *at));
        prop_assert_eq!(closes, expected);
    }
}

/// A schedule with a history, and the moment at which it is looked at.
#[derive(Clone, Debug)]
struct DueCase {
    spec: ScheduleSpec,
    state: ScheduleState,
    zone: TimeZone,
    look: DueContext,
}

impl DueCase {
    fn ask(&self, now: Timestamp) -> DueState {
        let look = DueContext { now, ..self.look };
        assess(&self.spec, &self.state, &self.zone, &look).state
    }
}

fn is_to_do(state: &DueState) -> bool {
    matches!(state, DueState::Due(_) | DueState::Expired { .. })
}

fn cases() -> impl Strategy<Value = DueCase> {
    let catch_up = prop_oneof![
        Just(CatchUp::Once { within: None }),
        Just(CatchUp::Once {
            within: Some(Seconds(7_200))
        }),
        Just(CatchUp::Skip),
    ];
    let hours = 0i64..60 * 60;
    let what = (
        calendar(),
        moment(),
        proptest::option::of(windows()),
        catch_up,
    );
    let history = (
        hours.clone(),
        proptest::option::of(hours),
        any::<bool>(),
        0i64..5_000,
    );
    (what, history, 0u64..59).prop_map(|(what, history, offset)| {
        let (sample, (zone, now), windows, catch_up) = what;
        let (since, served, is_open, retry) = history;
        let ago = |minutes: i64| now - SignedDuration::from_mins(minutes);
        let slots = Slots::new(&sample.cadence, &zone, now);
        let last_slot_at = served.and_then(|served| slots.latest(ago(9_999), ago(served)));
        let open_slot_at = slots.latest(ago(2_000), now).filter(|_| is_open);
        DueCase {
            state: ScheduleState {
                anchor_at: ago(since),
                not_before_at: ago(since),
                next_due_at: None,
                last_slot_at,
                open_slot_at,
                // No further ahead than a day: such a time is not believed.
                retry_at: open_slot_at.map(|_| ago(retry - 1_400)),
                retry_count: 0,
            },
            spec: ScheduleSpec {
                name: "any".parse().unwrap(),
                cadence: sample.cadence,
                time_zone: "not asked".to_owned(),
                windows: windows.unwrap_or_default(),
                catch_up,
                jitter: Seconds(59),
                limit_rate: None,
                max_duration: None,
                max_transfer: None,
                limit_daily: None,
                limit_monthly: None,
                priority: Default::default(),
                enabled: true,
                selection: Selection::default(),
            },
            zone,
            look: DueContext {
                now,
                offset: Seconds(offset),
                tick: Seconds(900),
            },
        }
    })
}

proptest! {
    #![proptest_config(config(256))]

    #[test]
    fn the_next_look_is_early_and_never_late(case in cases(), share in 0.0f64..1.0) {
        let now = case.look.now;
        let state = case.ask(now);
        let Some(next) = state.next_check(now) else {
            return Ok(());
        };
        if next == now {
            prop_assert!(is_to_do(&state), "{state:?}");
            return Ok(());
        }
        prop_assert!(next > now);
        // Nothing can be done before it …
        let between = (next.as_second() - now.as_second() - 1) as f64 * share;
        for at in [between as i64, next.as_second() - now.as_second() - 1] {
            let before = case.ask(now + SignedDuration::from_secs(at));
            prop_assert!(!is_to_do(&before), "{before:?}");
        }
        // … and then there is something to do.
        let then = case.ask(next);
        match state {
            DueState::Wait { .. } => {
                let is_on_time = matches!(then, DueState::Due(due) if due.late == Seconds(0));
                prop_assert!(is_on_time, "{then:?}");
            }
            _ => prop_assert!(is_to_do(&then), "{then:?}"),
        }
    }

    #[test]
    fn a_due_slot_stays_due_until_served_expired_or_closed(case in cases(), later in 0i64..9_000) {
        let now = case.look.now;
        let DueState::Due(due) = case.ask(now) else {
            return Ok(());
        };
        prop_assert!(due.slot <= now);
        let later = now + SignedDuration::from_secs(later);
        match case.ask(later) {
            DueState::Due(newer) => prop_assert!(newer.slot >= due.slot),
            DueState::Expired { slot, .. } => prop_assert!(slot >= due.slot && !due.resume),
            DueState::Closed { .. } => prop_assert!(due.deadline.is_some_and(|at| at <= later)),
            other => prop_assert!(false, "{other:?}"),
        }
        let mut served = case;
        served.state.last_slot_at = Some(due.slot);
        served.state.open_slot_at = None;
        let after = served.ask(now);
        prop_assert!(matches!(after, DueState::Wait { .. } | DueState::Done), "{after:?}");
    }

    #[test]
    fn a_deadline_is_the_end_of_the_last_open_window(case in cases()) {
        let DueState::Due(due) = case.ask(case.look.now) else {
            return Ok(());
        };
        let windows = &case.spec.windows;
        if let Some(deadline) = due.deadline {
            prop_assert!(deadline > case.look.now);
            prop_assert!(!windows.is_open(&case.zone, deadline));
            let last_second = deadline - SignedDuration::from_secs(1);
            prop_assert!(windows.is_open(&case.zone, last_second));
        }
    }
}
