//! A scrub from its plan to its record.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Result;

use super::inventory::{Inventory, Lister, PublishedFile, choice, is_damage, look_at};
use super::permission::{OpenTime, cut_repairs, last_scrub, open_time};
use super::reading::{ReadingEnd, ScrubReading, time_limits};
use crate::domain::model::ModelId;
use crate::domain::repo_arg::escape_pattern;
use crate::domain::scrub::{SCRUB_EVERY, Scrub, ScrubFile, ScrubPlan, plan_scrub};
use crate::domain::session::SessionId;
use crate::domain::shard::Shard;
use crate::domain::time::Timestamp;
use crate::domain::units::Seconds;
use crate::ops::run::{ActiveRun, Bounds, Opening};
use crate::ops::services::Services;
use crate::ops::sync::{SyncEvent, Target};
use crate::ops::verify::{HashResult, Look, Verified, Verify, blame_damage, close, failed};
use crate::sys::signals::exit_status;

/// The files of one night, chosen and not read yet.
pub struct Scrubbing<'a> {
    services: &'a Services<'a>,
    shard: Shard,
    every: Seconds,
    now: Timestamp,
    open: OpenTime,
    inventory: Inventory,
    plan: ScrubPlan,
    /// The last scrub and the models to repair, if the night is read and only repairs that
    /// were cut short go on.
    continued: Option<(Scrub, BTreeSet<ModelId>)>,
}

/// The result of a scrub.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScrubReport {
    pub bytes_read: u64,
    /// Models with bad files, and those of them that are repaired.
    pub n_damaged: u64,
    pub n_repaired: u64,
}

/// Bad files by path, with the results of their reading.
type BadPaths<'a> = BTreeMap<&'a Path, &'a HashResult>;

/// A target with bad files, the files of its commit, and the findings.
struct Broken {
    target: Target,
    look: Look,
    model: Verified,
}

/// Chooses the files of this night; `None` if there is nothing to read. It only lists
/// the files, and records the scrub if that is all.
pub fn plan<'a>(
    services: &'a Services<'a>,
    shard: Shard,
    now: Timestamp,
) -> Result<Option<Scrubbing<'a>>> {
    let Some(every) = services.settings.verify_every() else {
        return Ok(None);
    };
    let open = open_time(services, now)?;
    if open == OpenTime::Closed {
        return Ok(None);
    }
    let last = last_scrub(&services.store, shard)?.filter(|last| !last.is_over(now));
    let continued = match last {
        Some(last) => Some((last, cut_repairs(&services.store, now)?)),
        None => None,
    };
    let inventory = Lister::new(services, every, now)?.list(shard)?;
    let files = inventory.files.iter().enumerate();
    let good: Vec<usize> = files
        .filter(|(_, it)| it.bad.is_none())
        .map(|(at, _)| at)
        .collect();
    let facts: Vec<ScrubFile> = good.iter().map(|&at| inventory.files[at].facts()).collect();
    let mut plan = match &continued {
        Some(_) => ScrubPlan::default(),
        None => plan_scrub(&facts, every, now),
    };
    for index in &mut plan.order {
        *index = good[*index];
    }
    let is_all_good = good.len() == inventory.files.len();
    let scrubbing = Scrubbing {
        services,
        shard,
        every,
        now,
        open,
        inventory,
        plan,
        continued,
    };
    if scrubbing.plan.order.is_empty() && is_all_good {
        scrubbing.record(0, ReadingEnd::Done)?;
        return Ok(None);
    }
    Ok(Some(scrubbing))
}

impl Scrubbing<'_> {
    /// Reads the files, repairs bad ones, and records the scrub. `is_slot_due` ends the
    /// reading: downloads come first.
    pub fn run(
        mut self,
        run: &mut ActiveRun<'_>,
        bounds: &Bounds,
        is_slot_due: &mut dyn FnMut() -> bool,
        show: &mut dyn FnMut(&SyncEvent),
    ) -> Result<ScrubReport> {
        let limits = (bounds, self.open);
        let mut reading = ScrubReading::start(self.services, run, limits, is_slot_due, show);
        let work = (self.plan.order.as_slice(), self.plan.n_bytes);
        let end = reading.read(run, &mut self.inventory, work)?;
        let bytes_read = reading.bytes_read;
        log::info!("scrub: {bytes_read} bytes were read again: {end:?}");
        let mut report = ScrubReport {
            bytes_read,
            ..ScrubReport::default()
        };
        match self.services.stop.reason() {
            None => self.repair(run, bounds, &mut report, show)?,
            // After a limit of the run the next tick continues.
            Some(reason) => {
                if let Some(status) = exit_status(reason) {
                    run.note_status(status);
                }
            }
        }
        self.record(bytes_read, end)?;
        Ok(report)
    }

    /// Fetches bad files again, each at its own commit.
    fn repair(
        &mut self,
        run: &mut ActiveRun<'_>,
        bounds: &Bounds,
        report: &mut ScrubReport,
        show: &mut dyn FnMut(&SyncEvent),
    ) -> Result<()> {
        let broken = self.broken(run)?;
        if broken.is_empty() {
            return Ok(());
        }
        let targets: Vec<Target> = broken.iter().map(|it| it.target.clone()).collect();
        let openings = targets.iter().cloned().map(Arc::new);
        let sessions = run.open(openings.map(Opening::of_verification).collect())?;
        let sessions: Vec<SessionId> = sessions.into_iter().flatten().collect();
        let started = if run.has_syncer() {
            Ok(())
        } else {
            run.start_syncer(bounds)
        };
        if let Ok(limits) = run.limits() {
            run.add_time_limits(time_limits(run, bounds, self.open, limits));
        }
        let (mut looks, mut models) = (Vec::new(), Vec::new());
        for (index, one) in broken.into_iter().enumerate() {
            looks.push((index, one.look));
            models.push(one.model);
        }
        if let Err(err) = started {
            for (index, look) in looks {
                let path = look.place.readable_at(&look.commit);
                let mut result = failed(&models[index], path, &err);
                blame_damage(&models[index], &mut result);
                close(run, sessions[index], result, &models[index]);
            }
        } else {
            let verify = Verify {
                services: self.services,
                targets,
                repair: true,
                sample: None,
                offline: false,
                is_scrub: true,
            };
            let spare_edits = &mut |_: &[PathBuf]| Ok(false);
            verify.repair(run, &sessions, looks, &mut models, spare_edits, show)?;
        }
        report.n_damaged = models.len() as u64;
        let is_repaired = |model: &&Verified| model.bad.iter().all(|bad| bad.is_repaired);
        report.n_repaired = models.iter().filter(is_repaired).count() as u64;
        self.note_repaired();
        Ok(())
    }

    /// Returns the targets of the bad files, with the files of their commits.
    fn broken(&self, run: &ActiveRun<'_>) -> Result<Vec<Broken>> {
        let mut bad: BTreeMap<usize, BadPaths<'_>> = BTreeMap::new();
        for file in &self.inventory.files {
            let model = self.inventory.targets[file.target].model.as_ref();
            let id = model.map(|(id, _)| *id);
            let is_tried = file.is_tried_by_syncs && id.is_some_and(|id| run.has_synced(id));
            let waits = (self.continued.as_ref())
                .is_some_and(|(_, cut)| id.is_none_or(|id| !cut.contains(&id)));
            if let Some(result) = file.bad.as_ref().filter(|_| !is_tried && !waits) {
                let of_target = bad.entry(file.target).or_default();
                of_target.insert(&file.path, result);
            }
        }
        if bad.is_empty() {
            return Ok(Vec::new());
        }
        let choice = choice(self.services)?;
        let mut broken = Vec::new();
        for (index, paths) in bad {
            let target = self.inventory.targets[index].clone();
            match look_at(self.services, &choice, &target) {
                Ok(Some(look)) => broken.extend(self.broken_at(target, look, &paths)),
                Ok(None) => {}
                Err(err) => log::warn!("{}: cannot be repaired: {err:#}", target.label()),
            }
        }
        Ok(broken)
    }

    /// Sorts the files of a commit into good and bad ones. Files that a person has
    /// edited, and those of other targets, stay as they are.
    fn broken_at(&self, target: Target, mut look: Look, paths: &BadPaths<'_>) -> Option<Broken> {
        let mut model = look.begin();
        model.bad.clear();
        let mut spared = Vec::new();
        for bad in &look.bad {
            let path = bad
                .file
                .as_ref()
                .map(|it| look.place.file_of(&look.commit, it));
            if is_damage(&look, bad) && path.is_some_and(|it| paths.contains_key(it.as_path())) {
                model.bad.push(bad.clone());
            } else {
                spared.push(bad.path.clone());
            }
        }
        let files = self.inventory.files.iter();
        let is_young = |at: &Timestamp| self.now.duration_since(*at) <= self.every.span();
        let proven = files.filter(|file| file.proven_at.as_ref().is_some_and(is_young));
        let proven: BTreeSet<&Path> = proven.map(|file| file.path.as_path()).collect();
        for file in &look.present {
            let path = look.place.file_of(&look.commit, file);
            if look.is_edited(file) {
                spared.push(file.path.clone());
            } else if let Some(result) = paths.get(path.as_path()) {
                model.bad.push(look.bad(file, result));
            } else if proven.contains(path.as_path()) {
                model.files_good += 1;
                model.bytes_good += file.size_bytes;
            }
        }
        model.n_files -= (spared.len() as u64).min(model.n_files);
        let spared = spared.iter().map(|path| escape_pattern(path.as_str()));
        look.filter.exclude.extend(spared);
        (!model.bad.is_empty()).then_some(Broken {
            target,
            look,
            model,
        })
    }

    /// Takes the proofs of files that were fetched again.
    fn note_repaired(&mut self) {
        let store = &self.services.store;
        for file in self
            .inventory
            .files
            .iter_mut()
            .filter(|file| file.bad.is_some())
        {
            let proof = store.proof(&file.path).ok().flatten();
            let proof = proof.filter(|it| it.content == file.content);
            file.proven_at = proof.map(|proof| proof.verified_at);
        }
    }

    fn record(&self, bytes_read: u64, end: ReadingEnd) -> Result<()> {
        let files = self.inventory.files.iter();
        let files: Vec<ScrubFile> = files.map(PublishedFile::facts).collect();
        let n_unlisted = self.inventory.n_unlisted;
        let next_at = match end {
            ReadingEnd::Done | ReadingEnd::UsedUp => self.now.checked_add(SCRUB_EVERY.span()).ok(),
            ReadingEnd::CutShort => None,
        };
        let now = self.services.host.now();
        let (next_at, bytes_read) = match &self.continued {
            Some((last, _)) => (last.next_at, last.bytes_read),
            None => (next_at, bytes_read),
        };
        let scrub = Scrub {
            next_at,
            ..Scrub::new(&files, n_unlisted, bytes_read, self.every, now)
        };
        Ok(self.services.store.save_scrub(self.shard, &scrub)?)
    }
}
