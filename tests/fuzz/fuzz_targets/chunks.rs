//! The chunk decoder: hostile xorbs, hostile LZ4 blocks, and honest chunks.

#![no_main]

use std::io::Write;

use hfdl::domain::xet::MAX_CHUNK;
use hfdl::xet::xorb::{ChunkHeader, HEADER_BYTES, Scheme, Unpacker};
use hfdl_fuzz::within;
use libfuzzer_sys::fuzz_target;

/// What a frame may have the LZ4 decoder take: a packed block, two unpacked
/// ones, each as long as LZ4 knows any, and our own buffers.
const MOST_MEMORY: usize = 3 * (4 << 20) + 12 * MAX_CHUNK;

fuzz_target!(|bytes: &[u8]| {
    read_to_the_end(bytes);
    unpack_block(bytes);
    pack_and_unpack(bytes);
});

/// Takes the bytes for a range of a xorb, as it comes over the line.
fn read_to_the_end(bytes: &[u8]) {
    let mut rest = bytes;
    let (mut unpacker, mut chunk) = (Unpacker::new(), Vec::new());
    while !rest.is_empty() {
        let before = rest;
        let read = within(MOST_MEMORY, || unpacker.read_chunk(&mut rest, &mut chunk));
        if read.is_err() {
            return;
        }
        let header = before.first_chunk().expect("a header was read");
        let header = ChunkHeader::parse(header).expect("it was taken");
        assert_eq!(before.len() - rest.len(), HEADER_BYTES + header.packed);
        assert!((1..=MAX_CHUNK).contains(&chunk.len()));
        assert_eq!(chunk.len(), header.unpacked);
        if header.scheme == Scheme::None {
            assert_eq!(chunk, before[HEADER_BYTES..HEADER_BYTES + header.packed]);
        }
    }
}

/// Puts the bytes into a frame that is sound by itself: mutations of a whole
/// one would hardly get past its checksum.
fn unpack_block(bytes: &[u8]) {
    let Some((&[length, more, kind], block)) = bytes.split_first_chunk() else {
        return;
    };
    let unpacked = usize::from(u16::from_le_bytes([length, more])) * 3;
    let mut frame = vec![0x04, 0x22, 0x4d, 0x18, 0x60, 0x40, 0x82];
    // The highest bit says that the block is stored as it is.
    let stored = u32::from(kind & 2 != 0) << 31;
    frame.extend((block.len() as u32 | stored).to_le_bytes());
    frame.extend(block);
    frame.extend([0; 4]);
    let scheme = if kind & 1 == 0 { 1 } else { 2 };
    read_to_the_end(&record(scheme, &frame, unpacked));
}

/// Whatever was packed must come back, in each of the three ways.
fn pack_and_unpack(bytes: &[u8]) {
    let bytes = &bytes[..bytes.len().min(MAX_CHUNK)];
    if bytes.is_empty() {
        return;
    }
    let grouped: Vec<u8> = (0..4)
        .flat_map(|k| bytes.iter().skip(k).step_by(4))
        .copied()
        .collect();
    let packed = [
        record(0, bytes, bytes.len()),
        record(1, &frame(bytes), bytes.len()),
        record(2, &frame(&grouped), bytes.len()),
    ];
    // All three as one run: what the unpacker keeps must not leak into the next.
    let packed = packed.concat();
    let (mut rest, mut chunk) = (packed.as_slice(), Vec::new());
    let mut unpacker = Unpacker::new();
    for _ in 0..3 {
        let read = unpacker.read_chunk(&mut rest, &mut chunk);
        read.expect("an honest chunk");
        assert_eq!(chunk, bytes);
    }
    assert!(rest.is_empty());
}

fn frame(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = lz4_flex::frame::FrameEncoder::new(Vec::new());
    encoder.write_all(bytes).expect("a vector takes all");
    encoder.finish().expect("a vector takes all")
}

fn record(scheme: u8, packed: &[u8], unpacked: usize) -> Vec<u8> {
    let mut bytes = vec![0];
    bytes.extend_from_slice(&(packed.len() as u32).to_le_bytes()[..3]);
    bytes.push(scheme);
    bytes.extend_from_slice(&(unpacked as u32).to_le_bytes()[..3]);
    bytes.extend_from_slice(packed);
    bytes
}
