//! Signals to the real process: asked to end it saves its state, and asked
//! twice it leaves at once.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use hfdl::sys::lock::FileLock;
use hfdl_test_hub::{Api, Fault, Hint, On};
use rustix::process::{Pid, Signal, kill_process};

use crate::support::database::number;
use crate::support::env::{Ran, TestEnv};
use crate::support::sound::{open_runs, open_sessions};

const MIB: u64 = 1 << 20;
const SIZE: u64 = 48 * MIB;

fn world() -> TestEnv {
    let env = TestEnv::new();
    env.set("HFDL_DISK_RESERVE", "0");
    let repo = env.hub().repo("acme/tiny");
    let draft = repo
        .commit("main")
        .lfs_generated("model.safetensors", SIZE, 7);
    draft.publish();
    env
}

/// A process that must not outlive a failed test.
struct Running(Child);

impl Running {
    fn start(mut command: Command) -> Self {
        Self(command.stdout(Stdio::null()).spawn().unwrap())
    }

    fn send(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.0), signal).unwrap();
    }

    /// Returns the exit code of a process that was sent a signal just now. It ends
    /// within five seconds, in which no silent server is given up; on a machine under
    /// load the start and the end of a process take longer, too, which is allowed.
    fn ends_soon(&mut self, env: &TestEnv) -> Option<i32> {
        const LIMIT: Duration = Duration::from_secs(5);
        const STARTS_ALLOWED: u32 = 20;
        let sent = Instant::now();
        let code = self.code_within(Duration::from_secs(20));
        let took = sent.elapsed();
        let start = Instant::now();
        env.hfdl(["--version"]).succeeds();
        let allowed = LIMIT + STARTS_ALLOWED * start.elapsed();
        assert!(took <= allowed, "{took:?} and not {allowed:?}");
        code
    }

    /// Returns the exit code, if the process ends in time.
    fn code_within(&mut self, span: Duration) -> Option<i32> {
        let start = Instant::now();
        while start.elapsed() < span {
            if let Some(status) = self.0.try_wait().unwrap() {
                // A shell shows the end by a signal as 128 and its number.
                return status.code().or(status.signal().map(|signal| 128 + signal));
            }
            std::thread::yield_now();
        }
        None
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts a download that takes four seconds, and waits until bytes have come:
/// more than one connection has in its buffers on the way.
fn begin(env: &TestEnv) -> Running {
    let args = ["download", "acme/tiny", "--limit-rate", "12M", "-q"];
    let mut command = env.command(args);
    command.args(["-c", "download.connections=1"]);
    let running = Running::start(command);
    wait_for_bytes(env, 16 * MIB);
    running
}

fn wait_for_bytes(env: &TestEnv, n_bytes: u64) {
    env.hub().wait_until("bytes flow", |requests| {
        let cdn = requests.iter().filter(|request| request.api == Api::Cdn);
        cdn.map(|request| request.bytes_sent).sum::<u64>() >= n_bytes
    });
}

/// Returns the outcome of the last session and of the last run, and its exit code.
fn last_words(env: &TestEnv) -> (String, String, i64) {
    let connection = rusqlite::Connection::open(env.database()).unwrap();
    let sql = "SELECT s.outcome, r.outcome, r.exit_code FROM sessions s
        JOIN runs r ON r.id = s.run_id ORDER BY s.id DESC LIMIT 1";
    let row = connection.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)));
    row.unwrap()
}

/// Downloads the rest, and checks that what had come was used.
fn resumes(env: &TestEnv) -> Ran {
    let ran = env.hfdl(["download", "acme/tiny", "--json"]);
    let session = &ran.succeeds().json()["sessions"][0];
    let n_bytes = |name: &str| session["bytes"][name].as_u64().unwrap();
    assert_eq!(n_bytes("fetched") + n_bytes("reused"), SIZE);
    assert!(n_bytes("reused") > 0, "{}", ran.report());
    assert_eq!((open_sessions(env), open_runs(env)), (0, 0));
    env.hfdl(["verify", "acme/tiny"]).succeeds();
    ran
}

#[test]
fn a_signal_ends_the_run_with_its_code_and_the_next_goes_on() {
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 143)] {
        let env = world();
        let mut running = begin(&env);
        running.send(signal);
        let ended = running.ends_soon(&env);
        assert_eq!(ended, Some(code), "{signal:?}");
        let words = ("partial".to_owned(), "interrupted".to_owned(), code.into());
        assert_eq!(last_words(&env), words, "{signal:?}");
        resumes(&env);
    }
}

#[test]
fn a_second_signal_leaves_at_once_and_loses_nothing() {
    for (second, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let env = world();
        let mut running = begin(&env);
        running.send(Signal::TERM);
        assert_eq!(running.ends_soon(&env), Some(143));

        // A connection that says nothing keeps the run from ending for a moment.
        env.hub().fault(On::api(Api::Cdn), Fault::NoAnswer);
        env.set("HF_HUB_DOWNLOAD_TIMEOUT", "600");
        env.hub().forget_requests();
        let mut command = env.command(["download", "acme/tiny", "-v"]);
        command.stderr(Stdio::piped());
        let mut running = Running::start(command);
        env.hub().wait_until("it asks", |requests| {
            requests.iter().any(|request| request.api == Api::Cdn)
        });
        running.send(Signal::TERM);
        let diary = BufReader::new(running.0.stderr.take().unwrap());
        let heard = diary.lines().map(Result::unwrap);
        let mut heard = heard.filter(|line| line.contains("stopping: received data is kept"));
        assert!(heard.next().is_some(), "the first signal was not heard");
        // Two signals at the same moment are one request.
        running.send(second);
        assert_eq!(running.code_within(Duration::from_millis(250)), None);
        std::thread::sleep(Duration::from_millis(150));
        running.send(second);
        let ended = running.ends_soon(&env);
        assert_eq!(ended, Some(code), "{second:?}");
        assert_eq!((open_sessions(&env), open_runs(&env)), (1, 1));
        env.hub().heal();
        resumes(&env);
    }
}

#[test]
fn a_signal_ends_the_run_soon_although_the_hub_says_nothing() {
    let (int, term) = (Signal::INT, Signal::TERM);
    let pause = Duration::from_millis(100);
    let silence = || Fault::NoAnswer;
    let slow_head = || Fault::TrickleHead(1, pause);
    let slow_body = || Fault::Trickle(1, pause);
    let no_end = || Fault::Informational(pause);
    for (line, asked, fault, signal, code) in [
        ("run-due", Api::Info, silence(), term, 143),
        ("run-due", Api::Tree, silence(), int, 130),
        ("run-due", Api::Info, slow_head(), int, 130),
        ("run-due", Api::Tree, no_end(), term, 143),
        ("run-due", Api::Tree, slow_body(), term, 143),
        ("download acme/tiny", Api::Info, silence(), int, 130),
        ("download acme/tiny", Api::Resolve, silence(), term, 143),
        ("download acme/tiny", Api::Resolve, no_end(), term, 143),
        ("download acme/tiny", Api::Cdn, silence(), term, 143),
        ("download acme/tiny", Api::Cdn, slow_head(), int, 130),
        ("verify acme/tiny", Api::Tree, silence(), int, 130),
        ("verify acme/tiny", Api::Tree, slow_body(), int, 130),
    ] {
        let env = world();
        env.line("models add acme/tiny").succeeds();
        env.line("schedules add often --every 1h --all").succeeds();
        if line.starts_with("verify") {
            env.line("download acme/tiny").succeeds();
            forget_listings(&env);
        }
        env.set("HF_HUB_ETAG_TIMEOUT", "600");
        env.set("HF_HUB_DOWNLOAD_TIMEOUT", "600");
        env.hub().forget_requests();
        env.hub().fault(On::api(asked), fault);
        let mut running = Running::start(env.command(line.split(' ')));
        env.hub().wait_until("it asks", |requests| {
            requests.iter().any(|request| request.api == asked)
        });
        running.send(signal);
        let ended = running.ends_soon(&env);
        assert_eq!(ended, Some(code), "{line}: {asked:?}");
        let words = ("partial".to_owned(), "interrupted".to_owned(), code.into());
        assert_eq!(last_words(&env), words, "{line}: {asked:?}");
        assert_eq!((open_sessions(&env), open_runs(&env)), (0, 0));
        env.hub().heal();
        env.line(line).succeeds();
    }
}

#[test]
fn a_signal_ends_the_wait_for_another_process_that_publishes() {
    let env = TestEnv::new();
    env.set("HFDL_DISK_RESERVE", "0");
    let repo = env.hub().repo("acme/tiny");
    let commit = repo.commit("main").file("config.json", b"{}").publish();
    env.line("download acme/tiny --dry-run").succeeds();
    let private = env.cache().join("models--acme--tiny/.hfdl");
    fs::create_dir_all(&private).unwrap();
    let lock = private.join(format!("{commit}.incomplete.lock"));
    let held = hfdl::sys::lock::FileLock::try_acquire(&lock).unwrap();
    assert!(held.is_some());
    let mut running = Running::start(env.command(["download", "acme/tiny"]));
    env.hub().wait_until("it fetches", |requests| {
        requests
            .iter()
            .any(|request| request.bytes_sent > 0 && request.api == Api::ResolveCache)
    });
    assert_eq!(
        running.code_within(Duration::from_millis(500)),
        None,
        "it waits"
    );
    running.send(Signal::TERM);
    assert_eq!(running.ends_soon(&env), Some(143));
    let words = ("partial".to_owned(), "interrupted".to_owned(), 143);
    assert_eq!(last_words(&env), words);
    drop(held);
    env.line("download acme/tiny").succeeds();
}

#[test]
fn a_run_that_waits_for_another_publisher_keeps_its_heartbeat_and_publishes_afterwards() {
    let env = TestEnv::new();
    env.set("HFDL_DISK_RESERVE", "0");
    let repo = env.hub().repo("acme/tiny");
    let commit = repo.commit("main").file("config.json", b"{}").publish();
    let private = env.cache().join("models--acme--tiny/.hfdl");
    fs::create_dir_all(&private).unwrap();
    let lock = private.join(format!("{commit}.incomplete.lock"));
    let held = hfdl::sys::lock::FileLock::try_acquire(&lock).unwrap();
    assert!(held.is_some());
    env.now("2026-03-01T09:00:00Z+60");
    let mut running = Running::start(env.command(["download", "acme/tiny"]));
    let beats = "SELECT count(*) FROM runs WHERE heartbeat_at > started_at + 120";
    let until = Instant::now() + Duration::from_secs(20);
    while !env.database().exists() || number(&env, beats) == 0 {
        assert!(Instant::now() < until, "no heartbeat during the wait");
        assert_eq!(running.code_within(Duration::from_millis(100)), None);
    }
    drop(held);
    assert_eq!(running.code_within(Duration::from_secs(10)), Some(0));
    let snapshot = env
        .cache()
        .join("models--acme--tiny/snapshots")
        .join(&commit);
    assert!(snapshot.join("config.json").exists());
}

/// Removes what is kept of the files of each commit, so that the Hub has to be asked.
fn forget_listings(env: &TestEnv) {
    let repo = env.cache().join("models--acme--tiny");
    for listings in ["trees", ".hfdl/trees"] {
        fs::remove_dir_all(repo.join(listings)).unwrap();
    }
}

#[test]
fn an_ignored_signal_stays_ignored() {
    let env = world();
    let args = ["download", "acme/tiny", "--limit-rate", "24M", "-q"];
    let hfdl = env.command(args);
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", "trap '' HUP; exec \"$0\" \"$@\""]);
    shell.arg(hfdl.get_program()).args(hfdl.get_args());
    shell.env_clear();
    let set = hfdl
        .get_envs()
        .filter_map(|(name, value)| Some((name, value?)));
    shell.envs(set).stdin(Stdio::null());
    let mut running = Running::start(shell);
    wait_for_bytes(&env, 4 * MIB);
    running.send(Signal::HUP);
    assert_eq!(running.code_within(Duration::from_secs(30)), Some(0));
    let words = ("updated".to_owned(), "ok".to_owned(), 0);
    assert_eq!(last_words(&env), words);
}

/// Where a process is when the signal comes.
struct Phase {
    env: TestEnv,
    running: Running,
    /// Kept alive until the process has ended.
    _keep: Vec<Box<dyn std::any::Any>>,
}

impl Phase {
    fn new(env: TestEnv, line: &str) -> Self {
        let running = Running::start(env.command(line.split(' ')));
        let _keep = Vec::new();
        Self {
            env,
            running,
            _keep,
        }
    }

    /// Starts a run and waits until it has asked the hub for something.
    fn asking(env: TestEnv, line: &str, asked: Api, fault: Fault) -> Self {
        env.set("HF_HUB_ETAG_TIMEOUT", "600")
            .set("HF_HUB_DOWNLOAD_TIMEOUT", "600");
        env.hub().forget_requests();
        env.hub().fault(On::api(asked), fault);
        let phase = Self::new(env, line);
        phase.env.hub().wait_until("it asks", |requests| {
            requests.iter().any(|request| request.api == asked)
        });
        phase
    }

    /// Waits until the process has a file open whose path ends so.
    fn opens(self, ending: &str) -> Self {
        let fds = PathBuf::from(format!("/proc/{}/fd", self.running.0.id()));
        let is_open = || {
            let entries = fs::read_dir(&fds).into_iter().flatten().flatten();
            let mut paths = entries.filter_map(|entry| fs::read_link(entry.path()).ok());
            paths.any(|path| path.to_string_lossy().ends_with(ending))
        };
        wait_for(ending, is_open);
        self
    }
}

fn wait_for(what: &str, mut met: impl FnMut() -> bool) {
    let start = Instant::now();
    while !met() {
        assert!(
            start.elapsed() < Duration::from_secs(60),
            "{what} never came"
        );
        std::thread::yield_now();
    }
}

/// A world whose model is due, with one small file.
fn small_world() -> TestEnv {
    let env = TestEnv::new();
    env.set("HFDL_DISK_RESERVE", "0")
        .set("PATH", "/usr/bin:/bin");
    let commit = env.hub().repo("acme/tiny").commit("main");
    commit.lfs("model.bin", vec![7; 10_000]).publish();
    env.line("models add acme/tiny").succeeds();
    env.line("schedules add often --every 1h --all").succeeds();
    env
}

/// A listener that takes connections and says nothing.
fn silent_listener() -> (TcpListener, u16) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

fn waiting_for_the_lock() -> Phase {
    let env = small_world();
    let lock = FileLock::try_acquire(&env.home().join("run.lock")).unwrap();
    env.unset("HFDL_TEST_NO_PAUSES");
    let mut phase = Phase::new(env, "run-due --wait").opens("run.lock");
    phase._keep.push(Box::new(lock));
    phase
}

fn connecting() -> Phase {
    let env = small_world();
    let (listener, port) = silent_listener();
    // A full queue of the listener: the kernel lets further connections wait.
    let address = listener.local_addr().unwrap();
    let patience = Duration::from_millis(200);
    let queue: Vec<_> = (0..100_000)
        .map_while(|_| TcpStream::connect_timeout(&address, patience).ok())
        .collect();
    env.set("HF_ENDPOINT", &format!("http://127.0.0.1:{port}"))
        .set("HF_HUB_ETAG_TIMEOUT", "600");
    let running = Phase::new(env, "run-due");
    let pid = running.running.0.id();
    let hex = format!(":{port:04X} 02 ");
    wait_for("a connection that is asked for", || {
        let table = fs::read_to_string(format!("/proc/{pid}/net/tcp")).unwrap_or_default();
        // State 02: SYN sent. The last of the queue was such a one, too, and is closed.
        table.contains(&hex)
    });
    let mut phase = running;
    phase._keep.push(Box::new((listener, queue)));
    phase
}

fn in_the_tls_handshake() -> Phase {
    let env = small_world();
    let (listener, port) = silent_listener();
    env.set("HF_ENDPOINT", &format!("https://127.0.0.1:{port}"))
        .set("HF_HUB_ETAG_TIMEOUT", "600");
    let mut phase = Phase::new(env, "run-due");
    let accepted = listener.accept().unwrap();
    phase._keep.push(Box::new((listener, accepted)));
    phase
}

fn waiting_for_headers() -> Phase {
    Phase::asking(small_world(), "run-due", Api::Info, Fault::NoAnswer)
}

fn waiting_for_a_listing() -> Phase {
    Phase::asking(small_world(), "run-due", Api::Tree, Fault::NoAnswer)
}

fn waiting_for_the_headers_of_a_file() -> Phase {
    Phase::asking(small_world(), "run-due", Api::Cdn, Fault::NoAnswer)
}

fn in_the_body_of_a_file() -> Phase {
    Phase::asking(small_world(), "run-due", Api::Cdn, Fault::StallAfter(1_000))
}

fn between_two_tries() -> Phase {
    let env = small_world();
    env.unset("HFDL_TEST_NO_PAUSES");
    Phase::asking(env, "run-due", Api::Info, Fault::Status(503))
}

fn waiting_for_a_rate_limit() -> Phase {
    let env = small_world();
    env.unset("HFDL_TEST_NO_PAUSES");
    let refusal = Fault::TooManyRequests(Hint::RateLimit(200));
    Phase::asking(env, "run-due", Api::Info, refusal)
}

fn only_entry(folder: &Path) -> String {
    let entry = folder.read_dir().unwrap().next().unwrap().unwrap();
    entry.file_name().to_string_lossy().into_owned()
}

fn hashing() -> Phase {
    let (env, name) = with_a_large_blob();
    Phase::new(env, "verify acme/tiny").opens(&name)
}

/// A world with a large file in its cache, and the name of its blob.
fn with_a_large_blob() -> (TestEnv, String) {
    let env = TestEnv::new();
    env.set("HFDL_DISK_RESERVE", "0");
    let commit = env.hub().repo("acme/tiny").commit("main");
    commit.lfs_generated("model.bin", 300 * MIB, 7).publish();
    env.line("models add acme/tiny").succeeds();
    env.line("download acme/tiny").succeeds();
    let name = only_entry(&env.cache().join("models--acme--tiny/blobs"));
    (env, name)
}

fn copying() -> Phase {
    let (env, name) = with_a_large_blob();
    Phase::new(env, "download acme/tiny --to copy").opens(&name)
}

fn publishing() -> Phase {
    let env = TestEnv::new();
    env.set("HFDL_DISK_RESERVE", "0");
    let mut commit = env.hub().repo("acme/tiny").commit("main");
    // One content under many names: little to fetch, and much to publish.
    for n in 0..5_000 {
        commit = commit.file(&format!("{n:04}.json"), b"{}");
    }
    commit.publish();
    let snapshots = env.cache().join("models--acme--tiny/snapshots");
    let phase = Phase::new(env, "download acme/tiny");
    wait_for("a snapshot", || {
        let mut entries = snapshots.read_dir().into_iter().flatten().flatten();
        entries.any(|entry| {
            entry
                .path()
                .read_dir()
                .is_ok_and(|mut files| files.next().is_some())
        })
    });
    phase
}

fn waiting_for_another_writer() -> Phase {
    let env = small_world();
    // Another home with another cache tells the name of the blob.
    let cache = env.cache().to_string_lossy().into_owned();
    let home = env.home().to_string_lossy().into_owned();
    env.set("HF_HUB_CACHE", &format!("{cache}-of-others"))
        .set("HFDL_HOME", &format!("{home}-of-others"));
    env.line("download acme/tiny").succeeds();
    let blobs = PathBuf::from(format!("{cache}-of-others/models--acme--tiny/blobs"));
    let hash = only_entry(&blobs);
    env.set("HF_HUB_CACHE", &cache).set("HFDL_HOME", &home);
    env.hub().forget_requests();
    let folder = env.cache().join(".locks/models--acme--tiny");
    fs::create_dir_all(&folder).unwrap();
    let name = format!("{hash}.lock");
    let lock = FileLock::try_acquire(&folder.join(&name)).unwrap();
    assert!(lock.is_some());
    env.unset("HFDL_TEST_NO_PAUSES");
    let mut phase = Phase::new(env, "run-due");
    phase.env.hub().wait_until("it fetches", |requests| {
        requests.iter().any(|request| request.api == Api::Cdn)
    });
    phase = phase.opens(&name);
    phase._keep.push(Box::new(lock));
    phase
}

fn in_a_hook() -> Phase {
    let env = small_world();
    let begun = env.root().join("begun");
    let words = format!("touch '{}'; exec sleep 600", begun.display());
    let hook = serde_json::json!(["/bin/sh", "-c", words]).to_string();
    env.set("HFDL_HOOKS_ON_UPDATE", &hook);
    let phase = Phase::new(env, "run-due");
    wait_for("the hook", || begun.exists());
    phase
}

fn in_a_hook_that_ignores_signals() -> Phase {
    let env = small_world();
    let begun = env.root().join("begun");
    let words = format!(
        "trap '' INT TERM HUP; touch '{}'; while :; do sleep 1; done",
        begun.display()
    );
    let hook = serde_json::json!(["/bin/sh", "-c", words]).to_string();
    env.set("HFDL_HOOKS_FINALLY", &hook);
    let phase = Phase::new(env, "run-due");
    wait_for("the hook", || begun.exists());
    phase
}

fn in_the_last_ping() -> Phase {
    let env = small_world();
    let (listener, port) = silent_listener();
    env.set("HFDL_PING_URL", &format!("http://127.0.0.1:{port}/check"));
    let mut phase = Phase::new(env, "run-due");
    // The first connection is that of the beginning, which is not answered either.
    let accepted = listener.accept().unwrap();
    wait_for("the end of the run", || {
        open_runs(&phase.env) == 0 && is_recorded(&phase.env)
    });
    phase._keep.push(Box::new((listener, accepted)));
    phase
}

fn is_recorded(env: &TestEnv) -> bool {
    let connection = rusqlite::Connection::open(env.database()).unwrap();
    let sql = "SELECT count(*) FROM runs WHERE finished_at IS NOT NULL";
    connection
        .query_row(sql, [], |row| row.get::<_, i64>(0))
        .unwrap()
        > 0
}

fn ends_soon(phase: impl Fn() -> Phase) {
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let mut phase = phase();
        phase.running.send(signal);
        let ended = phase.running.ends_soon(&phase.env);
        assert_eq!(ended, Some(code), "{signal:?}");
    }
}

macro_rules! phases {
    ($($name:ident: $phase:path;)*) => {
        $(
            #[test]
            fn $name() {
                ends_soon($phase);
            }
        )*
    };
}

phases! {
    a_signal_while_waiting_for_the_lock: waiting_for_the_lock;
    a_signal_while_connecting: connecting;
    a_signal_in_the_tls_handshake: in_the_tls_handshake;
    a_signal_while_waiting_for_headers: waiting_for_headers;
    a_signal_while_waiting_for_a_listing: waiting_for_a_listing;
    a_signal_while_waiting_for_the_headers_of_a_file: waiting_for_the_headers_of_a_file;
    a_signal_in_the_body_of_a_file: in_the_body_of_a_file;
    a_signal_between_two_tries: between_two_tries;
    a_signal_while_waiting_for_a_rate_limit: waiting_for_a_rate_limit;
    a_signal_while_hashing: hashing;
    a_signal_while_copying: copying;
    a_signal_while_publishing: publishing;
    a_signal_while_waiting_for_another_writer: waiting_for_another_writer;
    a_signal_in_a_hook: in_a_hook;
    a_signal_in_a_hook_that_ignores_it: in_a_hook_that_ignores_signals;
    a_signal_in_the_last_ping: in_the_last_ping;
}
