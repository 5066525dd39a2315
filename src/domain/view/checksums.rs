//! The file `SHA256SUMS` of a view, and of a directory that holds the files of a model.

use super::layout::{EntrySource, NoLayout, ViewEntry, ViewLayout, ViewListing, tree};
use crate::domain::checksums::{CHECKSUMS_FILE, checksum_line};
use crate::domain::content::ContentId;
use crate::domain::repo::RepoPath;

/// Adds the checksums of a folder, unless the repository has such a file itself.
pub(super) fn add(
    layout: &mut ViewLayout,
    folder: &str,
    listing: &ViewListing<'_>,
) -> Result<(), NoLayout> {
    let Some(checksums) = &listing.checksums else {
        return Ok(());
    };
    let within = |path: &RepoPath| {
        let path = path.as_str();
        let below = path.strip_prefix(folder).unwrap_or(path);
        below.trim_start_matches('/').to_owned()
    };
    let mut text = String::new();
    for entry in &layout.entries {
        let name = within(&entry.path);
        if name == CHECKSUMS_FILE {
            return Ok(());
        }
        let sha256 = checksums.get(&entry.content);
        let sha256 = sha256.ok_or_else(|| NoLayout::UnknownChecksum(name.clone()))?;
        text.push_str(&checksum_line(&name, sha256));
    }
    let path = match folder {
        "" => CHECKSUMS_FILE.to_owned(),
        folder => format!("{folder}/{CHECKSUMS_FILE}"),
    };
    layout.entries.push(written(path.parse()?, text, listing));
    Ok(())
}

/// Shows nothing but the checksums: the files are in the directory already.
pub(super) fn alone(listing: &ViewListing<'_>) -> Result<ViewLayout, NoLayout> {
    let mut layout = tree(String::new(), listing)?;
    let n_files = layout.entries.len();
    add(&mut layout, "", listing)?;
    let entries = layout.entries.split_off(n_files);
    if entries.is_empty() {
        return Err(NoLayout::OwnChecksums);
    }
    Ok(ViewLayout {
        tree: None,
        entries,
    })
}

/// Returns the entry of a text that the view writes itself.
fn written(path: RepoPath, text: String, listing: &ViewListing<'_>) -> ViewEntry {
    ViewEntry {
        path,
        content: ContentId::Sha256((listing.sha256)(text.as_bytes())),
        size_bytes: text.len() as u64,
        source: EntrySource::Written(text.into_bytes()),
        is_named_by_content: false,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::domain::repo::{Repo, RepoType, Revision};
    use crate::domain::snapshot::RemoteFile;
    use crate::domain::view::{OllamaTexts, ViewKind, lay_out};

    /// Returns the path and the text of the last entry, if the view has written it.
    fn last(kind: ViewKind, files: &[&str], is_known: bool) -> Result<Option<String>, NoLayout> {
        let file = |path: &&str| RemoteFile {
            path: path.parse().unwrap(),
            size_bytes: 1,
            content: ContentId::GitSha1([1; 20]),
            git_oid: [1; 20],
            xet_hash: None,
        };
        let files: Vec<RemoteFile> = files.iter().map(file).collect();
        let known = is_known.then_some((ContentId::GitSha1([1; 20]), [7; 32]));
        let layout = lay_out(
            kind,
            &ViewListing {
                repo: &Repo::new(RepoType::Model, "acme/tiny".parse().unwrap()),
                revision: &Revision::main(),
                files: &files,
                mappings: &Default::default(),
                header: None,
                texts: OllamaTexts::default(),
                sha256: |_| [9; 32],
                checksums: Some(BTreeMap::from_iter(known)),
            },
        )?;
        let last = layout.entries.last().unwrap();
        Ok(match &last.source {
            EntrySource::File(_) => None,
            EntrySource::Written(text) => {
                let text = String::from_utf8(text.clone()).unwrap();
                Some(format!("{}\n{text}", last.path))
            }
        })
    }

    #[test]
    fn names_are_those_within_the_folder() {
        let hash = "07".repeat(32);
        let text = format!("SHA256SUMS\n{hash}  a/b.bin\n{hash}  c\n");
        for kind in [ViewKind::Dir, ViewKind::Checksums] {
            let found = last(kind, &["a/b.bin", "c"], true).unwrap();
            assert_eq!(found.as_ref(), Some(&text));
        }
        let studio = last(ViewKind::LmStudio, &["Q4/m.gguf"], true).unwrap();
        let expected = format!("acme/tiny/SHA256SUMS\n{hash}  m.gguf\n");
        assert_eq!(studio, Some(expected));
    }

    #[test]
    fn a_file_of_the_repository_with_this_name_stays() {
        let files = ["SHA256SUMS", "c"];
        assert_eq!(last(ViewKind::Dir, &files, true), Ok(None));
        let refused = last(ViewKind::Checksums, &files, true);
        assert_eq!(refused, Err(NoLayout::OwnChecksums));
        let unknown = last(ViewKind::Dir, &["c"], false);
        assert_eq!(unknown, Err(NoLayout::UnknownChecksum("c".to_owned())));
    }
}
