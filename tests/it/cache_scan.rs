//! Reading caches that other programs wrote, in all their forms.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

use hfdl::cache::scan::{BlobKind, LocalEntry};
use hfdl::cache::{
    CacheLayout, cached_repos, published_commit, scan_repo, snapshot_is_complete, stored_listing,
    whole_entry,
};
use hfdl::domain::content::ContentId;
use hfdl::domain::plan::Action;
use hfdl::domain::repo::{CommitSha, Repo, RepoType};
use hfdl::domain::snapshot::RemoteFile;
use hfdl::sys::files::symlink_file;

use crate::support::cache::{Commit, TestCache, commit, has_blobs, model, write};

fn first() -> Commit {
    commit('a', &[("config.json", "{}"), ("sub/model.bin", "weights")])
}

fn is_complete(env: &TestCache, commit: &Commit) -> bool {
    let (layout, listing) = (env.layout(), &commit.listing);
    snapshot_is_complete(&layout, &listing.commit, &listing.files).unwrap()
}

#[test]
fn a_cache_of_our_own_is_read_back_exactly() {
    if !has_blobs() {
        return;
    }
    let env = TestCache::new();
    let first = first();
    env.sync(&first);
    fs::write(
        env.layout().partial(&first.listing.files[0].content),
        "half",
    )
    .unwrap();
    let local = scan_repo(&env.cache, &env.repo).unwrap();
    assert_eq!(local.refs.get(&env.branch), Some(&first.listing.commit));
    assert_eq!(local.blobs.len(), 2);
    assert_eq!(local.partials.len(), 1);
    assert!(local.junk.is_empty(), "{:?}", local.junk);
    let snapshot = &local.snapshots[&first.listing.commit];
    for file in &first.listing.files {
        let expected = LocalEntry::Blob {
            content: file.content,
            size_bytes: file.size_bytes,
        };
        assert_eq!(snapshot.entries[&file.path], expected);
    }
    assert_eq!(cached_repos(&env.cache).unwrap(), vec![env.repo.clone()]);
}

#[test]
fn a_repository_that_is_not_there_is_empty_and_not_an_error() {
    let env = TestCache::new();
    let local = scan_repo(&env.cache, &env.repo).unwrap();
    assert_eq!(local, Default::default());
    assert!(cached_repos(&env.cache).unwrap().is_empty());
    assert_eq!(published_commit(&env.layout(), &env.branch).unwrap(), None);
    assert!(!is_complete(&env, &first()));
}

#[test]
fn a_malformed_ref_counts_as_none_and_is_rewritten() {
    let env = TestCache::new();
    let first = first();
    let (commit, reference) = (&first.listing.commit, env.layout().reference(&env.branch));
    for damage in [
        format!("{commit}\n"),
        "b".repeat(40),
        "main".into(),
        String::new(),
    ] {
        env.sync(&first);
        fs::write(&reference, &damage).unwrap();
        let published = published_commit(&env.layout(), &env.branch).unwrap();
        assert_eq!(published, None, "{damage:?}");
        let (plan, published) = env.sync(&first);
        assert!(plan.changes_nothing() && published.ref_moved);
        assert_eq!(fs::read_to_string(&reference).unwrap(), commit.as_str());
    }
}

#[test]
fn a_file_that_was_cut_makes_a_snapshot_incomplete_and_is_fetched_again() {
    let env = TestCache::new();
    let first = first();
    env.sync(&first);
    let (layout, cut) = (env.layout(), &first.listing.files[1]);
    let file = if has_blobs() {
        layout.blob(&cut.content)
    } else {
        layout.entry(&first.listing.commit, &cut.path)
    };
    crate::support::damage::overwrite(&file, "weig");
    assert!(!is_complete(&env, &first));
    let (plan, _) = env.sync(&first);
    assert_eq!(plan.totals.bytes_to_fetch, 7);
    assert!(is_complete(&env, &first));
}

#[test]
fn junk_is_reported_and_stops_nothing() {
    let env = TestCache::new();
    let first = first();
    env.sync(&first);
    let layout = env.layout();
    write(layout.blobs().join("README"), "?");
    write(
        layout
            .blobs()
            .join(format!("{}.0123abcd.incomplete", "a".repeat(40))),
        "?",
    );
    write(layout.blobs().join("A".repeat(40)), "wrong case");
    write(layout.snapshots().join("not-a-commit/x"), "?");
    write(layout.snapshots().join(".DS_Store"), "?");
    write(layout.refs().join("bad"), "?");
    fs::create_dir(layout.blobs().join("folder")).unwrap();
    write(env.cache.root().join("stray"), "?");
    fs::create_dir(env.cache.root().join("buckets--a--b")).unwrap();
    let local = scan_repo(&env.cache, &env.repo).unwrap();
    assert_eq!(local.junk.len(), 7, "{:?}", local.junk);
    assert_eq!(local.snapshots.len(), 1);
    assert_eq!(cached_repos(&env.cache).unwrap().len(), 1);
    assert!(env.plan(&first).changes_nothing());
}

#[test]
fn a_snapshot_of_real_files_or_hard_links_is_whole() {
    for with_blobs in [true, false] {
        let env = TestCache::new();
        let first = first();
        let layout = env.layout();
        for file in &first.listing.files {
            let entry = layout.entry(&first.listing.commit, &file.path);
            let text = String::from_utf8(first.bytes[&file.content].clone()).unwrap();
            write(entry.clone(), &text);
            if with_blobs {
                fs::create_dir_all(layout.blobs()).unwrap();
                fs::hard_link(&entry, layout.blob(&file.content)).unwrap();
            }
        }
        assert!(is_complete(&env, &first));
        assert!(env.plan(&first).changes_nothing());
        let local = scan_repo(&env.cache, &env.repo).unwrap();
        let snapshot = &local.snapshots[&first.listing.commit];
        let file = &first.listing.files[1];
        let size_bytes = file.size_bytes;
        let expected = match with_blobs {
            true => LocalEntry::Blob {
                content: file.content,
                size_bytes,
            },
            false => LocalEntry::RealFile { size_bytes },
        };
        assert_eq!(snapshot.entries[&file.path], expected);
    }
}

#[cfg(unix)]
mod with_links {
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::path::{Path, PathBuf};

    use super::*;

    fn link(target: impl AsRef<Path>, at: PathBuf) {
        fs::create_dir_all(at.parent().unwrap()).unwrap();
        symlink(target, at).unwrap();
    }

    /// As 0.36.2 writes it: plain blobs, relative links, no listing.
    fn plain_cache(env: &TestCache, commit: &Commit) {
        for file in &commit.listing.files {
            let text = String::from_utf8(commit.bytes[&file.content].clone()).unwrap();
            write(env.layout().blob(&file.content), &text);
            let up = "../".repeat(file.path.segments().count() + 1);
            let target = format!("{up}blobs/{}", file.content.etag());
            link(
                target,
                env.layout().entry(&commit.listing.commit, &file.path),
            );
        }
        write(
            env.layout().reference(&env.branch),
            commit.listing.commit.as_str(),
        );
    }

    /// As 2.4.0 writes it: LFS contents in the shared store, read-only, under
    /// their Xet hash, with marker and reference lists.
    fn shared_cache(env: &TestCache, commit: &Commit) {
        plain_cache(env, commit);
        let store = env.cache.root().join("blobs");
        write(store.join(".huggingface-shared-blobs"), "1\n");
        write(
            env.cache.root().join("CACHEDIR.TAG"),
            "Signature: 8a477f597d28d172789f06886806bc55\n",
        );
        for file in commit
            .listing
            .files
            .iter()
            .filter(|file| file.xet_hash.is_some())
        {
            let blob = env.layout().blob(&file.content);
            let name = "5a".repeat(32);
            let shared = store.join("5a").join(&name);
            fs::create_dir_all(shared.parent().unwrap()).unwrap();
            fs::rename(&blob, &shared).unwrap();
            fs::set_permissions(&shared, fs::Permissions::from_mode(0o444)).unwrap();
            write(store.join("5a").join(format!("{name}.lock")), "");
            let user = format!("models--acme--tiny/blobs/{}\n", file.content.etag());
            write(store.join("5a").join(format!("{name}.refs")), &user);
            link(format!("../../blobs/5a/{name}"), blob);
        }
    }

    #[test]
    fn a_cache_of_hf_0_36_is_complete() {
        let env = TestCache::new();
        plain_cache(&env, &first());
        assert!(is_complete(&env, &first()));
        assert!(env.plan(&first()).changes_nothing());
        let published = published_commit(&env.layout(), &env.branch).unwrap();
        assert_eq!(published, Some(first().listing.commit));
        let local = scan_repo(&env.cache, &env.repo).unwrap();
        assert!(
            local
                .blobs
                .values()
                .all(|blob| blob.kind == BlobKind::Plain)
        );
    }

    #[test]
    fn a_cache_of_hf_2_4_with_shared_blobs_is_complete_and_reused() {
        let env = TestCache::new();
        shared_cache(&env, &first());
        assert!(is_complete(&env, &first()));
        assert!(env.plan(&first()).changes_nothing());
        let local = scan_repo(&env.cache, &env.repo).unwrap();
        let model = &first().listing.files[1];
        assert_eq!(local.blobs[&model.content].kind, BlobKind::Link);
        assert_eq!(local.blobs[&model.content].size_bytes, 7);
        assert!(local.junk.is_empty());
        assert_eq!(cached_repos(&env.cache).unwrap().len(), 1);

        // The next revision links to the shared content through its old name.
        let second = commit('b', &[("renamed.bin", "weights")]);
        let (plan, _) = env.sync(&second);
        assert_eq!(plan.totals.bytes_to_fetch, 0);
        assert_eq!(env.text(&second, "renamed.bin"), "weights");
    }

    #[test]
    fn a_shared_blob_is_taken_over_by_another_repository_unharmed() {
        if !has_blobs() {
            return;
        }
        let mut env = TestCache::new();
        shared_cache(&env, &first());
        let shared = env.cache.root().join("blobs/5a").join("5a".repeat(32));
        env.repo = model("acme/fork");
        let (plan, _) = env.sync(&first());
        assert_eq!(plan.totals.bytes_to_fetch, 0);
        let blob = env.layout().blob(&first().listing.files[1].content);
        assert!(
            !blob.is_symlink(),
            "a link there would need an entry in `.refs`"
        );
        assert_eq!(fs::read_to_string(&blob).unwrap(), "weights");
        let mode = fs::metadata(shared).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o444);
    }

    #[test]
    fn absolute_links_are_understood_and_dangling_ones_are_fetched() {
        let env = TestCache::new();
        let first = first();
        plain_cache(&env, &first);
        let layout = env.layout();
        let commit = &first.listing.commit;
        let [config, model] = &first.listing.files[..] else {
            panic!()
        };
        let at = |file: &hfdl::domain::snapshot::RemoteFile| layout.entry(commit, &file.path);
        fs::remove_file(at(config)).unwrap();
        link(layout.blob(&config.content), at(config));
        fs::remove_file(layout.blob(&model.content)).unwrap();
        link(
            "circle",
            layout.blob(&model.content).with_file_name("circle"),
        );

        let local = scan_repo(&env.cache, &env.repo).unwrap();
        let entries = &local.snapshots[commit].entries;
        assert!(
            matches!(entries[&config.path], LocalEntry::Blob { content, .. } if content == config.content)
        );
        assert_eq!(entries[&model.path], LocalEntry::Dangling);
        let (plan, _) = env.sync(&first);
        assert_eq!(plan.files[0].action, Action::Keep);
        assert_eq!(plan.files[1].action, Action::Fetch);
        assert_eq!(env.text(&first, "sub/model.bin"), "weights");
    }

    #[test]
    fn a_dangling_link_into_the_shared_store_is_replaced_by_a_real_blob() {
        let env = TestCache::new();
        let first = first();
        shared_cache(&env, &first);
        fs::remove_dir_all(env.cache.root().join("blobs/5a")).unwrap();
        assert!(!is_complete(&env, &first));
        env.sync(&first);
        assert!(
            !env.layout()
                .blob(&first.listing.files[1].content)
                .is_symlink()
        );
        assert!(is_complete(&env, &first));
        assert!(!env.cache.root().join("blobs/5a").exists(), "never written");
    }
}

#[test]
fn a_stored_listing_with_a_hostile_path_is_no_listing() {
    let env = TestCache::new();
    let first = first();
    env.sync(&first);
    let layout = env.layout();
    let json = fs::read_to_string(layout.tree(&first.listing.commit)).unwrap();
    fs::remove_file(layout.private_tree(&first.listing.commit)).unwrap();
    let stored = || stored_listing(&layout, &first.listing.commit).unwrap();
    assert_eq!(
        stored(),
        Some(first.listing.clone()),
        "the official one will do"
    );
    write(
        layout.tree(&first.listing.commit),
        &json.replace("config.json", "../../x"),
    );
    assert_eq!(stored(), None);
}

#[cfg(unix)]
#[test]
fn a_file_is_the_blob_only_if_readers_of_the_entry_open_the_blob() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("hub");
    let repo = Repo::new(RepoType::Model, "acme/tiny".parse().unwrap());
    let layout = CacheLayout::new(root).repo(&repo);
    let commit: CommitSha = "a".repeat(40).parse().unwrap();
    let content = ContentId::from_etag(&"b".repeat(40)).unwrap();
    let file = |path: &str| RemoteFile {
        path: path.parse().unwrap(),
        size_bytes: 4,
        content,
        git_oid: [0; 20],
        xet_hash: None,
    };
    let blob = layout.blob(&content);
    let entry = |path: &str| layout.entry(&commit, &file(path).path);
    let open = |path: &str| {
        let found = whole_entry(&layout, &commit, &file(path)).unwrap();
        found.map(|(path, _)| path)
    };
    fs::create_dir_all(layout.blobs()).unwrap();
    fs::create_dir_all(entry("own").parent().unwrap()).unwrap();
    fs::write(&blob, "good").unwrap();
    let link = format!("../../blobs/{}", content.etag());
    symlink_file(Path::new(&link), &entry("link")).unwrap();
    symlink_file(&blob, &entry("whole-path")).unwrap();
    fs::write(entry("own"), "mine").unwrap();
    fs::write(entry("short"), "me").unwrap();

    // The link in this folder leads to another file than its names say.
    let elsewhere = dir.path().join("one/two/snapshot");
    fs::create_dir_all(&elsewhere).unwrap();
    fs::create_dir_all(dir.path().join("blobs")).unwrap();
    fs::write(dir.path().join("blobs").join(content.etag()), "evil").unwrap();
    symlink_file(&elsewhere, &entry("linked")).unwrap();
    let link = format!("../../../blobs/{}", content.etag());
    symlink_file(Path::new(&link), &elsewhere.join("file")).unwrap();

    assert_eq!(open("link"), Some(blob.clone()));
    assert_eq!(open("whole-path"), Some(blob));
    assert_eq!(open("own"), Some(entry("own")));
    assert_eq!(open("linked/file"), Some(entry("linked/file")));
    assert_eq!(open("short"), None);
    assert_eq!(open("missing"), None);
}
