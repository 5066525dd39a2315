//! Fetches again what is bad, at the commit that is published.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Result;

use super::look::{BadFile, Look, Reason, ask_for_listing};
use super::report::{Verified, end_of, session_files, trouble_with};
use super::run::{MayReplace, Verify, close};
use crate::domain::model::Priority;
use crate::domain::outcome::Outcome;
use crate::domain::plan::plan_sync;
use crate::domain::queue_order::QueueOrder;
use crate::domain::repo::RepoPath;
use crate::domain::repo_arg::escape_pattern;
use crate::domain::snapshot::RemoteFile;
use crate::download::has_content;
use crate::ops::run::{Bounds, Run, Tools};
use crate::ops::sync::{
    Asker, LocalReads, Planned, SyncEvent, SyncRequest, SyncResult, Target, origins_of, outcome_of,
    trouble_of,
};

impl Verify<'_> {
    /// Repairs models whose bad files are known, and closes their sessions.
    pub(super) fn repair(
        &self,
        run: &mut Run<'_>,
        broken: Vec<(usize, Look)>,
        models: &mut [Verified],
        may_replace: MayReplace<'_>,
        show: &mut dyn FnMut(&SyncEvent),
    ) -> Result<()> {
        if broken.is_empty() {
            return Ok(());
        }
        let may_replace = self.ask(&broken, models, may_replace)?;
        let bounds = Bounds {
            limit_rate: self.tools.settings.limit_rate().cloned(),
            ..Bounds::default()
        };
        let (mut syncer, _deadlines) = run.start_syncer(&bounds)?;
        let limits = syncer.limits().clone();
        for (index, look) in broken {
            let bad = &models[index].bad;
            let spared: BTreeSet<&RepoPath> = bad
                .iter()
                .filter(|bad| bad.reason == Reason::Changed && !may_replace)
                .map(|bad| &bad.path)
                .collect();
            let path = look.place.readable_at(&look.commit);
            if spared.len() == bad.len() {
                let end = still_bad(&models[index], path);
                close(run, index, end, &models[index]);
                continue;
            }
            let target = &self.targets[index];
            match plan_repair(&self.tools, look, target, bad, &spared) {
                Ok(planned) => {
                    let request = SyncRequest {
                        target: Arc::new(target.clone()),
                        limits: limits.clone(),
                        order: QueueOrder::new(Priority::default(), Priority::default()),
                    };
                    run.sync_planned(&mut syncer, index, request, Box::new(planned));
                }
                Err(err) => {
                    let end = match self.tools.stop.reason() {
                        Some(reason) => SyncResult::unseen(reason),
                        None => failed(&models[index], path, &err),
                    };
                    close(run, index, end, &models[index]);
                }
            }
        }
        let mut alter = |index: usize, mut end: SyncResult| {
            let model = &mut models[index];
            if matches!(end.outcome, Outcome::Repaired | Outcome::UpToDate) {
                for bad in &mut model.bad {
                    bad.is_repaired = bad.reason != Reason::Changed || may_replace;
                }
                let left: Vec<BadFile> = still_there(model);
                if !left.is_empty() {
                    end.outcome = Outcome::Failed;
                    end.failure = Some(trouble_with(&left, spared_hint()));
                    end.files.extend(session_files(&left));
                }
            }
            end.verify_outcome = model.outcome();
            end
        };
        run.lead(syncer, &mut alter, show);
        Ok(())
    }

    /// Asks once about all files that a person changed; they are the only
    /// ones whose bytes cannot be had again.
    fn ask(
        &self,
        broken: &[(usize, Look)],
        models: &[Verified],
        may_replace: MayReplace<'_>,
    ) -> Result<bool> {
        let mut changed: Vec<PathBuf> = Vec::new();
        for (index, look) in broken {
            let bad = models[*index].bad.iter();
            let bad = bad.filter(|bad| bad.reason == Reason::Changed);
            changed.extend(bad.map(|bad| look.place.entry(&look.commit, &bad.path)));
        }
        if changed.is_empty() {
            return Ok(true);
        }
        may_replace(&changed)
    }
}

/// Plans as for a download of the published commit, with the bad files distrusted.
///
/// The ref stays where it is, whatever has happened upstream.
fn plan_repair(
    tools: &Tools<'_>,
    look: Look,
    target: &Target,
    bad: &[BadFile],
    spared: &BTreeSet<&RepoPath>,
) -> Result<Planned> {
    let remote = match look.remote {
        Some(remote) => remote,
        None => ask_for_listing(tools.hub, tools.stop, &target.repo, &look.commit)?,
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
    if let Some(xet) = tools.xet {
        let place_of = |file: &RemoteFile| look.place.file_of(&look.commit, file);
        let asker = Asker {
            hub: tools.hub,
            xet,
            target,
            destination: &look.place,
            remote: &remote,
            old_commit: Some(&look.commit),
            goes_on: &|| !tools.stop.is_raised(),
            bad: &|file| distrusted.contains(&file.content).then(|| place_of(file)),
        };
        asker.add_deltas(&mut plan);
    }
    let origins = origins_of(&plan, &look.place, &target.repo, Some(&look.commit));
    Ok(Planned {
        origins,
        // They have been read by this very run, or are the sample's rest.
        reused: Vec::new(),
        local_reads: LocalReads::default(),
        destination: look.place,
        remote,
        plan,
        old_commit: Some(look.commit),
        moves_ref: false,
        renamed_to: None,
        distrusted,
    })
}

fn still_there(model: &Verified) -> Vec<BadFile> {
    let left = model.bad.iter().filter(|bad| !bad.is_repaired);
    left.cloned().collect()
}

fn still_bad(model: &Verified, path: PathBuf) -> SyncResult {
    let trouble = trouble_with(&model.bad, spared_hint());
    let mut end = end_of(Outcome::Failed, Some(trouble));
    end.files = session_files(&model.bad);
    end.progress = model.progress(path);
    end
}

fn failed(model: &Verified, path: PathBuf, err: &anyhow::Error) -> SyncResult {
    let outcome = match outcome_of(err, false) {
        // It was checked; what failed is the repair.
        Outcome::CouldNotCheck => Outcome::Failed,
        outcome => outcome,
    };
    let mut end = end_of(outcome, Some(trouble_of(err)));
    end.files = session_files(&model.bad);
    end.progress = model.progress(path);
    end
}

fn spared_hint() -> Option<String> {
    Some("files that somebody changed are replaced only with `--repair --yes`".to_owned())
}
