//! Publishing into the cache: what readers see, and when.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fs;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use hfdl::cache::{
    CacheWriter, LinkChoice, local_facts, published_commit, scan_repo, snapshot_is_complete,
    stored_listing,
};
use hfdl::domain::filter::Filter;
use hfdl::domain::plan::{Action, plan_sync};
use hfdl::sys::files;
use hfdl::sys::share::{self, Sharing};

use crate::support::cache::{Commit, TestCache, commit, has_blobs, model, no_lock, tree, write};

const EVERY_FORM: [LinkChoice; 3] = [
    LinkChoice::WherePossible,
    LinkChoice::NoSymlinks,
    LinkChoice::NoLinks,
];

fn first() -> Commit {
    commit(
        'a',
        &[
            ("config.json", "{}"),
            ("sub/deep/model.bin", "weights"),
            ("twin.bin", "weights"),
        ],
    )
}

#[test]
fn a_published_revision_has_the_official_layout_and_nothing_else() {
    let env = TestCache::new();
    let (plan, published) = env.sync(&first());
    assert_eq!(plan.totals.files_to_fetch, 2, "a content is fetched once");
    assert!(published.ref_moved);
    let a = "a".repeat(40);
    let etag = |path: &str| {
        let files = &plan.files;
        let file = files.iter().find(|f| f.file.path.as_str() == path).unwrap();
        file.file.content.etag()
    };
    let (config, weights) = (etag("config.json"), etag("twin.bin"));
    let mut expected = vec![
        "models--acme--tiny/CACHEDIR.TAG".to_owned(),
        format!("models--acme--tiny/.hfdl/trees/{a}.json"),
        format!("models--acme--tiny/blobs/{config}"),
        format!("models--acme--tiny/blobs/{weights}"),
        "models--acme--tiny/refs/main".to_owned(),
        env.shown(
            format!("models--acme--tiny/snapshots/{a}/config.json"),
            &format!("../../blobs/{config}"),
        ),
        env.shown(
            format!("models--acme--tiny/snapshots/{a}/sub/deep/model.bin"),
            &format!("../../../../blobs/{weights}"),
        ),
        env.shown(
            format!("models--acme--tiny/snapshots/{a}/twin.bin"),
            &format!("../../blobs/{weights}"),
        ),
        format!("models--acme--tiny/trees/{a}.json"),
    ];
    expected.retain(|name| has_blobs() || !name.contains("/blobs/"));
    expected.sort();
    assert_eq!(tree(env.cache.root()), expected);
    assert_eq!(
        fs::read_to_string(env.layout().reference(&env.branch)).unwrap(),
        a
    );
    assert_eq!(env.text(&first(), "sub/deep/model.bin"), "weights");
}

#[test]
fn a_cache_that_is_marked_as_a_whole_gets_no_mark_for_its_repositories() {
    let env = TestCache::new();
    fs::create_dir_all(env.cache.root()).unwrap();
    fs::write(env.cache.root().join("CACHEDIR.TAG"), "of another program").unwrap();
    env.sync(&first());
    let marks = tree(env.cache.root());
    let marks: Vec<_> = marks
        .iter()
        .filter(|path| path.contains("CACHEDIR"))
        .collect();
    assert_eq!(marks, ["CACHEDIR.TAG"]);
}

#[test]
fn a_second_sync_finds_nothing_to_do_and_moves_nothing() {
    for links in EVERY_FORM {
        let env = TestCache::with(links);
        env.sync(&first());
        let before = tree(env.cache.root());
        let (plan, published) = env.sync(&first());
        assert!(plan.changes_nothing(), "{plan:?}");
        assert!(!published.ref_moved);
        assert_eq!(tree(env.cache.root()), before);
    }
}

#[test]
fn the_next_revision_reuses_what_did_not_change_and_keeps_the_old_one() {
    for links in EVERY_FORM {
        let env = TestCache::with(links);
        env.sync(&first());
        let second = commit('b', &[("config.json", "{1}"), ("moved.bin", "weights")]);
        let (plan, _) = env.sync(&second);
        assert_eq!(plan.totals.bytes_to_fetch, 3);
        assert_eq!(plan.totals.bytes_reused, 7);
        assert_eq!(plan.deleted.len(), 2);
        assert_eq!(env.text(&second, "moved.bin"), "weights");
        assert_eq!(env.text(&second, "config.json"), "{1}");
        assert_eq!(env.text(&first(), "config.json"), "{}");
        let published = published_commit(&env.layout(), &env.branch).unwrap();
        assert_eq!(published, Some(second.listing.commit));
    }
}

#[test]
fn a_revision_with_a_missing_content_is_not_published() {
    let env = TestCache::new();
    env.sync(&first());
    let second = commit('b', &[("config.json", "new"), ("other.bin", "more")]);
    let plan = env.plan(&second);
    let writer = env.writer();
    let before = tree(env.cache.root());
    let error = writer
        .publish(&env.branch, &second.listing, &plan, &BTreeSet::new())
        .unwrap_err();
    assert!(
        format!("{error:#}").contains("`config.json` is not ready"),
        "{error:#}"
    );
    assert_eq!(tree(env.cache.root()), before);

    // A content of the wrong length is as good as missing.
    for planned in plan.fetches() {
        write(env.layout().blob(&planned.file.content), "?");
    }
    assert!(
        writer
            .publish(&env.branch, &second.listing, &plan, &BTreeSet::new())
            .is_err()
    );
    let published = published_commit(&env.layout(), &env.branch).unwrap();
    assert_eq!(published, Some(first().listing.commit));
}

#[test]
fn the_ref_stays_when_anything_before_it_fails() {
    let second = commit('b', &[("sub/model.bin", "new")]);
    let at = |env: &TestCache, name: &str| env.layout().folder().join(name);
    for obstacle in [
        "trees",
        ".hfdl/trees",
        &format!("snapshots/{}", second.listing.commit),
        &format!(".no_exist/{}/sub/model.bin/full", second.listing.commit),
    ] {
        let env = TestCache::new();
        env.sync(&first());
        let plan = env.plan(&second);
        env.fetch(&second, &plan);
        let path = at(&env, obstacle);
        let _ = fs::remove_dir_all(&path);
        write(path.clone(), "in the way");
        let writer = env.writer();
        let result = writer.publish(&env.branch, &second.listing, &plan, &BTreeSet::new());
        assert!(result.is_err(), "{obstacle}");
        let published = published_commit(&env.layout(), &env.branch).unwrap();
        assert_eq!(published, Some(first().listing.commit), "{obstacle}");

        fs::remove_file(&path).unwrap();
        let _ = fs::remove_dir(path.parent().unwrap());
        env.sync(&second);
        assert_eq!(env.text(&second, "sub/model.bin"), "new");
    }
}

#[test]
fn a_reader_never_sees_half_a_revision_or_a_foreign_name() {
    let env = TestCache::new();
    let revisions: Vec<Commit> = "0123456789"
        .chars()
        .map(|digit| {
            let files: Vec<(String, String)> = (0..20)
                .map(|n| (format!("d{}/f{n}", n % 3), format!("{digit}{n}")))
                .collect();
            let files: Vec<(&str, &str)> = files
                .iter()
                .map(|(a, b)| (a.as_str(), b.as_str()))
                .collect();
            commit(digit, &files)
        })
        .collect();
    env.sync(&revisions[0]);
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut n_looks = 0;
            while !is_over.load(Ordering::Acquire) || n_looks == 0 {
                let published = published_commit(&env.layout(), &env.branch).unwrap();
                let now = published.expect("there is always a published revision");
                let revision = revisions.iter().find(|r| r.listing.commit == now).unwrap();
                for n in 0..20 {
                    let text = env.text(revision, &format!("d{}/f{n}", n % 3));
                    assert_eq!(text[1..], n.to_string());
                    assert!(now.as_str().starts_with(&text[..1]));
                }
                let local = scan_repo(&env.cache, &env.repo).unwrap();
                for (commit, snapshot) in &local.snapshots {
                    assert_eq!(snapshot.entries.len(), 20, "{commit}");
                    assert!(snapshot.is_readable());
                    // A hard link to a blob that was stored after the list of blobs was
                    // read counts as a file of its own.
                    let n_contents = snapshot.contents().count();
                    assert!(n_contents == 20 || !env.has_symlinks());
                }
                assert!(tree(&env.layout().refs()).iter().eq(["main"]));
                n_looks += 1;
            }
        });
        for revision in &revisions[1..] {
            env.sync(revision);
        }
        is_over.store(true, Ordering::Release);
        reader.join().unwrap();
    });
}

#[test]
fn a_commit_as_revision_gets_no_ref_and_a_slashed_branch_gets_folders() {
    let mut env = TestCache::new();
    env.branch = "a".repeat(40).parse().unwrap();
    assert!(!env.sync(&first()).1.ref_moved);
    assert!(tree(&env.layout().refs()).is_empty());
    env.branch = "refs/pr/1".parse().unwrap();
    assert!(env.sync(&first()).1.ref_moved);
    assert_eq!(tree(&env.layout().refs()), ["refs/pr/1"]);
}

#[test]
fn a_snapshot_that_another_program_left_incomplete_is_completed() {
    let env = TestCache::new();
    let first = first();
    env.sync(&first);
    let layout = env.layout();
    let at = |path: &str| layout.entry(&first.listing.commit, &path.parse().unwrap());
    fs::remove_file(at("config.json")).unwrap();
    fs::remove_file(at("twin.bin")).unwrap();
    fs::write(at("twin.bin"), "cut").unwrap();
    let complete = || snapshot_is_complete(&layout, &first.listing.commit, &first.listing.files);
    assert!(!complete().unwrap());
    let (plan, published) = env.sync(&first);
    // The same content is left in `model.bin`.
    let n_bytes = if has_blobs() { 0 } else { "{}".len() };
    assert_eq!(plan.totals.bytes_to_fetch, n_bytes as u64);
    assert!(complete().unwrap());
    assert!(!published.ref_moved);
    assert_eq!(env.text(&first, "twin.bin"), "weights");
}

// With hard links no name tells the blob.
#[test]
fn a_link_to_the_wrong_blob_is_replaced() {
    let env = TestCache::new();
    let first = commit('a', &[("x.bin", "one"), ("y.bin", "two")]);
    env.sync(&first);
    if !env.has_symlinks() {
        return;
    }
    let at = |path: &str| {
        env.layout()
            .entry(&first.listing.commit, &path.parse().unwrap())
    };
    fs::rename(at("x.bin"), at("y.bin")).unwrap();
    env.sync(&first);
    assert_eq!(env.text(&first, "x.bin"), "one");
    assert_eq!(env.text(&first, "y.bin"), "two");
}

#[test]
fn a_repair_replaces_wrong_bytes_of_the_right_length() {
    for links in EVERY_FORM {
        let env = TestCache::with(links);
        let first = first();
        env.sync(&first);
        let bad = &first.listing.files[1];
        let entry = env.layout().entry(&first.listing.commit, &bad.path);
        crate::support::damage::overwrite(&entry, "wEights");
        assert!(env.plan(&first).changes_nothing(), "no name tells");

        let listing = &first.listing;
        let facts = local_facts(&env.cache, &env.repo, listing, &env.filter, None);
        let mut facts = facts.unwrap();
        facts.distrust(bad);
        let placement = env.writer().placement().unwrap();
        let plan = plan_sync(listing, &env.filter, &placement, &facts).unwrap();
        assert_eq!(plan.totals.bytes_to_fetch, 7);
        env.fetch(&first, &plan);
        env.writer()
            .publish(&env.branch, listing, &plan, &BTreeSet::new())
            .unwrap();
        assert_eq!(env.text(&first, bad.path.as_str()), "weights");
    }
}

#[test]
fn a_ref_is_moved_only_to_a_snapshot_that_is_there() {
    let env = TestCache::new();
    let second = commit('b', &[("config.json", "{2}")]);
    env.sync(&first());
    env.sync(&second);
    let writer = env.writer();
    let old = first().listing.commit;
    assert!(
        writer
            .move_ref(&env.branch, &"d".repeat(40).parse().unwrap())
            .is_err()
    );
    assert!(writer.move_ref(&env.branch, &old).unwrap());
    assert!(!writer.move_ref(&env.branch, &old).unwrap());
    let published = published_commit(&env.layout(), &env.branch).unwrap();
    assert_eq!(published, Some(old.clone()));
    assert!(
        writer
            .move_ref(&old.as_str().parse().unwrap(), &second.listing.commit)
            .is_err()
    );
}

#[test]
fn a_filtered_snapshot_has_no_official_listing_until_it_is_whole() {
    let mut env = TestCache::new();
    env.filter = Filter {
        include: Some(vec!["*.json".into()]),
        ..Filter::default()
    };
    let first = first();
    env.sync(&first);
    let layout = env.layout();
    let official = layout.tree(&first.listing.commit);
    assert!(!official.exists());
    let stored = stored_listing(&layout, &first.listing.commit).unwrap();
    assert_eq!(stored.as_ref(), Some(&first.listing));

    env.filter = Filter::default();
    let (plan, _) = env.sync(&first);
    assert_eq!(plan.totals.files_to_fetch, 1);
    assert!(official.exists());
}

#[test]
fn a_marker_for_a_missing_file_goes_when_the_file_is_there() {
    let env = TestCache::new();
    let first = first();
    let layout = env.layout();
    let commit = &first.listing.commit;
    let marker = layout.no_exist(commit, &"config.json".parse().unwrap());
    let other = layout.no_exist(commit, &"really_missing.json".parse().unwrap());
    write(marker.clone(), "");
    write(other.clone(), "");
    env.sync(&first);
    assert!(!marker.exists());
    assert!(other.exists());
}

#[test]
fn content_of_another_repository_is_taken_over_and_survives_its_removal() {
    if !has_blobs() {
        return;
    }
    let mut env = TestCache::new();
    env.sync(&first());
    let other_folder = env.layout().folder().to_path_buf();
    env.repo = model("acme/fork");
    let (plan, _) = env.sync(&first());
    assert_eq!(plan.totals.bytes_to_fetch, 0);
    assert_eq!(plan.imports().len(), 2);
    fs::remove_dir_all(other_folder).unwrap();
    assert_eq!(env.text(&first(), "twin.bin"), "weights");
    assert!(
        tree(&env.layout().private())
            .iter()
            .all(|name| name.starts_with("trees/"))
    );
}

#[test]
fn a_content_that_is_there_already_can_be_imported_again() {
    if !has_blobs() {
        return;
    }
    let mut env = TestCache::new();
    env.sync(&first());
    let file = first().listing.files[1].clone();
    let source = env.layout().blob(&file.content);
    env.repo = model("acme/fork");
    for _ in 0..2 {
        let writer = env.writer();
        let aside = files::unused_name(&env.layout().private());
        share::share(&source, &aside, Sharing::HardLinksToo).unwrap();
        writer.import_blob(&file.content, &aside).unwrap();
        assert!(tree(&env.layout().private()).is_empty());
    }
}

#[test]
fn a_wider_filter_adds_files_and_leaves_the_others_alone() {
    let mut env = TestCache::with(LinkChoice::NoLinks);
    env.filter = Filter {
        include: Some(vec!["*.json".into()]),
        ..Filter::default()
    };
    env.sync(&first());
    env.filter = Filter::default();
    let (plan, _) = env.sync(&first());
    assert_eq!(plan.files[0].action, Action::Keep);
    assert_eq!(
        env.text(&first(), "config.json") + &env.text(&first(), "twin.bin"),
        "{}weights"
    );
}

#[test]
fn an_interrupted_publish_is_completed_by_the_next() {
    let env = TestCache::new();
    let first = first();
    // As after a kill while the new snapshot was being put together.
    let plan = env.plan(&first);
    env.fetch(&first, &plan);
    write(
        env.layout()
            .staging(&first.listing.commit)
            .join("config.json"),
        "half",
    );
    write(env.layout().private().join("tmp-0123"), "half");
    let (plan, _) = env.sync(&first);
    assert!(
        plan.files
            .iter()
            .all(|file| matches!(file.action, Action::Link(_)))
    );
    assert_eq!(env.text(&first, "config.json"), "{}");
    assert!(!env.layout().staging(&first.listing.commit).exists());
}

#[test]
fn without_links_a_file_left_in_staging_by_a_crash_is_not_fetched_again() {
    let env = TestCache::with(LinkChoice::NoLinks);
    let first = first();
    env.sync(&first);
    assert!(
        tree(&env.layout().blobs()).is_empty(),
        "the blobs are the files"
    );
    let commit = &first.listing.commit;
    let staging = env.layout().staging(commit);
    let mut of_a_home = staging.clone().into_os_string();
    of_a_home.push("-0123456789abcdef");
    for staging in [staging, of_a_home.into()] {
        fs::rename(env.layout().snapshot(commit), staging).unwrap();
        let (plan, _) = env.sync(&first);
        assert_eq!(plan.totals.bytes_to_fetch, 0);
        assert_eq!(env.text(&first, "sub/deep/model.bin"), "weights");
        assert_eq!(env.text(&first, "twin.bin"), "weights");
    }
}

#[test]
fn every_blob_is_written_under_its_official_lock() {
    let env = TestCache::new();
    let first = first();
    let plan = env.plan(&first);
    let taken = Mutex::new(Vec::new());
    let take = |path: &std::path::Path| {
        taken.lock().unwrap().push(path.to_path_buf());
        no_lock(path)
    };
    let writer = CacheWriter::open(&env.cache, &env.repo, env.links, &take).unwrap();
    let mut expected = Vec::new();
    for planned in plan.fetches() {
        let content = planned.file.content;
        let partial = env.layout().partial(&content);
        fs::write(&partial, &first.bytes[&content]).unwrap();
        writer.store_blob(&content, &partial).unwrap();
        expected.push(env.cache.blob_lock(&env.repo, &content));
    }
    assert_eq!(*taken.lock().unwrap(), expected);
    assert!(expected[0].parent().unwrap().is_dir());
}

#[cfg(unix)]
mod on_unix {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn no_write_follows_a_link_out_of_the_cache() {
        for planted in ["snapshots", "blobs", "refs", "trees", ".hfdl", "."] {
            let env = TestCache::new();
            let outside = tempfile::tempdir().unwrap();
            let folder = env.layout().folder().to_path_buf();
            let link = match planted {
                "." => folder.clone(),
                name => folder.join(name),
            };
            fs::create_dir_all(link.parent().unwrap()).unwrap();
            symlink(outside.path(), &link).unwrap();
            let opened = CacheWriter::open(&env.cache, &env.repo, env.links, &no_lock);
            if planted == "trees" {
                drop(opened);
                let plan = env.plan(&first());
                env.fetch(&first(), &plan);
                let published =
                    env.writer()
                        .publish(&env.branch, &first().listing, &plan, &BTreeSet::new());
                assert!(published.is_err());
            } else {
                let error = format!("{:#}", opened.err().unwrap());
                assert!(error.contains("leads out of"), "{error}");
            }
            assert_eq!(
                fs::read_dir(outside.path()).unwrap().count(),
                0,
                "{planted}"
            );
        }
    }

    #[test]
    fn a_linked_folder_in_a_snapshot_does_not_lead_entries_out() {
        let env = TestCache::new();
        let first = first();
        let outside = tempfile::tempdir().unwrap();
        let snapshot = env.layout().snapshot(&first.listing.commit);
        fs::create_dir_all(&snapshot).unwrap();
        symlink(outside.path(), snapshot.join("sub")).unwrap();
        let plan = env.plan(&first);
        env.fetch(&first, &plan);
        assert!(
            env.writer()
                .publish(&env.branch, &first.listing, &plan, &BTreeSet::new())
                .is_err()
        );
        assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
        assert_eq!(published_commit(&env.layout(), &env.branch).unwrap(), None);
    }

    #[test]
    fn a_blob_has_the_permissions_of_any_new_file_without_those_to_write() {
        let env = TestCache::new();
        let first = first();
        let plan = env.plan(&first);
        let content = plan.files[0].file.content;
        let partial = env.layout().partial(&content);
        fs::write(&partial, &first.bytes[&content]).unwrap();
        let fresh = fs::metadata(&partial).unwrap().permissions().mode();
        fs::set_permissions(&partial, fs::Permissions::from_mode(0o600)).unwrap();
        env.writer().store_blob(&content, &partial).unwrap();
        let blob = fs::metadata(env.layout().blob(&content)).unwrap();
        assert_eq!(blob.permissions().mode(), fresh & !0o222);
    }
}
