//! The record of the spent allowances that were reported.

use anyhow::Result;

use crate::domain::allowance::{Allowance, tell_once};
use crate::domain::time::Timestamp;
use crate::store::{MetaKey, Store};

/// Returns the spent allowances that no earlier tick has reported in their period, and
/// records them. The caller holds the lock of the home.
pub fn note_told(store: &Store, spent: &[Allowance], now: Timestamp) -> Result<Vec<Allowance>> {
    if spent.is_empty() {
        return Ok(Vec::new());
    }
    let told = store.meta(MetaKey::AllowancesTold)?.unwrap_or_default();
    let (news, record) = tell_once(spent, &told, now);
    if record != told {
        store.set_meta(MetaKey::AllowancesTold, &record)?;
    }
    Ok(news)
}
