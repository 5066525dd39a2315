//! Collects the facts that guards compare; asks the Hub for those that only it has.
//!
//! A request that fails ends the check: no update is published without its facts. Mirrors lack some endpoints, which is noted and holds nothing.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::Path;

use anyhow::{Context, Result};

use super::check::Planned;
use super::holds::Update;
use super::syncer::Syncer;
use super::target::Target;
use super::target_sync::SyncRecord;
use crate::domain::content::ContentId;
use crate::domain::filter::Filter;
use crate::domain::guard::{
    self, Ancestry, AutoMap, HeaderKind, Index, MAX_CONFIG_BYTES, ScanIssue,
};
use crate::domain::hold::{Finding, HoldReason};
use crate::domain::model::EntryName;
use crate::domain::plan::{Action, PlannedFile};
use crate::domain::repo::{CommitSha, RepoPath, Revision};
use crate::domain::snapshot::{RemoteFile, RemoteSnapshot};
use crate::download::has_content;
use crate::hub::{Fault, FileAddress, HubError};
use crate::ops::rollback;
use crate::sys::open;

/// The most commits among which the published one is searched.
const MOST_COMMITS: usize = 1_000;

/// The files that one model selects; the name is that of a sibling.
type SiblingFilter<'a> = (&'a Filter, Option<&'a EntryName>);

impl Update<'_> {
    /// Checks the commit by the guards of the model and of each sibling that has not
    /// accepted it.
    pub(super) fn judge(&self) -> Result<Vec<Finding>> {
        let mut found = Vec::new();
        if !guard::GUARDS.iter().any(|guard| self.has(*guard)) {
            return Ok(found);
        }
        let old = match self.old_commit {
            Some(old) => self.listing_of(old)?,
            None => None,
        };
        if let (Some(commit), Some(old)) = (self.old_commit, &old) {
            let mut searched = BTreeSet::new();
            for (filter, sibling) in self.selections() {
                let update = self.compared(Some(old), filter);
                let mut own = guard::code_findings(&update);
                own.extend(self.auto_maps(commit, &update, &mut searched)?);
                own.extend(guard::file_findings(&update, self.rules.size_change));
                self.add(&mut found, sibling, own);
            }
        }
        let terms = guard::terms_findings(&self.target.known_terms, self.terms);
        self.add(&mut found, None, terms);
        // A model that follows tags goes from one release branch to another.
        let follows_tags = !self.target.policy.rules.follow_tags.is_empty();
        if let Some(old) = self.old_commit.filter(|_| !follows_tags)
            && self.has(HoldReason::HistoryRewritten)
        {
            let (revision, new) = (&self.target.revision, &self.remote.commit);
            let ancestry = self.ancestry(old)?;
            found.extend(guard::history_finding(revision, old, new, ancestry));
        }
        if self.has(HoldReason::SecurityScan) {
            let issues = self.scan()?;
            for (filter, sibling) in self.selections() {
                let update = self.compared(old.as_ref(), filter);
                let issue = guard::scan_finding(&update, &issues);
                self.add(&mut found, sibling, issue);
            }
        }
        Ok(found)
    }

    fn selections(&self) -> impl Iterator<Item = SiblingFilter<'_>> {
        let siblings = self.unaccepted_siblings();
        let siblings = siblings.map(|it| (&it.filter, Some(&it.name)));
        std::iter::once((&self.target.filter, None)).chain(siblings)
    }

    /// Tells whether a guard is on: by the model, a sibling, their tags or the setting.
    fn has(&self, guard: HoldReason) -> bool {
        let (rules, kind) = (&self.target.policy.rules, self.target.repo.kind);
        let is_default = rules.has_default_guards && self.rules.guards.has(guard, kind);
        is_default || rules.guards.has(guard, kind)
    }

    fn compared<'a>(
        &'a self,
        old: Option<&'a RemoteSnapshot>,
        filter: &Filter,
    ) -> guard::ListingPair<'a> {
        let old = old.map(|old| old.selected(filter));
        guard::ListingPair::new(
            self.target.repo.kind,
            old.unwrap_or_default(),
            self.remote.selected(filter),
        )
    }

    /// Adds the findings of guards that are on. A finding about a sibling names it,
    /// unless it is one about the model, too.
    fn add(
        &self,
        found: &mut Vec<Finding>,
        sibling: Option<&EntryName>,
        own: impl IntoIterator<Item = Finding>,
    ) {
        for finding in own {
            if !self.has(finding.reason) || found.contains(&finding) {
                continue;
            }
            let detail = match sibling {
                Some(name) => format!("{} for `{name}`, which shares the revision", finding.detail),
                None => finding.detail,
            };
            found.push(Finding { detail, ..finding });
        }
    }

    /// Returns the listing of the published commit. Another program may have published it
    /// without one, and a commit that upstream removed has none any more.
    fn listing_of(&self, old: &CommitSha) -> Result<Option<RemoteSnapshot>> {
        if let Some(listing) = self.destination.stored_listing(old)? {
            return Ok(Some(listing));
        }
        let listing = self.hub.tree(&self.target.repo, old);
        self.unless_missing(listing, "the files of the published commit")
    }

    /// Searches new and changed configurations for code, each file once.
    fn auto_maps(
        &self,
        old_commit: &CommitSha,
        update: &guard::ListingPair<'_>,
        searched: &mut BTreeSet<RepoPath>,
    ) -> Result<Vec<Finding>> {
        let mut found = Vec::new();
        if !self.has(HoldReason::NewCode) && !self.has(HoldReason::ChangedCode) {
            return Ok(found);
        }
        for file in update.news().filter(|file| guard::names_code(&file.path)) {
            if !searched.insert(file.path.clone()) {
                continue;
            }
            let old = update.find_old(file.path.as_str());
            found.extend(self.auto_map_findings(old_commit, old, file)?);
        }
        Ok(found)
    }

    /// Compares the `auto_map` of a configuration with that of the published one, once.
    fn auto_map_findings(
        &self,
        old_commit: &CommitSha,
        old: Option<&RemoteFile>,
        file: &RemoteFile,
    ) -> Result<Vec<Finding>> {
        if let Some(found) = self.auto_maps.borrow().get(&file.path) {
            return Ok(found.clone());
        }
        let new = self.auto_map(&self.remote.commit, file)?;
        let old = match old {
            Some(old) => self.published_auto_map(old_commit, old)?,
            None => AutoMap::absent(),
        };
        let found = guard::auto_map_findings(&file.path, &old, &new);
        let mut known = self.auto_maps.borrow_mut();
        known.insert(file.path.clone(), found.clone());
        Ok(found)
    }

    /// Tells whether a new or changed file is a configuration with new or changed entries
    /// of `auto_map`, for the change note. A failure leaves the update alone.
    pub(super) fn names_new_code(
        &self,
        old_commit: &CommitSha,
        published: &RemoteSnapshot,
        file: &RemoteFile,
    ) -> bool {
        if !guard::names_code(&file.path) {
            return false;
        }
        let found = self.auto_map_findings(old_commit, published.find(&file.path), file);
        let found = found.inspect_err(|err| log::debug!("no `auto_map`: {err:#}"));
        found.is_ok_and(|found| !found.is_empty())
    }

    fn published_auto_map(&self, commit: &CommitSha, file: &RemoteFile) -> Result<AutoMap> {
        let path = self.destination.read_as(commit, file);
        // A person may have edited the file of a directory.
        let is_here = file.size_bytes <= MAX_CONFIG_BYTES
            && has_content(&path, &file.content).unwrap_or(false);
        if is_here {
            let json = std::fs::read(&path);
            let json = json.with_context(|| format!("cannot read `{}`", path.display()))?;
            return Ok(AutoMap::read(&json));
        }
        let asked = self.auto_map_of_hub(commit, file);
        let asked = self.unless_missing(asked, "a file of the published commit")?;
        Ok(asked.unwrap_or_else(AutoMap::absent))
    }

    fn auto_map(&self, commit: &CommitSha, file: &RemoteFile) -> Result<AutoMap> {
        let asked = self.auto_map_of_hub(commit, file);
        asked.with_context(|| {
            format!(
                "the guards cannot check the update of `{}`",
                self.target.label()
            )
        })
    }

    fn auto_map_of_hub(&self, commit: &CommitSha, file: &RemoteFile) -> Result<AutoMap, HubError> {
        if file.size_bytes > MAX_CONFIG_BYTES {
            return Ok(AutoMap::too_large(file.size_bytes));
        }
        let address = FileAddress {
            repo: self.target.repo.clone(),
            commit: commit.clone(),
            path: file.path.clone(),
        };
        let json = self.hub.read_small(&address, file.size_bytes)?;
        Ok(AutoMap::read(&json))
    }

    /// Finds the published commit in the history of the new one.
    fn ancestry(&self, published: &CommitSha) -> Result<Ancestry> {
        if self.is_tag()? {
            return Ok(Ancestry::MovedTag);
        }
        let repo = &self.target.repo;
        let newest = Revision::from(&self.remote.commit);
        let mut n_seen = 0;
        let listed = self.hub.commits(repo, &newest, |listed| {
            n_seen += 1;
            listed.commit == *published || n_seen >= MOST_COMMITS
        });
        let Some(list) = self.unless_missing(listed, "the history of a commit")? else {
            return Ok(Ancestry::Unknown);
        };
        Ok(match self.history.get_or_init(|| list) {
            list if list.has(published) => Ancestry::Ancestor,
            list if list.is_whole => Ancestry::NoAncestor,
            list => Ancestry::NotAmong(list.commits.len()),
        })
    }

    fn is_tag(&self) -> Result<bool> {
        let revision = &self.target.revision;
        if let Some(kind) = revision.as_str().strip_prefix("refs/") {
            return Ok(kind.starts_with("tags/"));
        }
        if *revision == Revision::main() || revision.as_commit().is_some() {
            return Ok(false);
        }
        let tags = self.hub.tags(&self.target.repo);
        let tags = self.unless_missing(tags, "the tags")?;
        Ok(tags.is_some_and(|tags| tags.contains_key(revision)))
    }

    fn scan(&self) -> Result<Vec<ScanIssue>> {
        let issues = self.hub.scan(&self.target.repo, &self.remote.commit);
        let issues = self.unless_missing(issues, "the Hub's scan")?;
        Ok(issues.unwrap_or_default())
    }

    /// Returns the files of a new commit whose headers must be checked before they are
    /// published: those with other bytes than any published file, and indexes of shards.
    pub(super) fn unjudged(&self) -> Result<BTreeSet<RepoPath>> {
        let commit = &self.remote.commit;
        let is_accepted = self.target.accepts(commit) || self.old_commit == Some(commit);
        if is_accepted || !self.has(HoldReason::BadHeader) {
            return Ok(BTreeSet::new());
        }
        let published = match self.old_commit {
            Some(old) => self.destination.stored_listing(old)?,
            None => None,
        };
        let published = published.iter().flat_map(|listing| &listing.files);
        let published: BTreeSet<&ContentId> = published.map(|file| &file.content).collect();
        let selections = self.selections();
        let files = selections.flat_map(|(filter, _)| self.remote.selected(filter));
        let is_unjudged = |file: &&RemoteFile| {
            let has_header = HeaderKind::of(&file.path).is_some();
            guard::is_index(&file.path) || (has_header && !published.contains(&file.content))
        };
        let unjudged = files.filter(is_unjudged);
        Ok(unjudged.map(|file| file.path.clone()).collect())
    }

    /// Returns `None` for a fact that the server does not serve.
    fn unless_missing<T>(&self, asked: Result<T, HubError>, noun: &str) -> Result<Option<T>> {
        match asked {
            Ok(found) => Ok(Some(found)),
            Err(error)
                if error.is_missing_endpoint() || *error.fault() == Fault::RevisionNotFound =>
            {
                let label = self.target.label();
                log::info!(
                    "`{label}`: {noun} cannot be checked, the server has no answer: {error}"
                );
                Ok(None)
            }
            Err(error) => Err(error).with_context(|| {
                format!(
                    "the guards cannot check the update of `{}`",
                    self.target.label()
                )
            }),
        }
    }
}

impl Syncer<'_> {
    /// Checks the headers of a complete target that is not published yet.
    pub(super) fn judge_files(&self, target: &Target, record: &mut SyncRecord) {
        if !record.is_complete() {
            return;
        }
        match findings_of_files(&record.planned) {
            Ok(findings) if findings.is_empty() => {}
            Ok(findings) => {
                if let Some(old) = &record.planned.old_commit {
                    rollback::hold(&self.cache, target, old);
                }
                record.hold(findings);
            }
            Err(err) => record.fail(&err),
        }
    }
}

fn findings_of_files(planned: &Planned) -> Result<Vec<Finding>> {
    let is_unjudged = |file: &&PlannedFile| planned.unjudged.contains(&file.file.path);
    let files = planned.plan.files.iter().filter(is_unjudged);
    let found: Result<Vec<Option<Finding>>> = files
        .map(|PlannedFile { file, action, .. }| {
            let path = match action {
                Action::Keep => planned.destination.read_as(&planned.remote.commit, file),
                _ => planned.destination.stored(&file.content),
            };
            let judged = finding_of_file(&path, file, &planned.remote);
            judged.with_context(|| format!("cannot read the header of `{}`", path.display()))
        })
        .collect();
    Ok(found?.into_iter().flatten().collect())
}

fn finding_of_file(
    path: &Path,
    file: &RemoteFile,
    listing: &RemoteSnapshot,
) -> std::io::Result<Option<Finding>> {
    let opened: File = open::read_through_links(path)?;
    if guard::is_index(&file.path) {
        let index = Index::read(opened);
        return Ok(guard::index_finding(&file.path, index, listing));
    }
    let Some(kind) = HeaderKind::of(&file.path) else {
        return Ok(None);
    };
    let judged = guard::check_header(kind, opened, file.size_bytes);
    Ok(judged
        .err()
        .map(|reason| guard::header_finding(&file.path, &reason)))
}
