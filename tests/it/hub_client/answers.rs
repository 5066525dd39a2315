//! Answers of the Hub to single requests, refusals included.

use hfdl::domain::outcome::ErrorKind;
use hfdl::hub::{Fault as HubFault, Gated, HubClient};
use hfdl_test_hub::{Api, Fault, Gate, On, TestHub, XetService};
use std::time::Duration;

use super::{Asker, REPO, TOKEN, address, fault_of, impatient, main_branch, repo, sha, tiny};

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
fn missing_disabled_and_private_repositories_are_distinguished() {
    let hub = TestHub::start();
    let commit = tiny(&hub);
    for id in ["acme/disabled", "acme/private"] {
        hub.repo(id).commit("main").file("x", b"x").publish();
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
}

#[test]
fn the_listing_of_a_gated_repository_is_open_and_its_content_is_not() {
    let hub = TestHub::start();
    tiny(&hub);
    for (id, gate) in [("acme/gated", Gate::Auto), ("acme/reviewed", Gate::Manual)] {
        hub.repo(id).commit("main").file("x", b"x").publish();
        hub.repo(id).gated(gate);
    }
    let anonymous = impatient(&hub, None);
    let known = impatient(&hub, Some(TOKEN));
    let info = anonymous.revision(&repo("acme/gated"), &main_branch());
    let info = info.unwrap();
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
fn unexpected_json_is_a_bad_answer() {
    let hub = TestHub::start();
    tiny(&hub);
    for (body, why) in [
        ("<html>Please log in</html>", "a web page in place of data"),
        ("{\"sha\": \"1234", "ends too early"),
        ("{\"id\": \"acme/tiny\"}", "names no commit"),
        ("[]", "expected fields"),
        ("{\"sha\": \"main\"}", "hexadecimal"),
    ] {
        let asker = Asker::new(&hub, None);
        let is_page = body.starts_with('<');
        let kind = if is_page {
            "text/html"
        } else {
            "application/json"
        };
        let garbage = Fault::Garbage(kind.into(), body.into());
        hub.fault(On::api(Api::Info).times(1), garbage);
        let error = asker
            .client
            .revision(&repo(REPO), &main_branch())
            .unwrap_err();
        assert!(error.to_string().contains(why), "{error}");
        assert_eq!(asker.pauses(), [Duration::ZERO; 0]);
    }
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
fn whoami_returns_the_account_or_none_without_a_token() {
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
            second_form: true,
            whole_terms: false,
        });
    });
    let client = impatient(&hub, None);
    let token = client.xet_read_token(&repo(REPO), &sha(&commit)).unwrap();
    assert_eq!(token.cas_url.as_str(), "http://127.0.0.1:9/");
    assert_eq!(token.access_token, "geheim");
    assert!(!format!("{token:?}").contains("geheim"));
}
