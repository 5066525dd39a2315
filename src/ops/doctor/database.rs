//! The database: its integrity, its version and its journal.

use super::Mending;
use super::check_result::CheckResult;
use crate::domain::scrub::ScrubState;
use crate::domain::settings::Settings;
use crate::domain::time::Timestamp;
use crate::domain::units::ByteSize;
use crate::ops::adopt::{changed_files, forget_changed};
use crate::store::{Journal, Store};
use crate::sys::paths::Home;

/// The number of lines about damage that are shown.
const MOST_LINES: usize = 5;

/// Opens the database and checks all of it; only mending writes to it.
pub(super) fn open(
    home: &Home,
    now: Timestamp,
    mending: Mending,
    found: &mut Vec<CheckResult>,
) -> Option<Store> {
    let path = home.database();
    // An error here comes again, with its details, when the database is opened.
    if !path.try_exists().unwrap_or(true) {
        found.push(CheckResult::skipped(
            "database",
            "there is none yet; `hfdl models add` makes it",
        ));
        return None;
    }
    let opened = match mending {
        Mending::LookOnly => Store::open_read_only(&path, now),
        // Opening for writing migrates an older database.
        Mending::Mend => Store::open(&path, now),
    };
    let store = match opened {
        Ok(store) => store,
        Err(err) => {
            let what = format!("`{}` cannot be used", path.display());
            found.push(CheckResult::of_error("database", what, &err));
            return None;
        }
    };
    found.push(integrity(&store));
    found.extend(bad_rows(&store, now));
    found.push(journal(store.journal()));
    Some(store)
}

fn integrity(store: &Store) -> CheckResult {
    match store.check_integrity() {
        Ok(wrong) if wrong.is_empty() => {
            CheckResult::ok("database", "every page and reference is whole")
        }
        Ok(mut wrong) => {
            wrong.truncate(MOST_LINES);
            let wrong = wrong.join("; ").replace("*** in database main ***\n", "");
            let damage = store.damaged(format!("SQLite's own check reports `{wrong}`"));
            CheckResult::of_error("database", "it is damaged", &damage.into())
        }
        Err(err) => CheckResult::of_error("database", "it cannot be read", &err.into()),
    }
}

/// Names rows that cannot be read although every page is whole.
fn bad_rows(store: &Store, now: Timestamp) -> Option<CheckResult> {
    match store.read_all_tables(now).map(|()| store.bad_rows()) {
        Ok(rows) if rows.is_empty() => None,
        Ok(mut rows) => {
            rows.truncate(MOST_LINES);
            Some(
                CheckResult::fail("database", "some rows mean nothing and are passed over")
                    .why(rows.join("; "))
                    .next("remove these entries and add them anew, or restore a backup"),
            )
        }
        Err(err) => Some(CheckResult::of_error(
            "database",
            "it cannot be read",
            &err.into(),
        )),
    }
}

/// Counts the adopted files, and forgets those that are of no use.
pub(super) fn adopted(store: &Store, mending: Mending) -> Option<CheckResult> {
    let look = || -> anyhow::Result<Option<CheckResult>> {
        let (all, changed) = (store.adopted_amount()?, changed_files(store)?.len());
        if all.files == 0 {
            return Ok(None);
        }
        let size = ByteSize(all.bytes).render_short();
        let counted = format!("adopted files: {} ({size})", all.files);
        if changed == 0 {
            return Ok(Some(CheckResult::ok("adopted", counted)));
        }
        let found = format!("{counted}, {changed} of them changed or gone");
        let found = CheckResult::ok("adopted", found);
        if mending == Mending::Mend {
            let n_forgotten = forget_changed(store)?;
            return Ok(Some(found.mended(format!("forgot {n_forgotten} of them"))));
        }
        Ok(Some(found.next("`hfdl prune` forgets these")))
    };
    look().unwrap_or_else(|err| {
        let what = "the adopted files cannot be looked at";
        Some(CheckResult::of_error("adopted", what, &err))
    })
}

/// Tells whether published files are read again in time; `None` before the first scrub.
pub(super) fn scrub(store: &Store, settings: &Settings, now: Timestamp) -> Option<CheckResult> {
    const CHECK: &str = "read-again";
    let state = match store.scrubs() {
        Ok(scrubs) => ScrubState::new(settings.verify_every(), &scrubs),
        Err(err) => return Some(CheckResult::of_error(CHECK, "cannot be read", &err.into())),
    };
    let what = state.describe(now)?;
    Some(match state.is_kept(now) {
        None => CheckResult::skipped(CHECK, what),
        Some(true) => CheckResult::ok(CHECK, what),
        Some(false) => CheckResult::warn(CHECK, what)
            .why("damage on disk may stay unnoticed for longer")
            .next("raise `verify.budget` or widen the windows; a new home needs some nights"),
    })
}

fn journal(journal: Journal) -> CheckResult {
    match journal {
        Journal::Wal => CheckResult::ok("journal", "others can read while a run writes"),
        Journal::Rollback => CheckResult::warn("journal", "others wait while a run writes")
            .why("the file system gives no shared memory, as network mounts do not")
            .next("if that is in the way, keep the home on a local disk: `--home DIR`"),
    }
}
