//! The registered models and schedules.

use super::finding::Finding;
use crate::domain::model::Model;
use crate::domain::outcome::UpstreamState;
use crate::domain::schedule::Unusable;
use crate::store::{ModelFilter, Store};

/// Checks that there are models and usable schedules, and that access to the
/// repositories is granted.
pub(super) fn schedules(store: Option<&Store>) -> Vec<Finding> {
    let Some(store) = store else {
        return vec![Finding::skipped("schedules", "nothing is registered yet")];
    };
    let read = || -> anyhow::Result<(Vec<Model>, usize, Vec<Unusable>)> {
        let enabled = ModelFilter {
            enabled: Some(true),
            ..ModelFilter::default()
        };
        let schedules = store.schedules()?;
        let enabled_schedules = schedules.readable.iter().filter(|one| one.spec.enabled);
        let (n_enabled, unusable) = (enabled_schedules.count(), schedules.unusable());
        Ok((store.readable_models(&enabled)?, n_enabled, unusable))
    };
    let (models, n_schedules, unusable) = match read() {
        Ok(read) => read,
        Err(err) => return vec![Finding::of_error("schedules", "cannot be read", &err)],
    };
    let mut found = vec![if models.is_empty() {
        Finding::warn("schedules", "no model is registered and enabled")
            .next("`hfdl models add org/name` keeps one")
    } else if n_schedules == 0 {
        Finding::warn(
            "schedules",
            "no schedule is enabled, so nothing is ever due",
        )
        .next("`hfdl schedules add nightly --daily 02:30 --all` makes one")
    } else {
        let n_models = models.len();
        let s = if n_models == 1 { "" } else { "s" };
        Finding::ok(
            "schedules",
            format!("{n_schedules} for {n_models} model{s}"),
        )
    }];
    let broken = unusable.iter();
    found.extend(broken.map(|one| Finding::fail("schedules", one.to_string()).next(one.hint())));
    let gated: Vec<String> = models
        .iter()
        .filter(|model| model.state.upstream_state == UpstreamState::Gated)
        .map(|model| format!("`{}`", model.spec.name))
        .collect();
    if !gated.is_empty() {
        found.push(
            Finding::warn(
                "access",
                format!("access is not granted: {}", gated.join(", ")),
            )
            .next("accept the terms on their pages with the account of the token"),
        );
    }
    found
}
