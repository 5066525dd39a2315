//! Tables and facts of every command at four widths, with names of 60 characters and with
//! wide ones: a row is one line that fits, and no word is broken.

use std::fs;

use console::measure_text_width;
use hfdl_test_hub::generated_bytes;

use crate::support::env::{TestEnv, is_without_links};

const LONG: &str = "an-organisation-with-a-name/a-model-with-a-name-of-60-letter";
const WIDE: &str = "某某组织的名称/这就是一个名称很长很长的模型用来检查表格的宽度";
const LONG_SCHEDULE: &str = "a-schedule-with-a-name-of-sixty-characters-for-narrow-tables";
const LONG_TAG: &str = "a-tag-with-a-name-of-sixty-characters-which-is-never-broken1";
const GONE: &str = "acme/gone";

/// Commands whose rows are the same at each width; their output has no other lines that fold.
const TABLES: &[&str] = &[
    "models list",
    "models outdated",
    "schedules list",
    "schedules next",
    "tags list",
    "updates list --all",
    "views list",
    "sessions list",
    "runs list",
    "logs",
    "config list",
    "adopt --list",
    "adopt --match",
    "download --all --dry-run",
    "run-due --dry-run --at 'tomorrow 03:30'",
];

/// Commands with facts, or with sentences below their table.
const FACTS: &[&str] = &[
    "status",
    "models show {LONG}",
    "models show acme/gone",
    "schedules show {SCHEDULE}",
    "tags show {TAG}",
    "updates show {LONG}",
    "sessions show 1",
    "sessions show 4",
    "config list --origin",
    "report --since 2d",
    "prune --dry-run --keep-revisions 1",
    "verify --offline",
    "runs show {RUN}",
];

fn publish(env: &TestEnv, repo: &str, size: usize) {
    let commit = env.hub().repo(repo).commit("main");
    let commit = commit.file("config.json", b"{}");
    commit
        .lfs(
            "weights/模型权重的文件名称很长.safetensors",
            generated_bytes(size, 1),
        )
        .publish();
}

/// Models with long and wide names, one of which is gone upstream, with two days of history,
/// a held update, a view, an adopted file, a damaged file and a pause.
fn world() -> TestEnv {
    assert_eq!((LONG.len(), measure_text_width(WIDE)), (60, 61));
    assert_eq!((LONG_SCHEDULE.len(), LONG_TAG.len()), (60, 60));
    let env = TestEnv::new();
    env.set("HFDL_DISK_RESERVE", "0").set("TZ", "Asia/Tokyo");
    for repo in [LONG, GONE] {
        publish(&env, repo, 400_000);
    }
    let add_wide =
        format!("models add {LONG} --name {WIDE} --to 目录/模型 --tag {LONG_TAG} --tag llm");
    let add_schedule = format!(
        "schedules add {LONG_SCHEDULE} --weekly Mon,Tue,Wed,Thu,Fri,Sat,Sun@02:30,14:30 --tz Europe/Berlin --all \
         --window 22:00-07:00 --window Sat,Sun@00:00-24:00 --jitter 10m"
    );
    for line in [
        &*format!("models add {LONG} --tag {LONG_TAG} --view dir=其他程序的目录"),
        "models add acme/gone",
        &add_wide,
        &format!("tags set {LONG_TAG} --policy approve --delay 7d"),
        &add_schedule,
        "schedules add often --every 6h --tag llm --limit-daily 20G",
        "download --all",
    ] {
        env.line(line).succeeds();
    }
    env.now("2026-03-02T09:00:00Z");
    publish(&env, LONG, 400_001);
    env.hub().repo(GONE).delete();
    env.line("download --all");
    env.line("pause --reason 休日の間はダウンロードをしないでください、回線が混んでいます")
        .succeeds();
    fs::create_dir(env.root().join("work/旧い")).unwrap();
    fs::write(env.root().join("work/旧い/文書.gguf"), [1; 5000]).unwrap();
    env.line("adopt 旧い").succeeds();
    env
}

/// Returns a command line with the names of this world.
fn filled(line: &str, run: &str) -> String {
    let line = line.replace("{LONG}", LONG).replace("{RUN}", run);
    let line = line.replace("{SCHEDULE}", LONG_SCHEDULE);
    line.replace("{TAG}", LONG_TAG)
}

/// Tells whether a line fits, or is a fact with one word that has to stay whole: a path, a
/// hash or a name.
fn fits(line: &str, width: usize) -> bool {
    let value = line.trim_start().rsplit("  ").next().unwrap_or_default();
    // A command in backticks is one word, so that it can be copied.
    let outside: String = value.split('`').step_by(2).collect();
    measure_text_width(line) <= width || !outside.trim().contains(' ')
}

#[test]
fn every_row_of_every_table_is_one_line_that_fits() {
    let env = world();
    let runs = env.line("runs list -q").succeeds().stdout().to_owned();
    let run = runs.lines().next().unwrap();
    for width in [60, 80, 100, 200] {
        // A verification adds sessions.
        env.unset("COLUMNS");
        let whole: Vec<usize> = TABLES
            .iter()
            .map(|line| env.line(line).stdout().lines().count())
            .collect();
        env.set("COLUMNS", &width.to_string());
        for (line, n_lines) in TABLES.iter().zip(&whole) {
            let ran = env.line(line);
            let rows: Vec<&str> = ran.stdout().lines().collect();
            assert!(rows.len() > 1, "{line}\n{}", ran.report());
            assert_eq!(rows.len(), *n_lines, "at {width}\n{}", ran.report());
            for row in rows {
                assert!(
                    measure_text_width(row) <= width,
                    "at {width}: {row}\n{}",
                    ran.report()
                );
            }
        }
        for line in FACTS {
            let ran = env.line(&filled(line, run));
            assert!(ran.stdout().lines().count() > 3, "{}", ran.report());
            for row in ran.stdout().lines() {
                assert!(fits(row, width), "at {width}: {row}\n{}", ran.report());
            }
        }
    }
}

#[test]
fn a_quiet_list_is_names_alone() {
    let env = world();
    for (line, names) in [
        ("models list", format!("{GONE}\n{LONG}\n{WIDE}\n")),
        ("schedules list", format!("{LONG_SCHEDULE}\noften\n")),
        ("tags list", format!("{LONG_TAG}\nllm\n")),
        ("updates list --all", format!("{GONE}\n{LONG}\n{WIDE}\n")),
    ] {
        let ran = env.line(&format!("{line} -q"));
        let mut found: Vec<&str> = ran.succeeds().stdout().lines().collect();
        let mut names: Vec<&str> = names.lines().collect();
        found.sort_unstable();
        names.sort_unstable();
        assert_eq!(found, names, "{line}");
    }
    let sessions = env.line("sessions list -q --limit 2");
    assert_eq!(sessions.succeeds().stdout(), "6\n5\n");
    let runs = env.line("runs list --json").json();
    let newest = runs["runs"][0]["run_id"].as_str().unwrap().to_owned();
    for line in ["runs list -q --limit 1", "logs -q"] {
        env.line(line).succeeds().prints(&format!("{newest}\n"));
    }
    env.line("views list -q")
        .prints("dir=")
        .prints("其他程序的目录\n");
}

#[test]
fn sizes_are_shown_wherever_they_are_known() {
    let env = TestEnv::new();
    env.set("HFDL_DISK_RESERVE", "0");
    for size in [3 << 20, 2 << 20] {
        let commit = env.hub().repo("acme/tiny").commit("main");
        commit
            .lfs("model.safetensors", generated_bytes(size, size as u64))
            .lfs("shared.bin", generated_bytes(1 << 20, 7))
            .publish();
        if size == 3 << 20 {
            env.line("models add acme/tiny --tag llm").succeeds();
            env.line("models add acme/new --no-check").succeeds();
        }
        env.line("download acme/tiny").succeeds();
        env.now("2026-03-02T09:00:00Z");
    }
    // The file that both revisions have is on disk once, where there are links.
    let n_mib = if is_without_links() { 7 } else { 6 };
    let on_disk = format!("3.00 MiB published, {n_mib}.00 MiB on disk");
    let listed = env.line("models list");
    listed
        .succeeds()
        .prints("3.00 MiB")
        .prints(&format!("2 models, {on_disk}"));
    let document = env.line("models list --json").json();
    let total = serde_json::json!({"models": 2, "size_bytes": 3 << 20, "disk_bytes": n_mib << 20});
    assert_eq!(document["totals"], total);
    assert_eq!(document["models"][1]["size_bytes"], 3 << 20);
    assert_eq!(document["models"][0]["size_bytes"], serde_json::Value::Null);
    env.line("models show acme/tiny")
        .prints("size            3.00 MiB in 2 files")
        .prints("  4.00 MiB, 24 h ago, the rollback target\n");
    let shown = env.line("models show acme/tiny --json").json();
    assert_eq!(shown["revisions"][0]["published"], true);
    assert_eq!(shown["revisions"][1]["rollback_target"], true);
    assert_eq!(shown["revisions"][1]["size_bytes"], 4 << 20);
    assert!(shown["path"].as_str().unwrap().contains("snapshots"));
    env.line("tags show llm").prints(&on_disk);
    env.line("status").prints("3.00 MiB");
    let status = env.line("status --json").json();
    assert_eq!(status["models"][1]["size_bytes"], 3 << 20);
}
