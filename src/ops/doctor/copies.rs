//! Kept commits that exist nowhere else any more.

use anyhow::Result;

use super::check_result::CheckResult;
use crate::domain::settings::Settings;
use crate::ops::ownership;
use crate::ops::retention::only_copies;
use crate::store::Store;
use crate::sys::host::Host;
use crate::sys::paths::Home;

/// Names the commits that the Hub has no more. Without any there is nothing to report.
pub(super) fn copies(
    host: &Host,
    home: &Home,
    settings: &Settings,
    store: &Store,
) -> Result<Vec<CheckResult>> {
    let cache = ownership::cache_of(settings, &ownership::identity(host, home, store)?);
    let copies = only_copies(store, &cache)?.into_iter();
    let results = copies.map(|copy| {
        let (model, commit) = (&copy.model, copy.commit.short());
        let what = format!("`{model}`: commit {commit} exists nowhere else any more");
        CheckResult::warn("only-copies", what)
            .why("the Hub has it no more, and hfdl does not remove it")
            .next(format!(
                "keep a backup; `hfdl prune {model} --only-copies` lets it go"
            ))
    });
    Ok(results.collect())
}
