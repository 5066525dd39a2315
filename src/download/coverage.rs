//! Which bytes of a file have come, and which connection fetches which others.
//!
//! Pieces are what is still open. A connection claims one and reports how far
//! it is; whatever lies before its report has come for good. Between two
//! reports it may write up to [`STRIDE`] bytes, never more, so everything
//! behind that can be given to somebody else while it works.

use crate::domain::ranges::{ByteRange, RangeSet};

/// The most that a connection writes between two reports.
pub(crate) const STRIDE: u64 = 1 << 20;

/// What one of several connections asks for at once: large enough that the
/// way there costs nothing, small enough that hashing stays close behind.
pub(crate) const SEGMENT: u64 = 64 << 20;

/// The same when little is left, so that all connections end at about one
/// time and the hash soon after them.
pub(crate) const LAST_SEGMENT: u64 = 16 << 20;

/// Less than this is not worth another connection.
pub(crate) const LEAST_PIECE: u64 = 4 << 20;

/// A piece that a connection has taken upon itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Claim {
    pub(crate) id: u64,
    pub(crate) range: ByteRange,
}

/// The open pieces of one file: sorted, not empty, not overlapping.
#[derive(Clone, Debug)]
pub(crate) struct Coverage {
    size: u64,
    pieces: Vec<Piece>,
    next_id: u64,
}

#[derive(Clone, Copy, Debug)]
struct Piece {
    at: u64,
    end: u64,
    holder: Option<u64>,
}

impl Coverage {
    pub(crate) fn new(size: u64, done: &RangeSet) -> Self {
        let open = |gap: ByteRange| Piece {
            at: gap.start,
            end: gap.end,
            holder: None,
        };
        Self {
            size,
            pieces: done.gaps(size).into_iter().map(open).collect(),
            next_id: 0,
        }
    }

    /// Forgets that anything has come. Claims made before are void.
    pub(crate) fn reset(&mut self) {
        let next_id = self.next_id;
        *self = Self::new(self.size, &RangeSet::new());
        self.next_id = next_id;
    }

    /// Claims up to `limit` bytes of the first piece that nobody fetches.
    pub(crate) fn claim(&mut self, limit: u64) -> Option<Claim> {
        let index = self.pieces.iter().position(|p| p.holder.is_none())?;
        Some(self.take(index, limit))
    }

    /// Returns how many bytes are neither there nor claimed.
    pub(crate) fn free(&self) -> u64 {
        let free = self.pieces.iter().filter(|piece| piece.holder.is_none());
        free.map(|piece| piece.end - piece.at).sum()
    }

    /// Returns what each of several connections should claim now, but no less
    /// than so much.
    pub(crate) fn segment(&self, connections: usize, least: u64) -> u64 {
        let share = self.free() / (2 * connections.max(1) as u64);
        share.next_multiple_of(STRIDE).clamp(least, SEGMENT)
    }

    /// Claims the first free piece behind a position, for a stream that only goes forward.
    pub(crate) fn claim_from(&mut self, position: u64) -> Option<Claim> {
        let index = self
            .pieces
            .iter()
            .position(|p| p.holder.is_none() && p.end > position)?;
        let piece = self.pieces[index];
        if piece.at < position {
            self.pieces[index].end = position;
            let rest = Piece {
                at: position,
                ..piece
            };
            self.pieces.insert(index + 1, rest);
            return Some(self.take(index + 1, u64::MAX));
        }
        Some(self.take(index, u64::MAX))
    }

    /// Takes over the far part of the largest piece that somebody else fetches.
    ///
    /// Of a long piece only the next segment stays with its holder, so that the
    /// file keeps arriving in order and the hash can follow; a short one is halved.
    pub(crate) fn steal(&mut self) -> Option<Claim> {
        let spare = |p: &Piece| p.end.saturating_sub(p.at + STRIDE);
        let index = (0..self.pieces.len())
            .filter(|&i| self.pieces[i].holder.is_some())
            .max_by_key(|&i| spare(&self.pieces[i]))?;
        let piece = self.pieces[index];
        if spare(&piece) < LEAST_PIECE {
            return None;
        }
        let kept_for_sure = piece.at + STRIDE;
        let cut = if spare(&piece) > 2 * SEGMENT {
            kept_for_sure.next_multiple_of(SEGMENT)
        } else {
            (kept_for_sure + spare(&piece) / 2).next_multiple_of(STRIDE)
        };
        let cut = cut.min(piece.end - 1);
        self.pieces[index].end = cut;
        let far = Piece {
            at: cut,
            end: piece.end,
            holder: None,
        };
        self.pieces.insert(index + 1, far);
        Some(self.take(index + 1, SEGMENT))
    }

    /// Notes that everything of a claim below `to` has come; returns where the
    /// claim ends now, or `None` if it is void.
    pub(crate) fn advance(&mut self, id: u64, to: u64) -> Option<u64> {
        let index = self.held(id)?;
        let piece = &mut self.pieces[index];
        debug_assert!(piece.at <= to && to <= piece.end);
        piece.at = to;
        let end = piece.end;
        if to >= end {
            self.pieces.remove(index);
        }
        Some(end)
    }

    /// Notes that a range has come that nobody claimed.
    pub(crate) fn insert(&mut self, range: ByteRange) {
        let mut left = Vec::with_capacity(self.pieces.len() + 1);
        for piece in &self.pieces {
            let is_apart = piece.end <= range.start || range.end <= piece.at;
            if is_apart || piece.holder.is_some() {
                left.push(*piece);
                continue;
            }
            let front = Piece {
                end: range.start,
                ..*piece
            };
            let back = Piece {
                at: range.end,
                ..*piece
            };
            left.extend(
                [front, back]
                    .into_iter()
                    .filter(|piece| piece.at < piece.end),
            );
        }
        self.pieces = left;
    }

    /// Gives back what is left of a claim.
    pub(crate) fn release(&mut self, id: u64) {
        let Some(mut index) = self.held(id) else {
            return;
        };
        self.pieces[index].holder = None;
        let joins =
            |a: &Piece, b: &Piece| a.holder.is_none() && b.holder.is_none() && a.end == b.at;
        if index > 0 && joins(&self.pieces[index - 1], &self.pieces[index]) {
            self.pieces[index - 1].end = self.pieces[index].end;
            self.pieces.remove(index);
            index -= 1;
        }
        if index + 1 < self.pieces.len() && joins(&self.pieces[index], &self.pieces[index + 1]) {
            self.pieces[index].end = self.pieces[index + 1].end;
            self.pieces.remove(index + 1);
        }
    }

    /// Returns up to where everything has come.
    pub(crate) fn front(&self) -> u64 {
        self.pieces.first().map_or(self.size, |piece| piece.at)
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.pieces.is_empty()
    }

    /// Returns what has come.
    pub(crate) fn done(&self) -> RangeSet {
        let mut done = RangeSet::new();
        let mut at = 0;
        for piece in &self.pieces {
            done.insert(ByteRange::new(at, piece.at));
            at = piece.end;
        }
        done.insert(ByteRange::new(at, self.size));
        done
    }

    fn held(&self, id: u64) -> Option<usize> {
        self.pieces.iter().position(|p| p.holder == Some(id))
    }

    fn take(&mut self, index: usize, limit: u64) -> Claim {
        let piece = self.pieces[index];
        let end = piece.at.saturating_add(limit).min(piece.end);
        if end < piece.end {
            let rest = Piece { at: end, ..piece };
            self.pieces.insert(index + 1, rest);
        }
        let id = self.next_id;
        self.next_id += 1;
        self.pieces[index] = Piece {
            at: piece.at,
            end,
            holder: Some(id),
        };
        Claim {
            id,
            range: ByteRange::new(piece.at, end),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn what_came_without_a_claim_is_no_longer_open() {
        let mut file = Coverage::new(100, &RangeSet::new());
        file.insert(ByteRange::new(0, 10));
        assert_eq!(file.front(), 10);
        file.insert(ByteRange::new(20, 30));
        file.insert(ByteRange::new(90, 100));
        let claim = file.claim(u64::MAX).unwrap();
        assert_eq!(claim.range, ByteRange::new(10, 20));
        // A claim is its holder's.
        file.insert(ByteRange::new(12, 50));
        assert_eq!(file.advance(claim.id, 20), Some(20));
        assert_eq!(file.front(), 50);
        file.insert(ByteRange::new(50, 90));
        assert!(file.is_complete());
    }

    #[test]
    fn one_connection_alone_takes_everything_in_one_piece() {
        let mut file = Coverage::new(4 << 30, &RangeSet::new());
        let claim = file.claim(u64::MAX).unwrap();
        assert_eq!(claim.range, ByteRange::new(0, 4 << 30));
        assert!(file.claim(u64::MAX).is_none());
    }

    #[test]
    fn a_second_connection_leaves_the_first_its_segment() {
        let mut file = Coverage::new(4 << 30, &RangeSet::new());
        let first = file.claim(u64::MAX).unwrap();
        file.advance(first.id, 10 * MIB).unwrap();
        let second = file.steal().unwrap();
        assert_eq!(second.range, ByteRange::new(SEGMENT, 2 * SEGMENT));
        assert_eq!(file.advance(first.id, 11 * MIB), Some(SEGMENT));
        assert_eq!(file.claim(SEGMENT).unwrap().range.start, 2 * SEGMENT);
    }

    #[test]
    fn a_tail_is_halved_until_it_is_not_worth_it() {
        let mut file = Coverage::new(16 * MIB, &RangeSet::new());
        file.claim(SEGMENT).unwrap();
        let mut thieves = 0;
        while file.steal().is_some() {
            thieves += 1;
        }
        assert!((2..8).contains(&thieves), "{thieves}");
    }

    #[test]
    fn a_claim_from_before_a_reset_is_void() {
        let mut file = Coverage::new(MIB, &RangeSet::new());
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
        /// A connection writes so much, and then reports or not.
        Write(usize, u64, bool),
        Release(usize),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let mib = |n: u64| n * MIB;
        let step = prop_oneof![
            prop_oneof![Just(SEGMENT), Just(u64::MAX), Just(5 * MIB)].prop_map(Step::Claim),
            (0u64..300).prop_map(mib).prop_map(Step::ClaimFrom),
            Just(Step::Steal),
            Just(Step::Steal),
            (0usize..8, 1u64..=STRIDE, any::<bool>()).prop_map(|(w, n, r)| Step::Write(w, n, r)),
            (0usize..8).prop_map(Step::Release),
        ];
        prop::collection::vec(step, 1..120)
    }

    /// What a connection believes: where it writes, what it reported, its end.
    struct Connection {
        id: u64,
        at: u64,
        reported: u64,
        end: u64,
    }

    proptest! {
        #[test]
        fn every_byte_is_written_exactly_once_whoever_steals_from_whom(
            size in 1u64..400 * MIB, steps in steps()
        ) {
            let mut file = Coverage::new(size, &RangeSet::new());
            let mut working: Vec<Connection> = Vec::new();
            // What was written and reported, and may never be written again.
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
                if let Some(Claim { id, range }) = claim {
                    prop_assert!(!range.is_empty());
                    working.push(Connection { id, at: range.start, reported: range.start, end: range.end });
                }
                // Nobody may ever write where another might.
                let mut reach: Vec<(u64, u64)> = working.iter()
                    .map(|c| (c.reported, (c.reported + STRIDE).min(c.end))).collect();
                reach.sort_unstable();
                prop_assert!(reach.windows(2).all(|pair| pair[0].1 <= pair[1].0));
                let sum: u64 = settled.iter().map(|range| range.len()).sum();
                prop_assert_eq!(sum, file.done().total());
                prop_assert_eq!(file.done(), settled.iter().copied().collect::<RangeSet>());
            }
            prop_assert_eq!(file.front(), size);
            let whole: RangeSet = settled.iter().copied().collect();
            prop_assert_eq!(whole.gaps(size), vec![]);
        }
    }
}
