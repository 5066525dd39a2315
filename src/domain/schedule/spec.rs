//! The user's specification of a schedule, and the table of its fields.

use std::collections::BTreeSet;

use super::{Cadence, CadenceKind, RateTable, Windows, find_zone};
use crate::domain::allowance::parse_limit;
use crate::domain::field::Read::{Before, List, Number, Switch, Text};
use crate::domain::field::{Entity, Field, FieldValue, parsed, set, set_list};
use crate::domain::invalid_value::InvalidValue;
use crate::domain::model::{EntryName, ModelSpec, Priority, Tag};
use crate::domain::units::{ByteSize, Seconds};

/// The treatment of slots that were missed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CatchUp {
    /// Run once for all missed slots, unless the latest is older than the limit.
    Once { within: Option<Seconds> },
    /// Ignore missed slots; a lateness of two ticks is tolerated.
    Skip,
}

impl CatchUp {
    /// Combines the values of `--catch-up` and `--catch-up-within`.
    pub fn parse(word: &str, within: Option<Seconds>) -> Result<Self, InvalidValue> {
        match (word, within) {
            ("once", within) => Ok(Self::Once { within }),
            ("skip", None) => Ok(Self::Skip),
            ("skip", Some(_)) => Err(InvalidValue::is_not("skip with a limit", "a catch-up rule")
                .because("skipped slots are never caught up")
                .next("use `once` with the limit")),
            _ => Err(InvalidValue::is_not(word, "a catch-up rule").next("write once or skip")),
        }
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Once { .. } => "once",
            Self::Skip => "skip",
        }
    }

    pub fn within(self) -> Option<Seconds> {
        match self {
            Self::Once { within } => within,
            Self::Skip => None,
        }
    }
}

impl Default for CatchUp {
    fn default() -> Self {
        Self::Once { within: None }
    }
}

/// The models a schedule includes; the three selections are combined.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    pub all: bool,
    pub models: BTreeSet<EntryName>,
    pub tags: BTreeSet<Tag>,
}

impl Selection {
    /// Reports whether this selection includes a model, enabled or not.
    pub fn includes(&self, model: &ModelSpec) -> bool {
        self.all || self.models.contains(&model.name) || !self.tags.is_disjoint(&model.tags)
    }
}

/// The user's specification of a schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScheduleSpec {
    pub name: EntryName,
    pub cadence: Cadence,
    /// An IANA name that `jiff` knows.
    pub time_zone: String,
    pub windows: Windows,
    pub catch_up: CatchUp,
    pub jitter: Seconds,
    pub limit_rate: Option<RateTable>,
    pub max_duration: Option<Seconds>,
    pub max_transfer: Option<ByteSize>,
    /// Bytes that all runs of a day may fetch for it, by the calendar of its zone.
    pub limit_daily: Option<ByteSize>,
    pub limit_monthly: Option<ByteSize>,
    pub priority: Priority,
    pub enabled: bool,
    pub selection: Selection,
}

impl ScheduleSpec {
    /// Returns a schedule of no models with the default of each other field.
    pub fn new(name: EntryName, cadence: Cadence, time_zone: String) -> Self {
        Self {
            name,
            cadence,
            time_zone,
            windows: Windows::default(),
            catch_up: CatchUp::default(),
            jitter: Seconds(0),
            limit_rate: None,
            max_duration: None,
            max_transfer: None,
            limit_daily: None,
            limit_monthly: None,
            priority: Priority::default(),
            enabled: true,
            selection: Selection::default(),
        }
    }
}

impl Entity for ScheduleSpec {
    const FIELDS: &'static [Field<Self>] = FIELDS;

    fn with_defaults(&self) -> Self {
        let zone = self.time_zone.clone();
        let mut defaults = Self::new(self.name.clone(), self.cadence.clone(), zone);
        if self.selection == Selection::default() {
            // An empty selection is exported, too: its `models: []` differs from this name.
            defaults.selection.models.insert(self.name.clone());
        }
        defaults
    }
}

/// The keys of the cadences; a schedule has exactly one of them.
pub const CADENCE_KEYS: &[&str] = &["every", "daily", "weekly", "monthly", "cron", "once"];

/// The keys of the selection; a schedule has at least one of them.
pub const SELECTION_KEYS: &[&str] = &["all", "models", "tags"];

type ScheduleField = Field<ScheduleSpec>;

/// One of the alternative fields that hold the cadence.
macro_rules! cadence {
    ($key:literal, $kind:ident, $value_name:literal, $help:literal) => {
        ScheduleField::new(
            $key,
            |s| cadence(s, CadenceKind::$kind),
            Text(|s, text| set_cadence(s, CadenceKind::$kind, text)),
        )
        .json(None)
        .essential()
        .flag($key, $value_name, $help)
        .conflicts(CADENCE_KEYS)
    };
}

#[rustfmt::skip]
const FIELDS: &[ScheduleField] = &[
    ScheduleField::new("name", |s| FieldValue::text(&s.name), Before).json(None).essential(),
    cadence!("every", Interval, "DUR", "Repeat at this interval, counted from now: 15m, 6h, 2d"),
    cadence!("daily", Daily, "HH:MM[,HH:MM]", "Every day at these times"),
    cadence!("weekly", Weekly, "DAYS@HH:MM", "Every week, such as Mon,Thu@02:00"),
    cadence!("monthly", Monthly, "DAYS@HH:MM", "Every month, such as 1,15,last@04:00; 31 is the last day of a shorter month"),
    cadence!("cron", Cron, "EXPR", "A cron expression of five fields, or @daily and the like"),
    cadence!("once", Once, "TIME", "One time only, such as \"2026-06-01 08:00\" or \"tomorrow 08:00\""),
    ScheduleField::new("tz", |s| FieldValue::text(&s.time_zone), Text(set_zone)).json(None).essential()
        .flag("tz", "ZONE", "Time zone of all times, as an IANA name (default: the system's)"),
    ScheduleField::new("window", |s| FieldValue::list(s.windows.texts()), List(|s, texts| { s.windows = Windows::parse(texts.unwrap_or_default())?; Ok(()) }))
        .json(Some("windows"))
        .absent("any hour")
        .flag("window", "[DAYS@]HH:MM-HH:MM", "Hours in which downloads may run, such as 22:00-07:00 or Sat,Sun@00:00-24:00")
        .no("Run at any hour again"),
    ScheduleField::new("catch_up", |s| FieldValue::text(s.catch_up.as_str()), Text(|s, text| { s.catch_up = CatchUp::parse(text.unwrap_or("once"), None)?; Ok(()) }))
        .flag("catch-up", "once|skip", "Treatment of missed slots: once (one run for all of them) or skip"),
    // Read after the rule, which takes an older limit away.
    ScheduleField::new("catch_up_within", |s| FieldValue::optional(s.catch_up.within()), Text(|s, text| { s.catch_up = CatchUp::parse(s.catch_up.as_str(), parsed(text)?)?; Ok(()) }))
        .flag("catch-up-within", "DUR", "Skip missed slots older than this")
        .no("Catch up on slots of any age again"),
    ScheduleField::new("jitter", |s| FieldValue::text(s.jitter), Text(|s, text| set(&mut s.jitter, text)))
        .flag("jitter", "DUR", "Delay the start by a part of this time that is fixed for this host"),
    ScheduleField::new("limit_rate", |s| FieldValue::optional(s.limit_rate.as_ref()), Number(|s, text| { s.limit_rate = parsed(text)?; Ok(()) }))
        .absent("default (download.limit_rate)")
        .flag("limit-rate", "TABLE", "Bytes per second, or a timetable such as \"08:00,512K 19:00,10M 23:00,off\"")
        .no("Follow the setting download.limit_rate again"),
    ScheduleField::new("max_duration", |s| FieldValue::optional(s.max_duration), Text(|s, text| { s.max_duration = above_zero(parsed(text)?, Seconds::get)?; Ok(()) }))
        .absent("default (run.max_duration)")
        .flag("max-duration", "DUR", "End a run after this time; the next run continues")
        .no("Follow the setting run.max_duration again"),
    ScheduleField::new("max_transfer", |s| FieldValue::optional(s.max_transfer), Number(|s, text| { s.max_transfer = above_zero(parsed(text)?, ByteSize::bytes)?; Ok(()) }))
        .absent("default (run.max_transfer)")
        .flag("max-transfer", "SIZE", "End a run after this many bytes; the next run continues")
        .no("Follow the setting run.max_transfer again"),
    ScheduleField::new("limit_daily", |s| FieldValue::optional(s.limit_daily), Number(|s, text| { s.limit_daily = parse_limit(text)?; Ok(()) }))
        .absent("off")
        .flag("limit-daily", "SIZE", "Fetch at most this many bytes a day, over all runs of the schedule")
        .no("Remove the daily limit"),
    ScheduleField::new("limit_monthly", |s| FieldValue::optional(s.limit_monthly), Number(|s, text| { s.limit_monthly = parse_limit(text)?; Ok(()) }))
        .absent("off")
        .flag("limit-monthly", "SIZE", "Fetch at most this many bytes a month, over all runs of the schedule")
        .no("Remove the monthly limit"),
    ScheduleField::new("priority", |s| FieldValue::Number(s.priority.get().into()), Number(|s, text| set(&mut s.priority, text)))
        .flag("priority", "0..100", "Order of due work: 0 to 100, higher first (default: 50)"),
    ScheduleField::new("enabled", |s| FieldValue::Switch(s.enabled), Switch(|s, enabled| s.enabled = enabled)),
    ScheduleField::new("all", |s| FieldValue::Switch(s.selection.all), Switch(|s, all| s.selection.all = all)).essential()
        .flag("all", "", "Include every model")
        .conflicts(&["model", "tag"]),
    ScheduleField::new("models", |s| FieldValue::list(&s.selection.models), List(|s, texts| set_list(&mut s.selection.models, texts)))
        .essential()
        .flag("model", "NAME", "Include this model"),
    ScheduleField::new("tags", |s| FieldValue::list(&s.selection.tags), List(|s, texts| set_list(&mut s.selection.tags, texts)))
        .essential()
        .flag("tag", "TAG", "Include the models with this tag"),
];

fn cadence(schedule: &ScheduleSpec, kind: CadenceKind) -> FieldValue {
    let is_kind = schedule.cadence.kind() == kind;
    FieldValue::optional(is_kind.then(|| schedule.cadence.spec()))
}

fn set_cadence(
    schedule: &mut ScheduleSpec,
    kind: CadenceKind,
    text: Option<&str>,
) -> Result<(), InvalidValue> {
    if let Some(text) = text {
        schedule.cadence = Cadence::parse(kind, text)?;
    }
    Ok(())
}

fn set_zone(schedule: &mut ScheduleSpec, text: Option<&str>) -> Result<(), InvalidValue> {
    if let Some(name) = text {
        let zone = find_zone(name)?;
        schedule.time_zone = zone.iana_name().unwrap_or(name).to_owned();
    }
    Ok(())
}

/// Refuses a limit of zero, with which no run could ever do anything.
fn above_zero<T: Copy>(
    value: Option<T>,
    number: impl Fn(T) -> u64,
) -> Result<Option<T>, InvalidValue> {
    match value {
        Some(value) if number(value) == 0 => {
            Err(InvalidValue::new("it must be more than 0").next("give a larger one"))
        }
        other => Ok(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_catch_up_rule_is_a_word_with_an_optional_limit() {
        let limit = Some(Seconds(3600));
        for (word, within) in [("once", None), ("once", limit), ("skip", None)] {
            let rule = CatchUp::parse(word, within).unwrap();
            assert_eq!((rule.as_str(), rule.within()), (word, within));
        }
        assert!(CatchUp::parse("skip", limit).is_err());
        assert!(CatchUp::parse("always", None).is_err());
    }
}
