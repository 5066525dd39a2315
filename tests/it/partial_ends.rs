//! Runs that end before their models are whole: the end names the one limit or signal that
//! ended it, how much is here, and how much is left. It is no error.

use hfdl::sys::lock::FileLock;
use hfdl_test_hub::{Api, Fault, On};
use rustix::process::Signal;

use crate::support::due::{keep_large, roomy_world};
use crate::support::env::TestEnv;
use crate::support::process::{Victim, send, wait_for_open_file};
use crate::support::terminal::Terminal;

/// Each test has one connection: a limit holds to the block of each connection.
const ONE: &str = "-c download.connections=1";

/// Checks that stderr is a note with its cause, and nothing else.
fn is_note(stderr: &str, note: &str, cause: &str) {
    let stderr = stderr.split_whitespace().collect::<Vec<_>>().join(" ");
    let wanted = format!("note: `acme/large` {note} cause: {cause}");
    assert!(stderr.contains(&wanted), "no `{wanted}`: {stderr}");
    assert!(!stderr.contains("error:"), "{stderr}");
}

#[test]
fn a_limit_of_the_run_is_named_as_it_was_set() {
    let env = roomy_world();
    keep_large(&env, "acme/large", 7 << 20, 1);
    let ran = env.line(&format!("download acme/large {ONE} --max-transfer 2M"));
    let note = "is incomplete: 2.00 MiB of 7.00 MiB are here, 5.00 MiB are left";
    let cause = "the run reached its `--max-transfer` of 2M";
    is_note(ran.exits(8).stderr(), note, cause);
    env.line("config set run.max_transfer 3M").succeeds();
    let ran = env.line(&format!("download acme/large {ONE}"));
    let note = "is incomplete: 5.00 MiB of 7.00 MiB are here, 2.00 MiB are left";
    let cause = "the run reached its `run.max_transfer` of 3M";
    is_note(ran.exits(8).stderr(), note, cause);
    env.hub().fault(On::api(Api::Info), Fault::NoAnswer);
    let ran = env.line("download acme/large --max-duration 1s");
    let cause = "the run reached its `--max-duration` of 1s";
    is_note(ran.exits(10).stderr(), "was not checked", cause);
}

#[test]
fn a_spent_allowance_is_named_and_is_no_error() {
    let env = roomy_world();
    keep_large(&env, "acme/large", 7 << 20, 1);
    env.line("schedules add night --every 6h --all").succeeds();
    env.line("config set limit.daily 2M").succeeds();
    let ran = env.line(&format!("download acme/large {ONE}"));
    let note = "is incomplete: 2.00 MiB of 7.00 MiB are here, 5.00 MiB are left";
    let cause = "the allowance of the day is spent (2.00 MiB of 2.00 MiB)";
    is_note(ran.exits(8).stderr(), note, cause);
    // A dry run names it, unless it is to be ignored.
    let plan = env.line("run-due --dry-run");
    plan.succeeds()
        .explains("note: the allowance of the day is spent (2.00 MiB of 2.00 MiB)")
        .explains("`hfdl run-due --ignore-limits` goes beyond it now");
    env.line("run-due --dry-run --ignore-limits").silently();
    env.line("run-due --dry-run --at 'in 2d'").silently();
    let ran = env.line("run-due");
    assert!(!ran.exits(8).stderr().contains("error:"));
    let ran = env.line("run-due");
    ran.exits(8)
        .explains("note: the rest of the due models has to wait");
}

/// Begins a download that stalls in the middle, ends it so, and returns its code and stderr.
fn ended(end: impl FnOnce(&TestEnv, &Victim)) -> (Option<i32>, String) {
    let env = roomy_world();
    keep_large(&env, "acme/large", 4 << 20, 1);
    // The stall lasts, however long this machine takes: no connection gives up, and several with
    // a MiB each would complete the file.
    env.set("HF_HUB_DOWNLOAD_TIMEOUT", "600");
    env.hub().fault(On::api(Api::Cdn), Fault::StallAfter(1_000));
    let running = Victim::heard(env.command(["download", "acme/large"]));
    env.hub().wait_until("bytes flow", |requests| {
        requests.iter().any(|request| request.api == Api::Cdn)
    });
    end(&env, &running);
    let output = running.output();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code(), stderr)
}

#[test]
fn a_signal_or_a_command_is_named() {
    for (signal, code, cause) in [
        (Signal::INT, 130, "Ctrl-C ended the run"),
        (Signal::TERM, 143, "SIGTERM ended the run"),
        (
            Signal::HUP,
            143,
            "SIGHUP ended the run, as when its terminal is closed",
        ),
    ] {
        let (ended, stderr) = ended(|_, running| send(running.id(), signal));
        assert_eq!(ended, Some(code), "{stderr}");
        assert!(
            stderr.contains("note: `acme/large` is incomplete: "),
            "{stderr}"
        );
        assert!(stderr.contains(&format!("cause: {cause}\n")), "{stderr}");
        assert!(!stderr.contains("error:"), "{stderr}");
    }
    let (ended, stderr) = ended(|env, _| {
        env.line("stop --run-only").succeeds();
    });
    assert_eq!(ended, Some(143), "{stderr}");
    let cause = "cause: `hfdl stop` ended the run\n";
    assert!(stderr.contains(cause), "{stderr}");
}

#[test]
fn a_wait_for_the_lock_that_is_stopped_says_so() {
    let env = roomy_world();
    keep_large(&env, "acme/large", 1 << 20, 1);
    let lock = FileLock::try_acquire(&env.home().join("run.lock")).unwrap();
    for line in [
        "download acme/large --wait",
        "verify --wait -q",
        "run-due --wait --json",
    ] {
        let waiting = Victim::heard(env.command(line.split(' ')));
        wait_for_open_file(waiting.id(), "run.lock");
        send(waiting.id(), Signal::TERM);
        let ended = waiting.output();
        assert_eq!(ended.status.code(), Some(143), "{line}");
        let stderr = String::from_utf8_lossy(&ended.stderr);
        let note = "note: nothing was done: stopped while waiting for another run to end";
        assert!(stderr.contains(note), "{line}: {stderr}");
    }
    drop(lock);
}

#[test]
fn a_run_that_is_stopped_in_the_gate_says_that_all_bytes_are_here() {
    let env = roomy_world();
    keep_large(&env, "acme/large", 2 << 20, 1);
    let pid = env.root().join("pid");
    env.program("gate", &format!("echo $$ >'{}'; sleep 60", pid.display()));
    let gate = env.root().join("programs/gate");
    env.hfdl(["config", "set", "hooks.gate", gate.to_str().unwrap()])
        .succeeds();
    let running = Victim::heard(env.command(["download", "acme/large"]));
    for _ in 0..1500 {
        if pid.exists() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    send(running.id(), Signal::TERM);
    let output = running.output();
    assert_eq!(output.status.code(), Some(143));
    let note = "is not published yet: all 2.00 MiB are here";
    let cause = "SIGTERM ended the run before the gate had finished";
    is_note(&String::from_utf8_lossy(&output.stderr), note, cause);
}

#[test]
fn at_a_terminal_a_limit_of_a_schedule_is_named() {
    let env = roomy_world();
    keep_large(&env, "acme/large", 7 << 20, 1);
    env.line("schedules add night --every 6h --all --max-transfer 2M")
        .succeeds();
    let Some(terminal) = Terminal::open(&env, 80, 30) else {
        return;
    };
    let screen = terminal.run(&format!("hfdl run-due {ONE}"));
    let note = "is incomplete: 2.00 MiB of 7.00 MiB are here, 5.00 MiB are left";
    let cause = "the schedule `night` reached its `--max-transfer`";
    is_note(&screen, note, cause);
    env.line("schedules set night --no-max-transfer --max-duration 1s")
        .succeeds();
    env.hub().fault(On::api(Api::Cdn), Fault::NoAnswer);
    let screen = terminal.run("hfdl run-due");
    let cause = "the schedule `night` reached its `--max-duration`";
    is_note(&screen, note, cause);
}
