//! The manifests of an ollama directory, which name the blobs that others need.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::domain::repo::RepoPath;

use super::look::native;

/// A larger file is no manifest.
const LARGEST: u64 = 4 << 20;

/// Returns the texts of all manifests below a root but those of this view.
pub fn named_by_others(root: &Path, own: &BTreeSet<RepoPath>) -> Vec<String> {
    let own: BTreeSet<PathBuf> = own.iter().map(|path| native(root, path)).collect();
    let mut texts = Vec::new();
    let mut folders = vec![root.join("manifests")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            let Ok(found) = entry.metadata() else {
                continue;
            };
            if found.is_dir() {
                folders.push(path);
            } else if !own.contains(&path) && found.len() <= LARGEST {
                texts.extend(fs::read_to_string(&path).ok());
            }
        }
    }
    texts
}
