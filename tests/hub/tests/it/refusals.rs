//! Refusals and their messages.

use hfdl_test_hub::{Gate, TestHub};
use serde_json::json;

use crate::client::{Answer, get, send};

fn hub() -> TestHub {
    let hub = TestHub::start();
    for id in [
        "acme/open",
        "acme/gated",
        "acme/closed",
        "datasets/acme/off",
    ] {
        hub.repo(id)
            .commit("main")
            .file("a.txt", b"a")
            .xet("b.bin", b"b", &"0".repeat(64))
            .publish();
    }
    hub.repo("acme/gated").gated(Gate::Auto);
    hub.repo("acme/closed").private();
    hub.repo("datasets/acme/off").disabled();
    hub.token("hf_reader", &["acme/gated", "acme/closed"]);
    hub.token("hf_stranger", &[]);
    hub
}

fn ask(hub: &TestHub, path: &str, token: &str) -> Answer {
    let url = format!("{}{path}", hub.endpoint());
    match token {
        "" => get(&url),
        token => send(
            "GET",
            &url,
            &[("Authorization", &format!("Bearer {token}"))],
        ),
    }
}

/// Returns status, code and message.
fn refusal(answer: &Answer) -> (u16, &str, &str) {
    (
        answer.status,
        answer.header("x-error-code"),
        answer.header("x-error-message"),
    )
}

#[test]
fn a_missing_repository_is_401_without_and_404_with_a_token() {
    let hub = hub();
    for path in [
        "/api/models/acme/none",
        "/acme/none/resolve/main/a.txt",
        "/api/models/acme/closed",
    ] {
        let anonymous = ask(&hub, path, "");
        let expected = (401, "RepoNotFound", "Invalid username or password.");
        assert_eq!(refusal(&anonymous), expected, "{path}");
        assert_eq!(
            anonymous.json(),
            json!({"error": "Invalid username or password."})
        );
        let user = ask(&hub, path, "hf_stranger");
        assert_eq!(
            refusal(&user),
            (404, "RepoNotFound", "Repository not found"),
            "{path}"
        );
    }
    assert_eq!(
        ask(&hub, "/api/models/acme/closed", "hf_reader").status,
        200
    );
}

#[test]
fn a_wrong_token_is_refused_on_public_repositories_too() {
    let hub = hub();
    let answer = ask(&hub, "/api/models/acme/open", "hf_wrong");
    assert_eq!(
        refusal(&answer),
        (401, "", "Invalid credentials in Authorization header")
    );
    assert_eq!(
        ask(&hub, "/api/models/acme/open", "hf_stranger").status,
        200
    );
    hub.revoke_token("hf_stranger");
    assert_eq!(
        ask(&hub, "/api/models/acme/open", "hf_stranger").status,
        401
    );
}

#[test]
fn a_gated_repository_shows_its_listing_but_neither_content_nor_xet_hashes() {
    let hub = hub();
    let tree = "/api/models/acme/gated/tree/main";
    let hash = |token| {
        let listing = ask(&hub, tree, token).json();
        let entries = listing.as_array().unwrap().clone();
        entries
            .into_iter()
            .find_map(|entry| entry.get("xetHash").cloned())
            .unwrap()
    };
    assert_eq!(hash(""), json!("*".repeat(64)));
    assert_eq!(hash("hf_reader"), json!("0".repeat(64)));
    assert_eq!(
        ask(&hub, "/api/models/acme/gated", "").json()["gated"],
        json!("auto")
    );
    for path in [
        "/acme/gated/resolve/main/a.txt",
        "/api/models/acme/gated/auth-check",
    ] {
        let statuses = ["", "hf_stranger", "hf_reader"].map(|token| {
            let answer = ask(&hub, path, token);
            (
                answer.status < 400 || answer.header("x-error-code") == "GatedRepo",
                answer.status,
            )
        });
        let last = if path.starts_with("/api") { 200 } else { 307 };
        assert_eq!(statuses, [(true, 401), (true, 403), (true, last)], "{path}");
    }
    hub.repo("acme/gated").gated(Gate::Manual);
    let waiting = ask(&hub, "/acme/gated/resolve/main/a.txt", "hf_stranger");
    assert!(
        waiting
            .header("x-error-message")
            .contains("awaiting a review")
    );
}

#[test]
fn a_disabled_repository_is_403() {
    let answer = ask(&hub(), "/api/datasets/acme/off", "");
    assert_eq!(
        refusal(&answer),
        (403, "", "Access to this resource is disabled.")
    );
}

#[test]
fn a_missing_revision_and_a_missing_file_have_different_codes() {
    let hub = hub();
    for path in [
        "/api/models/acme/open/revision/no",
        "/acme/open/resolve/no/a.txt",
    ] {
        let answer = ask(&hub, path, "");
        assert_eq!(
            refusal(&answer),
            (404, "RevisionNotFound", "Invalid rev id: no"),
            "{path}"
        );
    }
    let answer = ask(&hub, "/acme/open/resolve/main/no", "");
    assert_eq!(refusal(&answer), (404, "EntryNotFound", "Entry not found"));
    assert_eq!(
        Some(answer.header("x-repo-commit")),
        hub.repo("acme/open").head("main").as_deref()
    );
}

#[test]
fn a_renamed_repository_redirects_api_and_files() {
    let hub = hub();
    hub.repo("acme/open").rename("acme/new");
    for (old, new) in [
        (
            "/api/models/acme/open/tree/main?recursive=true",
            "/api/models/acme/new/tree/main?recursive=true",
        ),
        ("/api/models/acme/open", "/api/models/acme/new"),
        (
            "/acme/open/resolve/refs%2Fpr%2F1/a%20b",
            "/acme/new/resolve/refs%2Fpr%2F1/a%20b",
        ),
    ] {
        let answer = ask(&hub, old, "");
        assert_eq!((answer.status, answer.header("location")), (307, new));
    }
    assert_eq!(ask(&hub, "/api/models/acme/new", "").status, 200);
}

#[test]
fn whoami_accepts_valid_tokens_only() {
    let hub = hub();
    assert_eq!(ask(&hub, "/api/whoami-v2", "").status, 401);
    assert_eq!(
        ask(&hub, "/api/whoami-v2", "hf_stranger").json()["type"],
        "user"
    );
}

#[test]
#[should_panic(expected = "`authorization` was sent to the CDN with a request for `b.bin`")]
fn a_token_on_the_cdn_fails_the_test() {
    let hub = hub();
    let link = ask(&hub, "/acme/open/resolve/main/b.bin", "hf_reader");
    send(
        "GET",
        link.header("location"),
        &[("Authorization", "Bearer hf_reader")],
    );
}

#[test]
#[should_panic(expected = "secrets were sent to other hosts")]
fn a_token_hidden_in_a_header_of_the_cdn_request_fails_the_test() {
    let hub = hub();
    let link = ask(&hub, "/acme/open/resolve/main/b.bin", "");
    send(
        "GET",
        link.header("location"),
        &[("X-Debug", "was hf_reader")],
    );
}

#[test]
fn a_hub_that_tolerates_leaks_still_records_them() {
    let hub = TestHub::builder().tolerate_leaks().start();
    send(
        "GET",
        &format!("{}/x", hub.cdn_origin()),
        &[("Cookie", "a=b")],
    );
    let found = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| hub.assert_clean()));
    assert!(found.is_err());
}
