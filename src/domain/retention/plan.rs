//! The plan: each revision of each folder, oldest first, with a verdict.

use std::borrow::Borrow;
use std::collections::{BTreeMap, BTreeSet};

use super::history::{PublishedRevision, UpstreamAnswer, latest_first};
use crate::domain::content::ContentId;
use crate::domain::deletion::{Reason, Refusal};
use crate::domain::outcome::words;
use crate::domain::repo::CommitSha;
use crate::domain::time::Timestamp;
use crate::domain::units::{ByteSize, Seconds};

/// The needs of one model in the folder of its repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelClaim {
    pub published: Option<CommitSha>,
    pub held: Option<CommitSha>,
    /// Commits that the model is kept at, by its revision, its policy or a lock file,
    /// whether they were fetched or not.
    pub pinned: BTreeSet<CommitSha>,
    /// The update that waits for a person.
    pub waiting: Option<CommitSha>,
    /// The commits to whose files symbolic links of views lead.
    pub linked_by_views: Vec<CommitSha>,
    /// The number of revisions to keep, the current one included. Nought keeps the
    /// current one all the same; from two on one can be gone back to.
    pub keep: u32,
    pub history: Vec<PublishedRevision>,
    /// Set if revisions of this model may be removed; otherwise it only keeps.
    pub is_meant: bool,
}

/// One repository's folder: several models may share it, by other branches or filters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FolderFacts {
    pub models: Vec<ModelClaim>,
    pub snapshots: BTreeMap<CommitSha, SnapshotFacts>,
    pub named_by_refs: BTreeSet<CommitSha>,
    /// The bytes that the removal of a content frees; none where its bytes have
    /// other names or lie elsewhere.
    pub gains: BTreeMap<ContentId, u64>,
    /// Contents that another program has open.
    pub open: BTreeSet<ContentId>,
    /// The size of the folder.
    pub total_bytes: u64,
}

/// One snapshot on disk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SnapshotFacts {
    /// Bytes that lie in the snapshot itself and not in blobs.
    pub own_bytes: u64,
    pub contents: BTreeSet<ContentId>,
    /// Bytes of all files that readers of the snapshot see.
    pub seen_bytes: u64,
    /// The reason of the deletion rule to keep it: its creator or a claim.
    pub refusal: Option<Refusal>,
    /// A run was killed on the way to it, and its revision has moved on since.
    pub is_abandoned: bool,
    /// Another program has one of its own files open.
    pub is_open: bool,
}

/// The limits of the command line, beyond the number of revisions of each model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RetentionRules {
    /// Nothing younger goes.
    pub older_than: Option<Seconds>,
    /// The oldest go, kept by number or not, until the folders fit.
    pub max_size: Option<ByteSize>,
    /// The oldest go, kept by number or not, until so much is gained.
    pub make_room: Option<ByteSize>,
    /// Commits that the Hub has no more are removed like all others.
    pub with_only_copies: bool,
    /// Only commits that the Hub has had since then are removed. Set for removals that
    /// no person confirms: a commit without an answer may be the only copy.
    pub confirmed_since: Option<Timestamp>,
}

/// A revision that was published more recently is never removed to make room.
const YOUNGEST_FOR_ROOM: Seconds = Seconds(7 * 86_400);

/// Returns the rule of `prune.auto`: when `cache.max_size` or `disk.reserve` leaves no
/// room for a download, revisions that were published more than 7 days ago and are
/// neither published, pinned, locked, held, waiting for approval, shown by a view, a
/// rollback target nor the only copy are removed, oldest first, until it fits; if it
/// cannot fit, nothing is removed.
pub fn room_rules(room: ByteSize) -> RetentionRules {
    RetentionRules {
        older_than: Some(YOUNGEST_FOR_ROOM),
        make_room: Some(room),
        ..RetentionRules::default()
    }
}

/// The decision about every revision, in the order of the folders.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RetentionPlan {
    /// For each folder its revisions, oldest first.
    pub folders: Vec<Vec<RevisionVerdict>>,
    /// The size of the folders after the plan.
    pub bytes_left: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevisionVerdict {
    pub commit: CommitSha,
    /// `None`: no model has had it.
    pub published_at: Option<Timestamp>,
    /// The bytes that the disk gains by the removal, after the removals before it. For a
    /// revision that stays: the bytes that no other revision has.
    pub size_bytes: u64,
    pub verdict: RetentionDecision,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetentionDecision {
    Go(Reason),
    Stay(StayReason),
}

words! {
    /// The reason why a revision stays.
    StayReason {
        Published = "it is the published revision",
        Held = "a rollback holds it",
        Pinned = "a model is kept at this commit",
        Waiting = "it is an update that waits for approval",
        OnlyCopy = "it exists nowhere else any more",
        ShownByView = "links of a view lead to it",
        RollbackTarget = "it is the revision to go back to",
        /// No published revision is on disk, and this is the best there is.
        Latest = "it is the latest on disk",
        NamedByRef = "a branch or tag points to it",
        /// The published revision has none of them, or a small part.
        LastWithFiles = "it is the last revision that had the files",
        OtherHome = "another hfdl home claims it",
        BeingFetched = "another program is fetching this repository",
        NotOurs = "another program put it there",
        Changed = "it is not as hfdl wrote it",
        OfNoModel = "it was not published for a model",
        OfOtherModel = "it belongs to a model that was not named",
        AmongNewest = "it is among the revisions to keep",
        TooYoung = "it is younger than what may go",
        Unconfirmed = "the Hub did not say that it still has it",
        Open = "another program has it open",
    }
}

impl From<Refusal> for StayReason {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NamedByRef => Self::NamedByRef,
            Refusal::OtherHome => Self::OtherHome,
            Refusal::NotOurs => Self::NotOurs,
            Refusal::Changed => Self::Changed,
            Refusal::Open => Self::Open,
            _ => Self::BeingFetched,
        }
    }
}

impl RetentionPlan {
    /// Returns the revisions of a folder that stay.
    pub fn staying(&self, folder: usize) -> BTreeSet<CommitSha> {
        let verdicts = self.folders.get(folder).into_iter().flatten();
        verdicts
            .filter(|verdict| matches!(verdict.verdict, RetentionDecision::Stay(_)))
            .map(|verdict| verdict.commit.clone())
            .collect()
    }
}

/// Decides about all revisions of some folders.
///
/// The number of revisions comes first. If the folders hold too much after
/// that, the oldest of those that only their number keeps go as well, whichever
/// folder they are in.
pub fn plan_retention(
    folders: &[impl Borrow<FolderFacts>],
    rules: RetentionRules,
    now: Timestamp,
) -> RetentionPlan {
    let folders: Vec<&FolderFacts> = folders.iter().map(Borrow::borrow).collect();
    let states = folders.iter().map(|facts| FolderState::new(facts));
    let mut states: Vec<FolderState<'_>> = states.collect();
    let mut revisions = judge_all(&folders, rules, now);
    let before: u64 = folders.iter().map(|facts| facts.total_bytes).sum();
    let mut total = before;
    for revision in &mut revisions {
        if let Wish::Go(reason) = revision.wish {
            revision.try_to_go(&mut states, reason, &mut total);
        }
    }
    for revision in &mut revisions {
        let is_too_much = rules.max_size.is_some_and(|most| total > most.bytes());
        let gained = before.saturating_sub(total);
        let has_no_room = rules.make_room.is_some_and(|room| gained < room.bytes());
        if (is_too_much || has_no_room) && revision.wish == Wish::StayByNumber {
            revision.try_to_go(&mut states, Reason::BeyondSize, &mut total);
        }
    }

    let mut plan = RetentionPlan {
        folders: vec![Vec::new(); folders.len()],
        bytes_left: total,
    };
    for revision in revisions {
        let (verdict, size_bytes) = match (revision.gained, revision.wish) {
            (Some((reason, bytes)), _) => (RetentionDecision::Go(reason), bytes),
            (None, wish) => {
                let held = states[revision.folder].gain_of(revision.commit);
                let reason = match wish {
                    Wish::Stay(reason) => reason,
                    Wish::StayByNumber => StayReason::AmongNewest,
                    Wish::Go(_) => StayReason::Open,
                };
                (RetentionDecision::Stay(reason), held)
            }
        };
        plan.folders[revision.folder].push(RevisionVerdict {
            commit: revision.commit.clone(),
            published_at: revision.published_at,
            size_bytes,
            verdict,
        });
    }
    plan
}

/// Judges each revision by itself, and returns them from the oldest to the newest.
fn judge_all<'f>(
    folders: &[&'f FolderFacts],
    rules: RetentionRules,
    now: Timestamp,
) -> Vec<JudgedRevision<'f>> {
    let mut revisions = Vec::new();
    for (folder, facts) in folders.iter().enumerate() {
        for (commit, snapshot) in &facts.snapshots {
            let published_at = published_at(facts, commit);
            let mut wish = wish(facts, commit, snapshot, rules);
            let is_young = published_at
                .zip(rules.older_than)
                .is_some_and(|(at, span)| now.duration_since(at) <= span.span());
            if is_young && !matches!(wish, Wish::Stay(_)) {
                wish = Wish::Stay(StayReason::TooYoung);
            }
            revisions.push(JudgedRevision {
                folder,
                commit,
                published_at,
                wish,
                gained: None,
            });
        }
    }
    revisions.sort_by_key(|revision| (revision.published_at, revision.commit));
    revisions
}

/// The decision about a revision before its size and open files are considered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
    Go(Reason),
    StayByNumber,
    Stay(StayReason),
}

fn published_at(facts: &FolderFacts, commit: &CommitSha) -> Option<Timestamp> {
    let histories = facts.models.iter().flat_map(|model| &model.history);
    histories
        .filter(|revision| revision.commit == *commit)
        .map(|revision| revision.published_at)
        .max()
}

/// Combines the needs of all models for a revision: the strongest reason to keep it wins.
fn wish(
    facts: &FolderFacts,
    commit: &CommitSha,
    snapshot: &SnapshotFacts,
    rules: RetentionRules,
) -> Wish {
    let mut reasons = BTreeSet::new();
    if facts.named_by_refs.contains(commit) {
        reasons.insert(StayReason::NamedByRef);
    }
    reasons.extend(snapshot.refusal.map(StayReason::from));
    let (mut is_had, mut is_meant, mut is_counted) = (false, false, false);
    let mut is_confirmed = rules.confirmed_since.is_none();
    for model in &facts.models {
        reasons.extend(model.needs(commit));
        let record = model.record_of(commit);
        let is_only_copy = record.is_some_and(|it| it.upstream.gone_at.is_some());
        if is_only_copy && !rules.with_only_copies {
            reasons.insert(StayReason::OnlyCopy);
        }
        let on_disk = model
            .history
            .iter()
            .filter(|revision| facts.snapshots.contains_key(&revision.commit));
        let order = latest_first(on_disk, model.published.as_ref());
        let Some(rank) = order.iter().position(|revision| revision.commit == *commit) else {
            continue;
        };
        is_had = true;
        is_meant |= model.is_meant;
        is_confirmed |= record.is_some_and(|it| it.was_upstream_since(rules.confirmed_since));
        if is_last_with_files(facts, &order, rank) {
            reasons.insert(StayReason::LastWithFiles);
        }
        let keep = model.keep.max(1) as usize;
        match model.rank_by_number(rank, &order, rules) {
            0 => drop(reasons.insert(StayReason::Latest)),
            1 if keep >= 2 => drop(reasons.insert(StayReason::RollbackTarget)),
            rank if rank >= keep => {}
            _ if model.is_meant => is_counted = true,
            _ => drop(reasons.insert(StayReason::OfOtherModel)),
        }
    }
    let is_abandoned = !is_had && snapshot.is_abandoned;
    if is_abandoned && reasons.is_empty() {
        return Wish::Go(Reason::NothingUsesIt);
    }
    if !is_had {
        reasons.insert(StayReason::OfNoModel);
    } else if !is_meant {
        reasons.insert(StayReason::OfOtherModel);
    } else if !is_confirmed {
        reasons.insert(StayReason::Unconfirmed);
    }
    match reasons.first() {
        Some(reason) => Wish::Stay(*reason),
        None if is_counted => Wish::StayByNumber,
        None => Wish::Go(Reason::BeyondNumber),
    }
}

impl ModelClaim {
    /// Returns the reasons for which a model needs a commit whatever its number.
    fn needs(&self, commit: &CommitSha) -> impl Iterator<Item = StayReason> {
        let is = |one: &Option<CommitSha>| one.as_ref() == Some(commit);
        let needs = [
            (is(&self.published), StayReason::Published),
            (is(&self.held), StayReason::Held),
            (self.pinned.contains(commit), StayReason::Pinned),
            (is(&self.waiting), StayReason::Waiting),
            (
                self.linked_by_views.contains(commit),
                StayReason::ShownByView,
            ),
        ];
        let needs = needs.into_iter();
        needs.filter_map(|(is_needed, reason)| is_needed.then_some(reason))
    }

    fn record_of(&self, commit: &CommitSha) -> Option<&PublishedRevision> {
        self.history
            .iter()
            .find(|revision| revision.commit == *commit)
    }

    /// Returns the rank of a revision among those that the number of revisions to keep
    /// is about: a revision that stays for a reason of its own takes the place of no other.
    fn rank_by_number(
        &self,
        rank: usize,
        order: &[&PublishedRevision],
        rules: RetentionRules,
    ) -> usize {
        let stays_anyhow = |revision: &&&PublishedRevision| {
            let is_only_copy = revision.upstream.gone_at.is_some() && !rules.with_only_copies;
            let mut needs = self.needs(&revision.commit);
            let is_needed =
                needs.any(|it| !matches!(it, StayReason::Published | StayReason::ShownByView));
            self.published.as_ref() != Some(&revision.commit) && (is_only_copy || is_needed)
        };
        rank - order[..rank].iter().filter(stays_anyhow).count()
    }
}

impl PublishedRevision {
    /// Tells whether the Hub has had the commit at this time or later.
    fn was_upstream_since(&self, since: Option<Timestamp>) -> bool {
        let UpstreamAnswer { asked_at, gone_at } = self.upstream;
        since.is_none() || gone_at.is_none() && asked_at >= since
    }
}

/// Tells whether a revision is the last that had the files: more than ten times
/// the bytes of every later one. A repository that was emptied, or a filter that
/// selects nothing any more, must not cost the only copy.
fn is_last_with_files(facts: &FolderFacts, order: &[&PublishedRevision], rank: usize) -> bool {
    let bytes = |revision: &&PublishedRevision| {
        let snapshot = facts.snapshots.get(&revision.commit);
        snapshot.map_or(0, |snapshot| snapshot.seen_bytes)
    };
    let later = order[..rank].iter().map(bytes).max();
    later.is_some_and(|most| bytes(&order[rank]) > most.saturating_mul(10))
}

/// A revision on its way through the plan.
struct JudgedRevision<'f> {
    folder: usize,
    commit: &'f CommitSha,
    published_at: Option<Timestamp>,
    wish: Wish,
    gained: Option<(Reason, u64)>,
}

impl JudgedRevision<'_> {
    fn try_to_go(&mut self, states: &mut [FolderState<'_>], reason: Reason, total: &mut u64) {
        let state = &mut states[self.folder];
        if state.is_open(self.commit) {
            self.wish = Wish::Stay(StayReason::Open);
            return;
        }
        let bytes = state.remove(self.commit);
        *total = total.saturating_sub(bytes);
        self.gained = Some((reason, bytes));
    }
}

/// The contents of a folder while revisions are removed from it.
struct FolderState<'f> {
    facts: &'f FolderFacts,
    /// The number of remaining snapshots that use a content.
    uses: BTreeMap<ContentId, u32>,
}

impl<'f> FolderState<'f> {
    fn new(facts: &'f FolderFacts) -> Self {
        let mut uses = BTreeMap::new();
        for content in facts.snapshots.values().flat_map(|it| &it.contents) {
            *uses.entry(*content).or_default() += 1;
        }
        Self { facts, uses }
    }

    /// Returns the contents that this snapshot alone uses by now.
    fn only_here(&self, commit: &CommitSha) -> impl Iterator<Item = &'f ContentId> {
        let contents = self.facts.snapshots.get(commit).into_iter();
        let contents = contents.flat_map(|snapshot| &snapshot.contents);
        contents.filter(|content| self.uses.get(*content) == Some(&1))
    }

    /// Tells whether another program works with a snapshot: it has a file open
    /// that it can have from there alone. Open files that newer revisions share say
    /// nothing about an old one.
    fn is_open(&self, commit: &CommitSha) -> bool {
        let own_is_open = self
            .facts
            .snapshots
            .get(commit)
            .is_some_and(|it| it.is_open);
        own_is_open
            || self
                .only_here(commit)
                .any(|it| self.facts.open.contains(it))
    }

    fn gain_of(&self, commit: &CommitSha) -> u64 {
        let own = self
            .facts
            .snapshots
            .get(commit)
            .map_or(0, |it| it.own_bytes);
        let gains = self
            .only_here(commit)
            .filter_map(|it| self.facts.gains.get(it));
        own + gains.sum::<u64>()
    }

    fn remove(&mut self, commit: &CommitSha) -> u64 {
        let bytes = self.gain_of(commit);
        for content in self
            .facts
            .snapshots
            .get(commit)
            .into_iter()
            .flat_map(|it| &it.contents)
        {
            if let Some(count) = self.uses.get_mut(content) {
                *count -= 1;
            }
        }
        bytes
    }
}
