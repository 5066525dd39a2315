//! Commits that upstream has lost: kept, named, and removed only when a person says so.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use hfdl_test_hub::{Api, Fault, On, generated_bytes};
use proptest::prelude::*;
use serde_json::Value;

use crate::support::database::{ask, cell, number};
use crate::support::env::{Ran, TestEnv};

const KIB: usize = 1 << 10;

fn world() -> TestEnv {
    let env = TestEnv::new();
    env.set("HFDL_DISK_RESERVE", "0");
    // A rewritten history would be held otherwise.
    env.set("HFDL_UPDATE_GUARDS", "off");
    env
}

fn publish(env: &TestEnv, n: u64) -> String {
    let draft = env.hub().repo("acme/tiny").commit("main");
    draft
        .file("config.json", b"{}")
        .lfs("model.safetensors", generated_bytes(4 * KIB, n))
        .publish()
}

fn day(env: &TestEnv, n: u32) {
    env.now(&format!(
        "2026-{:02}-{:02}T09:00:00Z",
        3 + n / 28,
        1 + n % 28
    ));
}

fn snapshot(env: &TestEnv, commit: &str) -> PathBuf {
    env.cache()
        .join("models--acme--tiny/snapshots")
        .join(commit)
}

fn is_whole(env: &TestEnv, commit: &str, n: u64) -> bool {
    let file = snapshot(env, commit).join("model.safetensors");
    fs::read(file).ok() == Some(generated_bytes(4 * KIB, n))
}

/// Returns the commits that `status` names.
fn named(env: &TestEnv) -> Vec<String> {
    let status = env.line("status --json").json();
    let copies = status["only_copies"].as_array().unwrap().iter();
    let commit = |copy: &Value| copy["commit"].as_str().unwrap().to_owned();
    copies.map(commit).collect()
}

fn reason(ran: &Ran, commit: &str) -> String {
    let document = ran.json();
    let items = document["items"].as_array().unwrap();
    let item = items.iter().find(|item| item["id"] == commit);
    item.map_or(String::new(), |it| it["reason"].as_str().unwrap().into())
}

/// A model whose first commit is gone upstream, and known to be.
fn with_a_lost_commit() -> (TestEnv, String) {
    let env = world();
    let lost = publish(&env, 0);
    env.line("models add acme/tiny --keep-revisions 1")
        .succeeds();
    env.line("download acme/tiny").succeeds();
    publish(&env, 1);
    env.hub().repo("acme/tiny").forget_commit(&lost);
    day(&env, 1);
    let ran = env.line("download acme/tiny");
    ran.succeeds().explains(&lost);
    (env, lost)
}

#[test]
fn a_commit_that_upstream_has_lost_is_kept_and_named() {
    let (env, lost) = with_a_lost_commit();
    for n in 2..5 {
        publish(&env, n);
        day(&env, n as u32);
        env.line("download acme/tiny").succeeds();
    }
    assert!(is_whole(&env, &lost, 0), "after the runs");
    env.line("prune --yes --keep-revisions 1 --max-size 1")
        .succeeds();
    assert!(is_whole(&env, &lost, 0), "after a prune");
    assert_eq!(named(&env), [lost.as_str()]);
    env.line("status").prints(&lost[..10]).prints("only copies");
    env.line("doctor").prints(&lost[..10]);
    let dry = env.line("prune --dry-run --json");
    assert_eq!(reason(&dry, &lost), "it exists nowhere else any more");
    let left = fs::read_dir(snapshot(&env, "")).unwrap().count();
    assert_eq!(left, 2, "it takes the place of no other revision");
}

#[test]
fn only_copies_go_when_a_person_names_them() {
    let (env, lost) = with_a_lost_commit();
    env.line("prune --only-copies --yes").exits(2);
    env.line("prune acme/tiny --only-copies").exits(2);
    assert!(is_whole(&env, &lost, 0));
    env.line("prune acme/tiny --only-copies --yes").succeeds();
    assert!(!snapshot(&env, &lost).exists());
    assert_eq!(named(&env), Vec::<String>::new());
}

#[test]
fn removing_a_model_with_its_files_names_the_only_copies() {
    let (env, lost) = with_a_lost_commit();
    let ran = env.line("models remove acme/tiny --delete-files --yes");
    ran.succeeds().explains("exists nowhere else any more");
    ran.explains(&lost[..10]);
}

#[test]
fn an_unchanged_model_costs_one_request_and_a_lost_commit_one_more_a_week() {
    let (env, _) = with_a_lost_commit();
    let requests_on = |n: u32| {
        day(&env, n);
        env.hub().forget_requests();
        env.line("download acme/tiny").succeeds();
        env.hub().count(Api::Info)
    };
    let counts: Vec<usize> = [2, 7, 9, 10, 17].map(requests_on).into();
    assert_eq!(counts, [1, 1, 2, 1, 2]);
}

#[test]
fn a_commit_that_is_pinned_or_rolled_back_to_is_named_when_upstream_loses_it() {
    let env = world();
    let first = publish(&env, 0);
    env.line("models add acme/tiny").succeeds();
    env.line("download acme/tiny").succeeds();
    let second = publish(&env, 1);
    day(&env, 1);
    env.line("download acme/tiny").succeeds();
    env.line("models rollback acme/tiny").succeeds();
    env.hub().repo("acme/tiny").forget_commit(&first);
    day(&env, 9);
    env.line("download acme/tiny").succeeds();
    assert_eq!(named(&env), [first.as_str()], "held by a rollback");

    env.line("models release acme/tiny").succeeds();
    env.line("download acme/tiny").succeeds();
    env.line("models set acme/tiny --policy pin").succeeds();
    publish(&env, 2);
    env.line("download acme/tiny").succeeds();
    env.hub().repo("acme/tiny").forget_commit(&second);
    env.line("download acme/tiny").succeeds();
    let mut both = [first.clone(), second];
    both.sort();
    let mut found = named(&env);
    found.sort();
    assert_eq!(found, both, "pinned");

    let pin = format!("models set acme/tiny --policy pin@{first}");
    env.line(&pin).succeeds();
    env.line("download acme/tiny").succeeds();
    let main = env.cache().join("models--acme--tiny/refs/main");
    assert_eq!(std::fs::read_to_string(main).unwrap(), first);
    env.line("download acme/tiny").succeeds();
    assert!(is_whole(&env, &first, 0));
}

#[test]
fn a_repository_that_vanishes_and_comes_back_is_known_as_that() {
    let env = world();
    let commit = publish(&env, 0);
    env.line("models add acme/tiny").succeeds();
    env.line("models add acme/tiny --to copy --name copy")
        .succeeds();
    env.line("download acme/tiny copy").succeeds();
    let hub = env.hub().repo("acme/tiny");
    hub.disabled();
    day(&env, 1);
    env.line("download acme/tiny copy");
    assert_eq!(named(&env), [commit.as_str(), commit.as_str()]);
    env.line("prune --yes --keep-revisions 1").succeeds();
    assert!(is_whole(&env, &commit, 0));
    hub.open();
    day(&env, 2);
    env.line("download acme/tiny copy").succeeds();
    assert_eq!(named(&env), Vec::<String>::new());
    let told = "SELECT count(*) FROM events WHERE kind = 'only-copy'";
    assert_eq!(number(&env, told), 2);
}

#[test]
fn a_run_removes_no_commit_of_which_the_hub_did_not_answer() {
    let env = world();
    let first = publish(&env, 0);
    env.line("models add acme/tiny --keep-revisions 1")
        .succeeds();
    env.line("download acme/tiny").succeeds();
    publish(&env, 1);
    // The first request is about the branch, the second about the old commit.
    let old = On::api(Api::Info).skip(1);
    env.hub().fault(old, Fault::Status(403));
    day(&env, 1);
    env.line("download acme/tiny").succeeds();
    assert!(is_whole(&env, &first, 0), "it may be the only copy");
    assert_eq!(named(&env), Vec::<String>::new(), "no answer is not gone");
    env.hub().heal();
    publish(&env, 2);
    day(&env, 2);
    env.line("download acme/tiny").succeeds();
    assert!(!snapshot(&env, &first).exists(), "the Hub has it still");
}

#[test]
fn a_tag_that_upstream_removed_stays_loadable_by_its_name() {
    let env = world();
    let commit = publish(&env, 0);
    let hub = env.hub().repo("acme/tiny");
    hub.tag("v1", &commit);
    env.line("models add acme/tiny --revision v1 --name tiny")
        .succeeds();
    env.line("download tiny").succeeds();
    hub.delete_revision("v1");
    hub.point("main", &publish(&env, 1)).forget_commit(&commit);
    day(&env, 1);
    env.line("download tiny");
    env.line("prune --yes --keep-revisions 1").succeeds();
    let tag = env.cache().join("models--acme--tiny/refs/v1");
    assert_eq!(fs::read_to_string(tag).unwrap(), commit);
    assert!(is_whole(&env, &commit, 0));
    assert_eq!(named(&env), [commit.as_str()]);
}

/// One thing that happens to a model and its repository.
#[derive(Clone, Debug)]
enum Act {
    Move,
    Download,
    /// The branch moves on, and the model follows.
    Update,
    /// The download of another model that does not fit into the cache.
    DownloadMuch,
    Forget(usize),
    Vanish,
    Return,
    Silent,
    Pin(usize),
    Rollback(usize),
    Release,
    Prune,
    Days(u32),
}

fn act() -> impl Strategy<Value = Act> {
    let number = || 0usize..6;
    prop_oneof![
        1 => Just(Act::Move),
        2 => Just(Act::Download),
        8 => Just(Act::Update),
        2 => Just(Act::DownloadMuch),
        2 => number().prop_map(Act::Forget),
        1 => Just(Act::Vanish),
        2 => Just(Act::Return),
        1 => Just(Act::Silent),
        1 => number().prop_map(Act::Pin),
        1 => number().prop_map(Act::Rollback),
        1 => Just(Act::Release),
        2 => Just(Act::Prune),
        2 => (1u32..9).prop_map(Act::Days),
    ]
}

struct LossyHub {
    env: TestEnv,
    commits: Vec<String>,
    /// The revisions that the hub has no more.
    forgotten: Vec<usize>,
    pinned: Vec<usize>,
    is_gone: bool,
    day: u32,
}

impl LossyHub {
    fn new(keep: u32) -> Self {
        let env = world();
        let mut hub = Self {
            commits: vec![publish(&env, 0)],
            env,
            forgotten: Vec::new(),
            pinned: Vec::new(),
            is_gone: false,
            day: 1,
        };
        hub.env
            .line(&format!(
                "models add acme/tiny --name m --keep-revisions {keep}"
            ))
            .succeeds();
        let big = hub.env.hub().repo("acme/big").commit("main");
        big.lfs("big.bin", generated_bytes(12 * KIB, 99)).publish();
        hub.env.line("models add acme/big --name big").succeeds();
        hub.line("download m");
        hub
    }

    fn line(&mut self, line: &str) -> Ran {
        self.day += 1;
        day(&self.env, self.day);
        self.env.line(line)
    }

    fn act(&mut self, act: &Act) -> Option<Ran> {
        let hub = self.env.hub().repo("acme/tiny");
        let newest = self.commits.len() - 1;
        match act {
            Act::Move if self.is_gone => {}
            Act::Move => {
                let n = self.commits.len() as u64;
                self.commits.push(publish(&self.env, n));
            }
            Act::Download => return Some(self.line("download m")),
            Act::Update => {
                self.act(&Act::Move);
                return Some(self.line("download m"));
            }
            Act::DownloadMuch => {
                let used: u64 = crate::support::sound::files_below(&self.env.cache())
                    .iter()
                    .map(|path| fs::symlink_metadata(path).map_or(0, |it| it.len()))
                    .sum();
                let max = used + 9 * KIB as u64;
                let line = format!("download big -c prune.auto=on -c cache.max_size={max}");
                let ran = self.line(&line);
                fs::remove_dir_all(self.env.cache().join("models--acme--big")).ok();
                return Some(ran);
            }
            Act::Forget(n) if n % self.commits.len() != newest => {
                let n = n % self.commits.len();
                hub.forget_commit(&self.commits[n]);
                self.forgotten.push(n);
            }
            Act::Forget(_) => {}
            Act::Vanish => {
                hub.disabled();
                self.is_gone = true;
            }
            Act::Return => {
                hub.open();
                self.env.hub().heal();
                self.is_gone = false;
            }
            Act::Silent => {
                let old = On::api(Api::Info).skip(1);
                self.env.hub().fault(old, Fault::Status(403));
            }
            Act::Pin(n) => {
                let n = n % self.commits.len();
                let commit = self.commits[n].clone();
                let add = "models add acme/tiny --no-check --revision";
                self.line(&format!("{add} {commit} --name pin{n}"));
                self.pinned.push(n);
            }
            Act::Rollback(n) => {
                let commit = self.commits[n % self.commits.len()].clone();
                return Some(self.line(&format!("models rollback m --to {commit}")));
            }
            Act::Release => return Some(self.line("models release m")),
            Act::Prune => return Some(self.line("prune --yes --keep-revisions 1")),
            Act::Days(n) => self.day += n,
        }
        None
    }

    /// Returns the revisions on disk that no command may take: pinned, held, known as
    /// only copies, and for a run all that the hub has lost.
    fn protected(&self, act: &Act) -> BTreeMap<usize, &'static str> {
        let commits = self.commits.iter().enumerate();
        let whole = commits.filter(|(n, commit)| is_whole(&self.env, commit, *n as u64));
        let gone = "SELECT commit_sha FROM model_revisions WHERE gone_upstream_at IS NOT NULL";
        let known = ask(&self.env, gone);
        let state = |column: &str| {
            let sql = format!("SELECT coalesce({column}, '') FROM models WHERE name = 'm'");
            cell(&self.env, &sql)
        };
        let (held, published) = (state("held_commit"), state("published_commit"));
        let is_by_hand = matches!(act, Act::Prune);
        let may_update = matches!(act, Act::Download | Act::Update);
        let why = |n: usize, commit: &String| {
            let is_lost = self.forgotten.contains(&n) || self.is_gone;
            if self.pinned.contains(&n) {
                Some("pinned")
            } else if known.contains(commit) && (is_by_hand || is_lost) {
                // A run asks the Hub again, which may have it once more.
                Some("a known only copy")
            } else if held == *commit {
                Some("held")
            } else if !may_update && published == *commit {
                Some("published")
            } else {
                (is_lost && !is_by_hand).then_some("an only copy")
            }
        };
        whole
            .filter_map(|(n, commit)| Some((n, why(n, commit)?)))
            .collect()
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 6,
        failure_persistence: None,
        max_shrink_iters: 30,
        ..ProptestConfig::default()
    })]

    #[test]
    fn no_sequence_of_commands_loses_a_protected_commit(
        keep in prop::sample::select(vec![1u32, 4]),
        acts in prop::collection::vec(act(), 8..18),
    ) {
        let mut world = LossyHub::new(keep);
        let mut done = Vec::new();
        for act in &acts {
            done.push(act);
            let protected = world.protected(act);
            let ran = world.act(act);
            for (n, why) in protected {
                let commit = &world.commits[n];
                let report = ran.as_ref().map_or(String::new(), Ran::report);
                prop_assert!(is_whole(&world.env, commit, n as u64),
                    "revision {n}, {why}, is gone after {done:?}\n{report}");
            }
        }
    }
}
