//! Other servers that users set as `HF_ENDPOINT`.

use hfdl_test_hub::{EtagStyle, Shape, TestHub, git_blob_id, sha256_hex};
use serde_json::json;

use crate::client::{get, send};

fn hub(shape: Shape) -> TestHub {
    let hub = TestHub::builder().shape(shape).start();
    hub.repo("acme/tiny")
        .commit("main")
        .file("a.txt", b"text")
        .lfs("b.bin", b"binary")
        .publish();
    hub
}

#[test]
fn an_endpoint_can_have_a_path() {
    let hub = TestHub::builder()
        .prefix("/artifactory/api/huggingfaceml/x/")
        .page_size(1)
        .start();
    hub.repo("acme/tiny")
        .commit("main")
        .file("a.txt", b"text")
        .file("b.txt", b"b")
        .publish();
    let endpoint = hub.endpoint();
    assert!(endpoint.ends_with("/artifactory/api/huggingfaceml/x"));
    assert_eq!(get(&format!("{endpoint}/api/models/acme/tiny")).status, 200);
    let page = get(&format!("{endpoint}/api/models/acme/tiny/tree/main"));
    assert!(
        page.header("link")
            .starts_with(&format!("<{endpoint}/api/models/acme/tiny/tree/"))
    );
    let host = endpoint
        .strip_suffix("/artifactory/api/huggingfaceml/x")
        .unwrap();
    assert_eq!(get(&format!("{host}/api/models/acme/tiny")).status, 404);
    let file = get(&format!("{endpoint}/acme/tiny/resolve/main/a.txt"));
    assert_eq!(
        get(&format!("{host}{}", file.header("location"))).body,
        b"text"
    );
}

#[test]
fn olah_answers_at_once_without_lengths_and_ranges() {
    let hub = hub(Shape::olah());
    let endpoint = hub.endpoint();
    let file = send(
        "GET",
        &format!("{endpoint}/acme/tiny/resolve/main/b.bin"),
        &[("Range", "bytes=3-")],
    );
    assert_eq!((file.status, &*file.body), (200, &b"binary"[..]));
    assert_eq!(
        (file.header("content-length"), file.header("accept-ranges")),
        ("", "")
    );
    assert_eq!(file.header("etag"), sha256_hex(b"binary"));
    assert_eq!(file.header("x-linked-size"), "");
    assert_eq!(hub.downloads("b.bin").len(), 1);
    assert_eq!(get(&format!("{endpoint}/api/models/acme/tiny")).status, 401);
    assert_eq!(
        get(&format!("{endpoint}/api/models/acme/tiny/revision/main")).status,
        200
    );
    let tree = get(&format!(
        "{endpoint}/api/models/acme/tiny/tree/main?recursive=true"
    ));
    let moved = format!("{endpoint}/api/models/acme/tiny/tree/main/?recursive=true");
    assert_eq!((tree.status, tree.header("location")), (307, &*moved));
    assert_eq!(get(&moved).json().as_array().unwrap().len(), 2);
}

#[test]
fn a_caching_proxy_answers_ranges_itself() {
    let hub = hub(Shape::caching_proxy());
    let url = format!("{}/acme/tiny/resolve/main/b.bin", hub.endpoint());
    let part = send("GET", &url, &[("Range", "bytes=3-")]);
    assert_eq!((part.status, &*part.body), (206, &b"ary"[..]));
    assert_eq!(
        part.header("etag"),
        format!("\"{}\"", sha256_hex(b"binary"))
    );
    assert_eq!(part.header("x-linked-etag"), "");
    let head = send("HEAD", &url, &[]);
    assert_eq!((head.status, head.header("content-length")), (200, "6"));
}

#[test]
fn kohaku_redirects_all_files_to_storage_with_a_cookie() {
    let hub = hub(Shape::kohaku());
    let url = format!("{}/acme/tiny/resolve/main/a.txt", hub.endpoint());
    let head = send("HEAD", &url, &[]);
    assert_eq!((head.status, head.header("x-linked-size")), (200, "4"));
    assert_eq!(head.header("etag"), git_blob_id(b"text"));
    let file = get(&url);
    assert_eq!(file.status, 302);
    assert!(file.header("set-cookie").starts_with("session_id="));
    assert!(file.header("location").starts_with(&hub.cdn_origin()));
    assert_eq!(get(file.header("location")).body, b"text");
    let tree = get(&format!(
        "{}/api/models/acme/tiny/tree/main",
        hub.endpoint()
    ))
    .json();
    let sha256 = json!(sha256_hex(b"binary"));
    assert!(
        tree.as_array()
            .unwrap()
            .iter()
            .any(|entry| entry["oid"] == sha256)
    );
}

#[test]
fn weak_etags_and_foreign_links_can_be_configured() {
    let shape = Shape {
        etag: EtagStyle::Weak,
        link_origin: Some("https://huggingface.co".to_owned()),
        ..Shape::hugging_face()
    };
    let hub = hub(shape);
    hub.configure(|settings| settings.page_size = 1);
    let page = get(&format!(
        "{}/api/models/acme/tiny/tree/main",
        hub.endpoint()
    ));
    assert!(
        page.header("link")
            .starts_with("<https://huggingface.co/api/models/acme/tiny/tree/")
    );
    let head = send(
        "HEAD",
        &format!("{}/acme/tiny/resolve/main/b.bin", hub.endpoint()),
        &[],
    );
    assert_eq!(
        head.header("x-linked-etag"),
        format!("W/\"{}\"", sha256_hex(b"binary"))
    );
}
