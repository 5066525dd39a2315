//! Servers that say nothing useful, say it slowly, or say what steers a terminal.

use std::fs;
use std::time::Duration;

use hfdl::sys::text::steers_terminal;
use hfdl_test_hub::{Api, Fault, Gate, On, git_blob_id};

use crate::support::env::{Ran, TestEnv};
use crate::support::sound::files_below;

const MIB: u64 = 1 << 20;
const TOKEN: &str = "hf_geheim";

fn world() -> TestEnv {
    let env = TestEnv::new();
    env.set("HFDL_DISK_RESERVE", "0");
    publish(&env, "acme/tiny");
    env
}

fn publish(env: &TestEnv, repo: &str) -> String {
    let draft = env.hub().repo(repo).commit("main");
    let draft = draft.file("config.json", b"{}");
    draft
        .lfs_generated("model.safetensors", 3 * MIB, 7)
        .publish()
}

/// Returns what the run made of its only session: outcome, kind of error, code.
fn end(ran: &Ran) -> (String, String, Option<i32>) {
    let session = &ran.json()["sessions"][0];
    let word = |name: &str| session[name].as_str().unwrap_or_default().to_owned();
    (word("outcome"), word("error_kind"), ran.code())
}

#[test]
fn a_silent_connection_is_dropped_when_the_setting_says_so() {
    let silent = |variable: &str, args: &[&str]| {
        let env = world();
        env.set("HF_HUB_DOWNLOAD_TIMEOUT", variable);
        let cdn = On::cdn("model.safetensors");
        // Three pieces with a second and a half of silence behind each.
        let pause = Duration::from_millis(1_500);
        env.hub().fault(cdn, Fault::Trickle(1 << 20, pause));
        let line = ["download", "acme/tiny", "-c", "download.connections=1"];
        let once = ["-c", "download.retries=0"];
        let args = line.iter().chain(&once).chain(args);
        env.hfdl(args).code()
    };
    assert_eq!(silent("600", &["-c", "download.stall_after=1s"]), Some(5));
    assert_eq!(silent("1", &["-c", "download.stall_after=20m"]), Some(0));
    assert_eq!(silent("1", &[]), Some(5), "it wins over the default");
    assert_eq!(silent("600", &[]), Some(0));
}

/// Everything that a person or a program gets to see of a run.
fn all_texts(env: &TestEnv, ran: &Ran) -> Vec<(String, String)> {
    let mut texts = vec![
        ("stderr".to_owned(), ran.stderr().to_owned()),
        ("stdout".to_owned(), ran.stdout().to_owned()),
        ("the database".to_owned(), env.database_content()),
    ];
    for path in files_below(&env.home()) {
        let is_text = |end: &str| path.to_string_lossy().ends_with(end);
        if [".log", ".json", ".prom"].into_iter().any(is_text) {
            let text = fs::read_to_string(&path).unwrap();
            texts.push((path.display().to_string(), text));
        }
    }
    texts
}

/// Answers with control characters in each place that is shown or kept.
fn answers_with_control_characters() -> Vec<(On, Fault)> {
    const ESCAPE: &str = "\u{1b}[2Jgone";
    const CONTROL: &str = "\u{9b}31mred \u{202e}txt.exe";
    let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let refusal = |headers: Vec<(String, String)>, body: String| Fault::Refusal(403, headers, body);
    let json = |text: &str| serde_json::json!({ "error": text }).to_string();
    let listing = |path: &str, kind: &str| {
        let entry = serde_json::json!([{
            "type": kind, "path": path, "size": 0,
            "oid": "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391",
        }]);
        Fault::Garbage("application/json".into(), entry.to_string().into_bytes())
    };
    let (info, tree) = (|| On::api(Api::Info), || On::api(Api::Tree));
    let file = || On::cdn("model.safetensors");
    vec![
        (
            info(),
            refusal(vec![header("X-Error-Message", ESCAPE)], String::new()),
        ),
        (
            info(),
            refusal(vec![header("X-Error-Message", CONTROL)], String::new()),
        ),
        (
            info(),
            refusal(vec![header("X-Request-Id", CONTROL)], json(CONTROL)),
        ),
        (info(), refusal(Vec::new(), json(ESCAPE))),
        (
            info(),
            Fault::Header("X-HF-Warning".into(), format!("topic; {CONTROL}")),
        ),
        (
            info(),
            Fault::Header("RateLimit".into(), format!("\"{CONTROL}\";r=0;t=9")),
        ),
        (
            info(),
            Fault::Redirect(302, format!("http://127.0.0.1:1/{ESCAPE}")),
        ),
        (info(), Fault::Redirect(302, format!("http://{CONTROL}/"))),
        (tree(), listing(&format!("a/{ESCAPE}"), "file")),
        (tree(), listing(&format!("a/{CONTROL}"), "file")),
        (tree(), listing("a/b", ESCAPE)),
        (
            tree(),
            listing("a/b", &format!("{CONTROL}{}", "x".repeat(100_000))),
        ),
        (
            tree(),
            Fault::Header("Link".into(), format!("<http://{CONTROL}/>; rel=\"next\"")),
        ),
        (file(), refusal(Vec::new(), CONTROL.to_owned())),
        (
            file(),
            refusal(Vec::new(), format!("<Code>{ESCAPE}</Code>")),
        ),
        (
            file(),
            Fault::Header("Content-Encoding".into(), CONTROL.to_owned()),
        ),
    ]
}

#[test]
fn control_characters_of_a_server_reach_no_terminal_and_no_file() {
    for (on, fault) in answers_with_control_characters() {
        let env = world();
        env.line("config set status.file ../status.json").succeeds();
        env.hub().fault(on.clone(), fault.clone());
        let ran = env.hfdl(["download", "acme/tiny", "-vv"]);
        for (place, text) in all_texts(&env, &ran) {
            let found = text.chars().find(|c| steers_terminal(*c) && *c != '\n');
            assert_eq!(found, None, "{place}: {on:?} {fault:?}\n{}", ran.report());
            assert!(text.len() < 100_000, "{place}: {on:?}");
        }
        env.hub().heal();
        env.hfdl(["download", "acme/tiny"]).succeeds();
        for line in [
            "sessions list",
            "sessions list --json",
            "status",
            "logs --last",
        ] {
            let ran = env.line(line);
            let said = format!("{}{}", ran.stdout(), ran.stderr());
            let found = said.chars().find(|c| steers_terminal(*c) && *c != '\n');
            assert_eq!(found, None, "{line}: {on:?} {fault:?}\n{}", ran.report());
        }
    }
}

#[test]
fn a_malformed_header_costs_one_retry_of_its_request() {
    let env = world();
    let bad = Fault::Header("X-Request-Id".into(), "\u{1b}[2J".into());
    env.hub().fault(On::api(Api::Info).times(1), bad);
    env.hfdl(["download", "acme/tiny"]).succeeds();
    assert_eq!(
        env.hub().count(Api::Info),
        2,
        "only that answer is asked for again"
    );
}

/// The answers of mirrors that do not know the check of access.
fn missing_auth_checks() -> [Fault; 5] {
    let code = |status, code: &str| {
        let header = ("X-Error-Code".to_owned(), code.to_owned());
        Fault::Refusal(status, vec![header], "{}".to_owned())
    };
    [
        Fault::Status(404),
        Fault::Status(405),
        Fault::Status(501),
        code(404, "RepoNotFound"),
        code(404, "EntryNotFound"),
    ]
}

#[test]
fn gated_content_that_a_mirror_hands_out_is_fetched_without_its_check() {
    for route in missing_auth_checks() {
        let env = world();
        env.hub().token(TOKEN, &["acme/tiny"]);
        env.set("HF_TOKEN", TOKEN);
        env.hub().repo("acme/tiny").gated(Gate::Auto);
        env.hub().fault(On::api(Api::AuthCheck), route.clone());
        env.line("models add acme/tiny").succeeds().silently();
        env.line("download acme/tiny").succeeds();
        let doctor = env.line("doctor --json").json();
        let checks = doctor["checks"].as_array().unwrap().iter();
        let token: Vec<&serde_json::Value> = checks.filter(|it| it["name"] == "token").collect();
        assert_eq!(token.len(), 1, "{doctor}");
        assert_eq!(token[0]["verdict"], "ok", "{route:?} {doctor}");
    }
}

#[test]
fn gated_content_behind_a_mirror_is_refused_as_gated() {
    for route in missing_auth_checks() {
        let env = world();
        env.hub().token(TOKEN, &[]);
        env.set("HF_TOKEN", TOKEN);
        env.hub().repo("acme/tiny").gated(Gate::Auto);
        env.hub().fault(On::api(Api::AuthCheck), route);
        let bare = Fault::Status(403);
        env.hub().fault(On::api(Api::Resolve), bare);
        let ran = env.hfdl(["download", "acme/tiny", "--json"]);
        ran.explains("is gated").explains("accept the terms");
        assert_eq!(end(&ran), ("failed".into(), "auth".into(), Some(4)));
        env.line("models add acme/tiny")
            .succeeds()
            .explains("terms");
    }
}

#[test]
fn a_private_model_whose_token_has_vanished_is_not_gone() {
    let env = world();
    env.hub().repo("acme/tiny").private();
    env.hub().token(TOKEN, &["acme/tiny"]);
    env.set("HF_TOKEN", TOKEN);
    env.line("models add acme/tiny").succeeds();
    env.line("schedules add hourly --every 1h --all").succeeds();
    env.line("run-due").succeeds();

    env.unset("HF_TOKEN").now("2026-03-01T10:10:00Z");
    let ran = env.line("run-due --json");
    ran.explains("a token only").explains("HF_TOKEN");
    assert_eq!(end(&ran), ("failed".into(), "auth".into(), Some(4)));
    env.line("models outdated")
        .exits(4)
        .prints("could-not-check");
    let models = env.line("models list --json").json();
    assert_ne!(models["models"][0]["upstream_state"], "orphaned");
    env.line("status").exits(1);

    env.hub().forget_requests();
    env.set("HF_TOKEN", TOKEN).now("2026-03-01T10:25:00Z");
    env.line("run-due --trigger ci").succeeds();
    assert_eq!(
        env.hub().count(Api::Info),
        1,
        "it was asked at the next tick"
    );
    env.line("status").succeeds();
}

#[test]
fn a_private_model_whose_token_is_no_longer_valid_is_not_gone() {
    let env = world();
    env.hub().repo("acme/tiny").private();
    env.hub().token(TOKEN, &["acme/tiny"]);
    env.set("HF_TOKEN", TOKEN);
    env.line("models add acme/tiny").succeeds();
    env.line("download acme/tiny").succeeds();
    // A mirror that only says that there is no such thing.
    env.hub().fault(On::api(Api::Info), Fault::Status(401));
    env.hub().revoke_token(TOKEN);
    let ran = env.line("download acme/tiny --json");
    ran.explains("invalid or has expired");
    assert_eq!(end(&ran), ("failed".into(), "auth".into(), Some(4)));
}

#[test]
fn a_deleted_public_model_is_orphaned_with_and_without_a_token() {
    for token in [None, Some(TOKEN)] {
        let env = world();
        env.hub().token(TOKEN, &[]);
        env.set("HF_TOKEN", TOKEN);
        env.line("models add acme/tiny").succeeds();
        env.line("download acme/tiny").succeeds();
        if token.is_none() {
            env.unset("HF_TOKEN");
        }
        env.hub().repo("acme/tiny").delete();
        let ran = env.line("download acme/tiny --json");
        assert_eq!(end(&ran).0, "orphaned", "{}", ran.report());
    }
}

#[test]
fn the_same_commit_fetched_again_is_a_repair() {
    let env = world();
    env.line("models add acme/tiny").succeeds();
    env.line("download acme/tiny").succeeds();
    let repo = env.cache().join("models--acme--tiny");
    let outcome = || end(&env.line("download acme/tiny --json")).0;
    assert_eq!(outcome(), "up-to-date");
    fs::remove_file(repo.join("refs/main")).unwrap();
    assert_eq!(outcome(), "repaired");
    fs::remove_dir_all(&repo).unwrap();
    assert_eq!(outcome(), "repaired");
    assert_eq!(outcome(), "up-to-date");
}

#[cfg(unix)]
#[test]
fn no_variable_that_holds_a_token_reaches_a_hook() {
    let env = world();
    env.program("hook", "env > \"$HFDL_HOME/seen\"");
    let hook = env.root().join("programs/hook");
    let hook = hook.to_str().unwrap();
    env.hfdl(["config", "set", "hooks.finally", hook])
        .succeeds();
    env.line("models add acme/tiny").succeeds();
    env.line("schedules add hourly --every 1h --all").succeeds();
    let folder = env.root().join("user/.cache/huggingface");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("token"), "hf_inthefile\n").unwrap();
    env.set("HF_TOKEN", TOKEN)
        .set("HUGGING_FACE_HUB_TOKEN", "hf_thelegacyone")
        .set("MY_HF_TOKEN", TOKEN)
        .set("PIP_INDEX", "https://user:hf_inthefile@index/simple")
        .set("OTHER", "hf_thelegacyone")
        .set("KEPT", "hf_another");
    env.hub().token(TOKEN, &[]);
    env.line("run-due").succeeds();
    let seen = fs::read_to_string(env.home().join("seen")).unwrap();
    for name in ["MY_HF_TOKEN", "PIP_INDEX", "OTHER", "HF_TOKEN"] {
        let line = format!("{name}=");
        assert!(
            !seen.lines().any(|own| own.starts_with(&line)),
            "{name}\n{seen}"
        );
    }
    assert!(seen.contains("KEPT=hf_another"), "{seen}");
}

#[test]
fn brackets_without_end_are_refused_at_once() {
    let env = TestEnv::new();
    for text in ["[", "{", "- [", "a: {b: [", "[[[{"] {
        let file = env.root().join("work/deep.yaml");
        fs::write(
            &file,
            format!("version: 1\nmodels: {}", text.repeat(100_000)),
        )
        .unwrap();
        let began = std::time::Instant::now();
        env.line("apply -f deep.yaml")
            .exits(2)
            .explains("deep.yaml:2");
        assert!(began.elapsed() < Duration::from_secs(10), "{text}");
        fs::write(&file, text.repeat(100_000)).unwrap();
        env.line("apply -f deep.yaml").exits(2);
    }
}

#[test]
fn an_invalid_log_filter_is_reported_once_and_ignored() {
    let env = world();
    env.set("HFDL_LOG", "loud");
    let ran = env.hfdl(["download", "acme/tiny", "-v"]);
    ran.succeeds().explains("updated");
    assert_eq!(
        ran.stderr().matches("HFDL_LOG").count(),
        1,
        "{}",
        ran.report()
    );
    env.set("HFDL_LOG", "hfdl=off");
    env.line("download acme/tiny").succeeds().silently();
}

#[test]
fn json_log_lines_have_the_id_of_their_run() {
    let env = world();
    let ran = env.hfdl(["download", "acme/tiny", "-v", "--log-format", "json"]);
    let runs = env.line("runs list --json").json();
    let id = runs["runs"][0]["run_id"].as_str().unwrap();
    let logs = env.home().join("logs");
    let log = files_below(&logs).into_iter().next().unwrap();
    let texts = [
        ran.succeeds().stderr().to_owned(),
        fs::read_to_string(log).unwrap(),
    ];
    for text in texts {
        let lines: Vec<serde_json::Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert!(lines.len() > 2, "{text}");
        let ended = lines
            .iter()
            .find(|line| line["message"].to_string().contains("ended"));
        assert_eq!(ended.unwrap()["run_id"], id, "{text}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn many_new_models_need_no_more_open_files_than_few() {
    const MODELS: usize = 120;
    let env = TestEnv::new();
    env.set("HFDL_DISK_RESERVE", "0");
    for n in 0..MODELS {
        let id = format!("acme/m{n}");
        let draft = env.hub().repo(&id).commit("main");
        let draft = draft.file("config.json", format!("{n}").into_bytes());
        let draft = draft.lfs_generated("model.bin", 20_000 + n as u64, n as u64);
        draft.publish();
        env.hfdl(["models", "add", &id, "--no-check"]).succeeds();
    }
    let ran = env.hfdl_after("ulimit -n 80", ["download", "--all", "--json"]);
    let sessions = ran.json()["sessions"].as_array().unwrap().len();
    assert_eq!(
        (ran.code(), sessions),
        (Some(0), MODELS),
        "{}",
        ran.stderr()
    );
}

/// Writes behind the program's back what no program writes.
fn spoil(env: &TestEnv, sql: &str) {
    let connection = rusqlite::Connection::open(env.database()).unwrap();
    let unchecked = [("ignore_check_constraints", true), ("foreign_keys", false)];
    for (name, value) in unchecked {
        connection.pragma_update(None, name, value).unwrap();
    }
    connection.execute_batch(sql).unwrap();
}

/// A change of a row that a later version or damage may have made, and its name
/// in the message.
const UNREADABLE_ROWS: &[(&str, &str)] = &[
    (
        "UPDATE models SET repo_id = 'no \u{1b}such/thing/at all' WHERE name = 'acme/bad'",
        "acme/bad",
    ),
    (
        "UPDATE models SET published_commit = 'zz' WHERE name = 'acme/bad'",
        "acme/bad",
    ),
    (
        "INSERT INTO bad_files VALUES ('/some/file', 'no hash', 0)",
        "/some/file",
    ),
    (
        "INSERT INTO rate_limits VALUES ('http://h', 'api', -1, 9999999999999999)",
        "http://h",
    ),
    (
        "INSERT INTO runs (id, command, trigger, host, pid, boot_id, process_start, version,
        started_at, heartbeat_at)
    SELECT upper(id), 'no such command', trigger, host, pid, boot_id, process_start, version,
        started_at, heartbeat_at FROM runs LIMIT 1",
        "`runs`",
    ),
    (
        "UPDATE sessions SET outcome = 'of-a-later-version' WHERE model_name = 'acme/bad'",
        "`sessions`: ",
    ),
    (
        "UPDATE runs SET command = 'of-a-later-version', outcome = 'ended'",
        "`runs`: ",
    ),
    (
        "INSERT INTO events (at, kind, detail) SELECT max(started_at), 'of-a-later-version', '' FROM runs",
        "`events`: ",
    ),
    (
        "INSERT INTO alerts (model_id, error_kind, since)
        SELECT id, 'of-a-later-version', 0 FROM models WHERE name = 'acme/bad'",
        "`alerts`: ",
    ),
    (
        "INSERT INTO run_totals VALUES ('of-a-later-version', 1)",
        "of-a-later-version",
    ),
];

#[test]
fn an_unreadable_row_is_skipped_and_named() {
    for (sql, named) in UNREADABLE_ROWS {
        let env = world();
        publish(&env, "acme/bad");
        env.line("models add acme/tiny").succeeds();
        env.line("models add acme/bad").succeeds();
        env.line("schedules add hourly --every 1h --all").succeeds();
        env.line("run-due").succeeds();
        spoil(&env, sql);
        env.line("status")
            .exits(1)
            .prints("cannot be read")
            .prints(named);
        let ran = env.line("doctor");
        assert!(ran.stdout().contains(named), "{sql}\n{}", ran.report());

        env.now("2026-03-01T10:10:00Z");
        let ran = env.hfdl(["run-due", "--json"]);
        assert!(matches!(ran.code(), Some(0)), "{sql}\n{}", ran.report());
        let sessions = ran.json()["sessions"].clone();
        let names: Vec<&str> = sessions
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["model"].as_str().unwrap())
            .collect();
        assert!(names.contains(&"acme/tiny"), "{sql}: {names:?}");
        let status = env.line("status");
        assert!(
            status.stdout().contains(named),
            "{sql}\n{}",
            status.report()
        );
        env.line("models list").succeeds().prints("acme/tiny");
        for line in [
            "sessions list",
            "runs list",
            "models show acme/tiny",
            "schedules show hourly",
        ] {
            env.line(line).succeeds();
        }
    }
}

#[test]
fn busy_files_are_waited_for_together() {
    const FILES: usize = 12;
    let env = TestEnv::new();
    env.set("HFDL_DISK_RESERVE", "0");
    let mut draft = env.hub().repo("acme/tiny").commit("main");
    for n in 0..FILES {
        draft = draft.file(&format!("{n}.txt"), format!("{n}").into_bytes());
    }
    draft.publish();
    // Another program writes these files.
    let locks = env.cache().join(".locks/models--acme--tiny");
    fs::create_dir_all(&locks).unwrap();
    let lock = |n: usize| {
        let name = format!("{}.lock", git_blob_id(n.to_string().as_bytes()));
        let lock = hfdl::sys::lock::FileLock::try_acquire(&locks.join(name));
        lock.unwrap().unwrap()
    };
    let held: Vec<_> = (0..FILES).map(lock).collect();
    let began = std::time::Instant::now();
    env.line("download acme/tiny").succeeds();
    let waited = began.elapsed();
    assert!(waited < Duration::from_secs(10), "{waited:?}");
    drop(held);
}

#[cfg(target_os = "linux")]
#[test]
fn a_path_that_is_no_text_is_refused_and_never_altered() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let odd = |env: &TestEnv| {
        let mut path = env.root().as_os_str().to_owned();
        path.push(OsStr::from_bytes(b"/odd-\xff"));
        path
    };
    for name in [
        "HF_HUB_CACHE",
        "HF_HOME",
        "HFDL_HOME",
        "HFDL_CACHE_DIR",
        "HOME",
    ] {
        let env = world();
        let mut command = env.command(["download", "acme/tiny"]);
        let output = command.env(name, odd(&env)).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{name}: {said}");
        assert!(
            said.contains(&format!("`{name}`")) && said.contains("UTF-8"),
            "{said}"
        );
        assert_eq!(
            fs::read_dir(env.root()).unwrap().count(),
            2,
            "{name}: something was made"
        );
    }
    for args in [
        &["download", "acme/tiny", "--to"][..],
        &["models", "add", "acme/tiny", "--to"],
    ] {
        let env = world();
        let mut command = env.command(args);
        let output = command.arg(odd(&env)).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{args:?}: {said}");
        let folders = fs::read_dir(env.root()).unwrap().flatten();
        let made: Vec<_> = folders.map(|entry| entry.file_name()).collect();
        let is_odd = |name: &std::ffi::OsString| name.as_bytes().starts_with(b"odd");
        assert!(!made.iter().any(is_odd), "{made:?}");
    }
    // Other programs' variables may hold what they like.
    let env = world();
    let mut command = env.command(["download", "acme/tiny"]);
    let ended = command.env("OTHER", odd(&env)).output().unwrap();
    assert!(ended.status.success());
    // The state directory can be used as it is.
    let mut command = env.command(["download", "acme/tiny", "--home"]);
    let ended = command.arg(odd(&env)).output().unwrap();
    assert!(
        ended.status.success(),
        "{}",
        String::from_utf8_lossy(&ended.stderr)
    );
    assert!(std::path::Path::new(&odd(&env)).join("hfdl.db").exists());
}
