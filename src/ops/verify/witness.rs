//! What reading a file shows, and which of its witnesses is to be believed.
//!
//! The hash that names a content decides. Its Xet hash, where somebody says
//! which one it has, is a second witness for the same bytes:
//!
//! | content's hash | Xet hash, by the listing | then |
//! |---|---|---|
//! | wrong | whatever | the file is bad |
//! | SHA-256, right | wrong | the file is good: the listing contradicts itself |
//! | SHA-1, right | wrong | the file is bad: SHA-1 can be forged, this cannot |
//!
//! A sidecar's word never makes a file bad. It is our own note of what the
//! storage said, and a note can be damaged: one that contradicts bytes that are
//! right is thrown away, and made anew when it is needed.

use crate::domain::content::ContentId;
use crate::domain::xet::XetHash;

/// Who says which Xet hash a file has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Claims {
    pub listed: Option<XetHash>,
    pub sidecar: Note,
}

/// What stands in a file's sidecar.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Note {
    #[default]
    None,
    Hash(XetHash),
    /// It is torn or altered, or about another content.
    Unsound,
}

/// What a witness says about the bytes that were read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Word {
    #[default]
    Silent,
    Agrees,
    Differs,
}

/// What reading all bytes of a file showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finding {
    pub has_content: bool,
    listed: Word,
    sidecar: Word,
}

impl Claims {
    /// Tells whether the Xet hash is worth computing.
    pub fn is_any(&self) -> bool {
        self.listed.is_some() || matches!(self.sidecar, Note::Hash(_))
    }
}

impl Finding {
    /// Compares what was computed with what was claimed.
    pub fn new(has_content: bool, claims: &Claims, found: Option<XetHash>) -> Self {
        let word = |claim: XetHash| match found {
            Some(found) if found == claim => Word::Agrees,
            Some(_) => Word::Differs,
            None => Word::Silent,
        };
        Self {
            has_content,
            listed: claims.listed.map_or(Word::Silent, word),
            sidecar: match claims.sidecar {
                Note::None => Word::Silent,
                Note::Hash(hash) => word(hash),
                Note::Unsound => Word::Differs,
            },
        }
    }

    pub fn is_good(&self, content: &ContentId) -> bool {
        match content {
            ContentId::Sha256(_) => self.has_content,
            ContentId::GitSha1(_) => self.has_content && self.listed != Word::Differs,
        }
    }

    /// Tells whether the bytes are right and the sidecar is not.
    pub fn sidecar_lies(&self) -> bool {
        self.has_content && self.listed != Word::Differs && self.sidecar == Word::Differs
    }

    /// Tells whether the listing gives two hashes that no bytes have at once.
    pub fn listing_contradicts_itself(&self) -> bool {
        self.has_content && self.listed == Word::Differs
    }

    /// Returns what the Xet hash says; of a sidecar that lies it is nothing.
    pub fn xet(&self) -> Word {
        match self.listed {
            Word::Silent if self.sidecar_lies() => Word::Silent,
            Word::Silent => self.sidecar,
            word => word,
        }
    }

    /// Says what is wrong with a file that is not good.
    pub fn fault(&self) -> &'static str {
        match self.xet() {
            _ if self.has_content => "does not have the Xet hash that it should have",
            Word::Agrees => "does not hash to what it should, but has the Xet hash that it should",
            Word::Silent | Word::Differs => "does not hash to what it should",
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

    fn finding(has_content: bool, listed: Option<XetHash>, sidecar: Note) -> Finding {
        let claims = Claims { listed, sidecar };
        let found = claims.is_any().then_some(RIGHT);
        Finding::new(has_content, &claims, found)
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
                assert!(!bad.sidecar_lies(), "bad bytes convict nobody");
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
                assert_ne!(found.xet(), Word::Differs);
            }
        }
        // Then the listing is what is wrong, and the sidecar may say the same.
        assert!(!finding(true, Some(WRONG), Note::Hash(WRONG)).sidecar_lies());
    }

    #[test]
    fn what_nobody_claims_is_not_computed() {
        let claims = |listed, sidecar| Claims { listed, sidecar };
        assert!(!claims(None, Note::None).is_any());
        assert!(!claims(None, Note::Unsound).is_any());
        assert!(claims(Some(RIGHT), Note::None).is_any());
        assert!(claims(None, Note::Hash(RIGHT)).is_any());
        assert_eq!(finding(true, None, Note::None).xet(), Word::Silent);
        assert_eq!(finding(true, None, Note::Hash(RIGHT)).xet(), Word::Agrees);
        assert_eq!(finding(false, None, Note::Hash(WRONG)).xet(), Word::Differs);
    }
}
