//! Selections of a GGUF repository: one quantisation with its companions, several of one
//! revision side by side, and the paths of what is published.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use hfdl_test_hub::{Api, generated_bytes};
use serde_json::Value;

use crate::support::cache::has_blobs;
use crate::support::due::{outcomes, roomy_world};
use crate::support::env::{Ran, TestEnv};

const LARGE: usize = 1 << 20;

/// Publishes a vision model in two quantisations; `n` makes the contents of a revision.
fn publish(env: &TestEnv, n: u64) -> String {
    let draft = env.hub().repo("acme/q").commit("main").empty();
    draft
        .file("config.json", format!("{{\"n\":{n}}}"))
        .lfs("q-Q4_K_M.gguf", generated_bytes(LARGE, n))
        .lfs(
            "Q8_0/q-Q8_0-00001-of-00002.gguf",
            generated_bytes(LARGE, 100 + n),
        )
        .lfs(
            "Q8_0/q-Q8_0-00002-of-00002.gguf",
            generated_bytes(LARGE, 200 + n),
        )
        .lfs("mmproj-F16.gguf", generated_bytes(64, 300 + n))
        .lfs("mtp-q-Q4_K_M.gguf", generated_bytes(64, 400 + n))
        .lfs("q.imatrix.gguf", generated_bytes(64, 500 + n))
        .publish()
}

/// A home that keeps both quantisations, published once.
fn both() -> (TestEnv, String) {
    let env = roomy_world();
    let commit = publish(&env, 1);
    env.line("models add acme/q:q4_k_m --name four --keep-revisions 3")
        .succeeds();
    env.line("models add acme/q:Q8_0 --name eight --keep-revisions 3")
        .succeeds();
    env.line("download four eight").succeeds();
    (env, commit)
}

fn folder(env: &TestEnv) -> PathBuf {
    env.cache().join("models--acme--q")
}

fn main_ref(env: &TestEnv) -> String {
    fs::read_to_string(folder(env).join("refs/main")).unwrap()
}

fn files(env: &TestEnv, commit: &str) -> BTreeSet<String> {
    let snapshot = folder(env).join("snapshots").join(commit);
    let relative = |path: PathBuf| {
        let path = path.strip_prefix(&snapshot).unwrap();
        path.to_string_lossy().replace('\\', "/")
    };
    let mut folders = vec![snapshot.clone()];
    let mut found = BTreeSet::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                assert!(fs::metadata(&path).is_ok(), "{path:?} is readable");
                found.insert(relative(path));
            }
        }
    }
    found
}

fn names(list: &[&str]) -> BTreeSet<String> {
    list.iter().map(|name| name.to_string()).collect()
}

const FOUR: [&str; 3] = ["config.json", "mmproj-F16.gguf", "q-Q4_K_M.gguf"];

const BOTH: [&str; 5] = [
    "Q8_0/q-Q8_0-00001-of-00002.gguf",
    "Q8_0/q-Q8_0-00002-of-00002.gguf",
    "config.json",
    "mmproj-F16.gguf",
    "q-Q4_K_M.gguf",
];

fn session(ran: &Ran) -> Value {
    ran.json()["sessions"][0].clone()
}

#[test]
fn a_quantisation_brings_its_shards_and_its_projector() {
    let env = roomy_world();
    let commit = publish(&env, 1);
    env.line("download acme/q:q4_k_m").succeeds();
    assert_eq!(files(&env, &commit), names(&FOUR));
    fs::remove_dir_all(env.cache()).unwrap();
    env.line("download acme/q:Q8_0/q-q8_0-00001-of-00002.gguf")
        .succeeds();
    let without_text = [BOTH[0], BOTH[1], BOTH[3]];
    assert_eq!(files(&env, &commit), names(&without_text));
    // The short pattern survives the file form.
    env.line("models add acme/q:Q8_0").succeeds();
    let shown = env.line("models show acme/q:Q8_0 --json").json();
    assert_eq!(shown["include"], serde_json::json!([":Q8_0"]));
    let plan = env.line("export").stdout().to_owned();
    fs::write(env.root().join("work/plan.yaml"), plan).unwrap();
    env.line("apply -f plan.yaml")
        .succeeds()
        .prints("nothing to do");
}

#[test]
fn two_models_of_one_revision_share_files_without_any_links() {
    for links in ["none", "hard"] {
        let env = roomy_world();
        env.set("HFDL_TEST_LINKS", links);
        let commit = publish(&env, 1);
        env.line("models add acme/q:q4_k_m --name four").succeeds();
        env.line("models add acme/q:Q8_0 --name eight").succeeds();
        env.line("download four eight").succeeds();
        assert_eq!(files(&env, &commit), names(&BOTH));
        let before = env.hub().count(Api::Resolve);
        env.line("download four eight").succeeds();
        assert_eq!(env.hub().count(Api::Resolve), before);
        env.line("verify").succeeds();
    }
}

#[test]
fn a_quantisation_or_file_that_is_not_there_is_a_mistake_and_lists_what_there_is() {
    let env = roomy_world();
    publish(&env, 1);
    for line in [
        "models add acme/q:Q5_K_M",
        "download acme/q:Q5_K_M",
        "download acme/q:Q5_K_M --dry-run",
        "download acme/q --include ':Q5_K_M' --include '*.json' --to ./there",
    ] {
        env.line(line)
            .exits(2)
            .explains("has no file of `Q5_K_M`; it has the quantisations `Q4_K_M`, `Q8_0`");
    }
    env.line("models add acme/q:nofile.gguf")
        .exits(2)
        .explains("has no file `nofile.gguf`; it has");
    env.line("download acme/q q-Q4_KM.gguf")
        .exits(2)
        .explains("it has 7 files")
        .explains("did you mean `q-Q4_K_M.gguf`");
    assert!(!folder(&env).join("snapshots").exists());
    assert!(!env.root().join("work/there").exists());
}

#[test]
fn a_run_fails_for_a_missing_quantisation_and_changes_nothing() {
    let (env, commit) = both();
    env.line("models add acme/q:Q5_K_M --name five --no-check")
        .succeeds();
    env.line("schedules add often --every 6h --all").succeeds();
    let ran = env.line("run-due --json");
    let sessions = ran.exits(2).json()["sessions"].clone();
    let five = sessions.as_array().unwrap().iter();
    let five = five.clone().find(|it| it["model"] == "five").unwrap();
    assert_eq!(five["outcome"], "failed");
    assert_eq!(five["error_kind"], "config");
    let error = five["error"].as_str().unwrap();
    assert!(error.contains("`Q4_K_M`, `Q8_0`"), "{error}");
    assert_eq!(main_ref(&env), commit);
    assert_eq!(files(&env, &commit), names(&BOTH));
    // The others go on with the next revision, as if it were not registered.
    let new = publish(&env, 2);
    env.line("download four").succeeds();
    assert_eq!(main_ref(&env), new);
}

#[test]
fn two_quantisations_of_one_revision_are_two_models() {
    let (env, commit) = both();
    assert_eq!(files(&env, &commit), names(&BOTH));
    assert_eq!(main_ref(&env), commit);
    for (name, n_files) in [("four", 3), ("eight", 4)] {
        let ran = env.line(&format!("verify {name} --json"));
        let verified = ran.succeeds().json()["models"][0].clone();
        assert_eq!(verified["files"]["verified"], n_files, "{name}");
        env.hub().forget_requests();
        let ran = env.line(&format!("download {name} --json"));
        assert_eq!(session(&ran)["outcome"], "up-to-date", "{name}");
        assert_eq!(env.hub().requests().len(), 1, "{name}");
    }
    // A damaged file belongs to the model that has it.
    let blob = folder(&env).join("snapshots").join(&commit);
    let blob = fs::canonicalize(blob.join("q-Q4_K_M.gguf")).unwrap();
    fs::remove_file(&blob).unwrap();
    fs::write(&blob, generated_bytes(LARGE, 9)).unwrap();
    env.line("verify eight").succeeds();
    env.line("verify four").exits(3);
}

#[test]
fn the_same_selection_twice_is_refused_with_the_name_that_has_it() {
    let (env, _) = both();
    env.line("models add acme/q:Q4_K_m --name again")
        .exits(2)
        .explains("`four`");
    env.line("models set eight --include ':Q4_K_M'")
        .exits(2)
        .explains("`four`");
    // A directory has one model, whatever it selects.
    env.line("models add acme/q:Q4_K_M --name there --to ./there")
        .succeeds();
    env.line("models add acme/q:Q8_0 --name there-too --to ./there")
        .exits(2)
        .explains("`there`");
}

#[test]
fn the_ref_moves_when_the_revision_is_whole_for_each_model() {
    let (env, old) = both();
    let new = publish(&env, 2);
    // A budget for less than both: readers keep the old revision of both.
    env.line("download four --max-transfer 1500K").exits(8);
    assert_eq!(main_ref(&env), old);
    assert_eq!(files(&env, &old), names(&BOTH));
    env.line("download four").succeeds();
    assert_eq!(main_ref(&env), new);
    assert_eq!(files(&env, &new), names(&BOTH));
    env.hub().forget_requests();
    let ran = env.line("download eight --json");
    let eight = session(ran.succeeds());
    assert_eq!(eight["outcome"], "updated");
    assert_eq!(eight["old_commit"], *old);
    assert_eq!(eight["bytes"]["fetched"], 0);
    // The check, and the question whether the Hub still has the commit before.
    assert_eq!(env.hub().requests().len(), 2);
    let again = session(&env.line("download eight --json"));
    assert_eq!(again["outcome"], "up-to-date");
    let forced = session(env.line("download four --force --json").succeeds());
    let fetched = forced["bytes"]["fetched"].as_u64().unwrap();
    assert!(fetched < LARGE as u64 + 4096, "{fetched} bytes");
}

#[test]
fn both_models_in_one_run_fetch_each_file_once() {
    let (env, _) = both();
    let new = publish(&env, 2);
    env.line("schedules add often --every 6h --all").succeeds();
    env.hub().forget_requests();
    let ran = env.line("run-due --json");
    ran.succeeds();
    let updated = |name: &str| (name.to_owned(), "updated".to_owned());
    let found: BTreeSet<_> = outcomes(&ran).into_iter().collect();
    assert_eq!(found, [updated("four"), updated("eight")].into());
    let sent: u64 = env.hub().requests().iter().map(|it| it.bytes_sent).sum();
    assert!(sent < 4 * LARGE as u64, "{sent} bytes");
    assert_eq!(files(&env, &new), names(&BOTH));
}

/// Publishes a revision that has lost one of the quantisations.
fn publish_without_eight(env: &TestEnv) -> String {
    let draft = env.hub().repo("acme/q").commit("main").empty();
    draft
        .file("config.json", b"{}")
        .lfs("q-Q4_K_M.gguf", generated_bytes(LARGE, 2))
        .publish()
}

#[test]
fn a_loss_for_one_model_holds_the_ref_for_both() {
    let (env, old) = both();
    let new = publish_without_eight(&env);
    let four = session(env.line("download four --json").succeeds());
    assert_eq!(four["outcome"], "held");
    let error = four["error"].as_str().unwrap();
    assert!(error.contains("for `eight`, which shares"), "{error}");
    assert_eq!(main_ref(&env), old);
    let eight = session(env.line("download eight --json").succeeds());
    assert_eq!(eight["outcome"], "held");
    env.line(&format!("download eight --accept {new}"))
        .succeeds();
    assert_eq!(main_ref(&env), new);
    let four = session(env.line("download four --json").succeeds());
    assert_eq!(four["outcome"], "updated");
    let shown = env.line("models show four --json").json();
    assert_eq!(shown["held_update"], Value::Null);
}

#[test]
fn a_loss_for_another_model_can_be_accepted_and_that_model_says_so_afterwards() {
    let (env, old) = both();
    let new = publish_without_eight(&env);
    let four = session(env.line("download four --json").succeeds());
    let hint = four["hint"].as_str().unwrap();
    let accept = format!("download four --accept {}", &new[..10]);
    assert!(hint.contains(&accept), "{hint}");
    env.line(&accept).succeeds();
    assert_eq!(main_ref(&env), new);
    env.line("download eight")
        .exits(2)
        .explains("has no file of `Q8_0`; it has the quantisation `Q4_K_M`");
    assert!(files(&env, &old).contains(BOTH[0]));
    env.line("verify eight").succeeds();
}

#[test]
fn a_rollback_of_one_model_holds_both_until_it_is_released() {
    let (env, old) = both();
    let new = publish(&env, 2);
    env.line("download four eight").succeeds();
    env.line("models rollback four")
        .succeeds()
        .prints("and with it `eight`");
    assert_eq!(main_ref(&env), old);
    let eight = session(env.line("download eight --json").succeeds());
    assert_eq!(eight["outcome"], "held");
    let hint = eight["hint"].as_str().unwrap();
    assert!(hint.contains("hfdl models release four"), "{hint}");
    assert_eq!(main_ref(&env), old);
    env.line(&format!("models rollback eight --to {new}"))
        .exits(1)
        .explains("`four`, which shares the revision, is held");
    env.line("models release four").succeeds();
    env.line("download eight").succeeds();
    assert_eq!(main_ref(&env), new);
    assert_eq!(files(&env, &new), names(&BOTH));
}

#[test]
fn a_rollback_of_one_model_takes_the_views_of_the_other_along() {
    let (env, old) = both();
    let root = env.root().join("app");
    let view = format!("dir={}", root.display());
    env.hfdl(["models", "set", "eight", "--view", &view])
        .succeeds();
    publish(&env, 2);
    env.line("download four eight").succeeds();
    env.line("models rollback four").succeeds().silently();
    let listed = env.line("views list --json").succeeds().json();
    assert_eq!(listed["views"][0]["model"], "eight");
    assert_eq!(listed["views"][0]["state"], "ok");
    assert_eq!(listed["views"][0]["revision"], old);
    assert_eq!(fs::read(root.join("config.json")).unwrap(), b"{\"n\":1}");
}

#[test]
fn views_of_two_quantisations_share_the_folder_of_their_repository() {
    let (env, _) = both();
    let root = env.root().join("lms");
    for name in ["four", "eight"] {
        let views = ["lmstudio", "modelscope"].map(|kind| format!("{kind}={}", root.display()));
        let [first, second] = &views;
        let set = ["models", "set", name, "--view", first, "--view", second];
        env.hfdl(set).succeeds();
    }
    let states = || {
        let listed = env.line("views list --json").succeeds().json();
        let listed = listed["views"].as_array().unwrap().iter();
        let states = listed.map(|view| view["state"].as_str().unwrap().to_owned());
        states.collect::<Vec<_>>()
    };
    let folder = root.join("acme/q");
    let text = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
    assert_eq!(states(), ["ok"; 4]);
    assert!(folder.join("q-Q4_K_M.gguf").exists());
    assert!(folder.join("q-Q8_0-00001-of-00002.gguf").exists());

    publish(&env, 2);
    env.line("download eight").succeeds();
    assert_eq!(text("config.json"), "{\"n\":2}");
    env.line("download four").succeeds().silently();
    assert_eq!(states(), ["ok"; 4]);

    env.line("models remove four --yes").succeeds();
    assert_eq!(text("config.json"), "{\"n\":2}");
    assert!(!folder.join("q-Q4_K_M.gguf").exists());
    assert_eq!(states(), ["ok"; 2]);
    env.line("models remove eight --yes").succeeds();
    assert!(!folder.exists());
}

#[test]
fn removing_one_model_keeps_the_files_and_the_ref_of_the_other() {
    let (env, commit) = both();
    env.line("models remove four --delete-files --yes")
        .succeeds();
    assert_eq!(main_ref(&env), commit);
    assert_eq!(files(&env, &commit), names(&BOTH[..4]));
    let blobs = fs::read_dir(folder(&env).join("blobs")).unwrap();
    assert_eq!(blobs.count(), if has_blobs() { 4 } else { 0 });
    let eight = session(&env.line("download eight --json"));
    assert_eq!(eight["outcome"], "up-to-date");
    env.line("prune --yes").succeeds();
    env.line("verify eight").succeeds();
    env.line("models remove eight --delete-files --yes")
        .succeeds();
    assert!(!folder(&env).exists());
}

#[test]
fn a_disabled_model_is_not_fetched_and_its_revision_is_kept() {
    let (env, old) = both();
    env.line("models set four --keep-revisions 1").succeeds();
    env.line("models set eight --keep-revisions 1").succeeds();
    env.line("models disable eight").succeeds();
    let new = publish(&env, 2);
    env.line("download four").succeeds();
    assert_eq!(main_ref(&env), new);
    assert_eq!(files(&env, &new), names(&FOUR));
    assert!(files(&env, &old).contains(BOTH[0]));
    // Its next session completes the revision that readers see.
    env.line("models enable eight").succeeds();
    let eight = session(env.line("download eight --json").succeeds());
    assert_eq!(eight["outcome"], "updated");
    assert_eq!(files(&env, &new), names(&BOTH));
}

#[test]
fn a_cut_download_of_a_second_model_resumes_after_a_session_of_the_first() {
    let env = roomy_world();
    publish(&env, 1);
    env.line("models add acme/q:Q4_K_M --name four").succeeds();
    env.line("download four").succeeds();
    env.line("models add acme/q:Q8_0 --name eight").succeeds();
    env.line("download eight --max-transfer 1200K").exits(8);
    env.line("download four").succeeds();
    let eight = session(env.line("download eight --json").succeeds());
    assert_eq!(eight["outcome"], "updated");
    let fetched = eight["bytes"]["fetched"].as_u64().unwrap();
    assert!(fetched < LARGE as u64 + 4096, "{fetched} bytes");
}

#[test]
fn offline_a_download_prints_the_path_of_what_is_published() {
    let (env, commit) = both();
    let path = |ran: &Ran| PathBuf::from(ran.succeeds().stdout().trim_end());
    let online = path(&env.line("download four"));
    env.set("HF_HUB_OFFLINE", "1");
    env.hub().forget_requests();
    assert_eq!(path(&env.line("download four")), online);
    assert_eq!(path(&env.line("download acme/q:Q8_0")), online);
    let file = path(&env.line("download acme/q config.json"));
    assert_eq!(file, online.join("config.json"));
    let document = env.line("download eight --json").succeeds().json();
    assert_eq!(document["schema"], "hfdl.published/1");
    assert_eq!(document["models"][0]["commit"], *commit);
    // The whole repository was never fetched.
    env.line("download acme/q")
        .exits(5)
        .explains("some of its selected files are missing")
        .explains("the same command fetches it");
    env.line("download acme/q --revision v9")
        .exits(5)
        .explains("the same command fetches it");
    env.line("download acme/other four")
        .exits(5)
        .prints(&online.to_string_lossy())
        .explains("`acme/other` has no published files");
    let file = fs::canonicalize(online.join("q-Q4_K_M.gguf")).unwrap();
    fs::remove_file(file).unwrap();
    env.line("download four").exits(5);
    assert!(env.hub().requests().is_empty());
}

#[test]
fn the_path_of_a_model_is_printed_without_the_hub() {
    let (env, old) = both();
    env.line("models add acme/q --name all --no-check")
        .succeeds();
    env.line("models add acme/q --name there --to ./there")
        .succeeds();
    env.line("download there").succeeds();
    let new = publish(&env, 2);
    env.line("download four eight").exits(0);
    env.hub().forget_requests();
    let line = |line: &str| env.line(line).succeeds().stdout().trim_end().to_owned();
    assert!(line("models path four").ends_with(&new));
    assert!(line(&format!("models path four --revision {old}")).ends_with(&old));
    let there = env.root().join("work/there");
    assert_eq!(Path::new(&line("models path there")), there);
    let document = env.line("models path eight --json").succeeds().json();
    assert_eq!(document["models"][0]["model"], "eight");
    env.line("models path nobody").exits(2);
    env.line("models path four --revision v9")
        .exits(1)
        .explains("`four` has no published files")
        .explains("`hfdl download four --revision v9` fetches it");
    assert!(env.hub().requests().is_empty());
}

#[test]
fn the_calls_of_a_download_are_counted_and_no_others() {
    let env = roomy_world();
    publish(&env, 1);
    let marked = |line: &str| -> BTreeSet<bool> {
        env.hub().forget_requests();
        env.line(line).succeeds();
        let requests = env.hub().requests();
        let hub = requests
            .iter()
            .filter(|request| request.port == hfdl_test_hub::Port::Hub);
        let marks = hub.map(|it| it.header("x-hf-download-counter") == Some("1"));
        marks.collect()
    };
    assert_eq!(marked("models add acme/q:Q4_K_M"), [false].into());
    assert_eq!(marked("download acme/q:Q4_K_M --dry-run"), [false].into());
    assert_eq!(marked("download acme/q:Q4_K_M"), [true].into());
    assert_eq!(marked("models outdated"), [false].into());
    publish(&env, 2);
    env.line("schedules add often --every 6h --all").succeeds();
    // Questions about old commits are no download.
    let two_kinds = [false, true].into();
    assert_eq!(marked("run-due"), two_kinds);
    let counted = |kind| {
        let requests = env.hub().requests().into_iter();
        let of_kind = requests.filter(move |it| it.api == kind);
        of_kind.map(|it| it.header("x-hf-download-counter").is_some())
    };
    assert!(counted(Api::Tree).all(|it| it));
}

#[test]
fn a_registered_name_of_another_type_is_not_meant() {
    let env = roomy_world();
    for repo in ["acme/tiny", "datasets/acme/tiny"] {
        let draft = env.hub().repo(repo).commit("main");
        draft.file("README.md", repo.as_bytes()).publish();
    }
    env.line("models add acme/tiny").succeeds();
    for (kind, folder) in [("model", "models"), ("dataset", "datasets")] {
        let ran = env.line(&format!("download acme/tiny --repo-type {kind}"));
        let path = ran.succeeds().stdout().to_owned();
        let folder = format!("{folder}--acme--tiny");
        assert!(path.contains(&folder), "{path}");
    }
}

#[test]
fn a_kernel_is_kept_like_any_repository() {
    let env = roomy_world();
    let draft = env.hub().repo("kernels/acme/fast").commit("main");
    let commit = draft
        .file("build/torch/fast.py", b"pass")
        .lfs("build/torch/fast.so", generated_bytes(LARGE, 1))
        .publish();
    let ran = env.line("models add acme/fast --repo-type kernel --json");
    let added = ran.succeeds().json();
    assert_eq!(added["repo_type"], "kernel");
    assert_eq!(added["name"], "kernels/acme/fast");
    for argument in [
        "kernels/acme/fast",
        "hf://kernels/acme/fast@main",
        "acme/fast --repo-type kernel",
    ] {
        let ran = env.line(&format!("download {argument}"));
        let path = ran.succeeds().stdout().trim_end().to_owned();
        let folder = Path::new("kernels--acme--fast/snapshots").join(&commit);
        assert!(Path::new(&path).ends_with(folder), "{path}");
        assert!(Path::new(&path).join("build/torch/fast.so").exists());
    }
    env.line("verify kernels/acme/fast").succeeds();
    env.line("models remove kernels/acme/fast --delete-files --yes")
        .succeeds();
    assert!(!env.cache().join("kernels--acme--fast").exists());
}
