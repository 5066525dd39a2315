//! Nights that end at a limit that a person has set.

use hfdl_test_hub::generated_bytes;

use super::{Night, nights};

fn publish_large(night: &Night) {
    let commit = night.env.hub().repo("acme/tiny").commit("main");
    commit
        .lfs("model.bin", generated_bytes(3 << 20, 5))
        .publish();
}

nights! {
    the_bytes_of_the_night_are_used_up: |night| {
        night.usual();
        publish_large(night);
        night.args.extend(["--max-transfer".to_owned(), "1M".to_owned()]);
    } => "
        exit 8
        run partial: acme/tiny partial
        status 0 healthy
        file same
        metrics 8 partial
        hooks finally ended
        ping start, success
        mail -
    ";
    the_rest_comes_in_the_next_night: |night| {
        night.usual();
        publish_large(night);
        night.args.extend(["--max-transfer".to_owned(), "1M".to_owned()]);
        night.tick_at("2026-03-01T10:00:00Z").exits(8);
        night.args.clear();
        night.env.now("2026-03-01T10:15:00Z");
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
    the_allowance_of_the_month_is_spent: |night| {
        night.usual();
        publish_large(night);
        night.line("config set limit.monthly 1M");
    } => "
        exit 8
        run partial: acme/tiny partial allowance
        status 1 allowance-spent
        file same
        metrics 8 partial
        hooks finally ended
        ping start, success
        mail hfdl: the allowance of the month for this home is spent (3 B of 1.00 MiB); it begins anew on Wed 1 Apr; `hfdl run-due --ignore-limits` goes beyond it now, and `hfdl config set limit.monthly SIZE` changes it
    ";
    the_time_of_the_night_is_used_up: |night| {
        night.usual();
        publish_large(night);
        night.args.extend(["--max-duration".to_owned(), "0s".to_owned()]);
    } => "
        exit 10
        run partial: acme/tiny partial
        status 0 healthy
        file same
        metrics 10 partial
        hooks finally ended
        ping start, success
        mail -
    ";
    the_window_ended_in_the_middle: |night| {
        night.publish("one");
        night.line("models add acme/tiny");
        night.line("schedules add nights --daily 09:00 --all --window 08:00-10:00 --tz UTC");
        night.tick_at("2026-03-01T09:00:00Z").succeeds();
        night.forget();
        publish_large(night);
        // The clock runs on: a minute before the end of the window is a second.
        night.asked_at = Some("2026-03-02T10:01:00Z");
        night.env.set("HFDL_DOWNLOAD_LIMIT_RATE", "200K");
        night.env.now("2026-03-02T09:59:00Z+60");
    } => "
        exit 10
        run partial: acme/tiny partial
        status 0 healthy
        file same
        metrics 10 partial
        hooks finally ended
        ping start, success
        mail -
    ";
}
