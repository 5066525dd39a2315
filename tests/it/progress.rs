//! The progress events of a download add up to its total.

use hfdl::domain::repo::{Repo, RepoType};
use hfdl::ops::download::download;
use hfdl::ops::run::Bounds;
use hfdl::ops::services::Services;
use hfdl::ops::settings::resolve_settings;
use hfdl::ops::sync::{SyncEvent, Target};
use hfdl::store::Store;
use hfdl::sys::host::Host;
use hfdl::sys::paths::Home;
use hfdl_test_hub::{Fault, On};

use crate::support::env::TestEnv;
use crate::support::xet::{noise, world_with_xet as world};

const MIB: usize = 1 << 20;
const FILE: &str = "model.bin";

fn publish(env: &TestEnv, bytes: &[u8]) {
    let draft = env.hub().repo("acme/tiny").commit("main");
    draft.stored(FILE, bytes).publish();
}

/// Everything that was told of a download.
#[derive(Debug, Default, PartialEq, Eq)]
struct Told {
    n_bytes: u64,
    fetched: u64,
    copied: u64,
    have: u64,
    /// The bar was full before its end.
    overflowed: bool,
}

/// Downloads in this very process, and listens.
fn listen(env: &TestEnv) -> Told {
    let variables = env.command(["x"]);
    let variables = variables.get_envs().map(|(name, value)| {
        let value = value.unwrap_or_default().to_string_lossy().into_owned();
        (name.to_string_lossy().into_owned(), value)
    });
    let host = Host::with_variables(variables);
    let home = Home::find(&host, Some(&env.home())).unwrap();
    let store = Store::open(&env.database(), host.now()).unwrap();
    let settings = resolve_settings(&host, Some(&store), Default::default()).unwrap();
    let services = Services::read_only(&host, &home, settings, store);
    let repo = Repo::new(RepoType::Model, "acme/tiny".parse().unwrap());
    let target = Target::unregistered(repo);
    let mut told = Told::default();
    let run = download(&services, vec![target], &Bounds::default(), &mut |event| {
        match event {
            SyncEvent::FetchPlanned { n_bytes, .. } => {
                told.n_bytes += n_bytes;
            }
            SyncEvent::FileStarted { have, .. } => told.have += have,
            SyncEvent::BytesFetched { n_bytes, .. } => told.fetched += n_bytes,
            SyncEvent::BytesCopied { n_bytes, .. } => told.copied += n_bytes,
            _ => {}
        }
        told.overflowed |= told.fetched > told.n_bytes;
    });
    let run = run.unwrap();
    assert_eq!(run.status.code(), 0, "{run:?}");
    told
}

#[test]
fn copied_bytes_are_reported_apart_from_fetched_bytes() {
    let env = world();
    let mut bytes = noise(9 * MIB, 1);
    publish(&env, &bytes);
    let fresh = listen(&env);
    let all = bytes.len() as u64;
    let expected = Told {
        n_bytes: all,
        fetched: all,
        ..Told::default()
    };
    assert_eq!(fresh, expected);

    bytes.splice(2 * MIB..2 * MIB, noise(100_000, 2));
    bytes.splice(7 * MIB..7 * MIB, noise(100_000, 3));
    publish(&env, &bytes);
    let delta = listen(&env);
    assert_eq!(delta.fetched, delta.n_bytes, "the bar is full");
    assert!(delta.n_bytes < MIB as u64 && !delta.overflowed, "{delta:?}");
    let whole = delta.fetched + delta.copied;
    assert_eq!(whole, bytes.len() as u64, "and so is that of the file");
}

#[test]
fn bytes_of_an_abandoned_delta_are_added_to_the_bar() {
    let env = world();
    let old = noise(6 * MIB, 4);
    publish(&env, &old);
    listen(&env);
    let mut other = old.clone();
    other[MIB..MIB + 1000].copy_from_slice(&noise(1000, 5));
    let mut new = other.clone();
    new[4 * MIB] ^= 1;
    let draft = env.hub().repo("acme/other").commit("main");
    draft.stored("x", other.clone()).publish();
    // The listing gives the new file the Xet hash of another one.
    let draft = env.hub().repo("acme/tiny").commit("main");
    draft.xet(FILE, new.clone(), &xet_hash(&other)).publish();
    let wrong = listen(&env);
    assert!(wrong.copied > 0 && !wrong.overflowed, "{wrong:?}");
    assert_eq!(wrong.fetched, wrong.n_bytes, "{wrong:?}");
    assert!(wrong.fetched >= new.len() as u64);
}

#[test]
fn a_line_that_breaks_within_a_delta_leaves_the_bar_right() {
    let env = world();
    let mut bytes = noise(6 * MIB, 6);
    publish(&env, &bytes);
    listen(&env);
    bytes.splice(3 * MIB..3 * MIB, noise(300_000, 7));
    publish(&env, &bytes);
    env.hub()
        .fault(On::cdn(FILE).times(2), Fault::CutAfter(50_000));
    let told = listen(&env);
    assert_eq!(told.fetched, told.n_bytes);
    assert_eq!(told.fetched + told.copied, bytes.len() as u64);
}

fn xet_hash(bytes: &[u8]) -> String {
    let (mut tree, mut chunker) = (hfdl::xet::MerkleTree::new(), hfdl::xet::Chunker::new());
    let mut note = |hash, length: u32| tree.push(hash, u64::from(length));
    chunker.update(bytes, &mut note);
    chunker.finish(&mut note);
    hfdl::xet::file_hash(tree.root()).to_string()
}

/// Downloads what is due at a terminal, and returns all that it shows.
#[cfg(target_os = "linux")]
fn shown_at_a_terminal(variable: Option<&str>, fault: Option<Fault>) -> Option<String> {
    let env = TestEnv::new();
    if let Some(fault) = fault {
        env.hub().fault(On::cdn(FILE).times(1), fault);
    }
    env.set("HFDL_DISK_RESERVE", "0")
        .set("NO_COLOR", "1")
        .set("TERM", "xterm")
        .set("COLUMNS", "100");
    if let Some(name) = variable {
        env.set(name, "1");
    }
    let draft = env.hub().repo("acme/tiny").commit("main");
    draft.lfs_generated(FILE, 20 * MIB as u64, 7).publish();
    env.line("models add acme/tiny").succeeds();
    env.line("schedules add hourly --every 1h --all").succeeds();
    let program = env.command(["run-due"]);
    let line = format!(
        "{} run-due --limit-rate 20M",
        program.get_program().display()
    );
    let mut script = std::process::Command::new("/usr/bin/script");
    script.args(["-qec", &line, "/dev/null"]).env_clear();
    let set = program.get_envs();
    script.envs(set.filter_map(|(name, value)| Some((name, value?))));
    let Ok(output) = script.stdin(std::process::Stdio::null()).output() else {
        crate::support::sound::say("`script` is missing, which makes the terminal");
        return None;
    };
    assert!(output.status.success(), "{output:?}");
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(target_os = "linux")]
#[test]
fn without_bars_the_table_of_a_run_is_shown_all_the_same() {
    let (Some(bars), Some(none)) = (
        shown_at_a_terminal(None, None),
        shown_at_a_terminal(Some("HF_HUB_DISABLE_PROGRESS_BARS"), None),
    ) else {
        return;
    };
    let is_drawn = |shown: &str| shown.contains("\u{1b}[");
    assert!(is_drawn(&bars) && !is_drawn(&none), "{none:?}");
    for shown in [&bars, &none] {
        assert!(
            shown.contains("acme/tiny") && shown.contains("updated"),
            "{shown:?}"
        );
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_retry_is_shown_below_the_bars_at_once() {
    let Some(shown) = shown_at_a_terminal(None, Some(Fault::Status(503))) else {
        return;
    };
    let (retry, end) = (shown.find("503, trying again"), shown.find("updated"));
    assert!(retry.is_some() && retry < end, "{shown:?}");
}
