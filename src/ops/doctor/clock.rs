//! The clock and the time zone.

use super::check_result::CheckResult;
use crate::domain::time::{EARLIEST_BELIEVABLE, Timestamp, render_utc};
use crate::sys::host::Host;

/// The offset from which slots start late and links expire early.
const WARN_SECONDS: u64 = 120;

/// The offset from which certificates may seem invalid and windows are wrong.
const FAIL_SECONDS: u64 = 3_600;

/// Compares the clock with that of the Hub, if the Hub sent its time.
pub(super) fn clock(now: Timestamp, hub: Option<Timestamp>) -> CheckResult {
    let shown = render_utc(now);
    let set = "set the clock, and have it kept right (NTP)";
    if now < EARLIEST_BELIEVABLE {
        return CheckResult::fail(
            "clock",
            format!("it shows {shown}, which is before this program was made"),
        )
        .why("runs refuse to work by such a clock")
        .next(set);
    }
    let Some(hub) = hub else {
        return CheckResult::skipped(
            "clock",
            format!("it shows {shown}; the Hub did not tell its own"),
        );
    };
    let off = (now.as_second() - hub.as_second()).unsigned_abs();
    let direction = if now < hub { "behind" } else { "ahead of" };
    let what = format!("it shows {shown}, {off} s {direction} that of the Hub");
    match off {
        0..=WARN_SECONDS => CheckResult::ok("clock", format!("{shown}, as the Hub says")),
        _ if off <= FAIL_SECONDS => CheckResult::warn("clock", what)
            .why("schedules and links that expire go by it")
            .next(set),
        _ => CheckResult::fail("clock", what)
            .why("schedules start at the wrong time, and certificates may seem invalid")
            .next(set),
    }
}

/// Checks that the time zone has a name.
pub(super) fn zone(host: &Host) -> CheckResult {
    match host.time_zone_name() {
        Some(name) => CheckResult::ok("time-zone", name),
        None => CheckResult::warn("time-zone", "the system's zone has no name")
            .why("`/etc/localtime` and `TZ` lead to no IANA zone, so that a change of clocks is not known")
            .next("set the system's zone (`timedatectl set-timezone`), or give schedules their own: `--tz`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::doctor::check_result::CheckLevel;

    #[test]
    fn a_clock_may_be_a_little_off() {
        let hub: Timestamp = "2026-03-01T09:00:00Z".parse().unwrap();
        let verdict = |off: i64| {
            let now = Timestamp::from_second(hub.as_second() + off).unwrap();
            clock(now, Some(hub)).verdict
        };
        for (off, expected) in [
            (0, CheckLevel::Ok),
            (-120, CheckLevel::Ok),
            (121, CheckLevel::Warn),
            (-3_600, CheckLevel::Warn),
            (3_601, CheckLevel::Fail),
            (-100 * 86_400, CheckLevel::Fail),
        ] {
            assert_eq!(verdict(off), expected, "{off}");
        }
        assert_eq!(clock(hub, None).verdict, CheckLevel::Skipped);
        assert_eq!(clock(Timestamp::UNIX_EPOCH, None).verdict, CheckLevel::Fail);
    }
}
