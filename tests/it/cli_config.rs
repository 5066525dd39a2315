//! Settings: where a value comes from, and what becomes of strange ones.

use serde_json::{Value, json};

use crate::support::env::TestEnv;

fn setting(env: &TestEnv, flags: &str, key: &str) -> Value {
    let document = env
        .line(&format!("config list --json {flags}"))
        .succeeds()
        .json();
    let settings = document["settings"].as_array().unwrap();
    let found = settings.iter().find(|setting| setting["key"] == key);
    let found = found.unwrap();
    json!([found["value"], found["origin"], found["variable"]])
}

#[test]
fn a_flag_beats_the_environment_which_beats_what_is_saved() {
    let env = TestEnv::new();
    let key = "download.connections";
    assert_eq!(setting(&env, "", key), json!(["16", "default", null]));
    env.line("config set download.connections 8")
        .succeeds()
        .prints("download.connections = 8");
    assert_eq!(setting(&env, "", key), json!(["8", "saved", null]));
    env.set("HFDL_DOWNLOAD_CONNECTIONS", "4");
    let variable = "HFDL_DOWNLOAD_CONNECTIONS";
    assert_eq!(
        setting(&env, "", key),
        json!(["4", "environment", variable])
    );
    assert_eq!(
        setting(&env, "--set download.connections=2", key),
        json!(["2", "flag", null])
    );
    env.line("config get download.connections -c download.connections=2")
        .prints("2\n");

    env.unset("HFDL_DOWNLOAD_CONNECTIONS");
    env.line("config unset download.connections").succeeds();
    assert_eq!(setting(&env, "", key), json!(["16", "default", null]));
}

#[test]
fn a_setting_without_a_value_can_be_switched_off_by_a_word() {
    let env = TestEnv::new();
    env.unset("HFDL_UPDATE_GUARDS");
    for key in [
        "cache.max_size",
        "run.max_duration",
        "run.max_transfer",
        "hooks.gate",
        "hooks.finally",
        "hooks.on_update",
        "metrics.file",
        "status.file",
        "ping.url",
        "limit.daily",
        "limit.monthly",
        "download.limit_rate",
        "update.guards",
        "update.size_change",
        "verify.every",
        "prune.auto",
    ] {
        env.line(&format!("config set {key} off"))
            .succeeds()
            .prints(&format!("{key} = off"));
        assert_eq!(setting(&env, "", key), json!(["off", "saved", null]));
        env.line(&format!("config get {key}")).prints("off\n");
    }
    // A run with them: no limit, no program, and no file named `off`.
    env.hub()
        .repo("acme/tiny")
        .commit("main")
        .file("a", "1")
        .publish();
    env.line("models add acme/tiny").succeeds();
    env.line("download acme/tiny").succeeds();
    let work = env.root().join("work");
    assert!(!work.join("off").exists());
    // An applied file may have them too.
    let exported = env.line("export").succeeds().stdout().to_owned();
    std::fs::write(work.join("all.yaml"), exported).unwrap();
    env.line("apply -f all.yaml")
        .succeeds()
        .prints("nothing to do");

    // A variable can switch off a saved value.
    env.line("config set cache.max_size 1G").succeeds();
    env.set("HFDL_CACHE_MAX_SIZE", "off");
    assert_eq!(
        setting(&env, "", "cache.max_size"),
        json!(["off", "environment", "HFDL_CACHE_MAX_SIZE"])
    );
    env.unset("HFDL_CACHE_MAX_SIZE");
    for (line, why) in [
        ("cache.max_size much", "or `off`"),
        ("limit.zone off", "limit.zone"),
        ("disk.reserve off", "disk.reserve"),
    ] {
        env.line(&format!("config set {line}"))
            .exits(2)
            .explains(why);
    }
}

#[test]
fn the_origin_is_shown_on_request() {
    let env = TestEnv::new();
    env.line("config set disk.reserve 20G").succeeds();
    let ran = env.line("config list --origin --set download.files=2");
    let line = |key: &str| {
        ran.stdout()
            .lines()
            .find(|line| line.starts_with(key))
            .unwrap()
    };
    assert!(line("disk.reserve").contains("20G") && line("disk.reserve").contains("saved"));
    assert!(line("download.files").contains("flag"));
    assert!(line("cache.dir").contains("environment (HF_HUB_CACHE)"));
    assert!(line("keep.logs").contains("default"));
}

#[test]
fn official_variables_keep_their_meaning_and_ours_come_first() {
    let env = TestEnv::new();
    env.set("HF_ENDPOINT", "https://mirror.example/hub/");
    let endpoint = json!(["https://mirror.example/hub", "environment", "HF_ENDPOINT"]);
    assert_eq!(setting(&env, "", "hub.endpoint"), endpoint);
    env.set("HFDL_HUB_ENDPOINT", "https://ours.example");
    assert_eq!(setting(&env, "", "hub.endpoint")[2], "HFDL_HUB_ENDPOINT");
    env.set("HF_HUB_DISABLE_XET", "yes");
    assert_eq!(
        setting(&env, "", "download.xet"),
        json!(["off", "environment", "HF_HUB_DISABLE_XET"])
    );

    env.unset("HF_HUB_CACHE").set("HF_HOME", "~/hf");
    let expected = env.root().join("user").join("hf").join("hub");
    let found = setting(&env, "", "cache.dir");
    assert_eq!(found[0].as_str().unwrap(), expected.to_str().unwrap());
    assert_eq!(found[2], "HF_HOME");
    env.unset("HF_HOME");
    let parts = ["user", ".cache", "huggingface", "hub"];
    let expected = parts
        .iter()
        .fold(env.root().to_path_buf(), |path, part| path.join(part));
    assert_eq!(
        setting(&env, "", "cache.dir")[0].as_str().unwrap(),
        expected.to_str().unwrap()
    );
}

#[test]
fn values_are_saved_in_one_spelling() {
    let env = TestEnv::new();
    for (key, typed, saved) in [
        ("disk.reserve", "1024M", "1G"),
        ("keep.logs", "48h", "2d"),
        ("download.stall_after", "90s", "1m30s"),
        ("hub.endpoint", "https://x.example/", "https://x.example"),
        ("download.limit_rate", "10M", "10M"),
        ("hooks.on_hold", "[\"notify\"]", "notify"),
        (
            "hooks.on_skip",
            "[ \"notify\",\"a b\" ]",
            "[\"notify\", \"a b\"]",
        ),
        ("ping.url", "https://x.example/y/", "https://x.example/y"),
    ] {
        env.hfdl(["config", "set", key, typed]).succeeds();
        let stored = env.database_content();
        assert!(
            stored.contains(&format!("{saved:?}")),
            "{key}: {saved} in {stored}"
        );
    }
}

#[test]
fn a_wrong_value_in_the_environment_names_its_variable() {
    let env = TestEnv::new();
    env.set("HFDL_DISK_RESERVE", "lots");
    env.line("config list")
        .exits(2)
        .explains("environment (HFDL_DISK_RESERVE)")
        .explains("`lots` is not a valid value for `disk.reserve`")
        .explains("next: correct `HFDL_DISK_RESERVE` or unset it");
}

#[test]
fn an_unknown_saved_key_is_warned_about_and_can_be_removed() {
    let env = TestEnv::new();
    env.line("config set download.retries 3").succeeds();
    // A key of a later version: no command saves it.
    let connection = rusqlite::Connection::open(env.database()).unwrap();
    let insert = "INSERT INTO settings VALUES ('download.telepathy', 'on', 0)";
    connection.execute(insert, []).unwrap();
    env.line("config get download.retries")
        .succeeds()
        .prints("3\n")
        .explains("there is no setting `download.telepathy`");
    env.line("config unset download.telepathy").succeeds();
    env.line("config get download.retries")
        .succeeds()
        .silently();
}

#[test]
fn a_saved_value_that_is_invalid_now_can_be_unset() {
    let env = TestEnv::new();
    env.line("config set download.retries 3").succeeds();
    // A value of an earlier version: no command saves it now.
    let connection = rusqlite::Connection::open(env.database()).unwrap();
    connection
        .execute("UPDATE settings SET value = 'many'", [])
        .unwrap();
    env.line("config list")
        .exits(2)
        .explains("saved")
        .explains("config unset download.retries");
    env.line("config unset download.retries").succeeds();
    env.line("config list").succeeds();
}

#[test]
fn the_tick_decides_what_is_possible() {
    let env = TestEnv::new();
    let add = "schedules add x --daily 03:00 --all --window 04:00-04:12";
    env.line(add).exits(2).explains("the timer ticks every 15m");
    env.line("config set timer.every 5m").succeeds();
    env.line(add).succeeds();
}

#[test]
fn a_secret_address_is_shown_by_its_host_unless_it_is_asked_for() {
    let env = TestEnv::new();
    let (url, shown) = (
        "https://ping.example/geheim?create=1",
        "https://ping.example/***",
    );
    let set = env.hfdl(["config", "set", "ping.url", url]);
    let listed = [env.line("config list"), env.line("config list --json"), set];
    for ran in &listed {
        ran.succeeds().prints(shown);
        assert!(!ran.stdout().contains("geheim"), "{}", ran.report());
    }
    env.line("config get ping.url").succeeds().prints(url);
}

#[test]
fn a_secret_address_is_not_exported_and_not_pruned() {
    let env = TestEnv::new();
    env.line("config set ping.url https://ping.example/geheim")
        .succeeds();
    env.line("config set hooks.on_update '[\"notify\", \"a b\"]'")
        .succeeds();
    let exported = env.line("export");
    exported
        .succeeds()
        .prints("hooks.on_update:\n  - notify\n  - a b\n")
        .explains("`ping.url` is left out");
    let file = env.root().join("hfdl.yaml");
    std::fs::write(&file, exported.stdout()).unwrap();
    let apply = ["apply", "--prune", "-y", "-f", file.to_str().unwrap()];
    env.hfdl(apply).succeeds();
    env.line("config get ping.url")
        .succeeds()
        .prints("/geheim\n");

    let text = "version: 1\nconfig: {ping.url: 'https://ping.example/anders'}\n";
    std::fs::write(&file, text).unwrap();
    let ran = env.hfdl(apply);
    ran.succeeds().prints("https://ping.example/***");
    assert!(!ran.stdout().contains("anders"), "{}", ran.report());
    env.line("config get ping.url")
        .succeeds()
        .prints("/anders\n");
}

#[test]
fn a_file_says_a_program_as_a_word_or_as_a_list() {
    let env = TestEnv::new();
    let file = env.root().join("hfdl.yaml");
    let apply = |value: &str| {
        let text = format!("version: 1\nconfig:\n  hooks.finally: {value}\n");
        std::fs::write(&file, text).unwrap();
        env.hfdl(["apply", "-f", file.to_str().unwrap()])
    };
    apply("notify").succeeds();
    env.line("config get hooks.finally").prints("notify\n");
    apply("[notify, a b]").succeeds();
    env.line("config get hooks.finally")
        .prints("[\"notify\", \"a b\"]\n");
    for (bad, why) in [
        ("[]", "a JSON array"),
        ("[notify, 1]", "must be a text"),
        ("notify me", "nothing is split at spaces"),
        ("{a: b}", "must be a text"),
    ] {
        apply(bad).exits(2).explains(why);
    }
}
