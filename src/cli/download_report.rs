//! The download of targets with its output: progress, problems, paths, documents.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};

use super::context::Context;
use super::explain::{self, Explanation};
use super::status::leave_status_file;
use super::watcher::Watcher;
use crate::domain::alert::RunFacts;
use crate::domain::hold::Hold;
use crate::domain::outcome::{ErrorKind, ExitStatus, Outcome};
use crate::domain::repo::{RepoPath, Revision};
use crate::domain::run::RunCommand;
use crate::domain::schedule::Unusable;
use crate::domain::session::{ByteCounts, Session, SessionProgress, StopCause, Trouble};
use crate::domain::units::ByteSize;
use crate::json::{RunResult, RunView, document};
use crate::ops;
use crate::ops::download::download;
use crate::ops::finish::{EndedRuns, Finish};
use crate::ops::published::{NotPublished, published};
use crate::ops::run::Bounds;
use crate::ops::scrub::ScrubReport;
use crate::ops::services::Services;
use crate::ops::sync::Target;
use crate::sys::lock::FileLock;
use crate::ui::{Output, text};

/// Downloads targets, shows the progress, and ends the run with its report.
pub(super) fn fetch(
    context: &Context,
    services: &Services<'_>,
    lock: FileLock,
    targets: Vec<Target>,
    bounds: &Bounds,
    report: impl FnOnce(&RunFacts, Duration) -> Result<ExitStatus>,
) -> Result<ExitStatus> {
    let mut watcher = Watcher::of_run(context);
    let run = download(services, targets, bounds, &mut |event| watcher.note(event));
    watcher.finish();
    let write_status_file = || leave_status_file(context, &services.store, &services.settings);
    let run = run.inspect_err(|_| write_status_file())?;
    let finish = Finish {
        services,
        lock,
        status_file: Some(&write_status_file),
        metrics_file: None,
        ping: None,
    };
    // The services that use a model need its update, also from a download by hand.
    let runs = EndedRuns {
        run: Some(&run),
        ..EndedRuns::default()
    };
    finish.finish(runs, |_| {
        context.show_hub_warnings(services);
        report(&run, watcher.elapsed())
    })
}

/// Shows the result of each model: problems on stderr, paths or the document on stdout.
pub fn report_run(
    context: &Context,
    run: &RunFacts,
    single: Option<&RepoPath>,
    took: Duration,
) -> Result<ExitStatus> {
    let file = single.map(|path| Path::new(path.as_str()));
    say_removed(context, run);
    let explained = run.sessions.iter();
    let explained = explained.filter_map(|session| Some((session, explain_session(run, session)?)));
    show_sessions(context, &explained.collect::<Vec<_>>());
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
    say_totals(context, run, took);
    Ok(run.status)
}

/// Says how much a run has fetched, and how fast: at a terminal, or with `-v` anywhere.
pub fn say_totals(context: &Context, run: &RunFacts, took: Duration) {
    if run.sessions.is_empty() {
        return;
    }
    let totals = totals_text(run, took);
    if context.host.stderr_is_terminal() {
        context.say_to_people(&totals);
    } else {
        log::info!("{totals}");
    }
}

fn totals_text(run: &RunFacts, took: Duration) -> String {
    let sum = |count: fn(&SessionProgress) -> u64| -> u64 {
        run.sessions.iter().map(|it| count(&it.progress)).sum()
    };
    let size = |bytes: u64| ByteSize(bytes).render_short();
    let (fetched, reused) = (sum(|it| it.bytes.fetched), sum(|it| it.bytes.reused));
    let end = |session: &Session| session.end.as_ref().map(|end| end.outcome);
    let is_current = |session| end(session) == Some(Outcome::UpToDate);
    let mut parts = Vec::new();
    if fetched > 0 {
        let rate = u128::from(fetched) * 1000 / took.as_millis().max(1);
        let rate = size(u64::try_from(rate).unwrap_or(u64::MAX));
        let files = text::count(sum(|it| it.files.fetched), "file", "files");
        let span = if took < Duration::from_secs(10) {
            format!("{:.1} s", took.as_secs_f64())
        } else {
            text::duration(took.as_secs())
        };
        parts.push(format!("{} in {span}, {rate}/s, {files}", size(fetched)));
    } else if run.sessions.iter().all(is_current) {
        parts.push("up to date".to_owned());
    } else {
        parts.push("nothing was fetched".to_owned());
    }
    if reused > 0 {
        parts.push(format!("{} there already", size(reused)));
    }
    parts.join("; ")
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

/// Shows the results of sessions. Those that the same limit or signal has ended have one note.
pub fn show_sessions(context: &Context, explained: &[(&Session, Explanation)]) {
    let is_stopped = |session: &Session| {
        let end = session.end.as_ref();
        end.is_some_and(|end| {
            let is_spent = end.trouble.as_ref().is_none_or(is_spent_allowance);
            end.outcome == Outcome::Partial && is_spent
        })
    };
    let mut told = BTreeSet::new();
    for (session, explanation) in explained {
        let cause = explanation.cause.as_deref();
        let has_cause = |(other, it): &&(&Session, Explanation)| {
            is_stopped(other) && it.cause.as_deref() == cause
        };
        let stopped = explained
            .iter()
            .filter(has_cause)
            .map(|(session, _)| *session);
        let stopped: Vec<&Session> = stopped.collect();
        if !is_stopped(session) || stopped.len() == 1 {
            show_session(context, session, explanation);
        } else if told.insert(cause) {
            let headline = partial_headline(&stopped);
            let explanation = Explanation {
                headline,
                ..explanation.clone()
            };
            show_session(context, session, &explanation);
        }
    }
}

/// Shows the result of a session: held is a state and not an error, and neither is a limit
/// or a signal.
pub fn show_session(context: &Context, session: &Session, explanation: &Explanation) {
    let end = session.end.as_ref();
    match end.map(|end| (end.outcome, &end.trouble)) {
        Some((Outcome::Held, _)) if session.progress.path.is_some() => {
            context.show_note(explanation);
        }
        // Also with `--quiet`: the model cannot be used yet.
        Some((Outcome::Held, _)) => context.show_note_always(explanation),
        Some((Outcome::Partial, trouble)) if trouble.as_ref().is_none_or(is_spent_allowance) => {
            context.show_note_always(explanation);
        }
        _ => context.show_problem(explanation),
    }
}

fn is_spent_allowance(trouble: &Trouble) -> bool {
    trouble.kind == ErrorKind::Allowance
}

/// Says why a session did not end well.
pub fn explain_session(run: &RunFacts, session: &Session) -> Option<Explanation> {
    let end = session.end.as_ref()?;
    let label = session.start.label();
    let trouble = end.trouble.as_ref();
    let stop = run.stopped.get(&session.id).filter(|_| trouble.is_none());
    let hold = run.holds.get(&session.id).filter(|_| trouble.is_none());
    let headline = match end.outcome {
        Outcome::Updated | Outcome::UpToDate | Outcome::Repaired | Outcome::Skipped => return None,
        Outcome::Partial => partial_headline(&[session]),
        Outcome::Held => {
            let is_update = trouble.is_some() || hold.is_some();
            let is_first = is_update && session.start.old_commit.is_none();
            held_headline(&label, is_first)
        }
        Outcome::CouldNotCheck => format!("could not check `{label}`"),
        Outcome::Orphaned => format!("`{label}` is gone upstream; the local copy is kept"),
        Outcome::Failed => format!("could not update `{label}`"),
    };
    Some(Explanation {
        headline,
        cause: match trouble {
            Some(trouble) => Some(trouble.message.clone()),
            None => hold.map_or_else(|| stop_cause(run, session), |it| Some(it.message())),
        },
        next: match end.outcome {
            Outcome::Partial if trouble.is_none() => Some(
                match run.command {
                    RunCommand::RunDue => "the next run continues where this one stopped",
                    _ => "the same command continues where this one stopped",
                }
                .to_owned(),
            ),
            Outcome::Held if trouble.is_none() => Some(match hold {
                Some(hold) => undecided_hint(session, hold),
                None => format!(
                    "`hfdl models release {label}` lets it move to the newest revision again"
                ),
            }),
            _ => trouble.and_then(|trouble| trouble.hint.clone()),
        },
        status: match trouble {
            Some(trouble) => trouble.kind.exit_status(),
            None => stop.map_or(ExitStatus::Failed, |stop| stop.status),
        },
    })
}

/// Names the ways on from a hold that ends by itself: the gate decides later.
fn undecided_hint(session: &Session, hold: &Hold) -> String {
    let label = session.start.label();
    let again = "the gate looks again in a day";
    if session.start.model_id.is_none() {
        return format!("{again}; {}", hold.hint(&label));
    }
    format!(
        "{again}, and with `hfdl updates retry {label}` at the next run; \
         `hfdl updates approve {label}` publishes it all the same"
    )
}

/// Says how much of unfinished models is here, and how much is left.
fn partial_headline(sessions: &[&Session]) -> String {
    let sum = |count: fn(&ByteCounts) -> u64| -> u64 {
        sessions.iter().map(|it| count(&it.progress.bytes)).sum()
    };
    let (total, left) = (sum(|bytes| bytes.total), sum(|bytes| bytes.left));
    let size = |bytes: u64| ByteSize(bytes).render_short();
    let here = size(total.saturating_sub(left));
    let first = sessions.first().map_or(String::new(), |it| it.label());
    let (models, verb, were) = match sessions.len() {
        0 | 1 => (format!("`{first}`"), "is", "was"),
        n => (format!("`{first}` and {} more", n - 1), "are", "were"),
    };
    match (total, left) {
        (0, _) => format!("{models} {were} not checked"),
        (_, 0) => format!("{models} {verb} not published yet: all {here} are here"),
        _ => format!(
            "{models} {verb} incomplete: {here} of {} are here, {} are left",
            size(total),
            size(left)
        ),
    }
}

/// Names the limit or the signal that has ended a session.
pub(super) fn stop_cause(run: &RunFacts, session: &Session) -> Option<String> {
    let stop = run.stopped.get(&session.id)?;
    let schedule = session.start.schedule_name.as_ref();
    let schedule = schedule.map_or("its schedule".to_owned(), |name| {
        format!("the schedule `{name}`")
    });
    let mut cause = match stop.cause.as_ref()? {
        StopCause::CtrlC => "Ctrl-C ended the run".to_owned(),
        StopCause::Sigterm => "SIGTERM ended the run".to_owned(),
        StopCause::Sighup => "SIGHUP ended the run, as when its terminal is closed".to_owned(),
        StopCause::StopCommand => "`hfdl stop` ended the run".to_owned(),
        StopCause::RunLimit(limit) => format!("the run reached its {limit}"),
        StopCause::ScheduleDuration => format!("{schedule} reached its `--max-duration`"),
        StopCause::ScheduleTransfer => format!("{schedule} reached its `--max-transfer`"),
        StopCause::WindowClosed => format!("the window of {schedule} closed"),
    };
    if stop.in_gate {
        cause.push_str(" before the gate had finished");
    }
    Some(cause)
}

/// The due models and schedules of a run.
#[derive(Clone, Copy, Debug, Default)]
pub struct DueReport<'a> {
    pub n_models: u64,
    /// Models that were not checked, each with the reason.
    pub left_out: &'a [(String, String)],
    /// Schedules that could not be followed.
    pub unusable: &'a [Unusable],
    pub took: Duration,
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

/// Tells whether stderr is a terminal, and `--quiet` is not given.
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
                        Some(format!("{command} fetches it once the network may be used"));
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
