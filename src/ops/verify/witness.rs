//! The two hashes of a file that was read, and the verdict about it.
//!
//! The hash that names the content decides. The Xet hash, if it is known, is a second
//! witness for the same bytes:
//!
//! | content's hash | Xet hash of the listing | verdict |
//! |---|---|---|
//! | wrong | any | the file is bad |
//! | SHA-256, right | wrong | the file is good: the listing contradicts itself |
//! | SHA-1, right | wrong | the file is bad: SHA-1 can be forged, this cannot |
//!
//! A sidecar never makes a file bad. It is hfdl's own copy of the storage's answer and
//! may be damaged itself: a sidecar that contradicts good bytes is removed, and written
//! again when it is needed.

use crate::domain::content::ContentId;
use crate::domain::xet::XetHash;

/// The known Xet hashes of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Claims {
    pub listed: Option<XetHash>,
    pub sidecar: Note,
}

/// The content of a sidecar.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Note {
    #[default]
    None,
    Hash(XetHash),
    /// Damaged, or about another content.
    Unsound,
}

/// The hashes of a file that was read whole, compared with the known ones; `None` where
/// no hash is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashFinding {
    pub has_content: bool,
    listed_agrees: Option<bool>,
    sidecar_agrees: Option<bool>,
}

impl Claims {
    /// Tells whether a Xet hash is known, so that it has to be computed.
    pub fn is_any(&self) -> bool {
        self.listed.is_some() || matches!(self.sidecar, Note::Hash(_))
    }
}

impl HashFinding {
    /// Compares the computed hashes with the known ones.
    pub fn new(has_content: bool, claims: &Claims, found: Option<XetHash>) -> Self {
        let agrees = |known: XetHash| found.map(|found| found == known);
        Self {
            has_content,
            listed_agrees: claims.listed.and_then(agrees),
            sidecar_agrees: match claims.sidecar {
                Note::None => None,
                Note::Hash(hash) => agrees(hash),
                Note::Unsound => Some(false),
            },
        }
    }

    pub fn is_good(&self, content: &ContentId) -> bool {
        match content {
            ContentId::Sha256(_) => self.has_content,
            ContentId::GitSha1(_) => self.has_content && self.listed_agrees != Some(false),
        }
    }

    /// Tells whether the bytes are right and the sidecar is wrong.
    pub fn sidecar_lies(&self) -> bool {
        self.has_content && self.listed_agrees != Some(false) && self.sidecar_agrees == Some(false)
    }

    /// Tells whether the two hashes of the listing contradict each other.
    pub fn listing_contradicts_itself(&self) -> bool {
        self.has_content && self.listed_agrees == Some(false)
    }

    /// Returns whether the bytes have the known Xet hash; a wrong sidecar counts as none.
    pub fn xet_agrees(&self) -> Option<bool> {
        let sidecar = self.sidecar_agrees.filter(|_| !self.sidecar_lies());
        self.listed_agrees.or(sidecar)
    }

    /// Returns the message for a bad file.
    pub fn fault(&self) -> &'static str {
        match self.xet_agrees() {
            _ if self.has_content => "does not have the Xet hash that it should have",
            Some(true) => "does not hash to what it should, but has the Xet hash that it should",
            _ => "does not hash to what it should",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHA256: ContentId = ContentId::Sha256([1; 32]);
    const SHA1: ContentId = ContentId::GitSha1([1; 20]);
    const RIGHT: XetHash = XetHash::from_bytes([2; 32]);
    const WRONG: XetHash = XetHash::from_bytes([3; 32]);

    fn finding(has_content: bool, listed: Option<XetHash>, sidecar: Note) -> HashFinding {
        let claims = Claims { listed, sidecar };
        let found = claims.is_any().then_some(RIGHT);
        HashFinding::new(has_content, &claims, found)
    }

    #[test]
    fn the_hash_that_names_the_content_decides() {
        for listed in [None, Some(RIGHT), Some(WRONG)] {
            for sidecar in [
                Note::None,
                Note::Unsound,
                Note::Hash(RIGHT),
                Note::Hash(WRONG),
            ] {
                assert!(finding(true, listed, sidecar).is_good(&SHA256));
                let bad = finding(false, listed, sidecar);
                assert!(!bad.is_good(&SHA256) && !bad.is_good(&SHA1));
                assert!(
                    !bad.sidecar_lies(),
                    "bad bytes prove nothing about a sidecar"
                );
            }
        }
    }

    #[test]
    fn only_where_no_sha_256_is_known_the_listed_xet_hash_makes_a_file_bad() {
        let found = finding(true, Some(WRONG), Note::None);
        assert!(!found.is_good(&SHA1));
        assert!(found.fault().contains("Xet hash"));
        assert!(found.listing_contradicts_itself());
        assert!(finding(true, Some(RIGHT), Note::None).is_good(&SHA1));
        assert!(finding(true, None, Note::Hash(WRONG)).is_good(&SHA1));
    }

    #[test]
    fn a_sidecar_lies_when_the_bytes_are_right_and_it_says_something_else() {
        for listed in [None, Some(RIGHT)] {
            for (sidecar, lies) in [
                (Note::None, false),
                (Note::Hash(RIGHT), false),
                (Note::Hash(WRONG), true),
                (Note::Unsound, true),
            ] {
                let found = finding(true, listed, sidecar);
                assert_eq!(found.sidecar_lies(), lies, "{listed:?} {sidecar:?}");
                assert_ne!(found.xet_agrees(), Some(false));
            }
        }
        // Then the listing is what is wrong, and the sidecar may say the same.
        assert!(!finding(true, Some(WRONG), Note::Hash(WRONG)).sidecar_lies());
    }

    #[test]
    fn without_a_known_xet_hash_none_is_computed() {
        let claims = |listed, sidecar| Claims { listed, sidecar };
        assert!(!claims(None, Note::None).is_any());
        assert!(!claims(None, Note::Unsound).is_any());
        assert!(claims(Some(RIGHT), Note::None).is_any());
        assert!(claims(None, Note::Hash(RIGHT)).is_any());
        let agrees = |has_content, sidecar| finding(has_content, None, sidecar).xet_agrees();
        assert_eq!(agrees(true, Note::None), None);
        assert_eq!(agrees(true, Note::Hash(RIGHT)), Some(true));
        assert_eq!(agrees(false, Note::Hash(WRONG)), Some(false));
    }
}
