//! Proofs: records that a file was read whole and its hash was right. A proof
//! holds while the file is unchanged.

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
    /// `None` on platforms without inodes.
    pub inode: Option<u64>,
}

impl ProofStamp {
    fn modified_seconds(&self) -> i64 {
        self.modified_ns.div_euclid(1_000_000_000)
    }
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
            Some(modified_ns) => modified_ns == found.modified_ns && self.inode == found.inode,
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
