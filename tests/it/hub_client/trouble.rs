//! Temporary and permanent failures: limits, outages, silence, redirect loops.

use hfdl::domain::outcome::ErrorKind;
use hfdl::domain::retry::RetryPolicy;
use hfdl::hub::{Fault as HubFault, HubClient, HubOptions};
use hfdl::sys::http::{Http, HttpError, HttpErrorKind, HttpSettings};
use hfdl::sys::pause::{Sleeper, Waited};
use hfdl_test_hub::{Api, Fault, Hint, On, Port, TestHub};
use std::time::Duration;

use super::{
    Asker, REPO, TOKEN, address, client, fault_of, impatient, large, main_branch, read, repo, sha,
    tiny,
};

#[test]
fn a_rate_limit_is_waited_out_as_the_hub_says() {
    let hub = TestHub::start();
    tiny(&hub);
    for (hint, at_least, at_most) in [
        (Hint::RateLimit(17), 18, 19),
        (Hint::RetryAfter(3), 4, 5),
        (Hint::Nothing, 0, 1),
    ] {
        let asker = Asker::new(&hub, None);
        hub.fault(On::api(Api::Info).times(1), Fault::TooManyRequests(hint));
        asker.client.revision(&repo(REPO), &main_branch()).unwrap();
        let pauses = asker.pauses();
        assert_eq!(pauses.len(), 1);
        assert!(pauses[0] >= Duration::from_secs(at_least), "{pauses:?}");
        assert!(pauses[0] <= Duration::from_secs(at_most), "{pauses:?}");
    }
}

#[test]
fn a_rate_limit_that_is_too_long_is_left_to_the_next_run() {
    let hub = TestHub::start();
    tiny(&hub);
    let hint = Hint::RateLimit(4000);
    hub.fault(On::api(Api::Info), Fault::TooManyRequests(hint));
    let asker = Asker::new(&hub, None);
    let error = asker
        .client
        .revision(&repo(REPO), &main_branch())
        .unwrap_err();
    assert_eq!(
        error.fault(),
        &HubFault::RateLimited {
            retry_after: Some(Duration::from_secs(330)),
            bucket: Some("api".into())
        }
    );
    assert_eq!(error.kind(), ErrorKind::RateLimit);
    assert_eq!(asker.pauses(), [Duration::ZERO; 0]);
}

#[test]
fn passing_failures_are_tried_again_and_lasting_ones_are_not() {
    let hub = TestHub::start();
    let commit = tiny(&hub);
    for fault in [
        Fault::Status(500),
        Fault::Status(502),
        Fault::Status(503),
        Fault::Status(504),
        Fault::Status(408),
        Fault::RetryAfter("0".into()),
        Fault::Close,
        Fault::Reset,
        Fault::CutAfter(5),
    ] {
        let asker = Asker::new(&hub, None);
        hub.fault(On::api(Api::Tree).times(2), fault.clone());
        let tree = asker.client.tree(&repo(REPO), &sha(&commit));
        assert_eq!(tree.unwrap().files.len(), 2, "{fault:?}");
        assert_eq!(asker.pauses().len(), 2, "{fault:?}");
    }
    for fault in [Fault::Status(400), Fault::Status(404), Fault::Status(501)] {
        let asker = Asker::new(&hub, None);
        hub.fault(On::api(Api::Tree).times(1), fault.clone());
        assert!(asker.client.tree(&repo(REPO), &sha(&commit)).is_err());
        assert_eq!(asker.pauses(), [Duration::ZERO; 0], "{fault:?}");
    }
}

#[test]
fn a_hub_that_stays_down_is_given_up_after_a_bounded_number_of_attempts() {
    let hub = TestHub::start();
    tiny(&hub);
    hub.fault(On::any(), Fault::Status(503));
    let asker = Asker::new(&hub, None);
    assert_eq!(
        fault_of(asker.client.revision(&repo(REPO), &main_branch())),
        HubFault::Server { status: 503 }
    );
    let attempts = RetryPolicy::default().max_attempts as usize;
    assert_eq!(hub.requests().len(), attempts);
    assert_eq!(asker.pauses().len(), attempts - 1);
}

#[test]
fn trouble_of_the_storage_is_tried_again_with_the_same_link() {
    let hub = TestHub::start();
    let commit = tiny(&hub);
    let asker = Asker::new(&hub, None);
    hub.fault(On::cdn("model.safetensors").times(2), Fault::Status(503));
    let file = address(&commit, "model.safetensors");
    let stream = asker.client.open(&file, Some((0, Some(4)))).unwrap();
    assert_eq!(read(stream), large()[..5]);
    assert_eq!(hub.count(Api::Resolve), 1);
    assert_eq!(asker.pauses().len(), 2);
}

#[test]
fn a_run_that_is_stopped_does_not_try_again() {
    let hub = TestHub::start();
    tiny(&hub);
    hub.fault(On::any(), Fault::Status(503));
    let options = HubOptions {
        pause: Sleeper::new(|_| Waited::Stopped),
        ..HubOptions::default()
    };
    let client = client(&hub, None, options);
    assert!(client.revision(&repo(REPO), &main_branch()).is_err());
    assert_eq!(hub.requests().len(), 1);
}

#[test]
fn a_hub_that_cannot_be_reached_is_a_network_error() {
    let hub = TestHub::start();
    tiny(&hub);
    hub.close_port(Port::Hub);
    let error = impatient(&hub, None)
        .revision(&repo(REPO), &main_branch())
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Network);
    assert!(error.is_transient());
    assert!(matches!(error.fault(), HubFault::Network(_)), "{error:?}");
}

#[test]
fn a_silent_hub_is_given_up_in_time() {
    let hub = TestHub::start();
    tiny(&hub);
    hub.fault(On::any(), Fault::NoAnswer);
    let settings = HttpSettings {
        read_timeout: Duration::from_millis(100),
        ..HttpSettings::default()
    };
    let options = HubOptions {
        retry: RetryPolicy::never(),
        ..HubOptions::default()
    };
    let http = Http::new(&settings).unwrap();
    let client = HubClient::new(http, hub.endpoint().parse().unwrap(), None, options);
    match fault_of(client.revision(&repo(REPO), &main_branch())) {
        HubFault::Network(error) => assert_eq!(error.kind(), HttpErrorKind::Timeout),
        other => panic!("{other:?}"),
    }
    hub.heal();
}

#[test]
fn a_body_that_falls_silent_is_given_up_in_time() {
    let hub = TestHub::start();
    let commit = tiny(&hub);
    hub.fault(On::cdn("model.safetensors"), Fault::StallAfter(5));
    let settings = HttpSettings {
        read_timeout: Duration::from_millis(100),
        ..HttpSettings::default()
    };
    let http = Http::new(&settings).unwrap();
    let endpoint = hub.endpoint().parse().unwrap();
    let options = HubOptions {
        pause: Sleeper::none(),
        ..HubOptions::default()
    };
    let client = HubClient::new(http, endpoint, None, options);
    let file = address(&commit, "model.safetensors");
    let mut stream = client.open(&file, None).unwrap();
    let error = std::io::copy(&mut stream.reader, &mut std::io::sink()).unwrap_err();
    let error = HttpError::in_io(&error).unwrap();
    assert_eq!(error.kind(), HttpErrorKind::Timeout);
    hub.heal();
}

#[test]
fn a_cut_body_is_never_taken_for_the_end() {
    let hub = TestHub::start();
    let commit = tiny(&hub);
    let client = impatient(&hub, None);
    for (path, extra) in [
        ("model.safetensors", None),
        ("config.json", None),
        ("model.safetensors", Some(Fault::Chunked)),
    ] {
        hub.fault(On::content(path).times(1), Fault::CutAfter(5));
        if let Some(extra) = extra {
            hub.fault(On::content(path).times(1), extra);
        }
        let mut stream = client.open(&address(&commit, path), None).unwrap();
        let error = std::io::copy(&mut stream.reader, &mut std::io::sink()).unwrap_err();
        let error = HttpError::in_io(&error).unwrap();
        assert_eq!(error.kind(), HttpErrorKind::ClosedEarly);
        assert!(error.is_transient());
        assert!(!error.to_string().contains("Signature"), "{error}");
    }
}

#[test]
fn offline_means_that_no_socket_is_opened() {
    let hub = TestHub::start();
    let commit = tiny(&hub);
    let options = HubOptions {
        is_offline: true,
        ..HubOptions::default()
    };
    let client = client(&hub, Some(TOKEN), options);
    let file = address(&commit, "config.json");
    for fault in [
        fault_of(client.revision(&repo(REPO), &main_branch())),
        fault_of(client.tree(&repo(REPO), &sha(&commit))),
        fault_of(client.locate(&file)),
        fault_of(client.open(&file, None)),
        fault_of(client.whoami()),
    ] {
        assert_eq!(fault, HubFault::Offline);
    }
    assert_eq!(hub.requests().len(), 0);
}

#[test]
fn a_redirect_loop_ends() {
    let hub = TestHub::start();
    let commit = tiny(&hub);
    hub.fault(On::any(), Fault::RedirectLoop);
    let client = impatient(&hub, None);
    let error = client.revision(&repo(REPO), &main_branch()).unwrap_err();
    assert!(error.to_string().contains("form a loop"), "{error}");
    let file = address(&commit, "model.safetensors");
    assert!(client.open(&file, None).is_err());
    assert!(hub.requests().len() <= 22, "{}", hub.requests().len());
}
