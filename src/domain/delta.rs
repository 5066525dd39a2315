//! Deltas: how to build a new file from old ones, with ranges to copy and
//! ranges to fetch.
//!
//! A Xet address (xorb and chunk number) stands for the same bytes in every
//! file, so the chunks of the new file are looked up among those of the old
//! files. All offsets follow from chunk lengths, before the first byte is
//! fetched. An error in this data cannot produce a wrong file: the hash check
//! of the finished file fails and the file is fetched whole.

use super::chunk_index::{ChunkIndex, Pieces};
use super::ranges::{ByteRange, RangeSet};
use super::xet::{FileMap, Term};

/// Bytes at one offset of an old file and at another offset of the new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RangeCopy {
    /// The index of the old file in the list given to the planner.
    pub source: usize,
    pub from: u64,
    pub to: u64,
    pub length: u64,
}

impl RangeCopy {
    /// Returns the range in the new file.
    pub fn target(&self) -> ByteRange {
        ByteRange::new(self.to, self.to + self.length)
    }
}

/// How to build a new file. Copies and missing ranges together cover the file,
/// each byte once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Delta {
    /// Sorted by their offset in the new file.
    pub copies: Vec<RangeCopy>,
    pub missing: RangeSet,
}

/// Thresholds that decide whether a delta is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeltaRules {
    /// Missing ranges with a smaller gap between them are fetched as one: an
    /// extra request costs about as much as the gap.
    pub merge_below: u64,
    /// The file is fetched whole if fewer bytes can be copied ...
    pub least_copied: u64,
    /// ... or if they are less than 1/`least_part` of the file.
    pub least_part: u64,
}

impl Default for DeltaRules {
    fn default() -> Self {
        Self {
            merge_below: 128 << 10,
            least_copied: 1 << 20,
            least_part: 10,
        }
    }
}

impl Delta {
    /// Plans a repair: keeps the `right` bytes of a damaged file and builds the
    /// rest as `others` would. The damaged file becomes source 0, before the
    /// sources of `others`.
    pub fn around(right: &RangeSet, others: Option<&Self>, size_bytes: u64) -> Self {
        let kept = right.ranges().iter().map(|range| RangeCopy {
            source: 0,
            from: range.start,
            to: range.start,
            length: range.len(),
        });
        let beyond = others.map(|others| others.copies_beyond(right));
        let beyond = beyond.into_iter().flatten().map(|copy| RangeCopy {
            source: copy.source + 1,
            ..copy
        });
        let mut copies: Vec<RangeCopy> = kept.chain(beyond).collect();
        copies.sort_by_key(|copy| copy.to);
        let missing = match others {
            Some(others) => others.missing.minus(right),
            None => right.gaps(size_bytes),
        };
        Self {
            copies,
            missing: missing.into_iter().collect(),
        }
    }

    pub fn copied_bytes(&self) -> u64 {
        self.copies.iter().map(|copy| copy.length).sum()
    }

    /// Returns the copies whose target bytes are not yet on disk.
    pub fn copies_beyond(&self, on_disk: &RangeSet) -> Vec<RangeCopy> {
        let mut left = Vec::new();
        for copy in &self.copies {
            for part in on_disk.lacking(copy.target()) {
                left.push(RangeCopy {
                    from: copy.from + (part.start - copy.to),
                    to: part.start,
                    length: part.len(),
                    ..*copy
                });
            }
        }
        left
    }

    /// Reports whether the delta saves enough bytes to be used.
    pub fn is_worth_it(&self, size_bytes: u64, rules: &DeltaRules) -> bool {
        let copied = self.copied_bytes();
        copied >= rules.least_copied && copied.saturating_mul(rules.least_part) >= size_bytes
    }
}

/// Plans how to build a file with these terms; `None` when too few bytes are
/// saved.
///
/// Old files with known chunk lengths are searched chunk by chunk. Without
/// chunk lengths only identical terms are found.
pub fn plan_delta(
    size_bytes: u64,
    new: &[Term],
    old: &[FileMap],
    rules: &DeltaRules,
) -> Option<Delta> {
    let index = ChunkIndex::new(old);
    let mut pieces = Pieces::default();
    for term in new {
        index.look_up(term, &mut pieces);
    }
    if pieces.position != size_bytes {
        return None;
    }
    let delta = merge_close(pieces, rules.merge_below);
    delta.is_worth_it(size_bytes, rules).then_some(delta)
}

/// Returns the lengths of a new file's chunks, as far as the maps of old files
/// contain them.
pub fn known_lengths(new: &[Term], old: &[FileMap]) -> Vec<Option<u32>> {
    let index = ChunkIndex::new(old);
    let chunks = new.iter().flat_map(|term| {
        let index = &index;
        term.chunks()
            .map(move |chunk| index.length(&term.xorb, chunk))
    });
    chunks.collect()
}

/// Also fetches small gaps between missing ranges.
fn merge_close(pieces: Pieces, merge_below: u64) -> Delta {
    let mut missing = RangeSet::new();
    let mut last: Option<ByteRange> = None;
    for range in pieces.missing.ranges() {
        if let Some(last) = last
            && range.start - last.end < merge_below
        {
            missing.insert(ByteRange::new(last.end, range.start));
        }
        missing.insert(*range);
        last = Some(*range);
    }
    let mut copies = pieces.copies;
    // Gaps are merged whole, so a copy lies either inside a missing range or
    // outside all of them.
    copies.retain(|copy| !missing.contains(copy.to));
    Delta { copies, missing }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::xet::XetHash;

    const ANY: DeltaRules = DeltaRules {
        merge_below: 0,
        least_copied: 1,
        least_part: u64::MAX,
    };

    fn term(xorb: u8, start: u32, end: u32, length: u32) -> Term {
        Term {
            xorb: XetHash::from_bytes([xorb; 32]),
            start,
            end,
            length,
        }
    }

    fn map(terms: &[Term], lengths: Option<&[u32]>) -> FileMap {
        FileMap {
            hash: XetHash::ZERO,
            terms: terms.to_vec(),
            chunk_lengths: lengths.map(<[u32]>::to_vec),
        }
    }

    fn plan(new: &[Term], old: &[FileMap], rules: &DeltaRules) -> Option<Delta> {
        let size = new.iter().map(|term| u64::from(term.length)).sum();
        plan_delta(size, new, old, rules)
    }

    fn copies(delta: &Delta) -> Vec<(usize, u64, u64, u64)> {
        let copies = delta.copies.iter();
        copies.map(|c| (c.source, c.from, c.to, c.length)).collect()
    }

    fn missing(delta: &Delta) -> Vec<(u64, u64)> {
        let ranges = delta.missing.ranges().iter();
        ranges.map(|range| (range.start, range.end)).collect()
    }

    #[test]
    fn a_replaced_middle_is_fetched_and_the_rest_is_copied() {
        let old = map(&[term(1, 0, 4, 100)], Some(&[10, 20, 30, 40]));
        let new = [term(1, 0, 2, 30), term(2, 0, 1, 7), term(1, 3, 4, 40)];
        let delta = plan(&new, &[old], &ANY).unwrap();
        assert_eq!(copies(&delta), [(0, 0, 0, 30), (0, 60, 37, 40)]);
        assert_eq!(missing(&delta), [(30, 37)]);
        assert_eq!(delta.copied_bytes(), 70);
    }

    #[test]
    fn without_chunk_lengths_only_the_same_terms_are_found() {
        let old = map(&[term(1, 0, 4, 100), term(1, 4, 5, 9)], None);
        let new = [term(1, 4, 5, 9), term(1, 0, 3, 60), term(1, 0, 4, 100)];
        let delta = plan(&new, &[old], &ANY).unwrap();
        assert_eq!(copies(&delta), [(0, 100, 0, 9), (0, 0, 69, 100)]);
        assert_eq!(missing(&delta), [(9, 69)]);
    }

    #[test]
    fn several_old_files_help_and_neighbours_are_one_copy() {
        let one = map(&[term(1, 0, 2, 30)], Some(&[10, 20]));
        let two = map(
            &[term(2, 5, 7, 9), term(1, 1, 3, 50)],
            Some(&[4, 5, 20, 30]),
        );
        let new = [term(1, 0, 3, 60), term(2, 5, 6, 4), term(2, 6, 7, 5)];
        let delta = plan(&new, &[one, two], &ANY).unwrap();
        assert_eq!(
            copies(&delta),
            [(0, 0, 0, 30), (1, 29, 30, 30), (1, 0, 60, 9)]
        );
        assert!(delta.missing.ranges().is_empty());
    }

    #[test]
    fn between_two_unknown_chunks_everything_is_fetched() {
        let old = map(
            &[term(1, 1, 2, 10), term(1, 3, 4, 20), term(1, 5, 7, 50)],
            Some(&[10, 20, 20, 30]),
        );
        let new = [term(1, 1, 7, 1000)];
        let delta = plan(&new, &[old], &ANY).unwrap();
        assert_eq!(copies(&delta), [(0, 0, 0, 10), (0, 30, 950, 50)]);
        assert_eq!(missing(&delta), [(10, 950)]);
    }

    #[test]
    fn lengths_that_contradict_each_other_are_not_used() {
        let old = map(&[term(1, 0, 2, 30), term(2, 0, 1, 5)], Some(&[10, 20, 5]));
        for wrong in [
            term(1, 0, 2, 29),
            term(1, 0, 2, 31),
            term(1, 0, 3, 30),
            term(1, 0, 3, 12),
        ] {
            let delta = plan(&[term(2, 0, 1, 5), wrong], std::slice::from_ref(&old), &ANY).unwrap();
            let end = 5 + u64::from(wrong.length);
            assert_eq!(missing(&delta), [(5, end)], "{wrong:?}");
        }
        assert_eq!(plan_delta(31, &[term(1, 0, 2, 30)], &[old], &ANY), None);
    }

    #[test]
    fn small_gaps_between_missing_pieces_are_fetched_too() {
        let old = map(&[term(1, 0, 4, 100)], Some(&[10, 20, 30, 40]));
        let new = [
            term(9, 0, 1, 5),
            term(1, 0, 1, 10),
            term(9, 1, 2, 5),
            term(1, 3, 4, 40),
            term(9, 2, 3, 5),
        ];
        let merging = |merge_below| {
            plan(
                &new,
                std::slice::from_ref(&old),
                &DeltaRules { merge_below, ..ANY },
            )
        };
        let delta = merging(11).unwrap();
        assert_eq!(missing(&delta), [(0, 20), (60, 65)]);
        assert_eq!(copies(&delta), [(0, 60, 20, 40)]);
        assert_eq!(missing(&merging(10).unwrap()).len(), 3);
        assert_eq!(merging(41), None, "nothing is left to copy");
    }

    #[test]
    fn a_delta_that_saves_little_is_not_used() {
        let old = map(&[term(1, 0, 1, 100)], Some(&[100]));
        let new = [term(1, 0, 1, 100), term(2, 0, 1, 900)];
        let with = |least_copied, least_part| {
            let rules = DeltaRules {
                least_copied,
                least_part,
                ..ANY
            };
            plan(&new, std::slice::from_ref(&old), &rules).is_some()
        };
        assert!(with(100, 10));
        assert!(!with(101, 10));
        assert!(!with(100, 9));
    }

    #[test]
    fn lengths_are_known_where_an_old_file_has_the_chunk() {
        let old = map(&[term(1, 0, 2, 30)], Some(&[10, 20]));
        let new = [term(1, 1, 3, 25), term(2, 0, 1, 9), term(1, 0, 1, 10)];
        let known = known_lengths(&new, &[old]);
        assert_eq!(known, [Some(20), None, None, Some(10)]);
    }

    #[test]
    fn bytes_on_disk_are_not_copied_again() {
        let delta = Delta {
            copies: vec![
                RangeCopy {
                    source: 0,
                    from: 1000,
                    to: 0,
                    length: 100,
                },
                RangeCopy {
                    source: 1,
                    from: 5,
                    to: 150,
                    length: 50,
                },
            ],
            missing: RangeSet::from_iter([ByteRange::new(100, 150)]),
        };
        let on_disk = RangeSet::from_iter([ByteRange::new(10, 30), ByteRange::new(120, 160)]);
        let left = delta.copies_beyond(&on_disk);
        let left: Vec<_> = left
            .iter()
            .map(|c| (c.source, c.from, c.to, c.length))
            .collect();
        assert_eq!(
            left,
            [(0, 1000, 0, 10), (0, 1030, 30, 70), (1, 15, 160, 40)]
        );
    }

    #[test]
    fn a_repair_keeps_the_right_bytes_and_rebuilds_the_rest() {
        let right: RangeSet = [ByteRange::new(0, 40), ByteRange::new(90, 100)]
            .into_iter()
            .collect();
        let alone = Delta::around(&right, None, 120);
        assert_eq!(copies(&alone), [(0, 0, 0, 40), (0, 90, 90, 10)]);
        assert_eq!(missing(&alone), [(40, 90), (100, 120)]);

        let copy = |from, to, length| RangeCopy {
            source: 1,
            from,
            to,
            length,
        };
        let others = Delta {
            copies: vec![copy(500, 0, 50), copy(700, 60, 50)],
            missing: [ByteRange::new(50, 60), ByteRange::new(110, 120)]
                .into_iter()
                .collect(),
        };
        let both = Delta::around(&right, Some(&others), 120);
        let expected = [
            (0, 0, 0, 40),
            (2, 540, 40, 10),
            (2, 700, 60, 30),
            (0, 90, 90, 10),
            (2, 740, 100, 10),
        ];
        assert_eq!(copies(&both), expected);
        assert_eq!(missing(&both), [(50, 60), (110, 120)]);
    }
}
