//! Listings: pages, hostile names, renamed repositories, the shapes of mirrors.

use std::collections::BTreeMap;

use hfdl::domain::outcome::ErrorKind;
use hfdl::domain::xet::XetHash;
use hfdl::hub::Fault as HubFault;
use hfdl_test_hub::{Api, Fault, Gate, On, Shape, TestHub};

use super::{REPO, TOKEN, address, impatient, large, main_branch, read, repo, sha, tiny};

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
fn pages_that_form_a_loop_or_leave_the_hub_are_refused() {
    let hub = TestHub::start();
    let commit = tiny(&hub);
    let client = impatient(&hub, Some(TOKEN));
    let circle = format!(
        "<{}/api/models/{REPO}/tree/{commit}?again>; rel=\"next\"",
        hub.endpoint()
    );
    let away = format!("<{}/api/x>; rel=\"next\"", hub.cdn_origin());
    for (link, why) in [(circle, "form a loop"), (away, "elsewhere")] {
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
    assert_eq!(
        open.files[0].xet_hash,
        Some(XetHash::from_bytes([0xab; 32]))
    );
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
    for path in ["config.json", "model.safetensors"] {
        assert!(
            client
                .open(&address(&commit, path), Some((0, None)))
                .is_ok()
        );
    }
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
            match stream.content_range {
                Some(_) => assert_eq!(read(stream), bytes[2..=4], "{shape:?}"),
                None => assert_eq!(read(stream), bytes, "{shape:?}"),
            }
        }
    }
}

/// Publishes ten commits `c0` to `c9` on `main`, a day apart; returns them, oldest first.
fn ten_commits(hub: &TestHub) -> Vec<String> {
    let publish = |n: usize| {
        let draft = hub.repo(REPO).commit("main").title(&format!("c{n}"));
        let draft = draft.date(&format!("2026-03-{:02}T08:00:00Z", n + 1));
        draft.file("n", n.to_string()).publish()
    };
    (0..10).map(publish).collect()
}

#[test]
fn the_commits_of_a_revision_are_listed_over_pages_until_the_caller_has_enough() {
    let hub = TestHub::builder().page_size(3).start();
    let published = ten_commits(&hub);
    let client = impatient(&hub, None);
    let all = client
        .commits(&repo(REPO), &main_branch(), |_| false)
        .unwrap();
    let listed: Vec<&str> = all.commits.iter().map(|it| it.commit.as_str()).collect();
    assert!(listed.into_iter().eq(published.iter().rev()));
    assert!(all.is_whole);
    assert_eq!(all.commits[0].title, "c9");
    let date = all.commits[0].date.unwrap();
    assert_eq!(date.to_string(), "2026-03-10T08:00:00Z");
    assert_eq!(hub.count(Api::Commits), 4, "10 commits on pages of 3");

    let older = client
        .commits(&repo(REPO), &(&sha(&published[8])).into(), |it| {
            it.title == "c7"
        })
        .unwrap();
    assert_eq!(older.commits.len(), 2);
    assert!(!older.is_whole, "the caller ended it");
    assert_eq!(hub.count(Api::Commits), 5);
}

#[test]
fn a_history_in_a_loop_or_without_commits_is_refused() {
    let hub = TestHub::builder().page_size(3).start();
    let newest = ten_commits(&hub).pop().unwrap();
    let client = impatient(&hub, None);
    let path = format!("{}/api/models/{REPO}/commits/{newest}", hub.endpoint());
    for (query, why) in [("again", "form a loop"), ("p=9", "has no commit")] {
        let link = format!("<{path}?{query}>; rel=\"next\"");
        hub.fault(On::api(Api::Commits), Fault::Header("Link".into(), link));
        let list = client.commits(&repo(REPO), &main_branch(), |_| false);
        let error = list.unwrap_err();
        assert!(error.to_string().contains(why), "{error}");
        hub.heal();
    }
}

#[test]
fn tags_are_listed_with_their_targets() {
    let hub = TestHub::start();
    let commit = tiny(&hub);
    hub.repo(REPO)
        .tag("v1", &commit)
        .annotated_tag("v2", &commit);
    let client = impatient(&hub, None);
    let tags = client.tags(&repo(REPO)).unwrap();
    let v1 = "v1".parse().unwrap();
    assert_eq!(
        tags.keys().map(|tag| tag.as_str()).collect::<Vec<_>>(),
        ["v1", "v2"]
    );
    assert_eq!(tags[&v1], sha(&commit));
    let other: BTreeMap<_, _> = tags
        .into_iter()
        .filter(|(_, at)| *at != sha(&commit))
        .collect();
    let (annotated, _) = other.first_key_value().unwrap();
    assert_eq!(
        annotated.as_str(),
        "v2",
        "the tag object instead of the commit"
    );
    assert_eq!(
        client.revision(&repo(REPO), annotated).unwrap().commit,
        sha(&commit)
    );
}
