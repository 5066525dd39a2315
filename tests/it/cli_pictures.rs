//! Pictures of what people see: help, tables, documents and errors.
//!
//! After a wanted change `INSTA_UPDATE=always cargo test --test it pictures`
//! writes them anew; then the differences are to be read. Only paths differ
//! between systems, so Unix is enough.

use hfdl_test_hub::{Fault, Gate, Hint, On};

use crate::support::env::{TestEnv, with_slashes};

/// Compares a text with the picture of that name.
fn look(name: impl Into<String>, text: impl AsRef<str>) {
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name.into(), text.as_ref()));
}

/// As wide with a drive before it as in the pictures.
const SRV: &str = if cfg!(windows) { "/s/" } else { "/srv/" };

/// A world without a path or port that differs from one time to the next.
fn fixed() -> TestEnv {
    let env = TestEnv::new();
    env.set("HF_HUB_CACHE", &format!("{SRV}hub"))
        .set("HF_ENDPOINT", "https://hub.example")
        .unset("HFDL_UPDATE_GUARDS");
    env
}

/// Three models in three states, and two schedules.
fn populated() -> TestEnv {
    let env = fixed();
    for line in [
        "models add acme/tiny --tag llm --tag nightly --no-check",
        "models add acme/large-language-model:Q4_K_M --priority 90 --no-check",
        "models add datasets/acme/corpus --revision refs/convert/parquet --to /srv/corpus --name corpus --include data/ --exclude *.tmp --exclude *.bak --no-check",
        "models disable corpus",
        "schedules add nightly --daily 02:30 --tz Europe/Berlin --all --window 22:00-07:00 --window Sat,Sun@00:00-24:00 --max-duration 4h --limit-rate '08:00,2M 23:00,off'",
        "schedules add llm --every 6h --tag llm --model corpus --catch-up-within 3h --max-transfer 20G",
        "config set download.connections 32",
        "config set disk.reserve 20G",
    ] {
        env.line(&line.replace("/srv/", SRV)).succeeds();
    }
    // A download would show the port and the paths of this test.
    let database = rusqlite::Connection::open(env.database()).unwrap();
    let found_out =
        "UPDATE models SET published_commit = '0123456789abcdef0123456789abcdef01234567',
        published_at = 1772000000, last_check_at = 1772300000, last_success_at = 1772300000,
        last_change_at = 1772000000 WHERE name = 'acme/tiny'";
    database.execute(found_out, []).unwrap();
    env
}

/// Returns the names of the commands that a help lists, without `help` itself.
pub fn listed_commands(help: &str) -> impl Iterator<Item = &str> {
    let mut is_list = false;
    help.lines().filter_map(move |line| {
        if !line.starts_with(' ') && !line.is_empty() {
            let others = ["Options:", "Global options:", "Arguments:"];
            is_list = line.ends_with(':') && !others.contains(&line);
        }
        // A folded line goes on further to the right.
        let is_name = is_list && line.starts_with("  ") && !line.starts_with("   ");
        let name = line.split_whitespace().next().filter(|_| is_name);
        name.filter(|name| *name != "help")
    })
}

/// Returns the command lines of all commands, as their help lists them.
pub fn all_commands(env: &TestEnv) -> Vec<String> {
    let mut found = vec![String::new()];
    let mut at = 0;
    while let Some(path) = found.get(at).cloned() {
        let help = env
            .line(&format!("{path} -h"))
            .succeeds()
            .stdout()
            .to_owned();
        let names = listed_commands(&help);
        found.extend(names.map(|name| format!("{path} {name}").trim().to_owned()));
        at += 1;
    }
    found
}

#[test]
fn help_looks_right() {
    let env = fixed();
    for path in all_commands(&env) {
        let short = env.line(&format!("{path} -h"));
        let long = env.line(&format!("{path} --help"));
        short.succeeds().silently();
        long.succeeds().silently();
        let name = format!("help {path}").trim().replace(' ', "-");
        look(name, format!("{}\n{}", short.picture(), long.picture()));
    }
}

/// Takes one picture of several command lines.
fn picture(env: &TestEnv, lines: &[&str]) -> String {
    let shown = |line: &&str| env.line(&line.replace("/srv/", SRV)).picture();
    let pictures: Vec<String> = lines.iter().map(shown).collect();
    pictures.join("\n").replace(SRV, "/srv/")
}

#[test]
fn tables_look_right() {
    let env = populated();
    look(
        "tables-models",
        picture(
            &env,
            &[
                "models list",
                "models list --tag llm",
                "models show acme/tiny",
                "models show corpus",
            ],
        ),
    );
    look(
        "tables-schedules",
        picture(
            &env,
            &[
                "schedules list",
                "schedules show nightly",
                "schedules show llm",
            ],
        ),
    );
    look(
        "tables-next",
        picture(
            &env,
            &[
                "schedules next nightly",
                "schedules next nightly --from 2026-10-24 --count 2",
            ],
        ),
    );
    look(
        "tables-config",
        picture(
            &env,
            &["config list", "config list --origin", "config path"],
        ),
    );
}

/// Three models of a hub, three runs over them, and a schedule: one model is
/// fine, one is damaged on its way, one is gone.
fn with_a_history() -> TestEnv {
    let env = TestEnv::new();
    env.set("HFDL_DISK_RESERVE", "0");
    for (number, name) in [(1, "acme/tiny"), (2, "acme/bad"), (3, "acme/gone")] {
        let commit = env.hub().repo(name).commit("main");
        let commit = commit.file("config.json", b"{}");
        commit
            .lfs("model.safetensors", vec![number; 3_000_000])
            .publish();
        env.line(&format!("models add {name}")).succeeds();
    }
    env.line("schedules add nightly --daily 02:30 --all --window 22:00-07:00")
        .succeeds();
    env.line("download acme/tiny acme/gone").succeeds();
    env.now("2026-03-01T10:00:00Z");
    let next = env.hub().repo("acme/tiny").commit("main");
    next.file("config.json", b"{\"a\": 1}")
        .file("new.txt", b"n")
        .publish();
    env.line("download acme/tiny").succeeds();
    env.now("2026-03-01T11:00:00Z");
    env.hub().repo("acme/gone").delete();
    let bytes = On::cdn("model.safetensors");
    env.hub().fault(bytes, Fault::FlipByteAt(5));
    env.line("download acme/bad acme/gone").exits(3);
    env
}

/// Takes one picture of several command lines; ids and free space are hidden,
/// widths stay.
fn picture_of_runs(env: &TestEnv, lines: &[&str]) -> String {
    let mut text = picture(env, lines);
    let listed = env.line("runs list --json").json();
    for (number, run) in listed["runs"].as_array().unwrap().iter().enumerate() {
        let id = run["run_id"].as_str().unwrap();
        let (start, end) = id.rsplit_once('-').unwrap();
        text = text.replace(start, "019ca8b5-0000-7000-8000");
        text = text.replace(end, &format!("{number:012}"));
        let process = format!("{} on {}", run["pid"], run["host"].as_str().unwrap());
        text = text.replace(&process, "[PID] on [HOST]");
        let version = format!("hfdl {}", env!("CARGO_PKG_VERSION"));
        text = text.replace(&version, "hfdl [VERSION]");
    }
    let hide = |line: &str| match line.split_once(" free for the ") {
        Some((before, after)) => {
            let start = before.trim_end_matches(|c: char| c != ' ').trim_end();
            let label = start.trim_end_matches(|c: char| c != ' ');
            format!("{label}[FREE] free for the {after}\n")
        }
        None => format!("{line}\n"),
    };
    text.lines().map(hide).collect()
}

#[test]
fn runs_and_sessions_look_right() {
    let env = with_a_history();
    let lines = [
        "sessions list",
        "sessions list --model acme/tiny --limit 1",
        "sessions show 3",
        "sessions show 4",
        "runs list",
    ];
    let mut pictures = picture_of_runs(&env, &lines);
    let newest = env.line("runs list --json --limit 1").json()["runs"][0]["run_id"].clone();
    let show = format!("runs show {}", newest.as_str().unwrap());
    pictures.push_str(&picture_of_runs(&env, &[&show]));
    look("tables-runs", pictures);
}

#[test]
fn the_status_looks_right() {
    let env = with_a_history();
    let mut pictures = picture_of_runs(&env, &["status", "pause --for 2h --reason 'a demo'"]);
    env.line("models disable acme/bad acme/gone").succeeds();
    let lines = [
        "status",
        "resume",
        "resume",
        "pause",
        "sessions show 9",
        "runs show 1",
    ];
    pictures.push_str(&picture_of_runs(&env, &lines));
    look("tables-status", pictures);
}

#[test]
fn tables_fit_a_narrow_terminal() {
    let env = populated();
    env.set("COLUMNS", "60");
    look(
        "tables-narrow",
        picture(
            &env,
            &["models list", "schedules list", "config list --origin"],
        ),
    );
}

#[test]
fn reports_of_changes_look_right() {
    let env = populated();
    look(
        "done",
        picture(
            &env,
            &[
                "models add spaces/acme/app --no-check",
                "models set corpus --priority 3",
                "models enable corpus spaces/acme/app",
                "models disable corpus",
                "models remove corpus spaces/acme/app --yes",
                "schedules add weekly --weekly Mon@04:00 --tag nobody",
                "schedules add again --daily 02:30 --tz Europe/Berlin --model acme/tiny",
                "schedules set weekly --weekly Tue@04:00 --all",
                "schedules disable weekly again",
                "schedules enable again",
                "schedules remove again weekly --yes",
                "config set download.limit_rate '08:00,512K 19:00,10M 23:00,off'",
                "config get download.limit_rate",
                "config unset download.limit_rate",
                "config get run.max_duration",
                "logs",
            ],
        ),
    );
}

#[test]
fn answers_of_the_hub_look_right() {
    let env = TestEnv::new();
    let repo = env.hub().repo("acme/tiny");
    let draft = repo.commit("main").file("config.json", b"{}");
    draft.lfs("model.safetensors", vec![1; 5_000_000]).publish();
    look(
        "hub",
        picture(
            &env,
            &[
                "models add acme/tiny",
                "models add acme/tiny --name some",
                "models add acme/tiny --name some --to some --include *.json",
                "models add acme/tiny --name none --to none --include *.gguf",
                "models add acme/tiny --revision v9",
                "models add acme/missing",
            ],
        ),
    );
}

#[test]
fn errors_of_the_hub_look_right() {
    let env = TestEnv::new();
    let hub = env.hub();
    hub.repo("acme/tiny")
        .commit("main")
        .file("a", b"a")
        .publish();
    let repo = hub.repo("acme/gated");
    repo.commit("main").file("a", b"a").publish();
    repo.gated(Gate::Manual);
    hub.repo("acme/banned")
        .commit("main")
        .file("a", b"a")
        .publish();
    hub.repo("acme/banned").disabled();
    let lines = [
        "models add acme/tiny@v9",
        "models add acme/gated",
        "models add acme/banned",
    ];
    let mut pictures = vec![picture(&env, &lines)];
    let add = ["models add acme/tiny"];
    for fault in [
        Fault::Status(503),
        Fault::Status(404),
        Fault::TooManyRequests(Hint::RateLimit(212)),
        Fault::Garbage("text/html".to_owned(), b"<html>".to_vec()),
        Fault::Close,
    ] {
        hub.fault(On::any(), fault);
        pictures.push(picture(&env, &add));
        hub.heal();
    }
    env.set("HF_ENDPOINT", "http://127.0.0.1:1");
    pictures.push(picture(&env, &add));
    env.set("HF_ENDPOINT", &hub.endpoint());
    env.set("HF_TOKEN", "hf_old");
    pictures.push(picture(&env, &add));
    env.set("HF_TOKEN", "not a token");
    pictures.push(picture(&env, &add));
    look("errors-hub", pictures.join("\n"));
}

#[test]
fn empty_lists_look_right() {
    let lines = [
        "models list",
        "schedules list",
        "schedules next",
        "logs",
        "logs --last",
        "sessions list",
        "runs list",
        "resume",
    ];
    look("empty", picture(&fixed(), &lines));
}

#[test]
fn documents_look_right() {
    let env = populated();
    look(
        "json-models",
        picture(
            &env,
            &["models list --json", "models show acme/tiny --json"],
        ),
    );
    look(
        "json-schedules",
        picture(
            &env,
            &["schedules list --json", "schedules show llm --json"],
        ),
    );
    look(
        "json-next",
        picture(&env, &["schedules next nightly --count 2 --json"]),
    );
    look(
        "json-config",
        picture(&env, &["config list --json", "config path --json"]),
    );
    look(
        "json-changes",
        picture(
            &env,
            &[
                "models add acme/other --no-check --json",
                "models disable acme/other --json",
                "models remove acme/other --yes --json",
                "schedules enable nightly --json",
                "schedules remove nightly --yes --json",
                "config get disk.reserve --json",
                "config set keep.logs 3d --json",
                "config unset keep.logs --json",
                "logs --json",
                "models show acme/tinny --log-format json",
            ],
        ),
    );
    look(
        "yaml",
        picture(&env, &["models show acme/tiny --format yaml"]),
    );
}

#[test]
fn errors_look_right() {
    let env = populated();
    look(
        "errors",
        picture(
            &env,
            &[
                "modles list",
                "models add",
                "models add a/b/c",
                "models add https://example.com/a/b",
                "models add acme/tiny",
                "models add acme/new --name acme/tiny --no-check",
                "models add acme/new --priority 101",
                "models add acme/new --to /srv/hub/x --no-check",
                "models show acme/tinny",
                "models set acme/tiny",
                "models remove acme/tiny",
                "schedules add x --all",
                "schedules add x --daily 25:00 --all",
                "schedules add nightly --daily 03:00 --all",
                "schedules add x --cron '0 0 31 4 *' --all",
                "schedules add x --cron '0 0 *' --all",
                "schedules add x --daily 03:00 --tz Europe/Berln --all",
                "schedules add x --daily 03:00 --all --window 04:00-04:05",
                "schedules add x --daily 03:00 --all --jitter 2d",
                "schedules add x --daily 03:00 --all --catch-up skip --catch-up-within 3h",
                "schedules add x --once 2026-02-01T00:00 --all",
                "schedules add x --every 6h --tag llm --model corpus",
                "schedules show nightyl",
                "config set keep.lgos 3d",
                "config set keep.logs 3",
                "models list --set x",
            ],
        ),
    );
    env.set("HF_HUB_OFFLINE", "1");
    look("errors-offline", picture(&env, &["models add acme/new"]));
}

// The commands are those of a Unix shell.
#[cfg(unix)]
#[test]
fn databases_that_cannot_be_used_look_right() {
    let env = populated();
    // The database of a later version.
    let database = rusqlite::Connection::open(env.database()).unwrap();
    database.pragma_update(None, "user_version", 99).unwrap();
    drop(database);
    let mut pictures = vec![picture(&env, &["models list"])];
    std::fs::write(env.home().join("hfdl.db.before-v12"), "a copy").unwrap();
    pictures.push(picture(&env, &["models list"]));
    std::fs::remove_file(env.home().join("hfdl.db.before-v12")).unwrap();
    std::fs::write(env.database(), "no database").unwrap();
    pictures.push(picture(&env, &["models list"]));
    std::fs::write(env.home().join("hfdl.db.before-v12"), "an older copy").unwrap();
    std::fs::write(env.home().join("hfdl.db.before-v13"), "a copy").unwrap();
    pictures.push(picture(&env, &["models list"]));
    look("errors-database", pictures.join("\n"));
}

/// The numbers of the system's errors differ elsewhere.
#[cfg(target_os = "linux")]
#[test]
fn errors_of_files_look_right() {
    let env = TestEnv::new();
    let work = |name: &str, text: &str| std::fs::write(env.root().join("work").join(name), text);
    std::fs::write(env.home(), "a file").unwrap();
    let mut pictures = vec![picture(&env, &["models add acme/tiny --no-check"])];
    std::fs::remove_file(env.home()).unwrap();

    work("brackets.yaml", "version: 1\nmodels: [{repo: a/b}\n").unwrap();
    work("brackets.json", "{\"version\": 1, \"models\": [}").unwrap();
    work("key.yaml", "version: 1\nmodels: [{repo: a/b, includ: x}]\n").unwrap();
    let lines = [
        "apply -f missing.yaml",
        "apply -f .",
        "apply -f brackets.yaml",
        "apply -f brackets.json",
        "apply -f key.yaml",
    ];
    pictures.push(picture(&env, &lines));

    env.line("models add acme/tiny --no-check").succeeds();
    std::fs::create_dir(env.home().join("run.lock")).unwrap();
    pictures.push(picture(&env, &["run-due", "download acme/tiny"]));
    look("errors-files", pictures.join("\n"));
}

#[test]
fn wrong_bytes_look_right() {
    let env = TestEnv::new();
    env.set("HFDL_DISK_RESERVE", "0");
    let commit = env.hub().repo("acme/bad").commit("main");
    commit
        .lfs("model.safetensors", vec![1; 3_000_000])
        .publish();
    let bytes = On::cdn("model.safetensors");
    env.hub().fault(bytes, Fault::FlipByteAt(5));
    let ran = env.line("download acme/bad");
    ran.exits(3);
    let error = ran.stderr().find("error:").unwrap();
    let root = env.root().to_string_lossy();
    let shown = ran.stderr()[error..].replace(&*root, "[ROOT]");
    look("errors-bytes", with_slashes(&shown));
}
