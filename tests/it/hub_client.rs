//! The Hub client against a real hub on loopback.
//!
//! The test hub's second port plays the CDN; when a credential reaches it, the
//! hub fails the test as it is dropped.

use std::io::Read;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hfdl::domain::outcome::ErrorKind;
use hfdl::domain::repo::{CommitSha, Repo, RepoPath, RepoType, Revision};
use hfdl::domain::retry::RetryPolicy;
use hfdl::hub::{
    ContentRange, Fault as HubFault, FileAddress, Gated, HubClient, HubError, HubOptions, Stream,
    Token, TokenInputs, find_token,
};
use hfdl::sys::http::{Http, HttpError, HttpErrorKind, HttpSettings};
use hfdl::sys::pause::{Pause, Waited};
use hfdl_test_hub::{
    Api, Fault, Gate, Hint, On, Port, Shape, TestHub, XetService, generated_bytes,
};

const REPO: &str = "acme/tiny";
const TOKEN: &str = "hf_a_token_for_tests";

/// A client, and the pauses that it would have made.
struct Asker {
    client: HubClient,
    pauses: Arc<Mutex<Vec<Duration>>>,
}

impl Asker {
    fn new(hub: &TestHub, token: Option<&str>) -> Self {
        let pauses = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&pauses);
        let options = HubOptions {
            pause: Pause::new(move |span| {
                seen.lock().unwrap().push(span);
                Waited::Done
            }),
            ..HubOptions::default()
        };
        Self {
            client: client(hub, token, options),
            pauses,
        }
    }

    fn pauses(&self) -> Vec<Duration> {
        self.pauses.lock().unwrap().clone()
    }
}

fn client(hub: &TestHub, token: Option<&str>, options: HubOptions) -> HubClient {
    let settings = HttpSettings {
        read_timeout: Duration::from_secs(5),
        ..HttpSettings::default()
    };
    HubClient::new(
        Http::new(&settings).unwrap(),
        hub.endpoint().parse().unwrap(),
        token.map(secret),
        options,
    )
}

/// A client that tries everything once.
fn impatient(hub: &TestHub, token: Option<&str>) -> HubClient {
    let options = HubOptions {
        retry: RetryPolicy::never(),
        pause: Pause::none(),
        ..HubOptions::default()
    };
    client(hub, token, options)
}

fn secret(text: &str) -> Token {
    let inputs = TokenInputs {
        explicit: Some(text.to_owned()),
        ..TokenInputs::default()
    };
    find_token(&inputs).unwrap().unwrap().0
}

fn repo(id: &str) -> Repo {
    Repo::new(RepoType::Model, id.parse().unwrap())
}

fn main_branch() -> Revision {
    Revision::main()
}

fn sha(text: &str) -> CommitSha {
    text.parse().unwrap()
}

fn address(commit: &str, path: &str) -> FileAddress {
    FileAddress {
        repo: repo(REPO),
        commit: sha(commit),
        path: path.parse().unwrap(),
    }
}

fn read(stream: Stream) -> Vec<u8> {
    let mut reader = stream.reader;
    let mut bytes = Vec::new();
    reader.read_to_end(&mut bytes).unwrap();
    bytes
}

/// A hub with one small and one large file in `acme/tiny`; returns the commit.
fn tiny(hub: &TestHub) -> String {
    hub.token(TOKEN, &[]);
    hub.repo(REPO)
        .commit("main")
        .file("config.json", b"{\"a\": 1}")
        .lfs("model.safetensors", large())
        .publish()
}

fn large() -> Vec<u8> {
    generated_bytes(100_000, 7)
}

fn fault_of<T: std::fmt::Debug>(result: Result<T, HubError>) -> HubFault {
    result.unwrap_err().fault().clone()
}

#[test]
fn a_revision_resolves_to_its_commit_with_one_request() {
    let hub = TestHub::start();
    let main = tiny(&hub);
    let draft = hub.repo(REPO).commit("refs/pr/1").file("x", b"x").publish();
    let client = impatient(&hub, None);

    let info = client.revision(&repo(REPO), &main_branch()).unwrap();
    assert_eq!(info.commit.as_str(), main);
    assert_eq!(info.id.as_str(), REPO);
    assert_eq!(info.gated, Gated::No);
    assert_eq!(hub.requests().len(), 1);

    let pull_request = "refs/pr/1".parse().unwrap();
    let info = client.revision(&repo(REPO), &pull_request).unwrap();
    assert_eq!(info.commit.as_str(), draft);
    let asked = hub.requests().pop().unwrap();
    assert!(asked.target.ends_with("/revision/refs%2Fpr%2F1"));

    let info = client
        .revision(&repo(REPO), &main.parse().unwrap())
        .unwrap();
    assert_eq!(info.commit.as_str(), main);
}

#[test]
fn what_is_missing_closed_or_hidden_is_told_apart() {
    let hub = TestHub::start();
    let commit = tiny(&hub);
    for (id, prepare) in [
        ("acme/gated", Some(Gate::Auto)),
        ("acme/reviewed", Some(Gate::Manual)),
        ("acme/disabled", None),
        ("acme/private", None),
    ] {
        hub.repo(id).commit("main").file("x", b"x").publish();
        if let Some(gate) = prepare {
            hub.repo(id).gated(gate);
        }
    }
    hub.repo("acme/disabled").disabled();
    hub.repo("acme/private").private();
    let anonymous = impatient(&hub, None);
    let known = impatient(&hub, Some(TOKEN));
    let asks = |client: &HubClient, id: &str| client.revision(&repo(id), &main_branch());

    let nowhere = "v9".parse().unwrap();
    assert_eq!(
        fault_of(anonymous.revision(&repo(REPO), &nowhere)),
        HubFault::RevisionNotFound
    );
    let missing = address(&commit, "missing.bin");
    assert_eq!(
        fault_of(anonymous.open(&missing, None)),
        HubFault::EntryNotFound
    );
    assert_eq!(
        fault_of(anonymous.locate(&missing)),
        HubFault::EntryNotFound
    );
    for id in ["acme/nothing", "acme/private"] {
        assert_eq!(
            fault_of(asks(&anonymous, id)),
            HubFault::RepoNotFoundOrPrivate { anonymous: true }
        );
        let error = asks(&known, id).unwrap_err();
        assert_eq!(
            error.fault(),
            &HubFault::RepoNotFoundOrPrivate { anonymous: false }
        );
        assert_eq!(error.kind(), ErrorKind::NotFound);
    }
    assert_eq!(
        fault_of(asks(&anonymous, "acme/disabled")),
        HubFault::Disabled
    );

    // The listing of a gated repository is open, its content is not.
    let info = asks(&anonymous, "acme/gated").unwrap();
    assert_eq!(info.gated, Gated::Auto);
    for (client, id, hint) in [
        (&anonymous, "acme/gated", "make a token"),
        (&known, "acme/gated", "accept the terms at http"),
        (&known, "acme/reviewed", "wait until the authors"),
    ] {
        let error = client.auth_check(&repo(id)).unwrap_err();
        assert_eq!(error.fault(), &HubFault::Gated);
        assert_eq!(error.kind(), ErrorKind::Auth);
        assert!(error.hint().unwrap().contains(hint), "{:?}", error.hint());
        assert!(error.hint().unwrap().contains(id), "{:?}", error.hint());
    }
    assert!(known.auth_check(&repo(REPO)).is_ok());
}

#[test]
fn a_bad_token_is_named_even_for_a_public_repository() {
    let hub = TestHub::start();
    tiny(&hub);
    let client = impatient(&hub, Some("hf_expired_token"));
    let error = client.revision(&repo(REPO), &main_branch()).unwrap_err();
    assert_eq!(error.fault(), &HubFault::BadToken);
    assert_eq!(error.kind(), ErrorKind::Auth);
    let shown = format!("{error} {error:?} {:?}", error.hint());
    assert!(!shown.contains("hf_expired"), "{shown}");
}

#[test]
fn bare_statuses_are_classified_too() {
    let hub = TestHub::start();
    tiny(&hub);
    let client = impatient(&hub, None);
    for (status, fault, kind) in [
        (400, HubFault::BadRequest, ErrorKind::Hub),
        (403, HubFault::Forbidden, ErrorKind::Auth),
        (404, HubFault::Server { status: 404 }, ErrorKind::NotFound),
        (416, HubFault::BadRange { total: None }, ErrorKind::Hub),
        (418, HubFault::Server { status: 418 }, ErrorKind::Hub),
        (500, HubFault::Server { status: 500 }, ErrorKind::Network),
        (504, HubFault::Server { status: 504 }, ErrorKind::Network),
    ] {
        hub.fault(On::api(Api::Info).times(1), Fault::Status(status));
        let error = client.revision(&repo(REPO), &main_branch()).unwrap_err();
        assert_eq!(error.fault(), &fault);
        assert_eq!(error.kind(), kind, "{status}");
    }
}

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
                assert_eq!(stream.status, 206);
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
fn a_location_tells_what_the_hub_knows_about_the_file() {
    let hub = TestHub::start();
    let xet_hash = "ab".repeat(32);
    let commit = hub
        .repo(REPO)
        .commit("main")
        .file("config.json", b"{}")
        .xet("model.safetensors", large(), &xet_hash)
        .publish();
    let client = impatient(&hub, None);

    let stored = client
        .locate(&address(&commit, "model.safetensors"))
        .unwrap();
    assert!(stored.is_in_storage());
    assert_eq!(stored.size_bytes, Some(100_000));
    assert_eq!(stored.etag, Some(hfdl_test_hub::sha256_hex(&large())));
    assert_eq!(stored.xet_hash, Some([0xab; 32]));
    let shown = format!("{stored:?}");
    assert!(!shown.contains("Signature"), "{shown}");

    let direct = client.locate(&address(&commit, "config.json")).unwrap();
    assert!(!direct.is_in_storage());
    assert_eq!(direct.size_bytes, Some(2));
    assert_eq!(direct.etag, Some(hfdl_test_hub::git_blob_id(b"{}")));
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
    assert_eq!(asker.pauses(), []);
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
fn small_files_come_with_two_requests_whole_or_in_part() {
    let hub = TestHub::start();
    let commit = tiny(&hub);
    let client = impatient(&hub, None);
    let file = address(&commit, "config.json");
    let stream = client.open(&file, None).unwrap();
    assert_eq!((stream.status, stream.length), (200, Some(8)));
    assert_eq!(read(stream), b"{\"a\": 1}");
    assert_eq!(hub.requests().len(), 2, "{}", hub.describe_requests());

    let stream = client.open(&file, Some((1, Some(3)))).unwrap();
    assert_eq!(stream.status, 206);
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
fn a_huge_file_is_asked_for_with_a_range_even_as_a_whole() {
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
fn mirrors_of_every_shape_give_listing_and_bytes() {
    for shape in [
        Shape::hugging_face(),
        Shape::olah(),
        Shape::caching_proxy(),
        Shape::kohaku(),
    ] {
        let hub = TestHub::builder()
            .shape(shape.clone())
            .prefix("/artifactory/api/huggingfaceml/x")
            .start();
        let commit = tiny(&hub);
        let client = impatient(&hub, Some(TOKEN));
        let info = client.revision(&repo(REPO), &main_branch()).unwrap();
        assert_eq!(info.commit.as_str(), commit);
        let tree = client.tree(&repo(REPO), &info.commit).unwrap();
        let model = &tree.files[1];
        assert_eq!(model.size_bytes, 100_000, "{shape:?}");
        assert_eq!(model.content.etag(), hfdl_test_hub::sha256_hex(&large()));
        let pointer = format!(
            "version https://git-lfs.github.com/spec/v1\noid sha256:{}\nsize 100000\n",
            model.content.etag()
        );
        assert_eq!(
            hfdl::domain::content::render_hex(&model.git_oid),
            hfdl_test_hub::git_blob_id(pointer.as_bytes())
        );
        for (path, bytes) in [
            ("config.json", b"{\"a\": 1}".to_vec()),
            ("model.safetensors", large()),
        ] {
            let file = address(&commit, path);
            assert_eq!(read(client.open(&file, None).unwrap()), bytes, "{shape:?}");
            let stream = client.open(&file, Some((2, Some(4)))).unwrap();
            match stream.status {
                206 => assert_eq!(read(stream), bytes[2..=4], "{shape:?}"),
                _ => assert_eq!(read(stream), bytes, "{shape:?}"),
            }
            assert_eq!(
                client.locate(&file).unwrap().etag,
                Some(match path {
                    "config.json" => hfdl_test_hub::git_blob_id(&bytes),
                    _ => hfdl_test_hub::sha256_hex(&bytes),
                })
            );
        }
    }
}

#[test]
fn all_pages_are_read_even_if_their_links_name_the_official_hub() {
    for (prefix, origin) in [
        ("", None),
        ("", Some("https://huggingface.co")),
        ("/hf", Some("https://huggingface.co")),
    ] {
        let hub = TestHub::builder().page_size(3).prefix(prefix).start();
        hub.configure(|settings| settings.shape.link_origin = origin.map(str::to_owned));
        let names: Vec<String> = (0..10).map(|n| format!("dir{}/f{n}", n % 2)).collect();
        let commit = hub
            .repo(REPO)
            .commit("main")
            .files(names.iter().map(|name| (name.as_str(), b"x".to_vec())))
            .publish();
        let client = impatient(&hub, None);
        let tree = client.tree(&repo(REPO), &sha(&commit)).unwrap();
        assert_eq!(tree.commit.as_str(), commit);
        assert_eq!(tree.files.len(), 10);
        assert!(tree.files.is_sorted_by(|a, b| a.path < b.path));
        assert_eq!(hub.count(Api::Tree), 4, "12 entries on pages of 3");
    }
}

#[test]
fn pages_that_go_in_circles_or_away_are_refused() {
    let hub = TestHub::start();
    let commit = tiny(&hub);
    let client = impatient(&hub, Some(TOKEN));
    let circle = format!(
        "<{}/api/models/{REPO}/tree/{commit}?again>; rel=\"next\"",
        hub.endpoint()
    );
    let away = format!("<{}/api/x>; rel=\"next\"", hub.cdn_origin());
    for (link, why) in [(circle, "in circles"), (away, "elsewhere")] {
        hub.fault(On::api(Api::Tree), Fault::Header("Link".into(), link));
        let error = client.tree(&repo(REPO), &sha(&commit)).unwrap_err();
        assert!(error.to_string().contains(why), "{error}");
        assert_eq!(error.kind(), ErrorKind::Hub);
        hub.heal();
    }
    assert_eq!(hub.count(Api::Cdn), 0);
}

#[test]
fn hostile_listings_are_refused_with_a_reason() {
    let oid = "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391";
    for (path, why) in [
        ("../../etc/passwd", "`..`"),
        ("/etc/passwd", "absolute"),
        ("a\\\\..\\\\b", "backslash"),
        ("C:x", "drive letter"),
        ("x\\u001b[31m", "control character"),
        ("config.json", "twice"),
        ("config.json/x", "a file and a folder"),
    ] {
        let hub = TestHub::start();
        let commit = hub
            .repo(REPO)
            .commit("main")
            .file("config.json", b"{}")
            .raw_entry(&format!(
                r#"{{"type":"file","oid":"{oid}","size":0,"path":"{path}"}}"#
            ))
            .publish();
        let error = impatient(&hub, None)
            .tree(&repo(REPO), &sha(&commit))
            .unwrap_err();
        assert!(matches!(error.fault(), HubFault::BadAnswer(_)));
        assert!(error.to_string().contains(why), "{error}");
        assert!(!error.to_string().contains('\u{1b}'), "{error:?}");
    }
}

#[test]
fn a_masked_xet_hash_is_absent() {
    let hub = TestHub::start();
    let commit = hub
        .repo(REPO)
        .commit("main")
        .xet("model.safetensors", large(), &"ab".repeat(32))
        .publish();
    let client = impatient(&hub, None);
    let open = client.tree(&repo(REPO), &sha(&commit)).unwrap();
    assert_eq!(open.files[0].xet_hash, Some([0xab; 32]));
    hub.repo(REPO).gated(Gate::Manual);
    let masked = client.tree(&repo(REPO), &sha(&commit)).unwrap();
    assert_eq!(masked.files[0].xet_hash, None);
}

#[test]
fn a_renamed_repository_is_followed_and_noticed() {
    let hub = TestHub::start();
    let commit = tiny(&hub);
    hub.token(TOKEN, &["acme/renamed"]);
    hub.repo(REPO).rename("acme/renamed").private();
    let client = impatient(&hub, Some(TOKEN));

    let info = client.revision(&repo(REPO), &main_branch()).unwrap();
    assert_eq!(info.id.as_str(), "acme/renamed");
    let tree = client.tree(&repo(REPO), &info.commit).unwrap();
    assert_eq!(tree.files.len(), 2);
    let paths: Vec<RepoPath> = vec!["model.safetensors".parse().unwrap()];
    let found = client
        .paths_info(&repo(REPO), &info.commit, &paths)
        .unwrap();
    assert_eq!(found, tree.files[1..]);
    for path in ["config.json", "model.safetensors"] {
        assert!(
            client
                .open(&address(&commit, path), Some((0, None)))
                .is_ok()
        );
    }
}

#[test]
fn selected_paths_are_looked_up_without_those_that_are_missing() {
    let hub = TestHub::start();
    let commit = tiny(&hub);
    let client = impatient(&hub, None);
    let paths: Vec<RepoPath> = ["model.safetensors", "missing", "config.json"]
        .map(|path| path.parse().unwrap())
        .into();
    let found = client
        .paths_info(&repo(REPO), &sha(&commit), &paths)
        .unwrap();
    let tree = client.tree(&repo(REPO), &sha(&commit)).unwrap();
    assert_eq!(found, tree.files);
    hub.forget_requests();
    assert_eq!(
        client.paths_info(&repo(REPO), &sha(&commit), &[]).unwrap(),
        []
    );
    assert_eq!(hub.requests().len(), 0);
}

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
            retry_after: Some(Duration::from_secs(4000)),
            bucket: Some("api".into())
        }
    );
    assert_eq!(error.kind(), ErrorKind::RateLimit);
    assert_eq!(asker.pauses(), []);
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
        assert_eq!(asker.pauses(), [], "{fault:?}");
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
fn a_run_that_is_stopped_does_not_try_again() {
    let hub = TestHub::start();
    tiny(&hub);
    hub.fault(On::any(), Fault::Status(503));
    let options = HubOptions {
        pause: Pause::new(|_| Waited::Stopped),
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
    let client = HubClient::new(http, endpoint, None, HubOptions::default());
    let file = address(&commit, "model.safetensors");
    let mut stream = client.open(&file, None).unwrap();
    let error = std::io::copy(&mut stream.reader, &mut std::io::sink()).unwrap_err();
    let error = HttpError::in_io(&error).unwrap();
    assert_eq!(error.kind(), HttpErrorKind::Timeout);
    hub.heal();
}

#[test]
fn what_is_not_the_expected_json_is_a_bad_answer() {
    let hub = TestHub::start();
    tiny(&hub);
    for (body, why) in [
        ("<html>Please log in</html>", "it is not JSON"),
        ("{\"sha\": \"1234", "ends too early"),
        ("{\"id\": \"acme/tiny\"}", "names no commit"),
        ("[]", "expected fields"),
        ("{\"sha\": \"main\"}", "hexadecimal"),
    ] {
        let asker = Asker::new(&hub, None);
        let garbage = Fault::Garbage("text/html".into(), body.into());
        hub.fault(On::api(Api::Info).times(1), garbage);
        let error = asker
            .client
            .revision(&repo(REPO), &main_branch())
            .unwrap_err();
        assert!(error.to_string().contains(why), "{error}");
        assert_eq!(asker.pauses(), []);
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
fn redirects_in_circles_end() {
    let hub = TestHub::start();
    let commit = tiny(&hub);
    hub.fault(On::any(), Fault::RedirectLoop);
    let client = impatient(&hub, None);
    let error = client.revision(&repo(REPO), &main_branch()).unwrap_err();
    assert!(error.to_string().contains("in circles"), "{error}");
    let file = address(&commit, "model.safetensors");
    assert!(client.open(&file, None).is_err());
    assert!(hub.requests().len() <= 22, "{}", hub.requests().len());
}

#[test]
fn rate_limits_and_warnings_can_be_seen() {
    let hub = TestHub::start();
    let commit = tiny(&hub);
    let header = |value: &str| Fault::Header("X-HF-Warning".into(), value.into());
    hub.fault(On::api(Api::Info).times(2), header("old; please update"));
    hub.fault(On::api(Api::Tree), header("other; read this"));
    let client = impatient(&hub, None);
    assert_eq!(client.rate_limits(), []);
    for _ in 0..2 {
        client.revision(&repo(REPO), &main_branch()).unwrap();
    }
    client.tree(&repo(REPO), &sha(&commit)).unwrap();
    client
        .locate(&address(&commit, "model.safetensors"))
        .unwrap();

    let topics: Vec<_> = client.warnings().into_iter().map(|one| one.topic).collect();
    assert_eq!(topics, ["old", "other"]);
    let limits = client.rate_limits();
    let buckets: Vec<_> = limits.iter().map(|limit| limit.bucket.as_str()).collect();
    assert_eq!(buckets, ["api", "resolvers"]);
    assert!(limits[0].remaining > 0 && limits[0].quota.is_some());
}

#[test]
fn named_revisions_are_listed_under_the_name_to_ask_for() {
    let hub = TestHub::start();
    let commit = tiny(&hub);
    hub.repo(REPO).tag("v1", &commit);
    hub.repo(REPO).point("refs/convert/parquet", &commit);
    let client = impatient(&hub, None);
    let refs = client.refs(&repo(REPO)).unwrap();
    let all = refs.branches.iter().chain(&refs.tags).chain(&refs.converts);
    let names: Vec<_> = all.map(|one| one.revision.to_string()).collect();
    assert_eq!(names, ["main", "v1", "refs/convert/parquet"]);
    for name in names {
        let info = client.revision(&repo(REPO), &name.parse().unwrap());
        assert_eq!(info.unwrap().commit.as_str(), commit);
    }
}

#[test]
fn the_owner_of_the_token_is_known_and_nobody_without_one() {
    let hub = TestHub::start();
    tiny(&hub);
    let me = impatient(&hub, Some(TOKEN)).whoami().unwrap().unwrap();
    assert_eq!(me.name, "tester");
    assert_eq!(me.token_role.as_deref(), Some("read"));
    assert_eq!(impatient(&hub, None).whoami().unwrap(), None);
    let error = impatient(&hub, Some("hf_wrong")).whoami().unwrap_err();
    assert_eq!(error.fault(), &HubFault::BadToken);
}

#[test]
fn the_storage_of_chunks_gets_a_token_of_its_own() {
    let hub = TestHub::start();
    let commit = tiny(&hub);
    hub.configure(|settings| {
        settings.xet = Some(XetService {
            cas_url: "http://127.0.0.1:9".into(),
            access_token: "geheim".into(),
            lifetime: Duration::from_secs(900),
        });
    });
    let client = impatient(&hub, None);
    let token = client.xet_read_token(&repo(REPO), &sha(&commit)).unwrap();
    assert_eq!(token.cas_url.as_str(), "http://127.0.0.1:9/");
    assert_eq!(token.access_token, "geheim");
    assert!(!format!("{token:?}").contains("geheim"));
}

#[test]
fn an_answer_with_other_bytes_than_asked_for_is_refused() {
    let hub = TestHub::start();
    let commit = tiny(&hub);
    let client = impatient(&hub, None);
    let file = address(&commit, "model.safetensors");
    let header = |name: &str, value: &str| Fault::Header(name.into(), value.into());
    for (fault, why) in [
        (Fault::WrongStart(3), "not asked for"),
        (
            header("Content-Range", "bytes 5-14/100000"),
            "not asked for",
        ),
        (
            header("Content-Range", "bytes 10-99999/100000"),
            "not asked for",
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
    assert_eq!((stream.status, stream.content_range), (200, None));
    assert_eq!(read(stream), large());
    hub.fault(
        On::resolve("model.safetensors"),
        header("X-Repo-Commit", &"f".repeat(40)),
    );
    client.forget(&file);
    let error = client.open(&file, None).unwrap_err();
    assert!(error.to_string().contains("from commit"), "{error}");
}

#[test]
fn a_range_beyond_the_end_tells_the_size() {
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
