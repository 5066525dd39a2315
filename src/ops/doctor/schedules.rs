//! The registered models and schedules.

use std::borrow::Cow;

use super::check_result::CheckResult;
use crate::domain::model::Model;
use crate::domain::outcome::UpstreamState;
use crate::domain::schedule::Unusable;
use crate::domain::status::{EmptySchedule, empty_schedule};
use crate::ops::next_due::empty_schedules;
use crate::store::{ModelFilter, Store};

/// The rows about models and schedules.
struct ReadSchedules {
    models: Vec<Model>,
    n_schedules: usize,
    unusable: Vec<Unusable>,
    empty: Vec<EmptySchedule>,
}

fn read(store: &Store) -> anyhow::Result<ReadSchedules> {
    let enabled = ModelFilter {
        enabled: Some(true),
        ..ModelFilter::default()
    };
    let schedules = store.schedules()?;
    let enabled_schedules = schedules.readable.iter().filter(|one| one.spec.enabled);
    Ok(ReadSchedules {
        models: store.readable_models(&enabled)?,
        n_schedules: enabled_schedules.count(),
        unusable: schedules.unusable(),
        empty: empty_schedules(store, &schedules.readable)?,
    })
}

/// Checks that there are models and usable schedules, and that access to the
/// repositories is granted.
pub(super) fn schedules(store: Option<&Store>, is_new: bool) -> Vec<CheckResult> {
    let Some(store) = store else {
        return vec![if is_new {
            CheckResult::warn("schedules", "nothing is set up yet")
                .next("`hfdl init` asks for models, a schedule and a timer")
        } else {
            CheckResult::skipped("schedules", "they are in the database")
        }];
    };
    let ReadSchedules {
        models,
        n_schedules,
        unusable,
        empty,
    } = match read(store) {
        Ok(read) => read,
        Err(err) => return vec![CheckResult::of_error("schedules", "cannot be read", &err)],
    };
    let mut found = vec![if models.is_empty() {
        CheckResult::warn("schedules", "no model is registered and enabled")
            .next("`hfdl models add org/name` keeps one")
    } else if n_schedules == 0 {
        CheckResult::warn(
            "schedules",
            "no schedule is enabled, so nothing is ever due",
        )
        .next("`hfdl schedules add nightly --daily 02:30 --all` makes one")
    } else {
        let n_models = models.len();
        let s = if n_models == 1 { "" } else { "s" };
        CheckResult::ok(
            "schedules",
            format!("{n_schedules} for {n_models} model{s}"),
        )
    }];
    // Without models all of them are empty.
    let empty = empty.iter().filter(|_| !models.is_empty());
    found.extend(empty.map(empty_schedule).map(|warning| CheckResult {
        next: warning.hint.map(Cow::into_owned),
        ..CheckResult::warn("schedules", warning.message)
    }));
    let broken = unusable.iter();
    found
        .extend(broken.map(|one| CheckResult::fail("schedules", one.to_string()).next(one.hint())));
    let gated: Vec<String> = models
        .iter()
        .filter(|model| model.state.upstream_state == UpstreamState::Gated)
        .map(|model| format!("`{}`", model.spec.name))
        .collect();
    if !gated.is_empty() {
        found.push(
            CheckResult::warn(
                "access",
                format!("access is not granted: {}", gated.join(", ")),
            )
            .next("accept the terms on their pages with the account of the token"),
        );
    }
    found
}
