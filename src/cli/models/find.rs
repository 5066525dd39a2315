//! Models by name.

use anyhow::Result;

use crate::cli::context::Context;
use crate::cli::explain::Complaint;
use crate::cli::names::distinct;
use crate::domain::model::{EntryName, Model};
use crate::store::{ModelFilter, Store};

/// Opens the database for a command about a model that must be there.
pub fn open_for(context: &Context, name: &EntryName) -> Result<Store> {
    let store = context.existing_store()?;
    Ok(store.ok_or_else(|| unknown(name, &[]))?)
}

pub fn find(context: &Context, name: &EntryName) -> Result<(Store, Model)> {
    let store = open_for(context, name)?;
    let model = known(&store, name)?;
    Ok((store, model))
}

/// Finds a model by its name; the error suggests the nearest name.
pub fn known(store: &Store, name: &EntryName) -> Result<Model> {
    if let Some(model) = store.find_model(name)? {
        return Ok(model);
    }
    Err(unknown(name, &store.readable_models(&ModelFilter::default())?).into())
}

/// Returns the named models, each once, or all models if none is named.
pub fn named_or_all(store: &Store, names: &[EntryName]) -> Result<Vec<Model>> {
    if names.is_empty() {
        return Ok(store.models(&ModelFilter::default())?);
    }
    let names = distinct(names.to_vec());
    names.iter().map(|name| known(store, name)).collect()
}

/// Says that no model has a name, and suggests the nearest one.
pub fn unknown(name: &EntryName, models: &[Model]) -> Complaint {
    let names = models.iter().map(|model| model.spec.name.as_str());
    let names: Vec<&str> = names.collect();
    Complaint::unknown("model", name.as_str(), &names, "hfdl models list")
}
