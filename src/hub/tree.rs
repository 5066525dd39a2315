//! The complete listing of a repository at a commit.

use std::collections::{BTreeSet, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use sha1::{Digest, Sha1};

use super::client::{HubClient, HubRequest, NextLink};
use super::endpoint::Endpoint;
use super::error::{HubError, RequestContext};
use super::text::{clean, clean_word};
use super::wire::{self, TreeEntry};
use crate::domain::content::{ContentId, parse_hex, render_hex};
use crate::domain::repo::{CommitSha, Repo, RepoPath};
use crate::domain::snapshot::{RemoteFile, RemoteSnapshot};
use crate::sys::http::Url;

/// A page of the Hub has 1000 entries of some hundred bytes; a mirror may send
/// everything in one page. It is parsed as it arrives, so this limit is not memory.
const MAX_PAGE_BYTES: usize = 256 << 20;
const MAX_PAGES: usize = 20_000;
/// Five times the Hub's recommended maximum. Listing and plan need some hundred
/// bytes of memory per entry.
const MAX_ENTRIES: usize = 500_000;
/// Paths of 128 bytes for the most entries.
const MAX_PATH_BYTES: usize = 64 << 20;
/// The number of nearly empty pages after which a listing counts as endless.
const MAX_EMPTY_PAGES: usize = 100;

impl HubClient {
    /// Lists all files of a repository at a commit.
    ///
    /// Names that could leave their folder, duplicate paths and endless listings
    /// are refused as a whole: in an incomplete listing files would look deleted
    /// upstream.
    pub fn tree(&self, repo: &Repo, commit: &CommitSha) -> Result<RemoteSnapshot, HubError> {
        let about = self.about(Some(repo)).revision(commit);
        let mut listing = Listing::default();
        let mut visited = HashSet::new();
        let mut url = self.endpoint().tree(repo, commit);
        loop {
            if !visited.insert(digest(&url)) {
                return Err(about.bad_answer("the pages of the listing form a loop"));
            }
            if is_endless(visited.len(), listing.n_entries) {
                return Err(about.bad_answer("the listing has no end"));
            }
            let before = listing.mark();
            let request = HubRequest::get(url);
            let ((), next) = self.ask(&request, &about, MAX_PAGE_BYTES, |body| {
                // A retry starts the page anew.
                listing.truncate_to(&before);
                wire::parse_entries(body, |entry| listing.add(entry))
            })?;
            match next {
                Some(link) => url = next_page(self.endpoint(), &link, &about)?,
                None => break,
            }
        }
        let files = listing
            .finish()
            .map_err(|reason| about.bad_answer(reason))?;
        Ok(RemoteSnapshot {
            commit: commit.clone(),
            files,
        })
    }
}

pub(super) fn next_page(
    endpoint: &Endpoint,
    link: &NextLink,
    about: &RequestContext,
) -> Result<Url, HubError> {
    let target = link
        .base
        .join(&link.target)
        .map_err(|error| about.bad_answer(format!("the next page: {error}")))?;
    let url = endpoint.adopt(target);
    if !endpoint.is_same_origin(&url) {
        return Err(about.bad_answer(format!("the next page is elsewhere (`{url}`)")));
    }
    Ok(url)
}

/// Tells whether a listing counts as endless after these pages.
fn is_endless(n_pages: usize, n_entries: usize) -> bool {
    n_pages > MAX_PAGES || n_pages > MAX_EMPTY_PAGES + n_entries / 10
}

/// Returns a hash of a URL, which may be very long.
fn digest(url: &Url) -> u64 {
    let mut hasher = DefaultHasher::new();
    url.as_str().hash(&mut hasher);
    hasher.finish()
}

/// The files of the pages so far.
#[derive(Default)]
struct Listing {
    files: Vec<RemoteFile>,
    n_entries: usize,
    path_bytes: usize,
    n_unknown: usize,
    /// The first unknown entry types.
    unknown: BTreeSet<String>,
}

/// The size of a listing at one point, to truncate it to.
struct Mark {
    n_files: usize,
    n_entries: usize,
    path_bytes: usize,
    n_unknown: usize,
}

impl Listing {
    fn mark(&self) -> Mark {
        Mark {
            n_files: self.files.len(),
            n_entries: self.n_entries,
            path_bytes: self.path_bytes,
            n_unknown: self.n_unknown,
        }
    }

    fn truncate_to(&mut self, mark: &Mark) {
        self.files.truncate(mark.n_files);
        self.n_entries = mark.n_entries;
        self.path_bytes = mark.path_bytes;
        self.n_unknown = mark.n_unknown;
    }

    fn add(&mut self, entry: TreeEntry) -> Result<(), String> {
        const MAX_UNKNOWN_SHOWN: usize = 3;
        self.n_entries += 1;
        self.path_bytes += entry.path.len();
        if self.n_entries > MAX_ENTRIES {
            return Err(format!("the listing has more than {MAX_ENTRIES} entries"));
        }
        if self.path_bytes > MAX_PATH_BYTES {
            return Err(format!(
                "the paths of the listing have more than {MAX_PATH_BYTES} bytes"
            ));
        }
        match entry.kind.as_str() {
            "file" => self.files.push(parse_file(entry)?),
            "directory" => {}
            other => {
                self.n_unknown += 1;
                if self.unknown.len() < MAX_UNKNOWN_SHOWN {
                    self.unknown.insert(clean_word(other));
                }
            }
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Vec<RemoteFile>, String> {
        if self.n_unknown > 0 {
            let types: Vec<&str> = self.unknown.iter().map(String::as_str).collect();
            log::warn!(
                "{} entries of unknown types are left out, such as `{}`",
                self.n_unknown,
                types.join("`, `")
            );
        }
        self.files.shrink_to_fit();
        self.files.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        let is_same = |pair: &&[RemoteFile]| pair[0].path == pair[1].path;
        if let Some(pair) = self.files.windows(2).find(is_same) {
            return Err(format!("it names `{}` twice", clean(pair[0].path.as_str())));
        }
        // The files are sorted, so a binary search replaces an index.
        let is_file = |name: &str| {
            let place = |file: &RemoteFile| file.path.as_str().cmp(name);
            self.files.binary_search_by(place).is_ok()
        };
        let mut last_folder = "";
        for file in &self.files {
            let name = file.path.as_str();
            let folder = name.rsplit_once('/').map_or("", |(folder, _)| folder);
            if folder == last_folder {
                continue;
            }
            last_folder = folder;
            let mut folders = name.match_indices('/').map(|(at, _)| &name[..at]);
            if let Some(folder) = folders.find(|folder| is_file(folder)) {
                return Err(format!(
                    "`{}` is a file and a folder at once",
                    clean(folder)
                ));
            }
        }
        Ok(self.files)
    }
}

fn parse_file(entry: TreeEntry) -> Result<RemoteFile, String> {
    let path: RepoPath = entry.path.parse().map_err(|error| format!("{error}"))?;
    let bad = |problem: &str| format!("`{path}` has {problem}");
    let oid = entry.oid.as_deref().unwrap_or("");
    let (content, size_bytes) = match &entry.lfs {
        Some(lfs) => (
            parse_hex(&lfs.oid)
                .map(ContentId::Sha256)
                .ok_or_else(|| bad("a malformed SHA-256"))?,
            lfs.size.or(entry.size),
        ),
        None => (
            ContentId::from_etag(oid).map_err(|_| bad("no usable hash"))?,
            entry.size,
        ),
    };
    let size_bytes = size_bytes.ok_or_else(|| bad("no size"))?;
    let git_oid = match (parse_hex(oid), content) {
        (Some(oid), _) => oid,
        // Some mirrors give the SHA-256 instead of the pointer's blob id, which can
        // be computed.
        (None, ContentId::Sha256(sha256)) => pointer_oid(&sha256, size_bytes),
        (None, ContentId::GitSha1(oid)) => oid,
    };
    Ok(RemoteFile {
        size_bytes,
        content,
        git_oid,
        // For gated content it is masked with asterisks.
        xet_hash: entry.xet_hash.and_then(|text| text.parse().ok()),
        path,
    })
}

/// Computes the git blob id of the LFS pointer to a content.
fn pointer_oid(sha256: &[u8; 32], size_bytes: u64) -> [u8; 20] {
    let pointer = format!(
        "version https://git-lfs.github.com/spec/v1\noid sha256:{}\nsize {size_bytes}\n",
        render_hex(sha256)
    );
    let mut hasher = Sha1::new();
    hasher.update(format!("blob {}\0", pointer.len()));
    hasher.update(&pointer);
    hasher.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHA256: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    const OID: &str = "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391";

    fn list(json: &str) -> Result<Vec<RemoteFile>, String> {
        let mut listing = Listing::default();
        let read = wire::parse_entries(json.as_bytes(), |entry| listing.add(entry));
        read.map_err(|error| match error {
            wire::Unreadable::Malformed(reason) => reason,
            wire::Unreadable::Network(error) => error.to_string(),
        })?;
        listing.finish()
    }

    fn file(path: &str) -> String {
        format!(
            r#"{{"type":"file","oid":"{OID}","size":0,"path":{}}}"#,
            wire::quote(path)
        )
    }

    #[test]
    fn git_and_lfs_files_are_told_apart_and_sorted() {
        let files = list(&format!(
            r#"[{},{{"type":"directory","oid":"x","size":0,"path":"sub"}},
               {{"type":"file","oid":"{OID}","size":7,"path":"a.bin",
                 "lfs":{{"oid":"{SHA256}","size":7,"pointerSize":130}},"xetHash":"{SHA256}"}}]"#,
            file("b.txt")
        ))
        .unwrap();
        assert_eq!(files.len(), 2);
        assert_eq!(files[0].path.as_str(), "a.bin");
        assert_eq!(files[0].content.etag(), SHA256);
        assert_eq!(files[0].size_bytes, 7);
        assert_eq!(files[0].xet_hash, SHA256.parse().ok());
        assert_eq!(files[1].content.etag(), OID);
        assert_eq!(files[1].xet_hash, None);
    }

    #[test]
    fn a_masked_xet_hash_is_none() {
        let files = list(&format!(
            r#"[{{"type":"file","oid":"{OID}","size":7,"path":"a",
                 "lfs":{{"oid":"{SHA256}","size":7}},"xetHash":"{}"}}]"#,
            "*".repeat(64)
        ))
        .unwrap();
        assert_eq!(files[0].xet_hash, None);
    }

    #[test]
    fn the_pointers_blob_id_is_computed_where_a_mirror_hides_it() {
        // From `git hash-object` on the pointer file of an empty content.
        let files = list(&format!(
            r#"[{{"type":"file","oid":"{SHA256}","size":0,"path":"a","lfs":{{"oid":"{SHA256}","size":0}}}}]"#
        ))
        .unwrap();
        assert_eq!(
            render_hex(&files[0].git_oid),
            "fc8e42b32efb9a9bf3ae0234a18a948e499490f8"
        );
    }

    #[test]
    fn a_hostile_listing_is_refused_as_a_whole() {
        for path in [
            "../x", "/abs", "a\\..\\b", "C:x", "", "a//b", "a/./b", "x\u{0}y",
        ] {
            assert!(
                list(&format!("[{},{}]", file("good"), file(path))).is_err(),
                "{path:?}"
            );
        }
        for (paths, reason) in [
            (["a", "a"], "`a` twice"),
            (["a/b", "a"], "`a` is a file and a folder"),
            (["a", "a/b/c"], "`a` is a file and a folder"),
        ] {
            let error = list(&format!("[{},{}]", file(paths[0]), file(paths[1]))).unwrap_err();
            assert!(error.contains(reason), "{error}");
        }
        assert!(list(&format!("[{},{},{}]", file("a"), file("a-b"), file("ab/c"))).is_ok());
    }

    #[test]
    fn an_entry_without_hash_or_size_is_refused() {
        for entry in [
            r#"{"type":"file","size":1,"path":"a"}"#.to_owned(),
            format!(r#"{{"type":"file","oid":"{OID}","path":"a"}}"#),
            format!(r#"{{"type":"file","oid":"{OID}","size":-1,"path":"a"}}"#),
            format!(r#"{{"type":"file","oid":"{OID}","size":1,"path":"a","lfs":{{"oid":"zz"}}}}"#),
        ] {
            assert!(list(&format!("[{entry}]")).is_err(), "{entry}");
        }
    }
}
