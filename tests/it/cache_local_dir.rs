//! Real files in a directory, with the official notes beside them.
#![allow(clippy::unwrap_used)]

use std::any::Any;
use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use hfdl::cache::{HomeFolder, LocalDir, Placed, Vanished, ownership_in_directory};
use hfdl::domain::content::ContentId;
use hfdl::domain::deletion::FetchKey;
use hfdl::domain::filter::Filter;
use hfdl::domain::plan::{Action, PlanError, SyncPlan, plan_sync};
use hfdl::domain::repo::Revision;
use hfdl::sys::files;
use hfdl::sys::share::{self, Sharing};

use crate::support::cache::{
    Commit, TestCache, commit, has_blobs, home, no_lock, prove, repo, tree, write,
};
use crate::support::env::NOW;

struct DirectoryEnv {
    dir: LocalDir,
    cache: TestCache,
    n_proved: Cell<usize>,
    _temporary: tempfile::TempDir,
}

impl DirectoryEnv {
    fn new() -> Self {
        let temporary = tempfile::tempdir().unwrap();
        Self {
            dir: LocalDir::open(temporary.path().join("models/tiny"))
                .unwrap()
                .of_home(Some(&home("test"))),
            cache: TestCache::new(),
            n_proved: Cell::new(0),
            _temporary: temporary,
        }
    }

    fn partial(&self, content: &ContentId) -> PathBuf {
        LocalDir::partial_below(self.dir.root(), content)
    }

    fn plan(&self, commit: &Commit) -> Result<SyncPlan, PlanError> {
        let filter = Filter::default();
        let count_and_prove = |path: &Path, content: &_| {
            self.n_proved.set(self.n_proved.get() + 1);
            prove(path, content)
        };
        let cache = Some(&self.cache.cache);
        let facts = self
            .dir
            .facts(&commit.listing, &filter, cache, &count_and_prove);
        let placement = self.dir.placement().unwrap();
        plan_sync(&commit.listing, &filter, &placement, &facts.unwrap())
    }

    fn fetch(&self, commit: &Commit, plan: &SyncPlan) {
        for (content, (_, from)) in plan.imports() {
            let aside = files::unused_name(&self.dir.private());
            share::share(from, &aside, Sharing::OwnBytes).unwrap();
            self.dir.store(&content, &aside).unwrap();
        }
        for planned in plan.fetches() {
            let content = planned.file.content;
            let partial = self.partial(&content);
            fs::write(&partial, &commit.bytes[&content]).unwrap();
            self.dir.store(&content, &partial).unwrap();
        }
    }

    fn sync(&self, commit: &Commit, vanished: Vanished) -> (SyncPlan, anyhow::Result<Placed>) {
        let plan = self.plan(commit).unwrap();
        self.fetch(commit, &plan);
        let placed = self
            .dir
            .publish(&repo(), &commit.listing, &plan, &vanished, &no_lock);
        (plan, placed)
    }

    fn text(&self, path: &str) -> String {
        fs::read_to_string(self.dir.root().join(path)).unwrap()
    }

    fn has(&self, path: &str) -> bool {
        self.dir.root().join(path).exists()
    }
}

fn first() -> Commit {
    commit(
        'a',
        &[
            ("config.json", "{}"),
            ("sub/model.bin", "weights"),
            ("twin.bin", "weights"),
        ],
    )
}

#[test]
fn a_directory_has_the_files_and_the_official_notes() {
    let env = DirectoryEnv::new();
    let (plan, placed) = env.sync(&first(), Vanished::Keep);
    placed.unwrap();
    assert_eq!(plan.totals.files_to_fetch, 2);
    let a = "a".repeat(40);
    let records = ".cache/huggingface";
    assert_eq!(
        tree(env.dir.root()),
        [
            &format!("{records}/.gitignore"),
            &format!("{records}/.hfdl/trees/{a}.json"),
            &format!("{records}/.hfdl/written"),
            &format!("{records}/CACHEDIR.TAG"),
            &format!("{records}/download/config.json.metadata"),
            &format!("{records}/download/sub/model.bin.metadata"),
            &format!("{records}/download/twin.bin.metadata"),
            &format!("{records}/trees/{a}.json"),
            "config.json",
            "sub/model.bin",
            "twin.bin",
        ]
    );
    let note = env.text(&format!("{records}/download/sub/model.bin.metadata"));
    let lines: Vec<&str> = note.lines().collect();
    assert_eq!(lines[..2], [a, first().listing.files[1].content.etag()]);
    assert!(lines[2].parse::<f64>().unwrap() > 1.6e9);
    assert!(env.dir.is_complete(&first().listing.files).unwrap());
}

#[test]
fn files_of_the_same_content_can_be_edited_apart() {
    let env = DirectoryEnv::new();
    env.sync(&first(), Vanished::Keep).1.unwrap();
    fs::write(env.dir.root().join("twin.bin"), "edited").unwrap();
    assert_eq!(env.text("sub/model.bin"), "weights");
}

#[test]
fn a_second_sync_reads_notes_and_no_contents() {
    let env = DirectoryEnv::new();
    env.sync(&first(), Vanished::Keep).1.unwrap();
    let (plan, placed) = env.sync(&first(), Vanished::Delete(Default::default()));
    assert!(plan.changes_nothing());
    assert!(placed.unwrap().removed.is_empty());
    assert_eq!(env.n_proved.get(), 0);
}

#[test]
fn files_that_were_there_before_are_proven_and_noted() {
    let env = DirectoryEnv::new();
    write(env.dir.root().join("config.json"), "{}");
    write(env.dir.root().join("twin.bin"), "WEIGHTS");
    let (plan, placed) = env.sync(&first(), Vanished::Keep);
    placed.unwrap();
    let fetched: Vec<_> = plan.fetches().map(|f| f.file.path.as_str()).collect();
    assert_eq!(
        fetched,
        ["sub/model.bin"],
        "and its twin, which had other bytes"
    );
    assert_eq!(env.text("twin.bin"), "weights");
    assert_eq!(env.n_proved.get(), 2);
    env.sync(&first(), Vanished::Keep).1.unwrap();
    assert_eq!(env.n_proved.get(), 2);
}

#[test]
fn the_old_file_is_there_until_the_new_one_is_whole() {
    let env = DirectoryEnv::new();
    env.sync(&first(), Vanished::Keep).1.unwrap();
    let second = commit('b', &[("config.json", "{2}"), ("twin.bin", "heavier")]);
    let plan = env.plan(&second).unwrap();
    let error = env
        .dir
        .publish(
            &repo(),
            &second.listing,
            &plan,
            &Vanished::Delete(Default::default()),
            &no_lock,
        )
        .unwrap_err();
    assert!(format!("{error:#}").contains("not ready"), "{error:#}");
    assert_eq!(env.text("config.json"), "{}");
    assert!(env.has("sub/model.bin"));
    env.fetch(&second, &plan);
    assert_eq!(env.text("config.json"), "{}");
    env.dir
        .publish(&repo(), &second.listing, &plan, &Vanished::Keep, &no_lock)
        .unwrap();
    assert_eq!(env.text("config.json"), "{2}");
    assert_eq!(
        env.text("twin.bin"),
        "heavier",
        "of the same size as before"
    );
    assert!(env.has("sub/model.bin"), "nobody asked for its deletion");
}

#[test]
fn only_unchanged_files_of_ours_are_deleted_and_only_when_asked() {
    let env = DirectoryEnv::new();
    let first = commit(
        'a',
        &[
            ("ours.bin", "1"),
            ("deep/er/ours.bin", "2"),
            ("edited.txt", "3"),
            ("stays", "4"),
        ],
    );
    env.sync(&first, Vanished::Keep).1.unwrap();
    let edited = env.dir.root().join("edited.txt");
    fs::write(&edited, "mine").unwrap();
    let later =
        fs::metadata(&edited).unwrap().modified().unwrap() + std::time::Duration::from_secs(60);
    fs::File::options()
        .write(true)
        .open(&edited)
        .unwrap()
        .set_modified(later)
        .unwrap();
    write(env.dir.root().join("foreign.txt"), "theirs");
    let second = commit('b', &[("stays", "4")]);

    env.sync(&second, Vanished::Keep).1.unwrap();
    assert!(env.has("ours.bin"));
    let (plan, placed) = env.sync(&second, Vanished::Delete(Default::default()));
    assert_eq!(plan.deleted.len(), 3);
    let removed = placed.unwrap().removed;
    assert_eq!(
        removed,
        ["deep/er/ours.bin", "ours.bin"].map(|path| path.parse().unwrap())
    );
    assert!(!env.has("deep"), "the emptied folders go too");
    assert_eq!(env.text("edited.txt"), "mine");
    assert_eq!(env.text("foreign.txt"), "theirs");
    assert_eq!(env.text("stays"), "4");
}

#[test]
fn a_file_that_hf_wrote_is_used_but_never_deleted() {
    let env = DirectoryEnv::new();
    write(env.dir.root().join("config.json"), "{}");
    let notes = env.dir.root().join(".cache/huggingface/download");
    let content = first().listing.files[0].content.etag();
    let note = format!("{}\n{content}\n4000000000.5\n", "a".repeat(40));
    write(notes.join("config.json.metadata"), &note);
    let (plan, placed) = env.sync(&first(), Vanished::Keep);
    placed.unwrap();
    assert_eq!(plan.files[0].action, Action::Keep);
    assert_eq!(env.n_proved.get(), 0);
    let second = commit('b', &[("twin.bin", "weights")]);
    let removed = env
        .sync(&second, Vanished::Delete(Default::default()))
        .1
        .unwrap()
        .removed;
    assert_eq!(removed.len(), 1);
    assert!(env.has("config.json"));
}

#[test]
fn contents_under_other_names_and_in_the_cache_are_not_fetched() {
    if !has_blobs() {
        return;
    }
    let env = DirectoryEnv::new();
    env.sync(&first(), Vanished::Keep).1.unwrap();
    env.cache
        .sync(&commit('c', &[("big.bin", "from the cache")]));
    let second = commit(
        'b',
        &[
            ("moved/model.bin", "weights"),
            ("big.bin", "from the cache"),
        ],
    );
    let (plan, placed) = env.sync(&second, Vanished::Delete(Default::default()));
    placed.unwrap();
    assert_eq!(plan.totals.bytes_to_fetch, 0);
    assert_eq!(env.text("moved/model.bin"), "weights");
    // An edit of the file leaves the cache as it is.
    fs::write(env.dir.root().join("big.bin"), "edited in place").unwrap();
    let cached = commit('c', &[("big.bin", "from the cache")]);
    assert_eq!(env.cache.text(&cached, "big.bin"), "from the cache");
}

#[test]
fn a_file_may_become_a_folder_and_a_folder_a_file() {
    let env = DirectoryEnv::new();
    env.sync(
        &commit('a', &[("x", "file"), ("y/z", "deep")]),
        Vanished::Keep,
    )
    .1
    .unwrap();
    let second = commit('b', &[("x/inner", "1"), ("y", "2")]);
    let (_, refused) = env.sync(&second, Vanished::Keep);
    assert!(refused.is_err());
    let (_, placed) = env.sync(&second, Vanished::Delete(Default::default()));
    assert_eq!(placed.unwrap().removed.len(), 2);
    assert_eq!(env.text("x/inner") + &env.text("y"), "12");
}

#[test]
fn a_kill_between_rename_and_note_costs_a_read_and_no_fetch() {
    let env = DirectoryEnv::new();
    env.sync(&first(), Vanished::Keep).1.unwrap();
    let notes = env.dir.root().join(".cache/huggingface/download");
    fs::remove_file(notes.join("config.json.metadata")).unwrap();
    fs::write(notes.join("twin.bin.metadata"), "").unwrap();
    let (plan, placed) = env.sync(&first(), Vanished::Keep);
    placed.unwrap();
    assert!(plan.changes_nothing());
    assert_eq!(env.n_proved.get(), 2);
    assert!(env.dir.is_complete(&first().listing.files).unwrap());
}

/// Looks at what the official client would find when it gets the lock.
struct Released {
    lock: PathBuf,
    n_noted: Arc<AtomicUsize>,
}

impl Drop for Released {
    fn drop(&mut self) {
        let note = fs::read_to_string(self.lock.with_extension("metadata")).unwrap_or_default();
        if target_of(&self.lock).is_file() && note.lines().count() == 3 {
            self.n_noted.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Returns the file that a lock is for.
fn target_of(lock: &Path) -> PathBuf {
    let lock = lock.to_str().unwrap().replace('\\', "/");
    let mut parts = lock.split(".cache/huggingface/download/");
    let root = Path::new(parts.next().unwrap());
    root.join(parts.next().unwrap().strip_suffix(".lock").unwrap())
}

#[test]
fn each_file_changes_with_its_note_under_the_official_lock() {
    let env = DirectoryEnv::new();
    let plan = env.plan(&first()).unwrap();
    env.fetch(&first(), &plan);
    let (taken, n_noted) = (Mutex::new(Vec::new()), Arc::new(AtomicUsize::new(0)));
    let take = |lock: &Path| -> anyhow::Result<Box<dyn Any>> {
        assert!(!target_of(lock).exists(), "it is there before the lock");
        taken.lock().unwrap().push(lock.to_path_buf());
        Ok(Box::new(Released {
            lock: lock.to_path_buf(),
            n_noted: Arc::clone(&n_noted),
        }))
    };
    let publish = |plan| {
        let placed = env
            .dir
            .publish(&repo(), &first().listing, plan, &Vanished::Keep, &take);
        placed.unwrap();
    };
    publish(&plan);
    let names = ["config.json", "sub/model.bin", "twin.bin"];
    let locks = names.map(|name| env.dir.file_lock(&name.parse().unwrap()));
    assert_eq!(*taken.lock().unwrap(), locks);
    let notes = env.dir.root().join(".cache/huggingface/download");
    assert_eq!(locks[1], notes.join("sub/model.bin.lock"));
    assert_eq!(n_noted.load(Ordering::Relaxed), 3);
    // A file in place with its note is not touched and needs no lock.
    publish(&env.plan(&first()).unwrap());
    assert_eq!(taken.lock().unwrap().len(), 3);
}

#[cfg(unix)]
#[test]
fn a_link_in_the_place_of_a_lock_is_not_followed() {
    let env = DirectoryEnv::new();
    let outside = env.dir.root().with_file_name("outside");
    let lock = env.dir.file_lock(&"config.json".parse().unwrap());
    std::os::unix::fs::symlink(&outside, &lock).unwrap();
    let plan = env.plan(&first()).unwrap();
    env.fetch(&first(), &plan);
    let take = |lock: &Path| -> anyhow::Result<Box<dyn Any>> { Ok(Box::new(fs::write(lock, "")?)) };
    let placed = env
        .dir
        .publish(&repo(), &first().listing, &plan, &Vanished::Keep, &take);
    placed.unwrap();
    assert!(!outside.exists());
}

#[test]
fn contents_that_were_begun_are_cleared_once_no_revision_wants_them() {
    let env = DirectoryEnv::new();
    env.sync(&first(), Vanished::Keep).1.unwrap();
    let before = tree(env.dir.root());
    let next = commit('b', &[("a.bin", "abandoned"), ("b.bin", "half")]);
    let plan = env.plan(&next).unwrap();
    let key = FetchKey {
        revision: Revision::main(),
        is_by_hand: false,
    };
    env.dir.begin(&key, &plan).unwrap();
    env.fetch(&next, &plan);
    let half = &next.listing.files[1].content;
    fs::rename(env.dir.stored(half), env.partial(half)).unwrap();
    // Of another program, by the same form of name.
    let foreign = env.partial(&ContentId::Sha256([7; 32]));
    fs::write(&foreign, "theirs").unwrap();
    let clear = || {
        let owned = ownership_in_directory(env.dir.root(), &home("test"), NOW.parse().unwrap());
        env.dir.clear_stored(&owned.unwrap()).unwrap();
    };
    clear();
    assert!(env.partial(half).exists(), "it may be continued");
    let records = HomeFolder::in_directory(env.dir.root(), &home("test"));
    records.change_begun(|begun| begun.end(&key, None)).unwrap();
    clear();
    assert!(foreign.exists());
    fs::remove_file(&foreign).unwrap();
    let left: Vec<String> = tree(env.dir.root());
    let left = left.into_iter().filter(|name| !name.contains("/homes/"));
    assert_eq!(left.collect::<Vec<_>>(), before);
}

#[test]
fn a_repository_file_among_the_notes_is_refused() {
    let env = DirectoryEnv::new();
    let hostile = commit('a', &[(".cache/huggingface/download/x.metadata", "lies")]);
    assert!(matches!(env.plan(&hostile), Err(PlanError::Placement(_))));
}

#[cfg(unix)]
#[test]
fn no_write_and_no_deletion_follows_a_link_out_of_the_directory() {
    use std::os::unix::fs::symlink;
    let env = DirectoryEnv::new();
    let outside = tempfile::tempdir().unwrap();
    symlink(outside.path(), env.dir.root().join("sub")).unwrap();
    assert!(env.sync(&first(), Vanished::Keep).1.is_err());
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);

    // A link in place of the file itself is replaced, not followed.
    fs::remove_file(env.dir.root().join("sub")).unwrap();
    let victim = outside.path().join("victim");
    fs::write(&victim, "{}").unwrap();
    fs::remove_file(env.dir.root().join("config.json")).unwrap();
    symlink(&victim, env.dir.root().join("config.json")).unwrap();
    env.sync(&first(), Vanished::Keep).1.unwrap();
    assert!(!env.dir.root().join("config.json").is_symlink());
    assert_eq!(fs::read_to_string(&victim).unwrap(), "{}");

    // A folder that became a link out since it was written.
    fs::rename(env.dir.root().join("sub"), outside.path().join("sub")).unwrap();
    symlink(outside.path().join("sub"), env.dir.root().join("sub")).unwrap();
    let second = commit('b', &[("config.json", "{}")]);
    env.sync(&second, Vanished::Delete(Default::default()))
        .1
        .unwrap();
    assert!(outside.path().join("sub/model.bin").exists());
}

#[cfg(unix)]
#[test]
fn a_folder_of_notes_that_leads_out_is_refused() {
    let temporary = tempfile::tempdir().unwrap();
    let outside = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(outside.path(), temporary.path().join(".cache")).unwrap();
    assert!(LocalDir::open(temporary.path()).is_err());
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
}
