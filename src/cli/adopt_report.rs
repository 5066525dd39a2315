//! The output of `hfdl adopt`: problems, tables, documents.

use std::path::PathBuf;

use anyhow::Result;
use serde_json::{Value, json};

use super::context::Context;
use super::download_report::{DueReport, explain_session, run_document, show_session};
use super::explain::{self, Explanation};
use crate::domain::adopt::AdoptedFile;
use crate::domain::alert::RunFacts;
use crate::domain::outcome::ExitStatus;
use crate::domain::snapshot::Amount;
use crate::domain::units::ByteSize;
use crate::json::document;
use crate::ops::adopt::{AdoptionReport, ModelMatch, is_changed};
use crate::sys::stamp::stamp_at;
use crate::ui::table::Column;
use crate::ui::{Output, table, text};

/// The result of one command.
pub struct AdoptResult {
    report: AdoptionReport,
    /// No file was given, so there is nothing to count.
    is_of_no_paths: bool,
    /// `None` when the Hub was not asked.
    pub matches: Option<Vec<ModelMatch>>,
    /// The run that moved files into the cache.
    pub run: Option<RunFacts>,
}

impl AdoptResult {
    pub fn of(report: AdoptionReport, paths: &[PathBuf]) -> Self {
        Self {
            report,
            is_of_no_paths: paths.is_empty(),
            matches: None,
            run: None,
        }
    }

    /// Shows problems and the result, and returns the exit status.
    pub fn show(&self, context: &Context, is_dry_run: bool) -> Result<ExitStatus> {
        let mut status = self.run.as_ref().map_or(ExitStatus::Ok, |run| run.status);
        for (path, cause) in &self.report.unreadable {
            let explanation = Explanation {
                headline: format!("cannot adopt `{}`", path.display()),
                cause: Some(cause.clone()),
                next: None,
                status: ExitStatus::Failed,
            };
            context.show_problem(&explanation);
            status = status.worst(explanation.status);
        }
        for found in self.matches.iter().flatten() {
            if let Err(err) = &found.found {
                let mut explanation = explain::explain(err);
                let cause = explanation.cause.take().unwrap_or(explanation.headline);
                explanation.cause = Some(cause);
                explanation.headline = format!("could not check `{}`", found.model.spec.name);
                context.show_problem(&explanation);
                status = status.worst(explanation.status);
            }
        }
        if let Some(run) = &self.run {
            for session in &run.sessions {
                if let Some(explanation) = explain_session(run, session) {
                    show_session(context, session, &explanation);
                }
            }
        }
        let out = &context.out;
        let render = || self.text(out, is_dry_run);
        if is_dry_run || self.matches.is_some() {
            out.result(|_| render(), || self.document(is_dry_run))?;
        } else {
            self.note_left(context);
            out.done(render, || self.document(is_dry_run))?;
        }
        Ok(status)
    }

    /// Says with `--quiet`, which leaves the facts out, that a signal has ended the command.
    fn note_left(&self, context: &Context) {
        let left = self.report.left;
        if context.out.quiet && left.files > 0 {
            context.show_note_always(&Explanation {
                headline: format!("not read yet: {}", files_text(left)),
                cause: Some("a signal ended the command".to_owned()),
                next: Some("the same command continues".to_owned()),
                status: ExitStatus::Failed,
            });
        }
    }

    fn text(&self, out: &Output, is_dry_run: bool) -> String {
        let report = &self.report;
        let read = if is_dry_run { "to read" } else { "hashed" };
        let mut facts = vec![
            ("files", files_text(report.total)),
            (read, files_text(report.hashed)),
            ("known", files_text(report.known)),
        ];
        if report.left.files > 0 {
            let left = files_text(report.left);
            facts.push(("left", format!("{left}; the same command continues")));
        }
        facts.push(("in the cache", files_text(report.in_cache)));
        let saveable = ByteSize(report.saveable_bytes).render_short();
        facts.push(("duplicates", format!("{saveable} could be saved")));
        if !report.skipped.is_empty() {
            let skipped = report.skipped.iter();
            let skipped = skipped.map(|(reason, number)| format!("{number} {reason}"));
            let skipped: Vec<String> = skipped.collect();
            facts.push(("passed over", skipped.join("\n")));
        }
        let mut text = table::facts(out, &facts);
        if let Some(matches) = &self.matches {
            if self.is_of_no_paths {
                text.clear();
            } else {
                text.push('\n');
            }
            text.push_str(&matches_text(out, matches));
        }
        for session in self.run.iter().flat_map(|run| &run.sessions) {
            if let Some(path) = &session.progress.path {
                text.push_str(&format!("\n{}", path.display()));
            }
        }
        text
    }

    fn document(&self, is_dry_run: bool) -> Value {
        let report = &self.report;
        let skipped = report.skipped.iter();
        let skipped = skipped.map(|(why, n)| json!({"reason": why.as_str(), "count": n}));
        let unreadable = report.unreadable.iter();
        let unreadable = unreadable
            .map(|(path, error)| json!({"path": path.display().to_string(), "error": error}));
        let matches = self.matches.as_ref();
        let models = matches.map(|all| all.iter().map(match_view).collect::<Vec<_>>());
        let run = self.run.as_ref();
        let run = run.map(|run| run_document(run, &DueReport::default()));
        let counts = |count: fn(&Amount) -> u64| {
            json!({
                "total": count(&report.total),
                "hashed": count(&report.hashed),
                "known": count(&report.known),
                "left": count(&report.left),
                "in_cache": count(&report.in_cache),
            })
        };
        document(
            "hfdl.adopt/1",
            json!({
                "dry_run": is_dry_run,
                "files": counts(|amount| amount.files),
                "bytes": counts(|amount| amount.bytes),
                "saveable_bytes": report.saveable_bytes,
                "skipped": skipped.collect::<Vec<_>>(),
                "unreadable": unreadable.collect::<Vec<_>>(),
                "models": models,
                "run": run,
            }),
        )
    }
}

fn files_text(amount: Amount) -> String {
    let size = ByteSize(amount.bytes).render_short();
    format!("{} ({size})", amount.files)
}

fn matches_text(out: &Output, matches: &[ModelMatch]) -> String {
    if matches.is_empty() {
        return "no model is registered; `hfdl models add org/name` keeps one\n".to_owned();
    }
    let columns = [
        Column::name("MODEL"),
        Column::kept("COMMIT").least(3),
        Column::number("FILES HERE").least(2),
        Column::number("SIZE HERE"),
        Column::kept("PUBLISHED").least(1),
    ];
    let row = |found: &ModelMatch| {
        let name = found.model.spec.name.to_string();
        let Ok(matched) = &found.found else {
            let mut row = vec![text::NOTHING.to_owned(); columns.len()];
            row[0] = name;
            return row;
        };
        let size = |bytes| ByteSize(bytes).render_short();
        let (here, total) = (matched.here, matched.total);
        vec![
            name,
            matched.commit.short().to_owned(),
            format!("{} of {}", here.files, total.files),
            format!("{} of {}", size(here.bytes), size(total.bytes)),
            if matched.is_published { "yes" } else { "no" }.to_owned(),
        ]
    };
    table::render(out, &columns, matches.iter().map(row).collect())
}

fn match_view(found: &ModelMatch) -> Value {
    let spec = &found.model.spec;
    let matched = found.found.as_ref().ok();
    let amount = |count: fn(&Amount) -> u64| {
        matched.map(|it| json!({"total": count(&it.total), "here": count(&it.here)}))
    };
    json!({
        "model": spec.name.as_str(),
        "repo": spec.repo.to_string(),
        "repo_type": spec.repo.kind.as_str(),
        "revision": spec.revision.to_string(),
        "commit": matched.map(|it| it.commit.to_string()),
        "files": amount(|amount| amount.files),
        "bytes": amount(|amount| amount.bytes),
        "published": matched.map(|it| it.is_published),
        "error": found.found.as_ref().err().map(|err| format!("{err:#}")),
    })
}

/// Returns the state of an adopted file: only an unchanged one is used.
fn state(file: &AdoptedFile) -> &'static str {
    let found = stamp_at(&file.path).ok().flatten();
    match found {
        Some(found) if found == file.stamp => "unchanged",
        Some(_) => "changed",
        None if is_changed(file) => "gone",
        None => "unreachable",
    }
}

pub fn list_text(out: &Output, files: &[AdoptedFile]) -> String {
    if files.is_empty() {
        return String::new();
    }
    let columns = [
        Column::number("SIZE"),
        Column::kept("STATE"),
        Column::kept("MOVES").least(1),
        Column::name("FILE"),
    ];
    let row = |file: &AdoptedFile| {
        vec![
            ByteSize(file.stamp.size_bytes).render_short(),
            state(file).to_owned(),
            if file.moves { "yes" } else { "no" }.to_owned(),
            file.path.display().to_string(),
        ]
    };
    table::render(out, &columns, files.iter().map(row).collect())
}

pub fn list_document(files: &[AdoptedFile]) -> Value {
    let view = |file: &AdoptedFile| {
        json!({
            "path": file.path.display().to_string(),
            "size": file.stamp.size_bytes,
            "sha256": file.sha256.etag(),
            "git_sha1": file.git_sha1.etag(),
            "state": state(file),
            "moves": file.moves,
        })
    };
    let files: Vec<Value> = files.iter().map(view).collect();
    document("hfdl.adopted/1", json!({ "files": files }))
}
