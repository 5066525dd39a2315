//! Nights in which a schedule waits, misses its slot, or cannot be followed.

use super::{Night, nights};
use crate::support::database::change;

/// A second model under a schedule of its own that no run can follow.
fn unusable(night: &Night) {
    night.usual();
    let other = night.env.hub().repo("acme/other");
    other.commit("main").file("config.json", "{}").publish();
    night.line("models add acme/other");
    night.line("schedules add sick --every 1h --model acme/other");
    change(
        &night.env,
        "UPDATE schedules SET time_zone = 'Mars/Base' WHERE name = 'sick'",
    );
}

nights! {
    a_schedule_cannot_be_followed: |night| {
        unusable(night);
        night.publish("two");
    } => "
        exit 2
        run failed: acme/other updated, acme/tiny updated
        status 1 schedule-unusable
        file same
        metrics 2 updated updated
        hooks on_update published, on_update published, finally ended
        ping start, 2
        mail error: the schedule `sick` is skipped
    ";
    a_schedule_is_unusable_and_it_was_reported: |night| {
        unusable(night);
        night.tick_at("2026-03-01T10:00:00Z");
        night.env.now("2026-03-01T11:00:00Z");
        night.forget();
    } => "
        exit 2
        run failed: acme/other up-to-date, acme/tiny up-to-date
        status 1 schedule-unusable
        file same
        metrics 2 up-to-date up-to-date
        hooks finally ended
        ping start, 2
        mail -
    ";
    a_schedule_without_models: |night| {
        night.publish("one");
        night.line("models add acme/tiny");
        night.line("schedules add empty --every 1h --tag none");
    } => "
        exit 0
        run ok
        status 1 schedule-empty
        file same
        metrics -
        hooks -
        ping start, success
        mail -
    ";
    no_schedule_at_all: |night| {
        night.publish("one");
        night.line("models add acme/tiny");
    } => "
        exit 0
        run unreadable
        status 0 healthy
        file none
        metrics -
        hooks -
        ping -
        mail -
    ";
    the_schedule_is_disabled: |night| {
        night.usual();
        night.publish("two");
        night.line("schedules disable hourly");
    } => "
        exit 0
        run ok: acme/tiny updated
        status 0 healthy
        file same
        metrics 0 updated
        hooks -
        ping -
        mail -
    ";
    the_schedule_of_the_timer_is_gone: |night| {
        night.usual();
        night.args.extend(["--schedule".to_owned(), "nightly".to_owned()]);
    } => "
        exit 2
        run ok: acme/tiny updated
        status 1 tick-failed
        file same
        metrics 2 updated
        hooks -
        ping fail
        mail error: there is no schedule `nightly`
    ";
    the_line_of_the_timer_has_an_unknown_flag: |night| {
        night.usual();
        night.args.push("--warp".to_owned());
    } => "
        exit 2
        run ok: acme/tiny updated
        status 1 tick-failed
        file same
        metrics 2 updated
        hooks -
        ping fail
        mail error: `hfdl run-due` has no option `--warp`
    ";
    the_line_of_the_timer_has_an_unknown_setting: |night| {
        night.usual();
        night.args.extend(["--set".to_owned(), "download.speed=9".to_owned()]);
    } => "
        exit 2
        run ok: acme/tiny updated
        status 1 tick-failed
        file same
        metrics 2 updated
        hooks -
        ping fail
        mail error: there is no setting `download.speed`
    ";
    the_line_of_the_timer_was_wrong_and_nothing_is_due: |night| {
        night.usual();
        night.args.push("--warp".to_owned());
        night.tick().exits(2);
        night.args.clear();
        night.env.now("2026-03-01T09:30:00Z");
        night.forget();
    } => "
        exit 0
        run ok: acme/tiny updated
        status 0 healthy
        file same
        metrics 0 updated
        hooks -
        ping -
        mail -
    ";
    the_window_is_closed: |night| {
        night.publish("one");
        night.line("models add acme/tiny");
        night.line("schedules add nights --daily 09:30 --all --window 22:00-06:00 --tz UTC");
    } => "
        exit 0
        run unreadable
        status 0 healthy
        file none
        metrics -
        hooks -
        ping -
        mail -
    ";
    a_slot_was_let_go: |night| {
        night.publish("one");
        night.line("models add acme/tiny");
        night.line("schedules add daily --daily 09:30 --all --catch-up skip --tz UTC");
        night.tick_at("2026-03-01T09:00:00Z").succeeds();
        night.env.now("2026-03-01T18:00:00Z");
    } => "
        exit 0
        run unreadable
        status 0 healthy
        file none
        metrics -
        hooks -
        ping -
        mail -
    ";
    a_missed_slot_is_caught_up: |night| {
        night.publish("one");
        night.line("models add acme/tiny");
        night.line("schedules add daily --daily 09:30 --all --tz UTC");
        night.tick_at("2026-03-01T09:00:00Z").succeeds();
        night.env.now("2026-03-03T18:00:00Z");
    } => "
        exit 0
        run ok: acme/tiny updated
        status 0 healthy
        file same
        metrics 0 updated
        hooks on_update published, finally ended
        ping start, success
        mail -
    ";
    ticks_were_missed_for_two_days: |night| {
        night.usual();
        night.publish("two");
        night.env.now("2026-03-03T10:00:00Z");
    } => "
        exit 0
        run ok: acme/tiny updated
        status 0 healthy
        file same
        metrics 0 updated
        hooks on_update published, finally ended
        ping start, success
        mail -
    ";
    the_last_check_is_ten_days_old: |night| {
        night.usual();
        night.line("pause --for 30d");
        night.env.now("2026-03-11T10:00:00Z");
    } => "
        exit 0
        run skipped-paused
        status 1 stale-check
        file same
        metrics 0 updated
        hooks on_skip skipped
        ping -
        mail -
    ";
    a_shard_with_the_model: |night| {
        night.usual();
        night.publish("two");
        night.args.extend(["--shard".to_owned(), "0/2".to_owned()]);
    } => "
        exit 0
        run ok: acme/tiny updated
        status 0 healthy
        file same
        metrics 0 updated
        hooks on_update published, finally ended
        ping start, success
        mail -
    ";
    a_shard_without_the_model: |night| {
        night.usual();
        night.publish("two");
        night.args.extend(["--shard".to_owned(), "1/2".to_owned()]);
    } => "
        exit 0
        run ok
        status 0 healthy
        file same
        metrics 0 updated
        hooks -
        ping start, success
        mail -
    ";
    a_row_of_the_rate_limits_is_bad: |night| {
        night.usual();
        night.publish("two");
        change(&night.env, "INSERT INTO rate_limits (endpoint, bucket, remaining, resets_at)
            VALUES ('nonsense', 'api', 0, 99999999999999)");
    } => "
        exit 0
        run ok: acme/tiny updated
        status 1 bad-row
        file same
        metrics 0 updated
        hooks on_update published, finally ended
        ping start, success
        mail -
    ";
    the_once_schedule_is_over: |night| {
        night.publish("one");
        night.line("models add acme/tiny");
        night.env.now("2026-03-01T08:00:00Z");
        night.line("schedules add once --once 2026-03-01T09:00:00Z --all");
        night.tick_at("2026-03-01T09:00:00Z").succeeds();
        night.env.now("2026-03-01T10:00:00Z");
        night.forget();
    } => "
        exit 0
        run ok: acme/tiny updated
        status 0 healthy
        file same
        metrics 0 updated
        hooks -
        ping -
        mail -
    ";
}
