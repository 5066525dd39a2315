//! `hfdl apply`

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use clap::Args;
use serde_json::{Value, json};

use super::context::Context;
use super::explain::{Complaint, explain};
use super::lock_file::{LOCK_FILE, read_lock_file};
use super::models::{amount, check_view, warn_about};
use super::views::update_views;
use crate::domain::lock_file::LockFile;
use crate::domain::model::ModelId;
use crate::domain::outcome::ExitStatus;
use crate::domain::settings::{SettingKey, Settings};
use crate::domain::time::Timestamp;
use crate::domain::units::Seconds;
use crate::json::document;
use crate::ops;
use crate::ops::apply::{ApplyAction, ApplyPlan, Change, Current, Kind, PINNED, Rules, plan_apply};
use crate::ops::apply_check::{CheckedModel, check_models};
use crate::ops::directories::Reserved;
use crate::ops::document::{Document, FileFault, MAX_BYTES, Node, to_json};
use crate::ops::entries::{Objection, Surroundings, Wanted};
use crate::ops::lock_file;
use crate::ops::login::{HubClients, Renewal};
use crate::store::{ModelFilter, Store};
use crate::sys::paths;
use crate::sys::stop::StopFlag;
use crate::ui::{Format, text};

/// Apply a file of models, schedules, tags and settings
///
/// Prints the differences. Either the whole file is applied or nothing. Entries are paired by name;
/// entries that are not in the file stay, unless --prune is given. A section that the file does not
/// have is never touched. With --locked the models stay at the commits of a lock file that `hfdl
/// lock` has written; without it they follow their revisions again.
#[derive(Debug, Args)]
#[command(after_long_help = "The file is YAML or JSON:
  version: 1
  config:
    download.connections: 16
  tags:
    - {name: llm, policy: approve, delay: 7d}
  models:
    - repo: org/name
      include: [\"*.safetensors\", \"*.json\"]
      tags: [llm]
    - {repo: datasets/org/corpus, to: /srv/data/corpus}
  schedules:
    - {name: nightly, daily: \"02:30\", tz: Europe/Berlin, window: \"22:00-07:00\", tags: [llm]}

Examples:
  hfdl apply -f hfdl.yaml --dry-run
  hfdl apply -f hfdl.yaml --check
  hfdl apply -f hfdl.yaml --prune
  hfdl apply -f hfdl.yaml --locked && hfdl download --all
  ssh old hfdl export | hfdl apply -f -")]
pub struct Apply {
    /// The file, or - for stdin
    #[arg(short, long, value_name = "FILE")]
    file: PathBuf,

    /// Print the differences and change nothing
    #[arg(short = 'n', long)]
    dry_run: bool,

    /// Ask the Hub about each new or changed model first; apply nothing if one of them is unknown,
    /// not readable, or selects no file
    #[arg(long)]
    check: bool,

    /// Remove models, schedules, tags and settings that are not in the file; asks
    #[arg(long)]
    prune: bool,

    /// Pin the models to the commits of a lock file, or fail with all differences (default: hfdl.lock
    /// beside the file)
    #[arg(long, value_name = "LOCKFILE", num_args = 0..=1, require_equals = true)]
    locked: Option<Option<PathBuf>>,
}

/// A file that was read, and the changes that it means.
pub(super) struct PlannedApply {
    wanted: Wanted,
    pub plan: ApplyPlan,
    reserved: Reserved,
    lock: Option<LockFile>,
    /// The answers of the Hub, if it was to be asked.
    checks: Option<Vec<CheckedModel>>,
    tick: Seconds,
    prune: bool,
    now: Timestamp,
}

impl PlannedApply {
    /// Shows the failed checks, and returns the worst of their exit codes.
    fn show_failed_checks(&self, context: &Context) -> ExitStatus {
        let checks = self.checks.iter().flatten();
        let failed = checks.filter_map(|check| check.answer.as_ref().err());
        let mut worst = ExitStatus::Ok;
        for error in failed {
            let explanation = explain(error);
            worst = worst.worst(explanation.status);
            context.show_problem(&explanation);
        }
        worst
    }

    fn rules(&self) -> Rules<'_> {
        Rules {
            prune: self.prune,
            now: self.now,
            tick: self.tick,
            reserved: &self.reserved,
            lock: self.lock.as_ref(),
        }
    }

    pub fn carry_out(&self, context: &Context) -> Result<()> {
        carry_out(context, &self.plan, &self.wanted, &self.rules())
    }
}

impl Apply {
    /// Returns the command for a file that adds entries and removes none.
    pub(super) fn adding(file: PathBuf) -> Self {
        Self {
            file,
            dry_run: false,
            check: false,
            prune: false,
            locked: None,
        }
    }

    pub fn run(self, context: &Context) -> Result<ExitStatus> {
        let planned = self.plan(context, &self.read()?)?;
        let plan = &planned.plan;
        for warning in &plan.warnings {
            context.warn(warning);
        }
        for check in planned.checks.iter().flatten() {
            if let Ok(answer) = &check.answer {
                warn_about(context, &check.spec, answer);
            }
        }
        let status = planned.show_failed_checks(context);
        if status != ExitStatus::Ok && !self.dry_run {
            context.say_to_people("nothing was applied");
            if context.out.format != Format::Table {
                self.report(context, &planned)?;
            }
            return Ok(status);
        }
        if !self.dry_run && !plan.changes.is_empty() {
            if let Some(question) = question(plan) {
                context.confirm(&question)?;
            }
            planned.carry_out(context)?;
        }
        self.report(context, &planned)?;
        Ok(status)
    }

    /// Reads the bytes of the file and compares them with the database. Writes nothing.
    pub(super) fn plan(&self, context: &Context, bytes: &[u8]) -> Result<PlannedApply> {
        let file = Document::parse(bytes).map_err(|fault| self.complain(fault))?;
        // Read-only: creates no database and changes none.
        let looked = Store::open_read_only(&context.home.database(), context.now())?;
        let settings = context.settings(Some(&looked))?;
        let object = |objection: Objection| self.complain(objection.locate(&file));
        let around = Surroundings {
            endpoint: settings.endpoint().to_owned(),
            time_zone: context.host.time_zone_name(),
            home: paths::user_home(&context.host).ok(),
        };
        let wanted = Wanted::read(&file.root, &around).map_err(object)?;
        let cache_dir = wanted
            .setting(SettingKey::CacheDir)
            .unwrap_or(settings.cache_dir());
        let lock = self.lock_path();
        let lock = lock.map(|path| read_lock_file(&path)).transpose()?;
        let mut planned = PlannedApply {
            reserved: Reserved::find(&context.host, &context.home, Path::new(cache_dir))?,
            tick: tick(&wanted, &settings),
            wanted,
            plan: ApplyPlan::default(),
            lock,
            checks: None,
            prune: self.prune,
            now: context.now(),
        };
        let plan = plan_apply(&Current::read(&looked)?, &planned.wanted, &planned.rules());
        planned.plan = plan.map_err(object)?;
        if let Some(lock) = &planned.lock {
            compare(context, &looked, &planned.wanted, &planned.plan, lock)?;
        }
        if self.check {
            let (_, clients) = connect(context, &looked, &planned.wanted)?;
            planned.checks = Some(check_models(&clients, &planned.plan));
        }
        Ok(planned)
    }

    /// Returns the path of the lock file; without a name it is beside the file.
    fn lock_path(&self) -> Option<PathBuf> {
        let beside = || self.file.with_file_name(LOCK_FILE);
        let path = self.locked.as_ref()?;
        Some(path.clone().unwrap_or_else(beside))
    }

    fn read(&self) -> Result<Vec<u8>> {
        // One byte above the limit shows that the file is too large.
        let limit = MAX_BYTES as u64 + 1;
        let mut bytes = Vec::new();
        if self.is_stdin() {
            std::io::stdin()
                .lock()
                .take(limit)
                .read_to_end(&mut bytes)
                .context("cannot read stdin")?;
            return Ok(bytes);
        }
        File::open(&self.file)
            .and_then(|file| file.take(limit).read_to_end(&mut bytes))
            .map_err(|err| {
                Complaint::usage(format!("cannot read `{}`", self.file.display()))
                    .cause(err.to_string())
                    .next("name a file that exists and that this user may read, or - for stdin")
            })?;
        Ok(bytes)
    }

    fn is_stdin(&self) -> bool {
        self.file == Path::new("-")
    }

    fn complain(&self, fault: FileFault) -> Complaint {
        let file = if self.is_stdin() {
            "<stdin>".to_owned()
        } else {
            self.file.display().to_string()
        };
        let complaint = Complaint::usage(format!(
            "{file}:{}:{}: {}",
            fault.line, fault.column, fault.message
        ));
        match fault.hint {
            Some(hint) => complaint.next(hint),
            None => complaint,
        }
    }

    fn report(&self, context: &Context, planned: &PlannedApply) -> Result<()> {
        let (out, plan) = (&context.out, &planned.plan);
        let document = || {
            let changes: Vec<Value> = plan.changes.iter().map(change_document).collect();
            let locked = self.lock_path().map(|path| path.display().to_string());
            let checks = planned.checks.as_ref();
            let checks = checks.map(|all| all.iter().map(check_document).collect::<Vec<_>>());
            document(
                "hfdl.apply/1",
                json!({ "dry_run": self.dry_run, "locked": locked, "changes": changes, "checks": checks }),
            )
        };
        let sentences = || {
            if plan.changes.is_empty() {
                return "nothing to do: everything is as the file says".to_owned();
            }
            let mut lines: Vec<String> = plan
                .changes
                .iter()
                .map(|change| line(change, out.colour))
                .collect();
            if self.locked.is_none() && plan.changes.iter().any(removes_pin) {
                let text =
                    "models without their pin follow their revisions again, as their policies say";
                lines.push(text.to_owned());
            }
            lines.extend(planned.checks.iter().flatten().filter_map(check_line));
            if self.dry_run {
                lines.push("dry run: nothing was changed".to_owned());
            }
            lines.join("\n")
        };
        if self.dry_run {
            // The differences are the result, not a note about it.
            return out.result(|_| sentences(), document);
        }
        out.done(sentences, document)
    }
}

/// Connects to the Hub with the settings as they will be.
fn connect(context: &Context, looked: &Store, wanted: &Wanted) -> Result<(Settings, HubClients)> {
    let flags = context.flags.clone();
    let settings = ops::settings::resolve_with(&context.host, looked, wanted, flags)?;
    let stop = StopFlag::new();
    let clients = ops::hub::connect(&context.host, &settings, &stop, Renewal::Never)?;
    Ok((settings, clients))
}

/// Fails with all differences between the lock file and the models as they will be.
fn compare(
    context: &Context,
    looked: &Store,
    wanted: &Wanted,
    plan: &ApplyPlan,
    lock: &LockFile,
) -> Result<()> {
    let (settings, clients) = connect(context, looked, wanted)?;
    let differences = lock_file::differences(&clients, &settings, &plan.resulting, lock)?;
    if differences.is_empty() {
        return Ok(());
    }
    let headline = "the models differ from the lock file; nothing was changed";
    Err(Complaint::new(ExitStatus::Failed, headline)
        .cause(differences.join("\n"))
        .next("`hfdl lock` writes a new lock file where the wanted commits are published")
        .into())
}

fn carry_out(
    context: &Context,
    plan: &ApplyPlan,
    wanted: &Wanted,
    rules: &Rules<'_>,
) -> Result<()> {
    let store = context.store()?;
    plan.carry_out(&store, wanted, rules)?;
    let models = store.models(&ModelFilter::default())?;
    let repos = models.iter().map(|model| &model.spec.repo);
    let identity = ops::ownership::identity(&context.host, &context.home, &store)?;
    let settings = context.settings(Some(&store))?;
    let cache = ops::ownership::cache_of(&settings, &identity);
    ops::ownership::note_claims(&store, &cache, repos);
    // A crash before this line only makes the next check too early.
    ops::schedules::save_next_looks(&store, &context.host, rules.tick)?;
    let ids: Vec<ModelId> = models.iter().map(|model| model.id).collect();
    let has_views = models
        .iter()
        .any(|model| !model.spec.all_views().is_empty());
    if has_views || store.has_views()? {
        update_views(context, &store, &settings, &ids)?;
    }
    Ok(())
}

/// Takes the timer's period from the file when the file sets it.
fn tick(wanted: &Wanted, settings: &Settings) -> Seconds {
    let new = wanted.setting(SettingKey::TimerEvery);
    new.and_then(|text| text.parse().ok())
        .unwrap_or(settings.timer_every())
}

/// Returns the question that names the entries to remove.
fn question(plan: &ApplyPlan) -> Option<String> {
    const MOST: usize = 20;
    let removed: Vec<String> = plan
        .changes
        .iter()
        .filter(|change| change.action == ApplyAction::Remove)
        .map(|change| format!("{} `{}`", change.kind.as_str(), change.name))
        .collect();
    let more = removed.len().saturating_sub(MOST);
    let named = removed[..removed.len() - more].join(", ");
    let rest = match more {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    (!removed.is_empty()).then(|| format!("remove {named}{rest}? Downloaded files stay."))
}

/// Tells whether a change removes the pin of a lock file.
fn removes_pin(change: &Change) -> bool {
    let mut fields = change.fields.iter();
    fields.any(|field| field.field == PINNED && field.new == Node::Null)
}

pub(super) fn line(change: &Change, colour: bool) -> String {
    let (sign, code) = match change.action {
        ApplyAction::Add => ('+', 32),
        ApplyAction::Change => ('~', 33),
        ApplyAction::Remove => ('-', 31),
    };
    let fields: Vec<String> = change
        .fields
        .iter()
        .map(|field| {
            let new = shown(&field.new);
            match (change.kind, change.action) {
                (_, ApplyAction::Remove) => shown(&field.old),
                (Kind::Setting, ApplyAction::Add) => new,
                (Kind::Setting, ApplyAction::Change) => format!("{} → {new}", shown(&field.old)),
                (_, ApplyAction::Add) => format!("{} {new}", field.field),
                (_, ApplyAction::Change) => {
                    format!("{} {} → {new}", field.field, shown(&field.old))
                }
            }
        })
        .collect();
    let mut line = format!("{sign} {} {}", change.kind.as_str(), change.name);
    if !fields.is_empty() {
        line.push_str(": ");
        line.push_str(&fields.join(", "));
    }
    if colour {
        line = format!("\u{1b}[{code}m{line}\u{1b}[0m");
    }
    line
}

fn shown(node: &Node) -> String {
    match node {
        Node::Null | Node::Fraction => text::NOTHING.to_owned(),
        Node::Switch(true) => "yes".to_owned(),
        Node::Switch(false) => "no".to_owned(),
        Node::Number(number) => number.to_string(),
        Node::Text(text) => escaped(text),
        Node::List(nodes) if nodes.is_empty() => text::NOTHING.to_owned(),
        Node::List(nodes) => {
            let items: Vec<String> = nodes.iter().map(shown).collect();
            format!("[{}]", items.join(", "))
        }
        Node::Map(_) => "…".to_owned(),
    }
}

/// Escapes control characters, which could move the cursor.
fn escaped(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            c if c.is_control() => shown.extend(c.escape_debug()),
            c => shown.push(c),
        }
    }
    shown
}

pub(super) fn change_document(change: &Change) -> Value {
    let fields: Vec<Value> = change
        .fields
        .iter()
        .map(|field| {
            json!({ "field": field.field, "old": to_json(&field.old), "new": to_json(&field.new) })
        })
        .collect();
    json!({
        "action": change.action.as_str(),
        "kind": change.kind.as_str(),
        "name": change.name,
        "fields": fields,
    })
}

/// Returns the line about a model that the Hub has.
fn check_line(check: &CheckedModel) -> Option<String> {
    let answer = check.answer.as_ref().ok()?;
    Some(format!("checked `{}`: {}", check.spec.name, amount(answer)))
}

fn check_document(check: &CheckedModel) -> Value {
    let error = check.answer.as_ref().err();
    json!({
        "name": check.spec.name.to_string(),
        "repo": check.spec.repo.to_string(),
        "check": check_view(check.answer.as_ref().ok()),
        "error": error.map(|error| explain(error).document()),
    })
}
