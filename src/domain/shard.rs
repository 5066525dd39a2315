//! Shards: one part of the models, when several machines or homes share the
//! work.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use sha2::{Digest, Sha256};

use super::repo::{Repo, Revision};
use super::time::{Timestamp, believed};
use super::units::Seconds;
use crate::domain::invalid_value::InvalidValue;

/// The shard with this index, counted from 0, out of `count`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Shard {
    index: u32,
    count: u32,
}

/// A shard as typed: with `auto/N` the cluster's variables give the index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShardArg {
    Fixed(Shard),
    Auto { count: u32 },
}

impl Shard {
    /// All models: shard 0 of 1.
    pub const ALL: Self = Self { index: 0, count: 1 };

    /// Builds a shard from its index and the number of shards.
    pub fn from_parts(index: u32, count: u32) -> Option<Self> {
        (index < count).then_some(Self { index, count })
    }

    pub fn index(self) -> u32 {
        self.index
    }

    /// Returns the number of shards.
    pub fn count(self) -> u32 {
        self.count
    }

    fn new(text: &str, index: u32, count: u32) -> Result<Self, InvalidValue> {
        if index < count {
            return Ok(Self { index, count });
        }
        let why = format!(
            "of {count} shards the last one has the number {}",
            count - 1
        );
        Err(InvalidValue::is_not(text, "a shard").because(why))
    }

    /// Reports whether a model belongs to this shard.
    ///
    /// The result depends only on the model's own repository and revision, so
    /// adding a model moves no other. The function must never change between
    /// releases, or every machine would fetch its models again.
    pub fn holds(&self, repo: &Repo, revision: &Revision) -> bool {
        let name = format!("{}\0{}\0{revision}", repo.kind.as_str(), repo.id);
        let mut first = [0; 8];
        first.copy_from_slice(&Sha256::digest(name)[..8]);
        u64::from_be_bytes(first) % u64::from(self.count) == u64::from(self.index)
    }
}

/// The shards that a home has run, with the time of the last tick of each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShardTicks(pub BTreeMap<Shard, Timestamp>);

impl ShardTicks {
    /// Returns the shards with the most recently used count: a home switches
    /// from four shards to eight with its next tick.
    pub fn current(&self, now: Timestamp) -> Vec<Shard> {
        let newest = self.believed(now).max_by_key(|(_, at)| *at);
        let Some((newest, _)) = newest else {
            return Vec::new();
        };
        let shards = self.0.keys().copied();
        shards.filter(|one| one.count == newest.count).collect()
    }

    /// Returns the shards whose models this home is responsible for: the
    /// current ones, and for a while those of an earlier count.
    pub fn responsible_for(&self, keep: Seconds, now: Timestamp) -> Vec<Shard> {
        let mut shards = self.current(now);
        let earlier = self.believed(now).filter(|(shard, at)| {
            let age = now.as_second() - at.as_second();
            !shards.contains(shard) && age <= keep.span().as_secs()
        });
        let earlier: Vec<Shard> = earlier.map(|(shard, _)| shard).collect();
        shards.extend(earlier);
        shards
    }

    fn believed(&self, now: Timestamp) -> impl Iterator<Item = (Shard, Timestamp)> {
        let ticks = self.0.iter();
        ticks.filter_map(move |(shard, at)| Some((*shard, believed(*at, now)?)))
    }
}

impl ShardArg {
    /// Returns the shard; `index` is the value of the cluster's variable.
    pub fn resolve(self, index: Option<&str>) -> Result<Shard, InvalidValue> {
        let count = match self {
            Self::Fixed(shard) => return Ok(shard),
            Self::Auto { count } => count,
        };
        let text = format!("auto/{count}");
        let Some(index) = index else {
            return Err(InvalidValue::is_not(&text, "a shard")
                .because("neither `JOB_COMPLETION_INDEX` nor `SLURM_ARRAY_TASK_ID` is set")
                .next("write I/N such as 0/4"));
        };
        match index.trim().parse() {
            Ok(number) => Shard::new(&format!("{index}/{count}"), number, count),
            Err(_) => Err(InvalidValue::is_not(&text, "a shard")
                .because(format!("`{index}` is not a number"))),
        }
    }
}

impl FromStr for ShardArg {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let error = || InvalidValue::is_not(text, "a shard");
        let form = || error().next("write I/N such as 0/4, where I counts from 0, or auto/N");
        let (index, count) = text.split_once('/').ok_or_else(form)?;
        let count = count.parse().map_err(|_| form())?;
        if count == 0 {
            return Err(error().because("there must be at least one shard"));
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
    fn every_model_is_in_exactly_one_shard_and_shards_are_of_similar_size() {
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
            .map(|number| {
                if shard("0/2").holds(&repo(number), &Revision::main()) {
                    '0'
                } else {
                    '1'
                }
            })
            .collect();
        assert_eq!(first, "001011011011");
    }

    #[test]
    fn a_home_is_responsible_for_the_shards_it_has_run() {
        let at = |second: i64| Timestamp::from_second(1_900_000_000 + second).unwrap();
        let mut ticks = ShardTicks::default();
        assert_eq!(ticks.current(at(0)), []);
        for (text, second) in [("0/4", 0), ("3/4", 50), ("0/8", 100), ("1/2", 9_000)] {
            ticks.0.insert(shard(text), at(second));
        }
        // The tick of 1/2 lies in the future.
        assert_eq!(ticks.current(at(200)), [shard("0/8")]);
        let here = |now| ticks.responsible_for(Seconds(100), at(now));
        assert_eq!(here(120), [shard("0/8"), shard("3/4")]);
        assert_eq!(here(1_000), [shard("0/8")]);
        ticks.0.insert(shard("3/4"), at(300));
        assert_eq!(ticks.current(at(1_000)), [shard("0/4"), shard("3/4")]);
    }

    #[test]
    fn a_shard_is_fixed_or_resolved_from_the_cluster() {
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
