//! The resolution of settings: flag, environment, saved value, default.

use std::collections::BTreeMap;

use anyhow::Result;

use super::entries::Wanted;
use crate::domain::settings::{SettingKey, SettingLayers, Settings};
use crate::store::Store;
use crate::sys::host::Host;
use crate::sys::paths;

/// Resolves all settings for this process.
pub fn resolve_settings(
    host: &Host,
    store: Option<&Store>,
    flags: BTreeMap<SettingKey, String>,
) -> Result<Settings> {
    let layers = SettingLayers {
        flags,
        environment: from_environment(host)?,
        saved: store.map(saved).transpose()?.unwrap_or_default(),
        machine: machine_defaults(host)?,
    };
    Ok(Settings::resolve(&layers)?)
}

/// Resolves the settings as they will be when a file is applied.
pub fn resolve_with(
    host: &Host,
    store: &Store,
    wanted: &Wanted,
    flags: BTreeMap<SettingKey, String>,
) -> Result<Settings> {
    let mut saved = saved(store)?;
    let settings = wanted.settings.iter().flatten();
    saved.extend(settings.map(|entry| entry.value.clone()));
    let layers = SettingLayers {
        flags,
        environment: from_environment(host)?,
        saved,
        machine: machine_defaults(host)?,
    };
    Ok(Settings::resolve(&layers)?)
}

/// Resolves the settings for reporting a failed tick, when other settings are invalid
/// or the database cannot be read.
pub fn resolve_for_telling(host: &Host, flags: BTreeMap<SettingKey, String>) -> Result<Settings> {
    const NEEDED: [SettingKey; 2] = [SettingKey::PingUrl, SettingKey::MetricsFile];
    let mut layers = SettingLayers {
        flags,
        environment: from_environment(host)?,
        saved: BTreeMap::new(),
        machine: machine_defaults(host)?,
    };
    layers.flags.retain(|key, _| NEEDED.contains(key));
    layers.environment.retain(|key, _| NEEDED.contains(key));
    Ok(Settings::resolve(&layers)?)
}

/// Reads hfdl's own variables first, then those with an official meaning.
fn from_environment(host: &Host) -> Result<BTreeMap<SettingKey, (String, String)>> {
    let mut found = BTreeMap::new();
    if let Some(endpoint) = host.variable("HF_ENDPOINT") {
        found.insert(
            SettingKey::HubEndpoint,
            (endpoint.trim().to_owned(), "HF_ENDPOINT".to_owned()),
        );
    }
    if let Some((path, name)) = paths::hub_cache_from_environment(host)? {
        found.insert(SettingKey::CacheDir, (paths::text(&path)?, name.to_owned()));
    }
    if host.is_on("HF_HUB_DISABLE_XET") {
        found.insert(
            SettingKey::Xet,
            ("off".to_owned(), "HF_HUB_DISABLE_XET".to_owned()),
        );
    }
    for key in SettingKey::ALL.iter().copied() {
        let name = key.variable();
        if let Some(value) = host.variable(&name) {
            found.insert(key, (value.to_owned(), name));
        }
    }
    Ok(found)
}

/// Reads the saved settings. An unknown key stays for the version that wrote it, with a
/// warning.
fn saved(store: &Store) -> Result<BTreeMap<SettingKey, String>> {
    let mut known = BTreeMap::new();
    for setting in store.settings()? {
        match SettingKey::find(&setting.key) {
            Ok(key) => {
                known.insert(key, setting.value);
            }
            Err(err) => log::warn!("ignoring a saved setting: {err}"),
        }
    }
    Ok(known)
}

fn machine_defaults(host: &Host) -> Result<BTreeMap<SettingKey, String>> {
    // Without a home directory there is no default; only commands that need the cache
    // fail.
    let Ok(home) = paths::hugging_face_home(host) else {
        return Ok(BTreeMap::new());
    };
    let cache = paths::text(&home.join("hub"))?;
    Ok(BTreeMap::from([(SettingKey::CacheDir, cache)]))
}
