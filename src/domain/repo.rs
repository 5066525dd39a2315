//! Names on the Hub: repositories, revisions and files.
//!
//! The rules are those of the official client, so that a cache folder name can
//! be converted back into a repository id, and a path can never leave its
//! folder.
//!
//! Ids, commits and paths are shared texts: a listing, its plan and the record of a
//! session name the same files.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::domain::invalid_value::InvalidValue;

/// The kind of a repository; it decides URL prefixes and the cache folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RepoType {
    Model,
    Dataset,
    Space,
    Kernel,
}

impl RepoType {
    pub const ALL: [Self; 4] = [Self::Model, Self::Dataset, Self::Space, Self::Kernel];

    /// Returns the word used in the database, in JSON and in messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Dataset => "dataset",
            Self::Space => "space",
            Self::Kernel => "kernel",
        }
    }

    /// Returns the plural segment of API URLs and of cache folder names.
    pub fn plural(self) -> &'static str {
        match self {
            Self::Model => "models",
            Self::Dataset => "datasets",
            Self::Space => "spaces",
            Self::Kernel => "kernels",
        }
    }

    /// Returns the prefix of the id in web and resolve URLs, such as
    /// `datasets/`.
    pub fn url_prefix(self) -> &'static str {
        match self {
            Self::Model => "",
            Self::Dataset => "datasets/",
            Self::Space => "spaces/",
            Self::Kernel => "kernels/",
        }
    }
}

impl fmt::Display for RepoType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for RepoType {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.as_str() == text || kind.plural() == text)
            .ok_or_else(|| {
                InvalidValue::not_valid("repository type", text)
                    .next("write model, dataset, space or kernel")
            })
    }
}

/// A repository id: `name` or `namespace/name`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RepoId(Arc<str>);

impl RepoId {
    pub const MAX_LEN: usize = 96;

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for RepoId {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let refusal = || InvalidValue::not_valid("repository id", text).next("write `org/name`");
        let refuse = |why: &str| Err(refusal().because(why));
        if text.is_empty() {
            return refuse("it is empty");
        }
        if text.len() > Self::MAX_LEN {
            return refuse("it is longer than 96 characters");
        }
        if let Some(c) = text
            .chars()
            .find(|c| !c.is_ascii_alphanumeric() && !matches!(c, '.' | '_' | '-' | '/'))
        {
            return Err(refusal()
                .because(format!("`{}` is not allowed", c.escape_debug()))
                .next("write `org/name` with letters, digits, `-`, `_` and `.`"));
        }
        if text.matches('/').count() > 1 {
            return refuse("it has more than one `/`");
        }
        for part in text.split('/') {
            if part.is_empty() {
                return refuse("a part of it is empty");
            }
            if part.starts_with(['-', '.']) || part.ends_with(['-', '.']) {
                return refuse("a part of it starts or ends with `-` or `.`");
            }
        }
        let has_pair = |pair: &[u8]| text.as_bytes().windows(2).any(|it| it == pair);
        if has_pair(b"--") || has_pair(b"..") {
            return refuse("it contains `--` or `..`");
        }
        if text.ends_with(".git") {
            return refuse("it ends in `.git`");
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for RepoId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A repository: its type and id.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Repo {
    pub kind: RepoType,
    pub id: RepoId,
}

impl Repo {
    pub fn new(kind: RepoType, id: RepoId) -> Self {
        Self { kind, id }
    }
}

impl fmt::Display for Repo {
    /// Writes the short form: `org/name`, `datasets/org/name`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.kind.url_prefix(), self.id)
    }
}

/// A revision as a user gives it: a branch, a tag, `refs/pr/1` or a full
/// commit.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Revision(String);

impl Revision {
    /// Returns the default branch.
    pub fn main() -> Self {
        Self("main".to_owned())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the commit if the revision is a full commit hash.
    pub fn as_commit(&self) -> Option<CommitSha> {
        self.0.parse().ok()
    }
}

impl From<&CommitSha> for Revision {
    fn from(commit: &CommitSha) -> Self {
        Self(commit.as_str().to_owned())
    }
}

impl FromStr for Revision {
    type Err = InvalidValue;

    /// Accepts the reference names of git, because the name becomes a path below
    /// `refs/` in the cache.
    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let refuse = |why: &str| {
            let refusal = InvalidValue::not_valid("revision", text).because(why);
            Err(refusal.next("write a branch, a tag or a commit"))
        };
        if text.is_empty() {
            return refuse("it is empty");
        }
        if text.len() > 255 {
            return refuse("it is longer than 255 bytes");
        }
        let forbidden = |c: char| {
            c.is_ascii_control() || matches!(c, ' ' | '~' | '^' | ':' | '?' | '*' | '[' | '\\')
        };
        if let Some(c) = text.chars().find(|c| forbidden(*c)) {
            return refuse(&format!(
                "`{}` is not allowed in a revision",
                c.escape_debug()
            ));
        }
        if text.contains("..") || text.contains("@{") || text == "@" {
            return refuse("it contains `..` or `@{`");
        }
        for part in text.split('/') {
            if part.is_empty() || part.starts_with('.') || part.ends_with(".lock") {
                return refuse("a part of it is empty, starts with `.` or ends in `.lock`");
            }
        }
        if text.ends_with('.') {
            return refuse("it ends in `.`");
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A full commit hash: 40 lower-case hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CommitSha(Arc<str>);

impl CommitSha {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the first digits, for tables and messages.
    pub fn short(&self) -> &str {
        &self.0[..10]
    }
}

impl FromStr for CommitSha {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        if text.len() == 40 && text.bytes().all(hex) {
            Ok(Self(text.into()))
        } else {
            let refusal = InvalidValue::not_valid("commit", text);
            Err(refusal.because("a commit is 40 lower-case hexadecimal digits"))
        }
    }
}

impl fmt::Display for CommitSha {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The path of a file inside a repository: relative, `/`-separated, and unable
/// to leave its folder under the rules of any platform.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RepoPath(Arc<str>);

impl RepoPath {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn segments(&self) -> impl Iterator<Item = &str> {
        self.0.split('/')
    }
}

impl FromStr for RepoPath {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let refuse = |why: &str| Err(InvalidValue::not_valid("path", text).because(why));
        if text.is_empty() {
            return refuse("it is empty");
        }
        if text.len() > 4096 {
            return refuse("it is longer than 4096 bytes");
        }
        if text.chars().any(|c| c.is_control()) {
            return refuse("it contains a control character");
        }
        if text.contains('\\') {
            return refuse("it contains a backslash, which is a separator on Windows");
        }
        if text.starts_with('/') {
            return refuse("it is absolute");
        }
        for segment in text.split('/') {
            match segment {
                "" => return refuse("it has an empty part"),
                "." | ".." => return refuse("it has a part `.` or `..`"),
                _ => {}
            }
            if segment.len() > 255 {
                return refuse("a part of it is longer than 255 bytes");
            }
        }
        let bytes = text.as_bytes();
        if bytes.len() >= 2 && bytes[0].is_ascii_alphabetic() && bytes[1] == b':' {
            return refuse("it starts with a drive letter");
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for RepoPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repository_ids_follow_the_rules_of_the_official_client() {
        for good in ["gpt2", "org/name", "a.b/c_d-e", "0/1", &"x".repeat(96)] {
            assert!(good.parse::<RepoId>().is_ok(), "{good}");
        }
        for bad in [
            "",
            "/",
            "a/",
            "/a",
            "a/b/c",
            "a--b",
            "a..b",
            "-a/b",
            "a/b-",
            ".a",
            "a.",
            "a/.b",
            "a/b.git",
            "a b",
            "a\\b",
            "ä/b",
            &"x".repeat(97),
        ] {
            assert!(bad.parse::<RepoId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_path_cannot_leave_its_folder_on_any_platform() {
        for bad in [
            "",
            "/abs",
            "a//b",
            "a/../b",
            "..",
            "a/.",
            "a\\..\\b",
            "C:x",
            "c:/x",
            "a\0b",
            "a\nb",
            "a/",
            "\\\\server\\x",
            &"x".repeat(256),
        ] {
            assert!(bad.parse::<RepoPath>().is_err(), "{bad:?}");
        }
        for good in [
            "a",
            ".gitattributes",
            "a/b/c.json",
            "ünï cödé/#%?.txt",
            "..a",
            "a..b",
            "1:x",
        ] {
            assert!(good.parse::<RepoPath>().is_ok(), "{good:?}");
        }
    }

    #[test]
    fn revisions_may_have_slashes_but_cannot_leave_refs() {
        for good in [
            "main",
            "refs/pr/1",
            "v1.0",
            "refs/convert/parquet",
            "feature/x",
        ] {
            assert!(good.parse::<Revision>().is_ok(), "{good}");
        }
        for bad in [
            "", "../x", "a/../b", "a b", "/a", "a/", ".a", "a\\b", "a:b", "a.lock", "x\n",
        ] {
            assert!(bad.parse::<Revision>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn only_a_full_lower_case_hash_is_a_commit() {
        let sha = "0123456789abcdef0123456789abcdef01234567";
        assert_eq!(sha.parse::<CommitSha>().unwrap().as_str(), sha);
        assert!(sha[..39].parse::<CommitSha>().is_err());
        assert!(sha.to_uppercase().parse::<CommitSha>().is_err());
        assert!(Revision::main().as_commit().is_none());
    }
}
