//! Habits of other tools: their words, their flags, and their ways to name things.

use std::fs;
use std::path::Path;

use hfdl_test_hub::{Api, Fault, On, generated_bytes};
use std::time::Duration;

use crate::support::due::roomy_world;
use crate::support::env::TestEnv;

/// A hub with two models, a dataset and a space, which is called as the dataset is.
fn world() -> TestEnv {
    let env = roomy_world();
    for id in [
        "acme/a",
        "acme/b",
        "datasets/acme/corpus",
        "spaces/acme/demo",
    ] {
        let draft = env.hub().repo(id).commit("main");
        let draft = draft.file("config.json", b"{}").file("LICENSE", b"free");
        draft.file("sub/NOTICE", b"x").publish();
    }
    env
}

#[test]
fn ls_rm_run_and_n_are_short_words() {
    let env = world();
    env.line("models add acme/a acme/b").succeeds();
    env.line("schedules add s --every 6h --all").succeeds();
    for noun in [
        "models",
        "schedules",
        "tags",
        "updates",
        "views",
        "sessions",
        "runs",
        "config",
    ] {
        let long = env
            .line(&format!("{noun} list"))
            .succeeds()
            .stdout()
            .to_owned();
        assert_eq!(
            env.line(&format!("{noun} ls")).succeeds().stdout(),
            long,
            "{noun}"
        );
    }
    let dry = env.line("run-due --dry-run").succeeds().stdout().to_owned();
    assert!(dry.contains("acme/a"), "{dry}");
    assert_eq!(env.line("run -n").succeeds().stdout(), dry);
    let plan = env.root().join("work/plan.yaml");
    fs::write(&plan, "version: 1\nmodels: [{repo: acme/c}]\n").unwrap();
    let before = env.database_content();
    for line in [
        "download acme/a -n",
        "prune -n",
        "adopt -n .",
        "apply -n -f plan.yaml",
    ] {
        env.line(line).succeeds();
    }
    assert_eq!(env.database_content(), before);
    env.line("schedules rm s --yes").succeeds();
    env.line("models rm acme/a acme/b --yes").succeeds();
    assert_eq!(env.line("models ls -q").stdout(), "");
}

#[test]
fn a_word_of_another_tool_names_the_right_command() {
    let env = TestEnv::new();
    for (line, says) in [
        ("pull org/name", "`hfdl download org/name`"),
        ("sync", "`hfdl run-due`"),
        ("update", "`hfdl download --all`"),
        ("repo list", "`hfdl models list`"),
        ("cache ls", "`hfdl prune`"),
        ("-q ls", "`hfdl models list`"),
        ("login", "`hf auth login`"),
        ("upload org/name .", "`hf upload` does"),
    ] {
        let ran = env.line(line);
        ran.exits(2).explains("there is no command").explains(says);
        assert_eq!(ran.stderr().lines().count(), 2, "{}", ran.report());
        assert!(ran.stdout().is_empty(), "{}", ran.report());
    }
    // These are words of their own.
    env.line("update list").succeeds();
    env.line("models pull")
        .exits(2)
        .explains("there is no command");
    env.line("help models add foo")
        .exits(2)
        .explains("`hfdl models add` has no commands below it, such as `foo`")
        .explains("next: `hfdl models add --help` explains the command");
    env.line("download --resume-download org/name")
        .exits(2)
        .explains("downloads are always resumed");
}

#[test]
fn a_token_on_the_command_line_is_refused_and_never_repeated() {
    let env = TestEnv::new();
    let secret = "hf_AbCdEfGhIjKlMnOpQrStUvWxYz";
    env.set("HFDL_LOG", "trace");
    for line in [
        format!("download --token {secret} org/name"),
        format!("-vvv download org/name --token={secret}"),
        format!("models add org/name --token {secret}"),
        format!("run-due --token={secret}"),
    ] {
        let ran = env.line(&line);
        ran.exits(2)
            .explains("in the process list")
            .explains("`HF_TOKEN`");
        ran.explains("`hf auth login`").explains("`--token-name`");
        let said = format!("{}{}", ran.stdout(), ran.stderr());
        assert!(!said.contains(secret), "{said}");
    }
    assert!(!env.home().exists());
}

#[test]
fn several_models_are_added_together_or_not_at_all() {
    let env = world();
    env.line("models add acme/a acme/missing")
        .exits(1)
        .explains("acme/missing");
    assert_eq!(env.line("models list -q").stdout(), "");
    let added = env.line("models add acme/a datasets/acme/corpus acme/a --tag t --json");
    let added = added.succeeds().json();
    assert_eq!(added["schema"], "hfdl.models/1");
    assert_eq!(added["models"].as_array().unwrap().len(), 2);
    assert_eq!(added["totals"]["models"], 2);
    assert_eq!(added["models"][1]["tags"][0], "t");
    let before = env.database_content();
    for (line, says) in [
        (
            "models add acme/b acme/c --name x --no-check",
            "`--name` is for one model",
        ),
        (
            "models add acme/b acme/c --to x --no-check",
            "`--to DIR` is for one model",
        ),
        (
            "models add acme/b acme/c --policy pin@0123456 --no-check",
            "`--policy pin@COMMIT`",
        ),
        (
            "models add acme/b acme/c --view-map a=b --no-check",
            "`--view-map` is for one model",
        ),
        (
            "models add acme/b models/acme/b@main:x --no-check",
            "is not valid",
        ),
        ("models add acme/b acme/a --no-check", "acme/a"),
    ] {
        env.line(line).exits(2).explains(says);
    }
    assert_eq!(env.database_content(), before);
    env.line("models add acme/b --to cache")
        .succeeds()
        .prints("added `acme/b`: 3 files");
}

#[test]
fn the_paths_of_several_models_are_printed() {
    let env = world();
    env.line("models add acme/a acme/b").succeeds();
    env.line("download --all").succeeds();
    let ran = env.line("models path acme/a acme/b -q");
    let paths: Vec<&str> = ran.succeeds().silently().stdout().lines().collect();
    assert!(paths.len() == 2 && paths.iter().all(|path| fs::exists(path).unwrap()));
    let document = env
        .line("models path acme/b acme/a --json")
        .succeeds()
        .json();
    assert_eq!(document["models"][0]["path"], paths[1]);
    env.line("models path acme/a acme/x")
        .exits(2)
        .explains("there is no model `acme/x`");
}

#[test]
fn a_dataset_or_space_without_its_prefix_is_found() {
    let env = world();
    for (name, kind) in [("acme/corpus", "dataset"), ("acme/demo", "space")] {
        for command in ["models add", "download"] {
            let ran = env.line(&format!("{command} {name}"));
            ran.exits(1)
                .explains(&format!("`{name}` is a {kind}, not a model"));
            ran.explains(&format!("write `{kind}s/{name}`"));
        }
    }
    env.hub().forget_requests();
    env.line("models add acme/neither")
        .exits(1)
        .explains("does not exist");
    assert_eq!(
        env.hub().requests().len(),
        3,
        "{}",
        env.hub().describe_requests()
    );
    env.hub().forget_requests();
    env.line("models add datasets/acme/neither").exits(1);
    assert_eq!(
        env.hub().requests().len(),
        1,
        "{}",
        env.hub().describe_requests()
    );
    env.hub().forget_requests();
    env.line("models add acme/a").succeeds();
    assert_eq!(env.hub().count(Api::Info), 1);
}

#[test]
fn a_word_after_a_repository_is_a_file_of_it() {
    let env = world();
    let path = env
        .line("download acme/a LICENSE")
        .succeeds()
        .stdout()
        .to_owned();
    assert_eq!(fs::read(path.trim_end()).unwrap(), b"free");
    env.line("models add acme/b --name kept").succeeds();
    let both = env.line("download acme/a LICENSE kept");
    assert_eq!(both.succeeds().stdout().lines().count(), 2);
    env.line("download kept LICENSE").succeeds();
    env.line("download gpt2 LICENSE")
        .exits(2)
        .explains("`LICENSE` may be a file of `gpt2`, or a repository")
        .explains("`gpt2 --include LICENSE`")
        .explains("`gpt2 hf.co/LICENSE`");
    env.line("download acme/a bert")
        .exits(2)
        .explains("if `bert` is a repository, write `hf.co/bert`");
    env.line("download acme/a '*.json'")
        .exits(2)
        .explains("write a pattern as `--include '*.json'`");
}

#[test]
fn several_patterns_after_one_flag_are_refused_with_the_right_form() {
    let env = world();
    env.line("download acme/a --include '*.json' '*.txt' LICENSE")
        .exits(2)
        .explains("take one pattern each")
        .explains("`--include '*.txt' --include 'LICENSE'`");
    env.line("download acme/a --include '*.json' --include LICENSE -n --json")
        .succeeds();
}

#[test]
fn the_directory_and_cache_flags_of_the_official_client_choose_the_place() {
    let env = world();
    let work = env.root().join("work");
    let ran = env.line("download acme/a --local-dir here -q");
    let path = ran.succeeds().silently().stdout();
    assert_eq!(path.trim_end(), work.join("here").to_str().unwrap());
    assert!(work.join("here/LICENSE").exists());
    // `--to cache` is the Hub's cache; `--local-dir` always names a directory.
    env.line("download acme/a --local-dir cache").succeeds();
    assert!(work.join("cache/LICENSE").exists());
    assert!(!env.cache().exists());
    let path = env
        .line("download acme/a --cache-dir ./other -q")
        .succeeds()
        .stdout()
        .to_owned();
    assert!(
        Path::new(&path).starts_with(work.join("other/models--acme--a")),
        "{path}"
    );
    assert!(!env.cache().exists());
    env.line("download acme/a --local-dir x --to y")
        .exits(2)
        .explains("cannot be used with");
    env.line("download acme/a --cache-dir x --local-dir y")
        .exits(2);
    env.line("config get cache.dir")
        .prints(env.cache().to_str().unwrap());
}

#[test]
fn force_download_and_max_workers_do_as_in_the_official_client() {
    let env = roomy_world();
    let draft = env.hub().repo("acme/large").commit("main");
    draft
        .lfs("model.safetensors", generated_bytes(24 << 20, 1))
        .publish();
    let slow = Fault::Trickle(1 << 20, Duration::from_millis(40));
    env.hub().fault(On::cdn("model.safetensors"), slow);
    env.line("download acme/large --max-workers 1").succeeds();
    let one = env.hub().downloads("model.safetensors").len();
    env.line("download acme/large --force-download --max-workers 8")
        .succeeds();
    let more = env.hub().downloads("model.safetensors").len() - one;
    assert!(
        more > one,
        "{one} requests with one worker, {more} with eight"
    );
    env.line("download acme/large --max-workers 0").exits(2);
}
