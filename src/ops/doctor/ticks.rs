//! Whether a timer starts runs: what it does counts, not what is installed.

use super::ago;
use super::finding::Finding;
use crate::domain::settings::Settings;
use crate::domain::time::Timestamp;
use crate::domain::units::Seconds;
use crate::ops::ticks::last_ticks;
use crate::store::Store;

/// Looks when a timer last started a run.
pub(super) fn timer(store: Option<&Store>, settings: &Settings, now: Timestamp) -> Vec<Finding> {
    let Some(store) = store else {
        return vec![Finding::skipped("ticks", "nothing is registered yet")];
    };
    vec![match last_ticks(store) {
        Ok(ticks) => judge(ticks.by_timer, settings.timer_every(), now),
        Err(err) => Finding::of_error("ticks", "cannot be read", &err),
    }]
}

fn judge(tick: Option<Timestamp>, every: Seconds, now: Timestamp) -> Finding {
    let look = "look whether the timer is there and its daemon runs";
    let Some(tick) = tick else {
        return Finding::warn("ticks", "no timer has started `hfdl run-due` yet")
            .why("nothing runs unless a timer, a CI job or somebody starts it")
            .next(look);
    };
    let what = format!("the last one came {}", ago(tick, now));
    let silent = now.as_second() - tick.as_second();
    if silent > 2 * every.span().as_secs() {
        return Finding::fail("ticks", what)
            .why(format!("one should come every {every}"))
            .next(look);
    }
    Finding::ok("ticks", what)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::doctor::finding::Verdict;

    #[test]
    fn two_periods_without_a_tick_are_a_failure() {
        let at = |seconds: i64| Timestamp::from_second(1_772_000_000 + seconds).unwrap();
        let verdict = |seconds| judge(Some(at(0)), Seconds(900), at(seconds)).verdict;
        assert_eq!(verdict(1_800), Verdict::Ok);
        assert_eq!(verdict(1_801), Verdict::Fail);
        // A clock that went back is another check's.
        assert_eq!(verdict(-5), Verdict::Ok);
        assert_eq!(judge(None, Seconds(900), at(0)).verdict, Verdict::Warn);
    }
}
