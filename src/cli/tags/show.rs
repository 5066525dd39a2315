//! `hfdl tags show`

use anyhow::Result;
use serde_json::json;

use super::list::all_tags;
use crate::cli::context::Context;
use crate::cli::explain::Complaint;
use crate::cli::fields;
use crate::domain::model::Tag;
use crate::domain::tag::TagSpec;
use crate::domain::units::ByteSize;
use crate::json::{TagView, document};
use crate::ops::sizes::ModelSizes;
use crate::store::{ModelFilter, Store};
use crate::ui::{table, text};

pub(super) fn show(context: &Context, name: &Tag) -> Result<()> {
    let store = context.existing_store()?;
    let store = store.ok_or_else(|| unknown(name, &[]))?;
    let tag = known(&store, name)?;
    let filter = ModelFilter {
        tag: Some(name.clone()),
        ..ModelFilter::default()
    };
    let models = store.map_checked_models(&filter, context.now(), |model, last| (model, last))?;
    let checked = models.iter().map(|(model, last)| (model, last.as_ref()));
    let settings = context.settings(Some(&store))?;
    let sizes = ModelSizes::of(&settings, &checked.collect::<Vec<_>>());
    let names = models.iter().map(|(model, _)| model.spec.name.to_string());
    let models: Vec<String> = names.collect();
    context.out.result(
        |out| {
            let head = ("tag", tag.name.to_string());
            let fields = fields::rows(&tag);
            let fields = fields
                .iter()
                .map(|(label, value)| (label.as_str(), value.clone()));
            let published = ByteSize(sizes.published_bytes()).render_short();
            let on_disk = ByteSize(sizes.disk_bytes).render_short();
            let models = [
                ("models", text::list(&models)),
                ("size", format!("{published} published, {on_disk} on disk")),
            ];
            let rows: Vec<(&str, String)> =
                [head].into_iter().chain(fields).chain(models).collect();
            table::facts(out, &rows)
        },
        || {
            let view = TagView::new(&tag, models.len() as u64);
            let mut value = document("hfdl.tag/1", view);
            value["model_names"] = json!(models);
            value["size_bytes"] = json!(sizes.published_bytes());
            value["disk_bytes"] = json!(sizes.disk_bytes);
            value
        },
    )
}

/// Finds a tag that is in use or has defaults; the error suggests the nearest name.
pub(super) fn known(store: &Store, name: &Tag) -> Result<TagSpec> {
    let tags = all_tags(store)?;
    let found = tags.iter().find(|(tag, _)| tag.name == *name);
    match found {
        Some((tag, _)) => Ok(tag.clone()),
        None => Err(unknown(name, &tags).into()),
    }
}

pub(super) fn unknown(name: &Tag, tags: &[(TagSpec, u64)]) -> Complaint {
    let names: Vec<&str> = tags.iter().map(|(tag, _)| tag.name.as_str()).collect();
    Complaint::unknown("tag", name.as_str(), &names, "hfdl tags list")
}
