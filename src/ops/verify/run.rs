//! The run of a verification, from listing the files to closing the sessions.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Result;

use super::look::{BadReason, Expected, Look, look};
use super::prove::{HashResult, ProofJob, prove_all};
use super::report::{
    Verified, VerifyReport, failure_with, nothing_published, result_of, session_files,
};
use crate::cache::names_of;
use crate::domain::content::ContentId;
use crate::domain::model::{EntryName, ModelId};
use crate::domain::outcome::{Outcome, Trigger, VerifyOutcome};
use crate::domain::run::{Event, EventKind, RunCommand};
use crate::domain::sample::{Candidate, choose_sample};
use crate::domain::session::SessionId;
use crate::domain::snapshot::RemoteFile;
use crate::domain::time::Timestamp;
use crate::domain::units::ByteSize;
use crate::ops::diagnose::{outcome_of, trouble_of};
use crate::ops::parallel::HashEvent;
use crate::ops::rollback;
use crate::ops::run::{ActiveRun, Opening};
use crate::ops::services::Services;
use crate::ops::sync::{SyncEvent, SyncResult, Target};
use crate::ops::views;

pub struct Verify<'a> {
    pub services: &'a Services<'a>,
    pub targets: Vec<Target>,
    /// Fetch bad files again.
    pub repair: bool,
    /// Hash only so many bytes, those proven longest ago.
    pub sample: Option<ByteSize>,
    /// Send no request, not even for a missing listing.
    pub offline: bool,
    /// Part of a nightly run: a bad file that cannot be fetched again is damage, whatever
    /// the reason.
    pub is_scrub: bool,
}

/// Asks whether files that were changed by hand may be replaced.
pub type MayReplace<'a> = &'a mut dyn FnMut(&[PathBuf]) -> Result<bool>;

impl Verify<'_> {
    /// Verifies the targets; the caller holds the lock of the home.
    pub fn run(
        &self,
        may_replace: MayReplace<'_>,
        show: &mut dyn FnMut(&SyncEvent),
    ) -> Result<VerifyReport> {
        let mut run = ActiveRun::begin(self.services, RunCommand::Verify, Trigger::Manual)?;
        let targets = self.targets.iter().cloned().map(Arc::new);
        let sessions = run.open(targets.map(Opening::of_verification).collect())?;
        let sessions: Vec<SessionId> = sessions.into_iter().flatten().collect();
        let mut models = vec![Verified::default(); self.targets.len()];
        let looks = self.look_at_all(&mut run, &sessions)?;
        for (index, look) in &looks {
            models[*index] = look.begin();
        }
        self.prove(&mut run, &looks, &mut models, show)?;
        let is_stopped = self.services.stop.is_raised();
        let mut broken = Vec::new();
        for (index, look) in looks {
            let model = &models[index];
            if self.repair && !is_stopped && !model.bad.is_empty() {
                broken.push((index, look));
            } else {
                let result = self.result_without_repair(index, &look, model);
                close(&mut run, sessions[index], result, model);
            }
        }
        self.repair(&mut run, &sessions, broken, &mut models, may_replace, show)?;
        let run = run.end(0)?;
        let mut views = views::list(&self.services.store)?;
        let is_meant = |name: &EntryName| {
            let mut targets = self.targets.iter();
            targets.any(|target| target.model.as_ref().is_some_and(|(_, own)| own == name))
        };
        views.retain(|view| is_meant(&view.model));
        Ok(VerifyReport { run, models, views })
    }

    /// Finds the published files of all targets. It closes the sessions of targets
    /// that have none, or whose files cannot be listed.
    fn look_at_all(
        &self,
        run: &mut ActiveRun<'_>,
        sessions: &[SessionId],
    ) -> Result<Vec<(usize, Look)>> {
        let choice = run.cache_choice();
        let stop = &self.services.stop;
        let mut looks = Vec::new();
        for (index, target) in self.targets.iter().enumerate() {
            let clients = if self.offline {
                None
            } else {
                Some(&self.services.network()?.clients)
            };
            // A rollback that was killed has not moved the ref yet; the files to verify
            // are those that readers see.
            if let Some(held) = &target.held_commit {
                rollback::hold(&choice.layout(), target, held);
            }
            match look(clients, stop, &choice, target, Expected::of(target)) {
                Ok(Some(look)) => looks.push((index, look)),
                Ok(None) => {
                    run.close(sessions[index], &nothing_published(target));
                }
                Err(err) => {
                    let result = match stop.reason() {
                        Some(reason) => SyncResult::unseen(reason),
                        None => result_of(outcome_of(&err, false), Some(trouble_of(&err))),
                    };
                    close(run, sessions[index], result, &Verified::default());
                }
            }
        }
        Ok(looks)
    }

    /// Hashes the files. Each proof is saved at once, so that a run that is cut short
    /// keeps its work.
    fn prove(
        &self,
        run: &mut ActiveRun<'_>,
        looks: &[(usize, Look)],
        models: &mut [Verified],
        show: &mut dyn FnMut(&SyncEvent),
    ) -> Result<()> {
        let (jobs, uses) = self.jobs(looks);
        let chosen = self.choose(&jobs, &uses, looks)?;
        let n_bytes = chosen.iter().map(|&job| jobs[job].size_bytes).sum();
        show(&SyncEvent::ReadPlanned {
            n_files: chosen.len() as u64,
            n_bytes,
        });
        let mut proofs: Vec<Option<HashResult>> = vec![None; jobs.len()];
        let mut problem = None;
        let threads = crate::sys::host::cores();
        prove_all(&jobs, &chosen, threads, &self.services.stop, &mut |event| {
            let result = match event {
                HashEvent::Started { job } => {
                    show(&SyncEvent::FileStarted {
                        name: jobs[job].name.clone(),
                        n_bytes: jobs[job].size_bytes,
                        have: 0,
                    });
                    Ok(())
                }
                HashEvent::Read { job, bytes } => {
                    show(&SyncEvent::BytesRead {
                        name: jobs[job].name.clone(),
                        n_bytes: bytes,
                    });
                    run.note_progress();
                    Ok(())
                }
                HashEvent::Ended { job, result: proof } => {
                    show(&SyncEvent::ReadEnded {
                        name: jobs[job].name.clone(),
                        is_whole: true,
                    });
                    let result = self.note_down(run, &uses[job], looks, &proof);
                    report_witnesses(&jobs[job], &proof);
                    proofs[job] = Some(proof);
                    result
                }
            };
            if let Err(err) = result {
                log::error!("{err:#}");
                problem.get_or_insert(err);
            }
        });
        count_proofs(&chosen, &uses, looks, &proofs, models);
        problem.map_or(Ok(()), Err)
    }

    /// Returns one job for each file on disk; a file may have several names.
    fn jobs(&self, looks: &[(usize, Look)]) -> (Vec<ProofJob>, Vec<Vec<Use>>) {
        let mut jobs = Vec::new();
        let mut uses: Vec<Vec<Use>> = Vec::new();
        let mut known: HashMap<(PathBuf, ContentId), usize> = HashMap::new();
        let records_chunks = !self.services.settings.xet_is_off();
        for (place, (index, look)) in looks.iter().enumerate() {
            for (at, file) in look.present.iter().enumerate() {
                let path = look.place.entry(&look.commit, &file.path);
                let real = std::fs::canonicalize(&path).unwrap_or_else(|_| path.clone());
                let job = *known.entry((real, file.content)).or_insert_with(|| {
                    jobs.push(ProofJob {
                        name: format!("{}: {}", self.targets[*index].label(), file.path).into(),
                        path,
                        content: file.content,
                        size_bytes: file.size_bytes,
                        xet_hash: file.xet_hash,
                        sidecar: look.place.sidecar(&file.content),
                        records_chunks: records_chunks && file.may_have_delta(),
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

    /// Chooses the files to hash, the largest first, so that all cores are busy until
    /// the end.
    fn choose(
        &self,
        jobs: &[ProofJob],
        uses: &[Vec<Use>],
        looks: &[(usize, Look)],
    ) -> Result<Vec<usize>> {
        let mut chosen: Vec<usize> = match self.sample {
            None => (0..jobs.len()).collect(),
            Some(most) => {
                let mut candidates = Vec::new();
                for (job, uses) in jobs.iter().zip(uses) {
                    let known = match uses.first() {
                        Some(one) => self.services.store.blob(&one.kept_at(looks))?,
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

    /// Saves the result for one file under each of its names.
    fn note_down(
        &self,
        run: &ActiveRun<'_>,
        uses: &[Use],
        looks: &[(usize, Look)],
        proof: &HashResult,
    ) -> Result<()> {
        for one in uses {
            let (index, look) = &looks[one.look];
            let file = one.of(looks);
            let read = FileRead {
                path: &one.kept_at(looks),
                content: &file.content,
                model: self.targets[*index].model.as_ref().map(|(id, _)| *id),
                is_edited: look.is_edited(file),
                begun_at: self.services.host.now(),
            };
            read.save(run, proof)?;
        }
        Ok(())
    }

    fn result_without_repair(&self, index: usize, look: &Look, model: &Verified) -> SyncResult {
        let progress = model.progress(look.place.readable_at(&look.commit));
        let mut result = if !model.bad.is_empty() {
            let hint = (!self.repair).then(|| {
                let label = self.targets[index].label();
                let mut bad = model.bad.iter();
                if bad.all(|file| file.reason == BadReason::Unreadable) {
                    format!(
                        "make the files readable for this user, or look at the disk; \
                         `hfdl verify {label} --repair` fetches them again"
                    )
                } else {
                    format!(
                        "`hfdl verify {label} --repair` fetches again what is bad, at the same \
                         commit"
                    )
                }
            });
            result_of(Outcome::Failed, Some(failure_with(&model.bad, hint)))
        } else if model.is_cut_short {
            SyncResult {
                stopped: self.services.stop.reason(),
                ..result_of(Outcome::Partial, None)
            }
        } else {
            result_of(Outcome::UpToDate, None)
        };
        result.files = session_files(&model.bad);
        result.progress = progress;
        result
    }
}

/// A file that was read as a whole.
pub struct FileRead<'a> {
    pub path: &'a Path,
    pub content: &'a ContentId,
    pub model: Option<ModelId>,
    /// A person has edited it.
    pub is_edited: bool,
    /// The time at which the first byte was read.
    pub begun_at: Timestamp,
}

impl FileRead<'_> {
    /// Saves the result. The next download replaces a damaged file; a file that a person
    /// has edited is not damaged, and only they decide about it.
    pub fn save(&self, run: &ActiveRun<'_>, result: &HashResult) -> Result<()> {
        let (path, store, now) = (self.path, &run.services.store, run.services.host.now());
        let why = match result {
            HashResult::Good(_, stamp) => {
                if store.is_bad_file(path, self.content)? {
                    for name in names_of(path) {
                        store.forget_bad_file(&name)?;
                    }
                }
                if let Some(stamp) = stamp {
                    store.save_blob(path, self.content, stamp, self.begun_at)?;
                }
                return Ok(());
            }
            HashResult::Bad(_) => "no longer has its hash".to_owned(),
            HashResult::Unreadable(why) => format!("cannot be read: {why}"),
        };
        if self.is_edited {
            store.forget_blob(path)?;
            store.forget_bad_file(path)?;
            return Ok(());
        }
        // The next sync fetches an unreadable file again, too.
        store.transaction(|store| -> Result<()> {
            if store.save_bad_file(&names_of(path), self.content, now)? {
                store.record_event(&Event {
                    at: now,
                    kind: EventKind::Corrupt,
                    model_id: self.model,
                    run_id: Some(run.id().clone()),
                    detail: format!("`{}` {why}", path.display()),
                })?;
            }
            Ok(())
        })
    }
}

/// Adds the results of the files to their models.
fn count_proofs(
    chosen: &[usize],
    uses: &[Vec<Use>],
    looks: &[(usize, Look)],
    proofs: &[Option<HashResult>],
    models: &mut [Verified],
) {
    for &job in chosen {
        for one in &uses[job] {
            let (index, look) = &looks[one.look];
            let (model, file) = (&mut models[*index], &look.present[one.file]);
            if let Some(HashResult::Good(found, _) | HashResult::Bad(found)) = &proofs[job] {
                match found.xet_agrees() {
                    Some(true) => model.xet_agrees += 1,
                    Some(false) => model.xet_differs += 1,
                    None => {}
                }
            }
            match &proofs[job] {
                Some(HashResult::Good(..)) => {
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
}

/// Closes a session with the outcome of the verification.
pub(in crate::ops) fn close(
    run: &mut ActiveRun<'_>,
    session: SessionId,
    mut result: SyncResult,
    model: &Verified,
) {
    // Files that could not be listed or read are neither good nor bad.
    let outcome = model.outcome().unwrap_or(VerifyOutcome::Unproven);
    result.verify_outcome = Some(outcome);
    run.close(session, &result);
}

/// Reports a Xet hash that is wrong, and removes a wrong sidecar; the next update
/// writes it again.
fn report_witnesses(job: &ProofJob, proof: &HashResult) {
    let (HashResult::Good(found, _) | HashResult::Bad(found)) = proof else {
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
    /// The index in `Look::present`.
    file: usize,
}

impl Use {
    fn of<'l>(&self, looks: &'l [(usize, Look)]) -> &'l RemoteFile {
        &looks[self.look].1.present[self.file]
    }

    /// Returns the path of the file in the database.
    fn kept_at(&self, looks: &[(usize, Look)]) -> PathBuf {
        let look = &looks[self.look].1;
        look.place.file_of(&look.commit, self.of(looks))
    }
}
