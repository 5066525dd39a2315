//! The status document: `hfdl.status/1`.

use serde::Serialize;

use super::document::{Each, time};
use super::model::HeldUpdateView;
use super::progress::ProgressView;
use super::session::BytesView;
use super::{ForecastView, MovedRefView, PauseView, RunSummaryView};
use crate::domain::allowance::Allowance;
use crate::domain::login::Login;
use crate::domain::repo::CommitSha;
use crate::domain::retention::OnlyCopy;
use crate::domain::run::{Event, Run};
use crate::domain::schedule::WaitReason;
use crate::domain::scrub::Scrub;
use crate::domain::status::{
    CacheUse, DiskFacts, ModelStatus, NextDue, RunInProgress, Status, Warning, missed_ticks,
    next_for_ref,
};
use crate::domain::time::render_utc;

/// Returns the document, whose models become views one at a time.
pub fn status<'a>(status: &'a Status, warnings: &'a [Warning]) -> impl Serialize + 'a {
    StatusView::new(status, warnings)
}

#[derive(Serialize)]
struct StatusView<'a> {
    schema: &'static str,
    at: String,
    home: String,
    set_up: bool,
    healthy: bool,
    timer: TimerView,
    last_timer_tick_at: Option<String>,
    last_tick_at: Option<String>,
    pause: PauseView,
    next_due: Vec<NextDueView>,
    run: Option<RunInProgressView>,
    last_run: Option<RunSummaryView>,
    crashed_runs: Each<'a, Run, RunSummaryView>,
    bytes_left: u64,
    leftover_bytes: u64,
    adopted: AmountView,
    scrub: ScrubView,
    shards: Vec<String>,
    missed_slots: Each<'a, Event, EventView<'a>>,
    asked_to_wait_until: Option<String>,
    logins: Each<'a, Login, LoginView>,
    allowances: Each<'a, Allowance, AllowanceView<'a>>,
    disks: Each<'a, DiskFacts, DiskView>,
    cache: Option<CacheUseView>,
    database_checked_at: Option<String>,
    warnings: Each<'a, Warning, WarningView<'a>>,
    moved_refs: Vec<ModelRefView>,
    only_copies: Each<'a, OnlyCopy, OnlyCopyView>,
    models: Each<'a, ModelStatus, ModelStatusView<'a>>,
}

impl<'a> StatusView<'a> {
    fn new(status: &'a Status, warnings: &'a [Warning]) -> Self {
        let run = status.run.as_ref();
        Self {
            schema: "hfdl.status/1",
            at: render_utc(status.now),
            home: status.home.display().to_string(),
            set_up: status.is_set_up,
            healthy: warnings.is_empty(),
            timer: TimerView::from(status),
            last_timer_tick_at: time(status.last_timer_tick),
            last_tick_at: time(status.last_tick),
            pause: PauseView::from(status.pause.as_ref()),
            next_due: status.next_due.iter().map(NextDueView::from).collect(),
            run: run.map(RunInProgressView::new),
            last_run: status.last_run.as_ref().map(RunSummaryView::from),
            crashed_runs: Each(&status.crashed, RunSummaryView::from),
            bytes_left: status.bytes_left(),
            leftover_bytes: status.leftover_bytes,
            adopted: AmountView {
                files: status.adopted.files,
                bytes: status.adopted.bytes,
            },
            scrub: ScrubView::from(status),
            shards: status.shards.iter().map(ToString::to_string).collect(),
            missed_slots: Each(&status.missed_slots, EventView::from),
            asked_to_wait_until: time(status.asked_to_wait),
            logins: Each(&status.logins, LoginView::from),
            allowances: Each(&status.allowances, AllowanceView::from),
            disks: Each(&status.disks, DiskView::from),
            cache: status.cache_use.as_ref().map(CacheUseView::from),
            database_checked_at: time(status.database_check.as_ref().map(|check| check.at)),
            warnings: Each(warnings, WarningView::from),
            moved_refs: status.models.iter().filter_map(ModelRefView::of).collect(),
            only_copies: Each(&status.only_copies, OnlyCopyView::from),
            models: Each(&status.models, ModelStatusView::from),
        }
    }
}

/// A login that ends.
#[derive(Serialize)]
struct LoginView {
    name: String,
    expires_at: String,
    /// Why it cannot be renewed.
    obstacle: Option<String>,
}

impl From<&Login> for LoginView {
    fn from(login: &Login) -> Self {
        Self {
            name: login.name.to_string(),
            expires_at: render_utc(login.expires_at),
            obstacle: login.obstacle.as_ref().map(ToString::to_string),
        }
    }
}

#[derive(Serialize)]
struct AmountView {
    files: u64,
    bytes: u64,
}

/// The reading of published files again.
#[derive(Serialize)]
struct ScrubView {
    /// Null when scrubs are off.
    every: Option<String>,
    /// Whether every file was read within that time; null before the first scrub.
    kept: Option<bool>,
    finished_at: Option<String>,
    ended_at: Option<String>,
    next_at: Option<String>,
    /// Null while a file has no proof.
    oldest_verified_at: Option<String>,
    files: u64,
    bytes: u64,
    bytes_read: u64,
    bytes_behind: u64,
    models_unlisted: u64,
}

impl From<&Status> for ScrubView {
    fn from(status: &Status) -> Self {
        let (scrub, now) = (&status.scrub, status.now);
        let last = scrub.last.as_ref();
        let count = |count: fn(&Scrub) -> u64| last.map_or(0, count);
        Self {
            every: scrub.every.map(|every| every.to_string()),
            kept: scrub.is_kept(now),
            finished_at: time(last.map(|last| last.ended_at)),
            ended_at: time(last.map(|last| last.ended_at)),
            next_at: time(last.and_then(|last| last.next_at)),
            oldest_verified_at: time(scrub.oldest_at(now)),
            files: count(|last| last.n_files),
            bytes: count(|last| last.n_bytes),
            bytes_read: count(|last| last.bytes_read),
            bytes_behind: count(|last| last.bytes_behind),
            models_unlisted: count(|last| last.n_unlisted),
        }
    }
}

#[derive(Serialize)]
struct EventView<'a> {
    at: String,
    message: &'a str,
}

impl<'a> From<&'a Event> for EventView<'a> {
    fn from(event: &'a Event) -> Self {
        Self {
            at: render_utc(event.at),
            message: &event.detail,
        }
    }
}

#[derive(Serialize)]
struct WarningView<'a> {
    kind: &'static str,
    model: Option<String>,
    message: &'a str,
    hint: Option<&'a str>,
}

impl<'a> From<&'a Warning> for WarningView<'a> {
    fn from(warning: &'a Warning) -> Self {
        Self {
            kind: warning.kind.as_str(),
            model: warning.model.as_ref().map(ToString::to_string),
            message: &warning.message,
            hint: warning.hint.as_deref(),
        }
    }
}

#[derive(Serialize)]
struct TimerView {
    installed: bool,
    backend: Option<String>,
    every: Option<String>,
    installed_at: Option<String>,
    since: Option<String>,
    drift: Option<String>,
    next_tick_at: Option<String>,
    missed_ticks: u64,
}

impl From<&Status> for TimerView {
    fn from(status: &Status) -> Self {
        let timer = status.timer.as_ref();
        let installed = timer.filter(|timer| timer.installed);
        let missed = |timer| missed_ticks(timer, status.last_timer_tick, status.now);
        Self {
            installed: installed.is_some(),
            backend: timer.map(|timer| timer.backend.clone()),
            every: timer.map(|timer| timer.every.to_string()),
            installed_at: time(timer.and_then(|timer| timer.since)),
            since: time(timer.and_then(|timer| timer.since)),
            drift: timer.and_then(|timer| timer.drift.clone()),
            next_tick_at: time(timer.and_then(|timer| timer.next_tick)),
            missed_ticks: installed.map_or(0, missed),
        }
    }
}

#[derive(Debug, Serialize)]
pub(super) struct NextDueView {
    schedule: String,
    state: &'static str,
    due_state: &'static str,
    slot_at: String,
    slot: String,
    starts_at: String,
    starts: String,
    window_ends: Option<String>,
}

impl From<&NextDue> for NextDueView {
    fn from(due: &NextDue) -> Self {
        let planned = due.next.planned;
        Self {
            schedule: due.schedule.to_string(),
            state: due.next.waiting.as_str(),
            due_state: match due.next.waiting {
                WaitReason::Due => "due",
                WaitReason::Slot => "wait",
                WaitReason::Window => "closed",
                WaitReason::Retry => "backoff",
            },
            slot_at: render_utc(planned.slot),
            slot: render_utc(planned.slot),
            starts_at: render_utc(planned.ready),
            starts: render_utc(planned.ready),
            window_ends: time(planned.deadline),
        }
    }
}

#[derive(Serialize)]
struct RunInProgressView {
    run_id: String,
    command: &'static str,
    trigger: &'static str,
    started_at: String,
    heartbeat_at: String,
    stop_requested_at: Option<String>,
    host: String,
    pid: u32,
    sessions: SessionCountsView,
    bytes: BytesView,
    bytes_per_second: Option<u64>,
    progress: Option<ProgressView>,
}

#[derive(Serialize)]
struct SessionCountsView {
    total: u64,
    finished: u64,
}

impl RunInProgressView {
    fn new(progress: &RunInProgress) -> Self {
        let (run, start) = (&progress.run, &progress.run.start);
        Self {
            run_id: run.id.to_string(),
            command: start.command.as_str(),
            trigger: start.trigger.as_str(),
            started_at: render_utc(start.at),
            heartbeat_at: render_utc(run.heartbeat_at),
            stop_requested_at: time(run.stop_requested_at),
            host: start.process.host.clone(),
            pid: start.process.pid,
            sessions: SessionCountsView {
                total: progress.n_sessions,
                finished: progress.n_finished,
            },
            bytes: progress.bytes.into(),
            bytes_per_second: progress
                .progress
                .as_ref()
                .and_then(|it| it.bytes_per_second),
            progress: progress.progress.as_ref().map(ProgressView::from),
        }
    }
}

/// A commit on disk that the Hub has no more.
#[derive(Serialize)]
struct OnlyCopyView {
    model: String,
    repo: String,
    commit: String,
    gone_since: String,
}

impl From<&OnlyCopy> for OnlyCopyView {
    fn from(copy: &OnlyCopy) -> Self {
        Self {
            model: copy.model.to_string(),
            repo: copy.repo.to_string(),
            commit: copy.commit.to_string(),
            gone_since: render_utc(copy.since),
        }
    }
}

#[derive(Serialize)]
struct ModelRefView {
    model: String,
    #[serde(flatten)]
    moved: MovedRefView,
    hint: String,
    next: String,
}

impl ModelRefView {
    fn of(model: &ModelStatus) -> Option<Self> {
        let moved = model.moved_ref.as_ref()?;
        Some(Self {
            model: model.name.to_string(),
            moved: MovedRefView::from(&**moved),
            hint: next_for_ref(model),
            next: next_for_ref(model),
        })
    }
}

#[derive(Serialize)]
struct ModelStatusView<'a> {
    name: &'a str,
    model: &'a str,
    state: &'static str,
    scheduled: bool,
    commit: Option<&'a str>,
    published_at: Option<String>,
    next_due_at: Option<String>,
    next_due: Option<String>,
    verified_until: Option<String>,
    last_outcome: Option<&'static str>,
    last_verify_at: Option<String>,
    last_verify_outcome: Option<&'static str>,
    error_kind: Option<&'static str>,
    error: Option<&'a str>,
    last_check_at: Option<String>,
    last_success_at: Option<String>,
    last_change_at: Option<String>,
    consecutive_failures: u32,
    bytes_left: u64,
    size_bytes: Option<u64>,
    /// An update that waits for a decision.
    held_update: Option<HeldUpdateView>,
    /// The rejected commit of a model of which nothing was ever published.
    rejected_first_commit: Option<&'a str>,
    forecast: Option<ForecastView>,
}

impl<'a> From<&'a ModelStatus> for ModelStatusView<'a> {
    fn from(model: &'a ModelStatus) -> Self {
        let trouble = model.trouble.as_ref();
        Self {
            name: model.name.as_str(),
            model: model.name.as_str(),
            state: model.summary.as_str(),
            scheduled: model.is_scheduled,
            commit: model.published_commit.as_ref().map(CommitSha::as_str),
            published_at: time(model.published_at),
            next_due_at: time(model.next_due),
            next_due: time(model.next_due),
            verified_until: time(model.verified_until),
            last_outcome: model.last_outcome.map(|outcome| outcome.as_str()),
            last_verify_at: time(model.last_verify_at),
            last_verify_outcome: model.last_verify_outcome.map(|outcome| outcome.as_str()),
            error_kind: trouble.map(|trouble| trouble.kind.as_str()),
            error: trouble.map(|trouble| trouble.message.as_str()),
            last_check_at: time(model.last_check_at),
            last_success_at: time(model.last_success_at),
            last_change_at: time(model.last_change_at),
            consecutive_failures: model.consecutive_failures,
            bytes_left: model.bytes_left,
            size_bytes: model.size_bytes,
            held_update: model.held_update.as_ref().map(HeldUpdateView::from),
            rejected_first_commit: model.rejected_first.as_ref().map(CommitSha::as_str),
            forecast: model.forecast.as_ref().map(ForecastView::from),
        }
    }
}

#[derive(Serialize)]
struct AllowanceView<'a> {
    scope: &'static str,
    /// The schedule or the tag; null for the home.
    name: Option<&'a str>,
    period: &'static str,
    kind: &'static str,
    limit_bytes: u64,
    spent_bytes: u64,
    spent: bool,
    is_spent: bool,
    began_at: String,
    renews_at: String,
}

impl<'a> From<&'a Allowance> for AllowanceView<'a> {
    fn from(allowance: &'a Allowance) -> Self {
        Self {
            scope: allowance.scope.key().0,
            name: Some(allowance.name.as_str()).filter(|name| !name.is_empty()),
            period: allowance.period.as_str(),
            kind: allowance.kind.as_str(),
            limit_bytes: allowance.limit.bytes(),
            spent_bytes: allowance.spent.bytes(),
            spent: allowance.is_spent(),
            is_spent: allowance.is_spent(),
            began_at: render_utc(allowance.began_at),
            renews_at: render_utc(allowance.renews_at),
        }
    }
}

#[derive(Serialize)]
struct DiskView {
    used_for: &'static str,
    path: String,
    free_bytes: u64,
    reserve_bytes: u64,
}

/// The size of the cache, if it is limited.
#[derive(Serialize)]
struct CacheUseView {
    max_bytes: u64,
    used_bytes: Option<u64>,
    measured_at: Option<String>,
}

impl From<&CacheUse> for CacheUseView {
    fn from(cache: &CacheUse) -> Self {
        Self {
            max_bytes: cache.max.bytes(),
            used_bytes: cache.measured.map(|size| size.used.bytes()),
            measured_at: time(cache.measured.map(|size| size.at)),
        }
    }
}

impl From<&DiskFacts> for DiskView {
    fn from(disk: &DiskFacts) -> Self {
        Self {
            used_for: disk.used_for.as_str(),
            path: disk.path.display().to_string(),
            free_bytes: disk.free.bytes(),
            reserve_bytes: disk.reserve.bytes(),
        }
    }
}
