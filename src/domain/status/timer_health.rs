//! The warnings of `status` about the timer.

use super::facts::{NextDue, Status, TimerFacts};
use super::health::{Warning, WarningKind};
use crate::domain::outcome::Trigger;
use crate::domain::schedule::WaitReason;
use crate::domain::time::{Timestamp, believed};
use crate::domain::units::Seconds;

/// The number of periods without a tick after which ticks are missed.
const PERIODS_OF_SILENCE: u64 = 2;

pub(super) fn timer_warnings(status: &Status) -> Vec<Warning> {
    let Some(timer) = status.timer.as_ref().filter(|timer| timer.installed) else {
        // An unattended run serves the slots that are due; a pause keeps them waiting.
        let trigger = status.run.as_ref().map(|it| it.run.start.trigger);
        let is_served = matches!(trigger, Some(Trigger::Timer | Trigger::Ci));
        let is_quiet = is_served || status.pause.is_some();
        let missing = missing_timer(
            &status.next_due,
            status.last_unattended_tick,
            status.tick_every,
            status.now,
        );
        return missing.filter(|_| !is_quiet).into_iter().collect();
    };
    let mut warnings = Vec::new();
    let n_missed = missed_ticks(timer, status.last_timer_tick, status.now);
    if n_missed > 0 {
        let verb = if n_missed == 1 { "was" } else { "were" };
        let message = format!(
            "the timer ({}) starts a tick every {}, and {n_missed} {verb} missed",
            timer.backend, timer.every
        );
        let hint =
            "`hfdl start` installs the timer anew; the system's own log says why it is silent";
        warnings.push(Warning::new(WarningKind::MissedTick, message, hint));
    }
    if let Some(drift) = &timer.drift {
        let message = format!("the timer's entry is not as it should be: {drift}");
        let hint = "`hfdl start` brings it up to date";
        warnings.push(Warning::new(WarningKind::TimerDrift, message, hint));
    }
    let ticks_come = status
        .last_timer_tick
        .is_some_and(|tick| n_missed == 0 && timer.since.is_none_or(|since| tick >= since));
    if let Some(doubt) = timer.doubt.as_ref().filter(|_| !ticks_come) {
        let message = format!(
            "no tick has come from the timer ({}): {doubt}",
            timer.backend
        );
        let hint = "start that daemon, or use another timer: `hfdl start --backend NAME`";
        warnings.push(Warning::new(WarningKind::TimerDoubt, message, hint));
    }
    warnings
}

/// Returns a warning about schedules of a home without a timer of ours, if nothing else
/// starts them: there was never an unattended tick, or none since a slot became due two
/// periods ago. Ticks by hand prove nothing: the next slot may have no hand.
pub fn missing_timer(
    next_due: &[NextDue],
    last_unattended: Option<Timestamp>,
    every: Seconds,
    now: Timestamp,
) -> Option<Warning> {
    let without_tick = |due: &&NextDue| {
        let late = due.next.late;
        let due_since = now.checked_sub(late.span()).unwrap_or(now);
        due.next.waiting == WaitReason::Due
            && late.get() > PERIODS_OF_SILENCE * every.get()
            && last_unattended.is_none_or(|tick| tick < due_since)
    };
    let message = match (last_unattended, next_due.iter().find(without_tick)) {
        (_, Some(due)) => format!(
            "no timer is installed: the slot of `{}` has been due for {}, and no timer has started \
             `hfdl run-due` since",
            due.schedule,
            due.next.late.render_short()
        ),
        (None, None) if !next_due.is_empty() => {
            "no timer is installed and none has started `hfdl run-due` yet, so no schedule runs \
             by itself"
                .to_owned()
        }
        _ => return None,
    };
    let hint = "`hfdl start` installs one; a crontab entry of your own starts \
                `hfdl run-due --trigger timer`, and a CI job `hfdl run-due --trigger ci`";
    Some(Warning::new(WarningKind::TimerMissing, message, hint))
}

/// Counts the ticks of an installed timer that were missed.
pub fn missed_ticks(timer: &TimerFacts, last: Option<Timestamp>, now: Timestamp) -> u64 {
    // There is no time to count from.
    let Some(from) = last.max(believed(timer.since, now)) else {
        return 0;
    };
    let every = timer.every.get().max(1);
    let silent = u64::try_from(now.duration_since(from).as_secs()).unwrap_or(0);
    if silent > PERIODS_OF_SILENCE * every {
        silent / every
    } else {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::schedule::{NextStart, PlannedSlot};

    const HOUR: i64 = 3600;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_900_000_000 + seconds).unwrap()
    }

    #[test]
    fn schedules_without_a_timer_wait_for_two_periods_and_count_unattended_ticks() {
        let due = |late| NextDue {
            schedule: "nightly".parse().unwrap(),
            zone: jiff::tz::TimeZone::UTC,
            next: NextStart {
                waiting: WaitReason::Due,
                planned: PlannedSlot {
                    slot: at(-1),
                    ready: at(0),
                    deadline: None,
                },
                late: Seconds(late),
            },
        };
        let is_missing = |late: u64, tick: Option<i64>| {
            missing_timer(&[due(late)], tick.map(at), Seconds(900), at(0)).is_some()
        };
        assert!(is_missing(0, None), "nothing has ever ticked");
        assert!(!is_missing(1_800, Some(-9 * HOUR)));
        assert!(is_missing(1_801, Some(-9 * HOUR)));
        assert!(!is_missing(2 * 3_600, Some(-HOUR)), "a tick came since");
        assert_eq!(missing_timer(&[], None, Seconds(900), at(0)), None);
    }
}
