//! The index of a model in several safetensors files: it names the file of each tensor.

use std::io::{BufReader, Read};

use super::code::count;
use super::files::list;
use super::wire;
use crate::domain::hold::{Finding, HoldReason};
use crate::domain::repo::RepoPath;
use crate::domain::snapshot::RemoteSnapshot;

/// More shards than any model has.
const MAX_SHARDS: usize = 100_000;

/// The most bytes that are read of an index; the largest known have some ten megabytes.
const MAX_INDEX_BYTES: u64 = 64 << 20;

/// The names of the shards in an index.
pub struct Index(Vec<String>);

/// Tells whether a file is such an index.
pub fn is_index(path: &RepoPath) -> bool {
    path.as_str().ends_with(".safetensors.index.json")
}

impl Index {
    /// Reads an index; the error is the reason why it is none.
    pub fn read(file: impl Read) -> Result<Self, String> {
        let file = BufReader::new(file.take(MAX_INDEX_BYTES));
        wire::read_shards(file, MAX_SHARDS).map(Self)
    }
}

/// Finds an index that names shards which the commit does not have, selected or not.
pub fn index_finding(
    path: &RepoPath,
    index: Result<Index, String>,
    listing: &RemoteSnapshot,
) -> Option<Finding> {
    let folder = path.as_str().rsplit_once('/').map(|(folder, _)| folder);
    let is_missing = |name: &&String| {
        let shard = match folder {
            Some(folder) => format!("{folder}/{name}"),
            None => (*name).clone(),
        };
        let shard = shard.parse().ok();
        shard.is_none_or(|shard| listing.find(&shard).is_none())
    };
    let reason = match index {
        Err(reason) => reason,
        Ok(Index(shards)) => {
            let missing: Vec<&String> = shards.iter().filter(is_missing).collect();
            if missing.is_empty() {
                return None;
            }
            let names = missing.iter().map(|name| {
                let name: String = name.chars().take(80).collect();
                format!("`{}`", name.escape_debug())
            });
            format!(
                "{} of {} {} not exist: {}",
                missing.len(),
                count(shards.len(), "shard"),
                if missing.len() == 1 { "does" } else { "do" },
                list(names)
            )
        }
    };
    Some(Finding {
        reason: HoldReason::BadHeader,
        detail: format!("`{path}`: {reason}"),
    })
}

#[cfg(test)]
mod tests {
    use super::super::files::fixture::files;
    use super::*;

    fn judged(path: &str, json: &str, present: &[&str]) -> Option<String> {
        let mut files = files(present);
        files.sort_by(|a, b| a.path.cmp(&b.path));
        let listing = RemoteSnapshot {
            commit: "a".repeat(40).parse().unwrap(),
            files,
        };
        let index = Index::read(json.as_bytes());
        let found = index_finding(&path.parse().unwrap(), index, &listing);
        found.map(|found| found.detail)
    }

    #[test]
    fn each_shard_must_exist_beside_its_index() {
        let json =
            r#"{"metadata":{"total_size":9},"weight_map":{"a":"1.st","b":"2.st","c":"1.st"}}"#;
        let index = "model.safetensors.index.json";
        assert_eq!(judged(index, json, &["1.st", "2.st"]), None);
        assert_eq!(
            judged(&format!("u/{index}"), json, &["u/1.st", "u/2.st"]),
            None
        );
        let missing = judged(index, json, &["1.st", "u/2.st"]).unwrap();
        assert!(missing.contains("1 of 2 shards"), "{missing}");
        assert!(missing.contains("`2.st`"), "{missing}");
        for (hostile, reason) in [
            (
                r#"{"weight_map":{"a":"../../etc/passwd"}}"#,
                "does not exist",
            ),
            (r#"{"weight_map":{"a":"x\ny"}}"#, "`x\\ny`"),
            (r#"{"weight_map":{"a":7}}"#, "expected a string"),
            ("{}", "no `weight_map`"),
            ("[1]", "an index of shards"),
            ("{", "too early"),
        ] {
            let found = judged(index, hostile, &["1.st"]).unwrap();
            assert!(found.contains(reason), "{found}");
        }
    }
}
