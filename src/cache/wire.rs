//! `trees/<commit>.json`: the listing of a commit, in the official form.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize, Serializer};

use crate::domain::content::{ContentId, parse_hex, render_hex};
use crate::domain::repo::CommitSha;
use crate::domain::snapshot::{RemoteFile, RemoteSnapshot};

const FORMAT_VERSION: u32 = 1;

#[derive(Deserialize)]
struct Tree {
    format_version: u32,
    files: BTreeMap<String, TreeFile>,
}

#[derive(Serialize)]
struct WrittenTree<'a> {
    format_version: u32,
    files: SortedFiles<'a>,
}

/// Files sorted by path, as the official client writes them. They are converted one at a
/// time: those of a large listing would take as much memory as the text.
struct SortedFiles<'a>(Vec<&'a RemoteFile>);

impl Serialize for SortedFiles<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let files = self.0.iter();
        serializer.collect_map(files.map(|file| (file.path.as_str(), TreeFile::from(*file))))
    }
}

#[derive(Deserialize, Serialize)]
struct TreeFile {
    size: u64,
    blob_id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lfs_sha256: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lfs_size: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    xet_hash: Option<String>,
}

/// Renders a listing; the hashes in it are whole because their types are.
pub(super) fn render_tree(snapshot: &RemoteSnapshot) -> Result<Vec<u8>, serde_json::Error> {
    const BYTES_BESIDE_PATH: usize = 400;
    let mut files: Vec<&RemoteFile> = snapshot.files.iter().collect();
    files.sort_by_key(|file| file.path.as_str());
    let sizes = files
        .iter()
        .map(|file| file.path.as_str().len() + BYTES_BESIDE_PATH);
    // Text that grows by doubling would need up to three times its size; reserved memory
    // that is not written costs nothing.
    let mut json = Vec::with_capacity(sizes.sum());
    let tree = WrittenTree {
        format_version: FORMAT_VERSION,
        files: SortedFiles(files),
    };
    let indent = serde_json::ser::PrettyFormatter::with_indent(b" ");
    tree.serialize(&mut serde_json::Serializer::with_formatter(
        &mut json, indent,
    ))?;
    Ok(json)
}

/// Parses a listing; `None` when any part of it is not understood.
///
/// All or nothing, as in the official client: a listing with holes would make
/// an incomplete snapshot look whole.
pub(super) fn parse_tree(commit: &CommitSha, json: &[u8]) -> Option<RemoteSnapshot> {
    let tree: Tree = serde_json::from_slice(json).ok()?;
    if tree.format_version != FORMAT_VERSION {
        return None;
    }
    let files = tree.files.into_iter();
    let mut files = files
        .map(|(path, file)| file.parse(&path))
        .collect::<Option<Vec<_>>>()?;
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Some(RemoteSnapshot {
        commit: commit.clone(),
        files,
    })
}

impl From<&RemoteFile> for TreeFile {
    fn from(file: &RemoteFile) -> Self {
        let is_lfs = matches!(file.content, ContentId::Sha256(_));
        Self {
            size: file.size_bytes,
            blob_id: render_hex(&file.git_oid),
            lfs_sha256: is_lfs.then(|| file.content.etag()),
            lfs_size: is_lfs.then_some(file.size_bytes),
            xet_hash: file.xet_hash.map(|hash| hash.to_string()),
        }
    }
}

impl TreeFile {
    fn parse(self, path: &str) -> Option<RemoteFile> {
        let git_oid = parse_hex(&self.blob_id)?;
        Some(RemoteFile {
            path: path.parse().ok()?,
            size_bytes: self.lfs_size.unwrap_or(self.size),
            content: match self.lfs_sha256 {
                Some(sha256) => ContentId::Sha256(parse_hex(&sha256)?),
                None => ContentId::GitSha1(git_oid),
            },
            git_oid,
            xet_hash: match self.xet_hash {
                Some(hash) => Some(hash.parse().ok()?),
                None => None,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::xet::XetHash;

    fn listing() -> RemoteSnapshot {
        let file = |path: &str, content, xet_hash| RemoteFile {
            path: path.parse().unwrap(),
            size_bytes: 519,
            content,
            git_oid: [0xab; 20],
            xet_hash,
        };
        RemoteSnapshot {
            commit: "0".repeat(40).parse().unwrap(),
            files: vec![
                file("config.json", ContentId::GitSha1([0xab; 20]), None),
                file(
                    "model.bin",
                    ContentId::Sha256([0xcd; 32]),
                    Some(XetHash::from_bytes([0xef; 32])),
                ),
                file("ünï/x", ContentId::Sha256([1; 32]), None),
            ],
        }
    }

    #[test]
    fn a_listing_has_the_official_form_to_the_byte() {
        let mut listing = listing();
        listing.files.truncate(2);
        let text = String::from_utf8(render_tree(&listing).unwrap()).unwrap();
        let (ab, cd, ef) = ("ab".repeat(20), "cd".repeat(32), "ef".repeat(32));
        let lines = [
            "{",
            " \"format_version\": 1,",
            " \"files\": {",
            "  \"config.json\": {",
            "   \"size\": 519,",
            &format!("   \"blob_id\": \"{ab}\""),
            "  },",
            "  \"model.bin\": {",
            "   \"size\": 519,",
            &format!("   \"blob_id\": \"{ab}\","),
            &format!("   \"lfs_sha256\": \"{cd}\","),
            "   \"lfs_size\": 519,",
            &format!("   \"xet_hash\": \"{ef}\""),
            "  }",
            " }",
            "}",
        ];
        assert_eq!(text, lines.join("\n"));
    }

    #[test]
    fn a_listing_survives_the_way_through_the_file() {
        let json = render_tree(&listing()).unwrap();
        assert_eq!(parse_tree(&listing().commit, &json), Some(listing()));
    }

    #[test]
    fn a_listing_with_any_wrong_part_is_no_listing() {
        let json = String::from_utf8(render_tree(&listing()).unwrap()).unwrap();
        for (from, to) in [
            ("\"format_version\": 1", "\"format_version\": 2"),
            (&*"ef".repeat(32), &*"*".repeat(64)),
            ("model.bin", "../model.bin"),
            ("519", "-1"),
            ("}", ""),
        ] {
            let wrong = json.replace(from, to);
            assert_eq!(
                parse_tree(&listing().commit, wrong.as_bytes()),
                None,
                "{to}"
            );
        }
    }
}
