//! Decides whether an update waits for a person, before its files are planned.

use std::collections::BTreeSet;

use anyhow::Result;

use super::destination::TargetDestination;
use super::target::{Target, is_accepted};
use crate::domain::filter::Filter;
use crate::domain::hold::{Comparison, Finding, Hold};
use crate::domain::model::EntryName;
use crate::domain::repo::{CommitSha, RepoPath};
use crate::domain::snapshot::{Amount, NothingSelected, RemoteSnapshot};

/// A commit that a target is offered.
pub(super) struct Update<'a> {
    pub target: &'a Target,
    pub destination: &'a TargetDestination,
    pub remote: &'a RemoteSnapshot,
    /// The commit that is published now.
    pub old_commit: Option<&'a CommitSha>,
    /// The paths of the published files.
    pub old_paths: &'a BTreeSet<RepoPath>,
}

impl Update<'_> {
    /// Returns the hold of the commit if anything was found about it that nobody has
    /// approved; it is an error if nothing was ever selected for the target.
    pub fn hold(&self) -> Result<Option<Hold>> {
        let commit = &self.remote.commit;
        let findings = self.findings()?;
        let is_empty = || self.remote.selected(&self.target.filter).is_empty();
        if findings.is_empty() && !self.target.accepts(commit) && is_empty() {
            let Target { repo, filter, .. } = self.target;
            return Err(NothingSelected::new(repo, self.remote, filter).into());
        }
        let hold = (!findings.is_empty()).then(|| Hold {
            findings,
            commit: commit.clone(),
            published: self.old_commit.cloned(),
        });
        Ok(hold)
    }

    /// Returns the selected files of the published commit.
    pub fn published_amount(&self) -> Amount {
        let old = self.old_commit.and_then(|old| {
            let listing = self.destination.stored_listing(old);
            listing.ok().flatten()
        });
        self.amount(old.as_ref(), &self.target.filter)
    }

    fn findings(&self) -> Result<Vec<Finding>> {
        let Some(old) = self.old_commit.filter(|old| **old != self.remote.commit) else {
            return Ok(Vec::new());
        };
        let target = self.target;
        let listing = self.destination.stored_listing(old)?;
        let loss = |filter: &Filter, sibling: Option<&EntryName>| {
            let compared = Comparison {
                published: (old, self.amount(listing.as_ref(), filter)),
                found: (&self.remote.commit, self.remote.amount(Some(filter))),
                sibling,
            };
            compared.loss()
        };
        // A person who accepts the commit has read which model loses files by it.
        if target.accepts(&self.remote.commit) {
            return Ok(Vec::new());
        }
        if let Some(own) = loss(&target.filter, None) {
            return Ok(vec![own]);
        }
        let siblings = target.siblings.iter();
        let siblings =
            siblings.filter(|it| !is_accepted(it.accepted.as_ref(), &self.remote.commit));
        let losses = siblings.filter_map(|sibling| loss(&sibling.filter, Some(&sibling.name)));
        Ok(losses.take(1).collect())
    }

    /// Measures the selected files of a published commit. A commit of another program
    /// has no listing here, so that the sizes of its files are unknown.
    fn amount(&self, listing: Option<&RemoteSnapshot>, filter: &Filter) -> Amount {
        match listing {
            Some(listing) => listing.amount(Some(filter)),
            None => {
                let names: Vec<&str> = self.old_paths.iter().map(RepoPath::as_str).collect();
                let selection = filter.among(&names);
                Amount {
                    files: names.iter().filter(|name| selection.has(name)).count() as u64,
                    bytes: 0,
                }
            }
        }
    }
}
