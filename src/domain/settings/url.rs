//! Settings that are addresses, and addresses in messages.

use crate::domain::invalid_value::InvalidValue;

/// Accepts `http://` and `https://` with a host and without credentials;
/// removes a final slash.
pub(super) fn check_url(value: &str) -> Result<String, InvalidValue> {
    let rest = value
        .strip_prefix("https://")
        .or_else(|| value.strip_prefix("http://"))
        .ok_or_else(|| InvalidValue::new("it must start with https:// or http://"))?;
    let authority = rest.split('/').next().unwrap_or_default();
    if authority.contains('@') {
        return Err(InvalidValue::new(
            "it must not contain a user name or password; tokens belong in HF_TOKEN or a token file",
        ));
    }
    let host = authority
        .rsplit_once(':')
        .map_or(authority, |(host, _)| host);
    let odd =
        |c: char| c.is_whitespace() || c.is_control() || matches!(c, '?' | '#' | '"' | '<' | '>');
    if host.is_empty() || value.contains(odd) {
        return Err(InvalidValue::new(
            "it must be a host with an optional port and path, such as https://huggingface.co",
        ));
    }
    Ok(value.trim_end_matches('/').to_owned())
}

/// Accepts `http://` and `https://` with a host. A query stays, because some
/// services need it.
pub(super) fn check_ping(value: &str) -> Result<String, InvalidValue> {
    let (base, query) = match value.split_once('?') {
        Some((base, query)) => (base, Some(query)),
        None => (value, None),
    };
    let base = check_url(base)?;
    match query {
        Some(query)
            if query.contains(|c: char| c.is_whitespace() || c.is_control() || c == '#') =>
        {
            Err(InvalidValue::new(
                "its query holds characters that no address has",
            ))
        }
        Some(query) => Ok(format!("{base}?{query}")),
        None => Ok(base),
    }
}

/// Replaces the path of a URL.
pub(super) fn without_path(value: &str) -> String {
    let Some((scheme, rest)) = value.split_once("://") else {
        return "***".to_owned();
    };
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    format!("{scheme}://{host}/***")
}

/// Replaces the credentials in a URL: even a refused password is a password,
/// and messages end up in mails and logs.
pub(super) fn without_credentials(value: &str) -> String {
    let hidden = value.split_once("://").and_then(|(scheme, rest)| {
        let authority = rest.split('/').next().unwrap_or_default();
        let (credentials, _) = authority.rsplit_once('@')?;
        Some(format!("{scheme}://***{}", &rest[credentials.len()..]))
    });
    hidden.unwrap_or_else(|| value.to_owned())
}
