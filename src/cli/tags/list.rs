//! `hfdl tags list`

use std::collections::BTreeMap;

use anyhow::Result;
use serde_json::json;

use crate::cli::context::Context;
use crate::domain::model::Tag;
use crate::domain::tag::TagSpec;
use crate::json::{TagView, document};
use crate::store::Store;
use crate::ui::table::Column;
use crate::ui::{table, text};

pub(super) fn list(context: &Context) -> Result<()> {
    let tags = match context.existing_store()? {
        Some(store) => all_tags(&store)?,
        None => Vec::new(),
    };
    context.out.list(
        || tags.iter().map(|(tag, _)| tag.name.to_string()).collect(),
        |out| {
            if tags.is_empty() {
                return String::new();
            }
            let columns = [
                Column::name("TAG"),
                Column::number("MODELS"),
                Column::kept("POLICY").least(1).if_any(),
                Column::kept("DELAY").least(2).if_any(),
                Column::sentence("FOLLOWS").least(3).if_any(),
                Column::sentence("GUARDS").least(4).if_any(),
            ];
            let rows = tags.iter().map(|(tag, n_models)| {
                let rules = &tag.update;
                let guards = rules.guards.as_ref().map(|guards| guards.words());
                vec![
                    tag.name.to_string(),
                    n_models.to_string(),
                    text::or_nothing(rules.policy.as_ref()),
                    text::or_nothing(rules.delay),
                    text::or_nothing(rules.follow_tags.as_ref()),
                    text::list(guards.unwrap_or_default()),
                ]
            });
            table::render(out, &columns, rows.collect())
        },
        || {
            let views = tags.iter().map(|(tag, models)| TagView::new(tag, *models));
            let views: Vec<TagView> = views.collect();
            document("hfdl.tags/1", json!({ "tags": views }))
        },
    )?;
    if tags.is_empty() {
        context.say_to_people("no tags");
        context.hint("`hfdl models set NAME --tag TAG` gives a model one");
    }
    Ok(())
}

/// Returns the tags in use and those with defaults, each with the number of its models.
pub(super) fn all_tags(store: &Store) -> Result<Vec<(TagSpec, u64)>> {
    let counts = store.tags_in_use()?;
    let names = counts.keys().cloned();
    let mut tags: BTreeMap<Tag, TagSpec> = names
        .map(|name| (name.clone(), TagSpec::new(name)))
        .collect();
    let stored = store.tags()?.into_iter();
    tags.extend(stored.map(|tag| (tag.name.clone(), tag)));
    let tags = tags.into_values();
    Ok(tags
        .map(|tag| {
            let n_models = counts.get(&tag.name).copied().unwrap_or(0);
            (tag, n_models)
        })
        .collect())
}
