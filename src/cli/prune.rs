//! `hfdl prune`

use std::collections::BTreeSet;

use anyhow::Result;
use clap::Args;
use serde_json::{Value, json};

use super::context::Context;
use super::explain;
use super::lock::take_lock;
use super::models::known;
use super::names::distinct;
use crate::domain::model::{EntryName, Model};
use crate::domain::outcome::{ExitStatus, Trigger};
use crate::domain::retention::{
    Item, ItemKind, OnlyCopy, Proposal, RetentionRules, proposals, room_rules,
};
use crate::domain::run::RunCommand;
use crate::domain::settings::Settings;
use crate::domain::units::{ByteSize, Seconds};
use crate::json::document;
use crate::ops::ownership::identity;
use crate::ops::retention::{
    HistoryPruned, Prune as Work, PruneLimits, PrunePlan, PruneReport, note_cache_size, only_copies,
};
use crate::ops::run::ActiveRun;
use crate::ops::services::Services;
use crate::store::{ModelFilter, Store};
use crate::ui::table::Column;
use crate::ui::{Output, table, text};

/// Remove old revisions, unfinished downloads and old history
///
/// These always stay: the published revision, the rollback target (unless keep.revisions is 1), a
/// revision that a rollback holds or a model is pinned to, one that a branch or tag in the cache
/// points to, one that another program or another hfdl home put there or claims, an update that
/// waits for approval, and an open file. A revision that the Hub no longer has stays as well,
/// unless --only-copies is given. Apart from the first two, these stay beside the revisions to
/// keep. With names, only revisions and downloads of these models are removed; without names, also
/// sessions and logs older than keep.sessions and keep.logs.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:
  hfdl prune --dry-run               show each item with its verdict and reason
  hfdl prune --yes
  hfdl prune org/name --keep-revisions 1
  hfdl prune --max-size 500G --older-than 30d")]
pub struct PruneCommand {
    /// Names of models (default: all)
    #[arg(value_name = "NAME")]
    names: Vec<EntryName>,

    /// Show the items to remove, and remove nothing
    #[arg(short = 'n', long)]
    dry_run: bool,

    /// Keep this many revisions of each model: 1 is the published one alone, 2 adds the rollback
    /// target (default: keep.revisions)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    keep_revisions: Option<u32>,

    /// Only revisions that were published longer ago
    #[arg(long, value_name = "DUR")]
    older_than: Option<Seconds>,

    /// Remove the oldest revisions until the repositories of these models in the cache fit this size
    #[arg(long, value_name = "SIZE")]
    max_size: Option<ByteSize>,

    /// Remove the oldest revisions until this much is freed, by the rule of prune.auto: none that
    /// was published in the last 7 days
    #[arg(long, value_name = "SIZE", conflicts_with = "max_size")]
    make_room: Option<ByteSize>,

    /// Include revisions that the Hub no longer has; needs NAME, as there may be no other copy
    #[arg(long, requires = "names")]
    only_copies: bool,
}

impl PruneCommand {
    pub fn run(self, context: &Context) -> Result<ExitStatus> {
        let by_room = self.make_room.map(room_rules).unwrap_or_default();
        let limits = PruneLimits {
            keep_revisions: self.keep_revisions,
            rules: RetentionRules {
                older_than: self.older_than.or(by_room.older_than),
                max_size: self.max_size,
                with_only_copies: self.only_copies,
                ..by_room
            },
            keeps_evidence: false,
        };
        let names = distinct(self.names);
        let existing = context.existing_store()?;
        let settings = context.settings(existing.as_ref())?;
        let store = match existing {
            Some(store) => store,
            None if self.dry_run => Store::open_read_only(&context.home.database(), context.now())?,
            None => context.store()?,
        };
        let models = models(&store, &names)?;
        let services = Services::read_only(&context.host, &context.home, settings, store);
        let Services {
            store, settings, ..
        } = &services;
        let work = Work {
            store,
            home: &context.home,
            settings,
            identity: identity(&context.host, &context.home, store)?,
            models,
            limits,
            with_history: names.is_empty(),
        };
        let is_asked = context.host.stdin_is_terminal() && context.host.stderr_is_terminal();
        if !self.dry_run && !context.yes && !is_asked {
            // Also when there is nothing to remove: a cron line shows its
            // mistake the first time, not on the day that matters.
            context.confirm("remove what is not kept any more?")?;
        }
        if self.dry_run {
            let report = work.plan(context.now())?.into_report();
            let proposed = proposals(&report.items, |name| work.is_disabled(name));
            return show(context, settings, &report, limits, Some(&proposed));
        }
        let plan = work.plan(context.now())?;
        if !is_nothing(&plan) {
            let copies = only_copies(store, &work.cache())?;
            context.confirm(&question(&plan, &copies))?;
        }
        let _lock = take_lock(context, RunCommand::Prune, Trigger::Manual, None)?;
        let report = carry_out(&services, &work)?;
        show(context, settings, &report, limits, None)
    }
}

fn models(store: &Store, names: &[EntryName]) -> Result<Vec<Model>> {
    if names.is_empty() {
        return Ok(store.models(&ModelFilter::default())?);
    }
    names.iter().map(|name| known(store, name)).collect()
}

/// Prunes as a run of its own.
fn carry_out(services: &Services<'_>, work: &Work<'_>) -> Result<PruneReport> {
    let mut run = ActiveRun::begin(services, RunCommand::Prune, Trigger::Manual)?;
    // Another run may have published something before the lock was free.
    let now = services.host.now();
    let plan = work.plan(now);
    let report = plan.and_then(|plan| work.carry_out(plan, run.id(), services.host.now()));
    run.note_status(match &report {
        Ok(report) => status_of(report),
        Err(err) => explain::explain(err).status,
    });
    note_cache_size(&services.store, &services.settings, services.host.now())?;
    run.end(0)?;
    report
}

fn status_of(report: &PruneReport) -> ExitStatus {
    let problems = report.problems.iter();
    problems.fold(ExitStatus::Ok, |worst, err| {
        worst.worst(explain::explain(err).status)
    })
}

fn is_nothing(plan: &PrunePlan) -> bool {
    let history = plan.history.unwrap_or_default();
    history.is_nothing() && !plan.items().any(|item| item.goes)
}

fn question(plan: &PrunePlan, only_copies: &[OnlyCopy]) -> String {
    let going: Vec<&Item> = plan.items().filter(|item| item.goes).collect();
    let is_revision = |item: &&&Item| item.what == ItemKind::Revision;
    let n_revisions = going.iter().filter(is_revision).count();
    let bytes = going.iter().map(|item| item.size_bytes).sum();
    let mut parts = vec![format!(
        "{} ({})",
        counts(n_revisions, going.len() - n_revisions),
        ByteSize(bytes).render_short()
    )];
    parts.extend(plan.history.as_ref().and_then(history_text));
    let is_lost = |copy: &&OnlyCopy| going.iter().any(|item| item.id == copy.commit.as_str());
    let lost: BTreeSet<&str> = only_copies
        .iter()
        .filter(is_lost)
        .map(|copy| copy.commit.short())
        .collect();
    let lost: Vec<&str> = lost.into_iter().collect();
    let warning = match lost[..] {
        [] => String::new(),
        _ => format!(", of which {} exist nowhere else any more", lost.join(", ")),
    };
    format!("remove {}{warning}?", parts.join(" and "))
}

fn counts(n_revisions: usize, n_others: usize) -> String {
    let revisions = text::count(n_revisions as u64, "revision", "revisions");
    match n_others {
        0 => revisions,
        _ => format!(
            "{revisions} and {}",
            text::count(n_others as u64, "leftover", "leftovers")
        ),
    }
}

/// Says how much of the past goes; `None` when nothing does.
fn history_text(history: &HistoryPruned) -> Option<String> {
    let counted = [
        (history.rows.n_sessions, "session", "sessions"),
        (history.rows.n_runs, "run", "runs"),
        (history.rows.n_events, "event", "events"),
        (history.n_logs, "log file", "log files"),
        (
            history.n_adopted,
            "record of an adopted file",
            "records of adopted files",
        ),
    ];
    let parts: Vec<String> = counted
        .into_iter()
        .filter(|(number, ..)| *number > 0)
        .map(|(number, one, many)| text::count(number as u64, one, many))
        .collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

fn show(
    context: &Context,
    settings: &Settings,
    report: &PruneReport,
    limits: PruneLimits,
    dry_run: Option<&[Proposal]>,
) -> Result<ExitStatus> {
    for problem in &report.problems {
        context.show_problem(&explain::explain(problem));
    }
    if !context.out.quiet {
        for home in &report.outdated {
            context.warn(&format!(
                "the hfdl home `{}` on `{}` was last seen on {}: after 90 days its claims do not count any more",
                home.path,
                home.host,
                home.seen_at.strftime("%Y-%m-%d")
            ));
        }
    }
    context.out.done(
        || describe(&context.out, report, dry_run),
        || prune_document(report, dry_run),
    )?;
    if let Some(most) = limits.rules.max_size
        && report.bytes_left > most.bytes()
        && !context.out.quiet
    {
        context.warn(&format!(
            "the repositories hold {} in `{}`, which is more than {}: the rest must stay",
            ByteSize(report.bytes_left).render_short(),
            settings.cache_dir(),
            most.render_short()
        ));
    }
    if let Some(room) = limits.rules.make_room
        && report.freed_bytes < room.bytes()
        && !context.out.quiet
    {
        context.warn(&format!(
            "that is less than {}: the rest must stay",
            room.render_short()
        ));
    }
    Ok(status_of(report))
}

fn describe(out: &Output, report: &PruneReport, dry_run: Option<&[Proposal]>) -> String {
    let is_dry_run = dry_run.is_some();
    let columns = [
        Column::name("MODEL"),
        Column::kept("WHAT").least(2),
        Column::kept("ID").least(3),
        Column::number("SIZE"),
        Column::kept("VERDICT"),
        Column::sentence("REASON").least(1),
    ];
    let rows: Vec<Vec<String>> = report
        .items
        .iter()
        .map(|item| {
            let model = item.model.as_ref().map(ToString::to_string);
            vec![
                model.unwrap_or_else(|| item.repo.to_string()),
                item.what.to_string(),
                short(&item.id).to_owned(),
                ByteSize(item.size_bytes).render_short(),
                verdict(item).to_owned(),
                item.reason_text(),
            ]
        })
        .collect();
    let mut text = if rows.is_empty() {
        String::new()
    } else {
        table::render(out, &columns, rows) + "\n"
    };
    let freed = ByteSize(report.freed_bytes).render_short();
    text.push_str(&if is_dry_run {
        format!("{freed} would be freed\n")
    } else {
        format!("{freed} freed\n")
    });
    if let Some(past) = report.history.as_ref().and_then(history_text) {
        text.push_str(&if is_dry_run {
            format!("{past} would go\n")
        } else {
            format!("{past} gone\n")
        });
    }
    // The table shows the removals of this command already.
    let others = dry_run.into_iter().flatten().filter(|it| !it.item.goes);
    for proposal in others {
        text.push_str(&text::paragraph(out, &proposal_text(proposal), 2));
    }
    text
}

fn proposal_text(proposal: &Proposal) -> String {
    let Proposal {
        item,
        reason,
        command,
    } = proposal;
    let (size, id) = (ByteSize(item.size_bytes).render_short(), short(&item.id));
    let (what, repo) = (&item.what, &item.repo);
    format!("{size} more with `{command}`: the {what} {id} of `{repo}`, {reason}")
}

/// Shortens a commit as everywhere, and a hash to its distinctive beginning.
fn short(id: &str) -> &str {
    let id = id.split_once(':').map_or(id, |(_, hash)| hash);
    id.get(..10).unwrap_or(id)
}

fn verdict(item: &Item) -> &'static str {
    if item.goes { "remove" } else { "keep" }
}

fn prune_document(report: &PruneReport, dry_run: Option<&[Proposal]>) -> Value {
    let items: Vec<Value> = report
        .items
        .iter()
        .map(|item| {
            json!({
                "model": item.model.as_ref().map(ToString::to_string),
                "repo": item.repo.to_string(),
                "kind": item.what.as_str(),
                "what": item.what.as_str(),
                "id": item.id,
                "size": item.size_bytes,
                "verdict": verdict(item),
                "reason": item.reason,
                "held_commit": item.held_commit.as_ref().map(ToString::to_string),
            })
        })
        .collect();
    let proposed = dry_run.into_iter().flatten().map(|proposal| {
        let item = &proposal.item;
        json!({
            "model": item.model.as_ref().map(ToString::to_string),
            "repo": item.repo.to_string(),
            "kind": item.what.as_str(),
            "what": item.what.as_str(),
            "id": item.id,
            "size": item.size_bytes,
            "reason": proposal.reason,
            "command": proposal.command,
        })
    });
    let history = report.history.map(|history| {
        json!({
            "sessions": history.rows.n_sessions,
            "runs": history.rows.n_runs,
            "events": history.rows.n_events,
            "logs": history.n_logs,
            "log_bytes": history.log_bytes,
            "adopted": history.n_adopted,
        })
    });
    document(
        "hfdl.prune/1",
        json!({
            "dry_run": dry_run.is_some(),
            "freed_bytes": report.freed_bytes,
            "bytes_freed": report.freed_bytes,
            "bytes_left": report.bytes_left,
            "history": history,
            "items": items,
            "proposals": proposed.collect::<Vec<Value>>(),
        }),
    )
}
