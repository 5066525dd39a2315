//! Faults on request.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use hfdl_test_hub::{Api, Fault, Hint, On, Port, TestHub, generated_bytes};

use crate::client::{Answer, get, send, split, try_send};

const SIZE: usize = 300_000;

fn hub() -> TestHub {
    let hub = TestHub::start();
    hub.repo("acme/tiny")
        .commit("main")
        .file("config.json", b"{}")
        .lfs("m.bin", generated_bytes(SIZE, 1))
        .publish();
    hub
}

/// Resolves without `Range` and requests the range from the CDN.
fn fetch(hub: &TestHub, range: &str) -> Answer {
    let link = get(&format!("{}/acme/tiny/resolve/main/m.bin", hub.endpoint()));
    match range {
        "" => get(link.header("location")),
        range => send("GET", link.header("location"), &[("Range", range)]),
    }
}

#[test]
fn a_cut_occurs_at_its_offset_and_as_often_as_requested() {
    let hub = hub();
    hub.fault(On::cdn("m.bin").times(1), Fault::CutAfter(70_000));
    let cut = fetch(&hub, "");
    assert_eq!(
        (cut.status, cut.whole, cut.body.len()),
        (200, false, 70_000)
    );
    assert_eq!(cut.header("content-length"), SIZE.to_string());
    assert_eq!(cut.body, generated_bytes(SIZE, 1)[..70_000]);
    assert_eq!(hub.downloads("m.bin")[0].bytes_sent, 70_000);
    let rest = fetch(&hub, "bytes=70000-");
    assert!(rest.whole);
    assert_eq!(rest.body, generated_bytes(SIZE, 1)[70_000..]);
}

#[test]
fn faults_can_skip_the_first_requests_and_end_with_heal() {
    let hub = hub();
    hub.fault(On::api(Api::Info).skip(1), Fault::Status(503));
    let status = || get(&format!("{}/api/models/acme/tiny", hub.endpoint())).status;
    assert_eq!([status(), status(), status()], [200, 503, 503]);
    hub.heal();
    assert_eq!(status(), 200);
}

#[test]
fn faults_select_by_method_port_file_and_range() {
    let hub = hub();
    hub.fault(On::resolve("m.bin").method("HEAD"), Fault::Status(500));
    hub.fault(On::port(Port::Cdn).ranged(), Fault::Status(502));
    let url = format!("{}/acme/tiny/resolve/main/m.bin", hub.endpoint());
    assert_eq!(
        [send("HEAD", &url, &[]).status, get(&url).status],
        [500, 302]
    );
    let other = format!("{}/acme/tiny/resolve/main/config.json", hub.endpoint());
    assert_eq!(send("HEAD", &other, &[]).status, 307);
    assert_eq!(
        [fetch(&hub, "").status, fetch(&hub, "bytes=0-1").status],
        [200, 502]
    );
    hub.fault(On::content("config.json"), Fault::Status(504));
    let location = get(&other).header("location").to_owned();
    assert_eq!(get(&format!("{}{location}", hub.endpoint())).status, 504);
}

#[test]
fn a_stall_lasts_until_healed_and_the_answer_then_goes_on() {
    let hub = hub();
    hub.fault(On::cdn("m.bin"), Fault::StallAfter(1000));
    std::thread::scope(|scope| {
        let answer = scope.spawn(|| fetch(&hub, ""));
        hub.wait_until("the stalled bytes are sent", |requests| {
            requests.last().is_some_and(|last| last.bytes_sent == 1000)
        });
        assert!(!answer.is_finished());
        hub.heal();
        assert_eq!(answer.join().unwrap().body, generated_bytes(SIZE, 1));
    });
}

#[test]
fn a_hub_with_stalled_answers_can_be_dropped() {
    let hub = hub();
    hub.fault(On::any(), Fault::NoAnswer);
    let url = format!("{}/api/models/acme/tiny", hub.endpoint());
    let asking = std::thread::spawn(move || try_send("GET", &url, &[]));
    hub.wait_until("the request is there", |requests| !requests.is_empty());
    drop(hub);
    assert!(
        asking
            .join()
            .unwrap()
            .is_none_or(|answer| answer.status == 200)
    );
}

#[test]
fn a_trickle_is_slow_and_complete() {
    let hub = hub();
    hub.fault(
        On::cdn("m.bin"),
        Fault::Trickle(30_000, Duration::from_millis(1)),
    );
    assert_eq!(fetch(&hub, "").body, generated_bytes(SIZE, 1));
}

#[test]
fn one_byte_of_the_file_is_wrong_in_any_range() {
    let hub = hub();
    hub.fault(On::content("m.bin"), Fault::FlipByteAt(100_000));
    let right = generated_bytes(SIZE, 1);
    let whole = fetch(&hub, "");
    assert_eq!(
        (whole.body.len(), whole.body[100_000]),
        (SIZE, !right[100_000])
    );
    assert_eq!(whole.body[..100_000], right[..100_000]);
    assert_eq!(whole.body[100_001..], right[100_001..]);
    assert_eq!(fetch(&hub, "bytes=99999-100001").body[1], !right[100_000]);
    assert_eq!(fetch(&hub, "bytes=0-99999").body, right[..100_000]);
}

#[test]
fn lengths_and_ranges_can_be_wrong() {
    let hub = hub();
    let spoilt = |fault: Fault, range: &str| {
        hub.heal();
        hub.fault(On::cdn("m.bin"), fault);
        let answer = fetch(&hub, range);
        assert!(answer.whole);
        (
            answer.status,
            answer.body.len(),
            answer.header("content-range").to_owned(),
        )
    };
    let none = String::new;
    assert_eq!(spoilt(Fault::ShortBy(10), ""), (200, SIZE - 10, none()));
    assert_eq!(spoilt(Fault::LongBy(10), ""), (200, SIZE + 10, none()));
    assert_eq!(spoilt(Fault::Chunked, ""), (200, SIZE, none()));
    assert_eq!(spoilt(Fault::IgnoreRange, "bytes=5-9"), (200, SIZE, none()));
    let later = "bytes 7-11/300000".to_owned();
    assert_eq!(spoilt(Fault::WrongStart(2), "bytes=5-9"), (206, 5, later));
    let larger = "bytes 5-9/300001".to_owned();
    assert_eq!(spoilt(Fault::WrongTotal(1), "bytes=5-9"), (206, 5, larger));
    let (status, _, range) = spoilt(Fault::RangeNotSatisfiable, "bytes=5-9");
    assert_eq!((status, &*range), (416, "bytes */300000"));
    assert_eq!(spoilt(Fault::Expired, "").0, 403);
}

#[test]
fn a_429_has_the_requested_hint() {
    let hub = hub();
    let asked = |fault| {
        hub.heal();
        hub.fault(On::api(Api::Info), fault);
        get(&format!("{}/api/models/acme/tiny", hub.endpoint()))
    };
    let answer = asked(Fault::TooManyRequests(Hint::RateLimit(3)));
    assert_eq!(
        (answer.status, answer.header("ratelimit")),
        (429, "\"api\";r=0;t=3")
    );
    let answer = asked(Fault::TooManyRequests(Hint::RetryAfter(4)));
    assert_eq!(
        (answer.header("retry-after"), answer.header("ratelimit")),
        ("4", "")
    );
    let answer = asked(Fault::TooManyRequests(Hint::Nothing));
    assert_eq!(
        (answer.header("retry-after"), answer.header("ratelimit")),
        ("", "")
    );
    let date = "Wed, 21 Oct 2015 07:28:00 GMT".to_owned();
    assert_eq!(
        asked(Fault::RetryAfter(date.clone())).header("retry-after"),
        date
    );
}

#[test]
fn redirects_garbage_and_headers_can_be_requested() {
    let hub = hub();
    let url = format!("{}/api/models/acme/tiny", hub.endpoint());
    let asked = |fault| {
        hub.heal();
        hub.fault(On::any(), fault);
        get(&url)
    };
    let looped = asked(Fault::RedirectLoop);
    assert_eq!(
        (looped.status, looped.header("location")),
        (302, split(&url).1)
    );
    let away = asked(Fault::Redirect(307, "http://127.0.0.1:1/".to_owned()));
    assert_eq!(
        (away.status, away.header("location")),
        (307, "http://127.0.0.1:1/")
    );
    let garbage = asked(Fault::Garbage(
        "application/json".to_owned(),
        b"{\"sha\":".to_vec(),
    ));
    assert_eq!((garbage.status, &*garbage.text()), (200, "{\"sha\":"));
    let warned = asked(Fault::Header(
        "X-HF-Warning".to_owned(),
        "topic; text".to_owned(),
    ));
    assert_eq!(
        (warned.status, warned.header("x-hf-warning")),
        (200, "topic; text")
    );
    assert_eq!(
        asked(Fault::NoHeader("X-Request-Id".to_owned())).header("x-request-id"),
        ""
    );
}

#[test]
fn a_reset_is_a_reset_on_the_wire() {
    let hub = hub();
    hub.fault(On::any(), Fault::Reset);
    let mut stream = TcpStream::connect(split(&hub.endpoint()).0).unwrap();
    stream
        .write_all(b"GET /api/whoami-v2 HTTP/1.1\r\nHost: x\r\n\r\n")
        .unwrap();
    let err = stream.read(&mut [0; 16]).unwrap_err();
    assert_eq!(err.kind(), std::io::ErrorKind::ConnectionReset);
}

#[test]
fn connections_are_closed_and_refused_and_accepted_again() {
    let hub = hub();
    let url = format!("{}/api/models/acme/tiny", hub.endpoint());
    hub.fault(On::api(Api::Info).times(1), Fault::Reset);
    hub.fault(On::api(Api::Info).times(1), Fault::Close);
    assert!(try_send("GET", &url, &[]).is_none());
    assert!(try_send("GET", &url, &[]).is_none());
    assert_eq!(get(&url).status, 200);
    hub.close_port(Port::Hub);
    let refused = TcpStream::connect(split(&url).0).unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    hub.open_port(Port::Hub);
    assert_eq!(get(&url).status, 200);
}

#[test]
fn a_revision_moves_during_a_download() {
    let hub = hub();
    let repo = hub.repo("acme/tiny");
    let first = repo.head("main");
    let moving = repo.clone();
    hub.before(On::resolve("config.json").skip(1), move || {
        moving.commit("main").file("config.json", b"[]").publish();
    });
    let url = format!("{}/acme/tiny/resolve/main/config.json", hub.endpoint());
    let commit = || Some(get(&url).header("x-repo-commit").to_owned());
    assert_eq!(commit(), first);
    let second = commit();
    assert_ne!(second, first);
    assert_eq!(second, repo.head("main"));
    assert_eq!(commit(), second);
}

#[test]
fn a_gigantic_listing_has_many_pages() {
    let hub = TestHub::start();
    let files = (0..20_000).map(|n| (format!("data/{n:06}.txt"), Vec::new()));
    hub.repo("acme/many").commit("main").files(files).publish();
    let mut url = format!(
        "{}/api/models/acme/many/tree/main?recursive=true",
        hub.endpoint()
    );
    let mut entries = 0;
    loop {
        let page = get(&url);
        entries += page.json().as_array().unwrap().len();
        match page.header("link").split(['<', '>']).nth(1) {
            Some(next) => url = next.to_owned(),
            None => break,
        }
    }
    assert_eq!((entries, hub.count(Api::Tree)), (20_001, 21));
}
