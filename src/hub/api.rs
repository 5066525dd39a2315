//! API requests with one response: commits, refs, access, the account.

use std::fmt;

use super::client::{HubClient, HubRequest};
use super::endpoint::Endpoint;
use super::error::{Fault, HubError};
use super::files::FileAddress;
use super::text::{clean, clean_word};
use super::wire;
use crate::domain::guard::{ScanIssue, Terms};
use crate::domain::repo::{CommitSha, Repo, RepoId, RepoType, Revision};
use crate::domain::time::Timestamp;
use crate::sys::http::Url;

/// Repository information includes the name of every file; the largest known is
/// some megabytes.
const MAX_INFO_BYTES: usize = 32 << 20;
const MAX_SMALL_BYTES: usize = 4 << 20;

/// The state of a revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevisionInfo {
    pub commit: CommitSha,
    /// The repository's current name; after a rename it differs from the requested
    /// one.
    pub id: RepoId,
    pub is_private: bool,
    pub gated: Gated,
    pub is_disabled: bool,
    pub last_modified: Option<Timestamp>,
    /// Licence and gating, where the server tells them.
    pub terms: Terms,
}

/// Whether the terms of a repository must be accepted before its files can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gated {
    No,
    /// Access is granted as soon as the terms are accepted.
    Auto,
    /// The authors review each request.
    Manual,
}

impl Gated {
    /// Returns the word for databases and messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::No => "no",
            Self::Auto => "auto",
            Self::Manual => "manual",
        }
    }
}

/// The account of the token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    pub name: String,
    /// `user` or `org`, where the Hub tells.
    pub kind: Option<String>,
    pub token_name: Option<String>,
    /// `read`, `write` or `fineGrained`.
    pub token_role: Option<String>,
}

/// A token for the Xet storage, for one repository at one commit.
#[derive(Clone, PartialEq, Eq)]
pub struct XetToken {
    pub cas_url: Url,
    /// A secret like the Hub's token, but for the storage only.
    pub access_token: String,
    pub expires_at: Timestamp,
}

impl fmt::Debug for XetToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "XetToken({} until {})", self.cas_url, self.expires_at)
    }
}

impl HubClient {
    /// Resolves a revision with one request. A commit is requested too, because it
    /// may no longer exist.
    pub fn revision(&self, repo: &Repo, revision: &Revision) -> Result<RevisionInfo, HubError> {
        let about = self.about(Some(repo)).revision(revision);
        let request = HubRequest::get(self.endpoint().revision(repo, revision));
        let info: wire::RepoInfo = self.ask_json(&request, &about, MAX_INFO_BYTES)?;
        // Mirrors may omit `private`.
        let needs_token = self.has_token() && info.private.unwrap_or(true);
        let info =
            parse_revision(info, repo, revision).map_err(|reason| about.bad_answer(reason))?;
        self.note_needs_token(repo, needs_token);
        Ok(info)
    }

    /// Requests the issues that the Hub's scanners found in the files of a commit. A
    /// mirror may tell none, and a commit may not be scanned yet.
    pub fn scan(&self, repo: &Repo, commit: &CommitSha) -> Result<Vec<ScanIssue>, HubError> {
        let about = self.about(Some(repo)).revision(commit);
        let request = HubRequest::get(self.endpoint().scan(repo, commit));
        let info: wire::RepoInfo = self.ask_json(&request, &about, MAX_INFO_BYTES)?;
        let status = info.security_status.and_then(wire::Lenient::known);
        let issues = status.map(|status| status.files_with_issues);
        let issue = |found: wire::FileIssue| ScanIssue {
            path: found.path,
            level: clean_word(&found.level),
        };
        Ok(issues.into_iter().flatten().map(issue).collect())
    }

    /// Refines a "not found" error of a model whose name a dataset or a space has.
    pub fn explain_type(&self, error: HubError) -> HubError {
        let Some(repo) = error.about().repo.clone() else {
            return error;
        };
        let is_missing = matches!(error.fault(), Fault::RepoNotFoundOrPrivate { .. });
        if !is_missing || repo.kind != RepoType::Model {
            return error;
        }
        let mut kinds = [RepoType::Dataset, RepoType::Space].into_iter();
        let has = |kind: &RepoType| {
            let other = Repo::new(*kind, repo.id.clone());
            self.revision(&other, &Revision::main()).is_ok()
        };
        match kinds.find(has) {
            Some(kind) => error.with_fault(Fault::OtherType(kind)),
            None => error,
        }
    }

    /// Refines a "not found" error of a repository that needed a token before.
    /// Without a token, or with an invalid one, the Hub answers as if a private
    /// repository did not exist.
    pub fn explain_absence(&self, error: HubError, needed_token: bool) -> HubError {
        let Fault::RepoNotFoundOrPrivate { anonymous } = *error.fault() else {
            return error;
        };
        if !needed_token {
            return error;
        }
        if anonymous {
            return error.with_fault(Fault::TokenMissing);
        }
        match self.whoami() {
            Err(refused) if *refused.fault() == Fault::BadToken => {
                error.with_fault(Fault::BadToken)
            }
            _ => error,
        }
    }

    /// Checks access to the content of a gated repository; its listing is readable,
    /// its files may not be. If a mirror does not support the check, the response
    /// for `file` decides. A mirror may answer even as if there were no such
    /// repository, although it has just listed it.
    pub fn check_access(&self, file: &FileAddress) -> Result<(), HubError> {
        let answer = self.auth_check(&file.repo);
        let is_missing = answer.as_ref().is_err_and(HubError::is_missing_endpoint);
        if !is_missing {
            return answer;
        }
        match self.locate(file) {
            Ok(_) => Ok(()),
            Err(error) => match error.fault() {
                Fault::Forbidden | Fault::RepoNotFoundOrPrivate { .. } => {
                    Err(error.with_fault(Fault::Gated))
                }
                _ => Err(error),
            },
        }
    }

    /// Requests the Hub's access check; a mirror may not support it.
    pub fn auth_check(&self, repo: &Repo) -> Result<(), HubError> {
        let about = self.about(Some(repo));
        let request = HubRequest::get(self.endpoint().auth_check(repo));
        self.ask(&request, &about, MAX_SMALL_BYTES, wire::drain)
            .map(|_| ())
    }

    /// Requests the account of the token; `None` without a token. The Hub limits
    /// this request strictly, so it is for diagnosis and not for every run.
    pub fn whoami(&self) -> Result<Option<Identity>, HubError> {
        let about = self.about(None);
        if !self.has_token() {
            return Ok(None);
        }
        let request = HubRequest::get(self.endpoint().whoami());
        let me: wire::WhoAmI = self.ask_json(&request, &about, MAX_SMALL_BYTES)?;
        let token = me.auth.and_then(|auth| auth.access_token);
        let (token_name, token_role) = match token {
            Some(token) => (token.display_name, token.role),
            None => (None, None),
        };
        let shown = |text: Option<String>| text.as_deref().map(clean);
        Ok(Some(Identity {
            name: clean(&me.name),
            kind: shown(me.kind),
            token_name: shown(token_name),
            token_role: shown(token_role),
        }))
    }

    /// Requests a read token for the Xet storage; it is valid for all files of a
    /// commit.
    pub fn xet_read_token(&self, repo: &Repo, commit: &CommitSha) -> Result<XetToken, HubError> {
        let about = self.about(Some(repo)).revision(commit);
        let request = HubRequest::get(self.endpoint().xet_read_token(repo, commit));
        let token: wire::XetReadToken = self.ask_json(&request, &about, MAX_SMALL_BYTES)?;
        parse_xet_token(token, self.endpoint()).map_err(|reason| about.bad_answer(reason))
    }
}

fn parse_xet_token(token: wire::XetReadToken, endpoint: &Endpoint) -> Result<XetToken, String> {
    let cas_url: Url = token
        .cas_url
        .parse()
        .map_err(|error| format!("the address of the Xet storage: {error}"))?;
    if endpoint.is_https() && !cas_url.is_https() {
        return Err(format!("the Xet storage is not encrypted (`{cas_url}`)"));
    }
    let is_sendable = token.access_token.bytes().all(|b| b.is_ascii_graphic());
    if token.access_token.is_empty() || !is_sendable {
        return Err("the Xet token is empty or malformed".to_owned());
    }
    Ok(XetToken {
        cas_url,
        access_token: token.access_token,
        expires_at: Timestamp::from_second(token.exp)
            .map_err(|_| "the Xet token's expiry is not a time")?,
    })
}

fn parse_revision(
    info: wire::RepoInfo,
    repo: &Repo,
    revision: &Revision,
) -> Result<RevisionInfo, String> {
    let sha = info.sha.ok_or("it names no commit")?;
    let commit: CommitSha = sha.parse().map_err(|error| format!("{error}"))?;
    if revision.as_commit().is_some_and(|wanted| wanted != commit) {
        return Err(format!("it names commit {commit} instead"));
    }
    let id = match info.id {
        Some(id) => id.parse().map_err(|error| format!("{error}"))?,
        None => repo.id.clone(),
    };
    let licence = licence(info.card.and_then(wire::Lenient::known), info.tags);
    let is_gating_known = info.gated.is_some();
    let gated = match info.gated {
        None | Some(wire::GatedForm::Flag(false)) => Gated::No,
        Some(wire::GatedForm::Word(word)) if word == "auto" => Gated::Auto,
        Some(wire::GatedForm::Flag(true) | wire::GatedForm::Word(_)) => Gated::Manual,
    };
    Ok(RevisionInfo {
        commit,
        id,
        is_private: info.private.unwrap_or(false),
        gated,
        is_disabled: info.disabled.unwrap_or(false),
        last_modified: info.last_modified.and_then(|at| at.parse().ok()),
        terms: Terms {
            licence,
            gating: is_gating_known.then(|| gated.as_str().to_owned()),
        },
    })
}

/// Returns the licence of a model card or else of the tags; `None` if the server sends
/// neither. The name of a licence outside the Hub's list stands beside `other`.
fn licence(card: Option<wire::Card>, tags: Option<wire::Lenient<Vec<String>>>) -> Option<String> {
    const NO_LICENCE: &str = "none";
    let tags = tags.and_then(wire::Lenient::known);
    if card.is_none() && tags.is_none() {
        return None;
    }
    let of_card = card.and_then(|card| {
        let licence = match card.licence? {
            wire::OneOrMany::One(licence) => licence,
            wire::OneOrMany::Many(licences) => licences.join(", "),
            wire::OneOrMany::Other(_) => return None,
        };
        Some(match card.licence_name.and_then(wire::Lenient::known) {
            Some(name) => format!("{licence} ({name})"),
            None => licence,
        })
    });
    let of_tags = || {
        let mut tags = tags.iter().flatten();
        tags.find_map(|tag| tag.strip_prefix("license:").map(str::to_owned))
    };
    let licence = of_card.or_else(of_tags);
    Some(clean_word(licence.as_deref().unwrap_or(NO_LICENCE)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::repo::RepoType;

    const SHA: &str = "0123456789abcdef0123456789abcdef01234567";

    fn read(json: &str, revision: &str) -> Result<RevisionInfo, String> {
        let repo = Repo::new(RepoType::Model, "old/name".parse().unwrap());
        parse_revision(
            wire::parse_bytes(json.as_bytes())?,
            &repo,
            &revision.parse().unwrap(),
        )
    }

    #[test]
    fn everything_but_the_commit_may_be_missing() {
        let info = read(&format!(r#"{{"sha":"{SHA}"}}"#), "main").unwrap();
        assert_eq!(info.commit.as_str(), SHA);
        assert_eq!(info.id.as_str(), "old/name");
        assert_eq!(info.gated, Gated::No);
        assert!(read("{}", "main").is_err());
        assert!(read(r#"{"sha":"main"}"#, "main").is_err());
    }

    #[test]
    fn gates_and_a_renamed_repository_are_parsed() {
        for (json, gated) in [
            ("false", Gated::No),
            ("null", Gated::No),
            ("\"auto\"", Gated::Auto),
            ("\"manual\"", Gated::Manual),
            ("true", Gated::Manual),
        ] {
            let json = format!(
                r#"{{"sha":"{SHA}","id":"new/name","gated":{json},"private":true,"lastModified":"2026-01-31T12:00:00.000Z"}}"#
            );
            let info = read(&json, "main").unwrap();
            assert_eq!(info.gated, gated);
            assert_eq!(info.id.as_str(), "new/name");
            assert!(info.is_private);
            assert_eq!(
                info.last_modified.unwrap().to_string(),
                "2026-01-31T12:00:00Z"
            );
        }
    }

    #[test]
    fn the_licence_is_that_of_the_card_or_of_the_tags() {
        for (json, licence) in [
            (r#""x":1"#, None),
            (
                r#""cardData":{"license":"mit"},"tags":["license:gpl"]"#,
                Some("mit"),
            ),
            (r#""cardData":{"license":["mit","gpl"]}"#, Some("mit, gpl")),
            (
                r#""cardData":{"license":"other","license_name":"llama3"}"#,
                Some("other (llama3)"),
            ),
            (
                r#""cardData":{"license":7},"tags":["license:gpl"]"#,
                Some("gpl"),
            ),
            (r#""cardData":"?","tags":["gguf"]"#, Some("none")),
            (r#""cardData":{"language":"en"}"#, Some("none")),
        ] {
            let info = read(&format!(r#"{{"sha":"{SHA}",{json}}}"#), "main").unwrap();
            assert_eq!(info.terms.licence.as_deref(), licence, "{json}");
            assert_eq!(info.terms.gating, None);
        }
        let gated = read(&format!(r#"{{"sha":"{SHA}","gated":"auto"}}"#), "main").unwrap();
        assert_eq!(gated.terms.gating.as_deref(), Some("auto"));
    }

    #[test]
    fn a_commit_other_than_the_requested_one_is_refused() {
        let json = format!(r#"{{"sha":"{SHA}"}}"#);
        assert!(read(&json, SHA).is_ok());
        assert!(read(&json, &SHA.replace('0', "f")).is_err());
    }

    #[test]
    fn an_unencrypted_xet_storage_is_refused() {
        let read = |endpoint: &str, cas_url: &str, token: &str| {
            let json =
                format!(r#"{{"casUrl":"{cas_url}","accessToken":"{token}","exp":1848535668}}"#);
            let token = wire::parse_bytes(json.as_bytes()).unwrap();
            parse_xet_token(token, &endpoint.parse().unwrap())
        };
        assert!(read("https://hub", "https://cas", "t").is_ok());
        assert!(read("http://hub", "http://cas", "t").is_ok());
        assert!(read("https://hub", "http://cas", "t").is_err());
        for token in ["", "a b", "a\\nb"] {
            assert!(read("https://hub", "https://cas", token).is_err());
        }
    }
}
