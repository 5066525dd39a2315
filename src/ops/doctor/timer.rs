//! The timer: its installed entry, and its ticks.
//!
//! Ticks count more than the entry: an entry may never fire, and ticks may come from
//! a line that a person wrote by hand.

use std::borrow::Cow;

use anyhow::Result;

use super::check_result::{CheckLevel, CheckResult};
use super::{Mending, ago};
use crate::domain::status::Warning;
use crate::domain::time::Timestamp;
use crate::domain::units::Seconds;
use crate::ops::next_due::missing_timer_here;
use crate::ops::status::StatusContext;
use crate::ops::ticks::{Ticks, last_ticks};
use crate::ops::timer::{HomeContext, TimerRequest, TimerState, plan_entry, state, status_facts};
use crate::ops::timer_places::{LOST_DATABASE_HINT, lost_database};
use crate::store::Store;

/// Checks the entry, and the time of the last tick.
pub(super) fn timer(
    place: HomeContext<'_>,
    store: Option<&Store>,
    now: Timestamp,
    mending: Mending,
) -> Vec<CheckResult> {
    let Some(store) = store else {
        return vec![without_database(place)];
    };
    let every = place.settings.timer_every();
    let read = || -> Result<(Ticks, Option<Timestamp>, Option<Warning>)> {
        let since = status_facts(place, store)?.and_then(|facts| facts.since);
        let status = StatusContext {
            host: place.host,
            home: place.home,
            settings: place.settings,
        };
        let missing = missing_timer_here(&status, store)?;
        Ok((last_ticks(place.home, store, now)?, since, missing))
    };
    let (ticks, since, missing) = match read() {
        Ok(read) => read,
        Err(err) => {
            return vec![CheckResult::of_error(
                "timer",
                "its state cannot be read",
                &err,
            )];
        }
    };
    let tick = ticks.by_timer;
    let found = state(place, Some(store));
    let is_ours = found.backend.is_some();
    if !is_ours {
        return without_entry(&found, &ticks, missing, (every, now));
    }
    let mut entry = judge_entry(&found, is_recent(tick, every, now));
    let is_right = found.installed && found.is_current && found.last_problem.is_none();
    if mending == Mending::Mend && !is_right {
        entry = put_right(place, store, now, entry);
    }
    let ticks = failing_ticks(&ticks).unwrap_or_else(|| judge_ticks(tick, since, every, now));
    vec![entry, ticks]
}

/// Judges a home without an entry of ours. Ticks by a crontab entry of the user or by CI
/// count, those by hand do not, and schedules that nothing starts are a failure, as in `status`.
fn without_entry(
    found: &TimerState,
    ticks: &Ticks,
    missing: Option<Warning>,
    (every, now): (Seconds, Timestamp),
) -> Vec<CheckResult> {
    let last = ticks.unattended;
    let entry = match missing {
        Some(Warning { message, hint, .. }) => CheckResult {
            next: hint.map(Cow::into_owned),
            ..CheckResult::fail("timer", "none is installed").why(message)
        },
        None => judge_entry(found, is_recent(last, every, now)),
    };
    let came = |tick| CheckResult::ok("ticks", format!("the last one came {}", ago(tick, now)));
    // The entry's check says already that nothing starts hfdl.
    let none = || {
        let words = "none yet; a line of your own passes `--trigger timer` to be told apart";
        CheckResult::skipped("ticks", words)
    };
    let judged = || last.map_or_else(none, came);
    vec![entry, failing_ticks(ticks).unwrap_or_else(judged)]
}

/// Reports an entry whose database is missing: each of its ticks fails.
fn without_database(place: HomeContext<'_>) -> CheckResult {
    match lost_database(place) {
        None => CheckResult::skipped("timer", "nothing is registered yet"),
        Some(why) => CheckResult::fail("timer", "the database of the installed timer is missing")
            .why(why)
            .next(LOST_DATABASE_HINT),
    }
}

/// Repairs an entry of `hfdl start` as that command would.
fn put_right(
    place: HomeContext<'_>,
    store: &Store,
    now: Timestamp,
    entry: CheckResult,
) -> CheckResult {
    let started = plan_entry(place, Some(store), &TimerRequest::default())
        .and_then(|draft| draft.install(store, now, None).map(|_| draft.kind()));
    match started {
        Ok(kind) => judge_entry(&state(place, Some(store)), false).mended(format!(
            "put the entry right, as `hfdl start` does ({kind})"
        )),
        Err(err) => entry.why(format!("it cannot be put right: {err:#}")),
    }
}

fn judge_entry(found: &TimerState, ticks_come: bool) -> CheckResult {
    let kind = found.backend.map_or("timer", |kind| kind.as_str());
    if let Some(unknown) = &found.unknown
        && found.backend.is_some()
    {
        let why = found.last_problem.clone().unwrap_or_default();
        let look = "`hfdl start` says what is in its way";
        return CheckResult::warn("timer", format!("the entry ({kind}) cannot be judged"))
            .why(why)
            .next(unknown.next.as_deref().unwrap_or(look));
    }
    let problem = found.last_problem.as_ref().or(found.doubt.as_ref());
    match (found.installed, found.is_current, problem) {
        (true, true, None) => CheckResult::ok("timer", format!("installed ({kind})")),
        // Ticks count more than a guess about a daemon.
        (true, true, Some(_)) if ticks_come && found.last_problem.is_none() => {
            CheckResult::ok("timer", format!("installed ({kind})"))
        }
        (true, true, Some(problem)) => {
            CheckResult::fail("timer", format!("installed ({kind}), and it does not fire"))
                .why(problem)
                .next(match found.last_problem {
                    Some(_) => "`hfdl start` puts it right, and so does `hfdl doctor --fix`",
                    None => "start that daemon, or use another timer: `hfdl start --backend NAME`",
                })
        }
        (true, false, _) => {
            let why = "it was installed by another version, it was edited, or the program, its home or the interval has changed";
            CheckResult::warn(
                "timer",
                format!("the entry ({kind}) is not what hfdl would write"),
            )
            .why(found.last_problem.as_deref().unwrap_or(why))
            .next("`hfdl start` writes it anew, and so does `hfdl doctor --fix`")
        }
        (false, _, Some(problem)) if found.backend.is_some() => {
            CheckResult::fail("timer", format!("the entry ({kind}) is gone"))
                .why(problem)
                .next("`hfdl start` puts it back; `hfdl stop` says that it is to be gone")
        }
        (false, _, _) if ticks_come => {
            CheckResult::ok("timer", "none made by `hfdl start`, and ticks come")
        }
        (false, _, problem) => {
            let why = "nothing runs unless a timer, a CI job or a person starts it";
            CheckResult::warn("timer", "none is installed")
                .why(problem.map_or(why, String::as_str))
                .next("`hfdl start` installs one")
        }
    }
}

fn is_recent(tick: Option<Timestamp>, every: Seconds, now: Timestamp) -> bool {
    tick.is_some_and(|tick| now.as_second() - tick.as_second() <= 2 * every.span().as_secs())
}

/// Says that ticks come and fail before their run.
fn failing_ticks(ticks: &Ticks) -> Option<CheckResult> {
    let failed = ticks.failed.as_ref()?;
    let verdict = if failed.needs_person() {
        CheckLevel::Fail
    } else {
        CheckLevel::Warn
    };
    let result = CheckResult::new("ticks", verdict, failed.headline());
    Some(result.why(failed.why.as_str()).next(failed.advice()))
}

/// Judges the last tick; nothing from before the entry was made is missed.
fn judge_ticks(
    tick: Option<Timestamp>,
    since: Option<Timestamp>,
    every: Seconds,
    now: Timestamp,
) -> CheckResult {
    let look = "look whether the timer is there and its daemon runs; `hfdl logs --last` shows the last run";
    if !is_recent(tick, every, now) && is_recent(since, every, now) {
        return CheckResult::skipped("ticks", "the entry is new; the first tick comes soon");
    }
    let Some(tick) = tick else {
        let result = "no timer has started `hfdl run-due` yet";
        return match since {
            Some(since) => CheckResult::fail("ticks", result)
                .why(format!("the entry was made {}", ago(since, now)))
                .next(look),
            None => CheckResult::warn("ticks", result)
                .why("entries that `hfdl start` did not make pass `--trigger timer` to be told apart")
                .next(look),
        };
    };
    let what = format!("the last one came {}", ago(tick, now));
    if is_recent(Some(tick), every, now) {
        return CheckResult::ok("ticks", what);
    }
    CheckResult::fail("ticks", what)
        .why(format!("one should come every {every}"))
        .next(look)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::timer::TimerKind;
    use crate::ops::timer::Unknown;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_772_000_000 + seconds).unwrap()
    }

    #[test]
    fn two_periods_without_a_tick_are_a_failure() {
        let verdict = |tick: Option<i64>, since: Option<i64>, now| {
            let every = Seconds(900);
            judge_ticks(tick.map(at), since.map(at), every, at(now)).verdict
        };
        assert_eq!(verdict(Some(0), None, 1_800), CheckLevel::Ok);
        assert_eq!(verdict(Some(0), None, 1_801), CheckLevel::Fail);
        // The check of the clock reports a clock that was set back.
        assert_eq!(verdict(Some(0), None, -5), CheckLevel::Ok);
        assert_eq!(verdict(None, None, 0), CheckLevel::Warn);
        // A new entry may not have fired yet.
        assert_eq!(verdict(None, Some(0), 60), CheckLevel::Skipped);
        assert_eq!(verdict(Some(0), Some(9_000), 9_060), CheckLevel::Skipped);
        assert_eq!(verdict(None, Some(0), 1_801), CheckLevel::Fail);
    }

    #[test]
    fn ticks_count_more_than_the_installed_entry() {
        let found = |installed, is_current, problem: Option<&str>, backend| TimerState {
            installed,
            is_current,
            backend,
            last_problem: problem.map(str::to_owned),
            ..TimerState::default()
        };
        let cron = Some(TimerKind::Crontab);
        let doubtful = TimerState {
            doubt: Some("no daemon".to_owned()),
            ..found(true, true, None, cron)
        };
        let unknown = TimerState {
            unknown: Some(Unknown { next: None }),
            ..found(false, false, Some("damaged"), cron)
        };
        for (facts, quiet, ticking) in [
            (doubtful, CheckLevel::Fail, CheckLevel::Ok),
            (unknown, CheckLevel::Warn, CheckLevel::Warn),
            (
                found(true, true, None, cron),
                CheckLevel::Ok,
                CheckLevel::Ok,
            ),
            (
                found(true, true, Some("not active"), cron),
                CheckLevel::Fail,
                CheckLevel::Fail,
            ),
            (
                found(true, false, None, cron),
                CheckLevel::Warn,
                CheckLevel::Warn,
            ),
            (
                found(false, false, Some("gone"), cron),
                CheckLevel::Fail,
                CheckLevel::Fail,
            ),
            (
                found(false, false, None, None),
                CheckLevel::Warn,
                CheckLevel::Ok,
            ),
        ] {
            assert_eq!(judge_entry(&facts, false).verdict, quiet, "{facts:?}");
            assert_eq!(judge_entry(&facts, true).verdict, ticking, "{facts:?}");
            let result = judge_entry(&facts, false);
            assert_eq!(result.next.is_some(), result.verdict != CheckLevel::Ok);
        }
    }
}
