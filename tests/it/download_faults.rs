//! Every fault that the test hub knows, and what the program makes of it.
//!
//! A case says where something goes wrong, the code that follows and a piece of
//! the message. What must hold afterwards is the same for all: see `sound`.

use std::collections::BTreeMap;
use std::time::Duration;

use hfdl_test_hub::{Api, Fault, Hint, On, Port, TestHub, generated_bytes};

use crate::support::env::TestEnv;
use crate::support::sound::{Truth, damage, leak, open_runs, open_sessions, sessions};

const MIB: usize = 1 << 20;
const TOKEN: &str = "hf_geheim";
const LARGE: &str = "model.safetensors";
const SMALL: &str = "config.json";

/// One thing that goes wrong, and what shall come of it.
struct Case {
    on: On,
    fault: Fault,
    args: &'static [&'static str],
    variables: &'static [(&'static str, &'static str)],
    code: i32,
    says: &'static str,
}

fn case(on: On, fault: Fault, code: i32, says: &'static str) -> Case {
    Case {
        on,
        fault,
        args: &[],
        variables: &[],
        code,
        says,
    }
}

/// A fault that goes by: the download shall succeed.
fn passing(on: On, fault: Fault) -> Case {
    case(on, fault, 0, "")
}

fn html() -> Fault {
    Fault::Garbage("text/html".into(), b"<html>please log in</html>".to_vec())
}

fn redirect(to: &str) -> Fault {
    Fault::Redirect(302, to.into())
}

fn header(name: &str, value: &str) -> Fault {
    Fault::Header(name.into(), value.into())
}

/// Returns the variant's name. A new variant does not compile until it has one
/// here, and the tables are not complete until some case has it.
fn name_of(fault: &Fault) -> &'static str {
    match fault {
        Fault::CutAfter(_) => "CutAfter",
        Fault::StallAfter(_) => "StallAfter",
        Fault::NoAnswer => "NoAnswer",
        Fault::Trickle(..) => "Trickle",
        Fault::TrickleHead(..) => "TrickleHead",
        Fault::Informational(_) => "Informational",
        Fault::Endless => "Endless",
        Fault::EndlessPages(_) => "EndlessPages",
        Fault::FlipByteAt(_) => "FlipByteAt",
        Fault::ShortBy(_) => "ShortBy",
        Fault::LongBy(_) => "LongBy",
        Fault::Chunked => "Chunked",
        Fault::IgnoreRange => "IgnoreRange",
        Fault::WrongStart(_) => "WrongStart",
        Fault::WrongTotal(_) => "WrongTotal",
        Fault::RangeNotSatisfiable => "RangeNotSatisfiable",
        Fault::Status(_) => "Status",
        Fault::TooManyRequests(_) => "TooManyRequests",
        Fault::RetryAfter(_) => "RetryAfter",
        Fault::Refusal(..) => "Refusal",
        Fault::Expired => "Expired",
        Fault::RedirectLoop => "RedirectLoop",
        Fault::Redirect(..) => "Redirect",
        Fault::Garbage(..) => "Garbage",
        Fault::Header(..) => "Header",
        Fault::NoHeader(_) => "NoHeader",
        Fault::Reset => "Reset",
        Fault::Close => "Close",
    }
}

/// Faults of requests to the API.
fn api_cases() -> Vec<Case> {
    let info = || On::api(Api::Info);
    let tree = || On::api(Api::Tree);
    let once = || On::api(Api::Tree).times(1);
    let limit = |hint| Fault::TooManyRequests(hint);
    vec![
        passing(once(), Fault::CutAfter(5)),
        passing(once(), Fault::Status(500)),
        passing(once(), Fault::Status(502)),
        passing(once(), Fault::Status(504)),
        passing(once(), Fault::RetryAfter("7".into())),
        passing(
            once(),
            Fault::RetryAfter("Thu, 01 Jan 2026 00:00:00 GMT".into()),
        ),
        passing(once(), limit(Hint::RateLimit(200))),
        passing(once(), limit(Hint::RetryAfter(3))),
        passing(once(), limit(Hint::Nothing)),
        passing(once(), Fault::Reset),
        passing(once(), Fault::Close),
        passing(tree(), Fault::Chunked),
        passing(tree(), Fault::Trickle(50, Duration::from_millis(1))),
        passing(tree(), Fault::NoHeader("Content-Type".into())),
        passing(tree(), header("Set-Cookie", "session=geheim; Path=/")),
        passing(tree(), Fault::IgnoreRange),
        passing(tree(), Fault::WrongStart(1)),
        passing(tree(), Fault::WrongTotal(1)),
        case(info(), Fault::CutAfter(5), 5, "could not check"),
        case(info(), Fault::Status(503), 5, "HTTP 503"),
        case(tree(), Fault::Status(501), 1, "HTTP 501"),
        case(tree(), Fault::Status(418), 1, "HTTP 418"),
        case(info(), Fault::Status(404), 1, "acme/tiny"),
        // Without its own header a 401 says "not there, or not for this token".
        case(info(), Fault::Status(401), 1, "has no access"),
        case(info(), Fault::Status(403), 4, "refused access"),
        case(tree(), Fault::Expired, 4, "refused access"),
        case(info(), limit(Hint::RateLimit(4000)), 5, "rate limit"),
        case(info(), limit(Hint::RetryAfter(20)), 5, "rate limit"),
        case(info(), limit(Hint::Nothing), 5, "rate limit"),
        case(info(), Fault::RetryAfter("7".into()), 5, "HTTP 503"),
        case(
            info(),
            Fault::Refusal(
                403,
                vec![("X-Error-Code".into(), "GatedRepo".into())],
                String::new(),
            ),
            4,
            "is gated",
        ),
        case(info(), Fault::Reset, 5, "no answer about"),
        case(info(), Fault::Close, 5, "no answer about"),
        case(info(), Fault::RedirectLoop, 1, "form a loop"),
        case(
            info(),
            redirect("http://127.0.0.1:1/x?sig=geheim"),
            5,
            "could not check",
        ),
        case(info(), redirect("ftp://127.0.0.1/x"), 1, "redirect"),
        case(tree(), html(), 1, "sent a web page"),
        case(
            tree(),
            Fault::Garbage("application/json".into(), b"[{\"type\":".to_vec()),
            1,
            "not usable",
        ),
        case(tree(), Fault::ShortBy(3), 1, "not usable"),
        case(tree(), Fault::LongBy(3), 1, "not usable"),
        case(tree(), Fault::RangeNotSatisfiable, 1, "could not update"),
        passing(info(), header("Content-Encoding", "br")),
    ]
}

/// Faults between the Hub's `/resolve/` and the bytes of a small file.
fn small_file_cases() -> Vec<Case> {
    let bytes = || On::api(Api::ResolveCache).file(SMALL);
    let link = || On::resolve(SMALL);
    let limit = |hint| Fault::TooManyRequests(hint);
    vec![
        passing(bytes().times(1), Fault::CutAfter(3)),
        passing(bytes().times(1), Fault::ShortBy(3)),
        passing(bytes().times(1), Fault::FlipByteAt(2)),
        passing(bytes().times(1), Fault::Status(500)),
        passing(bytes().times(1), Fault::Reset),
        passing(bytes().times(1), Fault::Close),
        passing(bytes(), Fault::Chunked),
        passing(bytes(), Fault::Trickle(40, Duration::from_millis(1))),
        passing(bytes(), Fault::NoHeader("Content-Length".into())),
        passing(bytes(), Fault::NoHeader("ETag".into())),
        passing(bytes(), header("Set-Cookie", "session=geheim; Path=/")),
        passing(link().times(1), limit(Hint::RateLimit(250))),
        passing(link().times(1), Fault::RetryAfter("9".into())),
        passing(link().times(1), Fault::Status(503)),
        case(bytes(), Fault::FlipByteAt(2), 3, "hash mismatch"),
        case(bytes(), Fault::CutAfter(3), 5, SMALL),
        case(bytes(), html(), 1, "sent a web page"),
        case(bytes(), Fault::Status(404), 1, SMALL),
        case(bytes(), Fault::Status(503), 5, "HTTP 503"),
        case(bytes(), header("Content-Encoding", "br"), 1, "compressed"),
        case(bytes(), header("Content-Encoding", "gzip"), 1, SMALL),
        case(link(), limit(Hint::RateLimit(250)), 5, "rate limit"),
        case(link(), Fault::RedirectLoop, 1, "form a loop"),
        case(link(), Fault::Status(403), 4, "refused access"),
        case(link(), Fault::Close, 5, SMALL),
        case(
            link(),
            redirect("http://127.0.0.1:1/x?Signature=geheim"),
            5,
            SMALL,
        ),
    ]
}

/// Faults of the link of a large file and of its bytes.
fn large_file_cases() -> Vec<Case> {
    let cdn = || On::cdn(LARGE);
    let once = || On::cdn(LARGE).times(1);
    let link = || On::resolve(LARGE);
    let limit = |hint| Fault::TooManyRequests(hint);
    const IMPATIENT: &[&str] = &["-c", "download.stall_after=1s", "-c", "download.retries=1"];
    const DEMANDING: &[&str] = &[
        "-c",
        "download.stall_after=1s",
        "-c",
        "download.min_rate=1M",
        "-c",
        "download.retries=1",
    ];
    vec![
        passing(link().times(1), Fault::Status(502)),
        passing(link().times(1), Fault::Close),
        passing(link().times(1), limit(Hint::RateLimit(100))),
        passing(link(), header("Set-Cookie", "session=geheim; Path=/")),
        passing(link(), Fault::NoHeader("X-Linked-Etag".into())),
        passing(link(), Fault::NoHeader("X-Linked-Size".into())),
        case(link(), Fault::RedirectLoop, 1, "form a loop"),
        case(link(), Fault::Status(403), 4, "refused access"),
        case(link(), limit(Hint::RetryAfter(100)), 5, "rate limit"),
        case(
            link(),
            redirect("ftp://127.0.0.1/x?sig=geheim"),
            1,
            "redirect",
        ),
        case(
            link(),
            redirect("http://127.0.0.1:1/x?Signature=geheim"),
            5,
            LARGE,
        ),
        passing(once(), Fault::CutAfter(MIB as u64 + 17)),
        passing(once(), Fault::ShortBy(1000)),
        passing(once(), Fault::FlipByteAt(2_000_000)),
        passing(once(), Fault::Expired),
        passing(once(), Fault::Status(500)),
        passing(once(), Fault::RetryAfter("60".into())),
        passing(once(), limit(Hint::RetryAfter(60))),
        passing(once(), Fault::Reset),
        passing(once(), Fault::Close),
        passing(once(), Fault::WrongStart(1)),
        passing(once(), Fault::WrongTotal(1)),
        passing(once(), Fault::NoHeader("Content-Range".into())),
        passing(once(), Fault::RangeNotSatisfiable),
        passing(cdn(), Fault::IgnoreRange),
        passing(cdn(), Fault::Chunked),
        passing(cdn(), Fault::NoHeader("ETag".into())),
        passing(cdn(), Fault::NoHeader("Content-Length".into())),
        passing(cdn(), Fault::NoHeader("Accept-Ranges".into())),
        passing(cdn(), header("Set-Cookie", "session=geheim; Path=/")),
        passing(cdn(), Fault::Trickle(MIB / 4, Duration::from_millis(1))),
        Case {
            args: IMPATIENT,
            ..passing(once(), Fault::StallAfter(MIB as u64))
        },
        Case {
            args: IMPATIENT,
            ..case(cdn(), Fault::StallAfter(1000), 5, LARGE)
        },
        Case {
            args: DEMANDING,
            ..case(
                cdn(),
                Fault::Trickle(1000, Duration::from_millis(100)),
                5,
                "slower than",
            )
        },
        case(cdn(), Fault::FlipByteAt(2_000_000), 3, "hash mismatch"),
        case(cdn(), Fault::CutAfter(0), 5, LARGE),
        case(cdn(), Fault::Status(503), 5, "HTTP 503"),
        case(cdn(), Fault::Status(404), 1, "HTTP 404"),
        case(cdn(), Fault::Expired, 1, "HTTP 403"),
        case(cdn(), limit(Hint::Nothing), 5, LARGE),
        case(cdn(), Fault::RangeNotSatisfiable, 1, LARGE),
        case(cdn(), Fault::WrongStart(1), 1, "which bytes"),
        case(cdn(), Fault::WrongTotal(1), 3, "the server has"),
        case(cdn(), Fault::NoHeader("Content-Range".into()), 1, LARGE),
        case(cdn(), Fault::RedirectLoop, 1, "form a loop"),
        case(cdn(), html(), 1, "sent a web page"),
        case(cdn(), Fault::LongBy(1000), 0, ""),
        case(cdn(), header("Content-Encoding", "gzip"), 1, "compressed"),
        case(cdn(), Fault::Reset, 5, LARGE),
        case(cdn(), redirect("http://127.0.0.1:1/x?sig=geheim"), 5, LARGE),
    ]
}

/// A case about a server that takes its time, with little patience.
fn slow(on: On, fault: Fault, says: &'static str) -> Case {
    Case {
        variables: &[("HF_HUB_ETAG_TIMEOUT", "1")],
        ..case(on, fault, 5, says)
    }
}

/// Answers that never end by themselves.
fn endless_cases() -> Vec<Case> {
    let info = || On::api(Api::Info);
    let tree = || On::api(Api::Tree);
    let pause = Duration::from_millis(100);
    vec![
        slow(info(), Fault::TrickleHead(1, pause), "no answer in time"),
        slow(tree(), Fault::TrickleHead(1, pause), "no answer in time"),
        slow(info(), Fault::Informational(pause), "no answer in time"),
        slow(
            On::resolve(LARGE),
            Fault::Informational(pause),
            "no answer in time",
        ),
        slow(info(), Fault::Trickle(1, pause), "too slowly"),
        slow(tree(), Fault::Trickle(1, pause), "too slowly"),
        slow(info(), Fault::NoAnswer, "no answer in time"),
        slow(tree(), Fault::StallAfter(5), "stalled"),
        case(info(), Fault::Endless, 1, "longer than"),
        case(tree(), Fault::Endless, 1, "longer than"),
        case(tree(), Fault::EndlessPages(0), 1, "has no end"),
        case(
            tree(),
            Fault::EndlessPages(50_000),
            1,
            "more than 500000 entries",
        ),
    ]
}

/// A world with a hub that knows the token, and what it holds.
fn world() -> (TestEnv, Truth) {
    let env = TestEnv::new();
    env.set("HFDL_DISK_RESERVE", "0").set("HF_TOKEN", TOKEN);
    env.hub().token(TOKEN, &["acme/tiny"]);
    let truth = publish(env.hub());
    (env, truth)
}

fn publish(hub: &TestHub) -> Truth {
    let files = BTreeMap::from([
        (SMALL.to_owned(), b"{\"a\": 1}\n".repeat(300)),
        ("sub/empty.txt".to_owned(), Vec::new()),
        (LARGE.to_owned(), generated_bytes(3 * MIB, 1)),
    ]);
    let commit = hub
        .repo("acme/tiny")
        .commit("main")
        .file(SMALL, files[SMALL].clone())
        .file("sub/empty.txt", b"")
        .lfs(LARGE, files[LARGE].clone())
        .publish();
    Truth::from([(commit, files)])
}

/// Tries a case and says what is not as it should be.
fn verdict(case: &Case) -> Result<(), String> {
    let (env, truth) = world();
    for (name, value) in case.variables {
        env.set(name, value);
    }
    let hub = env.hub();
    hub.fault(case.on.clone(), case.fault.clone());
    let args = ["download", "acme/tiny", "-vvv"];
    let ran = env.hfdl(args.iter().chain(case.args));
    let told = |problem: String| {
        let requests = hub.describe_requests();
        format!("{problem}\n{}\n{requests}", ran.report())
    };
    let judge = || -> Result<(), String> {
        if ran.code() != Some(case.code) {
            return Err(format!("code {:?}, expected {}", ran.code(), case.code));
        }
        if !ran.stderr().contains(case.says) {
            return Err(format!("does not say `{}`", case.says));
        }
        if ran.stderr().contains("panicked") {
            return Err("it panicked".to_owned());
        }
        damage(&env, &truth)?;
        if let Some(leak) = leak(&env, &ran) {
            return Err(leak);
        }
        if (sessions(&env), open_sessions(&env), open_runs(&env)) != (1, 0, 0) {
            return Err("the session is not recorded".to_owned());
        }
        let is_there = env.cache().join("models--acme--tiny/refs/main").exists();
        if is_there != (case.code == 0) {
            return Err(format!("the ref is there: {is_there}"));
        }
        Ok(())
    };
    judge().map_err(told)?;

    hub.heal();
    let again = env.hfdl(["download", "acme/tiny"]);
    if again.code() != Some(0) {
        return Err(format!("not healed: {}", again.report()));
    }
    damage(&env, &truth).map_err(told)?;
    let whole = env.cache().join("models--acme--tiny/refs/main").exists();
    whole.then_some(()).ok_or("no ref after healing".to_owned())
}

/// Tries all cases and shows every one that went wrong, not only the first.
fn try_all(cases: &[Case]) {
    let wrong: Vec<String> = cases
        .iter()
        .filter_map(|case| {
            let problem = verdict(case).err()?;
            Some(format!("{:?} {:?}: {problem}", case.fault, case.on))
        })
        .collect();
    assert!(
        wrong.is_empty(),
        "{} of {} cases:\n{}",
        wrong.len(),
        cases.len(),
        wrong.join("\n======\n")
    );
}

#[test]
fn faults_of_the_api_end_with_their_code_and_heal() {
    try_all(&api_cases());
}

#[test]
fn faults_of_small_files_end_with_their_code_and_heal() {
    try_all(&small_file_cases());
}

#[test]
fn faults_of_large_files_end_with_their_code_and_heal() {
    try_all(&large_file_cases());
}

#[test]
fn an_endless_answer_is_given_up_and_heals() {
    try_all(&endless_cases());
}

#[test]
fn every_fault_of_the_hub_has_a_case() {
    let tables = [
        api_cases(),
        small_file_cases(),
        large_file_cases(),
        endless_cases(),
    ]
    .names();
    for fault in [
        Fault::CutAfter(0),
        Fault::StallAfter(0),
        Fault::NoAnswer,
        Fault::Trickle(0, Duration::ZERO),
        Fault::TrickleHead(0, Duration::ZERO),
        Fault::Informational(Duration::ZERO),
        Fault::Endless,
        Fault::EndlessPages(0),
        Fault::FlipByteAt(0),
        Fault::ShortBy(0),
        Fault::LongBy(0),
        Fault::Chunked,
        Fault::IgnoreRange,
        Fault::WrongStart(0),
        Fault::WrongTotal(0),
        Fault::RangeNotSatisfiable,
        Fault::Status(0),
        Fault::TooManyRequests(Hint::Nothing),
        Fault::RetryAfter(String::new()),
        Fault::Refusal(0, Vec::new(), String::new()),
        Fault::Expired,
        Fault::RedirectLoop,
        Fault::Redirect(0, String::new()),
        html(),
        header("", ""),
        Fault::NoHeader(String::new()),
        Fault::Reset,
        Fault::Close,
    ] {
        assert!(tables.contains(&name_of(&fault)), "{fault:?} has no case");
    }
}

/// The names of all variants in some tables.
trait Names {
    fn names(&self) -> Vec<&'static str>;
}

impl Names for [Vec<Case>; 4] {
    fn names(&self) -> Vec<&'static str> {
        let cases = self.iter().flatten();
        cases.map(|case| name_of(&case.fault)).collect()
    }
}

#[test]
fn an_answer_that_is_long_in_coming_is_waited_for() {
    for on in [On::api(Api::Info), On::cdn(LARGE), On::resolve(SMALL)] {
        let (env, truth) = world();
        let hub = env.hub();
        hub.fault(on.clone().times(1), Fault::NoAnswer);
        let child = env
            .command(["download", "acme/tiny", "-q"])
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let cdn_only = matches!(&format!("{on:?}"), text if text.contains("Cdn"));
        hub.wait_until("the silent request", |requests| {
            let wanted = if cdn_only { Port::Cdn } else { Port::Hub };
            requests.iter().any(|request| request.port == wanted)
        });
        hub.heal();
        let ended = child.wait_with_output().unwrap();
        assert!(ended.status.success(), "{on:?}");
        damage(&env, &truth).unwrap();
    }
}

#[test]
fn links_that_expire_in_the_middle_cost_a_new_link_and_no_byte_twice() {
    let (env, truth) = world();
    let hub = env.hub();
    hub.configure(|settings| settings.link_uses = Some(1));
    let ran = env.hfdl(["download", "acme/tiny", "--json"]);
    ran.succeeds();
    damage(&env, &truth).unwrap();
    let total: usize = truth.values().flatten().map(|(_, bytes)| bytes.len()).sum();
    let fetched = &ran.json()["sessions"][0]["bytes"]["fetched"];
    assert_eq!(fetched.as_u64(), Some(total as u64));
}

#[test]
fn a_link_that_expired_while_bytes_came_is_replaced() {
    let (env, truth) = world();
    let hub = env.hub();
    hub.fault(On::cdn(LARGE).times(1), Fault::CutAfter(MIB as u64));
    hub.fault(On::cdn(LARGE).times(1), Fault::Expired);
    env.hfdl(["download", "acme/tiny", "-c", "download.connections=1"])
        .succeeds();
    damage(&env, &truth).unwrap();
    let statuses: Vec<u16> = hub
        .downloads(LARGE)
        .iter()
        .map(|request| request.status)
        .collect();
    assert!(statuses.contains(&403), "{statuses:?}");
    let links = hub.requests();
    let links = links
        .iter()
        .filter(|request| request.api == Api::Resolve && request.file.as_deref() == Some(LARGE));
    assert!(links.count() >= 2, "{}", hub.describe_requests());
}

#[test]
fn a_large_file_comes_in_ranges_from_a_storage_that_refuses_whole_files() {
    let (env, truth) = world();
    env.hub()
        .configure(|settings| settings.unranged_limit = Some(MIB as u64));
    env.hfdl(["download", "acme/tiny"]).succeeds();
    damage(&env, &truth).unwrap();
    let answers = env.hub().downloads(LARGE);
    let in_ranges = answers.iter().filter(|request| request.range().is_some());
    assert!(in_ranges.count() > 0, "{}", env.hub().describe_requests());
}

#[test]
fn a_closed_port_is_temporary() {
    for (port, says) in [(Port::Hub, "could not check"), (Port::Cdn, LARGE)] {
        let (env, truth) = world();
        env.hub().close_port(port);
        let ran = env.hfdl(["download", "acme/tiny"]);
        ran.exits(5).explains(says);
        assert_eq!(leak(&env, &ran), None);
        damage(&env, &truth).unwrap();
        env.hub().open_port(port);
        env.hfdl(["download", "acme/tiny"]).succeeds();
        damage(&env, &truth).unwrap();
    }
}
