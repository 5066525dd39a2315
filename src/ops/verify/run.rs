//! The run from its first look to its last session.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Result;

use super::look::{Look, look};
use super::prove::{Job, Proof, Proving, prove_all};
use super::report::{
    Verified, VerifyReport, end_of, nothing_published, session_files, trouble_with,
};
use super::witness::Word;
use crate::domain::content::ContentId;
use crate::domain::outcome::{Outcome, Trigger, VerifyOutcome};
use crate::domain::run::{Event, EventKind, RunCommand};
use crate::domain::sample::{Candidate, choose_sample};
use crate::domain::snapshot::RemoteFile;
use crate::domain::units::ByteSize;
use crate::ops::rollback;
use crate::ops::run::{Opening, Run, Tools};
use crate::ops::sync::{SyncEvent, SyncResult, Target, outcome_of, trouble_of};

/// Everything that a verification works with.
pub struct Verify<'a> {
    pub tools: Tools<'a>,
    pub targets: Vec<Target>,
    /// Fetch again what is bad.
    pub repair: bool,
    /// Hash so many bytes only, those proven longest ago.
    pub sample: Option<ByteSize>,
    /// Ask nobody, not even for a listing that is not kept.
    pub offline: bool,
}

/// Asks whether files that a person changed may be replaced.
pub type MayReplace<'a> = &'a mut dyn FnMut(&[PathBuf]) -> Result<bool>;

impl Verify<'_> {
    /// Verifies; the lock of the home is held by the caller.
    pub fn run(
        &self,
        may_replace: MayReplace<'_>,
        show: &mut dyn FnMut(&SyncEvent),
    ) -> Result<VerifyReport> {
        let mut run = Run::begin(self.tools, RunCommand::Verify, Trigger::Manual)?;
        let openings = self.targets.iter().map(|target| Opening {
            target: Arc::new(target.clone()),
            slot: None,
        });
        run.open(openings.collect())?;
        let choice = run.cache_choice();
        let mut models = vec![Verified::default(); self.targets.len()];
        let mut looks: Vec<(usize, Look)> = Vec::new();
        for (index, target) in self.targets.iter().enumerate() {
            let hub = (!self.offline).then_some(self.tools.hub);
            // A rollback that was killed has not moved the ref yet: what is
            // proven must be what readers see.
            rollback::hold(&choice.layout(), target);
            match look(hub, self.tools.stop, &choice, target) {
                Ok(Some(look)) => looks.push((index, look)),
                Ok(None) => {
                    run.close(index, &nothing_published(target));
                }
                Err(err) => {
                    let end = match self.tools.stop.reason() {
                        Some(reason) => SyncResult::unseen(reason),
                        None => end_of(outcome_of(&err, false), Some(trouble_of(&err))),
                    };
                    close(&mut run, index, end, &Verified::default());
                }
            }
        }
        for (index, look) in &looks {
            models[*index] = look.begin();
        }
        self.prove(&mut run, &looks, &mut models, show)?;
        let is_stopped = self.tools.stop.is_raised();
        let mut broken = Vec::new();
        for (index, look) in looks {
            let model = &models[index];
            if self.repair && !is_stopped && !model.bad.is_empty() {
                broken.push((index, look));
            } else {
                let end = self.end_without_repair(index, &look, model);
                close(&mut run, index, end, model);
            }
        }
        self.repair(&mut run, broken, &mut models, may_replace, show)?;
        Ok(VerifyReport {
            run: run.end(0)?,
            models,
        })
    }

    /// Hashes what is there, and writes down at once what is proven: a run of
    /// many hours that is cut short has not worked in vain.
    fn prove(
        &self,
        run: &mut Run<'_>,
        looks: &[(usize, Look)],
        models: &mut [Verified],
        show: &mut dyn FnMut(&SyncEvent),
    ) -> Result<()> {
        let (jobs, uses) = self.jobs(looks);
        let chosen = self.choose(&jobs, &uses, looks)?;
        let n_bytes = chosen.iter().map(|&job| jobs[job].size_bytes).sum();
        show(&SyncEvent::FetchPlanned {
            n_files: chosen.len() as u64,
            n_bytes,
        });
        let mut proofs: Vec<Option<Proof>> = vec![None; jobs.len()];
        let mut problem = None;
        let threads = crate::sys::host::cores();
        prove_all(&jobs, &chosen, threads, self.tools.stop, &mut |event| {
            let result = match event {
                Proving::Started { job } => {
                    show(&SyncEvent::FileStarted {
                        name: jobs[job].name.as_str().into(),
                        n_bytes: jobs[job].size_bytes,
                        have: 0,
                    });
                    Ok(())
                }
                Proving::Read { job, bytes } => {
                    show(&SyncEvent::BytesFetched {
                        name: jobs[job].name.as_str().into(),
                        n_bytes: bytes,
                    });
                    run.note_progress();
                    Ok(())
                }
                Proving::Ended { job, proof } => {
                    show(&SyncEvent::FileEnded {
                        name: jobs[job].name.as_str().into(),
                    });
                    let result = self.note_down(run, &uses[job], looks, &proof);
                    tell_of_witnesses(&jobs[job], &proof);
                    proofs[job] = Some(proof);
                    result
                }
            };
            if let Err(err) = result {
                log::error!("{err:#}");
                problem.get_or_insert(err);
            }
        });
        for &job in &chosen {
            for one in &uses[job] {
                let (index, look) = &looks[one.look];
                let (model, file) = (&mut models[*index], &look.present[one.file]);
                if let Some(Proof::Good(found, _) | Proof::Bad(found)) = &proofs[job] {
                    match found.xet() {
                        Word::Silent => {}
                        Word::Agrees => model.xet_agrees += 1,
                        Word::Differs => model.xet_differs += 1,
                    }
                }
                match &proofs[job] {
                    Some(Proof::Good(..)) => {
                        model.files_good += 1;
                        model.bytes_good += file.size_bytes;
                    }
                    Some(proof) => model.bad.push(look.bad(file, proof)),
                    None => model.is_cut_short = true,
                }
            }
        }
        for model in models.iter_mut() {
            model.bad.sort_by(|a, b| a.path.cmp(&b.path));
        }
        problem.map_or(Ok(()), Err)
    }

    /// Makes one job of each file on disk: several names may stand for one.
    fn jobs(&self, looks: &[(usize, Look)]) -> (Vec<Job>, Vec<Vec<Use>>) {
        let mut jobs = Vec::new();
        let mut uses: Vec<Vec<Use>> = Vec::new();
        let mut known: HashMap<(PathBuf, ContentId), usize> = HashMap::new();
        for (place, (index, look)) in looks.iter().enumerate() {
            for (at, file) in look.present.iter().enumerate() {
                let path = look.place.entry(&look.commit, &file.path);
                let real = std::fs::canonicalize(&path).unwrap_or_else(|_| path.clone());
                let job = *known.entry((real, file.content)).or_insert_with(|| {
                    jobs.push(Job {
                        name: format!("{}: {}", self.targets[*index].label(), file.path),
                        path,
                        content: file.content,
                        size_bytes: file.size_bytes,
                        xet_hash: file.xet_hash,
                        sidecar: look.place.sidecar(&file.content),
                    });
                    uses.push(Vec::new());
                    jobs.len() - 1
                });
                uses[job].push(Use {
                    look: place,
                    file: at,
                });
            }
        }
        (jobs, uses)
    }

    /// Chooses what to hash, the largest first, so that no core waits for the
    /// last one at the end.
    fn choose(
        &self,
        jobs: &[Job],
        uses: &[Vec<Use>],
        looks: &[(usize, Look)],
    ) -> Result<Vec<usize>> {
        let mut chosen: Vec<usize> = match self.sample {
            None => (0..jobs.len()).collect(),
            Some(most) => {
                let mut candidates = Vec::new();
                for (job, uses) in jobs.iter().zip(uses) {
                    let known = match uses.first() {
                        Some(one) => self.tools.store.blob(&one.kept_at(looks))?,
                        None => None,
                    };
                    candidates.push(Candidate {
                        verified_at: known.map(|known| known.verified_at),
                        size_bytes: job.size_bytes,
                    });
                }
                choose_sample(&candidates, most)
            }
        };
        chosen.sort_by_key(|&job| std::cmp::Reverse(jobs[job].size_bytes));
        Ok(chosen)
    }

    /// Writes down what reading a file showed.
    ///
    /// Rot is remembered, so that the next download replaces the file. What a
    /// person changed is theirs and no rot: only they can say what becomes of it.
    fn note_down(
        &self,
        run: &Run<'_>,
        uses: &[Use],
        looks: &[(usize, Look)],
        proof: &Proof,
    ) -> Result<()> {
        let (store, now) = (self.tools.store, self.tools.host.now());
        for one in uses {
            let (index, look) = &looks[one.look];
            let (path, file) = (one.kept_at(looks), one.of(looks));
            match proof {
                Proof::Good(_, Some(stamp)) => {
                    store.save_blob(&path, &file.content, stamp, now)?;
                }
                Proof::Good(_, None) => drop(store.forget_bad_file(&path)?),
                Proof::Bad(_) | Proof::Unreadable(_) if look.is_edited(file) => {
                    store.forget_blob(&path)?;
                    store.forget_bad_file(&path)?;
                }
                // A file that cannot be read is of use to nobody: a sync fetches it again.
                Proof::Bad(_) | Proof::Unreadable(_) => {
                    store.transaction(|store| -> Result<()> {
                        if store.save_bad_file(&path, &file.content, now)? {
                            let model = self.targets[*index].model.as_ref();
                            store.record_event(&Event {
                                at: now,
                                kind: EventKind::Corrupt,
                                model_id: model.map(|(id, _)| *id),
                                run_id: Some(run.id().clone()),
                                detail: match proof {
                                    Proof::Unreadable(why) => {
                                        format!("`{}` cannot be read: {why}", path.display())
                                    }
                                    _ => format!("`{}` no longer has its hash", path.display()),
                                },
                            })?;
                        }
                        Ok(())
                    })?
                }
            }
        }
        Ok(())
    }

    fn end_without_repair(&self, index: usize, look: &Look, model: &Verified) -> SyncResult {
        let progress = model.progress(look.place.readable_at(&look.commit));
        let mut end = if !model.bad.is_empty() {
            let hint = (!self.repair).then(|| {
                let label = self.targets[index].label();
                format!(
                    "`hfdl verify {label} --repair` fetches again what is bad, at the same commit"
                )
            });
            end_of(Outcome::Failed, Some(trouble_with(&model.bad, hint)))
        } else if model.is_cut_short {
            SyncResult {
                stopped: self.tools.stop.reason(),
                ..end_of(Outcome::Partial, None)
            }
        } else {
            end_of(Outcome::UpToDate, None)
        };
        end.files = session_files(&model.bad);
        end.progress = progress;
        end
    }
}

/// Closes a session with the word for what was found of its model.
pub(super) fn close(run: &mut Run<'_>, index: usize, mut end: SyncResult, model: &Verified) {
    // Files that could not be listed or reached are neither good nor bad.
    let outcome = model.outcome().unwrap_or(VerifyOutcome::Unproven);
    end.verify_outcome = Some(outcome);
    run.close(index, &end);
}

/// Says where a witness was wrong, and throws a sidecar away that was: nobody
/// misses it but the next update, which makes it anew.
fn tell_of_witnesses(job: &Job, proof: &Proof) {
    let (Proof::Good(found, _) | Proof::Bad(found)) = proof else {
        return;
    };
    if found.listing_contradicts_itself() {
        log::warn!(
            "`{}`: the listing gives another Xet hash than the bytes have that its content's hash names",
            job.name
        );
    }
    if found.sidecar_lies() {
        let path = job.sidecar.display();
        match std::fs::remove_file(&job.sidecar) {
            Ok(()) => log::warn!(
                "`{path}` was damaged and is removed; `{}` is good",
                job.name
            ),
            Err(err) => log::warn!("`{path}` is damaged and cannot be removed: {err}"),
        }
    }
}

/// One name that a file on disk has.
#[derive(Clone, Copy)]
struct Use {
    look: usize,
    /// The place among the files that the look found present.
    file: usize,
}

impl Use {
    fn of<'l>(&self, looks: &'l [(usize, Look)]) -> &'l RemoteFile {
        &looks[self.look].1.present[self.file]
    }

    /// Returns the path under which the database knows the file.
    fn kept_at(&self, looks: &[(usize, Look)]) -> PathBuf {
        let look = &looks[self.look].1;
        look.place.file_of(&look.commit, self.of(looks))
    }
}
