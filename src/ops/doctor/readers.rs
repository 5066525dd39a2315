//! Programs that look for models elsewhere than in the cache that hfdl keeps.

use std::path::{Path, PathBuf};

use super::check_result::CheckResult;
use crate::domain::settings::Settings;
use crate::sys::host::Host;
use crate::sys::paths::{expand, hub_cache_from_environment, hugging_face_home, real_place};

/// Names the variables that point a reader to another cache, with both paths.
pub(super) fn elsewhere(host: &Host, settings: &Settings) -> Vec<CheckResult> {
    let cache = settings.cache_dir();
    if cache.is_empty() {
        return Vec::new();
    }
    let own = |name: &'static str, reader| {
        let path = expand(host, host.variable(name)?).ok()?;
        Some((reader, path, name))
    };
    let found = [
        official_cache(host).map(|(path, name)| ("programs with the official client", path, name)),
        own("LLAMA_CACHE", "llama.cpp"),
        own("TRANSFORMERS_CACHE", "transformers before version 5"),
    ];
    let is_elsewhere = |path: &Path| real_place(path) != real_place(Path::new(cache));
    let found = found.into_iter().flatten();
    found
        .filter(|(_, path, _)| is_elsewhere(path))
        .map(|(reader, path, name)| {
            let path = path.display();
            CheckResult::warn("readers", format!("`{name}` makes {reader} read `{path}`"))
                .why(format!("the cache that hfdl keeps is `{cache}`"))
                .next(format!(
                    "unset `{name}` where they start, or `hfdl config set cache.dir '{path}'`"
                ))
        })
        .collect()
}

/// Returns the cache of the official client, and the variable that moves it.
fn official_cache(host: &Host) -> Option<(PathBuf, &'static str)> {
    if let Some(found) = hub_cache_from_environment(host).ok()? {
        return Some(found);
    }
    host.variable("XDG_CACHE_HOME")?;
    let path = hugging_face_home(host).ok()?.join("hub");
    Some((path, "XDG_CACHE_HOME"))
}
