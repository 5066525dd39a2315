//! The output of `hfdl download`: progress, problems, paths, documents.

use std::path::Path;

use anyhow::Result;
use serde_json::{Value, json};

use super::context::Context;
use super::explain::{self, Explanation};
use crate::domain::alert::RunFacts;
use crate::domain::outcome::{ExitStatus, Outcome};
use crate::domain::repo::{RepoPath, Revision};
use crate::domain::schedule::Unusable;
use crate::domain::session::{ByteCounts, Session};
use crate::domain::units::ByteSize;
use crate::json::{RunResult, RunView, document};
use crate::ops;
use crate::ops::published::{NotPublished, published};
use crate::ops::scrub::ScrubReport;
use crate::ops::services::Services;
use crate::ops::sync::Target;
use crate::ui::{Format, Output};

/// Shows the result of each model: problems on stderr, paths or the document on stdout.
pub fn report_run(
    context: &Context,
    run: &RunFacts,
    single: Option<&RepoPath>,
) -> Result<ExitStatus> {
    let file = single.map(|path| Path::new(path.as_str()));
    say_removed(context, run);
    for session in &run.sessions {
        if let Some(explanation) = explain_session(session) {
            show_session(context, session, &explanation);
        }
    }
    context.out.result(
        |_| {
            let mut lines = String::new();
            for session in &run.sessions {
                if let Some(path) = ops::download::shown_path(session, file) {
                    lines.push_str(&format!("{}\n", path.display()));
                }
            }
            lines
        },
        || run_document(run, &DueReport::default()),
    )?;
    if context.out.format == Format::Table && is_watched(context) {
        let sum = |count: fn(&ByteCounts) -> u64| {
            let bytes = run.sessions.iter().map(|session| session.progress.bytes);
            ByteSize(bytes.map(|bytes| count(&bytes)).sum()).render_short()
        };
        let (fetched, reused) = (sum(|bytes| bytes.fetched), sum(|bytes| bytes.reused));
        context
            .out
            .say(&format!("{fetched} fetched, {reused} there already"));
    }
    Ok(run.status)
}

/// Reports the removals of `prune.auto`.
pub fn say_removed(context: &Context, run: &RunFacts) {
    for item in &run.removed {
        let size = ByteSize(item.size_bytes).render_short();
        let (what, id, repo) = (item.what, &item.id, &item.repo);
        context.out.say(&format!(
            "removed the {what} {id} of `{repo}` to make room: {size} freed"
        ));
    }
}

/// Shows the result of a session: held is a state and not an error.
pub fn show_session(context: &Context, session: &Session, explanation: &Explanation) {
    let end = session.end.as_ref();
    if end.is_some_and(|end| end.outcome == Outcome::Held) {
        context.show_note(explanation)
    } else {
        context.show_problem(explanation)
    }
}

/// Says why a session did not end well.
pub fn explain_session(session: &Session) -> Option<Explanation> {
    let end = session.end.as_ref()?;
    let label = session.start.label();
    let trouble = end.trouble.as_ref();
    let headline = match end.outcome {
        Outcome::Updated | Outcome::UpToDate | Outcome::Repaired | Outcome::Skipped => return None,
        Outcome::Partial => format!("`{label}` is not whole yet; what was fetched is kept"),
        Outcome::Held => {
            let is_first = trouble.is_some() && session.start.old_commit.is_none();
            held_headline(&label, is_first)
        }
        Outcome::CouldNotCheck => format!("could not check `{label}`"),
        Outcome::Orphaned => format!("`{label}` is gone upstream; the local copy is kept"),
        Outcome::Failed => format!("could not update `{label}`"),
    };
    Some(Explanation {
        headline,
        cause: trouble.map(|trouble| trouble.message.clone()),
        next: match end.outcome {
            Outcome::Partial if trouble.is_none() => {
                Some("run the same again: it goes on where this ended".to_owned())
            }
            Outcome::Held if trouble.is_none() => Some(format!(
                "`hfdl models release {label}` lets it move to the newest revision again"
            )),
            _ => trouble.and_then(|trouble| trouble.hint.clone()),
        },
        status: trouble.map_or(ExitStatus::Failed, |trouble| trouble.kind.exit_status()),
    })
}

/// The due models and schedules of a run.
#[derive(Clone, Copy, Debug, Default)]
pub struct DueReport<'a> {
    pub n_models: u64,
    /// Models that were not looked at, each with the reason.
    pub left_out: &'a [(String, String)],
    /// Schedules that could not be followed.
    pub unusable: &'a [Unusable],
    /// The files that were read again, if any were.
    pub scrub: Option<ScrubReport>,
}

/// Renders the document of a run that has just ended.
pub fn run_document(run: &RunFacts, due: &DueReport<'_>) -> Value {
    RunView::new(
        &run.run_id,
        RunResult::from(run),
        due.n_models,
        &run.sessions,
    )
    .with_left_out(due.left_out, due.unusable)
    .with_removed(&run.removed)
    .document()
}

/// Tells whether a person reads stderr and wants more than problems.
pub fn is_watched(context: &Context) -> bool {
    context.host.stderr_is_terminal() && !context.out.quiet
}

/// Names the command that fetches a target.
fn download_command(target: &Target, revision: Option<&Revision>) -> String {
    // The name of a repository alone may be another selection.
    match (&target.model, revision) {
        (Some((_, name)), None) => format!("`hfdl download {name}`"),
        (Some((_, name)), Some(revision)) => {
            format!("`hfdl download {name} --revision {revision}`")
        }
        (None, _) => "the same command".to_owned(),
    }
}

/// Prints the paths of published files, without the network. `revision` is one that is
/// not the model's own. `missing` is the exit status for targets without a whole
/// publication.
pub fn show_published(
    context: &Context,
    services: &Services<'_>,
    targets: &[Target],
    single: Option<&RepoPath>,
    revision: Option<&Revision>,
    missing: ExitStatus,
) -> Result<ExitStatus> {
    let mut worst = ExitStatus::Ok;
    let mut found = Vec::new();
    for (target, result) in targets.iter().zip(published(services, targets)?) {
        match result {
            Ok(published) => {
                let path = match single {
                    Some(file) => published.path.join(file.as_str()),
                    None => published.path,
                };
                found.push((target, published.commit, path));
            }
            Err(err) => {
                let mut explanation = explain::explain(&err);
                if err.is::<NotPublished>() {
                    explanation.status = missing;
                    let command = download_command(target, revision);
                    explanation.next =
                        Some(format!("{command} fetches it when the network may be used"));
                }
                worst = worst.worst(explanation.status);
                context.show_problem(&explanation);
            }
        }
    }
    let lines = |_: &Output| {
        let paths = found.iter();
        let lines = paths.map(|(.., path)| format!("{}\n", path.display()));
        lines.collect::<String>()
    };
    let document = || {
        let models = found.iter().map(|(target, commit, path)| {
            let followed = target.policy.followed.as_ref();
            let followed = followed.filter(|it| it.commit == *commit);
            json!({
                "model": target.label(),
                "repo": target.repo.to_string(),
                "revision": target.revision.as_str(),
                "tag": followed.map(|it| it.tag.as_str()),
                "commit": commit.as_str(),
                "path": path.display().to_string(),
            })
        });
        document(
            "hfdl.published/1",
            json!({ "models": models.collect::<Vec<_>>() }),
        )
    };
    context.out.result(lines, document)?;
    Ok(worst)
}

/// Says whether a held model has a published revision.
pub(super) fn held_headline(label: &str, is_first: bool) -> String {
    if is_first {
        format!("`{label}` is held, and nothing of it is published yet")
    } else {
        format!("`{label}` is held at an older revision")
    }
}
