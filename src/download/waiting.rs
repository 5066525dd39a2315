//! Files that no connection has begun yet: by lane, and in each by rank.

use std::collections::BTreeMap;

use super::budget::LEAST_REQUEST;
use super::event::FetchJob;
use super::lane::Lane;

/// Files up to this size come in one request and are not resumed.
pub(crate) const SMALL: u64 = 1 << 20;

/// A job and its number.
pub(crate) type Numbered = (usize, FetchJob);

/// The rank, then the number: equal ranks go in the order of their adding.
type Turn = (u64, usize);

#[derive(Default)]
pub(crate) struct Waiting {
    /// None of them is empty.
    queues: Vec<Queue>,
}

struct Queue {
    lane: Lane,
    small: BTreeMap<Turn, FetchJob>,
    large: BTreeMap<Turn, FetchJob>,
}

impl Waiting {
    pub(crate) fn add(&mut self, number: usize, job: FetchJob) {
        let known = self.queues.iter().rposition(|q| q.lane.is(&job.lane));
        let index = known.unwrap_or_else(|| {
            self.queues.push(Queue {
                lane: job.lane.clone(),
                small: BTreeMap::new(),
                large: BTreeMap::new(),
            });
            self.queues.len() - 1
        });
        let queue = &mut self.queues[index];
        let jobs = match job.size_bytes <= SMALL {
            true => &mut queue.small,
            false => &mut queue.large,
        };
        jobs.insert((job.rank, number), job);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queues.is_empty()
    }

    /// Takes the first small file that fits, among the lanes that may have one.
    pub(crate) fn next_small(
        &mut self,
        may: impl Fn(&Lane) -> bool,
        fits: impl Fn(&FetchJob) -> bool,
    ) -> Option<Numbered> {
        self.next(|queue| &mut queue.small, may, fits)
    }

    /// Takes the first large file among the lanes that may have one.
    pub(crate) fn next_large(&mut self, may: impl Fn(&Lane) -> bool) -> Option<Numbered> {
        self.next(|queue| &mut queue.large, may, |_| true)
    }

    pub(crate) fn has_small(&self) -> bool {
        self.queues.iter().any(|queue| !queue.small.is_empty())
    }

    /// Returns of each lane the fewest bytes that one of its files has to ask for at once.
    pub(crate) fn least_needs(&self) -> impl Iterator<Item = (&Lane, u64)> {
        self.queues.iter().filter_map(|queue| {
            let small = queue.small.values().map(|job| job.size_bytes).min();
            let large = (!queue.large.is_empty()).then_some(LEAST_REQUEST);
            Some((&queue.lane, small.into_iter().chain(large).min()?))
        })
    }

    /// Takes everything out of some lanes.
    pub(crate) fn take_all(&mut self, of: impl Fn(&Lane) -> bool) -> Vec<Numbered> {
        let (taken, left) = std::mem::take(&mut self.queues)
            .into_iter()
            .partition(|queue| of(&queue.lane));
        self.queues = left;
        let jobs = |queue: Queue| queue.large.into_iter().chain(queue.small);
        let taken: Vec<Queue> = taken;
        let taken = taken.into_iter().flat_map(jobs);
        taken.map(|((_, number), job)| (number, job)).collect()
    }

    fn next(
        &mut self,
        jobs: impl Fn(&mut Queue) -> &mut BTreeMap<Turn, FetchJob>,
        may: impl Fn(&Lane) -> bool,
        fits: impl Fn(&FetchJob) -> bool,
    ) -> Option<Numbered> {
        let mut first: Option<(Turn, usize)> = None;
        for (index, queue) in self.queues.iter_mut().enumerate() {
            let Some(next) = jobs(queue).keys().next().copied() else {
                continue;
            };
            let is_earlier = |turn| first.is_none_or(|(earliest, _)| turn < earliest);
            if !is_earlier(next) || !may(&queue.lane) {
                continue;
            }
            let fitting = jobs(queue).iter().find(|(_, job)| fits(job));
            if let Some((turn, _)) = fitting.filter(|(turn, _)| is_earlier(**turn)) {
                first = Some((*turn, index));
            }
        }
        let (turn, index) = first?;
        let (number, job) = (turn.1, jobs(&mut self.queues[index]).remove(&turn)?);
        let queue = &self.queues[index];
        if queue.small.is_empty() && queue.large.is_empty() {
            self.queues.swap_remove(index);
        }
        Some((number, job))
    }
}
