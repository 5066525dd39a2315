//! `hfdl download`: one run over targets that a person or a CI step named.

use std::path::Path;

use anyhow::Result;

use super::records::end_without_files;
use super::run::{Bounds, Run, RunReport, Tools};
use super::sync::{
    CacheChoice, Checked, Planned, Progress, SyncEnd, Target, check_all, outcome_of,
    refuse_what_does_not_fit, trouble_of,
};
use super::{rate_limits, retention, rollback};
use crate::cache::{CacheLayout, LinkChoice};
use crate::domain::outcome::{Outcome, Trigger};
use crate::domain::run::RunCommand;
use crate::domain::session::{ByteCounts, FileCounts, Session, SessionProgress};
use crate::domain::settings::Settings;
use crate::sys::host::{Host, checkpoint};

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
    pub totals: crate::domain::plan::Totals,
}

/// Returns where models go and which links may be used there.
pub fn cache_choice(host: &Host, settings: &Settings) -> CacheChoice {
    let links = if host.is_on("HF_HUB_DISABLE_SYMLINKS") {
        LinkChoice::NoSymlinks
    } else {
        LinkChoice::WherePossible
    };
    CacheChoice {
        root: settings.cache_dir().into(),
        links,
    }
}

impl Download<'_> {
    /// Finds out what a run would fetch; only looks.
    pub fn dry_run(&self) -> Vec<(usize, Result<DryRun>)> {
        let choice = cache_choice(self.tools.host, self.tools.settings);
        let cache = CacheLayout::new(&choice.root);
        let checked = check_all(self.tools.hub, &cache, &choice, &self.targets);
        checked
            .into_iter()
            .enumerate()
            .map(|(index, checked)| {
                (
                    index,
                    checked.map(|checked| describe(&self.targets[index], checked)),
                )
            })
            .collect()
    }

    /// Downloads; the lock of the home is held by the caller.
    pub fn run(&self, show: &mut dyn FnMut(&Progress<'_>)) -> Result<RunReport> {
        let run = Run::begin(
            self.tools,
            RunCommand::Download,
            Trigger::Manual,
            &self.targets,
        )?;
        let tools = &self.tools;
        rate_limits::wait_out(tools.store, tools.hub, tools.host, tools.stop)?;
        self.sync(&run, show)?;
        // What arrived is published, whatever becomes of what is old.
        let let_go = retention::newly_published(tools.store, &self.targets)
            .and_then(|moved| retention::after_run(tools, &moved, tools.host.now()));
        if let Err(err) = let_go {
            log::warn!("could not let go of what is old: {err:#}");
        }
        run.end()
    }

    fn sync(&self, run: &Run<'_>, show: &mut dyn FnMut(&Progress<'_>)) -> Result<()> {
        let choice = cache_choice(self.tools.host, self.tools.settings);
        let cache = CacheLayout::new(&choice.root);
        let checked = check_all(self.tools.hub, &cache, &choice, &self.targets);
        checkpoint("checked");
        let mut plans: Vec<(usize, Box<Planned<'_>>)> = Vec::new();
        for (index, checked) in checked.into_iter().enumerate() {
            match checked {
                Ok(Checked::Planned(planned)) => plans.push((index, planned)),
                Ok(Checked::Current {
                    place,
                    commit,
                    n_files,
                    n_bytes,
                }) => {
                    let progress = SessionProgress {
                        path: Some(place.readable_at(&commit)),
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
                        retries: 0,
                    };
                    run.close(index, &end_without_files(Outcome::UpToDate, None, progress))?;
                }
                Ok(Checked::Held { commit }) => {
                    rollback::hold(&cache, &self.targets[index]);
                    let progress = SessionProgress {
                        new_commit: Some(commit),
                        ..SessionProgress::default()
                    };
                    run.close(index, &end_without_files(Outcome::Held, None, progress))?;
                }
                Err(err) => {
                    let outcome = outcome_of(&err, self.targets[index].known_commit.is_some());
                    let end = end_without_files(
                        outcome,
                        Some(trouble_of(&err)),
                        SessionProgress::default(),
                    );
                    run.close(index, &end)?;
                }
            }
        }
        let all: Vec<&Planned<'_>> = plans.iter().map(|(_, planned)| planned.as_ref()).collect();
        let fits = refuse_what_does_not_fit(&all, self.tools.settings.disk_reserve());
        let mut go: Vec<(usize, &Planned<'_>)> = Vec::new();
        for ((index, planned), fits) in plans.iter().zip(fits) {
            if let Some(new) = &planned.renamed_to {
                log::warn!("`{}` is called `{new}` now", self.targets[*index].repo);
            }
            match fits {
                Ok(()) => go.push((*index, planned)),
                Err(err) => {
                    let progress = SessionProgress {
                        new_commit: Some(planned.remote.commit.clone()),
                        ..SessionProgress::default()
                    };
                    let end = end_without_files(Outcome::Failed, Some(trouble_of(&err)), progress);
                    run.close(*index, &end)?;
                }
            }
        }
        let mut close = |index: usize, end: &SyncEnd| run.close(index, end);
        run.fetch(&go, &self.bounds, &mut close, show)
    }
}

fn describe(target: &Target, checked: Checked<'_>) -> DryRun {
    let (commit, files, totals) = match checked {
        Checked::Current {
            commit,
            n_files,
            n_bytes,
            ..
        } => {
            let totals = crate::domain::plan::Totals {
                files: n_files,
                files_reused: n_files,
                bytes: n_bytes,
                bytes_reused: n_bytes,
                ..Default::default()
            };
            (commit, Vec::new(), totals)
        }
        Checked::Held { commit } => (commit, Vec::new(), Default::default()),
        Checked::Planned(planned) => {
            let files = planned.plan.fetches().map(|file| {
                let have = match file.action {
                    crate::domain::plan::Action::Resume { have_bytes } => have_bytes,
                    _ => 0,
                };
                (
                    file.file.path.to_string(),
                    file.file.size_bytes,
                    file.file.size_bytes - have,
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
