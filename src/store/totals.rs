//! The tables `model_totals` and `run_totals`: counters that only grow, also when
//! the history behind them is pruned. Triggers of the database count.

use std::collections::BTreeMap;

use super::error::Result;
use super::open::Store;
use crate::domain::model::ModelId;
use crate::domain::outcome::RunOutcome;

impl Store {
    /// Returns the bytes ever fetched, for each model.
    pub fn bytes_ever_fetched(&self) -> Result<BTreeMap<ModelId, u64>> {
        let sql = "SELECT * FROM model_totals";
        self.list_readable("model_totals", sql, [], |row| {
            Ok((ModelId(row.get("model_id")?), row.count("bytes_fetched")?))
        })
    }

    /// Returns the number of runs that ever ended, for each outcome.
    pub fn runs_ever_ended(&self) -> Result<BTreeMap<RunOutcome, u64>> {
        let sql = "SELECT * FROM run_totals";
        self.list_readable("run_totals", sql, [], |row| {
            Ok((row.parsed("outcome")?, row.count("n_runs")?))
        })
    }
}
