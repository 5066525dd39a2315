//! The findings of a verification, for the caller and for the sessions.

use std::path::PathBuf;

use super::look::{BadFile, Listed};
use crate::domain::alert::RunFacts;
use crate::domain::outcome::{ErrorKind, Outcome, VerifyOutcome};
use crate::domain::repo::CommitSha;
use crate::domain::session::{FileResult, SessionFile, SessionProgress, Trouble};
use crate::ops::sync::{SyncResult, Target};
use crate::ops::views::ListedView;

/// The result of a verification; the models have the order of the sessions.
#[derive(Clone, Debug)]
pub struct VerifyReport {
    pub run: RunFacts,
    pub models: Vec<Verified>,
    /// The views of the models.
    pub views: Vec<ListedView>,
}

/// The findings for one model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// `None` if nothing is published.
    pub commit: Option<CommitSha>,
    pub listed: Listed,
    pub n_files: u64,
    pub n_bytes: u64,
    /// Files and bytes that had the right hash in this run.
    pub files_good: u64,
    pub bytes_good: u64,
    /// Files whose bytes have the known Xet hash, and files whose bytes do not.
    pub xet_agrees: u64,
    pub xet_differs: u64,
    /// Files without a known hash.
    pub files_unknown: u64,
    pub bad: Vec<BadFile>,
    /// The run was stopped before all files were read.
    pub is_cut_short: bool,
}

impl Verified {
    /// Returns the result in one word; `None` if there was nothing to verify.
    pub fn outcome(&self) -> Option<VerifyOutcome> {
        self.commit.as_ref()?;
        let n_repaired = self.bad.iter().filter(|bad| bad.is_repaired).count();
        let n_proven = self.files_good + n_repaired as u64;
        Some(match self.listed {
            _ if n_repaired < self.bad.len() => VerifyOutcome::Damaged,
            // A missing file is noticed only with a listing.
            Listed::ByListing if n_proven == self.n_files => VerifyOutcome::Verified,
            _ => VerifyOutcome::Unproven,
        })
    }

    pub(super) fn progress(&self, path: PathBuf) -> SessionProgress {
        let mut progress = SessionProgress {
            new_commit: self.commit.clone(),
            path: Some(path),
            ..SessionProgress::default()
        };
        progress.files.total = self.n_files;
        progress.files.reused = self.files_good;
        progress.bytes.total = self.n_bytes;
        progress.bytes.reused = self.bytes_good;
        progress.bytes.left = self.bad.iter().map(BadFile::size_bytes).sum();
        progress
    }
}

/// Returns the result of a target without a published revision. For a registered
/// model this is no failure.
pub(super) fn nothing_published(target: &Target) -> SyncResult {
    if target.model.is_some() {
        return result_of(Outcome::Skipped, None);
    }
    let trouble = Trouble {
        kind: ErrorKind::NotFound,
        message: format!(
            "`{}` is no registered model, and the cache has no revision `{}` of it",
            target.repo, target.revision
        ),
        hint: Some("`hfdl models list` shows all models".to_owned()),
    };
    result_of(Outcome::Failed, Some(trouble))
}

pub(super) fn failure_with(bad: &[BadFile], hint: Option<String>) -> Trouble {
    const MOST: usize = 3;
    let mut message = match bad.len() {
        1 => "1 file is bad: ".to_owned(),
        n => format!("{n} files are bad: "),
    };
    let named: Vec<String> = bad.iter().take(MOST).map(ToString::to_string).collect();
    message.push_str(&named.join(", "));
    if bad.len() > MOST {
        message.push_str(&format!(" and {} more", bad.len() - MOST));
    }
    Trouble {
        kind: ErrorKind::Integrity,
        message,
        hint,
    }
}

pub(super) fn session_files(bad: &[BadFile]) -> Vec<SessionFile> {
    let known = bad.iter().filter_map(|bad| bad.file.as_ref());
    known
        .map(|file| SessionFile {
            path: file.path.clone(),
            content: file.content,
            size_bytes: file.size_bytes,
            bytes_fetched: 0,
            bytes_reused: 0,
            source: None,
            retries: 0,
            result: FileResult::Failed,
            found_bad: true,
        })
        .collect()
}

pub(super) fn result_of(outcome: Outcome, failure: Option<Trouble>) -> SyncResult {
    SyncResult::without_files(outcome, failure, SessionProgress::default())
}
