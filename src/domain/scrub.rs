//! Scrub: reading published files again, so that damage on disk is found.
//!
//! Each night reads the files that were proven longest ago, and no more of them than
//! keeps every proof younger than `verify.every`: work that is spread evenly disturbs
//! least. A proof with a date in the future counts as none.

use super::content::ContentId;
use super::proof::ProofStamp;
use super::shard::Shard;
use super::time::{Timestamp, believed, believed_wait, render_utc};
use super::units::{ByteSize, Seconds, count};

/// The time between two scrubs. Less than a day, so that a night whose run begins
/// earlier than the last one is not left out.
pub const SCRUB_EVERY: Seconds = Seconds(20 * 3600);

const NIGHT: i64 = 86_400;

/// The facts about a file that a scrub needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScrubFile {
    /// The date of its proof; `None` if it has none that holds.
    pub proven_at: Option<Timestamp>,
    pub size_bytes: u64,
    /// Bytes that earlier scrubs have read since.
    pub bytes_read: u64,
}

/// The files of one night.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScrubPlan {
    /// Indices of the files, the oldest proof first.
    pub order: Vec<usize>,
    /// The bytes to read now; the rest can wait for later nights.
    pub n_bytes: u64,
}

/// The result of a scrub, as `status` shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scrub {
    pub ended_at: Timestamp,
    /// No scrub begins before; `None`: the next tick continues.
    pub next_at: Option<Timestamp>,
    pub n_files: u64,
    pub n_bytes: u64,
    /// Bytes that this scrub has read.
    pub bytes_read: u64,
    /// Bytes of files without a proof that is young enough.
    pub bytes_behind: u64,
    /// Models whose files could not be listed.
    pub n_unlisted: u64,
    /// The oldest proof; `None` while a file has none.
    pub oldest_at: Option<Timestamp>,
}

/// The setting and the last scrub, for `status`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScrubState {
    /// `None`: scrubs are off.
    pub every: Option<Seconds>,
    /// `None` before the first scrub.
    pub last: Option<Scrub>,
}

/// The part of a file that earlier scrubs have read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScrubPosition {
    pub content: ContentId,
    pub stamp: ProofStamp,
    pub position: u64,
    /// The state of the hash after these bytes.
    pub state: Vec<u8>,
    /// The time at which the first byte was read: a proof is as old as its oldest byte.
    pub begun_at: Timestamp,
}

/// Decides which files a scrub reads, and how many bytes of them.
///
/// Each file has to be read before four fifths of `every` have passed, which leaves the
/// rest for nights without a run. The share is the least that keeps all of these dates,
/// if as much is read in each of the nights until then. No file is read again before a
/// quarter of `every` has passed.
pub fn plan_scrub(files: &[ScrubFile], every: Seconds, now: Timestamp) -> ScrubPlan {
    let is_ready = |file: &ScrubFile| {
        file.proven_at
            .is_none_or(|at| at <= ready_before(every, now))
    };
    let mut order: Vec<usize> = (0..files.len()).collect();
    order.retain(|&index| is_ready(&files[index]));
    // `None` sorts first; the sort is stable, so that a file read in part stays first.
    order.sort_by_key(|&index| files[index].proven_at);
    let span = every.span().as_secs();
    let (mut sum, mut share) = (0u64, 0u64);
    for file in order.iter().map(|&index| &files[index]) {
        sum = sum.saturating_add(file.size_bytes.saturating_sub(file.bytes_read));
        let left = file
            .proven_at
            .map_or(0, |at| at.as_second() + span - span / 5 - now.as_second());
        let nights = (left / NIGHT).max(1).unsigned_abs();
        share = share.max(sum.div_ceil(nights));
    }
    ScrubPlan {
        order,
        n_bytes: share,
    }
}

/// Returns the date before which a proof is old enough to be renewed.
pub fn ready_before(every: Seconds, now: Timestamp) -> Timestamp {
    before(now, Seconds(every.get() / 4))
}

fn before(now: Timestamp, span: Seconds) -> Timestamp {
    now.checked_sub(span.span()).unwrap_or(Timestamp::MIN)
}

impl Scrub {
    /// Describes the files after a scrub.
    pub fn new(
        files: &[ScrubFile],
        n_unlisted: u64,
        bytes_read: u64,
        every: Seconds,
        now: Timestamp,
    ) -> Self {
        let limit = before(now, every);
        let is_behind = |file: &&ScrubFile| file.proven_at.is_none_or(|at| at < limit);
        let sum = |files: &mut dyn Iterator<Item = &ScrubFile>| {
            files.fold(0u64, |sum, file| sum.saturating_add(file.size_bytes))
        };
        let dates: Option<Vec<Timestamp>> = files.iter().map(|file| file.proven_at).collect();
        Self {
            ended_at: now,
            next_at: None,
            n_files: files.len() as u64,
            n_bytes: sum(&mut files.iter()),
            bytes_read,
            bytes_behind: sum(&mut files.iter().filter(is_behind)),
            n_unlisted,
            oldest_at: dates.and_then(|dates| dates.into_iter().min()),
        }
    }

    /// Tells whether the time of the next scrub has come. A time that lies too far ahead
    /// was set by a clock that was wrong.
    pub fn is_over(&self, now: Timestamp) -> bool {
        believed_wait(self.next_at, now, SCRUB_EVERY).is_none()
    }

    /// Tells whether every file has a proof that is young enough now. Proofs of a clock
    /// that was ahead count as none.
    pub fn is_kept(&self, every: Seconds, now: Timestamp) -> bool {
        let limit = before(now, every);
        let is_young = self.oldest_at.is_some_and(|at| at >= limit && at <= now);
        self.n_unlisted == 0 && self.bytes_behind == 0 && (is_young || self.n_files == 0)
    }

    /// Adds the scrub of another shard.
    #[must_use]
    pub fn with(self, other: &Self) -> Self {
        let oldest = self.oldest_at.zip(other.oldest_at);
        Self {
            ended_at: self.ended_at.min(other.ended_at),
            next_at: self.next_at.min(other.next_at),
            n_files: self.n_files + other.n_files,
            n_bytes: self.n_bytes + other.n_bytes,
            bytes_read: self.bytes_read + other.bytes_read,
            bytes_behind: self.bytes_behind + other.bytes_behind,
            n_unlisted: self.n_unlisted + other.n_unlisted,
            oldest_at: if self.n_files == 0 {
                other.oldest_at
            } else if other.n_files == 0 {
                self.oldest_at
            } else {
                oldest.map(|(one, two)| one.min(two))
            },
        }
    }
}

impl ScrubState {
    /// Combines the scrubs of the shards; one of all models stands alone.
    pub fn new(every: Option<Seconds>, scrubs: &[(Shard, Scrub)]) -> Self {
        let newest = scrubs.iter().max_by_key(|(_, scrub)| scrub.ended_at);
        let is_whole = newest.is_some_and(|(shard, _)| *shard == Shard::ALL);
        let counted = scrubs
            .iter()
            .filter(|(shard, _)| (*shard == Shard::ALL) == is_whole);
        let scrubs = counted.map(|(_, scrub)| scrub.clone());
        Self {
            every,
            last: scrubs.reduce(|one, other| one.with(&other)),
        }
    }

    /// Tells whether every file was read within the time of the setting; `None` if
    /// nothing is known.
    pub fn is_kept(&self, now: Timestamp) -> Option<bool> {
        Some(self.last.as_ref()?.is_kept(self.every?, now))
    }

    /// Returns the date of the oldest proof, if all files have one.
    pub fn oldest_at(&self, now: Timestamp) -> Option<Timestamp> {
        believed(self.last.as_ref()?.oldest_at, now)
    }

    /// Describes the state in one line; `None` before the first scrub.
    pub fn describe(&self, now: Timestamp) -> Option<String> {
        let last = self.last.as_ref()?;
        let Some(every) = self.every else {
            return Some("off".to_owned());
        };
        let size = |bytes: u64| ByteSize(bytes).render_short();
        let files = count(last.n_files, "file", "files");
        let all = format!("{files} ({})", size(last.n_bytes));
        let mut text = if last.is_kept(every, now) {
            format!("all {all} within {every}")
        } else if last.bytes_behind > 0 {
            format!("{} of {all} not within {every}", size(last.bytes_behind))
        } else {
            format!("not all {all} within {every}")
        };
        if let Some(oldest) = self.oldest_at(now) {
            text.push_str(&format!(", the oldest at {}", render_utc(oldest)));
        }
        if last.n_unlisted > 0 {
            text.push_str(&format!(
                ", the files of {} unknown",
                count(last.n_unlisted, "model", "models")
            ));
        }
        Some(text)
    }
}

impl ScrubPosition {
    /// Tells whether the part that was read is still a part of this file, and young
    /// enough to be completed.
    pub fn holds_for(
        &self,
        content: &ContentId,
        found: &ProofStamp,
        every: Seconds,
        now: Timestamp,
    ) -> bool {
        self.content == *content
            && self.stamp == *found
            && self.position < found.size_bytes
            && self.begun_at <= now
            && self.begun_at >= before(now, every)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 86_400;
    const MONTH: Seconds = Seconds(30 * 86_400);

    fn at(day: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + day * DAY).unwrap()
    }

    fn file(proven: Option<i64>, size_bytes: u64) -> ScrubFile {
        ScrubFile {
            proven_at: proven.map(at),
            size_bytes,
            bytes_read: 0,
        }
    }

    #[test]
    fn files_of_one_day_are_spread_over_the_nights_until_they_are_due() {
        let files = [file(Some(0), 160), file(Some(0), 160)];
        assert_eq!(plan_scrub(&files, MONTH, at(7)), ScrubPlan::default());
        let plan = plan_scrub(&files, MONTH, at(8));
        assert_eq!((plan.order, plan.n_bytes), (vec![0, 1], 20));
        let plan = plan_scrub(&files, MONTH, at(23));
        assert_eq!(plan.n_bytes, 320, "the last night before the date");
        let plan = plan_scrub(&files, MONTH, at(50));
        assert_eq!(plan.n_bytes, 320, "long behind");
    }

    #[test]
    fn unproven_files_come_first_and_at_once() {
        let mut files = [file(Some(0), 160), file(None, 7), file(Some(9), 5)];
        let plan = plan_scrub(&files, MONTH, at(14));
        assert_eq!(plan.order, [1, 0], "the third was proven five days ago");
        assert_eq!(plan.n_bytes, 17);
        files[0].bytes_read = 160;
        assert_eq!(plan_scrub(&files, MONTH, at(14)).n_bytes, 7);
    }

    /// A month of nights, some of them left out, with files of all sizes.
    #[test]
    fn no_proof_becomes_older_than_the_setting() {
        for seed in 0..20 {
            let mut random = fastrand::Rng::with_seed(seed);
            let sizes: Vec<u64> = (0..40).map(|_| random.u64(1..1 << 20)).collect();
            let mut files: Vec<ScrubFile> = sizes.iter().map(|size| file(Some(0), *size)).collect();
            let total: u64 = sizes.iter().sum();
            for day in 1..120 {
                if random.u8(..10) == 0 {
                    continue;
                }
                let plan = plan_scrub(&files, MONTH, at(day));
                let mut left = plan.n_bytes;
                for index in plan.order {
                    let bytes = left.min(files[index].size_bytes - files[index].bytes_read);
                    left -= bytes;
                    files[index].bytes_read += bytes;
                    if files[index].bytes_read == files[index].size_bytes {
                        files[index] = file(Some(day), files[index].size_bytes);
                    }
                }
                assert!(plan.n_bytes < total / 4, "seed {seed}, day {day}");
                let scrub = Scrub::new(&files, 0, 0, MONTH, at(day));
                assert!(scrub.is_kept(MONTH, at(day)), "seed {seed}, day {day}");
            }
        }
    }

    #[test]
    fn dates_of_the_future_prove_nothing() {
        let mut scrub = Scrub::new(&[file(Some(0), 1)], 0, 0, MONTH, at(1));
        assert!(scrub.is_kept(MONTH, at(30)) && !scrub.is_kept(MONTH, at(31)));
        assert!(!scrub.is_kept(MONTH, at(-1)));
        scrub.next_at = Some(at(400));
        assert!(scrub.is_over(at(1)), "set by a clock that was ahead");
        scrub.next_at = Some(at(1));
        assert!(!scrub.is_over(at(0) + jiff::SignedDuration::from_hours(10)));
        scrub.n_unlisted = 1;
        assert!(!scrub.is_kept(MONTH, at(1)));
    }

    #[test]
    fn a_position_holds_for_the_very_file_and_not_for_ever() {
        let stamp = ProofStamp {
            size_bytes: 9,
            modified_ns: 1,
            inode: Some(1),
        };
        let content = ContentId::Sha256([1; 32]);
        let position = ScrubPosition {
            content,
            stamp,
            position: 4,
            state: vec![1],
            begun_at: at(0),
        };
        assert!(position.holds_for(&content, &stamp, MONTH, at(30)));
        assert!(!position.holds_for(&content, &stamp, MONTH, at(31)));
        assert!(!position.holds_for(&content, &stamp, MONTH, at(-1)));
        let other = ContentId::Sha256([2; 32]);
        assert!(!position.holds_for(&other, &stamp, MONTH, at(1)));
        let touched = ProofStamp {
            modified_ns: 2,
            ..stamp
        };
        assert!(!position.holds_for(&content, &touched, MONTH, at(1)));
    }
}
