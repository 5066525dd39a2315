//! The delay of updates: the newest commit that this home has known long enough.
//!
//! Decision: a commit's age counts from the time at which this home first saw it upstream.
//! The date of a commit is written by its committer: a forged old date would end the delay
//! at once, and a date in the future would never end it. A home that was off for a month
//! therefore waits once more: its commits get the whole delay too.

use std::collections::BTreeMap;

use crate::domain::hold::{Finding, HoldReason};
use crate::domain::repo::CommitSha;
use crate::domain::time::{Timestamp, believed, render_utc};
use crate::domain::units::Seconds;

/// The commits upstream that are newer than the published one, with the time at which this
/// home first saw each.
pub type SeenCommits = BTreeMap<CommitSha, Timestamp>;

/// A newer commit upstream that is too young.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpdateWait {
    /// The newest commit upstream.
    pub commit: CommitSha,
    /// The time at which the first of the waiting commits is old enough.
    pub until: Timestamp,
}

impl UpdateWait {
    /// Returns the wait as the reason to hold the commit.
    pub fn finding(&self) -> Finding {
        Finding {
            reason: HoldReason::Delay,
            detail: format!("the delay ends at {}", render_utc(self.until)),
        }
    }
}

/// The decision about the commits of a model with a delay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DelayVerdict {
    Take(CommitSha),
    Wait(UpdateWait),
    /// The history of the newest commit decides; it must be listed.
    AskHistory,
}

/// Decides without the history of `newest`, as far as that is possible: a commit may be
/// taken only if it is the newest one or an ancestor of it.
pub fn adopt_known(
    newest: &CommitSha,
    seen: &SeenCommits,
    delay: Seconds,
    now: Timestamp,
) -> DelayVerdict {
    if believed(seen.get(newest).copied(), now).is_none() {
        return DelayVerdict::AskHistory;
    }
    if is_old(newest, seen, delay, now) {
        return DelayVerdict::Take(newest.clone());
    }
    if seen.keys().any(|commit| is_old(commit, seen, delay, now)) {
        return DelayVerdict::AskHistory;
    }
    DelayVerdict::Wait(wait(newest, seen, delay, now))
}

/// Decides with the history: the commits from the newest one down to the published one,
/// without that one, newest first. Commits that keep coming delay no older one.
pub fn adopt_from(
    history: &[CommitSha],
    seen: &SeenCommits,
    delay: Seconds,
    now: Timestamp,
) -> Option<DelayVerdict> {
    let newest = history.first()?;
    let old = history
        .iter()
        .find(|commit| is_old(commit, seen, delay, now));
    Some(match old {
        Some(old) => DelayVerdict::Take(old.clone()),
        None => DelayVerdict::Wait(wait(newest, seen, delay, now)),
    })
}

/// Returns the record of a history: known commits keep their time, the others are first
/// seen now. So is a commit whose time lies in the future: the clock was set back.
pub fn note_seen(history: &[CommitSha], seen: &SeenCommits, now: Timestamp) -> SeenCommits {
    let since = |commit: &CommitSha| believed(seen.get(commit).copied(), now).unwrap_or(now);
    let noted = history.iter().map(|commit| (commit.clone(), since(commit)));
    noted.collect()
}

fn is_old(commit: &CommitSha, seen: &SeenCommits, delay: Seconds, now: Timestamp) -> bool {
    let since = believed(seen.get(commit).copied(), now);
    since.is_some_and(|since| ready_at(since, delay) <= now)
}

fn ready_at(since: Timestamp, delay: Seconds) -> Timestamp {
    since.saturating_add(delay.span()).unwrap_or(Timestamp::MAX)
}

fn wait(newest: &CommitSha, seen: &SeenCommits, delay: Seconds, now: Timestamp) -> UpdateWait {
    let since = seen.values().filter_map(|since| believed(*since, now));
    let first = since.map(|since| ready_at(since, delay)).min();
    UpdateWait {
        commit: newest.clone(),
        until: first.unwrap_or_else(|| ready_at(now, delay)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const DAY: i64 = 86_400;
    const DELAY: Seconds = Seconds(7 * DAY as u64);

    fn day(n: i64) -> Timestamp {
        Timestamp::from_second(1_790_000_000 + n * DAY).unwrap()
    }

    fn commit(n: usize) -> CommitSha {
        format!("{n:040x}").parse().unwrap()
    }

    /// Returns a history of these commits, given oldest first.
    fn history(numbers: impl DoubleEndedIterator<Item = usize>) -> Vec<CommitSha> {
        numbers.rev().map(commit).collect()
    }

    #[test]
    fn a_single_commit_is_taken_after_its_delay() {
        let newest = commit(1);
        let ask = adopt_known(&newest, &SeenCommits::new(), DELAY, day(0));
        assert_eq!(ask, DelayVerdict::AskHistory);
        let seen = note_seen(std::slice::from_ref(&newest), &SeenCommits::new(), day(0));
        let wait = DelayVerdict::Wait(UpdateWait {
            commit: newest.clone(),
            until: day(7),
        });
        assert_eq!(adopt_known(&newest, &seen, DELAY, day(0)), wait);
        assert_eq!(adopt_known(&newest, &seen, DELAY, day(6)), wait);
        assert_eq!(
            adopt_known(&newest, &seen, DELAY, day(7)),
            DelayVerdict::Take(newest)
        );
    }

    #[test]
    fn a_commit_that_is_no_ancestor_any_more_is_not_taken() {
        let seen = note_seen(&history(1..3), &SeenCommits::new(), day(0));
        // Rewritten: commit 3 stands alone.
        assert_eq!(
            adopt_known(&commit(3), &seen, DELAY, day(8)),
            DelayVerdict::AskHistory
        );
        let rewritten = history(3..4);
        let seen = note_seen(&rewritten, &seen, day(8));
        let found = adopt_from(&rewritten, &seen, DELAY, day(8));
        let wait = UpdateWait {
            commit: commit(3),
            until: day(15),
        };
        assert_eq!(found, Some(DelayVerdict::Wait(wait)));
        assert!(!seen.contains_key(&commit(1)));
    }

    #[test]
    fn a_clock_that_was_set_back_starts_the_delay_anew() {
        let newest = commit(1);
        let seen = note_seen(std::slice::from_ref(&newest), &SeenCommits::new(), day(100));
        assert_eq!(
            adopt_known(&newest, &seen, DELAY, day(0)),
            DelayVerdict::AskHistory
        );
        let seen = note_seen(std::slice::from_ref(&newest), &seen, day(0));
        assert_eq!(seen[&newest], day(0));
    }

    #[test]
    fn daily_commits_are_taken_a_week_late_each_day() {
        let mut seen = SeenCommits::new();
        let mut taken = Vec::new();
        for today in 0..20 {
            let published = taken.last().copied().unwrap_or(0);
            let n = today as usize + 1;
            let history = history(published + 1..n + 1);
            seen = note_seen(&history, &seen, day(today));
            if let Some(DelayVerdict::Take(found)) = adopt_from(&history, &seen, DELAY, day(today))
            {
                taken.push(
                    (published + 1..n + 1)
                        .find(|n| commit(*n) == found)
                        .unwrap(),
                );
            }
        }
        assert_eq!(taken, (1..14).collect::<Vec<_>>());
    }

    proptest! {
        #[test]
        fn a_taken_commit_is_old_and_no_newer_one_is(
            ages in prop::collection::vec(prop::option::of(-3i64..20), 1..9), delay in 0u64..12,
        ) {
            let delay = Seconds(delay * DAY as u64);
            let history = history(0..ages.len());
            let ages = || ages.iter().enumerate();
            let seen: SeenCommits = ages()
                .filter_map(|(n, age)| Some((commit(n), day(100 - (*age)?)))).collect();
            let is_old = |n: usize| ages().nth(n).and_then(|(_, age)| *age)
                .is_some_and(|age| age >= 0 && age * DAY >= delay.0 as i64);
            let newest_old = (0..history.len()).rev().find(|n| is_old(*n)).map(commit);
            match adopt_from(&history, &seen, delay, day(100)).unwrap() {
                DelayVerdict::Take(found) => prop_assert_eq!(Some(found), newest_old),
                DelayVerdict::Wait(wait) => {
                    prop_assert_eq!(newest_old, None);
                    prop_assert!(wait.until > day(100) || delay.0 == 0);
                }
                DelayVerdict::AskHistory => prop_assert!(false),
            }
            // Without the history the answer is the same, or none.
            let known = adopt_known(&history[0], &seen, delay, day(100));
            let full = adopt_from(&history, &seen, delay, day(100)).unwrap();
            prop_assert!(known == DelayVerdict::AskHistory || known == full);
        }
    }
}
