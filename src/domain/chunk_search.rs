//! The search for positions of known chunks that no term gives.
//!
//! A term tells where a run of chunks begins and ends in the new file. Known chunks between
//! two unknown ones lie somewhere within it. A probe asks the storage for the
//! reconstruction of one byte, which tells the chunk at this byte and its start. Each
//! start splits a term in two, and [`plan_delta`](super::delta::plan_delta) finds more
//! chunks in shorter terms.
//!
//! This module chooses the bytes to probe: those that lie within a known run for certain,
//! and otherwise one near the middle of the term. A wrong answer cannot produce a wrong
//! file, as in [`super::delta`].

use super::chunk_index::ChunkIndex;
use super::xet::{FileMap, MAX_CHUNK, MIN_CHUNK, Term, XetHash};

/// A probe must be expected to save as many bytes: it is a request of half a kilobyte.
const LEAST_GAIN: u64 = 128 << 10;

/// The most probes for one file.
pub const MOST_PROBES: usize = 256;

/// The position of a chunk in the new file, as the answer to a probe gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkStart {
    pub xorb: XetHash,
    pub chunk: u32,
    pub offset: u64,
}

/// A byte of the new file to ask about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probe {
    pub offset: u64,
    /// The number of bytes that the answer saves on average.
    gain: u64,
}

/// The state of the search in one new file.
pub struct ChunkSearch {
    index: ChunkIndex,
    /// The terms of the new file in order, split at the starts that were found.
    parts: Vec<TermPart>,
    n_probes: usize,
}

struct TermPart {
    term: Term,
    offset: u64,
    /// More probes may be useful.
    is_open: bool,
}

/// Adjacent chunks of a term that are all known or all unknown.
#[derive(Clone, Copy)]
struct TermRun {
    n_chunks: u64,
    /// `None` for unknown chunks.
    length: Option<u64>,
}

/// The least and the greatest length of some runs.
#[derive(Clone, Copy, Default)]
struct LengthBounds {
    least: u64,
    most: u64,
}

impl ChunkSearch {
    pub fn new(new: &[Term], old: &[FileMap]) -> Self {
        let mut offset = 0;
        let parts = new.iter().map(|&term| {
            let part = TermPart {
                term,
                offset,
                is_open: true,
            };
            offset += u64::from(term.length);
            part
        });
        Self {
            parts: parts.collect(),
            index: ChunkIndex::new(old),
            n_probes: 0,
        }
    }

    /// Returns the next probes, which may be sent together; none when the search is over.
    pub fn next_probes(&mut self) -> Vec<Probe> {
        let mut probes = Vec::new();
        for part in self.parts.iter_mut().filter(|part| part.is_open) {
            let own = self.index.probes(part);
            part.is_open = !own.is_empty();
            probes.extend(own);
        }
        probes.sort_by_key(|probe| std::cmp::Reverse(probe.gain));
        probes.truncate(MOST_PROBES - self.n_probes);
        self.n_probes += probes.len();
        probes
    }

    /// Takes an answer; a part about which it tells nothing new is not probed again.
    pub fn learn(&mut self, found: &ChunkStart) {
        let after = self
            .parts
            .partition_point(|part| part.offset <= found.offset);
        let Some(part) = after.checked_sub(1).and_then(|at| self.parts.get_mut(at)) else {
            return;
        };
        part.is_open = false;
        if let Some((front, back)) = part.split(found) {
            part.term = front;
            part.is_open = true;
            let back = TermPart {
                term: back,
                offset: found.offset,
                is_open: true,
            };
            self.parts.insert(after, back);
        }
    }

    pub fn n_probes(&self) -> usize {
        self.n_probes
    }

    /// Returns the terms, split at the starts that were found.
    pub fn into_terms(self) -> Vec<Term> {
        self.parts.into_iter().map(|part| part.term).collect()
    }
}

impl TermPart {
    /// Splits the term before a chunk.
    fn split(&self, found: &ChunkStart) -> Option<(Term, Term)> {
        let Term {
            xorb, start, end, ..
        } = self.term;
        let front = u32::try_from(found.offset.checked_sub(self.offset)?).ok()?;
        let front = Term {
            end: found.chunk,
            length: front,
            ..self.term
        };
        let back = Term {
            start: found.chunk,
            length: self.term.length.checked_sub(front.length)?,
            ..self.term
        };
        let is_within = found.xorb == xorb && (start..end).contains(&found.chunk);
        (is_within && front.is_sound() && back.is_sound()).then_some((front, back))
    }
}

impl ChunkIndex {
    /// Returns useful probes of a part. Its known chunks at both ends have definite positions.
    fn probes(&self, part: &TermPart) -> Vec<Probe> {
        if self.has_term(&part.term) {
            return Vec::new();
        }
        let mut runs = self.runs(&part.term);
        let (mut offset, mut length) = (part.offset, u64::from(part.term.length));
        if let Some(front) = runs.first().and_then(|run| run.length) {
            runs.remove(0);
            offset += front;
            length = length.saturating_sub(front);
        }
        if let Some(back) = runs.last().and_then(|run| run.length) {
            runs.pop();
            length = length.saturating_sub(back);
        }
        if runs.len() < 3 {
            return Vec::new();
        }
        choose(&runs, length)
            .into_iter()
            .map(|probe| Probe {
                offset: offset + probe.offset,
                ..probe
            })
            .collect()
    }

    fn runs(&self, term: &Term) -> Vec<TermRun> {
        let mut runs: Vec<TermRun> = Vec::new();
        for chunk in term.chunks() {
            let length = self.length(&term.xorb, chunk).map(u64::from);
            match runs.last_mut() {
                Some(run) if run.length.is_some() == length.is_some() => {
                    run.n_chunks += 1;
                    run.length = run.length.zip(length).map(|(total, own)| total + own);
                }
                _ => runs.push(TermRun {
                    n_chunks: 1,
                    length,
                }),
            }
        }
        runs
    }
}

impl TermRun {
    fn bounds(&self) -> LengthBounds {
        LengthBounds {
            least: self.length.unwrap_or(self.n_chunks * MIN_CHUNK as u64),
            most: self.length.unwrap_or(self.n_chunks * MAX_CHUNK as u64),
        }
    }
}

impl LengthBounds {
    fn plus(self, other: Self) -> Self {
        Self {
            least: self.least + other.least,
            most: self.most + other.most,
        }
    }

    fn minus(self, other: Self) -> Self {
        Self {
            least: self.least - other.least,
            most: self.most - other.most,
        }
    }
}

/// Chooses probes for runs of a known total length that begin and end with unknown chunks.
///
/// Each known run that contains some byte for certain gets a probe. Of the others, the
/// middle one does: it divides the rest.
fn choose(runs: &[TermRun], total: u64) -> Vec<Probe> {
    let all = runs
        .iter()
        .map(TermRun::bounds)
        .fold(LengthBounds::default(), LengthBounds::plus);
    if !(all.least..=all.most).contains(&total) {
        return Vec::new();
    }
    let (mut certain, mut uncertain) = (Vec::new(), Vec::new());
    let mut before = LengthBounds::default();
    for run in runs {
        let own = run.bounds();
        if let Some(length) = run.length.filter(|length| *length >= LEAST_GAIN) {
            let after = all.minus(before).minus(own);
            let first = before.least.max(total.saturating_sub(length + after.most));
            let last = before.most.min(total.saturating_sub(length + after.least));
            // The run contains the bytes from its last possible start to its first possible end.
            let probe = Probe {
                offset: first.midpoint(last + length),
                gain: length,
            };
            if last < first + length {
                certain.push(probe);
            } else {
                uncertain.push(probe);
            }
        }
        before = before.plus(own);
    }
    let unclear: u64 = uncertain.iter().map(|probe| probe.gain).sum();
    let n_uncertain = uncertain.len() as u64;
    if let Some(middle) = uncertain.get(uncertain.len() / 2) {
        // The answer is within one of these runs as often as their share of the bytes.
        let gain = unclear / n_uncertain * unclear / total.max(1);
        if gain >= LEAST_GAIN {
            certain.push(Probe { gain, ..*middle });
        }
    }
    certain
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::delta::{Delta, DeltaRules, plan_delta};
    use crate::domain::ranges::ByteRange;

    const XORB: XetHash = XetHash::from_bytes([1; 32]);
    const KIB: u32 = 1 << 10;

    /// A new file that is one long term, and an old file that lacks some of its chunks.
    struct Case {
        lengths: Vec<u32>,
        is_known: Vec<bool>,
    }

    impl Case {
        /// Unknown chunks at these numbers; all chunks have 64 KiB.
        fn lacking(n_chunks: usize, unknown: &[usize]) -> Self {
            Self {
                lengths: vec![64 * KIB; n_chunks],
                is_known: (0..n_chunks).map(|n| !unknown.contains(&n)).collect(),
            }
        }

        fn new_terms(&self) -> [Term; 1] {
            [self.term(0, self.lengths.len())]
        }

        fn term(&self, start: usize, end: usize) -> Term {
            Term {
                xorb: XORB,
                start: start as u32,
                end: end as u32,
                length: self.lengths[start..end].iter().sum(),
            }
        }

        fn old(&self) -> Vec<FileMap> {
            let known = (0..self.lengths.len()).filter(|&n| self.is_known[n]);
            let terms = known.clone().map(|n| self.term(n, n + 1)).collect();
            vec![FileMap {
                hash: XetHash::ZERO,
                terms,
                chunk_lengths: Some(known.map(|n| self.lengths[n]).collect()),
            }]
        }

        fn unknown_bytes(&self) -> u64 {
            let unknown = self.lengths.iter().zip(&self.is_known);
            unknown
                .filter(|(_, is_known)| !**is_known)
                .map(|(length, _)| u64::from(*length))
                .sum()
        }

        /// Answers as the storage does.
        fn answer(&self, probe: &Probe) -> ChunkStart {
            let mut offset = 0;
            for (chunk, length) in (0..).zip(&self.lengths) {
                let end = offset + u64::from(*length);
                if probe.offset < end {
                    return ChunkStart {
                        xorb: XORB,
                        chunk,
                        offset,
                    };
                }
                offset = end;
            }
            panic!("{probe:?} is beyond the end");
        }

        /// Returns the number of probes and the terms at the end of a search.
        fn search(&self) -> (usize, Vec<Term>) {
            let mut search = ChunkSearch::new(&self.new_terms(), &self.old());
            loop {
                let probes = search.next_probes();
                if probes.is_empty() {
                    break;
                }
                for probe in probes {
                    search.learn(&self.answer(&probe));
                }
            }
            (search.n_probes(), search.into_terms())
        }

        fn plan(&self, terms: &[Term]) -> Delta {
            let rules = DeltaRules {
                merge_below: 0,
                least_copied: 0,
                least_part: u64::MAX,
            };
            let size = self.lengths.iter().map(|&length| u64::from(length)).sum();
            let delta = plan_delta(size, terms, &self.old(), &rules);
            delta.unwrap_or_else(|| Delta {
                copies: Vec::new(),
                missing: [ByteRange::new(0, size)].into_iter().collect(),
            })
        }
    }

    #[test]
    fn each_known_run_between_unknown_chunks_costs_one_probe() {
        let case = Case::lacking(1000, &[100, 101, 300, 500, 501, 900]);
        let before = case.plan(&case.new_terms());
        assert_eq!(before.missing.total(), 801 * 65_536);
        let (n_probes, terms) = case.search();
        assert_eq!(n_probes, 3);
        assert_eq!(case.plan(&terms).missing.total(), case.unknown_bytes());
    }

    #[test]
    fn what_the_terms_tell_already_and_what_saves_little_is_not_asked() {
        for unknown in [&[][..], &[500], &[0, 999], &[500, 502]] {
            let case = Case::lacking(1000, unknown);
            let found = case.search().0;
            let expected = usize::from(unknown == [0, 999]);
            assert_eq!(found, expected, "{unknown:?}");
        }
    }

    #[test]
    fn an_answer_that_tells_nothing_ends_the_search_in_its_part() {
        let case = Case::lacking(1000, &[100, 500, 900]);
        for wrong in [
            (XORB, 0, 0),
            (XetHash::ZERO, 200, 200 * 65_536),
            (XORB, 1000, 65_536_000),
            (XORB, 999, 5),
        ] {
            let mut search = ChunkSearch::new(&case.new_terms(), &case.old());
            assert_eq!(search.next_probes().len(), 2);
            let (xorb, chunk, offset) = wrong;
            search.learn(&ChunkStart {
                xorb,
                chunk,
                offset,
            });
            assert_eq!(search.next_probes(), [], "{wrong:?}");
            assert_eq!(search.into_terms(), case.new_terms());
        }
    }

    #[test]
    fn a_file_with_thousands_of_changes_gets_a_bounded_number_of_probes() {
        let unknown: Vec<usize> = (0..8000).step_by(8).collect();
        let (n_probes, terms) = Case::lacking(8000, &unknown).search();
        assert_eq!(n_probes, MOST_PROBES);
        assert!(terms.iter().all(Term::is_sound));
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            cases: 200,
            failure_persistence: None,
            ..ProptestConfig::default()
        })]

        #[test]
        fn all_long_runs_are_found_and_no_copy_is_wrong(
            lengths in prop::collection::vec(8 * KIB..=128 * KIB, 3..900),
            gaps in prop::collection::vec((any::<prop::sample::Index>(), 1usize..4), 0..12),
        ) {
            let mut is_known = vec![true; lengths.len()];
            for (at, n) in gaps {
                let start = at.index(lengths.len());
                let end = (start + n).min(lengths.len());
                is_known[start..end].fill(false);
            }
            let case = Case { lengths, is_known };
            let (n_probes, terms) = case.search();
            let delta = case.plan(&terms);
            let before = case.plan(&case.new_terms());
            prop_assert!(delta.missing.total() <= before.missing.total());
            // The old file has the known chunks in order, so no copy moves forward.
            let mut from = 0;
            for copy in &delta.copies {
                let skipped: u64 = copy.to - copy.from;
                let gap = case.unknown_before(copy.to);
                prop_assert_eq!(gap, Some(skipped), "{:?}", copy);
                prop_assert!(copy.from >= from);
                from = copy.from + copy.length;
            }
            let saved = before.missing.total() - delta.missing.total();
            prop_assert!(n_probes as u64 * LEAST_GAIN / 4 <= saved + 12 * LEAST_GAIN, "{n_probes}, {saved}");
        }
    }

    impl Case {
        /// Returns the number of unknown bytes before a known chunk that begins here.
        fn unknown_before(&self, offset: u64) -> Option<u64> {
            let (mut at, mut unknown) = (0, 0);
            for (&length, &is_known) in self.lengths.iter().zip(&self.is_known) {
                if at == offset {
                    return is_known.then_some(unknown);
                }
                at += u64::from(length);
                unknown += if is_known { 0 } else { u64::from(length) };
            }
            None
        }
    }
}
