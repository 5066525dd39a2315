//! The flags of `hfdl init`, and the order of its steps.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context as _, Result};
use clap::Args;
use serde_json::{Value, json};

use super::answers::{self, ScheduleFlags, SetUp};
use super::questions::{NO, Prompt, YES, agrees, not_changed};
use crate::cli::apply::{self, Apply};
use crate::cli::context::Context;
use crate::cli::explain::Complaint;
use crate::cli::next_steps::NextSteps;
use crate::cli::start::{Backend, InstalledTimer, install_timer};
use crate::domain::invalid_value::InvalidValue;
use crate::domain::outcome::ExitStatus;
use crate::json::document;
use crate::ops::apply::Current;
use crate::ops::document::{Document, Node, to_yaml};
use crate::ops::init::Additions;
use crate::ops::timer::TimerRequest;
use crate::sys::files::{read_if_present, write_for_all};
use crate::sys::paths;
use crate::ui::text;

/// Set up this home: cache, models, hours, timer
///
/// Asks a few questions, shows the file for `hfdl apply` that it made from the answers, and asks
/// once more before it writes the file, applies it and installs the timer. Until then nothing is
/// changed. In a home that is already set up, the answers are added, also to the file of earlier
/// answers unless it was edited. With --yes it asks nothing: flags give the answers, and defaults the
/// rest.
#[derive(Debug, Args)]
#[command(
    after_long_help = "A token is not asked for: `hf auth login` keeps it where hfdl finds it.

Examples:
  hfdl init
  hfdl init --yes --model org/name --daily 02:30 --window 22:00-07:00
  hfdl init --yes --model org/name --timer none --file /srv/hfdl.yaml"
)]
pub struct InitCommand {
    /// A repository to keep
    #[arg(long, value_name = "REPO")]
    model: Vec<String>,

    /// Directory of the cache (default: that of the official client)
    #[arg(long, value_name = "DIR")]
    cache: Option<String>,

    /// Time of the daily check, or no (default: 02:30)
    #[arg(long, value_name = "HH:MM[,HH:MM]")]
    daily: Option<String>,

    /// Time zone of all times, as an IANA name (default: the system's)
    #[arg(long, value_name = "ZONE")]
    tz: Option<String>,

    /// Hours in which downloads may run, such as 22:00-07:00 or Sat,Sun@00:00-24:00
    #[arg(long, value_name = "[DAYS@]HH:MM-HH:MM")]
    window: Vec<String>,

    /// auto, none, crontab, systemd, launchd or task-scheduler (default: auto)
    #[arg(long, value_name = "NAME")]
    timer: Option<TimerChoice>,

    /// The file to write (default: hfdl.yaml)
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
}

/// The timer to install, if any.
#[derive(Clone, Copy, Debug)]
enum TimerChoice {
    None,
    Install(Backend),
}

impl FromStr for TimerChoice {
    type Err = InvalidValue;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        match word {
            "none" => Ok(Self::None),
            word => {
                let words = Backend::words().chain(["none"]);
                let backend = word.parse().map(Self::Install);
                backend.map_err(|_| InvalidValue::unknown_word(word, words))
            }
        }
    }
}

/// The file to write, with the changes that it means.
struct Draft {
    path: PathBuf,
    text: String,
    /// Another file has this path.
    is_replacement: bool,
    planned: apply::PlannedApply,
}

impl InitCommand {
    pub fn run(self, context: &Context) -> Result<ExitStatus> {
        self.refuse_without_terminal(context)?;
        let found = look_around(context)?;
        greet(context, &found)?;
        let cache = answers::cache(context, &found, self.cache.as_deref())?;
        answers::say_token(context);
        let additions = Additions {
            models: answers::models(context, &found, cache.as_deref(), &self.model)?,
            cache,
            schedule: answers::schedule(
                context,
                &found,
                ScheduleFlags {
                    daily: self.daily.as_deref(),
                    tz: self.tz.as_deref(),
                    windows: &self.window,
                },
            )?,
        };
        let timer = self.timer(context, &found, &additions)?;
        let draft = if additions.is_empty() {
            self.refuse_unused_file(context)?;
            None
        } else {
            Some(self.draft(context, &additions)?)
        };
        confirm(context, draft.as_ref(), timer.is_some())?;
        drop(found);
        if let Some(draft) = &draft {
            draft.carry_out(context)?;
        }
        let timer = timer.map(|request| install_timer(context, &request));
        report(context, draft.as_ref(), timer.transpose()?.as_ref())
    }

    fn refuse_without_terminal(&self, context: &Context) -> Result<()> {
        let host = &context.host;
        if context.yes || host.stdin_is_terminal() && host.stderr_is_terminal() {
            return Ok(());
        }
        Err(
            Complaint::usage("`hfdl init` asks questions, and there is no terminal to ask on")
                .next("give the answers as flags: `hfdl init --yes --model org/name`")
                .into(),
        )
    }

    fn timer(
        &self,
        context: &Context,
        found: &SetUp,
        additions: &Additions,
    ) -> Result<Option<TimerRequest>> {
        let kind = match self.timer {
            Some(TimerChoice::None) => return Ok(None),
            Some(TimerChoice::Install(Backend(kind))) => kind,
            None if additions.schedule.is_none() && found.schedules.is_empty() => return Ok(None),
            None => None,
        };
        let request = TimerRequest {
            kind,
            ..TimerRequest::default()
        };
        answers::timer(context, found, request, self.timer.is_some())
    }

    /// Makes the file, and compares it with the database.
    fn draft(&self, context: &Context, additions: &Additions) -> Result<Draft> {
        let file = self.file.as_deref().unwrap_or(Path::new("hfdl.yaml"));
        let path = paths::absolute(&context.host, file)?;
        let text = render(&additions.document())?;
        // Entries of an earlier file may have changed since, and are not applied again.
        let planned = Apply::adding(path.clone()).plan(context, text.as_bytes())?;
        let found =
            read_if_present(&path).with_context(|| format!("cannot read `{}`", path.display()))?;
        let earlier = found.as_deref().and_then(unedited);
        Ok(Draft {
            path,
            is_replacement: found.is_some() && earlier.is_none(),
            text: match earlier {
                Some(earlier) => render(&additions.added_to(earlier))?,
                None => text,
            },
            planned,
        })
    }

    /// Refuses a file that would not be written.
    fn refuse_unused_file(&self, context: &Context) -> Result<()> {
        let Some(file) = &self.file else {
            return Ok(());
        };
        let path = paths::absolute(&context.host, file)?;
        if path.exists() {
            return Ok(());
        }
        let headline = format!(
            "there is nothing to write to `{}`: everything is set up",
            path.display()
        );
        Err(Complaint::usage(headline)
            .next("leave `--file` out; `hfdl export` prints a file of all entries")
            .into())
    }
}

/// Returns the text of a file.
fn render(document: &Node) -> Result<String> {
    Ok(format!(
        "# Models, schedules and settings of hfdl, as `hfdl init` has made them.\n\
         # To apply changes: hfdl apply -f FILE (first with --dry-run)\n{}",
        to_yaml(document)?
    ))
}

/// Reads a file that is as `init` wrote it.
fn unedited(bytes: &[u8]) -> Option<Node> {
    let document = Document::parse(bytes).ok()?.root;
    let text = render(&document).ok()?;
    (text.as_bytes() == bytes).then_some(document)
}

fn look_around(context: &Context) -> Result<SetUp> {
    let store = context.existing_store()?;
    let settings = context.settings(store.as_ref())?;
    let current = match &store {
        Some(store) => Current::read(store)?,
        None => Current::default(),
    };
    Ok(SetUp {
        store,
        settings,
        models: current.models,
        schedules: current.schedules,
    })
}

/// Says where the work begins. A home that is set up gets additions only if that is meant.
fn greet(context: &Context, found: &SetUp) -> Result<()> {
    let home = context.home.path().display();
    if found.models.is_empty() && found.schedules.is_empty() {
        context.say_to_people(&format!(
            "setting up `{home}`; nothing is changed before the last question"
        ));
        return Ok(());
    }
    let models = text::count(found.models.len() as u64, "model", "models");
    let schedules = text::count(found.schedules.len() as u64, "schedule", "schedules");
    context.say_to_people(&format!(
        "`{home}` is set up, with {models} and {schedules}"
    ));
    let question = Prompt {
        text: "Add to it?",
        default: YES,
    };
    if agrees(context, question)? {
        return Ok(());
    }
    Err(not_changed())
}

/// Shows the file and asks once for everything.
fn confirm(context: &Context, draft: Option<&Draft>, has_timer: bool) -> Result<()> {
    let Some(draft) = draft else {
        return Ok(());
    };
    for warning in &draft.planned.plan.warnings {
        context.warn(warning);
    }
    let path = draft.path.display();
    if context.yes {
        if draft.is_replacement {
            return Err(
                Complaint::usage(format!("`{path}` exists and has other content"))
                    .next("name another file with `--file`, or remove it; nothing was changed")
                    .into(),
            );
        }
        return Ok(());
    }
    context.out.say(&format!("\n{}", draft.text));
    let start = if has_timer {
        ", apply it, and start the timer"
    } else {
        " and apply it"
    };
    let (verb, default) = if draft.is_replacement {
        ("Replace", NO)
    } else {
        ("Write", YES)
    };
    let text = &format!("{verb} `{path}`{start}?");
    if agrees(context, Prompt { text, default })? {
        return Ok(());
    }
    Err(not_changed())
}

impl Draft {
    fn carry_out(&self, context: &Context) -> Result<()> {
        let path = &self.path;
        write_for_all(path, self.text.as_bytes())
            .with_context(|| format!("cannot write `{}`", path.display()))?;
        self.planned.carry_out(context)
    }
}

fn report(
    context: &Context,
    draft: Option<&Draft>,
    timer: Option<&InstalledTimer>,
) -> Result<ExitStatus> {
    let changes = draft.map(|draft| draft.planned.plan.changes.as_slice());
    let changes = changes.unwrap_or_default();
    context.out.done(
        || {
            let mut lines: Vec<String> = changes
                .iter()
                .map(|change| apply::line(change, context.out.colour))
                .collect();
            lines.extend(draft.map(|draft| format!("wrote `{}`", draft.path.display())));
            lines.extend(timer.map(|timer| timer.sentence.clone()));
            if lines.is_empty() {
                lines.push("nothing to do: everything is set up".to_owned());
            }
            lines.join("\n")
        },
        || {
            let changes: Vec<Value> = changes.iter().map(apply::change_document).collect();
            let file = draft.map(|draft| draft.path.display().to_string());
            let timer = timer.map(|timer| timer.body.clone());
            let body = json!({ "file": file, "changes": changes, "timer": timer });
            document("hfdl.init/1", body)
        },
    )?;
    if let Some(timer) = timer {
        timer.show_notes(context);
    }
    NextSteps::new(context, &context.store()?)?.after_set_up();
    Ok(ExitStatus::Ok)
}
