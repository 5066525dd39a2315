//! Asks the Hub for the current commit of a target, and plans the changes on disk.

use std::cell::{OnceCell, RefCell};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Error, Result, anyhow};

use super::access::check_access;
use super::delta::Asker;
use super::destination::TargetDestination;
use super::destination_writer::DestinationWriter;
use super::holds::Update;
use super::local_files::{
    BadFiles, ReusedFile, add_adopted, distrust_files, files_in_place, hides_files, is_bad,
    leave_out_bad_sources, reused,
};
use super::local_reads::LocalReads;
use super::target::{CacheChoice, Target};
use super::upstream;
use super::upstream::Upstream;
use crate::cache::Prove;
use crate::domain::adopt::AdoptedSources;
use crate::domain::changes::Changes;
use crate::domain::content::ContentId;
use crate::domain::guard::Terms;
use crate::domain::hold::Hold;
use crate::domain::plan::{Action, LocalFacts, SyncPlan, plan_sync};
use crate::domain::policy::PolicyNote;
use crate::domain::repo::{CommitSha, RepoPath};
use crate::domain::snapshot::{Amount, RemoteSnapshot};
use crate::download::has_content;
use crate::hub::HubClient;
use crate::ops::adopt::has_two_names;
use crate::ops::login::HubClients;
use crate::ops::parallel::{QUESTIONS_AT_ONCE, map_at_once};
use crate::sys::share::Sharing;
use crate::sys::stamp::stamp_at;
use crate::xet::XetStorage;

/// The result of comparing the Hub with the disk.
pub enum Checked {
    /// Nothing has changed and every file exists: one request, no listing.
    Unchanged(Unchanged),
    /// A rollback holds an older commit in place, and this commit is newer.
    Held {
        commit: CommitSha,
        /// The folder of the older commit.
        path: PathBuf,
    },
    /// A newer commit that waits for a person; the published one stays.
    Waiting {
        hold: Hold,
        /// The folder of the published commit, and its selected files.
        published: Option<(PathBuf, Amount)>,
        renamed_to: Option<String>,
        changes: Option<Box<Changes>>,
        /// The facts about the policy, for the next check.
        note: PolicyNote,
    },
    Planned(Box<Planned>),
}

impl Checked {
    /// Returns the destination and those of its files that must be proven.
    pub(super) fn reused(&self) -> Option<(&TargetDestination, &[ReusedFile])> {
        match self {
            Self::Unchanged(unchanged) => Some((&unchanged.destination, &unchanged.reused)),
            Self::Planned(planned) => Some((&planned.destination, &planned.reused)),
            _ => None,
        }
    }

    /// Returns the changes of an update, published or held.
    pub(super) fn changes_mut(&mut self) -> Option<&mut Changes> {
        let changes = match self {
            Self::Planned(planned) => planned.changes.as_mut(),
            Self::Waiting { changes, .. } => changes.as_mut(),
            Self::Unchanged(_) | Self::Held { .. } => None,
        };
        changes.map(|changes| &mut **changes)
    }

    /// Returns the facts about the policy; none while a rollback holds the target.
    pub fn note(&self) -> Option<&PolicyNote> {
        match self {
            Self::Unchanged(unchanged) => Some(&unchanged.note),
            Self::Waiting { note, .. } => Some(note),
            Self::Planned(planned) => Some(&planned.note),
            Self::Held { .. } => None,
        }
    }

    pub(super) fn reused_mut(&mut self) -> Option<&mut Vec<ReusedFile>> {
        match self {
            Self::Unchanged(unchanged) => Some(&mut unchanged.reused),
            Self::Planned(planned) => Some(&mut planned.reused),
            _ => None,
        }
    }
}

/// A target whose newest commit is in place.
pub struct Unchanged {
    pub destination: TargetDestination,
    pub commit: CommitSha,
    pub amount: Amount,
    /// The files, each of which must still be proven.
    pub reused: Vec<ReusedFile>,
    /// The current name of a renamed repository.
    pub renamed_to: Option<String>,
    pub terms: Terms,
    /// The facts about the policy, for the next check.
    pub note: PolicyNote,
}

/// The plan of a target, with the facts that its sync needs.
pub struct Planned {
    pub destination: TargetDestination,
    pub remote: RemoteSnapshot,
    pub plan: SyncPlan,
    /// The commit that was published before.
    pub old_commit: Option<CommitSha>,
    /// Whether the revision's ref names this commit already.
    pub is_read_here: bool,
    /// Whether the revision's ref may move to this commit.
    pub moves_ref: bool,
    /// The current name of a renamed repository.
    pub renamed_to: Option<String>,
    /// The facts about the policy, for the next check.
    pub note: PolicyNote,
    /// Contents whose stored files must not be used even if their size is right.
    pub distrusted: BTreeSet<ContentId>,
    /// Files in the destination that are used unchanged.
    pub reused: Vec<ReusedFile>,
    /// The results of reading files on this machine for this sync.
    pub local_reads: LocalReads,
    /// Adopted files that the plan uses.
    pub adopted: AdoptedSources,
    /// The changes since the published commit, if this is an update of a model.
    pub changes: Option<Box<Changes>>,
    /// Files whose headers are checked before the publication.
    pub unjudged: BTreeSet<RepoPath>,
    /// The terms of the repository.
    pub terms: Terms,
}

impl Planned {
    /// Prepares the destination, tests the file names on disk, and records the
    /// contents that the plan needs.
    pub(super) fn open(&self, target: &Target) -> Result<DestinationWriter> {
        let writer = self.destination.open()?;
        let files = self.plan.files.iter();
        let paths: Vec<_> = files.map(|file| &file.file.path).collect();
        writer.check_names(&paths)?;
        let mut key = target.fetch_key();
        // A repair of the published commit leaves the download of a newer one as it is.
        key.is_by_hand |= !self.moves_ref;
        writer.begin(&key, &self.plan)?;
        Ok(writer)
    }

    /// Counts the bytes of stored files that are fetched again and replaced.
    pub(super) fn replaced_bytes(&self) -> u64 {
        let fetches = self.plan.fetches();
        let replaced = fetches.filter(|it| self.distrusted.contains(&it.file.content));
        replaced.map(|it| it.file.size_bytes).sum()
    }

    /// Returns the kinds of links by which a content may be taken from a file. A blob
    /// that is a second name of a file that its owner keeps could be damaged.
    pub(super) fn sharing_with(&self, content: &ContentId, from: &Path) -> Sharing {
        match self.adopted.find(content, from) {
            Some(file) if !file.moves || has_two_names(from) => Sharing::OwnBytes,
            _ => self.destination.sharing(),
        }
    }
}

/// Checks all targets, several at a time, and returns the results in their order.
pub fn check_all(
    clients: &HubClients,
    xet: Option<&XetStorage>,
    choice: &CacheChoice,
    targets: &[Target],
    bad: &BadFiles,
) -> Vec<Result<Checked>> {
    let results = map_at_once(targets, QUESTIONS_AT_ONCE, |target| {
        check(clients, xet, choice, target, bad, &has_content)
    });
    let results = results.into_iter();
    results
        .map(|result| result.unwrap_or_else(|| Err(anyhow!("the check ended without a result"))))
        .collect()
}

/// Checks one target: one request where nothing has changed.
///
/// With `xet` it also plans deltas of changed files. `prove` decides about files
/// of a directory that have no metadata.
pub fn check(
    clients: &HubClients,
    xet: Option<&XetStorage>,
    choice: &CacheChoice,
    target: &Target,
    bad: &BadFiles,
    prove: Prove<'_>,
) -> Result<Checked> {
    // Before the request to the Hub: a rollback that holds a model also writes.
    let destination = TargetDestination::new(choice, target)?;
    let hub = &clients.with_token(target.token_name.as_ref())?;
    let upstream = upstream::find(hub, target, &destination);
    let upstream = upstream.map_err(|err| explain(hub, target, err))?;
    let commit = &upstream.commit;
    if let Some(held) = target.held_commit.as_ref().filter(|held| *held != commit) {
        let path = destination.readable_at(held);
        let commit = upstream.commit;
        return Ok(Checked::Held { commit, path });
    }
    let known = destination.stored_listing(commit)?;
    let old_commit = destination.published(target, known.as_ref())?;
    let is_read_here = destination.is_read_at(&target.revision, commit)?;
    if let Some(remote) = &known
        && is_read_here
        && old_commit.as_ref() == Some(commit)
        && let Some(reused) = files_in_place(&destination, target, remote, bad)?
    {
        return Ok(Checked::Unchanged(Unchanged {
            amount: remote.amount(Some(&target.filter)),
            reused,
            destination,
            commit: upstream.commit,
            renamed_to: upstream.renamed_to,
            terms: upstream.terms,
            note: upstream.note,
        }));
    }
    let remote = known.map_or_else(|| hub.tree(&target.repo, commit), Ok)?;
    check_required(&remote, target)?;
    target.check_locked_files(&remote)?;
    let filter = target.shared_filter();
    let facts = destination.facts(&remote, &filter, old_commit.as_ref(), prove)?;
    let new = NewCommit {
        upstream,
        destination,
        remote,
        old_commit,
        is_read_here,
        facts,
    };
    let mut checked = hold_or_plan(hub, choice, target, bad, new)?;
    // A forced sync reuses no stored bytes.
    if let Checked::Planned(planned) = &mut checked
        && let Some(xet) = xet.filter(|_| !target.force)
    {
        add_deltas(hub, xet, target, bad, planned);
    }
    Ok(checked)
}

/// Explains why the Hub does not show a repository or a revision.
fn explain(hub: &HubClient, target: &Target, err: Error) -> Error {
    match err.downcast() {
        // Not at each tick for a model that is gone: a typing error is made by hand.
        Ok(error) if target.model.is_none() && !target.needs_token => {
            hub.explain_type(error).into()
        }
        Ok(error) => hub.explain_absence(error, target.needs_token).into(),
        Err(err) => err,
    }
}

/// A commit that is not in place, with the facts of the disk.
struct NewCommit {
    upstream: Upstream,
    destination: TargetDestination,
    remote: RemoteSnapshot,
    /// The commit that is published.
    old_commit: Option<CommitSha>,
    is_read_here: bool,
    facts: LocalFacts,
}

/// Plans a commit unless it is held.
fn hold_or_plan(
    hub: &HubClient,
    choice: &CacheChoice,
    target: &Target,
    bad: &BadFiles,
    new: NewCommit,
) -> Result<Checked> {
    let NewCommit {
        upstream,
        destination,
        remote,
        old_commit,
        is_read_here,
        mut facts,
    } = new;
    let update = Update {
        target,
        destination: &destination,
        remote: &remote,
        old_commit: old_commit.as_ref(),
        old_paths: &facts.previous,
        hub,
        terms: &upstream.terms,
        rules: &choice.guards,
        has_tag_moved: upstream.note.has_tag_moved,
        history: OnceCell::new(),
        auto_maps: RefCell::default(),
    };
    let hold = update.hold()?;
    let changes = update.changes().map(Box::new);
    if let Some(hold) = hold {
        let published = hold.published.as_ref();
        let published = published.map(|commit| destination.readable_at(commit));
        return Ok(Checked::Waiting {
            published: published.map(|path| (path, update.published_amount())),
            hold,
            renamed_to: upstream.renamed_to,
            changes,
            note: upstream.note,
        });
    }
    let unjudged = update.unjudged()?;
    let wanted = remote.selected(&target.shared_filter());
    let adopted = add_adopted(&mut facts, &choice.adopted, &wanted);
    let planned = Box::new(Planned {
        renamed_to: upstream.renamed_to,
        note: upstream.note,
        is_read_here,
        adopted,
        changes,
        unjudged,
        terms: upstream.terms,
        ..plan(destination, remote, old_commit, facts, target, bad)?
    });
    if upstream.is_gated {
        check_access(hub, target, &planned)?;
    }
    Ok(Checked::Planned(planned))
}

/// Plans the changes of a commit from the facts of the disk.
fn plan(
    destination: TargetDestination,
    remote: RemoteSnapshot,
    old_commit: Option<CommitSha>,
    mut facts: LocalFacts,
    target: &Target,
    bad: &BadFiles,
) -> Result<Planned> {
    leave_out_bad_sources(&mut facts, &destination, bad);
    let filter = target.shared_filter();
    // The files of siblings are not fetched again.
    let forced = if target.force {
        remote.selected(&target.filter)
    } else {
        Vec::new()
    };
    let forced: BTreeSet<&RepoPath> = forced.into_iter().map(|file| &file.path).collect();
    let distrusted = distrust_files(&mut facts, &remote.selected(&filter), &forced, |file| {
        let is_bad = is_bad(&destination, &remote.commit, file, bad);
        if is_bad {
            let label = target.label();
            log::info!("{label}: `{}` is damaged and is fetched again", file.path);
        }
        is_bad
    });
    let placement = destination.likely_placement();
    let plan = plan_sync(&remote, &filter, &placement, &facts)?;
    let kept = plan.in_destination().map(|planned| {
        let file = &planned.file;
        let path = match planned.action {
            Action::Keep => destination.read_as(&remote.commit, file),
            _ => destination.stored(&file.content),
        };
        let stamp = stamp_at(&path).ok().flatten();
        (file, (path, stamp))
    });
    Ok(Planned {
        reused: reused(kept),
        moves_ref: target.model.is_some() || !hides_files(&remote, target, &facts.previous),
        local_reads: LocalReads::default(),
        adopted: AdoptedSources::default(),
        changes: None,
        unjudged: BTreeSet::new(),
        terms: Terms::default(),
        renamed_to: None,
        note: PolicyNote::default(),
        destination,
        remote,
        plan,
        old_commit,
        is_read_here: true,
        distrusted,
    })
}

/// Adds deltas to the plan of a target.
fn add_deltas(
    hub: &HubClient,
    xet: &XetStorage,
    target: &Target,
    bad: &BadFiles,
    planned: &mut Planned,
) {
    let (destination, remote) = (&planned.destination, &planned.remote);
    let noted = destination.noted_commit(remote);
    let asker = Asker {
        hub,
        xet,
        target,
        destination,
        remote,
        old_commit: planned.old_commit.as_ref().or(noted.as_ref()),
        // No caller waits for a check that is no longer needed.
        goes_on: &|| true,
        bad: &|file| {
            let is_bad = is_bad(destination, &remote.commit, file, bad);
            is_bad.then(|| destination.read_as(&remote.commit, file))
        },
    };
    asker.add_deltas(&mut planned.plan);
}

/// Checks that a commit has the files that the target requires.
pub(super) fn check_required(remote: &RemoteSnapshot, target: &Target) -> Result<()> {
    for path in &target.required {
        if !remote.files.iter().any(|file| file.path == *path) {
            return Err(MissingFile {
                path: path.to_string(),
                repo: target.repo.to_string(),
                commit: remote.commit.short().to_owned(),
                present: remote.examples(),
                nearest: remote.nearest(path).map(ToString::to_string),
            }
            .into());
        }
    }
    Ok(())
}

/// A required file does not exist in the repository.
#[derive(Debug, thiserror::Error)]
#[error("`{repo}` has no file `{path}` at {commit}; it has {present}")]
pub struct MissingFile {
    path: String,
    repo: String,
    commit: String,
    /// Some of the repository's files, as text.
    present: String,
    nearest: Option<String>,
}

impl MissingFile {
    pub fn hint(&self) -> Option<String> {
        let path = &self.path;
        if let Some(nearest) = &self.nearest {
            return Some(format!("did you mean `{nearest}`? nothing was changed"));
        }
        if path.contains(['*', '?']) {
            return Some(format!("write a pattern as `--include '{path}'`"));
        }
        let may_be_repo = !path.contains(['/', '.']);
        may_be_repo.then(|| format!("if `{path}` is a repository, write `hf.co/{path}`"))
    }
}
