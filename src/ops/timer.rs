//! The timer entry of a home: what it is to say, and that it is there once.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::timer_places::{database_id, places_of_tick};
use super::timer_record::TimerRecord;
use crate::domain::settings::{SettingKey, Settings};
use crate::domain::status::TimerFacts as Standing;
use crate::domain::time::Timestamp;
use crate::domain::timer::TimerKind;
use crate::domain::units::Seconds;
use crate::store::{MetaKey, Store};
use crate::sys::host::Host;
use crate::sys::paths::{self, Home};
use crate::sys::program;
use crate::timer::{self, Surroundings, Tick, TimerBackend, TimerId, TimerSpec, WATCHED};

pub use crate::timer::{Encoding, Gap, Refusal, Step, render_steps};

/// The variables that may hold a token.
const TOKEN_VARIABLES: [&str; 2] = ["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"];

/// What was asked for on the command line.
#[derive(Clone, Debug, Default)]
pub struct Wish {
    pub every: Option<Seconds>,
    /// `None`: what is installed, or else the best that the machine has.
    pub kind: Option<TimerKind>,
    /// `NAME` or `NAME=VALUE`; none: as before.
    pub variables: Vec<String>,
}

/// A home and what belongs to it.
#[derive(Clone, Copy)]
pub struct Place<'a> {
    pub host: &'a Host,
    pub home: &'a Home,
    pub settings: &'a Settings,
}

/// An entry that is decided on and not yet installed.
pub struct Draft<'a> {
    place: Place<'a>,
    pub spec: TimerSpec,
    backend: Box<dyn TimerBackend + 'a>,
    former: Option<TimerRecord>,
    pub gaps: Vec<Gap>,
    pub warnings: Vec<String>,
}

/// What a start did.
#[derive(Clone, Debug)]
pub struct Started {
    pub has_changed: bool,
    /// Entries that this one replaced: of other back-ends, or of the place
    /// where the home was before.
    pub replaced: Vec<TimerKind>,
    pub warnings: Vec<String>,
}

/// What is known of the timer without waiting for a tick.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TimerFacts {
    pub installed: bool,
    pub backend: Option<TimerKind>,
    pub every: Option<Seconds>,
    /// Whether the entry is, to the byte, what `start` would write now.
    pub is_current: bool,
    /// The file, or the crontab's lines.
    pub entry: Option<String>,
    /// Why it does not fire, or why nothing could be learnt.
    pub last_problem: Option<String>,
    /// Why it may not fire, which is a guess.
    pub doubt: Option<String>,
    /// Nothing could be learnt, and this is what to do about it, where that is known.
    pub unknown: Option<Unknown>,
}

/// An entry that cannot be looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unknown {
    pub next: Option<String>,
}

/// Decides what the entry says. Writes nothing.
pub fn draft<'a>(place: Place<'a>, store: Option<&Store>, wish: &Wish) -> Result<Draft<'a>> {
    let former = store.map(TimerRecord::load).transpose()?.flatten();
    let mut spec = base_spec(place, store)?;
    let every = wish.every.unwrap_or(place.settings.timer_every());
    spec.tick = tick(place, store, every)?;
    spec.variables = match (&former, wish.variables.is_empty()) {
        (Some(former), true) => former.variables.clone(),
        _ => variables(place.host, &wish.variables)?,
    };
    spec.check()?;
    let backend = choose(place, wish.kind, former.as_ref())?;
    let gaps = timer::gaps(&surroundings(place, store, backend.kind(), &spec)?);
    let warnings: Vec<String> = passing_place(Path::new(&spec.program))
        .into_iter()
        .collect();
    Ok(Draft {
        place,
        spec,
        backend,
        former,
        gaps,
        warnings,
    })
}

impl Draft<'_> {
    pub fn kind(&self) -> TimerKind {
        self.backend.kind()
    }

    /// Returns what would be written and run.
    pub fn steps(&self) -> Result<Vec<Step>> {
        self.backend.plan(&self.spec)
    }

    /// Installs the entry, and removes those that it replaces.
    pub fn install(
        &self,
        store: &Store,
        now: Timestamp,
        every: Option<Seconds>,
    ) -> Result<Started> {
        // Before the first tick, which must not fill the wrong cache.
        for gap in &self.gaps {
            if let Gap::Save { key, value, .. } = gap {
                store.set_setting(key.as_str(), value, now)?;
            }
        }
        let has_changed = self.backend.install(&self.spec)?;
        if let Some(every) = every {
            // What `start` without `--every` would write must be the same.
            store.set_setting(SettingKey::TimerEvery.as_str(), &every.to_string(), now)?;
        }
        let former = self.former.as_ref().and_then(|former| former.since);
        let since = former.filter(|_| !has_changed).unwrap_or(now);
        let places = places_of_tick(store, self.place.settings)?;
        TimerRecord::new(self.kind(), &self.spec, places, since).save(store)?;
        let replaced = self.remove_replaced()?;
        Ok(Started {
            has_changed,
            replaced,
            warnings: self.backend.warnings(),
        })
    }

    fn remove_replaced(&self) -> Result<Vec<TimerKind>> {
        let Place { host, home, .. } = self.place;
        let mut replaced = Vec::new();
        let Some(former) = &self.former else {
            return Ok(replaced);
        };
        let is_replaced = if former.id == self.spec.id {
            former.kind != self.kind()
        } else {
            // A home that was copied leaves the original, and its entry, in place.
            !Path::new(&former.home).join("hfdl.db").exists()
        };
        if is_replaced && timer::of_kind(former.kind, host, home.path()).remove(&former.id)? {
            replaced.push(former.kind);
        }
        Ok(replaced)
    }
}

/// Removes the entry of a home from every back-end; returns where it was, and
/// what kept others from being looked at.
pub fn remove(
    host: &Host,
    home: &Home,
    store: Option<&Store>,
) -> Result<(Vec<TimerKind>, Vec<String>)> {
    let record = store.map(TimerRecord::load).transpose()?.flatten();
    let own = TimerId::of(&paths::resolved(home.path()));
    let (mut removed, mut warnings) = (Vec::new(), Vec::new());
    for backend in timer::all(host, home.path()) {
        let is_meant = record.as_ref().is_some_and(|r| r.kind == backend.kind());
        let moved_from = record
            .as_ref()
            .filter(|record| is_meant && record.id != own && !Path::new(&record.home).exists());
        let ids = [Some(&own), moved_from.map(|record| &record.id)];
        for id in ids.into_iter().flatten() {
            match backend.remove(id) {
                Ok(true) => removed.push(backend.kind()),
                Ok(false) => {}
                Err(err) if is_meant => return Err(err),
                Err(err) => warnings.push(format!("{err:#}")),
            }
        }
    }
    if let Some(store) = store {
        store.clear_meta(MetaKey::TimerEntry)?;
    }
    removed.dedup();
    Ok((removed, warnings))
}

/// Looks at the entry of a home. Never fails: what cannot be learnt is a problem.
pub fn facts(place: Place<'_>, store: Option<&Store>) -> TimerFacts {
    look(place, store).unwrap_or_else(|err| {
        let record = store.and_then(|store| TimerRecord::load(store).ok().flatten());
        let refusal = err.downcast_ref::<Refusal>();
        TimerFacts {
            backend: record.as_ref().map(|record| record.kind),
            every: record.map(|record| record.every),
            last_problem: Some(format!("{err:#}")),
            unknown: Some(Unknown {
                next: refusal.and_then(|refusal| refusal.next.clone()),
            }),
            ..TimerFacts::default()
        }
    })
}

/// Returns what `status` tells of the timer; `None` where `start` never made one.
pub fn standing(place: Place<'_>, store: &Store) -> Result<Option<Standing>> {
    let Some(record) = TimerRecord::load(store)? else {
        return Ok(None);
    };
    let facts = facts(place, Some(store));
    let drift = || match facts.installed && facts.is_current {
        true => None,
        false => Some(
            "it is from another version, or the program, its home or the interval has changed"
                .to_owned(),
        ),
    };
    Ok(Some(Standing {
        // One that was removed by hand is missed all the same.
        installed: true,
        backend: record.kind.to_string(),
        every: record.every,
        since: record.since,
        drift: facts.last_problem.clone().or_else(drift),
        doubt: facts.doubt.clone(),
    }))
}

fn look(place: Place<'_>, store: Option<&Store>) -> Result<TimerFacts> {
    let Place {
        host,
        home,
        settings,
    } = place;
    let record = store.map(TimerRecord::load).transpose()?.flatten();
    let mut spec = base_spec(place, store)?;
    spec.tick = tick(place, store, settings.timer_every())?;
    if let Some(record) = &record {
        spec.variables.clone_from(&record.variables);
    }
    let mut backends = timer::all(host, home.path());
    if let Some(record) = &record {
        backends.retain(|backend| backend.kind() == record.kind);
    }
    for backend in backends {
        let entry = match backend.look(&spec) {
            // A back-end that is not known to be used need not be readable.
            Err(_) if record.is_none() => None,
            found => found?,
        };
        if let Some(entry) = entry {
            return Ok(TimerFacts {
                installed: true,
                backend: Some(backend.kind()),
                every: record.map(|record| record.every),
                is_current: entry.is_current,
                entry: Some(entry.place),
                last_problem: entry.problem,
                doubt: entry.doubt,
                unknown: None,
            });
        }
    }
    let Some(record) = record else {
        return Ok(TimerFacts::default());
    };
    let problem = if record.id == spec.id {
        "the entry has been removed by hand; `hfdl start` puts it back".to_owned()
    } else {
        format!(
            "the entry is that of `{}`, from where this directory was moved or copied; `hfdl start` makes one for here",
            record.home
        )
    };
    Ok(TimerFacts {
        backend: Some(record.kind),
        every: Some(record.every),
        last_problem: Some(problem),
        ..TimerFacts::default()
    })
}

/// Returns the specification but for its minutes and variables.
fn base_spec(place: Place<'_>, store: Option<&Store>) -> Result<TimerSpec> {
    let Place {
        host,
        home,
        settings,
    } = place;
    Ok(TimerSpec {
        id: TimerId::of(&paths::resolved(home.path())),
        program: utf8(program::path(host)?)?,
        home: utf8(home.path().to_path_buf())?,
        database: store.map(database_id).transpose()?,
        tick: tick(place, store, settings.timer_every())?,
        variables: Vec::new(),
    })
}

fn tick(place: Place<'_>, store: Option<&Store>, every: Seconds) -> Result<Tick> {
    let seed = match store {
        Some(store) => match store.meta(MetaKey::TimerSeed)? {
            Some(seed) => seed,
            None => store.install_id()?.to_string(),
        },
        None => seed_of_new_home(place.home),
    };
    Ok(Tick::new(every, &seed, &place.host.name()))
}

fn seed_of_new_home(home: &Home) -> String {
    paths::resolved(home.path()).to_string_lossy().into_owned()
}

/// Keeps the minutes that a dry run without a database has shown.
pub fn keep_minutes_of_new_home(home: &Home, store: &Store) -> Result<()> {
    Ok(store.set_meta(MetaKey::TimerSeed, &seed_of_new_home(home))?)
}

fn utf8(path: PathBuf) -> Result<String> {
    path.into_os_string().into_string().map_err(|path| {
        let why = format!("`{}` is not UTF-8, and an entry must be", path.display());
        Refusal::asked(why)
            .next("make a link with a plain name to it and use that")
            .into()
    })
}

fn choose<'a>(
    place: Place<'a>,
    wish: Option<TimerKind>,
    former: Option<&TimerRecord>,
) -> Result<Box<dyn TimerBackend + 'a>> {
    let Place { host, home, .. } = place;
    if let Some(kind) = wish {
        return Ok(timer::of_kind(kind, host, home.path()));
    }
    // What is installed stays where it is, so that nothing fires twice.
    if let Some(former) = former {
        let backend = timer::of_kind(former.kind, host, home.path());
        if backend.is_there() {
            return Ok(backend);
        }
    }
    timer::choose(timer::all(host, home.path())).context("cannot find a timer to install to")
}

/// Finds the values of the variables that were asked for.
fn variables(host: &Host, wished: &[String]) -> Result<Vec<(String, String)>> {
    let mut found = BTreeMap::new();
    for word in wished {
        let (name, value) = match word.split_once('=') {
            Some((name, value)) => (name, value.to_owned()),
            None => match host.variable(word) {
                Some(value) => (word.as_str(), value.to_owned()),
                None => {
                    let why =
                        format!("`{word}` is not set here, so there is no value to take along");
                    let next = format!("write `--env {word}=VALUE`");
                    return Err(Refusal::asked(why).next(next).into());
                }
            },
        };
        timer::check_variable(name, &value)?;
        found.insert(name.to_owned(), value);
    }
    Ok(found.into_iter().collect())
}

fn surroundings<'a>(
    place: Place<'a>,
    store: Option<&Store>,
    kind: TimerKind,
    spec: &TimerSpec,
) -> Result<Surroundings<'a>> {
    let Place { host, settings, .. } = place;
    let watched = WATCHED
        .iter()
        .filter_map(|name| Some((*name, host.variable(name)?.to_owned())));
    let saved = match store {
        Some(store) => store.settings()?,
        None => Vec::new(),
    };
    let saved = saved
        .into_iter()
        .filter_map(|setting| Some((SettingKey::find(&setting.key).ok()?, setting.value)));
    let zone = host.variable("TZ").and_then(|_| host.time_zone_name());
    Ok(Surroundings {
        kind,
        variables: watched.collect(),
        carried: spec
            .variables
            .iter()
            .map(|(name, _)| name.clone())
            .collect(),
        settings,
        saved: saved.collect(),
        token_variable: TOKEN_VARIABLES
            .into_iter()
            .find(|name| host.variable(name).is_some()),
        finds_token_file: token_file(host, |name| host.variable(name))?.is_file(),
        tick_finds_token_file: token_file(host, |name| {
            let carried = spec.variables.iter().find(|(carried, _)| carried == name);
            carried.map(|(_, value)| value.as_str())
        })?
        .is_file(),
        other_zone: zone.filter(|zone| {
            let plain = |name: &str| name.trim_start_matches("Etc/").to_owned();
            let system = host.system_zone_name();
            system.is_some_and(|system| plain(&system) != plain(zone))
        }),
    })
}

/// Returns where a token file is looked for, given a way to look variables up.
fn token_file<'a>(host: &Host, variable: impl Fn(&str) -> Option<&'a str>) -> Result<PathBuf> {
    if let Some(path) = variable("HF_TOKEN_PATH") {
        return paths::expand(host, path);
    }
    let home = match (variable("HF_HOME"), variable("XDG_CACHE_HOME")) {
        (Some(path), _) => paths::expand(host, path)?,
        (None, Some(path)) => paths::expand(host, path)?.join("huggingface"),
        (None, None) => paths::user_home(host)?.join(".cache/huggingface"),
    };
    Ok(home.join("token"))
}

/// Says that a program lies where it will not stay.
fn passing_place(program: &Path) -> Option<String> {
    let parts: Vec<&str> = program.iter().filter_map(|part| part.to_str()).collect();
    let is_build =
        parts.contains(&"target") && parts.iter().any(|p| matches!(*p, "debug" | "release"));
    let is_temporary = program.starts_with("/tmp")
        || program.starts_with("/var/tmp")
        || program.starts_with("/private/var/folders")
        || parts.windows(2).any(|pair| pair == ["Local", "Temp"]);
    let what = match (is_build, is_temporary) {
        (true, _) => "a build directory",
        (_, true) => "a temporary directory",
        _ => return None,
    };
    Some(format!(
        "`{}` lies in {what}: when it goes, the timer starts nothing; install hfdl and run `hfdl start` again",
        program.display()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_that_do_not_last_are_recognised() {
        for path in [
            "/home/me/hfdl/target/release/hfdl",
            "/home/me/hfdl/target/x86_64-unknown-linux-gnu/debug/hfdl",
            "/tmp/hfdl",
            "/private/var/folders/ab/T/hfdl",
        ] {
            assert!(passing_place(Path::new(path)).is_some(), "{path}");
        }
        for path in [
            "/usr/bin/hfdl",
            "/home/me/.cargo/bin/hfdl",
            "/srv/target/hfdl",
            "/opt/tmp/hfdl",
        ] {
            assert_eq!(passing_place(Path::new(path)), None, "{path}");
        }
    }
}
