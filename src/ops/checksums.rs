//! The SHA-256 of published files, also of those that the Hub knows by their git blob id.

use std::io;
use std::ops::ControlFlow;
use std::path::Path;

use anyhow::Result;

use crate::domain::content::ContentId;
use crate::domain::snapshot::RemoteFile;
use crate::download::{hash_both_ways, prove_content};
use crate::store::Store;

/// Returns the SHA-256 of a file: from the listing, from the database, or by reading the
/// file on disk. `None` if the file is missing or has other bytes.
pub fn sha256_of(store: &Store, path: &Path, file: &RemoteFile) -> Result<Option<[u8; 32]>> {
    if let Some(known) = store.sha256_of(&file.content)? {
        return Ok(Some(known));
    }
    Ok(compute(path, &file.content).unwrap_or(None))
}

/// As `sha256_of`, and a computed hash is written into the database.
pub fn sha256_remembered(
    store: &Store,
    path: &Path,
    file: &RemoteFile,
) -> Result<Option<[u8; 32]>> {
    if let Some(known) = store.sha256_of(&file.content)? {
        return Ok(Some(known));
    }
    let computed = sha256_of(store, path, file)?;
    if let Some(sha256) = &computed {
        store.save_sha256(&file.content, sha256)?;
    }
    Ok(computed)
}

fn compute(path: &Path, content: &ContentId) -> io::Result<Option<[u8; 32]>> {
    let read = hash_both_ways(path, &mut |_| ControlFlow::Continue(()))?;
    Ok(match read {
        Some(([ContentId::Sha256(sha256), git], _)) if git == *content => Some(sha256),
        _ => None,
    })
}

/// Reads a small file; `None` if it is missing or has other bytes than the listing says.
pub fn read_hashed(path: &Path, content: &ContentId) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut keep = |block: &[u8]| {
        bytes.extend_from_slice(block);
        ControlFlow::Continue(())
    };
    let read = prove_content(path, content, &mut keep).ok()??;
    read.has_content.then_some(bytes)
}
