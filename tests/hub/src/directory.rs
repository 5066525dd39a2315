//! Repositories from a local directory.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::content::Content;
use super::http::decode;
use super::hub::TestHub;
use super::repos::Repo;
use super::server::{Shared, lock};
use super::store::hash_of;
use super::world::Storage;

/// Files of this size or larger are LFS files regardless of `.gitattributes`.
const LFS_FROM: u64 = 1024 * 1024;

/// Publishes the contents of `directory`, now and on each `POST /__hub__/publish`; returns one line
/// for each revision.
///
/// The layout is `models/ORG/NAME/REVISION/files...`, likewise `datasets/`, `spaces/` and
/// `kernels/`. The
/// folder of a revision has the name of a branch or, with `/` written as `%2F`, of a ref such as
/// `refs%2Fpr%2F1` or `refs%2Ftags%2Fv1`. Revisions removed from the directory stay on the hub.
/// A change of files is a commit on top of the one before.
pub fn fill_from_directory(hub: &TestHub, directory: &Path) -> io::Result<Vec<String>> {
    let held = publish_changes(&hub.shared, directory)?;
    let (shared, directory) = (hub.shared.clone(), directory.to_owned());
    hub.on_publish(move || match publish_changes(&shared, &directory) {
        Ok(changed) => Ok(changed
            .iter()
            .map(|line| format!("published {line}\n"))
            .collect()),
        Err(err) => Err(format!("cannot read `{}`: {err}\n", directory.display())),
    });
    Ok(held)
}

/// Publishes the revisions that differ from those of the hub; returns one line for each.
fn publish_changes(shared: &Arc<Shared>, directory: &Path) -> io::Result<Vec<String>> {
    let mut changed = Vec::new();
    for kind in ["models", "datasets", "spaces", "kernels"] {
        let Ok(organisations) = folders(&directory.join(kind)) else {
            continue;
        };
        for (organisation, path) in organisations {
            for (name, path) in folders(&path)? {
                for (revision, path) in folders(&path)? {
                    let id = match kind {
                        "models" => format!("{organisation}/{name}"),
                        _ => format!("{kind}/{organisation}/{name}"),
                    };
                    let revision = decode(&revision);
                    if publish(shared, &id, &revision, &path)? {
                        changed.push(format!("{id} {revision}"));
                    }
                }
            }
        }
    }
    Ok(changed)
}

fn publish(shared: &Arc<Shared>, id: &str, revision: &str, root: &Path) -> io::Result<bool> {
    let attributes = match fs::read_to_string(root.join(".gitattributes")) {
        Err(err) if err.kind() == ErrorKind::NotFound => String::new(),
        text => text?,
    };
    let mut files = Vec::new();
    collect(root, "", &mut files)?;
    let mut commit = Repo::new(shared.clone(), id)
        .commit(revision)
        .title("Publish the directory")
        .empty();
    for (path, file) in files {
        let large = file.metadata()?.len() >= LFS_FROM;
        // Small files are kept in memory, so that old commits stay readable when the directory
        // changes.
        let content = if large {
            Content::disk(&file)?
        } else {
            Content::bytes(fs::read(&file)?)
        };
        let storage = if large || is_lfs(&attributes, &path) {
            storage_of_large(shared, &content)
        } else {
            Storage::Git
        };
        commit = commit.put(&path, content, storage);
    }
    Ok(commit.publish_changes())
}

/// Adds a large file to the hub's own Xet storage, if it has one. An external Xet storage must
/// contain the file already.
fn storage_of_large(shared: &Shared, content: &Content) -> Storage {
    let xet = lock(&shared.settings).xet.clone();
    match xet {
        None => Storage::Lfs,
        Some(xet) if xet.cas_url == shared.cas_origin() => {
            Storage::Xet(lock(&shared.store).add(content))
        }
        Some(_) => Storage::Xet(hash_of(content)),
    }
}

fn folders(directory: &Path) -> io::Result<Vec<(String, PathBuf)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if let (true, Some(name)) = (path.is_dir(), path.file_name()) {
            found.push((name.to_string_lossy().into_owned(), path.clone()));
        }
    }
    found.sort();
    Ok(found)
}

fn collect(directory: &Path, prefix: &str, files: &mut Vec<(String, PathBuf)>) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let path = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if entry.path().is_dir() {
            collect(&entry.path(), &format!("{path}/"), files)?;
        } else {
            files.push((path, entry.path()));
        }
    }
    Ok(())
}

/// Reports whether a line of `.gitattributes` assigns the file to LFS.
fn is_lfs(attributes: &str, path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    attributes
        .lines()
        .filter(|line| line.contains("filter=lfs"))
        .filter_map(|line| line.split_whitespace().next())
        .any(|pattern| matches(pattern, if pattern.contains('/') { path } else { name }))
}

/// Supports only `*`, which is all that such lines use in practice.
fn matches(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((head, tail)) => text.strip_prefix(head).is_some_and(|rest| {
            (0..=rest.len())
                .filter(|at| rest.is_char_boundary(*at))
                .any(|at| matches(tail, &rest[at..]))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gitattributes_name_large_files() {
        let attributes = "*.bin filter=lfs diff=lfs merge=lfs -text\n\
                          data/*.csv filter=lfs\n*.md text\n";
        for (path, expected) in [
            ("a.bin", true),
            ("deep/a.bin", true),
            ("data/x.csv", true),
            ("x.csv", false),
            ("README.md", false),
            ("bin", false),
        ] {
            assert_eq!(is_lfs(attributes, path), expected, "{path}");
        }
    }
}
