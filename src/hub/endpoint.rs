//! The Hub's base URL, and the URLs of its API.

use std::fmt;
use std::str::FromStr;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::files::FileAddress;
use crate::domain::invalid_value::InvalidValue;
use crate::domain::repo::{CommitSha, Repo, Revision};
use crate::sys::http::{Url, UrlError};

const OFFICIAL: &str = "https://huggingface.co";

/// Everything but RFC 3986's unreserved characters, `/` included.
pub(super) const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// The same without `/`.
const PATH: &AsciiSet = &SEGMENT.remove(b'/');

/// The base URL of a Hub or of a mirror; it may have a path, and never ends in `/`.
#[derive(Clone, PartialEq, Eq)]
pub struct Endpoint {
    base: String,
    url: Url,
}

impl Endpoint {
    pub fn official() -> Self {
        OFFICIAL.parse().expect("a constant that the tests parse")
    }

    /// Tells whether a URL has the origin of the Hub, the condition for sending the
    /// token.
    pub fn is_same_origin(&self, url: &Url) -> bool {
        self.url.is_same_origin(url)
    }

    pub(super) fn is_https(&self) -> bool {
        self.url.is_https()
    }

    /// Returns the base URL as it is shown and stored.
    pub fn as_str(&self) -> &str {
        &self.base
    }

    /// Returns the key under which records about a Hub are stored; it contains no
    /// path and no secret.
    pub fn host_and_port(&self) -> String {
        format!("{}:{}", self.url.host(), self.url.port())
    }

    /// Maps an absolute URL of the official Hub, as mirrors pass them on from
    /// upstream, to this endpoint; leaves every other URL unchanged.
    pub(super) fn adopt(&self, url: Url) -> Url {
        let official = Self::official();
        if self.is_same_origin(&url) || !official.is_same_origin(&url) {
            return url;
        }
        // Some mirrors replace the host only and keep their own path.
        let own_path = self.url.path().trim_end_matches('/');
        let rest = url.path_and_query();
        let rest = match rest.strip_prefix(own_path) {
            Some(below) if below.starts_with('/') => below,
            _ => rest,
        };
        format!("{}{rest}", self.base).parse().unwrap_or(url)
    }

    pub(super) fn revision(&self, repo: &Repo, revision: &Revision) -> Url {
        self.api(repo, &format!("revision/{}", segment(revision.as_str())))
    }

    pub(super) fn tree(&self, repo: &Repo, commit: &CommitSha) -> Url {
        // Without `expand`, pages hold 1000 entries instead of 50.
        self.api(repo, &format!("tree/{commit}?recursive=true&expand=false"))
    }

    pub(super) fn commits(&self, repo: &Repo, revision: &Revision) -> Url {
        self.api(repo, &format!("commits/{}", segment(revision.as_str())))
    }

    pub(super) fn refs(&self, repo: &Repo) -> Url {
        self.api(repo, "refs")
    }

    pub(super) fn scan(&self, repo: &Repo, commit: &CommitSha) -> Url {
        self.api(repo, &format!("revision/{commit}?securityStatus=true"))
    }

    pub(super) fn auth_check(&self, repo: &Repo) -> Url {
        self.api(repo, "auth-check")
    }

    pub(super) fn xet_read_token(&self, repo: &Repo, commit: &CommitSha) -> Url {
        self.api(repo, &format!("xet-read-token/{commit}"))
    }

    pub(super) fn whoami(&self) -> Url {
        self.below("api/whoami-v2")
    }

    pub(super) fn oauth_token(&self) -> Url {
        self.below("oauth/token")
    }

    pub(super) fn resolve(&self, file: &FileAddress) -> Url {
        self.below(&format!(
            "{}{}/resolve/{}/{}",
            file.repo.kind.url_prefix(),
            file.repo.id,
            file.commit,
            utf8_percent_encode(file.path.as_str(), PATH)
        ))
    }

    /// Returns the URL of the repository's page.
    pub(super) fn page(&self, repo: &Repo) -> String {
        format!("{}/{repo}", self.base)
    }

    /// Returns the URL of the page of a commit.
    pub fn commit_page(&self, repo: &Repo, commit: &CommitSha) -> String {
        format!("{}/commit/{commit}", self.page(repo))
    }

    fn api(&self, repo: &Repo, rest: &str) -> Url {
        self.below(&format!("api/{}/{}/{rest}", repo.kind.plural(), repo.id))
    }

    fn below(&self, path: &str) -> Url {
        format!("{}/{path}", self.base)
            .parse()
            .expect("a valid base with an encoded path is a valid URL")
    }
}

fn segment(text: &str) -> String {
    utf8_percent_encode(text, SEGMENT).to_string()
}

impl FromStr for Endpoint {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let refusal = |reason: &str| {
            InvalidValue::new("the Hub's address is not valid")
                .because(reason)
                .next(format!("write something like `{OFFICIAL}`"))
        };
        let url: Url = text
            .parse()
            .map_err(|error: UrlError| refusal(&error.to_string()))?;
        if url.as_str().contains('?') {
            return Err(refusal("it has a query"));
        }
        Ok(Self {
            base: url.as_str().trim_end_matches('/').to_owned(),
            url,
        })
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.base)
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.base)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::repo::RepoType;

    const SHA: &str = "0123456789abcdef0123456789abcdef01234567";

    fn repo(kind: RepoType) -> Repo {
        Repo::new(kind, "org/name".parse().unwrap())
    }

    #[test]
    fn urls_are_built_below_the_endpoint_with_its_path() {
        let endpoint: Endpoint = "https://host:8443/mirror/hf//".parse().unwrap();
        let commit: CommitSha = SHA.parse().unwrap();
        assert_eq!(endpoint.as_str(), "https://host:8443/mirror/hf");
        assert_eq!(
            endpoint.tree(&repo(RepoType::Dataset), &commit).as_str(),
            format!(
                "https://host:8443/mirror/hf/api/datasets/org/name/tree/{SHA}?recursive=true&expand=false"
            )
        );
        assert_eq!(
            endpoint.whoami().as_str(),
            "https://host:8443/mirror/hf/api/whoami-v2"
        );
        assert_eq!(
            endpoint.page(&repo(RepoType::Space)),
            "https://host:8443/mirror/hf/spaces/org/name"
        );
    }

    #[test]
    fn a_revision_has_no_safe_character_and_a_path_only_the_slash() {
        let endpoint = Endpoint::official();
        assert_eq!(
            endpoint
                .revision(&repo(RepoType::Model), &"refs/pr/1".parse().unwrap())
                .as_str(),
            "https://huggingface.co/api/models/org/name/revision/refs%2Fpr%2F1"
        );
        let file = FileAddress {
            repo: repo(RepoType::Dataset),
            commit: SHA.parse().unwrap(),
            path: "a b/ü#%?[1]^|~.txt".parse().unwrap(),
        };
        assert_eq!(
            endpoint.resolve(&file).as_str(),
            format!(
                "https://huggingface.co/datasets/org/name/resolve/{SHA}/a%20b/%C3%BC%23%25%3F%5B1%5D%5E%7C~.txt"
            )
        );
    }

    #[test]
    fn only_urls_of_the_official_hub_are_adopted() {
        let endpoint: Endpoint = "http://mirror:80/hf".parse().unwrap();
        let adopt = |text: &str| endpoint.adopt(text.parse().unwrap()).as_str().to_owned();
        assert_eq!(
            adopt("https://huggingface.co/api/x?cursor=a%3D"),
            "http://mirror:80/hf/api/x?cursor=a%3D"
        );
        assert_eq!(
            adopt("https://huggingface.co/hf/api/x"),
            "http://mirror:80/hf/api/x"
        );
        for other in [
            "https://huggingface.co.evil/x",
            "http://huggingface.co/x",
            "http://mirror:80/y",
        ] {
            assert_eq!(adopt(other), other);
        }
        let page: Url = "https://huggingface.co/x?y".parse().unwrap();
        assert_eq!(Endpoint::official().adopt(page.clone()), page);
    }

    #[test]
    fn an_endpoint_with_a_password_or_a_query_is_refused() {
        for bad in [
            "https://u:geheim@h/",
            "https://h/?x=1",
            "huggingface.co",
            "",
        ] {
            let error = bad.parse::<Endpoint>().unwrap_err();
            assert!(!error.to_string().contains("geheim"), "{error}");
        }
    }
}
