//! The totals of a plan, in the documents of dry runs.

use serde::Serialize;

use crate::domain::plan::Totals;

/// Files or bytes of a plan.
#[derive(Debug, Serialize)]
pub struct TotalsView {
    total: u64,
    to_fetch: u64,
    reused: u64,
}

impl TotalsView {
    pub fn files(totals: &Totals) -> Self {
        Self {
            total: totals.files,
            to_fetch: totals.files_to_fetch,
            reused: totals.files_reused,
        }
    }

    pub fn bytes(totals: &Totals) -> Self {
        Self {
            total: totals.bytes,
            to_fetch: totals.bytes_to_fetch,
            reused: totals.bytes_here(),
        }
    }
}
