//! `hfdl report`: what happened in some nights, in every format.

use std::fs;

use hfdl_test_hub::{CommitDraft, Fault, On, generated_bytes};
use serde_json::{Value, json};

use crate::support::database::{ask, change, number};
use crate::support::due::roomy_world;
use crate::support::env::{TestEnv, is_without_links};

const MIB: usize = 1 << 20;

fn publish(env: &TestEnv, repo: &str, change: impl FnOnce(CommitDraft) -> CommitDraft) -> String {
    let draft = env.hub().repo(repo).commit("main");
    change(draft).publish()
}

fn weights(env: &TestEnv, title: &str, size: usize, seed: u64) -> String {
    publish(env, "acme/tiny", |draft| {
        draft
            .title(title)
            .file("config.json", b"{}")
            .lfs("model.safetensors", generated_bytes(size, seed))
    })
}

/// Two models under a schedule at one in the morning.
fn world() -> TestEnv {
    let env = roomy_world();
    weights(&env, "First", MIB, 1);
    publish(&env, "acme/other", |draft| {
        draft.lfs("model.safetensors", generated_bytes(MIB, 9))
    });
    for line in [
        "models add acme/tiny --name tiny",
        "models add acme/other --name other",
        "schedules add nightly --daily 01:00 --all",
    ] {
        env.line(line).succeeds();
    }
    env
}

/// Runs what is due on a day of March.
fn night(env: &TestEnv, day: u32, code: i32) {
    env.now(&format!("2026-03-{day:02}T01:30:00Z"));
    env.line("run-due").exits(code);
}

/// A first night, an update, a failure, its end, and a held update.
fn nights() -> TestEnv {
    let env = world();
    night(&env, 2, 0);
    weights(&env, "Better [weights](javascript:x) | <b>", 2 * MIB, 2);
    night(&env, 3, 0);
    let unreachable = On::any().repo("acme/other");
    env.hub().fault(unreachable, Fault::Status(500));
    night(&env, 4, 5);
    env.hub().heal();
    night(&env, 5, 0);
    publish(&env, "acme/other", |draft| {
        draft
            .remove("model.safetensors")
            .file("README.md", b"moved")
    });
    night(&env, 6, 0);
    env.now("2026-03-06T12:00:00Z");
    env
}

fn report(env: &TestEnv, options: &str) -> Value {
    let ran = env.line(&format!("report --json {options}"));
    ran.succeeds().silently().json()
}

#[test]
fn the_nights_of_a_week_are_reported_with_updates_failures_and_holds() {
    let env = nights();
    let report = report(&env, "--since 7d");
    assert_eq!(report["empty"], false);
    assert_eq!(report["totals"]["updates"], 3);
    let update = &report["updates"][0];
    assert_eq!(update["model"], "tiny");
    assert_eq!(update["at"], "2026-03-03T01:30:00Z");
    let title = &update["change_note"]["commits"][0]["title"];
    assert_eq!(*title, "Better [weights](javascript:x) | <b>");
    let held = &report["held_updates"][0];
    assert_eq!(
        (&held["model"], &held["decision"]),
        (&json!("other"), &json!("waiting"))
    );
    assert_eq!(held["findings"][0]["reason"], "few-bytes");
    assert_eq!(held["change_note"]["files"]["removed"]["files"], 1);
    let failure = &report["failures"][0];
    assert_eq!(
        (&failure["model"], &failure["failures"]),
        (&json!("other"), &json!(1))
    );
    assert_eq!(failure["recovered_at"], "2026-03-05T01:30:00Z");
    assert!(!failure["error"].as_str().unwrap().is_empty());
    let day = |date: &str| {
        let days = report["days"].as_array().unwrap().iter();
        days.clone().find(|day| day["day"] == date).unwrap().clone()
    };
    assert_eq!(day("2026-03-01")["outcomes"], json!({}));
    assert_eq!(day("2026-03-02")["outcomes"], json!({"updated": 2}));
    assert_eq!(day("2026-03-03")["bytes_fetched"], 2 * MIB);
    assert_eq!(
        day("2026-03-03")["bytes_reused"],
        2,
        "the file of the update that stays"
    );
    assert_eq!(day("2026-03-05")["outcomes"], json!({"up-to-date": 2}));
    assert_eq!(
        day("2026-03-06")["outcomes"],
        json!({"held": 1, "up-to-date": 1})
    );
    assert_eq!(report["by_model"][0]["bytes_fetched"], 3 * MIB + 2);
    assert_eq!(report["runs"]["with_work"], 5);
    assert_eq!(report["next_due"][0]["slot"], "2026-03-07T01:00:00Z");
    let disk = report["disk"].as_array().unwrap();
    assert_eq!(disk.len(), 5, "{disk:?}");
    assert!(disk[4]["cache_bytes"].as_u64() >= Some(3 * MIB as u64));
}

#[test]
fn a_report_looks_right_as_text_and_as_markdown() {
    let env = nights();
    // Free space and addresses differ between machines.
    change(&env, "UPDATE disk_samples SET free_bytes = 5368709120");
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.add_filter(r"127\.0\.0\.1:\d+", "[HUB]");
    if is_without_links() {
        // Each copy of a file has a proof of its own.
        settings.add_filter(r"5 files \(4\.00 MiB\)", "4 files (4.00 MiB)");
    }
    for (name, line) in [
        ("report-text", "report --since 7d"),
        ("report-markdown", "report --since 7d --format markdown"),
    ] {
        let picture = env.line(line).succeeds().picture();
        settings.bind(|| insta::assert_snapshot!(name, picture));
    }
    env.line("schedules set nightly --tz Asia/Tokyo").succeeds();
    env.line("report").succeeds().prints(" 01:00 JST");
}

#[test]
fn a_period_and_names_narrow_a_report() {
    let env = nights();
    let part = report(&env, "--since 2026-03-03 --until 2026-03-04 tiny");
    assert_eq!(part["models"], json!(["tiny"]));
    assert_eq!(
        (&part["since"], &part["until"]),
        (
            &json!("2026-03-03T00:00:00Z"),
            &json!("2026-03-04T00:00:00Z")
        )
    );
    assert_eq!(part["days"].as_array().unwrap().len(), 1);
    assert_eq!(part["days"][0]["outcomes"], json!({"updated": 1}));
    assert_eq!(part["failures"], json!([]));
    for (line, why) in [
        (
            "report --since 1d --until 2d",
            "the period ends before it begins",
        ),
        (
            "report --since soon",
            "`soon` is neither a duration nor a time",
        ),
        ("report tinny", "did you mean `tiny`?"),
    ] {
        env.line(line).exits(2).explains(why);
    }
}

#[test]
fn a_period_in_which_nothing_happened_says_so() {
    let env = nights();
    let nothing = "Nothing happened in this period";
    let period = "--since 2026-02-01 --until 2026-02-02";
    env.line(&format!("report {period}"))
        .succeeds()
        .prints(nothing);
    assert_eq!(report(&env, period)["empty"], true);
    let unused = TestEnv::new();
    for format in ["text", "markdown", "html"] {
        let ran = unused.line(&format!("report --format {format}"));
        ran.succeeds().silently().prints(nothing);
    }
    assert!(!unused.home().exists(), "a report makes no database");
}

#[test]
fn days_are_those_of_the_local_zone_when_the_clocks_change() {
    let env = roomy_world();
    env.set("TZ", "CET-1CEST,M3.5.0,M10.5.0/3");
    weights(&env, "First", 1000, 1);
    env.line("models add acme/tiny").succeeds();
    // Half past midnight on the day before, on the day itself, and on the day after.
    for (seed, at) in [
        (2, "2026-03-27T23:30:00Z"),
        (3, "2026-03-28T23:30:00Z"),
        (4, "2026-03-29T22:30:00Z"),
    ] {
        weights(&env, "Again", 1000, seed);
        env.now(at).line("download acme/tiny").succeeds();
    }
    let report = report(&env, "--since 2026-03-28 --until 2026-03-31");
    let days: Vec<(String, u64)> = (report["days"].as_array().unwrap().iter())
        .map(|day| {
            (
                day["day"].as_str().unwrap().to_owned(),
                day["outcomes"]["updated"].as_u64().unwrap_or(0),
            )
        })
        .collect();
    let expected = ["2026-03-28", "2026-03-29", "2026-03-30"].map(|day| (day.to_owned(), 1));
    assert_eq!(days, expected);
    assert_eq!(report["since"], "2026-03-27T23:00:00Z");
    assert_eq!(report["until"], "2026-03-30T22:00:00Z", "71 hours later");
}

/// Checks that each element of a page is closed in its order, and returns the elements
/// with their attributes.
fn elements(page: &str) -> Vec<String> {
    let (mut open, mut all) = (Vec::new(), Vec::new());
    let body = page.strip_prefix("<!DOCTYPE html>").unwrap();
    // The style has no markup.
    let (before, style) = body.split_once("<style>").unwrap();
    let (style, after) = style.split_once("</style>").unwrap();
    assert!(!style.contains(['<']) && !style.contains("url(") && !style.contains("@import"));
    for part in format!("{before}{after}").split('<').skip(1) {
        let (tag, text) = part
            .split_once('>')
            .unwrap_or_else(|| panic!("no end of <{part}"));
        assert!(!text.contains('>'), "{text}");
        let name = tag.split([' ', '/']).find(|it| !it.is_empty()).unwrap();
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop().as_deref(), Some(name), "{tag}");
        } else {
            assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
            all.push(tag.to_owned());
            if !tag.ends_with('/') {
                open.push(name.to_owned());
            }
        }
    }
    assert_eq!(open, [""; 0]);
    all
}

/// A name of code, and as a page has it. Windows allows neither brackets nor bars.
const CODE: (&str, &str) = if cfg!(windows) {
    ("x&onerror=alert(1).py", "x&amp;onerror=alert(1).py")
} else {
    (
        "<img src=x onerror=alert(1)>.py",
        "&lt;img src=x onerror=alert(1)&gt;.py",
    )
};

/// Publishes titles and file names that would be markup.
fn hostile() -> TestEnv {
    let env = world();
    night(&env, 2, 0);
    publish(&env, "acme/tiny", |draft| {
        draft
            .title(
                "<script src=https://evil.example/x.js></script>\" onload=\"x' `` </title>\u{202e}",
            )
            .file(CODE.0, b"x")
            .file(
                if cfg!(windows) {
                    "a`b`c`.txt"
                } else {
                    "a|b`c`.txt"
                },
                b"x",
            )
    });
    night(&env, 3, 0);
    env
}

#[test]
fn a_page_is_well_formed_has_no_script_and_loads_nothing() {
    for env in [nights(), hostile()] {
        let page = env
            .line("report --since 7d --format html")
            .succeeds()
            .silently()
            .stdout()
            .to_owned();
        let elements = elements(&page);
        assert!(
            elements.iter().any(|tag| tag.starts_with("svg")),
            "{elements:?}"
        );
        for tag in &elements {
            let name = tag.split(' ').next().unwrap();
            let known = [
                "a",
                "article",
                "bdi",
                "body",
                "circle",
                "dd",
                "desc",
                "div",
                "dl",
                "dt",
                "figcaption",
                "figure",
                "h1",
                "h2",
                "h3",
                "h4",
                "head",
                "header",
                "html",
                "li",
                "line",
                "link",
                "main",
                "meta",
                "p",
                "polyline",
                "rect",
                "section",
                "span",
                "svg",
                "table",
                "tbody",
                "td",
                "text",
                "th",
                "thead",
                "title",
                "tr",
                "ul",
            ];
            assert!(known.contains(&name), "<{tag}>");
            assert!(!tag.contains(" on") && !tag.contains(" src="), "<{tag}>");
            let is_link = tag.starts_with("a href=\"http://127.0.0.1:") && tag.contains("/commit/");
            assert!(is_link || !tag.contains("://"), "<{tag}>");
        }
        assert!(page.contains("default-src 'none'"));
    }
}

#[test]
fn titles_and_names_of_strangers_are_escaped_in_every_format() {
    let env = hostile();
    let show = |format: &str| {
        let ran = env.line(&format!("report --since 7d --format {format}"));
        ran.succeeds().silently().stdout().to_owned()
    };
    let html = show("html");
    assert!(html.contains("&lt;script src=https://evil.example/x.js&gt;"));
    assert!(html.contains(CODE.1));
    let markdown = show("markdown");
    assert!(
        markdown.contains("``` <script src=https://evil.example/x.js></script>"),
        "{markdown}"
    );
    assert!(markdown.contains(&format!("`{}`", CODE.0)));
    for text in [html, markdown, show("text")] {
        assert!(!text.contains(['\u{202e}', '\u{1b}']));
    }
}

#[test]
fn an_output_file_is_replaced_as_a_whole_and_readable_by_all() {
    let env = nights();
    let file = env.root().join("work/report.html");
    fs::write(&file, "old").unwrap();
    let line = "report --since 7d --format html --output report.html";
    assert_eq!(env.line(line).succeeds().silently().stdout(), "");
    let page = fs::read_to_string(&file).unwrap();
    assert!(page.starts_with("<!DOCTYPE html>") && page.ends_with("</html>\n"));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = file.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o644);
    }
    env.line("report --output missing/report.txt")
        .exits(1)
        .explains("cannot write `missing/report.txt`");
    let shown = env.line("report --since 7d --format html --output -");
    assert!(shown.succeeds().stdout().starts_with("<!DOCTYPE html>"));
    assert!(!env.root().join("work/-").exists());
}

#[test]
fn the_formats_of_reports_are_refused_elsewhere() {
    let env = TestEnv::new();
    for format in ["html", "markdown"] {
        env.line(&format!("models list --format {format}"))
            .exits(2)
            .explains("is for `hfdl report` only");
    }
    env.line("models list --format text").succeeds();
    env.set("HFDL_FORMAT", "markdown");
    env.line("report").succeeds().prints("# hfdl report");
}

#[test]
fn the_disk_use_is_sampled_once_a_day_and_pruned_with_the_history() {
    let env = world();
    let samples = || {
        ask(
            &env,
            "SELECT day, cache_bytes, directory_bytes FROM disk_samples",
        )
    };
    night(&env, 2, 0);
    let bytes = 2 * MIB + 2;
    assert_eq!(samples(), [format!("2026-03-02 | {bytes} | 0")]);
    env.line("models add acme/tiny --name copy --to ./copy")
        .succeeds();
    env.line("download copy").succeeds();
    let copied = MIB + 2;
    assert_eq!(samples(), [format!("2026-03-02 | {bytes} | {copied}")]);
    change(&env, "UPDATE disk_samples SET cache_bytes = 7");
    env.line("download tiny").succeeds();
    assert_eq!(
        samples()[0],
        format!("2026-03-02 | 7 | {copied}"),
        "nothing has changed"
    );
    night(&env, 3, 0);
    assert_eq!(samples().len(), 2, "another day");
    change(
        &env,
        "UPDATE disk_samples SET measured_at = 1000 WHERE day = '2026-03-02'",
    );
    env.line("prune --yes").succeeds();
    assert_eq!(number(&env, "SELECT count(*) FROM disk_samples"), 1);
}

#[test]
fn a_failed_download_of_a_repository_that_is_not_registered_does_not_last() {
    let env = world();
    night(&env, 2, 0);
    env.line("download acme/nothing").exits(1);
    let report = env.line("report --since 7d --json").succeeds().json();
    let failure = &report["failures"][0];
    assert_eq!(failure["model"], "acme/nothing");
    assert_eq!(
        (&failure["recovered_at"], &failure["lasts"]),
        (&Value::Null, &json!(false))
    );
    env.line("report --since 7d")
        .succeeds()
        .prints("0 still failing");
}
