//! The one rule about deleting: a file is deleted only if this home made it for this
//! repository, no other home claims it, and it is still as it was written.
//!
//! Each home keeps a record in every folder that it writes to: commits and
//! contents that it wants (*claims*), and blobs, snapshots and partial files
//! that it created (*made*). Retention, `prune`, `models remove --delete-files`,
//! `download --delete`, the sweep and recovery gather facts from these records,
//! the database and the disk, and ask [`judge`]. A [`Permit`] is the only way
//! through `sys::removal`, where files go.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::content::ContentId;
use super::outcome::words;
use super::proof::is_same_time;
use super::repo::{CommitSha, RepoPath, Revision};
use super::time::Timestamp;

/// Claims of a home that was not seen for this long do not count any more.
pub const CLAIMS_LAST: Duration = Duration::from_secs(90 * 24 * 60 * 60);

/// A home renews the time at which it was last seen no more often than this.
pub const SEEN_EVERY: Duration = Duration::from_secs(24 * 60 * 60);

words! {
    /// The reason for a deletion.
    Reason {
        BeyondNumber = "older than the revisions to keep",
        BeyondSize = "the oldest, and more is there than may be",
        HalfDeleted = "its deletion was interrupted",
        OnlyRemovedSnapshotsUseIt = "only removed revisions use it",
        NothingUsesIt = "nothing uses it",
        WrongHash = "its bytes have a wrong hash",
        OfRemovedModel = "its model was removed",
        GoneUpstream = "it is gone upstream",
        Note = "a note of hfdl about what is gone",
        OldView = "a view shows it no more",
        Scratch = "a temporary file of this home",
        EmptyFolder = "an empty folder",
        Moved = "it was moved into the cache",
    }
}

words! {
    /// The reason against a deletion.
    Refusal {
        Kept = "kept",
        NamedByRef = "a branch or tag points to it",
        InUse = "a kept revision uses it",
        /// A kept snapshot holds something that cannot be read, which may use it.
        PerhapsInUse = "a kept revision that cannot be read may use it",
        UsedElsewhere = "another repository uses it",
        NamedByManifest = "another ollama manifest names it",
        SharedStore = "it lies in the store that repositories share",
        OtherHome = "another hfdl home claims it",
        BeingFetched = "another program is fetching this repository",
        Open = "another program has it open",
        PerhapsContinued = "an interrupted download may continue it",
        HeldUpdate = "an update that is held needs it",
        ToBeLookedAt = "its bytes have a wrong hash, which somebody may want to look at",
        NotOurs = "another program put it there",
        Changed = "it is not as hfdl wrote it",
    }
}

/// The origin of a file or snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileOrigin {
    /// The records of this home say so, and it is as it was written.
    ThisHome,
    /// This home put it there, and it was changed since.
    Changed,
    /// No record of this home knows it.
    Unknown,
}

/// The right to delete one thing, with the reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Permit {
    reason: Reason,
}

impl Permit {
    pub fn reason(self) -> Reason {
        self.reason
    }

    /// For files that this process made itself and nobody has seen, and for
    /// folders that are empty.
    pub fn scratch() -> Self {
        Self {
            reason: Reason::Scratch,
        }
    }

    pub fn empty_folder() -> Self {
        Self {
            reason: Reason::EmptyFolder,
        }
    }

    /// For the old name of an adopted file that was to be moved, after its bytes have
    /// been stored.
    pub fn moved() -> Self {
        Self {
            reason: Reason::Moved,
        }
    }

    /// For the notes of hfdl about something that is gone.
    pub fn note() -> Self {
        Self {
            reason: Reason::Note,
        }
    }
}

/// Decides about one thing. `claims` are the reasons to keep it, if any; the
/// first one is told.
pub fn judge(
    reason: Reason,
    origin: FileOrigin,
    claims: impl IntoIterator<Item = Option<Refusal>>,
) -> Result<Permit, Refusal> {
    if let Some(refusal) = claims.into_iter().flatten().next() {
        return Err(refusal);
    }
    match origin {
        FileOrigin::ThisHome => Ok(Permit { reason }),
        FileOrigin::Changed => Err(Refusal::Changed),
        FileOrigin::Unknown => Err(Refusal::NotOurs),
    }
}

/// A home as other homes see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HomeIdentity {
    /// The install id of its database.
    pub id: String,
    pub path: String,
    pub host: String,
    /// When it last looked at the folder.
    pub seen_at: Timestamp,
}

/// The size and time of a file when this home wrote it, for the records that decide
/// about deletions. The inode of `ProofStamp` is left out on purpose: user-space
/// and network file systems assign another one after each mount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OwnershipStamp {
    pub size_bytes: u64,
    /// Nanoseconds since 1970.
    pub modified: i128,
}

impl OwnershipStamp {
    /// Reports whether a file is unchanged since it was written.
    pub fn fits(&self, found: &Self) -> bool {
        self.size_bytes == found.size_bytes && is_same_time(self.modified, found.modified)
    }
}

/// One revision whose download has begun and is not finished.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnfinishedFetch {
    pub commit: CommitSha,
    pub contents: BTreeSet<ContentId>,
}

/// Identifies a download: of a registered model, or of a command by hand, which
/// may want other files of the same revision.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FetchKey {
    pub revision: Revision,
    pub is_by_hand: bool,
}

/// Downloads of a home in one folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Begun {
    /// Those under way or interrupted: their contents are claimed.
    pub fetches: BTreeMap<FetchKey, UnfinishedFetch>,
    /// Contents of earlier downloads: this home's, and claimed by none.
    pub earlier: BTreeSet<ContentId>,
    /// Commits that a model was on the way to when its revision moved on.
    pub abandoned: BTreeSet<CommitSha>,
}

impl Begun {
    /// Begins a download. One of another commit is replaced: its revision has
    /// moved. By hand the files of one commit may be asked for one by one.
    pub fn begin(&mut self, key: &FetchKey, mut fetch: UnfinishedFetch) {
        if let Some(before) = self.fetches.remove(key) {
            if before.commit == fetch.commit {
                fetch.contents.extend(before.contents);
            } else {
                self.earlier.extend(before.contents);
                // By hand a commit may have been wanted for good.
                if !key.is_by_hand {
                    self.abandoned.insert(before.commit);
                }
            }
        }
        self.abandoned.remove(&fetch.commit);
        self.fetches.insert(key.clone(), fetch);
    }

    /// Notes that a download has succeeded at a commit. That of a model wants
    /// nothing any more, nor does one by hand of another commit. One by hand of
    /// the same commit may have wanted other files; see `retain`.
    pub fn end(&mut self, key: &FetchKey, commit: Option<&CommitSha>) {
        let is_over = |of: &FetchKey, fetch: &UnfinishedFetch| {
            of.revision == key.revision
                && (of == key && !key.is_by_hand
                    || of.is_by_hand && commit.is_some_and(|it| *it != fetch.commit))
        };
        let fetches = std::mem::take(&mut self.fetches);
        for (of, fetch) in fetches {
            if is_over(&of, &fetch) {
                self.earlier.extend(fetch.contents)
            } else {
                drop(self.fetches.insert(of, fetch))
            }
        }
    }

    /// Returns the commit of the models' download that has a content.
    pub fn commit_of(&self, content: &ContentId) -> Option<&CommitSha> {
        let fetches = self.fetches.iter().filter(|(key, _)| !key.is_by_hand);
        let mut fetches = fetches.filter(|(_, fetch)| fetch.contents.contains(content));
        fetches.next().map(|(_, fetch)| &fetch.commit)
    }

    /// Ends the models' download of a commit that will not be published.
    pub fn end_commit(&mut self, commit: &CommitSha) {
        let fetches = std::mem::take(&mut self.fetches);
        for (key, fetch) in fetches {
            if !key.is_by_hand && fetch.commit == *commit {
                self.earlier.extend(fetch.contents);
            } else {
                self.fetches.insert(key, fetch);
            }
        }
    }

    /// Ends all downloads of a revision.
    pub fn end_all(&mut self, revision: &Revision) {
        let fetches = std::mem::take(&mut self.fetches);
        for (of, fetch) in fetches {
            if of.revision == *revision {
                self.earlier.extend(fetch.contents)
            } else {
                drop(self.fetches.insert(of, fetch))
            }
        }
    }

    /// Forgets contents of which nothing is left over: downloads by hand are at
    /// their end when nothing of them waits to be continued.
    pub fn retain(&mut self, is_left_over: impl Fn(&ContentId) -> bool) {
        self.earlier.retain(&is_left_over);
        self.fetches
            .retain(|key, fetch| !key.is_by_hand || fetch.contents.iter().any(&is_left_over));
    }

    pub fn is_empty(&self) -> bool {
        self.fetches.is_empty() && self.earlier.is_empty() && self.abandoned.is_empty()
    }

    fn claims(&self, content: &ContentId) -> bool {
        let mut fetches = self.fetches.values();
        fetches.any(|fetch| fetch.contents.contains(content))
    }

    fn knows(&self, content: &ContentId) -> bool {
        self.earlier.contains(content) || self.claims(content)
    }
}

/// The record of one home about one folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HomeRecord {
    /// `None` if the head of the record cannot be read.
    pub home: Option<HomeIdentity>,
    pub wanted: BTreeSet<CommitSha>,
    pub begun: Begun,
    /// Contents that this home gave a name in `blobs`.
    pub blobs: BTreeMap<ContentId, OwnershipStamp>,
    /// The names that this home put into each snapshot that it created.
    pub snapshots: BTreeMap<CommitSha, BTreeMap<RepoPath, ContentId>>,
}

impl HomeRecord {
    /// Tells whether the home claims a commit.
    pub fn claims_commit(&self, commit: &CommitSha) -> bool {
        let mut fetches = self.begun.fetches.values();
        self.wanted.contains(commit) || fetches.any(|fetch| fetch.commit == *commit)
    }

    /// Tells whether the claims are too old to count. A record without a
    /// readable head never ages: nothing says how old it is.
    pub fn is_outdated(&self, now: Timestamp) -> bool {
        let seen = self.home.as_ref().map(|home| home.seen_at);
        seen.is_some_and(|seen| now.duration_since(seen).unsigned_abs() >= CLAIMS_LAST)
    }
}

/// All records in one folder, and who works in it at this moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ownership {
    pub own: HomeRecord,
    /// Records of other homes whose claims count.
    pub others: Vec<HomeRecord>,
    /// Homes whose claims are too old to count.
    pub outdated: Vec<HomeIdentity>,
    /// Another program holds a lock of this repository, or fetches into it.
    pub is_being_fetched: bool,
}

impl Ownership {
    /// Returns why a snapshot must not go, as far as others are concerned.
    pub fn refusal_of_commit(&self, commit: &CommitSha) -> Option<Refusal> {
        let claimed = self.others.iter().any(|other| other.claims_commit(commit));
        claimed.then_some(Refusal::OtherHome).or(self.fetching())
    }

    /// Returns why a content must not go, as far as downloads are concerned.
    pub fn refusal_of_content(&self, content: &ContentId) -> Option<Refusal> {
        if self.others.iter().any(|other| other.begun.claims(content)) {
            Some(Refusal::OtherHome)
        } else if self.own.begun.claims(content) {
            Some(Refusal::PerhapsContinued)
        } else {
            self.fetching()
        }
    }

    fn fetching(&self) -> Option<Refusal> {
        self.is_being_fetched.then_some(Refusal::BeingFetched)
    }

    pub fn origin_of_blob(&self, content: &ContentId, found: &OwnershipStamp) -> FileOrigin {
        match self.own.blobs.get(content) {
            Some(written) if written.fits(found) => FileOrigin::ThisHome,
            Some(_) => FileOrigin::Changed,
            None => FileOrigin::Unknown,
        }
    }

    /// Tells who began a download of a content; partial files change all the time.
    pub fn origin_of_partial(&self, content: &ContentId) -> FileOrigin {
        if self.own.begun.knows(content) {
            FileOrigin::ThisHome
        } else {
            FileOrigin::Unknown
        }
    }

    /// Tells whether other homes whose claims count use the folder.
    pub fn is_shared(&self) -> bool {
        !self.others.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(size_bytes: u64, modified: i128) -> OwnershipStamp {
        OwnershipStamp {
            size_bytes,
            modified,
        }
    }

    #[test]
    fn only_what_is_ours_and_unclaimed_may_go() {
        let reason = Reason::NothingUsesIt;
        let free = [None, None];
        let permit = judge(reason, FileOrigin::ThisHome, free).unwrap();
        assert_eq!(permit.reason(), reason);
        assert_eq!(
            judge(reason, FileOrigin::Unknown, free),
            Err(Refusal::NotOurs)
        );
        assert_eq!(
            judge(reason, FileOrigin::Changed, free),
            Err(Refusal::Changed)
        );
        for refusal in Refusal::ALL {
            let claims = [None, Some(*refusal), Some(Refusal::Open)];
            assert_eq!(judge(reason, FileOrigin::ThisHome, claims), Err(*refusal));
        }
    }

    #[test]
    fn a_file_is_known_by_size_and_time_also_where_times_are_coarse() {
        let written = stamp(5, 1_700_000_001_234_567_891);
        assert!(written.fits(&written));
        assert!(
            written.fits(&stamp(5, 1_700_000_001_000_000_000)),
            "seconds"
        );
        assert!(written.fits(&stamp(5, 1_700_000_000_000_000_000)), "FAT");
        assert!(!written.fits(&stamp(6, written.modified)));
        assert!(!written.fits(&stamp(5, written.modified + 1)));
        assert!(!written.fits(&stamp(5, 1_699_999_999_000_000_000)));
    }

    #[test]
    fn claims_end_ninety_days_after_their_home_was_last_seen() {
        let at = |seconds: i64| Timestamp::from_second(seconds).unwrap();
        let record = HomeRecord {
            home: Some(HomeIdentity {
                id: "a".into(),
                path: "/home".into(),
                host: "here".into(),
                seen_at: at(0),
            }),
            ..HomeRecord::default()
        };
        let days = |n: i64| at(n * 24 * 60 * 60);
        assert!(!record.is_outdated(days(89)));
        assert!(record.is_outdated(days(90)));
        assert!(!HomeRecord::default().is_outdated(days(9000)));
    }

    #[test]
    fn a_moved_revision_leaves_its_earlier_contents_without_a_claim() {
        let content = |n: u8| ContentId::Sha256([n; 32]);
        let fetch = |c: char, n: u8| UnfinishedFetch {
            commit: c.to_string().repeat(40).parse().unwrap(),
            contents: BTreeSet::from([content(n)]),
        };
        let mut ownership = Ownership::default();
        let begun = &mut ownership.own.begun;
        let key = FetchKey {
            revision: Revision::main(),
            is_by_hand: false,
        };
        begun.begin(&key, fetch('a', 1));
        begun.begin(&key, fetch('b', 2));
        assert_eq!(ownership.refusal_of_content(&content(1)), None);
        assert_eq!(
            ownership.refusal_of_content(&content(2)),
            Some(Refusal::PerhapsContinued)
        );
        for n in [1, 2] {
            assert_eq!(
                ownership.origin_of_partial(&content(n)),
                FileOrigin::ThisHome
            );
        }
        assert_eq!(
            ownership.origin_of_partial(&content(3)),
            FileOrigin::Unknown
        );
    }
    #[test]
    fn a_download_by_hand_lasts_until_nothing_waits_or_its_revision_moves() {
        let content = |n: u8| ContentId::Sha256([n; 32]);
        let commit = |c: char| -> CommitSha { c.to_string().repeat(40).parse().unwrap() };
        let fetch = |c: char, numbers: &[u8]| UnfinishedFetch {
            commit: commit(c),
            contents: numbers.iter().map(|n| content(*n)).collect(),
        };
        let by = |is_by_hand| FetchKey {
            revision: Revision::main(),
            is_by_hand,
        };
        let mut begun = Begun::default();
        begun.begin(&by(true), fetch('a', &[1, 2]));
        begun.begin(&by(true), fetch('a', &[3]));
        begun.end(&by(true), Some(&commit('a')));
        begun.retain(|left| *left == content(2));
        assert!(begun.claims(&content(2)), "a large file is waiting");
        begun.end(&by(false), Some(&commit('a')));
        assert!(begun.claims(&content(2)), "the model wants other files");
        let mut whole = begun.clone();
        whole.retain(|_| false);
        assert!(whole.is_empty());
        begun.end(&by(false), Some(&commit('b')));
        assert!(!begun.claims(&content(2)) && begun.knows(&content(2)));
    }
}
