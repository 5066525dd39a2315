//! The expected slots, found by a walk through every minute.
//!
//! The oracle walks through real time step by step and reads the clock; it
//! never asks what instant a reading stands for, so it shares no idea with
//! the code under test.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fmt;

use hfdl::domain::schedule::{Cadence, CadenceKind};
use hfdl::domain::time::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::{TimeZone, TimeZoneDatabase};
use jiff::{SignedDuration, ToSpan};
use proptest::prelude::*;

/// A cadence and what it should mean.
#[derive(Clone)]
pub struct Sample {
    pub cadence: Cadence,
    /// Minutes since midnight.
    minutes: BTreeSet<i16>,
    dates: Dates,
    /// Real minutes rather than planned times.
    is_wildcard: bool,
}

#[derive(Clone, Debug)]
enum Dates {
    Every,
    Weekdays(BTreeSet<i8>),
    /// Days that count from the end if they are beyond it.
    Clamped(BTreeSet<i8>),
    Cron {
        days: Field,
        weekdays: Field,
    },
}

/// A cron field of numbers.
#[derive(Clone, Debug)]
struct Field {
    text: String,
    values: BTreeSet<i8>,
}

impl Field {
    fn begins_with_star(&self) -> bool {
        self.text.starts_with('*')
    }
}

impl fmt::Debug for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} `{}`", self.cadence.kind(), self.cadence.spec())
    }
}

impl Sample {
    /// A sample with planned times on every day.
    pub fn daily(minutes: BTreeSet<i16>) -> Self {
        let times: Vec<_> = minutes.iter().map(|minute| render(*minute)).collect();
        Self {
            cadence: Cadence::parse(CadenceKind::Daily, &times.join(",")).unwrap(),
            minutes,
            dates: Dates::Every,
            is_wildcard: false,
        }
    }

    /// A sample of real minutes on every day.
    pub fn every_minutes(step: i16) -> Self {
        Self {
            cadence: Cadence::parse(CadenceKind::Cron, &format!("*/{step} * * * *")).unwrap(),
            minutes: (0..1440).filter(|minute| minute % 60 % step == 0).collect(),
            dates: Dates::Every,
            is_wildcard: true,
        }
    }

    /// Tells that a day has so many slots that a few hours tell as much as days.
    pub fn is_dense(&self) -> bool {
        self.minutes.len() > 100
    }

    fn matches(&self, reading: DateTime) -> bool {
        let minute = i16::from(reading.hour()) * 60 + i16::from(reading.minute());
        self.minutes.contains(&minute) && self.dates.contain(reading.date())
    }

    /// Returns the slots in `(after, until]`, trying one instant every `step` minutes.
    pub fn slots(
        &self,
        zone: &TimeZone,
        after: Timestamp,
        until: Timestamp,
        step: i64,
    ) -> Vec<Timestamp> {
        let step = SignedDuration::from_mins(step);
        // Earlier readings tell the first pass of a repeated hour from the second.
        let mut at = after - SignedDuration::from_hours(26);
        let mut furthest = zone.to_datetime(at);
        let mut slots = Vec::new();
        while at < until {
            at += step;
            let reading = zone.to_datetime(at);
            let is_slot = if self.is_wildcard {
                self.matches(reading)
            } else {
                let mut is_slot = false;
                while furthest < reading {
                    furthest += step;
                    is_slot |= self.matches(furthest);
                }
                is_slot
            };
            if is_slot && at > after {
                slots.push(at);
            }
        }
        slots
    }
}

impl Dates {
    fn contain(&self, date: Date) -> bool {
        match self {
            Self::Every => true,
            Self::Weekdays(days) => days.contains(&date.weekday().to_sunday_zero_offset()),
            Self::Clamped(days) => {
                let is_last = date.tomorrow().unwrap().day() == 1;
                days.contains(&date.day()) || (is_last && days.iter().any(|day| *day > date.day()))
            }
            Self::Cron { days, weekdays } => {
                let by_month = days.values.contains(&date.day());
                let by_week = weekdays
                    .values
                    .contains(&date.weekday().to_sunday_zero_offset());
                if days.begins_with_star() || weekdays.begins_with_star() {
                    by_month && by_week
                } else {
                    by_month || by_week
                }
            }
        }
    }
}

fn render(minute: i16) -> String {
    format!("{:02}:{:02}", minute / 60, minute % 60)
}

fn field(least: i8, most: i8) -> impl Strategy<Value = Field> {
    let size = most - least + 1;
    let all = move || (least..=most).collect::<Vec<_>>();
    prop_oneof![
        2 => Just(("*".to_owned(), all())),
        1 => (1..=size).prop_map(move |step| {
            (format!("*/{step}"), all().into_iter().step_by(step as usize).collect())
        }),
        2 => proptest::collection::btree_set(least..=most, 1..4).prop_map(|values| {
            let texts: Vec<_> = values.iter().map(i8::to_string).collect();
            (texts.join(","), values.into_iter().collect())
        }),
        1 => (least..=most, least..=most, 1..=size).prop_map(|(one, other, step)| {
            let (low, high) = (one.min(other), one.max(other));
            let values = (low..=high).step_by(step as usize).collect();
            (format!("{low}-{high}/{step}"), values)
        }),
    ]
    .prop_map(|(text, values)| Field {
        text,
        values: values.into_iter().collect(),
    })
}

/// Any cron expression of numbers.
pub fn cron() -> impl Strategy<Value = Sample> {
    (field(0, 59), field(0, 23), field(1, 31), field(0, 6)).prop_map(
        |(minute, hour, days, weekdays)| {
            let text = [&minute, &hour, &days]
                .map(|field| field.text.as_str())
                .join(" ");
            let text = format!("{text} * {}", weekdays.text);
            let hours = hour.values.iter().map(|hour| i16::from(*hour) * 60);
            let minutes = hours
                .flat_map(|hour| minute.values.iter().map(move |at| hour + i16::from(*at)))
                .collect();
            Sample {
                cadence: Cadence::parse(CadenceKind::Cron, &text).unwrap(),
                minutes,
                is_wildcard: minute.begins_with_star() || hour.begins_with_star(),
                dates: Dates::Cron { days, weekdays },
            }
        },
    )
}

fn minutes() -> impl Strategy<Value = BTreeSet<i16>> {
    // Most clocks are changed in the first hours of a day.
    proptest::collection::btree_set(prop_oneof![0i16..240, 0i16..1440], 1..4)
}

/// Any calendar cadence.
pub fn calendar() -> impl Strategy<Value = Sample> {
    let weekdays = proptest::collection::btree_set(0i8..7, 1..4);
    let days = proptest::collection::btree_set(1i8..=31, 1..4);
    prop_oneof![
        2 => minutes().prop_map(Sample::daily),
        1 => (minutes(), weekdays).prop_map(|(minutes, days)| {
            const NAMES: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
            let names: Vec<_> = days.iter().map(|day| NAMES[*day as usize]).collect();
            let sample = Sample::daily(minutes);
            let text = format!("{}@{}", names.join(","), sample.cadence.spec());
            Sample {
                cadence: Cadence::parse(CadenceKind::Weekly, &text).unwrap(),
                dates: Dates::Weekdays(days),
                ..sample
            }
        }),
        1 => (minutes(), days).prop_map(|(minutes, days)| {
            let numbers: Vec<_> = days.iter().map(i8::to_string).collect();
            let sample = Sample::daily(minutes);
            let text = format!("{}@{}", numbers.join(","), sample.cadence.spec());
            Sample {
                cadence: Cadence::parse(CadenceKind::Monthly, &text).unwrap(),
                dates: Dates::Clamped(days),
                ..sample
            }
        }),
        4 => cron(),
    ]
}

/// A zone and an instant, mostly within two days of a change of its clock.
pub fn moment() -> impl Strategy<Value = (TimeZone, Timestamp)> {
    const ZONES: [&str; 16] = [
        "UTC",
        "Asia/Kolkata",
        "America/New_York",
        "America/St_Johns",
        "America/Santiago",
        "America/Havana",
        "America/Nuuk",
        "Atlantic/Azores",
        "Europe/Berlin",
        "Europe/Dublin",
        "Africa/Cairo",
        "Africa/Casablanca",
        "Asia/Beirut",
        "Antarctica/Troll",
        "Australia/Lord_Howe",
        "Pacific/Chatham",
    ];
    let near = prop_oneof![-48 * 60i64..48 * 60, -180i64..60];
    (proptest::sample::select(&ZONES[..]), 0usize..6, near).prop_map(|(name, nth, minutes)| {
        let zone = TimeZoneDatabase::bundled().get(name).unwrap();
        let start = "2025-01-01T00:00Z".parse().unwrap();
        let change = changes(&zone).get(nth).copied().unwrap_or(start);
        (zone, change + SignedDuration::from_mins(minutes))
    })
}

/// The instants in 2025 to 2027 at which a zone's clock is changed.
pub fn changes(zone: &TimeZone) -> Vec<Timestamp> {
    let start: Timestamp = "2025-01-01T00:00Z".parse().unwrap();
    let end: Timestamp = "2028-01-01T00:00Z".parse().unwrap();
    let changes = zone.following(start).map(|change| change.timestamp());
    changes.take_while(|at| *at < end).collect()
}

/// The readings at every quarter of an hour round a change of the clock.
pub fn readings_near(zone: &TimeZone, change: Timestamp) -> BTreeSet<i16> {
    let before = zone.to_datetime(change - 1.second());
    let after = zone.to_datetime(change);
    let minute = |at: DateTime| i16::from(at.hour()) * 60 + i16::from(at.minute());
    let quarters = [before, after].map(|at| minute(at) / 15 * 15);
    let near = quarters
        .into_iter()
        .flat_map(|at| [at - 15, at, at + 15, at + 30]);
    near.map(|at| at.rem_euclid(1440)).collect()
}
