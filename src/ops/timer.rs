//! Installation, removal and state of the timer entry of a home.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::timer_places::{database_id, places_of_tick};
use super::timer_record::TimerRecord;
use crate::domain::settings::{SettingKey, Settings};
use crate::domain::status::TimerFacts;
use crate::domain::time::Timestamp;
use crate::domain::timer::TimerKind;
use crate::domain::units::Seconds;
use crate::store::{MetaKey, Store};
use crate::sys::host::Host;
use crate::sys::paths::{self, Home};
use crate::sys::program;
use crate::timer::{self, TickEnvironment, TickTimes, TimerBackend, TimerId, TimerSpec, WATCHED};

pub use crate::timer::{Encoding, Gap, InstallStep, TimerRefusal, render_steps};

/// The variables that may contain a token.
const TOKEN_VARIABLES: [&str; 2] = ["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"];

/// The request on the command line.
#[derive(Clone, Debug, Default)]
pub struct TimerRequest {
    pub every: Option<Seconds>,
    /// `None`: the installed back-end, or else the preferred one.
    pub kind: Option<TimerKind>,
    /// `NAME` or `NAME=VALUE`; empty: unchanged.
    pub variables: Vec<String>,
}

/// A home with its host and settings.
#[derive(Clone, Copy)]
pub struct HomeContext<'a> {
    pub host: &'a Host,
    pub home: &'a Home,
    pub settings: &'a Settings,
}

/// An entry that is planned and not yet installed.
pub struct PlannedEntry<'a> {
    context: HomeContext<'a>,
    pub spec: TimerSpec,
    backend: Box<dyn TimerBackend + 'a>,
    former: Option<TimerRecord>,
    pub gaps: Vec<Gap>,
    pub warnings: Vec<String>,
}

/// The result of an installation.
#[derive(Clone, Debug)]
pub struct Started {
    pub has_changed: bool,
    /// Back-ends whose entry was replaced, or in which the home had an entry at its
    /// former path.
    pub replaced: Vec<TimerKind>,
    pub warnings: Vec<String>,
}

/// The state of the timer, independent of ticks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TimerState {
    pub installed: bool,
    pub backend: Option<TimerKind>,
    pub every: Option<Seconds>,
    /// The entry is byte for byte the one that `start` would write now.
    pub is_current: bool,
    /// The path of the file, or the lines of the crontab.
    pub entry: Option<String>,
    /// The reason why it does not fire, or why its state is unknown.
    pub last_problem: Option<String>,
    /// A possible reason why it may not fire.
    pub doubt: Option<String>,
    /// Set if the state is unknown.
    pub unknown: Option<Unknown>,
}

/// An entry that could not be inspected, and the next step, where one is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unknown {
    pub next: Option<String>,
}

/// Plans the entry. Writes nothing.
pub fn plan_entry<'a>(
    context: HomeContext<'a>,
    store: Option<&Store>,
    request: &TimerRequest,
) -> Result<PlannedEntry<'a>> {
    let former = store.map(TimerRecord::load).transpose()?.flatten();
    let mut spec = base_spec(context, store)?;
    let every = request.every.unwrap_or(context.settings.timer_every());
    spec.tick = tick(context, store, every)?;
    spec.variables = match (&former, request.variables.is_empty()) {
        (Some(former), true) => former.variables.clone(),
        _ => variables(context.host, &request.variables)?,
    };
    spec.check()?;
    let backend = choose(context, request.kind, former.as_ref())?;
    let gaps = timer::gaps(&tick_environment(context, store, backend.kind(), &spec)?);
    let warnings: Vec<String> = temporary_location(Path::new(&spec.program))
        .into_iter()
        .collect();
    Ok(PlannedEntry {
        context,
        spec,
        backend,
        former,
        gaps,
        warnings,
    })
}

impl PlannedEntry<'_> {
    pub fn kind(&self) -> TimerKind {
        self.backend.kind()
    }

    /// Returns the steps of the installation.
    pub fn steps(&self) -> Result<Vec<InstallStep>> {
        self.backend.plan(&self.spec)
    }

    /// Installs the entry and removes those that it replaces.
    pub fn install(
        &self,
        store: &Store,
        now: Timestamp,
        every: Option<Seconds>,
    ) -> Result<Started> {
        // Saved before the first tick, which must not fill the wrong cache.
        for gap in &self.gaps {
            if let Gap::Save { key, value, .. } = gap {
                store.set_setting(key.as_str(), value, now)?;
            }
        }
        let seed = minutes_seed(self.context.home, Some(store))?;
        let has_changed = self.backend.install(&self.spec)?;
        store.set_meta(MetaKey::TimerSeed, &seed)?;
        if let Some(every) = every {
            // A later `start` without `--every` must write the same entry.
            store.set_setting(SettingKey::TimerEvery.as_str(), &every.to_string(), now)?;
        }
        let former = self.former.as_ref().and_then(|former| former.since);
        let since = former.filter(|_| !has_changed).unwrap_or(now);
        let places = places_of_tick(store, self.context.settings)?;
        TimerRecord::new(self.kind(), &self.spec, places, since).save(store)?;
        let replaced = self.remove_replaced()?;
        Ok(Started {
            has_changed,
            replaced,
            warnings: self.backend.warnings(),
        })
    }

    fn remove_replaced(&self) -> Result<Vec<TimerKind>> {
        let HomeContext { host, home, .. } = self.context;
        let mut replaced = Vec::new();
        let Some(former) = &self.former else {
            return Ok(replaced);
        };
        let is_replaced = if former.id == self.spec.id {
            former.kind != self.kind()
        } else {
            // The original of a copied home keeps its entry.
            !Path::new(&former.home).join("hfdl.db").exists()
        };
        if is_replaced && timer::of_kind(former.kind, host, home.path()).remove(&former.id)? {
            replaced.push(former.kind);
        }
        Ok(replaced)
    }
}

/// Removes the entry of a home from every back-end; returns the back-ends that had
/// one, and warnings about those that could not be inspected.
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

/// Returns the state of the entry of a home. Never fails: an error becomes a
/// problem.
pub fn state(context: HomeContext<'_>, store: Option<&Store>) -> TimerState {
    inspect(context, store).unwrap_or_else(|err| {
        let record = store.and_then(|store| TimerRecord::load(store).ok().flatten());
        let refusal = err.downcast_ref::<TimerRefusal>();
        TimerState {
            backend: record.as_ref().map(|record| record.kind),
            every: record.map(|record| record.every),
            last_problem: Some(format!("{err:#}")),
            unknown: Some(Unknown {
                next: refusal.and_then(|refusal| refusal.next.clone()),
            }),
            ..TimerState::default()
        }
    })
}

/// Returns the timer's facts for `status`; `None` if `start` never installed one.
pub fn status_facts(context: HomeContext<'_>, store: &Store) -> Result<Option<TimerFacts>> {
    let Some(record) = TimerRecord::load(store)? else {
        return Ok(None);
    };
    let state = state(context, Some(store));
    let drift = || {
        let is_different = !(state.installed && state.is_current);
        is_different.then(|| {
            "it was installed by another version, or the program, its home or the interval has changed"
                .to_owned()
        })
    };
    let fires = state.installed && state.last_problem.is_none();
    let next_tick = fires.then(|| -> Result<Timestamp> {
        let zone = context.host.time_zone();
        Ok(tick(context, Some(store), record.every)?.next(&zone, context.host.now()))
    });
    Ok(Some(TimerFacts {
        // An entry removed by hand is still expected.
        installed: true,
        next_tick: next_tick.transpose()?,
        backend: record.kind.to_string(),
        every: record.every,
        since: record.since,
        drift: state.last_problem.clone().or_else(drift),
        doubt: state.doubt.clone(),
    }))
}

fn inspect(context: HomeContext<'_>, store: Option<&Store>) -> Result<TimerState> {
    let HomeContext {
        host,
        home,
        settings,
    } = context;
    let record = store.map(TimerRecord::load).transpose()?.flatten();
    let mut spec = base_spec(context, store)?;
    spec.tick = tick(context, store, settings.timer_every())?;
    if let Some(record) = &record {
        spec.variables.clone_from(&record.variables);
    }
    let mut backends = timer::all(host, home.path());
    if let Some(record) = &record {
        backends.retain(|backend| backend.kind() == record.kind);
    }
    for backend in backends {
        let entry = match backend.installed(&spec) {
            // Errors of back-ends that are not in use are ignored.
            Err(_) if record.is_none() => None,
            found => found?,
        };
        if let Some(entry) = entry {
            return Ok(TimerState {
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
        return Ok(TimerState::default());
    };
    let problem = if record.id == spec.id {
        "the entry was removed by hand; `hfdl start` installs it again".to_owned()
    } else {
        format!(
            "the entry is that of `{}`, from where this directory was moved or copied; `hfdl start` makes one for here",
            record.home
        )
    };
    Ok(TimerState {
        backend: Some(record.kind),
        every: Some(record.every),
        last_problem: Some(problem),
        ..TimerState::default()
    })
}

/// Returns the specification without its variables.
fn base_spec(context: HomeContext<'_>, store: Option<&Store>) -> Result<TimerSpec> {
    let HomeContext {
        host,
        home,
        settings,
    } = context;
    Ok(TimerSpec {
        id: TimerId::of(&paths::resolved(home.path())),
        program: utf8(program::path(host)?)?,
        home: utf8(home.path().to_path_buf())?,
        database: store.map(database_id).transpose()?,
        tick: tick(context, store, settings.timer_every())?,
        variables: Vec::new(),
    })
}

fn tick(context: HomeContext<'_>, store: Option<&Store>, every: Seconds) -> Result<TickTimes> {
    let seed = minutes_seed(context.home, store)?;
    Ok(TickTimes::new(every, &seed, &context.host.name()))
}

/// Returns the text from which the minutes of the timer follow: the path of the home at its
/// first timer. A dry run without a database shows the same, and a moved home keeps them.
fn minutes_seed(home: &Home, store: Option<&Store>) -> Result<String> {
    if let Some(store) = store {
        if let Some(seed) = store.meta(MetaKey::TimerSeed)? {
            return Ok(seed);
        }
        // Older versions made the minutes of the id.
        if TimerRecord::load(store)?.is_some() {
            return Ok(store.install_id()?.to_string());
        }
    }
    Ok(paths::resolved(home.path()).to_string_lossy().into_owned())
}

fn utf8(path: PathBuf) -> Result<String> {
    path.into_os_string().into_string().map_err(|path| {
        let reason = format!("`{}` is not UTF-8, and an entry must be", path.display());
        TimerRefusal::usage(reason)
            .next("make a link with a plain name to it and use that")
            .into()
    })
}

fn choose<'a>(
    context: HomeContext<'a>,
    wanted: Option<TimerKind>,
    former: Option<&TimerRecord>,
) -> Result<Box<dyn TimerBackend + 'a>> {
    let HomeContext { host, home, .. } = context;
    if let Some(kind) = wanted {
        return Ok(timer::of_kind(kind, host, home.path()));
    }
    // Keep the installed back-end, so that the timer does not fire twice.
    if let Some(former) = former {
        let backend = timer::of_kind(former.kind, host, home.path());
        if backend.is_available() {
            return Ok(backend);
        }
    }
    timer::choose(timer::all(host, home.path())).context("cannot find a timer to install to")
}

/// Returns the requested variables with their values.
fn variables(host: &Host, requested: &[String]) -> Result<Vec<(String, String)>> {
    let mut found = BTreeMap::new();
    for word in requested {
        let (name, value) = match word.split_once('=') {
            Some((name, value)) => (name, value.to_owned()),
            None => match host.variable(word) {
                Some(value) => (word.as_str(), value.to_owned()),
                None => {
                    let reason = format!("`{word}` is not set here, so it has no value");
                    let next = format!("write `--env {word}=VALUE`");
                    return Err(TimerRefusal::usage(reason).next(next).into());
                }
            },
        };
        timer::check_variable(name, &value)?;
        found.insert(name.to_owned(), value);
    }
    Ok(found.into_iter().collect())
}

fn tick_environment<'a>(
    context: HomeContext<'a>,
    store: Option<&Store>,
    kind: TimerKind,
    spec: &TimerSpec,
) -> Result<TickEnvironment<'a>> {
    let HomeContext { host, settings, .. } = context;
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
    Ok(TickEnvironment {
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

/// Returns the path of the token file; `variable` looks up a variable.
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

/// Returns a warning if the program is in a folder that will not last.
fn temporary_location(program: &Path) -> Option<String> {
    let parts: Vec<&str> = program.iter().filter_map(|part| part.to_str()).collect();
    let is_build =
        parts.contains(&"target") && parts.iter().any(|p| matches!(*p, "debug" | "release"));
    let is_temporary = program.starts_with("/tmp")
        || program.starts_with("/var/tmp")
        || program.starts_with("/private/var/folders")
        || parts.windows(2).any(|pair| pair == ["Local", "Temp"]);
    let place = match (is_build, is_temporary) {
        (true, _) => "a build directory",
        (_, true) => "a temporary directory",
        _ => return None,
    };
    Some(format!(
        "`{}` is in {place}: once it is removed, the timer starts nothing; install hfdl and run `hfdl start` again",
        program.display()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn temporary_locations_are_recognised() {
        for path in [
            "/home/me/hfdl/target/release/hfdl",
            "/home/me/hfdl/target/x86_64-unknown-linux-gnu/debug/hfdl",
            "/tmp/hfdl",
            "/private/var/folders/ab/T/hfdl",
        ] {
            assert!(temporary_location(Path::new(path)).is_some(), "{path}");
        }
        for path in [
            "/usr/bin/hfdl",
            "/home/me/.cargo/bin/hfdl",
            "/srv/target/hfdl",
            "/opt/tmp/hfdl",
        ] {
            assert_eq!(temporary_location(Path::new(path)), None, "{path}");
        }
    }
}
