//! Models with their last checks; two connections read a long list.

use std::{iter, mem};

use super::error::Result;
use super::models::{ModelFilter, NameRange};
use super::open::Store;
use super::rows::LONG_LIST;
use super::value::integer;
use crate::domain::model::Model;
use crate::domain::session::LastCheck;
use crate::domain::time::Timestamp;

impl Store {
    /// As `map_models`, with the last check of each model as `last_session` returns it. Of
    /// a long list a second connection reads the larger part of the models meanwhile.
    pub fn map_checked_models<T>(
        &self,
        filter: &ModelFilter,
        now: Timestamp,
        mut make: impl FnMut(Model, Option<LastCheck>) -> T,
    ) -> Result<Vec<T>> {
        let mut read = |range: &NameRange, others: &mut dyn Iterator<Item = Vec<Model>>| {
            let mut last = self.last_checks(now)?;
            let mut make = |model: Model| {
                // Each goes when its model is done: together they are large.
                let last = last.remove(&model.id);
                make(model, last)
            };
            let mut made = self.map_models_of(filter, range, &mut make)?;
            made.extend(others.flatten().map(make));
            Ok(made)
        };
        let Some(name) = self.first_third()? else {
            return read(&NameRange::ALL, &mut iter::empty());
        };
        let [first, second] = NameRange::ALL.split_at(name);
        self.read_beside(
            |store, hand_on| store.hand_on_models(filter, &second, hand_on),
            |others| read(&first, others),
        )
    }

    fn hand_on_models(
        &self,
        filter: &ModelFilter,
        range: &NameRange,
        hand_on: &mut dyn FnMut(Vec<Model>),
    ) -> Result<()> {
        const PART: usize = 256;
        let mut part = Vec::new();
        self.map_models_of(filter, range, |model| {
            part.push(model);
            if part.len() == PART {
                hand_on(mem::take(&mut part));
            }
        })?;
        hand_on(part);
        Ok(())
    }

    /// Returns the name before which a third of a long list is; `None` if the list is short.
    fn first_third(&self) -> Result<Option<String>> {
        let count = "SELECT count(*) AS n FROM models";
        let n = self.find(count, [], |row| row.count("n"))?.unwrap_or(0);
        if n < LONG_LIST {
            return Ok(None);
        }
        let sql = "SELECT name FROM models ORDER BY name LIMIT 1 OFFSET ?1";
        self.find(sql, [integer(n / 3)], |row| row.get("name"))
    }
}
