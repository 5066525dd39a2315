//! The gate: a program of the user that checks each new commit before it is published.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use hfdl_test_hub::{Api, generated_bytes};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::support::env::{Ran, TestEnv};
use crate::support::schema;
use crate::support::sound::files_below;

const TOKEN: &str = "hf_geheim_und_lang";

/// A hub with `acme/tiny` under a schedule, and a gate whose calls are counted.
struct GateEnv(TestEnv);

impl GateEnv {
    fn new(gate: &str) -> Self {
        let env = TestEnv::new();
        env.set("HFDL_DISK_RESERVE", "0")
            .set("PATH", "/usr/bin:/bin");
        let world = Self(env);
        world.publish("one");
        world.gate(gate);
        let gate = world.0.root().join("gate");
        let set = ["config", "set", "hooks.gate", gate.to_str().unwrap()];
        world.0.hfdl(set).succeeds();
        world
    }

    /// As `new`, with a model that is due every hour.
    fn with_model(gate: &str) -> Self {
        let world = Self::new(gate);
        world.0.line("models add acme/tiny").succeeds();
        let line = "schedules add often --every 1h --all";
        world.0.line(line).succeeds();
        world
    }

    /// As `with_model`, with the first commit published.
    fn published(gate: &str) -> Self {
        let world = Self::with_model("exit 0");
        world.night(0).succeeds();
        world.gate(gate);
        world
    }

    /// Publishes a commit of `acme/tiny` upstream.
    fn publish(&self, text: &str) -> String {
        let draft = self.0.hub().repo("acme/tiny").commit("main");
        let draft = draft.file("config.json", text.as_bytes());
        let seed = text.bytes().map(u64::from).sum();
        let draft = draft.lfs("sub/model.safetensors", generated_bytes(40_000, seed));
        draft.publish()
    }

    /// Replaces the script of the gate.
    fn gate(&self, script: &str) {
        let calls = self.0.root().join("calls");
        let text = format!("#!/bin/sh\necho x >>'{}'\n{script}\n", calls.display());
        self.script("gate", &text);
    }

    fn script(&self, name: &str, text: &str) -> PathBuf {
        let (path, aside) = (self.0.root().join(name), self.0.root().join("aside"));
        fs::write(&aside, text).unwrap();
        fs::set_permissions(&aside, fs::Permissions::from_mode(0o755)).unwrap();
        fs::rename(aside, &path).unwrap();
        path
    }

    fn calls(&self) -> usize {
        fs::read_to_string(self.0.root().join("calls")).map_or(0, |text| text.lines().count())
    }

    /// Runs a tick, so many days after the first.
    fn night(&self, n: u8) -> Ran {
        self.0.now(&format!("2026-03-{:02}T09:00:00Z", n + 1));
        self.0.line("run-due --trigger ci --json")
    }

    fn main_ref(&self) -> Option<String> {
        fs::read_to_string(self.0.cache().join("models--acme--tiny/refs/main")).ok()
    }

    fn note(&self, name: &str) -> String {
        fs::read_to_string(self.0.root().join(name)).unwrap()
    }

    fn blob_bytes_fetched(&self) -> u64 {
        let requests = self.0.hub().requests();
        let cdn = requests.iter().filter(|it| it.api == Api::Cdn);
        cdn.map(|it| it.bytes_sent).sum()
    }
}

fn session(ran: &Ran) -> Value {
    ran.json()["sessions"][0].clone()
}

fn outcomes(ran: &Ran) -> Vec<String> {
    let sessions = ran.json()["sessions"].as_array().unwrap().clone();
    let words = sessions
        .iter()
        .map(|it| it["outcome"].as_str().unwrap().to_owned());
    words.collect()
}

/// Returns the folders of snapshots that a gate was shown and that are still there.
fn leftovers(env: &TestEnv) -> Vec<PathBuf> {
    let files = files_below(&env.cache()).into_iter();
    let is_left = |path: &PathBuf| {
        path.components()
            .any(|it| it.as_os_str().to_string_lossy().starts_with("tmp-"))
    };
    files.filter(is_left).collect()
}

#[test]
fn the_gate_sees_the_whole_snapshot_before_readers_do_and_no_token() {
    let world = GateEnv::with_model("");
    world.0.set("HF_TOKEN", TOKEN);
    world.0.hub().token(TOKEN, &[]);
    let root = world.0.root().display().to_string();
    world.gate(&format!(
        "cat >'{root}/stdin'; env >'{root}/env'; cat \"$HFDL_PATH\"/config.json >'{root}/seen'
        wc -c <\"$HFDL_PATH\"/sub/model.safetensors >'{root}/size'
        cat '{root}'/hub/models--acme--tiny/refs/main >'{root}/ref' 2>/dev/null
        ls '{root}'/hub/models--acme--tiny/snapshots >'{root}/snapshots'"
    ));
    // No ref and no snapshot: `ls` of an empty folder is the last command.
    let first = session(world.night(0).succeeds());
    assert_eq!(first["outcome"], "updated");
    assert_eq!(world.calls(), 1);
    assert_eq!(world.note("seen"), "one");
    assert_eq!(world.note("size").trim(), "40000");
    assert_eq!(
        (world.note("ref"), world.note("snapshots")),
        Default::default()
    );
    let environment = world.note("env");
    assert!(!environment.contains(TOKEN), "{environment}");
    let commit = first["new_commit"].as_str().unwrap();
    for line in [
        "HFDL_EVENT=gate",
        "HFDL_MODEL=acme/tiny",
        "HFDL_REPO=acme/tiny",
        "HFDL_REVISION=main",
        &format!("HFDL_NEW_COMMIT={commit}"),
    ] {
        assert!(
            environment.lines().any(|it| it == line),
            "{line}\n{environment}"
        );
    }
    assert!(!environment.contains("HFDL_OLD_COMMIT"));
    let document: Value = serde_json::from_str(&world.note("stdin")).unwrap();
    schema::check(&document);
    assert_eq!(document["schema"], "hfdl.gate/1");
    assert_eq!(document["new_commit"], commit);
    assert_eq!(document["old_commit"], Value::Null);
    assert_eq!(document["files"][0]["path"], "config.json");
    assert_eq!(document["files"][1]["size"], 40_000);
    assert!(environment.contains(&format!("HFDL_PATH={}", document["path"].as_str().unwrap())));

    // Readers have the old commit while the gate looks at the new one.
    let second = world.publish("two");
    let ran = session(world.night(1).succeeds());
    assert_eq!(
        (ran["outcome"].as_str(), world.calls()),
        (Some("updated"), 2)
    );
    assert_eq!((&*world.note("ref"), &*world.note("seen")), (commit, "two"));
    assert!(
        world
            .note("env")
            .contains(&format!("HFDL_OLD_COMMIT={commit}"))
    );
    assert_eq!(world.main_ref(), Some(second));
    assert_eq!(leftovers(&world.0), Vec::<PathBuf>::new());
}

#[test]
fn an_unchanged_or_repaired_model_is_not_judged() {
    let world = GateEnv::published("exit 1");
    assert_eq!(world.calls(), 1);
    assert_eq!(outcomes(world.night(1).succeeds()), ["up-to-date"]);
    let entry = files_below(&world.0.cache().join("models--acme--tiny/snapshots"));
    let entry = entry.iter().find(|path| path.ends_with("config.json"));
    fs::remove_file(entry.unwrap()).unwrap();
    assert_eq!(outcomes(world.night(2).succeeds()), ["repaired"]);
    assert_eq!(world.calls(), 1);
}

#[test]
fn a_commit_that_the_gate_refuses_is_held_told_once_and_not_fetched_again() {
    let world =
        GateEnv::published("echo looks fine; echo 'a pickle' >&2; echo 'in a.bin' >&2; exit 3");
    let heard = world.0.root().join("heard");
    let text = format!(
        "#!/bin/sh\ncat >>'{0}.json'; echo \"$HFDL_EVENT $HFDL_FINDINGS\" >>'{0}'\n",
        heard.display()
    );
    let hook = world.script("hook", &text);
    let set = ["config", "set", "hooks.on_hold", hook.to_str().unwrap()];
    world.0.hfdl(set).succeeds();
    let old = world.main_ref();
    let commit = world.publish("two");
    world.0.hub().forget_requests();
    let message = "the gate did not let it pass: it ended with code 3: a pickle | in a.bin";
    for n in 1..=3 {
        let ran = session(world.night(n).succeeds());
        assert_eq!(
            (ran["outcome"].as_str(), ran["error"].as_str()),
            (Some("held"), Some(message))
        );
        assert_eq!(ran["new_commit"], *commit);
        assert!(
            ran["path"]
                .as_str()
                .unwrap()
                .ends_with(old.as_ref().unwrap())
        );
        assert_eq!(world.main_ref(), old, "night {n}");
    }
    assert_eq!(world.calls(), 2, "judged once");
    assert_eq!(world.blob_bytes_fetched(), 40_000, "fetched once");
    assert_eq!(world.note("heard"), "on_hold gate\n");
    let document: Value = serde_json::from_str(&world.note("heard.json")).unwrap();
    assert_eq!(document["hold"]["commit"], *commit);
    assert_eq!(document["hold"]["findings"][0]["reason"], "gate");
    assert_eq!(document["hold"]["findings"][0]["detail"], message);
    let shown = world.0.line("models show acme/tiny --json").json();
    assert_eq!(shown["held_update"]["findings"][0]["reason"], "gate");
    assert_eq!(shown["published_commit"], *old.unwrap());
    let log = world.0.line("logs --last").stdout().to_owned();
    assert!(
        log.contains("is held: the gate did not let it pass"),
        "{log}"
    );
    // A person decides otherwise: no gate, and no byte.
    let accept = format!("download acme/tiny --accept {}", &commit[..10]);
    world.0.line(&accept).succeeds();
    assert_eq!((world.main_ref(), world.calls()), (Some(commit), 2));
    assert_eq!(world.blob_bytes_fetched(), 40_000);
}

#[test]
fn another_gate_judges_a_held_commit_again() {
    let world = GateEnv::published("exit 3");
    let commit = world.publish("two");
    assert_eq!(outcomes(world.night(1).succeeds()), ["held"]);
    let gate = world.0.root().join("gate");
    let words = format!("[\"{}\", \"--other\"]", gate.display());
    world.gate("[ \"$1\" = --other ]");
    assert_eq!(outcomes(world.night(2).succeeds()), ["held"]);
    assert_eq!(world.calls(), 2);
    world
        .0
        .hfdl(["config", "set", "hooks.gate", &words])
        .succeeds();
    assert_eq!(outcomes(world.night(3).succeeds()), ["updated"]);
    assert_eq!((world.main_ref(), world.calls()), (Some(commit), 3));
}

#[test]
fn a_person_lets_the_gate_judge_again() {
    let world = GateEnv::published("exit 3");
    let commit = world.publish("two");
    assert_eq!(outcomes(world.night(1).succeeds()), ["held"]);
    world.gate("exit 0");
    let retry = world.0.line("updates retry acme/tiny");
    retry.succeeds().prints("checks");
    assert_eq!(outcomes(world.night(2).succeeds()), ["updated"]);
    assert_eq!((world.main_ref(), world.calls()), (Some(commit), 3));
}

#[test]
fn a_rejected_commit_stays_away_without_the_gate_and_from_models_that_share_it() {
    let world = GateEnv::published("exit 3");
    let line = "models add acme/tiny --name part --include *.json";
    world.0.line(line).succeeds();
    let old = world.main_ref();
    world.publish("two");
    assert_eq!(outcomes(world.night(1).succeeds()), ["held", "held"]);
    world.0.line("updates reject acme/tiny").succeeds();
    world.0.line("config unset hooks.gate").succeeds();
    assert_eq!(outcomes(world.night(2).succeeds()), ["held", "held"]);
    assert_eq!(world.main_ref(), old);
    let next = world.publish("three");
    assert_eq!(outcomes(world.night(3).succeeds()), ["updated", "updated"]);
    assert_eq!(world.main_ref(), Some(next));
}

#[test]
fn the_rejection_of_a_first_commit_is_named() {
    let world = GateEnv::with_model("exit 3");
    let env = &world.0;
    assert_eq!(outcomes(world.night(0).succeeds()), ["held"]);
    env.line("updates reject acme/tiny").succeeds();
    assert_eq!(outcomes(world.night(1).succeeds()), ["held"]);
    let words = "held, first commit rejected";
    for line in [
        "models list",
        "models list --state held",
        "models show acme/tiny",
        "status",
    ] {
        env.line(line).succeeds().prints(words);
    }
    let model = env.line("models list --json").json()["models"][0].clone();
    assert_eq!(
        (&model["state"], &model["held_update"]["decision"]),
        (&"held".into(), &"rejected".into())
    );
    let status = env.line("status --json").json()["models"][0].clone();
    assert_eq!(
        status["rejected_first_commit"],
        model["held_update"]["commit"]
    );
    let next = world.publish("two");
    world.gate("exit 0");
    assert_eq!(outcomes(world.night(2).succeeds()), ["updated"]);
    assert_eq!(world.main_ref(), Some(next));
    assert!(!env.line("status").stdout().contains("rejected"));
}

#[test]
fn prune_names_the_held_update_until_it_is_rejected() {
    for to in ["", " --to plain"] {
        let world = GateEnv::new("exit 3");
        let env = &world.0;
        env.line(&format!("models add acme/tiny --no-check{to}"))
            .succeeds();
        let first = world.publish("two");
        env.line("download acme/tiny").exits(1);
        let items = || {
            let pruned = env.line("prune --yes --json").succeeds().json();
            pruned["items"].as_array().unwrap().clone()
        };
        let kept = items();
        assert!(!kept.is_empty());
        for item in &kept {
            assert_eq!(item["verdict"], "keep");
            assert_eq!(item["reason"], "an update that is held needs it");
            assert_eq!(item["held_commit"], *first);
        }
        env.line("prune --dry-run").succeeds().prints(&format!(
            "the held update {} of `acme/tiny` needs it; `hfdl updates reject acme/tiny` lets it go",
            &first[..10]
        ));
        env.line("updates reject acme/tiny").succeeds();
        let gone = items();
        assert_eq!(gone.len(), kept.len());
        assert!(
            gone.iter().all(|item| item["verdict"] == "remove"),
            "{gone:?}"
        );
        // A person may think better of it: the files are fetched again.
        env.line("updates approve acme/tiny").succeeds();
        env.line("download acme/tiny").succeeds();
        let shown = env.line("models show acme/tiny --json").json();
        assert_eq!(shown["published_commit"], *first);
    }
}

#[test]
fn exit_75_holds_without_a_word_and_the_gate_looks_again_the_next_day() {
    let world = GateEnv::published("echo later; exit 75");
    let heard = world.0.root().join("heard");
    let hook = world.script(
        "hook",
        &format!("#!/bin/sh\necho x >'{}'\n", heard.display()),
    );
    let set = ["config", "set", "hooks.on_hold", hook.to_str().unwrap()];
    world.0.hfdl(set).succeeds();
    let commit = world.publish("two");
    world.0.now("2026-03-02T09:00:00Z");
    let tick = || world.0.line("run-due --trigger timer");
    tick().succeeds().silently();
    world.0.now("2026-03-02T11:00:00Z");
    let ran = world.0.line("run-due --json");
    let held = session(ran.succeeds());
    assert_eq!(
        (held["outcome"].as_str(), &held["error"]),
        (Some("held"), &Value::Null)
    );
    assert_eq!(world.calls(), 2, "two hours later it is not asked");
    let shown = world.0.line("models show acme/tiny --json").json();
    assert_eq!(shown["held_update"]["findings"][0]["reason"], "gate-later");
    world.0.line("status").succeeds();
    let download = world.0.line("download acme/tiny");
    download
        .succeeds()
        .explains("the gate decides later")
        .explains("the gate looks again in a day")
        .explains("`hfdl updates retry acme/tiny`")
        .explains("`hfdl updates approve acme/tiny`");
    let stderr = download.stderr();
    assert!(!stderr.contains("models release"), "{stderr}");
    assert!(!heard.exists(), "no hook");
    world.gate("exit 0");
    assert_eq!(outcomes(world.night(2).succeeds()), ["updated"]);
    assert_eq!((world.main_ref(), world.calls()), (Some(commit), 3));
}

#[test]
fn a_gate_that_is_missing_holds_and_judges_as_soon_as_it_is_there() {
    let world = GateEnv::published("exit 0");
    let gate = world.0.root().join("gate");
    fs::remove_file(&gate).unwrap();
    let commit = world.publish("two");
    let ran = session(world.night(1).succeeds());
    assert_eq!(ran["outcome"], "held");
    let error = ran["error"].as_str().unwrap();
    assert!(error.contains("cannot be started"), "{error}");
    world.0.now("2026-03-02T11:00:00Z");
    world
        .0
        .line("run-due --trigger timer")
        .succeeds()
        .silently();
    world.gate("exit 0");
    assert_eq!(outcomes(world.night(2).succeeds()), ["updated"]);
    assert_eq!(world.main_ref(), Some(commit));
}

#[test]
fn a_gate_that_does_not_end_is_ended_with_its_process_group() {
    let world = GateEnv::published("");
    let root = world.0.root().display().to_string();
    world.gate(&format!(
        "sleep 60 & echo $! >'{root}/pid'; echo slow >&2; wait"
    ));
    world.0.line("config set hooks.gate_timeout 1s").succeeds();
    world.publish("two");
    let old = world.main_ref();
    let ran = session(world.night(1).succeeds());
    let message = "the gate did not let it pass: it took longer than 1 s and was ended: slow";
    assert_eq!(
        (ran["outcome"].as_str(), ran["error"].as_str()),
        (Some("held"), Some(message))
    );
    assert_eq!(world.main_ref(), old);
    let pid = world.note("pid");
    let status = fs::read_to_string(format!("/proc/{}/stat", pid.trim()));
    assert!(status.is_err() || status.unwrap().contains(") Z "), "{pid}");
    // It may end another day.
    world.gate("exit 0");
    assert_eq!(outcomes(world.night(2).succeeds()), ["updated"]);
}

#[test]
fn what_the_gate_changes_holds_the_commit_and_is_restored() {
    for (harm, words) in [
        (
            "chmod -R u+w \"$HFDL_PATH\"; echo x >\"$HFDL_PATH\"/new",
            "it added `new`",
        ),
        (
            "chmod -R u+w \"$HFDL_PATH\"; rm \"$HFDL_PATH\"/config.json",
            "it removed `config.json`",
        ),
        (
            "chmod -R u+w \"$HFDL_PATH\"; cd \"$HFDL_PATH\"; rm config.json; echo x >config.json",
            "it changed `config.json`",
        ),
        (
            "f=$(readlink -f \"$HFDL_PATH\"/sub/model.safetensors); chmod u+w \"$f\"; echo x >>\"$f\"",
            "it changed `sub/model.safetensors`",
        ),
        (
            "f=$(readlink -f \"$HFDL_PATH\"/config.json); rm -f \"$f\"",
            "it changed `config.json`",
        ),
        // Of the same size.
        (
            "f=$(readlink -f \"$HFDL_PATH\"/config.json); chmod u+w \"$f\"; printf owt >\"$f\"",
            "it changed `config.json`",
        ),
    ] {
        let world = GateEnv::published(&format!("{harm}\nexit 0"));
        let old = world.main_ref();
        let commit = world.publish("two");
        let ran = world.night(1);
        let held = session(ran.succeeds());
        assert_eq!(held["outcome"], "held", "{harm}");
        let error = held["error"].as_str().unwrap();
        assert!(error.contains(words), "{harm}: {error}");
        assert_eq!((world.main_ref(), world.calls()), (old, 2), "{harm}");
        assert_eq!(leftovers(&world.0), Vec::<PathBuf>::new(), "{harm}");
        // All files are whole again.
        let accept = format!("download acme/tiny --accept {commit}");
        world.0.hub().forget_requests();
        world.0.line(&accept).succeeds();
        assert_eq!(
            world.blob_bytes_fetched(),
            0,
            "{harm}: mended by the run before"
        );
        world.0.line("verify").succeeds();
        assert_eq!(world.main_ref(), Some(commit), "{harm}");
    }
}

/// Waits for a file that the gate writes.
fn wait_for(path: &Path) {
    let began = Instant::now();
    while !path.exists() {
        assert!(began.elapsed() < Duration::from_secs(20), "no {path:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn start(env: &TestEnv) -> Child {
    let mut command = env.command(["run-due"]);
    let command = command.stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().unwrap()
}

#[test]
fn a_run_that_is_stopped_or_killed_in_the_gate_publishes_nothing_and_asks_again() {
    for (signal, code) in [(Signal::TERM, Some(143)), (Signal::KILL, None)] {
        let world = GateEnv::published("");
        let root = world.0.root().display().to_string();
        world.gate(&format!(
            "echo $$ >'{root}/pid.new'; mv '{root}/pid.new' '{root}/pid'; sleep 60"
        ));
        let (old, commit) = (world.main_ref(), world.publish("two"));
        world.0.now("2026-03-02T09:00:00Z");
        let mut running = start(&world.0);
        wait_for(&world.0.root().join("pid"));
        let sent = Instant::now();
        kill_process(Pid::from_child(&running), signal).unwrap();
        assert_eq!(running.wait().unwrap().code(), code);
        assert!(sent.elapsed() < Duration::from_secs(10));
        assert_eq!(world.main_ref(), old);
        let pid: i32 = world.note("pid").trim().parse().unwrap();
        let gate = Pid::from_raw(pid).unwrap();
        if signal == Signal::TERM {
            let sessions = world.0.line("sessions list --json").json();
            assert_eq!(sessions["sessions"][0]["outcome"], "partial");
            assert!(kill_process(gate, Signal::KILL).is_err(), "it was ended");
        } else {
            let _ = rustix::process::kill_process_group(gate, Signal::KILL);
        }
        world.0.hub().forget_requests();
        world.gate("exit 0");
        assert_eq!(
            outcomes(world.night(2).succeeds()),
            ["updated"],
            "{signal:?}"
        );
        assert_eq!((world.main_ref(), world.calls()), (Some(commit), 3));
        assert_eq!(world.blob_bytes_fetched(), 0);
        assert_eq!(leftovers(&world.0), Vec::<PathBuf>::new(), "{signal:?}");
    }
}

#[test]
fn other_targets_go_on_while_the_gate_judges_one() {
    let world = GateEnv::with_model("");
    let draft = world.0.hub().repo("acme/other").commit("main");
    draft.file("config.json", b"{}").publish();
    world.0.line("models add acme/other").succeeds();
    let other = world.0.cache().join("models--acme--other/refs/main");
    // The gate of the first waits until the other one is published.
    world.gate(&format!(
        "[ $HFDL_REPO = acme/tiny ] || exit 0
        for n in $(seq 400); do [ ! -e '{}' ] || exit 0; sleep 0.05; done; exit 9",
        other.display()
    ));
    let ran = world.night(0);
    assert_eq!(outcomes(ran.succeeds()), ["updated", "updated"]);
    assert_eq!(world.calls(), 2);
}

#[test]
fn models_that_share_a_snapshot_are_judged_once_and_together() {
    let world = GateEnv::published("exit 3");
    let line = "models add acme/tiny --name part --include *.json";
    world.0.line(line).succeeds();
    let old = world.main_ref();
    let commit = world.publish("two");
    assert_eq!(outcomes(world.night(1).succeeds()), ["held", "held"]);
    assert_eq!((world.main_ref(), world.calls()), (old.clone(), 2));
    assert_eq!(outcomes(world.night(2).succeeds()), ["held", "held"]);
    assert_eq!((world.main_ref(), world.calls()), (old, 2));
    world.publish("three");
    world.gate("exit 0");
    assert_eq!(outcomes(world.night(3).succeeds()), ["updated", "updated"]);
    assert_eq!(world.calls(), 3);
    assert_ne!(world.main_ref(), Some(commit));
}

#[test]
fn a_directory_has_its_old_files_until_the_gate_passed() {
    for links in ["0", "1"] {
        let world = GateEnv::new("exit 0");
        world.0.set("HF_HUB_DISABLE_SYMLINKS", links);
        world.0.line("models add acme/tiny --to ./there").succeeds();
        world
            .0
            .line("schedules add often --every 1h --all")
            .succeeds();
        assert_eq!(outcomes(world.night(0).succeeds()), ["updated"]);
        let file = world.0.root().join("work/there/config.json");
        let commit = world.publish("two");
        world
            .gate("[ $(cat \"$HFDL_PATH\"/config.json) = two ] && ls \"$HFDL_PATH\"/sub && exit 3");
        let ran = session(world.night(1).succeeds());
        assert_eq!(ran["outcome"], "held");
        let error = ran["error"].as_str().unwrap();
        assert!(error.ends_with("code 3: model.safetensors"), "{error}");
        assert_eq!(fs::read_to_string(&file).unwrap(), "one");
        world.0.hub().forget_requests();
        let accept = format!("download acme/tiny --accept {commit}");
        world.0.line(&accept).succeeds();
        assert_eq!(world.blob_bytes_fetched(), 0);
        assert_eq!(fs::read_to_string(&file).unwrap(), "two");
        // As writable as any new file.
        fs::write(world.0.root().join("plain"), "").unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode(&file), mode(&world.0.root().join("plain")));
        assert_eq!(world.calls(), 2);
    }
}

#[test]
fn a_repository_that_is_not_registered_is_judged_too() {
    let world = GateEnv::new("echo no >&2; exit 1");
    let held = world.0.line("download acme/tiny");
    // There is no folder to print.
    held.exits(1)
        .explains("the gate did not let it pass")
        .explains("--accept");
    assert_eq!((held.stdout(), world.main_ref()), ("", None));
    let held = world.0.line("download acme/tiny config.json");
    assert_eq!((held.stdout(), world.calls()), ("", 2));
    world.gate("exit 0");
    world.0.line("download acme/tiny").succeeds();
    assert!(world.main_ref().is_some());
    world.0.line("download acme/tiny").succeeds();
    assert_eq!(world.calls(), 3);
}

#[test]
fn without_symbolic_links_the_gate_sees_files() {
    let world = GateEnv::with_model(
        "[ -f \"$HFDL_PATH\"/sub/model.safetensors ] && [ ! -L \"$HFDL_PATH\"/config.json ]",
    );
    world.0.set("HF_HUB_DISABLE_SYMLINKS", "1");
    let ran = world.night(0);
    assert_eq!(outcomes(ran.succeeds()), ["updated"], "{}", ran.report());
    world.0.line("verify").succeeds();
    world.publish("two");
    assert_eq!(outcomes(world.night(1).succeeds()), ["updated"]);
    assert_eq!(leftovers(&world.0), Vec::<PathBuf>::new());
    assert_eq!(world.calls(), 2);
}

/// Starts a tick and kills it while its child runs, whose process id is in a file.
#[cfg(target_os = "linux")]
fn child_of_a_killed_tick(world: &GateEnv, file: &Path) -> u32 {
    let mut tick = world.0.command(["run-due"]).spawn().unwrap();
    let since = Instant::now();
    let child = loop {
        let text = fs::read_to_string(file).unwrap_or_default();
        if let Ok(child) = text.trim().parse() {
            break child;
        }
        assert!(since.elapsed() < Duration::from_secs(60), "no child");
        std::thread::sleep(Duration::from_millis(5));
    };
    tick.kill().unwrap();
    tick.wait().unwrap();
    child
}

#[cfg(target_os = "linux")]
fn ends(process: u32) -> bool {
    let is_there = || {
        let stat = fs::read_to_string(format!("/proc/{process}/stat"));
        // A process that nobody reaps has ended, too.
        stat.is_ok_and(|stat| !stat.contains(") Z "))
    };
    let since = Instant::now();
    while is_there() && since.elapsed() < Duration::from_secs(10) {
        std::thread::sleep(Duration::from_millis(5));
    }
    !is_there()
}

#[cfg(target_os = "linux")]
#[test]
fn a_gate_and_a_hook_end_with_a_tick_that_is_killed() {
    let world = GateEnv::with_model("");
    let file = world.0.root().join("child");
    // The number is complete when the file has its name.
    let long = format!(
        "echo $$ >'{0}.new'; mv '{0}.new' '{0}'; exec sleep 300",
        file.display()
    );
    world.gate(&long);
    assert!(ends(child_of_a_killed_tick(&world, &file)), "the gate");

    fs::remove_file(&file).unwrap();
    world.gate("exit 0");
    let hook = world.script("hook", &format!("#!/bin/sh\n{long}\n"));
    let set = ["config", "set", "hooks.on_update", hook.to_str().unwrap()];
    world.0.hfdl(set).succeeds();
    assert!(ends(child_of_a_killed_tick(&world, &file)), "the hook");
}

#[cfg(target_os = "linux")]
#[test]
fn a_child_of_a_gate_that_outlives_a_killed_tick_ends_with_the_next_one() {
    let world = GateEnv::with_model("");
    let file = world.0.root().join("child");
    let path = file.display();
    world.gate(&format!(
        "sleep 300 & echo $! >'{path}.new'; mv '{path}.new' '{path}'; wait"
    ));
    let child = child_of_a_killed_tick(&world, &file);
    let folder = format!("/proc/{child}");
    assert!(Path::new(&folder).exists(), "it outlives the tick");
    world.gate("exit 0");
    world.night(0);
    assert!(ends(child));
}

#[cfg(target_os = "linux")]
#[test]
fn a_gate_receives_the_signals_that_threads_of_this_program_block() {
    let world = GateEnv::with_model("");
    let file = world.0.root().join("status");
    let words = format!(r#"["/bin/cp", "/proc/self/status", "{}"]"#, file.display());
    let set = ["config", "set", "hooks.gate", &words];
    world.0.hfdl(set).succeeds();
    world.night(0).succeeds();
    let status = world.note("status");
    let blocked = status.lines().find(|line| line.starts_with("SigBlk:"));
    assert_eq!(blocked, Some("SigBlk:\t0000000000000000"));
}
