//! The order of a model's revisions, the rollback target, and the age limit of
//! records of the past.

use thiserror::Error;

use crate::domain::invalid_value::shown;
use crate::domain::model::{Destination, EntryName};
use crate::domain::repo::{CommitSha, Repo};
use crate::domain::time::{Timestamp, believed};
use crate::domain::units::Seconds;

/// A commit that was published for a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishedRevision {
    pub commit: CommitSha,
    /// When it was last made the visible one.
    pub published_at: Timestamp,
    pub upstream: UpstreamAnswer,
}

/// The last answer of the Hub about one commit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UpstreamAnswer {
    pub asked_at: Option<Timestamp>,
    /// Since when the Hub has it no more. The copy on disk may be the only one.
    pub gone_at: Option<Timestamp>,
}

/// A commit of a model that the Hub has no more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OnlyCopy {
    pub model: EntryName,
    pub repo: Repo,
    pub destination: Destination,
    pub commit: CommitSha,
    pub since: Timestamp,
}

/// A commit is asked for again after this time.
const ASK_AGAIN_AFTER: Seconds = Seconds(7 * 86_400);

impl UpstreamAnswer {
    /// Tells whether the Hub should be asked about a commit: `is_news` if its
    /// repository has just changed, so that a commit may have gone with that.
    pub fn is_to_be_renewed(&self, is_news: bool, now: Timestamp) -> bool {
        let asked_at = believed(self.asked_at, now);
        let is_old = asked_at.is_none_or(|at| now.duration_since(at) >= ASK_AGAIN_AFTER.span());
        is_old || is_news && self.gone_at.is_none()
    }

    /// Returns the record after an answer.
    #[must_use]
    pub fn after(&self, is_gone: bool, now: Timestamp) -> Self {
        let gone_at = is_gone.then(|| believed(self.gone_at, now).unwrap_or(now));
        Self {
            asked_at: Some(now),
            gone_at,
        }
    }
}

/// Returns revisions in the order in which they are kept: the current one,
/// then the others by when they were last visible.
///
/// The current one is first by its name, not by its time: after a clock that
/// was set back an older revision may bear the later time.
pub fn latest_first<'r>(
    revisions: impl IntoIterator<Item = &'r PublishedRevision>,
    current: Option<&CommitSha>,
) -> Vec<&'r PublishedRevision> {
    let mut revisions: Vec<_> = revisions.into_iter().collect();
    revisions.sort_by(|a, b| {
        let is_current = |revision: &PublishedRevision| current == Some(&revision.commit);
        (is_current(b).cmp(&is_current(a)))
            .then(b.published_at.cmp(&a.published_at))
            .then(a.commit.cmp(&b.commit))
    });
    revisions
}

/// Returns the latest revision that was published before the current one.
pub fn previous_of<'r>(
    revisions: &'r [PublishedRevision],
    current: Option<&CommitSha>,
) -> Option<&'r PublishedRevision> {
    let others = revisions
        .iter()
        .filter(|revision| current != Some(&revision.commit));
    latest_first(others, current).into_iter().next()
}

/// A clock that has moved by more than this since the previous run may be wrong.
const LONGEST_TRUSTED_GAP: Seconds = Seconds(7 * 86_400);

/// Returns the date by which the age of history and logs is judged.
///
/// `last_sign` is the latest sign of life of the runs before this one. After a long
/// gap it is the date itself: if the clock is wrong, nothing is deleted because of
/// that, and if the machine was off, the next run deletes.
pub fn pruning_date(last_sign: Option<Timestamp>, now: Timestamp) -> Timestamp {
    let Some(last) = believed(last_sign, now) else {
        return now;
    };
    let gap = u64::try_from(now.duration_since(last).as_secs()).unwrap_or(0);
    if gap > LONGEST_TRUSTED_GAP.get() {
        last
    } else {
        now
    }
}

/// The shortest beginning of a commit that may stand for it.
pub const SHORTEST_PREFIX: usize = 7;

/// The reason why there is no rollback target.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NoTarget {
    #[error("no other revision of it is kept")]
    NothingElse,
    #[error("`{0}` is no commit, nor the first 7 or more digits of one")]
    NoCommit(String),
    #[error("no revision that is kept begins with `{0}`")]
    Unknown(String),
    #[error("more than one revision that is kept begins with `{0}`")]
    Ambiguous(String),
}

/// Chooses the revision that a rollback goes to: the one that was asked for by
/// its commit or the beginning of it, else the latest published before the
/// current one.
pub fn rollback_target<'r>(
    kept: &'r [PublishedRevision],
    current: Option<&CommitSha>,
    asked: Option<&str>,
) -> Result<&'r PublishedRevision, NoTarget> {
    let Some(asked) = asked else {
        return previous_of(kept, current).ok_or(NoTarget::NothingElse);
    };
    let prefix = asked.trim().to_ascii_lowercase();
    let is_hex = prefix.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !is_hex || !(SHORTEST_PREFIX..=40).contains(&prefix.len()) {
        return Err(NoTarget::NoCommit(shown(asked)));
    }
    let mut meant = kept
        .iter()
        .filter(|revision| revision.commit.as_str().starts_with(&prefix));
    match (meant.next(), meant.next()) {
        (Some(target), None) => Ok(target),
        (None, _) => Err(NoTarget::Unknown(prefix)),
        (Some(_), Some(_)) => Err(NoTarget::Ambiguous(prefix)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn revision(commit: &str, at: i64) -> PublishedRevision {
        let commit = format!("{commit}{}", "0".repeat(40 - commit.len()));
        PublishedRevision {
            commit: commit.parse().unwrap(),
            published_at: Timestamp::from_second(at).unwrap(),
            upstream: UpstreamAnswer::default(),
        }
    }

    #[test]
    fn a_commit_is_asked_for_again_after_news_and_after_a_week() {
        let at = |days: i64| Timestamp::from_second(1_900_000_000 + days * 86_400).unwrap();
        let unasked = UpstreamAnswer::default();
        let there = unasked.after(false, at(0));
        assert!(unasked.is_to_be_renewed(false, at(0)));
        assert!(!there.is_to_be_renewed(false, at(0)) && there.is_to_be_renewed(true, at(0)));
        let gone = there.after(true, at(1));
        assert_eq!(gone.gone_at, Some(at(1)));
        assert!(!gone.is_to_be_renewed(true, at(7)) && gone.is_to_be_renewed(false, at(8)));
        assert!(
            gone.is_to_be_renewed(false, at(0)),
            "the clock was set back"
        );
        assert_eq!(gone.after(true, at(8)).gone_at, Some(at(1)));
        assert_eq!(gone.after(false, at(8)).gone_at, None);
    }

    #[test]
    fn after_a_long_gap_the_previous_run_gives_the_date() {
        let at = |days: i64| Timestamp::from_second(1_900_000_000 + days * 86_400).unwrap();
        for (last, now, expected) in [
            (None, 0, 0),
            (Some(-7), 0, 0),
            (Some(-8), 0, -8),
            (Some(0), 2_000, 0),
            (Some(2_000), 0, 0),
        ] {
            assert_eq!(
                pruning_date(last.map(at), at(now)),
                at(expected),
                "{last:?} {now}"
            );
        }
    }

    #[test]
    fn without_a_wish_it_is_the_latest_before_the_current_one() {
        let kept = [revision("a", 10), revision("b", 30), revision("c", 20)];
        let of = |current: usize| {
            let current = Some(&kept[current].commit);
            rollback_target(&kept, current, None)
                .unwrap()
                .commit
                .clone()
        };
        assert_eq!(of(1), kept[2].commit);
        assert_eq!(of(2), kept[1].commit, "after a rollback it leads back");
        let alone = rollback_target(&kept[..1], Some(&kept[0].commit), None);
        assert_eq!(alone, Err(NoTarget::NothingElse));
        assert_eq!(rollback_target(&kept, None, None), Ok(&kept[1]));
    }

    #[test]
    fn a_wish_is_a_commit_or_an_unmistakable_beginning_of_one() {
        let kept = [revision("abcdef01", 1), revision("abcdef02", 2)];
        let target = |asked: &str| rollback_target(&kept, Some(&kept[1].commit), Some(asked));
        assert_eq!(target("ABCDEF01"), Ok(&kept[0]));
        assert_eq!(target(kept[0].commit.as_str()), Ok(&kept[0]));
        assert_eq!(target("abcdef02"), Ok(&kept[1]), "the current one is there");
        assert_eq!(
            target("abcdef0"),
            Err(NoTarget::Ambiguous("abcdef0".into()))
        );
        assert_eq!(target("1234567"), Err(NoTarget::Unknown("1234567".into())));
        for bad in ["", "abcdef", "main", "abcdefg", &"a".repeat(41)] {
            assert!(matches!(target(bad), Err(NoTarget::NoCommit(_))), "{bad}");
        }
    }

    #[test]
    fn the_current_revision_is_first_even_if_the_clock_was_set_back() {
        let revisions = [revision("a", 10), revision("b", 30), revision("c", 20)];
        let order = latest_first(&revisions, Some(&revisions[0].commit));
        assert_eq!(order, [&revisions[0], &revisions[1], &revisions[2]]);
    }
}
