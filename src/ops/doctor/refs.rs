//! Checks that the refs of the cache name the published commits.

use std::sync::Arc;

use anyhow::Result;

use super::check_result::CheckResult;
use crate::domain::settings::Settings;
use crate::domain::time::Timestamp;
use crate::ops::moved_refs::PublishedRef;
use crate::ops::ownership;
use crate::ops::places::Places;
use crate::store::{ModelFilter, Store};
use crate::sys::host::Host;
use crate::sys::paths::Home;

/// Reads the ref of each enabled model in the cache.
pub(super) fn refs(
    host: &Host,
    home: &Home,
    settings: &Settings,
    store: &Store,
    now: Timestamp,
) -> Result<Vec<CheckResult>> {
    let cache = ownership::cache_of(settings, &ownership::identity(host, home, store)?);
    let places = Arc::new(Places::load(store, settings)?);
    let (mut found, mut n_right) = (Vec::new(), 0);
    for model in store.readable_models(&ModelFilter::default())? {
        let published = PublishedRef::of_model(&model).filter(|_| model.spec.enabled);
        let Some(published) = published else {
            continue;
        };
        let name = &model.spec.name;
        match published.look(store, &cache, || Ok(places.clone()), now)? {
            None => n_right += 1,
            Some(moved) => found.push(
                CheckResult::warn("refs", format!("`{name}`: {}", moved.describe()))
                    .why("another program moved the ref, or removed it")
                    .next(format!(
                        "the next run puts it right, `hfdl download {name}` does so now; with \
                         `HF_HUB_OFFLINE=1` readers move no ref"
                    )),
            ),
        }
    }
    if found.is_empty() && n_right > 0 {
        found.push(CheckResult::ok(
            "refs",
            format!("each of {n_right} names the published commit"),
        ));
    }
    Ok(found)
}
