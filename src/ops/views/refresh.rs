//! Brings the views of a model to its published commit.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context, Error, Result, bail, ensure};
use thiserror::Error;

use super::published::PublishedFiles;
use super::settle::claim_of;
use crate::cache::CacheLayout;
use crate::domain::model::{Destination, Model};
use crate::domain::repo::{CommitSha, RepoPath};
use crate::domain::run::{Event, EventKind, RunId};
use crate::domain::time::Timestamp;
use crate::domain::view::{
    EntrySource, FileState, FoundFile, FoundKind, MadeView, NoLayout, ViewEntry, ViewFile,
    ViewLayout, ViewMethod, ViewPlan, ViewSpec, file_state, plan_view,
};
use crate::store::Store;
use crate::sys::host::checkpoint;
use crate::sys::paths::real_place;
use crate::view::{self, Job, JobSource, LADDER, Maker};

/// The parts of a command that views need.
#[derive(Clone, Copy)]
pub struct ViewContext<'a> {
    pub store: &'a Store,
    /// With this home as the writer.
    pub cache: &'a CacheLayout,
    pub run: Option<&'a RunId>,
    pub now: Timestamp,
}

/// A view that could not be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ViewFailure {
    pub spec: ViewSpec,
    pub message: String,
    pub hint: Option<&'static str>,
}

impl ViewFailure {
    /// Returns the failure with its next step.
    pub fn sentence(&self) -> String {
        let Self {
            spec,
            message,
            hint,
        } = self;
        match hint {
            Some(hint) => format!("view `{spec}` was not made: {message}; {hint}"),
            None => format!("view `{spec}` was not made: {message}"),
        }
    }
}

/// Paths of a view that have files of others.
#[derive(Debug, Error)]
#[error("{}", list_of(.0))]
struct ViewConflict(Vec<(PathBuf, &'static str)>);

fn list_of(conflicts: &[(PathBuf, &'static str)]) -> String {
    const MOST: usize = 3;
    let shown = conflicts.iter().take(MOST);
    let shown = shown.map(|(path, why)| format!("`{}`: {why}", path.display()));
    let mut text = shown.collect::<Vec<_>>().join("; ");
    if conflicts.len() > MOST {
        text.push_str(&format!("; and {} more", conflicts.len() - MOST));
    }
    text
}

/// Brings all views of a model to its published commit, and returns those that failed;
/// each failure is recorded.
pub fn refresh(context: ViewContext<'_>, model: &Model) -> Result<Vec<ViewFailure>> {
    let Some(commit) = &model.state.published_commit else {
        return Ok(Vec::new());
    };
    let mut failures = Vec::new();
    for spec in model.spec.all_views() {
        let made = context.store.view_of(model.id, &model.spec.name, &spec)?;
        if let Err(err) = show(context, model, commit, &made) {
            failures.push(note_failure(context, model, &made, &err)?);
        }
    }
    Ok(failures)
}

fn note_failure(
    context: ViewContext<'_>,
    model: &Model,
    made: &MadeView,
    err: &Error,
) -> Result<ViewFailure> {
    let message = format!("{err:#}");
    let is_conflict = err.is::<ViewConflict>();
    let store = context.store;
    store.transaction(|store| -> Result<()> {
        if store.save_view_failure(made.id, &message, is_conflict)? {
            store.record_event(&Event {
                at: context.now,
                kind: EventKind::ViewFailed,
                model_id: Some(model.id),
                run_id: context.run.cloned(),
                detail: format!("view `{}`: {message}", made.spec),
            })?;
        }
        Ok(())
    })?;
    let hint = if is_conflict {
        Some("move it away, or give the view another directory; the next run tries again")
    } else {
        err.downcast_ref::<NoLayout>().and_then(NoLayout::hint)
    };
    Ok(ViewFailure {
        spec: made.spec.clone(),
        message,
        hint,
    })
}

/// One view on its way to a commit.
struct ViewChange<'a> {
    context: ViewContext<'a>,
    made: &'a MadeView,
    layout: &'a ViewLayout,
    sources: &'a [Option<PathBuf>],
    plan: &'a ViewPlan,
    found: &'a BTreeMap<RepoPath, FoundFile>,
    prefix: &'a str,
}

fn show(
    context: ViewContext<'_>,
    model: &Model,
    commit: &CommitSha,
    made: &MadeView,
) -> Result<()> {
    let cache_root = real_place(context.cache.root());
    ensure!(
        !real_place(&made.spec.root).starts_with(&cache_root),
        "`{}` lies inside the cache `{}`",
        made.spec.root.display(),
        cache_root.display()
    );
    let published = PublishedFiles::read(context.cache, model, commit)?;
    let layout = published.lay_out(context.store, made.spec.kind)?;
    let root = &made.spec.root;
    let source = |entry: &ViewEntry| match &entry.source {
        EntrySource::File(path) => published.source(path),
        EntrySource::Written(_) => None,
    };
    let sources: Vec<Option<PathBuf>> = layout.entries.iter().map(source).collect();
    let prefix = temporary_prefix(context.cache)?;
    let paths = layout.entries.iter().map(|entry| &entry.path);
    let old_paths = made.files.iter().map(|file| &file.path);
    let all_paths = paths.clone().chain(old_paths);
    view::clear_leftovers(root, all_paths, &made.files, &prefix);
    let old = made.files.iter();
    let old = old.map(|file| (&file.path, file.source.as_deref()));
    // The entries come last: their sources count.
    let new = paths.zip(sources.iter().map(Option::as_deref));
    let found = view::look(root, old.chain(new))?;
    let plan = plan_among_others(context, made, |others| {
        plan_view(&layout.entries, &sources, &made.files, others, &found)
    })?;
    if !plan.conflicts.is_empty() {
        let conflicts = plan.conflicts.iter();
        let named = conflicts.map(|(path, why)| (root.join(path.as_str()), *why));
        return Err(ViewConflict(named.collect()).into());
    }
    let change = ViewChange {
        context,
        made,
        layout: &layout,
        sources: &sources,
        plan: &plan,
        found: &found,
        prefix: &prefix,
    };
    let files = change.carry_out(model, commit)?;
    if files != made.files {
        context.store.replace_view_files(made.id, &files)?;
    }
    if made.commit.as_ref() != Some(commit) || made.failure.is_some() || !plan.is_nothing() {
        context.store.save_view(made.id, commit, context.now)?;
    }
    Ok(())
}

/// Plans with the records of other views. Most views share no file, so these records are
/// read only when they count.
fn plan_among_others(
    context: ViewContext<'_>,
    made: &MadeView,
    plan: impl Fn(&[ViewFile]) -> ViewPlan,
) -> Result<ViewPlan> {
    let alone = plan(&[]);
    if alone.conflicts.is_empty() && alone.remove.is_empty() {
        return Ok(alone);
    }
    Ok(plan(&context.store.files_of_other_views(made)?))
}

/// Returns the prefix of the temporary names of this home.
pub(super) fn temporary_prefix(cache: &CacheLayout) -> Result<String> {
    let home = cache
        .home()
        .context("a view needs the identity of the home")?;
    Ok(format!(".hfdl-{}-", home.id))
}

impl ViewChange<'_> {
    /// Makes and removes files; returns the records of the view afterwards.
    fn carry_out(&self, model: &Model, commit: &CommitSha) -> Result<Vec<ViewFile>> {
        for file in &self.plan.given_up {
            let path = self.root().join(file.path.as_str());
            let found = self.found.get(&file.path);
            if found.is_some_and(|found| file_state(file, found) == FileState::Changed) {
                log::warn!("`{}` is not as the view made it; it stays", path.display());
            }
        }
        if self.plan.is_nothing() {
            return Ok(self.plan.keep.clone());
        }
        let mut methods: Vec<ViewMethod> = LADDER.to_vec();
        if model.spec.destination != Destination::Cache {
            // People edit the files of their directories in place.
            methods.retain(|method| *method != ViewMethod::HardLink);
        }
        methods.extend(model.spec.view_copy.then_some(ViewMethod::Copy));
        let maker = Maker {
            root: self.root(),
            tree: self.layout.tree.as_deref(),
            methods: &methods,
            prefix: self.prefix,
        };
        let is_new_commit = self.made.commit.as_ref() != Some(commit);
        if let Some(tree) = self.layout.tree.as_deref().filter(|_| is_new_commit)
            && view::holds_only(self.root(), tree, &self.as_made())
        {
            match self.replace_tree(&maker, tree) {
                Ok((files, old)) => {
                    if let Some(old) = old {
                        checkpoint("view in place");
                        let mut records = self.made.files.clone();
                        records.extend(files.iter().cloned());
                        view::retire(self.root(), &old, &records)?;
                    }
                    return Ok(files);
                }
                Err(err) => log::debug!("file by file, because {err:#}"),
            }
        }
        self.replace_files(&maker)
    }

    fn root(&self) -> &Path {
        &self.made.spec.root
    }

    /// Returns the paths whose files are as this view made them.
    fn as_made(&self) -> BTreeSet<RepoPath> {
        let is_as_made = |file: &&ViewFile| {
            let found = self.found.get(&file.path);
            found.is_some_and(|found| file_state(file, found) == FileState::AsMade)
        };
        let files = self.made.files.iter().filter(is_as_made);
        files.map(|file| file.path.clone()).collect()
    }

    fn job(&self, index: usize) -> Result<Job<'_>> {
        let entry = &self.layout.entries[index];
        let source = match (&entry.source, &self.sources[index]) {
            (EntrySource::Written(bytes), _) => JobSource::Written(bytes),
            (EntrySource::File(_), Some(source)) if source.exists() => JobSource::File(source),
            (EntrySource::File(path), _) => bail!("the cache has no `{}` any more", path.as_str()),
        };
        Ok(Job {
            path: &entry.path,
            content: entry.content,
            source,
        })
    }

    /// Replaces the folder of the view in one step; returns its files and the old folder.
    fn replace_tree(
        &self,
        maker: &Maker<'_>,
        tree: &str,
    ) -> Result<(Vec<ViewFile>, Option<PathBuf>)> {
        let kept: BTreeMap<&RepoPath, &ViewFile> = self
            .plan
            .keep
            .iter()
            .map(|file| (&file.path, file))
            .collect();
        let job = |index: usize| {
            let job = self.job(index)?;
            let source = match kept.get(job.path) {
                // Their bytes need not be copied again.
                Some(file) if file.method == ViewMethod::Copy => JobSource::Kept(file),
                _ => job.source,
            };
            Ok(Job { source, ..job })
        };
        let jobs = (0..self.layout.entries.len()).map(job);
        let jobs = jobs.collect::<Result<Vec<_>>>()?;
        let staged = view::stage_tree(maker, tree, &jobs)?;
        let files = staged.records.clone();
        if let Err(err) = self.context.store.add_view_files(self.made.id, &files) {
            staged.discard();
            return Err(err.into());
        }
        checkpoint("view recorded");
        let old = view::swap(staged, maker)?;
        Ok((files, old))
    }

    /// Replaces each file by itself; old files go last.
    fn replace_files(&self, maker: &Maker<'_>) -> Result<Vec<ViewFile>> {
        let mut staged = Vec::new();
        for index in &self.plan.make {
            match self.job(*index).and_then(|job| maker.stage(&job)) {
                Ok(file) => staged.push(file),
                Err(err) => {
                    staged.into_iter().for_each(view::Staged::discard);
                    return Err(err);
                }
            }
        }
        let new: Vec<ViewFile> = staged.iter().map(|file| file.record.clone()).collect();
        let store = self.context.store;
        if let Err(err) = store.add_view_files(self.made.id, &new) {
            staged.into_iter().for_each(view::Staged::discard);
            return Err(err.into());
        }
        checkpoint("view recorded");
        view::put(staged, &self.own_paths())?;
        checkpoint("view in place");
        let (old, manifests) = (&self.plan.remove, &self.layout.entries);
        let manifests = manifests.iter().map(|entry| entry.path.clone()).collect();
        let claim = claim_of(&self.made.spec, manifests, old);
        let removed = view::remove_files(self.root(), old, &claim)?;
        let mut files = self.plan.keep.clone();
        files.extend(new);
        // A blob that another manifest names goes later.
        let is_kept = |file: &&ViewFile| {
            let path = self.root().join(file.path.as_str());
            removed.kept.iter().any(|(kept, _)| *kept == path)
        };
        files.extend(old.iter().filter(is_kept).cloned());
        Ok(files)
    }

    /// Returns the paths that have a file or link of this view, which may be replaced.
    fn own_paths(&self) -> BTreeSet<RepoPath> {
        let entries = self.plan.make.iter();
        let entries = entries.map(|index| &self.layout.entries[*index].path);
        let is_there = |path: &&RepoPath| {
            let found = self.found.get(path);
            found.is_some_and(|found| found.kind != FoundKind::Absent)
        };
        entries.filter(is_there).cloned().collect()
    }
}
