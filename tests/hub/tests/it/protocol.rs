//! Answers of a hub without faults.

use hfdl_test_hub::{Api, RangeAsked, TestHub, generated_bytes, git_blob_id, sha256_hex};
use serde_json::{Value, json};

use crate::client::{Client, get, send, split};

fn tiny() -> (TestHub, String) {
    let hub = TestHub::start();
    let commit = hub
        .repo("acme/tiny")
        .commit("main")
        .file("config.json", b"{}")
        .file("sub/a b.txt", b"hello")
        .lfs("model.safetensors", generated_bytes(100_000, 1))
        .publish();
    (hub, commit)
}

#[test]
fn a_branch_a_tag_and_a_pull_request_resolve_to_commits() {
    let (hub, first) = tiny();
    let repo = hub.repo("acme/tiny");
    let second = repo.commit("main").file("config.json", b"[]").publish();
    let proposed = repo
        .commit("refs/pr/1")
        .from("main")
        .file("new", b"x")
        .publish();
    repo.tag("v1", &first);
    for (revision, commit) in [
        ("main", &second),
        ("v1", &first),
        ("refs%2Fpr%2F1", &proposed),
        (&first, &first),
    ] {
        let url = format!(
            "{}/api/models/acme/tiny/revision/{revision}",
            hub.endpoint()
        );
        assert_eq!(get(&url).json()["sha"], json!(commit), "{revision}");
    }
    let info = get(&format!(
        "{}/api/models/acme/tiny?blobs=true",
        hub.endpoint()
    ))
    .json();
    assert_eq!(info["sha"], json!(second));
    assert_eq!(
        info["siblings"][1]["lfs"]["sha256"],
        json!(sha256_hex(&generated_bytes(100_000, 1)))
    );
    let refs = get(&format!(
        "{}/api/models/acme/tiny/refs?include_prs=1",
        hub.endpoint()
    ))
    .json();
    assert_eq!(refs["branches"][0]["name"], "main");
    assert_eq!(refs["tags"][0]["targetCommit"], json!(first));
    assert_eq!(refs["pullRequests"][0]["ref"], "refs/pr/1");
    let log = get(&format!(
        "{}/api/models/acme/tiny/commits/main",
        hub.endpoint()
    ))
    .json();
    assert_eq!(
        (&log[0]["id"], &log[1]["id"]),
        (&json!(second), &json!(first))
    );
}

#[test]
fn the_pages_of_a_listing_make_up_the_whole() {
    let hub = TestHub::builder().page_size(3).start();
    let files = (0..10).map(|n| (format!("d{}/f{n}", n % 2), "x"));
    hub.repo("datasets/acme/corpus")
        .commit("main")
        .files(files)
        .publish();
    let mut url = format!(
        "{}/api/datasets/acme/corpus/tree/main?recursive=true",
        hub.endpoint()
    );
    let mut paths: Vec<String> = Vec::new();
    loop {
        let page = get(&url);
        let entries = page.json();
        let entries = entries.as_array().unwrap();
        assert!(entries.len() <= 3);
        paths.extend(
            entries
                .iter()
                .map(|entry| entry["path"].as_str().unwrap().to_owned()),
        );
        let link = page.header("link");
        let Some(next) = link.strip_suffix(">; rel=\"next\"") else {
            break;
        };
        url = next.strip_prefix('<').unwrap().to_owned();
        assert!(url.contains("recursive=true"));
    }
    assert_eq!(hub.count(Api::Tree), 4);
    let (files, folders): (Vec<&String>, Vec<&String>) =
        paths.iter().partition(|path| path.contains('/'));
    assert!(!files.is_sorted(), "the Hub promises no order");
    assert_eq!(folders.len(), 2);
    paths.sort();
    let expected = "d0 d0/f0 d0/f2 d0/f4 d0/f6 d0/f8 d1 d1/f1 d1/f3 d1/f5 d1/f7 d1/f9";
    assert_eq!(paths.join(" "), expected);
}

#[test]
fn a_listing_has_hashes_and_can_be_limited_to_a_folder() {
    let (hub, _) = tiny();
    let tree = format!("{}/api/models/acme/tiny/tree/main", hub.endpoint());
    let entry = |listing: Value, path: &str| {
        let found = listing
            .as_array()
            .unwrap()
            .iter()
            .find(|entry| entry["path"] == path)
            .cloned();
        found.unwrap_or_else(|| panic!("{path} is not in {listing}"))
    };
    let top = get(&tree).json();
    assert_eq!(top.as_array().unwrap().len(), 3);
    assert_eq!(entry(top.clone(), "sub")["type"], "directory");
    let model = entry(top, "model.safetensors");
    let sha256 = sha256_hex(&generated_bytes(100_000, 1));
    let pointer =
        format!("version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize 100000\n");
    assert_eq!(
        model["lfs"],
        json!({"oid": sha256, "size": 100_000, "pointerSize": pointer.len()})
    );
    assert_eq!(model["oid"], json!(git_blob_id(pointer.as_bytes())));
    assert_eq!(model.get("xetHash"), None);
    let sub = get(&format!("{tree}/sub?recursive=true")).json();
    assert_eq!(
        entry(sub, "sub/a b.txt")["oid"],
        json!(git_blob_id(b"hello"))
    );
    assert_eq!(
        get(&format!("{tree}/nothing")).header("x-error-code"),
        "EntryNotFound"
    );
}

#[test]
fn paths_info_accepts_form_and_json_and_omits_missing_paths() {
    let (hub, _) = tiny();
    let target = "/api/models/acme/tiny/paths-info/main";
    let mut client = Client::connect(&hub.endpoint());
    let kind = ("Content-Type", "application/x-www-form-urlencoded");
    let form = client
        .send("POST", target, &[kind], "paths=sub%2Fa+b.txt&paths=gone")
        .unwrap();
    assert_eq!(form.json().as_array().unwrap().len(), 1);
    assert_eq!(form.json()[0]["path"], "sub/a b.txt");
    let kind = ("Content-Type", "application/json");
    let body = r#"{"paths":["config.json","gone"],"expand":true}"#;
    let answer = client.send("POST", target, &[kind], body).unwrap().json();
    assert_eq!(answer[0]["path"], "config.json");
    assert!(answer[0]["lastCommit"]["id"].is_string());
}

#[test]
fn a_small_file_is_served_by_a_relative_redirect() {
    let (hub, commit) = tiny();
    let url = format!("{}/acme/tiny/resolve/main/sub/a%20b.txt", hub.endpoint());
    let first = send("HEAD", &url, &[]);
    assert_eq!(
        (first.status, first.header("x-repo-commit")),
        (307, &*commit)
    );
    assert!(
        first
            .header("location")
            .starts_with("/api/resolve-cache/models/acme/tiny/")
    );
    assert_ne!(first.header("content-length"), "5");
    let url = format!("{}{}", hub.endpoint(), first.header("location"));
    let last = get(&url);
    assert_eq!((last.status, &*last.body), (200, &b"hello"[..]));
    assert_eq!(
        last.header("etag"),
        format!("\"{}\"", git_blob_id(b"hello"))
    );
    assert!(last.header("ratelimit").starts_with("\"api\";r="));
    let policy = "\"fixed window\";\"api\";q=500;w=300";
    assert_eq!(last.header("ratelimit-policy"), policy);
    let part = send("GET", &url, &[("Range", "bytes=1-2")]);
    assert_eq!((part.status, &*part.body), (206, &b"el"[..]));
    assert_eq!(part.header("content-range"), "bytes 1-2/5");
}

#[test]
fn a_large_file_is_served_by_the_cdn_with_a_signed_link() {
    let (hub, commit) = tiny();
    let bytes = generated_bytes(100_000, 1);
    let url = format!(
        "{}/acme/tiny/resolve/{commit}/model.safetensors",
        hub.endpoint()
    );
    let first = send("HEAD", &url, &[]);
    assert_eq!(first.status, 302);
    assert_eq!(first.header("x-linked-size"), "100000");
    assert_eq!(
        first.header("x-linked-etag"),
        format!("\"{}\"", sha256_hex(&bytes))
    );
    assert_ne!(first.header("content-length"), "100000");
    assert_eq!((first.header("x-xet-hash"), first.header("link")), ("", ""));
    let location = first.header("location");
    assert!(location.starts_with(&hub.cdn_origin()));
    let whole = get(location);
    assert_eq!((whole.status, whole.body == bytes), (200, true));
    assert_eq!(whole.header("etag").len(), 66);
    assert!(!whole.header("etag").contains(&sha256_hex(&bytes)));
    assert_eq!(
        (whole.header("x-repo-commit"), whole.header("ratelimit")),
        ("", "")
    );
    let tail = send("GET", location, &[("Range", "bytes=99990-")]);
    assert_eq!((tail.status, &tail.body[..]), (206, &bytes[99_990..]));
    assert_eq!(tail.header("content-range"), "bytes 99990-99999/100000");
    let behind = send("GET", location, &[("Range", "bytes=100000-")]);
    assert_eq!(
        (behind.status, behind.header("content-range")),
        (416, "bytes */100000")
    );
    assert_eq!(
        hub.last_range("model.safetensors"),
        Some(RangeAsked::From(100_000))
    );
    assert_eq!(hub.downloads("model.safetensors").len(), 3);
    assert_eq!(hub.downloads("model.safetensors")[1].bytes_sent, 10);
}

#[test]
fn a_link_is_accepted_verbatim_and_during_its_lifetime_only() {
    let (hub, _) = tiny();
    let url = format!(
        "{}/acme/tiny/resolve/main/model.safetensors",
        hub.endpoint()
    );
    let location = || send("HEAD", &url, &[]).header("location").to_owned();
    let link = location();
    assert_eq!(get(&link.replace("%27%27", "''")).status, 403);
    assert_eq!(get(&link).status, 200);
    hub.expire_links();
    assert_eq!(get(&link).status, 403);
    hub.configure(|settings| settings.link_uses = Some(2));
    let link = location();
    assert_eq!(
        [get(&link).status, get(&link).status, get(&link).status],
        [200, 200, 403]
    );
    hub.configure(|settings| settings.link_lifetime = std::time::Duration::ZERO);
    assert_eq!(get(&location()).status, 403);
}

#[test]
fn a_link_resolved_with_a_range_serves_that_range_only() {
    let (hub, _) = tiny();
    let url = format!(
        "{}/acme/tiny/resolve/main/model.safetensors",
        hub.endpoint()
    );
    let resolved = send("GET", &url, &[("Range", "bytes=0-15")]);
    let link = resolved.header("location");
    assert_eq!(send("GET", link, &[("Range", "bytes=0-15")]).body.len(), 16);
    let other = send("GET", link, &[("Range", "bytes=16-31")]);
    assert_eq!(
        (other.status, &*other.text()),
        (403, "Auth failed: invalid range")
    );
    assert_eq!(get(link).status, 403);
}

#[test]
fn a_known_etag_gives_304() {
    let (hub, _) = tiny();
    let url = format!("{}/acme/tiny/resolve/main/config.json", hub.endpoint());
    let etag = format!("W/\"{}\"", git_blob_id(b"{}"));
    assert_eq!(send("GET", &url, &[("If-None-Match", &etag)]).status, 304);
    assert_eq!(
        send("GET", &url, &[("If-None-Match", "\"other\"")]).status,
        307
    );
}

#[test]
fn text_is_compressed_without_accept_encoding_identity() {
    let (hub, _) = tiny();
    let url = format!("{}/acme/tiny/resolve/main/config.json", hub.endpoint());
    let url = format!("{}{}", hub.endpoint(), get(&url).header("location"));
    let range = ("Range", "bytes=0-0");
    let packed = send("GET", &url, &[("Accept-Encoding", "gzip, deflate"), range]);
    assert_eq!(
        (packed.status, packed.header("content-encoding")),
        (200, "gzip")
    );
    assert_eq!(
        (packed.header("content-length"), &packed.body[..2]),
        ("", &[0x1f, 0x8b][..])
    );
    assert!(packed.header("etag").starts_with("W/"));
    let plain = send("GET", &url, &[("Accept-Encoding", "identity"), range]);
    assert_eq!((plain.status, &*plain.body), (206, &b"{"[..]));
}

#[test]
fn a_xet_file_shows_its_hash_and_a_token_only_when_enabled() {
    let hub = TestHub::start();
    let hash = "ab".repeat(32);
    hub.repo("acme/tiny")
        .commit("main")
        .xet("m.bin", b"xx", &hash)
        .publish();
    let tree = get(&format!(
        "{}/api/models/acme/tiny/tree/main",
        hub.endpoint()
    ))
    .json();
    assert_eq!(tree[0]["xetHash"], json!(hash));
    let head = send(
        "HEAD",
        &format!("{}/acme/tiny/resolve/main/m.bin", hub.endpoint()),
        &[],
    );
    assert_eq!(head.header("x-xet-hash"), hash);
    assert!(head.header("link").contains("rel=\"xet-auth\""));
    assert_eq!(
        get(head.header("location")).header("etag"),
        format!("\"{hash}\"")
    );
    let url = format!(
        "{}/api/models/acme/tiny/xet-read-token/main",
        hub.endpoint()
    );
    assert_eq!(get(&url).status, 404);
    hub.configure(|settings| {
        settings.xet = Some(hfdl_test_hub::XetService {
            cas_url: "http://127.0.0.1:1".to_owned(),
            access_token: "secret".to_owned(),
            lifetime: std::time::Duration::from_secs(600),
            second_form: true,
            whole_terms: false,
        });
    });
    let token = get(&url);
    assert_eq!(token.json()["casUrl"], token.header("x-xet-cas-url"));
    assert_eq!(
        token.json()["exp"].to_string(),
        token.header("x-xet-token-expiration")
    );
}

#[test]
fn raw_returns_the_pointer_of_a_large_file() {
    let (hub, _) = tiny();
    let url = format!("{}/acme/tiny/raw/main/model.safetensors", hub.endpoint());
    assert!(
        get(&url)
            .text()
            .starts_with("version https://git-lfs.github.com/spec/v1\noid")
    );
}

#[test]
fn one_connection_serves_many_requests_and_many_connections_are_served() {
    let (hub, _) = tiny();
    let mut client = Client::connect(&hub.endpoint());
    for _ in 0..3 {
        let url = "/acme/tiny/resolve/main/config.json";
        assert_eq!(client.send("HEAD", url, &[], "").unwrap().status, 307);
        assert_eq!(client.send("GET", url, &[], "").unwrap().status, 307);
    }
    let link = get(&format!(
        "{}/acme/tiny/resolve/main/model.safetensors",
        hub.endpoint()
    ));
    let link = link.header("location");
    std::thread::scope(|scope| {
        for n in 0..16 {
            scope.spawn(move || {
                let range = format!("bytes={}-{}", n * 1000, n * 1000 + 999);
                let part = send("GET", link, &[("Range", &range)]);
                assert_eq!(
                    part.body,
                    generated_bytes(100_000, 1)[n * 1000..(n + 1) * 1000]
                );
            });
        }
    });
    assert_eq!(hub.count(Api::Cdn), 16);
}

#[test]
fn a_huge_file_uses_no_memory_until_it_is_read() {
    let hub = TestHub::start();
    hub.repo("acme/big")
        .commit("main")
        .lfs_generated("big.bin", 4 << 30, 9)
        .publish();
    let info = get(&format!("{}/api/models/acme/big", hub.endpoint())).json();
    assert_eq!(info["usedStorage"], json!(4_u64 << 30));
}

#[test]
fn hostile_names_are_listed_unchanged() {
    let names = [
        "../x",
        "/abs",
        "a\\..\\b",
        "C:x",
        "a b",
        "#",
        "100%",
        "né",
        ".cache/huggingface/x",
    ];
    let hub = TestHub::start();
    hub.repo("acme/evil")
        .commit("main")
        .files(names.map(|name| (name, name)))
        .raw_entry(r#"{"type":"file","path":7}"#)
        .publish();
    let url = format!(
        "{}/api/models/acme/evil/tree/main?recursive=true",
        hub.endpoint()
    );
    let listing = get(&url).json();
    let listed: Vec<&Value> = listing
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| &entry["path"])
        .collect();
    for name in names {
        assert!(
            listed.contains(&&json!(name)),
            "{name} is not in {listed:?}"
        );
    }
    assert!(listed.contains(&&json!(7)));
    let url = format!("{}/acme/evil/resolve/main/100%25", hub.endpoint());
    let url = format!("{}{}", hub.endpoint(), get(&url).header("location"));
    assert_eq!(get(&url).body, b"100%");
}

#[test]
fn requests_are_recorded_with_repository_revision_and_file() {
    let (hub, commit) = tiny();
    let url = format!(
        "{}/acme/tiny/resolve/main/model.safetensors",
        hub.endpoint()
    );
    let location = send("HEAD", &url, &[("User-Agent", "test")])
        .header("location")
        .to_owned();
    get(&location);
    let requests = hub.requests();
    assert_eq!(requests[0].header("user-agent"), Some("test"));
    assert_eq!(requests[0].revision.as_deref(), Some("main"));
    assert_eq!((requests[0].status, requests[0].bytes_sent), (302, 0));
    assert_eq!(requests[1].repo.as_deref(), Some("acme/tiny"));
    assert_eq!(requests[1].revision.as_deref(), Some(&*commit));
    assert_eq!(requests[1].file.as_deref(), Some("model.safetensors"));
    assert_eq!(requests[1].bytes_sent, 100_000);
    assert_eq!(requests[1].target, split(&location).1);
    hub.forget_requests();
    assert!(hub.requests().is_empty());
}

#[test]
fn publishing_again_moves_the_branch_and_keeps_the_old_commit() {
    let (hub, first) = tiny();
    let repo = hub.repo("acme/tiny");
    let second = repo
        .commit("main")
        .remove("sub/a b.txt")
        .file("config.json", b"[]")
        .publish();
    assert_ne!(first, second);
    assert_eq!(repo.head("main"), Some(second));
    let old = format!("{}/acme/tiny/resolve/{first}/sub/a%20b.txt", hub.endpoint());
    assert_eq!(get(&old).status, 307);
    let gone = get(&old.replace(&first, "main"));
    assert_eq!(
        (gone.status, gone.header("x-error-code")),
        (404, "EntryNotFound")
    );
}
