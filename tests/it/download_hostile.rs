//! Repositories, links and neighbours that mean harm.

use std::collections::BTreeMap;
use std::fs;
use std::process::{Output, Stdio};

use hfdl::domain::placement::NormalForms;
use hfdl::sys::abilities::placement;
use hfdl_test_hub::{Api, Fault, On, generated_bytes};

use crate::support::env::TestEnv;
use crate::support::sound::{Truth, damage, files_below, open_runs, open_sessions};

const MIB: usize = 1 << 20;

fn world() -> TestEnv {
    let env = TestEnv::new();
    env.set("HFDL_DISK_RESERVE", "0");
    env
}

/// Returns an entry of a listing for a file with one byte, `x`.
fn entry(path: &str) -> String {
    let path = serde_json::to_string(path).unwrap();
    let oid = hfdl_test_hub::git_blob_id(b"x");
    format!(r#"{{"type":"file","oid":"{oid}","size":1,"path":{path}}}"#)
}

/// Publishes a good file and these raw entries.
fn publish(env: &TestEnv, entries: &[String]) -> Truth {
    let mut draft = env
        .hub()
        .repo("acme/tiny")
        .commit("main")
        .file("config.json", b"{}");
    for entry in entries {
        draft = draft.raw_entry(entry);
    }
    let files = BTreeMap::from([("config.json".to_owned(), b"{}".to_vec())]);
    Truth::from([(draft.publish(), files)])
}

/// Checks that a listing is refused as a whole, in the cache and in a directory.
fn is_refused(entries: &[String], says: &str) {
    let env = world();
    let truth = publish(&env, entries);
    let to = env.root().join("out").to_string_lossy().into_owned();
    for args in [
        &["download", "acme/tiny"][..],
        &["download", "acme/tiny", "--to", &to],
    ] {
        let ran = env.hfdl(args);
        ran.exits(1).explains(says);
        assert!(!ran.stderr().contains("panicked"), "{}", ran.report());
        assert!(ran.stderr().len() < 4000, "{}", ran.report());
        assert!(files_below(&env.cache()).is_empty(), "{}", ran.report());
        damage(&env, &truth).unwrap();
        assert_eq!((open_sessions(&env), open_runs(&env)), (0, 0));
    }
}

#[test]
fn a_path_that_occurs_twice_is_refused() {
    is_refused(&[entry("a.txt"), entry("a.txt")], "twice");
    is_refused(&[entry("config.json")], "twice");
}

#[test]
fn a_file_that_is_a_folder_too_is_refused() {
    is_refused(&[entry("a"), entry("a/b")], "`a`");
    is_refused(&[entry("a/b/c"), entry("a/b")], "a/b");
    is_refused(&[entry("config.json/deep")], "config.json");
}

#[test]
fn names_without_measure_are_refused_in_few_words() {
    is_refused(&[entry(&"n".repeat(5000))], "acme/tiny");
    is_refused(&[entry(&("d/".repeat(2500) + "x"))], "acme/tiny");
}

#[test]
fn sizes_without_measure_are_refused() {
    let oid = "a".repeat(40);
    for size in ["18446744073709551615", "9223372036854775807", "-1", "1e30"] {
        let entry = format!(r#"{{"type":"file","oid":"{oid}","size":{size},"path":"big.bin"}}"#);
        let env = world();
        let truth = publish(&env, &[entry]);
        let ran = env.hfdl(["download", "acme/tiny"]);
        assert!(
            matches!(ran.code(), Some(1 | 6)),
            "{size}: {}",
            ran.report()
        );
        assert!(!ran.stderr().contains("panicked"), "{}", ran.report());
        damage(&env, &truth).unwrap();
    }
}

#[test]
fn control_characters_of_a_name_never_reach_the_terminal() {
    for name in ["a\u{1b}[2Jb", "a\nb", "a\rb", "a\u{0}b"] {
        let env = world();
        publish(&env, &[entry(name)]);
        let ran = env.hfdl(["download", "acme/tiny", "-vvv"]);
        let shown = ran.stderr().replace('\n', "");
        assert!(
            !shown.contains(char::is_control),
            "{name:?}: {}",
            ran.report()
        );
    }
}

#[test]
fn names_that_windows_reserves_are_refused_there_only() {
    for name in ["con", "aux.txt", "lpt1/x", "aa:b", "dot.", "que?.txt"] {
        let env = world();
        let hub = env.hub();
        let commit = hub
            .repo("acme/tiny")
            .commit("main")
            .file(name, b"x")
            .publish();
        let ran = env.hfdl(["download", "acme/tiny"]);
        if cfg!(windows) {
            ran.exits(1).explains("Windows");
            assert!(!env.cache().join("models--acme--tiny/refs/main").exists());
        } else {
            ran.succeeds();
            let files = BTreeMap::from([(name.to_owned(), b"x".to_vec())]);
            damage(&env, &Truth::from([(commit, files)])).unwrap();
        }
    }
}

#[test]
fn a_directory_takes_no_git_folder_and_no_reserved_name() {
    let git = "git would use it as a repository";
    for (name, says) in [
        (".git/config", git),
        (".GIT/hooks/post-checkout", git),
        (
            "sub/.git./config",
            if cfg!(windows) { "Windows" } else { git },
        ),
        ("GIT~1/config", git),
        ("con", "Windows"),
        ("sub/aux.txt", "Windows"),
        ("aa:b", "Windows"),
        ("dot.", "Windows"),
    ] {
        let env = world();
        let draft = env.hub().repo("acme/tiny").commit("main");
        draft.file("a.txt", b"a").file(name, b"x").publish();
        let to = env.root().join("out").to_string_lossy().into_owned();
        let args = ["download", "acme/tiny", "--to", &to];
        env.hfdl(args).exits(1).explains(says);
        assert!(!env.root().join("out/a.txt").exists(), "{name}");
        let excluded = ["--exclude", name];
        env.hfdl(args.iter().chain(&excluded)).succeeds();
        assert!(env.root().join("out/a.txt").exists(), "{name}");
        if cfg!(unix) {
            env.hfdl(["download", "acme/tiny"]).succeeds();
        }
    }
}

/// Windows takes no path of 260 characters without a prefix.
#[test]
fn paths_of_any_length_are_written_read_and_removed() {
    let env = world();
    let name = ["long".repeat(20), "folder".repeat(13), "names".repeat(16)].join("/");
    let large = generated_bytes(MIB, 1);
    let draft = env.hub().repo("acme/tiny").commit("main");
    let draft = draft.file(&format!("{name}.json"), b"{}");
    let commit = draft.lfs(&format!("{name}.bin"), large.clone()).publish();
    let files = [(".json", b"{}".to_vec()), (".bin", large)];
    let files = files.map(|(ending, bytes)| (format!("{name}{ending}"), bytes));
    env.line("models add acme/tiny").succeeds();
    env.line("download acme/tiny").succeeds();
    damage(&env, &Truth::from([(commit, BTreeMap::from(files))])).unwrap();
    env.line("verify acme/tiny").succeeds();
    let to = env.root().join("out").to_string_lossy().into_owned();
    env.hfdl(["download", "acme/tiny", "--to", &to]).succeeds();
    assert_eq!(
        fs::read(env.root().join(format!("out/{name}.json"))).unwrap(),
        b"{}"
    );
    env.line("models remove acme/tiny --delete-files --yes")
        .succeeds();
    assert!(!env.cache().join("models--acme--tiny").exists());
}

#[test]
fn accents_in_two_forms_are_two_files_or_refused_by_the_disk_itself() {
    let env = world();
    let draft = env.hub().repo("acme/tiny").commit("main");
    let draft = draft.file("caf\u{e9}.txt", b"one");
    let commit = draft.file("cafe\u{301}.txt", b"two").publish();
    let ran = env.hfdl(["download", "acme/tiny"]);
    if placement(env.root(), None).unwrap().forms == NormalForms::Ignored {
        ran.exits(1)
            .explains("`caf\\u{e9}.txt` and `cafe\\u{301}.txt` would be one file");
        assert!(env.hub().downloads("caf\u{e9}.txt").is_empty());
        return;
    }
    let snapshots = env.cache().join("models--acme--tiny/snapshots");
    let read = |name: &str| fs::read(snapshots.join(&commit).join(name)).unwrap();
    assert_eq!(ran.succeeds().stdout().lines().count(), 1);
    assert_eq!(read("caf\u{e9}.txt"), b"one");
    assert_eq!(read("cafe\u{301}.txt"), b"two");
}

#[test]
fn a_listing_in_circles_is_refused() {
    let env = world();
    let truth = publish(&env, &[]);
    let commit = truth.keys().next().unwrap();
    let own = format!(
        "<{}/api/models/acme/tiny/tree/{commit}?recursive=true&expand=false>; rel=\"next\"",
        env.hub().endpoint()
    );
    env.hub()
        .fault(On::api(Api::Tree), Fault::Header("Link".into(), own));
    env.hfdl(["download", "acme/tiny"])
        .exits(1)
        .explains("not usable");
    assert!(env.hub().count(Api::Tree) < 10);
    damage(&env, &truth).unwrap();
}

#[test]
fn a_page_of_the_listing_elsewhere_is_refused() {
    let env = world();
    let truth = publish(&env, &[]);
    let away = "<http://127.0.0.1:1/api/models/acme/tiny/tree/x?geheim=1>; rel=\"next\"";
    env.hub().fault(
        On::api(Api::Tree),
        Fault::Header("Link".into(), away.to_owned()),
    );
    let ran = env.hfdl(["download", "acme/tiny"]);
    ran.exits(1);
    assert!(!ran.stderr().contains("geheim"), "{}", ran.report());
    damage(&env, &truth).unwrap();
}

#[test]
fn a_page_without_end_is_refused() {
    let env = world();
    let truth = publish(&env, &[]);
    let mut json = b"[".to_vec();
    json.resize(70 * MIB, b' ');
    env.hub().fault(
        On::api(Api::Tree),
        Fault::Garbage("application/json".into(), json),
    );
    let ran = env.hfdl(["download", "acme/tiny"]);
    ran.exits(1).explains("longer than");
    damage(&env, &truth).unwrap();
}

#[test]
fn ten_thousand_files_are_listed_over_many_pages() {
    let env = world();
    env.hub()
        .repo("acme/tiny")
        .commit("main")
        .files((0..10_000).map(|n| (format!("d{}/{n}.txt", n % 100), "same")))
        .publish();
    let ran = env.hfdl(["download", "acme/tiny", "--dry-run", "--json"]);
    ran.succeeds();
    assert_eq!(ran.json()["models"][0]["files"]["total"], 10_000);
    assert_eq!(env.hub().count(Api::Tree), 11);
}

/// Plants links below a root that lead to a folder outside, and returns it.
#[cfg(unix)]
fn plant(env: &TestEnv, root: &std::path::Path, links: &[&str]) -> std::path::PathBuf {
    let outside = env.root().join("outside");
    fs::create_dir_all(&outside).unwrap();
    fs::write(outside.join("precious"), b"mine").unwrap();
    for link in links {
        let link = root.join(link);
        fs::create_dir_all(link.parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(&outside, link).unwrap();
    }
    outside
}

#[cfg(unix)]
fn is_untouched(outside: &std::path::Path, what: &str) {
    let found = files_below(outside);
    assert_eq!(found, [outside.join("precious")], "{what}");
    assert_eq!(fs::read(&found[0]).unwrap(), b"mine", "{what}");
}

#[cfg(unix)]
fn publish_nested(env: &TestEnv) -> String {
    env.hub()
        .repo("acme/tiny")
        .commit("main")
        .file("sub/precious", b"theirs")
        .lfs("sub/deep/model.bin", generated_bytes(2 * MIB, 3))
        .publish()
}

#[cfg(unix)]
#[test]
fn links_planted_in_a_directory_lead_nowhere() {
    for link in [
        "sub",
        "sub/deep",
        ".cache",
        ".cache/huggingface",
        ".cache/huggingface/.hfdl",
        ".cache/huggingface/download",
        ".cache/huggingface/download/sub",
        ".cache/huggingface/trees",
        ".cache/huggingface/.hfdl/trees",
    ] {
        let env = world();
        publish_nested(&env);
        let dir = env.root().join("out");
        let outside = plant(&env, &dir, &[link]);
        let to = dir.to_string_lossy().into_owned();
        let ran = env.hfdl(["download", "acme/tiny", "--to", &to]);
        assert!(ran.code() != Some(101), "{link}: {}", ran.report());
        is_untouched(&outside, &format!("{link}: {}", ran.report()));
        assert_ne!(ran.code(), Some(0), "{link}: {}", ran.report());
        ran.explains("leads out of");
    }
}

#[cfg(unix)]
#[test]
fn a_link_in_the_place_of_a_file_is_replaced_and_not_followed() {
    let env = world();
    publish_nested(&env);
    let dir = env.root().join("out");
    let outside = env.root().join("outside");
    fs::create_dir_all(&outside).unwrap();
    fs::write(outside.join("precious"), b"mine").unwrap();
    fs::create_dir_all(dir.join("sub")).unwrap();
    std::os::unix::fs::symlink(outside.join("precious"), dir.join("sub/precious")).unwrap();
    let to = dir.to_string_lossy().into_owned();
    env.hfdl(["download", "acme/tiny", "--to", &to]).succeeds();
    is_untouched(&outside, "the file behind the link");
    assert_eq!(fs::read(dir.join("sub/precious")).unwrap(), b"theirs");
    assert!(!dir.join("sub/precious").is_symlink());
}

#[cfg(unix)]
#[test]
fn links_planted_in_a_repositorys_folder_lead_nowhere() {
    for link in [
        "blobs",
        "snapshots",
        "refs",
        ".hfdl",
        "trees",
        ".hfdl/trees",
    ] {
        let env = world();
        publish_nested(&env);
        let folder = env.cache().join("models--acme--tiny");
        let outside = plant(&env, &folder, &[link]);
        let ran = env.hfdl(["download", "acme/tiny"]);
        is_untouched(&outside, &format!("{link}: {}", ran.report()));
        assert_ne!(ran.code(), Some(0), "{link}: {}", ran.report());
        ran.explains("leads out of");
    }
}

#[cfg(unix)]
#[test]
fn links_planted_in_a_snapshot_lead_nowhere() {
    for link in ["", "sub", "sub/deep"] {
        let env = world();
        let commit = publish_nested(&env);
        let folder = env.cache().join("models--acme--tiny/snapshots");
        let planted = format!("{commit}/{link}");
        let outside = plant(&env, &folder, &[planted.trim_end_matches('/')]);
        let ran = env.hfdl(["download", "acme/tiny"]);
        is_untouched(&outside, &format!("{link}: {}", ran.report()));
        assert_ne!(ran.code(), Some(0), "{link}: {}", ran.report());
    }
}

#[test]
fn two_homes_that_want_one_repository_do_not_hurt_each_other() {
    for round in 0..8 {
        let env = world();
        if round >= 4 {
            // The first home then moves the files, which the second has found.
            env.set("HFDL_TEST_LINKS", "none");
        }
        let files = BTreeMap::from([
            ("config.json".to_owned(), b"{}".to_vec()),
            ("a.safetensors".to_owned(), generated_bytes(6 * MIB, round)),
            (
                "b.safetensors".to_owned(),
                generated_bytes(2 * MIB, round + 9),
            ),
        ]);
        let mut draft = env.hub().repo("acme/tiny").commit("main");
        draft = draft.file("config.json", b"{}");
        for name in ["a.safetensors", "b.safetensors"] {
            draft = draft.lfs(name, files[name].clone());
        }
        let truth = Truth::from([(draft.publish(), files)]);
        let ended = two_homes_at_once(&env, &["download", "acme/tiny"]);
        for output in &ended {
            let said = String::from_utf8_lossy(&output.stderr);
            match output.status.code() {
                Some(0) => {}
                Some(5) => assert!(said.contains("another process"), "{said}"),
                code => panic!("round {round}: {code:?}: {said}"),
            }
        }
        assert!(
            ended.iter().any(|output| output.status.success()),
            "round {round}: {ended:?}"
        );
        fs::remove_dir_all(env.root().join("hub/.second")).unwrap();
        damage(&env, &truth).unwrap();
        env.hfdl(["download", "acme/tiny"]).succeeds();
        damage(&env, &truth).unwrap();
    }
}

#[test]
fn two_homes_that_fill_one_directory_both_find_it_whole() {
    for round in 0..4 {
        let env = world();
        let model = generated_bytes(3 * MIB, round);
        let draft = env.hub().repo("acme/tiny").commit("main");
        let draft = draft.file("config.json", b"{}").file("sub/x.json", b"[]");
        let draft = draft.lfs("a.bin", model.clone());
        draft.lfs("twin.bin", model.clone()).publish();
        let dir = env.root().join("out");
        let to = dir.to_string_lossy().into_owned();
        for output in two_homes_at_once(&env, &["download", "acme/tiny", "--to", &to]) {
            assert!(output.status.success(), "round {round}: {output:?}");
        }
        let files = ["config.json", "sub/x.json", "a.bin", "twin.bin"];
        let expected: [&[u8]; 4] = [b"{}", b"[]", &model, &model];
        for (name, bytes) in files.iter().zip(expected) {
            assert!(fs::read(dir.join(name)).unwrap() == bytes, "{name}");
        }
    }
}

/// Runs the same command for two homes at the same time.
fn two_homes_at_once(env: &TestEnv, args: &[&str]) -> Vec<Output> {
    let start = |home| {
        let mut command = env.command(args);
        command.env("HFDL_HOME", env.root().join(home));
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().unwrap()
    };
    let started = ["state", "hub/.second"].map(start);
    started
        .map(|child| child.wait_with_output().unwrap())
        .into()
}

/// Runs a dry download and returns the highest memory that it had, in KiB.
#[cfg(target_os = "linux")]
fn peak_of_a_listing(env: &TestEnv) -> u64 {
    let args = ["download", "acme/tiny", "--dry-run"];
    let mut victim = crate::support::process::Victim::heard(env.command(args));
    let path = format!("/proc/{}/status", victim.id());
    let mut peak = 0;
    while victim.has_ended().is_none() {
        let status = fs::read_to_string(&path).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.trim().split(' ').next()?.parse().ok());
        peak = peak.max(kib.unwrap_or(0));
        std::thread::yield_now();
    }
    peak
}

#[cfg(target_os = "linux")]
#[test]
fn a_listing_without_end_takes_little_memory() {
    // Measured: 74 MiB more than for a listing of one file, at the most entries.
    const MOST_KIB_MORE: u64 = 96 << 10;
    let env = world();
    publish(&env, &[]);
    let ordinary = peak_of_a_listing(&env);
    let endless = Fault::EndlessPages(50_000);
    env.hub().fault(On::api(Api::Tree), endless);
    let peak = peak_of_a_listing(&env);
    assert!(ordinary > 0 && peak > ordinary, "{peak} KiB");
    assert!(peak < ordinary + MOST_KIB_MORE, "{peak} and {ordinary} KiB");
}
