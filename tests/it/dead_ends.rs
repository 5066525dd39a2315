//! A failing route to a Hub is not tried again by the next runs, for a while.

use hfdl_test_hub::{Api, Fault, On, Port};
use serde_json::Value;

use crate::support::env::TestEnv;
use crate::support::xet::noise;

const MIB: usize = 1 << 20;
const FILE: &str = "model.bin";

/// One evening, the next one, and the one after: every night tries again.
const NIGHTS: [&str; 3] = [
    "2026-03-01T22:00:00Z",
    "2026-03-02T22:00:00Z",
    "2026-03-03T22:00:00Z",
];

fn world() -> TestEnv {
    let env = TestEnv::new();
    env.set("HFDL_DISK_RESERVE", "0").now(NIGHTS[0]);
    env.hub().serve_xet();
    env
}

/// Text that is packed to less than half.
fn words(n: usize, seed: u64) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(seed);
    std::iter::repeat_with(|| [b"alpha ", b"beta. ", b"gamma "][random.usize(..3)])
        .flatten()
        .copied()
        .take(n)
        .collect()
}

fn publish(env: &TestEnv, bytes: &[u8]) {
    publish_in(env, "acme/tiny", bytes);
}

fn publish_in(env: &TestEnv, repo: &str, bytes: &[u8]) {
    let draft = env.hub().repo(repo).commit("main");
    draft.stored(FILE, bytes).publish();
}

/// Downloads the file in its newest form; returns the bytes that were fetched.
#[track_caller]
fn download(env: &TestEnv, bytes: &[u8]) -> usize {
    download_from(env, "acme/tiny", bytes)
}

#[track_caller]
fn download_from(env: &TestEnv, repo: &str, bytes: &[u8]) -> usize {
    env.hub().forget_requests();
    let ran = env.hfdl(["download", repo, "--json"]);
    ran.succeeds();
    let session = ran.json()["sessions"][0].clone();
    let path = format!("{}/{FILE}", session["path"].as_str().unwrap());
    assert!(std::fs::read(path).unwrap() == bytes, "the file is wrong");
    session["bytes"]["fetched"].as_u64().unwrap() as usize
}

/// Counts the requests that have to do with Xet storage.
fn xet_requests(env: &TestEnv) -> usize {
    let apis = [Api::XetReadToken, Api::Reconstruction, Api::Xorb];
    apis.into_iter().map(|api| env.hub().count(api)).sum()
}

fn dead_ends(env: &TestEnv) -> Vec<String> {
    let content = env.database_content();
    let rows = content.lines().filter(|row| row.starts_with("dead_ends"));
    rows.map(str::to_owned).collect()
}

#[test]
fn a_storage_that_gives_no_answers_is_left_alone_until_the_next_night() {
    for fault in [Fault::Status(503), Fault::Status(403), Fault::Reset] {
        let env = world();
        let mut bytes = noise(3 * MIB, 1);
        let mut edit = |env: &TestEnv| {
            bytes.splice(MIB..MIB, noise(50_000, 2));
            publish(env, &bytes);
            bytes.clone()
        };
        let first = edit(&env);
        download(&env, &first);

        env.hub().fault(On::api(Api::Reconstruction), fault.clone());
        let second = edit(&env);
        assert_eq!(download(&env, &second), second.len(), "{fault:?}");
        assert!(xet_requests(&env) > 0);
        env.hub().heal();

        let third = edit(&env);
        env.now("2026-03-02T02:00:00Z");
        assert_eq!(download(&env, &third), third.len(), "{fault:?}");
        assert_eq!(xet_requests(&env), 0, "{}", env.hub().describe_requests());

        let fourth = edit(&env);
        env.now(NIGHTS[1]);
        assert!(download(&env, &fourth) < MIB, "{fault:?}");
        assert!(xet_requests(&env) > 0);
    }
}

#[test]
fn chunks_that_were_no_good_are_not_asked_for_until_the_next_night() {
    let env = world();
    env.hub().fault(On::api(Api::Xorb), Fault::Status(503));
    let bytes = words(9 * MIB, 1);
    publish_in(&env, "acme/one", &bytes);
    download_from(&env, "acme/one", &bytes);
    assert!(env.hub().count(Api::Xorb) > 0);
    let row = dead_ends(&env);
    assert_eq!(row.len(), 1, "{row:?}");
    let endpoint = env.hub().endpoint();
    let (_, host_and_port) = endpoint.split_once("//").unwrap();
    assert!(
        row[0].contains(&format!("Text(\"{host_and_port}\")")),
        "{row:?}"
    );
    env.hub().heal();

    let bytes = words(9 * MIB, 2);
    publish_in(&env, "acme/two", &bytes);
    assert_eq!(download_from(&env, "acme/two", &bytes), bytes.len());
    let n_chunks = env.hub().count(Api::Xorb);
    assert_eq!(n_chunks, 0, "{}", env.hub().describe_requests());

    env.now(NIGHTS[1]);
    let bytes = words(9 * MIB, 3);
    publish_in(&env, "acme/three", &bytes);
    assert!(download_from(&env, "acme/three", &bytes) < bytes.len() * 2 / 3);
}

#[test]
fn files_that_are_refused_plainly_come_in_chunks_at_once_the_next_time() {
    let env = world();
    env.hub().fault(On::cdn(FILE), Fault::Status(400));
    let bytes = noise(3 * MIB, 1);
    publish(&env, &bytes);
    download(&env, &bytes);
    assert!(env.hub().count(Api::Cdn) > 0);

    let bytes = noise(4 * MIB, 2);
    publish(&env, &bytes);
    download(&env, &bytes);
    assert_eq!(
        env.hub().count(Api::Cdn),
        0,
        "{}",
        env.hub().describe_requests()
    );

    // A smaller file may well come plainly.
    env.hub().heal();
    let bytes = noise(2 * MIB, 3);
    publish(&env, &bytes);
    download(&env, &bytes);
    assert_eq!((env.hub().count(Api::Xorb), dead_ends(&env).len()), (0, 1));

    // A file of a refused size that comes now ends the dead end.
    env.hub().fault(On::api(Api::Xorb), Fault::Status(503));
    let bytes = noise(5 * MIB, 4);
    publish(&env, &bytes);
    download(&env, &bytes);
    let left = dead_ends(&env);
    assert!(
        left.iter().all(|row| !row.contains("plain-files")),
        "{left:?}"
    );
}

#[test]
fn a_bridge_that_fails_is_replaced_by_chunks_until_the_next_night() {
    let faults = [
        Fault::Status(502),
        Fault::RetryAfter("30".to_owned()),
        Fault::Reset,
        Fault::CutAfter(0),
    ];
    for fault in faults {
        let env = world();
        env.hub().fault(On::api(Api::Cdn), fault.clone());
        let bytes = noise(3 * MIB, 1);
        publish(&env, &bytes);
        download(&env, &bytes);
        assert!(env.hub().count(Api::Cdn) > 0);
        assert!(env.hub().count(Api::Xorb) > 0, "{fault:?}");

        let bytes = noise(3 * MIB, 2);
        publish_in(&env, "acme/later", &bytes);
        env.now("2026-03-02T02:00:00Z");
        download_from(&env, "acme/later", &bytes);
        assert_eq!(env.hub().count(Api::Cdn), 0, "{fault:?}");
        env.hub().heal();

        let bytes = noise(3 * MIB, 3);
        publish_in(&env, "acme/next", &bytes);
        env.now(NIGHTS[1]);
        download_from(&env, "acme/next", &bytes);
        let requests = (env.hub().count(Api::Cdn) > 0, env.hub().count(Api::Xorb));
        assert_eq!(requests, (true, 0), "{fault:?}");
    }
}

#[test]
fn a_bridge_that_fails_costs_one_file_of_a_run_a_request() {
    let env = world();
    env.hub().fault(On::api(Api::Cdn), Fault::Status(503));
    let mut draft = env.hub().repo("acme/many").commit("main");
    for n in 0..6 {
        // Files below the size of a segment are fetched in one request.
        draft = draft.stored(&format!("{n}.bin"), noise(300_000, n));
    }
    draft.stored("large.bin", noise(3 * MIB, 9)).publish();
    let args = ["download", "acme/many", "-c", "download.retries=0"];
    env.hfdl(args.into_iter().chain(["-c", "download.connections=1"]))
        .succeeds();
    env.hfdl(["verify", "acme/many"]).succeeds();
    assert_eq!(
        env.hub().count(Api::Cdn),
        1,
        "{}",
        env.hub().describe_requests()
    );
}

#[test]
fn a_bridge_and_a_storage_that_both_fail_are_a_temporary_error() {
    let env = world();
    env.hub().fault(On::api(Api::Cdn), Fault::Status(503));
    env.hub()
        .fault(On::api(Api::Reconstruction), Fault::Status(503));
    publish(&env, &noise(3 * MIB, 1));
    env.hfdl(["download", "acme/tiny"])
        .exits(5)
        .explains("the storage host `127.0.0.1` answered HTTP 503");
    assert_eq!(dead_ends(&env), Vec::<String>::new());
}

#[test]
fn a_hub_that_gives_no_storage_token_is_asked_three_times() {
    let env = world();
    let mut bytes = noise(3 * MIB, 1);
    publish(&env, &bytes);
    download(&env, &bytes);
    env.hub()
        .fault(On::api(Api::XetReadToken), Fault::Status(500));

    bytes.splice(MIB..MIB, noise(50_000, 2));
    publish(&env, &bytes);
    assert_eq!(download(&env, &bytes), bytes.len());
    assert_eq!(env.hub().count(Api::XetReadToken), 3);

    bytes.splice(MIB..MIB, noise(50_000, 3));
    publish(&env, &bytes);
    env.now("2026-03-02T02:00:00Z");
    assert_eq!(download(&env, &bytes), bytes.len());
    assert_eq!(xet_requests(&env), 0, "{}", env.hub().describe_requests());
    env.hub().heal();

    bytes.splice(MIB..MIB, noise(50_000, 4));
    publish(&env, &bytes);
    env.now(NIGHTS[1]);
    assert!(download(&env, &bytes) < MIB);
}

#[test]
fn an_unreachable_network_marks_no_dead_end() {
    let env = world();
    let old = noise(3 * MIB, 1);
    publish(&env, &old);
    download(&env, &old);
    let mut new = old;
    new.splice(MIB..MIB, noise(50_000, 2));
    publish(&env, &new);
    env.hub().close_port(Port::Cas);
    env.hub().close_port(Port::Cdn);
    env.hfdl(["download", "acme/tiny"]).exits(5);
    assert_eq!(dead_ends(&env), Vec::<String>::new());
    env.hub().open_port(Port::Cas);
    env.hub().open_port(Port::Cdn);
    assert!(download(&env, &new) < MIB);
}

#[test]
fn a_dead_end_of_another_hub_or_of_a_clock_that_was_wrong_closes_nothing() {
    let env = world();
    let old = noise(3 * MIB, 1);
    publish(&env, &old);
    download(&env, &old);
    let endpoint = env.hub().endpoint();
    let (_, here) = endpoint.split_once("//").unwrap();
    // No command records a dead end of another hub, or of a time to come.
    let rows = rusqlite::Connection::open(env.database()).unwrap();
    let sql = "INSERT INTO dead_ends VALUES (?1, 'xet-answers', 0, unixepoch(?2))";
    rows.execute(sql, ("other.example:443", "2026-03-02T10:00:00Z"))
        .unwrap();
    rows.execute(sql, (here, "2036-03-02T10:00:00Z")).unwrap();
    let mut new = old;
    new.splice(MIB..MIB, noise(50_000, 2));
    publish(&env, &new);
    assert!(download(&env, &new) < MIB);
    let dry = |env: &TestEnv| -> Value {
        let ran = env.hfdl(["download", "acme/tiny", "--dry-run", "--json"]);
        ran.json()["models"][0]["bytes"]["to_fetch"].clone()
    };
    new.splice(MIB..MIB, noise(50_000, 3));
    publish(&env, &new);
    assert!(dry(&env).as_u64().unwrap() < MIB as u64);
    rows.execute("DELETE FROM dead_ends WHERE host = ?1", [here])
        .unwrap();
    rows.execute(sql, (here, "2026-03-02T10:00:00Z")).unwrap();
    env.hub().forget_requests();
    assert_eq!(dry(&env), new.len(), "a dry run tells what a run would do");
    assert_eq!(xet_requests(&env), 0);
}
