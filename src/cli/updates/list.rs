//! `hfdl updates list`

use anyhow::Result;
use clap::Args;
use serde_json::json;

use crate::cli::context::Context;
use crate::cli::models::find;
use crate::cli::names::{distinct, texts};
use crate::cli::policy_text::rules_in_force;
use crate::domain::hold::Finding;
use crate::domain::policy::Policy;
use crate::domain::update::OfferedUpdate;
use crate::json::{UpdateView, document};
use crate::ops::updates::offered;
use crate::ui::table::Column;
use crate::ui::{table, text};

/// List the updates that wait for a decision, for a delay or for the next run
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:
  hfdl updates list
  hfdl updates list --all --json")]
pub(super) struct ListUpdates {
    /// Include updates that were published, rejected or superseded
    #[arg(long)]
    all: bool,
}

impl ListUpdates {
    pub(super) fn run(self, context: &Context) -> Result<()> {
        let mut updates = match context.existing_store()? {
            Some(store) => offered(&store, None)?,
            None => Vec::new(),
        };
        updates.retain(|update| self.all || update.is_open());
        let clock = context.clock();
        let reasons = |update: &OfferedUpdate| match delay(context, update) {
            Ok(Some(delay)) => delay,
            _ => text::list(update.findings.iter().map(|Finding { reason, .. }| reason)),
        };
        context.out.list(
            || {
                let names = updates.iter().map(|update| update.model.clone());
                texts(&distinct(names.collect()))
                    .into_iter()
                    .map(str::to_owned)
                    .collect()
            },
            |out| {
                if updates.is_empty() {
                    return String::new();
                }
                let columns = [
                    Column::name("NAME"),
                    Column::kept("COMMIT").least(2),
                    Column::kept("STATE"),
                    Column::kept("FOUND").least(1),
                    Column::sentence("REASONS"),
                ];
                let rows = updates.iter().map(|update| {
                    vec![
                        update.model.to_string(),
                        update.commit.short().to_owned(),
                        update.state().to_string(),
                        clock.past(update.found_at),
                        reasons(update),
                    ]
                });
                table::render(out, &columns, rows.collect())
            },
            || {
                let views: Vec<UpdateView> = updates.iter().map(UpdateView::from).collect();
                document("hfdl.updates/1", json!({ "updates": views }))
            },
        )?;
        if updates.is_empty() {
            if self.all {
                context.say_to_people("no model was offered an update yet");
                context
                    .hint("updates wait under a policy: `hfdl models set NAME --policy approve`");
            } else {
                context.say_to_people("no update waits");
                context.hint("`hfdl updates list --all` shows earlier ones");
            }
        }
        Ok(())
    }
}

/// Names the end of the delay that an update waits for, and the approval behind it.
fn delay(context: &Context, update: &OfferedUpdate) -> Result<Option<String>> {
    let Some(until) = update.waits_until else {
        return Ok(None);
    };
    let clock = context.clock();
    let (store, model) = find(context, &update.model)?;
    let rules = rules_in_force(&store, context, &model)?.rules;
    Ok(Some(match rules.policy {
        Policy::Approve => {
            let until = clock.moment(until, &clock.zone);
            format!("until {until}, then approval")
        }
        _ => format!("until {}", clock.future(until, &clock.zone)),
    }))
}
