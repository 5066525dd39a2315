//! The token in use, and the login that it belongs to.

use anyhow::Result;
use thiserror::Error;

use super::files::{REFRESH_TOKEN, TOKEN, TokenFiles, end_of, name_of, replacement_of, token_of};
use crate::domain::login::{Login, Obstacle, TokenName};
use crate::hub::{Endpoint, StoredTokens, Token, TokenInputs, TokenOrigin, find_token};
use crate::sys::host::Host;
use crate::sys::http::Url;
use crate::sys::private_file::is_replaceable;

/// No token has the name that a person has chosen.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("there is no token named `{name}` in `{file}`; {}", list(.known))]
pub struct UnknownTokenName {
    pub name: TokenName,
    pub known: Vec<String>,
    pub file: String,
}

fn list(names: &[String]) -> String {
    match names {
        [] => "it names no token".to_owned(),
        names => format!("it names `{}`", names.join("`, `")),
    }
}

/// Finds the token of this machine in the variables and the token file.
pub fn find_token_here(host: &Host) -> Result<Option<(Token, TokenOrigin)>> {
    if host.is_on("HF_HUB_DISABLE_IMPLICIT_TOKEN") {
        return Ok(None);
    }
    let given = |name: &str| host.variable(name).map(str::to_owned);
    let mut inputs = TokenInputs {
        hf_token: given("HF_TOKEN"),
        legacy_variable: given("HUGGING_FACE_HUB_TOKEN"),
        ..TokenInputs::default()
    };
    if inputs.hf_token.is_some() || inputs.legacy_variable.is_some() {
        return Ok(find_token(&inputs)?);
    }
    let files = match TokenFiles::find(host) {
        Ok(files) => files,
        Err(err) if host.variable("HF_TOKEN_PATH").is_some() => return Err(err),
        Err(_) => return Ok(None),
    };
    inputs.file = files.read_token()?;
    let found = find_token(&inputs)?;
    let newer = |token: &Token| replacement_of(&files.read_stored().ok()?, token);
    Ok(found.map(|(token, origin)| (newer(&token).unwrap_or(token), origin)))
}

/// Finds a token by its name.
pub fn find_named(host: &Host, name: &TokenName) -> Result<Token> {
    let files = TokenFiles::find(host)?;
    let stored = files.read_stored()?;
    let origin = TokenOrigin::Named(name.clone());
    let value = stored.get(name.as_str(), TOKEN).unwrap_or_default();
    Token::parse(value, &origin)?.ok_or_else(|| {
        let unknown = UnknownTokenName {
            name: name.clone(),
            known: stored.names().map(str::to_owned).collect(),
            file: files.stored.display().to_string(),
        };
        unknown.into()
    })
}

/// Returns the login that a token of `stored_tokens` belongs to, if that login ends.
pub fn login_of(
    files: &TokenFiles,
    stored: &StoredTokens,
    token: &Token,
    endpoint: &Endpoint,
) -> Option<Login> {
    let name = name_of(stored, token)?;
    let expires_at = end_of(stored, name.as_str())?;
    let obstacle = obstacle(files, stored, &name, endpoint);
    Some(Login {
        name,
        expires_at,
        obstacle,
    })
}

fn obstacle(
    files: &TokenFiles,
    stored: &StoredTokens,
    name: &TokenName,
    endpoint: &Endpoint,
) -> Option<Obstacle> {
    let refresh = stored.get(name.as_str(), REFRESH_TOKEN);
    if refresh.is_none_or(str::is_empty) {
        return Some(Obstacle::NoRefreshToken);
    }
    let token = token_of(stored, name.as_str())?;
    let issuer = token.issuer();
    let url = issuer.as_deref().and_then(|it| it.parse::<Url>().ok());
    if let Some(url) = url.filter(|url| !endpoint.is_same_origin(url)) {
        return Some(Obstacle::OtherHub(url.origin().to_owned()));
    }
    let path = files.stored.display().to_string();
    (!is_replaceable(&files.stored)).then_some(Obstacle::ReadOnly(path))
}

/// Returns every secret that this process can find, used or not, so that none reaches
/// a child process.
pub fn known_tokens(host: &Host) -> Vec<String> {
    let variables = ["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_OIDC_ID_TOKEN"];
    let given = variables.iter().filter_map(|name| host.variable(name));
    let mut found: Vec<String> = given.map(str::to_owned).collect();
    // A file that this process cannot read cannot leak through it.
    if let Ok(files) = TokenFiles::find(host) {
        found.extend(files.read_token().ok().flatten());
        let stored = files.read_stored().unwrap_or_default();
        for name in stored.names() {
            let secrets = [TOKEN, REFRESH_TOKEN].map(|key| stored.get(name, key));
            found.extend(secrets.into_iter().flatten().map(str::to_owned));
        }
    }
    found.iter().map(|token| token.trim().to_owned()).collect()
}
