//! Nights in which a run goes well, hangs, is killed, or finds another one.

use hfdl_test_hub::{Api, Fault, On, generated_bytes};

use rustix::process::{Pid, Signal, kill_process};

use super::{Night, nights};
use crate::support::process::Victim;

/// Starts a run at ten that stands still in the middle.
fn stands_still(night: &mut Night) {
    night.usual();
    night.publish("two");
    night.env.set("HF_HUB_ETAG_TIMEOUT", "600");
    let hub = night.env.hub();
    hub.forget_requests();
    hub.fault(On::api(Api::Info), Fault::NoAnswer);
    let command = night.env.command(["run-due", "--trigger", "timer"]);
    let victim = Victim::start(command);
    hub.wait_until("it asks", |requests| !requests.is_empty());
    night.inbox.wait_for_one();
    // From now on it does nothing at all.
    let process = Pid::from_raw(i32::try_from(victim.id()).unwrap()).unwrap();
    kill_process(process, Signal::STOP).unwrap();
    night.victim = Some(victim);
    night.env.unset("HF_HUB_ETAG_TIMEOUT");
    hub.heal();
    night.forget();
}

/// Lets a command be killed at a step.
fn killed_at(night: &Night, step: &str, line: &str) {
    night.env.set("HFDL_TEST_CRASH_AT", step);
    let ran = night.env.line(line);
    assert_eq!(ran.code(), None, "{}", ran.report());
    night.env.unset("HFDL_TEST_CRASH_AT");
}

fn publish_large(night: &Night) {
    let commit = night.env.hub().repo("acme/tiny").commit("main");
    commit
        .lfs("model.bin", generated_bytes(3 << 20, 5))
        .publish();
}

nights! {
    nothing_is_new: |night| night.usual() => "
        exit 0
        run ok: acme/tiny up-to-date
        status 0 healthy
        file same
        metrics 0 up-to-date
        hooks finally ended
        ping start, success
        mail -
    ";
    nothing_is_due: |night| {
        night.usual();
        night.env.now("2026-03-01T09:30:00Z");
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
    an_update_is_published: |night| {
        night.usual();
        night.publish("two");
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
    the_first_night: |night| night.keep() => "
        exit 0
        run ok: acme/tiny updated
        status 0 healthy
        file same
        metrics 0 updated
        hooks on_update published, finally ended
        ping start, success
        mail -
    ";
    nothing_was_ever_set_up: |_| {} => "
        exit 0
        run unreadable
        status 0 healthy
        file none
        metrics none
        hooks -
        ping -
        mail -
    ";
    another_run_holds_the_lock: stands_still => "
        exit 11
        run skipped-locked
        status 0 healthy run-in-progress
        file same
        metrics 0 updated
        hooks on_skip skipped
        ping -
        mail -
    ";
    another_run_has_been_silent_for_ten_minutes: |night| {
        stands_still(night);
        night.env.now("2026-03-01T10:10:00Z");
    } => "
        exit 11
        run skipped-locked
        status 1 silent-run run-in-progress
        file healthy run-in-progress
        metrics 0 updated
        hooks on_skip skipped
        ping -
        mail -
    ";
    another_run_has_hung_for_three_hours: |night| {
        stands_still(night);
        night.env.now("2026-03-01T13:00:00Z");
    } => "
        exit 1
        run skipped-locked
        status 1 silent-run run-in-progress
        file same
        metrics 1
        hooks on_skip skipped
        ping fail
        mail error: the run [ID] (run-due, process [PID] on [HOST]) holds the lock and has given no sign of life since 2026-03-01 10:00 UTC
    ";
    another_run_hangs_and_was_reported_today: |night| {
        stands_still(night);
        night.tick_at("2026-03-01T13:00:00Z").exits(1);
        night.forget();
        night.env.now("2026-03-01T13:15:00Z");
    } => "
        exit 1
        run skipped-locked
        status 1 silent-run run-in-progress
        file same
        metrics 1
        hooks on_skip skipped
        ping fail
        mail -
    ";
    another_run_has_hung_since_yesterday: |night| {
        stands_still(night);
        night.tick_at("2026-03-01T13:00:00Z").exits(1);
        night.forget();
        night.env.now("2026-03-02T13:15:00Z");
    } => "
        exit 1
        run skipped-locked
        status 1 silent-run run-in-progress
        file same
        metrics 1
        hooks on_skip skipped
        ping fail
        mail error: the run [ID] (run-due, process [PID] on [HOST]) holds the lock and has given no sign of life since 2026-03-01 10:00 UTC
    ";
    nothing_moves_and_the_run_ends_itself: |night| {
        night.usual();
        night.env.set("HF_HUB_ETAG_TIMEOUT", "600").set("HFDL_TEST_IDLE_LIMIT", "500");
        night.env.hub().fault(On::api(Api::Info), Fault::NoAnswer);
    } => "
        exit 1
        run failed: acme/tiny failed internal
        status 1 model-failed
        file same
        metrics 1 failed
        hooks on_failure began, finally ended
        ping start, 1
        mail hfdl: 1 of 1 model needs a look: acme/tiny: nothing moved for 6h, so the run was ended
    ";
    the_run_is_stuck_and_its_process_ends: |night| {
        night.usual();
        night.env.set("HFDL_TEST_IDLE_LIMIT", "500").set("HFDL_TEST_HANG_AT", "sessions opened");
    } => "
        exit 1
        run crashed: acme/tiny failed internal
        status 1 model-failed
        file healthy run-in-progress
        metrics 0 updated
        hooks -
        ping start
        mail error: nothing moved for 6h, so the run was ended
    ";
    the_night_after_a_run_was_stuck: |night| {
        night.usual();
        night.env.set("HFDL_TEST_IDLE_LIMIT", "500").set("HFDL_TEST_HANG_AT", "sessions opened");
        night.tick_at("2026-03-01T10:00:00Z").exits(1);
        night.env.unset("HFDL_TEST_HANG_AT");
        night.forget();
        night.env.now("2026-03-01T10:15:00Z");
    } => "
        exit 0
        run ok: acme/tiny up-to-date
        status 0 healthy
        file same
        metrics 0 up-to-date
        hooks finally ended
        ping start, success
        mail -
    ";
    killed_in_the_middle_and_the_next_tick_goes_on: |night| {
        night.usual();
        publish_large(night);
        killed_at(night, "sessions opened", "run-due --trigger timer");
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
        mail hfdl: the run [ID] (run-due of 1 model, process [PID]) ended unexpectedly after 2026-03-01 10:00 UTC; the bytes that it had fetched are kept
    ";
    killed_in_the_middle_and_then_offline: |night| {
        night.usual();
        publish_large(night);
        killed_at(night, "sessions opened", "run-due --trigger timer");
        night.env.now("2026-03-01T10:15:00Z").set("HF_ENDPOINT", "http://127.0.0.1:1");
        night.forget();
    } => "
        exit 5
        run failed: acme/tiny could-not-check network
        status 0 healthy
        file same
        metrics 5 could-not-check
        hooks on_failure began, finally ended
        ping start, 5
        mail hfdl: the run [ID] (run-due of 1 model, process [PID]) ended unexpectedly after 2026-03-01 10:00 UTC; the bytes that it had fetched are kept
    ";
    a_download_by_hand_was_killed_and_nothing_is_due: |night| {
        night.usual();
        publish_large(night);
        night.env.now("2026-03-01T09:10:00Z");
        killed_at(night, "sessions opened", "download acme/tiny");
        night.env.now("2026-03-01T09:30:00Z");
        night.forget();
    } => "
        exit 0
        run crashed: acme/tiny failed internal
        status 1 model-failed
        file same
        metrics 0 failed
        hooks on_failure began
        ping -
        mail hfdl: the run [ID] (download of 1 model, process [PID]) ended unexpectedly after 2026-03-01 09:10 UTC; the bytes that it had fetched are kept
    ";
    killed_between_the_end_of_a_session_and_the_hooks: |night| {
        night.usual();
        night.publish("two");
        killed_at(night, "session closed", "run-due --trigger timer");
        night.env.now("2026-03-01T10:15:00Z");
        night.forget();
    } => "
        exit 0
        run ok
        status 0 healthy
        file same
        metrics 1 updated
        hooks on_update published
        ping start, success
        mail hfdl: the run [ID] (run-due of 1 model, process [PID]) ended unexpectedly after 2026-03-01 10:00 UTC; the bytes that it had fetched are kept
    ";
    killed_at_the_end_of_the_run: |night| {
        night.usual();
        night.publish("two");
        killed_at(night, "run ends", "run-due --trigger timer");
        night.env.now("2026-03-01T10:15:00Z");
        night.forget();
    } => "
        exit 0
        run crashed: acme/tiny updated
        status 0 healthy
        file same
        metrics 1 updated
        hooks on_update published
        ping -
        mail hfdl: the run [ID] (run-due of 1 model, process [PID]) ended unexpectedly after 2026-03-01 10:00 UTC; the bytes that it had fetched are kept
    ";
    killed_before_the_ref_was_written: |night| {
        night.usual();
        night.publish("two");
        killed_at(night, "before the ref", "run-due --trigger timer");
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
        mail hfdl: the run [ID] (run-due of 1 model, process [PID]) ended unexpectedly after 2026-03-01 10:00 UTC; the bytes that it had fetched are kept
    ";
    killed_when_the_ref_was_written: |night| {
        night.usual();
        night.publish("two");
        killed_at(night, "before the session closes", "run-due --trigger timer");
        night.env.now("2026-03-01T10:15:00Z");
        night.forget();
    } => "
        exit 0
        run ok: acme/tiny up-to-date
        status 0 healthy
        file same
        metrics 0 up-to-date
        hooks on_update published, finally ended
        ping start, success
        mail hfdl: the run [ID] (run-due of 1 model, process [PID]) ended unexpectedly after 2026-03-01 10:00 UTC; the bytes that it had fetched are kept
    ";
    killed_three_times: |night| {
        night.usual();
        publish_large(night);
        for minute in [0, 15, 30] {
            night.env.now(&format!("2026-03-01T10:{minute:02}:00Z"));
            killed_at(night, "sessions opened", "run-due --trigger timer");
        }
        night.env.now("2026-03-01T10:45:00Z");
        night.forget();
    } => "
        exit 0
        run ok: acme/tiny updated
        status 0 healthy
        file same
        metrics 0 updated
        hooks on_update published, finally ended
        ping start, success
        mail hfdl: the run [ID] (run-due of 1 model, process [PID]) ended unexpectedly after 2026-03-01 10:30 UTC; the bytes that it had fetched are kept
    ";
    paused: |night| {
        night.usual();
        night.line("pause --for 2d --reason moving");
    } => "
        exit 0
        run skipped-paused
        status 0 healthy
        file same
        metrics 0 updated
        hooks on_skip skipped
        ping -
        mail -
    ";
    the_pause_is_over: |night| {
        night.usual();
        night.publish("two");
        night.env.now("2026-03-01T09:10:00Z");
        night.line("pause --for 30m");
        night.env.now("2026-03-01T10:00:00Z");
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
    killed_and_then_paused: |night| {
        night.usual();
        night.publish("two");
        killed_at(night, "sessions opened", "run-due --trigger timer");
        night.line("pause --for 2d");
        night.env.now("2026-03-01T10:15:00Z");
        night.forget();
    } => "
        exit 0
        run skipped-paused
        status 1 model-failed
        file same
        metrics 1 failed
        hooks on_failure began, on_skip skipped
        ping -
        mail hfdl: the run [ID] (run-due of 1 model, process [PID]) ended unexpectedly after 2026-03-01 10:00 UTC; the bytes that it had fetched are kept
    ";
}
