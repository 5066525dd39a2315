//! The life of a model on the command line, and what the Hub is asked.

use hfdl_test_hub::{Api, Gate};
use serde_json::json;

use crate::support::env::TestEnv;

/// A hub with one repository of 7 files and two revisions.
fn with_repository() -> (TestEnv, String) {
    let env = TestEnv::new();
    let repo = env.hub().repo("acme/tiny");
    let commit = repo
        .commit("main")
        .file("README.md", vec![b'r'; 100])
        .file("config.json", vec![b'c'; 50])
        .file("data/a.txt", vec![b'a'; 10])
        .file("data/b.txt", vec![b'b'; 20])
        .lfs("model-Q4_K_M.gguf", vec![4; 3000])
        .lfs("model-Q8_0.gguf", vec![8; 6000])
        .lfs("model.safetensors", vec![1; 9000])
        .publish();
    repo.commit("dev").file("only.txt", b"x").publish();
    repo.tag("v1", &commit);
    (env, commit)
}

#[test]
fn a_model_is_added_listed_changed_and_removed() {
    let (env, commit) = with_repository();
    let short = &commit[..7];
    env.line("models add acme/tiny --tag llm --tag nightly --priority 70")
        .succeeds()
        .silently()
        .prints("added `acme/tiny`: 7 files, 17.8 KiB, at ")
        .prints(short);
    env.line("models list")
        .succeeds()
        .silently()
        .prints("never-downloaded");

    env.line("models set acme/tiny --name tiny --priority 5 --include *.json --no-tag --keep-revisions 4")
        .succeeds()
        .prints("changed `tiny`");
    let shown = env.line("models show tiny --json").succeeds().json();
    assert_eq!(shown["priority"], 5);
    assert_eq!(shown["include"], json!(["*.json"]));
    assert_eq!(shown["tags"], json!([]));
    assert_eq!(shown["keep_revisions"], 4);
    assert_eq!(shown["repo"], "acme/tiny");

    env.line("models disable tiny")
        .succeeds()
        .prints("disabled `tiny`");
    assert_eq!(
        env.line("model show tiny --json").json()["state"],
        "disabled"
    );
    env.line("models list --state never-downloaded")
        .succeeds()
        .explains("no model is in that state");
    env.line("models enable tiny")
        .succeeds()
        .prints("enabled `tiny`");
    env.line("models set tiny --no-include --no-keep-revisions")
        .succeeds();
    let shown = env.line("models show tiny --json").json();
    assert_eq!(
        (&shown["include"], &shown["keep_revisions"]),
        (&json!(null), &json!(null))
    );

    env.line("models remove tiny -y")
        .succeeds()
        .prints("removed `tiny`");
    env.line("models list").succeeds().explains("no models");
    env.line("models add acme/tiny").succeeds();
}

#[test]
fn every_form_of_a_repository_argument_reaches_its_repository() {
    let (env, commit) = with_repository();
    let hub = env.hub();
    for id in ["datasets/acme/corpus", "spaces/acme/app"] {
        hub.repo(id).commit("main").file("a.txt", b"abc").publish();
    }
    let slash = hub.repo("acme/tiny").commit("refs/pr/1");
    slash.file("new.txt", b"new").publish();
    let page = env.hub().endpoint();
    for (argument, repo, revision, files) in [
        ("acme/tiny", "acme/tiny", "main", 7),
        ("models/acme/tiny", "acme/tiny", "main", 7),
        ("acme/tiny@v1", "acme/tiny", "v1", 7),
        (&format!("acme/tiny@{commit}"), "acme/tiny", &commit, 7),
        ("datasets/acme/corpus", "datasets/acme/corpus", "main", 1),
        ("spaces/acme/app", "spaces/acme/app", "main", 1),
        ("hf://acme/tiny@dev", "acme/tiny", "dev", 1),
        (
            "hf://datasets/acme/corpus",
            "datasets/acme/corpus",
            "main",
            1,
        ),
        ("hf://acme/tiny@refs/pr/1", "acme/tiny", "refs/pr/1", 1),
        ("https://huggingface.co/acme/tiny", "acme/tiny", "main", 7),
        (
            "https://huggingface.co/acme/tiny/tree/dev",
            "acme/tiny",
            "dev",
            1,
        ),
        (
            "https://hf.co/acme/tiny/tree/main/data",
            "acme/tiny",
            "main",
            2,
        ),
        (
            "https://huggingface.co/acme/tiny/blob/v1/config.json",
            "acme/tiny",
            "v1",
            1,
        ),
        (
            &format!("{page}/spaces/acme/app"),
            "spaces/acme/app",
            "main",
            1,
        ),
        // The quantisation, and the four small text files.
        ("acme/tiny:Q4_K_M", "acme/tiny", "main", 5),
    ] {
        let ran = env.hfdl(["models", "add", argument, "--name", "x", "--json"]);
        let added = ran.succeeds().json();
        assert_eq!(added["repo"], repo, "{argument}");
        assert_eq!(added["revision"], revision, "{argument}");
        assert_eq!(added["check"]["files"], files, "{argument}");
        env.line("models remove x --yes").succeeds();
    }
}

#[test]
fn the_name_is_the_repositorys_unless_another_is_given() {
    let (env, _) = with_repository();
    for (argument, name) in [
        ("acme/tiny@dev", "acme/tiny"),
        ("acme/tiny:Q4_K_M", "acme/tiny:Q4_K_M"),
        ("hf://datasets/acme/corpus", "datasets/acme/corpus"),
    ] {
        let ran = env.hfdl(["models", "add", argument, "--no-check", "--json"]);
        assert_eq!(ran.succeeds().json()["name"], name);
        env.hfdl(["models", "remove", name, "-y"]).succeeds();
    }
}

#[test]
fn the_counts_are_those_that_the_filters_select() {
    let (env, commit) = with_repository();
    let cases: [(&str, u64, u64); 5] = [
        ("", 7, 18_180),
        ("--include *.gguf", 2, 9_000),
        ("--include *.gguf --exclude *Q8*", 1, 3_000),
        ("--include data/", 2, 30),
        ("--exclude *.gguf --exclude *.safetensors", 4, 180),
    ];
    for (flags, files, bytes) in cases {
        let ran = env.line(&format!("models add acme/tiny --name x --json {flags}"));
        let check = ran.succeeds().json()["check"].clone();
        assert_eq!(
            check,
            json!({
                "commit": commit, "files": files, "bytes": bytes, "files_total": 7,
                "bytes_total": 18_180, "renamed_to": null, "access_missing": false,
            }),
            "{flags}"
        );
        env.line("models remove x --yes").succeeds();
    }
    env.line("models add acme/tiny --include *.gguf")
        .succeeds()
        .prints("2 files of 7, 8.79 KiB of 17.8 KiB, at ");
}

#[test]
fn patterns_that_select_nothing_are_refused_with_what_there_is() {
    let (env, _) = with_repository();
    for pattern in ["*.bin", "*.GGUF"] {
        env.line(&format!("models add acme/tiny --include {pattern}"))
            .exits(2)
            .explains("it has 7 files: `README.md`, `config.json`");
    }
    env.line("models list --json").prints("\"models\": []");
}

#[test]
fn a_renamed_repository_is_kept_under_its_old_name_with_a_warning() {
    let (env, _) = with_repository();
    env.hub().repo("acme/tiny").rename("acme/small");
    let ran = env.line("models add acme/tiny --json");
    ran.succeeds()
        .explains("warning: `acme/tiny` is called `acme/small` now");
    assert_eq!(ran.json()["check"]["renamed_to"], "acme/small");
    assert_eq!(ran.json()["repo"], "acme/tiny");
}

#[test]
fn a_gated_repository_is_kept_with_a_warning_until_access_is_granted() {
    let (env, _) = with_repository();
    let hub = env.hub();
    hub.repo("acme/tiny").gated(Gate::Manual);
    let ran = env.line("models add acme/tiny --name closed --json");
    ran.succeeds()
        .explains("`acme/tiny` is gated and access is not granted yet");
    assert_eq!(ran.json()["check"]["access_missing"], true);
    env.line("models remove closed -y").succeeds();

    hub.token("hf_insider", &["acme/tiny"]);
    env.set("HF_TOKEN", "hf_insider");
    let ran = env.line("models add acme/tiny --json");
    assert_eq!(
        ran.succeeds().silently().json()["check"]["access_missing"],
        false
    );
}

#[test]
fn a_private_repository_needs_the_token() {
    let (env, _) = with_repository();
    env.hub().repo("acme/tiny").private();
    env.hub().token("hf_insider", &["acme/tiny"]);
    env.line("models add acme/tiny")
        .exits(1)
        .explains("is private");
    env.set("HF_TOKEN", "hf_insider");
    env.line("models add acme/tiny").succeeds();
}

#[test]
fn no_check_asks_the_hub_nothing() {
    let (env, _) = with_repository();
    env.line("models add acme/tiny --no-check")
        .succeeds()
        .prints("added `acme/tiny` without asking the Hub");
    env.line("models add acme/does-not-exist --no-check --json")
        .succeeds();
    for line in [
        "models list",
        "models show acme/tiny",
        "models set acme/tiny --revision v1",
        "models disable acme/tiny",
        "models remove acme/tiny --yes",
        "schedules add nightly --daily 02:30 --all",
        "schedules next",
        "config list",
    ] {
        env.line(line).succeeds();
    }
    assert!(
        env.hub().requests().is_empty(),
        "{}",
        env.hub().describe_requests()
    );
}

#[test]
fn adding_costs_two_requests_and_no_content() {
    let (env, _) = with_repository();
    env.line("models add acme/tiny").succeeds();
    let apis: Vec<Api> = env
        .hub()
        .requests()
        .iter()
        .map(|request| request.api)
        .collect();
    assert_eq!(
        apis,
        [Api::Info, Api::Tree],
        "{}",
        env.hub().describe_requests()
    );
}

#[test]
fn a_model_that_exists_is_refused_before_the_hub_is_asked() {
    let (env, _) = with_repository();
    env.line("models add acme/tiny --no-check").succeeds();
    env.line("models add acme/tiny").exits(2);
    assert!(env.hub().requests().is_empty());
}

#[test]
fn the_same_repository_may_be_kept_elsewhere_or_at_another_revision() {
    let (env, _) = with_repository();
    env.line("models add acme/tiny").succeeds();
    env.line("models add acme/tiny --name dev --revision dev")
        .succeeds();
    let ran = env.line("models add acme/tiny --name copy --to copy --json");
    let place = env.root().join("work/copy");
    let place = place.canonicalize().unwrap_or(place);
    let to = ran.succeeds().json()["to"].as_str().unwrap().to_owned();
    assert!(
        to.ends_with("copy") && std::path::Path::new(&to).is_absolute(),
        "{to} {place:?}"
    );
    assert!(!place.exists(), "nothing is downloaded yet");
    let names = env.line("models list --json").json();
    assert_eq!(names["models"].as_array().unwrap().len(), 3);
}

#[test]
fn a_new_revision_or_place_forgets_what_was_found_out_about_the_old_one() {
    let (env, commit) = with_repository();
    env.line("models add acme/tiny").succeeds();
    env.set("HFDL_DISK_RESERVE", "0");
    env.line("download acme/tiny").succeeds();
    env.line("models set acme/tiny --priority 1").succeeds();
    let shown = env.line("models show acme/tiny --json").json();
    assert_eq!(shown["published_commit"], commit);
    env.line("models set acme/tiny --revision v1").succeeds();
    let shown = env.line("models show acme/tiny --json").json();
    assert_eq!(shown["published_commit"], json!(null));
    assert_eq!(shown["last_check_at"], json!(null));
    env.line("download acme/tiny").succeeds();
    env.line("models set acme/tiny --to elsewhere").succeeds();
    let shown = env.line("models show acme/tiny --json").json();
    assert_eq!(shown["published_commit"], json!(null));
    assert_eq!(shown["last_check_at"], json!(null));
}

#[test]
fn a_directory_has_one_model() {
    let env = TestEnv::new();
    env.line("models add acme/tiny --to place --no-check")
        .succeeds();
    env.line("models add acme/other --no-check").succeeds();
    let before = env.database_content();
    for line in [
        "models add acme/third --to place --no-check",
        "models add acme/tiny --revision v1 --name v1 --to ./place/ --no-check",
        "models set acme/other --to place",
    ] {
        env.line(line)
            .exits(2)
            .explains("the model `acme/tiny` uses the directory");
        assert_eq!(env.database_content(), before, "{line}");
    }
    env.line("models set acme/tiny --to place --priority 1")
        .succeeds();
    env.line("models set acme/tiny --to elsewhere").succeeds();
    env.line("models set acme/other --to place").succeeds();
}

#[test]
fn a_tilde_means_the_users_directory_where_no_shell_expands_it() {
    let env = TestEnv::new();
    let added = env
        .line("models add acme/tiny --to=~/models --no-check --json")
        .json();
    let expected = env.root().join("user").join("models");
    assert_eq!(added["to"].as_str().unwrap(), expected.to_str().unwrap());
}

#[test]
fn a_name_that_is_given_twice_counts_once() {
    let env = TestEnv::new();
    env.line("models add acme/tiny --no-check").succeeds();
    env.line("schedules add n --every 6h --all").succeeds();
    for line in [
        "models disable acme/tiny acme/tiny",
        "models enable acme/tiny acme/tiny",
        "schedules disable n n",
        "schedules enable n n",
        "schedules remove n n --yes",
        "models remove acme/tiny acme/tiny --yes",
    ] {
        let name = format!("`{}`", line.split(' ').nth(2).unwrap());
        let ran = env.line(line);
        assert_eq!(
            ran.succeeds().stdout().matches(&name).count(),
            1,
            "{}",
            ran.report()
        );
    }
}

#[test]
fn models_are_listed_by_tag() {
    let (env, _) = with_repository();
    env.line("models add acme/tiny --tag llm").succeeds();
    env.line("models add acme/tiny --name dev --revision dev --tag test")
        .succeeds();
    let listed = env.line("models list --tag test --json").json();
    let names: Vec<_> = listed["models"]
        .as_array()
        .unwrap()
        .iter()
        .map(|m| &m["name"])
        .collect();
    assert_eq!(names, ["dev"]);
}
