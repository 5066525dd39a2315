//! A reader of the rows of `data/truth_table.md`.
#![allow(clippy::unwrap_used)]

use hfdl::domain::schedule::{
    Cadence, CadenceKind, CatchUp, DueContext, ScheduleSpec, ScheduleState, Selection, Windows,
};
use hfdl::domain::time::Timestamp;
use hfdl::domain::units::Seconds;
use jiff::civil;
use jiff::tz::TimeZone;

const TABLE: &str = include_str!("../data/truth_table.md");

/// Returns all rows in their order.
pub fn rows() -> Vec<Row<'static>> {
    let rows: Vec<_> = TABLE.lines().filter_map(Row::parse).collect();
    let numbers: Vec<_> = rows.iter().map(|row| row.number).collect();
    assert_eq!(numbers, (1..=105).collect::<Vec<_>>());
    rows
}

/// One row; times are instants.
pub struct Row<'a> {
    pub number: usize,
    pub schedule: String,
    pub zone_name: &'a str,
    /// By its rules, so that no package of zone data can break a row.
    pub zone: TimeZone,
    pub not_before: Timestamp,
    pub last_slot: Option<Timestamp>,
    pub now: Timestamp,
    pub expected: &'a str,
    pub why: &'a str,
}

impl<'a> Row<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let cells: Vec<_> = line
            .split(" | ")
            .map(|cell| cell.trim_matches(['|', ' ']))
            .collect();
        let [
            number,
            schedule,
            zone,
            not_before,
            last_slot,
            now,
            expected,
            why,
        ] = cells[..]
        else {
            return None;
        };
        Some(Self {
            number: number.parse().ok()?,
            schedule: schedule.replace('\\', ""),
            zone_name: zone,
            zone: zone_by_rules(zone),
            not_before: instant(not_before),
            last_slot: (last_slot != "-").then(|| instant(last_slot)),
            now: instant(now),
            expected,
            why,
        })
    }

    /// Returns the schedule of the row, its state, and the time and rules of the check.
    pub fn inputs(&self) -> (ScheduleSpec, ScheduleState, DueContext) {
        let mut state = ScheduleState {
            anchor_at: self.not_before,
            not_before_at: self.not_before,
            next_due_at: None,
            last_slot_at: self.last_slot,
            open_slot_at: None,
            retry_at: None,
            retry_count: 0,
        };
        let mut look = DueContext {
            now: self.now,
            offset: Seconds(0),
            tick: Seconds(900),
        };
        let mut parts = self.schedule.split([',', ';']).peekable();
        // A comma with a blank behind it begins an option.
        let mut words = vec![parts.next().unwrap().to_owned()];
        for part in parts {
            match part.strip_prefix(' ') {
                Some(option) => words.push(option.to_owned()),
                None => {
                    let last = words.last_mut().unwrap();
                    last.push(',');
                    last.push_str(part);
                }
            }
        }
        let mut spec = self.spec(&words[0], &mut state);
        for option in &words[1..] {
            let (word, value) = option.split_once([' ', '=']).unwrap();
            match word {
                "enabled" => spec.enabled = value.parse().unwrap(),
                "within" => {
                    spec.catch_up = CatchUp::Once {
                        within: Some(value.parse().unwrap()),
                    }
                }
                "catch-up" => {
                    assert_eq!(value, "skip (tick 15m)");
                    spec.catch_up = CatchUp::Skip;
                }
                "window" | "windows" => spec.windows = Windows::parse(value.split(" + ")).unwrap(),
                "jitter" => {
                    let value = value.trim_start_matches("offset ").replace(' ', "");
                    look.offset = value.parse().unwrap();
                }
                "open" => state.open_slot_at = Some(self.local(value)),
                "retry" => state.retry_at = Some(self.local(value)),
                _ => panic!("row {}: unknown option `{option}`", self.number),
            }
        }
        (spec, state, look)
    }

    fn spec(&self, cadence: &str, state: &mut ScheduleState) -> ScheduleSpec {
        let (kind, text) = cadence.split_once(' ').unwrap();
        let (kind, text) = match kind {
            "every" => {
                let (every, anchor) = text.split_once(" anchor ").unwrap();
                state.anchor_at = instant(anchor);
                (CadenceKind::Interval, every.to_owned())
            }
            "weekly" | "monthly" => (kind.parse().unwrap(), text.replace(' ', "@")),
            kind => (kind.parse().unwrap(), text.to_owned()),
        };
        ScheduleSpec {
            name: "row".parse().unwrap(),
            cadence: Cadence::parse(kind, &text).unwrap(),
            time_zone: self.zone_name.to_owned(),
            windows: Windows::default(),
            catch_up: CatchUp::default(),
            jitter: Seconds(0),
            limit_rate: None,
            max_duration: None,
            max_transfer: None,
            limit_daily: None,
            limit_monthly: None,
            priority: Default::default(),
            enabled: true,
            selection: Selection::default(),
        }
    }

    /// Reads `01-12T03:00` in the year of now and `03:40` on its day.
    fn local(&self, text: &str) -> Timestamp {
        let today = self.zone.to_datetime(self.now).date();
        let text = match text.contains('T') {
            true => format!("{}-{text}", today.year()),
            false => format!("{today}T{text}"),
        };
        let local: civil::DateTime = text.parse().unwrap();
        self.zone
            .to_ambiguous_timestamp(local)
            .unambiguous()
            .unwrap()
    }
}

fn zone_by_rules(name: &str) -> TimeZone {
    let rules = match name {
        "UTC" => "UTC0",
        "America/New_York" => "EST5EDT,M3.2.0,M11.1.0",
        "America/Santiago" => "<-04>4<-03>,M9.1.6/24,M4.1.6/24",
        "Europe/Berlin" => "CET-1CEST,M3.5.0,M10.5.0/3",
        "Australia/Lord_Howe" => "<+1030>-10:30<+11>-11,M10.1.0,M4.1.0",
        "Africa/Cairo" => "EET-2EEST,M4.5.5/0,M10.5.4/24",
        "Antarctica/Troll" => "<+00>0<+02>-2,M3.5.0/1,M10.5.0/3",
        "Asia/Kolkata" => "IST-5:30",
        _ => panic!("no rules for `{name}`"),
    };
    TimeZone::posix(rules).unwrap()
}

pub fn instant(text: &str) -> Timestamp {
    text.parse()
        .unwrap_or_else(|error| panic!("`{text}`: {error}"))
}

/// Turns the table's local times with offsets into UTC.
pub fn normalise(expected: &str) -> String {
    let words = expected.split(' ').map(|word| {
        let word = word.trim_matches('*');
        match word.split_once('=') {
            Some((key, value)) if value.contains('T') => format!("{key}={}", instant(value)),
            _ => word.to_owned(),
        }
    });
    words.collect::<Vec<_>>().join(" ")
}
