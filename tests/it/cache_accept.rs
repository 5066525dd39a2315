//! Writes what `tests/clients/cache_is_accepted.py` shows to the official client.
//!
//! The place is fixed, so that the script finds it: `accept-cache/` and
//! `accept-dir/` in cargo's folder for tests, with what each must hold in
//! `accept-manifest.json`.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

use hfdl::cache::{LinkChoice, LocalDir, Vanished, scan_repo, snapshot_is_complete};
use hfdl::domain::filter::Filter;
use hfdl::domain::plan::plan_sync;
use hfdl::domain::repo::{Repo, RepoType};
use hfdl::sys::files;
use hfdl::sys::share::{self, Sharing};
use serde_json::{Value, json};

use crate::support::cache::{Commit, TestCache, commit, has_blobs, model, prove, repo};

fn fresh(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    if path.exists() {
        fs::remove_dir_all(&path).unwrap();
    }
    path
}

fn expected(env: &TestCache, commit: &Commit) -> Value {
    let listing = &commit.listing;
    let wanted = listing.selected(&env.filter).into_iter();
    let files: serde_json::Map<String, Value> = wanted
        .map(|file| {
            let text = String::from_utf8(commit.bytes[&file.content].clone()).unwrap();
            (file.path.to_string(), text.into())
        })
        .collect();
    json!({
        "repo_id": env.repo.id.as_str(),
        "repo_type": env.repo.kind.as_str(),
        "revision": env.branch.as_str(),
        "commit": listing.commit.as_str(),
        "files": files,
    })
}

#[test]
fn caches_of_every_form_are_whole_and_ready_to_be_shown_to_the_official_client() {
    let mut env = TestCache::at(&fresh("accept-cache"));
    let old = commit(
        'a',
        &[("config.json", "{}"), ("sub/model.bin", "old weights")],
    );
    let new = commit(
        'b',
        &[
            ("config.json", "{}"),
            ("empty", ""),
            ("sub/model.bin", "new weights"),
            // Windows has no question mark in names.
            (
                if cfg!(windows) {
                    "ünï cödé/#%.bin"
                } else {
                    "ünï cödé/#%?.bin"
                },
                "odd name",
            ),
        ],
    );
    let mut repos = Vec::new();
    let mut show = |env: &TestCache, commit: &Commit| {
        env.sync(commit);
        repos.push(expected(env, commit));
    };
    env.branch = "v1".parse().unwrap();
    show(&env, &old);
    env.branch = "main".parse().unwrap();
    show(&env, &new);
    env.branch = "refs/pr/1".parse().unwrap();
    show(&env, &new);
    env.branch = "main".parse().unwrap();
    let partial = env.layout().partial(&new.listing.files[0].content);
    fs::write(partial, "half").unwrap();

    env.repo = Repo::new(RepoType::Dataset, "acme/filtered".parse().unwrap());
    env.filter = Filter {
        include: Some(vec!["*.bin".into()]),
        ..Filter::default()
    };
    show(&env, &new);
    env.filter = Filter::default();

    env.repo = model("real-files");
    env.links = LinkChoice::NoSymlinks;
    show(&env, &old);
    show(&env, &new);
    env.repo = model("no-links");
    env.links = LinkChoice::NoLinks;
    show(&env, &old);
    show(&env, &new);
    env.links = LinkChoice::WherePossible;
    env.repo = model("acme/shares-content");
    show(&env, &new);

    if !has_blobs() {
        return;
    }
    let dir = LocalDir::open(fresh("accept-dir")).unwrap();
    let facts = dir
        .facts(&new.listing, &env.filter, Some(&env.cache), &prove)
        .unwrap();
    let plan = plan_sync(&new.listing, &env.filter, &dir.placement().unwrap(), &facts).unwrap();
    for (content, (_, from)) in plan.imports() {
        let aside = files::unused_name(&dir.private());
        share::share(from, &aside, Sharing::OwnBytes).unwrap();
        dir.store(&content, &aside).unwrap();
    }
    dir.publish(
        &repo(),
        &new.listing,
        &plan,
        &Vanished::Keep,
        &crate::support::cache::no_lock,
    )
    .unwrap();
    assert!(dir.is_complete(&new.listing.files).unwrap());

    for (commit, n_snapshots) in [(&old, 2), (&new, 2)] {
        env.repo = model("acme/tiny");
        let listing = &commit.listing;
        assert!(snapshot_is_complete(&env.layout(), &listing.commit, &listing.files).unwrap());
        let local = scan_repo(&env.cache, &env.repo).unwrap();
        assert_eq!(local.snapshots.len(), n_snapshots);
    }
    let manifest = json!({
        "cache": env.cache.root().display().to_string(),
        "repos": repos,
        "directory": {
            "path": dir.root().display().to_string(),
            "expected": expected(&env, &new),
        },
    });
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("accept-manifest.json");
    fs::write(path, serde_json::to_string_pretty(&manifest).unwrap()).unwrap();
}
