//! The warnings of `status`: pure functions of its facts.

use std::borrow::Cow;

use super::age::{empty_schedule, impossible_schedule, stale_check, wrong_clock};
use super::facts::{DiskFacts, ModelStatus, Status};
use super::failed_tick::FailedTick;
use super::timer_health::timer_warnings;
use super::trouble::{damage, failed_view, held_update, model_trouble, moved_ref, spent_allowance};
use crate::domain::login::LOGIN_ADVICE;
use crate::domain::model::EntryName;
use crate::domain::outcome::words;
use crate::domain::run::Run;
use crate::domain::schedule::Unusable;

words! {
    /// The kind of a warning.
    WarningKind {
        Database = "database",
        Clock = "clock",
        DiskLow = "disk-low",
        MissedTick = "missed-tick",
        TickFailed = "tick-failed",
        /// Schedules wait, and nothing starts `run-due`.
        TimerMissing = "timer-missing",
        TimerDrift = "timer-drift",
        TimerDoubt = "timer-doubt",
        CrashedRun = "crashed-run",
        SilentRun = "silent-run",
        /// A login ends soon or has ended, and cannot be renewed.
        LoginEnds = "login-ends",
        ScheduleUnusable = "schedule-unusable",
        ScheduleImpossible = "schedule-impossible",
        ScheduleEmpty = "schedule-empty",
        ModelDamaged = "model-damaged",
        BadRow = "bad-row",
        ModelFailed = "model-failed",
        ModelGated = "model-gated",
        ModelOrphaned = "model-orphaned",
        UpdateHeld = "update-held",
        RefMoved = "ref-moved",
        ViewFailed = "view-failed",
        StaleCheck = "stale-check",
        /// Models wait for an allowance to begin anew.
        AllowanceSpent = "allowance-spent",
    }
}

/// A condition that needs a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    pub kind: WarningKind,
    /// The model, if the warning is about one.
    pub model: Option<EntryName>,
    pub message: String,
    /// One text for thousands of models is not copied.
    pub hint: Option<Cow<'static, str>>,
}

impl Warning {
    pub(super) fn new(
        kind: WarningKind,
        message: String,
        hint: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            kind,
            model: None,
            message,
            hint: Some(hint.into()),
        }
    }

    pub(super) fn about(mut self, model: &ModelStatus) -> Self {
        self.model = Some(model.name.clone());
        self
    }
}

/// Returns the warnings, the gravest first; none means healthy.
pub fn assess(status: &Status) -> Vec<Warning> {
    let mut warnings = Vec::new();
    let check = status.database_check.as_ref();
    let found = check.and_then(|check| check.damage.as_ref());
    if let Some(trouble) = status.database_trouble.as_ref().or(found) {
        warnings.push(Warning {
            kind: WarningKind::Database,
            model: None,
            message: trouble.message.clone(),
            hint: trouble.hint.clone().map(Cow::Owned),
        });
    }
    warnings.extend(wrong_clock(status));
    warnings.extend(status.disks.iter().filter_map(low_disk));
    warnings.extend(timer_warnings(status));
    warnings.extend(status.crashed.iter().map(crashed_run));
    warnings.extend(silent_run(status));
    warnings.extend(failed_tick(status, &warnings));
    warnings.extend(ending_logins(status));
    warnings.extend(status.unusable.iter().map(unusable_schedule));
    warnings.extend(status.impossible.iter().map(impossible_schedule));
    warnings.extend(status.empty.iter().map(empty_schedule));
    warnings.extend(status.models.iter().filter_map(damage));
    warnings.extend(status.bad_rows.iter().map(|row| bad_row(row)));
    warnings.extend(status.models.iter().filter_map(model_trouble));
    warnings.extend(status.models.iter().filter_map(held_update));
    warnings.extend(status.models.iter().filter_map(moved_ref));
    warnings.extend(status.failed_views.iter().map(failed_view));
    let allowances = status.allowances.iter();
    warnings.extend(allowances.filter_map(|one| spent_allowance(one, status)));
    let stale = status.models.iter();
    warnings.extend(stale.filter_map(|model| stale_check(model, status)));
    warnings
}

fn low_disk(disk: &DiskFacts) -> Option<Warning> {
    let message = format!(
        "{} free in `{}`, and {} are to stay free for the {}",
        disk.free.render_short(),
        disk.path.display(),
        disk.reserve.render_short(),
        disk.used_for
    );
    let hint = "free some space there, or lower `disk.reserve`";
    (disk.free < disk.reserve).then(|| Warning::new(WarningKind::DiskLow, message, hint))
}

fn crashed_run(run: &Run) -> Warning {
    let message = format!(
        "the run {} ({}, process {}) crashed",
        run.id, run.start.command, run.start.process.pid
    );
    let hint = "the next tick or download closes it and resumes with the bytes that were kept";
    Warning::new(WarningKind::CrashedRun, message, hint)
}

/// Returns a warning about a run in progress without a heartbeat.
fn silent_run(status: &Status) -> Option<Warning> {
    let run = &status.run.as_ref()?.run;
    let message = format!(
        "the run {} ({}, process {}) has given no sign of life for {}",
        run.id,
        run.start.command,
        run.start.process.pid,
        run.silence(status.now)
    );
    let hint = "`hfdl stop --run-only` asks it to end; if it does not, kill its process: the next run continues";
    let is_silent = run.is_silent(status.now);
    is_silent.then(|| Warning::new(WarningKind::SilentRun, message, hint))
}

/// Ticks that fail, unless a warning about their cause is there already.
fn failed_tick(status: &Status, others: &[Warning]) -> Option<Warning> {
    const CAUSES: [WarningKind; 3] = [
        WarningKind::Database,
        WarningKind::Clock,
        WarningKind::SilentRun,
    ];
    let is_told = others.iter().any(|other| CAUSES.contains(&other.kind));
    let failed = status.failed_tick.as_ref().filter(|_| !is_told);
    failed.and_then(FailedTick::warning)
}

fn ending_logins(status: &Status) -> impl Iterator<Item = Warning> {
    let messages = status.logins.iter();
    let messages = messages.filter_map(|login| login.warning(status.now));
    messages.map(|message| Warning::new(WarningKind::LoginEnds, message, LOGIN_ADVICE))
}

fn bad_row(row: &str) -> Warning {
    let message = format!("a row of the database cannot be read and is skipped: {row}");
    let hint = "remove the entry and add it anew, or restore `hfdl.db` from a backup";
    Warning::new(WarningKind::BadRow, message, hint)
}

fn unusable_schedule(schedule: &Unusable) -> Warning {
    let kind = WarningKind::ScheduleUnusable;
    Warning::new(kind, schedule.to_string(), schedule.hint())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::model::ModelSummary;
    use crate::domain::outcome::{ErrorKind, Outcome, VerifyOutcome};
    use crate::domain::pause::Pause;
    use crate::domain::schedule::{ScheduleId, UnusableKind};
    use crate::domain::session::Trouble;
    use crate::domain::status::{DatabaseTrouble, DiskUse, TimerFacts, missed_ticks};
    use crate::domain::time::Timestamp;
    use crate::domain::units::{ByteSize, Seconds};

    const HOUR: i64 = 3600;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_900_000_000 + seconds).unwrap()
    }

    /// A healthy home.
    fn well() -> Status {
        Status {
            now: at(0),
            home: "/state".into(),
            is_set_up: true,
            tick_every: Seconds(900),
            models: vec![model()],
            disks: vec![DiskFacts {
                used_for: DiskUse::Cache,
                path: "/hub".into(),
                free: ByteSize(10),
                reserve: ByteSize(10),
            }],
            check_max_age: Seconds(7 * 86_400),
            ..Status::default()
        }
    }

    fn model() -> ModelStatus {
        ModelStatus {
            name: "tiny".parse().unwrap(),
            summary: ModelSummary::Ok,
            last_outcome: Some(Outcome::UpToDate),
            last_verify_at: None,
            last_verify_outcome: None,
            trouble: None,
            published_commit: None,
            published_at: None,
            next_due: None,
            verified_until: None,
            bytes_left: 0,
            size_bytes: None,
            forecast: None,
            last_check_at: Some(at(-HOUR)),
            last_success_at: Some(at(-HOUR)),
            last_change_at: None,
            consecutive_failures: 0,
            held_update: None,
            rejected_first: None,
            moved_ref: None,
            created_at: at(-30 * 24 * HOUR),
            is_scheduled: true,
            planned_age: None,
        }
    }

    fn kinds(status: &Status) -> Vec<WarningKind> {
        assess(status).iter().map(|warning| warning.kind).collect()
    }

    /// Judges a home whose only model is this one.
    fn judge(change: impl FnOnce(&mut ModelStatus)) -> Vec<WarningKind> {
        let mut status = well();
        change(&mut status.models[0]);
        kinds(&status)
    }

    fn failed(kind: ErrorKind, outcome: Outcome, n_times: u32) -> Vec<WarningKind> {
        judge(|model| {
            model.summary = ModelSummary::Failing;
            model.last_outcome = Some(outcome);
            model.consecutive_failures = n_times;
            model.trouble = Some(Trouble {
                kind,
                message: "because".to_owned(),
                hint: None,
            });
        })
    }

    #[test]
    fn a_healthy_home_has_no_warning() {
        assert_eq!(assess(&well()), []);
        let mut paused = well();
        paused.pause = Some(Pause {
            since: at(0),
            until: None,
            reason: None,
        });
        assert_eq!(assess(&paused), [], "a pause is no trouble");
    }

    #[test]
    fn temporary_trouble_is_a_warning_only_when_it_lasts() {
        let temporary = [
            (ErrorKind::Network, Outcome::CouldNotCheck),
            (ErrorKind::Network, Outcome::Failed),
            (ErrorKind::RateLimit, Outcome::CouldNotCheck),
        ];
        for (kind, outcome) in temporary {
            assert_eq!(failed(kind, outcome, 2), [], "{kind}");
            assert_eq!(
                failed(kind, outcome, 3),
                [WarningKind::ModelFailed],
                "{kind}"
            );
        }
        for kind in [ErrorKind::Integrity, ErrorKind::Disk, ErrorKind::Internal] {
            assert_eq!(failed(kind, Outcome::Failed, 1), [WarningKind::ModelFailed]);
        }
        assert_eq!(failed(ErrorKind::Internal, Outcome::Partial, 0), []);
    }

    #[test]
    fn damage_is_a_warning_even_after_a_good_check() {
        let after = |outcome| judge(|model| model.last_verify_outcome = Some(outcome));
        assert_eq!(after(VerifyOutcome::Damaged), [WarningKind::ModelDamaged]);
        assert_eq!(after(VerifyOutcome::Verified), []);
        assert_eq!(after(VerifyOutcome::Unproven), []);
        let disabled = judge(|model| {
            model.summary = ModelSummary::Disabled;
            model.last_verify_outcome = Some(VerifyOutcome::Damaged);
        });
        assert_eq!(disabled, []);
    }

    #[test]
    fn the_state_of_a_model_decides_about_its_warning() {
        let of = |summary| {
            judge(|model| {
                model.summary = summary;
                model.consecutive_failures = 9;
                model.last_check_at = Some(at(-8 * 24 * HOUR));
            })
        };
        let stale = WarningKind::StaleCheck;
        assert_eq!(
            of(ModelSummary::Orphaned),
            [WarningKind::ModelOrphaned, stale]
        );
        assert_eq!(of(ModelSummary::Gated), [WarningKind::ModelGated, stale]);
        assert_eq!(of(ModelSummary::Failing), [WarningKind::ModelFailed, stale]);
        assert_eq!(of(ModelSummary::Disabled), []);
    }

    #[test]
    fn a_check_is_stale_when_it_is_older_than_allowed_or_never_came() {
        let checked = |seconds| judge(|model| model.last_check_at = Some(at(seconds)));
        let week = 7 * 24 * HOUR;
        assert_eq!(checked(-week), []);
        assert_eq!(checked(-week - 1), [WarningKind::StaleCheck]);
        assert_eq!(checked(HOUR), [], "checked by a clock that ran ahead");
        assert_eq!(
            judge(|model| model.last_check_at = None),
            [WarningKind::StaleCheck]
        );
        let new = judge(|model| {
            model.last_check_at = None;
            model.created_at = at(-HOUR);
        });
        assert_eq!(new, []);
        let unscheduled = judge(|model| {
            model.last_check_at = None;
            model.is_scheduled = false;
        });
        assert_eq!(unscheduled, [], "no schedule includes it");
        let monthly = |age: i64| {
            judge(|model| {
                model.last_check_at = Some(at(-age));
                model.planned_age = Some(Seconds(62 * 24 * 3600));
            })
        };
        assert_eq!(monthly(62 * 24 * HOUR), [], "it is checked once a month");
        assert_eq!(monthly(62 * 24 * HOUR + 1), [WarningKind::StaleCheck]);
        let hourly = judge(|model| {
            model.last_check_at = Some(at(-week - 1));
            model.planned_age = Some(Seconds(7200));
        });
        assert_eq!(hourly, [WarningKind::StaleCheck]);
    }

    #[test]
    fn a_wrong_clock_is_the_first_warning() {
        let mut status = well();
        status.false_future = Some(at(40 * 24 * HOUR));
        assert_eq!(kinds(&status), [WarningKind::Clock]);
        let told = &assess(&status)[0].message;
        assert!(told.contains("wrong then or is wrong now"), "{told}");
        status.now = "2025-12-31T00:00Z".parse().unwrap();
        let told = &assess(&status)[0];
        assert!(
            told.message.contains("before this program was made"),
            "{told:?}"
        );
    }

    #[test]
    fn ticks_are_missed_after_two_periods_of_an_installed_timer() {
        let mut timer = TimerFacts {
            installed: true,
            backend: "crontab".to_owned(),
            every: Seconds(900),
            since: Some(at(-10 * HOUR)),
            drift: None,
            doubt: None,
            next_tick: None,
        };
        let missed =
            |timer: &TimerFacts, last: Option<i64>| missed_ticks(timer, last.map(at), at(0));
        assert_eq!(missed(&timer, Some(-1800)), 0);
        assert_eq!(missed(&timer, Some(-1801)), 2);
        assert_eq!(missed(&timer, None), 40, "since it was installed");
        assert_eq!(
            missed(&timer, Some(-20 * HOUR)),
            40,
            "a tick of an older timer"
        );
        timer.since = Some(at(-60));
        assert_eq!(
            missed(&timer, Some(-20 * HOUR)),
            0,
            "it has just been installed"
        );
        timer.since = None;
        assert_eq!(missed(&timer, None), 0);

        let mut status = well();
        status.last_timer_tick = Some(at(-HOUR));
        timer.drift = Some("the program has moved".to_owned());
        status.timer = Some(timer.clone());
        let both = [WarningKind::MissedTick, WarningKind::TimerDrift];
        assert_eq!(kinds(&status), both);
        // Ticks refute a guess.
        (timer.drift, timer.doubt) = (None, Some("no daemon seems to run".to_owned()));
        timer.since = Some(at(-60));
        status.timer = Some(timer.clone());
        assert_eq!(kinds(&status), [WarningKind::TimerDoubt]);
        status.last_timer_tick = Some(at(-30));
        assert_eq!(kinds(&status), []);
        timer.installed = false;
        status.last_timer_tick = None;
        status.timer = Some(timer);
        assert_eq!(kinds(&status), []);
    }

    #[test]
    fn a_low_disk_and_an_unreadable_database_come_first() {
        let mut status = well();
        status.models[0].summary = ModelSummary::Gated;
        status.disks[0].free = ByteSize(9);
        status.unusable = vec![Unusable {
            id: ScheduleId(1),
            name: "nightly".to_owned(),
            is_enabled: true,
            why: "because".to_owned(),
            kind: UnusableKind::Unreadable,
        }];
        status.database_trouble = Some(DatabaseTrouble {
            message: "damaged".to_owned(),
            hint: None,
        });
        let all = [
            WarningKind::Database,
            WarningKind::DiskLow,
            WarningKind::ScheduleUnusable,
            WarningKind::ModelGated,
        ];
        assert_eq!(kinds(&status), all);
    }
}
