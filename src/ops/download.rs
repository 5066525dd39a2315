//! `hfdl download`: one run over targets that a person or a CI step named.

use std::path::Path;
use std::sync::Arc;

use anyhow::Result;

use super::places::Places;
use super::rate_limits;
use super::run::{Bounds, Opening, Run, RunReport, Tools};
use super::sync::{CacheChoice, Checked, SyncEvent, SyncRequest, Target, check_all};
use crate::cache::LinkChoice;
use crate::domain::hold::Loss;
use crate::domain::model::Priority;
use crate::domain::outcome::Trigger;
use crate::domain::plan::Totals;
use crate::domain::queue_order::QueueOrder;
use crate::domain::run::RunCommand;
use crate::domain::session::Session;
use crate::domain::settings::Settings;
use crate::sys::host::Host;

/// Everything that a download works with.
pub struct Download<'a> {
    pub tools: Tools<'a>,
    pub targets: Vec<Target>,
    pub bounds: Bounds,
}

/// What a dry run found for one target.
#[derive(Debug)]
pub struct DryRun {
    pub label: String,
    pub commit: String,
    pub files: Vec<(String, u64, u64)>,
    pub totals: Totals,
    /// The newer commit that is held because it looks like a loss.
    pub held: Option<Loss>,
}

/// Returns where models go and which links may be used there.
pub fn cache_choice(host: &Host, settings: &Settings, places: Arc<Places>) -> CacheChoice {
    let links = if host.is_on("HF_HUB_DISABLE_SYMLINKS") {
        LinkChoice::NoSymlinks
    } else {
        LinkChoice::WherePossible
    };
    CacheChoice {
        root: settings.cache_dir().into(),
        home: None,
        links,
        places,
    }
}

impl Download<'_> {
    /// Finds out what a run would fetch; only looks.
    pub fn dry_run(&self) -> Result<Vec<Result<DryRun>>> {
        dry_run(&self.tools, &self.targets)
    }

    /// Downloads; the lock of the home is held by the caller.
    pub fn run(&self, show: &mut dyn FnMut(&SyncEvent)) -> Result<RunReport> {
        let tools = &self.tools;
        let now = tools.host.now();
        rate_limits::refuse_long_wait(tools.store, tools.hub, now)?;
        let mut run = Run::begin(self.tools, RunCommand::Download, Trigger::Manual)?;
        let (mut syncer, _deadlines) = run.start_syncer(&self.bounds)?;
        // Behind the start of the syncer, whose deadline ends this wait as well.
        if !rate_limits::wait_out(tools, &mut || run.beat())? {
            syncer.expect_no_answer();
        }
        let targets: Vec<Arc<Target>> = self.targets.iter().cloned().map(Arc::new).collect();
        let openings = targets.iter().map(|target| Opening {
            target: target.clone(),
            slot: None,
        });
        let limits = syncer.limits().clone();
        for (index, target) in run
            .open(openings.collect())?
            .into_iter()
            .flatten()
            .zip(targets)
        {
            let request = SyncRequest {
                target,
                limits: limits.clone(),
                order: QueueOrder::new(Priority::default(), Priority::default()),
            };
            run.sync(&mut syncer, index, request);
        }
        run.lead(syncer, &mut |_, end| end, show);
        run.end(0)
    }
}

/// Finds out what targets would fetch; only looks.
pub fn dry_run(tools: &Tools<'_>, targets: &[Target]) -> Result<Vec<Result<DryRun>>> {
    let places = Places::load(tools.store, tools.settings)?;
    let choice = cache_choice(tools.host, tools.settings, Arc::new(places));
    let bad = tools.store.bad_files()?;
    let checked = check_all(tools.hub, tools.xet, &choice, targets, &bad);
    let pairs = targets.iter().zip(checked);
    Ok(pairs
        .map(|(target, checked)| checked.map(|checked| describe(target, checked)))
        .collect())
}

fn describe(target: &Target, checked: Checked) -> DryRun {
    let mut held = None;
    let (commit, files, totals) = match checked {
        Checked::Current {
            commit,
            n_files,
            n_bytes,
            ..
        } => {
            let totals = Totals {
                files: n_files,
                files_reused: n_files,
                bytes: n_bytes,
                bytes_reused: n_bytes,
                ..Default::default()
            };
            (commit, Vec::new(), totals)
        }
        Checked::Held { commit, .. } => (commit, Vec::new(), Default::default()),
        Checked::Suspicious { loss, .. } => {
            let commit = loss.published.0.clone();
            held = Some(*loss);
            (commit, Vec::new(), Default::default())
        }
        Checked::Planned(planned) => {
            let files = planned.plan.fetches().map(|file| {
                (
                    file.file.path.to_string(),
                    file.file.size_bytes,
                    file.missing_bytes(),
                )
            });
            (
                planned.remote.commit.clone(),
                files.collect(),
                planned.plan.totals,
            )
        }
    };
    DryRun {
        label: target.label(),
        commit: commit.to_string(),
        files,
        totals,
        held,
    }
}

/// Returns the file or folder that a session published, for stdout.
pub fn shown_path<'s>(
    session: &'s Session,
    single: Option<&Path>,
) -> Option<std::borrow::Cow<'s, Path>> {
    let path = session.progress.path.as_deref()?;
    Some(match single {
        Some(file) => path.join(file).into(),
        None => path.into(),
    })
}
