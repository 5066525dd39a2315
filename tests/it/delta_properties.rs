//! Properties of a delta for all edits of a file: the file is rebuilt to the
//! byte, and little more than the changed chunks is fetched.

use std::collections::HashMap;

use crate::support::xet::noise;
use hfdl::domain::delta::{DeltaRules, known_lengths, plan_delta};
use hfdl::domain::xet::{FileMap, Term, XetHash};
use hfdl::xet::Chunker;
use proptest::prelude::*;

const RULES: DeltaRules = DeltaRules {
    merge_below: 64 << 10,
    least_copied: 1,
    least_part: u64::MAX,
};

/// Storage that keeps each chunk once, a xorb for each upload.
#[derive(Default)]
struct Storage {
    places: HashMap<XetHash, (XetHash, u32)>,
    n_xorbs: u8,
}

impl Storage {
    /// Takes a file in; returns what it is made of and which of its bytes were new.
    fn add(&mut self, bytes: &[u8]) -> (FileMap, u64) {
        self.n_xorbs += 1;
        let xorb = XetHash::from_bytes([self.n_xorbs; 32]);
        let (mut terms, mut lengths, mut n_new, mut new_bytes): (Vec<Term>, _, _, _) =
            (Vec::new(), Vec::new(), 0, 0);
        for (hash, length) in chunks(bytes) {
            let (xorb, chunk) = *self.places.entry(hash).or_insert_with(|| {
                n_new += 1;
                new_bytes += u64::from(length);
                (xorb, n_new - 1)
            });
            lengths.push(length);
            match terms.last_mut() {
                Some(last) if last.xorb == xorb && last.end == chunk => {
                    last.end += 1;
                    last.length += length;
                }
                _ => terms.push(Term {
                    xorb,
                    start: chunk,
                    end: chunk + 1,
                    length,
                }),
            }
        }
        let map = FileMap {
            hash: XetHash::ZERO,
            terms,
            chunk_lengths: Some(lengths),
        };
        assert!(map.is_sound(bytes.len() as u64));
        (map, new_bytes)
    }
}

fn chunks(bytes: &[u8]) -> Vec<(XetHash, u32)> {
    let mut found = Vec::new();
    let mut chunker = Chunker::new();
    chunker.update(bytes, &mut |hash, length| found.push((hash, length)));
    chunker.finish(&mut |hash, length| found.push((hash, length)));
    found
}

#[derive(Clone, Debug)]
enum Edit {
    Insert(usize),
    Delete(usize),
    Replace(usize),
    Append(usize),
    /// Takes a part out and puts it in elsewhere.
    Move(usize),
    /// Swaps the two sides of a place.
    Reorder,
}

fn edits() -> impl Strategy<Value = Vec<(Edit, prop::sample::Index, prop::sample::Index, u64)>> {
    let edit = prop_oneof![
        (1usize..200_000).prop_map(Edit::Insert),
        (1usize..200_000).prop_map(Edit::Delete),
        (1usize..200_000).prop_map(Edit::Replace),
        (1usize..300_000).prop_map(Edit::Append),
        (1usize..400_000).prop_map(Edit::Move),
        Just(Edit::Reorder),
    ];
    prop::collection::vec(
        (
            edit,
            any::<prop::sample::Index>(),
            any::<prop::sample::Index>(),
            any::<u64>(),
        ),
        0..5,
    )
}

fn apply(bytes: &mut Vec<u8>, edit: &Edit, at: usize, to: usize, seed: u64) {
    let end = |n: usize| bytes.len().min(at + n);
    match *edit {
        Edit::Insert(n) => drop(bytes.splice(at..at, noise(n, seed))),
        Edit::Delete(n) => drop(bytes.drain(at..end(n))),
        Edit::Replace(n) => {
            let end = end(n);
            bytes[at..end].copy_from_slice(&noise(end - at, seed));
        }
        Edit::Append(n) => bytes.extend(noise(n, seed)),
        Edit::Move(n) => {
            let part: Vec<u8> = bytes.drain(at..end(n)).collect();
            let to = to.min(bytes.len());
            bytes.splice(to..to, part);
        }
        Edit::Reorder => bytes.rotate_left(at),
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 48,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn the_rebuilt_file_is_the_new_one_and_fetched_is_what_changed(
        size in 0usize..1_500_000,
        seed in any::<u64>(),
        edits in edits(),
        other_size in 0usize..400_000,
        with_lengths in any::<bool>(),
    ) {
        let old = noise(size, seed);
        let mut new = old.clone();
        for (edit, at, to, seed) in &edits {
            let (at, to) = (at.index(new.len() + 1), to.index(new.len() + 1));
            apply(&mut new, edit, at, to, *seed);
        }
        // A second old file has the end of the new one.
        let other = new[new.len() - other_size.min(new.len())..].to_vec();
        let mut storage = Storage::default();
        let mut maps = vec![storage.add(&old).0, storage.add(&other).0];
        let (map, new_bytes) = storage.add(&new);
        if !with_lengths {
            maps.iter_mut().for_each(|map| map.chunk_lengths = None);
        }
        let Some(delta) = plan_delta(new.len() as u64, &map.terms, &maps, &RULES) else {
            prop_assert!(!with_lengths || new_bytes + 200_000 > new.len() as u64 / 2);
            return Ok(());
        };

        let mut rebuilt = vec![0; new.len()];
        let mut covered = delta.missing.clone();
        for copy in &delta.copies {
            let from = [&old, &other][copy.source];
            let (f, t, n) = (copy.from as usize, copy.to as usize, copy.length as usize);
            rebuilt[t..t + n].copy_from_slice(&from[f..f + n]);
            prop_assert!(!covered.contains(copy.to), "a byte has two origins");
            covered.insert(copy.target());
        }
        for range in delta.missing.ranges() {
            let (start, end) = (range.start as usize, range.end as usize);
            rebuilt[start..end].copy_from_slice(&new[start..end]);
        }
        prop_assert!(rebuilt == new);
        prop_assert_eq!(covered.total(), new.len() as u64);
        prop_assert_eq!(delta.copied_bytes() + delta.missing.total(), new.len() as u64);

        if with_lengths {
            // Gaps that were merged, one less than there are pieces of missing bytes.
            let merged = RULES.merge_below * new_bytes.div_ceil(8 << 10);
            prop_assert!(delta.missing.total() <= new_bytes + merged);
            let known = known_lengths(&map.terms, &maps);
            for (known, length) in known.iter().zip(map.chunk_lengths.unwrap_or_default()) {
                prop_assert!(known.is_none_or(|known| known == length));
            }
        }
    }
}
