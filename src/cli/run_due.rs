//! `hfdl run-due`

use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use super::context::Context;
use super::download_report::{Due, Watcher};
use super::explain::Complaint;
use super::limits::{Limits, NewPlace, Waiting};
use super::lock::take_lock;
use super::run_due_report::{
    Idle, report_nothing, report_paused, report_plan, report_run, report_unusable, report_wait,
};
use super::status::leave_status_file;
use crate::domain::model::EntryName;
use crate::domain::outcome::{ExitStatus, Trigger};
use crate::domain::run::RunCommand;
use crate::domain::schedule::{ScheduleId, Schedules, Unusable};
use crate::domain::shard::{Shard, ShardArg};
use crate::domain::time::parse_moment;
use crate::ops::notify::{News, Ping, Voice, facts_of};
use crate::ops::run_due::{Options, PassedOver, Ran, RunDue as Work, believable_now};
use crate::ops::timer_places::{check_places_of_tick, database_id};
use crate::ops::workshop::Workshop;
use crate::store::Store;
use crate::sys::logging;

/// Do what is due: the main job, for a timer of the operating system
///
/// Looks which schedules are due, asks the Hub about their models, fetches what has changed,
/// verifies every byte, publishes each model in one step, writes down what happened, and exits.
/// With nothing due it asks nobody and says nothing.
#[derive(Debug, Args)]
#[command(
    after_long_help = "Without a terminal it is silent when all is well, so that cron mails trouble only. \
`hfdl status` tells how things stand, `hfdl runs list` what happened.

Examples:
  hfdl run-due
  hfdl run-due --dry-run --at '2026-06-01 02:30'
  hfdl run-due --max-duration 4h --max-transfer 20G
  hfdl run-due --shard auto/8"
)]
pub struct RunDue {
    /// Say what is due and what would be fetched; takes no lock, writes nothing
    #[arg(long)]
    dry_run: bool,

    /// The moment to answer for: RFC 3339, or a local time
    #[arg(long, value_name = "TIME", requires = "dry_run")]
    at: Option<String>,

    /// Only these schedules, when they are due
    #[arg(long, value_name = "NAME")]
    schedule: Vec<EntryName>,

    #[command(flatten)]
    waiting: Waiting,

    #[command(flatten)]
    limits: Limits,

    #[command(flatten)]
    place: NewPlace,

    /// Only the models of one shard: I/N counted from 0, or auto/N in a Kubernetes or Slurm array
    #[arg(long, value_name = "I/N")]
    shard: Option<ShardArg>,

    /// Write a Prometheus text file there (default: metrics.file)
    #[arg(long, value_name = "PATH")]
    metrics_file: Option<PathBuf>,

    /// Who started it: timer, ci or manual
    #[arg(long, value_name = "WHO", default_value = "manual")]
    trigger: Trigger,

    /// Refuse to run without the database of this id; entries of `hfdl start` pass it
    #[arg(long, value_name = "ID")]
    database: Option<String>,
}

impl RunDue {
    pub fn run(self, context: &Context) -> Result<ExitStatus> {
        let existing = context.existing_store()?;
        self.check_database(context, existing.as_ref())?;
        let shard = self.shard(context)?;
        self.check_names(existing.as_ref())?;
        let Some(store) = existing else {
            // Before anything was set up a tick finds nothing, and leaves nothing.
            let idle = Idle {
                trigger: self.trigger,
                run: None,
                unusable: &[],
            };
            return report_nothing(context, &idle);
        };
        let settings = context.settings(Some(&store))?;
        if self.trigger == Trigger::Timer {
            check_places_of_tick(&store, &settings)?;
        }
        let options = Options {
            only: self.schedule.iter().cloned().collect(),
            shard,
            bounds: self.limits.bounds(&settings),
            trigger: self.trigger,
        };
        if self.dry_run {
            let at = match &self.at {
                Some(text) => parse_moment(text, &context.host.time_zone())?,
                None => context.now(),
            };
            let shop = &Workshop::to_look(&context.host, &context.home, settings, store);
            return report_plan(context, &Work { shop, options }.plan(at)?);
        }
        // Before the lock: that it was held would be written down, too.
        if let Err(err) = believable_now(&context.host) {
            // Nothing is written down with such a date, but whoever looks must see it.
            leave_status_file(context, &store, &settings);
            return Err(err);
        }
        let lock = take_lock(context, RunCommand::RunDue, self.trigger, self.waiting.wait)?;
        let shop = &Workshop::open(&context.host, &context.home, settings, store)?;
        self.place.confirm(context, shop, None)?;
        if !context.host.stderr_is_terminal() {
            logging::hold_back();
        }
        let mut watcher = Watcher::new(context);
        let mut ping = None;
        let tick = Work { shop, options }.run(
            &mut |run| ping = Ping::start(shop.host(), shop.settings(), run),
            &mut |progress| watcher.note(progress),
        );
        watcher.finish();
        let (ran, passed_over, skipped) = match tick {
            Ok(tick) => (Ok(tick.ran), tick.passed_over, tick.skipped),
            Err(err) => (Err(err), PassedOver::default(), None),
        };
        let voice = Voice::from(shop);
        let news = match &ran {
            Ok(Ran::Done { report, .. }) => voice.learn(facts_of(RunCommand::RunDue, report)),
            _ => None,
        };
        if !matches!(ran, Ok(Ran::NothingDue)) || !passed_over.untold.is_empty() {
            leave_status_file(context, shop.store(), shop.settings());
        }
        drop(lock);
        let idle = Idle {
            trigger: self.trigger,
            run: skipped.as_ref(),
            unusable: &passed_over.schedules,
        };
        let status = match &ran {
            Ok(ran) => self.report(context, ran, &idle, &passed_over.untold, news.as_ref()),
            Err(err) => {
                if let Some(ping) = ping.take() {
                    ping.fail(&format!("{err:#}"));
                }
                Ok(ExitStatus::Failed)
            }
        };
        if ran.is_ok() {
            // Behind the first line, which is the subject of a mail.
            logging::release();
            context.show_hub_warnings(shop);
        }
        if let (Ok(Ran::Paused(_)), Some(run)) = (&ran, &skipped) {
            voice.tell_skipped(run);
        }
        if let Some(news) = &news {
            voice.tell(news);
        }
        voice.write_files(self.metrics_file.as_deref());
        if let (Some(ping), Some(news)) = (ping, &news) {
            ping.end(&news.run);
        }
        ran?;
        status
    }

    fn report(
        &self,
        context: &Context,
        ran: &Ran,
        idle: &Idle<'_>,
        untold: &BTreeSet<ScheduleId>,
        news: Option<&News>,
    ) -> Result<ExitStatus> {
        // A timer comes again and again, and mails whatever is said.
        let is_timer = self.trigger == Trigger::Timer && !context.host.stderr_is_terminal();
        let unusable = idle.unusable.iter();
        let to_tell: Vec<&Unusable> = unusable
            .filter(|one| !is_timer || untold.contains(&one.id))
            .collect();
        if !matches!(ran, Ran::Done { .. }) {
            report_unusable(context, to_tell.iter().copied());
        }
        match ran {
            Ran::NothingDue => report_nothing(context, idle),
            Ran::AskedToWait(asked) => report_wait(context, asked, is_timer, idle),
            Ran::Paused(pause) => report_paused(context, pause, idle),
            Ran::Done {
                report,
                n_due,
                left_out,
            } => {
                let due = Due {
                    n_models: *n_due,
                    left_out,
                    unusable: idle.unusable,
                };
                report_run(context, report, &due, &to_tell, news.filter(|_| is_timer))
            }
        }
    }

    /// Refuses a home that has lost the database of its timer, or has another one:
    /// a new and empty database would find nothing due, for ever and without a word.
    ///
    /// A person must act, as after any trouble with a disk: exit 6.
    fn check_database(&self, context: &Context, store: Option<&Store>) -> Result<()> {
        let Some(wanted) = &self.database else {
            return Ok(());
        };
        let home = context.home.path().display();
        let cause = match store {
            None => format!("there is no `{}`", context.home.database().display()),
            Some(store) => {
                let found = database_id(store)?;
                if found == *wanted {
                    return Ok(());
                }
                format!("its id is {found}, and the timer was installed for {wanted}")
            }
        };
        let what = match store {
            None => "the database of this timer is missing",
            Some(_) => "the database of this timer has been replaced by another one",
        };
        Err(Complaint::new(ExitStatus::Disk, what)
            .cause(format!("{cause}; a disk may not be mounted"))
            .next(format!(
                "mount the disk of `{home}` or restore the database; if it is gone for good, \
                 `hfdl --home '{home}' start` goes on without it, and `hfdl --home '{home}' stop` removes the timer"
            ))
            .into())
    }

    fn shard(&self, context: &Context) -> Result<Shard> {
        let index = ["JOB_COMPLETION_INDEX", "SLURM_ARRAY_TASK_ID"]
            .into_iter()
            .find_map(|name| context.host.variable(name));
        let shard = self.shard.map(|shard| shard.resolve(index));
        Ok(shard.transpose()?.unwrap_or(Shard::ALL))
    }

    /// A timer that names a schedule which is gone must not fall silent.
    fn check_names(&self, store: Option<&Store>) -> Result<()> {
        if self.schedule.is_empty() {
            return Ok(());
        }
        let schedules = store.map_or_else(|| Ok(Schedules::default()), Store::schedules)?;
        let known = schedules.names();
        for name in &self.schedule {
            if !known.contains(&name.as_str()) {
                let list = "hfdl schedules list";
                return Err(Complaint::unknown("schedule", name.as_str(), &known, list).into());
            }
        }
        Ok(())
    }
}
