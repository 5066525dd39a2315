//! The logins that a home uses, for `status`, `doctor`, metrics and mails.

use std::collections::BTreeSet;

use anyhow::Result;

use super::files::{TokenFiles, token_of};
use super::find::{find_token_here, login_of};
use crate::domain::login::{Login, Obstacle, TokenName};
use crate::domain::settings::Settings;
use crate::hub::{Endpoint, StoredTokens, Token, TokenOrigin};
use crate::store::{MetaKey, ModelFilter, Store};
use crate::sys::host::Host;

/// Returns the logins that end, of the token of this machine and of the tokens that
/// enabled models name. No request is sent.
pub fn logins_in_use(host: &Host, settings: &Settings, store: Option<&Store>) -> Vec<Login> {
    let found = find_logins(host, settings, store);
    found.unwrap_or_else(|err| {
        // A run and `doctor` report a file that cannot be used.
        log::debug!("no logins are known: {err:#}");
        Vec::new()
    })
}

fn find_logins(host: &Host, settings: &Settings, store: Option<&Store>) -> Result<Vec<Login>> {
    let files = TokenFiles::find(host)?;
    let stored = files.read_stored()?;
    if stored.names().next().is_none() {
        return Ok(Vec::new());
    }
    let endpoint: Endpoint = settings.endpoint().parse()?;
    let refused = match store {
        Some(store) => store.meta(MetaKey::RefusedLogins)?.unwrap_or_default(),
        None => String::new(),
    };
    let mut logins: Vec<Login> = Vec::new();
    for token in tokens_in_use(host, &stored, store)? {
        let Some(mut login) = login_of(&files, &stored, &token, &endpoint) else {
            continue;
        };
        if refused.lines().any(|line| line == record(&login)) {
            login.obstacle.get_or_insert(Obstacle::Refused);
        }
        if !logins.contains(&login) {
            logins.push(login);
        }
    }
    Ok(logins)
}

fn tokens_in_use(host: &Host, stored: &StoredTokens, store: Option<&Store>) -> Result<Vec<Token>> {
    let is_oidc = host.variable("HF_OIDC_RESOURCE").is_some();
    let own = find_token_here(host)?.filter(|(_, origin)| !is_oidc && *origin == TokenOrigin::File);
    let mut tokens: Vec<Token> = own.map(|(token, _)| token).into_iter().collect();
    let enabled = ModelFilter {
        enabled: Some(true),
        ..ModelFilter::default()
    };
    let names = store.map(|store| store.map_models(&enabled, |model| model.spec.token_name));
    let names = names.transpose()?.unwrap_or_default().into_iter();
    let names: BTreeSet<TokenName> = names.flatten().collect();
    let named = names.iter();
    tokens.extend(named.filter_map(|name| token_of(stored, name.as_str())));
    Ok(tokens)
}

/// Records that the Hub refused to renew logins, so that later commands can tell. A
/// new login has another end, by which the record is out of date.
pub fn save_refused_logins(store: &Store, logins: &[Login]) -> Result<()> {
    if logins.is_empty() {
        return Ok(());
    }
    let known = store.meta(MetaKey::RefusedLogins)?.unwrap_or_default();
    let mut lines: Vec<String> = known.lines().map(str::to_owned).collect();
    for login in logins {
        let name = |line: &str| line.split_once(' ').map(|(_, name)| name.to_owned());
        lines.retain(|line| name(line).as_deref() != Some(login.name.as_str()));
        lines.push(record(login));
    }
    Ok(store.set_meta(MetaKey::RefusedLogins, &lines.join("\n"))?)
}

fn record(login: &Login) -> String {
    format!("{} {}", login.expires_at.as_second(), login.name)
}
