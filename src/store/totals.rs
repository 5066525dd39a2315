//! The tables `model_totals` and `run_totals`: counts that only grow, whatever
//! becomes of the history that they were counted from.

use std::collections::BTreeMap;

use super::error::Result;
use super::open::Store;
use super::value::Columns;
use crate::domain::model::ModelId;
use crate::domain::outcome::RunOutcome;

impl Store {
    /// Returns how many bytes were ever fetched for each model.
    pub fn bytes_ever_fetched(&self) -> Result<BTreeMap<ModelId, u64>> {
        self.list("SELECT * FROM model_totals", [], |row| {
            Ok((ModelId(row.get("model_id")?), row.count("bytes_fetched")?))
        })
    }

    /// Returns how many runs ever ended in which way.
    pub fn runs_ever_ended(&self) -> Result<BTreeMap<RunOutcome, u64>> {
        self.list("SELECT * FROM run_totals", [], |row| {
            Ok((row.parsed("outcome")?, row.count("n_runs")?))
        })
    }
}
