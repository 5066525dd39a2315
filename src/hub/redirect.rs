//! Redirect rules, and which requests may carry the token.

use super::endpoint::Endpoint;
use crate::sys::http::Url;

/// More redirects than any real chain has.
pub(super) const MAX_HOPS: usize = 10;

/// The reason why a redirect is not followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refused(pub String);

/// Returns the target of a redirect from `current`.
///
/// A redirect from https to http is refused: the response may be content, and an
/// attacker on the network could replace it or read a signature.
pub(super) fn next(current: &Url, location: Option<&str>) -> Result<Url, Refused> {
    let location = location.ok_or_else(|| Refused("a redirect without a `Location`".to_owned()))?;
    let target = current
        .join(location)
        .map_err(|error| Refused(format!("a redirect to an unusable address: {error}")))?;
    if current.is_https() && !target.is_https() {
        return Err(Refused(format!(
            "a redirect from https to http (`{target}`)"
        )));
    }
    Ok(target)
}

/// Tells whether a request to `url` may carry the token.
pub(super) fn may_see_token(endpoint: &Endpoint, url: &Url) -> bool {
    endpoint.is_same_origin(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        text.parse().unwrap()
    }

    #[test]
    fn the_token_goes_to_the_endpoints_scheme_host_and_port_only() {
        let endpoint: Endpoint = "https://hub.example/mirror".parse().unwrap();
        assert!(may_see_token(&endpoint, &url("https://hub.example/api/x")));
        for other in [
            "https://hub.example:444/api/x",
            "http://hub.example/api/x",
            "https://cdn.hub.example/x",
            "https://hub.example.evil/x",
        ] {
            assert!(!may_see_token(&endpoint, &url(other)), "{other}");
        }
    }

    #[test]
    fn a_signed_location_is_kept_exactly() {
        let signed = "https://cdn.example/x/y?Policy=a_~-&Signature=%2fA+b&Key-Pair-Id=K&x=[1]";
        let target = next(&url("https://hub.example/a"), Some(signed)).unwrap();
        assert_eq!(target.as_str(), signed);
    }

    #[test]
    fn a_redirect_from_https_to_http_is_refused() {
        let from = url("https://hub.example/a");
        let refused = next(&from, Some("http://hub.example/a?sig=geheim")).unwrap_err();
        assert!(!refused.0.contains("geheim"), "{refused:?}");
        assert!(next(&url("http://hub.example/a"), Some("https://hub.example/a")).is_ok());
    }

    #[test]
    fn a_redirect_without_a_usable_target_is_refused() {
        let from = url("https://hub.example/a");
        assert!(next(&from, None).is_err());
        assert!(next(&from, Some("ftp://hub.example/")).is_err());
    }
}
