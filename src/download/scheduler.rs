//! The scheduler: assigns work to connections.

use std::sync::Arc;
use std::time::Instant;

use super::budget::{Grant, MIN_REQUEST, TransferBudget};
use super::event::{EngineOptions, FetchJob};
use super::large_file::{LargeFile, SegmentRequest};
use super::limits::LimitGroup;
use super::queue::{FileQueue, NumberedJob};
use crate::sys::stop::StopReason;

/// All files that have not ended: queued, being opened, or in progress.
#[derive(Default)]
pub(super) struct Scheduler {
    pub(super) queue: FileQueue,
    pub(super) active: Vec<Arc<LargeFile>>,
    /// Limit groups of the large files whose partial file is being opened.
    pub(super) starting: Vec<LimitGroup>,
    /// Limit groups of the small files in progress.
    pub(super) small: Vec<LimitGroup>,
}

/// The next unit of work of a connection.
pub(crate) enum FetchTask {
    SmallFile(NumberedJob, Grant),
    /// Open the partial file of a large file; its segments are scheduled after that.
    OpenLarge(NumberedJob),
    Segment(Arc<LargeFile>, SegmentRequest, Grant),
    Exit,
}

impl Scheduler {
    /// Picks work in this order: open large files up to the limit, then fetch small files on all
    /// connections but one for each large file, then add connections to the large files with the
    /// fewest.
    pub(super) fn next_task(
        &mut self,
        options: &EngineOptions,
        budget: &Arc<TransferBudget>,
        rate_limited: bool,
    ) -> Option<FetchTask> {
        let is_running = |limits: &LimitGroup| !limits.stop().is_raised();
        let groups = self.active.iter().map(|large| &large.job.limits);
        let large_files = groups
            .chain(&self.starting)
            .filter(|l| is_running(l))
            .count();
        if large_files < options.files.max(1)
            && let Some((id, job)) = self.queue.next_large(|limits| {
                is_running(limits) && budget.left().min(limits.budget().left()) >= MIN_REQUEST
            })
        {
            self.starting.push(job.limits.clone());
            return Some(FetchTask::OpenLarge((id, job)));
        }
        let reserved = large_files.min(options.connections.saturating_sub(1));
        if self.small.len() + reserved < options.connections.max(1)
            && let Some(task) = self.pick_small(budget)
        {
            return Some(task);
        }
        let now = Instant::now();
        let running = self
            .active
            .iter()
            .filter(|large| is_running(&large.job.limits));
        let mut files: Vec<_> = running.map(|large| (large.connections(), large)).collect();
        files.sort_by_key(|(connections, _)| *connections);
        let n_others = usize::from(self.queue.has_small());
        let n_files = files.len();
        for (_, large) in files {
            let limits = &large.job.limits;
            let rate_limited = rate_limited || limits.limiter().is_limiting();
            let sharing = large.target().saturating_mul(n_files) + n_others;
            let sharing = sharing.min(options.connections);
            let share = budget.share(sharing).min(limits.budget().share(sharing));
            let mut grant = Grant::take(budget, limits, share);
            let overhead = large.overhead();
            if !grant.covers(large.min_request().unwrap_or(0)) {
                continue;
            }
            let allowed = grant.left().map(|left| left.saturating_sub(overhead));
            if allowed == Some(0) {
                continue;
            }
            if let Some(request) =
                large.next_request(now, options.connections, rate_limited, allowed)
            {
                grant.keep(request.claim.range.len() + overhead);
                return Some(FetchTask::Segment(large.clone(), request, grant));
            }
        }
        self.pick_small(budget)
    }

    fn pick_small(&mut self, budget: &Arc<TransferBudget>) -> Option<FetchTask> {
        let under_way = &self.small;
        let may = |limits: &LimitGroup| {
            // With the group's rate limit reached, another connection would only wait.
            let has_enough =
                || limits.limiter().is_limiting() && under_way.iter().any(|l| l.is_same(limits));
            !limits.stop().is_raised() && !has_enough()
        };
        let left = |job: &FetchJob| budget.left().min(job.limits.budget().left());
        let fits = |job: &FetchJob| job.size_bytes <= left(job);
        let (id, job) = self.queue.next_small(may, fits)?;
        let grant = Grant::take(budget, &job.limits, job.size_bytes);
        self.small.push(job.limits.clone());
        Some(FetchTask::SmallFile((id, job), grant))
    }

    /// Raises the stop flag of the run, or of each limit group, whose budget is too small for every
    /// remaining request. Returns true when it raised one.
    pub(super) fn stop_exhausted(&self, options: &EngineOptions, budget: &TransferBudget) -> bool {
        // A file that is being opened has no known minimum request yet.
        if !self.starting.is_empty() {
            return false;
        }
        let active = self.active.iter();
        let active = active.filter_map(|large| Some((&large.job.limits, large.min_request()?)));
        let mut needs: Vec<(&LimitGroup, u64)> = Vec::new();
        for (limits, need) in self.queue.min_requests().chain(active) {
            match needs.iter_mut().find(|(other, _)| other.is_same(limits)) {
                Some((_, least)) => *least = need.min(*least),
                None if !limits.stop().is_raised() => needs.push((limits, need)),
                None => {}
            }
        }
        let Some(least) = needs.iter().map(|(_, need)| *need).min() else {
            return false;
        };
        if budget.is_exhausted_for(least) {
            options.stop.raise(StopReason::TransferBudget);
            return true;
        }
        needs.retain(|(limits, need)| limits.budget().is_exhausted_for(*need));
        for (limits, _) in &needs {
            limits.stop().raise(StopReason::TransferBudget);
        }
        !needs.is_empty()
    }

    /// Returns whether the scheduler changes only when it is notified.
    pub(super) fn is_quiet(&self) -> bool {
        self.active.is_empty() && self.queue.is_empty()
    }
}

/// Removes one entry of a limit group.
pub(super) fn remove_one(groups: &mut Vec<LimitGroup>, limits: &LimitGroup) {
    if let Some(index) = groups.iter().position(|other| other.is_same(limits)) {
        groups.swap_remove(index);
    }
}
