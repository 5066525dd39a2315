//! Allowances: bytes per day or month, for the home, a schedule or a tag.
//!
//! A [`Calendar`] cuts time into days and months of a zone; a month may begin on a
//! billing day. The bytes of a period come from the ledger of the database, which
//! keeps sums of a quarter of an hour. All offsets of present time zones are whole
//! quarters, so that no sum lies in two days.
//!
//! A ledger record of the future means that the clock was set back. Its bytes count in
//! the present period, so that a clock set back gives no second allowance.

use std::collections::BTreeSet;

use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::field::parsed;
use super::model::Tag;
use super::outcome::{ErrorKind, words};
use super::schedule::{ScheduleId, shift};
use super::session::Trouble;
use super::time::{Timestamp, render_utc};
use super::units::{ByteSize, Seconds};
use crate::domain::invalid_value::InvalidValue;

/// The smallest allowance, and the rest that is too small to start a run for.
pub const BLOCK: u64 = 1 << 20;

/// The length of one sum in the ledger.
const QUARTER_SECONDS: i64 = 15 * 60;

/// The latest record counts as the present time while it is ahead of the clock by no
/// more than this. Later records come from a clock that was wrong.
const MOST_AHEAD: Seconds = Seconds(48 * 3600);

words! {
    AllowancePeriod {
        Day = "day",
        Month = "month",
    }
}

words! {
    /// The treatment of a spent allowance.
    AllowanceKind {
        /// Files in progress stop, too.
        Hard = "hard",
        /// Nothing new is started; files in progress end.
        Soft = "soft",
    }
}

/// The owner of an allowance, whose bytes it counts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AllowanceScope {
    Home,
    Schedule(ScheduleId),
    Tag(Tag),
}

impl AllowanceScope {
    /// Returns the word and the name of the scope in the ledger and in JSON.
    pub fn key(&self) -> (&'static str, String) {
        match self {
            Self::Home => ("home", String::new()),
            Self::Schedule(id) => ("schedule", id.0.to_string()),
            Self::Tag(tag) => ("tag", tag.to_string()),
        }
    }
}

/// Days and months of a zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Calendar {
    pub zone: TimeZone,
    /// The first day of a month, 1 to 31; a shorter month begins on its last day.
    pub billing_day: i8,
}

impl Calendar {
    /// Returns the start of the period of an instant, and that of the next one.
    pub fn period(&self, period: AllowancePeriod, at: Timestamp) -> (Timestamp, Timestamp) {
        let mut first = self.first_day(period, self.zone.to_datetime(at).date());
        // Clocks that go back across midnight show a date again that was over.
        if at < self.start_of(first) {
            first = self.previous(period, first);
        }
        loop {
            let next = self.next(period, first);
            let (start, end) = (self.start_of(first), self.start_of(next));
            if at < end || next <= first {
                return (start, end);
            }
            first = next;
        }
    }

    /// Returns the time at which bytes that arrive now are recorded: the start of the
    /// quarter, but not before that of the day.
    pub fn quarter(&self, at: Timestamp) -> Timestamp {
        let seconds = at.as_second();
        let quarter = shift(at, -seconds.rem_euclid(QUARTER_SECONDS));
        quarter.max(self.period(AllowancePeriod::Day, at).0)
    }

    /// Returns the first day of the period that contains a day.
    fn first_day(&self, period: AllowancePeriod, day: Date) -> Date {
        let first = self.begin_in_month_of(day);
        match period {
            AllowancePeriod::Day => day,
            AllowancePeriod::Month if first <= day => first,
            AllowancePeriod::Month => self.previous(period, first),
        }
    }

    fn next(&self, period: AllowancePeriod, first: Date) -> Date {
        match period {
            AllowancePeriod::Day => first.tomorrow().unwrap_or(Date::MAX),
            AllowancePeriod::Month => {
                let after = first.last_of_month().tomorrow().unwrap_or(Date::MAX);
                self.begin_in_month_of(after)
            }
        }
    }

    fn previous(&self, period: AllowancePeriod, first: Date) -> Date {
        match period {
            AllowancePeriod::Day => first.yesterday().unwrap_or(Date::MIN),
            AllowancePeriod::Month => {
                let before = first.first_of_month().yesterday().unwrap_or(Date::MIN);
                self.begin_in_month_of(before)
            }
        }
    }

    fn begin_in_month_of(&self, day: Date) -> Date {
        let number = self.billing_day.clamp(1, day.days_in_month());
        day.with().day(number).build().unwrap_or(day)
    }

    /// Returns the first moment of a day; after midnight where the clocks skip it.
    fn start_of(&self, day: Date) -> Timestamp {
        let midnight = day.to_zoned(self.zone.clone());
        midnight.map_or(Timestamp::MAX, |at| at.timestamp())
    }
}

/// The limits of one scope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllowanceRule {
    pub scope: AllowanceScope,
    /// The name of the schedule or tag for messages; empty for the home.
    pub name: String,
    pub calendar: Calendar,
    pub kind: AllowanceKind,
    pub daily: Option<ByteSize>,
    pub monthly: Option<ByteSize>,
}

impl AllowanceRule {
    pub fn has_limit(&self) -> bool {
        self.daily.or(self.monthly).is_some()
    }

    /// Returns the allowances in force. `spent_since` sums the ledger from an instant,
    /// records of the future included.
    pub fn in_force<E>(
        &self,
        at: Timestamp,
        spent_since: impl Fn(Timestamp) -> Result<u64, E>,
    ) -> Result<Vec<Allowance>, E> {
        let limits = [
            (AllowancePeriod::Day, self.daily),
            (AllowancePeriod::Month, self.monthly),
        ];
        let limits = limits
            .into_iter()
            .filter_map(|(p, limit)| Some((p, limit?)));
        let allowance = |(period, limit)| {
            let (began_at, renews_at) = self.calendar.period(period, at);
            Ok(Allowance {
                scope: self.scope.clone(),
                name: self.name.clone(),
                period,
                kind: self.kind,
                limit,
                spent: ByteSize(spent_since(began_at)?),
                began_at,
                renews_at,
                zone: self.calendar.zone.clone(),
            })
        };
        limits.map(allowance).collect()
    }
}

/// A limit with the bytes of its present period.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allowance {
    pub scope: AllowanceScope,
    pub name: String,
    pub period: AllowancePeriod,
    pub kind: AllowanceKind,
    pub limit: ByteSize,
    pub spent: ByteSize,
    pub began_at: Timestamp,
    pub renews_at: Timestamp,
    pub zone: TimeZone,
}

impl Allowance {
    pub fn left(&self) -> u64 {
        self.limit.bytes().saturating_sub(self.spent.bytes())
    }

    /// Tells whether too little is left to start a run for.
    pub fn is_spent(&self) -> bool {
        self.left() < BLOCK
    }

    /// Returns its name, such as "the allowance of the month for the tag `llm`".
    pub fn title(&self) -> String {
        let owner = match &self.scope {
            AllowanceScope::Home => String::new(),
            AllowanceScope::Schedule(_) => format!(" for the schedule `{}`", self.name),
            AllowanceScope::Tag(_) => format!(" for the tag `{}`", self.name),
        };
        format!("allowance of the {}{owner}", self.period)
    }

    /// Returns the day on which it begins anew, such as "Tue 1 Dec".
    pub fn renewal_day(&self) -> String {
        let at = self.renews_at.to_zoned(self.zone.clone());
        at.strftime("%a %-d %b").to_string()
    }

    /// Tells whether trouble is the message that it is spent.
    pub fn is_named_by(&self, trouble: &Trouble) -> bool {
        let start = format!("the {} is spent", self.title());
        trouble.kind == ErrorKind::Allowance && trouble.message.starts_with(&start)
    }

    /// Explains that it is spent.
    pub fn spent_message(&self) -> String {
        format!(
            "the {} is spent ({} of {}); it begins anew on {}",
            self.title(),
            self.spent.render_short(),
            self.limit.render_short(),
            self.renewal_day()
        )
    }

    /// Explains in one line that it is spent, and how to go beyond it.
    pub fn spent_line(&self) -> String {
        let owner = if self.scope == AllowanceScope::Home {
            " for this home"
        } else {
            ""
        };
        format!(
            "the {}{owner} is spent ({} of {}); it begins anew on {}; {}",
            self.title(),
            self.spent.render_short(),
            self.limit.render_short(),
            self.renewal_day(),
            self.way_out()
        )
    }

    /// Names the commands that go beyond it.
    pub fn way_out(&self) -> String {
        let word = match self.period {
            AllowancePeriod::Day => "daily",
            AllowancePeriod::Month => "monthly",
        };
        let change = match &self.scope {
            AllowanceScope::Home => format!("config set limit.{word} SIZE"),
            AllowanceScope::Schedule(_) => {
                format!("schedules set {} --limit-{word} SIZE", self.name)
            }
            AllowanceScope::Tag(_) => format!("tags set {} --limit-{word} SIZE", self.name),
        };
        format!("`hfdl run-due --ignore-limits` goes beyond it now, and `hfdl {change}` changes it")
    }

    /// Returns the line of the record of told allowances: its end, its owner, its limit.
    fn told_line(&self) -> String {
        let (kind, name) = self.scope.key();
        let end = render_utc(self.renews_at);
        format!("{end} {kind}:{name} {} {}", self.period, self.limit.bytes())
    }
}

/// Decides which spent allowances a person is told of: each once in its period, and once
/// more when its limit has changed.
///
/// `told` is the record of earlier calls, one a line. Returns the new record as well.
pub fn tell_once(spent: &[Allowance], told: &str, now: Timestamp) -> (Vec<Allowance>, String) {
    let is_present = |line: &&str| {
        let end = line.split(' ').next().and_then(|end| end.parse().ok());
        end.is_some_and(|end: Timestamp| end > now)
    };
    let mut record: BTreeSet<String> = told.lines().filter(is_present).map(str::to_owned).collect();
    let mut news = spent.to_vec();
    news.retain(|one| record.insert(one.told_line()));
    let lines: Vec<String> = record.into_iter().collect();
    (news, lines.join("\n"))
}

/// Parses a limit of a day or a month.
pub fn parse_limit(text: Option<&str>) -> Result<Option<ByteSize>, InvalidValue> {
    let size: Option<ByteSize> = parsed(text)?;
    match size {
        Some(size) if size.bytes() < BLOCK => Err(InvalidValue::new("it must be at least 1M")),
        size => Ok(size),
    }
}

/// Returns the spent allowance that begins anew last.
pub fn last_to_renew<'a>(
    allowances: impl IntoIterator<Item = &'a Allowance>,
) -> Option<&'a Allowance> {
    let spent = allowances.into_iter().filter(|one| one.is_spent());
    spent.max_by_key(|one| one.renews_at)
}

/// Returns the time at which bytes count: that of the latest record if the clock was
/// set back a little, so that a day is not counted twice.
pub fn counting_time(now: Timestamp, latest: Option<Timestamp>) -> Timestamp {
    let ahead = latest.filter(|latest| *latest > now && *latest <= latest_kept(now));
    ahead.unwrap_or(now)
}

/// Returns the latest date that a record may have; a later one is dated anew.
pub fn latest_kept(now: Timestamp) -> Timestamp {
    now.saturating_add(MOST_AHEAD.span()).unwrap_or(now)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn calendar(zone: &str, billing_day: i8) -> Calendar {
        let zone = TimeZone::get(zone).unwrap();
        Calendar { zone, billing_day }
    }

    fn months(zone: &str, billing_day: i8, now: &str) -> [String; 2] {
        let (start, end) = calendar(zone, billing_day).period(AllowancePeriod::Month, at(now));
        [start.to_string(), end.to_string()]
    }

    #[test]
    fn a_billing_day_beyond_a_short_month_is_its_last_day() {
        assert_eq!(
            months("UTC", 31, "2026-02-27T12:00:00Z"),
            ["2026-01-31T00:00:00Z", "2026-02-28T00:00:00Z"]
        );
        assert_eq!(
            months("UTC", 31, "2026-02-28T00:00:00Z"),
            ["2026-02-28T00:00:00Z", "2026-03-31T00:00:00Z"]
        );
        assert_eq!(
            months("Europe/Berlin", 1, "2026-03-31T21:59:59Z"),
            ["2026-02-28T23:00:00Z", "2026-03-31T22:00:00Z"]
        );
    }

    #[test]
    fn a_day_has_23_or_25_hours_when_the_clocks_change_and_begins_after_a_skipped_midnight() {
        let hours = |zone: &str, now: &str| {
            let (start, end) = calendar(zone, 1).period(AllowancePeriod::Day, at(now));
            (end.as_second() - start.as_second()) / 3600
        };
        assert_eq!(hours("Europe/Berlin", "2026-03-29T12:00:00Z"), 23);
        assert_eq!(hours("Europe/Berlin", "2026-10-25T12:00:00Z"), 25);
        assert_eq!(hours("Africa/Cairo", "2026-04-24T12:00:00Z"), 23);
    }

    #[test]
    fn a_clock_set_back_stays_at_the_latest_record_and_a_wrong_one_is_not_followed() {
        let now = at("2026-05-10T12:00:00Z");
        let later = |hours: i64| Some(shift(now, hours * 3600));
        assert_eq!(counting_time(now, later(30)), shift(now, 30 * 3600));
        assert_eq!(counting_time(now, later(49)), now);
        assert_eq!(counting_time(now, later(-5)), now);
        assert_eq!(counting_time(now, None), now);
    }

    #[test]
    fn less_than_a_block_is_spent_and_the_message_names_limit_and_renewal() {
        let rule = AllowanceRule {
            scope: AllowanceScope::Home,
            name: String::new(),
            calendar: calendar("Europe/Berlin", 1),
            kind: AllowanceKind::Hard,
            daily: None,
            monthly: Some(ByteSize(50 << 30)),
        };
        let now = at("2026-11-20T12:00:00Z");
        let with = |left: u64| {
            let all = rule.in_force(now, |_| Ok::<_, ()>((50 << 30) - left));
            all.unwrap().remove(0)
        };
        assert!(!with(BLOCK).is_spent());
        assert!(with(BLOCK - 1).is_spent());
        assert_eq!(
            with(0).spent_message(),
            "the allowance of the month is spent (50.0 GiB of 50.0 GiB); it begins anew on Tue 1 Dec"
        );
    }

    #[test]
    fn a_spent_allowance_is_told_once_in_its_period_and_again_with_another_limit() {
        let allowance = |daily: u64, now: Timestamp| {
            let rule = AllowanceRule {
                scope: AllowanceScope::Tag("llm".parse().unwrap()),
                name: "llm".to_owned(),
                calendar: calendar("UTC", 1),
                kind: AllowanceKind::Hard,
                daily: Some(ByteSize(daily)),
                monthly: None,
            };
            rule.in_force(now, |_| Ok::<_, ()>(daily)).unwrap()
        };
        let (today, tonight) = (at("2026-05-10T12:00:00Z"), at("2026-05-10T23:00:00Z"));
        let spent = allowance(BLOCK, today);
        let (news, told) = tell_once(&spent, "", today);
        assert_eq!(news, spent);
        assert_eq!(told, "2026-05-11T00:00:00Z tag:llm day 1048576");
        assert!(
            news[0]
                .way_out()
                .contains("hfdl tags set llm --limit-daily SIZE")
        );
        let later = tell_once(&allowance(BLOCK, tonight), &told, tonight);
        assert_eq!(later, (Vec::new(), told.clone()));
        let (raised, told) = tell_once(&allowance(2 * BLOCK, tonight), &told, tonight);
        assert_eq!((raised.len(), told.lines().count()), (1, 2));
        let tomorrow = at("2026-05-11T01:00:00Z");
        let (news, told) = tell_once(&allowance(BLOCK, tomorrow), &told, tomorrow);
        assert_eq!((news.len(), told.lines().count()), (1, 1));
    }

    proptest! {
        /// Periods are contiguous and contain their instant, in zones with every kind of
        /// clock change, for ten years.
        #[test]
        fn each_instant_is_in_exactly_one_period(
            zone in prop::sample::select(vec![
                "UTC", "Europe/Berlin", "America/New_York", "Africa/Cairo", "America/Havana",
                "Atlantic/Azores", "Asia/Kathmandu", "Australia/Lord_Howe", "Pacific/Apia",
                "America/St_Johns", "America/Asuncion", "Asia/Tehran",
            ]),
            billing_day in 1i8..=31,
            second in 1_750_000_000i64..2_065_000_000,
            is_day in any::<bool>(),
        ) {
            let calendar = calendar(zone, billing_day);
            let period = if is_day { AllowancePeriod::Day } else { AllowancePeriod::Month };
            let now = Timestamp::from_second(second).unwrap();
            let (start, end) = calendar.period(period, now);
            prop_assert!(start <= now && now < end, "{start} {now} {end}");
            prop_assert_eq!(calendar.period(period, start), (start, end));
            prop_assert_eq!(calendar.period(period, shift(end, -1)), (start, end));
            prop_assert_eq!(calendar.period(period, end).0, end);
            let quarter = calendar.quarter(now);
            prop_assert!(quarter <= now && quarter >= calendar.period(AllowancePeriod::Day, now).0);
        }
    }
}
