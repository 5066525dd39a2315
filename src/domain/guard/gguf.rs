//! The header of a GGUF file: counts, values with their keys, and the place of each
//! tensor within the data behind it.

use std::io::{BufReader, Read, Seek};

/// The most bytes that are read of a header. Lists of numbers are skipped; those of
/// words, such as a vocabulary, are some ten megabytes.
const MAX_READ_BYTES: u64 = 256 << 20;

/// The most bytes of a key or of the name of a tensor.
const MAX_NAME_BYTES: u64 = 65_535;

/// The most levels of arrays in arrays.
const MAX_DEPTH: u32 = 4;

/// The most dimensions of a tensor.
const MAX_DIMENSIONS: u32 = 8;

const STRING: u32 = 8;
const ARRAY: u32 = 9;
const UINT32: u32 = 4;

/// The numbers in a block, and the bytes of a block, for each type of tensor.
#[rustfmt::skip]
const TYPES: &[(u32, u64, u64)] = &[
    // F32, F16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0. No file has Q8_1, whose size has changed.
    (0, 1, 4), (1, 1, 2), (2, 32, 18), (3, 32, 20), (6, 32, 22), (7, 32, 24), (8, 32, 34),
    // Q2_K, Q3_K, Q4_K, Q5_K, Q6_K, Q8_K
    (10, 256, 84), (11, 256, 110), (12, 256, 144), (13, 256, 176), (14, 256, 210), (15, 256, 292),
    // IQ2_XXS, IQ2_XS, IQ3_XXS, IQ1_S, IQ4_NL, IQ3_S, IQ2_S, IQ4_XS
    (16, 256, 66), (17, 256, 74), (18, 256, 98), (19, 256, 50), (20, 32, 18), (21, 256, 110),
    (22, 256, 82), (23, 256, 136),
    // I8, I16, I32, I64, F64, IQ1_M, BF16
    (24, 1, 1), (25, 1, 2), (26, 1, 4), (27, 1, 8), (28, 1, 8), (29, 256, 56), (30, 1, 2),
    // TQ1_0, TQ2_0, MXFP4, NVFP4, Q1_0
    (34, 256, 54), (35, 256, 66), (39, 32, 17), (40, 64, 36), (41, 128, 18),
];

/// Checks that a header fits its file; the error is the reason why it does not.
pub(super) fn check(file: impl Read + Seek, size_bytes: u64) -> Result<(), String> {
    let mut header = Header {
        file: BufReader::new(file),
        at: 0,
        n_read: 0,
        size_bytes,
        is_big_endian: false,
    };
    if header.bytes::<4>()? != *b"GGUF" {
        return Err("it does not begin with `GGUF`".to_owned());
    }
    let version = header.u32()?;
    // A big-endian file has its version in that order, too.
    header.is_big_endian = version.swap_bytes() < version;
    let version = version.min(version.swap_bytes());
    if !(2..=3).contains(&version) {
        return Err(format!("its version is {version}, and 2 and 3 are known"));
    }
    let (n_tensors, n_values) = (header.u64()?, header.u64()?);
    // A value has a key, a type and a byte; a tensor a name and four numbers.
    header.has_room(n_values, 13, "values")?;
    header.has_room(n_tensors, 24, "tensors")?;
    let mut alignment = 32;
    for _ in 0..n_values {
        let key = header.name()?;
        let kind = header.u32()?;
        if key == b"general.alignment" && kind == UINT32 {
            alignment = u64::from(header.u32()?);
        } else {
            header.skip_values(kind, 1, 0)?;
        }
    }
    if !alignment.is_power_of_two() {
        return Err(format!("its alignment is {alignment}"));
    }
    let mut end = 0;
    for _ in 0..n_tensors {
        end = end.max(header.tensor(alignment)?);
    }
    if n_tensors == 0 {
        return Ok(());
    }
    let begin = header.at.next_multiple_of(alignment);
    match begin.checked_add(end) {
        Some(needed) if needed <= size_bytes => Ok(()),
        needed => Err(format!(
            "its tensors end at byte {}, and the file has {size_bytes}",
            needed.unwrap_or(u64::MAX)
        )),
    }
}

struct Header<R> {
    file: BufReader<R>,
    at: u64,
    n_read: u64,
    size_bytes: u64,
    is_big_endian: bool,
}

impl<R: Read + Seek> Header<R> {
    fn bytes<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let mut bytes = [0; N];
        self.claim(N as u64)?;
        self.file.read_exact(&mut bytes).map_err(unreadable)?;
        Ok(bytes)
    }

    /// Counts bytes that are read next.
    fn claim(&mut self, n: u64) -> Result<(), String> {
        self.n_read += n;
        if self.n_read > MAX_READ_BYTES {
            return Err(format!("its header has more than {MAX_READ_BYTES} bytes"));
        }
        self.advance(n)
    }

    fn advance(&mut self, n: u64) -> Result<(), String> {
        match self.at.checked_add(n) {
            Some(at) if at <= self.size_bytes => {
                self.at = at;
                Ok(())
            }
            _ => Err("its header does not end within the file".to_owned()),
        }
    }

    fn skip(&mut self, n: u64) -> Result<(), String> {
        self.advance(n)?;
        let n = i64::try_from(n).map_err(|_| "a list is too long")?;
        let skipped = self.file.seek_relative(n);
        skipped.map_err(unreadable)
    }

    fn u32(&mut self) -> Result<u32, String> {
        let bytes = self.bytes()?;
        Ok(if self.is_big_endian {
            u32::from_be_bytes(bytes)
        } else {
            u32::from_le_bytes(bytes)
        })
    }

    fn u64(&mut self) -> Result<u64, String> {
        let bytes = self.bytes()?;
        Ok(if self.is_big_endian {
            u64::from_be_bytes(bytes)
        } else {
            u64::from_le_bytes(bytes)
        })
    }

    fn name(&mut self) -> Result<Vec<u8>, String> {
        let length = self.u64()?;
        if length > MAX_NAME_BYTES {
            return Err(format!("a name has {length} bytes"));
        }
        self.claim(length)?;
        let mut name = vec![0; usize::try_from(length).unwrap_or_default()];
        self.file.read_exact(&mut name).map_err(unreadable)?;
        Ok(name)
    }

    /// Refuses a number of things that cannot fit into the rest of the file, each of at
    /// least `least` bytes.
    fn has_room(&self, n: u64, least: u64, noun: &str) -> Result<(), String> {
        if n.saturating_mul(least) > self.size_bytes - self.at {
            return Err(format!(
                "it has {n} {noun}, and {} bytes follow",
                self.size_bytes - self.at
            ));
        }
        Ok(())
    }

    fn skip_values(&mut self, kind: u32, n: u64, depth: u32) -> Result<(), String> {
        match kind {
            0 | 1 | 7 => self.skip(n),
            2 | 3 => self.skip(n.saturating_mul(2)),
            4..=6 => self.skip(n.saturating_mul(4)),
            10..=12 => self.skip(n.saturating_mul(8)),
            STRING => {
                self.has_room(n, 8, "texts")?;
                (0..n).try_for_each(|_| {
                    let length = self.u64()?;
                    self.skip(length)
                })
            }
            ARRAY if depth < MAX_DEPTH => {
                self.has_room(n, 12, "lists")?;
                (0..n).try_for_each(|_| {
                    let kind = self.u32()?;
                    let n = self.u64()?;
                    self.skip_values(kind, n, depth + 1)
                })
            }
            ARRAY => Err("its lists are nested too deep".to_owned()),
            _ => Err(format!("a value has the unknown type {kind}")),
        }
    }

    /// Returns the end of a tensor within the data.
    fn tensor(&mut self, alignment: u64) -> Result<u64, String> {
        let name = self.name()?;
        let label = || {
            let text: String = String::from_utf8_lossy(&name).chars().take(60).collect();
            text.escape_debug().to_string()
        };
        let n_dimensions = self.u32()?;
        if n_dimensions > MAX_DIMENSIONS {
            return Err(format!("`{}` has {n_dimensions} dimensions", label()));
        }
        let mut count = Some(1_u64);
        let mut row = 1;
        for dimension in 0..n_dimensions {
            let length = self.u64()?;
            count = count.and_then(|count| count.checked_mul(length));
            if dimension == 0 {
                row = length;
            }
        }
        let kind = self.u32()?;
        let offset = self.u64()?;
        if !offset.is_multiple_of(alignment) {
            return Err(format!("`{}` is not aligned: {offset}", label()));
        }
        let known = TYPES.iter().find(|(known, ..)| *known == kind);
        let Some((_, per_block, block_bytes)) = known else {
            // A type of the future has an unknown size.
            return Ok(offset);
        };
        if !row.is_multiple_of(*per_block) {
            return Err(format!("`{}` has rows of {row} numbers", label()));
        }
        let end = count
            .and_then(|count| (count / per_block).checked_mul(*block_bytes))
            .and_then(|bytes| offset.checked_add(bytes));
        end.ok_or_else(|| format!("`{}` is too large", label()))
    }
}

fn unreadable(error: std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::UnexpectedEof => "its header does not end within the file".to_owned(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    fn text(bytes: &mut Vec<u8>, text: &str) {
        bytes.extend((text.len() as u64).to_le_bytes());
        bytes.extend(text.bytes());
    }

    /// Returns a file with a list of words and one tensor of 64 numbers.
    fn valid() -> Vec<u8> {
        let mut bytes = b"GGUF".to_vec();
        bytes.extend(3_u32.to_le_bytes());
        bytes.extend(1_u64.to_le_bytes());
        bytes.extend(2_u64.to_le_bytes());
        text(&mut bytes, "general.alignment");
        bytes.extend(UINT32.to_le_bytes());
        bytes.extend(64_u32.to_le_bytes());
        text(&mut bytes, "words");
        bytes.extend(ARRAY.to_le_bytes());
        bytes.extend(STRING.to_le_bytes());
        bytes.extend(2_u64.to_le_bytes());
        text(&mut bytes, "a");
        text(&mut bytes, "");
        text(&mut bytes, "weight");
        bytes.extend(1_u32.to_le_bytes());
        bytes.extend(64_u64.to_le_bytes());
        bytes.extend(2_u32.to_le_bytes());
        bytes.extend(0_u64.to_le_bytes());
        bytes.resize(bytes.len().next_multiple_of(64) + 36, 0);
        bytes
    }

    fn judged(bytes: &[u8]) -> Result<(), String> {
        check(Cursor::new(bytes), bytes.len() as u64)
    }

    #[test]
    fn a_header_that_fits_passes_and_every_shorter_file_does_not() {
        let bytes = valid();
        assert_eq!(judged(&bytes), Ok(()));
        for length in 0..bytes.len() {
            assert!(judged(&bytes[..length]).is_err(), "{length} bytes");
        }
    }

    #[test]
    fn numbers_that_do_not_fit_are_told() {
        let with = |at: usize, value: &[u8]| {
            let mut bytes = valid();
            bytes[at..at + value.len()].copy_from_slice(value);
            judged(&bytes).unwrap_err()
        };
        assert!(with(0, b"GGML").contains("does not begin"));
        assert!(with(4, &9_u32.to_le_bytes()).contains("version is 9"));
        assert!(with(8, &u64::MAX.to_le_bytes()).contains("tensors"));
        assert!(with(16, &u64::MAX.to_le_bytes()).contains("values"));
        assert!(with(24, &u64::MAX.to_le_bytes()).contains("a name has"));
        let alignment = 24 + 8 + 17 + 4;
        assert!(with(alignment, &[0, 0, 0, 0]).contains("alignment is 0"));
        let kind = alignment + 4 + 8 + 5;
        assert!(with(kind, &99_u32.to_le_bytes()).contains("unknown type 99"));
        let n_words = kind + 8;
        assert!(with(n_words, &u64::MAX.to_le_bytes()).contains("texts"));
        let tensor = n_words + 8 + 9 + 8 + 8 + 6;
        assert!(with(tensor, &99_u32.to_le_bytes()).contains("99 dimensions"));
        assert!(with(tensor + 4, &63_u64.to_le_bytes()).contains("rows of 63"));
        assert!(with(tensor + 4, &6400_u64.to_le_bytes()).contains("the file has"));
        assert!(with(tensor + 16, &1_u64.to_le_bytes()).contains("not aligned"));
        assert!(with(tensor + 16, &(u64::MAX - 63).to_le_bytes()).contains("the file has"));
    }

    #[test]
    fn lists_in_lists_end_somewhere() {
        let mut bytes = b"GGUF".to_vec();
        bytes.extend(3_u32.to_le_bytes());
        bytes.extend(0_u64.to_le_bytes());
        bytes.extend(1_u64.to_le_bytes());
        text(&mut bytes, "deep");
        bytes.extend(ARRAY.to_le_bytes());
        for _ in 0..100_000 {
            bytes.extend(ARRAY.to_le_bytes());
            bytes.extend(1_u64.to_le_bytes());
        }
        assert!(judged(&bytes).unwrap_err().contains("nested"));
    }
}
