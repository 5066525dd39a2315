//! Maps unsuccessful responses to errors.

use super::error::{Fault, HubError, RequestContext, ServerDetails};
use super::limits;
use super::text::clean;
use super::token::Token;
use super::wire;
use crate::sys::http::Headers;

/// Maps an error status of the Hub to an error. As in the official client, the code
/// in the header comes first and the status last.
pub(super) fn classify(
    status: u16,
    headers: &Headers,
    body: &str,
    about: &RequestContext,
    token: Option<&Token>,
) -> HubError {
    const INVALID_TOKEN: &str = "Invalid credentials in Authorization header";
    const DISABLED: &str = "Access to this resource is disabled.";
    let message = headers
        .get("x-error-message")
        .map(str::to_owned)
        .or_else(|| wire::error_text(body));
    let text = message.as_deref().unwrap_or("");
    let hidden = Fault::RepoNotFoundOrPrivate {
        anonymous: !about.has_token,
    };
    let fault = match (headers.get("x-error-code").unwrap_or(""), status) {
        ("RevisionNotFound", _) => Fault::RevisionNotFound,
        ("EntryNotFound", _) => Fault::EntryNotFound,
        ("GatedRepo", _) => Fault::Gated,
        _ if text.trim() == DISABLED => Fault::Disabled,
        ("RepoNotFound", _) => hidden,
        (_, 401) if about.repo.is_some() && !text.contains(INVALID_TOKEN) => hidden,
        (_, 401) => Fault::BadToken,
        (_, 400) => Fault::BadRequest,
        (_, 403) => Fault::Forbidden,
        (_, 429) => Fault::RateLimited {
            retry_after: limits::retry_hint(headers),
            bucket: limits::parse_rate_limit(headers).map(|limit| limit.bucket),
        },
        (_, 416) => Fault::BadRange {
            total: total_of_unsatisfied(headers),
        },
        _ => Fault::Server { status },
    };
    with_details(fault, headers, message.as_deref(), about, token)
}

/// Maps an error status of a storage host to an error.
pub(super) fn classify_storage(
    status: u16,
    host: &str,
    headers: &Headers,
    body: &str,
    about: &RequestContext,
    token: Option<&Token>,
) -> HubError {
    let fault = match status {
        416 => Fault::BadRange {
            total: total_of_unsatisfied(headers),
        },
        _ => Fault::Storage {
            status,
            host: host.to_owned(),
        },
    };
    with_details(
        fault,
        headers,
        wire::storage_text(body).as_deref(),
        about,
        token,
    )
}

fn with_details(
    fault: Fault,
    headers: &Headers,
    message: Option<&str>,
    about: &RequestContext,
    token: Option<&Token>,
) -> HubError {
    let message = message.map(|text| match token {
        Some(token) => clean(&text.replace(token.secret(), "***")),
        None => clean(text),
    });
    let request_id = ["x-request-id", "x-amzn-trace-id", "x-amz-cf-id"]
        .iter()
        .find_map(|name| headers.get(name))
        .map(clean);
    let details = ServerDetails {
        message: message.filter(|text| !text.is_empty()),
        request_id: request_id.filter(|id| !id.is_empty()),
        retry_hint: limits::retry_hint(headers),
    };
    about.refused(fault, details)
}

/// Reads `Content-Range: bytes */1234`.
fn total_of_unsatisfied(headers: &Headers) -> Option<u64> {
    let range = headers.get("content-range")?.trim();
    range.strip_prefix("bytes */")?.trim().parse().ok()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::domain::repo::{Repo, RepoType};
    use crate::hub::endpoint::Endpoint;
    use crate::hub::token::{TokenInputs, find_token};

    pub fn about(has_token: bool) -> RequestContext {
        let repo = Repo::new(RepoType::Model, "acme/tiny".parse().unwrap());
        RequestContext::new(&Endpoint::official(), Some(&repo), has_token)
            .revision("v9")
            .path("x/y.bin")
    }

    pub fn refused(status: u16, pairs: &[(&str, &str)]) -> HubError {
        classify(status, &Headers::of(pairs), "", &about(false), None)
    }

    #[test]
    fn the_code_in_the_header_overrides_the_status() {
        let hidden = Fault::RepoNotFoundOrPrivate { anonymous: true };
        for (status, code, message, fault) in [
            (404, "RevisionNotFound", "", Fault::RevisionNotFound),
            (404, "EntryNotFound", "", Fault::EntryNotFound),
            (401, "GatedRepo", "", Fault::Gated),
            (403, "GatedRepo", "", Fault::Gated),
            (
                403,
                "",
                "Access to this resource is disabled.",
                Fault::Disabled,
            ),
            (404, "RepoNotFound", "", hidden.clone()),
            (401, "", "Invalid username or password.", hidden.clone()),
            (401, "", "", hidden),
            (
                401,
                "",
                "Invalid credentials in Authorization header",
                Fault::BadToken,
            ),
            (400, "", "", Fault::BadRequest),
            (403, "", "", Fault::Forbidden),
            (416, "", "", Fault::BadRange { total: None }),
            (404, "", "", Fault::Server { status: 404 }),
            (503, "Whatever", "", Fault::Server { status: 503 }),
        ] {
            let error = refused(
                status,
                &[("x-error-code", code), ("x-error-message", message)],
            );
            assert_eq!(error.fault(), &fault, "{status} {code} {message}");
        }
    }

    #[test]
    fn a_401_without_a_repository_is_a_token_error() {
        let about = RequestContext::new(&Endpoint::official(), None, true);
        let error = classify(401, &Headers::default(), "", &about, None);
        assert_eq!(error.fault(), &Fault::BadToken);
    }

    #[test]
    fn no_message_contains_a_token_or_a_signature() {
        let inputs = TokenInputs {
            hf_token: Some("geheim-token".into()),
            ..TokenInputs::default()
        };
        let (token, _) = find_token(&inputs).unwrap().unwrap();
        let message =
            "no: geheim-token at https://cdn/x?Signature=geheim hf_geheimgeheimgeheim /a?b=geheim";
        let headers = Headers::of(&[("x-error-message", message)]);
        let error = classify(403, &headers, "", &about(true), Some(&token));
        let shown = format!("{error} {error:?} {:?}", error.hint());
        assert!(!shown.contains("geheim"), "{shown}");
        assert!(shown.contains("https://cdn/x"), "{shown}");
    }
}
