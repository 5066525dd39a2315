//! A year of nights with kills, played through with the accounts and a real database.
//!
//! Connections request blocks of a MiB and receive a part of them; runs are killed at
//! random moments. A server may send all that was requested, so that a kill counts the
//! requests in progress as received. No day and no month may exceed its allowance, by the
//! true calendar, though the clock goes back in some runs; and at least two thirds of the
//! bytes of the year are used: kills do not eat up the allowances either.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::tz::TimeZone;

use super::Accounts;
use crate::domain::allowance::{
    AllowanceKind, AllowancePeriod, AllowanceRule, AllowanceScope, Calendar,
};
use crate::domain::schedule::shift;
use crate::domain::time::Timestamp;
use crate::domain::units::ByteSize;
use crate::download::LimitGroup;
use crate::store::Store;
use crate::sys::stop::StopFlag;

const MIB: u64 = 1 << 20;
const CONNECTIONS: usize = 4;
const DAILY: u64 = 60 * MIB;
const MONTHLY: u64 = 1_000 * MIB;

struct Year {
    random: fastrand::Rng,
    store: Store,
    rule: AllowanceRule,
    /// Bytes by the true start of their day and month.
    days: BTreeMap<Timestamp, u64>,
    months: BTreeMap<Timestamp, u64>,
    n_kills: u32,
}

impl Year {
    fn new(seed: u64, start: Timestamp) -> Self {
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        Self {
            random: fastrand::Rng::with_seed(seed),
            store: Store::in_memory(start).unwrap(),
            rule: AllowanceRule {
                scope: AllowanceScope::Home,
                name: String::new(),
                calendar: Calendar {
                    zone,
                    billing_day: 31,
                },
                kind: AllowanceKind::Hard,
                daily: Some(ByteSize(DAILY)),
                monthly: Some(ByteSize(MONTHLY)),
            },
            days: BTreeMap::new(),
            months: BTreeMap::new(),
            n_kills: 0,
        }
    }

    fn count(&mut self, at: Timestamp, bytes: u64) {
        let start = |period| self.rule.calendar.period(period, at).0;
        let (day, month) = (start(AllowancePeriod::Day), start(AllowancePeriod::Month));
        *self.days.entry(day).or_default() += bytes;
        *self.months.entry(month).or_default() += bytes;
    }

    /// Plays one run. `skew` is the error of its clock, in seconds.
    fn run(&mut self, start: Timestamp, seconds: i64, skew: i64) {
        let clock = |at: Timestamp| shift(at, skew);
        self.store.tidy_transfers(clock(start)).unwrap();
        let mut accounts = Accounts::default();
        let budget = accounts
            .budget(&self.store, self.rule.clone(), clock(start))
            .unwrap();
        accounts.begin_fetching();
        let limits = LimitGroup::root(StopFlag::new(), None).with_allowances([budget]);
        let killed_at = self.random.bool().then(|| self.random.i64(0..seconds));
        let mut requests = [0_u64; CONNECTIONS];
        for second in 0..seconds {
            let at = shift(start, second);
            for request in &mut requests {
                if *request == 0 {
                    *request = limits.reserve(MIB);
                }
            }
            if killed_at == Some(second) {
                self.n_kills += 1;
                self.count(at, requests.iter().sum());
                return;
            }
            for request in &mut requests {
                let got = self.random.u64(..MIB).min(*request);
                limits.spend(got, got);
                *request -= got;
                self.count(at, got);
            }
            // The coordinating thread is busy now and then.
            if self.random.u8(..) > 40 {
                let run_time = Duration::from_secs(second as u64);
                accounts.keep(&self.store, clock(at), run_time).unwrap();
            }
        }
        requests.iter().for_each(|rest| limits.give_back(*rest));
        let end = clock(shift(start, seconds));
        accounts.close(&self.store, end).unwrap();
    }
}

#[test]
fn a_year_of_killed_nights_exceeds_no_day_and_no_month() {
    let start: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    let mut year = Year::new(1, start);
    for night in 0..365 {
        let evening = shift(start, night * 86_400 + 20 * 3600);
        // In winter the second run begins before midnight of Berlin and goes on behind it.
        for hour in [0, 3, 8] {
            let begin = shift(evening, hour * 3600 - year.random.i64(0..600));
            let seconds = year.random.i64(10..50);
            // The run before has recorded the true day.
            let is_set_back = hour == 8 && year.random.u8(..) < 60;
            let skew = if is_set_back { -3 * 3600 } else { 0 };
            year.run(begin, seconds, skew);
        }
    }
    let block = CONNECTIONS as u64 * MIB;
    for (day, bytes) in &year.days {
        assert!(*bytes <= DAILY + block, "{day}: {bytes}");
    }
    for (month, bytes) in &year.months {
        assert!(*bytes <= MONTHLY + block, "{month}: {bytes}");
    }
    let used: u64 = year.months.values().sum();
    assert!(used >= 12 * MONTHLY * 2 / 3, "{} MiB", used / MIB);
    assert!(year.n_kills > 300, "{}", year.n_kills);
}
