//! Nights in which the Hub refuses, is silent, or says something new.

use hfdl_test_hub::{Api, Fault, Gate, Hint, On, generated_bytes};

use super::{Night, nights};

const TOKEN: &str = "hf_of_the_night";

fn publish_large(night: &Night) {
    let commit = night.env.hub().repo("acme/tiny").commit("main");
    commit
        .lfs("model.bin", generated_bytes(3 << 20, 5))
        .publish();
}

/// A private model that the token opens, published once.
fn private(night: &Night) {
    night.env.hub().token(TOKEN, &["acme/tiny"]);
    night.env.set("HF_TOKEN", TOKEN);
    night.publish("one");
    night.env.hub().repo("acme/tiny").private();
    night.usual();
}

/// Lets the ticks of two hours fail before the row's.
fn twice_before(night: &Night) {
    night.tick_at("2026-03-01T10:00:00Z");
    night.tick_at("2026-03-01T11:00:00Z");
    night.env.now("2026-03-01T12:00:00Z");
    night.forget();
}

nights! {
    the_terms_are_to_be_accepted: |night| {
        night.usual();
        night.publish("two");
        night.env.hub().repo("acme/tiny").gated(Gate::Manual);
    } => "
        exit 4
        run failed: acme/tiny failed auth
        status 1 model-gated
        file same
        metrics 4 failed
        hooks on_failure began, finally ended
        ping start, 4
        mail hfdl: 1 of 1 model needs a look: acme/tiny: `acme/tiny` is gated, and access to its files was not granted
    ";
    access_is_refused_for_the_third_time: |night| {
        night.usual();
        night.publish("two");
        night.env.hub().repo("acme/tiny").gated(Gate::Manual);
        twice_before(night);
    } => "
        exit 4
        run failed: acme/tiny failed auth
        status 1 model-gated
        file same
        metrics 4 failed
        hooks on_failure lasts, finally ended
        ping start, 4
        mail hfdl: 1 of 1 model needs a look: acme/tiny: `acme/tiny` is gated, and access to its files was not granted
    ";
    access_is_granted_again: |night| {
        night.usual();
        night.publish("two");
        let repo = night.env.hub().repo("acme/tiny");
        repo.gated(Gate::Manual);
        night.tick_at("2026-03-01T10:00:00Z");
        repo.open();
        night.env.now("2026-03-01T11:00:00Z");
        night.forget();
    } => "
        exit 0
        run ok: acme/tiny updated
        status 0 healthy
        file same
        metrics 0 updated
        hooks on_update published, on_recovery recovered, finally ended
        ping start, success
        mail hfdl: `acme/tiny` has recovered; it had failed 1 time since 2026-03-01 10:00 UTC
    ";
    gone_upstream: |night| {
        night.usual();
        night.env.hub().repo("acme/tiny").delete();
    } => "
        exit 1
        run failed: acme/tiny orphaned not-found
        status 1 model-orphaned
        file same
        metrics 1 orphaned
        hooks on_failure began, finally ended
        ping start, 1
        mail hfdl: 1 of 1 model needs a look: acme/tiny: `acme/tiny` does not exist, or is private or gated and no token was sent
    ";
    gone_upstream_and_reported: |night| {
        night.usual();
        night.env.hub().repo("acme/tiny").delete();
        twice_before(night);
    } => "
        exit 0
        run ok
        status 1 model-orphaned
        file same
        metrics 1 orphaned
        hooks -
        ping start, success
        mail -
    ";
    private_for_everybody_else: |night| {
        night.usual();
        night.env.hub().repo("acme/tiny").private();
    } => "
        exit 1
        run failed: acme/tiny orphaned not-found
        status 1 model-orphaned
        file same
        metrics 1 orphaned
        hooks on_failure began, finally ended
        ping start, 1
        mail hfdl: 1 of 1 model needs a look: acme/tiny: `acme/tiny` does not exist, or is private or gated and no token was sent
    ";
    the_token_has_vanished: |night| {
        private(night);
        night.env.unset("HF_TOKEN");
    } => "
        exit 4
        run failed: acme/tiny failed auth
        status 1 model-gated
        file same
        metrics 4 failed
        hooks on_failure began, finally ended
        ping start, 4
        mail hfdl: 1 of 1 model needs a look: acme/tiny: the Hub shows `acme/tiny` with a token only, and there is none now
    ";
    the_token_was_revoked: |night| {
        private(night);
        night.env.hub().revoke_token(TOKEN);
    } => "
        exit 4
        run failed: acme/tiny failed auth
        status 1 model-gated
        file same
        metrics 4 failed
        hooks on_failure began, finally ended
        ping start, 4
        mail hfdl: 1 of 1 model needs a look: acme/tiny: the Hub refused the token: it is invalid or has expired
    ";
    the_repository_was_renamed: |night| {
        night.usual();
        night.env.hub().repo("acme/tiny").rename("acme/small");
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
    the_repository_is_disabled: |night| {
        night.usual();
        night.env.hub().repo("acme/tiny").disabled();
    } => "
        exit 1
        run failed: acme/tiny orphaned hub
        status 1 model-orphaned
        file same
        metrics 1 orphaned
        hooks on_failure began, finally ended
        ping start, 1
        mail hfdl: 1 of 1 model needs a look: acme/tiny: the Hub has disabled `acme/tiny`
    ";
    an_error_of_the_server: |night| {
        night.usual();
        night.env.hub().fault(On::any(), Fault::Status(500));
    } => "
        exit 5
        run failed: acme/tiny could-not-check network
        status 0 healthy
        file same
        metrics 5 could-not-check
        hooks finally ended
        ping start, 5
        mail -
    ";
    an_error_of_the_server_for_the_third_time: |night| {
        night.usual();
        night.env.hub().fault(On::any(), Fault::Status(503));
        twice_before(night);
    } => "
        exit 5
        run failed: acme/tiny could-not-check network
        status 1 model-failed
        file same
        metrics 5 could-not-check
        hooks on_failure lasts, finally ended
        ping start, 5
        mail hfdl: 1 of 1 model needs a look: acme/tiny: the Hub answered HTTP 503 for `acme/tiny`
    ";
    well_again_after_three_failures: |night| {
        night.usual();
        night.env.hub().fault(On::any(), Fault::Status(503));
        twice_before(night);
        night.tick_at("2026-03-01T12:00:00Z");
        night.env.hub().heal();
        night.publish("two");
        night.env.now("2026-03-01T13:00:00Z");
        night.forget();
    } => "
        exit 0
        run ok: acme/tiny updated
        status 0 healthy
        file same
        metrics 0 updated
        hooks on_update published, on_recovery recovered, finally ended
        ping start, success
        mail hfdl: `acme/tiny` has recovered; it had failed 3 times since 2026-03-01 10:00 UTC
    ";
    too_many_requests: |night| {
        night.usual();
        let refusal = Fault::TooManyRequests(Hint::RetryAfter(600));
        night.env.hub().fault(On::api(Api::Info), refusal);
    } => "
        exit 5
        run failed: acme/tiny could-not-check rate-limit
        status 0 healthy
        file same
        metrics 5 could-not-check
        hooks finally ended
        ping start, 5
        mail -
    ";
    before_the_time_that_the_server_named: |night| {
        night.usual();
        let refusal = Fault::TooManyRequests(Hint::RetryAfter(7_200));
        night.env.hub().fault(On::api(Api::Info), refusal);
        night.tick_at("2026-03-01T10:00:00Z");
        night.env.now("2026-03-01T11:00:00Z");
        night.forget();
    } => "
        exit 5
        run failed
        status 0 healthy
        file same
        metrics 5 could-not-check
        hooks -
        ping 5
        mail -
    ";
    a_download_by_hand_had_to_wait: |night| {
        night.usual();
        night.env.now("2026-03-01T09:50:00Z");
        let refusal = Fault::TooManyRequests(Hint::RetryAfter(7_200));
        night.env.hub().fault(On::api(Api::Info), refusal);
        night.env.line("download acme/tiny").exits(5);
        night.env.now("2026-03-01T10:00:00Z");
        night.forget();
    } => "
        exit 5
        run failed
        status 0 healthy
        file same
        metrics 5 could-not-check
        hooks -
        ping 5
        mail -
    ";
    after_the_time_that_the_server_named: |night| {
        night.usual();
        let refusal = Fault::TooManyRequests(Hint::RetryAfter(600));
        night.env.hub().fault(On::api(Api::Info), refusal);
        night.tick_at("2026-03-01T10:00:00Z");
        night.env.hub().heal();
        night.env.now("2026-03-01T10:15:00Z");
        night.forget();
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
    nothing_listens_at_the_hub: |night| {
        night.usual();
        night.env.set("HF_ENDPOINT", "http://127.0.0.1:1");
    } => "
        exit 5
        run failed: acme/tiny could-not-check network
        status 0 healthy
        file same
        metrics 5 could-not-check
        hooks finally ended
        ping start, 5
        mail -
    ";
    the_name_of_the_hub_is_unknown: |night| {
        night.usual();
        night.env.set("HF_ENDPOINT", "http://hub.invalid");
    } => "
        exit 5
        run failed: acme/tiny could-not-check network
        status 0 healthy
        file same
        metrics 5 could-not-check
        hooks finally ended
        ping start, 5
        mail -
    ";
    offline_by_wish: |night| {
        night.usual();
        night.env.set("HF_HUB_OFFLINE", "1");
    } => "
        exit 5
        run failed: acme/tiny could-not-check network
        status 0 healthy
        file same
        metrics 5 could-not-check
        hooks finally ended
        ping -
        mail -
    ";
    the_connection_is_cut_again_and_again: |night| {
        night.usual();
        publish_large(night);
        night.env.hub().fault(On::cdn("model.bin"), Fault::CutAfter(0));
        night.env.set("HFDL_DOWNLOAD_RETRIES", "1");
    } => "
        exit 5
        run failed: acme/tiny failed network
        status 0 healthy
        file same
        metrics 5 failed
        hooks finally ended
        ping start, 5
        mail -
    ";
    wrong_bytes: |night| {
        night.usual();
        publish_large(night);
        night.env.hub().fault(On::cdn("model.bin"), Fault::FlipByteAt(1_000));
    } => "
        exit 3
        run failed: acme/tiny failed integrity
        status 1 model-failed
        file same
        metrics 3 failed
        hooks on_failure began, finally ended
        ping start, 3
        mail hfdl: 1 of 1 model needs a look: acme/tiny: `model.bin`: hash mismatch: expected sha256:da01248f54841bcc2a855d58ed09df124f6f0e4d629761fd9a6f451142e02904, got sha256:cf1ceadb291560c8d25b6b6fc63e9412b4f887bf3367ca165303d0d3f218f66e; the wrong bytes are kept in `[ROOT]/hub/models--acme--tiny/.hfdl/da01248f54841bcc2a855d58ed09df124f6f0e4d629761fd9a6f451142e02904.incomplete.bad`
    ";
    an_answer_that_is_no_json: |night| {
        night.usual();
        let garbage = Fault::Garbage("text/html".to_owned(), b"<html>".to_vec());
        night.env.hub().fault(On::api(Api::Info), garbage);
    } => "
        exit 1
        run failed: acme/tiny failed hub
        status 1 model-failed
        file same
        metrics 1 failed
        hooks on_failure began, finally ended
        ping start, 1
        mail hfdl: 1 of 1 model needs a look: acme/tiny: `[HUB]` sent a web page in place of data about `acme/tiny`
    ";
    one_of_two_models_fails: |night| {
        night.usual();
        let other = night.env.hub().repo("acme/other");
        other.commit("main").file("config.json", "{}").publish();
        night.line("models add acme/other");
        other.gated(Gate::Manual);
        night.publish("two");
    } => "
        exit 4
        run failed: acme/other failed auth, acme/tiny updated
        status 1 model-gated
        file same
        metrics 4 failed updated
        hooks on_failure began, on_update published, finally ended
        ping start, 4
        mail hfdl: 1 of 2 models needs a look: acme/other: `acme/other` is gated, and access to its files was not granted
    ";
    two_models_fail_in_two_ways: |night| {
        night.usual();
        let other = night.env.hub().repo("acme/other");
        other.commit("main").file("config.json", "{}").publish();
        night.line("models add acme/other");
        other.gated(Gate::Manual);
        publish_large(night);
        night.env.hub().fault(On::cdn("model.bin"), Fault::FlipByteAt(1_000));
    } => "
        exit 3
        run failed: acme/other failed auth, acme/tiny failed integrity
        status 1 model-gated model-failed
        file same
        metrics 3 failed failed
        hooks on_failure began, on_failure began, finally ended
        ping start, 3
        mail hfdl: 2 of 2 models need a look: acme/tiny: `model.bin`: hash mismatch: expected sha256:da01248f54841bcc2a855d58ed09df124f6f0e4d629761fd9a6f451142e02904, got sha256:cf1ceadb291560c8d25b6b6fc63e9412b4f887bf3367ca165303d0d3f218f66e; the wrong bytes are kept in `[ROOT]/hub/models--acme--tiny/.hfdl/da01248f54841bcc2a855d58ed09df124f6f0e4d629761fd9a6f451142e02904.incomplete.bad`
    ";
}
