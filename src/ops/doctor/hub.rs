//! The Hub: its answer, the token, and the storage that serves the bytes.

use std::io::Read;

use anyhow::{Context, Result};

use super::check_result::{CheckLevel, CheckResult};
use crate::domain::login::{LOGIN_ADVICE, Login};
use crate::domain::model::{Destination, Model};
use crate::domain::outcome::ErrorKind;
use crate::domain::retry::RetryPolicy;
use crate::domain::settings::Settings;
use crate::domain::time::{Timestamp, render_utc};
use crate::hub::{FileAddress, HubClient, TokenOrigin};
use crate::ops::hub::{connect, http, is_offline};
use crate::ops::login::{HubClients, Renewal, find_token_here, logins_in_use, token_path};
use crate::store::{ModelFilter, Store};
use crate::sys::fs::modes_for_others;
use crate::sys::host::Host;
use crate::sys::http::{Http, HttpError, Method, Request, Response, Url};
use crate::sys::stop::StopFlag;

/// The storage hosts differ by region and change over the years.
const FIREWALL: &str =
    "a firewall or proxy must let the storage through, too: `*.hf.co` and `*.xethub.hf.co`";

/// Sends a request to the Hub; returns the time of its answer.
pub(super) fn reach(
    host: &Host,
    settings: &Settings,
    found: &mut Vec<CheckResult>,
) -> Option<Timestamp> {
    let endpoint = settings.endpoint();
    if is_offline(host) {
        found.push(
            CheckResult::warn("hub", "offline mode is on, so no run fetches anything")
                .next("unset `HF_HUB_OFFLINE` and `TRANSFORMERS_OFFLINE` where runs start"),
        );
        return None;
    }
    let asked = http(host, settings).and_then(|http| {
        let url: Url = endpoint.parse().context("cannot use `hub.endpoint`")?;
        Ok(ask(&http, &url))
    });
    match asked {
        Err(err) => {
            found.push(CheckResult::of_error("hub", "it cannot be asked", &err));
            None
        }
        Ok(Err(err)) => {
            found.push(unreachable(endpoint, &err));
            None
        }
        Ok(Ok(answer)) => {
            found.push(answered(endpoint, &answer));
            answer.headers.get("date").and_then(parse_date)
        }
    }
}

fn ask(http: &Http, url: &Url) -> Result<Response, HttpError> {
    http.send(&Request::new(Method::Head, url.clone()))
}

fn parse_date(text: &str) -> Option<Timestamp> {
    let date = httpdate::parse_http_date(text).ok()?;
    Timestamp::try_from(date).ok()
}

fn unreachable(endpoint: &str, err: &HttpError) -> CheckResult {
    let next = err.hint().unwrap_or(
        "look whether this machine reaches other hosts; behind a firewall set `HTTPS_PROXY`",
    );
    CheckResult::fail("hub", format!("`{endpoint}` cannot be reached"))
        .why(err.reason())
        .next(next)
}

fn answered(endpoint: &str, answer: &Response) -> CheckResult {
    let elsewhere = answer
        .headers
        .get("location")
        .filter(|_| answer.is_redirect());
    let elsewhere = elsewhere.and_then(|target| answer.url.join(target).ok());
    if let Some(target) = elsewhere.filter(|target| !target.is_same_origin(&answer.url)) {
        return CheckResult::fail(
            "hub",
            format!("`{endpoint}` leads to `{}`", target.origin()),
        )
        .why("a network that wants a log-in first answers like this")
        .next("log in to the network, or set `hub.endpoint` to where the Hub is now");
    }
    match answer.status {
        status @ (401 | 403 | 407 | 451) => {
            CheckResult::warn("hub", format!("`{endpoint}` refuses us")).why(format!(
                "HTTP {status}, perhaps from a proxy or firewall on the way"
            ))
        }
        status @ 500.. => CheckResult::warn("hub", format!("`{endpoint}` has trouble"))
            .why(format!("HTTP {status}")),
        _ => CheckResult::ok("hub", format!("`{endpoint}` answers")),
    }
}

/// Finds the token, and asks the Hub for its account.
pub(super) fn token(host: &Host, clients: &Result<HubClients>) -> Vec<CheckResult> {
    let origin = match origin(host) {
        Ok(Some(origin)) => origin,
        Ok(None) => {
            return vec![
                CheckResult::ok("token", "there is none; public repositories need none")
                    .why("limits are higher with one, and private and gated repositories need it"),
            ];
        }
        Err(err) => return vec![CheckResult::of_error("token", "it cannot be used", &err)],
    };
    let mut found = Vec::new();
    if let Ok(path) = token_path(host)
        && origin == TokenOrigin::File
        && modes_for_others(&path).is_ok_and(|mode| mode.is_some_and(|mode| mode != 0))
    {
        found.push(
            CheckResult::warn(
                "token-file",
                format!("others can read `{}`", path.display()),
            )
            .next(format!("chmod 600 '{}'", path.display())),
        );
    }
    let is_in_file = token_path(host).is_ok_and(|path| path.is_file());
    let is_variable = !matches!(origin, TokenOrigin::File | TokenOrigin::Oidc);
    if is_variable && !is_in_file {
        found.push(
            CheckResult::warn("token-file", format!("the token is in {origin} only"))
                .why("a timer starts runs without the variables of your shell")
                .next("keep it in a file as well: `hf auth login`"),
        );
    }
    found.push(match clients {
        Ok(clients) => validity(&clients.own().with_retry(RetryPolicy::never()), &origin),
        Err(err) => CheckResult::of_error("token", "it cannot be tried", err),
    });
    found
}

/// Returns the source of the token, without asking the Hub.
fn origin(host: &Host) -> Result<Option<TokenOrigin>> {
    let is_implicit = !host.is_on("HF_HUB_DISABLE_IMPLICIT_TOKEN");
    if is_implicit && !is_offline(host) && host.variable("HF_OIDC_RESOURCE").is_some() {
        return Ok(Some(TokenOrigin::Oidc));
    }
    Ok(find_token_here(host)?.map(|(_, origin)| origin))
}

/// Makes the clients for the Hub; no login is renewed.
pub(super) fn clients(host: &Host, settings: &Settings) -> Result<HubClients> {
    connect(host, settings, &StopFlag::new(), Renewal::Never)
}

/// Checks the names of tokens that models choose, and the ends of the logins in use.
pub(super) fn logins(
    host: &Host,
    settings: &Settings,
    store: Option<&Store>,
    clients: &Result<HubClients>,
) -> Vec<CheckResult> {
    let mut found = Vec::new();
    for model in enabled_models(store) {
        let name = model.spec.token_name.as_ref();
        if let Ok(clients) = clients
            && let Err(err) = clients.with_token(name)
        {
            let what = format!("`{}` has no token", model.spec.name);
            found.push(CheckResult::of_error("token-name", what, &err));
        }
    }
    let now = host.now();
    let logins = logins_in_use(host, settings, store).into_iter();
    let examine = |login: Login| {
        let (name, at) = (&login.name, render_utc(login.expires_at));
        if let Some(warning) = login.warning(now) {
            let level = if login.has_ended(now) {
                CheckLevel::Fail
            } else {
                CheckLevel::Warn
            };
            return CheckResult::new("login", level, warning).next(LOGIN_ADVICE);
        }
        let ends = format!("the login `{name}` ends at {at}");
        match &login.obstacle {
            None => CheckResult::ok("login", ends).why("a run renews it a day before"),
            Some(obstacle) => CheckResult::ok("login", ends).why(obstacle.to_string()),
        }
    };
    found.extend(logins.map(examine));
    found
}

fn enabled_models(store: Option<&Store>) -> Vec<Model> {
    let enabled = ModelFilter {
        enabled: Some(true),
        ..ModelFilter::default()
    };
    let models = store.and_then(|store| store.readable_models(&enabled).ok());
    models.unwrap_or_default()
}

fn validity(hub: &HubClient, origin: &TokenOrigin) -> CheckResult {
    match hub.whoami() {
        Ok(Some(me)) => {
            let role = me
                .token_role
                .map_or(String::new(), |role| format!(", role {role}"));
            CheckResult::ok("token", format!("from {origin}: `{}`{role}", me.name))
        }
        Ok(None) => CheckResult::skipped("token", format!("from {origin}")),
        Err(err) if err.kind() == ErrorKind::Auth => CheckResult::of_error(
            "token",
            format!("from {origin}: it is not valid"),
            &err.into(),
        ),
        // A mirror without accounts, or a Hub that cannot be reached.
        Err(err) => {
            CheckResult::skipped("token", format!("from {origin}: nobody says whose it is"))
                .why(err.to_string())
        }
    }
}

/// Fetches one byte of a large file of a registered model.
pub(super) fn storage(
    host: &Host,
    clients: &Result<HubClients>,
    store: Option<&Store>,
) -> Vec<CheckResult> {
    if is_offline(host) {
        return Vec::new();
    }
    let nothing = CheckResult::skipped(
        "storage",
        "no model is registered whose bytes could be tried",
    );
    let models = enabled_models(store);
    let Some(model) = choose(&models) else {
        return vec![nothing];
    };
    // The check of the token has reported the reason of an error.
    let clients = match clients {
        Ok(clients) => clients,
        Err(_) => {
            return vec![CheckResult::skipped(
                "storage",
                "it cannot be tried without a usable token",
            )];
        }
    };
    let name = &model.spec.name;
    vec![match fetch_a_byte(clients, model) {
        Ok(Some(place)) => {
            CheckResult::ok("storage", format!("`{place}` hands out bytes of `{name}`"))
        }
        Ok(None) => CheckResult::skipped("storage", format!("`{name}` has no file with bytes")),
        Err(err) => {
            let what = format!("no bytes of `{name}` can be fetched");
            let result = CheckResult::of_error("storage", what, &err);
            let next = result.next.clone();
            result.next(next.unwrap_or_else(|| FIREWALL.to_owned()))
        }
    }]
}

/// Chooses a model that was fetched before: a failure is then caused by the network.
fn choose(models: &[Model]) -> Option<&Model> {
    let is_known = |model: &&Model| model.state.published_commit.is_some();
    let in_cache = |model: &&Model| model.spec.destination == Destination::Cache;
    models
        .iter()
        .filter(is_known)
        .find(in_cache)
        .or(models.iter().find(is_known))
        .or(models.first())
}

fn fetch_a_byte(clients: &HubClients, model: &Model) -> Result<Option<String>> {
    let spec = &model.spec;
    let hub = clients.with_token(spec.token_name.as_ref())?;
    let hub = hub.with_retry(RetryPolicy::never());
    let commit = hub.revision(&spec.repo, &spec.revision)?.commit;
    let remote = hub.tree(&spec.repo, &commit)?;
    // The storage serves large files only; the Hub itself serves small ones.
    let wanted = remote.selected(&spec.filter).into_iter();
    let Some(file) = wanted
        .filter(|file| file.size_bytes > 0)
        .max_by_key(|file| file.size_bytes)
    else {
        return Ok(None);
    };
    let address = FileAddress {
        repo: spec.repo.clone(),
        commit,
        path: file.path.clone(),
    };
    let place = hub.locate(&address)?.host().to_owned();
    let stream = hub.open(&address, Some((0, Some(0))))?;
    let mut reader = stream.reader;
    reader.read_exact(&mut [0]).context("no byte arrived")?;
    Ok(Some(place))
}
