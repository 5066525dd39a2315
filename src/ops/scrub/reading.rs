//! Reads files in the background, one after the other, until a limit is reached.

use std::io;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Result;

use super::chunk_record::ChunkRecord;
use super::inventory::{Inventory, PublishedFile, wrong_bytes};
use super::permission::OpenTime;
use crate::domain::model::ModelId;
use crate::domain::scrub::ScrubPosition;
use crate::domain::time::Timestamp;
use crate::domain::units::Seconds;
use crate::download::{LimitGroup, PartRead, PartialHash, prove_part};
use crate::ops::deadline_thread::{DeadlineThread, TimeLimits};
use crate::ops::parallel::{HashEvent, read_all};
use crate::ops::run::{ActiveRun, Bounds};
use crate::ops::services::Services;
use crate::ops::sync::SyncEvent;
use crate::ops::verify::{FileRead, HashFinding, HashResult};
use crate::sys::background::read_in_background;
use crate::sys::host::checkpoint;
use crate::sys::pause::Stopwatch;
use crate::sys::stop::{StopFlag, StopReason};

/// Bytes between two saved positions. The rest of a file that is no longer than this is
/// read although the share of the night is reached.
const PART: u64 = 256 << 20;

/// The time between two questions whether a slot has become due.
const ASK_EVERY: Duration = Duration::from_secs(10);

/// The reason why reading ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReadingEnd {
    /// The share of the night is read.
    Done,
    /// The budget of the run is used up.
    UsedUp,
    /// A limit of the run, a signal or a due slot: the next tick continues.
    CutShort,
}

pub(super) struct ScrubReading<'r> {
    services: &'r Services<'r>,
    /// Raised when the time is over.
    halt: StopFlag,
    /// A slot has become due.
    yields: bool,
    _deadlines: DeadlineThread,
    since: Stopwatch,
    asked: Stopwatch,
    budget_time: Option<Seconds>,
    budget_bytes: Option<u64>,
    pub bytes_read: u64,
    is_slot_due: &'r mut dyn FnMut() -> bool,
    show: &'r mut dyn FnMut(&SyncEvent),
}

/// Returns the limits of time for the rest of a run: its duration, and the windows.
pub(super) fn time_limits(
    run: &ActiveRun<'_>,
    bounds: &Bounds,
    open: OpenTime,
    limits: LimitGroup,
) -> TimeLimits {
    let now = run.services.host.now();
    let passed = now.duration_since(run.started_at()).as_secs().max(0);
    let left = |span: Seconds| Seconds(span.get().saturating_sub(passed.unsigned_abs()));
    TimeLimits {
        limits,
        deadline: match open {
            OpenTime::Until(end) => Some(end),
            OpenTime::Closed => Some(now),
            OpenTime::Always => None,
        },
        lasts: bounds.max_duration.map(left),
        ..TimeLimits::default()
    }
}

impl<'r> ScrubReading<'r> {
    /// Starts the limits: they count from now.
    pub fn start(
        services: &'r Services<'r>,
        run: &ActiveRun<'_>,
        (bounds, open): (&Bounds, OpenTime),
        is_slot_due: &'r mut dyn FnMut() -> bool,
        show: &'r mut dyn FnMut(&SyncEvent),
    ) -> Self {
        let (budget_bytes, budget_time) = services.settings.verify_budget();
        let halt = StopFlag::new();
        let limits = LimitGroup::root(halt.clone(), None);
        let mut limits = time_limits(run, bounds, open, limits);
        limits.lasts = limits.lasts.into_iter().chain(budget_time).min();
        let deadlines = DeadlineThread::start(services.host);
        deadlines.add(limits);
        Self {
            services,
            halt,
            yields: false,
            _deadlines: deadlines,
            since: Stopwatch::start(),
            asked: Stopwatch::start(),
            budget_time,
            budget_bytes: budget_bytes.map(|size| size.bytes()),
            bytes_read: 0,
            is_slot_due,
            show,
        }
    }

    /// Reads the files in order, up to the share of the night.
    pub fn read(
        &mut self,
        run: &mut ActiveRun<'_>,
        inventory: &mut Inventory,
        (order, share): (&[usize], u64),
    ) -> Result<ReadingEnd> {
        (self.show)(&SyncEvent::ReadPlanned {
            n_files: order.len() as u64,
            n_bytes: share,
        });
        for &index in order {
            let file = &mut inventory.files[index];
            let target = &inventory.targets[file.target];
            let model = target.model.as_ref().map(|(id, _)| *id);
            let name: Arc<str> = format!("{}: {}", target.label(), file.path.display()).into();
            let mut begun_at = self.services.host.now();
            let mut is_begun = false;
            loop {
                if let Some(end) = self.end(file, share, is_begun) {
                    return Ok(end);
                }
                if let Some(position) = &file.position {
                    begun_at = position.begun_at;
                }
                is_begun = true;
                match self.read_part(run, file, &name) {
                    Some(Ok(PartRead::Part(hash))) => self.keep(file, hash, begun_at)?,
                    Some(Ok(PartRead::Changed)) if file.position.is_some() => {
                        // Another file, or a damaged state: from the beginning.
                        self.services.store.forget_scrub_position(&file.path)?;
                        file.position = None;
                        begun_at = self.services.host.now();
                    }
                    found => {
                        self.end_file(run, file, (model, begun_at), found)?;
                        break;
                    }
                }
            }
        }
        Ok(ReadingEnd::Done)
    }

    /// Returns the reason to read no further; `None` if there is none.
    fn end(&mut self, file: &PublishedFile, share: u64, is_begun: bool) -> Option<ReadingEnd> {
        let left = file.size_bytes - file.facts().bytes_read;
        if self.services.stop.is_raised() {
            return Some(ReadingEnd::CutShort);
        }
        if self.halt.is_raised() {
            let passed = |time: Seconds| self.since.elapsed() >= Duration::from_secs(time.get());
            let is_used_up = !self.yields && self.budget_time.is_some_and(passed);
            return Some(if is_used_up {
                ReadingEnd::UsedUp
            } else {
                ReadingEnd::CutShort
            });
        }
        if self.budget_bytes == Some(0) {
            return Some(ReadingEnd::UsedUp);
        }
        let may_wait = left > 0 && !(is_begun && left <= PART);
        (self.bytes_read >= share && may_wait).then_some(ReadingEnd::Done)
    }

    /// Reads the next part of a file; `None` if the run was stopped before.
    fn read_part(
        &mut self,
        run: &mut ActiveRun<'_>,
        file: &PublishedFile,
        name: &Arc<str>,
    ) -> Option<io::Result<PartRead>> {
        let Some(stamp) = &file.stamp else {
            return Some(Ok(PartRead::Changed));
        };
        let from = file.position.as_ref().map(|position| PartialHash {
            position: position.position,
            state: position.state.clone(),
        });
        let begin = from.as_ref().map_or(0, |from| from.position);
        let up_to = begin.saturating_add(PART.min(self.budget_bytes.unwrap_or(u64::MAX)));
        let (halt, stop) = (self.halt.clone(), &self.services.stop);
        let chunks = Mutex::new(ChunkRecord::begin(file, begin));
        let read = |_: usize, on_read: &mut dyn FnMut(&[u8]) -> ControlFlow<()>| {
            read_in_background();
            let on_read = &mut |block: &[u8]| {
                if halt.is_raised() {
                    return ControlFlow::Break(());
                }
                if let Ok(mut chunks) = chunks.lock()
                    && let Some(chunks) = chunks.as_mut()
                {
                    chunks.update(block);
                }
                on_read(block)
            };
            let (path, content, from) = (&file.path, &file.content, from.as_ref());
            Some(prove_part(path, content, stamp, from, up_to, on_read))
        };
        let mut found = None;
        read_all(&[0], 1, stop, read, &mut |event| {
            (self.show)(&shown_event(&event, file, begin, name));
            match event {
                HashEvent::Ended { result, .. } => found = Some(result),
                _ => self.note_progress(run),
            }
        });
        let chunks = chunks.into_inner().ok().flatten();
        let end = match &found {
            Some(Ok(PartRead::Part(hash))) => {
                if let Some(chunks) = chunks {
                    chunks.save_part();
                }
                hash.position
            }
            Some(Ok(PartRead::Whole(read))) => {
                if let Some(chunks) = chunks.filter(|_| read.has_content) {
                    chunks.save_whole();
                }
                file.size_bytes
            }
            _ => begin,
        };
        self.spend(end - begin);
        found
    }

    fn note_progress(&mut self, run: &mut ActiveRun<'_>) {
        run.note_progress();
        run.heartbeat();
        self.ask_for_slots();
    }

    fn spend(&mut self, n_bytes: u64) {
        self.bytes_read += n_bytes;
        if let Some(left) = &mut self.budget_bytes {
            *left = left.saturating_sub(n_bytes);
        }
    }

    /// Ends the reading when a slot has become due.
    fn ask_for_slots(&mut self) {
        if self.asked.elapsed() < ASK_EVERY {
            return;
        }
        self.asked = Stopwatch::start();
        self.yields = (self.is_slot_due)();
        if self.yields {
            self.halt.raise(StopReason::TimeBudget);
        }
    }

    /// Saves how far a file was read.
    fn keep(&self, file: &mut PublishedFile, hash: PartialHash, begun_at: Timestamp) -> Result<()> {
        let Some(stamp) = file.stamp.filter(|_| hash.position > 0) else {
            return Ok(());
        };
        let position = ScrubPosition {
            content: file.content,
            stamp,
            position: hash.position,
            state: hash.state,
            begun_at,
        };
        let store = &self.services.store;
        store.save_scrub_position(&file.path, &position)?;
        file.position = Some(position);
        checkpoint("scrub position saved");
        Ok(())
    }

    /// Records the result of a file that was read to its end, or could not be.
    fn end_file(
        &self,
        run: &ActiveRun<'_>,
        file: &mut PublishedFile,
        (model, begun_at): (Option<ModelId>, Timestamp),
        found: Option<io::Result<PartRead>>,
    ) -> Result<()> {
        let result = match found {
            Some(Ok(PartRead::Whole(read))) if read.has_content => {
                file.proven_at = read.stamp.map(|_| begun_at);
                HashResult::Good(
                    HashFinding::new(true, &Default::default(), None),
                    read.stamp,
                )
            }
            Some(Ok(PartRead::Whole(_))) => wrong_bytes(),
            Some(Err(err)) if err.kind() != io::ErrorKind::NotFound => {
                HashResult::Unreadable(err.to_string())
            }
            // It has changed or is gone since it was listed; the next scrub lists it again.
            Some(Ok(_) | Err(_)) => {
                (file.proven_at, file.position) = (None, None);
                return Ok(self.services.store.forget_scrub_position(&file.path)?);
            }
            None => return Ok(()),
        };
        file.position = None;
        if !matches!(result, HashResult::Good(..)) {
            file.proven_at = None;
            file.bad = Some(result.clone());
        }
        self.services.store.transaction(|store| -> Result<()> {
            store.forget_scrub_position(&file.path)?;
            let read = FileRead {
                path: &file.path,
                content: &file.content,
                model,
                is_edited: false,
                begun_at,
            };
            read.save(run, &result)
        })?;
        checkpoint("scrub file ended");
        Ok(())
    }
}

/// Returns the progress that an event of reading a file shows; `begin` is the start of the part.
fn shown_event(
    event: &HashEvent<io::Result<PartRead>>,
    file: &PublishedFile,
    begin: u64,
    name: &Arc<str>,
) -> SyncEvent {
    let name = name.clone();
    match event {
        HashEvent::Started { .. } => SyncEvent::FileStarted {
            name,
            n_bytes: file.size_bytes,
            have: begin,
        },
        HashEvent::Read { bytes, .. } => SyncEvent::BytesRead {
            name,
            n_bytes: *bytes,
        },
        HashEvent::Ended { result, .. } => SyncEvent::ReadEnded {
            name,
            is_whole: !matches!(result, Ok(PartRead::Part(_))),
        },
    }
}
