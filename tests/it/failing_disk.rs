//! Disks that fail: each call of a small download in turn, and flushes above all.
//!
//! After any failure nothing false is published, the exit code says that the disk
//! is at fault, and the next run completes the download. With `FAULTS_ALL` set, each
//! call fails in every way, which takes many minutes.
#![cfg(all(target_os = "linux", not(target_env = "musl")))]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use hfdl_test_hub::{generated_bytes, sha256_hex};

use crate::support::env::{Ran, TestEnv};
use crate::support::faults::Fault;
use crate::support::sound::{Truth, damage, open_runs, open_sessions, say};

const MIB: usize = 1 << 20;
const LARGE: &str = "model.safetensors";
const DOWNLOAD: &[&str] = &["download", "acme/tiny"];

struct FaultyDiskEnv {
    env: TestEnv,
    truth: Truth,
    large: Vec<u8>,
}

impl FaultyDiskEnv {
    fn new(size: usize) -> Self {
        let env = TestEnv::new();
        env.set("HFDL_DISK_RESERVE", "0");
        let large = generated_bytes(size, 3);
        let draft = env.hub().repo("acme/tiny").commit("main");
        let draft = draft.file("config.json", b"{}").file("sub/a.txt", b"a");
        let commit = draft.lfs(LARGE, large.clone()).publish();
        let files = BTreeMap::from([
            ("config.json".to_owned(), b"{}".to_vec()),
            ("sub/a.txt".to_owned(), b"a".to_vec()),
            (LARGE.to_owned(), large.clone()),
        ]);
        Self {
            truth: Truth::from([(commit, files)]),
            env,
            large,
        }
    }

    fn out(&self) -> PathBuf {
        self.env.root().join("out")
    }

    fn partial(&self) -> PathBuf {
        let name = format!("{}.incomplete", sha256_hex(&self.large));
        self.env.cache().join("models--acme--tiny/.hfdl").join(name)
    }

    fn begin_anew(&self) {
        for folder in [self.env.home(), self.env.cache(), self.out()] {
            let _ = fs::remove_dir_all(folder);
        }
    }

    /// Returns what is wrong under the names that readers of the directory use.
    fn directory_damage(&self) -> Option<String> {
        let files = self.truth.values().next()?;
        files.iter().find_map(|(name, bytes)| {
            let found = fs::read(self.out().join(name)).ok()?;
            (found != *bytes).then(|| format!("`{name}` has wrong bytes"))
        })
    }

    /// Lets each of some calls fail in turn, and heals each time.
    fn sweep(&self, below: &Path, args: &[&str], step: usize, codes: &[i32]) {
        let calls = self.env.disk_calls(below, args);
        say(&format!("{} calls: {calls:#?}", calls.len()));
        assert!(calls.len() > 10, "{calls:?}");
        let kinds = ["EIO", "ENOSPC", "EDQUOT", "short"];
        let all = std::env::var_os("FAULTS_ALL").is_some();
        let step = if all { 1 } else { step };
        let chosen = |at: usize, how: usize, stays: bool| {
            all || (how == at % kinds.len() && stays == at.is_multiple_of(3))
        };
        let faults = (1..=calls.len()).step_by(step).flat_map(|at| {
            let ways = (0..kinds.len()).flat_map(|how| [(how, false), (how, true)]);
            let ways = ways.filter(move |(how, stays)| chosen(at, *how, *stays));
            ways.map(move |(how, stays)| Fault {
                below,
                calls: &[],
                at,
                how: kinds[how],
                stays,
            })
        });
        for fault in faults {
            self.begin_anew();
            let at = fault.at;
            let ran = self.env.hfdl_with_fault(&fault, args);
            let what = format!("{fault:?} {}\n{}", calls[at - 1], ran.report());
            assert!(codes.contains(&ran.code().unwrap_or(-1)), "{what}");
            assert!(!ran.stderr().contains("panicked"), "{what}");
            damage(&self.env, &self.truth).unwrap_or_else(|why| panic!("{why}: {what}"));
            assert_eq!(self.directory_damage(), None, "{what}");
            if ran.code() == Some(0) {
                self.is_whole(args, &what);
            }
            self.heals(args, &what);
        }
    }

    fn heals(&self, args: &[&str], what: &str) {
        let healed = self.env.hfdl(args);
        let report = format!("{what}\nthen {}", healed.report());
        assert_eq!(healed.code(), Some(0), "{report}");
        self.is_whole(args, &report);
        damage(&self.env, &self.truth).unwrap_or_else(|why| panic!("{why}: {report}"));
        assert_eq!((open_sessions(&self.env), open_runs(&self.env)), (0, 0));
        if args.len() == DOWNLOAD.len() {
            let verified = self.env.hfdl(["verify", "acme/tiny"]);
            assert_eq!(verified.code(), Some(0), "{}", verified.report());
        }
    }

    fn is_whole(&self, args: &[&str], what: &str) {
        let (commit, files) = self.truth.first_key_value().unwrap();
        let folder = match args.len() == DOWNLOAD.len() {
            true => {
                let repo = self.env.cache().join("models--acme--tiny");
                repo.join("snapshots").join(commit)
            }
            false => self.out(),
        };
        for (name, bytes) in files {
            let found = fs::read(folder.join(name)).ok();
            assert_eq!(found.as_ref(), Some(bytes), "`{name}`: {what}");
        }
    }

    fn fails_to_flush(&self, file: &Path, at: usize) -> Ran {
        self.fails_to_flush_below(&PathBuf::from(format!("{}$", file.display())), at)
    }

    fn fails_to_flush_below(&self, below: &Path, at: usize) -> Ran {
        let fault = Fault {
            below,
            calls: &["fdatasync", "fsync"],
            at,
            how: "EIO",
            stays: false,
        };
        self.env.hfdl_with_fault(&fault, DOWNLOAD)
    }

    fn requests(&self) -> usize {
        self.env.hub().downloads(LARGE).len()
    }
}

#[test]
fn a_download_survives_the_failure_of_any_call_in_the_cache() {
    let world = FaultyDiskEnv::new(MIB + 5);
    let cache = world.env.cache();
    world.sweep(&cache, DOWNLOAD, 1, &[0, 6]);
}

#[test]
fn a_download_survives_the_failure_of_any_call_in_a_directory() {
    let world = FaultyDiskEnv::new(MIB + 5);
    let out = world.out();
    let to = out.to_string_lossy().into_owned();
    world.sweep(&out, &["download", "acme/tiny", "--to", &to], 1, &[0, 6]);
}

#[test]
fn a_download_survives_the_failure_of_calls_in_the_home() {
    let world = FaultyDiskEnv::new(MIB + 5);
    let home = world.env.home();
    // A database that cannot be opened at all is 1: it may be anything.
    world.sweep(&home, DOWNLOAD, 7, &[0, 1, 6]);
}

#[test]
fn each_failure_of_a_disk_has_a_next_step_of_its_own() {
    let world = FaultyDiskEnv::new(MIB);
    let cache = world.env.cache();
    for (how, next) in [
        ("ENOSPC", "next: free space there"),
        ("EDQUOT", "next: free space there"),
        ("EIO", "next: look for errors of this disk"),
    ] {
        world.begin_anew();
        let fault = Fault {
            below: &cache,
            calls: &[],
            at: 12,
            how,
            stays: true,
        };
        let ran = world.env.hfdl_with_fault(&fault, DOWNLOAD);
        ran.exits(6).explains(next).explains("hub");
        world.heals(DOWNLOAD, how);
    }
}

#[test]
fn bytes_of_a_failed_flush_are_fetched_again() {
    let world = FaultyDiskEnv::new(6 * MIB);
    let partial = world.partial();
    world.fails_to_flush(&partial, 1).exits(6);
    assert!(!partial.with_extension("").exists());
    let before = world.requests();
    let ran = world.env.hfdl(["download", "acme/tiny", "--json"]);
    ran.succeeds();
    assert!(world.requests() > before, "{}", ran.report());
    let report = ran.json();
    let bytes = &report["sessions"][0]["bytes"];
    let fetched = bytes["fetched"].as_u64().unwrap();
    // Only bytes forced to disk before the failure count.
    assert!(fetched >= world.large.len() as u64 - 1, "{bytes}");
    damage(&world.env, &world.truth).unwrap();
}

#[test]
fn a_failed_flush_of_the_journal_leaves_no_damage() {
    let world = FaultyDiskEnv::new(6 * MIB);
    let mut journal = world.partial().into_os_string();
    journal.push(".journal");
    for at in 1..=3 {
        world.begin_anew();
        let ran = world.fails_to_flush(Path::new(&journal), at);
        assert!(matches!(ran.code(), Some(0 | 6)), "{}", ran.report());
        damage(&world.env, &world.truth).unwrap();
        world.heals(DOWNLOAD, &ran.report());
    }
}

#[test]
fn a_small_file_whose_flush_failed_is_fetched_again() {
    let world = FaultyDiskEnv::new(600_000);
    let homes = world.partial().with_file_name("homes");
    let mut n_files = 0;
    // The records of the home are flushed there, too.
    for at in 1..=6 {
        world.begin_anew();
        let ran = world.fails_to_flush_below(&homes, at);
        assert!(matches!(ran.code(), Some(0 | 6)), "{}", ran.report());
        n_files += usize::from(ran.stderr().contains("could not write `"));
        damage(&world.env, &world.truth).unwrap();
        world.heals(DOWNLOAD, &ran.report());
    }
    assert!(n_files > 0, "a small file was hit");
}
