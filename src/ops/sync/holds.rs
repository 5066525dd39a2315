//! Decides whether an update waits for a person, before its files are planned.

use std::collections::BTreeSet;

use anyhow::Result;

use super::destination::TargetDestination;
use super::target::{Target, is_accepted};
use crate::domain::changes::{Changes, compare};
use crate::domain::filter::Filter;
use crate::domain::hold::{Comparison, Finding, Hold, HoldReason};
use crate::domain::model::EntryName;
use crate::domain::policy::Policy;
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
    /// The followed tag names another commit than before.
    pub has_tag_moved: bool,
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

    /// Returns the changes since the published commit; the commits are not known yet.
    /// `None` if nothing was published before, and for a repository that is not
    /// registered.
    pub fn changes(&self) -> Option<Changes> {
        let new = &self.remote.commit;
        let old = self.old_commit.filter(|old| *old != new)?;
        self.target.model.as_ref()?;
        let listing = self.destination.stored_listing(old).unwrap_or_else(|err| {
            log::debug!("the listing of {old} cannot be read: {err:#}");
            None
        });
        Some(Changes {
            old_commit: old.clone(),
            commit: new.clone(),
            commits: None,
            files: listing.map(|listing| compare(&listing, self.remote, &self.target.filter)),
        })
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
        let mut findings: Vec<Finding> = self.policy_findings(old).into_iter().collect();
        if let Some(own) = loss(&target.filter, None) {
            findings.push(own);
            return Ok(findings);
        }
        let siblings = target.siblings.iter();
        let siblings =
            siblings.filter(|it| !is_accepted(it.accepted.as_ref(), &self.remote.commit));
        let losses = siblings.filter_map(|sibling| loss(&sibling.filter, Some(&sibling.name)));
        findings.extend(losses.take(1));
        Ok(findings)
    }

    /// Returns the findings of the policy; the first download needs no approval.
    fn policy_findings(&self, old: &CommitSha) -> Vec<Finding> {
        let (target, commit) = (self.target, &self.remote.commit);
        if target.is_accepted_by_any(commit) {
            return Vec::new();
        }
        let mut findings = Vec::new();
        if target.policy.rules.policy == Policy::Approve && target.published().is_some() {
            let detail = format!("upstream is at {commit}, and the policy asks for an approval");
            let reason = HoldReason::Approval;
            findings.push(Finding { reason, detail });
        }
        if self.has_tag_moved {
            let detail = format!("the followed tag was moved from {old} to {commit}");
            let reason = HoldReason::HistoryRewritten;
            findings.push(Finding { reason, detail });
        }
        findings
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
