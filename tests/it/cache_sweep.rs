//! Sweeping: what goes, what stays, and why.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fs;

use hfdl::cache::sweep_plan::{SweepTarget, SweepVerdict};
use hfdl::cache::{
    Evidence, LinkChoice, SweepPlan, SweepRules, contents_used_elsewhere, execute_sweep,
    ownership_in_cache, plan_sweep, scan_repo, snapshot_is_complete,
};
use hfdl::domain::deletion::{FetchKey, Ownership, Reason, Refusal};
use hfdl::domain::repo::Revision;
use proptest::prelude::*;

use crate::support::cache::{Commit, TestCache, commit, has_blobs, tree};
use crate::support::env::NOW;

fn keep(commits: &[&Commit]) -> SweepRules {
    SweepRules {
        keep: commits
            .iter()
            .map(|commit| commit.listing.commit.clone())
            .collect(),
        used_elsewhere: BTreeSet::new(),
        open: BTreeSet::new(),
        reason: Reason::BeyondNumber,
        open_snapshots: BTreeSet::new(),
        ownership: Ownership::default().into(),
        evidence: Evidence::Keep,
    }
}

/// A cache in which a home keeps its records.
fn owned_cache() -> TestCache {
    TestCache::new().of_home("test")
}

/// Adds what the records on disk say.
fn owned(env: &TestCache, rules: &SweepRules) -> SweepRules {
    SweepRules {
        ownership: ownership_in_cache(&env.cache, &env.repo, NOW.parse().unwrap())
            .unwrap()
            .into(),
        ..rules.clone()
    }
}

fn sweep(env: &TestCache, rules: &SweepRules) -> SweepPlan {
    let rules = &owned(env, rules);
    let plan = plan_sweep(&scan_repo(&env.cache, &env.repo).unwrap(), rules);
    let done = execute_sweep(&env.cache, &env.repo, &plan, rules).unwrap();
    assert_eq!(done.removals().count(), plan.removals().count());
    assert_eq!(done.freed_bytes, plan.freed_bytes);
    plan
}

fn verdict(plan: &SweepPlan, target: &SweepTarget) -> SweepVerdict {
    plan.items
        .iter()
        .find(|item| item.what == *target)
        .unwrap()
        .verdict
}

fn three_revisions(env: &TestCache) -> [Commit; 3] {
    let revisions = [
        commit('a', &[("same.bin", "same"), ("x.json", "old")]),
        commit('b', &[("same.bin", "same"), ("x.json", "middle")]),
        commit('c', &[("same.bin", "same"), ("x.json", "newest")]),
    ];
    for revision in &revisions {
        env.sync(revision);
    }
    revisions
}

#[test]
fn old_revisions_go_with_the_blobs_that_only_they_use() {
    if !has_blobs() {
        return;
    }
    let env = owned_cache();
    let [a, b, c] = three_revisions(&env);
    let plan = sweep(&env, &keep(&[&b]));
    let snapshot = |of: &Commit| SweepTarget::Snapshot(of.listing.commit.clone());
    let blob = |of: &Commit, n: usize| SweepTarget::Blob(of.listing.files[n].content);
    let told = |target: &SweepTarget| verdict(&plan, target).map(|permit| permit.reason());
    for (target, expected) in [
        (snapshot(&a), Ok(Reason::BeyondNumber)),
        (snapshot(&b), Err(Refusal::Kept)),
        (snapshot(&c), Err(Refusal::NamedByRef)),
        (blob(&a, 0), Err(Refusal::InUse)),
        (blob(&a, 1), Ok(Reason::OnlyRemovedSnapshotsUseIt)),
    ] {
        assert_eq!(told(&target), expected, "{target:?}");
    }
    assert_eq!(plan.freed_bytes, 3);
    assert_eq!(env.text(&b, "x.json"), "middle");
    assert_eq!(env.text(&c, "same.bin"), "same");
    let names = tree(env.cache.root());
    assert!(
        !names
            .iter()
            .any(|name| name.contains(a.listing.commit.as_str())),
        "{names:#?}"
    );
    assert_eq!(sweep(&env, &keep(&[&b])).removals().count(), 0);
}

#[test]
fn an_interrupted_download_is_swept_only_after_its_end_is_recorded() {
    if !has_blobs() {
        return;
    }
    let env = owned_cache();
    let [_, _, c] = three_revisions(&env);
    let next = commit('d', &[("next.bin", "next"), ("later.bin", "later")]);
    let plan = env.plan(&next);
    let key = FetchKey {
        revision: Revision::main(),
        is_by_hand: false,
    };
    env.writer().begin(&key, &plan).unwrap();
    env.fetch(&next, &plan);
    fs::rename(
        env.layout().blob(&next.listing.files[0].content),
        env.layout().partial(&next.listing.files[0].content),
    )
    .unwrap();
    let rules = keep(&[&c]);
    sweep(&env, &rules);
    let n_left = || {
        let local = scan_repo(&env.cache, &env.repo).unwrap();
        (local.blobs.len(), local.partials.len())
    };
    assert_eq!(n_left(), (3, 1));
    let journal = |n: usize| env.layout().journal(&next.listing.files[n].content);
    for leftover in [env.layout().private().join("tmp-0"), journal(0), journal(1)] {
        fs::write(leftover, "").unwrap();
    }
    let layout = env.layout();
    let home = layout.home().unwrap();
    home.change_begun(|begun| begun.end(&key, None)).unwrap();
    sweep(&env, &rules);
    assert_eq!(n_left(), (2, 0));
    let left = tree(&env.layout().private());
    assert!(
        left.iter()
            .all(|name| name.starts_with("trees/") || name.starts_with("homes/")),
        "{left:?}"
    );
}

#[test]
fn a_sweep_that_was_cut_short_is_finished_by_the_next() {
    let env = owned_cache();
    let [a, _, c] = three_revisions(&env);
    let layout = env.layout();
    let commit = &a.listing.commit;
    fs::rename(layout.snapshot(commit), layout.trash(commit)).unwrap();
    sweep(&env, &keep(&[&c]));
    assert!(!layout.blob(&a.listing.files[1].content).exists());
    assert!(!layout.trash(commit).exists());
    assert!(!layout.tree(commit).exists());
    assert_eq!(env.text(&c, "same.bin"), "same");
}

#[test]
fn leftovers_of_a_sweep_do_not_remove_a_revision_that_was_fetched_again() {
    let env = owned_cache();
    let [a, _, c] = three_revisions(&env);
    let layout = env.layout();
    let commit = &a.listing.commit;
    fs::create_dir(layout.trash(commit)).unwrap();
    let plan = sweep(&env, &keep(&[&a, &c]));
    let target = SweepTarget::Snapshot(commit.clone());
    assert_eq!(verdict(&plan, &target), Err(Refusal::Kept));
    assert!(!layout.trash(commit).exists());
    assert!(layout.tree(commit).exists());
    assert_eq!(env.text(&a, "x.json"), "old");
}

#[cfg(unix)]
#[test]
fn no_deletion_follows_a_link_out_of_the_cache() {
    for planted in ["trees", ".no_exist", ".hfdl", "snapshots"] {
        let env = owned_cache();
        let [_, _, c] = three_revisions(&env);
        let rules = owned(&env, &keep(&[&c]));
        let plan = plan_sweep(&scan_repo(&env.cache, &env.repo).unwrap(), &rules);
        let outside = tempfile::tempdir().unwrap();
        let folder = env.layout().folder().join(planted);
        let moved = outside.path().join("moved");
        fs::create_dir_all(&folder).unwrap();
        fs::rename(&folder, &moved).unwrap();
        std::os::unix::fs::symlink(&moved, &folder).unwrap();
        let before = tree(&moved);
        assert!(execute_sweep(&env.cache, &env.repo, &plan, &rules).is_err());
        assert_eq!(tree(&moved), before, "{planted}");
    }
}

#[test]
fn a_revision_that_became_current_since_the_plan_stays() {
    let env = owned_cache();
    let [a, _, c] = three_revisions(&env);
    let rules = owned(&env, &keep(&[&c]));
    let plan = plan_sweep(&scan_repo(&env.cache, &env.repo).unwrap(), &rules);
    fs::write(
        env.layout().reference(&env.branch),
        a.listing.commit.as_str(),
    )
    .unwrap();
    execute_sweep(&env.cache, &env.repo, &plan, &rules).unwrap();
    assert_eq!(env.text(&a, "x.json"), "old");
    assert_eq!(env.text(&a, "same.bin"), "same");
}

#[test]
fn snapshots_of_real_files_free_their_own_bytes() {
    let env = TestCache::with(LinkChoice::NoSymlinks).of_home("test");
    let [a, b, c] = three_revisions(&env);
    sweep(&env, &keep(&[&c]));
    assert!(!env.layout().snapshot(&a.listing.commit).exists());
    assert!(!env.layout().snapshot(&b.listing.commit).exists());
    assert_eq!(env.text(&c, "same.bin"), "same");
}

#[cfg(unix)]
#[test]
fn a_blob_that_another_repository_links_to_stays() {
    if !has_blobs() {
        return;
    }
    let mut env = owned_cache();
    let [a, _, c] = three_revisions(&env);
    let borrowed = a.listing.files[1].content;
    let own = env.repo.clone();
    let blob = env.layout().blob(&borrowed);
    env.repo = crate::support::cache::model("acme/fork");
    env.writer();
    std::os::unix::fs::symlink(&blob, env.layout().blob(&borrowed)).unwrap();
    env.repo = own;
    let mut rules = keep(&[&c]);
    rules.used_elsewhere = contents_used_elsewhere(&env.cache, &env.repo).unwrap();
    let plan = sweep(&env, &rules);
    let target = SweepTarget::Blob(borrowed);
    assert_eq!(verdict(&plan, &target), Err(Refusal::UsedElsewhere));
    assert!(blob.exists());
}

#[cfg(unix)]
#[test]
fn the_shared_store_is_left_to_the_official_client() {
    if !has_blobs() {
        return;
    }
    let env = owned_cache();
    let [a, _, c] = three_revisions(&env);
    let content = a.listing.files[1].content;
    let (blob, shared) = (
        env.layout().blob(&content),
        env.cache.root().join("blobs/5a"),
    );
    fs::create_dir_all(&shared).unwrap();
    fs::rename(&blob, shared.join("xet")).unwrap();
    std::os::unix::fs::symlink("../../blobs/5a/xet", &blob).unwrap();
    let plan = sweep(&env, &keep(&[&c]));
    let target = SweepTarget::Blob(content);
    assert_eq!(verdict(&plan, &target), Err(Refusal::SharedStore));
    assert!(blob.exists());
}

#[cfg(unix)]
#[test]
fn a_blob_with_another_name_elsewhere_goes_and_gains_nothing() {
    if !has_blobs() {
        return;
    }
    let env = owned_cache();
    let [a, b, c] = three_revisions(&env);
    let blob = env.layout().blob(&a.listing.files[1].content);
    let other = env.cache.root().join("models--acme--fork/blobs/other");
    crate::support::cache::write(other.clone(), "");
    fs::remove_file(&other).unwrap();
    fs::hard_link(&blob, &other).unwrap();
    let plan = sweep(&env, &keep(&[&b, &c]));
    assert_eq!(plan.freed_bytes, 0);
    assert!(!blob.exists());
    assert_eq!(fs::read_to_string(other).unwrap(), "old");
}

#[cfg(unix)]
#[test]
fn a_kept_revision_that_cannot_be_read_keeps_all_blobs() {
    if !has_blobs() {
        return;
    }
    let env = owned_cache();
    let [a, _, c] = three_revisions(&env);
    let odd = env
        .layout()
        .snapshot(&c.listing.commit)
        .join("linked-folder");
    std::os::unix::fs::symlink(env.layout().blobs(), odd).unwrap();
    let plan = sweep(&env, &keep(&[&c]));
    let target = SweepTarget::Blob(a.listing.files[1].content);
    assert_eq!(verdict(&plan, &target), Err(Refusal::PerhapsInUse));
    assert!(env.layout().blob(&a.listing.files[1].content).exists());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn sweeping_never_takes_a_blob_in_use(
        revisions in prop::collection::vec(prop::collection::btree_map("[a-d]\\.bin", "[x-z]{1,2}", 1..4), 1..5),
        kept in any::<u8>(),
        links in prop::sample::select(vec![LinkChoice::WherePossible, LinkChoice::NoSymlinks, LinkChoice::NoLinks]),
    ) {
        let env = TestCache::with(links).of_home("test");
        let digits = "abcde".chars();
        let commits: Vec<Commit> = revisions.iter().zip(digits).map(|(files, digit)| {
            let files: Vec<(&str, &str)> = files.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
            commit(digit, &files)
        }).collect();
        for commit in &commits {
            env.sync(commit);
        }
        let is_kept = |n: usize| kept >> n & 1 == 1 || n + 1 == commits.len();
        let chosen: Vec<&Commit> = commits.iter().enumerate().filter(|(n, _)| kept >> n & 1 == 1).map(|(_, c)| c).collect();
        let rules = keep(&chosen);
        sweep(&env, &rules);
        for (n, commit) in commits.iter().enumerate() {
            let listing = &commit.listing;
            let whole = snapshot_is_complete(&env.layout(), &listing.commit, &listing.files).unwrap();
            prop_assert_eq!(whole, is_kept(n));
        }
    }
}
