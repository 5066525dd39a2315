//! The output of `--dry-run`: the files to fetch, holds, and the room they need.

use anyhow::Result;
use serde_json::{Value, json};

use super::context::Context;
use super::download_report::held_headline;
use super::explain::{self, Explanation};
use super::policy_text::waits;
use crate::domain::outcome::ExitStatus;
use crate::domain::time::render_utc;
use crate::domain::units::ByteSize;
use crate::json::{TotalsView, document};
use crate::ops::download::{DryRun, dry_run, lacking_room_of};
use crate::ops::retention::LackingRoom;
use crate::ops::services::Services;
use crate::ops::sync::Target;
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

/// Says that a plan does not fit into the cache, and what `prune.auto` would remove.
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
        let waits = waits(wait, rules, &context.clock());
        return Some(Explanation {
            headline: format!("`{}` {waits}", plan.label),
            cause: Some(format!("upstream is at {}", wait.commit)),
            next: None,
            status: ExitStatus::Ok,
        });
    }
    let hold = plan.held.as_ref()?;
    Some(Explanation {
        headline: held_headline(&plan.label, hold.published.is_none()),
        cause: Some(hold.message()),
        next: Some(hold.hint(&plan.label)),
        status: ExitStatus::Ok,
    })
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
