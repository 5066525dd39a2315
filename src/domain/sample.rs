//! Samples: which files a bounded verification reads.

use super::time::Timestamp;
use super::units::ByteSize;

/// A file that could be verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// `None`: no verification is recorded.
    pub verified_at: Option<Timestamp>,
    pub size_bytes: u64,
}

/// Chooses files up to a number of bytes, those verified longest ago first, and
/// returns their indices in that order.
///
/// The choice ends at the first file that does not fit and does not skip to
/// smaller ones, so every file gets its turn. The first file is always taken; a
/// file larger than the limit would never be verified otherwise.
pub fn choose_sample(candidates: &[Candidate], most: ByteSize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..candidates.len()).collect();
    // `None` sorts first; the sort is stable, so equal entries keep their
    // order.
    order.sort_by_key(|&place| candidates[place].verified_at);
    let mut sum = 0u64;
    let fitting = order.iter().take_while(|&&place| {
        sum = sum.saturating_add(candidates[place].size_bytes);
        sum <= most.bytes()
    });
    let n_chosen = fitting.count().max(1).min(order.len());
    order.truncate(n_chosen);
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(verified_at: Option<i64>, size_bytes: u64) -> Candidate {
        Candidate {
            verified_at: verified_at.map(|at| Timestamp::from_second(at).unwrap()),
            size_bytes,
        }
    }

    #[test]
    fn files_verified_longest_ago_come_first_and_every_file_gets_its_turn() {
        let files = [
            candidate(Some(30), 10),
            candidate(Some(10), 10),
            candidate(None, 10),
            candidate(Some(20), 100),
            candidate(None, 0),
        ];
        let chosen = |most| choose_sample(&files, ByteSize(most));
        assert_eq!(chosen(20), [2, 4, 1]);
        assert_eq!(chosen(35), [2, 4, 1], "nothing overtakes the large one");
        assert_eq!(chosen(1000), [2, 4, 1, 3, 0]);
        assert_eq!(chosen(0), [2], "the first is always taken");
        assert_eq!(choose_sample(&[], ByteSize(9)), [0usize; 0]);
    }
}
