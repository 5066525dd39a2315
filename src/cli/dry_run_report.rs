//! The output of `--dry-run`: the files to fetch, holds, delays, and the room they need.

use std::collections::BTreeSet;

use anyhow::Result;
use serde_json::{Value, json};

use super::context::Context;
use super::download_report::held_headline;
use super::explain::{self, Explanation};
use super::policy_text::{rules_in_force, waits};
use crate::domain::alert::RunFacts;
use crate::domain::outcome::{Effect, ExitStatus};
use crate::domain::policy::{EffectiveRules, UpdateWait};
use crate::domain::session::Session;
use crate::domain::time::render_utc;
use crate::domain::units::ByteSize;
use crate::json::{TotalsView, document};
use crate::ops::download::{DryRun, dry_run, lacking_room_of};
use crate::ops::retention::LackingRoom;
use crate::ops::services::Services;
use crate::ops::sync::Target;
use crate::store::{ModelFilter, Store};
use crate::ui::table::Column;
use crate::ui::{Output, table};

/// Shows the files to fetch.
pub fn show_dry_run(
    context: &Context,
    services: &Services<'_>,
    targets: &[Target],
) -> Result<ExitStatus> {
    let mut worst = ExitStatus::Ok;
    let mut found = Vec::new();
    for result in dry_run(services, targets)? {
        match result {
            Ok(plan) => {
                if let Some(explanation) = explain_held(context, &plan) {
                    context.show_note(&explanation);
                }
                found.push(plan);
            }
            Err(err) => {
                let explanation = explain::explain(&err);
                worst = worst.worst(explanation.status);
                context.show_problem(&explanation);
            }
        }
    }
    let room = lacking_room_of(services, targets, &found.iter().collect::<Vec<_>>())?;
    if let Some(room) = &room {
        context.show_note(&explain_room(room));
    }
    context.out.result(
        |out| dry_run_text(out, &found),
        || dry_run_document(&found, room.as_ref()),
    )?;
    Ok(worst)
}

/// Explains that a plan does not fit into the cache, with the removals of `prune.auto`.
pub fn explain_room(room: &LackingRoom) -> Explanation {
    let missing = room.missing.render_short();
    let removed = room.removed.iter().map(|item| {
        let size = ByteSize(item.size_bytes).render_short();
        format!("the {} {} of `{}` ({size})", item.what, item.id, item.repo)
    });
    let removed: Vec<String> = removed.collect();
    let has_room = !removed.is_empty();
    Explanation {
        headline: format!("the cache lacks {missing} of room under `cache.max_size`"),
        cause: has_room.then(|| format!("`prune.auto` would remove {}", removed.join(", "))),
        next: (!has_room).then(|| {
            "`hfdl prune --dry-run` shows what may go; or raise `cache.max_size`".to_owned()
        }),
        status: ExitStatus::Ok,
    }
}

/// Renders the room that a plan lacks.
pub fn room_document(room: &LackingRoom) -> Value {
    let removed = room.removed.iter().map(|item| {
        json!({
            "repo": item.repo.to_string(),
            "kind": item.what.as_str(),
            "what": item.what.as_str(),
            "id": item.id,
            "size": item.size_bytes,
        })
    });
    json!({
        "missing_bytes": room.missing.bytes(),
        "removed": removed.collect::<Vec<Value>>(),
    })
}

/// Says that a newer commit is held, or waits for the end of a delay.
pub fn explain_held(context: &Context, plan: &DryRun) -> Option<Explanation> {
    if let Some((wait, rules)) = &plan.wait {
        return Some(explain_delay(context, &plan.label, wait, rules));
    }
    let hold = plan.held.as_ref()?;
    Some(Explanation {
        headline: held_headline(&plan.label, hold.published.is_none()),
        cause: Some(hold.message()),
        next: Some(hold.hint(&plan.label)),
        status: ExitStatus::Ok,
    })
}

fn explain_delay(
    context: &Context,
    label: &str,
    wait: &UpdateWait,
    rules: &EffectiveRules,
) -> Explanation {
    let waits = waits(wait, rules, &context.clock());
    Explanation {
        headline: format!("`{label}` {waits}"),
        cause: Some(format!("upstream is at {}", wait.commit)),
        next: None,
        status: ExitStatus::Ok,
    }
}

/// Says which updates wait for the end of a delay after a download.
pub fn say_delays(context: &Context, store: &Store, run: &RunFacts) -> Result<()> {
    let is_good = |session: &&Session| {
        let end = session.end.as_ref();
        end.is_some_and(|end| end.effect() == Effect::Current)
    };
    let ids = run.sessions.iter().filter(is_good);
    let ids: BTreeSet<_> = ids.filter_map(|it| it.start.model_id).collect();
    if ids.is_empty() {
        return Ok(());
    }
    for model in store.readable_models(&ModelFilter::default())? {
        if let Some(wait) = model
            .state
            .wait
            .as_ref()
            .filter(|_| ids.contains(&model.id))
        {
            let rules = rules_in_force(store, context, &model)?.rules;
            let label = model.spec.name.as_str();
            context.show_note(&explain_delay(context, label, wait, &rules));
        }
    }
    Ok(())
}

fn dry_run_text(out: &Output, found: &[DryRun]) -> String {
    let mut rows = Vec::new();
    for plan in found {
        let totals = plan.totals;
        rows.push(vec![
            plan.label.clone(),
            plan.commit.chars().take(10).collect(),
            format!("{} of {}", totals.files_to_fetch, totals.files),
            ByteSize(totals.bytes_to_fetch).render_short(),
            ByteSize(totals.bytes_here()).render_short(),
        ]);
    }
    if rows.is_empty() {
        return String::new();
    }
    let columns = [
        Column::name("MODEL"),
        Column::kept("COMMIT").least(3),
        Column::number("FILES").least(1),
        Column::number("WOULD FETCH"),
        Column::number("REUSABLE").least(2),
    ];
    table::render(out, &columns, rows)
}

fn dry_run_document(found: &[DryRun], room: Option<&LackingRoom>) -> Value {
    let models: Vec<Value> = found
        .iter()
        .map(|plan| {
            let files: Vec<Value> = plan
                .files
                .iter()
                .map(|(path, size, fetch)| json!({"path": path, "size": size, "bytes_to_fetch": fetch}))
                .collect();
            let held = plan.held.as_ref().map(|hold| hold.commit.as_str());
            let waiting_until = plan.wait.as_ref().map(|(wait, _)| render_utc(wait.until));
            json!({
                "model": plan.label,
                "commit": plan.commit,
                "held_update_commit": held,
                "held_update": held,
                "waiting_until": waiting_until,
                "waits_until": waiting_until,
                "files": TotalsView::files(&plan.totals),
                "bytes": TotalsView::bytes(&plan.totals),
                "fetch": files,
            })
        })
        .collect();
    let room = room.map(room_document);
    document(
        "hfdl.plan/1",
        json!({ "models": models, "lacking_room": room }),
    )
}
