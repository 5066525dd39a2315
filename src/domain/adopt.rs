//! Adopted files: files of other programs that were hashed once, so that a
//! download takes their bytes instead of fetching them.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::content::ContentId;
use super::outcome::words;
use super::proof::ProofStamp;

/// Smaller files are not adopted: a request for them costs less than the record.
pub const LEAST_BYTES: u64 = 4 << 10;

/// A model of which no more than this is missing is downloaded at once when its
/// files are to be moved: small files are never adopted.
const MOST_FETCHED_AT_ONCE: u64 = 64 << 20;

words! {
    /// The reason to pass over an entry of a folder.
    SkipReason {
        /// Its name begins with a dot: `.git`, `.cache`, metadata.
        Hidden = "hidden",
        /// The unfinished download of another program.
        Partial = "partial",
        Link = "link",
        /// Neither a file nor a folder.
        Special = "special",
        Small = "small",
        /// It lies in the cache already.
        InCache = "in-cache",
        /// A view of a model has made it.
        InView = "in-view",
    }
}

/// Returns the reason to pass over an entry because of its name. `has_sibling`
/// tells whether the folder has an entry of this name.
pub fn skipped_name(name: &str, has_sibling: impl Fn(&str) -> bool) -> Option<SkipReason> {
    const SUFFIXES: &[&str] = &[
        ".aria2",
        ".crdownload",
        ".download",
        ".incomplete",
        ".part",
        ".partial",
        ".tmp",
    ];
    if name.starts_with('.') {
        return Some(SkipReason::Hidden);
    }
    let lower = name.to_ascii_lowercase();
    let is_partial = SUFFIXES.iter().any(|suffix| lower.ends_with(suffix))
        // ollama: `sha256-HEX-partial` and its parts, `sha256-HEX-partial-0`.
        || lower.starts_with("sha256-") && lower.contains("-partial")
        // aria2, which hfd.sh uses, keeps this file beside an unfinished one.
        || has_sibling(&format!("{name}.aria2"));
    is_partial.then_some(SkipReason::Partial)
}

/// A file of another program, with its hashes at the time of its stamp.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdoptedFile {
    pub path: PathBuf,
    pub stamp: ProofStamp,
    pub sha256: ContentId,
    pub git_sha1: ContentId,
    /// The file itself goes into the cache when a download wants it.
    pub moves: bool,
}

/// The adopted files by content.
#[derive(Clone, Debug, Default)]
pub struct AdoptedFiles(HashMap<ContentId, Vec<Arc<AdoptedFile>>>);

impl AdoptedFiles {
    pub fn new(files: impl IntoIterator<Item = AdoptedFile>) -> Self {
        let mut by_content: HashMap<_, Vec<_>> = HashMap::new();
        for file in files {
            let file = Arc::new(file);
            for content in [file.sha256, file.git_sha1] {
                by_content.entry(content).or_default().push(file.clone());
            }
        }
        Self(by_content)
    }

    /// Returns the files that had a content when they were adopted.
    pub fn with_content(&self, content: &ContentId) -> &[Arc<AdoptedFile>] {
        self.0.get(content).map_or(&[], Vec::as_slice)
    }
}

/// Contents that a plan takes from adopted files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AdoptedSources {
    pub used: HashMap<ContentId, Arc<AdoptedFile>>,
    /// Adopted files that have changed or are gone.
    pub changed: Vec<PathBuf>,
}

impl AdoptedSources {
    /// Returns the adopted file that a content comes from, if this is its path.
    pub fn find(&self, content: &ContentId, path: &Path) -> Option<&Arc<AdoptedFile>> {
        let file = self.used.get(content)?;
        (file.path == path).then_some(file)
    }
}

/// Decides whether a model is downloaded at once because nearly all of it is here.
pub fn is_worth_moving_now(total_bytes: u64, bytes_here: u64) -> bool {
    bytes_here > 0 && total_bytes.saturating_sub(bytes_here) <= MOST_FETCHED_AT_ONCE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_and_unfinished_downloads_are_passed_over_by_name() {
        let skipped = |name: &str| skipped_name(name, |other| other == "big.bin.aria2");
        for (name, expected) in [
            ("model.gguf", None),
            ("sha256-00ff", None),
            ("partial-words.txt", None),
            (".gitattributes", Some(SkipReason::Hidden)),
            (".git", Some(SkipReason::Hidden)),
            ("x.safetensors.incomplete", Some(SkipReason::Partial)),
            ("downloading_model.gguf.PART", Some(SkipReason::Partial)),
            ("sha256-00ff-partial", Some(SkipReason::Partial)),
            ("sha256-00ff-partial-12", Some(SkipReason::Partial)),
            ("big.bin.aria2", Some(SkipReason::Partial)),
            ("big.bin", Some(SkipReason::Partial)),
            ("big.bin2", None),
        ] {
            assert_eq!(skipped(name), expected, "{name}");
        }
    }

    #[test]
    fn a_file_is_found_by_either_hash() {
        let file = AdoptedFile {
            path: "/a".into(),
            stamp: ProofStamp {
                size_bytes: 9,
                modified_ns: 1,
                inode: None,
            },
            sha256: ContentId::Sha256([1; 32]),
            git_sha1: ContentId::GitSha1([2; 20]),
            moves: false,
        };
        let twin = AdoptedFile {
            path: "/b".into(),
            ..file.clone()
        };
        let files = AdoptedFiles::new([file.clone(), twin]);
        assert_eq!(files.with_content(&file.sha256).len(), 2);
        assert_eq!(*files.with_content(&file.git_sha1)[0], file);
        assert!(files.with_content(&ContentId::Sha256([2; 32])).is_empty());
    }

    #[test]
    fn a_model_is_taken_at_once_when_little_of_it_is_missing() {
        assert!(is_worth_moving_now(100 << 30, (100 << 30) - (64 << 20)));
        assert!(!is_worth_moving_now(100 << 30, 99 << 30));
        assert!(!is_worth_moving_now(10, 0), "nothing of it is here");
    }
}
