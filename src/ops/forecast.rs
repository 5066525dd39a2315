//! Gathers the facts of a forecast: rates of past runs, schedules, limits, allowances.

use anyhow::Result;
use jiff::tz::TimeZone;

use super::allowances::{in_force, rule_of_home, rule_of_schedule, rules_of_tags};
use super::hub::endpoint;
use super::pause::pause_in_force;
use super::rate_limits::exhausted_until;
use crate::domain::allowance::{Allowance, AllowanceRule, AllowanceScope};
use crate::domain::forecast::{
    Forecast, ForecastFacts, ForecastModel, ForecastSchedule, Obstacle, PastRates, RunLimits,
    forecast,
};
use crate::domain::model::ModelSpec;
use crate::domain::schedule::{Schedule, ScheduleSpec, shift};
use crate::domain::settings::Settings;
use crate::domain::time::Timestamp;
use crate::store::Store;
use crate::sys::host::Host;

/// Runs before this time say nothing about the present line.
const HISTORY_SECONDS: i64 = 60 * 86_400;

/// The home of a forecast, and its moment.
#[derive(Clone, Copy)]
pub struct ForecastPlace<'a> {
    pub host: &'a Host,
    pub settings: &'a Settings,
    pub store: &'a Store,
    pub now: Timestamp,
}

/// A schedule with its zone, and the first time at which its models may run.
pub type ReadySchedule<'a> = (&'a Schedule, TimeZone, Timestamp);

/// Returns the forecast of each model, in their order; each comes with the bytes it has
/// left to fetch.
pub fn forecast_models(
    place: &ForecastPlace<'_>,
    schedules: &[ReadySchedule<'_>],
    models: &[(ModelSpec, u64)],
) -> Result<Vec<Result<Forecast, Obstacle>>> {
    if models.is_empty() {
        return Ok(Vec::new());
    }
    let ForecastPlace {
        host,
        settings,
        store,
        now,
    } = *place;
    let rates = store.day_rates(shift(now, -HISTORY_SECONDS), now)?;
    let allowances = allowances(place, schedules)?;
    let table = settings.limit_rate().cloned();
    let facts = ForecastFacts {
        now,
        tick: settings.timer_every(),
        not_before: not_before(place)?,
        rates: PastRates::of_days(&rates),
        run: RunLimits {
            max_duration: settings.run_max_duration(),
            max_transfer: settings.run_max_transfer(),
            limit_rate: table.map(|table| (table, host.time_zone())),
        },
        schedules: schedules
            .iter()
            .map(|one| schedule_facts(one, &allowances))
            .collect(),
        models: models
            .iter()
            .map(|one| model_facts(one, schedules, &allowances))
            .collect(),
        allowances,
    };
    Ok(forecast(&facts))
}

type Allowances = Vec<(AllowanceRule, Vec<Allowance>)>;

/// Returns the rules that have a limit, with their present allowances.
fn allowances(place: &ForecastPlace<'_>, schedules: &[ReadySchedule<'_>]) -> Result<Allowances> {
    let ForecastPlace {
        host,
        settings,
        store,
        now,
    } = *place;
    let mut rules = vec![rule_of_home(host, settings)];
    rules.extend(
        schedules
            .iter()
            .map(|(one, zone, _)| rule_of_schedule(settings, one, zone)),
    );
    rules.extend(rules_of_tags(store, host, settings)?);
    rules.retain(AllowanceRule::has_limit);
    let with_bytes = |rule: AllowanceRule| {
        let in_force = in_force(store, &rule, now)?;
        Ok((rule, in_force))
    };
    rules.into_iter().map(with_bytes).collect()
}

fn schedule_facts(
    (schedule, zone, ready): &ReadySchedule<'_>,
    allowances: &Allowances,
) -> ForecastSchedule {
    let ScheduleSpec {
        windows,
        limit_rate,
        max_duration,
        max_transfer,
        priority,
        ..
    } = &schedule.spec;
    let own = AllowanceScope::Schedule(schedule.id);
    ForecastSchedule {
        priority: *priority,
        ready: *ready,
        windows: windows.clone(),
        zone: zone.clone(),
        limits: RunLimits {
            max_duration: *max_duration,
            max_transfer: *max_transfer,
            limit_rate: limit_rate.clone().map(|table| (table, zone.clone())),
        },
        allowance: allowances.iter().position(|(rule, _)| rule.scope == own),
    }
}

fn model_facts(
    (spec, bytes_left): &(ModelSpec, u64),
    schedules: &[ReadySchedule<'_>],
    allowances: &Allowances,
) -> ForecastModel {
    let includes = |one: &ReadySchedule<'_>| one.0.spec.selection.includes(spec);
    let schedules = schedules.iter().enumerate();
    let applies = |scope: &AllowanceScope| match scope {
        AllowanceScope::Home => true,
        AllowanceScope::Tag(tag) => spec.tags.contains(tag),
        AllowanceScope::Schedule(_) => false,
    };
    let rules = allowances.iter().enumerate();
    ForecastModel {
        priority: spec.priority,
        bytes_left: *bytes_left,
        schedules: schedules
            .filter(|(_, one)| includes(one))
            .map(|(index, _)| index)
            .collect(),
        allowances: rules
            .filter(|(_, (rule, _))| applies(&rule.scope))
            .map(|(index, _)| index)
            .collect(),
    }
}

/// Returns the end of a pause, or the time until which the Hub accepts no requests.
fn not_before(place: &ForecastPlace<'_>) -> Result<Timestamp> {
    let ForecastPlace {
        settings,
        store,
        now,
        ..
    } = *place;
    let paused = pause_in_force(store, now)?;
    let paused = paused.map(|pause| pause.until.unwrap_or(Timestamp::MAX));
    let asked = match endpoint(settings) {
        Ok(endpoint) => exhausted_until(store, endpoint.as_str(), now)?,
        // Another warning reports it.
        Err(_) => None,
    };
    Ok(paused.max(asked).unwrap_or(now))
}
