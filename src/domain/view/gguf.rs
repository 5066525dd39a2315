//! Facts from the header of a GGUF file, for programs that keep them beside it.

/// The bytes at the begin of a file in which the header's first values lie.
pub const GGUF_PREFIX_BYTES: u64 = 64 << 10;

/// The values of a header; each is absent if the file has none near its begin.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GgufFacts {
    /// The value of `general.architecture`, such as `llama`.
    pub architecture: Option<String>,
    /// The value of `general.size_label`, such as `8B`.
    pub size_label: Option<String>,
}

impl GgufFacts {
    /// Reads the begin of a file; `None` if it is no GGUF file.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let mut rest = Bytes(bytes.strip_prefix(b"GGUF")?);
        let version = rest.u32()?;
        let mut facts = Self::default();
        // Version 1 has other lengths, and no program writes it any more.
        if !(2..=3).contains(&version) {
            return Some(facts);
        }
        let _n_tensors = rest.u64()?;
        let n_values = rest.u64()?;
        for _ in 0..n_values {
            // The prefix may end within a value: the facts so far are enough.
            let Some((key, kind)) = rest.string().zip(rest.u32()) else {
                break;
            };
            match (key.as_str(), kind) {
                ("general.architecture", STRING) => facts.architecture = rest.string(),
                ("general.size_label", STRING) => facts.size_label = rest.string(),
                _ => {
                    if rest.skip(kind).is_none() {
                        break;
                    }
                }
            }
        }
        Some(facts)
    }
}

const STRING: u32 = 8;
const ARRAY: u32 = 9;

struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn take(&mut self, n: u64) -> Option<&[u8]> {
        let (taken, rest) = self.0.split_at_checked(usize::try_from(n).ok()?)?;
        self.0 = rest;
        Some(taken)
    }

    fn u32(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(self.take(4)?.try_into().ok()?))
    }

    fn u64(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.take(8)?.try_into().ok()?))
    }

    fn string(&mut self) -> Option<String> {
        let length = self.u64()?;
        let bytes = self.take(length)?;
        Some(String::from_utf8_lossy(bytes).into_owned())
    }

    /// Skips a value of a type by its number in the format.
    fn skip(&mut self, kind: u32) -> Option<()> {
        match kind {
            STRING => self.string().map(drop),
            ARRAY => {
                let (kind, n) = (self.u32()?, self.u64()?);
                if kind == ARRAY {
                    return None;
                }
                (0..n).try_for_each(|_| self.skip(kind))
            }
            _ => self.take(size_of(kind)?).map(drop),
        }
    }
}

/// Returns the size of a number or truth value.
fn size_of(kind: u32) -> Option<u64> {
    match kind {
        0 | 1 | 7 => Some(1),
        2 | 3 => Some(2),
        4..=6 => Some(4),
        10..=12 => Some(8),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn string(text: &str) -> Vec<u8> {
        let mut bytes = (text.len() as u64).to_le_bytes().to_vec();
        bytes.extend(text.as_bytes());
        bytes
    }

    fn header(values: &[(&str, u32, Vec<u8>)]) -> Vec<u8> {
        let mut bytes = b"GGUF\x03\0\0\0".to_vec();
        bytes.extend(0u64.to_le_bytes());
        bytes.extend((values.len() as u64).to_le_bytes());
        for (key, kind, value) in values {
            bytes.extend(string(key));
            bytes.extend(kind.to_le_bytes());
            bytes.extend(value);
        }
        bytes
    }

    #[test]
    fn the_first_values_are_read_behind_others_and_up_to_a_cut() {
        let mut tokens = STRING.to_le_bytes().to_vec();
        tokens.extend(2u64.to_le_bytes());
        tokens.extend([string("a"), string("bc")].concat());
        let bytes = header(&[
            ("general.file_type", 4, 15u32.to_le_bytes().to_vec()),
            ("general.architecture", STRING, string("llama")),
            ("tokens", ARRAY, tokens),
            ("general.size_label", STRING, string("8B")),
        ]);
        let facts = GgufFacts::read(&bytes).unwrap();
        assert_eq!(facts.architecture.as_deref(), Some("llama"));
        assert_eq!(facts.size_label.as_deref(), Some("8B"));
        let cut = GgufFacts::read(&bytes[..bytes.len() - 8]).unwrap();
        assert_eq!(cut.architecture.as_deref(), Some("llama"));
        assert_eq!(cut.size_label, None);
    }

    #[test]
    fn other_files_are_no_gguf_and_wild_lengths_end_the_reading() {
        assert_eq!(GgufFacts::read(b"PK\x03\x04"), None);
        let wild = header(&[("general.architecture", STRING, vec![0xff; 8])]);
        assert_eq!(GgufFacts::read(&wild), Some(GgufFacts::default()));
    }
}
