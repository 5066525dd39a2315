//! The rules of the home, of schedules and of tags, and their allowances at a moment.

use anyhow::Result;
use jiff::tz::TimeZone;

use crate::domain::allowance::{Allowance, AllowanceRule, AllowanceScope, Calendar, counting_time};
use crate::domain::schedule::{Schedule, usable_zone};
use crate::domain::settings::Settings;
use crate::domain::tag::TagSpec;
use crate::domain::time::Timestamp;
use crate::store::Store;
use crate::sys::host::Host;

/// Returns the rule of the home, by the settings.
pub fn rule_of_home(host: &Host, settings: &Settings) -> AllowanceRule {
    let zone = settings.limit_zone();
    AllowanceRule {
        scope: AllowanceScope::Home,
        name: String::new(),
        calendar: calendar(settings, zone.unwrap_or_else(|| host.time_zone())),
        kind: settings.limit_kind(),
        daily: settings.limit_daily(),
        monthly: settings.limit_monthly(),
    }
}

/// Returns the rule of a schedule, by the calendar of its own zone.
pub fn rule_of_schedule(
    settings: &Settings,
    schedule: &Schedule,
    zone: &TimeZone,
) -> AllowanceRule {
    AllowanceRule {
        scope: AllowanceScope::Schedule(schedule.id),
        name: schedule.spec.name.to_string(),
        calendar: calendar(settings, zone.clone()),
        kind: settings.limit_kind(),
        daily: schedule.spec.limit_daily,
        monthly: schedule.spec.limit_monthly,
    }
}

/// Returns the rules of the tags that have a limit.
pub fn rules_of_tags(
    store: &Store,
    host: &Host,
    settings: &Settings,
) -> Result<Vec<AllowanceRule>> {
    let home = rule_of_home(host, settings);
    let has_limit = |tag: &TagSpec| tag.limit_daily.or(tag.limit_monthly).is_some();
    let tags = store.tags()?.into_iter().filter(has_limit);
    let rule = |tag: TagSpec| AllowanceRule {
        name: tag.name.to_string(),
        scope: AllowanceScope::Tag(tag.name),
        daily: tag.limit_daily,
        monthly: tag.limit_monthly,
        ..home.clone()
    };
    Ok(tags.map(rule).collect())
}

/// Returns the allowances of a rule, with the bytes of their present periods.
pub fn in_force(store: &Store, rule: &AllowanceRule, now: Timestamp) -> Result<Vec<Allowance>> {
    if !rule.has_limit() {
        return Ok(Vec::new());
    }
    let at = counting_time(now, store.latest_transfer(&rule.scope)?);
    rule.in_force(at, |since| Ok(store.transferred_since(&rule.scope, since)?))
}

/// Returns the allowances of the home, of enabled schedules and of tags.
pub fn all_in_force(
    store: &Store,
    (host, settings): (&Host, &Settings),
    schedules: &[Schedule],
    now: Timestamp,
) -> Result<Vec<Allowance>> {
    let mut rules = vec![rule_of_home(host, settings)];
    // Another warning reports a schedule with an unknown zone.
    let usable = schedules
        .iter()
        .filter_map(|one| Some((one, usable_zone(one).ok()?)));
    rules.extend(usable.map(|(one, zone)| rule_of_schedule(settings, one, &zone)));
    rules.extend(rules_of_tags(store, host, settings)?);
    let mut all = Vec::new();
    for rule in rules {
        all.extend(in_force(store, &rule, now)?);
    }
    Ok(all)
}

fn calendar(settings: &Settings, zone: TimeZone) -> Calendar {
    Calendar {
        zone,
        billing_day: settings.limit_billing_day(),
    }
}
