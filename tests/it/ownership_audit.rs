//! A month of nights, and an account of everything that was deleted in it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use hfdl::sys::stamp::is_same_file;

use crate::ownership::{bytes_below, folder, publish, world};
use crate::support::cache::has_blobs;
use crate::support::database::ask;
use crate::support::env::{Ran, TestEnv};
use crate::support::sound::files_below;

/// Steps at which a night may be killed.
const KILLS: &[&str] = &[
    "place opened",
    "before publishing",
    "snapshot put together",
    "before the ref",
    "before the session closes",
    "one revision set aside",
    "one blob swept",
    "listings swept",
    "swept",
];

struct Audit {
    path: PathBuf,
    n_read: usize,
    by_reason: BTreeMap<String, usize>,
}

impl Audit {
    fn start(env: &TestEnv) -> Self {
        fs::create_dir(env.root().join("outside")).unwrap();
        let path = env.root().join("outside/removals");
        env.set("HFDL_TEST_REMOVALS", &path.to_string_lossy());
        Self {
            path,
            n_read: 0,
            by_reason: BTreeMap::new(),
        }
    }

    /// Returns what was removed since the last time: path and reason.
    fn read(&mut self) -> Vec<(PathBuf, String)> {
        let text = fs::read_to_string(&self.path).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        let new: Vec<_> = lines[self.n_read..]
            .iter()
            .map(|line| line.split_once('\t').unwrap())
            .map(|(reason, path)| (PathBuf::from(path), reason.to_owned()))
            .collect();
        self.n_read = lines.len();
        for (_, reason) in &new {
            *self.by_reason.entry(reason.clone()).or_default() += 1;
        }
        new
    }
}

/// Returns the blobs that the snapshots on disk use.
fn used(env: &TestEnv) -> BTreeSet<PathBuf> {
    let snapshots = bytes_below(&folder(env).join("snapshots"));
    let mut blobs: BTreeSet<_> = files_below(&folder(env).join("blobs"))
        .into_iter()
        .collect();
    blobs.retain(|blob| snapshots.keys().any(|file| is_same_file(file, blob)));
    blobs
}

/// Returns a path with slashes.
fn shown(path: &Path) -> String {
    path.to_string_lossy().replace('\\', "/")
}

/// Checks that all that vanished is on the list, and that all on it might go.
fn account(
    env: &TestEnv,
    before: &BTreeMap<PathBuf, Vec<u8>>,
    removed: &[(PathBuf, String)],
    needed: &BTreeSet<String>,
    ran: &Ran,
) {
    let after = bytes_below(env.root());
    let cache = env.cache();
    let recorded = |path: &Path| {
        removed
            .iter()
            .any(|(it, _)| it == path || is_set_aside(it, path))
    };
    for path in before.keys().filter(|path| path.starts_with(&cache)) {
        let name = shown(path);
        // Partial files, their journals and locks become blobs or end with
        // the download, which has an account of its own.
        let is_of_download = name.contains(".incomplete");
        let aside = name.replace("/snapshots/", "/.hfdl/trash-");
        let is_aside = after.contains_key(Path::new(&aside));
        if !after.contains_key(path) && !is_of_download && !is_aside {
            assert!(recorded(path), "`{name}` went unrecorded\n{}", ran.report());
        }
    }
    let used = used(env);
    for (path, reason) in removed {
        let name = shown(path);
        let is_inside = path.starts_with(&cache) || path.starts_with(env.root().join("work"));
        assert!(is_inside, "`{name}` is nowhere near a model");
        assert!(!reason.is_empty());
        if name.contains("/blobs/") {
            assert!(!used.contains(path), "`{name}` is in use: {reason}");
        }
        let is_revision = name.contains("/trash-") || name.contains("/snapshots/");
        let needed = needed.iter().find(|commit| name.contains(commit.as_str()));
        if let (true, Some(commit)) = (is_revision, needed) {
            panic!("{commit} is published or the way back, and `{name}` went: {reason}");
        }
        assert!(
            !name.ends_with("/mine.txt") && !name.contains("/theirs"),
            "`{name}` is not of hfdl"
        );
    }
}

/// A snapshot is renamed before it is deleted.
fn is_set_aside(removed: &Path, path: &Path) -> bool {
    let there = shown(removed).replace("/.hfdl/trash-", "/snapshots/");
    there == shown(path)
}

/// Returns the published revision and the one to go back to, as the program says.
fn needed(env: &TestEnv) -> BTreeSet<String> {
    let sql = "SELECT commit_sha FROM model_revisions WHERE model_id = 1
        ORDER BY published_at DESC LIMIT 2";
    ask(env, sql).into_iter().collect()
}

#[test]
fn everything_that_goes_in_a_month_of_nights_is_accounted_for() {
    if !has_blobs() {
        return;
    }
    let env = world();
    let mut audit = Audit::start(&env);
    env.line("models add acme/tiny --no-check").succeeds();
    env.line("models add acme/plain --no-check --to plain")
        .succeeds();
    let theirs = folder(&env).join("blobs/theirs");
    for night in 1..=30u64 {
        let size = if night % 3 == 0 { 2 << 20 } else { 2000 };
        if night % 4 != 0 {
            publish(&env, "acme/tiny", night, size);
        }
        let draft = env.hub().repo("acme/plain").commit("main").empty();
        let name = format!("{}.txt", night / 5);
        draft.file(&name, format!("{night}")).publish();
        if night == 2 {
            fs::write(&theirs, "of another program").unwrap();
            fs::write(env.root().join("work/plain/mine.txt"), "mine").unwrap();
        }
        env.now(&format!("2026-03-{night:02}T09:00:00Z"));
        let mut lines = vec![
            match night % 6 {
                5 => "download acme/tiny --max-transfer 1M",
                _ => "download acme/tiny",
            },
            "download acme/plain --delete",
        ];
        if night % 7 == 0 {
            lines.push("prune --keep-revisions 1 --yes");
        }
        for line in lines {
            let before = bytes_below(env.root());
            let mut keep = needed(&env);
            if night % 2 == 0 {
                let step = KILLS[(night as usize / 2) % KILLS.len()];
                env.set("HFDL_TEST_CRASH_AT", step);
            }
            let ran = env.line(line);
            env.unset("HFDL_TEST_CRASH_AT");
            // A revision that was published meanwhile makes an older one free.
            keep = keep.intersection(&needed(&env)).cloned().collect();
            account(&env, &before, &audit.read(), &keep, &ran);
        }
    }
    env.now("2026-03-31T09:00:00Z");
    env.line("download --all").succeeds();
    env.line("prune --yes").succeeds();
    let snapshots = fs::read_dir(folder(&env).join("snapshots")).unwrap();
    assert_eq!(snapshots.count(), 2);
    let blobs = fs::read_dir(folder(&env).join("blobs")).unwrap().count();
    assert_eq!(blobs, used(&env).len() + 1, "kills leave nothing behind");
    let last = env.line("models remove acme/tiny acme/plain --delete-files --yes");
    last.succeeds();
    audit.read();
    assert_eq!(fs::read_to_string(&theirs).unwrap(), "of another program");
    let mine = env.root().join("work/plain/mine.txt");
    assert_eq!(fs::read_to_string(&mine).unwrap(), "mine");
    assert_eq!(
        bytes_below(&folder(&env)).into_keys().collect::<Vec<_>>(),
        [theirs],
        "{}",
        last.report()
    );
    for reason in [
        "older than the revisions to keep",
        "only removed revisions use it",
        "nothing uses it",
        "its model was removed",
        "it is gone upstream",
        "a note of hfdl about what is gone",
    ] {
        assert!(
            audit.by_reason.contains_key(reason),
            "{:?}",
            audit.by_reason
        );
    }
}
