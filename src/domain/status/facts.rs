//! The facts of `hfdl status`.

use std::path::PathBuf;

use jiff::tz::TimeZone;

use super::FailedTick;
use crate::domain::allowance::Allowance;
use crate::domain::forecast::{Forecast, Obstacle};
use crate::domain::hold::HeldUpdate;
use crate::domain::invalid_value::InvalidValue;
use crate::domain::login::Login;
use crate::domain::model::{EntryName, Model, ModelSummary};
use crate::domain::moved_ref::MovedRef;
use crate::domain::origin::OriginKind;
use crate::domain::outcome::{Effect, Outcome, VerifyOutcome, words};
use crate::domain::pause::Pause;
use crate::domain::progress::RunProgress;
use crate::domain::repo::CommitSha;
use crate::domain::retention::OnlyCopy;
use crate::domain::run::{Event, Run};
use crate::domain::schedule::{NextStart, Selection, Unusable};
use crate::domain::scrub::ScrubState;
use crate::domain::session::{ByteCounts, LastCheck, Session, SessionEnd, Trouble};
use crate::domain::shard::Shard;
use crate::domain::snapshot::Amount;
use crate::domain::time::{Timestamp, believed};
use crate::domain::units::{ByteSize, Seconds};
use crate::domain::view::ViewSpec;

/// The facts of a home at one moment.
#[derive(Default, Clone, Debug)]
pub struct Status {
    pub now: Timestamp,
    pub home: PathBuf,
    /// Whether there is a database.
    pub is_set_up: bool,
    /// `None`: no timer was ever installed by hfdl.
    pub timer: Option<TimerFacts>,
    pub last_timer_tick: Option<Timestamp>,
    /// The last tick by a timer or a CI job.
    pub last_unattended_tick: Option<Timestamp>,
    pub last_tick: Option<Timestamp>,
    /// The period in which ticks are expected: `timer.every`.
    pub tick_every: Seconds,
    /// The latest tick, if it failed before its run.
    pub failed_tick: Option<FailedTick>,
    pub pause: Option<Pause>,
    /// The next starts of the enabled schedules, the earliest first.
    pub next_due: Vec<NextDue>,
    /// Enabled schedules that cannot be read or followed.
    pub unusable: Vec<Unusable>,
    /// Enabled schedules that no tick can serve, because the timer ticks too seldom.
    pub impossible: Vec<(EntryName, InvalidValue)>,
    /// Enabled schedules that will run and include no enabled model.
    pub empty: Vec<EmptySchedule>,
    /// Slots that were missed recently, the newest first.
    pub missed_slots: Vec<Event>,
    /// The shards that this home runs; empty if it runs all models.
    pub shards: Vec<Shard>,
    /// The time before which the Hub accepts no requests.
    pub asked_to_wait: Option<Timestamp>,
    /// The latest recorded time, if it is in the future.
    pub false_future: Option<Timestamp>,
    /// Rows of the database that cannot be read and are skipped.
    pub bad_rows: Vec<String>,
    pub run: Option<RunInProgress>,
    /// The newest run that ended.
    pub last_run: Option<Run>,
    /// Runs that crashed; the next run closes them.
    pub crashed: Vec<Run>,
    pub models: Vec<ModelStatus>,
    /// Views that do not show the published revision, with the reason.
    pub failed_views: Vec<FailedView>,
    /// Commits on disk that exist nowhere else any more.
    pub only_copies: Vec<OnlyCopy>,
    /// The allowances of the home, of enabled schedules and of tags.
    pub allowances: Vec<Allowance>,
    pub disks: Vec<DiskFacts>,
    /// The size of the cache, if `cache.max_size` limits it.
    pub cache_use: Option<CacheUse>,
    /// Bytes of interrupted downloads that no revision needs; removed at the next
    /// success of their repository.
    pub leftover_bytes: u64,
    /// Files of other programs that downloads may use.
    pub adopted: Amount,
    pub check_max_age: Seconds,
    pub scrub: ScrubState,
    /// The logins that end, of the tokens in use.
    pub logins: Vec<Login>,
    /// The error of the database; most of the above is missing then.
    pub database_trouble: Option<DatabaseTrouble>,
    /// The last check of the whole database by a run.
    pub database_check: Option<DatabaseCheck>,
}

/// A check of the whole database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatabaseCheck {
    pub at: Timestamp,
    pub damage: Option<DatabaseTrouble>,
}

/// A view whose last attempt failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedView {
    pub model: EntryName,
    pub spec: ViewSpec,
    pub failure: String,
}

impl Status {
    /// Returns the bytes that the last attempts at enabled models left to fetch.
    pub fn bytes_left(&self) -> u64 {
        let models = self.models.iter();
        let kept = models.filter(|model| model.summary != ModelSummary::Disabled);
        kept.map(|model| model.bytes_left).sum()
    }
}

/// The timer entry of this home.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimerFacts {
    pub installed: bool,
    /// Such as `crontab`.
    pub backend: String,
    pub every: Seconds,
    /// The time of its installation or last change; no earlier tick was missed.
    pub since: Option<Timestamp>,
    /// The difference from the entry that hfdl would write now, or the reason why it
    /// does not fire.
    pub drift: Option<String>,
    /// A possible reason why it does not fire; a guess, so that ticks count more.
    pub doubt: Option<String>,
    /// When the entry fires next; `None` if it may not fire.
    pub next_tick: Option<Timestamp>,
}

/// A schedule without an enabled model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EmptySchedule {
    pub name: EntryName,
    pub selection: Selection,
    /// Whether the schedule includes models, which are disabled.
    pub has_disabled: bool,
}

/// The next start of a schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NextDue {
    pub schedule: EntryName,
    pub zone: TimeZone,
    pub next: NextStart,
}

/// The run that holds the lock, and its progress.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunInProgress {
    pub run: Run,
    pub n_sessions: u64,
    pub n_finished: u64,
    /// The models and repositories that have not ended.
    pub unfinished: Vec<String>,
    /// The files that are whole, and all of them.
    pub n_files_here: u64,
    pub n_files: u64,
    pub bytes: ByteCounts,
    /// Bytes that were here before the run: all reused bytes where no revision was published,
    /// else those that an earlier run has left of unfinished files.
    pub bytes_before: u64,
    /// The progress as the process has told it last; `None` before it does.
    pub progress: Option<RunProgress>,
}

impl RunInProgress {
    /// Adds up the sessions of a run.
    pub fn new(run: Run, sessions: &[Session]) -> Self {
        let (mut bytes, mut bytes_before) = (ByteCounts::default(), 0);
        let (mut n_files_here, mut n_files) = (0, 0);
        for session in sessions {
            let files = session.progress.files;
            n_files_here += files.fetched + files.reused;
            n_files += files.total;
            let earlier = session.progress.reused_from.iter();
            let earlier = earlier.filter(|reused| reused.kind == OriginKind::OtherRun);
            let own = session.progress.bytes;
            bytes_before += match session.start.old_commit {
                None => own.reused,
                Some(_) => earlier.map(|reused| reused.bytes).sum::<u64>(),
            };
            bytes.total += own.total;
            bytes.fetched += own.fetched;
            bytes.reused += own.reused;
            // The bytes of a file in progress still count as left.
            let missing = own.total.saturating_sub(own.fetched + own.reused);
            bytes.left += own.left.min(missing);
        }
        Self {
            run,
            n_sessions: sessions.len() as u64,
            n_finished: sessions.iter().filter(|it| it.end.is_some()).count() as u64,
            unfinished: sessions
                .iter()
                .filter(|it| it.end.is_none())
                .map(Session::label)
                .collect(),
            n_files_here,
            n_files,
            bytes,
            bytes_before,
            progress: None,
        }
    }
}

/// The status of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelStatus {
    pub name: EntryName,
    pub summary: ModelSummary,
    /// The outcome of the last check; a verification is none.
    pub last_outcome: Option<Outcome>,
    pub last_verify_at: Option<Timestamp>,
    pub last_verify_outcome: Option<VerifyOutcome>,
    pub trouble: Option<Trouble>,
    pub published_commit: Option<CommitSha>,
    pub published_at: Option<Timestamp>,
    /// The next slot of the enabled schedules that include it.
    pub next_due: Option<Timestamp>,
    /// The time at which the oldest proof of its files is too old, by `verify.every`.
    pub verified_until: Option<Timestamp>,
    /// The bytes that the last attempt left to fetch.
    pub bytes_left: u64,
    /// The bytes of the published revision, if the last session knew them.
    pub size_bytes: Option<u64>,
    /// The time at which it is expected to be whole, if it has bytes left.
    pub forecast: Option<Result<Forecast, Obstacle>>,
    pub last_check_at: Option<Timestamp>,
    pub last_success_at: Option<Timestamp>,
    pub last_change_at: Option<Timestamp>,
    pub consecutive_failures: u32,
    /// A newer commit that waits for approval.
    pub held_update: Option<HeldUpdate>,
    /// The rejected commit of a model of which nothing was ever published.
    pub rejected_first: Option<CommitSha>,
    /// Its ref, if that does not name the published commit.
    pub moved_ref: Option<Box<MovedRef>>,
    pub created_at: Timestamp,
    /// Whether an enabled schedule includes it.
    pub is_scheduled: bool,
    /// Twice the longest gap between its planned checks, if any is planned.
    pub planned_age: Option<Seconds>,
}

impl ModelStatus {
    /// Describes a model at a moment; later dates are ignored.
    pub fn new(
        model: &Model,
        last: Option<&LastCheck>,
        is_scheduled: bool,
        now: Timestamp,
    ) -> Self {
        let (state, end) = (&model.state, last.and_then(|last| last.end.as_ref()));
        let outcome = end.map(|end| end.outcome);
        let effect = end.map(SessionEnd::effect);
        let is_unfinished =
            effect.is_some_and(|effect| effect == Effect::Unfinished || effect.is_failure());
        Self {
            name: model.spec.name.clone(),
            summary: model.summary(outcome),
            last_outcome: outcome,
            last_verify_at: believed(state.last_verify_at, now),
            last_verify_outcome: state.last_verify_outcome,
            trouble: end.and_then(|end| end.trouble.clone()),
            published_commit: state.published_commit.clone(),
            published_at: believed(state.published_at, now),
            next_due: None,
            verified_until: None,
            bytes_left: last.map_or(0, |last| last.bytes.left) * u64::from(is_unfinished),
            size_bytes: last
                .and_then(|last| last.published_amount(model))
                .map(|amount| amount.bytes),
            forecast: None,
            last_check_at: believed(state.last_check_at, now),
            last_success_at: believed(state.last_success_at, now),
            last_change_at: believed(state.last_change_at, now),
            consecutive_failures: state.consecutive_failures,
            held_update: state.held_update.clone().filter(HeldUpdate::is_waiting),
            rejected_first: state.rejected_first().cloned(),
            moved_ref: None,
            created_at: model.created_at,
            is_scheduled,
            planned_age: None,
        }
    }

    /// Returns the effect of the last check.
    pub fn last_effect(&self) -> Option<Effect> {
        let kind = self.trouble.as_ref().map(|trouble| trouble.kind);
        self.last_outcome.map(|outcome| outcome.effect(kind))
    }

    /// Returns the age of the last check; of a model that was never checked, the time
    /// since it was added.
    pub fn checked_ago(&self, now: Timestamp) -> Seconds {
        let since = self.last_check_at.unwrap_or(self.created_at);
        let age = now.duration_since(since).as_secs();
        Seconds(u64::try_from(age).unwrap_or(0))
    }
}

words! {
    /// The use of a file system.
    DiskUse {
        Cache = "cache",
        Home = "home",
    }
}

/// The free space of a place that hfdl writes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskFacts {
    pub used_for: DiskUse,
    pub path: PathBuf,
    pub free: ByteSize,
    /// The space that has to stay free.
    pub reserve: ByteSize,
}

/// The size of the cache, and its limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheUse {
    pub max: ByteSize,
    /// `None`: no run has measured it since the limit was set.
    pub measured: Option<CacheSize>,
}

/// The size of the cache as a run has measured it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheSize {
    pub used: ByteSize,
    pub at: Timestamp,
}

/// The error of a database that could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatabaseTrouble {
    pub message: String,
    pub hint: Option<String>,
}
