//! Fetches bad files again, at the published commit.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Result;

use super::look::{BadFile, BadReason, Look, ask_for_listing};
use super::report::{Verified, failure_with, result_of, session_files};
use super::run::{MayReplace, Verify, close};
use crate::domain::adopt::AdoptedSources;
use crate::domain::guard::Terms;
use crate::domain::model::Priority;
use crate::domain::outcome::Outcome;
use crate::domain::plan::plan_sync;
use crate::domain::policy::PolicyNote;
use crate::domain::queue_order::QueueOrder;
use crate::domain::repo::RepoPath;
use crate::domain::repo_arg::escape_pattern;
use crate::domain::session::SessionId;
use crate::domain::snapshot::RemoteFile;
use crate::download::{LimitGroup, has_content};
use crate::ops::diagnose::{outcome_of, trouble_of};
use crate::ops::run::{ActiveRun, Bounds};
use crate::ops::services::Services;
use crate::ops::sync::{Asker, LocalReads, Planned, SyncEvent, SyncRequest, SyncResult, Target};

impl Verify<'_> {
    /// Repairs models with bad files, and closes their sessions.
    pub(in crate::ops) fn repair(
        &self,
        run: &mut ActiveRun<'_>,
        sessions: &[SessionId],
        broken: Vec<(usize, Look)>,
        models: &mut [Verified],
        may_replace: MayReplace<'_>,
        show: &mut dyn FnMut(&SyncEvent),
    ) -> Result<()> {
        if broken.is_empty() {
            return Ok(());
        }
        let may_replace = self.ask(&broken, models, may_replace)?;
        if !run.has_syncer() {
            run.start_syncer(&Bounds {
                limit_rate: self.services.settings.limit_rate().cloned(),
                ..Bounds::default()
            })?;
        }
        let limits = run.limits()?;
        let mut indices = BTreeMap::new();
        for (index, look) in broken {
            let session = sessions[index];
            match self.plan_or_end(&limits, index, look, &models[index], may_replace) {
                Ok((request, planned)) => {
                    indices.insert(session, index);
                    run.sync(session, request, Some(planned))?;
                }
                Err(mut result) => {
                    if self.is_scrub {
                        blame_damage(&models[index], &mut result);
                    }
                    close(run, session, *result, &models[index]);
                }
            }
        }
        while run.is_syncing() {
            for (session, mut result) in run.step(show) {
                if let Some(index) = indices.get(&session) {
                    note_repair(&mut models[*index], &mut result, may_replace);
                    if self.is_scrub {
                        blame_damage(&models[*index], &mut result);
                    }
                }
                run.close(session, &result);
            }
        }
        Ok(())
    }

    /// Plans the repair of one model, or returns the result if there is no plan.
    fn plan_or_end(
        &self,
        limits: &LimitGroup,
        index: usize,
        look: Look,
        model: &Verified,
        may_replace: bool,
    ) -> Result<(SyncRequest, Box<Planned>), Box<SyncResult>> {
        let bad = &model.bad;
        let spared = bad.iter();
        let spared = spared.filter(|bad| bad.reason == BadReason::Changed && !may_replace);
        let spared: BTreeSet<&RepoPath> = spared.map(|bad| &bad.path).collect();
        let path = look.place.readable_at(&look.commit);
        if spared.len() == bad.len() {
            return Err(Box::new(still_bad(model, path)));
        }
        let target = &self.targets[index];
        match plan_repair(self.services, look, target, bad, &spared) {
            Ok(planned) => {
                let request = SyncRequest {
                    target: Arc::new(target.clone()),
                    limits: limits.clone(),
                    order: QueueOrder::new(Priority::default(), Priority::default()),
                };
                Ok((request, Box::new(planned)))
            }
            Err(err) => Err(Box::new(match self.services.stop.reason() {
                Some(reason) => SyncResult::unseen(reason),
                None => failed(model, path, &err),
            })),
        }
    }

    /// Asks once about all files that a person has edited: no other bytes are lost for good.
    fn ask(
        &self,
        broken: &[(usize, Look)],
        models: &[Verified],
        may_replace: MayReplace<'_>,
    ) -> Result<bool> {
        let mut changed: Vec<PathBuf> = Vec::new();
        for (index, look) in broken {
            let bad = models[*index].bad.iter();
            let bad = bad.filter(|bad| bad.reason == BadReason::Changed);
            changed.extend(bad.map(|bad| look.place.entry(&look.commit, &bad.path)));
        }
        if changed.is_empty() {
            return Ok(true);
        }
        may_replace(&changed)
    }
}

/// Plans a download of the published commit, with the bad files distrusted. The ref
/// does not move.
fn plan_repair(
    services: &Services<'_>,
    look: Look,
    target: &Target,
    bad: &[BadFile],
    spared: &BTreeSet<&RepoPath>,
) -> Result<Planned> {
    let network = services.network()?;
    let hub = &network.clients.with_token(target.token_name.as_ref())?;
    let remote = match look.remote {
        Some(remote) => remote,
        None => ask_for_listing(hub, &services.stop, &target.repo, &look.commit)?,
    };
    let mut filter = look.filter;
    let spared = spared.iter().map(|path| escape_pattern(path.as_str()));
    filter.exclude.extend(spared);
    let place = &look.place;
    let mut facts = place.facts(&remote, &filter, Some(&look.commit), &has_content)?;
    let bad: BTreeSet<&RepoPath> = bad.iter().map(|bad| &bad.path).collect();
    let mut distrusted = BTreeSet::new();
    for file in remote.files.iter().filter(|file| bad.contains(&file.path)) {
        facts.distrust(file);
        distrusted.insert(file.content);
    }
    let mut plan = plan_sync(&remote, &filter, &look.place.likely_placement(), &facts)?;
    if let Some(xet) = &network.xet {
        let place_of = |file: &RemoteFile| look.place.file_of(&look.commit, file);
        let asker = Asker {
            hub,
            xet,
            target,
            destination: &look.place,
            remote: &remote,
            old_commit: Some(&look.commit),
            goes_on: &|| !services.stop.is_raised(),
            bad: &|file| distrusted.contains(&file.content).then(|| place_of(file)),
        };
        asker.add_deltas(&mut plan);
    }
    Ok(Planned {
        changes: None,
        // This run has read them, or the sample leaves them out.
        reused: Vec::new(),
        local_reads: LocalReads::default(),
        adopted: AdoptedSources::default(),
        unjudged: BTreeSet::new(),
        terms: Terms::default(),
        destination: look.place,
        remote,
        plan,
        old_commit: Some(look.commit),
        is_read_here: true,
        moves_ref: false,
        renamed_to: None,
        note: PolicyNote::default(),
        distrusted,
    })
}

/// Marks the files that a repair has replaced. Files that were spared make the
/// result a failure.
fn note_repair(model: &mut Verified, result: &mut SyncResult, may_replace: bool) {
    if let Outcome::Repaired | Outcome::UpToDate = result.outcome {
        for bad in &mut model.bad {
            bad.is_repaired = bad.reason != BadReason::Changed || may_replace;
        }
        let left = still_there(model);
        if !left.is_empty() {
            result.outcome = Outcome::Failed;
            result.failure = Some(failure_with(&left, spared_hint()));
            result.files.extend(session_files(&left));
        }
    }
    result.verify_outcome = model.outcome();
}

/// Makes damage the failure of a session, with the reason why it is not repaired. A
/// repair that a limit has stopped continues in the next run.
pub(in crate::ops) fn blame_damage(model: &Verified, result: &mut SyncResult) {
    let left = still_there(model);
    if left.is_empty() || result.stopped.is_some() {
        return;
    }
    let mut damage = failure_with(&left, None);
    if let Some(failure) = result.failure.take() {
        let why = failure.message;
        damage.message = format!("{}; it cannot be fetched again: {why}", damage.message);
        damage.hint = failure.hint;
    }
    result.outcome = Outcome::Failed;
    result.failure = Some(damage);
}

fn still_there(model: &Verified) -> Vec<BadFile> {
    let left = model.bad.iter().filter(|bad| !bad.is_repaired);
    left.cloned().collect()
}

fn still_bad(model: &Verified, path: PathBuf) -> SyncResult {
    let failure = failure_with(&model.bad, spared_hint());
    let mut result = result_of(Outcome::Failed, Some(failure));
    result.files = session_files(&model.bad);
    result.progress = model.progress(path);
    result
}

pub(in crate::ops) fn failed(model: &Verified, path: PathBuf, err: &anyhow::Error) -> SyncResult {
    let outcome = match outcome_of(err, false) {
        // The check has succeeded; the repair has failed.
        Outcome::CouldNotCheck => Outcome::Failed,
        outcome => outcome,
    };
    let mut result = result_of(outcome, Some(trouble_of(err)));
    result.files = session_files(&model.bad);
    result.progress = model.progress(path);
    result
}

fn spared_hint() -> Option<String> {
    Some("files that somebody changed are replaced only with `--repair --yes`".to_owned())
}
