//! The entry for the crontab, run as cron runs it: first by its environment,
//! then by a real cron daemon.
//!
//! The daemon is Debian's, in a mount namespace of its own with an empty spool,
//! so that no crontab of the machine is touched and nothing is left behind. Its
//! clock goes sixty times as fast (libfaketime); the jobs see the real time.
//! Needs root, `unshare`, `cron` and `faketime`. Where one is missing the test
//! says so and passes; for root in `CI`, where all can be had, it fails.
#![cfg(target_os = "linux")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::env::TestEnv;
use crate::support::programs::Cron;

/// A world with one model, due at once, and the real clock.
fn world() -> TestEnv {
    let env = TestEnv::new();
    env.unset("HFDL_TEST_NOW").unset("HFDL_TEST_NO_PAUSES");
    publish(&env, b"one");
    env.line("config set disk.reserve 0").succeeds();
    env.line("models add acme/tiny").succeeds();
    env.line("schedules add first --every 6h --all").succeeds();
    env
}

fn publish(env: &TestEnv, bytes: &[u8]) -> String {
    let commit = env.hub().repo("acme/tiny").commit("main");
    commit.file("config.json", bytes).publish()
}

fn published(env: &TestEnv) -> String {
    let reference = env.cache().join("models--acme--tiny/refs/main");
    fs::read_to_string(reference).unwrap_or_default()
}

/// Returns when a timer last started `run-due`, as `hfdl status` tells.
fn last_tick(env: &TestEnv) -> Option<jiff::Timestamp> {
    let status = env.line("status --json");
    let told = status.json()["last_timer_tick_at"].clone();
    let at = told.as_str().map(|at| at.parse().unwrap());
    // People are told the same, in the zone of this world, which is UTC.
    let shown = at.map(|at: jiff::Timestamp| at.strftime("%Y-%m-%d %H:%M").to_string());
    let line = format!("last tick  {}", shown.as_deref().unwrap_or("-"));
    env.line("status --absolute").prints(&line);
    at
}

fn wait_for(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(Instant::now() < end, "not within a minute: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn the_line_works_in_the_environment_of_cron_and_says_nothing() {
    let env = world();
    env.has_cron(Cron::Debian);
    let commit = publish(&env, b"two");
    assert_eq!(last_tick(&env), None);
    env.line("start --every 1m").succeeds();
    let crontab = String::from_utf8(env.crontab().unwrap()).unwrap();
    let line = crontab.lines().nth(1).unwrap();
    let command = line.strip_prefix("* * * * * ").unwrap();
    let user = env.root().join("user");
    let tick = || {
        Command::new("/bin/sh")
            .args(["-c", command])
            .env_clear()
            .env("HOME", &user)
            .env("LOGNAME", "me")
            .env("SHELL", "/bin/sh")
            .env("PATH", "/usr/bin:/bin")
            .current_dir(&user)
            .stdin(Stdio::null())
            .output()
            .unwrap()
    };
    for round in ["something is due", "nothing is due"] {
        let output = tick();
        assert!(output.status.success(), "{round}: {output:?}");
        assert_eq!((output.stdout, output.stderr), (vec![], vec![]), "{round}");
        assert_eq!(published(&env), commit, "{round}");
    }
    assert!(is_of_now(last_tick(&env)));
}

/// Tells whether a tick came since this test began.
fn is_of_now(tick: Option<jiff::Timestamp>) -> bool {
    let age = tick.map(|tick| jiff::Timestamp::now().duration_since(tick));
    age.is_some_and(|age| age.as_secs() < 120)
}

// The output of the test shows when it was skipped.
#[allow(clippy::print_stderr)]
#[test]
fn a_real_cron_daemon_publishes_new_revisions_until_the_timer_is_stopped() {
    let library = match needs() {
        Ok(library) => library,
        Err(missing) if std::env::var_os("CI").is_some() && is_root() => panic!("{missing}"),
        Err(missing) => {
            eprintln!("skipped: {missing}");
            return;
        }
    };
    let env = world();
    env.unset("HFDL_TEST_PROGRAMS").unset("HFDL_TEST_PROCESSES");
    env.set("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    let first = publish(&env, b"two");
    let mut daemon = Daemon::start(&env, &library);

    let started = daemon.hfdl("start --every 1m --backend crontab");
    assert!(started.contains("timer installed (crontab)"), "{started}");
    let crontab = daemon.shell("crontab -l");
    assert!(
        crontab.starts_with("0 0 1 1 * true\n# >>> hfdl "),
        "{crontab}"
    );
    wait_for("the first revision", || published(&env) == first);

    let second = publish(&env, b"three");
    // A new interval is due at once, at the next tick.
    env.line("schedules add second --every 5h --all").succeeds();
    wait_for("the second revision", || published(&env) == second);
    assert!(is_of_now(last_tick(&env)));

    let stopped = daemon.hfdl("stop --wait=30s");
    assert!(stopped.contains("timer removed (crontab)"), "{stopped}");
    assert_eq!(daemon.shell("crontab -l"), "0 0 1 1 * true\n");
    wait_for("the end of the last tick", || {
        daemon.shell("cat /run/jobs") == "0\n"
    });
    let last = last_tick(&env);
    // Five minutes for the daemon.
    std::thread::sleep(Duration::from_secs(5));
    assert_eq!(last_tick(&env), last, "no tick comes after `stop`");
    daemon.end();
}

fn is_root() -> bool {
    hfdl::sys::host::Host::from_process().user_id() == Some(0)
}

/// Finds libfaketime, or says what is missing.
fn needs() -> Result<PathBuf, String> {
    let can_unshare = Command::new("unshare").args(["-m", "true"]).output();
    match can_unshare {
        Ok(output) if output.status.success() => {}
        Ok(output) => {
            return Err(format!(
                "no mount namespace: {}",
                String::from_utf8_lossy(&output.stderr).trim()
            ));
        }
        Err(err) => return Err(format!("`unshare`: {err}")),
    }
    for program in ["/usr/sbin/cron", "/usr/bin/crontab"] {
        if !Path::new(program).exists() {
            return Err(format!("there is no `{program}`: install the package cron"));
        }
    }
    let libraries = fs::read_dir("/usr/lib").into_iter().flatten().flatten();
    libraries
        .map(|folder| folder.path().join("faketime/libfaketime.so.1"))
        .find(|path| path.exists())
        .ok_or_else(|| "there is no libfaketime: install the package faketime".to_owned())
}

/// A shell in the daemon's namespace, which is given commands line by line.
struct Daemon {
    child: Child,
    root: PathBuf,
    n_commands: usize,
}

/// Everything that cron would read or write is covered; then it is started and
/// commands are taken from stdin: each one's output goes to a file, and the
/// file gets its final name when it is complete.
const SCRIPT: &str = r#"
set -eu
mount --make-rprivate /
mount -t tmpfs -o mode=755 tmpfs /run
mount -t tmpfs -o mode=1730,gid=crontab tmpfs /var/spool/cron/crontabs
: >/run/none
mkdir /run/nothing
mount --bind /run/none /etc/crontab
mount --bind /run/nothing /etc/cron.d
echo '0 0 1 1 * true' | crontab -
# Cron sees by the second whether a crontab is another one than it has read.
sleep 1.1
env -i LD_PRELOAD="$1" FAKETIME='@2026-03-03 12:00:30 x60' NO_FAKE_STAT=1 FAKETIME_DONT_RESET=1 TZ=UTC \
    /usr/sbin/cron -f &
cron=$!
trap 'kill "$cron" 2>/dev/null; wait "$cron" || true' EXIT
n=0
while read -r line; do
    n=$((n + 1))
    pgrep -P "$cron" | wc -l >/run/jobs
    sh -c "$line" >"$2/answer.new" 2>&1 </dev/null || true
    mv "$2/answer.new" "$2/answer-$n"
done
"#;

impl Daemon {
    fn start(env: &TestEnv, library: &Path) -> Self {
        let template = env.command(["x"]);
        let mut command = Command::new("unshare");
        command
            .args(["-m", "/bin/sh", "-c", SCRIPT, "cron"])
            .arg(library)
            .arg(env.root())
            .env_clear()
            .stdin(Stdio::piped());
        for (name, value) in template.get_envs() {
            command.env(name, value.unwrap_or_default());
        }
        Self {
            child: command.spawn().unwrap(),
            root: env.root().to_path_buf(),
            n_commands: 0,
        }
    }

    /// Runs a command line in the namespace and returns what it says.
    fn shell(&mut self, line: &str) -> String {
        use std::io::Write;
        self.n_commands += 1;
        let answer = self.root.join(format!("answer-{}", self.n_commands));
        let stdin = self.child.stdin.as_mut().unwrap();
        writeln!(stdin, "{line}").unwrap();
        stdin.flush().unwrap();
        wait_for(line, || answer.exists());
        fs::read_to_string(answer).unwrap()
    }

    fn hfdl(&mut self, line: &str) -> String {
        self.shell(&format!("'{}' {line}", env!("CARGO_BIN_EXE_hfdl")))
    }

    /// Lets the shell come to its end, which ends cron.
    fn end(mut self) {
        drop(self.child.stdin.take());
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}
