//! Content ids: the hash that identifies the bytes of a file.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// The identity of a file's content, as the Hub's tree names it.
///
/// LFS and Xet files are known by the SHA-256 of their bytes, ordinary git
/// files by their git blob id (SHA-1 of a header and the bytes).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ContentId {
    Sha256([u8; 32]),
    GitSha1([u8; 20]),
}

/// A text that is no content id.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{0}` is no content id (40 or 64 hexadecimal digits)")]
pub struct ContentIdError(String);

impl ContentId {
    /// Parses a normalised etag: 64 hexadecimal digits are a SHA-256, 40 a git blob id.
    pub fn from_etag(etag: &str) -> Result<Self, ContentIdError> {
        let error = || ContentIdError(etag.chars().take(80).collect());
        match etag.len() {
            64 => parse_hex(etag).map(Self::Sha256).ok_or_else(error),
            40 => parse_hex(etag).map(Self::GitSha1).ok_or_else(error),
            _ => Err(error()),
        }
    }

    /// Returns the bare lower-case digits: the blob's file name in the cache.
    pub fn etag(&self) -> String {
        match self {
            Self::Sha256(bytes) => render_hex(bytes),
            Self::GitSha1(bytes) => render_hex(bytes),
        }
    }
}

impl fmt::Display for ContentId {
    /// Writes the form kept in the database: `sha256:…` or `git:…`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sha256(_) => write!(f, "sha256:{}", self.etag()),
            Self::GitSha1(_) => write!(f, "git:{}", self.etag()),
        }
    }
}

impl fmt::Debug for ContentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for ContentId {
    type Err = ContentIdError;

    fn from_str(text: &str) -> Result<Self, ContentIdError> {
        let error = || ContentIdError(text.chars().take(80).collect());
        match text.split_once(':') {
            Some(("sha256", hex)) => parse_hex(hex).map(Self::Sha256).ok_or_else(error),
            Some(("git", hex)) => parse_hex(hex).map(Self::GitSha1).ok_or_else(error),
            _ => Err(error()),
        }
    }
}

/// Parses exactly `N` bytes of hexadecimal text of either case.
pub fn parse_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.as_bytes();
    if digits.len() != 2 * N {
        return None;
    }
    let nibble = |b: u8| (b as char).to_digit(16);
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = (nibble(pair[0])? * 16 + nibble(pair[1])?) as u8;
    }
    Some(bytes)
}

/// Renders bytes as lower-case hexadecimal text.
pub fn render_hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.push(DIGITS[usize::from(byte >> 4)] as char);
        text.push(DIGITS[usize::from(byte & 15)] as char);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_parse_back_from_their_text() {
        let sha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let git = "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391";
        for etag in [sha256, git] {
            let id = ContentId::from_etag(etag).unwrap();
            assert_eq!(id.etag(), etag);
            assert_eq!(id.to_string().parse::<ContentId>().unwrap(), id);
        }
    }

    #[test]
    fn a_masked_or_short_hash_is_no_content_id() {
        for bad in [
            "",
            &"*".repeat(64),
            "abc",
            &"g".repeat(40),
            "ä".repeat(20).as_str(),
        ] {
            assert!(ContentId::from_etag(bad).is_err(), "{bad}");
        }
    }
}
