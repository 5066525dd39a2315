//! `hfdl download`

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::Result;
use clap::Args;
use serde_json::{Value, json};

use super::context::Context;
use super::explain::{self, Complaint, Explanation};
use super::models_edit::destination;
use crate::domain::filter::Filter;
use crate::domain::model::{Destination, Model, Tag};
use crate::domain::outcome::{ExitStatus, Outcome};
use crate::domain::repo::{RepoPath, Revision};
use crate::domain::repo_arg::{RepoArg, RepoPart, escape_pattern};
use crate::domain::run::RunCommand;
use crate::domain::schedule::RateTable;
use crate::domain::session::Session;
use crate::domain::settings::Settings;
use crate::domain::time::render_utc;
use crate::domain::units::{ByteSize, Seconds};
use crate::ops;
use crate::ops::download::{Download as Work, DryRun};
use crate::ops::run::{Bounds, RunReport, Tools};
use crate::ops::sync::{Progress, Target};
use crate::store::{ModelFilter, Store};
use crate::sys::signals;
use crate::sys::stop::StopFlag;
use crate::ui::json::{SessionView, document};
use crate::ui::progress::Bars;
use crate::ui::{Format, table, text};

/// Download now, by hand or in CI
///
/// Fetches what is missing, verifies every byte, publishes each repository in one step, and prints
/// the path of each. A registered name uses what is stored about it; any other repository is fetched
/// without being registered. Schedules are not touched.
#[derive(Debug, Args)]
#[command(
    after_long_help = "Arguments that are no registered name and look like a file (name.ext, folder/) \
are files of the repository before them.

Examples:
  hfdl download org/name
  MODEL=$(hfdl download org/name -q)
  hfdl download org/name config.json model.safetensors
  hfdl download datasets/org/corpus --include 'data/*.parquet' --to ./corpus
  hfdl download --all --max-transfer 20G"
)]
pub struct Download {
    /// Repositories or registered names, and files of a repository
    #[arg(value_name = "REPO|NAME|FILE", required_unless_present_any = ["all", "tag"])]
    what: Vec<String>,

    /// Branch, tag, refs/pr/N or full commit
    #[arg(long, value_name = "REV")]
    revision: Option<Revision>,

    /// Only files that match; `*` crosses directories
    #[arg(long, value_name = "GLOB")]
    include: Vec<String>,

    /// Leave out files that match
    #[arg(long, value_name = "GLOB")]
    exclude: Vec<String>,

    /// The Hub's cache, or a directory of plain files (default: cache)
    #[arg(long, value_name = "cache|DIR")]
    to: Option<String>,

    /// All registered models that are enabled
    #[arg(long, conflicts_with_all = ["tag", "what"])]
    all: bool,

    /// The registered models with this tag
    #[arg(long, conflicts_with = "what")]
    tag: Vec<Tag>,

    /// Fetch again what is there already
    #[arg(long)]
    force: bool,

    /// Say what would be fetched, and fetch nothing
    #[arg(long)]
    dry_run: bool,

    /// Wait for another run to end (for so long, or without limit)
    #[arg(long, value_name = "DUR", num_args = 0..=1, require_equals = true, default_missing_value = "36500d")]
    wait: Option<Seconds>,

    /// End after so much time; the next run goes on (default: run.max_duration)
    #[arg(long, value_name = "DUR")]
    max_duration: Option<Seconds>,

    /// End after so many bytes; the next run goes on (default: run.max_transfer)
    #[arg(long, value_name = "SIZE")]
    max_transfer: Option<ByteSize>,

    /// Bytes per second, or a time table (default: download.limit_rate)
    #[arg(long, value_name = "TABLE")]
    limit_rate: Option<RateTable>,
}

impl Download {
    pub fn run(self, context: &Context) -> Result<ExitStatus> {
        let existing = context.existing_store()?;
        let settings = context.settings(existing.as_ref())?;
        let (targets, single) = self.targets(context, existing.as_ref(), &settings)?;
        if targets.is_empty() {
            return Err(Complaint::usage("no registered model is meant")
                .next("`hfdl models list` shows all")
                .into());
        }
        let lock = if self.dry_run {
            None
        } else {
            match ops::run::take_run_lock(&context.host, &context.home, self.wait)? {
                Some(lock) => Some(lock),
                None => return locked(context, RunCommand::Download),
            }
        };
        let store = match existing {
            Some(store) => store,
            None if self.dry_run => Store::open_read_only(&context.home.database(), context.now())?,
            None => context.store()?,
        };
        let hub = ops::hub::connect(&context.host, &settings)?;
        let stop = StopFlag::new();
        let work = Work {
            tools: Tools {
                host: &context.host,
                home: &context.home,
                store: &store,
                settings: &settings,
                hub: &hub,
                stop: &stop,
            },
            targets,
            bounds: Bounds {
                max_duration: self.max_duration.or(settings.run_max_duration()),
                max_transfer: self.max_transfer.or(settings.run_max_transfer()),
                limit_rate: self.limit_rate.or_else(|| settings.limit_rate().cloned()),
            },
        };
        if self.dry_run {
            return dry_run(context, &work);
        }
        signals::stop_on_interrupt(&stop)?;
        let mut bars = wants_bars(context).then(Bars::new);
        let report = work.run(&mut |progress| draw(bars.as_mut(), progress));
        if let Some(bars) = &bars {
            bars.finish();
        }
        drop(lock);
        for warning in hub.warnings() {
            context
                .out
                .warn(&format!("the Hub says: {}", warning.message));
        }
        report_run(context, &report?, single.as_ref())
    }

    /// Understands the arguments; the second value is the one file that was
    /// asked for, if it was just one.
    fn targets(
        &self,
        context: &Context,
        store: Option<&Store>,
        settings: &Settings,
    ) -> Result<(Vec<Target>, Option<RepoPath>)> {
        let models = match store {
            Some(store) => store.models(&ModelFilter::default())?,
            None => Vec::new(),
        };
        if self.all || !self.tag.is_empty() {
            let meant = |model: &&Model| {
                model.spec.enabled
                    && (self.all || self.tag.iter().any(|tag| model.spec.tags.contains(tag)))
            };
            let targets = models
                .iter()
                .filter(meant)
                .map(|model| self.registered(context, settings, model, &[]));
            return Ok((targets.collect::<Result<_>>()?, None));
        }
        let mut groups: Vec<(&str, Vec<&str>)> = Vec::new();
        for word in &self.what {
            let is_name = models.iter().any(|model| model.spec.name.as_str() == word);
            match groups.last_mut() {
                Some((_, files)) if !is_name && looks_like_file(word) => files.push(word),
                _ => groups.push((word, Vec::new())),
            }
        }
        let mut targets = Vec::new();
        for (word, files) in &groups {
            let model = models
                .iter()
                .find(|model| model.spec.name.as_str() == *word);
            targets.push(match model {
                Some(model) => self.registered(context, settings, model, files)?,
                None => self.unregistered(context, settings, word, files)?,
            });
        }
        let single = match (targets.as_slice(), groups.as_slice()) {
            ([target], [(_, files)]) if files.len() <= 1 => target
                .required
                .first()
                .filter(|_| target.required.len() == 1)
                .cloned(),
            _ => None,
        };
        Ok((targets, single))
    }

    fn registered(
        &self,
        context: &Context,
        settings: &Settings,
        model: &Model,
        files: &[&str],
    ) -> Result<Target> {
        let spec = &model.spec;
        let (filter, required) = self.filter(files, &spec.filter)?;
        // Other files, another revision or another place than the registered
        // ones say nothing about the model.
        let revision = self
            .revision
            .clone()
            .unwrap_or_else(|| spec.revision.clone());
        let place = self
            .to
            .as_deref()
            .map(|to| destination(context, settings, to))
            .transpose()?;
        let place = place.unwrap_or_else(|| spec.destination.clone());
        let is_the_model =
            filter == spec.filter && revision == spec.revision && place == spec.destination;
        Ok(Target {
            model: is_the_model.then(|| (model.id, spec.name.clone())),
            repo: spec.repo.clone(),
            revision,
            filter,
            required,
            destination: place,
            known_commit: model
                .state
                .published_commit
                .clone()
                .filter(|_| is_the_model),
            held_commit: model.state.held_commit.clone().filter(|_| is_the_model),
            force: self.force,
        })
    }

    fn unregistered(
        &self,
        context: &Context,
        settings: &Settings,
        word: &str,
        files: &[&str],
    ) -> Result<Target> {
        let arg = RepoArg::parse(word, settings.endpoint())?;
        let revision = match (&self.revision, &arg.revision) {
            (Some(flag), Some(own)) if flag != own => {
                return Err(Complaint::usage("two different revisions are given")
                    .cause(format!("`--revision {flag}`, and `{own}` in `{word}`"))
                    .next("leave one of them out")
                    .into());
            }
            (flag, own) => flag.clone().or(own.clone()).unwrap_or_else(Revision::main),
        };
        let stored = Filter {
            include: arg.include_patterns(),
            exclude: Vec::new(),
        };
        let (filter, mut required) = self.filter(files, &stored)?;
        if let (Some(RepoPart::File(path)), true) =
            (&arg.part, files.is_empty() && self.include.is_empty())
        {
            required.insert(path.clone());
        }
        let place = self
            .to
            .as_deref()
            .map(|to| destination(context, settings, to))
            .transpose()?;
        Ok(Target {
            model: None,
            repo: arg.repo,
            revision,
            filter,
            required,
            destination: place.unwrap_or(Destination::Cache),
            known_commit: None,
            held_commit: None,
            force: self.force,
        })
    }

    /// Named files beat patterns on the command line, and these beat stored ones.
    fn filter(&self, files: &[&str], stored: &Filter) -> Result<(Filter, BTreeSet<RepoPath>)> {
        if files.is_empty() {
            let include = if self.include.is_empty() {
                stored.include.clone()
            } else {
                Some(self.include.clone())
            };
            let exclude = if self.exclude.is_empty() {
                stored.exclude.clone()
            } else {
                self.exclude.clone()
            };
            return Ok((Filter { include, exclude }, BTreeSet::new()));
        }
        if !self.include.is_empty() || !self.exclude.is_empty() {
            return Err(Complaint::usage("files are named, and patterns given")
                .next("use either file names or `--include` and `--exclude`")
                .into());
        }
        let mut required = BTreeSet::new();
        let mut include = Vec::new();
        for file in files {
            let path: RepoPath = file.trim_end_matches('/').parse()?;
            include
                .push(escape_pattern(path.as_str()) + if file.ends_with('/') { "/" } else { "" });
            if !file.ends_with('/') {
                required.insert(path);
            }
        }
        Ok((
            Filter {
                include: Some(include),
                exclude: Vec::new(),
            },
            required,
        ))
    }
}

/// Tells a file of a repository from a repository: a folder ends in `/`, a
/// file has an extension that begins with a letter, which versions do not.
fn looks_like_file(word: &str) -> bool {
    let typed = [
        "models/",
        "datasets/",
        "spaces/",
        "hf://",
        "http://",
        "https://",
    ];
    if typed.iter().any(|prefix| word.starts_with(prefix)) && !word.ends_with('/') {
        return false;
    }
    if word.ends_with('/') || word.matches('/').count() > 1 {
        return !word.starts_with("hf://") && !word.contains("://");
    }
    let name = word.rsplit('/').next().unwrap_or(word);
    name.rsplit_once('.').is_some_and(|(_, extension)| {
        extension.starts_with(|c: char| c.is_ascii_alphabetic())
            && extension.len() <= 16
            && extension.chars().all(|c| c.is_ascii_alphanumeric())
    })
}

/// Says that another run holds the lock, and writes down that this one was skipped.
pub(super) fn locked(context: &Context, command: RunCommand) -> Result<ExitStatus> {
    let store = context.existing_store()?;
    let holder = store
        .as_ref()
        .map(Store::unfinished_runs)
        .transpose()?
        .unwrap_or_default()
        .pop();
    let cause = holder.map(|run| {
        format!(
            "{} runs on {} as process {} since {}",
            run.start.command,
            run.start.process.host,
            run.start.process.pid,
            text::local_time(run.start.at, &context.host.time_zone())
        )
    });
    if let Some(store) = &store {
        let start = crate::domain::run::RunStart {
            command,
            trigger: crate::domain::outcome::Trigger::Manual,
            process: ops::run::this_process(&context.host),
            at: context.now(),
        };
        let outcome = crate::domain::outcome::RunOutcome::SkippedLocked;
        store.record_skipped_run(&start, outcome, ExitStatus::Locked.code())?;
    }
    let mut complaint = Complaint::new(ExitStatus::Locked, "another run holds the lock");
    if let Some(cause) = cause {
        complaint = complaint.cause(cause);
    }
    Err(complaint
        .next("add `--wait` to wait for its end, or `--wait=10m` for so long")
        .into())
}

pub(super) fn wants_bars(context: &Context) -> bool {
    context.host.stderr_is_terminal()
        && !context.out.quiet
        && !context.host.is_on("HF_HUB_DISABLE_PROGRESS_BARS")
}

pub(super) fn draw(bars: Option<&mut Bars>, progress: &Progress<'_>) {
    let Some(bars) = bars else { return };
    match progress {
        Progress::Begins { n_bytes, .. } => bars.begin(*n_bytes),
        Progress::FileStarted {
            name,
            n_bytes,
            have,
        } => bars.start_file(name, *n_bytes, *have),
        Progress::Bytes { name, n_bytes } => bars.advance(name, *n_bytes),
        Progress::FileEnded { name } => bars.end_file(name),
        Progress::Retrying { .. } | Progress::Kept { .. } | Progress::Ended { .. } => {}
    }
}

fn dry_run(context: &Context, work: &Work<'_>) -> Result<ExitStatus> {
    let mut worst = ExitStatus::Ok;
    let mut found = Vec::new();
    for (_, result) in work.dry_run() {
        match result {
            Ok(plan) => found.push(plan),
            Err(err) => {
                let explanation = explain::explain(&err);
                worst = worst.worst(explanation.status);
                context.show_problem(&explanation);
            }
        }
    }
    context
        .out
        .result(|out| dry_run_text(out, &found), || dry_run_document(&found))?;
    Ok(worst)
}

fn dry_run_text(out: &crate::ui::Output, found: &[DryRun]) -> String {
    let mut rows = Vec::new();
    for plan in found {
        let totals = plan.totals;
        rows.push(vec![
            plan.label.clone(),
            plan.commit.chars().take(10).collect(),
            format!("{} of {}", totals.files_to_fetch, totals.files),
            ByteSize(totals.bytes_to_fetch).render_short(),
            ByteSize(totals.bytes_reused + totals.bytes_from_partials).render_short(),
        ]);
    }
    if rows.is_empty() {
        return String::new();
    }
    let columns = [
        table::left("MODEL"),
        table::left("COMMIT"),
        table::right("FILES"),
        table::right("WOULD FETCH"),
        table::right("REUSABLE"),
    ];
    table::render(out, &columns, rows)
}

fn dry_run_document(found: &[DryRun]) -> Value {
    let models: Vec<Value> = found
        .iter()
        .map(|plan| {
            let totals = plan.totals;
            let files: Vec<Value> = plan
                .files
                .iter()
                .map(|(path, size, fetch)| json!({"path": path, "size": size, "bytes_to_fetch": fetch}))
                .collect();
            json!({
                "model": plan.label,
                "commit": plan.commit,
                "files": {"total": totals.files, "to_fetch": totals.files_to_fetch, "reused": totals.files_reused},
                "bytes": {"total": totals.bytes, "to_fetch": totals.bytes_to_fetch, "reused": totals.bytes_reused + totals.bytes_from_partials},
                "fetch": files,
            })
        })
        .collect();
    document("hfdl.plan/1", json!({ "models": models }))
}

fn report_run(
    context: &Context,
    report: &RunReport,
    single: Option<&RepoPath>,
) -> Result<ExitStatus> {
    let file = single.map(|path| Path::new(path.as_str()));
    for session in &report.sessions {
        if let Some(explanation) = explain_session(session) {
            context.show_problem(&explanation);
        }
    }
    context.out.result(
        |_| {
            let mut lines = String::new();
            for session in &report.sessions {
                if let Some(path) = ops::download::shown_path(session, file) {
                    lines.push_str(&format!("{}\n", path.display()));
                }
            }
            lines
        },
        || run_document(report),
    )?;
    if context.out.format == Format::Table && wants_bars(context) {
        let fetched = report
            .sessions
            .iter()
            .map(|session| session.progress.bytes.fetched)
            .sum();
        let reused = report
            .sessions
            .iter()
            .map(|session| session.progress.bytes.reused)
            .sum();
        context.out.say(&format!(
            "{} fetched, {} there already",
            ByteSize(fetched).render_short(),
            ByteSize(reused).render_short()
        ));
    }
    Ok(report.status)
}

/// Says why a session did not end well.
fn explain_session(session: &Session) -> Option<Explanation> {
    let end = session.end.as_ref()?;
    let label = match &session.start.model_name {
        Some(name) => name.to_string(),
        None => session.start.repo.to_string(),
    };
    let trouble = end.trouble.as_ref();
    let headline = match end.outcome {
        Outcome::Updated | Outcome::UpToDate | Outcome::Repaired | Outcome::Skipped => return None,
        Outcome::Partial => format!("`{label}` is not whole yet; what was fetched is kept"),
        Outcome::Held => format!("`{label}` is held at an older revision"),
        Outcome::CouldNotCheck => format!("could not check `{label}`"),
        Outcome::Orphaned => format!("`{label}` is gone upstream; the local copy is kept"),
        Outcome::Failed => format!("could not update `{label}`"),
    };
    Some(Explanation {
        headline,
        cause: trouble.map(|trouble| trouble.message.clone()),
        next: match end.outcome {
            Outcome::Partial => Some("run the same again: it goes on where this ended".to_owned()),
            _ => trouble.and_then(|trouble| trouble.hint.clone()),
        },
        status: trouble.map_or(ExitStatus::Failed, |trouble| trouble.kind.exit_status()),
    })
}

fn run_document(report: &RunReport) -> Value {
    let sessions: Vec<Value> = report
        .sessions
        .iter()
        .map(|session| document("hfdl.session/1", SessionView::from(session)))
        .collect();
    document(
        "hfdl.run/1",
        json!({
            "run_id": report.run_id.as_str(),
            "trigger": report.trigger.as_str(),
            "outcome": report.outcome.as_str(),
            "exit_code": report.status.code(),
            "started_at": render_utc(report.started_at),
            "finished_at": render_utc(report.finished_at),
            "due": 0,
            "skipped": [],
            "sessions": sessions,
        }),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_told_from_repositories() {
        for file in [
            "config.json",
            "sub/model.bin",
            "a/b/c",
            "data/",
            "tokenizer.model",
            ".gitattributes",
        ] {
            assert!(looks_like_file(file), "{file}");
        }
        for repo in [
            "org/name",
            "Qwen/Qwen2.5-7B",
            "org/Llama-3.1",
            "org/phi-1.5b",
            "gpt2",
            "datasets/org/x",
            "hf://org/name/x.json",
            "https://huggingface.co/org/name",
        ] {
            assert!(!looks_like_file(repo), "{repo}");
        }
    }
}
