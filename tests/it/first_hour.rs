//! The first hour of a new user, in a terminal of 80 columns: each screen says what is there
//! and names the next step, and each exit code is right.

use hfdl_test_hub::{Api, Fault, On};

use crate::support::env::TestEnv;
use crate::support::process::{Victim, send};
use crate::support::programs::Cron;
use crate::support::terminal::Terminal;

const MIB: u64 = 1 << 20;

/// A time at which a slot is due again.
const LATER: &str = "2026-03-01T16:00:00Z";

/// Publishes a commit with new weights: two files of 4 MiB, one of which never changes.
fn publish(env: &TestEnv, repo: &str, seed: u64) -> String {
    let draft = env.hub().repo(repo).commit("main");
    let draft = draft.file("config.json", format!("{{\"seed\": {seed}}}"));
    draft
        .lfs_generated("model.safetensors", 4 * MIB, seed)
        .lfs_generated("same.safetensors", 4 * MIB, 1000)
        .publish()
}

/// The shell of the new user.
struct Shell(Terminal);

impl Shell {
    /// Types a line and checks its exit code and the texts on its screen.
    fn shows(&self, line: &str, code: i32, texts: &[&str]) -> String {
        let screen = self.0.run(&format!("{line}; echo code $?"));
        has(&screen, &[texts, &[&format!("\ncode {code}\n")]].concat());
        screen
    }

    /// Returns the screen once it has a text, between whose words it may be folded.
    fn waits_for(&self, text: &str) -> String {
        self.0
            .wait_until(text, |screen| unfolded(screen).contains(&unfolded(text)))
    }

    /// Checks the exit code of a line that has ended.
    fn ended_with(&self, code: i32) {
        self.0.type_line("echo code $?");
        self.0.wait_for(&format!("code {code}\n"));
    }

    /// Answers the questions of a dialogue.
    fn answers(&self, dialogue: &[(&str, &str)]) {
        for (question, answer) in dialogue {
            self.waits_for(question);
            self.0.type_line(answer);
        }
    }
}

/// Checks that a screen has texts, between whose words it may be folded.
fn has(screen: &str, texts: &[&str]) {
    for text in texts {
        let is_there = unfolded(screen).contains(&unfolded(text));
        assert!(is_there, "no `{text}`:\n{screen}");
    }
}

fn unfolded(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn the_first_hour() {
    let env = TestEnv::new();
    env.set("HFDL_DISK_RESERVE", "0").set("NO_COLOR", "1");
    env.unset("HF_HUB_CACHE").unset("HFDL_TEST_NO_PAUSES");
    env.has_cron(Cron::Debian);
    for repo in ["acme/small", "acme/big"] {
        publish(&env, repo, 1);
    }
    let Some(terminal) = Terminal::open(&env, 80, 100) else {
        return;
    };
    let shell = Shell(terminal);
    sets_up(&env, &shell);
    runs(&shell);
    is_killed_and_resumes(&env, &shell);
    goes_back_and_forward(&env, &shell);
    stops_and_waits(&env, &shell);
}

fn sets_up(env: &TestEnv, shell: &Shell) {
    let help = ["Usage: hfdl", "Keep:", "Set up:", "init "];
    shell.shows("hfdl", 2, &help);
    shell.shows(
        "hfdl status",
        0,
        &["nothing is set up", "`hfdl init` does it"],
    );
    assert!(!env.home().exists(), "looking makes no home");

    shell.0.begin("hfdl init");
    shell.answers(&[
        ("free]:", ""),
        ("Repository to keep", "acme/small"),
        ("One more", ""),
        ("Time of the daily check", "02:30"),
        ("Fetch only within hours", ""),
        ("Have crontab start", "n"),
        ("apply it", ""),
    ]);
    let end = shell.waits_for("nothing is fetched yet");
    has(
        &end,
        &["+ model acme/small", "+ schedule nightly", "`hfdl start`"],
    );
    shell.ended_with(0);
    assert_eq!(env.crontab(), None);

    let hint = [
        "nothing is fetched yet",
        "`hfdl start`",
        "`hfdl download acme/big`",
    ];
    shell.shows("hfdl models add acme/big", 0, &hint);
    let hint = ["`often` is due", "`hfdl start`"];
    shell.shows("hfdl schedules add often --every 6h --all", 0, &hint);
    let missing = [
        "acme/small",
        "never-downloaded",
        "no timer is installed",
        "`hfdl start`",
    ];
    shell.shows("hfdl status", 1, &missing);
    shell.shows("hfdl start", 0, &["timer installed (crontab)"]);
    assert!(env.crontab().is_some());
}

fn runs(shell: &Shell) {
    let all = [
        "acme/small",
        "acme/big",
        "updated",
        "8.00 MiB",
        "16.0 MiB in ",
    ];
    shell.shows("hfdl run", 0, &all);
    let healthy = ["healthy", "acme/small", "acme/big", "just now"];
    shell.shows("hfdl status", 0, &healthy);
    shell.shows(
        "hfdl run",
        0,
        &["nothing is due", "`often` starts Sun 15:00 UTC, in 6 h"],
    );
}

/// A download is killed by `kill -9`, and the next one goes on where it was.
fn is_killed_and_resumes(env: &TestEnv, shell: &Shell) {
    publish(env, "acme/killed", 5);
    env.hub().fault(On::api(Api::Cdn), Fault::StallAfter(MIB));
    shell.0.begin("hfdl download acme/killed");
    // The other file of the same bytes is here already.
    shell.waits_for("62 %  5.00 MiB of 8.00 MiB");
    let run = &env.line("runs list --json").json()["runs"][0];
    let pid = run["pid"].as_u64().unwrap() as u32;
    send(pid, rustix::process::Signal::KILL);
    shell.waits_for("Killed");
    shell.ended_with(137);
    let crashed = [
        "needs a person",
        "crashed",
        "resumes with the bytes that were kept",
    ];
    shell.shows("hfdl status", 1, &crashed);
    env.hub().heal();
    env.hub().fault(On::api(Api::Cdn), Fault::StallAfter(0));
    shell.0.begin("hfdl download acme/killed");
    shell.waits_for("62 %  5.00 MiB of 8.00 MiB");
    env.hub().heal();
    let end = shell.waits_for(" there already");
    has(&end, &["3.00 MiB in ", "5.00 MiB there already"]);
    shell.ended_with(0);
}

fn goes_back_and_forward(env: &TestEnv, shell: &Shell) {
    let newer = publish(env, "acme/big", 2);
    shell.shows(&format!("export HFDL_TEST_NOW={LATER}"), 0, &[]);
    shell.shows("hfdl models outdated", 0, &["outdated", "4.00 MiB"]);
    let updated = [
        "acme/big",
        "updated",
        "4.00 MiB",
        "acme/small",
        "up-to-date",
    ];
    shell.shows("hfdl run-due --trigger timer", 0, &updated);
    let commit = &newer[..7];
    shell.shows(
        "hfdl models show acme/big",
        0,
        &[commit, "the rollback target"],
    );

    let back = ["acme/big", "`hfdl models release acme/big`"];
    let screen = shell.shows("hfdl models rollback acme/big", 0, &back);
    assert!(screen.contains(commit), "{screen}");
    shell.shows("hfdl status", 0, &["healthy", "acme/big held"]);
    let forward = [
        "no longer held",
        "the next run moves it to the newest revision",
    ];
    shell.shows("hfdl models release acme/big", 0, &forward);
    let screen = shell.shows("hfdl download acme/big", 0, &["8.00 MiB there already"]);
    assert!(!screen.contains("error"), "{screen}");
    shell.shows("hfdl status", 0, &["healthy", "acme/big"]);
}

/// Ctrl-C ends a download, and a second command waits for the first one.
fn stops_and_waits(env: &TestEnv, shell: &Shell) {
    publish(env, "acme/big", 3);
    env.hub().fault(On::api(Api::Cdn), Fault::StallAfter(MIB));
    shell.0.begin("hfdl download acme/big");
    shell.waits_for("25 %  1.00 MiB of 4.00 MiB");
    shell.0.keys(&["C-c"]);
    let end = shell.waits_for(" there already");
    has(
        &end,
        &[
            "continues where this one stopped",
            "note: `acme/big`",
            "cause: Ctrl-C ended the run",
        ],
    );
    assert!(!end.contains("error"), "{end}");
    shell.ended_with(130);

    env.hub().forget_requests();
    env.now(LATER);
    let holder = Victim::heard(env.command(["download", "acme/big"]));
    env.hub().wait_until("bytes flow", |requests| {
        requests.iter().any(|request| request.api == Api::Cdn)
    });
    shell.0.begin("hfdl run-due");
    let screen = shell.waits_for("waiting for run ");
    has(
        &screen,
        &[&format!("(download, process {}, started", holder.id())],
    );
    env.hub().heal();
    shell.waits_for("nothing is due");
    shell.ended_with(0);
    assert!(holder.output().status.success());
    shell.shows("hfdl status", 0, &["healthy", "acme/big"]);
}
