//! The output of `hfdl run-due --dry-run`.

use anyhow::Result;
use serde_json::{Value, json};

use super::context::Context;
use super::dry_run_report::{explain_held, explain_room, room_document};
use super::explain::{self, Explanation};
use super::forecast_text::forecast_text;
use super::run_due_report::{idle_status, report_unusable};
use crate::domain::outcome::ExitStatus;
use crate::domain::schedule::DueState;
use crate::domain::time::{Timestamp, render_utc};
use crate::domain::units::ByteSize;
use crate::json::{DueScheduleView, ForecastView, TotalsView, document};
use crate::ops::run_due::{DuePlan, PlannedModel};
use crate::ui::table::Column;
use crate::ui::{Clock, Output, table, text};

/// Shows the due models and the files to fetch.
pub fn report_plan(context: &Context, plan: &DuePlan) -> Result<ExitStatus> {
    report_unusable(context, plan.unusable.iter());
    let clock = context.clock();
    let mut worst = idle_status(&plan.unusable);
    for model in &plan.models {
        match &model.fetch {
            Ok(found) => {
                if let Some(explanation) = explain_held(context, found) {
                    context.show_note(&explanation);
                }
            }
            Err(err) => {
                let explanation = explain::explain(err);
                worst = worst.worst(explanation.status);
                context.show_problem(&explanation);
            }
        }
    }
    if let Some(room) = &plan.lacking_room {
        context.show_note(&explain_room(room));
    }
    for allowance in &plan.spent {
        context.show_note(&Explanation {
            headline: allowance.spent_message(),
            cause: None,
            next: Some(allowance.way_out()),
            status: ExitStatus::Ok,
        });
    }
    context
        .out
        .result(|out| plan_text(out, plan, &clock), || plan_document(plan))?;
    Ok(worst)
}

fn plan_text(out: &Output, plan: &DuePlan, clock: &Clock) -> String {
    let mut shown = String::new();
    if !plan.schedules.is_empty() || !plan.unusable.is_empty() {
        let rows = plan.schedules.iter().map(|schedule| {
            let (state, slot, next) = state_words(&schedule.state);
            let zone = &schedule.zone;
            vec![
                schedule.name.to_string(),
                state.to_owned(),
                text::or_nothing(slot.map(|at| clock.moment(at, zone))),
                text::or_nothing(next.map(|at| clock.due(at, zone))),
            ]
        });
        let unusable = plan.unusable.iter().map(|one| {
            let unknown = text::NOTHING.to_owned();
            vec![
                one.name.clone(),
                "unusable".to_owned(),
                unknown.clone(),
                unknown,
            ]
        });
        let columns = [
            Column::name("SCHEDULE"),
            Column::sentence("STATE"),
            Column::kept("SLOT").least(1).if_any(),
            Column::kept("NEXT").if_any(),
        ];
        shown.push_str(&table::render(
            out,
            &columns,
            rows.chain(unusable).collect(),
        ));
    }
    if plan.models.is_empty() {
        shown.push_str("nothing is due\n");
        return shown;
    }
    let rows = plan.models.iter().map(model_row);
    let columns = [
        Column::name("MODEL"),
        Column::name("FOR").least(2),
        Column::kept("COMMIT").least(4),
        Column::number("FILES").least(1),
        Column::number("WOULD FETCH"),
        Column::number("REUSABLE").least(3),
    ];
    shown.push('\n');
    shown.push_str(&table::render(out, &columns, rows.collect()));
    for model in &plan.models {
        if let Some(forecast) = &model.forecast {
            let forecast = forecast_text(forecast, clock);
            let forecast = format!("`{}`: {forecast}", model.name);
            shown.push_str(&text::paragraph(out, &forecast, 2));
        }
    }
    shown
}

fn model_row(model: &PlannedModel) -> Vec<String> {
    let schedules: Vec<&str> = model.schedules.iter().map(|name| name.as_str()).collect();
    let mut row = vec![model.name.to_string(), schedules.join(", ")];
    match &model.fetch {
        Ok(found) => {
            let totals = found.totals;
            let reusable = totals.bytes_here();
            row.extend([
                found.commit.chars().take(10).collect(),
                format!("{} of {}", totals.files_to_fetch, totals.files),
                ByteSize(totals.bytes_to_fetch).render_short(),
                ByteSize(reusable).render_short(),
            ]);
        }
        Err(_) => row.extend(["?", "?", "?", "?"].map(str::to_owned)),
    }
    row
}

/// Returns the state in one word, its slot, and when to look again.
fn state_words(state: &DueState) -> (&'static str, Option<Timestamp>, Option<Timestamp>) {
    match *state {
        DueState::Disabled => ("disabled", None, None),
        DueState::Wait { next } => ("waits", None, Some(next)),
        DueState::Done => ("done", None, None),
        DueState::Backoff { slot, until } => ("retries later", Some(slot), Some(until)),
        DueState::Closed { slot, next } => ("waits for its window", Some(slot), Some(next)),
        DueState::Due(due) if due.resume => ("due, continues", Some(due.slot), None),
        DueState::Due(due) => ("due", Some(due.slot), None),
        DueState::Expired { slot, next, .. } => ("missed", Some(slot), next),
    }
}

fn plan_document(plan: &DuePlan) -> Value {
    let unusable = plan.unusable.iter().map(DueScheduleView::from);
    let schedules = plan.schedules.iter();
    let schedules = schedules.map(|it| DueScheduleView::new(&it.name, &it.zone, &it.state));
    let schedules: Vec<DueScheduleView> = schedules.chain(unusable).collect();
    let models = plan.models.iter().map(|model| {
        let names: Vec<&str> = model.schedules.iter().map(|name| name.as_str()).collect();
        let found = model.fetch.as_ref().ok();
        let totals = found.map(|found| &found.totals);
        let wait = found.and_then(|found| found.wait.as_ref());
        let waiting_until = wait.map(|(wait, _)| render_utc(wait.until));
        json!({
            "model": model.name.as_str(),
            "schedules": names,
            "commit": found.map(|found| found.commit.as_str()),
            "files": totals.map(TotalsView::files),
            "bytes": totals.map(TotalsView::bytes),
            "waiting_until": waiting_until,
            "waits_until": waiting_until,
            "forecast": model.forecast.as_ref().map(ForecastView::from),
            "error": model.fetch.as_ref().err().map(|err| format!("{err:#}")),
        })
    });
    let models: Vec<Value> = models.collect();
    document(
        "hfdl.due/1",
        json!({
            "at": render_utc(plan.at),
            "schedules": schedules,
            "models": models,
            "lacking_room": plan.lacking_room.as_ref().map(room_document),
        }),
    )
}
