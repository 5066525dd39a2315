//! `hfdl start`

use anyhow::Result;
use clap::Args;
use serde_json::{Value, json};

use super::context::Context;
use super::explain::Complaint;
use crate::domain::invalid_value::InvalidValue;
use crate::domain::outcome::ExitStatus;
use crate::domain::settings::{SettingError, SettingKey, Settings};
use crate::domain::timer::TimerKind;
use crate::domain::units::Seconds;
use crate::json::document;
use crate::ops::schedules::warnings_about_tick;
use crate::ops::timer::{
    self, Encoding, Gap, HomeContext, InstallStep, PlannedEntry, TimerRequest, render_steps,
};
use crate::store::Store;

/// Make the operating system start `hfdl run-due` every few minutes
///
/// Installs one entry for this home, or brings it up to date; running it twice is the same as once.
/// The entry is the same for all schedules; each tick decides which of them are due. `hfdl stop`
/// removes it and leaves everything else as it was.
///
/// A timer starts programs with an almost empty environment. The variables for the cache and the Hub
/// (`HF_HOME`, `HF_HUB_CACHE`, `HF_ENDPOINT`) are saved as settings; a warning names other variables
/// that a tick would lack.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:
  hfdl start
  hfdl start --dry-run                      show the entry, and install nothing
  hfdl start --every 5m
  hfdl start --backend crontab
  hfdl start --env HTTPS_PROXY --env NO_PROXY")]
pub struct StartCommand {
    /// How often: 1m, 2m, 3m, 4m, 5m, 6m, 10m, 12m, 15m, 20m, 30m or 1h; saved as timer.every
    #[arg(long, value_name = "DUR")]
    every: Option<String>,

    /// auto, crontab, systemd, launchd or task-scheduler; auto keeps the installed one
    #[arg(long, value_name = "NAME", default_value = "auto")]
    backend: Backend,

    /// Copy this variable into the entry; secrets are refused
    ///
    /// With NAME alone the value is that of this shell. Once given, variables stay until `--env` is
    /// given again or the timer is stopped.
    #[arg(long, value_name = "NAME[=VALUE]")]
    env: Vec<String>,

    /// Show the lines, files and commands, and install nothing
    #[arg(short = 'n', long)]
    dry_run: bool,
}

/// A back-end; `auto` is none.
#[derive(Clone, Copy, Debug)]
pub(super) struct Backend(pub Option<TimerKind>);

impl std::str::FromStr for Backend {
    type Err = InvalidValue;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        match word {
            "auto" => Ok(Self(None)),
            word => {
                let kind = word.parse();
                kind.map(|kind| Self(Some(kind)))
                    .map_err(|_| InvalidValue::unknown_word(word, Self::words()))
            }
        }
    }
}

impl Backend {
    /// Returns the words of all values.
    pub fn words() -> impl Iterator<Item = &'static str> {
        let kinds = TimerKind::ALL.iter().map(|kind| kind.as_str());
        std::iter::once("auto").chain(kinds)
    }
}

impl StartCommand {
    pub fn run(self, context: &Context) -> Result<ExitStatus> {
        let request = TimerRequest {
            every: self.every(context)?,
            kind: self.backend.0,
            variables: self.env,
        };
        if self.dry_run {
            let existing = context.existing_store()?;
            let settings = context.settings(existing.as_ref())?;
            let place = home_context(context, &settings);
            return show(
                context,
                &timer::plan_entry(place, existing.as_ref(), &request)?,
            );
        }
        let installed = install_timer(context, &request)?;
        let sentence = || installed.sentence.clone();
        let body = || document("hfdl.timer/1", installed.body.clone());
        context.out.done(sentence, body)?;
        installed.show_notes(context);
        Ok(ExitStatus::Ok)
    }

    /// Parses the period by the rules of its setting.
    fn every(&self, context: &Context) -> Result<Option<Seconds>> {
        let typed = self.every.as_ref();
        let Some(text) = typed.or(context.flags.get(&SettingKey::TimerEvery)) else {
            return Ok(None);
        };
        let value = match SettingKey::TimerEvery.check(text) {
            Err(SettingError::WrongValue { value, why, .. }) if typed.is_some() => {
                let why = why.or_next("write one of these, such as `--every 15m`");
                return Err(Complaint::from(why.within(format!("`--every {value}`"))).into());
            }
            value => value?,
        };
        Ok(Some(value.to_string().parse()?))
    }
}

/// An entry that was installed, and the words about it.
pub(super) struct InstalledTimer {
    pub sentence: String,
    pub body: Value,
    notes: Vec<String>,
    warnings: Vec<String>,
}

impl InstalledTimer {
    pub fn show_notes(&self, context: &Context) {
        show_notes(context, &self.notes, &self.warnings);
    }
}

/// Installs the entry of this home, or brings it up to date.
pub(super) fn install_timer(context: &Context, request: &TimerRequest) -> Result<InstalledTimer> {
    let store = match context.existing_store()? {
        Some(store) => store,
        None => {
            // A failed plan must not create a home.
            let settings = context.settings(None)?;
            timer::plan_entry(home_context(context, &settings), None, request)?.steps()?;
            context.store()?
        }
    };
    let settings = context.settings(Some(&store))?;
    let planned = timer::plan_entry(home_context(context, &settings), Some(&store), request)?;
    install(context, &planned, &store, request.every)
}

/// Returns the arguments of `ops::timer` about this home.
pub(super) fn home_context<'a>(context: &'a Context, settings: &'a Settings) -> HomeContext<'a> {
    HomeContext {
        host: &context.host,
        home: &context.home,
        settings,
    }
}

fn install(
    context: &Context,
    planned: &PlannedEntry<'_>,
    store: &Store,
    every: Option<Seconds>,
) -> Result<InstalledTimer> {
    let started = planned.install(store, context.now(), every)?;
    // A timer that ticks less often may leave schedules without a tick.
    let tick = Seconds(u64::from(planned.spec.tick.every()) * 60);
    let impossible = warnings_about_tick(store, tick, context.now())?;
    let own = planned.warnings.clone();
    let warnings = [gap_warnings(planned), own, started.warnings, impossible].concat();
    let notes = saved_notes(planned, "is now saved");
    let replaced: Vec<&str> = started.replaced.iter().map(|kind| kind.as_str()).collect();
    let state = if started.has_changed {
        "installed"
    } else {
        "already installed"
    };
    let mut sentence = format!(
        "timer {state} ({}): hfdl looks for due schedules {}",
        planned.kind(),
        planned.spec.tick
    );
    for kind in &replaced {
        sentence.push_str(&format!("\nthe earlier entry ({kind}) is removed"));
    }
    let mut body = facts(planned, &notes, &warnings);
    body["installed"] = json!(true);
    body["changed"] = json!(started.has_changed);
    body["replaced"] = json!(replaced);
    Ok(InstalledTimer {
        sentence,
        body,
        notes,
        warnings,
    })
}

fn show(context: &Context, planned: &PlannedEntry<'_>) -> Result<ExitStatus> {
    let steps = planned.steps()?;
    let warnings = [gap_warnings(planned), planned.warnings.clone()].concat();
    let notes = saved_notes(planned, "would be saved");
    context.out.result(
        |_| render_steps(&steps),
        || {
            let mut body = facts(planned, &notes, &warnings);
            body["installed"] = json!(false);
            body["steps"] = steps.iter().map(step).collect();
            document("hfdl.timer/1", body)
        },
    )?;
    show_notes(context, &notes, &warnings);
    Ok(ExitStatus::Ok)
}

/// Returns notes on settings of this shell that are saved, because a tick would lack
/// them.
fn saved_notes(planned: &PlannedEntry<'_>, saved: &str) -> Vec<String> {
    let say = |gap: &Gap| match gap {
        Gap::Warn(_) => None,
        Gap::Save { key, value, origin } => Some(format!(
            "`{key}` {saved} as `{value}`: it comes from {origin}, which the timer does not have"
        )),
    };
    planned.gaps.iter().filter_map(say).collect()
}

/// Returns warnings about other differences between this shell and a tick.
fn gap_warnings(planned: &PlannedEntry<'_>) -> Vec<String> {
    let say = |gap: &Gap| match gap {
        Gap::Warn(text) => Some(text.clone()),
        Gap::Save { .. } => None,
    };
    planned.gaps.iter().filter_map(say).collect()
}

fn show_notes(context: &Context, notes: &[String], warnings: &[String]) {
    if context.out.quiet {
        return;
    }
    for note in notes {
        context.out.say(&format!("note: {note}"));
    }
    for warning in warnings {
        context.warn(warning);
    }
}

fn facts(planned: &PlannedEntry<'_>, notes: &[String], warnings: &[String]) -> Value {
    let spec = &planned.spec;
    json!({
        "backend": planned.kind().as_str(),
        "id": spec.id.as_str(),
        "program": spec.program,
        "home": spec.home,
        "every": Seconds(u64::from(spec.tick.every()) * 60).to_string(),
        "minutes": spec.tick.minutes(),
        "env": spec.variables.iter().map(|(name, _)| name).collect::<Vec<_>>(),
        "notes": notes,
        "warnings": warnings,
    })
}

fn step(step: &InstallStep) -> Value {
    match step {
        InstallStep::Write {
            path,
            text,
            encoding,
        } => {
            let encoding = match encoding {
                Encoding::Utf8 => "utf-8",
                Encoding::Utf16 => "utf-16le",
            };
            json!({"write": path.display().to_string(), "encoding": encoding, "text": text})
        }
        InstallStep::Remove { path } => json!({"remove": path.display().to_string()}),
        InstallStep::Run {
            program, arguments, ..
        } => {
            let line: Vec<&str> = std::iter::once(*program)
                .chain(arguments.iter().map(String::as_str))
                .collect();
            json!({ "run": line })
        }
        InstallStep::AddToCrontab { lines } => json!({"crontab": lines}),
    }
}
