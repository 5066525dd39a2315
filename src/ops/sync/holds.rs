//! Decides whether an update waits for a person, before its files are planned.

use std::cell::{OnceCell, RefCell};
use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;

use super::destination::TargetDestination;
use super::target::{Sibling, Target, find_update, is_accepted};
use crate::domain::changes::{Changes, compare};
use crate::domain::filter::Filter;
use crate::domain::guard::{GuardRules, Terms};
use crate::domain::hold::{Comparison, Finding, Hold, HoldReason};
use crate::domain::model::EntryName;
use crate::domain::policy::Policy;
use crate::domain::repo::{CommitSha, RepoPath};
use crate::domain::snapshot::{Amount, NothingSelected, RemoteFile, RemoteSnapshot};
use crate::hub::{CommitList, HubClient};
use crate::ops::changes::new_commits;

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
    pub hub: &'a HubClient,
    /// The terms of the repository now.
    pub terms: &'a Terms,
    pub rules: &'a GuardRules,
    /// The newest commits, if a guard has asked for them.
    pub history: OnceCell<CommitList>,
    /// The findings about the `auto_map` of the configurations that were read.
    pub auto_maps: RefCell<BTreeMap<RepoPath, Vec<Finding>>>,
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
            is_rejected: self.target.rejected_update(commit).is_some(),
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

    /// Returns the changes since the published commit, with the commits if a guard has
    /// asked for them. `None` if nothing was published before.
    pub fn changes(&self) -> Option<Changes> {
        let (new, target) = (&self.remote.commit, self.target);
        let old = self.old_commit.filter(|old| *old != new)?;
        let listing = self.destination.stored_listing(old).unwrap_or_else(|err| {
            log::debug!("the listing of {old} cannot be read: {err:#}");
            None
        });
        let compared = |listing: RemoteSnapshot| {
            let (kind, filter) = (target.repo.kind, &target.filter);
            let names_code = &|file: &RemoteFile| self.names_new_code(old, &listing, file);
            compare(kind, &listing, self.remote, filter, names_code)
        };
        let history = self.history.get().cloned();
        Some(Changes {
            old_commit: old.clone(),
            commit: new.clone(),
            commits: history.map(|list| new_commits(list, old)),
            files: listing.map(compared),
            old_terms: target.known_terms.clone(),
            terms: self.terms.clone().or(&target.known_terms),
        })
    }

    /// Returns the siblings for which no person has accepted the commit.
    pub(super) fn unaccepted_siblings(&self) -> impl Iterator<Item = &Sibling> {
        let siblings = self.target.siblings.iter();
        siblings.filter(|it| !is_accepted(it.accepted.as_ref(), &self.remote.commit))
    }

    /// Returns the findings of then about a commit that a person has rejected. Models that
    /// share a ref stay where they are together.
    fn rejected(&self) -> Option<Vec<Finding>> {
        let target = self.target;
        let commit = &self.remote.commit;
        if let Some(own) = target.rejected_update(commit) {
            return Some(own.findings.clone());
        }
        let mut siblings = target.siblings.iter();
        let (sibling, update) =
            siblings.find_map(|it| Some((it, find_update(&it.rejected, commit)?)))?;
        let of_sibling = |finding: &Finding| Finding {
            detail: format!("rejected for `{}`: {}", sibling.name, finding.detail),
            ..finding.clone()
        };
        Some(update.findings.iter().map(of_sibling).collect())
    }

    fn findings(&self) -> Result<Vec<Finding>> {
        let commit = &self.remote.commit;
        // A person who accepts the commit has read which model loses files by it.
        if self.target.accepts(commit) || self.old_commit == Some(commit) {
            return Ok(Vec::new());
        }
        if let Some(rejected) = self.rejected() {
            return Ok(rejected);
        }
        let mut findings = match self.old_commit {
            Some(old) => self.policy_findings(old),
            None => Vec::new(),
        };
        findings.extend(self.losses()?);
        findings.extend(self.judge()?);
        Ok(findings)
    }

    fn losses(&self) -> Result<Vec<Finding>> {
        let Some(old) = self.old_commit else {
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
        if let Some(own) = loss(&target.filter, None) {
            return Ok(vec![own]);
        }
        let siblings = self.unaccepted_siblings();
        let losses = siblings.filter_map(|it| loss(&it.filter, Some(&it.name)));
        Ok(losses.take(1).collect())
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
