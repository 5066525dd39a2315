//! The directories that runs write to: the home, the cache and destinations.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use anyhow::Result;

use super::abilities::{Symlinks, judge, try_out};
use super::check_result::CheckResult;
use super::{Mending, ago};
use crate::domain::deletion::HomeIdentity;
use crate::domain::model::Destination;
use crate::domain::settings::Settings;
use crate::domain::time::Timestamp;
use crate::domain::units::ByteSize;
use crate::ops::ownership;
use crate::ops::places::{Examined, Places, confirm};
use crate::store::{ModelFilter, Store};
use crate::sys::disk::space_at;
use crate::sys::fs::{create_private_dir, make_private, modes_for_others};
use crate::sys::host::Host;
use crate::sys::paths::Home;

/// The space that the database and the logs of a run need.
const HOME_RESERVE: ByteSize = ByteSize(64 << 20);

/// Checks that the home is writable, and private.
pub(super) fn home(home: &Home, mending: Mending) -> Vec<CheckResult> {
    let path = home.path();
    let mut found = Vec::new();
    match path.try_exists() {
        Ok(true) => {}
        Ok(false) if mending == Mending::Mend => match create_private_dir(path) {
            Ok(()) => found.push(
                CheckResult::ok("home", format!("`{}` is there now", path.display()))
                    .mended("made the directory"),
            ),
            Err(err) => return vec![unwritable("home", path, &err)],
        },
        Ok(false) => {
            let above = path.ancestors().find(|above| above.exists());
            let above = above.unwrap_or(Path::new("/"));
            return vec![match try_out(above) {
                Ok(_) => CheckResult::skipped(
                    "home",
                    format!(
                        "`{}` is not there yet; the first command that saves something makes it",
                        path.display()
                    ),
                ),
                Err(err) => unwritable("home", above, &err),
            }];
        }
        Err(err) => return vec![unwritable("home", path, &err)],
    }
    match try_out(path) {
        Ok(abilities) => found.push(judge("home", path, &abilities, Symlinks::NotNeeded)),
        Err(err) => return vec![unwritable("home", path, &err)],
    }
    found.push(private(home, mending));
    found.extend(leftovers(home, mending));
    found
}

/// Names homes whose claims in the folders of this home's repositories have ended.
pub(super) fn other_homes(
    host: &Host,
    home: &Home,
    settings: &Settings,
    store: &Store,
    now: Timestamp,
) -> Result<Vec<CheckResult>> {
    let cache = ownership::cache_of(settings, &ownership::identity(host, home, store)?);
    let mut outdated = BTreeMap::new();
    for model in store.readable_models(&ModelFilter::default())? {
        if model.spec.destination == Destination::Cache {
            let found = ownership::ownership_of(store, &cache, &model.spec.repo, now)?;
            outdated.extend(found.outdated.into_iter().map(|it| (it.id.clone(), it)));
        }
    }
    let tell = |other: &HomeIdentity| {
        CheckResult::warn(
            "other-homes",
            format!(
                "the hfdl home `{}` on `{}` was last seen {}; its claims do not count any more",
                other.path,
                other.host,
                ago(other.seen_at, now)
            ),
        )
        .why("claims in a shared cache end 90 days after their home was last seen")
        .next("if that home is still in use, run hfdl there once")
    };
    Ok(outdated.values().map(tell).collect())
}

fn unwritable(check: &'static str, path: &Path, err: &io::Error) -> CheckResult {
    let full = matches!(
        err.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    );
    CheckResult::fail(
        check,
        format!("nothing can be written to `{}`", path.display()),
    )
    .why(err.to_string())
    .next(if full {
        "free space there"
    } else {
        "make it writable for this user, or use another place"
    })
}

/// Checks that neither directory nor database is open to others.
fn private(home: &Home, mending: Mending) -> CheckResult {
    let mut open = Vec::new();
    for path in [home.path().to_path_buf(), home.database()] {
        match modes_for_others(&path) {
            Ok(Some(mode)) if mode != 0 => open.push(path),
            Ok(_) => {}
            Err(err) if err.kind() == io::ErrorKind::NotFound => {}
            Err(err) => {
                return CheckResult::fail(
                    "privacy",
                    format!("cannot look at `{}`", path.display()),
                )
                .why(err.to_string());
            }
        }
    }
    if open.is_empty() {
        return CheckResult::ok(
            "privacy",
            "directory and database are for their owner alone",
        );
    }
    let names: Vec<String> = open
        .iter()
        .map(|path| format!("`{}`", path.display()))
        .collect();
    let names = names.join(" and ");
    if mending == Mending::LookOnly {
        return CheckResult::warn("privacy", format!("others can open {names}"))
            .why("the database names private repositories, and settings may hold secrets")
            .next("`hfdl doctor --fix` closes it");
    }
    match open.iter().try_for_each(|path| make_private(path)) {
        Ok(()) => CheckResult::ok(
            "privacy",
            "directory and database are for their owner alone",
        )
        .mended(format!("closed {names} to others")),
        Err(err) => CheckResult::warn("privacy", format!("others can open {names}"))
            .why(format!("it cannot be closed: {err}"))
            .next("close it as the owner, with `chmod go=`"),
    }
}

/// Finds incomplete copies of the database that a crash left; recent ones may be in use.
fn leftovers(home: &Home, mending: Mending) -> Option<CheckResult> {
    let left = home.leftovers();
    let (first, n_files) = (left.first()?, left.len());
    let what = format!(
        "{n_files} unfinished copies of the database, such as `{}`",
        first.display()
    );
    if mending == Mending::LookOnly {
        let result = CheckResult::warn("leftovers", what);
        return Some(
            result
                .why("a process was killed while it made them")
                .next("`hfdl doctor --fix` removes them"),
        );
    }
    Some(match left.iter().try_for_each(std::fs::remove_file) {
        Ok(()) => CheckResult::ok("leftovers", "none").mended(format!("removed {what}")),
        Err(err) => CheckResult::warn("leftovers", what).why(err.to_string()),
    })
}

/// Checks that each place of the registered models is the one that they were
/// published in. With `--fix` a person confirms a new one.
pub(super) fn known(
    store: Option<&Store>,
    settings: &Settings,
    now: Timestamp,
    mending: Mending,
) -> Vec<CheckResult> {
    let Some(store) = store else {
        return Vec::new();
    };
    let examined = match Places::load(store, settings) {
        Ok(places) => places.examine(),
        Err(err) => {
            return vec![CheckResult::of_error(
                "place",
                "places cannot be read",
                &err,
            )];
        }
    };
    let judge = |place: &Examined| {
        let error = match &place.result {
            Ok(()) => return place_result(place),
            Err(error) => error,
        };
        let failed = CheckResult::fail("place", error.to_string());
        if mending == Mending::LookOnly {
            return failed
                .why("its disk may not be mounted; nothing is written there before that is clear")
                .next(error.hint());
        }
        let only = BTreeSet::from([place.destination.clone()]);
        match confirm(store, settings, Some(&only), now) {
            Ok(_) => CheckResult::ok("place", format!("`{}` begins anew", place.path.display()))
                .mended(format!("confirmed it, although {error}")),
            Err(err) => failed.why(format!("it cannot be confirmed: {err:#}")),
        }
    };
    examined.iter().map(judge).collect()
}

/// Names a place with its file system, its mark and its free space.
fn place_result(place: &Examined) -> CheckResult {
    let mut what = format!("`{}`", place.path.display());
    if let Some(file_system) = &place.file_system {
        what.push_str(&format!(" on {file_system}"));
    }
    match &place.mark {
        Some(mark) => what.push_str(&format!(", mark {}", mark.get(..8).unwrap_or(mark))),
        None => what.push_str(", without a mark: the next run that uses it writes one"),
    }
    let existing = place.path.ancestors().find(|path| path.exists());
    let space = existing.and_then(|path| space_at(path).ok());
    if let Some(n_bytes) = space.and_then(|space| space.free_bytes) {
        what.push_str(&format!(", {} free", ByteSize(n_bytes).render_short()));
    }
    CheckResult::ok("place", what)
}

/// Checks the cache, or the folder above one that does not exist yet.
pub(super) fn cache(host: &Host, settings: &Settings, mending: Mending) -> Vec<CheckResult> {
    let path = Path::new(settings.cache_dir());
    if settings.cache_dir().is_empty() {
        return vec![
            CheckResult::fail("cache", "there is no place for the cache")
                .why("no home directory is known")
                .next("set `cache.dir`: `hfdl config set cache.dir DIR`"),
        ];
    }
    let mut made = None;
    if mending == Mending::Mend && !path.exists() && std::fs::create_dir_all(path).is_ok() {
        made = Some(format!("made `{}`", path.display()));
    }
    let existing = path.ancestors().find(|path| path.exists());
    let existing = existing.unwrap_or(Path::new("/"));
    let symlinks = if host.is_on("HF_HUB_DISABLE_SYMLINKS") {
        Symlinks::SwitchedOff
    } else {
        Symlinks::Wanted
    };
    let result = match try_out(existing) {
        Ok(abilities) => judge("cache", existing, &abilities, symlinks),
        Err(err) => unwritable("cache", existing, &err),
    };
    vec![CheckResult {
        mended: made,
        ..result
    }]
}

/// Compares the free space with the reserve.
pub(super) fn space(home: &Home, settings: &Settings) -> Vec<CheckResult> {
    let cache = PathBuf::from(settings.cache_dir());
    let reserve = settings.disk_reserve();
    let mut found = Vec::new();
    if !settings.cache_dir().is_empty() {
        found.push(free_at("disk", &cache, reserve, "`disk.reserve`"));
    }
    let least = reserve.min(HOME_RESERVE);
    found.push(free_at(
        "disk-home",
        home.path(),
        least,
        "what the database and logs need",
    ));
    found
}

fn free_at(check: &'static str, path: &Path, reserve: ByteSize, whose: &str) -> CheckResult {
    let place = format!("`{}`", path.display());
    let space = path.ancestors().find_map(|folder| space_at(folder).ok());
    let Some(space) = space else {
        return CheckResult::fail(check, format!("cannot tell how much is free at {place}"));
    };
    let Some(free) = space.free_bytes.map(ByteSize) else {
        let what = format!("the file system of {place} does not tell how much is free");
        return CheckResult::ok(check, what);
    };
    let what = format!("{} free at {place}", free.render_short());
    if free < reserve {
        return CheckResult::fail(check, what)
            .why(format!("{whose} is {}", reserve.render_short()))
            .next("free space there; `hfdl config set disk.reserve` changes how much stays free");
    }
    if space.free_files.is_some_and(|n_files| n_files < 1_000) {
        return CheckResult::fail(
            check,
            format!("almost no file can be made any more at {place}"),
        )
        .why("the file system has run out of inodes")
        .next("delete small files there");
    }
    CheckResult::ok(check, what)
}
