//! Files that come out of their Xet chunks, and what happens when those are no good.

use std::fs;

use hfdl_test_hub::{Api, Fault, On};

use crate::support::database::cell;
use crate::support::env::{Ran, TestEnv};

const MIB: usize = 1 << 20;
const FILE: &str = "words.bin";

fn world() -> TestEnv {
    let env = TestEnv::new();
    env.set("HFDL_DISK_RESERVE", "0")
        .set("HFDL_TEST_NO_PAUSES", "1");
    env.hub().serve_xet();
    env
}

/// Text that is packed to less than half, without repeating itself.
fn words(n: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(5);
    std::iter::repeat_with(|| [b"alpha ", b"beta. ", b"gamma "][random.usize(..3)])
        .flatten()
        .copied()
        .take(n)
        .collect()
}

fn noise(n: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(6);
    std::iter::repeat_with(|| random.u8(..)).take(n).collect()
}

fn publish(env: &TestEnv, bytes: &[u8]) -> String {
    let draft = env
        .hub()
        .repo("acme/tiny")
        .commit("main")
        .stored(FILE, bytes);
    draft.publish()
}

fn fetched(ran: &Ran) -> usize {
    let fetched = &ran.json()["sessions"][0]["bytes"]["fetched"];
    fetched.as_u64().unwrap() as usize
}

#[track_caller]
fn arrives(env: &TestEnv, commit: &str, bytes: &[u8]) -> Ran {
    let ran = env.hfdl(["download", "acme/tiny", "--json"]);
    ran.succeeds();
    let repo = env.cache().join("models--acme--tiny");
    let found = fs::read(repo.join("snapshots").join(commit).join(FILE)).unwrap();
    assert!(found == bytes, "the file is wrong");
    ran
}

/// Counts the bytes of chunks that the hub sent.
fn sent_in_chunks(env: &TestEnv) -> usize {
    let requests = env.hub().requests();
    let chunks = requests.iter().filter(|request| request.api == Api::Xorb);
    chunks.map(|request| request.bytes_sent as usize).sum()
}

#[test]
fn chunks_are_used_where_they_are_clearly_fewer_bytes() {
    let env = world();
    // A second connection would be sent bytes that the first has fetched meanwhile.
    env.set("HFDL_DOWNLOAD_CONNECTIONS", "1");
    let bytes = words(9 * MIB);
    let commit = publish(&env, &bytes);
    let ran = arrives(&env, &commit, &bytes);
    assert!(
        env.hub().downloads(FILE).is_empty(),
        "{}",
        env.hub().describe_requests()
    );
    assert!(fetched(&ran) < bytes.len() * 2 / 3, "{}", fetched(&ran));
    assert_eq!(fetched(&ran), sent_in_chunks(&env), "counted to the byte");
    assert_eq!(env.hub().count(Api::XetReadToken), 1);
    let source = format!("SELECT source FROM session_files WHERE path = '{FILE}'");
    assert_eq!(cell(&env, &source), "xet");
}

#[test]
fn plain_http_is_used_where_chunks_save_nothing() {
    let env = world();
    let bytes = noise(9 * MIB);
    let commit = publish(&env, &bytes);
    let ran = arrives(&env, &commit, &bytes);
    assert_eq!(fetched(&ran), bytes.len());
    assert_eq!(sent_in_chunks(&env), 0);
}

#[test]
fn a_file_that_is_refused_plainly_comes_in_chunks() {
    for size in [3 * MIB, 9 * MIB] {
        let env = world();
        let bytes = noise(size);
        let commit = publish(&env, &bytes);
        env.hub().fault(On::cdn(FILE), Fault::Status(400));
        arrives(&env, &commit, &bytes);
        assert!(sent_in_chunks(&env) >= size);
    }
}

#[test]
fn a_file_that_cannot_be_had_in_any_way_fails_for_the_first_reason() {
    let env = world();
    publish(&env, &noise(3 * MIB));
    env.hub().fault(On::cdn(FILE), Fault::Status(400));
    env.hub()
        .fault(On::api(Api::Reconstruction), Fault::Status(403));
    let ran = env.hfdl(["download", "acme/tiny"]);
    ran.exits(1).explains("answered HTTP 400");
}

#[test]
fn one_chunk_used_many_times_and_the_edges_of_ranges_are_right() {
    let env = world();
    let mut bytes = vec![0; 5 * MIB];
    bytes.extend(words(4 * MIB + 12_345));
    bytes.extend(vec![0; 3 * MIB]);
    let commit = publish(&env, &bytes);
    arrives(&env, &commit, &bytes);
    assert!(env.hub().downloads(FILE).is_empty());
    let n_asked = env.hub().count(Api::Xorb);
    assert!(n_asked < 20, "{n_asked} requests for chunks");
}

#[test]
fn a_file_is_right_after_each_fault_of_its_chunks() {
    const ALWAYS: usize = usize::MAX;
    for (fault, times) in [
        (Fault::Status(403), ALWAYS),
        (Fault::Status(404), 1),
        (Fault::Status(503), ALWAYS),
        (Fault::Expired, 1),
        (Fault::CutAfter(100_000), 1),
        (Fault::CutAfter(100_000), ALWAYS),
        (Fault::ShortBy(3), ALWAYS),
        (Fault::LongBy(3), 1),
        (Fault::FlipByteAt(0), ALWAYS),
        (Fault::FlipByteAt(4), 1),
        (Fault::FlipByteAt(3000), ALWAYS),
        (Fault::Reset, 1),
    ] {
        let env = world();
        let bytes = words(9 * MIB);
        let commit = publish(&env, &bytes);
        env.hub()
            .fault(On::api(Api::Xorb).times(times), fault.clone());
        let ran = env.hfdl(["download", "acme/tiny", "--json"]);
        assert_eq!(ran.code(), Some(0), "{fault:?} {times}: {}", ran.report());
        arrives(&env, &commit, &bytes);
    }
}
