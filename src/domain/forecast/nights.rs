//! Forecasts of thirty simulated nights, compared with the time at which the models were whole.
//!
//! The world is played minute by minute, with a rate of each night that differs by up to
//! a third, ticks, a window, a limit of bytes for each run and an allowance for each day. After
//! each night from the third on, the forecast for the rest is compared with the outcome.
//! Stated error: at least eight of ten forecasts have the truth within their range; none
//! is wrong by more than a day and a third of the time that was left; and in total they are wrong
//! by less than a tenth of the time that was left. A limit of bytes that lasts about as long as
//! one period of the timer makes the error larger: half of the time is spent between runs.

use jiff::tz::TimeZone;

use super::{
    DayRate, Forecast, ForecastFacts, ForecastModel, ForecastSchedule, PastRates, RunLimits,
    forecast,
};
use crate::domain::allowance::{
    AllowanceKind, AllowancePeriod, AllowanceRule, AllowanceScope, Calendar,
};
use crate::domain::schedule::{Windows, shift};
use crate::domain::time::Timestamp;
use crate::domain::units::{ByteSize, Seconds};

const GIB: u64 = 1 << 30;
const NIGHTS: i64 = 30;

struct World {
    zone: TimeZone,
    windows: Windows,
    rule: AllowanceRule,
    max_transfer: Option<ByteSize>,
    now: Timestamp,
    left: Vec<f64>,
    whole_at: Vec<Option<Timestamp>>,
    days: Vec<DayRate>,
    spent_today: (Timestamp, f64),
}

impl World {
    fn new(max_transfer: Option<ByteSize>, daily: Option<ByteSize>, sizes: &[u64]) -> Self {
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        Self {
            windows: Windows::parse(["01:00-05:00"]).unwrap(),
            rule: AllowanceRule {
                scope: AllowanceScope::Home,
                name: String::new(),
                calendar: Calendar {
                    zone: zone.clone(),
                    billing_day: 1,
                },
                kind: AllowanceKind::Hard,
                daily,
                monthly: None,
            },
            zone,
            max_transfer,
            now: "2026-10-10T12:00:00Z".parse().unwrap(),
            left: sizes.iter().map(|size| *size as f64).collect(),
            whole_at: vec![None; sizes.len()],
            days: Vec::new(),
            spent_today: (Timestamp::MIN, 0.0),
        }
    }

    fn day(&self) -> Timestamp {
        self.rule.calendar.period(AllowancePeriod::Day, self.now).0
    }

    fn allowance_left(&mut self) -> f64 {
        let day = self.day();
        if self.spent_today.0 != day {
            self.spent_today = (day, 0.0);
        }
        let daily = self.rule.daily.map_or(f64::MAX, |size| size.bytes() as f64);
        daily - self.spent_today.1
    }

    /// Plays a day, minute by minute, with one rate.
    fn one_night(&mut self, rate: f64) {
        let mut run: Option<(f64, u64)> = None;
        let mut night = DayRate {
            bytes: 0,
            seconds: 0,
        };
        for _ in 0..24 * 60 {
            let is_tick = self.now.as_second() % 900 == 0;
            let may_flow = self.windows.is_open(&self.zone, self.now)
                && self.allowance_left() > 0.0
                && self.left.iter().any(|left| *left > 0.0);
            let most = self
                .max_transfer
                .map_or(f64::MAX, |size| size.bytes() as f64);
            let is_over = run.is_some_and(|(bytes, _)| bytes >= most) || !may_flow;
            if is_over && let Some((bytes, seconds)) = run.take() {
                night.bytes += bytes as u64;
                night.seconds += seconds;
            }
            if may_flow && is_tick {
                run.get_or_insert((0.0, 0));
            }
            if let Some((bytes, seconds)) = &mut run {
                let n_open = self.left.iter().filter(|left| **left > 0.0).count() as f64;
                let minute = (rate * 60.0).min(most - *bytes);
                for index in 0..self.left.len() {
                    let got = (minute / n_open).min(self.left[index]);
                    self.left[index] -= got;
                    *bytes += got;
                    self.spent_today.1 += got;
                    if got > 0.0 && self.left[index] < 1.0 {
                        self.left[index] = 0.0;
                        self.whole_at[index] = Some(shift(self.now, 60));
                    }
                }
                *seconds += 60;
            }
            self.now = shift(self.now, 60);
        }
        self.days.push(night);
    }

    fn forecasts(&mut self) -> Vec<Option<Forecast>> {
        let spent = self
            .rule
            .daily
            .map_or(0.0, |daily| daily.bytes() as f64 - self.allowance_left());
        let in_force = self
            .rule
            .in_force(self.now, |_| Ok::<_, ()>(spent as u64))
            .unwrap();
        let facts = ForecastFacts {
            now: self.now,
            tick: Seconds(900),
            not_before: self.now,
            rates: PastRates::of_days(&self.days),
            run: RunLimits {
                max_transfer: self.max_transfer,
                ..RunLimits::default()
            },
            schedules: vec![ForecastSchedule {
                priority: "50".parse().unwrap(),
                ready: self.now,
                windows: self.windows.clone(),
                zone: self.zone.clone(),
                limits: RunLimits::default(),
                allowance: None,
            }],
            models: (0..self.left.len())
                .map(|index| ForecastModel {
                    priority: "50".parse().unwrap(),
                    bytes_left: self.left[index] as u64,
                    schedules: vec![0],
                    allowances: vec![0],
                })
                .collect(),
            allowances: vec![(self.rule.clone(), in_force)],
        };
        forecast(&facts).into_iter().map(Result::ok).collect()
    }
}

/// Plays thirty nights; returns how many forecasts there were, how many had the truth
/// within their range, by how many seconds they were wrong, and how many were left.
fn play(world: &mut World, median: f64, seed: u64) -> [i64; 4] {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut told: Vec<(Timestamp, usize, Forecast)> = Vec::new();
    for night in 0..NIGHTS {
        world.one_night(median * (0.67 + 0.66 * random.f64()));
        if night < 2 {
            continue;
        }
        let now = world.now;
        let known = world.forecasts().into_iter().enumerate();
        let under_way = known.filter(|(index, _)| world.left[*index] > 0.0);
        told.extend(under_way.map(|(index, forecast)| (now, index, forecast.unwrap())));
    }
    let mut sums = [told.len() as i64, 0, 0, 0];
    for (then, index, forecast) in told {
        let truth = world.whole_at[index]
            .expect("whole after thirty nights")
            .as_second();
        let left = truth - then.as_second();
        let wrong = (truth - forecast.at.as_second()).abs();
        assert!(
            wrong <= 86_400 + left / 3,
            "seed {seed}: wrong by {wrong} s of {left} s: {forecast:?}"
        );
        let range = forecast.earliest..=forecast.latest.unwrap_or(Timestamp::MAX);
        let is_within = range.contains(&Timestamp::from_second(truth).unwrap());
        // The world moves by minutes, and its ticks are not those of the forecast.
        let is_near = wrong <= 900;
        sums[1] += i64::from(is_within || is_near);
        (sums[2], sums[3]) = (sums[2] + wrong, sums[3] + left);
    }
    sums
}

#[test]
fn thirty_nights_are_forecast_within_the_stated_error() {
    let mut sums = [0; 4];
    for seed in 1..=5 {
        // Bound by the line, by the allowance of the day, and by the bytes of a run.
        let worlds = [
            (None, None, [200 * GIB, 90 * GIB]),
            (None, Some(ByteSize(9 * GIB)), [150 * GIB, 60 * GIB]),
            (Some(ByteSize(3 * GIB)), None, [150 * GIB, 60 * GIB]),
        ];
        for (max_transfer, daily, sizes) in worlds {
            let mut world = World::new(max_transfer, daily, &sizes);
            let more = play(&mut world, 1e6, seed);
            sums = std::array::from_fn(|index| sums[index] + more[index]);
        }
    }
    let [n_told, n_right, wrong, left] = sums;
    assert!(n_told > 250, "{n_told}");
    assert!(n_right * 10 >= n_told * 8, "{n_right} of {n_told}");
    assert!(wrong * 10 < left, "wrong by {wrong} s of {left} s");
}

#[test]
fn runs_that_their_bytes_end_within_a_second_fetch_no_more() {
    let mut world = World::new(Some(ByteSize(1 << 20)), None, &[10 << 20]);
    world.days = vec![DayRate {
        bytes: 1 << 30,
        seconds: 10,
    }];
    world.windows = Windows::default();
    let forecast = world.forecasts()[0].clone().unwrap();
    // Ten runs: one now, and one at each of the next nine ticks.
    let last = shift(world.now, 9 * 900 + 1);
    assert_eq!((forecast.at, forecast.latest), (last, Some(last)));
}

#[test]
fn a_model_that_is_not_whole_within_the_horizon_has_no_forecast() {
    let mut world = World::new(None, Some(ByteSize(1 << 20)), &[200 * GIB]);
    world.one_night(1e6);
    assert_eq!(world.forecasts(), [None]);
}
