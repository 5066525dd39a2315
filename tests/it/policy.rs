//! Update policies against a real hub: pin, approve, delay, tags, and models that share a
//! ref.

use std::fs;

use hfdl_test_hub::Api;
use serde_json::Value;

use crate::support::database::number;
use crate::support::due::roomy_world;
use crate::support::env::{Ran, TestEnv};

/// A world with the model `acme/tiny`, published once on day 1 under these flags.
fn world(flags: &str) -> (TestEnv, String) {
    let env = roomy_world();
    let first = push(&env, "1");
    env.line(&format!("models add acme/tiny {flags}"))
        .succeeds();
    env.line("schedules add often --every 6h --all").succeeds();
    assert_eq!(outcome(&night(&env, 1)), "updated");
    (env, first)
}

/// Publishes a new commit upstream; returns it.
fn push(env: &TestEnv, text: &str) -> String {
    let draft = env.hub().repo("acme/tiny").commit("main");
    draft.title(text).file("config.json", text).publish()
}

/// Runs what is due on a day of March.
fn night(env: &TestEnv, day: u8) -> Ran {
    env.hub().forget_requests();
    let ran = env
        .now(&format!("2026-03-{day:02}T09:00:00Z"))
        .line("run-due --trigger ci --json");
    ran.succeeds();
    ran
}

fn session(ran: &Ran) -> Value {
    ran.json()["sessions"][0].clone()
}

fn outcome(ran: &Ran) -> String {
    session(ran)["outcome"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

fn shown(env: &TestEnv, name: &str) -> Value {
    env.line(&format!("models show {name} --json")).json()
}

fn published(env: &TestEnv) -> String {
    let shown = shown(env, "acme/tiny");
    let published = shown["published_commit"].as_str().unwrap().to_owned();
    assert_eq!(main_ref(env), published, "readers get it");
    published
}

fn main_ref(env: &TestEnv) -> String {
    fs::read_to_string(env.cache().join("models--acme--tiny/refs/main")).unwrap()
}

fn requests(env: &TestEnv) -> Vec<Api> {
    env.hub()
        .requests()
        .iter()
        .map(|request| request.api)
        .collect()
}

fn outdated(env: &TestEnv) -> Value {
    env.line("models outdated --json").json()["models"][0].clone()
}

#[test]
fn a_pinned_model_stays_and_tells_that_upstream_has_more() {
    let (env, first) = world("--policy pin --keep-revisions 1");
    let newer = push(&env, "2");
    for day in 2..4 {
        assert_eq!(outcome(&night(&env, day)), "up-to-date");
        assert_eq!(requests(&env), [Api::Info], "one request");
    }
    assert_eq!(published(&env), first);
    let shown = shown(&env, "acme/tiny");
    assert_eq!(shown["pinned_commit"], *first);
    assert_eq!(shown["pinned_by"], "policy");
    assert_eq!(
        (&shown["state"], &shown["held_update"]),
        (&"ok".into(), &Value::Null)
    );
    env.line("status").succeeds();
    let outdated = outdated(&env);
    assert_eq!(outdated["state"], "outdated");
    assert_eq!(outdated["upstream_commit"], *newer);
    assert_eq!(outdated["pinned_commit"], *first);
    assert!(
        env.line("models outdated")
            .stdout()
            .contains("outdated, pinned")
    );
    assert_eq!(
        number(&env, "SELECT count(*) FROM events WHERE kind = 'held'"),
        0
    );

    // Another policy takes effect with the next run.
    env.line("models set acme/tiny --policy follow").succeeds();
    assert_eq!(outcome(&night(&env, 5)), "updated");
    assert_eq!(published(&env), newer);
    assert_eq!(self::shown(&env, "acme/tiny")["pinned_commit"], Value::Null);
}

#[test]
fn a_pin_may_name_a_commit_by_its_first_digits() {
    let env = roomy_world();
    let first = push(&env, "1");
    push(&env, "2");
    env.line(&format!(
        "models add acme/tiny --policy pin@{}",
        &first[..8]
    ))
    .succeeds();
    env.line("schedules add often --every 6h --all").succeeds();
    assert_eq!(outcome(&night(&env, 1)), "updated");
    assert_eq!(published(&env), first);
    assert_eq!(shown(&env, "acme/tiny")["pinned_commit"], *first);
    assert_eq!(outcome(&night(&env, 2)), "up-to-date");
    assert_eq!(requests(&env), [Api::Info]);

    // Without the Hub a commit is not looked for, and the next run finds none.
    env.set("HF_HUB_OFFLINE", "1");
    env.line("models set acme/tiny --policy pin@0123456789")
        .succeeds()
        .explains("the next run looks for the commit 0123456789, and not now");
    env.unset("HF_HUB_OFFLINE");
    let missed = env.now("2026-03-03T09:00:00Z").line("run-due --json");
    assert_eq!(outcome(&missed), "failed");
    let error = session(&missed)["error"].to_string();
    assert!(
        error.contains("no commit of `main` begins with 0123456789"),
        "{error}"
    );
    assert_eq!(published(&env), first);
}

#[test]
fn a_pin_at_a_commit_that_exists_nowhere_is_refused() {
    let (env, first) = world("--keep-revisions 5");
    let second = push(&env, "2");
    night(&env, 2);
    env.hub().repo("acme/tiny").forget_commit(&first);
    let before = shown(&env, "acme/tiny");
    let missing = "0123456789".repeat(4);
    for digits in [&missing[..8], &missing] {
        env.line(&format!("models set acme/tiny --policy pin@{digits}"))
            .exits(2)
            .explains(&format!(
                "neither the Hub nor this disk has commit {digits} of `acme/tiny`"
            ));
    }
    assert_eq!(shown(&env, "acme/tiny"), before, "nothing was changed");
    // The Hub has the one, and this disk the other; neither needs the other side.
    env.line(&format!(
        "models set acme/tiny --policy pin@{}",
        &second[..9]
    ))
    .succeeds();
    assert_eq!(shown(&env, "acme/tiny")["pinned_commit"], *second);
    env.set("HF_HUB_OFFLINE", "1");
    env.line(&format!(
        "models set acme/tiny --policy pin@{}",
        &first[..9]
    ))
    .succeeds()
    .silently();
    env.unset("HF_HUB_OFFLINE");
    assert_eq!(shown(&env, "acme/tiny")["pinned_commit"], *first);
    assert_eq!(outcome(&night(&env, 3)), "updated");
    assert_eq!(published(&env), first);
    let ran = night(&env, 4);
    assert_eq!(outcome(&ran), "up-to-date");
    let error = session(&ran)["error"].to_string();
    assert!(
        error.contains("the pinned commit is gone upstream"),
        "{error}"
    );
}

#[test]
fn a_pinned_commit_that_vanished_upstream_stays_whole() {
    let (env, first) = world("--policy pin");
    push(&env, "2");
    env.hub().repo("acme/tiny").forget_commit(&first);
    let ran = night(&env, 2);
    assert_eq!(outcome(&ran), "up-to-date");
    let error = session(&ran)["error"].to_string();
    assert!(
        error.contains("the pinned commit is gone upstream"),
        "{error}"
    );
    assert_eq!(published(&env), first);
    assert!(
        env.cache()
            .join(format!("models--acme--tiny/snapshots/{first}/config.json"))
            .exists()
    );
    assert_eq!(shown(&env, "acme/tiny")["state"], "ok");
    let text = env.line("models show acme/tiny");
    assert!(
        text.stdout().contains("the pinned commit is gone upstream"),
        "{}",
        text.report()
    );
}

#[test]
fn a_pin_before_the_first_download_is_the_first_commit_that_was_seen() {
    let env = roomy_world();
    let draft = env.hub().repo("acme/tiny").commit("main");
    let large = hfdl_test_hub::generated_bytes(3 << 20, 1);
    let first = draft.lfs("model.safetensors", large).publish();
    env.line("models add acme/tiny --policy pin").succeeds();
    env.line("schedules add often --every 6h --all").succeeds();
    let cut = env
        .now("2026-03-01T09:00:00Z")
        .line("run-due --json --max-transfer 1M");
    assert_eq!(outcome(cut.exits(8)), "partial");
    push(&env, "2");
    assert_eq!(outcome(&night(&env, 2)), "updated");
    assert_eq!(published(&env), first);
}

#[test]
fn one_ref_is_not_pinned_at_two_commits() {
    let (env, first) = world("");
    let second = push(&env, "2");
    env.line(&format!(
        "models set acme/tiny --policy pin@{}",
        &first[..8]
    ))
    .succeeds();
    let add = format!("models add acme/tiny --name all --include *.json --policy pin@{second}");
    let refused = env.line(&add);
    refused.exits(2).explains("is pinned at another commit");
    env.line(&add.replace(&second, &first)).succeeds();
    env.line(&format!("models set all --policy pin@{second}"))
        .exits(2);
}

#[test]
fn a_rollback_takes_a_pin_along() {
    let (env, first) = world("");
    let second = push(&env, "2");
    night(&env, 2);
    env.line("models set acme/tiny --policy pin").succeeds();
    assert_eq!(shown(&env, "acme/tiny")["pinned_commit"], *second);
    env.line("models rollback acme/tiny").succeeds();
    assert_eq!(shown(&env, "acme/tiny")["pinned_commit"], *first);
    push(&env, "3");
    assert_eq!(outcome(&night(&env, 3)), "up-to-date");
    env.line("models release acme/tiny").succeeds();
    assert_eq!(outcome(&night(&env, 4)), "up-to-date");
    assert_eq!(
        published(&env),
        first,
        "the pin is at the commit of the rollback"
    );
}

#[test]
fn an_update_waits_for_an_approval_and_the_first_download_does_not() {
    let (env, first) = world("--policy approve");
    let second = push(&env, "2");
    let ran = night(&env, 2);
    assert_eq!(outcome(&ran), "held");
    assert!(
        session(&ran)["error"]
            .to_string()
            .contains("the policy asks for an approval")
    );
    assert_eq!(published(&env), first);
    let held = shown(&env, "acme/tiny")["held_update"].clone();
    assert_eq!(held["commit"], *second);
    assert_eq!(held["findings"][0]["reason"], "approval");
    assert_eq!(outdated(&env)["held_update"], *second);
    env.line(&format!("download acme/tiny --accept {}", &second[..10]))
        .succeeds();
    assert_eq!(published(&env), second);
    assert_eq!(outcome(&night(&env, 3)), "up-to-date");
    assert_eq!(requests(&env), [Api::Info]);
    env.line("status").succeeds();
}

/// Approves the held update for the next run.
fn approve(env: &TestEnv, commit: &str) {
    env.line(&format!("updates approve acme/tiny --commit {commit}"))
        .succeeds();
}

#[test]
fn an_approved_commit_is_published_although_upstream_moved_on() {
    let (env, _) = world("--policy approve");
    let second = push(&env, "2");
    assert_eq!(outcome(&night(&env, 2)), "held");
    approve(&env, &second);
    let third = push(&env, "3");
    assert_eq!(outcome(&night(&env, 3)), "updated");
    assert_eq!(
        published(&env),
        second,
        "the commit that a person has looked at"
    );
    assert_eq!(outcome(&night(&env, 4)), "held");
    assert_eq!(shown(&env, "acme/tiny")["held_update"]["commit"], *third);
}

#[test]
fn an_approved_commit_that_is_no_ancestor_any_more_is_not_published() {
    let (env, first) = world("--policy approve");
    let second = push(&env, "2");
    assert_eq!(outcome(&night(&env, 2)), "held");
    approve(&env, &second);
    // History is rewritten without the approved commit.
    let repo = env.hub().repo("acme/tiny");
    repo.point("main", &first);
    let other = push(&env, "other");
    assert_eq!(outcome(&night(&env, 3)), "held");
    assert_eq!(published(&env), first);
    let held = shown(&env, "acme/tiny")["held_update"].clone();
    assert_eq!(
        (&held["commit"], &held["decision"]),
        (&other.into(), &"waiting".into())
    );
}

#[test]
fn a_delayed_commit_is_taken_when_this_home_has_known_it_long_enough() {
    let (env, first) = world("--delay 7d");
    let asked = requests(&env).contains(&Api::Commits);
    assert!(!asked, "the first download waits for nothing");
    // The committer's date is old, and does not count.
    let draft = env
        .hub()
        .repo("acme/tiny")
        .commit("main")
        .date("2020-01-01T00:00:00Z");
    let second = draft.file("config.json", "2").publish();
    for day in 2..9 {
        let ran = night(&env, day);
        assert_eq!(outcome(&ran), "up-to-date", "day {day}");
        let expected: &[Api] = if day == 2 {
            &[Api::Info, Api::Commits]
        } else {
            &[Api::Info]
        };
        assert_eq!(requests(&env), expected, "day {day}");
    }
    let shown = shown(&env, "acme/tiny");
    assert_eq!(shown["waiting_commit"], *second);
    assert_eq!(shown["waiting_until"], "2026-03-09T09:00:00Z");
    assert_eq!(shown["state"], "ok");
    env.line("status").succeeds();
    let words = "waits until Mon 09:00 UTC, in 24 h (delay 7d)";
    env.line("models show acme/tiny").prints(words);
    env.line("models outdated")
        .prints("outdated, delayed")
        .prints("Mon 09:00 UTC, in 24 h");
    for line in [
        "run-due --dry-run --at 2026-03-08T20:00:00Z",
        "download acme/tiny --dry-run",
        "download acme/tiny",
    ] {
        let ran = env.line(line);
        assert!(ran.succeeds().stderr().contains(words), "{}", ran.report());
    }
    assert_eq!(published(&env), first);
    assert_eq!(
        number(&env, "SELECT count(*) FROM events WHERE kind = 'held'"),
        0
    );

    assert_eq!(outcome(&night(&env, 9)), "updated");
    assert_eq!(published(&env), second);
    assert_eq!(self::shown(&env, "acme/tiny")["waiting_until"], Value::Null);
    let all = env.line("updates list --all --json").json();
    assert_eq!(all["updates"][0]["found_at"], "2026-03-02T09:00:00Z");
    night(&env, 10);
    assert_eq!(requests(&env), [Api::Info]);
    assert_eq!(number(&env, "SELECT count(*) FROM seen_commits"), 0);
}

#[test]
fn a_delayed_update_says_that_it_waits_for_an_approval_from_then_on() {
    let (env, _) = world("--delay 7d --policy approve");
    let second = push(&env, "2");
    night(&env, 2);
    env.line("updates list")
        .prints("until Mon 9 Mar 09:00 UTC, then approval");
    let then = "Mon 9 Mar 09:00 UTC, in 7 d, then for an approval";
    for line in [
        "updates show acme/tiny",
        "models outdated",
        "models show acme/tiny",
    ] {
        env.line(line).prints(then);
    }
    env.line("download acme/tiny -n").explains(then);
    assert_eq!(outcome(&night(&env, 9)), "held");
    let third = push(&env, "3");
    night(&env, 10);
    let both = format!(
        "{} (approval); {} is newer and waits for the delay",
        &second[..10],
        &third[..10]
    );
    env.line("models show acme/tiny").prints(&both);
}

#[test]
fn a_delayed_update_is_listed_shown_and_decided_about() {
    let (env, first) = world("--delay 7d");
    let second = push(&env, "2");
    night(&env, 2);
    let listed = || env.line("updates list --json").json()["updates"].clone();
    let update = listed()[0].clone();
    for (field, value) in [
        ("commit", second.as_str()),
        ("old_commit", &first),
        ("state", "delayed"),
        ("waiting_until", "2026-03-09T09:00:00Z"),
        ("found_at", "2026-03-02T09:00:00Z"),
        ("decision", "waiting"),
    ] {
        assert_eq!(update[field], *value, "{field}");
    }
    assert_eq!(update["findings"][0]["reason"], "delay");
    env.line("updates list")
        .prints(&second[..10])
        .prints("delayed")
        .prints("until Mon 9 Mar 09:00 UTC, in 7 d");
    let shown = env.line("updates show acme/tiny");
    shown.succeeds().prints("delayed").prints("config.json");
    shown.prints("delayed until  Mon 9 Mar 09:00 UTC, in 7 d\n");
    shown.prints("updates approve acme/tiny");
    let document = env.line("updates show acme/tiny --json").json();
    assert_eq!(document["waiting_until"], "2026-03-09T09:00:00Z");
    env.line("updates approve acme/tiny --commit 0123456789")
        .exits(2)
        .explains(&second);
    assert_eq!(listed()[0]["state"], "delayed");

    env.now("2026-03-02T12:00:00Z");
    env.line("updates reject acme/tiny --note later")
        .succeeds()
        .prints("was rejected");
    assert_eq!(listed(), serde_json::json!([]));
    let all = env.line("updates list --all --json").json();
    let rejected = &all["updates"][0];
    assert_eq!(rejected["state"], "rejected");
    assert_eq!(rejected["found_at"], "2026-03-02T09:00:00Z");
    let ran = night(&env, 3);
    assert_eq!(outcome(&ran), "held");
    let error = session(&ran)["error"].to_string();
    assert!(
        error.contains(&format!("{} was rejected", &second[..10])),
        "{error}"
    );
    assert_eq!(published(&env), first);
    env.line("updates approve acme/tiny").succeeds();
    assert_eq!(listed()[0]["state"], "approved");
    assert_eq!(outcome(&night(&env, 4)), "updated");
    assert_eq!(published(&env), second);
    assert_eq!(listed(), serde_json::json!([]));
    let held = "SELECT count(*) FROM events WHERE kind = 'held'";
    assert_eq!(number(&env, held), 0);
}

#[test]
fn commits_that_keep_coming_do_not_starve_a_delayed_model() {
    let (env, _) = world("--delay 3d");
    let mut commits = Vec::new();
    for day in 2..10 {
        commits.push(push(&env, &day.to_string()));
        let ran = night(&env, day);
        // The commit of day 2 is old enough on day 5, that of day 3 on day 6.
        if day < 5 {
            assert_eq!(outcome(&ran), "up-to-date", "day {day}");
        } else {
            assert_eq!(outcome(&ran), "updated", "day {day}");
            assert_eq!(published(&env), commits[usize::from(day) - 5], "day {day}");
        }
    }
}

#[test]
fn a_delayed_commit_that_is_rewritten_is_not_taken() {
    let (env, first) = world("--delay 3d");
    push(&env, "2");
    night(&env, 2);
    env.hub().repo("acme/tiny").point("main", &first);
    let other = push(&env, "other");
    assert_eq!(outcome(&night(&env, 5)), "up-to-date");
    assert_eq!(published(&env), first);
    assert_eq!(outcome(&night(&env, 8)), "updated");
    assert_eq!(published(&env), other);
}

#[test]
fn a_clock_that_is_set_back_makes_no_commit_older() {
    let (env, first) = world("--delay 3d");
    push(&env, "2");
    night(&env, 20);
    // The clock was wrong: it is day 2, and the commit is first seen now.
    assert_eq!(outcome(&env_at(&env, 2)), "up-to-date");
    assert_eq!(
        shown(&env, "acme/tiny")["waiting_until"],
        "2026-03-05T09:00:00Z"
    );
    assert_eq!(published(&env), first);
    assert_eq!(outcome(&env_at(&env, 4)), "up-to-date");
    assert_eq!(outcome(&env_at(&env, 5)), "updated");
}

/// Downloads by hand on a day of March, whatever the schedule thinks of the clock.
fn env_at(env: &TestEnv, day: u8) -> Ran {
    let at = format!("2026-03-{day:02}T09:00:00Z");
    env.now(&at).line("download acme/tiny --json")
}

#[test]
fn an_approval_ends_a_delay() {
    let (env, _) = world("--delay 7d");
    let second = push(&env, "2");
    assert_eq!(outcome(&night(&env, 2)), "up-to-date");
    env.line(&format!("download acme/tiny --accept {}", &second[..10]))
        .succeeds();
    assert_eq!(published(&env), second);
}

/// A world whose model follows the tags `v*`; `v1` is published.
fn tagged(flags: &str) -> (TestEnv, String) {
    let env = roomy_world();
    let first = push(&env, "1");
    env.hub().repo("acme/tiny").tag("v1.2", &first);
    let second = push(&env, "untagged");
    env.hub().repo("acme/tiny").tag("w9", &second);
    let added = env.line(&format!(
        "models add acme/tiny --follow-tags v* {flags} --json"
    ));
    assert_eq!(added.json()["check"]["commit"], *first, "the tag's commit");
    env.line("schedules add often --every 6h --all").succeeds();
    assert_eq!(outcome(&night(&env, 1)), "updated");
    assert_eq!(published(&env), first);
    (env, first)
}

#[test]
fn the_newest_tag_is_followed_by_version_order() {
    let (env, _) = tagged("");
    let second = push(&env, "2");
    let repo = env.hub().repo("acme/tiny");
    repo.tag("v1.10", &second);
    let third = push(&env, "3");
    repo.tag("v1.11-rc1", &third).tag("v1.9", &third);
    // The pre-release of a later version is newer than every earlier release.
    assert_eq!(outcome(&night(&env, 2)), "updated");
    assert_eq!(published(&env), third);
    repo.annotated_tag("v1.11", &second);
    let outdated = outdated(&env);
    assert_eq!(outdated["upstream_tag"], "v1.11");
    assert_eq!(
        (&outdated["state"], &outdated["upstream_commit"]),
        (&"outdated".into(), &second.clone().into())
    );
    assert_eq!(outcome(&night(&env, 3)), "updated");
    assert_eq!(published(&env), second);
    assert_eq!(outcome(&night(&env, 4)), "up-to-date");
    assert_eq!(
        requests(&env),
        [Api::Refs],
        "one request, for an annotated tag too"
    );
    assert_eq!(shown(&env, "acme/tiny")["followed_tag"], "v1.11");
    let path = env.line("models path acme/tiny --json").json();
    assert_eq!(path["models"][0]["tag"], "v1.11");
    assert!(env.line("models list").stdout().contains("v1.11"));
}

#[test]
fn a_tag_that_vanished_leads_to_no_older_version() {
    let (env, first) = tagged("");
    let second = push(&env, "2");
    let repo = env.hub().repo("acme/tiny");
    repo.tag("v2", &second);
    night(&env, 2);
    repo.delete_revision("v2");
    assert_eq!(outcome(&night(&env, 3)), "up-to-date");
    assert_eq!(published(&env), second);
    repo.delete_revision("v1.2");
    assert_eq!(outcome(&night(&env, 4)), "up-to-date");
    assert_eq!(published(&env), second);
    // Another pattern is a person's wish for another version.
    repo.tag("v1.2", &first);
    env.line("models set acme/tiny --follow-tags v1*")
        .succeeds();
    assert_eq!(outcome(&night(&env, 5)), "updated");
    assert_eq!(published(&env), first);
}

#[test]
fn a_tag_that_was_moved_is_held() {
    let (env, first) = tagged("");
    let second = push(&env, "2");
    env.hub().repo("acme/tiny").tag("v1.2", &second);
    for day in 2..4 {
        let ran = night(&env, day);
        assert_eq!(outcome(&ran), "held");
        assert!(
            session(&ran)["error"]
                .to_string()
                .contains("the followed tag was moved")
        );
    }
    assert_eq!(published(&env), first);
    env.line(&format!("download acme/tiny --accept {}", &second[..10]))
        .succeeds();
    assert_eq!(published(&env), second);
    assert_eq!(outcome(&night(&env, 4)), "up-to-date");
}

#[test]
fn without_a_matching_tag_nothing_is_downloaded() {
    let env = roomy_world();
    push(&env, "1");
    env.line("models add acme/tiny --follow-tags v*").exits(0);
    let ran = env.line("download acme/tiny");
    ran.explains("no tag of the repository matches `v*`");
}

#[test]
fn a_delay_counts_for_tags() {
    let (env, first) = tagged("--delay 3d");
    let repo = env.hub().repo("acme/tiny");
    let mut commits = Vec::new();
    for day in 2..7 {
        let commit = push(&env, &day.to_string());
        repo.tag(&format!("v2.{day}"), &commit);
        commits.push(commit);
        let ran = night(&env, day);
        if day < 5 {
            assert_eq!(outcome(&ran), "up-to-date", "day {day}");
            assert_eq!(published(&env), first);
            assert_eq!(requests(&env), [Api::Refs], "day {day}");
        } else {
            assert_eq!(outcome(&ran), "updated", "day {day}");
            assert_eq!(published(&env), commits[usize::from(day) - 5]);
        }
    }
    assert_eq!(shown(&env, "acme/tiny")["followed_tag"], "v2.3");
}

#[test]
fn models_that_share_a_ref_have_the_strictest_policy() {
    let (env, first) = world("--policy pin");
    let added = env.line("models add acme/tiny --name all --include *.json");
    let note = "`all` shares its revision with `acme/tiny`; the strictest of their rules count for all: pin";
    assert!(
        added.succeeds().stderr().contains(note),
        "{}",
        added.report()
    );
    push(&env, "2");
    night(&env, 2);
    assert_eq!(shown(&env, "all")["published_commit"], *first);
    let rules = shown(&env, "all")["rules"].clone();
    assert_eq!(
        (&rules["policy"], &rules["shared_with"][0]),
        (&"pin".into(), &"acme/tiny".into())
    );
    assert!(env.line("models show all").stdout().contains(note));
    assert_eq!(published(&env), first);
    env.line("models set acme/tiny --policy follow").succeeds();
    night(&env, 3);
    assert_eq!(shown(&env, "all")["published_commit"], *main_ref(&env));
    assert_ne!(published(&env), first);
}

#[test]
fn models_follow_the_defaults_of_their_tags() {
    let (env, first) = world("--tag prod");
    env.line("tags set prod --policy approve --delay 1d")
        .succeeds();
    let second = push(&env, "2");
    assert_eq!(outcome(&night(&env, 2)), "up-to-date", "the delay");
    assert_eq!(outcome(&night(&env, 3)), "held", "the approval");
    assert_eq!(published(&env), first);
    env.line("models set acme/tiny --policy follow").succeeds();
    assert_eq!(outcome(&night(&env, 4)), "updated", "its own policy");
    assert_eq!(published(&env), second);
}
