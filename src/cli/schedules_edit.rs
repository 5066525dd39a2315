//! What `schedules add` and `schedules set` have in common: the flags that
//! describe a schedule, and what they mean.

use anyhow::Result;
use clap::Args;

use super::context::Context;
use super::explain::Complaint;
use crate::domain::model::{EntryName, Priority, Tag};
use crate::domain::outcome::words;
use crate::domain::schedule::{
    Cadence, CadenceKind, CatchUp, RateTable, ScheduleSpec, Selection, Windows, find_zone,
};
use crate::domain::units::{ByteSize, Seconds};

words! {
    /// What `--catch-up` may say.
    CatchUpWord {
        Once = "once",
        Skip = "skip",
    }
}

/// When a schedule looks: exactly one of these.
#[derive(Debug, Default, Args)]
#[group(multiple = false)]
pub struct CadenceFlags {
    /// Every so often, counted from now: 15m, 6h, 2d
    #[arg(long, value_name = "DUR")]
    every: Option<String>,

    /// Every day at these times
    #[arg(long, value_name = "HH:MM[,HH:MM]")]
    daily: Option<String>,

    /// Every week, such as Mon,Thu@02:00
    #[arg(long, value_name = "DAYS@HH:MM")]
    weekly: Option<String>,

    /// Every month, such as 1,15,last@04:00; 31 is the last day of a shorter month
    #[arg(long, value_name = "DAYS@HH:MM")]
    monthly: Option<String>,

    /// A cron expression of five fields, or @daily and the like
    #[arg(long, value_name = "EXPR")]
    cron: Option<String>,

    /// One time only, such as "2026-06-01 08:00"
    #[arg(long, value_name = "TIME")]
    once: Option<String>,
}

impl CadenceFlags {
    pub fn is_empty(&self) -> bool {
        self.given().is_none()
    }

    fn given(&self) -> Option<(CadenceKind, &str)> {
        [
            (CadenceKind::Interval, &self.every),
            (CadenceKind::Daily, &self.daily),
            (CadenceKind::Weekly, &self.weekly),
            (CadenceKind::Monthly, &self.monthly),
            (CadenceKind::Cron, &self.cron),
            (CadenceKind::Once, &self.once),
        ]
        .into_iter()
        .find_map(|(kind, text)| Some((kind, text.as_deref()?)))
    }

    fn parse(&self) -> Result<Option<Cadence>> {
        Ok(self
            .given()
            .map(|(kind, text)| Cadence::parse(kind, text))
            .transpose()?)
    }
}

/// What else may be said about a schedule.
#[derive(Debug, Default, Args)]
pub struct ScheduleFlags {
    /// Time zone of all times, as an IANA name (default: the system's)
    #[arg(long, value_name = "ZONE")]
    pub tz: Option<String>,

    /// Cover every model
    #[arg(long, conflicts_with_all = ["model", "tag"])]
    pub all: bool,

    /// Cover this model
    #[arg(long, value_name = "NAME")]
    pub model: Vec<EntryName>,

    /// Cover the models with this tag
    #[arg(long)]
    pub tag: Vec<Tag>,

    /// Hours in which bytes may flow, such as 22:00-07:00 or Sat,Sun@00:00-24:00
    #[arg(long, value_name = "[DAYS@]HH:MM-HH:MM")]
    pub window: Vec<String>,

    /// What becomes of slots that were missed: once (run once for all) or skip
    #[arg(long, value_name = "once|skip")]
    pub catch_up: Option<CatchUpWord>,

    /// Do not catch up with a slot that is older
    #[arg(long, value_name = "DUR")]
    pub catch_up_within: Option<Seconds>,

    /// Spread the start over so much time, by a share that this host keeps
    #[arg(long, value_name = "DUR")]
    pub jitter: Option<Seconds>,

    /// Bytes per second, or a time table such as "08:00,512K 19:00,10M 23:00,off"
    #[arg(long, value_name = "TABLE")]
    pub limit_rate: Option<String>,

    /// End a run after so much time; the next one goes on
    #[arg(long, value_name = "DUR")]
    pub max_duration: Option<Seconds>,

    /// End a run after so many bytes; the next one goes on
    #[arg(long, value_name = "SIZE")]
    pub max_transfer: Option<ByteSize>,

    /// What is done first: 0 to 100, higher first (default: 50)
    #[arg(long, value_name = "0..100")]
    pub priority: Option<Priority>,
}

impl ScheduleFlags {
    pub fn is_empty(&self) -> bool {
        self.tz.is_none()
            && self.selection().is_none()
            && self.window.is_empty()
            && self.catch_up.is_none()
            && self.catch_up_within.is_none()
            && self.jitter.is_none()
            && self.limit_rate.is_none()
            && self.max_duration.is_none()
            && self.max_transfer.is_none()
            && self.priority.is_none()
    }

    fn selection(&self) -> Option<Selection> {
        let selection = Selection {
            all: self.all,
            models: self.model.iter().cloned().collect(),
            tags: self.tag.iter().cloned().collect(),
        };
        (selection != Selection::default()).then_some(selection)
    }

    /// Makes a new schedule of the flags.
    pub fn describe(
        self,
        context: &Context,
        name: EntryName,
        cadence: &CadenceFlags,
    ) -> Result<ScheduleSpec> {
        let cadence = cadence.parse()?.ok_or_else(|| {
            Complaint::usage("it is not said when to look")
                .next("give one of --every, --daily, --weekly, --monthly, --cron and --once")
        })?;
        let selection = self.selection().ok_or_else(|| {
            Complaint::usage("it is not said what to look at")
                .next("give --all, --model NAME or --tag TAG")
        })?;
        let time_zone = match &self.tz {
            Some(zone) => canonical_zone(zone)?,
            None => context.host.time_zone_name().ok_or_else(|| {
                Complaint::usage("the system's time zone has no name")
                    .next("give --tz, such as --tz Europe/Berlin")
            })?,
        };
        let mut spec = ScheduleSpec {
            name,
            cadence,
            time_zone,
            windows: Windows::parse(Vec::<String>::new())?,
            catch_up: CatchUp::default(),
            jitter: Seconds::default(),
            limit_rate: None,
            max_duration: None,
            max_transfer: None,
            priority: Priority::default(),
            enabled: true,
            selection,
        };
        self.change_limits(&mut spec)?;
        Ok(spec)
    }

    /// Changes what the flags name and leaves the rest.
    pub fn change(self, spec: &mut ScheduleSpec, cadence: &CadenceFlags) -> Result<()> {
        if let Some(cadence) = cadence.parse()? {
            spec.cadence = cadence;
        }
        if let Some(zone) = &self.tz {
            spec.time_zone = canonical_zone(zone)?;
        }
        if let Some(selection) = self.selection() {
            spec.selection = selection;
        }
        self.change_limits(spec)
    }

    fn change_limits(self, spec: &mut ScheduleSpec) -> Result<()> {
        if !self.window.is_empty() {
            spec.windows = Windows::parse(&self.window)?;
        }
        match (self.catch_up, self.catch_up_within) {
            (None, None) => {}
            (Some(word), within) => spec.catch_up = CatchUp::parse(word.as_str(), within)?,
            (None, within) => spec.catch_up = CatchUp::parse(spec.catch_up.as_str(), within)?,
        }
        if let Some(jitter) = self.jitter {
            spec.jitter = jitter;
        }
        if let Some(table) = self.limit_rate {
            spec.limit_rate = Some(table.parse::<RateTable>()?);
        }
        spec.max_duration =
            positive("--max-duration", self.max_duration, |span| span.get())?.or(spec.max_duration);
        spec.max_transfer = positive("--max-transfer", self.max_transfer, |size| size.bytes())?
            .or(spec.max_transfer);
        if let Some(priority) = self.priority {
            spec.priority = priority;
        }
        Ok(())
    }
}

/// A limit of nothing would let nothing happen, for ever.
fn positive<T: Copy>(flag: &str, value: Option<T>, number: impl Fn(T) -> u64) -> Result<Option<T>> {
    match value {
        Some(value) if number(value) == 0 => {
            Err(Complaint::usage(format!("`{flag}` must be more than nothing")).into())
        }
        other => Ok(other),
    }
}

fn canonical_zone(name: &str) -> Result<String> {
    let zone = find_zone(name)?;
    Ok(zone.iana_name().unwrap_or(name).to_owned())
}

/// Ways to take back what a flag of `schedules set` once said.
#[derive(Debug, Default, Args)]
pub struct ScheduleClears {
    /// Run at any hour again
    #[arg(long, conflicts_with = "window")]
    pub no_window: bool,

    /// Catch up with slots of any age again
    #[arg(long, conflicts_with = "catch_up_within")]
    pub no_catch_up_within: bool,

    /// Follow the setting download.limit_rate again
    #[arg(long, conflicts_with = "limit_rate")]
    pub no_limit_rate: bool,

    /// Follow the setting run.max_duration again
    #[arg(long, conflicts_with = "max_duration")]
    pub no_max_duration: bool,

    /// Follow the setting run.max_transfer again
    #[arg(long, conflicts_with = "max_transfer")]
    pub no_max_transfer: bool,
}

impl ScheduleClears {
    pub fn is_empty(&self) -> bool {
        !(self.no_window
            || self.no_catch_up_within
            || self.no_limit_rate
            || self.no_max_duration
            || self.no_max_transfer)
    }

    pub fn change(&self, spec: &mut ScheduleSpec) -> Result<()> {
        if self.no_window {
            spec.windows = Windows::parse(Vec::<String>::new())?;
        }
        if self.no_catch_up_within {
            spec.catch_up = CatchUp::parse(spec.catch_up.as_str(), None)?;
        }
        if self.no_limit_rate {
            spec.limit_rate = None;
        }
        if self.no_max_duration {
            spec.max_duration = None;
        }
        if self.no_max_transfer {
            spec.max_transfer = None;
        }
        Ok(())
    }
}
