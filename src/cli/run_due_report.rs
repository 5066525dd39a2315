//! The output of `hfdl run-due`: none without a terminal when all is well.

use std::collections::BTreeSet;

use anyhow::Result;

use super::context::Context;
use super::download_report::{
    DueReport, explain_session, is_watched, run_document, say_removed, say_totals, show_sessions,
};
use super::explain::Explanation;
use super::next_steps::NextSteps;
use super::pause::describe;
use crate::domain::alert::{HookEvent, Notice, RunFacts};
use crate::domain::allowance::Allowance;
use crate::domain::outcome::{Effect, ErrorKind, ExitStatus, Outcome, RunOutcome, Trigger};
use crate::domain::pause::Pause;
use crate::domain::run::Run;
use crate::domain::schedule::Unusable;
use crate::domain::session::{Session, SessionEnd};
use crate::domain::units::ByteSize;
use crate::json::{skipped_run, skipped_schedules};
use crate::ops::notify::News;
use crate::ops::rate_limits::AskedToWait;
use crate::store::Store;
use crate::ui::table::Column;
use crate::ui::{Format, Output, table, text};

/// Says which schedules no run can follow; the first line makes sense as the
/// subject of a mail.
pub fn report_unusable<'a>(context: &Context, unusable: impl Iterator<Item = &'a Unusable>) {
    for schedule in unusable {
        context.show_problem(&Explanation {
            headline: format!("the schedule `{}` is skipped", schedule.name),
            cause: Some(schedule.why.clone()),
            next: Some(schedule.hint()),
            status: ExitStatus::Usage,
        });
    }
}

/// Tells once of runs that were killed, or whose machine went off.
pub fn report_crashes(context: &Context, crashed: &[Run]) {
    for run in crashed {
        let n_models = text::count(run.totals.n_sessions, "model", "models");
        let seen = context.clock().local(run.heartbeat_at);
        context.out.say(&format!(
            "hfdl: the run {} ({} of {n_models}, process {}) ended unexpectedly after {seen}; the bytes that it had fetched are kept",
            run.id, run.start.command, run.start.process.pid,
        ));
    }
}

/// Reports that nothing was due: to programs, and to people on a terminal. Cron would
/// mail it.
pub fn report_nothing(
    context: &Context,
    store: Option<&Store>,
    idle: &Idle<'_>,
) -> Result<ExitStatus> {
    let status = idle_status(idle.unusable);
    let outcome = match idle.unusable {
        [] => RunOutcome::Ok,
        _ => RunOutcome::Failed,
    };
    write_idle_document(context, outcome, status, idle)?;
    match store {
        Some(store) => NextSteps::new(context, store)?.after_nothing_due(),
        None => context.hint("nothing is set up yet: `hfdl init`"),
    }
    Ok(status)
}

pub fn report_paused(context: &Context, pause: &Pause, idle: &Idle<'_>) -> Result<ExitStatus> {
    let status = idle_status(idle.unusable);
    write_idle_document(context, RunOutcome::SkippedPaused, status, idle)?;
    if context.out.format == Format::Table && is_watched(context) {
        let words = describe(pause, &context.clock());
        context.out.say(&format!("ticks are paused {words}"));
    }
    Ok(status)
}

/// Reports the time until which the Hub is not asked. Under a timer the run that was
/// refused has reported it, and ticks before that time are silent.
pub fn report_wait(
    context: &Context,
    asked: &AskedToWait,
    is_timer: bool,
    idle: &Idle<'_>,
) -> Result<ExitStatus> {
    let status = ExitStatus::Temporary.worst(idle_status(idle.unusable));
    write_idle_document(context, RunOutcome::Failed, status, idle)?;
    if !is_timer {
        context.show_problem(&Explanation {
            headline: "the due models have to wait".to_owned(),
            cause: Some(asked.to_string()),
            next: Some("the first tick after that time continues".to_owned()),
            status,
        });
    }
    Ok(status)
}

/// Reports that begun slots wait for an allowance. Ticks of a timer are silent after the
/// first one.
pub fn report_spent(
    context: &Context,
    spent: &Allowance,
    is_timer: bool,
    idle: &Idle<'_>,
) -> Result<ExitStatus> {
    let status = ExitStatus::TransferBudget.worst(idle_status(idle.unusable));
    write_idle_document(context, RunOutcome::Partial, status, idle)?;
    if !is_timer {
        let day = spent.renewal_day();
        let explanation = Explanation {
            headline: "the rest of the due models has to wait".to_owned(),
            cause: Some(spent.spent_message()),
            next: Some(format!(
                "the first tick on {day} continues; {}",
                spent.way_out()
            )),
            status,
        };
        // Also with `--quiet`: the models are not whole yet.
        context.show_note_always(&explanation);
    }
    Ok(status)
}

/// Returns how a tick ends that made no run.
pub fn idle_status(unusable: &[Unusable]) -> ExitStatus {
    match unusable {
        [] => ExitStatus::Ok,
        _ => ExitStatus::Usage,
    }
}

/// Shows the result of each model: failures on stderr, the document on stdout.
///
/// The first line makes sense as the subject of a mail. With `news`, trouble
/// that was told before is passed over.
pub fn report_run(
    context: &Context,
    run: &RunFacts,
    due: &DueReport<'_>,
    unusable: &[&Unusable],
    news: Option<&News>,
) -> Result<ExitStatus> {
    let is_news = |index: usize| {
        news.is_none_or(|news| {
            let failures = news.of(HookEvent::OnFailure);
            let mut told = failures.chain(news.of(HookEvent::OnHold));
            told.any(|notice| notice.session == index)
        })
    };
    let troubles: Vec<_> = run
        .sessions
        .iter()
        .enumerate()
        .filter(|(index, session)| !is_quiet(context, session) && is_news(*index))
        .filter_map(|(_, session)| Some((session, explain_session(run, session)?)))
        .collect();
    if !context.host.stderr_is_terminal()
        && context.out.format == Format::Table
        && let Some(line) = summary(&troubles, unusable, n_models_of(&run.sessions))
    {
        context
            .out
            .say(&ascii(&context.message_clock().told(&line)));
    }
    report_unusable(context, unusable.iter().copied());
    say_removed(context, run);
    show_sessions(context, &troubles);
    say_what_is_repaired(context, run);
    if let Some(news) = news {
        say_what_lasts(context, news);
    }
    if !troubles.is_empty() && !context.host.stderr_is_terminal() {
        let id = &run.run_id;
        context
            .out
            .say(&format!(" next: `hfdl runs show {id}` shows more"));
    }
    let is_shown = context.out.format == Format::Table && is_watched(context);
    if is_shown && !run.sessions.is_empty() {
        context.out.print(&run_text(&context.out.resized(), run))?;
    }
    context.out.document(|| run_document(run, due))?;
    say_totals(context, run, due.took);
    if is_shown && let Some(scrub) = due.scrub {
        let size = ByteSize(scrub.bytes_read).render_short();
        let count = text::count(scrub.n_damaged, "damaged model", "damaged models");
        context.out.say(&format!("{size} read again, {count}"));
    }
    Ok(run.status)
}

/// Counts models: one may have an update and a repair in the same run.
fn n_models_of<'s>(sessions: impl IntoIterator<Item = &'s Session>) -> usize {
    let labels: BTreeSet<String> = sessions.into_iter().map(label).collect();
    labels.len()
}

/// Returns the first line of a mail: how much needs a look, and the worst of
/// it by the order of exit codes. Without trouble of a model there is none.
fn summary(
    troubles: &[(&Session, Explanation)],
    unusable: &[&Unusable],
    n_models: usize,
) -> Option<String> {
    let worse =
        |status: ExitStatus, than: ExitStatus| status != than && than.worst(status) == status;
    let worst = troubles.iter().reduce(|worst, other| {
        if worse(other.1.status, worst.1.status) {
            other
        } else {
            worst
        }
    });
    let (session, explanation) = worst?;
    let all = text::count(n_models as u64, "model", "models");
    let n_troubled = n_models_of(troubles.iter().map(|(session, _)| *session));
    let verb = if n_troubled == 1 { "needs" } else { "need" };
    let count = format!("{n_troubled} of {all} {verb} a look");
    if let Some(schedule) = unusable.first()
        && worse(ExitStatus::Usage, explanation.status)
    {
        let Unusable { name, why, .. } = schedule;
        return Some(format!(
            "hfdl: schedule `{name}` is skipped: {why}; {count}"
        ));
    }
    let cause = explanation.cause.as_deref();
    let cause = cause.unwrap_or(&explanation.headline);
    Some(format!("hfdl: {count}: {}: {cause}", label(session)))
}

/// Tells once of damage that was found on disk and repaired: a disk that begins to fail
/// is worth a mail.
fn say_what_is_repaired(context: &Context, run: &RunFacts) {
    for session in &run.sessions {
        let end = session.end.as_ref();
        let is_repair =
            |end: &SessionEnd| end.verify_outcome.is_some() && end.outcome == Outcome::Repaired;
        if end.is_some_and(is_repair) {
            let n_files = session.progress.files.fetched;
            let files = text::count(n_files, "file", "files");
            context.out.say(&ascii(&format!(
                "hfdl: `{}`: {files} damaged on disk and fetched again; the disk may be failing",
                label(session)
            )));
        }
    }
}

/// Shows the duration of failures, and those that have ended.
fn say_what_lasts(context: &Context, news: &News) {
    let clock = context.clock();
    let line = |notice: &Notice, words: &str| {
        let failing = notice.failing?;
        let session = news.run.sessions.get(notice.session)?;
        let times = text::count(failing.n_failures.into(), "time", "times");
        let since = clock.local(failing.since);
        Some(format!(
            "`{}` {words} {times} since {since}",
            session.label()
        ))
    };
    let lasting = news
        .of(HookEvent::OnFailure)
        .filter(|notice| notice.failing.is_some_and(|failing| failing.n_failures > 1))
        .filter_map(|notice| line(notice, "has failed"));
    let over = news.of(HookEvent::OnRecovery).filter_map(|notice| {
        Some(format!(
            "hfdl: {}",
            line(notice, "has recovered; it had failed")?
        ))
    });
    for line in lasting.chain(over) {
        context.out.say(&line);
    }
}

/// Keeps a line to ASCII: the character set of cron's mails is often `C`.
pub fn ascii(text: &str) -> String {
    let plain = |c: char| if matches!(c, ' '..='~') { c } else { '?' };
    text.chars().map(plain).collect()
}

/// Limits that a person has set, and a rollback that one has made, are no trouble. At a
/// terminal an unfinished model is explained.
fn is_quiet(context: &Context, session: &Session) -> bool {
    let Some(end) = &session.end else {
        return false;
    };
    if end.outcome == Outcome::Partial && context.host.stderr_is_terminal() {
        return false;
    }
    let kind = end.trouble.as_ref().map(|trouble| trouble.kind);
    matches!(kind, None | Some(ErrorKind::Allowance))
        && matches!(end.effect(), Effect::Unfinished | Effect::Held)
}

fn label(session: &Session) -> String {
    match &session.start.model_name {
        Some(name) => name.to_string(),
        None => session.start.repo.to_string(),
    }
}

fn run_text(out: &Output, run: &RunFacts) -> String {
    let rows = run.sessions.iter().map(|session| {
        let (bytes, end) = (session.progress.bytes, session.end.as_ref());
        let commit = session.progress.new_commit.as_ref();
        vec![
            label(session),
            end.map_or("-", |end| end.outcome.as_str()).to_owned(),
            commit.map_or("-", |commit| commit.short()).to_owned(),
            ByteSize(bytes.fetched).render_short(),
            ByteSize(bytes.reused).render_short(),
        ]
    });
    let columns = [
        Column::name("MODEL"),
        Column::kept("OUTCOME"),
        Column::kept("COMMIT").least(1),
        Column::number("FETCHED"),
        Column::number("REUSED").least(2),
    ];
    table::render(out, &columns, rows.collect())
}

/// A tick that looked at no model.
#[derive(Clone, Copy, Debug)]
pub struct Idle<'a> {
    pub trigger: Trigger,
    /// The skipped run that was written down; with nothing to tell none is.
    pub run: Option<&'a RunFacts>,
    pub unusable: &'a [Unusable],
}

fn write_idle_document(
    context: &Context,
    outcome: RunOutcome,
    status: ExitStatus,
    idle: &Idle<'_>,
) -> Result<()> {
    let skipped = skipped_schedules(idle.unusable).collect();
    let document = || skipped_run(idle.trigger, idle.run, outcome, status, skipped);
    context.out.document(document)
}
