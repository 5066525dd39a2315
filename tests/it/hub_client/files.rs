//! The bytes of files: where they are, who sees the token, which part comes.

use std::time::Duration;

use hfdl::hub::{ContentRange, Fault as HubFault};
use hfdl_test_hub::{Api, Fault, On, Port, TestHub};

use super::{
    Asker, REPO, TOKEN, address, fault_of, impatient, large, main_branch, read, repo, sha, tiny,
};

#[test]
fn the_token_opens_the_hub_and_never_reaches_the_storage() {
    let hub = TestHub::start();
    tiny(&hub);
    hub.token(TOKEN, &[REPO]);
    let commit = hub.repo(REPO).private().head("main").unwrap();
    let client = impatient(&hub, Some(TOKEN));
    let file = address(&commit, "model.safetensors");

    assert_eq!(read(client.open(&file, None).unwrap()), large());
    assert_eq!(
        read(client.open(&file, Some((10, Some(19)))).unwrap()),
        large()[10..20]
    );
    let small = client.open(&address(&commit, "config.json"), None).unwrap();
    assert_eq!(read(small), b"{\"a\": 1}");

    for request in hub.requests() {
        let is_hub = request.port == Port::Hub;
        assert_eq!(request.header("authorization").is_some(), is_hub);
        assert_eq!(request.header("accept-encoding"), Some("identity"));
        assert!(request.header("user-agent").unwrap().starts_with("hfdl/"));
    }
}

#[test]
fn the_token_does_not_follow_an_api_answer_to_another_host() {
    let hub = TestHub::start();
    tiny(&hub);
    let elsewhere = format!("{}/api/models/acme/tiny/revision/main", hub.cdn_origin());
    hub.fault(On::api(Api::Info), Fault::Redirect(302, elsewhere));
    let client = impatient(&hub, Some(TOKEN));
    assert!(client.revision(&repo(REPO), &main_branch()).is_err());
    assert_eq!(hub.count(Api::Cdn), 1);
    hub.assert_clean();
}

#[test]
fn one_unranged_question_serves_all_ranges_of_all_threads() {
    let hub = TestHub::start();
    let commit = tiny(&hub);
    let client = impatient(&hub, None);
    let file = address(&commit, "model.safetensors");
    let bytes = large();

    std::thread::scope(|scope| {
        for part in 0..8u64 {
            let (client, file, bytes) = (&client, &file, &bytes);
            scope.spawn(move || {
                let (start, last) = (part * 12_500, part * 12_500 + 12_499);
                let stream = client.open(file, Some((start, Some(last)))).unwrap();
                assert_eq!(stream.length, Some(12_500));
                let total = Some(bytes.len() as u64);
                assert_eq!(
                    stream.content_range,
                    Some(ContentRange { start, last, total })
                );
                assert_eq!(read(stream), bytes[start as usize..=last as usize]);
            });
        }
    });

    let resolves: Vec<_> = hub
        .requests()
        .into_iter()
        .filter(|request| request.api == Api::Resolve)
        .collect();
    assert_eq!(resolves.len(), 1, "{}", hub.describe_requests());
    assert_eq!(resolves[0].header("range"), None);
    assert_eq!(hub.count(Api::Cdn), 8);
}

#[test]
fn an_expired_link_is_replaced_without_a_word() {
    let hub = TestHub::start();
    let commit = tiny(&hub);
    let client = impatient(&hub, None);
    let file = address(&commit, "model.safetensors");
    client.locate(&file).unwrap();
    hub.expire_links();
    let stream = client.open(&file, Some((99_990, None))).unwrap();
    assert_eq!(read(stream), large()[99_990..]);
    assert_eq!(hub.count(Api::Resolve), 2);
}

#[test]
fn a_storage_that_refuses_every_link_is_given_up() {
    let hub = TestHub::start();
    let commit = tiny(&hub);
    hub.fault(On::cdn("model.safetensors"), Fault::Expired);
    let asker = Asker::new(&hub, None);
    let file = address(&commit, "model.safetensors");
    let error = asker.client.open(&file, Some((0, Some(9)))).unwrap_err();
    assert!(matches!(
        error.fault(),
        HubFault::Storage { status: 403, .. }
    ));
    assert!(!error.is_transient());
    assert_eq!(hub.count(Api::Cdn), 4, "{}", hub.describe_requests());
    assert_eq!(hub.count(Api::Resolve), 4);
    assert_eq!(asker.pauses(), [Duration::ZERO; 0]);
}

#[test]
fn a_refusal_of_the_hub_itself_is_not_taken_for_an_expired_link() {
    let hub = TestHub::start();
    let commit = tiny(&hub);
    hub.fault(On::resolve("model.safetensors"), Fault::Status(403));
    let client = impatient(&hub, None);
    let file = address(&commit, "model.safetensors");
    assert_eq!(
        fault_of(client.open(&file, Some((0, None)))),
        HubFault::Forbidden
    );
    assert_eq!(hub.requests().len(), 1);
}

#[test]
fn small_files_need_two_requests_whole_or_in_part() {
    let hub = TestHub::start();
    let commit = tiny(&hub);
    let client = impatient(&hub, None);
    let file = address(&commit, "config.json");
    let stream = client.open(&file, None).unwrap();
    assert_eq!((stream.content_range, stream.length), (None, Some(8)));
    assert_eq!(read(stream), b"{\"a\": 1}");
    assert_eq!(hub.requests().len(), 2, "{}", hub.describe_requests());

    let stream = client.open(&file, Some((1, Some(3)))).unwrap();
    assert!(stream.content_range.is_some());
    assert_eq!(read(stream), b"\"a\"");
}

#[test]
fn names_with_every_kind_of_character_arrive_whole() {
    let hub = TestHub::start();
    let names = [
        "a b#%?.txt",
        "ünï/[x]^|~.txt",
        "+&=;'.txt",
        "deep/er/and/deeper",
    ];
    let commit = hub
        .repo(REPO)
        .commit("main")
        .files(names.map(|name| (name, name.as_bytes())))
        .lfs("grüße [1].bin", large())
        .publish();
    let client = impatient(&hub, None);
    assert_eq!(
        client.tree(&repo(REPO), &sha(&commit)).unwrap().files.len(),
        5
    );
    for name in names {
        let stream = client.open(&address(&commit, name), None).unwrap();
        assert_eq!(read(stream), name.as_bytes());
    }
    let stream = client
        .open(&address(&commit, "grüße [1].bin"), None)
        .unwrap();
    assert_eq!(read(stream), large());
}

#[test]
fn an_empty_file_in_the_storage_is_no_error() {
    let hub = TestHub::start();
    let commit = hub
        .repo(REPO)
        .commit("main")
        .lfs("empty.bin", b"")
        .publish();
    let client = impatient(&hub, None);
    let stream = client.open(&address(&commit, "empty.bin"), None).unwrap();
    assert_eq!(read(stream), b"");
}

#[test]
fn a_whole_huge_file_is_requested_with_a_range() {
    let hub = TestHub::start();
    let commit = tiny(&hub);
    hub.configure(|settings| settings.unranged_limit = Some(1000));
    let client = impatient(&hub, None);
    let stream = client
        .open(&address(&commit, "model.safetensors"), None)
        .unwrap();
    assert_eq!(read(stream), large());
}

#[test]
fn a_response_with_other_bytes_than_requested_is_refused() {
    let hub = TestHub::start();
    let commit = tiny(&hub);
    let client = impatient(&hub, None);
    let file = address(&commit, "model.safetensors");
    let header = |name: &str, value: &str| Fault::Header(name.into(), value.into());
    for (fault, why) in [
        (Fault::WrongStart(3), "not requested"),
        (
            header("Content-Range", "bytes 5-14/100000"),
            "not requested",
        ),
        (
            header("Content-Range", "bytes 10-99999/100000"),
            "not requested",
        ),
        (header("Content-Range", "nonsense"), "which bytes"),
        (Fault::NoHeader("Content-Range".into()), "which bytes"),
        (header("Content-Encoding", "gzip"), "compressed"),
    ] {
        hub.fault(On::cdn("model.safetensors").times(1), fault.clone());
        let error = client.open(&file, Some((10, Some(19)))).unwrap_err();
        assert!(error.to_string().contains(why), "{fault:?}: {error}");
    }
    hub.fault(On::cdn("model.safetensors").times(1), Fault::IgnoreRange);
    let stream = client.open(&file, Some((10, Some(19)))).unwrap();
    assert_eq!(stream.content_range, None);
    assert_eq!(read(stream), large());
    hub.fault(
        On::resolve("model.safetensors"),
        header("X-Repo-Commit", &"f".repeat(40)),
    );
    // Another client, which has no location of the file yet.
    let error = impatient(&hub, None).open(&file, None).unwrap_err();
    assert!(error.to_string().contains("from commit"), "{error}");
}

#[test]
fn the_error_about_a_range_beyond_the_end_has_the_size() {
    let hub = TestHub::start();
    let commit = tiny(&hub);
    let client = impatient(&hub, None);
    for (path, total) in [("model.safetensors", 100_000), ("config.json", 8)] {
        assert_eq!(
            fault_of(client.open(&address(&commit, path), Some((total, None)))),
            HubFault::BadRange { total: Some(total) }
        );
    }
}
