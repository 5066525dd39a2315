//! Decodes the chunks of a xorb: a header each, followed by packed bytes.
//!
//! Invalid input is an error, never a panic. No length in it can allocate more than the largest
//! LZ4 block, some megabytes.

use std::io::{self, Read};

use thiserror::Error;

use crate::domain::xet::MAX_CHUNK;

pub const HEADER_BYTES: usize = 8;

/// Start of an LZ4 frame. The legacy format is not part of Xet, and its blocks would take 16
/// MiB for a chunk of any length.
const FRAME: [u8; 4] = [0x04, 0x22, 0x4d, 0x18];

/// Maximum length of a packed chunk; incompressible chunks are stored unpacked.
const MAX_PACKED: usize = 2 * MAX_CHUNK;

/// The compression of a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    None,
    Lz4,
    /// LZ4 after grouping the bytes by position modulo four.
    GroupedLz4,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkHeader {
    pub packed: usize,
    pub scheme: Scheme,
    pub unpacked: usize,
}

/// The error for bytes that are not a valid chunk.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct BadChunk(String);

fn bad<T>(why: impl Into<String>) -> Result<T, BadChunk> {
    Err(BadChunk(why.into()))
}

impl ChunkHeader {
    pub fn parse(bytes: &[u8; HEADER_BYTES]) -> Result<Self, BadChunk> {
        let [version, p0, p1, p2, scheme, u0, u1, u2] = *bytes;
        if version != 0 {
            return bad(format!("a chunk has the unknown version {version}"));
        }
        let scheme = match scheme {
            0 => Scheme::None,
            1 => Scheme::Lz4,
            2 => Scheme::GroupedLz4,
            other => return bad(format!("a chunk has an unknown compression ({other})")),
        };
        let packed = u32::from_le_bytes([p0, p1, p2, 0]) as usize;
        let unpacked = u32::from_le_bytes([u0, u1, u2, 0]) as usize;
        let is_sound = (1..=MAX_CHUNK).contains(&unpacked)
            && (1..=MAX_PACKED).contains(&packed)
            && (scheme != Scheme::None || packed == unpacked);
        if !is_sound {
            return bad(format!("a chunk of {unpacked} bytes is packed in {packed}"));
        }
        Ok(Self {
            packed,
            scheme,
            unpacked,
        })
    }
}

/// Decodes chunks; its buffers are reused.
#[derive(Default)]
pub struct Unpacker {
    packed: Vec<u8>,
    grouped: Vec<u8>,
}

impl Unpacker {
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads one chunk and replaces the contents of `chunk` by its bytes.
    ///
    /// Errors of the reader are passed on. An invalid chunk is an error of kind `InvalidData` that
    /// contains a [`BadChunk`].
    pub fn read_chunk(&mut self, reader: &mut dyn Read, chunk: &mut Vec<u8>) -> io::Result<()> {
        let mut header = [0; HEADER_BYTES];
        reader.read_exact(&mut header)?;
        let header = ChunkHeader::parse(&header).map_err(invalid)?;
        self.packed.resize(header.packed, 0);
        reader.read_exact(&mut self.packed)?;
        let packed = std::mem::take(&mut self.packed);
        let unpacked = self.unpack(&header, &packed, chunk);
        self.packed = packed;
        unpacked.map_err(invalid)
    }

    /// Unpacks the bytes after a header.
    pub fn unpack(
        &mut self,
        header: &ChunkHeader,
        packed: &[u8],
        chunk: &mut Vec<u8>,
    ) -> Result<(), BadChunk> {
        if packed.len() != header.packed {
            return bad("a chunk is truncated");
        }
        chunk.clear();
        match header.scheme {
            Scheme::None => chunk.extend_from_slice(packed),
            Scheme::Lz4 => unpack_frame(packed, header.unpacked, chunk)?,
            Scheme::GroupedLz4 => {
                self.grouped.clear();
                unpack_frame(packed, header.unpacked, &mut self.grouped)?;
                ungroup(&self.grouped, chunk);
            }
        }
        Ok(())
    }
}

fn invalid(error: BadChunk) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

/// Unpacks a frame that must have exactly `unpacked` bytes.
fn unpack_frame(packed: &[u8], unpacked: usize, out: &mut Vec<u8>) -> Result<(), BadChunk> {
    if !packed.starts_with(&FRAME) {
        return bad("a chunk is not an LZ4 frame");
    }
    // One extra byte detects a frame that is too long.
    let mut reader = lz4_flex::frame::FrameDecoder::new(packed).take(unpacked as u64 + 1);
    match reader.read_to_end(out) {
        Ok(n) if n == unpacked => Ok(()),
        Ok(n) => bad(format!("a chunk of {unpacked} bytes unpacks to {n}")),
        Err(_) => bad("the LZ4 frame of a chunk is invalid"),
    }
}

/// Restores the byte order of grouped bytes: first the bytes at positions 0, 4, 8 …, then 1, 5,
/// 9 …, and so on.
fn ungroup(grouped: &[u8], out: &mut Vec<u8>) {
    let (whole, rest) = (grouped.len() / 4, grouped.len() % 4);
    let mut groups = [&grouped[..0]; 4];
    let mut left = grouped;
    for (index, group) in groups.iter_mut().enumerate() {
        let (own, others) = left.split_at(whole + usize::from(index < rest));
        (*group, left) = (own, others);
    }
    let [a, b, c, d] = groups;
    out.reserve(grouped.len());
    for (((a, b), c), d) in a.iter().zip(b).zip(c).zip(d) {
        out.extend_from_slice(&[*a, *b, *c, *d]);
    }
    out.extend(
        groups
            .iter()
            .take(rest)
            .filter_map(|group| group.get(whole)),
    );
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use proptest::prelude::*;

    use super::*;
    use crate::domain::content::parse_hex;

    fn read(bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut chunk = vec![9; 5];
        let mut rest = bytes;
        Unpacker::new().read_chunk(&mut rest, &mut chunk)?;
        assert!(rest.is_empty(), "{} bytes left", rest.len());
        Ok(chunk)
    }

    fn frame(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = lz4_flex::frame::FrameEncoder::new(Vec::new());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn record(scheme: u8, packed: &[u8], unpacked: usize) -> Vec<u8> {
        let mut bytes = vec![0];
        bytes.extend_from_slice(&(packed.len() as u32).to_le_bytes()[..3]);
        bytes.push(scheme);
        bytes.extend_from_slice(&(unpacked as u32).to_le_bytes()[..3]);
        bytes.extend_from_slice(packed);
        bytes
    }

    fn group(bytes: &[u8]) -> Vec<u8> {
        (0..4)
            .flat_map(|k| bytes.iter().skip(k).step_by(4))
            .copied()
            .collect()
    }

    #[test]
    fn the_published_chunks_unpack() {
        let stored: [u8; 21] = parse_hex("000d0000000d000048656c6c6f2c20576f726c6421").unwrap();
        assert_eq!(read(&stored).unwrap(), b"Hello, World!");
        let lz4: [u8; 35] =
            parse_hex("001b00000140000004224d186040820c0000001f610100266061616161616100000000")
                .unwrap();
        assert_eq!(read(&lz4).unwrap(), [b'a'; 64]);
        let grouped: [u8; 43] = parse_hex(
            "00230000022a000004224d18604082140000001f0001000215800100a03f3f3f3f3f3f3f3f3f3f00000000",
        )
        .unwrap();
        let mut expected = [0, 0, 0x80, 0x3f].repeat(10);
        expected.extend([0, 0]);
        assert_eq!(read(&grouped).unwrap(), expected);
    }

    #[test]
    fn grouping_is_reversed_for_every_length() {
        for n in 0..50u8 {
            let bytes: Vec<u8> = (0..n).collect();
            let mut out = Vec::new();
            ungroup(&group(&bytes), &mut out);
            assert_eq!(out, bytes, "{n}");
        }
        assert_eq!(
            group(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]),
            [0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7]
        );
    }

    #[test]
    fn hostile_chunks_are_refused() {
        let zeros = frame(&vec![0; MAX_CHUNK + 1]);
        let good = frame(b"good");
        let mut other_version = record(0, b"x", 1);
        other_version[0] = 1;
        for bytes in [
            other_version,
            record(3, b"x", 1),
            record(0, b"xy", 1),
            record(0, b"", 0),
            record(1, &good, 3),
            record(1, &good, 5),
            record(1, &zeros, MAX_CHUNK),
            record(1, &zeros, MAX_CHUNK + 1),
            record(2, &good[..good.len() - 6], 4),
            record(1, b"no frame", 8),
            record(1, b"\x02\x21\x4c\x18\x05\0\0\0\x40good", 4),
            b"XETBLOB\x01".to_vec(),
        ] {
            let error = read(&bytes).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{bytes:?}");
        }
        let cut = read(&record(0, b"whole", 5)[..10]).unwrap_err();
        assert_eq!(cut.kind(), io::ErrorKind::UnexpectedEof);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn packed_chunks_unpack(
            bytes in prop::collection::vec(any::<u8>(), 1..5000),
            repeats in 1usize..20,
        ) {
            let bytes = bytes.repeat(repeats);
            prop_assert_eq!(read(&record(0, &bytes, bytes.len())).unwrap(), bytes.clone());
            prop_assert_eq!(read(&record(1, &frame(&bytes), bytes.len())).unwrap(), bytes.clone());
            let grouped = record(2, &frame(&group(&bytes)), bytes.len());
            prop_assert_eq!(read(&grouped).unwrap(), bytes);
        }

        /// A damaged chunk is an error or another chunk of the stated length.
        #[test]
        fn damaged_chunks_never_panic_and_never_grow(
            bytes in prop::collection::vec(0u8..4, 1..3000),
            scheme in 0u8..4,
            flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
            cut in any::<prop::sample::Index>(),
        ) {
            let packed = if scheme == 0 { bytes.clone() } else { frame(&bytes) };
            let mut damaged = record(scheme, &packed, bytes.len());
            for (index, byte) in flips {
                let at = index.index(damaged.len());
                damaged[at] = byte;
            }
            damaged.truncate(cut.index(damaged.len() + 1));
            let mut chunk = Vec::new();
            if Unpacker::new().read_chunk(&mut damaged.as_slice(), &mut chunk).is_ok() {
                prop_assert!(chunk.len() <= MAX_CHUNK);
                let named = u32::from_le_bytes([damaged[5], damaged[6], damaged[7], 0]);
                prop_assert_eq!(chunk.len(), named as usize);
            }
        }

        #[test]
        fn noise_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
            let _ = read_all(&bytes);
        }
    }

    fn read_all(mut bytes: &[u8]) -> io::Result<()> {
        let (mut unpacker, mut chunk) = (Unpacker::new(), Vec::new());
        while !bytes.is_empty() {
            unpacker.read_chunk(&mut bytes, &mut chunk)?;
        }
        Ok(())
    }
}
