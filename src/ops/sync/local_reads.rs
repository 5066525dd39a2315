//! The results of reading files on this machine for one target.

use std::collections::{BTreeMap, BTreeSet};

use super::local_files::ReusedFile;
use crate::domain::content::ContentId;
use crate::domain::plan::{Action, PlannedFile};
use crate::domain::proof::ProofStamp;
use crate::domain::session::{FileResult, FileSource, SessionFile};

/// Contents that were read in this session.
#[derive(Clone, Debug, Default)]
pub struct LocalReads {
    /// Read in the destination, with the right hash.
    pub good: BTreeSet<ContentId>,
    /// Read anywhere, with a wrong hash.
    pub bad: BTreeSet<ContentId>,
    /// Adopted from elsewhere: the method, and the stamp of the new file.
    pub imported: BTreeMap<ContentId, (FileSource, ProofStamp)>,
    /// The number of checks repeated because of bad files.
    pub(super) n_checks: u32,
}

impl LocalReads {
    /// Returns session records of the files that were found good.
    pub(super) fn found_files(&self, reused: &[ReusedFile]) -> Vec<SessionFile> {
        let good = reused
            .iter()
            .filter(|file| self.good.contains(&file.content));
        good.map(|file| SessionFile {
            path: file.path.clone(),
            content: file.content,
            size_bytes: file.size_bytes,
            bytes_fetched: 0,
            bytes_reused: file.size_bytes,
            source: Some(FileSource::Found),
            retries: 0,
            result: FileResult::Verified,
            found_bad: false,
        })
        .collect()
    }

    /// Returns the session record of a file that was linked or copied into place.
    pub(super) fn linked_file(&self, planned: &PlannedFile) -> Option<SessionFile> {
        let Action::Link(_) = planned.action else {
            return None;
        };
        let file = &planned.file;
        let source = match self.imported.get(&file.content) {
            Some((source, _)) => *source,
            None if self.good.contains(&file.content) => FileSource::Found,
            None => FileSource::Linked,
        };
        Some(SessionFile {
            path: file.path.clone(),
            content: file.content,
            size_bytes: file.size_bytes,
            bytes_fetched: 0,
            bytes_reused: file.size_bytes,
            source: Some(source),
            retries: 0,
            result: FileResult::Verified,
            found_bad: false,
        })
    }
}
