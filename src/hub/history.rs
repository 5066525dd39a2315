//! The commits of a revision, and the tags of a repository.

use std::collections::BTreeMap;

use super::client::{HubClient, HubRequest};
use super::error::HubError;
use super::text::clean;
use super::tree::next_page;
use super::wire;
use crate::domain::repo::{CommitSha, Repo, Revision};
use crate::domain::time::Timestamp;

/// A page of commits or a list of refs; the largest known is some hundred kilobytes.
const MAX_PAGE_BYTES: usize = 16 << 20;
/// More commits than any known repository has; the Hub sends 50 to 1000 in a page.
const MAX_COMMITS: usize = 20_000;
const MAX_PAGES: usize = 500;

/// A commit as the Hub lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepoCommit {
    pub commit: CommitSha,
    pub title: String,
    /// Written by the committer, so that it may be wrong or forged.
    pub date: Option<Timestamp>,
}

/// The commits of a revision, newest first: the commit of the revision and its ancestors.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CommitList {
    pub commits: Vec<RepoCommit>,
    /// Whether the list reaches the first commit of the repository, so that a commit that
    /// is not in it is no ancestor.
    pub is_whole: bool,
}

impl CommitList {
    pub fn has(&self, commit: &CommitSha) -> bool {
        self.commits.iter().any(|listed| listed.commit == *commit)
    }
}

impl HubClient {
    /// Lists the commits of a revision, newest first, down to the first one that `is_last`
    /// accepts. Pages behind it are not requested.
    pub fn commits(
        &self,
        repo: &Repo,
        revision: &Revision,
        mut is_last: impl FnMut(&RepoCommit) -> bool,
    ) -> Result<CommitList, HubError> {
        let about = self.about(Some(repo)).revision(revision);
        let mut list = CommitList::default();
        let mut url = self.endpoint().commits(repo, revision);
        for _ in 0..MAX_PAGES {
            let request = HubRequest::get(url);
            let (page, next): (Vec<wire::CommitEntry>, _) =
                self.ask(&request, &about, MAX_PAGE_BYTES, wire::parse)?;
            if page.is_empty() && next.is_some() {
                return Err(about.bad_answer("a page of the history has no commit"));
            }
            for entry in page {
                let commit = parse_commit(entry).map_err(|reason| about.bad_answer(reason))?;
                if list
                    .commits
                    .first()
                    .is_some_and(|first| first.commit == commit.commit)
                {
                    return Err(about.bad_answer("the pages of the history form a loop"));
                }
                let is_last = is_last(&commit);
                list.commits.push(commit);
                if is_last || list.commits.len() >= MAX_COMMITS {
                    return Ok(list);
                }
            }
            match next {
                Some(link) => url = next_page(self.endpoint(), &link, &about)?,
                None => {
                    list.is_whole = true;
                    return Ok(list);
                }
            }
        }
        Ok(list)
    }

    /// Requests the tags of a repository, each with its target. The target of an annotated
    /// tag may be the tag object instead of a commit; [`HubClient::revision`] resolves it.
    /// Names that no revision can have are left out.
    pub fn tags(&self, repo: &Repo) -> Result<BTreeMap<Revision, CommitSha>, HubError> {
        let about = self.about(Some(repo));
        let request = HubRequest::get(self.endpoint().refs(repo));
        let refs: wire::Refs = self.ask_json(&request, &about, MAX_PAGE_BYTES)?;
        let parse = |tag: wire::RefEntry| {
            let target: CommitSha = tag.target_commit.parse().ok()?;
            Some((tag.name.parse().ok()?, target))
        };
        Ok(refs.tags.into_iter().filter_map(parse).collect())
    }
}

fn parse_commit(entry: wire::CommitEntry) -> Result<RepoCommit, String> {
    Ok(RepoCommit {
        commit: entry.id.parse().map_err(|error| format!("{error}"))?,
        title: clean(&entry.title.unwrap_or_default()),
        date: entry.date.and_then(|at| at.parse().ok()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_needs_its_hash_only() {
        let parse = |json: &str| parse_commit(wire::parse_bytes(json.as_bytes()).unwrap());
        let id = "0123456789abcdef0123456789abcdef01234567";
        let commit = parse(&format!(
            r#"{{"id":"{id}","title":"a\u001b[31m b","date":"2026-01-31T12:00:00.000Z","authors":[]}}"#
        ))
        .unwrap();
        assert_eq!(commit.title, "a [31m b");
        assert_eq!(commit.date.unwrap().to_string(), "2026-01-31T12:00:00Z");
        let bare = parse(&format!(r#"{{"id":"{id}","date":"yesterday"}}"#)).unwrap();
        assert_eq!((bare.title.as_str(), bare.date), ("", None));
        assert!(parse(r#"{"id":"main"}"#).is_err());
    }
}
