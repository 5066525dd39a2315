//! Nights in which the clock is wrong, or was.

use super::nights;

nights! {
    the_clock_is_years_behind: |night| {
        night.usual();
        night.env.now("2001-01-01T00:00:00Z");
    } => "
        exit 5
        run ok: acme/tiny updated
        status 1 clock
        file same
        metrics 5
        hooks -
        ping fail
        mail error: the clock is wrong: it shows 2001-01-01 00:00 UTC, which is before this program was made
    ";
    the_clock_is_years_behind_and_the_hub_is_away: |night| {
        night.usual();
        night.env.now("2001-01-01T00:00:00Z").set("HF_ENDPOINT", "http://127.0.0.1:1");
    } => "
        exit 5
        run ok: acme/tiny updated
        status 1 clock
        file same
        metrics 5
        hooks -
        ping fail
        mail error: the clock is wrong: it shows 2001-01-01 00:00 UTC, which is before this program was made
    ";
    the_clock_was_set_back_forty_days: |night| {
        night.usual();
        night.publish("two");
        night.env.now("2026-01-20T10:00:00Z");
    } => "
        exit 0
        run ok
        status 0 healthy
        file same
        metrics -
        hooks -
        ping start, success
        mail warn: the clock went back from 2026-03-01T09:00:00Z to 2026-01-20T10:00:00Z
    ";
    the_clock_was_ahead_for_one_tick: |night| {
        night.usual();
        night.tick_at("2031-03-01T10:00:00Z").succeeds();
        night.publish("two");
        night.env.now("2026-03-01T12:05:00Z");
        night.forget();
    } => "
        exit 0
        run ok
        status 0 healthy
        file same
        metrics 0 updated
        hooks -
        ping start, success
        mail warn: the clock went back from 2031-03-01T10:00:00Z to 2026-03-01T12:05:00Z
    ";
    the_clock_was_ahead_and_an_hour_has_passed: |night| {
        night.usual();
        night.tick_at("2031-03-01T10:00:00Z").succeeds();
        night.publish("two");
        night.tick_at("2026-03-01T12:05:00Z").succeeds();
        night.env.now("2026-03-01T13:05:00Z");
        night.forget();
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
    the_clock_was_ahead_when_the_hub_was_away: |night| {
        night.usual();
        let hub = night.env.hub_endpoint().unwrap();
        night.env.set("HF_ENDPOINT", "http://127.0.0.1:1");
        night.tick_at("2031-03-01T10:00:00Z").exits(5);
        night.env.set("HF_ENDPOINT", &hub);
        night.env.now("2026-03-01T11:00:00Z");
        night.forget();
    } => "
        exit 0
        run ok: acme/tiny up-to-date
        status 0 healthy
        file same
        metrics 0 up-to-date
        hooks finally ended
        ping start, success
        mail warn: the clock went back from 2031-03-01T10:00:00Z to 2026-03-01T11:00:00Z
    ";
    the_clock_is_a_minute_behind_the_last_tick: |night| {
        night.usual();
        night.publish("two");
        night.tick_at("2026-03-01T10:00:00Z").succeeds();
        night.env.now("2026-03-01T09:59:30Z");
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
