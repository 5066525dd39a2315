//! Byte ranges of a file, and sets of them.

/// The bytes from `start` up to but not including `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ByteRange {
    pub start: u64,
    pub end: u64,
}

impl ByteRange {
    pub fn new(start: u64, end: u64) -> Self {
        debug_assert!(start <= end);
        Self { start, end }
    }

    pub fn len(self) -> u64 {
        self.end.saturating_sub(self.start)
    }

    pub fn is_empty(self) -> bool {
        self.len() == 0
    }
}

/// A set of bytes, as sorted ranges that neither overlap nor touch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RangeSet {
    ranges: Vec<ByteRange>,
}

impl RangeSet {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn ranges(&self) -> &[ByteRange] {
        &self.ranges
    }

    /// Counts the bytes in the set.
    pub fn total(&self) -> u64 {
        self.ranges.iter().map(|range| range.len()).sum()
    }

    pub fn insert(&mut self, new: ByteRange) {
        if new.is_empty() {
            return;
        }
        let first = self.ranges.partition_point(|range| range.end < new.start);
        let behind = self.ranges.partition_point(|range| range.start <= new.end);
        let merged = self.ranges[first..behind]
            .iter()
            .fold(new, |sum, range| ByteRange {
                start: sum.start.min(range.start),
                end: sum.end.max(range.end),
            });
        self.ranges.splice(first..behind, [merged]);
    }

    /// Returns the ranges below `size` that the set lacks.
    pub fn gaps(&self, size: u64) -> Vec<ByteRange> {
        let mut gaps = Vec::new();
        let mut at = 0;
        for range in &self.ranges {
            if range.start.min(size) > at {
                gaps.push(ByteRange::new(at, range.start.min(size)));
            }
            at = at.max(range.end);
        }
        if at < size {
            gaps.push(ByteRange::new(at, size));
        }
        gaps
    }

    /// Reports whether the set contains a byte.
    pub fn contains(&self, position: u64) -> bool {
        let next = self.ranges.partition_point(|range| range.end <= position);
        let next = self.ranges.get(next);
        next.is_some_and(|range| range.start <= position)
    }

    /// Returns the parts of a range that the set lacks.
    pub fn lacking(&self, range: ByteRange) -> Vec<ByteRange> {
        let mut lacking = Vec::new();
        let first = self.ranges.partition_point(|own| own.end <= range.start);
        let mut at = range.start;
        for own in &self.ranges[first..] {
            if own.start >= range.end {
                break;
            }
            if own.start > at {
                lacking.push(ByteRange::new(at, own.start));
            }
            at = own.end;
        }
        if at < range.end {
            lacking.push(ByteRange::new(at, range.end));
        }
        lacking
    }

    /// Returns the ranges of this set that `other` lacks.
    pub fn minus(&self, other: &Self) -> Vec<ByteRange> {
        self.ranges
            .iter()
            .flat_map(|range| other.lacking(*range))
            .collect()
    }
}

impl FromIterator<ByteRange> for RangeSet {
    fn from_iter<I: IntoIterator<Item = ByteRange>>(ranges: I) -> Self {
        let mut set = Self::new();
        for range in ranges {
            set.insert(range);
        }
        set
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn set(ranges: &[(u64, u64)]) -> RangeSet {
        ranges.iter().map(|&(a, b)| ByteRange::new(a, b)).collect()
    }

    #[test]
    fn ranges_that_touch_become_one() {
        assert_eq!(set(&[(0, 4), (8, 12), (4, 8)]), set(&[(0, 12)]));
        assert_eq!(set(&[(5, 5)]), RangeSet::new());
    }

    proptest! {
        #[test]
        fn a_set_holds_exactly_the_bytes_put_into_it(
            ours in prop::collection::vec((0u64..60, 0u64..12), 0..8),
            theirs in prop::collection::vec((0u64..60, 0u64..12), 0..8),
        ) {
            let build = |parts: &[(u64, u64)]| -> RangeSet {
                parts.iter().map(|&(at, len)| ByteRange::new(at, at + len)).collect()
            };
            let holds = |parts: &[(u64, u64)], byte: u64| {
                parts.iter().any(|&(at, len)| (at..at + len).contains(&byte))
            };
            let within = |ranges: &[ByteRange], byte: u64| {
                ranges.iter().any(|range| (range.start..range.end).contains(&byte))
            };
            let (a, b) = (build(&ours), build(&theirs));
            prop_assert!(a.ranges().windows(2).all(|pair| pair[0].end < pair[1].start));
            for byte in 0..80 {
                prop_assert_eq!(within(a.ranges(), byte), holds(&ours, byte));
                prop_assert_eq!(a.contains(byte), holds(&ours, byte));
                prop_assert_eq!(within(&a.gaps(50), byte), byte < 50 && !holds(&ours, byte));
                prop_assert_eq!(within(&a.minus(&b), byte), holds(&ours, byte) && !holds(&theirs, byte));
            }
        }
    }
}
