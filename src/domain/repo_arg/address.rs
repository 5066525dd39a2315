//! Addresses: `hf://…`, and pages of the Hub.

use percent_encoding::percent_decode_str;

use super::argument::{refusal, refuse};
use super::short::parse_short;
use super::{RepoArg, RepoPart};
use crate::domain::invalid_value::InvalidValue;
use crate::domain::repo::{Repo, RepoId, RepoPath, RepoType};

/// Hosts that serve the Hub's own pages, besides the configured endpoint.
pub(super) const HUB_HOSTS: [&str; 4] =
    ["huggingface.co", "www.huggingface.co", "hf.co", "www.hf.co"];

/// `hf://[type/]org/name[@revision][/path]`
pub(super) fn parse_uri(text: &str, rest: &str) -> Result<RepoArg, InvalidValue> {
    let (kind, rest) = split_type(rest);
    if rest.starts_with("buckets/") {
        return refuse(text, "a bucket has no revisions, so it cannot be kept");
    }
    let mut parts = rest.splitn(3, '/');
    let (Some(namespace), Some(name)) = (parts.next(), parts.next()) else {
        return Err(refusal(text).next("write `hf://org/name`"));
    };
    let (name, revision) = match name.split_once('@') {
        Some((name, revision)) => (name, Some(revision)),
        None => (name, None),
    };
    let tail = parts.next();
    let (revision, path) = match revision {
        Some(revision) => {
            let (revision, path) = split_revision(revision, tail);
            (Some(decode(text, &revision)?.parse()?), path)
        }
        None => (None, tail.map(str::to_owned)),
    };
    let id: RepoId = format!("{namespace}/{name}").parse()?;
    let part = path
        .map(|path| parse_part(text, &path, None))
        .transpose()?
        .flatten();
    Ok(RepoArg {
        repo: Repo::new(kind, id),
        revision,
        part,
        quantisation: None,
    })
}

/// Keeps `refs/pr/1` and `refs/convert/x` whole although they contain slashes.
fn split_revision(first: &str, tail: Option<&str>) -> (String, Option<String>) {
    let Some(tail) = tail else {
        return (first.to_owned(), None);
    };
    if first == "refs" {
        let mut parts = tail.splitn(3, '/');
        if let (Some(group @ ("pr" | "convert")), Some(name)) = (parts.next(), parts.next()) {
            return (
                format!("refs/{group}/{name}"),
                parts.next().map(str::to_owned),
            );
        }
    }
    (first.to_owned(), Some(tail.to_owned()))
}

fn split_type(rest: &str) -> (RepoType, &str) {
    for kind in RepoType::ALL {
        if let Some(id) = rest
            .strip_prefix(kind.plural())
            .and_then(|id| id.strip_prefix('/'))
        {
            return (kind, id);
        }
    }
    (RepoType::Model, rest)
}

fn whole_repo(repo: Repo) -> RepoArg {
    RepoArg {
        repo,
        revision: None,
        part: None,
        quantisation: None,
    }
}

/// Parses a page of the Hub: the repository, `/tree/REV[/folder]`,
/// `/blob/REV/file` or the `/resolve/` form of a download link.
pub(super) fn parse_page(text: &str, rest: &str, endpoint: &str) -> Result<RepoArg, InvalidValue> {
    let rest = rest
        .split(['?', '#'])
        .next()
        .unwrap_or(rest)
        .trim_end_matches('/');
    let Some(path) = path_of_page(rest, endpoint) else {
        return refuse(text, format!("it is not a page of the Hub at {endpoint}"));
    };
    let (kind, path) = split_type(path);
    let mut parts = path.splitn(5, '/');
    let (Some(first), second) = (parts.next(), parts.next()) else {
        return refuse(text, "it has no repository id");
    };
    let Some(second) = second else {
        let id = decode(text, first)?.parse()?;
        return Ok(whole_repo(Repo::new(kind, id)));
    };
    // The name of a quantisation in llama.cpp and ollama: `hf.co/org/name:Q4_K_M`.
    if second.contains(':') && parts.clone().next().is_none() {
        return parse_short(text, &format!("{}/{path}", kind.plural()));
    }
    let id: RepoId = format!("{first}/{second}").parse()?;
    let repo = Repo::new(kind, id);
    let (verb, revision, tail) = (parts.next(), parts.next(), parts.next());
    let file = match verb {
        None => return Ok(whole_repo(repo)),
        Some("tree") => false,
        Some("blob" | "resolve" | "raw") => true,
        Some(other) => {
            return Err(refusal(text)
                .because(format!("a page `/{other}` is neither a file nor a folder"))
                .next("use the repository's own address"));
        }
    };
    let Some(revision) = revision else {
        return refuse(text, "it has no revision");
    };
    let (revision, tail) = split_revision(revision, tail);
    let revision = decode(text, &revision)?.parse()?;
    let part = match tail {
        Some(tail) => parse_part(text, &decode(text, &tail)?, Some(file))?,
        None if file => return refuse(text, "it has no file path"),
        None => None,
    };
    Ok(RepoArg {
        repo,
        revision: Some(revision),
        part,
        quantisation: None,
    })
}

/// Returns the path of an address without its scheme, if it is one of the Hub.
fn path_of_page<'a>(address: &'a str, endpoint: &str) -> Option<&'a str> {
    let own = endpoint.split_once("://").map_or(endpoint, |(_, own)| own);
    let mut bases = HUB_HOSTS.into_iter().chain([own.trim_end_matches('/')]);
    bases.find_map(|base| address.strip_prefix(base)?.strip_prefix('/'))
}

/// Parses a path; without further information a final `/` marks a folder.
fn parse_part(
    text: &str,
    path: &str,
    is_file: Option<bool>,
) -> Result<Option<RepoPart>, InvalidValue> {
    let trimmed = path.trim_end_matches('/');
    if trimmed.is_empty() {
        return Ok(None);
    }
    let is_file = is_file.unwrap_or(!path.ends_with('/'));
    match trimmed.parse::<RepoPath>() {
        Ok(path) if is_file => Ok(Some(RepoPart::File(path))),
        Ok(path) => Ok(Some(RepoPart::Folder(path))),
        Err(err) => Err(refusal(text).because_of(err)),
    }
}

fn decode(text: &str, part: &str) -> Result<String, InvalidValue> {
    match percent_decode_str(part).decode_utf8() {
        Ok(decoded) => Ok(decoded.into_owned()),
        Err(_) => refuse(text, "it contains bytes that are not UTF-8"),
    }
}
