//! `hfdl start` and `stop` whatever the back-end: the choice, the environment,
//! a home or program that was moved, and the run in progress.
#![cfg(unix)]

use std::fs;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use hfdl::domain::timer::TimerKind;
use hfdl_test_hub::generated_bytes;
use serde_json::Value;

use crate::support::env::TestEnv;
use crate::support::programs::Cron;

fn world() -> TestEnv {
    let env = TestEnv::new();
    env.has_cron(Cron::Debian);
    env
}

fn text(env: &TestEnv) -> String {
    String::from_utf8(env.crontab().unwrap_or_default()).unwrap()
}

#[test]
fn start_without_any_timer_is_an_error() {
    let env = TestEnv::new();
    env.line("start").exits(1).explains("no timer is available");
    env.line("stop")
        .succeeds()
        .prints("no timer was installed for this home\nno run is in progress");
    env.line("start --backend launchd")
        .exits(1)
        .explains("there is no program `launchctl` on this machine");
    let choices = "auto, crontab, systemd, launchd, task-scheduler";
    env.line("start --backend sundial")
        .exits(2)
        .explains(choices);
    env.line("start --backend cron")
        .exits(2)
        .explains("did you mean `crontab`?");
    let every = env.line("start --every 7m");
    every.exits(2).explains("`--every 7m`: it must be 1m, 2m");
    assert!(
        !every.stderr().contains("timer.every"),
        "{}",
        every.report()
    );
}

#[test]
fn a_failed_installation_leaves_no_home_behind() {
    let env = world();
    let odd = env.root().join("it's");
    env.hfdl(["start", "--home", odd.to_str().unwrap()])
        .exits(2)
        .explains("contains `'`, which a crontab cannot");
    env.line("start --env HF_TOKEN=hf_x").exits(2);
    env.line("start --every 7m").exits(2);
    assert!(!odd.exists() && !env.home().exists());
    assert_eq!(env.crontab(), None);
}

#[test]
fn a_missing_cron_daemon_is_a_warning_until_ticks_come() {
    let env = world();
    env.line("start").succeeds();
    env.line("status").succeeds();
    let processes = env.root().join("processes");
    fs::remove_dir_all(&processes).unwrap();
    fs::create_dir_all(processes.join("1")).unwrap();
    fs::write(processes.join("1/comm"), "init\n").unwrap();
    let ran = env.line("status");
    ran.exits(1)
        .prints("no tick has come from the timer (crontab): no cron daemon seems to run here")
        .prints("start that daemon, or use another timer");
    assert!(!ran.stdout().contains("brings it up to date"));
    env.line("run-due --trigger timer").succeeds();
    env.line("status").succeeds();
}

#[test]
fn a_longer_period_names_the_schedules_that_no_tick_can_serve() {
    let env = world();
    env.line("schedules add narrow --daily 03:00 --tz UTC --all --window 02:45-03:15")
        .succeeds();
    let often = env.line("start");
    assert!(!often.succeeds().stderr().contains("narrow"));
    env.line("start --every 1h")
        .succeeds()
        .explains("the schedule `narrow` can never run now");
    env.line("status").exits(1).prints("`narrow` can never run");
}

#[test]
fn systemd_comes_before_the_crontab_where_it_answers() {
    let env = world();
    env.has_systemd();
    env.line("start")
        .succeeds()
        .prints("timer installed (systemd)");
    let calls = env.calls("systemctl");
    let id = env.line("start --dry-run --json").json()["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let timer = format!("hfdl-{id}.timer");
    let last: Vec<&str> = calls.iter().rev().take(2).map(String::as_str).collect();
    assert_eq!(
        last,
        [
            &format!("--user enable --now {timer}"),
            "--user daemon-reload"
        ]
    );
    let units = env.root().join("user/.config/systemd/user");
    assert!(units.join(&timer).exists() && units.join(format!("hfdl-{id}.service")).exists());
    assert_eq!(env.crontab(), None);
    let n_calls = env.calls("systemctl").len();
    env.line("start").succeeds().prints("already installed");
    let again = env.calls("systemctl").split_off(n_calls);
    assert!(
        !again
            .iter()
            .any(|call| call.contains("reload") || call.contains("--now")),
        "{again:?}"
    );

    let stamp = env
        .root()
        .join(format!("user/.local/share/systemd/timers/stamp-{timer}"));
    fs::create_dir_all(stamp.parent().unwrap()).unwrap();
    fs::write(&stamp, "").unwrap();
    env.line("stop")
        .succeeds()
        .prints("timer removed (systemd)");
    assert!(!units.join(&timer).exists() && !stamp.exists());
    let calls = env.calls("systemctl").join("\n");
    for call in [
        "disable --now",
        "clean --what=state",
        "daemon-reload",
        "reset-failed",
    ] {
        assert!(calls.contains(call), "{call}: {calls}");
    }
}

#[test]
fn a_missing_systemd_manager_and_missing_linger_are_reported() {
    let env = world();
    env.program(
        "systemctl",
        "echo 'Failed to connect to bus: No medium found' >&2; exit 1",
    );
    env.line("start")
        .succeeds()
        .prints("timer installed (crontab)");
    env.line("start --backend systemd")
        .exits(1)
        .explains("systemd's manager for this user cannot be reached")
        .explains("--backend crontab");
    env.has_systemd();
    env.program("loginctl", "echo Linger=no");
    env.line("start --backend systemd")
        .succeeds()
        .explains("`loginctl enable-linger`");
}

#[test]
fn another_back_end_replaces_the_first() {
    let env = world();
    env.has_systemd();
    env.line("start --backend crontab").succeeds();
    assert!(text(&env).contains("run-due"));
    // The installed timer is kept, though systemd would be chosen now.
    env.line("start")
        .succeeds()
        .prints("already installed (crontab)");
    env.line("start --backend systemd")
        .succeeds()
        .prints("the earlier entry (crontab) is removed");
    assert_eq!(env.crontab(), None);
    env.line("stop")
        .succeeds()
        .prints("timer removed (systemd)");
}

#[test]
fn launchd_reloads_the_agent_and_falls_back_to_the_background_session() {
    let env = TestEnv::new();
    let script = format!(
        "{}\n[ \"$1\" = print ] && exit 113\ncase \"$*\" in *gui/*) [ \"$1\" = bootstrap ] && exit 125 ;; esac\nexit 0",
        env.noting("launchctl")
    );
    env.program("launchctl", &script);
    env.line("start")
        .succeeds()
        .prints("timer installed (launchd)");
    let calls = env.calls("launchctl").join("\n");
    assert!(
        calls.contains("bootstrap gui/") && calls.contains("bootstrap user/"),
        "{calls}"
    );
    assert!(!calls.contains("bootout"), "{calls}");
    let agents = env.root().join("user/Library/LaunchAgents");
    let file = fs::read_dir(&agents)
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    let agent = fs::read_to_string(&file).unwrap();
    assert!(
        agent.contains("<string>Background</string>\n</dict>"),
        "{agent}"
    );

    env.program("launchctl", &env.noting("launchctl"));
    env.line("start").succeeds().prints("already installed");
    env.line("start --every 5m")
        .succeeds()
        .prints("timer installed (launchd)");
    let calls = env.calls("launchctl").join("\n");
    let label = file.file_stem().unwrap().to_string_lossy();
    assert!(
        calls.contains(&format!("/{label}\n")) && calls.contains("bootout gui/"),
        "{calls}"
    );
    env.line("stop")
        .succeeds()
        .prints("timer removed (launchd)");
    assert!(!file.exists());
}

#[test]
fn the_task_is_registered_from_a_file_and_checked_by_exit_code() {
    let env = TestEnv::new();
    let exists = env.root().join("task");
    env.program("whoami", "echo '\"machine\\me\",\"S-1-5-21-1-2-3-1001\"'");
    env.program(
        "schtasks",
        &format!(
            "{}\nPATH=/usr/bin:/bin\ncase $1 in /Create) : >'{1}' ;; /Query) [ -e '{1}' ] ;; /Delete) rm '{1}' ;; esac",
            env.noting("schtasks"),
            exists.display()
        ),
    );
    env.line("start")
        .succeeds()
        .prints("timer installed (task-scheduler)");
    let bytes = fs::read(env.home().join("timer.xml")).unwrap();
    assert_eq!(&bytes[..4], [0xff, 0xfe, b'<', 0]);
    let units: Vec<u16> = bytes
        .chunks(2)
        .map(|pair| u16::from_le_bytes([pair[0], pair[1]]))
        .collect();
    let xml = String::from_utf16(&units).unwrap();
    assert!(
        xml.contains("<UserId>S-1-5-21-1-2-3-1001</UserId>"),
        "{xml}"
    );
    env.line("start").succeeds().prints("already installed");
    env.line("start --env TZ")
        .exits(2)
        .explains("`setx TZ VALUE`");
    env.line("stop")
        .succeeds()
        .prints("timer removed (task-scheduler)");
    assert!(!exists.exists());
}

#[test]
fn cache_and_hub_are_saved_and_other_differences_are_warned_about() {
    let env = world();
    env.set("HF_ENDPOINT", "https://mirror.example")
        .set("HF_TOKEN", "hf_secret")
        .set("https_proxy", "http://proxy:3128")
        .set("HFDL_DOWNLOAD_FILES", "2");
    let cache = env.cache().display().to_string();
    let dry = env.line("start --dry-run");
    dry.succeeds()
        .explains(&format!("`cache.dir` would be saved as `{cache}`"));
    assert!(!env.home().exists());
    env.line("start")
        .succeeds()
        .explains(&format!("`cache.dir` is now saved as `{cache}`"))
        .explains("`hub.endpoint` is now saved as `https://mirror.example`")
        .explains("`HF_TOKEN` is set in this shell")
        .explains("`https_proxy` is set here")
        .explains("`download.files` is `2` here by `HFDL_DOWNLOAD_FILES`");
    assert!(!text(&env).contains("secret") && !env.database_content().contains("secret"));
    for name in [
        "HF_ENDPOINT",
        "HF_HUB_CACHE",
        "HF_TOKEN",
        "https_proxy",
        "HFDL_DOWNLOAD_FILES",
        "HFDL_UPDATE_GUARDS",
    ] {
        env.unset(name);
    }
    env.line("config get cache.dir").succeeds().prints(&cache);
    env.line("config get hub.endpoint")
        .succeeds()
        .prints("https://mirror.example");
    env.line("start").succeeds().prints("already installed");
    assert_eq!(env.start_warnings(), [""; 0]);
}

#[test]
fn requested_variables_are_in_the_entry_and_secrets_are_refused() {
    let env = world();
    env.set("https_proxy", "http://proxy:3128")
        .set("HF_TOKEN", "hf_secret");
    env.line("start --env https_proxy --env NO_PROXY=localhost")
        .succeeds();
    let before = text(&env);
    assert!(
        before.contains("/usr/bin/env 'NO_PROXY=localhost' 'https_proxy=http://proxy:3128' '"),
        "{before}"
    );
    // Mending from another shell loses nothing.
    env.unset("https_proxy");
    env.line("start").succeeds().prints("already installed");
    for (flag, why) in [
        ("HF_TOKEN", "may hold a secret"),
        ("https_proxy=http://me:pass@proxy", "holds a password"),
        (
            "HFDL_PING_URL=https://ping.example/x",
            "hfdl config set ping.url",
        ),
        ("X=50%", "which a crontab cannot"),
        ("NOT_SET", "is not set here"),
        ("HFDL_HOME=/x", "`--home`"),
    ] {
        env.hfdl(["start", "--env", flag]).exits(2).explains(why);
        assert_eq!(text(&env), before);
    }
    env.line("stop").succeeds();
    env.line("start").succeeds();
    assert!(!text(&env).contains("/usr/bin/env"));
}

#[test]
fn start_repairs_the_entry_of_a_moved_program() {
    let env = world();
    env.line("start").succeeds();
    let moved = env.root().join("bin with space");
    fs::create_dir(&moved).unwrap();
    let moved = moved.join("hfdl");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_hfdl"), &moved).unwrap();
    let original = env.command(["start"]);
    let mut command = std::process::Command::new(&moved);
    command.arg("start").env_clear();
    for (name, value) in original.get_envs() {
        command.env(name, value.unwrap_or_default());
    }
    assert!(command.output().unwrap().status.success());
    // By the name that was typed, not by what the link leads to.
    assert!(
        text(&env).contains(&format!(" '{}' --home", moved.display())),
        "{}",
        text(&env)
    );
    assert_eq!(text(&env).matches("run-due").count(), 1);
}

#[test]
fn the_entry_follows_a_moved_home_and_not_a_copy() {
    let env = world();
    env.line("start").succeeds();
    let first = text(&env);
    let moved = env.root().join("moved");
    fs::rename(env.home(), &moved).unwrap();
    env.set("HFDL_HOME", &moved.to_string_lossy());
    env.line("start")
        .succeeds()
        .prints("the earlier entry (crontab) is removed");
    let second = text(&env);
    assert_eq!(second.matches("run-due").count(), 1);
    assert!(second != first && second.contains("/moved'"), "{second}");

    let copy = env.root().join("copy");
    fs::create_dir(&copy).unwrap();
    fs::copy(moved.join("hfdl.db"), copy.join("hfdl.db")).unwrap();
    env.hfdl(["start", "--home", &copy.to_string_lossy()])
        .succeeds();
    assert_eq!(text(&env).matches("run-due").count(), 2);
    env.hfdl(["stop", "--home", &copy.to_string_lossy()])
        .succeeds();
    assert_eq!(text(&env), second);
    // Stopped after a move, before any start.
    let again = env.root().join("again");
    fs::rename(&moved, &again).unwrap();
    env.hfdl(["stop", "--home", &again.to_string_lossy()])
        .succeeds()
        .prints("timer removed (crontab)");
    assert_eq!(env.crontab(), None);
}

#[test]
fn the_state_has_the_installed_entry_and_whether_it_is_current() {
    use hfdl::ops::settings::resolve_settings;
    use hfdl::ops::timer::{HomeContext, TimerState, state};
    use hfdl::store::Store;
    use hfdl::sys::host::Host;
    use hfdl::sys::paths::Home;

    let env = world();
    // As this very process sees it: its program is the test itself, which
    // differs from the one that is installed.
    let look = || -> TimerState {
        let host = Host::with_variables(env.command(["x"]).get_envs().map(|(name, value)| {
            let value = value.unwrap_or_default().to_string_lossy().into_owned();
            (name.to_string_lossy().into_owned(), value)
        }));
        let home = Home::find(&host, Some(&env.home())).unwrap();
        let store = env
            .database()
            .exists()
            .then(|| Store::open(&env.database(), host.now()).unwrap());
        let settings = resolve_settings(&host, store.as_ref(), Default::default()).unwrap();
        let place = HomeContext {
            host: &host,
            home: &home,
            settings: &settings,
        };
        state(place, store.as_ref())
    };
    assert_eq!(look(), TimerState::default());
    env.line("start --every 5m").succeeds();
    let found = look();
    assert!(
        found.installed && !found.is_current,
        "another program: {found:?}"
    );
    assert_eq!(found.backend, Some(TimerKind::Crontab));
    assert_eq!(found.every.map(|every| every.get()), Some(300));
    assert!(found.entry.unwrap().contains("run-due --trigger timer"));
    assert_eq!(found.last_problem, None);
    // The test's own path makes it current.
    let own = std::env::current_exe().unwrap();
    let current = text(&env).replace(env!("CARGO_BIN_EXE_hfdl"), &own.to_string_lossy());
    fs::write(env.crontab_file(), &current).unwrap();
    assert!(look().is_current);
    fs::write(env.crontab_file(), current.replace("# <<<", "#")).unwrap();
    assert!(look().last_problem.unwrap().contains("damaged"));
    fs::remove_file(env.crontab_file()).unwrap();
    let gone = look();
    assert!(
        !gone.installed
            && gone
                .last_problem
                .unwrap()
                .contains("`hfdl start` installs it again")
    );
    env.line("stop").succeeds();
    assert_eq!(look(), TimerState::default());
}

#[test]
fn a_database_that_cannot_be_read_does_not_keep_the_timer() {
    let env = world();
    env.line("start").succeeds();
    fs::write(env.database(), "no database").unwrap();
    env.line("stop")
        .succeeds()
        .prints("timer removed (crontab)")
        .explains("hfdl.db");
    assert_eq!(env.crontab(), None);
}

/// A download that is in the middle of its file, and can be let go on.
struct RunningDownload {
    env: TestEnv,
    child: Option<Child>,
}

impl RunningDownload {
    fn start() -> Self {
        let env = world();
        env.set("HFDL_DISK_RESERVE", "0")
            .unset("HFDL_TEST_NOW")
            .unset("HFDL_TEST_NO_PAUSES");
        let hub = env.hub();
        let bytes = generated_bytes(64 << 20, 1);
        hub.repo("acme/tiny")
            .commit("main")
            .lfs("model.safetensors", bytes)
            .publish();
        let mut command = env.command(["download", "acme/tiny", "--limit-rate", "256K"]);
        let child = command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let running = Self {
            env,
            child: Some(child),
        };
        running.until_open();
        running
    }

    /// Waits until the run has written down who it is.
    fn until_open(&self) {
        let end = Instant::now() + Duration::from_secs(60);
        while Instant::now() < end {
            if self.env.database().exists() && self.env.database_content().contains("sessions: ") {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("no session was opened");
    }

    fn code(&mut self) -> std::process::ExitStatus {
        self.child.take().unwrap().wait().unwrap()
    }
}

impl Drop for RunningDownload {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

#[test]
fn stop_signals_a_running_run_and_waits_for_it() {
    let mut running = RunningDownload::start();
    let pid = running.child.as_ref().unwrap().id();
    running.env.line("start").succeeds();
    let ran = running.env.line("stop --run-only --wait=60s --json");
    let document: Value = ran.succeeds().json();
    assert_eq!(document["run"]["state"], "ended", "{document}");
    assert_eq!(document["timer_removed"], Value::Null);
    assert!(running.env.database_content().contains(&pid.to_string()));
    assert!(!running.code().success());
    assert!(text(&running.env).contains("run-due"), "the timer stays");
    running
        .env
        .line("stop")
        .succeeds()
        .prints("timer removed (crontab)\nno run is in progress");
}

#[test]
fn a_process_that_reuses_the_id_of_a_dead_run_gets_no_signal() {
    let env = world();
    // The lock is held, and the open run has this test's number but another start.
    env.line("models add acme/tiny --no-check").succeeds();
    let database = rusqlite::Connection::open(env.database()).unwrap();
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let mut sleeper = std::process::Command::new("/bin/sleep")
        .arg("60")
        .spawn()
        .unwrap();
    let host = hfdl::sys::host::Host::from_process().name();
    database
        .execute(
            "INSERT INTO runs (id, command, trigger, host, pid, boot_id, process_start, version, started_at, heartbeat_at)
             VALUES ('018bcfe5-6800-7fff-bfff-ffffffffffff', 'download', 'manual', ?1, ?2, ?3, '1', '0', 1772000000, 1772000000)",
            rusqlite::params![host, sleeper.id(), boot.trim()],
        )
        .unwrap();
    let lock = hfdl::sys::lock::FileLock::try_acquire(&env.home().join("run.lock"))
        .unwrap()
        .unwrap();
    env.line("stop")
        .succeeds()
        .prints("no timer was installed for this home")
        .prints(&format!(
            "download (process {} on {host}, since ",
            sleeper.id()
        ))
        .prints("is asked to save its state and end");
    assert!(sleeper.try_wait().unwrap().is_none(), "no signal");
    let asked: Option<i64> = database
        .query_row("SELECT stop_requested_at FROM runs", [], |row| row.get(0))
        .unwrap();
    assert!(asked.is_some());
    env.line("stop --wait=1s")
        .exits(11)
        .explains("the run has not ended yet");
    drop(lock);
    env.line("stop --wait")
        .succeeds()
        .prints("no run is in progress");
    sleeper.kill().unwrap();
    sleeper.wait().unwrap();
}

#[test]
fn stop_removes_the_timer_or_stops_the_run() {
    let env = world();
    env.line("start").succeeds();
    assert_eq!(
        env.line("stop --run-only").succeeds().stdout(),
        "no run is in progress\n"
    );
    assert_eq!(
        env.line("stop --timer-only").succeeds().stdout(),
        "timer removed (crontab)\n"
    );
    env.line("stop --timer-only --run-only").exits(2);
    env.line("stop --timer-only --wait").exits(2);
    assert_eq!(env.line("stop -q").succeeds().stdout(), "");
}
