//! The way of every target: check, prove, preflight, import, fetch, publish; many
//! at a time.
//!
//! Targets may be added while others are on their way. An error of one stops
//! with it: it becomes the end of that one.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Error, Result, anyhow};

use super::check::{Checked, Planned};
use super::checker::Checker;
use super::findings::Findings;
use super::importing::Importing;
use super::pool::Pool;
use super::preflight::refuse_what_does_not_fit;
use super::proofs::Proofs;
use super::proving::{FileKey, Unproven};
use super::readers::{ReadId, Readers};
use super::reading::Purpose;
use super::result::{SyncEvent, SyncResult, TargetId};
use super::{CacheChoice, Target};
use crate::cache::CacheLayout;
use crate::domain::hold::{HeldUpdate, Loss};
use crate::domain::outcome::{ErrorKind, Outcome};
use crate::domain::queue_order::QueueOrder;
use crate::domain::repo::CommitSha;
use crate::domain::session::{ByteCounts, FileCounts, SessionProgress, Trouble};
use crate::domain::units::ByteSize;
use crate::download::{EngineOptions, LimitGroup};
use crate::hub::HubClient;
use crate::ops::diagnose::{is_offline, outcome_of, trouble_of};
use crate::ops::rollback;
use crate::sys::host::checkpoint;
use crate::sys::pause::Stopwatch;
use crate::sys::stop::{StopFlag, StopReason};
use crate::xet::XetStorage;

/// Plans wait for those of the other targets, so that small ones come before
/// large ones, and a disk that is nearly full goes to what comes first. A server
/// that is slow about one target holds up the others no longer than this.
const PATIENCE: Duration = Duration::from_secs(2);

/// When the time of a run is up, a check under way may still say that there is
/// nothing left to do; it is waited for no longer than this.
const LAST_ANSWER: Duration = Duration::from_secs(1);

/// A target and the conditions under which it is brought up to date.
#[derive(Clone, Debug)]
pub struct SyncRequest {
    pub target: Arc<Target>,
    pub limits: LimitGroup,
    pub order: QueueOrder,
}

/// Targets on their way.
pub struct Syncer<'a> {
    pub(super) checker: Checker,
    /// Those whose check has not been dealt with yet, by the caller's numbers.
    asked: BTreeMap<TargetId, SyncRequest>,
    /// Plans that nothing has been done about yet.
    ready: Vec<(TargetId, SyncRequest, Box<Planned>)>,
    first_is_ready: Stopwatch,
    /// Since when the time of the run is up.
    time_is_up: Option<Stopwatch>,
    waits_for_last_answer: bool,
    pub(super) readers: Readers,
    /// Files that are being read: for which reason, and their names in messages.
    pub(super) reads: BTreeMap<ReadId, (Purpose, Arc<str>)>,
    pub(super) proofs: Proofs<'a>,
    pub(super) proofs_under_way: BTreeSet<FileKey>,
    /// Targets whose files are being proven.
    pub(super) proving: BTreeMap<TargetId, Unproven>,
    /// Targets that take in contents of this machine.
    pub(super) importing: BTreeMap<TargetId, Importing>,
    /// Results of reading for targets that have not got to the pool yet.
    pub(super) findings: BTreeMap<TargetId, Findings>,
    pub(super) pool: Pool,
    n_added: usize,
    /// Events that the caller has not received yet.
    pub(super) events: Vec<SyncEvent>,
    cache: CacheLayout,
    pub(super) reserve: ByteSize,
    pub(super) stop: StopFlag,
}

impl<'a> Syncer<'a> {
    pub fn new(
        hub: &HubClient,
        xet: Option<&XetStorage>,
        choice: &CacheChoice,
        proofs: Proofs<'a>,
        options: EngineOptions,
        reserve: ByteSize,
    ) -> Result<Self> {
        let bad = proofs.bad_files()?;
        Ok(Self {
            checker: Checker::new(hub, xet, choice, bad),
            asked: BTreeMap::new(),
            ready: Vec::new(),
            first_is_ready: Stopwatch::start(),
            time_is_up: None,
            waits_for_last_answer: true,
            readers: Readers::new(),
            reads: BTreeMap::new(),
            proofs,
            proofs_under_way: BTreeSet::new(),
            proving: BTreeMap::new(),
            importing: BTreeMap::new(),
            findings: BTreeMap::new(),
            n_added: 0,
            events: Vec::new(),
            reserve,
            cache: choice.layout(),
            stop: options.stop.clone(),
            pool: Pool::new(hub, xet, options),
        })
    }

    /// Ends all targets at once when the time of the run is up, for the Hub does
    /// not want to be asked now.
    pub fn expect_no_answer(&mut self) {
        self.waits_for_last_answer = false;
    }

    /// Adds a target, which will end exactly once.
    pub fn add(&mut self, request: SyncRequest) -> TargetId {
        let id = self.next_id();
        self.checker.ask(id, request.target.clone());
        self.asked.insert(id, request);
        id
    }

    /// Adds a target that has a plan already.
    pub fn add_planned(&mut self, request: SyncRequest, planned: Box<Planned>) -> TargetId {
        let id = self.next_id();
        self.begin(id, request, planned);
        id
    }

    fn next_id(&mut self) -> TargetId {
        self.n_added += 1;
        TargetId(self.n_added - 1)
    }

    fn begin(&mut self, index: TargetId, request: SyncRequest, planned: Box<Planned>) {
        if let Some(new) = &planned.renamed_to {
            log::warn!("`{}` is called `{new}` now", request.target.repo);
        }
        let promised = |file_system| self.promised_bytes(file_system);
        match refuse_what_does_not_fit(&planned, self.reserve, promised) {
            Ok(need) => {
                let opened = planned.open(&request.target);
                checkpoint("place opened");
                match opened {
                    Ok(writer) if !planned.plan.imports().is_empty() => {
                        self.import(index, request, planned, writer, need);
                    }
                    opened => self
                        .pool
                        .begin(index, request, planned, opened, &mut self.events),
                }
                self.read_stored();
            }
            Err(err) => {
                let progress = SessionProgress {
                    new_commit: Some(planned.remote.commit.clone()),
                    ..SessionProgress::default()
                };
                let trouble = Some(trouble_of(&err));
                let mut end = SyncResult::without_files(Outcome::Failed, trouble, progress);
                end.renamed_to = planned.renamed_to;
                self.events.push(SyncEvent::Ended {
                    target: index,
                    result: Box::new(end),
                });
            }
        }
    }

    /// Counts the bytes that targets under way have still to write on a file system.
    pub(super) fn promised_bytes(&self, file_system: u64) -> u64 {
        let importing = self.importing.values().map(|importing| importing.need);
        let there = importing.filter(|need| need.file_system == file_system);
        there.fold(self.pool.promised_bytes(file_system), |sum, need| {
            sum.saturating_add(need.bytes)
        })
    }

    pub fn is_idle(&self) -> bool {
        self.asked.is_empty()
            && self.ready.is_empty()
            && self.proving.is_empty()
            && self.importing.is_empty()
            && self.pool.is_idle()
            && self.events.is_empty()
    }

    /// Waits so long for something to happen, and deals with it.
    pub fn step(&mut self, wait: Duration) -> Vec<SyncEvent> {
        self.end_stopped();
        self.give_up_imports();
        // With no fetch and no reading under way, block on the checker.
        let is_reading = self.readers.is_busy();
        let has_to_wait = self.pool.is_idle() && !is_reading && !self.asked.is_empty();
        let mut answer = self.checker.next(self.wait_if(has_to_wait, wait));
        while let Some((index, checked)) = answer {
            // A stopped target has ended already.
            if let Some(request) = self.asked.remove(&index) {
                self.deal_with(index, request, checked);
            }
            answer = self.checker.next(Duration::ZERO);
        }
        self.begin_ready();
        // With a fetch under way, block on the engine below.
        let wait_for_reads = self.wait_if(self.pool.is_idle(), wait);
        self.take_reads(wait_for_reads);
        if !self.pool.is_idle() {
            let wait = self.wait_if(true, wait);
            self.pool.step(wait, &mut self.events);
            self.read_stored();
        }
        let proven = self.pool.take_proven();
        self.proofs.save(proven);
        std::mem::take(&mut self.events)
    }

    /// Returns the time to block for: none while events are waiting for the caller.
    fn wait_if(&self, has_to_wait: bool, wait: Duration) -> Duration {
        if has_to_wait && self.events.is_empty() {
            wait
        } else {
            Duration::ZERO
        }
    }

    /// Checks a target once more, without the files that were found bad.
    pub(super) fn ask_again(&mut self, index: TargetId, request: SyncRequest) {
        const MOST: u32 = 5;
        let findings = self.findings.entry(index).or_default();
        findings.n_checks += 1;
        if findings.n_checks > MOST {
            let err = anyhow!("its files are damaged faster than they can be replaced");
            return self.end_failed(index, &request, &err);
        }
        self.checker.ask(index, request.target.clone());
        self.asked.insert(index, request);
    }

    /// Ends a target for which nothing more can be done.
    pub(super) fn end_failed(&mut self, index: TargetId, request: &SyncRequest, err: &Error) {
        self.findings.remove(&index);
        let end = failed_check(&request.target, err);
        self.events.push(SyncEvent::Ended {
            target: index,
            result: Box::new(end),
        });
    }

    /// Ends everything that is still under way, with its bytes kept.
    pub fn close(mut self) -> Vec<SyncEvent> {
        let reason = self.stop.reason().unwrap_or(StopReason::Terminated);
        let ready = self.ready.into_iter().map(|(index, ..)| index);
        let reading = self.proving.into_keys().chain(self.importing.into_keys());
        for target in self.asked.into_keys().chain(ready).chain(reading) {
            let end = SyncResult::unseen(reason);
            self.events.push(SyncEvent::Ended {
                target,
                result: Box::new(end),
            });
        }
        self.proofs.save(self.pool.close(&mut self.events));
        self.events
    }

    /// Begins the plans that are ready, unless others may soon come before them.
    fn begin_ready(&mut self) {
        let wait_is_over = self.asked.is_empty() || self.first_is_ready.elapsed() >= PATIENCE;
        if self.ready.is_empty() || !wait_is_over || self.stop.is_raised() {
            return;
        }
        let mut ready = std::mem::take(&mut self.ready);
        ready.sort_by_key(|(index, request, planned)| {
            let missing = planned.plan.totals.bytes_to_fetch;
            (request.order.clone().next(missing), *index)
        });
        for (index, request, planned) in ready {
            self.begin(index, request, planned);
            // Files that are whole by now have their locks open until they
            // are stored; of many new models they would add up.
            self.pool.step(Duration::ZERO, &mut self.events);
        }
    }

    /// Ends what was asked about and whose time is over.
    fn end_stopped(&mut self) {
        let run = self.stop.reason();
        if run == Some(StopReason::TimeBudget) {
            self.time_is_up.get_or_insert_with(Stopwatch::start);
        }
        let may_answer = self.waits_for_last_answer
            && run == Some(StopReason::TimeBudget)
            && self
                .time_is_up
                .as_ref()
                .is_some_and(|since| since.elapsed() < LAST_ANSWER);
        let ready = self
            .ready
            .iter()
            .map(|(index, request, _)| (index, request));
        let proving = self.proving.iter();
        let proving = proving.map(|(index, target)| (index, &target.request));
        let over: Vec<(TargetId, StopReason)> = (self.asked.iter().chain(ready).chain(proving))
            .filter_map(|(index, request)| {
                let own = request.limits.stop().reason();
                if own.is_none() && may_answer && self.asked.contains_key(index) {
                    return None;
                }
                Some((*index, own.or(run)?))
            })
            .collect();
        for (target, reason) in over {
            self.asked.remove(&target);
            self.ready.retain(|(index, ..)| *index != target);
            let end = self.end_unproven(target, reason);
            let end = end.unwrap_or_else(|| SyncResult::unseen(reason));
            self.findings.remove(&target);
            self.events.push(SyncEvent::Ended {
                target,
                result: Box::new(end),
            });
        }
    }

    pub(super) fn deal_with(
        &mut self,
        index: TargetId,
        request: SyncRequest,
        checked: Result<Checked>,
    ) {
        checkpoint("checked");
        let stopped = request.limits.stop().reason().or(self.stop.reason());
        let (request, checked) = match checked {
            Ok(checked) => match self.prove_first(index, request, checked) {
                Some((request, checked)) => (request, Ok(checked)),
                None => return,
            },
            Err(err) => (request, Err(err)),
        };
        let findings = self.findings.remove(&index).unwrap_or_default();
        let end = match checked {
            Ok(Checked::Planned(mut planned)) => {
                planned.findings = findings;
                if self.ready.is_empty() {
                    self.first_is_ready = Stopwatch::start();
                }
                return self.ready.push((index, request, planned));
            }
            Ok(Checked::Current {
                place,
                commit,
                n_files,
                n_bytes,
                reused,
                renamed_to,
            }) => {
                let path = place.readable_at(&commit);
                let progress = all_in_place(path, commit, n_files, n_bytes);
                SyncResult {
                    renamed_to,
                    files: findings.found_files(&reused),
                    ..SyncResult::without_files(Outcome::UpToDate, None, progress)
                }
            }
            Ok(Checked::Held { commit, path }) => {
                rollback::hold(&self.cache, &request.target);
                let progress = SessionProgress {
                    path: Some(path),
                    new_commit: Some(commit),
                    ..SessionProgress::default()
                };
                SyncResult::without_files(Outcome::Held, None, progress)
            }
            Ok(Checked::Suspicious {
                loss,
                path,
                renamed_to,
            }) => SyncResult {
                renamed_to,
                ..hold_update(&request.target, &loss, path)
            },
            Err(err) => match stopped {
                // The wait for another try was cut short, so nothing is known.
                Some(reason) => SyncResult::unseen(reason),
                None => failed_check(&request.target, &err),
            },
        };
        self.events.push(SyncEvent::Ended {
            target: index,
            result: Box::new(end),
        });
    }
}

/// Describes a session for which nothing had to be done.
fn all_in_place(path: PathBuf, commit: CommitSha, n_files: u64, n_bytes: u64) -> SessionProgress {
    SessionProgress {
        path: Some(path),
        files: FileCounts {
            total: n_files,
            reused: n_files,
            ..FileCounts::default()
        },
        bytes: ByteCounts {
            total: n_bytes,
            reused: n_bytes,
            ..ByteCounts::default()
        },
        new_commit: Some(commit),
        ..SessionProgress::default()
    }
}

/// Ends a target whose newest commit waits for a person.
fn hold_update(target: &Target, loss: &Loss, path: PathBuf) -> SyncResult {
    let (commit, published) = (&loss.found.0, &loss.published.1);
    let label = target.label();
    let trouble = Trouble {
        kind: ErrorKind::Hub,
        message: loss.message(),
        hint: Some(loss.hint(&label)),
    };
    log::info!("`{label}` is held: {}", trouble.message);
    let progress = SessionProgress {
        path: Some(path),
        new_commit: Some(commit.clone()),
        files: FileCounts {
            total: published.files,
            reused: published.files,
            ..FileCounts::default()
        },
        bytes: ByteCounts {
            total: published.bytes,
            reused: published.bytes,
            ..ByteCounts::default()
        },
        ..SessionProgress::default()
    };
    SyncResult {
        held_update: Some(HeldUpdate {
            commit: commit.clone(),
            reason: loss.reason,
            is_accepted: false,
        }),
        ..SyncResult::without_files(Outcome::Held, Some(trouble), progress)
    }
}

fn failed_check(target: &Target, err: &Error) -> SyncResult {
    let outcome = outcome_of(err, target.known_commit.is_some());
    SyncResult {
        is_offline: is_offline(err),
        ..SyncResult::without_files(outcome, Some(trouble_of(err)), SessionProgress::default())
    }
}
