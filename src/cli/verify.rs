//! `hfdl verify`

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use serde_json::{Value, json};

use super::context::Context;
use super::download_report::{show_session, stop_cause};
use super::explain::{Complaint, Explanation};
use super::limits::Waiting;
use super::lock::take_lock;
use super::status::leave_status_file;
use super::views::{trouble_of, view_document};
use super::watcher::Watcher;
use crate::domain::alert::RunFacts;
use crate::domain::filter::Filter;
use crate::domain::model::{EntryName, Model};
use crate::domain::outcome::{Effect, ErrorKind, ExitStatus, Outcome, Trigger};
use crate::domain::repo::Revision;
use crate::domain::repo_arg::RepoArg;
use crate::domain::run::RunCommand;
use crate::domain::session::Session;
use crate::domain::settings::Settings;
use crate::domain::time::render_utc;
use crate::domain::units::ByteSize;
use crate::domain::view::ViewState;
use crate::json::document;
use crate::ops::finish::{EndedRuns, Finish};
use crate::ops::services::Services;
use crate::ops::sync::Target;
use crate::ops::verify::{BadFile, Listed, Verified, Verify as Work, VerifyReport, is_in_cache};
use crate::store::{ModelFilter, Store};
use crate::ui::table::Column;
use crate::ui::{self, Format, Output, table, text};

/// Read the published files again, and check every hash
///
/// Reads all files of the published revisions and compares them with their hashes. The Hub is asked
/// only for listings that are not stored here. With --repair, damaged files are fetched again at
/// the same commit, and replaced when the new bytes are verified. Without it nothing is changed:
/// damaged files are recorded, and the next download fetches them again.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:
  hfdl verify                        all models that are enabled
  hfdl verify org/name --repair
  hfdl verify --sample 50G --repair  a part each night, the oldest first
  hfdl verify --offline --json")]
pub struct VerifyCommand {
    /// Registered names, or repositories in the cache (default: all models that are enabled)
    #[arg(value_name = "NAME|REPO")]
    what: Vec<String>,

    /// Fetch damaged files again, at the same commit
    #[arg(long, conflicts_with = "offline")]
    repair: bool,

    /// Read at most this many bytes, starting with the files verified longest ago
    #[arg(long, value_name = "SIZE")]
    sample: Option<ByteSize>,

    /// Never ask the Hub
    #[arg(long)]
    offline: bool,

    #[command(flatten)]
    waiting: Waiting,
}

impl VerifyCommand {
    pub fn run(self, context: &Context) -> Result<ExitStatus> {
        let existing = context.existing_store()?;
        let settings = context.settings(existing.as_ref())?;
        let targets = self.targets(existing.as_ref(), &settings)?;
        if targets.is_empty() {
            return report_no_models(context);
        }
        let store = existing.map_or_else(|| context.store(), Ok)?;
        // Before the lock: a signal may end the wait for it.
        let services = Services::for_run(&context.host, &context.home, settings, store)?;
        let lock = take_lock(
            context,
            RunCommand::Verify,
            Trigger::Manual,
            self.waiting.wait,
        )?;
        let work = Work {
            services: &services,
            targets,
            repair: self.repair,
            sample: self.sample,
            offline: self.offline,
            is_scrub: false,
        };
        let mut watcher = Watcher::of_run(context);
        let report = work.run(&mut |files| may_replace(context, files), &mut |event| {
            watcher.note(event)
        });
        watcher.finish();
        let write_status_file = || leave_status_file(context, &services.store, &services.settings);
        let report = report.inspect_err(|_| write_status_file())?;
        let finish = Finish {
            services: &services,
            lock,
            status_file: Some(&write_status_file),
            metrics_file: None,
            ping: None,
        };
        // A verification runs no hooks: the next run reports the damage, unless it repairs it.
        finish.finish(EndedRuns::default(), |_| {
            context.show_hub_warnings(&services);
            report_run(context, &report)
        })
    }

    fn targets(&self, store: Option<&Store>, settings: &Settings) -> Result<Vec<Target>> {
        if self.what.is_empty() {
            let enabled = ModelFilter {
                enabled: Some(true),
                ..ModelFilter::default()
            };
            let models =
                store.map_or_else(|| Ok(Vec::new()), |store| store.readable_models(&enabled))?;
            return Ok(models.iter().map(Target::from).collect());
        }
        let mut targets: Vec<Target> = Vec::new();
        for word in &self.what {
            let target = find(store, settings, word)?;
            if !targets.contains(&target) {
                targets.push(target);
            }
        }
        Ok(targets)
    }
}

fn find(store: Option<&Store>, settings: &Settings, word: &str) -> Result<Target> {
    if let (Some(store), Ok(name)) = (store, word.parse::<EntryName>())
        && let Some(model) = store.find_model(&name)?
    {
        return Ok(Target::from(&model));
    }
    let arg = RepoArg::parse(word, settings.endpoint())?;
    let target = Target {
        filter: Filter {
            include: arg.include_patterns(),
            ..Filter::default()
        },
        revision: arg.revision.unwrap_or_else(Revision::main),
        ..Target::unregistered(arg.repo)
    };
    if !is_in_cache(settings, &target)? {
        let models = store.map_or_else(
            || Ok(Vec::new()),
            |store| store.readable_models(&ModelFilter::default()),
        )?;
        return Err(nothing_known(&models, word, &target).into());
    }
    Ok(target)
}

/// Says that a word is no model, and that the cache has nothing of such a repository.
fn nothing_known(models: &[Model], word: &str, target: &Target) -> Complaint {
    let names: Vec<&str> = models
        .iter()
        .map(|model| model.spec.name.as_str())
        .collect();
    let complaint = Complaint::unknown("model", word, &names, "hfdl models list");
    complaint.cause(format!(
        "no model has that name, and the cache has no revision `{}` of `{}`",
        target.revision, target.repo
    ))
}

/// Without an answer a person's changes stay, and everything else is repaired.
fn may_replace(context: &Context, files: &[PathBuf]) -> Result<bool> {
    if context.yes {
        return Ok(true);
    }
    if !context.host.stdin_is_terminal() || !context.host.stderr_is_terminal() {
        return Ok(false);
    }
    for file in files {
        context.out.say(&format!("changed: {}", file.display()));
    }
    let count = text::count(files.len() as u64, "file", "files");
    ui::ask(&format!(
        "replace {count} that somebody changed by the published ones?"
    ))
}

fn report_no_models(context: &Context) -> Result<ExitStatus> {
    if !context.out.quiet && context.out.format == Format::Table {
        let out = &context.out;
        out.say("no models; `hfdl models add org/name` keeps one");
        return Ok(ExitStatus::Ok);
    }
    let nothing = document(
        "hfdl.verify/1",
        json!({ "run_id": null, "trigger": Trigger::Manual.as_str(), "outcome": "ok", "exit_code": 0, "models": [], "views": [] }),
    );
    context.out.document(|| nothing)?;
    Ok(ExitStatus::Ok)
}

fn report_run(context: &Context, report: &VerifyReport) -> Result<ExitStatus> {
    let pairs = || report.run.sessions.iter().zip(&report.models);
    for (session, model) in pairs() {
        if let Some(explanation) = explain_session(&report.run, session, model) {
            show_session(context, session, &explanation);
        }
    }
    for view in &report.views {
        if view.state != ViewState::Ok {
            context.warn(&trouble_of(view));
        }
    }
    context.out.done(
        || {
            let out = &context.out.resized();
            let mut text = models_text(out, pairs());
            text.push_str(&bad_text(out, pairs()));
            text
        },
        || run_document(report),
    )?;
    Ok(report.run.status)
}

/// Says why a session did not end well.
fn explain_session(run: &RunFacts, session: &Session, model: &Verified) -> Option<Explanation> {
    let end = session.end.as_ref()?;
    let label = session.start.label();
    let trouble = end.trouble.as_ref();
    let is_bytes = trouble.is_some_and(|trouble| trouble.kind == ErrorKind::Integrity);
    let headline = match end.effect() {
        Effect::Current | Effect::Held | Effect::Untried => return None,
        Effect::Unfinished => format!("`{label}` was not verified to its end"),
        _ if model.bad.is_empty() => format!("could not verify `{label}`"),
        _ if is_bytes => format!("`{label}` is damaged"),
        _ => {
            let count = text::count(model.bad.len() as u64, "bad file", "bad files");
            format!("could not repair `{label}`: {count} as before")
        }
    };
    Some(Explanation {
        headline,
        cause: match trouble {
            Some(trouble) => Some(trouble.message.clone()),
            None => stop_cause(run, session),
        },
        next: match end.effect() {
            Effect::Unfinished => Some("run the same command again".to_owned()),
            _ => trouble.and_then(|trouble| trouble.hint.clone()),
        },
        status: trouble.map_or(ExitStatus::Failed, |trouble| trouble.kind.exit_status()),
    })
}

/// Returns the word for the table of a verification.
fn result_word(session: &Session) -> &'static str {
    match &session.end {
        Some(end) if end.outcome == Outcome::Skipped => "never-downloaded",
        Some(end) => end.word(),
        None => "running",
    }
}

fn models_text<'r>(
    out: &Output,
    pairs: impl Iterator<Item = (&'r Session, &'r Verified)>,
) -> String {
    let columns = [
        Column::name("MODEL"),
        Column::kept("RESULT"),
        Column::kept("COMMIT").least(2),
        Column::number("VERIFIED"),
        Column::number("SIZE").least(1),
        Column::number("BAD").if_any(),
        Column::kept("KNOWN BY").least(3),
    ];
    let rows = pairs.map(|(session, model)| {
        let commit = model.commit.as_ref();
        let known_by = match (commit, model.listed) {
            (None, _) => text::NOTHING,
            (Some(_), Listed::ByListing) => "listing",
            (Some(_), Listed::ByNames) => "blob names",
        };
        let repaired = || model.bad.iter().filter(|bad| bad.is_repaired);
        let n_repaired = repaired().count() as u64;
        let bytes_repaired: u64 = repaired().map(BadFile::size_bytes).sum();
        vec![
            session.start.label(),
            result_word(session).to_owned(),
            commit
                .map_or(text::NOTHING, |commit| commit.short())
                .to_owned(),
            // Fetched files are verified during the download.
            format!("{} of {}", model.files_good + n_repaired, model.n_files),
            ByteSize(model.bytes_good + bytes_repaired).render_short(),
            text::count_or_nothing(model.bad.len() as u64),
            known_by.to_owned(),
        ]
    });
    table::render(out, &columns, rows.collect())
}

fn bad_text<'r>(out: &Output, pairs: impl Iterator<Item = (&'r Session, &'r Verified)>) -> String {
    let row = |session: &Session, bad: &BadFile| {
        vec![
            session.start.label(),
            bad.path.to_string(),
            bad.reason.to_string(),
            if bad.is_repaired { "repaired" } else { "bad" }.to_owned(),
        ]
    };
    let rows: Vec<Vec<String>> = pairs
        .flat_map(|(session, model)| model.bad.iter().map(move |bad| row(session, bad)))
        .collect();
    if rows.is_empty() {
        return String::new();
    }
    let columns = [
        Column::name("MODEL"),
        Column::name("FILE"),
        Column::sentence("REASON"),
        Column::kept("NOW"),
    ];
    format!("\n{}", table::render(out, &columns, rows))
}

fn run_document(report: &VerifyReport) -> Value {
    let run = &report.run;
    let models = run.sessions.iter().zip(&report.models);
    let models: Vec<Value> = models
        .map(|(session, model)| model_view(session, model))
        .collect();
    document(
        "hfdl.verify/1",
        json!({
            "run_id": run.run_id.as_str(),
            "trigger": run.trigger.as_str(),
            "outcome": run.outcome.as_str(),
            "exit_code": run.status.code(),
            "started_at": render_utc(run.started_at),
            "finished_at": render_utc(run.finished_at),
            "models": models,
            "views": report.views.iter().map(view_document).collect::<Vec<Value>>(),
        }),
    )
}

fn model_view(session: &Session, model: &Verified) -> Value {
    let (start, end) = (&session.start, session.end.as_ref());
    let trouble = end.and_then(|end| end.trouble.as_ref());
    let repaired = model.bad.iter().filter(|bad| bad.is_repaired).count();
    let bad: Vec<Value> = model
        .bad
        .iter()
        .map(|bad| {
            json!({
                "path": bad.path.as_str(),
                "reason": bad.reason.as_str(),
                "detail": bad.detail,
                "size": bad.file.as_ref().map(|file| file.size_bytes),
                "repaired": bad.is_repaired,
                "xet": bad.xet_agrees.map(|agrees| if agrees { "agrees" } else { "differs" }),
            })
        })
        .collect();
    json!({
        "session_id": session.id.0,
        "model": start.model_name.as_ref().map(ToString::to_string),
        "repo": start.repo.to_string(),
        "repo_type": start.repo.kind.as_str(),
        "revision": start.revision.to_string(),
        "commit": model.commit.as_ref().map(ToString::to_string),
        "outcome": end.map(|end| end.outcome.as_str()),
        "verify_outcome": end.and_then(|end| Some(end.verify_outcome?.as_str())),
        "error_kind": trouble.map(|trouble| trouble.kind.as_str()),
        "error": trouble.map(|trouble| trouble.message.clone()),
        "hint": trouble.and_then(|trouble| trouble.hint.clone()),
        "path": session.progress.path.as_ref().map(|path| path.display().to_string()),
        "known_by": model.commit.as_ref().map(|_| model.listed.as_str()),
        "files": {"total": model.n_files, "verified": model.files_good, "unknown": model.files_unknown, "bad": model.bad.len(), "repaired": repaired},
        "xet": {"agrees": model.xet_agrees, "differs": model.xet_differs},
        "bytes": {"total": model.n_bytes, "verified": model.bytes_good, "fetched": session.progress.bytes.fetched},
        "bad": bad,
    })
}
