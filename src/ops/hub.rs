//! The client for the Hub, from settings and environment.

use std::time::Duration;

use anyhow::{Context, Result};

use super::login::{HubClients, Renewal};
use crate::domain::retry::RetryPolicy;
use crate::domain::settings::{SettingKey, SettingSource, Settings};
use crate::hub::{Endpoint, HubClient, HubOptions};
use crate::sys::host::Host;
use crate::sys::http::{Http, HttpSettings};
use crate::sys::paths;
use crate::sys::pause::Sleeper;
use crate::sys::stop::StopFlag;
use crate::xet::XetStorage;

/// Returns the clients for the configured Hub. Nothing is sent, except for a login that
/// is renewed or a token that is exchanged. A raised `stop` ends a wait for another
/// attempt.
pub fn connect(
    host: &Host,
    settings: &Settings,
    stop: &StopFlag,
    renewal: Renewal,
) -> Result<HubClients> {
    let http = http(host, settings)?;
    let pause = Sleeper::until_stopped(stop).on(host);
    let options = HubOptions {
        is_offline: is_offline(host),
        pause: pause.clone(),
        ..HubOptions::default()
    };
    let anonymous = HubClient::new(http.clone(), endpoint(settings)?, None, options);
    HubClients::new(anonymous, &http, host, pause, renewal)
}

/// Returns the address of the Hub.
pub fn endpoint(settings: &Settings) -> Result<Endpoint> {
    let endpoint = settings.endpoint().parse();
    endpoint.context("cannot use the setting `hub.endpoint`")
}

/// Returns the HTTP client for the Hub.
pub fn http(host: &Host, settings: &Settings) -> Result<Http> {
    Http::new(&http_settings(host, settings)?).context("cannot set up HTTP")
}

/// Returns the client for Xet storage; `None` if the settings switch it off.
pub fn connect_to_xet(
    host: &Host,
    settings: &Settings,
    stop: &StopFlag,
) -> Result<Option<XetStorage>> {
    if settings.xet_is_off() || is_offline(host) {
        return Ok(None);
    }
    let clock = host.clone();
    Ok(Some(XetStorage::new(
        http(host, settings)?,
        RetryPolicy::default(),
        Sleeper::until_stopped(stop).on(host),
        move || clock.now(),
    )))
}

/// Tells whether the environment switches the network off.
pub fn is_offline(host: &Host) -> bool {
    host.is_on("HF_HUB_OFFLINE") || host.is_on("TRANSFORMERS_OFFLINE")
}

/// Reads the environment's settings of the network: proxies, certificates, timeouts.
pub fn network(host: &Host) -> Result<HttpSettings> {
    let read = HttpSettings::from_variables(|name| host.variable(name).map(str::to_owned));
    let ca_bundle = match &read.ca_bundle {
        Some(path) => Some(paths::expand(host, &path.to_string_lossy())?),
        None => None,
    };
    Ok(HttpSettings { ca_bundle, ..read })
}

fn http_settings(host: &Host, settings: &Settings) -> Result<HttpSettings> {
    let read = network(host)?;
    let stall_after = Duration::from_secs(settings.stall_after().get().max(1));
    let is_default = settings
        .get(SettingKey::StallAfter)
        .is_none_or(|(_, origin)| *origin == SettingSource::Default);
    Ok(HttpSettings {
        connections: settings.connections(),
        // The variable of the official client overrides the default, and hfdl's own
        // setting overrides the variable.
        read_timeout: if is_default {
            read.read_timeout
        } else {
            stall_after
        },
        ..read
    })
}
