//! The forms of stdout and stderr, and secrets that never appear there.

use std::fs;

use crate::support::env::TestEnv;

const SECRET: &str = "hf_aVerySecretTokenThatNobodyMaySee";

fn with_model() -> TestEnv {
    let env = TestEnv::new();
    env.line("models add acme/tiny --no-check").succeeds();
    env
}

#[test]
fn the_token_appears_nowhere() {
    let env = TestEnv::new();
    let repo = env.hub().repo("acme/tiny");
    repo.commit("main").file("a.txt", b"a").publish();
    env.set("HFDL_LOG", "trace");
    let lines = [
        "models add acme/tiny --name a -vvv",
        "models add acme/tiny -vvv --log-format json --name b --revision gone",
        "models add acme/missing -vvv",
        "models list -vvv --json",
        "config list --origin -vvv",
        "config get hub.endpoint -vvv",
        "schedules add n --daily 02:30 --all -vvv",
        "models show a -vvv",
        "models show nothing -vvv",
    ];
    let valid = |env: &TestEnv| env.hub().token(SECRET, &["acme/tiny"]);
    for is_valid in [false, true] {
        if is_valid {
            valid(&env);
        }
        env.set("HF_TOKEN", SECRET);
        for line in lines {
            let ran = env.line(line);
            let said = format!("{}{}", ran.stdout(), ran.stderr());
            assert!(!said.contains(SECRET), "{}", ran.report());
        }
    }
    let was_sent = |request: &hfdl_test_hub::Request| {
        request
            .header("authorization")
            .is_some_and(|value| value.ends_with(SECRET))
    };
    assert!(
        env.hub().requests().iter().any(was_sent),
        "the test proves nothing"
    );
    for entry in fs::read_dir(env.home()).unwrap() {
        let path = entry.unwrap().path();
        let bytes = fs::read(&path).unwrap();
        let found = bytes
            .windows(SECRET.len())
            .any(|part| part == SECRET.as_bytes());
        assert!(!found, "{}", path.display());
    }
}

#[test]
fn a_token_from_a_file_is_sent_and_not_shown() {
    let env = TestEnv::new();
    let repo = env.hub().repo("acme/tiny");
    repo.commit("main").file("a.txt", b"a").publish();
    repo.private();
    env.hub().token(SECRET, &["acme/tiny"]);
    env.set("HF_HOME", "~/hf");
    let file = env.root().join("user").join("hf").join("token");
    crate::support::cache::write(file, &format!("{SECRET}\n"));
    let ran = env.line("models add acme/tiny -vvv");
    ran.succeeds()
        .explains("using the token from the token file");
    assert!(!ran.stderr().contains(SECRET), "{}", ran.report());
}

#[test]
fn a_wrong_token_is_not_repeated() {
    let env = TestEnv::new();
    for token in [format!("{SECRET} and more"), format!("{SECRET}\u{e9}")] {
        env.set("HF_TOKEN", &token);
        let ran = env.line("models add acme/tiny -vvv");
        ran.exits(4).explains("`HF_TOKEN` cannot be used");
        assert!(!ran.stderr().contains(SECRET), "{}", ran.report());
    }
}

#[test]
fn credentials_in_an_endpoint_are_refused_and_not_repeated() {
    let env = TestEnv::new();
    env.set("HF_ENDPOINT", "https://me:s3cr3t@mirror.example");
    let ran = env.line("models add acme/tiny -vvv");
    ran.exits(2).explains("must not contain a user name");
    assert!(!ran.stderr().contains("s3cr3t"), "{}", ran.report());
}

#[test]
fn a_closed_pipe_on_stdout_is_no_error() {
    let env = with_model();
    for line in [
        "config list",
        "models list --json",
        "completions bash",
        "man",
        "--help",
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = env
            .command(line.split(' '))
            .stdout(writer)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{line}: {} {said}", output.status);
        assert_eq!(said, "", "{line}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_behind_stdout_is_reported() {
    let env = with_model();
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    let output = env
        .command(["config", "list"])
        .stdout(full)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(6));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.starts_with("error: cannot write to stdout"), "{said}");
}

#[cfg(unix)]
#[test]
fn arguments_that_are_no_text_are_refused_and_paths_may_be_anything() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    let env = with_model();
    let odd = OsStr::from_bytes(b"odd\xff");
    let output = env.command(["models", "show"]).arg(odd).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let output = env
        .command(["models", "list", "--home"])
        .arg(odd)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
}

#[test]
fn the_format_comes_from_flag_or_environment() {
    let env = with_model();
    let listing = env
        .line("models list --json")
        .succeeds()
        .stdout()
        .to_owned();
    assert!(listing.starts_with("{\n  \"schema\": \"hfdl.models/1\""));
    for line in [
        "--json models list",
        "models --json list",
        "models list --format json",
    ] {
        assert_eq!(env.line(line).succeeds().stdout(), listing, "{line}");
    }
    env.set("HFDL_FORMAT", "json");
    assert_eq!(env.line("models list").succeeds().stdout(), listing);
    env.line("models list --format table")
        .succeeds()
        .prints("NAME ");
    let yaml = env
        .line("models list --format yaml")
        .succeeds()
        .stdout()
        .to_owned();
    let yaml: serde_json::Value = serde_yaml::from_str(&yaml).unwrap();
    assert_eq!(yaml, env.line("models list").json());
    env.set("HFDL_FORMAT", "toml");
    env.line("models list")
        .exits(2)
        .explains("next: write table, json or yaml");
}

#[test]
fn an_empty_list_is_silent_or_an_empty_document() {
    let env = TestEnv::new();
    env.line("models list").succeeds().explains("no models");
    assert_eq!(env.line("models list").stdout(), "");
    env.line("models list -q").succeeds().silently();
    let ran = env.line("models list --json");
    assert_eq!(
        ran.succeeds().silently().json()["models"],
        serde_json::json!([])
    );
    assert_eq!(env.line("schedules next").succeeds().stdout(), "");
}

#[test]
fn colour_is_for_terminals_unless_it_is_asked_for() {
    let env = with_model();
    let is_coloured = |line: &str| {
        let ran = env.line(line);
        ran.stdout().contains('\u{1b}') || ran.stderr().contains('\u{1b}')
    };
    for line in ["models list", "models show nothing"] {
        assert!(!is_coloured(line), "{line}");
        assert!(is_coloured(&format!("{line} --color always")), "{line}");
    }
    env.set("CLICOLOR_FORCE", "1");
    assert!(is_coloured("models list"));
    assert!(!is_coloured("models list --color never"));
    assert!(!is_coloured("models list --json"), "JSON has no colours");
    env.set("NO_COLOR", "1");
    assert!(!is_coloured("models list"));
    assert!(is_coloured("models list --color always"));
}

#[test]
fn quiet_says_nothing_of_what_was_done_and_all_that_was_asked() {
    let env = TestEnv::new();
    let ran = env.line("-q models add acme/tiny --no-check");
    assert_eq!((ran.succeeds().stdout(), ran.stderr()), ("", ""));
    env.line("models list -q").succeeds().prints("acme/tiny");
    env.line("config get download.files -q")
        .succeeds()
        .prints("4\n");
    env.line("models add acme/tiny -q")
        .exits(2)
        .explains("exists already");
    env.line("models disable acme/tiny -q --json")
        .succeeds()
        .prints("hfdl.change/1");
}

#[test]
fn errors_are_one_line_of_json_on_request() {
    let env = with_model();
    let ran = env.line("models show acme/tinny --log-format json");
    let error: serde_json::Value = serde_json::from_str(ran.exits(2).stderr()).unwrap();
    assert_eq!(error["schema"], "hfdl.error/1");
    assert_eq!(error["message"], "there is no model `acme/tinny`");
    assert_eq!(error["exit_code"], 2);
    assert_eq!(ran.stderr().lines().count(), 1);
    env.set("HFDL_LOG_FORMAT", "json");
    env.line("models show x")
        .exits(2)
        .explains("{\"schema\":\"hfdl.error/1\"");
}

#[test]
fn yes_comes_from_the_environment_too() {
    let env = with_model();
    env.set("HFDL_YES", "0");
    env.line("models remove acme/tiny").exits(2);
    env.set("HFDL_YES", "1");
    env.line("models remove acme/tiny").succeeds();
}

#[test]
fn the_time_of_a_slot_is_the_same_text_in_each_command_whatever_the_zone_of_the_machine() {
    let env = with_model();
    env.line("schedules add n --daily 02:30 --all --tz UTC")
        .succeeds();
    env.set("TZ", "Asia/Tokyo");
    for line in [
        "schedules show n",
        "schedules list",
        "schedules next",
        "status",
    ] {
        env.line(line).prints("Mon 02:30 UTC, in 17 h");
    }
    env.line("run-due --dry-run")
        .succeeds()
        .prints("Mon 02:30 UTC, in 17 h");
    env.line("schedules list --absolute")
        .succeeds()
        .prints("2026-03-02 02:30 UTC");
    let shown = env.line("schedules show n --json").json();
    assert_eq!(shown["next_due_at"], "2026-03-02T02:30:00Z");
    env.line("schedules add local --daily 09:00 --all")
        .succeeds();
    assert_eq!(
        env.line("schedules show local --json").json()["time_zone"],
        "Asia/Tokyo"
    );
}

#[test]
fn times_are_given_as_people_say_them() {
    let env = with_model();
    env.line("schedules add n --daily 02:30 --all --tz UTC")
        .succeeds();
    // It is Sunday, 09:00.
    for (line, pointer, time) in [
        (
            "pause --until 'tomorrow 08:00'",
            "/until",
            "2026-03-02T08:00:00Z",
        ),
        ("pause --until 08:00", "/until", "2026-03-02T08:00:00Z"),
        (
            "pause --until 'in 1h 30m'",
            "/until",
            "2026-03-01T10:30:00Z",
        ),
        (
            "run-due --dry-run --at 'mon 03:00'",
            "/at",
            "2026-03-02T03:00:00Z",
        ),
        (
            "schedules next --from 'next sat'",
            "/slots/0/slot",
            "2026-03-07T02:30:00Z",
        ),
        ("report --since mon", "/since", "2026-02-23T00:00:00Z"),
        (
            "report --since 2d --until 'today 08:00'",
            "/until",
            "2026-03-01T08:00:00Z",
        ),
        (
            "schedules add o --once 'tomorrow 08:00' --tz Europe/Berlin --all",
            "/when",
            "2026-03-02T08:00",
        ),
        (
            "schedules set o --once 'in 90m'",
            "/when",
            "2026-03-01T11:30",
        ),
        (
            "schedules set o --once 12:15 --tz Asia/Tokyo",
            "/when",
            "2026-03-02T12:15",
        ),
    ] {
        // The dry run asks a hub that is not there.
        let shown = env.line(&format!("{line} --json")).json();
        assert_eq!(shown.pointer(pointer).unwrap(), time, "{line}");
    }
    env.line("sessions list --since yesterday").succeeds();
    env.line("sbom --at '2h ago'").succeeds();
    env.line("pause --until soon")
        .exits(2)
        .explains("`08:00`, `tomorrow 08:00`, `mon 08:00`, `in 2h`, `2h ago` or RFC 3339");
}
