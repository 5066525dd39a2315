//! One model on its way: from the open place to the published commit.

use std::path::PathBuf;

use anyhow::{Context, Error, Result, anyhow};

use super::Target;
use super::carry_out::{Progress, SyncEnd};
use super::check::Planned;
use super::place::Writer;
use super::trouble::{hint_for_file, trouble_of};
use crate::domain::content::ContentId;
use crate::domain::outcome::{ErrorKind, Outcome};
use crate::domain::plan::{Action, PlannedFile};
use crate::domain::session::{
    ByteCounts, FileCounts, FileResult, FileSource, SessionFile, SessionProgress, Trouble,
};
use crate::domain::units::ByteSize;
use crate::download::{FileReport, FileResult as Fetched};
use crate::sys::host::checkpoint;
use crate::sys::logging;

/// A model on its way.
pub(super) struct Work<'p, 'a> {
    pub(super) target: usize,
    pub(super) planned: &'p Planned<'a>,
    /// `None` when the place cannot be written; `trouble` says why.
    pub(super) writer: Option<Writer<'a>>,
    pub(super) progress: SessionProgress,
    files: Vec<SessionFile>,
    proven: Vec<(PathBuf, ContentId, u64)>,
    /// Fetches that have not ended yet.
    pub(super) waiting: usize,
    trouble: Option<Trouble>,
    is_stopped: bool,
}

impl<'p, 'a> Work<'p, 'a> {
    pub(super) fn new(target: usize, planned: &'p Planned<'a>) -> Self {
        let totals = planned.plan.totals;
        let progress = SessionProgress {
            new_commit: Some(planned.remote.commit.clone()),
            files: FileCounts {
                total: totals.files,
                reused: totals.files_reused,
                fetched: 0,
                deleted: 0,
            },
            bytes: ByteCounts {
                total: totals.bytes,
                fetched: 0,
                reused: totals.bytes_reused,
                left: totals.bytes - totals.bytes_reused,
            },
            ..SessionProgress::default()
        };
        Self {
            target,
            planned,
            writer: None,
            progress,
            files: Vec::new(),
            proven: Vec::new(),
            waiting: planned.plan.fetches().count(),
            trouble: None,
            is_stopped: false,
        }
    }

    /// Gets the place ready, and asks it itself which names it can hold.
    pub(super) fn open(&mut self) -> Result<()> {
        let writer = self.planned.place.open()?;
        let files = self.planned.plan.files.iter();
        let paths: Vec<_> = files.map(|file| &file.file.path).collect();
        writer.check_names(&paths)?;
        self.writer = Some(writer);
        Ok(())
    }

    /// Tells whether nothing could be published even if all bytes came.
    pub(super) fn is_hopeless(&self) -> bool {
        self.trouble.is_some()
    }

    pub(super) fn writer(&self) -> Result<&Writer<'a>> {
        self.writer
            .as_ref()
            .ok_or_else(|| anyhow!("the place is not open"))
    }

    /// Brings in what lies elsewhere on this machine.
    pub(super) fn import(&mut self) -> Result<()> {
        for (content, (size_bytes, from)) in self.planned.plan.imports() {
            self.writer()?.import(&content, size_bytes, from)?;
        }
        for planned in &self.planned.plan.files {
            if matches!(planned.action, Action::Link(_)) {
                self.files.push(SessionFile {
                    path: planned.file.path.clone(),
                    content: planned.file.content,
                    size_bytes: planned.file.size_bytes,
                    bytes_fetched: 0,
                    bytes_reused: planned.file.size_bytes,
                    source: Some(FileSource::Linked),
                    retries: 0,
                    result: FileResult::Verified,
                });
            }
        }
        Ok(())
    }

    /// Takes the first trouble for the model's own; the others are in the diary.
    pub(super) fn fail(&mut self, error: &Error) {
        self.note(trouble_of(error));
    }

    fn note(&mut self, trouble: Trouble) {
        log::warn!(target: logging::SESSION, "{}", trouble.message);
        let worse = |old: &Trouble| {
            let (old, new) = (old.kind.exit_status(), trouble.kind.exit_status());
            old != new && old.worst(new) == new
        };
        if self.trouble.as_ref().is_none_or(worse) {
            self.trouble = Some(trouble);
        }
    }

    pub(super) fn settle(
        &mut self,
        file: usize,
        report: &FileReport,
        pays: bool,
        storing: Option<&Error>,
    ) {
        self.waiting -= 1;
        let wanted = &self.planned.plan.files[file].file;
        let (fetched, reused) = if pays {
            (report.fetched, report.reused)
        } else {
            (0, wanted.size_bytes)
        };
        self.progress.bytes.fetched += fetched;
        self.progress.bytes.reused += reused;
        self.progress.retries += if pays { report.retries } else { 0 };
        let mut result = FileResult::Failed;
        match &report.result {
            Fetched::Verified { .. } => match storing {
                None => {
                    result = FileResult::Verified;
                    self.progress.files.fetched += 1;
                    self.progress.bytes.left =
                        self.progress.bytes.left.saturating_sub(wanted.size_bytes);
                }
                Some(err) => self.fail(err),
            },
            Fetched::Partial { kept } => {
                result = FileResult::Partial;
                self.is_stopped = true;
                self.progress.bytes.left = self.progress.bytes.left.saturating_sub(*kept);
                log::info!(
                    "`{}`: {} kept for the next run",
                    wanted.path,
                    ByteSize(*kept).render_short()
                );
            }
            Fetched::Busy => {
                result = FileResult::Partial;
                let message = format!(
                    "another process is fetching `{}` at this moment",
                    wanted.path
                );
                self.note(Trouble {
                    kind: ErrorKind::Network,
                    message,
                    hint: None,
                });
            }
            Fetched::Failed(error) => {
                let message = match &error.evidence {
                    Some(path) => format!(
                        "`{}`: {}; the wrong bytes are kept in `{}`",
                        wanted.path,
                        error.message,
                        path.display()
                    ),
                    None => format!("`{}`: {}", wanted.path, error.message),
                };
                self.note(Trouble {
                    kind: error.kind,
                    message,
                    hint: hint_for_file(error.kind),
                });
            }
        }
        self.files.push(SessionFile {
            path: wanted.path.clone(),
            content: wanted.content,
            size_bytes: wanted.size_bytes,
            bytes_fetched: fetched,
            bytes_reused: reused,
            source: Some(if pays {
                FileSource::Http
            } else {
                FileSource::Linked
            }),
            retries: report.retries,
            result,
        });
    }

    /// Publishes if everything is there, and reports how it went.
    pub(super) fn end(&mut self, target: &Target, on: &mut dyn FnMut(Progress<'_>)) {
        if self.trouble.is_none() && !self.is_stopped {
            checkpoint("before publishing");
            match self.publish(target) {
                Ok(path) => self.progress.path = Some(path),
                Err(err) => self.fail(&err),
            }
        }
        checkpoint("before the session closes");
        let outcome = match (&self.trouble, self.is_stopped) {
            (Some(_), _) => Outcome::Failed,
            (None, true) => Outcome::Partial,
            (None, false) => self.good_outcome(),
        };
        let end = SyncEnd {
            outcome,
            trouble: self.trouble.take(),
            progress: self.progress.clone(),
            files: std::mem::take(&mut self.files),
            proven: std::mem::take(&mut self.proven),
        };
        on(Progress::Ended {
            target: self.target,
            end: &end,
        });
    }

    fn publish(&mut self, target: &Target) -> Result<PathBuf> {
        let Planned {
            place,
            remote,
            plan,
            moves_ref,
            ..
        } = self.planned;
        let writer = self.writer()?;
        let revision = Some(&target.revision).filter(|_| *moves_ref);
        let (path, n_removed) = writer
            .publish(revision, remote, plan, target.vanished)
            .with_context(|| format!("cannot publish `{}`", target.label()))?;
        let is_proven = |planned: &&PlannedFile| match planned.action {
            Action::Fetch | Action::Resume { .. } | Action::LinkToFetched => true,
            Action::Keep | Action::Link(_) => false,
        };
        let proven = plan.files.iter().filter(is_proven);
        self.proven = proven
            .map(|PlannedFile { file, .. }| {
                let path = place.file_of(&remote.commit, file);
                (path, file.content, file.size_bytes)
            })
            .collect();
        self.progress.files.deleted = n_removed;
        Ok(path)
    }

    fn good_outcome(&self) -> Outcome {
        let is_same = self.planned.old_commit.as_ref() == Some(&self.planned.remote.commit);
        match (is_same, self.planned.plan.changes_nothing()) {
            (true, true) => Outcome::UpToDate,
            (true, false) => Outcome::Repaired,
            (false, _) => Outcome::Updated,
        }
    }
}
