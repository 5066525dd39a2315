//! One part of the work, where several machines or homes share it.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest, Sha256};
use thiserror::Error;

use super::repo::{Repo, Revision};

/// The part with this number, counted from 0, of so many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    index: u32,
    count: u32,
}

/// A shard as it is typed: `auto/N` leaves the number to the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShardArg {
    Fixed(Shard),
    Auto { count: u32 },
}

/// Says that a text names no shard.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{text}` is not a shard: {why}")]
pub struct ShardError {
    text: String,
    why: String,
}

const FORM: &str = "write I/N such as 0/4, where I counts from 0, or auto/N";

impl Shard {
    fn new(text: &str, index: u32, count: u32) -> Result<Self, ShardError> {
        if index < count {
            return Ok(Self { index, count });
        }
        let why = format!(
            "of {count} shards the last one has the number {}",
            count - 1
        );
        Err(ShardError::new(text, why))
    }

    /// Tells whether a model belongs to this shard.
    ///
    /// The number is the model's own, whatever other models there are: adding
    /// one moves no other. It must never change between releases, or every
    /// machine would fetch everything anew.
    pub fn holds(&self, repo: &Repo, revision: &Revision) -> bool {
        let name = format!("{}\0{}\0{revision}", repo.kind.as_str(), repo.id);
        let mut first = [0; 8];
        first.copy_from_slice(&Sha256::digest(name)[..8]);
        u64::from_be_bytes(first) % u64::from(self.count) == u64::from(self.index)
    }
}

impl ShardArg {
    /// Returns the shard; `index` is what the cluster's variables say.
    pub fn resolve(self, index: Option<&str>) -> Result<Shard, ShardError> {
        let count = match self {
            Self::Fixed(shard) => return Ok(shard),
            Self::Auto { count } => count,
        };
        let text = format!("auto/{count}");
        let Some(index) = index else {
            let why = "neither `JOB_COMPLETION_INDEX` nor `SLURM_ARRAY_TASK_ID` is set";
            return Err(ShardError::new(&text, why));
        };
        match index.trim().parse() {
            Ok(number) => Shard::new(&format!("{index}/{count}"), number, count),
            Err(_) => Err(ShardError::new(&text, format!("`{index}` is no number"))),
        }
    }
}

impl ShardError {
    fn new(text: &str, why: impl Into<String>) -> Self {
        Self {
            text: text.chars().take(80).flat_map(char::escape_debug).collect(),
            why: why.into(),
        }
    }
}

impl FromStr for ShardArg {
    type Err = ShardError;

    fn from_str(text: &str) -> Result<Self, ShardError> {
        let form = || ShardError::new(text, FORM);
        let (index, count) = text.split_once('/').ok_or_else(form)?;
        let count = count.parse().map_err(|_| form())?;
        if count == 0 {
            return Err(ShardError::new(text, "there must be at least one shard"));
        }
        if index == "auto" {
            return Ok(Self::Auto { count });
        }
        let index = index.parse().map_err(|_| form())?;
        Shard::new(text, index, count).map(Self::Fixed)
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::repo::RepoType;

    fn repo(number: u32) -> Repo {
        Repo::new(RepoType::Model, format!("acme/m{number}").parse().unwrap())
    }

    fn shard(text: &str) -> Shard {
        text.parse::<ShardArg>().unwrap().resolve(None).unwrap()
    }

    #[test]
    fn every_model_is_in_exactly_one_shard_and_they_are_of_a_size() {
        let shards: Vec<Shard> = (0..4).map(|index| shard(&format!("{index}/4"))).collect();
        let mut sizes = [0; 4];
        for number in 0..1000 {
            let holders: Vec<usize> = (0..4)
                .filter(|&index| shards[index].holds(&repo(number), &Revision::main()))
                .collect();
            let [holder] = holders[..] else {
                panic!("{number}: {holders:?}")
            };
            sizes[holder] += 1;
        }
        assert!(
            sizes.iter().all(|size| (200..300).contains(size)),
            "{sizes:?}"
        );
        // Stored nowhere, so these must never change between releases.
        let first: String = (0..12)
            .map(
                |number| match shard("0/2").holds(&repo(number), &Revision::main()) {
                    true => '0',
                    false => '1',
                },
            )
            .collect();
        assert_eq!(first, "001011011011");
    }

    #[test]
    fn a_shard_is_a_number_of_so_many_or_the_clusters() {
        assert_eq!(shard("3/4").to_string(), "3/4");
        let auto: ShardArg = "auto/4".parse().unwrap();
        assert_eq!(auto.resolve(Some("2")), Ok(shard("2/4")));
        for index in [None, Some("4"), Some("x"), Some("-1")] {
            assert!(auto.resolve(index).is_err(), "{index:?}");
        }
        for bad in [
            "", "1", "4/4", "1/0", "auto/0", "auto/x", "-1/2", "1/2/3", "a/2",
        ] {
            assert!(bad.parse::<ShardArg>().is_err(), "{bad}");
        }
    }
}
