//! Proofs: records that a file was read whole and its hash was right. A proof
//! holds while the file is unchanged.
//!
//! Where times have whole seconds, a change right after the verification may leave
//! the time as it was: such a proof does not hold, and the file is read again.

use std::time::Duration;

use super::content::ContentId;
use super::time::Timestamp;

/// Metadata that distinguishes two states of a file without reading it. Proofs are
/// private to one home and cost only a read when they are lost, so that the inode
/// counts here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProofStamp {
    pub size_bytes: u64,
    /// Modification time in nanoseconds since 1970.
    pub modified_ns: i64,
    /// `None` where a file has no inode, or another one after each mount.
    pub inode: Option<u64>,
}

const SECOND_NS: i64 = 1_000_000_000;

/// The longest unit of time in which a file system counts.
const COARSE_SECONDS: u32 = 2;

impl ProofStamp {
    fn modified_seconds(&self) -> i64 {
        self.modified_ns.div_euclid(SECOND_NS)
    }

    /// Reports whether the file system counts whole seconds.
    fn is_coarse(&self) -> bool {
        self.modified_ns % SECOND_NS == 0
    }

    /// Reports whether a later change could have left this stamp as it is.
    fn is_ambiguous_at(&self, verified_at: Timestamp) -> bool {
        self.is_coarse()
            && verified_at.as_second() < self.modified_seconds() + i64::from(COARSE_SECONDS)
    }

    /// Returns how far back a file's time must be set, so that every later change
    /// changes the stamp.
    pub fn needs_set_back(&self) -> Option<Duration> {
        self.is_coarse()
            .then_some(Duration::from_secs(COARSE_SECONDS.into()))
    }
}

/// Reports whether two times are of one modification, in nanoseconds since 1970. Some
/// file systems round the time down to one or two seconds some time after the write.
pub fn is_same_time(one: i128, other: i128) -> bool {
    const SECOND: i128 = SECOND_NS as i128;
    let cut =
        |long: i128, short: i128| short % SECOND == 0 && (0..2 * SECOND).contains(&(long - short));
    one == other || cut(one, other) || cut(other, one)
}

/// A record that a file was read whole and had the hash of a content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proof {
    pub content: ContentId,
    pub size_bytes: u64,
    /// `None` in records of versions that did not store it.
    pub modified_ns: Option<i64>,
    pub inode: Option<u64>,
    pub verified_at: Timestamp,
}

impl Proof {
    /// Reports whether a file is unchanged since it was verified.
    ///
    /// A record without a modification time holds for a file that was last
    /// modified before it was verified. A record dated after `now` proves
    /// nothing.
    pub fn holds_for(&self, content: &ContentId, found: &ProofStamp, now: Timestamp) -> bool {
        if self.content != *content || self.size_bytes != found.size_bytes || self.verified_at > now
        {
            return false;
        }
        match self.modified_ns {
            Some(modified_ns) => {
                is_same_time(modified_ns.into(), found.modified_ns.into())
                    && self.inode == found.inode
                    && !found.is_ambiguous_at(self.verified_at)
            }
            None => found.modified_seconds() <= self.verified_at.as_second(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(digit: u8) -> ContentId {
        ContentId::GitSha1([digit; 20])
    }

    #[test]
    fn a_proof_holds_until_anything_about_the_file_changes() {
        let now = Timestamp::from_second(1_000).unwrap();
        let found = ProofStamp {
            size_bytes: 10,
            modified_ns: 900_000_000_001,
            inode: Some(7),
        };
        let proof = Proof {
            content: content(1),
            size_bytes: 10,
            modified_ns: Some(found.modified_ns),
            inode: Some(7),
            verified_at: now,
        };
        assert!(proof.holds_for(&content(1), &found, now));
        assert!(!proof.holds_for(&content(2), &found, now));
        let other = |change: fn(&mut ProofStamp)| {
            let mut other = found;
            change(&mut other);
            proof.holds_for(&content(1), &other, now)
        };
        assert!(!other(|file| file.size_bytes += 1));
        assert!(!other(|file| file.modified_ns += 1));
        assert!(!other(|file| file.inode = Some(8)));
        let yesterday = Timestamp::from_second(999).unwrap();
        assert!(!proof.holds_for(&content(1), &found, yesterday));
    }

    #[test]
    fn a_coarse_time_proves_nothing_about_a_file_that_was_changed_just_before() {
        let now = Timestamp::from_second(2_000).unwrap();
        let proof = |modified_ns, verified_at| Proof {
            content: content(1),
            size_bytes: 10,
            modified_ns: Some(modified_ns),
            inode: None,
            verified_at: Timestamp::from_second(verified_at).unwrap(),
        };
        let found = |modified_ns| ProofStamp {
            size_bytes: 10,
            modified_ns,
            inode: None,
        };
        let holds =
            |proof: Proof, modified_ns| proof.holds_for(&content(1), &found(modified_ns), now);
        let (coarse, fine) = (1_000 * SECOND_NS, 1_000 * SECOND_NS + 1);
        assert!(!holds(proof(coarse, 1_000), coarse));
        assert!(!holds(proof(coarse, 1_001), coarse));
        assert!(holds(proof(coarse, 1_002), coarse));
        assert!(holds(proof(fine, 1_000), fine));
        // The file system has rounded the time down since.
        assert!(holds(proof(fine, 1_002), coarse));
        assert!(!holds(proof(fine, 1_001), coarse));
        assert!(!holds(proof(coarse, 1_005), coarse + 2 * SECOND_NS));
    }

    #[test]
    fn a_record_without_a_modification_time_holds_for_an_unchanged_file() {
        let proof = |verified_at| Proof {
            content: content(1),
            size_bytes: 10,
            modified_ns: None,
            inode: None,
            verified_at: Timestamp::from_second(verified_at).unwrap(),
        };
        let found = ProofStamp {
            size_bytes: 10,
            modified_ns: 900_999_999_999,
            inode: Some(7),
        };
        let now = Timestamp::from_second(1_000).unwrap();
        assert!(proof(900).holds_for(&content(1), &found, now));
        assert!(!proof(899).holds_for(&content(1), &found, now));
    }
}
