//! `hfdl models list`

use anyhow::Result;
use clap::Args;
use serde_json::{Value, json};

use crate::cli::context::Context;
use crate::cli::next_steps::FIRST_MODEL;
use crate::cli::policy_text::state_text;
use crate::domain::model::{Model, ModelSummary, Tag};
use crate::domain::session::LastCheck;
use crate::domain::units::ByteSize;
use crate::json::{self, SizedModel, destination};
use crate::ops::sizes::ModelSizes;
use crate::store::ModelFilter;
use crate::ui::table::Column;
use crate::ui::{Clock, Output, table, text};

/// List all models
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:
  hfdl models list --tag llm
  hfdl models list --state failing --json")]
pub(super) struct ListModels {
    /// Only models with this tag
    #[arg(long)]
    tag: Option<Tag>,

    /// Only models in this state: ok, disabled, damaged, failing, held, gated, orphaned, renamed or never-downloaded
    #[arg(long)]
    state: Option<ModelSummary>,
}

impl ListModels {
    pub(super) fn run(self, context: &Context) -> Result<()> {
        let now = context.now();
        let mut models: Vec<(Model, Option<LastCheck>)> = Vec::new();
        let store = context.existing_store()?;
        if let Some(store) = &store {
            let filter = ModelFilter {
                tag: self.tag.clone(),
                ..ModelFilter::default()
            };
            let is_meant = |state| self.state.is_none_or(|wanted| wanted == state);
            store.map_checked_models(&filter, now, |mut model, last| {
                model.state = model.state.without_future_times(now);
                let outcome = last.as_ref().and_then(LastCheck::outcome);
                if is_meant(model.summary(outcome)) {
                    models.push((model, last));
                }
            })?;
        }
        let settings = context.settings(store.as_ref())?;
        let checked = models.iter().map(|(model, last)| (model, last.as_ref()));
        let checked: Vec<(&Model, Option<&LastCheck>)> = checked.collect();
        let sizes = ModelSizes::of(&settings, &checked);
        let listed = checked.iter().zip(&sizes.published);
        let listed = listed.map(|((model, last), size)| {
            let outcome = last.and_then(LastCheck::outcome);
            (*model, outcome, size.map(|it| it.bytes))
        });
        let listed: Vec<SizedModel<'_>> = listed.collect();
        context.out.list(
            || {
                let names = models.iter().map(|(model, _)| model.spec.name.to_string());
                names.collect()
            },
            |out| list_text(out, &context.clock(), &listed, &sizes),
            || json::models(&listed, totals(&sizes)),
        )?;
        if models.is_empty() {
            self.say_nothing_found(context)?;
        }
        Ok(())
    }

    /// Reports that there are no models, or none that the flags select.
    fn say_nothing_found(&self, context: &Context) -> Result<()> {
        let tags = match context.existing_store()? {
            Some(store) if store.has_models()? => store.tags_in_use()?,
            _ => {
                context.say_to_people("no models");
                context.hint(FIRST_MODEL);
                return Ok(());
            }
        };
        let Some(tag) = &self.tag else {
            context.say_to_people("no model is in that state");
            context.hint("`hfdl models list` shows all with their states");
            return Ok(());
        };
        if tags.contains_key(tag) {
            context.say_to_people(&format!("no model with the tag `{tag}` is in that state"));
            return Ok(());
        }
        context.say_to_people(&format!("no model has the tag `{tag}`"));
        let there_are = format!("tags in use: {}", text::list(tags.keys()));
        let none = "no model has a tag; `hfdl models set NAME --tag TAG` gives it one".to_owned();
        context.hint(if tags.is_empty() { &none } else { &there_are });
        Ok(())
    }
}

fn list_text(out: &Output, clock: &Clock, models: &[SizedModel<'_>], sizes: &ModelSizes) -> String {
    if models.is_empty() {
        return String::new();
    }
    let columns = [
        Column::name("NAME"),
        Column::name("REVISION").least(3),
        Column::name("TO").least(6),
        Column::kept("STATE"),
        Column::number("SIZE").least(1),
        Column::kept("COMMIT").least(4),
        Column::kept("CHECKED").least(2),
        Column::sentence("TAGS").least(5).if_any(),
    ];
    let rows = models.iter().map(|(model, last, size)| {
        let commit = model.state.published_commit.as_ref();
        vec![
            model.spec.name.to_string(),
            shown_revision(model),
            destination(&model.spec.destination),
            state_text(model.summary(*last), model.state.rejected_first()),
            text::or_nothing(size.map(|bytes| ByteSize(bytes).render_short())),
            text::or_nothing(commit.map(|commit| commit.short())),
            clock.past_or_nothing(model.state.last_check_at),
            text::list(&model.spec.tags),
        ]
    });
    table::render(out, &columns, rows.collect()) + &total_line(sizes)
}

/// Returns the sums over models for a document.
pub(super) fn totals(sizes: &ModelSizes) -> Value {
    json!({
        "models": sizes.published.len(),
        "size_bytes": sizes.published_bytes(),
        "disk_bytes": sizes.disk_bytes,
    })
}

fn total_line(sizes: &ModelSizes) -> String {
    let count = text::count(sizes.published.len() as u64, "model", "models");
    let published = ByteSize(sizes.published_bytes()).render_short();
    let on_disk = ByteSize(sizes.disk_bytes).render_short();
    format!("{count}, {published} published, {on_disk} on disk\n")
}

/// Returns the tag that a model follows, else its revision.
pub(super) fn shown_revision(model: &Model) -> String {
    let tag = model.state.followed_tag();
    tag.unwrap_or(&model.spec.revision).to_string()
}
