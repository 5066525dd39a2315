//! Nights in which hooks, pings, the metrics file or mails fail.

use std::fs;

use hfdl_test_hub::Gate;

use super::{Night, nights};
use crate::support::inbox::Inbox;

/// Replaces the script of all hooks.
fn hook(night: &Night, text: &str) {
    fs::write(
        night.env.root().join("hook"),
        format!("#!/bin/sh\n{text}\n"),
    )
    .unwrap();
}

nights! {
    a_hook_fails: |night| {
        night.usual();
        night.publish("two");
        hook(night, "exit 3");
    } => "
        exit 0
        run ok: acme/tiny updated
        status 0 healthy
        file same
        metrics 0 updated
        hooks -
        ping start, success
        mail warn: `hooks.on_update` for `acme/tiny`: it ended with code 3 (`[ROOT]/hook`)
    ";
    a_hook_hangs: |night| {
        night.usual();
        night.publish("two");
        night.env.set("HFDL_HOOKS_TIMEOUT", "1s");
        hook(night, "sleep 600");
    } => "
        exit 0
        run ok: acme/tiny updated
        status 0 healthy
        file same
        metrics 0 updated
        hooks -
        ping start, success
        mail warn: `hooks.on_update` for `acme/tiny`: it took longer than 1 s and was ended (`[ROOT]/hook`)
    ";
    a_hook_is_missing: |night| {
        night.usual();
        night.publish("two");
        night.env.set("HFDL_HOOKS_ON_UPDATE", "[\"/nowhere/hook\"]");
    } => "
        exit 0
        run ok: acme/tiny updated
        status 0 healthy
        file same
        metrics 0 updated
        hooks finally ended
        ping start, success
        mail warn: `hooks.on_update` for `acme/tiny`: there is no such program, or this user may not run it (`/nowhere/hook`)
    ";
    a_hook_asks_to_be_left_out: |night| {
        night.usual();
        night.publish("two");
        hook(night, "exit 75");
    } => "
        exit 0
        run ok: acme/tiny updated
        status 0 healthy
        file same
        metrics 0 updated
        hooks -
        ping start, success
        mail -
    ";
    the_ping_is_refused: |night| {
        night.usual();
        night.inbox = Inbox::answering(500);
        night.env.set("HFDL_PING_URL", &format!("{}/check", night.inbox.base()));
    } => "
        exit 0
        run ok: acme/tiny up-to-date
        status 0 healthy
        file same
        metrics 0 up-to-date
        hooks finally ended
        ping start, start, success, success
        mail warn: the ping did not arrive: `127.0.0.1`: the answer is HTTP 500
    ";
    the_ping_was_refused_earlier_today: |night| {
        night.usual();
        night.inbox = Inbox::answering(500);
        night.env.set("HFDL_PING_URL", &format!("{}/check", night.inbox.base()));
        night.tick_at("2026-03-01T10:00:00Z").explains("the ping did not arrive");
        night.forget();
        night.env.now("2026-03-01T11:00:00Z");
    } => "
        exit 0
        run ok: acme/tiny up-to-date
        status 0 healthy
        file same
        metrics 0 up-to-date
        hooks finally ended
        ping start, start, success, success
        mail -
    ";
    the_ping_was_refused_yesterday: |night| {
        night.usual();
        night.inbox = Inbox::answering(500);
        night.env.set("HFDL_PING_URL", &format!("{}/check", night.inbox.base()));
        night.tick_at("2026-03-01T10:00:00Z").explains("the ping did not arrive");
        night.forget();
        night.env.now("2026-03-02T11:00:00Z");
    } => "
        exit 0
        run ok: acme/tiny up-to-date
        status 0 healthy
        file same
        metrics 0 up-to-date
        hooks finally ended
        ping start, start, success, success
        mail warn: the ping did not arrive: `127.0.0.1`: the answer is HTTP 500
    ";
    nothing_listens_for_the_ping: |night| {
        night.usual();
        night.env.set("HFDL_PING_URL", "http://127.0.0.1:1/check");
    } => "
        exit 0
        run ok: acme/tiny up-to-date
        status 0 healthy
        file same
        metrics 0 up-to-date
        hooks finally ended
        ping -
        mail warn: the ping did not arrive: `127.0.0.1`: the connection was refused
    ";
    access_is_refused_and_no_report_arrives: |night| {
        night.usual();
        night.publish("two");
        night.env.hub().repo("acme/tiny").gated(Gate::Manual);
        night.env.set("HFDL_PING_URL", "http://127.0.0.1:1/check");
        hook(night, "exit 3");
    } => "
        exit 4
        run failed: acme/tiny failed auth
        status 1 model-gated
        file same
        metrics 4 failed
        hooks -
        ping -
        mail hfdl: 1 of 1 model needs a look: acme/tiny: `acme/tiny` is gated, and access to its files was not granted
    ";
    the_status_file_has_no_second_place: |night| {
        night.usual();
        night.publish("two");
        night.env.set("HFDL_STATUS_FILE", "/nowhere/status.json");
    } => "
        exit 0
        run ok: acme/tiny updated
        status 0 healthy
        file same
        metrics 0 updated
        hooks on_update published, finally ended
        ping start, success
        mail warn: cannot write `/nowhere/status.json`: No such file or directory (os error 2)
    ";
    a_setting_is_nonsense: |night| {
        night.usual();
        night.env.set("HFDL_DOWNLOAD_FILES", "many");
    } => "
        exit 2
        run ok: acme/tiny updated
        status 2 unreadable
        file healthy
        metrics 2 updated
        hooks -
        ping fail
        mail error: environment (HFDL_DOWNLOAD_FILES): `many` is not a valid value for `download.files`: it must be a whole number from 1 to 256
    ";
}
