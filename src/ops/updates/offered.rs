//! The updates that models were offered, those that wait for a delay included.

use anyhow::Result;

use crate::domain::model::ModelId;
use crate::domain::update::OfferedUpdate;
use crate::store::Store;

/// Returns the updates, the newest first; of one model or of all.
pub fn offered(store: &Store, model: Option<ModelId>) -> Result<Vec<OfferedUpdate>> {
    let mut updates = store.delayed_updates(model)?;
    let n_delayed = updates.len();
    // A commit may have been held before the model had a delay.
    for update in store.offered_updates(model)? {
        let is_it =
            |it: &OfferedUpdate| it.model_id == update.model_id && it.commit == update.commit;
        if !updates[..n_delayed].iter().any(is_it) {
            updates.push(update);
        }
    }
    updates.sort_by_key(|update| std::cmp::Reverse(update.found_at));
    Ok(updates)
}
