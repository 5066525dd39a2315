//! `hfdl prune`, and what a run's end lets go of by itself.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
#[cfg(target_os = "linux")]
use std::process::{Command, Stdio};

use hfdl_test_hub::generated_bytes;
use serde_json::Value;

use crate::support::cache::has_blobs;
use crate::support::database::number;
use crate::support::env::{Ran, TestEnv};
use crate::support::sound::{Truth, damage, files_below, open_runs};

/// The steps of a prune, from the first that changes anything to the last.
const STEPS: &[&str] = &[
    "one revision set aside",
    "revisions set aside",
    "one blob swept",
    "blobs swept",
    "listings swept",
    "trash emptied",
    "swept",
    "revisions forgotten",
];

fn steps() -> impl Iterator<Item = &'static str> {
    let is_reached = |step: &&str| has_blobs() || *step != "one blob swept";
    STEPS.iter().copied().filter(is_reached)
}

/// The revision whose file is large enough to be continued.
const LARGE: u8 = 200;

const SHARED: &[u8] = b"the same in every revision";

fn world() -> TestEnv {
    let env = TestEnv::new();
    env.set("HFDL_DISK_RESERVE", "0");
    env
}

#[test]
fn folders_in_which_a_killed_process_tried_the_file_system_are_removed() {
    let env = world();
    publish(&env, "main", 1, &mut Truth::new());
    env.line("models add acme/tiny").succeeds();
    env.line("download acme/tiny").succeeds();
    let private = env.cache().join("models--acme--tiny/.hfdl");
    let homes = fs::read_dir(private.join("homes")).unwrap();
    let homes: Vec<PathBuf> = homes.map(|entry| entry.unwrap().path()).collect();
    let probes = [&private, &homes[0]].map(|folder| folder.join("tmp-0123456789abcdef"));
    for probe in &probes {
        fs::create_dir_all(probe.join("links/commit")).unwrap();
        fs::write(probe.join("file"), "linked").unwrap();
    }
    env.line("prune --yes").succeeds();
    for probe in &probes {
        assert!(!probe.exists(), "{}", probe.display());
    }
}

/// Publishes one more commit: a file that never changes, and one of `n` KiB that does.
fn publish(env: &TestEnv, branch: &str, n: u8, truth: &mut Truth) -> String {
    // Files of more than a MiB are those that a later run can go on with.
    let size = if n == LARGE {
        2 << 20
    } else {
        usize::from(n) * 1024
    };
    let large = generated_bytes(size, u64::from(n));
    let commit = env
        .hub()
        .repo("acme/tiny")
        .commit(branch)
        .file("config.json", SHARED)
        .lfs("model.safetensors", large.clone())
        .publish();
    let files = [
        ("config.json".to_owned(), SHARED.to_vec()),
        ("model.safetensors".to_owned(), large),
    ];
    truth.insert(commit.clone(), files.into());
    commit
}

/// Returns the bytes of the revisions that have these numbers, besides a blob that they
/// share with others.
fn own_bytes(revisions: std::ops::RangeInclusive<usize>) -> usize {
    let each = if has_blobs() { 0 } else { SHARED.len() };
    revisions.map(|n| n * 1024 + each).sum()
}

fn kib(bytes: usize) -> String {
    format!("{:.2} KiB", bytes as f64 / 1024.0)
}

fn day(n: u8) -> String {
    format!("2026-03-{n:02}T09:00:00Z")
}

/// Lets a model have so many revisions, one a day, and keeps them all.
fn with_revisions(env: &TestEnv, n: u8, truth: &mut Truth) -> Vec<String> {
    env.hub();
    env.line("models add acme/tiny --no-check").succeeds();
    env.set("HFDL_KEEP_REVISIONS", "100");
    let mut commits = Vec::new();
    for turn in 1..=n {
        commits.push(publish(env, "main", turn, truth));
        env.now(&day(turn));
        env.line("download acme/tiny").succeeds();
    }
    env.unset("HFDL_KEEP_REVISIONS");
    assert_eq!(on_disk(env).len(), usize::from(n));
    commits
}

fn folder(env: &TestEnv) -> PathBuf {
    env.cache().join("models--acme--tiny")
}

/// Returns a file of this home's record in the repository's folder.
fn record(env: &TestEnv, name: &str) -> PathBuf {
    let homes = folder(env).join(".hfdl/homes");
    let home = names(&homes).pop().unwrap();
    homes.join(home).join(name)
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

fn on_disk(env: &TestEnv) -> Vec<String> {
    names(&folder(env).join("snapshots"))
}

fn sorted(commits: &[String]) -> Vec<String> {
    let mut commits = commits.to_vec();
    commits.sort();
    commits
}

fn is_sound(env: &TestEnv, truth: &Truth, ran: &Ran) {
    damage(env, truth).unwrap_or_else(|problem| panic!("{problem}\n{}", ran.report()));
}

/// Returns what the document says of one thing: verdict and reason.
fn said(document: &Value, id: &str) -> (String, String) {
    let items = document["items"].as_array().unwrap();
    let item = items.iter().find(|item| item["id"] == id);
    let item = item.unwrap_or_else(|| panic!("nothing about {id} in {document:#}"));
    let text = |name: &str| item[name].as_str().unwrap().to_owned();
    (text("verdict"), text("reason"))
}

fn remembered(env: &TestEnv) -> i64 {
    number(env, "SELECT count(*) FROM model_revisions")
}

#[test]
fn of_five_revisions_the_two_newest_stay_and_so_does_what_they_share() {
    let (env, mut truth) = (world(), Truth::new());
    let commits = with_revisions(&env, 5, &mut truth);
    let before = files_below(&env.cache());

    let dry = env.line("prune --dry-run --json").succeeds().json();
    assert_eq!(files_below(&env.cache()), before, "a dry run only looks");
    assert_eq!(dry["dry_run"], true);
    assert_eq!(dry["freed_bytes"], own_bytes(1..=3));

    let ran = env.line("prune --yes --json");
    let report = ran.succeeds().silently().json();
    assert_eq!(on_disk(&env), sorted(&commits[3..]));
    assert_eq!(report["freed_bytes"], dry["freed_bytes"]);
    assert_eq!(report["items"], dry["items"], "the dry run told the truth");
    for (commit, verdict, reason) in [
        (&commits[0], "remove", "older than the revisions to keep"),
        (&commits[2], "remove", "older than the revisions to keep"),
        (&commits[3], "keep", "it is the revision to go back to"),
        (&commits[4], "keep", "it is the published revision"),
    ] {
        assert_eq!(said(&report, commit), (verdict.into(), reason.into()));
    }
    let order = report["items"].as_array().unwrap().iter();
    let order: Vec<&str> = order.map(|item| item["id"].as_str().unwrap()).collect();
    assert_eq!(order, commits, "oldest first");
    let fields = report["items"][0].as_object().unwrap().keys();
    let fields: Vec<&str> = fields.map(String::as_str).collect();
    let expected = [
        "model",
        "repo",
        "kind",
        "what",
        "id",
        "size",
        "verdict",
        "reason",
        "held_commit",
    ];
    assert_eq!(fields, expected);
    is_sound(&env, &truth, &ran);
    assert_eq!(remembered(&env), 2);
    let events = format!(
        "SELECT count(*) FROM events WHERE kind = 'pruned' AND run_id IS NOT NULL
        AND model_id IS NOT NULL AND detail LIKE '%3 revision(s), {} freed'",
        kib(own_bytes(1..=3))
    );
    assert_eq!(number(&env, &events), 1);
    let runs = "SELECT count(*) FROM runs WHERE command = 'prune' AND outcome = 'ok'";
    assert_eq!(number(&env, runs), 1);

    let blobs = names(&folder(&env).join("blobs"));
    let n_blobs = if has_blobs() { 3 } else { 0 };
    assert_eq!(blobs.len(), n_blobs, "{blobs:?}");
    let again = env.line("prune --yes --json").succeeds().json();
    assert_eq!(again["freed_bytes"], 0, "nothing is left to do");
}

#[test]
fn a_run_that_publishes_lets_the_oldest_go_by_itself() {
    let (env, mut truth) = (world(), Truth::new());
    env.hub();
    env.line("models add acme/tiny --no-check").succeeds();
    let mut commits = Vec::new();
    for turn in 1..=5 {
        commits.push(publish(&env, "main", turn, &mut truth));
        env.now(&day(turn));
        let ran = env.line("download acme/tiny");
        ran.succeeds().silently();
        is_sound(&env, &truth, &ran);
        let kept = commits.len().saturating_sub(2);
        assert_eq!(on_disk(&env), sorted(&commits[kept..]));
    }
    assert_eq!(remembered(&env), 2);
    assert_eq!(
        number(&env, "SELECT count(*) FROM events WHERE kind = 'pruned'"),
        3
    );
}

#[test]
fn a_run_that_publishes_nothing_removes_no_revision() {
    let (env, mut truth) = (world(), Truth::new());
    let commits = with_revisions(&env, 3, &mut truth);
    env.line("download acme/tiny").succeeds();
    assert_eq!(on_disk(&env), sorted(&commits), "up to date: nothing goes");
    // An unregistered download is nobody's revision.
    env.line("models remove acme/tiny --yes").succeeds();
    publish(&env, "main", 4, &mut truth);
    env.line("download acme/tiny").succeeds();
    assert_eq!(on_disk(&env).len(), 4);
}

#[test]
fn one_kept_revision_leaves_no_rollback_target() {
    let (env, mut truth) = (world(), Truth::new());
    let commits = with_revisions(&env, 3, &mut truth);
    env.line("models set acme/tiny --keep-revisions 1")
        .succeeds();
    let ran = env.line("prune acme/tiny --yes");
    ran.succeeds()
        .prints(&format!("{} freed", kib(own_bytes(1..=2))));
    assert_eq!(on_disk(&env), commits[2..]);
    is_sound(&env, &truth, &ran);
}

#[test]
fn revisions_that_another_program_needs_stay() {
    let (env, mut truth) = (world(), Truth::new());
    let commits = with_revisions(&env, 5, &mut truth);
    fs::write(folder(&env).join("refs/v1"), &commits[0]).unwrap();
    // Another program's snapshot of a commit that the model has had, too.
    fs::remove_file(record(&env, &commits[1])).unwrap();
    let strangers = "9".repeat(40);
    let theirs = folder(&env).join("snapshots").join(&strangers);
    fs::create_dir(&theirs).unwrap();
    fs::write(theirs.join("notes.txt"), "x").unwrap();

    let ran = env.line("prune --yes --json");
    let report = ran.succeeds().json();
    let keep = |reason: &str| ("keep".to_owned(), reason.to_owned());
    assert_eq!(
        said(&report, &commits[0]),
        keep("a branch or tag points to it")
    );
    assert_eq!(
        said(&report, &commits[1]),
        keep("another program put it there")
    );
    assert_eq!(
        said(&report, &strangers),
        keep("another program put it there")
    );
    assert_eq!(said(&report, &commits[2]).0, "remove");
    assert_eq!(on_disk(&env).len(), 5, "{}", ran.report());
    is_sound(&env, &truth, &ran);
}

#[cfg(target_os = "linux")]
#[test]
fn an_open_file_protects_its_revision_until_it_is_closed() {
    let (env, mut truth) = (world(), Truth::new());
    let commits = with_revisions(&env, 4, &mut truth);
    let file = |n: usize, name: &str| {
        let snapshot = folder(&env).join("snapshots").join(&commits[n]);
        File::open(snapshot.join(name)).unwrap()
    };
    // One reads a model, the other a file that the newest revision has as well: the same
    // blob, or without links one of its own.
    let read = |file: File| {
        Command::new("sleep")
            .arg("60")
            .stdin(Stdio::from(file))
            .spawn()
    };
    let mut readers = [
        read(file(0, "model.safetensors")).unwrap(),
        read(file(1, "config.json")).unwrap(),
    ];
    let ran = env.line("prune --yes --json");
    readers.iter_mut().for_each(|reader| reader.kill().unwrap());
    readers.iter_mut().for_each(|reader| drop(reader.wait()));
    let report = ran.succeeds().json();
    let open = ("keep".to_owned(), "another program has it open".to_owned());
    assert_eq!(said(&report, &commits[0]), open);
    if has_blobs() {
        assert_eq!(said(&report, &commits[1]).0, "remove");
    } else {
        assert_eq!(said(&report, &commits[1]), open);
    }
    is_sound(&env, &truth, &ran);
    env.line("prune --yes").succeeds();
    assert_eq!(on_disk(&env), sorted(&commits[2..]));
}

#[test]
fn a_prune_killed_at_any_step_is_healed_by_the_next() {
    let n_blobs = if has_blobs() { 3 } else { 0 };
    for step in steps() {
        let (env, mut truth) = (world(), Truth::new());
        let commits = with_revisions(&env, 4, &mut truth);
        env.set("HFDL_TEST_CRASH_AT", step);
        let killed = env.line("prune --yes");
        assert_ne!(killed.code(), Some(0), "{step} was not reached");
        is_sound(&env, &truth, &killed);
        env.unset("HFDL_TEST_CRASH_AT");
        let ran = env.line("prune --yes");
        ran.succeeds();
        is_sound(&env, &truth, &ran);
        assert_eq!(on_disk(&env), sorted(&commits[2..]), "{step}");
        assert_eq!(names(&folder(&env).join("blobs")).len(), n_blobs, "{step}");
        let private = names(&folder(&env).join(".hfdl"));
        assert_eq!(private, ["homes", "trees"], "{step}");
        assert_eq!(names(&folder(&env).join(".hfdl/trees")).len(), 2, "{step}");
        assert_eq!((remembered(&env), open_runs(&env)), (2, 0), "{step}");
    }
}

#[test]
fn a_run_killed_while_it_lets_go_leaves_a_whole_cache() {
    for step in steps() {
        let (env, mut truth) = (world(), Truth::new());
        let mut commits = with_revisions(&env, 2, &mut truth);
        commits.push(publish(&env, "main", 3, &mut truth));
        env.now(&day(3)).set("HFDL_TEST_CRASH_AT", step);
        let killed = env.line("download acme/tiny");
        assert_ne!(killed.code(), Some(0), "{step} was not reached");
        is_sound(&env, &truth, &killed);
        env.unset("HFDL_TEST_CRASH_AT");
        commits.push(publish(&env, "main", 4, &mut truth));
        let ran = env.now(&day(4)).line("download acme/tiny");
        ran.succeeds().silently();
        is_sound(&env, &truth, &ran);
        assert_eq!(on_disk(&env), sorted(&commits[2..]), "{step}");
        assert_eq!((remembered(&env), open_runs(&env)), (2, 0), "{step}");
    }
}

#[test]
fn models_of_one_repository_keep_together_what_each_of_them_keeps() {
    let (env, mut truth) = (world(), Truth::new());
    let mains = with_revisions(&env, 3, &mut truth);
    env.line("models add acme/tiny --revision dev --name dev --keep-revisions 3 --no-check")
        .succeeds();
    env.set("HFDL_KEEP_REVISIONS", "100");
    let mut devs = Vec::new();
    for turn in 11..=13 {
        devs.push(publish(&env, "dev", turn, &mut truth));
        env.now(&day(turn)).line("download dev").succeeds();
    }
    env.unset("HFDL_KEEP_REVISIONS");
    // Of the other model nothing goes, whatever is asked for this one.
    let ran = env.line("prune acme/tiny --keep-revisions 1 --yes --json");
    let report = ran.succeeds().json();
    assert_eq!(said(&report, &devs[0]).0, "keep");
    assert_eq!(on_disk(&env), sorted(&[&mains[1..], &devs[..]].concat()));
    is_sound(&env, &truth, &ran);
    let ran = env.line("prune dev --keep-revisions 1 --yes --json");
    ran.succeeds();
    assert_eq!(on_disk(&env), sorted(&[&mains[1..], &devs[1..]].concat()));
    is_sound(&env, &truth, &ran);
}

#[test]
fn young_revisions_beyond_the_number_to_keep_stay() {
    let (env, mut truth) = (world(), Truth::new());
    let commits = with_revisions(&env, 5, &mut truth);
    let ran = env.line("prune --older-than 3d --yes --json");
    let report = ran.succeeds().json();
    let young = (
        "keep".to_owned(),
        "it is younger than what may go".to_owned(),
    );
    assert_eq!(said(&report, &commits[0]).0, "remove");
    assert_eq!(said(&report, &commits[1]), young, "just three days old");
    assert_eq!(on_disk(&env), sorted(&commits[1..]));
}

#[test]
fn the_oldest_revisions_are_removed_until_the_rest_fits_and_protected_ones_stay() {
    let (env, mut truth) = (world(), Truth::new());
    let commits = with_revisions(&env, 5, &mut truth);
    env.line("models set acme/tiny --keep-revisions 100")
        .succeeds();
    let small = env.line("prune --max-size 13K --yes --json");
    let report = small.succeeds().silently().json();
    let reason = "the oldest, and more is there than may be";
    assert_eq!(said(&report, &commits[1]), ("remove".into(), reason.into()));
    assert_eq!(on_disk(&env), sorted(&commits[2..]));
    let shared = if has_blobs() { SHARED.len() } else { 0 };
    assert_eq!(report["bytes_left"], own_bytes(3..=5) + shared);
    is_sound(&env, &truth, &small);

    let impossible = env.line("prune --max-size 1K --yes");
    impossible
        .succeeds()
        .explains("which is more than 1.00 KiB");
    assert_eq!(on_disk(&env), sorted(&commits[3..]), "the way back stays");
    is_sound(&env, &truth, &impossible);
}

#[test]
fn without_yes_and_a_terminal_nothing_is_removed() {
    let (env, mut truth) = (world(), Truth::new());
    let commits = with_revisions(&env, 3, &mut truth);
    env.line("prune").exits(2).explains("add `--yes`");
    assert_eq!(on_disk(&env), sorted(&commits));
    let held = File::create(env.home().join("run.lock")).unwrap();
    held.lock().unwrap();
    env.line("prune --yes")
        .exits(11)
        .explains("another run holds the lock");
    assert_eq!(on_disk(&env), sorted(&commits));
    env.line("prune --dry-run").succeeds();
}

#[test]
fn without_a_database_there_is_nothing_to_look_at() {
    let env = world();
    let ran = env.line("prune --dry-run");
    ran.succeeds().prints("0 B would be freed");
    assert!(!env.home().exists());
}

/// Starts a download that ends at its budget, so that a partial file is left.
fn leave_a_partial(env: &TestEnv) {
    env.line("download acme/tiny --max-transfer 1M").exits(8);
}

fn partials(root: &Path) -> usize {
    let files = files_below(root);
    let is_partial = |path: &&PathBuf| path.to_string_lossy().ends_with(".incomplete");
    files.iter().filter(is_partial).count()
}

#[test]
fn a_begun_download_stays_until_nothing_can_go_on_with_it() {
    for to in ["", " --to plain"] {
        let (env, mut truth) = (world(), Truth::new());
        publish(&env, "main", LARGE, &mut truth);
        env.line(&format!("models add acme/tiny --no-check{to}"))
            .succeeds();
        leave_a_partial(&env);
        let place = match to {
            "" => env.cache(),
            _ => env.root().join("work/plain"),
        };
        assert_eq!(partials(&place), 1);
        let kept = env.line("prune --yes --json").succeeds().json();
        let begun = kept["items"].as_array().unwrap();
        // The small file may have arrived, and waits for the large one then.
        let whats = begun.iter().filter_map(|item| item["what"].as_str());
        let whats: BTreeSet<&str> = whats.collect();
        assert!(whats.contains("partial"), "{whats:?}");
        assert!(
            whats.is_subset(&BTreeSet::from(["blob", "partial"])),
            "{whats:?}"
        );
        for item in begun {
            assert_eq!(item["reason"], "an interrupted download may continue it");
        }
        assert_eq!(partials(&place), 1);

        // The repository moves on, and what was begun is of no use any more.
        publish(&env, "main", 3, &mut truth);
        env.line("download acme/tiny").succeeds();
        assert_eq!(partials(&place), 0);
        let gone = env.line("prune --yes --json").succeeds().json();
        assert_eq!(gone["freed_bytes"], 0, "{gone:#}");
    }
}

#[test]
fn a_file_fetched_by_hand_does_not_end_a_begun_download() {
    let (env, mut truth) = (world(), Truth::new());
    publish(&env, "main", LARGE, &mut truth);
    env.line("models add acme/tiny --no-check").succeeds();
    leave_a_partial(&env);
    env.line("download acme/tiny config.json").succeeds();
    env.line("prune --yes").succeeds();
    assert_eq!(partials(&env.cache()), 1);
}

#[test]
fn a_partial_file_of_another_home_stays() {
    let (env, mut truth) = (world(), Truth::new());
    with_revisions(&env, 1, &mut truth);
    let partial = folder(&env).join(format!(".hfdl/{}.incomplete", "5".repeat(64)));
    fs::write(&partial, "half").unwrap();
    let lock = File::create(partial.with_extension("incomplete.lock")).unwrap();
    lock.lock().unwrap();
    env.line("prune --yes").succeeds();
    assert!(partial.exists());
    drop(lock);
    let told = env.line("prune --yes --json").succeeds().json();
    let id = format!("sha256:{}", "5".repeat(64));
    assert_eq!(said(&told, &id).1, "another program put it there");
    assert!(partial.exists(), "whose it is does not hang on a lock");
}

#[test]
fn bytes_with_a_wrong_hash_go_when_asked() {
    let (env, mut truth) = (world(), Truth::new());
    let commits = with_revisions(&env, 3, &mut truth);
    let evidence = folder(&env).join(format!(".hfdl/{}.incomplete.bad", "5".repeat(64)));
    fs::write(&evidence, "wrong").unwrap();
    fs::write(
        record(&env, "begun"),
        format!("earlier {}\n", "5".repeat(64)),
    )
    .unwrap();
    publish(&env, "main", 4, &mut truth);
    env.now(&day(4)).line("download acme/tiny").succeeds();
    assert!(evidence.exists(), "a run leaves it to be looked at");
    assert!(!on_disk(&env).contains(&commits[0]));
    let report = env.line("prune --yes --json").succeeds().json();
    let id = format!("sha256:{}", "5".repeat(64));
    assert_eq!(said(&report, &id).1, "its bytes have a wrong hash");
    assert!(!evidence.exists());
}

#[test]
fn old_history_is_removed_only_when_no_model_is_named() {
    let (env, mut truth) = (world(), Truth::new());
    with_revisions(&env, 2, &mut truth);
    env.now("2027-03-01T09:00:00Z");
    let logs = || names(&env.home().join("logs")).len();
    assert_eq!(logs(), 2);
    env.line("prune acme/tiny --yes --json").succeeds();
    assert_eq!(number(&env, "SELECT count(*) FROM sessions"), 2);
    let dry = env.line("prune --dry-run --json").succeeds().json();
    let ran = env.line("prune --yes --json");
    let report = ran.succeeds().json();
    // The newest session of each model stays, and its run with it.
    let expected = [("sessions", 1), ("runs", 1), ("logs", 2)];
    for (name, number) in expected {
        assert_eq!(report["history"][name], number, "{name} {}", ran.report());
        assert_eq!(dry["history"][name], number, "{name}");
    }
    assert_eq!(number(&env, "SELECT count(*) FROM sessions"), 1);
}

#[test]
fn a_run_s_end_lets_old_sessions_and_logs_go() {
    let (env, mut truth) = (world(), Truth::new());
    with_revisions(&env, 2, &mut truth);
    let count = || {
        let logs = names(&env.home().join("logs")).len();
        (number(&env, "SELECT count(*) FROM sessions"), logs)
    };
    assert_eq!(count(), (2, 2));
    env.now("2027-03-01T09:00:00Z");
    env.line("download acme/tiny").succeeds();
    assert_eq!(count(), (3, 3), "the clock may be wrong");
    env.line("download acme/tiny").succeeds();
    assert_eq!(count(), (2, 2), "a second run agrees about the date");
}

#[test]
fn the_table_says_why_and_how_much() {
    let (env, mut truth) = (world(), Truth::new());
    let commits = with_revisions(&env, 3, &mut truth);
    let ran = env.line("prune --dry-run");
    let short = |n: usize| &commits[n][..10];
    let size = |n: usize| kib(own_bytes(n..=n));
    let expected = format!(
        "MODEL      WHAT      ID              SIZE  VERDICT  REASON
acme/tiny  revision  {}  {}  remove   older than the revisions to keep
acme/tiny  revision  {}  {}  keep     it is the revision to go back to
acme/tiny  revision  {}  {}  keep     it is the published revision

{} would be freed
",
        short(0),
        size(1),
        short(1),
        size(2),
        short(2),
        size(3),
        size(1)
    );
    assert_eq!(ran.succeeds().stdout(), expected);
}
