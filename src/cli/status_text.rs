//! The text of `hfdl status`.

use std::cmp::Reverse;

use super::forecast_text::{allowance_text, forecast_text};
use super::pause::describe;
use super::policy_text::state_text;
use crate::domain::login::Login;
use crate::domain::model::{EntryName, ModelSummary};
use crate::domain::retention::OnlyCopy;
use crate::domain::schedule::WaitReason;
use crate::domain::status::{
    CacheSize, CacheUse, DiskFacts, ModelStatus, NextDue, RunInProgress, Status, Warning,
    WarningKind, missed_ticks, next_for_ref,
};
use crate::domain::units::ByteSize;
use crate::ui::table::Column;
use crate::ui::{Clock, Output, ProgressLines, table, text};

/// The number of models that are shown, those in trouble first.
const MOST_MODELS: usize = 10;

/// The columns before the values of facts: the longest name is `left to fetch`.
const NAMES_WIDTH: usize = 15;

/// The width to which a name within a fact is cut at most.
const LEAST_NAME: usize = 16;

/// The number of warnings that are shown in full.
const MOST_WARNINGS: usize = 10;

/// Renders a report: facts, models, warnings.
pub(super) fn render(status: &Status, warnings: &[Warning], clock: &Clock, out: &Output) -> String {
    let mut parts = Vec::new();
    if status.is_set_up && status.database_trouble.is_none() {
        parts.push(facts(status, warnings, clock, out));
        parts.push(models_text(status, clock, out));
    } else if !status.is_set_up {
        let sentence = format!(
            "nothing is set up in `{}`; `hfdl init` does it, or `hfdl models add org/name` keeps a model",
            status.home.display()
        );
        parts.push(text::paragraph(out, &sentence, 0));
    }
    parts.push(moved_refs_text(status, clock, out));
    parts.push(warnings_text(warnings, clock, out));
    parts.retain(|part| !part.is_empty());
    parts.join("\n")
}

fn facts(status: &Status, warnings: &[Warning], clock: &Clock, out: &Output) -> String {
    let health = match warnings.len() as u64 {
        0 => "healthy".to_owned(),
        n => format!("needs a person: {}", text::count(n, "warning", "warnings")),
    };
    let mut facts = vec![
        ("state", health),
        ("timer", timer(status, clock)),
        ("last tick", last_tick(status, clock)),
    ];
    if let Some(pause) = &status.pause {
        facts.push(("paused", describe(pause, clock)));
    }
    let running = status.run.as_ref();
    let running = running.map(|run| in_progress(run, clock, out));
    facts.push(("running", text::or_nothing(running)));
    facts.push(("next due", next_due(&status.next_due, clock, out)));
    if let Some(until) = status.asked_to_wait {
        let until = clock.future(until, &clock.zone);
        facts.push(("the Hub", format!("allows no more requests until {until}")));
    }
    if !status.logins.is_empty() {
        let logins = status.logins.iter().map(|login| login_end(login, clock));
        facts.push(("logins", lines(&logins.collect::<Vec<_>>())));
    }
    if !status.missed_slots.is_empty() {
        let missed = status.missed_slots.iter();
        let missed: Vec<String> = missed.map(|event| clock.told(&event.detail)).collect();
        facts.push(("missed slots", lines(&missed)));
    }
    if !status.shards.is_empty() {
        facts.push(("shards", text::list(&status.shards)));
    }
    if status.bytes_left() > 0 {
        facts.push((
            "left to fetch",
            ByteSize(status.bytes_left()).render_short(),
        ));
    }
    let forecasts = forecasts(status, warnings, clock, out);
    if !forecasts.is_empty() {
        facts.push(("forecast", lines(&forecasts)));
    }
    if !status.allowances.is_empty() {
        let allowances = status.allowances.iter().map(allowance_text);
        facts.push(("allowances", lines(&allowances.collect::<Vec<_>>())));
    }
    facts.extend(stored_facts(status, clock, out));
    table::facts(out, &facts)
}

/// Returns the facts about files on disk.
fn stored_facts(status: &Status, clock: &Clock, out: &Output) -> Vec<(&'static str, String)> {
    let mut facts = Vec::new();
    if status.leftover_bytes > 0 {
        let bytes = ByteSize(status.leftover_bytes).render_short();
        facts.push((
            "left over",
            format!("{bytes} of interrupted downloads, until their next success"),
        ));
    }
    if status.adopted.files > 0 {
        let count = text::count(status.adopted.files, "file", "files");
        let bytes = ByteSize(status.adopted.bytes).render_short();
        facts.push(("adopted", format!("{count} ({bytes})")));
    }
    if let Some(scrub) = status.scrub.describe(status.now) {
        facts.push(("read again", clock.told(&scrub)));
    }
    if !status.only_copies.is_empty() {
        facts.push(("only copies", only_copies(&status.only_copies, clock, out)));
    }
    if let Some(cache) = &status.cache_use {
        facts.push(("cache", cache_use(cache, clock)));
    }
    let disks: Vec<String> = status.disks.iter().map(disk).collect();
    facts.push(("disk", lines(&disks)));
    facts
}

fn cache_use(cache: &CacheUse, clock: &Clock) -> String {
    let max = cache.max.render_short();
    let Some(CacheSize { used, at }) = cache.measured else {
        return format!("up to {max}, not measured yet");
    };
    let (used, at) = (used.render_short(), clock.past(at));
    format!("{used} of {max} used, measured {at}")
}

/// Names the commits that exist nowhere else any more.
fn only_copies(copies: &[OnlyCopy], clock: &Clock, out: &Output) -> String {
    const MOST: usize = 10;
    let line = |copy: &OnlyCopy| {
        let since = clock.past(copy.since);
        let rest = format!(" {}, found gone upstream {since}", copy.commit.short());
        format!("`{}`{rest}", fitted(&copy.model, rest.len() + 2, out))
    };
    let mut named: Vec<String> = copies.iter().take(MOST).map(line).collect();
    if let Some(more) = copies.len().checked_sub(MOST).filter(|more| *more > 0) {
        named.push(format!("and {more} more"));
    }
    lines(&named)
}

fn login_end(login: &Login, clock: &Clock) -> String {
    let until = clock.future(login.expires_at, &clock.zone);
    match &login.obstacle {
        None => format!("`{}` until {until}, renewed before", login.name),
        Some(_) => format!("`{}` until {until}", login.name),
    }
}

/// Cuts a name in the middle where the rest of its line leaves too little room for it.
fn fitted(name: &EntryName, rest: usize, out: &Output) -> String {
    let Some(width) = out.width else {
        return name.to_string();
    };
    let room = usize::from(width).saturating_sub(NAMES_WIDTH + rest);
    table::cut_middle(name.as_str(), room.max(LEAST_NAME), out.ellipsis())
}

fn forecasts(status: &Status, warnings: &[Warning], clock: &Clock, out: &Output) -> Vec<String> {
    let mut kinds = warnings.iter().map(|warning| warning.kind);
    let has_timer = kinds.all(|kind| kind != WarningKind::TimerMissing);
    let known = status.models.iter().filter_map(|model| {
        let forecast = model.forecast.as_ref()?;
        let forecast = if has_timer || forecast.is_err() {
            forecast_text(forecast, clock)
        } else {
            "no forecast: no timer starts its schedule".to_owned()
        };
        Some(format!("`{}`: {forecast}", fitted(&model.name, 3, out)))
    });
    known.take(MOST_MODELS).collect()
}

fn lines(lines: &[String]) -> String {
    match lines {
        [] => text::NOTHING.to_owned(),
        lines => lines.join("\n"),
    }
}

fn timer(status: &Status, clock: &Clock) -> String {
    let Some(timer) = status.timer.as_ref().filter(|timer| timer.installed) else {
        return "not installed by hfdl".to_owned();
    };
    let mut line = format!("every {} by {}", timer.every, timer.backend);
    let n_missed = missed_ticks(timer, status.last_timer_tick, status.now);
    if n_missed > 0 {
        let ticks = text::count(n_missed, "tick", "ticks");
        line.push_str(&format!(", {ticks} missed"));
    }
    if let Some(tick) = timer.next_tick {
        let tick = clock.future(tick, &clock.zone);
        line.push_str(&format!(", next look {tick}"));
    }
    line
}

fn last_tick(status: &Status, clock: &Clock) -> String {
    let time = |at| clock.past(at);
    match (status.last_timer_tick, status.last_tick) {
        (Some(timer), Some(any)) if any > timer => {
            format!("{} by the timer, {} by hand", time(timer), time(any))
        }
        (Some(timer), _) => format!("{} by the timer", time(timer)),
        (None, Some(any)) => format!("{} by hand", time(any)),
        (None, None) => text::NOTHING.to_owned(),
    }
}

fn in_progress(progress: &RunInProgress, clock: &Clock, out: &Output) -> String {
    let start = &progress.run.start;
    let mut line = format!(
        "{}{}, started {}, process {} on {}",
        start.command,
        unfinished(progress, out),
        clock.past(start.at),
        start.process.pid,
        start.process.host
    );
    if progress.run.stop_requested_at.is_some() {
        line.push_str(", asked to stop");
    }
    if let Some(told) = &progress.progress {
        let width = out.width.map_or(usize::MAX, usize::from);
        let width = width.saturating_sub(NAMES_WIDTH + 1);
        let lines = ProgressLines::within_text(out).beneath_models(told, width);
        return format!("{line}\n{}", lines.join("\n"));
    }
    // The process may be of an older version, or its disk full.
    let bytes = progress.bytes;
    let here = bytes.fetched + progress.bytes_before;
    let size = |bytes: u64| ByteSize(bytes).render_short();
    line.push_str(&format!(
        "\n{} of {} done, {} of {}, {} of {} here, {} left",
        progress.n_finished,
        text::count(progress.n_sessions, "model", "models"),
        progress.n_files_here,
        text::count(progress.n_files, "file", "files"),
        size(here),
        size(here + bytes.left),
        size(bytes.left)
    ));
    line
}

/// Names the first model that has not ended, and counts the others.
fn unfinished(progress: &RunInProgress, out: &Output) -> String {
    // The name of the fact and the command are before it.
    const BESIDE: usize = 28;
    let Some((first, others)) = progress.unfinished.split_first() else {
        return String::new();
    };
    let first = match out.width {
        Some(width) => {
            let room = usize::from(width).saturating_sub(BESIDE).max(16);
            table::cut_middle(first, room, out.ellipsis())
        }
        None => first.clone(),
    };
    match others.len() {
        0 => format!(" of {first}"),
        n => format!(" of {first} and {n} more"),
    }
}

/// Lists the next starts: times in one column, then the schedules.
fn next_due(due: &[NextDue], clock: &Clock, out: &Output) -> String {
    let when = |due: &NextDue| match due.next.waiting {
        WaitReason::Due => "now".to_owned(),
        _ => clock.due(due.next.planned.ready, &due.zone),
    };
    let width = due.iter().map(|due| when(due).len()).max().unwrap_or(0);
    let line = |due: &NextDue| {
        let name = fitted(&due.schedule, width + 2, out);
        let mut line = format!("{:width$}  {name}", when(due));
        match due.next.waiting {
            WaitReason::Due | WaitReason::Slot => {}
            WaitReason::Window => line.push_str(", when its window opens"),
            WaitReason::Retry => line.push_str(", tried again after an error"),
        }
        if let Some(deadline) = due.next.planned.deadline {
            let until = clock.moment(deadline, &due.zone);
            line.push_str(&format!(" (until {until})"));
        }
        line
    };
    lines(&due.iter().map(line).collect::<Vec<String>>())
}

fn disk(disk: &DiskFacts) -> String {
    format!(
        "{} free for the {}, {} to stay free",
        disk.free.render_short(),
        disk.used_for,
        disk.reserve.render_short()
    )
}

fn models_text(status: &Status, clock: &Clock, out: &Output) -> String {
    if status.models.is_empty() {
        return match status.run {
            Some(_) => String::new(),
            None => "no models; `hfdl models add org/name` keeps one\n".to_owned(),
        };
    }
    let mut models: Vec<&ModelStatus> = status.models.iter().collect();
    // Disabled models come last, those in the worst trouble first.
    models.sort_by_key(|model| {
        let is_off = model.summary == ModelSummary::Disabled;
        (is_off, model.summary, Reverse(model.consecutive_failures))
    });
    let columns = [
        Column::name("MODEL"),
        Column::kept("STATE"),
        Column::number("SIZE").least(2),
        Column::kept("LAST OUTCOME").least(4),
        Column::kept("CHECKED").least(1),
        Column::kept("SUCCESS").least(5),
        Column::kept("CHANGE").least(3),
        Column::number("FAILURES").if_any(),
    ];
    let rows = models.iter().take(MOST_MODELS).map(|model| {
        vec![
            model.name.to_string(),
            state_text(model.summary, model.rejected_first.as_ref()),
            text::or_nothing(model.size_bytes.map(|it| ByteSize(it).render_short())),
            text::or_nothing(model.last_outcome),
            clock.past_or_nothing(model.last_check_at),
            clock.past_or_nothing(model.last_success_at),
            clock.past_or_nothing(model.last_change_at),
            text::count_or_nothing(model.consecutive_failures),
        ]
    });
    let mut lines = table::render(out, &columns, rows.collect());
    if let Some(more) = models
        .len()
        .checked_sub(MOST_MODELS)
        .filter(|more| *more > 0)
    {
        lines.push_str(&format!("and {more} more; `hfdl models list` shows all\n"));
    }
    lines
}

/// Describes the moved refs that are no warning.
fn moved_refs_text(status: &Status, clock: &Clock, out: &Output) -> String {
    let moved = status.models.iter().filter_map(|model| {
        let moved = model.moved_ref.as_ref();
        let moved = moved.filter(|moved| !moved.may_break_readers())?;
        let (name, moved) = (&model.name, clock.told(&moved.describe()));
        let next = next_for_ref(model);
        let note = text::paragraph(out, &format!("note: `{name}`: {moved}"), 9);
        let next = text::paragraph(out, &format!("   next: {next}"), 9);
        Some(note + &next)
    });
    moved.take(MOST_WARNINGS).collect()
}

/// Renders the first warnings, each with its next step.
pub(super) fn warnings_text(warnings: &[Warning], clock: &Clock, out: &Output) -> String {
    let label = if out.colour {
        "\u{1b}[33mwarning\u{1b}[0m"
    } else {
        "warning"
    };
    let mut lines = String::new();
    for warning in warnings.iter().take(MOST_WARNINGS) {
        let message = text::paragraph(out, &clock.told(&warning.message), 9);
        lines.push_str(&format!("{label}: {message}"));
        if let Some(hint) = &warning.hint {
            let hint = text::paragraph(out, &clock.told(hint), 9);
            lines.push_str(&format!("   next: {hint}"));
        }
    }
    if let Some(more) = warnings
        .len()
        .checked_sub(MOST_WARNINGS)
        .filter(|more| *more > 0)
    {
        let count = text::count(more as u64, "more warning", "more warnings");
        lines.push_str(&format!("and {count}; `hfdl status --json` tells all\n"));
    }
    lines
}
