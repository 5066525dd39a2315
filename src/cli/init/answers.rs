//! One function for each question of `init`.

use std::path::Path;

use anyhow::{Context as _, Error, Result};

use super::questions::{Prompt, YES, agrees, answer};
use crate::cli::context::Context;
use crate::cli::explain::{Complaint, explain};
use crate::cli::models::{amount, warn_about};
use crate::cli::start::home_context;
use crate::cli::watcher::while_asking;
use crate::domain::model::{Model, ModelSpec};
use crate::domain::repo_arg::RepoArg;
use crate::domain::schedule::{
    Cadence, CadenceKind, Schedule, ScheduleSpec, ScheduleState, Windows, find_zone,
};
use crate::domain::settings::{SettingKey, SettingSource, Settings};
use crate::domain::units::ByteSize;
use crate::ops::hub::is_offline;
use crate::ops::init::{ask_hub, free_schedule_name, free_space, time_outside};
use crate::ops::login::{HubClients, Renewal, find_token_here};
use crate::ops::schedules::Duplicate;
use crate::ops::timer::{TimerRequest, plan_entry};
use crate::ops::{self};
use crate::store::Store;
use crate::sys::paths;
use crate::sys::stop::StopFlag;

/// The time of the first slot of each day, unless another one is given.
const DAILY: &str = "02:30";

/// The home before the questions.
pub struct SetUp {
    pub store: Option<Store>,
    pub settings: Settings,
    pub models: Vec<Model>,
    pub schedules: Vec<Schedule>,
}

/// Asks for the directory of the cache; `None` if it stays where it is.
pub fn cache(context: &Context, found: &SetUp, flag: Option<&str>) -> Result<Option<String>> {
    let now = found.settings.cache_dir();
    if flag.is_none() && !found.models.is_empty() {
        // The files of the models are there.
        return Ok(None);
    }
    let setting = found.settings.get(SettingKey::CacheDir);
    if let Some((_, SettingSource::Environment(name))) = setting {
        if flag.is_some_and(|flag| flag != now) {
            let headline = format!("`{name}` sets the cache to `{now}`, whatever is saved");
            return Err(Complaint::usage(headline)
                .next(format!("unset `{name}`, or leave `--cache` out"))
                .into());
        }
        let free = free_there(Path::new(now));
        context.say_to_people(&format!("`{name}` sets the cache to `{now}`{free}"));
        return Ok(None);
    }
    let text = format!("Cache directory [{now}{}]:", free_there(Path::new(now)));
    let question = Prompt {
        text: &text,
        default: now,
    };
    let chosen = answer(context, flag, question, |text| {
        let path = paths::expand(&context.host, text)?;
        let existing = path.ancestors().find(|path| path.exists());
        if let Some(file) = existing.filter(|path| !path.is_dir()) {
            let headline = format!("`{}` is no directory", file.display());
            return Err(Complaint::usage(headline).into());
        }
        let path = paths::text(&path)?;
        SettingKey::CacheDir.check(&path)?;
        Ok(path)
    })?;
    if chosen == now {
        return Ok(None);
    }
    let free = free_there(Path::new(&chosen));
    context.say_to_people(&format!("  the cache is `{chosen}`{free}"));
    Ok(Some(chosen))
}

fn free_there(path: &Path) -> String {
    let free = free_space(path);
    free.map_or_else(String::new, |free| {
        format!(", {} free", free.render_short())
    })
}

/// Says where the token is from. It is never typed here.
pub fn say_token(context: &Context) {
    let sentence = match find_token_here(&context.host) {
        Ok(Some((_, origin))) => format!("the token is from {origin}"),
        Ok(None) => {
            "there is no token, and public repositories need none; `hf auth login` keeps one"
                .to_owned()
        }
        Err(err) => format!("{err:#}; `hf auth login` keeps another one"),
    };
    context.say_to_people(&sentence);
}

/// Asks for models until the answer is empty. Those that are kept already are left out.
pub fn models(
    context: &Context,
    found: &SetUp,
    cache: Option<&str>,
    flags: &[String],
) -> Result<Vec<ModelSpec>> {
    let (settings, stop) = (&found.settings, StopFlag::new());
    let clients = ops::hub::connect(&context.host, settings, &stop, Renewal::Never)?;
    let (mut chosen, mut n_bytes) = (Vec::new(), 0);
    for text in flags {
        let spec = model_of(settings, text)?;
        if is_kept(found, &chosen, &spec) {
            context.say_to_people(&format!("  `{}` is kept already", spec.name));
            continue;
        }
        n_bytes += look(context, &clients, &spec)?;
        chosen.push(spec);
    }
    while flags.is_empty() && !context.yes {
        let is_enough = !(found.models.is_empty() && chosen.is_empty());
        let text = if is_enough {
            "One more (empty: that is all):"
        } else {
            "Repository to keep, such as org/name or the address of its page:"
        };
        let question = Prompt { text, default: "" };
        let next = answer(context, None, question, |text| {
            if text.is_empty() && is_enough {
                return Ok(None);
            }
            if text.is_empty() {
                return Err(Complaint::usage("there is no repository to keep yet")
                    .next("type one such as `org/name`; Ctrl-C leaves, and changes nothing")
                    .into());
            }
            let spec = model_of(settings, text)?;
            if is_kept(found, &chosen, &spec) {
                let headline = format!("`{}` is kept already", spec.name);
                return Err(Complaint::usage(headline).into());
            }
            let size = look(context, &clients, &spec)?;
            Ok(Some((spec, size)))
        })?;
        let Some((spec, size)) = next else { break };
        chosen.push(spec);
        n_bytes += size;
    }
    if context.yes && chosen.is_empty() && found.models.is_empty() && flags.is_empty() {
        return Err(Complaint::usage("no model is given")
            .next("`hfdl init --yes --model org/name` keeps one")
            .into());
    }
    if chosen.len() > 1 && n_bytes > 0 {
        let total = ByteSize(n_bytes).render_short();
        context.say_to_people(&format!("  together {total}"));
    }
    warn_about_room(context, cache.unwrap_or(settings.cache_dir()), n_bytes);
    Ok(chosen)
}

fn warn_about_room(context: &Context, cache: &str, n_bytes: u64) {
    if let Some(free) = free_space(Path::new(cache)).filter(|free| free.bytes() < n_bytes) {
        let (total, free) = (ByteSize(n_bytes).render_short(), free.render_short());
        context.warn(&format!(
            "{total} do not fit: {free} are free for the cache `{cache}`"
        ));
    }
}

fn model_of(settings: &Settings, text: &str) -> Result<ModelSpec> {
    let arg = RepoArg::parse(text, settings.endpoint())?;
    let mut spec = ModelSpec::new(arg.default_name().parse()?, arg.repo.clone());
    // Without a flag there is no second revision.
    let _ = spec.complete(&arg, false);
    Ok(spec)
}

fn is_kept(found: &SetUp, chosen: &[ModelSpec], spec: &ModelSpec) -> bool {
    let kept = found.models.iter().map(|model| &model.spec);
    let mut all = kept.chain(chosen);
    all.any(|other| other.name == spec.name || other.is_same_copy(spec))
}

/// Asks the Hub about a model, and returns its size; none if the Hub does not answer.
fn look(context: &Context, clients: &HubClients, spec: &ModelSpec) -> Result<u64> {
    let name = &spec.name;
    if is_offline(&context.host) {
        context.say_to_people(&format!(
            "  `{name}` is taken without asking the Hub: offline"
        ));
        return Ok(0);
    }
    match while_asking(context, name.as_str(), || ask_hub(clients, spec)) {
        Ok(check) => {
            if let Some(nothing) = check.nothing_selected {
                return Err(Error::new(nothing).context(format!("cannot keep `{name}`")));
            }
            context.say_to_people(&format!("  `{name}`: {}", amount(&check)));
            warn_about(context, spec, &check);
            Ok(check.selected.bytes)
        }
        Err(err) if err.is_transient() => {
            context.warn(&format!(
                "the Hub does not answer, so `{name}` is taken as it was typed: {err}"
            ));
            Ok(0)
        }
        Err(err) => Err(Error::new(err).context(format!("cannot keep `{name}`"))),
    }
}

/// The flags about the schedule.
#[derive(Clone, Copy)]
pub struct ScheduleFlags<'a> {
    pub daily: Option<&'a str>,
    pub tz: Option<&'a str>,
    pub windows: &'a [String],
}

impl ScheduleFlags<'_> {
    fn is_any(&self) -> bool {
        self.daily.is_some() || self.tz.is_some() || !self.windows.is_empty()
    }
}

/// Asks for a schedule; `None` if there is one already, or the answer is none.
pub fn schedule(
    context: &Context,
    found: &SetUp,
    flags: ScheduleFlags<'_>,
) -> Result<Option<ScheduleSpec>> {
    if !flags.is_any() {
        let mut schedules = found.schedules.iter();
        let of_all = schedules.find(|one| one.spec.enabled && one.spec.selection.all);
        if let Some(schedule) = of_all {
            let name = &schedule.spec.name;
            context.say_to_people(&format!(
                "the schedule `{name}` includes all models already"
            ));
            return Ok(None);
        }
        if context.yes && !found.schedules.is_empty() {
            return Ok(None);
        }
    }
    let zone = zone(context, flags.tz)?;
    loop {
        let spec = cadence_and_windows(context, found, flags, &zone)?;
        let Some(spec) = spec else { return Ok(None) };
        let Some(time) = time_outside(&spec, context.now())? else {
            return Ok(Some(spec));
        };
        let complaint = outside(&time, &spec.windows);
        if context.yes || flags.daily.is_some() && !flags.windows.is_empty() {
            return Err(complaint.into());
        }
        context.show_problem(&explain(&complaint.into()));
    }
}

/// Refuses a time that no window has: its check would always wait for the next window.
fn outside(time: &str, windows: &Windows) -> Complaint {
    let hours = windows.texts().join(" ");
    Complaint::usage(format!(
        "the daily check at {time} is outside of the hours {hours}"
    ))
    .cause("each check would wait until these hours begin")
    .next("give a time within the hours, or hours with that time: `--daily`, `--window`")
}

/// Asks for the time of the daily check, and for the hours of its downloads.
fn cadence_and_windows(
    context: &Context,
    found: &SetUp,
    flags: ScheduleFlags<'_>,
    zone: &str,
) -> Result<Option<ScheduleSpec>> {
    let text = format!("Time of the daily check in {zone}, or `no` [{DAILY}]:");
    let question = Prompt {
        text: &text,
        default: DAILY,
    };
    let cadence = answer(context, flags.daily, question, |text| {
        if ["no", "none", "never"].contains(&text) {
            return Ok(None);
        }
        Ok(Some(Cadence::parse(CadenceKind::Daily, text)?))
    })?;
    let Some(cadence) = cadence else {
        return Ok(None);
    };
    let name = free_schedule_name(&found.schedules);
    let mut spec = ScheduleSpec::new(name, cadence, zone.to_owned());
    spec.selection.all = true;
    with_windows(context, found, spec, flags.windows)
}

fn zone(context: &Context, flag: Option<&str>) -> Result<String> {
    let own = context.host.time_zone_name();
    let question = Prompt {
        text: "Time zone, such as Europe/Berlin:",
        default: own.as_deref().unwrap_or_default(),
    };
    // The system's zone needs no question.
    answer(context, flag.or(own.as_deref()), question, |text| {
        find_zone(text)?;
        Ok(text.to_owned())
    })
}

/// Asks for the windows, which have to meet the slots.
fn with_windows(
    context: &Context,
    found: &SetUp,
    spec: ScheduleSpec,
    flags: &[String],
) -> Result<Option<ScheduleSpec>> {
    let flag = (!flags.is_empty()).then(|| flags.join(" "));
    let question = Prompt {
        text: "Fetch only within hours such as 22:00-07:00 [any hour]:",
        default: "",
    };
    let (now, tick) = (context.now(), found.settings.timer_every());
    let state = ScheduleState::new(now);
    answer(context, flag.as_deref(), question, |text| {
        let mut spec = spec.clone();
        spec.windows = Windows::parse(text.split_whitespace())?;
        match ops::schedules::check(&spec, &state, &found.schedules, &[], tick, now) {
            Ok(_) => Ok(Some(spec)),
            Err(err) => match err.downcast_ref::<Duplicate>() {
                Some(duplicate) => {
                    let name = &duplicate.existing;
                    context.say_to_people(&format!("the schedule `{name}` does that already"));
                    Ok(None)
                }
                None => Err(err).context("a schedule with these hours cannot be added"),
            },
        }
    })
}

/// Asks whether to install the timer that was requested, after saying which.
pub fn timer(
    context: &Context,
    found: &SetUp,
    request: TimerRequest,
    is_chosen: bool,
) -> Result<Option<TimerRequest>> {
    let place = home_context(context, &found.settings);
    let planned = plan_entry(place, found.store.as_ref(), &request)
        .and_then(|planned| planned.steps().map(|_| planned));
    let planned = match planned {
        Ok(planned) => planned,
        Err(err) if is_chosen => return Err(err),
        Err(err) => {
            context.warn(&format!(
                "no timer can be installed here: {}; start `hfdl run-due` by other means",
                err.root_cause()
            ));
            return Ok(None);
        }
    };
    let text = format!("Have {} start hfdl {}?", planned.kind(), planned.spec.tick);
    let question = Prompt {
        text: &text,
        default: YES,
    };
    let agreed = is_chosen || agrees(context, question)?;
    Ok(agreed.then_some(request))
}
