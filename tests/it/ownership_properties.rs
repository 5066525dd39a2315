//! Random homes, repositories, refs, pins, foreign files and locks: whatever
//! command runs, what is not provably of its home survives byte for byte.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::PathBuf;

use hfdl_test_hub::{generated_bytes, git_blob_id, sha256_hex};
use proptest::prelude::*;

use crate::ownership::{at_home, bytes_below, folder, publish, world};
use crate::support::env::{Ran, TestEnv};
use crate::support::sound::files_below;

const HOMES: [&str; 2] = ["a", "b"];
const CONFIG: &[u8] = b"the same in every revision";

/// One thing that happens in the shared cache.
#[derive(Clone, Debug)]
enum Act {
    /// The branch moves on.
    Move,
    Download(usize),
    /// The download ends early, with its bytes kept.
    Interrupt(usize),
    Crash(usize, &'static str),
    Pin(usize, usize),
    Prune(usize, bool),
    Remove(usize),
    /// The official client fetches one of the revisions.
    Foreign(usize),
    /// A person puts a file into a snapshot, or names it by a tag.
    Drop(usize),
    Tag(usize),
    /// Bytes that look like a partial file, a blob or waste of another program.
    Litter(u8),
    Lock,
    Unlock,
}

fn act() -> impl Strategy<Value = Act> {
    let home = || 0usize..HOMES.len();
    let number = || 0usize..6;
    let steps = [
        "place opened",
        "before publishing",
        "snapshot put together",
        "before the ref",
        "one revision set aside",
        "one blob swept",
        "revisions set aside",
    ];
    prop_oneof![
        3 => Just(Act::Move),
        5 => home().prop_map(Act::Download),
        2 => home().prop_map(Act::Interrupt),
        2 => (home(), prop::sample::select(steps.to_vec())).prop_map(|(h, s)| Act::Crash(h, s)),
        2 => (home(), number()).prop_map(|(home, n)| Act::Pin(home, n)),
        3 => (home(), any::<bool>()).prop_map(|(home, few)| Act::Prune(home, few)),
        2 => home().prop_map(Act::Remove),
        2 => number().prop_map(Act::Foreign),
        1 => number().prop_map(Act::Drop),
        1 => number().prop_map(Act::Tag),
        1 => any::<u8>().prop_map(Act::Litter),
        1 => Just(Act::Lock),
        1 => Just(Act::Unlock),
    ]
}

struct SharedCacheEnv {
    env: TestEnv,
    commits: Vec<String>,
    sizes: Vec<usize>,
    /// Files that no home wrote.
    foreign: BTreeMap<PathBuf, Vec<u8>>,
    /// Revisions that another program fetched.
    fetched: BTreeSet<usize>,
    /// The revisions at which each home keeps a model, as it has recorded in the folder.
    pins: [BTreeSet<usize>; 2],
    lock: Option<File>,
    day: u32,
}

impl SharedCacheEnv {
    fn new() -> Self {
        let mut world = Self {
            env: world(),
            commits: Vec::new(),
            sizes: Vec::new(),
            foreign: BTreeMap::new(),
            fetched: BTreeSet::new(),
            pins: [BTreeSet::new(), BTreeSet::new()],
            lock: None,
            day: 0,
        };
        world.move_on();
        world
    }

    fn move_on(&mut self) {
        let number = self.commits.len();
        // Every other one is large enough to be continued.
        let size = if number.is_multiple_of(2) {
            3000
        } else {
            2 << 20
        };
        let seed = number as u64;
        self.commits
            .push(publish(&self.env, "acme/tiny", seed, size));
        self.sizes.push(size);
    }

    fn at(&mut self, home: usize, line: &str) -> Ran {
        self.day += 1;
        let (month, day) = (1 + self.day / 28, 1 + self.day % 28);
        self.env.now(&format!("2026-{month:02}-{day:02}T09:00:00Z"));
        at_home(&self.env, HOMES[home]);
        self.env.line("models add acme/tiny --name m --no-check");
        self.env.line(line)
    }

    /// Writes as the official client does: what is there is used.
    fn fetch_as_another_program(&mut self, number: usize) {
        let number = number % self.commits.len();
        let folder = folder(&self.env);
        let snapshot = folder.join("snapshots").join(&self.commits[number]);
        for name in ["blobs", "refs"] {
            fs::create_dir_all(folder.join(name)).unwrap();
        }
        if snapshot.exists() {
            return;
        }
        fs::create_dir_all(&snapshot).unwrap();
        let large = generated_bytes(self.sizes[number], number as u64);
        let files = [
            ("config.json", CONFIG.to_vec(), git_blob_id(CONFIG)),
            ("model.safetensors", large.clone(), sha256_hex(&large)),
        ];
        for (name, bytes, etag) in files {
            let blob = folder.join("blobs").join(&etag);
            if !blob.exists() {
                fs::write(&blob, &bytes).unwrap();
                self.foreign.insert(blob, bytes);
            }
            let (link, target) = (snapshot.join(name), format!("../../blobs/{etag}"));
            std::os::unix::fs::symlink(&target, &link).unwrap();
            self.foreign.insert(link, target.into_bytes());
        }
        self.fetched.insert(number);
    }

    fn put(&mut self, path: PathBuf, text: &str) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        self.foreign.insert(path, text.as_bytes().to_vec());
    }

    /// Returns the folder of a revision that is on disk.
    fn snapshot(&self, number: usize) -> Option<(usize, PathBuf)> {
        let snapshots = folder(&self.env).join("snapshots");
        let there = |n: &usize| snapshots.join(&self.commits[*n]).is_dir();
        let there: Vec<usize> = (0..self.commits.len()).filter(there).collect();
        let number = *there.get(number.checked_rem(there.len())?)?;
        Some((number, snapshots.join(&self.commits[number])))
    }

    fn act(&mut self, act: &Act) -> Option<(usize, Ran)> {
        match act {
            Act::Move => self.move_on(),
            Act::Download(home) => return Some((*home, self.at(*home, "download m"))),
            Act::Interrupt(home) => {
                let ran = self.at(*home, "download m --max-transfer 1M");
                return Some((*home, ran));
            }
            Act::Crash(home, step) => {
                self.env.set("HFDL_TEST_CRASH_AT", step);
                let ran = self.at(*home, "download m");
                self.env.unset("HFDL_TEST_CRASH_AT");
                return Some((*home, ran));
            }
            Act::Pin(home, number) => {
                let number = number % self.commits.len();
                let commit = self.commits[number].clone();
                let add = "models add acme/tiny --no-check --revision";
                // A folder that is not there has no place for a claim, and no file to
                // keep: the first download of the home records it.
                let is_recorded = folder(&self.env).is_dir();
                self.at(*home, &format!("{add} {commit} --name pin{number}"));
                if is_recorded {
                    self.pins[*home].insert(number);
                }
            }
            Act::Prune(home, few) => {
                let few = if *few { " --keep-revisions 1" } else { "" };
                let ran = self.at(*home, &format!("prune --yes{few}"));
                return Some((*home, ran));
            }
            Act::Remove(home) => {
                let ran = self.at(*home, "models remove m --delete-files --yes");
                return Some((*home, ran));
            }
            Act::Foreign(number) => self.fetch_as_another_program(*number),
            Act::Drop(number) => {
                if let Some((_, snapshot)) = self.snapshot(*number) {
                    self.put(snapshot.join("notes.txt"), "mine");
                }
            }
            Act::Tag(number) => {
                if let Some((number, _)) = self.snapshot(*number) {
                    let path = folder(&self.env).join(format!("refs/v{number}"));
                    let commit = self.commits[number].clone();
                    self.put(path, &commit);
                }
            }
            Act::Litter(number) => {
                let etag = format!("{number:02x}").repeat(32);
                let place = folder(&self.env);
                let name = match number % 4 {
                    0 => format!(".hfdl/{etag}.incomplete"),
                    1 => format!("blobs/{etag}"),
                    2 => format!("blobs/{etag}.incomplete"),
                    _ => format!(".hfdl/{etag}.incomplete.bad"),
                };
                self.put(place.join(name), "theirs");
            }
            Act::Lock => {
                let locks = self.env.cache().join(".locks/models--acme--tiny");
                fs::create_dir_all(&locks).unwrap();
                let file = File::create(locks.join("0000.lock")).unwrap();
                if self.lock.is_none() {
                    file.lock().unwrap();
                    self.lock = Some(file);
                }
            }
            Act::Unlock => self.lock = None,
        }
        None
    }

    /// Returns the first thing that a command took and must not have taken.
    fn loss(&self, home: usize, before: &BTreeMap<PathBuf, Vec<u8>>) -> Option<String> {
        let after = bytes_below(&self.env.cache());
        for (path, bytes) in &self.foreign {
            if after.get(path) != Some(bytes) {
                return Some(format!("`{}` of another program", path.display()));
            }
        }
        let snapshots = folder(&self.env).join("snapshots");
        let was_whole = |number: usize| {
            let at = snapshots.join(&self.commits[number]);
            before.contains_key(&at.join("model.safetensors"))
        };
        let pins = self.pins.iter().flatten().copied();
        for number in pins.chain(self.fetched.iter().copied()) {
            let file = snapshots
                .join(&self.commits[number])
                .join("model.safetensors");
            let expected = generated_bytes(self.sizes[number], number as u64);
            if was_whole(number) && fs::read(&file).ok() != Some(expected) {
                return Some(format!("revision {number}, which is wanted"));
            }
        }
        // Downloads and revisions of the other home belong to it.
        let other = self.env.root().join(HOMES[1 - home]);
        let claimed = claimed_by(&folder(&self.env), &other);
        for (path, bytes) in before {
            let name = path.to_string_lossy();
            let is_claimed = claimed.iter().any(|it| name.contains(it.as_str()));
            let is_data = name.contains("/snapshots/") || name.ends_with(".incomplete");
            if is_claimed && is_data && !after.contains_key(path) && !bytes.is_empty() {
                let became_blob = claimed.iter().any(|it| {
                    name.contains(it) && folder(&self.env).join("blobs").join(it).exists()
                });
                if !became_blob {
                    return Some(format!("`{name}`, which the other home claims"));
                }
            }
        }
        None
    }
}

/// Returns what a home's record claims: commits and contents.
fn claimed_by(folder: &std::path::Path, home: &std::path::Path) -> Vec<String> {
    let Ok(database) = rusqlite::Connection::open(home.join("hfdl.db")) else {
        return Vec::new();
    };
    let sql = "SELECT value FROM meta WHERE key = 'install-id'";
    let Ok(id) = database.query_row(sql, [], |row| row.get::<_, String>(0)) else {
        return Vec::new();
    };
    let record = folder.join(".hfdl/homes").join(id);
    let text = ["claims", "begun"].map(|name| {
        let text = fs::read_to_string(record.join(name));
        text.unwrap_or_default()
    });
    let lines = text.iter().flat_map(|text| text.lines());
    let claims = lines.filter_map(|line| match line.split_once(' ')? {
        ("want" | "part", what) => Some(what.to_owned()),
        ("fetch" | "fetch-by-hand", rest) => Some(rest.split(' ').next()?.to_owned()),
        _ => None,
    });
    claims.collect()
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 14,
        failure_persistence: None,
        max_shrink_iters: 40,
        ..ProptestConfig::default()
    })]

    #[test]
    fn commands_in_any_order_remove_only_files_of_their_own_home(
        acts in prop::collection::vec(act(), 6..16),
    ) {
        let mut world = SharedCacheEnv::new();
        let mut done: Vec<&Act> = Vec::new();
        for act in &acts {
            done.push(act);
            let before = bytes_below(&world.env.cache());
            if let Some((home, ran)) = world.act(act) {
                let loss = world.loss(home, &before);
                prop_assert_eq!(loss, None, "{:?}\n{}", done, ran.report());
                if world.lock.is_some() && matches!(act, Act::Prune(..) | Act::Remove(_)) {
                    let after = files_below(&world.env.cache());
                    let gone = before.keys().find(|path| {
                        let name = path.to_string_lossy();
                        !name.contains("/homes/") && !after.contains(path)
                    });
                    prop_assert_eq!(gone, None, "{:?} under a lock\n{}", done, ran.report());
                }
            }
        }
    }
}
