//! The segment map of a file: missing byte ranges and the connections that fetch them.
//!
//! A connection claims a segment and reports its position. Bytes before the reported position
//! are received for good. Between two reports a connection writes at most [`STRIDE`] bytes, so
//! the rest of its segment can be given to another connection at any time.

use crate::domain::ranges::{ByteRange, RangeSet};

/// Most bytes that a connection writes between two reports.
pub(crate) const STRIDE: u64 = 1 << 20;

/// Largest segment when several connections fetch a file: large enough to hide the latency of a
/// request, small enough that hashing stays close behind.
pub(crate) const MAX_SEGMENT: u64 = 64 << 20;

/// Smallest segment: a shorter one is not worth another request.
pub(crate) const MIN_SEGMENT: u64 = 4 << 20;

/// A segment that is assigned to one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentClaim {
    pub(crate) id: u64,
    pub(crate) range: ByteRange,
}

/// The missing segments of one file: sorted, not empty, not overlapping.
#[derive(Clone, Debug)]
pub(crate) struct SegmentMap {
    size: u64,
    segments: Vec<Segment>,
    next_id: u64,
}

#[derive(Clone, Copy, Debug)]
struct Segment {
    at: u64,
    end: u64,
    claimed_by: Option<u64>,
}

impl SegmentMap {
    pub(crate) fn new(size: u64, done: &RangeSet) -> Self {
        let open = |gap: ByteRange| Segment {
            at: gap.start,
            end: gap.end,
            claimed_by: None,
        };
        Self {
            size,
            segments: done.gaps(size).into_iter().map(open).collect(),
            next_id: 0,
        }
    }

    /// Marks the whole file as missing. Earlier claims become invalid.
    pub(crate) fn reset(&mut self) {
        let next_id = self.next_id;
        *self = Self::new(self.size, &RangeSet::new());
        self.next_id = next_id;
    }

    /// Claims up to `limit` bytes of the first unclaimed segment.
    pub(crate) fn claim(&mut self, limit: u64) -> Option<SegmentClaim> {
        let index = self.segments.iter().position(|p| p.claimed_by.is_none())?;
        Some(self.take(index, limit))
    }

    /// Returns how many bytes are neither received nor claimed.
    pub(crate) fn unclaimed_bytes(&self) -> u64 {
        let free = self
            .segments
            .iter()
            .filter(|segment| segment.claimed_by.is_none());
        free.map(|segment| segment.end - segment.at).sum()
    }

    /// Returns the segment size for a number of connections.
    ///
    /// Segments become shorter towards the end of a file. Then the connections finish at about the
    /// same time, and the hash, which needs the bytes in order, soon after them. With two fifths
    /// of the missing bytes in a round the hash keeps up, and each connection makes few requests.
    pub(crate) fn segment_size(&self, connections: usize) -> u64 {
        let missing: u64 = self.segments.iter().map(|it| it.end - it.at).sum();
        let share = missing / 5 * 2 / connections.max(1) as u64;
        share
            .next_multiple_of(STRIDE)
            .clamp(MIN_SEGMENT, MAX_SEGMENT)
    }

    /// Claims the first unclaimed segment after a position, for a stream that cannot seek.
    pub(crate) fn claim_from(&mut self, position: u64) -> Option<SegmentClaim> {
        let index = self
            .segments
            .iter()
            .position(|p| p.claimed_by.is_none() && p.end > position)?;
        let segment = self.segments[index];
        if segment.at < position {
            self.segments[index].end = position;
            let rest = Segment {
                at: position,
                ..segment
            };
            self.segments.insert(index + 1, rest);
            return Some(self.take(index + 1, u64::MAX));
        }
        Some(self.take(index, u64::MAX))
    }

    /// Takes the end of the largest claimed segment away from its connection.
    ///
    /// Of a long segment the connection keeps only the next `MAX_SEGMENT` bytes, so that the file
    /// arrives in order and hashing can follow. A short segment is halved.
    pub(crate) fn steal(&mut self) -> Option<SegmentClaim> {
        let spare = |p: &Segment| p.end.saturating_sub(p.at + STRIDE);
        let index = (0..self.segments.len())
            .filter(|&i| self.segments[i].claimed_by.is_some())
            .max_by_key(|&i| spare(&self.segments[i]))?;
        let segment = self.segments[index];
        if spare(&segment) < MIN_SEGMENT {
            return None;
        }
        let min_kept = segment.at + STRIDE;
        let cut = if spare(&segment) > 2 * MAX_SEGMENT {
            min_kept.next_multiple_of(MAX_SEGMENT)
        } else {
            (min_kept + spare(&segment) / 2).next_multiple_of(STRIDE)
        };
        let cut = cut.min(segment.end - 1);
        self.segments[index].end = cut;
        let far = Segment {
            at: cut,
            end: segment.end,
            claimed_by: None,
        };
        self.segments.insert(index + 1, far);
        Some(self.take(index + 1, MAX_SEGMENT))
    }

    /// Marks a claim as received up to `to`; returns the current end of the claim, or `None` if the
    /// claim is no longer valid.
    pub(crate) fn advance(&mut self, id: u64, to: u64) -> Option<u64> {
        let index = self.held(id)?;
        let segment = &mut self.segments[index];
        debug_assert!(segment.at <= to && to <= segment.end);
        segment.at = to;
        let end = segment.end;
        if to >= end {
            self.segments.remove(index);
        }
        Some(end)
    }

    /// Marks an unclaimed range as received.
    pub(crate) fn insert(&mut self, range: ByteRange) {
        let mut left = Vec::with_capacity(self.segments.len() + 1);
        for segment in &self.segments {
            let is_apart = segment.end <= range.start || range.end <= segment.at;
            if is_apart || segment.claimed_by.is_some() {
                left.push(*segment);
                continue;
            }
            let front = Segment {
                end: range.start,
                ..*segment
            };
            let back = Segment {
                at: range.end,
                ..*segment
            };
            left.extend(
                [front, back]
                    .into_iter()
                    .filter(|segment| segment.at < segment.end),
            );
        }
        self.segments = left;
    }

    /// Returns the rest of a claim to the unclaimed segments.
    pub(crate) fn release(&mut self, id: u64) {
        let Some(mut index) = self.held(id) else {
            return;
        };
        self.segments[index].claimed_by = None;
        let joins = |a: &Segment, b: &Segment| {
            a.claimed_by.is_none() && b.claimed_by.is_none() && a.end == b.at
        };
        if index > 0 && joins(&self.segments[index - 1], &self.segments[index]) {
            self.segments[index - 1].end = self.segments[index].end;
            self.segments.remove(index);
            index -= 1;
        }
        if index + 1 < self.segments.len()
            && joins(&self.segments[index], &self.segments[index + 1])
        {
            self.segments[index].end = self.segments[index + 1].end;
            self.segments.remove(index + 1);
        }
    }

    /// Returns the end of the contiguous range received from the start of the file.
    pub(crate) fn contiguous_end(&self) -> u64 {
        self.segments
            .first()
            .map_or(self.size, |segment| segment.at)
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.segments.is_empty()
    }

    /// Returns the received ranges.
    pub(crate) fn done(&self) -> RangeSet {
        let mut done = RangeSet::new();
        let mut at = 0;
        for segment in &self.segments {
            done.insert(ByteRange::new(at, segment.at));
            at = segment.end;
        }
        done.insert(ByteRange::new(at, self.size));
        done
    }

    fn held(&self, id: u64) -> Option<usize> {
        self.segments.iter().position(|p| p.claimed_by == Some(id))
    }

    fn take(&mut self, index: usize, limit: u64) -> SegmentClaim {
        let segment = self.segments[index];
        let end = segment.at.saturating_add(limit).min(segment.end);
        if end < segment.end {
            let rest = Segment { at: end, ..segment };
            self.segments.insert(index + 1, rest);
        }
        let id = self.next_id;
        self.next_id += 1;
        self.segments[index] = Segment {
            at: segment.at,
            end,
            claimed_by: Some(id),
        };
        SegmentClaim {
            id,
            range: ByteRange::new(segment.at, end),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn segments_become_shorter_towards_the_end_of_a_file() {
        let mut file = SegmentMap::new(512 * MIB, &RangeSet::new());
        let mut sizes = Vec::new();
        while file.unclaimed_bytes() > 0 {
            let claims: Vec<_> = (0..16)
                .map_while(|_| file.claim(file.segment_size(16)))
                .collect();
            sizes.push(claims[0].range.len() / MIB);
            for claim in claims {
                file.advance(claim.id, claim.range.end);
            }
        }
        assert_eq!(sizes, [13, 8, 5, 4, 4]);
        assert_eq!(
            SegmentMap::new(9 * 1024 * MIB, &RangeSet::new()).segment_size(16),
            MAX_SEGMENT
        );
    }

    #[test]
    fn an_inserted_range_is_no_longer_missing() {
        let mut file = SegmentMap::new(100, &RangeSet::new());
        file.insert(ByteRange::new(0, 10));
        assert_eq!(file.contiguous_end(), 10);
        file.insert(ByteRange::new(20, 30));
        file.insert(ByteRange::new(90, 100));
        let claim = file.claim(u64::MAX).unwrap();
        assert_eq!(claim.range, ByteRange::new(10, 20));
        // Claimed segments are not changed.
        file.insert(ByteRange::new(12, 50));
        assert_eq!(file.advance(claim.id, 20), Some(20));
        assert_eq!(file.contiguous_end(), 50);
        file.insert(ByteRange::new(50, 90));
        assert!(file.is_complete());
    }

    #[test]
    fn a_single_connection_claims_the_whole_file() {
        let mut file = SegmentMap::new(4 << 30, &RangeSet::new());
        let claim = file.claim(u64::MAX).unwrap();
        assert_eq!(claim.range, ByteRange::new(0, 4 << 30));
        assert!(file.claim(u64::MAX).is_none());
    }

    #[test]
    fn a_second_connection_takes_the_bytes_after_the_first_segment() {
        let mut file = SegmentMap::new(4 << 30, &RangeSet::new());
        let first = file.claim(u64::MAX).unwrap();
        file.advance(first.id, 10 * MIB).unwrap();
        let second = file.steal().unwrap();
        assert_eq!(second.range, ByteRange::new(MAX_SEGMENT, 2 * MAX_SEGMENT));
        assert_eq!(file.advance(first.id, 11 * MIB), Some(MAX_SEGMENT));
        assert_eq!(
            file.claim(MAX_SEGMENT).unwrap().range.start,
            2 * MAX_SEGMENT
        );
    }

    #[test]
    fn the_last_segment_is_halved_down_to_a_minimum() {
        let mut file = SegmentMap::new(16 * MIB, &RangeSet::new());
        file.claim(MAX_SEGMENT).unwrap();
        let mut steals = 0;
        while file.steal().is_some() {
            steals += 1;
        }
        assert!((2..8).contains(&steals), "{steals}");
    }

    #[test]
    fn a_reset_invalidates_claims() {
        let mut file = SegmentMap::new(MIB, &RangeSet::new());
        let old = file.claim(u64::MAX).unwrap();
        file.reset();
        let new = file.claim(u64::MAX).unwrap();
        assert_eq!(file.advance(old.id, 10), None);
        assert_eq!(file.advance(new.id, 10), Some(MIB));
    }

    #[derive(Clone, Debug)]
    enum Step {
        Claim(u64),
        ClaimFrom(u64),
        Steal,
        /// A connection writes a number of bytes, with or without a report.
        Write(usize, u64, bool),
        Release(usize),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let mib = |n: u64| n * MIB;
        let step = prop_oneof![
            prop_oneof![Just(MAX_SEGMENT), Just(u64::MAX), Just(5 * MIB)].prop_map(Step::Claim),
            (0u64..300).prop_map(mib).prop_map(Step::ClaimFrom),
            Just(Step::Steal),
            Just(Step::Steal),
            (0usize..8, 1u64..=STRIDE, any::<bool>()).prop_map(|(w, n, r)| Step::Write(w, n, r)),
            (0usize..8).prop_map(Step::Release),
        ];
        prop::collection::vec(step, 1..120)
    }

    /// The view of one connection: position, last report, end of its claim.
    struct Connection {
        id: u64,
        at: u64,
        reported: u64,
        end: u64,
    }

    proptest! {
        #[test]
        fn every_byte_is_written_exactly_once(
            size in 1u64..400 * MIB, steps in steps()
        ) {
            let mut file = SegmentMap::new(size, &RangeSet::new());
            let mut working: Vec<Connection> = Vec::new();
            // Reported ranges, which must never be written again.
            let mut settled: Vec<ByteRange> = Vec::new();
            let mut finish = false;
            let mut steps = steps.into_iter();
            loop {
                let step = match steps.next() {
                    Some(step) => step,
                    None if file.is_complete() && working.is_empty() => break,
                    None => {
                        finish = !finish;
                        if finish { Step::Claim(u64::MAX) } else { Step::Write(0, STRIDE, true) }
                    }
                };
                let claim = match step {
                    Step::Claim(limit) => file.claim(limit),
                    Step::ClaimFrom(at) => file.claim_from(at),
                    Step::Steal => file.steal(),
                    Step::Write(which, n, report) => {
                        if working.is_empty() { continue }
                        let index = which % working.len();
                        let c = &mut working[index];
                        c.at = (c.at + n).min(c.reported + STRIDE).min(c.end);
                        for other in &settled {
                            prop_assert!(c.at <= other.start || c.reported >= other.end);
                        }
                        if report || c.at == c.end {
                            let end = file.advance(c.id, c.at).expect("held");
                            prop_assert!(end <= c.end && c.at <= end);
                            settled.push(ByteRange::new(c.reported, c.at));
                            (c.reported, c.end) = (c.at, end);
                            if c.at == end { working.remove(index); }
                        }
                        None
                    }
                    Step::Release(which) => {
                        if working.is_empty() { continue }
                        let c = working.remove(which % working.len());
                        file.release(c.id);
                        None
                    }
                };
                if let Some(SegmentClaim { id, range }) = claim {
                    prop_assert!(!range.is_empty());
                    working.push(Connection { id, at: range.start, reported: range.start, end: range.end });
                }
                // The ranges that connections may write before their next report must not overlap.
                let mut reach: Vec<(u64, u64)> = working.iter()
                    .map(|c| (c.reported, (c.reported + STRIDE).min(c.end))).collect();
                reach.sort_unstable();
                prop_assert!(reach.windows(2).all(|pair| pair[0].1 <= pair[1].0));
                let sum: u64 = settled.iter().map(|range| range.len()).sum();
                prop_assert_eq!(sum, file.done().total());
                prop_assert_eq!(file.done(), settled.iter().copied().collect::<RangeSet>());
            }
            prop_assert_eq!(file.contiguous_end(), size);
            let whole: RangeSet = settled.iter().copied().collect();
            prop_assert_eq!(whole.gaps(size), vec![]);
        }
    }
}
