//! The client for the Hub, from settings and environment.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use thiserror::Error;

use crate::domain::retry::RetryPolicy;
use crate::domain::settings::{SettingKey, SettingSource, Settings};
use crate::hub::{Endpoint, HubClient, HubOptions, Token, TokenInputs, TokenOrigin, find_token};
use crate::sys::host::Host;
use crate::sys::http::{Http, HttpSettings};
use crate::sys::paths;
use crate::sys::pause::Sleeper;
use crate::sys::stop::StopFlag;
use crate::xet::XetStorage;

/// Returns a client for the configured Hub. It sends nothing yet. A raised `stop` ends
/// its wait for another attempt.
pub fn connect(host: &Host, settings: &Settings, stop: &StopFlag) -> Result<HubClient> {
    let endpoint: Endpoint = settings
        .endpoint()
        .parse()
        .context("cannot use the setting `hub.endpoint`")?;
    let http = http(host, settings)?;
    let options = HubOptions {
        is_offline: is_offline(host),
        pause: Sleeper::until_stopped(stop).on(host),
        ..HubOptions::default()
    };
    Ok(HubClient::new(http, endpoint, token(host)?, options))
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
        read_timeout: match is_default {
            true => read.read_timeout,
            false => stall_after,
        },
        ..read
    })
}

fn token(host: &Host) -> Result<Option<Token>> {
    Ok(find_token_here(host)?.map(|(token, origin)| {
        log::debug!("using the token from {origin}");
        token
    }))
}

/// Finds the token that this process uses, with its source.
pub fn find_token_here(host: &Host) -> Result<Option<(Token, TokenOrigin)>> {
    let given = |name: &str| host.variable(name).map(str::to_owned);
    let mut inputs = TokenInputs {
        explicit: None,
        hf_token: given("HF_TOKEN"),
        legacy_variable: given("HUGGING_FACE_HUB_TOKEN"),
        file: None,
        is_implicit_disabled: host.is_on("HF_HUB_DISABLE_IMPLICIT_TOKEN"),
    };
    if inputs.hf_token.is_none() && inputs.legacy_variable.is_none() && !inputs.is_implicit_disabled
    {
        inputs.file = token_file(host)?;
    }
    Ok(find_token(&inputs)?)
}

/// Returns every token that this process can find, used or not, so that none reaches a
/// child process.
pub fn known_tokens(host: &Host) -> Vec<String> {
    let variables = ["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"];
    let given = variables.iter().filter_map(|name| host.variable(name));
    // A token file that this process cannot read cannot leak through it.
    let file = token_file(host).ok().flatten();
    let found = given.map(str::to_owned).chain(file);
    found.map(|token| token.trim().to_owned()).collect()
}

/// A token file exists, and this process cannot read it.
#[derive(Debug, Error)]
#[error("cannot read the token file `{}`", .path.display())]
pub struct UnreadableTokenFile {
    pub path: PathBuf,
    pub source: std::io::Error,
}

/// Returns the path of the token file, if there is one.
pub fn token_path(host: &Host) -> Result<PathBuf> {
    match host.variable("HF_TOKEN_PATH") {
        Some(path) => paths::expand(host, path),
        None => Ok(paths::hugging_face_home(host)?.join("token")),
    }
}

/// Reads the token file. An unreadable file is an error, because without its token a
/// private repository would look as if it were gone.
fn token_file(host: &Host) -> Result<Option<String>> {
    let path = match token_path(host) {
        Ok(path) => path,
        Err(err) if host.variable("HF_TOKEN_PATH").is_some() => return Err(err),
        Err(_) => return Ok(None),
    };
    match std::fs::read(&path) {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(err) if err.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(UnreadableTokenFile { path, source }.into()),
    }
}
