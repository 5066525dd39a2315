//! The table `alerts`: the last report about each model.

use std::collections::BTreeMap;

use rusqlite::named_params;

use super::error::Result;
use super::open::Store;
use super::row::Row;
use super::value::seconds;
use crate::domain::alert::{Failing, Standing};
use crate::domain::model::ModelId;

impl Store {
    /// Returns the models with open trouble or a held update, as last reported.
    pub fn standings(&self) -> Result<BTreeMap<ModelId, Standing>> {
        self.list_readable("alerts", "SELECT * FROM alerts", [], |row| {
            Ok((ModelId(row.get("model_id")?), read_standing(row)?))
        })
    }

    /// Saves the last report about a model. A model that has been removed
    /// meanwhile is ignored.
    pub fn save_standing(&self, model: ModelId, standing: &Standing) -> Result<()> {
        if *standing == Standing::default() {
            self.execute("DELETE FROM alerts WHERE model_id = ?1", [model.0])?;
            return Ok(());
        }
        let sql =
            "INSERT INTO alerts (model_id, error_kind, since, told_at, n_failures, held_commit)
            SELECT :model_id, :error_kind, :since, :told_at, :n_failures, :held_commit
            WHERE EXISTS (SELECT 1 FROM models WHERE id = :model_id)
            ON CONFLICT (model_id) DO UPDATE SET error_kind = excluded.error_kind,
                since = excluded.since, told_at = excluded.told_at,
                n_failures = excluded.n_failures, held_commit = excluded.held_commit";
        let failing = standing.failing.as_ref();
        self.execute(
            sql,
            named_params! {
                ":model_id": model.0,
                ":error_kind": failing.map(|failing| failing.kind.as_str()),
                ":since": failing.map(|failing| seconds(failing.since)),
                ":told_at": failing.and_then(|failing| failing.told_at).map(seconds),
                ":n_failures": failing.map_or(0, |failing| failing.n_failures),
                ":held_commit": standing.held.as_ref().map(|commit| commit.as_str()),
            },
        )?;
        Ok(())
    }
}

fn read_standing(row: &Row<'_>) -> rusqlite::Result<Standing> {
    let failing = |kind| {
        Ok::<_, rusqlite::Error>(Failing {
            kind,
            since: row.time("since")?,
            told_at: row.time_if_any("told_at")?,
            n_failures: row.get("n_failures")?,
        })
    };
    Ok(Standing {
        failing: row.parsed_if_any("error_kind")?.map(failing).transpose()?,
        held: row.parsed_if_any("held_commit")?,
    })
}
