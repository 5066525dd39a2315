//! Options that the commands of a run have in common.

use std::collections::BTreeSet;

use anyhow::Result;
use clap::Args;

use super::context::Context;
use crate::domain::invalid_value::InvalidValue;
use crate::domain::model::Destination;
use crate::domain::schedule::RateTable;
use crate::domain::settings::{SettingKey, Settings};
use crate::domain::units::{ByteSize, Seconds};
use crate::ops::places;
use crate::ops::run::Bounds;
use crate::ops::services::Services;

#[derive(Debug, Args)]
pub struct Waiting {
    /// Wait for another run to end (at most DUR, or without limit); at a terminal this is the default
    #[arg(long, value_name = "DUR", num_args = 0..=1, require_equals = true, default_missing_value = "36500d")]
    pub wait: Option<Seconds>,
}

#[derive(Debug, Args)]
pub struct NewPlace {
    /// Accept a different disk or cache than before, and start afresh there
    #[arg(long)]
    pub new_place: bool,
}

impl NewPlace {
    /// Accepts the places as they are, if that was asked for. `only` are the
    /// destinations that are meant; `None` is all.
    pub fn confirm(
        &self,
        context: &Context,
        services: &Services<'_>,
        only: Option<&BTreeSet<Destination>>,
    ) -> Result<()> {
        if !self.new_place {
            return Ok(());
        }
        let Services {
            store, settings, ..
        } = services;
        for error in places::confirm(store, settings, only, context.now())? {
            context.warn(&format!("a new place was confirmed: {error}"));
        }
        Ok(())
    }
}

#[derive(Debug, Args)]
pub struct Limits {
    /// End a run after this time; the next run continues (default: run.max_duration)
    #[arg(long, value_name = "DUR")]
    max_duration: Option<Seconds>,

    /// End a run after this many bytes; the next run continues (default: run.max_transfer)
    #[arg(long, value_name = "SIZE", value_parser = size_above_zero)]
    max_transfer: Option<ByteSize>,

    /// Bytes per second, or a timetable (default: download.limit_rate)
    #[arg(long, value_name = "TABLE")]
    limit_rate: Option<RateTable>,

    /// Go beyond the allowances limit.daily and limit.monthly; the bytes still count
    #[arg(long)]
    ignore_limits: bool,
}

impl Limits {
    /// Warns about a rate whose unit was forgotten, in a dry run too.
    pub fn warn(&self, context: &Context) {
        if let Some(warning) = self.limit_rate.as_ref().and_then(RateTable::warning) {
            context.warn(&warning);
        }
    }

    /// Returns how much the run may use, by these options and the settings behind them.
    pub fn bounds(&self, settings: &Settings) -> Bounds {
        let limit_rate = self.limit_rate.as_ref().or(settings.limit_rate());
        let name = |is_flag: bool, flag, setting: SettingKey| {
            if is_flag { flag } else { setting.as_str() }
        };
        let (duration, transfer) = (SettingKey::RunMaxDuration, SettingKey::RunMaxTransfer);
        Bounds {
            max_duration: self.max_duration.or(settings.run_max_duration()),
            max_transfer: self.max_transfer.or(settings.run_max_transfer()),
            max_duration_name: name(self.max_duration.is_some(), "--max-duration", duration),
            max_transfer_name: name(self.max_transfer.is_some(), "--max-transfer", transfer),
            limit_rate: limit_rate.cloned(),
            ignores_allowances: self.ignore_limits,
        }
    }
}

/// Parses a limit of bytes; a run with a limit of 0 could fetch nothing.
fn size_above_zero(text: &str) -> Result<ByteSize, InvalidValue> {
    match text.parse()? {
        ByteSize(0) => Err(InvalidValue::new("it must be more than 0").next("give a larger one")),
        size => Ok(size),
    }
}
