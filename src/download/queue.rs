//! The queue of files that no connection has started, by limit group and rank.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::budget::MIN_REQUEST;
use super::event::{FetchJob, FileId};
use super::limits::LimitGroup;

/// Largest size that is fetched in one request and not resumed.
pub const SMALL_FILE_MAX: u64 = 1 << 20;

/// A job with its number.
pub(crate) type NumberedJob = (FileId, Arc<FetchJob>);

/// Rank and job number: equal ranks keep the order in which they were added.
type QueueKey = (u64, FileId);

#[derive(Default)]
pub(crate) struct FileQueue {
    /// None of the queues is empty.
    queues: Vec<Queue>,
}

struct Queue {
    limits: LimitGroup,
    small: BTreeMap<QueueKey, Arc<FetchJob>>,
    large: BTreeMap<QueueKey, Arc<FetchJob>>,
}

impl FileQueue {
    pub(crate) fn add(&mut self, id: FileId, job: Arc<FetchJob>) {
        let known = self
            .queues
            .iter()
            .rposition(|q| q.limits.is_same(&job.limits));
        let index = known.unwrap_or_else(|| {
            self.queues.push(Queue {
                limits: job.limits.clone(),
                small: BTreeMap::new(),
                large: BTreeMap::new(),
            });
            self.queues.len() - 1
        });
        let queue = &mut self.queues[index];
        let jobs = if job.size_bytes <= SMALL_FILE_MAX {
            &mut queue.small
        } else {
            &mut queue.large
        };
        jobs.insert((job.rank, id), job);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queues.is_empty()
    }

    /// Takes the first small file that `fits`, from the groups that `may` start one.
    pub(crate) fn next_small(
        &mut self,
        may: impl Fn(&LimitGroup) -> bool,
        fits: impl Fn(&FetchJob) -> bool,
    ) -> Option<NumberedJob> {
        self.next(|queue| &mut queue.small, may, fits)
    }

    /// Takes the first large file from the groups that `may` start one.
    pub(crate) fn next_large(&mut self, may: impl Fn(&LimitGroup) -> bool) -> Option<NumberedJob> {
        self.next(|queue| &mut queue.large, may, |_| true)
    }

    pub(crate) fn has_small(&self) -> bool {
        self.queues.iter().any(|queue| !queue.small.is_empty())
    }

    /// Returns the smallest possible request of each limit group, or 0 where every small file
    /// fits into the budgets: a connection without work must not search a hundred thousand files.
    pub(crate) fn min_requests(&self) -> impl Iterator<Item = (&LimitGroup, u64)> {
        self.queues.iter().filter_map(|queue| {
            let mut sizes = queue.small.values().map(|job| job.size_bytes);
            let small = if queue.limits.bytes_left() >= SMALL_FILE_MAX {
                sizes.next().map(|_| 0)
            } else {
                sizes.min()
            };
            let large = (!queue.large.is_empty()).then_some(MIN_REQUEST);
            Some((&queue.limits, small.into_iter().chain(large).min()?))
        })
    }

    /// Removes all jobs of matching limit groups.
    pub(crate) fn take_all(&mut self, of: impl Fn(&LimitGroup) -> bool) -> Vec<NumberedJob> {
        let (taken, left): (Vec<Queue>, Vec<Queue>) = std::mem::take(&mut self.queues)
            .into_iter()
            .partition(|queue| of(&queue.limits));
        self.queues = left;
        taken
            .into_iter()
            .flat_map(|queue| queue.large.into_iter().chain(queue.small))
            .map(|((_, id), job)| (id, job))
            .collect()
    }

    fn next(
        &mut self,
        jobs: impl Fn(&mut Queue) -> &mut BTreeMap<QueueKey, Arc<FetchJob>>,
        may: impl Fn(&LimitGroup) -> bool,
        fits: impl Fn(&FetchJob) -> bool,
    ) -> Option<NumberedJob> {
        let mut first: Option<(QueueKey, usize)> = None;
        for (index, queue) in self.queues.iter_mut().enumerate() {
            let Some(next) = jobs(queue).keys().next().copied() else {
                continue;
            };
            let is_earlier = |turn| first.is_none_or(|(earliest, _)| turn < earliest);
            if !is_earlier(next) || !may(&queue.limits) {
                continue;
            }
            let fitting = jobs(queue).iter().find(|(_, job)| fits(job));
            if let Some((turn, _)) = fitting.filter(|(turn, _)| is_earlier(**turn)) {
                first = Some((*turn, index));
            }
        }
        let (turn, index) = first?;
        let (id, job) = (turn.1, jobs(&mut self.queues[index]).remove(&turn)?);
        let queue = &self.queues[index];
        if queue.small.is_empty() && queue.large.is_empty() {
            self.queues.swap_remove(index);
        }
        Some((id, job))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use super::*;
    use crate::domain::content::ContentId;
    use crate::domain::outcome::ErrorKind;
    use crate::domain::ranges::ByteRange;
    use crate::download::source::{ByteSource, ByteStream, SourceError};

    struct NoSource;

    impl ByteSource for NoSource {
        fn open(&self, _range: Option<ByteRange>) -> Result<ByteStream, SourceError> {
            Err(SourceError::transient(ErrorKind::Network, "none"))
        }
    }

    fn job(limits: &LimitGroup, size_bytes: u64) -> FetchJob {
        FetchJob {
            name: "f".into(),
            content: ContentId::Sha256([1; 32]),
            size_bytes,
            partial: "f".into(),
            evidence: Path::new("f.bad").into(),
            source: Arc::new(NoSource),
            limits: limits.clone(),
            copies: None,
            rank: 0,
        }
    }

    #[test]
    fn small_files_are_searched_for_the_smallest_only_where_one_may_not_fit() {
        let run = LimitGroup::default();
        let smallest = |limits: &LimitGroup, sizes: &[u64]| {
            let mut queue = FileQueue::default();
            for (id, size) in sizes.iter().enumerate() {
                queue.add(FileId(id), job(limits, *size).into());
            }
            let found: Vec<u64> = queue.min_requests().map(|(_, least)| least).collect();
            found
        };
        assert_eq!(smallest(&run, &[900, 800]), [0], "no budget");
        let roomy = run.child(Some(SMALL_FILE_MAX));
        assert_eq!(smallest(&roomy, &[900, 800]), [0]);
        let tight = run.child(Some(SMALL_FILE_MAX - 1));
        assert_eq!(smallest(&tight, &[900, 800]), [800]);
        assert_eq!(smallest(&tight, &[90_000, 2 << 20]), [MIN_REQUEST]);
        assert_eq!(smallest(&roomy, &[2 << 20]), [MIN_REQUEST]);
    }
}
