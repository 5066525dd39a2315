//! The scheduler: assigns work to connections.

use std::sync::Arc;
use std::time::Instant;

use super::budget::{Grant, MIN_REQUEST};
use super::event::{EngineOptions, FetchJob};
use super::large_file::{LargeFile, SegmentRequest};
use super::limits::LimitGroup;
use super::queue::{FileQueue, NumberedJob};

/// All files that have not ended: queued, being opened, or in progress.
#[derive(Default)]
pub(super) struct Scheduler {
    pub(super) queue: FileQueue,
    pub(super) active: Vec<Arc<LargeFile>>,
    /// Limit groups of the large files whose partial file is being opened.
    pub(super) starting: Vec<LimitGroup>,
    /// Limit groups of the small files in progress.
    pub(super) small: Vec<LimitGroup>,
    /// Number of connections that wait for work.
    pub(super) n_idle: usize,
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
    pub(super) fn next_task(&mut self, options: &EngineOptions) -> Option<FetchTask> {
        let is_running = |limits: &LimitGroup| !limits.is_stopped();
        let groups = self.active.iter().map(|large| &large.job.limits);
        let large_files = groups
            .chain(&self.starting)
            .filter(|l| is_running(l))
            .count();
        if large_files < options.files.max(1)
            && let Some((id, job)) = self
                .queue
                .next_large(|l| is_running(l) && l.may_start() && l.bytes_left() >= MIN_REQUEST)
        {
            self.starting.push(job.limits.clone());
            return Some(FetchTask::OpenLarge((id, job)));
        }
        let reserved = large_files.min(options.connections.saturating_sub(1));
        if self.small.len() + reserved < options.connections.max(1)
            && let Some(task) = self.pick_small()
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
            let rate_limited = limits.is_limiting();
            let sharing = large.target().saturating_mul(n_files) + n_others;
            let sharing = sharing.min(options.connections);
            let mut grant = Grant::take(limits, limits.share(sharing));
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
        self.pick_small()
    }

    fn pick_small(&mut self) -> Option<FetchTask> {
        let in_progress = &self.small;
        let may = |limits: &LimitGroup| {
            // With a rate limit reached, another connection would only wait.
            let has_enough =
                || limits.is_limiting() && in_progress.iter().any(|l| l.is_same(limits));
            !limits.is_stopped() && limits.may_start() && !has_enough()
        };
        let fits = |job: &FetchJob| job.size_bytes <= job.limits.bytes_left();
        let (id, job) = self.queue.next_small(may, fits)?;
        let grant = Grant::take(&job.limits, job.size_bytes);
        self.small.push(job.limits.clone());
        Some(FetchTask::SmallFile((id, job), grant))
    }

    /// Stops each limit group whose budget is too small for every remaining request, or in which
    /// no file is in progress and none may start. Returns whether it stopped one.
    pub(super) fn stop_exhausted(&self) -> bool {
        // A file that is being opened has no known minimum request yet.
        if !self.starting.is_empty() {
            return false;
        }
        let active = self.active.iter();
        let active = active.filter_map(|large| Some((&large.job.limits, large.min_request()?)));
        let requests = self.queue.min_requests().chain(active);
        let mut needs: Vec<(&LimitGroup, u64)> = Vec::new();
        for (limits, need) in requests.filter(|(limits, _)| !limits.is_stopped()) {
            for group in limits.path() {
                match needs.iter_mut().find(|(other, _)| other.is_same(group)) {
                    Some((_, least)) => *least = need.min(*least),
                    None => needs.push((group, need)),
                }
            }
        }
        let in_progress = self.active.iter().map(|large| &large.job.limits);
        let in_progress: Vec<&LimitGroup> = in_progress.chain(&self.small).collect();
        let is_idle = |group: &LimitGroup| {
            let mut groups = in_progress.iter().flat_map(|limits| limits.path());
            !groups.any(|busy| busy.is_same(group))
        };
        let mut has_stopped = false;
        for (group, least) in needs {
            has_stopped |= group.stop_if_exhausted(least);
            has_stopped |= is_idle(group) && group.stop_if_none_may_start();
        }
        has_stopped
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
