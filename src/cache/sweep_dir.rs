//! Leftovers of hfdl in a directory of real files: unfinished downloads, contents
//! that wait for publication, bytes that had a wrong hash.
//!
//! The user's files and the notes about them are not read here.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::layout::{EVIDENCE_SUFFIX, JOURNAL_SUFFIX, LATER_EVIDENCE_SUFFIX, PARTIAL_SUFFIX};
use super::local_dir::{LocalDir, PRIVATE};
use super::scan::read_dir;
use super::sweep::remove_unless_in_use;
use crate::domain::content::ContentId;
use crate::domain::deletion::Permit;
use crate::sys::files;

/// Something in a directory's private folder that no reader needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirLeftover {
    pub kind: LeftoverKind,
    pub content: ContentId,
    pub path: PathBuf,
    pub size_bytes: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeftoverKind {
    Partial,
    /// A whole content that waits to be published.
    Stored,
    /// Bytes that did not have the content's hash.
    Evidence,
}

impl LocalDir {
    /// Lists the leftovers in a directory, which may not exist.
    pub fn leftovers(root: &Path) -> Result<Vec<DirLeftover>> {
        let mut found = Vec::new();
        let private = root.join(PRIVATE);
        if private.exists() {
            files::check_inside(root, &private)
                .with_context(|| format!("cannot look into `{}`", private.display()))?;
        }
        for entry in read_dir(&private)? {
            let name = entry.file_name();
            let Some((kind, content)) = name.to_str().and_then(understand) else {
                continue;
            };
            let path = entry.path();
            let metadata = files::link_metadata_if_present(&path)
                .with_context(|| format!("cannot look at `{}`", path.display()))?;
            if let Some(metadata) = metadata.filter(std::fs::Metadata::is_file) {
                found.push(DirLeftover {
                    kind,
                    content,
                    path,
                    size_bytes: metadata.len(),
                });
            }
        }
        found.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(found)
    }
}

impl DirLeftover {
    /// Removes it; `false` when another program's hold on it forbids that.
    pub fn remove(&self, permit: Permit) -> Result<bool> {
        // The journal first: it must never speak of bytes that are gone.
        let journal = format!("{}{JOURNAL_SUFFIX}", self.content.etag());
        let journal = self.path.with_file_name(journal);
        if self.kind == LeftoverKind::Partial && !remove_unless_in_use(&journal, permit)? {
            return Ok(false);
        }
        remove_unless_in_use(&self.path, permit)
    }
}

fn understand(name: &str) -> Option<(LeftoverKind, ContentId)> {
    let (etag, kind) = [
        (EVIDENCE_SUFFIX, LeftoverKind::Evidence),
        (LATER_EVIDENCE_SUFFIX, LeftoverKind::Evidence),
        (PARTIAL_SUFFIX, LeftoverKind::Partial),
    ]
    .into_iter()
    .find_map(|(suffix, kind)| Some((name.strip_suffix(suffix)?, kind)))
    .unwrap_or((name, LeftoverKind::Stored));
    let content = ContentId::from_etag(etag).ok()?;
    (content.etag() == etag).then_some((kind, content))
}
