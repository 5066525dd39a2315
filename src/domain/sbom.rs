//! The facts of a bill of materials: the published models at one instant.

use super::content::{ContentId, render_hex};
use super::filter::Filter;
use super::licence::CardLicence;
use super::model::EntryName;
use super::repo::{CommitSha, Repo, RepoPath, Revision};
use super::time::Timestamp;

/// The models that were published at one instant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BillOfMaterials {
    pub at: Timestamp,
    /// The Hub of the repositories.
    pub endpoint: String,
    /// Sorted by name.
    pub models: Vec<ListedModel>,
    /// Models of that time without a known published commit.
    pub without_commit: Vec<EntryName>,
}

/// A model at its published commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedModel {
    pub name: EntryName,
    pub repo: Repo,
    pub revision: Revision,
    pub filter: Filter,
    pub commit: CommitSha,
    /// `None` if no model card of this commit is on disk.
    pub licence: Option<CardLicence>,
    /// `None` if nothing is known about them.
    pub files: Option<Vec<ListedFile>>,
    /// No listing of this commit is kept, and the history does not have all files.
    pub lacks_files: bool,
}

/// A file of a published commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedFile {
    pub path: RepoPath,
    pub size_bytes: u64,
    pub content: ContentId,
    /// `None` if the Hub does not know it and the file is not on disk any more.
    pub sha256: Option<[u8; 32]>,
}

impl ListedModel {
    /// Returns the package URL. Its type is defined for models; a repository of another
    /// kind has the prefix of its page. Names keep their case, as the type demands.
    pub fn purl(&self, endpoint: &str) -> String {
        let (prefix, id) = (self.repo.kind.url_prefix(), &self.repo.id);
        let commit = self.commit.as_str().to_ascii_lowercase();
        let purl = format!("pkg:huggingface/{prefix}{id}@{commit}");
        match endpoint.trim_end_matches('/') {
            "https://huggingface.co" => purl,
            endpoint => format!("{purl}?repository_url={}", percent_encoded(endpoint)),
        }
    }

    /// Names the facts that are not known any more.
    pub fn unknown(&self) -> Vec<&'static str> {
        let files = self.files.as_deref();
        let has_unknown = files.is_some_and(|files| files.iter().any(|file| file.sha256.is_none()));
        [
            (files.is_none(), "files"),
            (files.is_some() && self.lacks_files, "some files"),
            (self.licence.is_none(), "licence"),
            (has_unknown, "sha256 of some files"),
        ]
        .into_iter()
        .filter_map(|(is_unknown, fact)| is_unknown.then_some(fact))
        .collect()
    }
}

impl ListedFile {
    /// Returns the git object id in the form of OmniBOR, if the Hub knows the file by it.
    pub fn gitoid(&self) -> Option<String> {
        match &self.content {
            ContentId::GitSha1(sha1) => Some(format!("gitoid:blob:sha1:{}", render_hex(sha1))),
            ContentId::Sha256(_) => None,
        }
    }
}

/// Encodes a text for a qualifier or a subpath of a package URL.
pub fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'_' | b'~' | b':' | b'/' => {
                encoded.push(byte.into());
            }
            byte => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::repo::RepoType;

    #[test]
    fn a_package_url_names_repository_commit_and_another_hub() {
        let mut model = ListedModel {
            name: "x".parse().unwrap(),
            repo: Repo::new(RepoType::Model, "Acme/Tiny-v1.0".parse().unwrap()),
            revision: Revision::main(),
            filter: Filter::default(),
            commit: "AB".repeat(20).to_lowercase().parse().unwrap(),
            licence: None,
            files: None,
            lacks_files: true,
        };
        let commit = "ab".repeat(20);
        let purl = format!("pkg:huggingface/Acme/Tiny-v1.0@{commit}");
        assert_eq!(model.purl("https://huggingface.co"), purl);
        assert_eq!(
            model.purl("http://hub.local:80/"),
            format!("{purl}?repository_url=http://hub.local:80")
        );
        model.repo.kind = RepoType::Dataset;
        let purl = format!("pkg:huggingface/datasets/Acme/Tiny-v1.0@{commit}");
        assert_eq!(model.purl("https://huggingface.co/"), purl);
        assert_eq!(model.unknown(), ["files", "licence"]);
        assert_eq!(percent_encoded("a b/ü#?"), "a%20b/%C3%BC%23%3F");
    }
}
