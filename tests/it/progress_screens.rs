//! The progress of a download on a real terminal: its lines fit, and none is left behind.

use hfdl_test_hub::{Api, Fault, Hint, On};

use crate::support::env::TestEnv;
use crate::support::process::Victim;
use crate::support::terminal::Terminal;

const MIB: u64 = 1 << 20;

/// A model with a name of sixty characters.
const LONG: &str = "acme/a-model-with-a-very-long-name-that-fills-sixty-letters-12";

/// A home in which downloads of five files stop after a quarter of each, until the hub heals.
fn stalled(repo: &str) -> TestEnv {
    let env = TestEnv::new();
    env.set("HFDL_DISK_RESERVE", "0");
    let mut draft = env.hub().repo(repo).commit("main");
    for n in 0..5 {
        draft = draft.lfs_generated(&file(n), 4 * MIB, n);
    }
    draft.publish();
    env.hub().fault(On::api(Api::Cdn), Fault::StallAfter(MIB));
    env.set("HFDL_DOWNLOAD_FILES", "5");
    env
}

fn file(n: u64) -> String {
    format!("model-with-a-name-of-a-good-length-0000{n}-of-00005.safetensors")
}

fn lines_with<'s>(screen: &'s str, text: &str) -> Vec<&'s str> {
    screen.lines().filter(|line| line.contains(text)).collect()
}

/// Tells whether a quarter of the files is on the screen once, each line unfolded.
fn is_drawn_once(screen: &str, columns: usize) -> bool {
    let files = lines_with(screen, "of-00005.safetensors");
    let is_whole = |line: &&str| {
        let is_cut = line.contains('…');
        line.trim_start().starts_with("25 %  ")
            && is_cut == (columns < 80)
            && line.chars().count() < columns
    };
    files.len() == 4
        && files.iter().all(is_whole)
        && lines_with(screen, " of 5 files").len() == 1
        && lines_with(screen, "25 %  5.00 MiB of 20.0 MiB").len() == 1
}

/// Waits until `status` shows something.
fn wait_for_status(env: &TestEnv, wanted: &str, is_there: impl Fn(&str) -> bool) {
    for _ in 0..300 {
        if is_there(env.line("status").stdout()) {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    panic!("no {wanted}: {}", env.line("status").report());
}

fn percent(screen: &str) -> Option<u64> {
    let line = lines_with(screen, "MiB of 20.0 MiB").first()?.to_string();
    let before = line
        .split(" %")
        .next()?
        .split_whitespace()
        .last()?
        .to_owned();
    before.parse().ok()
}

#[test]
fn the_lines_fit_and_follow_a_resize_and_ctrl_c_leaves_a_note_only() {
    let env = stalled(LONG);
    let Some(terminal) = Terminal::open(&env, 60, 24) else {
        return;
    };
    terminal.type_line(&format!("hfdl download {LONG}"));
    terminal.wait_until("a quarter", |screen| is_drawn_once(screen, 60));
    for columns in [100, 60, 80, 200] {
        terminal.resize(columns, 24);
        terminal.wait_until("the lines at that width", |screen| {
            is_drawn_once(screen, columns.into())
        });
    }
    terminal.keys(&["C-c"]);
    let end = terminal.wait_for("continues where this one stopped");
    terminal.type_line("echo code $?");
    let end = terminal.wait_for("code 130") + &end;
    // The note is folded for the present width, not for that of the start.
    let note =
        format!("note: `{LONG}` is incomplete: 5.00 MiB of 20.0 MiB are here, 15.0 MiB are left\n");
    assert!(end.contains(&note), "{end}");
    assert!(end.contains("cause: Ctrl-C ended the run"), "{end}");
    assert!(!end.contains("error:") && !end.contains('━'), "{end}");

    // The next run counts the bytes that are here.
    terminal.clear();
    terminal.type_line(&format!("hfdl download {LONG}"));
    let again = terminal.wait_until("a percentage", |screen| percent(screen).is_some());
    assert!(percent(&again) >= Some(25), "{again}");
    env.hub().heal();
    let end = terminal.wait_for("/s, 5 files");
    assert!(!end.contains('━') && !end.contains(" left"), "{end}");
    assert!(end.contains(" there already"), "{end}");
    let up_to_date = terminal.run(&format!("hfdl download {LONG}"));
    let line = "up to date; 20.0 MiB there already";
    assert!(up_to_date.contains(line), "{up_to_date}");
}

#[test]
fn files_that_are_here_count_before_and_after_a_stop() {
    let env = stalled("acme/tiny");
    env.hub().heal();
    for n in 1..5 {
        env.hub().fault(On::cdn(&file(n)), Fault::StallAfter(MIB));
    }
    let Some(terminal) = Terminal::open(&env, 80, 24) else {
        return;
    };
    // A slow machine may open another connection to a stalled file.
    let is_counted = |screen: &str| {
        lines_with(screen, "acme/tiny  1 of 5 files").len() == 1 && percent(screen) >= Some(40)
    };
    terminal.type_line("hfdl download acme/tiny");
    terminal.wait_until("the first file", is_counted);
    terminal.keys(&["C-c"]);
    let end = terminal.wait_for("continues where this one stopped");
    let words: Vec<&str> = end.split_whitespace().collect();
    let note = "MiB of 20.0 MiB are here,";
    assert!(words.join(" ").contains(note), "{end}");
    env.hub().heal();
    env.hub().fault(On::api(Api::Cdn), Fault::StallAfter(0));
    terminal.begin("hfdl download acme/tiny");
    terminal.wait_until("the same counts", is_counted);
    wait_for_status(&env, "file", |text| text.contains("1 of 5 files\n"));
    env.hub().heal();
    terminal.wait_for("/s, 4 files; ");
}

#[test]
fn the_reason_of_a_stall_and_the_wait_are_readable_at_any_width() {
    let env = stalled(LONG);
    env.hub().heal();
    env.unset("HFDL_TEST_NO_PAUSES");
    let wait = Fault::TooManyRequests(Hint::RetryAfter(110));
    env.hub().fault(On::resolve(&file(0)), wait);
    env.hub().fault(On::cdn(&file(1)), Fault::StallAfter(MIB));
    env.set("HFDL_DOWNLOAD_STALL_AFTER", "1s");
    let Some(terminal) = Terminal::open(&env, 60, 24) else {
        return;
    };
    terminal.type_line(&format!("hfdl download {LONG}"));
    for columns in [60, 80] {
        terminal.resize(columns, 24);
        terminal.wait_until("both reasons", |screen| {
            let has = |line: &str| lines_with(screen, line).len() == 1;
            has("rate limited, again in 1 min ") && has("the connection stalled, again in ")
        });
    }
    terminal.keys(&["C-c"]);
    terminal.wait_for("continues where this one stopped");
}

#[test]
fn watching_a_download_of_an_unregistered_repository_shows_it_and_ctrl_c_ends_its_line() {
    let env = stalled("acme/tiny");
    let holder = Victim::heard(env.command(["download", "acme/tiny"]));
    env.hub().wait_until("bytes flow", |requests| {
        requests.iter().any(|request| request.api == Api::Cdn)
    });
    let Some(terminal) = Terminal::open(&env, 80, 24) else {
        return;
    };
    terminal.begin("hfdl status --watch");
    let screen = terminal.wait_for("25 %  5.00 MiB of 20.0 MiB");
    assert!(
        screen.contains("download of acme/tiny, started"),
        "{screen}"
    );
    assert!(!screen.contains("no models"), "{screen}");
    terminal.keys(&["C-c"]);
    let screen = terminal.wait_until("the prompt", |screen| screen.trim_end().ends_with("\n$"));
    assert!(!screen.contains("^C$"), "{screen}");
    env.hub().heal();
    assert!(holder.output().status.success());
}

#[test]
fn watching_from_elsewhere_shows_the_numbers_and_the_waits_of_the_run() {
    let env = stalled("acme/tiny");
    env.hub().heal();
    env.unset("HFDL_TEST_NO_PAUSES").unset("HFDL_TEST_NOW");
    let wait = Fault::TooManyRequests(Hint::RetryAfter(110));
    env.hub().fault(On::resolve(&file(0)), wait);
    let Some(own) = Terminal::open(&env, 80, 24) else {
        return;
    };
    own.type_line("hfdl download acme/tiny");
    own.wait_for("rate limited, again in 1 min ");
    let Some(other) = Terminal::open(&env, 80, 24) else {
        return;
    };
    other.begin("hfdl status --watch");
    for terminal in [&own, &other] {
        terminal.wait_until("the reason and the numbers", |screen| {
            let has = |line: &str| lines_with(screen, line).len() == 1;
            has("rate limited, again in ")
                && has("4 of 5 files")
                && has("80 %  16.0 MiB of 20.0 MiB")
                && has("0 %  model-with-a-name-of-a-good")
                && !screen.contains('\u{fffd}')
        });
    }
    other.keys(&["C-c"]);
    own.keys(&["C-c"]);
    own.wait_for("continues where this one stopped");
    assert!(!env.home().join("progress.json").exists());
}

#[test]
fn watching_follows_the_size_of_the_terminal_and_counts_lines_without_room() {
    let env = stalled("acme/tiny");
    env.line("models add acme/tiny").succeeds();
    env.line("schedules add nightly --daily 02:30 --all")
        .succeeds();
    let Some(terminal) = Terminal::open(&env, 80, 24) else {
        return;
    };
    terminal.begin("hfdl status --watch");
    let first = "warning: no timer is installed and none has started";
    let rest = " `hfdl run-due` yet, so no schedule runs by itself";
    terminal.wait_for(first);
    for (columns, line) in [(200, [first, rest].concat()), (60, first.to_owned())] {
        terminal.resize(columns, 24);
        terminal.wait_until("the warning once, folded anew", |screen| {
            lines_with(screen, "warning: ") == [line.as_str()]
                && lines_with(screen, "state  ").len() == 1
        });
    }
    terminal.resize(60, 8);
    terminal.wait_until("the first lines and a count", |screen| {
        screen.starts_with("state  ") && lines_with(screen, " more lines").len() == 1
    });
    terminal.keys(&["C-c"]);
}

#[test]
fn a_terminal_without_unicode_or_colours_gets_ascii_without_colours() {
    let env = stalled("acme/tiny");
    env.set("LC_ALL", "C").set("NO_COLOR", "1");
    let Some(plain) = Terminal::open(&env, 80, 24) else {
        return;
    };
    plain.type_line("hfdl download acme/tiny");
    let screen = plain.wait_for("######----");
    assert!(
        screen.is_ascii() && screen.contains("######----"),
        "{screen}"
    );
    let screen = plain.coloured_screen();
    assert!(!screen.contains('\u{1b}'), "{screen}");
    plain.keys(&["C-c"]);
    plain.wait_for("continues where this one stopped");

    env.set("LC_ALL", "C.UTF-8").unset("NO_COLOR");
    let coloured = Terminal::open(&env, 80, 24).unwrap();
    coloured.type_line("hfdl download acme/tiny");
    coloured.wait_for("━");
    let screen = coloured.coloured_screen();
    assert!(screen.contains("\u{1b}[36m━"), "{screen}");
    let no_colour = "hfdl download acme/tiny --color never";
    coloured.keys(&["C-c"]);
    coloured.wait_for("continues where this one stopped");
    coloured.clear();
    coloured.type_line(no_colour);
    coloured.wait_for("━");
    let screen = coloured.coloured_screen();
    assert!(!screen.contains("\u{1b}[36m━"), "{screen}");
}

#[test]
fn diary_lines_and_warnings_go_above_the_lines() {
    let env = TestEnv::new();
    env.set("HFDL_DISK_RESERVE", "0");
    let draft = env.hub().repo("acme/tiny").commit("main");
    draft.lfs_generated("model.bin", 2 * MIB, 7).publish();
    let on = || On::cdn("model.bin");
    env.hub().fault(on().times(1), Fault::Status(503));
    env.hub().fault(on(), Fault::StallAfter(MIB));
    let Some(terminal) = Terminal::open(&env, 80, 30) else {
        return;
    };
    terminal.type_line("hfdl download acme/tiny -v");
    let screen = terminal.wait_until("the retry and half of the file", |screen| {
        screen.contains("503; retry in") && screen.contains(" 50 %")
    });
    let at = |text: &str| {
        screen
            .find(text)
            .unwrap_or_else(|| panic!("{text}: {screen}"))
    };
    assert!(at("503; retry in") < at("0 of 1 file"), "{screen}");
    assert_eq!(lines_with(&screen, "0 of 1 file").len(), 1, "{screen}");
    env.hub().heal();
    let end = terminal.wait_for("/s, 1 file");
    assert!(!end.contains('━') && !end.contains("of 1 file\n"), "{end}");
    assert!(end.contains("answered HTTP 503"), "{end}");
}

#[test]
fn commands_that_only_ask_say_so_until_the_answer_is_there() {
    let env = TestEnv::new();
    let draft = env.hub().repo("acme/tiny").commit("main");
    draft.file("config.json", b"{}").publish();
    env.hub().fault(On::api(Api::Info), Fault::NoAnswer);
    let Some(terminal) = Terminal::open(&env, 80, 24) else {
        return;
    };
    terminal.type_line("hfdl models add acme/tiny");
    terminal.wait_for("asking the Hub about acme/tiny …");
    terminal.keys(&["C-c"]);
    terminal.type_line("echo code $?");
    terminal.wait_for("code 130");
    env.hub().heal();
    let added = terminal.run("hfdl models add acme/tiny");
    assert!(added.contains("added `acme/tiny`"), "{added}");
    assert!(!added.contains("asking the Hub"), "{added}");
}

#[test]
fn a_question_to_the_hub_and_its_retry_are_said_while_they_last() {
    let env = TestEnv::new();
    env.unset("HFDL_TEST_NO_PAUSES");
    let draft = env.hub().repo("acme/tiny").commit("main");
    draft.file("config.json", b"{}").publish();
    let hint = Fault::TooManyRequests(Hint::RetryAfter(1));
    env.hub().fault(On::api(Api::Info).times(1), hint);
    env.hub().fault(On::api(Api::Info), Fault::NoAnswer);
    let Some(terminal) = Terminal::open(&env, 80, 24) else {
        return;
    };
    terminal.type_line("hfdl download acme/tiny");
    let screen = terminal.wait_for("rate limited, again in 1 s");
    assert!(
        screen.contains("asking the Hub about acme/tiny …"),
        "{screen}"
    );
    let waited = terminal.wait_until("the end of the wait", |screen| !screen.contains("again in"));
    assert!(
        waited.contains("asking the Hub about acme/tiny …"),
        "{waited}"
    );
    env.hub().heal();
    let end = terminal.wait_for("/s, 1 file");
    assert!(!end.contains("asking"), "{end}");
}

#[test]
fn a_person_waits_for_the_lock_and_a_script_does_not() {
    let env = stalled("acme/tiny");
    env.unset("HFDL_TEST_NO_PAUSES");
    let holder = Victim::heard(env.command(["download", "acme/tiny"]));
    env.hub().wait_until("bytes flow", |requests| {
        requests.iter().any(|request| request.api == Api::Cdn)
    });
    let Some(terminal) = Terminal::open(&env, 100, 24) else {
        return;
    };
    terminal.type_line("hfdl download acme/tiny");
    let waiting = format!(
        "(download, process {}, started just now) to end",
        holder.id()
    );
    let screen = terminal.wait_for(&waiting);
    assert!(screen.contains("waiting for run "), "{screen}");
    terminal.keys(&["C-c"]);
    terminal.type_line("echo code $?");
    let screen = terminal.wait_for("code 130");
    assert!(!screen.contains("error:"), "{screen}");
    env.line("download acme/tiny").exits(11);
    terminal.type_line("hfdl download acme/tiny --json");
    terminal.wait_for("another run holds the lock");

    terminal.clear();
    terminal.type_line("hfdl download acme/tiny");
    terminal.wait_for("waiting for run ");
    env.hub().heal();
    terminal.wait_for("up to date; 20.0 MiB there already");
    assert!(holder.output().status.success());
}

#[test]
fn a_look_from_elsewhere_knows_the_plan_and_the_resumed_bytes() {
    let env = stalled("acme/tiny");
    let first = Victim::heard(env.command(["download", "acme/tiny"]));
    wait_for_status(&env, "quarter", |text| percent(text) >= Some(25));
    // A killed run may lose the bytes of its last second.
    env.line("stop").exits(0);
    assert!(!first.output().status.success());
    env.hub().heal();
    env.hub().fault(On::api(Api::Cdn), Fault::StallAfter(0));
    let second = Victim::heard(env.command(["download", "acme/tiny"]));
    wait_for_status(&env, "quarter", |text| percent(text) >= Some(25));
    env.hub().heal();
    assert!(second.output().status.success());
}

#[test]
fn a_pipe_gets_a_line_every_thirty_seconds_with_v_only() {
    let env = TestEnv::new();
    // Half a minute takes 30 ms.
    env.set("HFDL_DISK_RESERVE", "0")
        .now("2026-03-01T09:00:00Z+1000");
    let slow = || Fault::Trickle(1 << 16, std::time::Duration::from_millis(10));
    for (flags, has_lines) in [(&["-v"][..], true), (&[][..], false)] {
        let repo = format!("acme/tiny{}", flags.len());
        let draft = env.hub().repo(&repo).commit("main");
        draft.lfs_generated("model.bin", 2 * MIB, 7).publish();
        env.hub().fault(On::cdn("model.bin"), slow());
        let ran = env.hfdl([&["download", &repo], flags].concat());
        let stderr = ran.succeeds().stderr();
        let start = format!("{repo}: ");
        let lines = lines_with(stderr, " of 2.00 MiB here (");
        assert!(lines.iter().all(|line| line.contains(&start)), "{stderr}");
        assert_eq!(lines.len() > 2, has_lines, "{stderr}");
        let end = lines_with(stderr, "/s, 1 file");
        let is_told = end.iter().any(|line| line.contains(" 2.00 MiB in "));
        assert_eq!(is_told, has_lines, "{stderr}");
        env.hub().heal();
    }
}

#[test]
fn a_rate_without_its_unit_is_warned_of_wherever_it_is_given() {
    let env = TestEnv::new();
    let draft = env.hub().repo("acme/tiny").commit("main");
    draft.file("config.json", b"{}").publish();
    let words = "the rate 9 is 9 bytes per second; `9M` is 9 MiB per second";
    env.line("download acme/tiny --limit-rate 9")
        .explains(words);
    env.line("config set download.limit_rate 9").explains(words);
    env.line("schedules add a --every 1h --all --limit-rate 9")
        .explains(words);
    env.line("config set download.limit_rate 9M").silently();
    for line in ["download acme/tiny -n", "run-due -n"] {
        env.line(&format!("{line} --limit-rate 9")).explains(words);
    }
    let file = "version: 1\nconfig: {download.limit_rate: 9}\n\
                schedules: [{name: b, every: 2h, all: true, limit_rate: 9}]\n";
    std::fs::write(env.root().join("work/file.yaml"), file).unwrap();
    env.line("apply -f file.yaml --dry-run")
        .explains(&format!("warning: {words}"))
        .explains(&format!("warning: the schedule `b`: {words}"));
}
