//! Chunks, their hashes and their packing, from the side of a writer to Xet storage.
//!
//! hfdl implements the same, and deliberately no code is shared: a test server with hfdl's own code
//! could not detect its errors.

use std::io::Write;

use super::content::Content;

pub(crate) type Hash = [u8; 32];

const CHUNK_KEY: Hash = [
    0x66, 0x97, 0xf5, 0x77, 0x5b, 0x95, 0x50, 0xde, 0x31, 0x35, 0xcb, 0xac, 0xa5, 0x97, 0x18, 0x1c,
    0x9d, 0xe4, 0x21, 0x10, 0x9b, 0xeb, 0x2b, 0x58, 0xb4, 0xd0, 0xb0, 0x4b, 0x93, 0xad, 0xf2, 0x29,
];
const NODE_KEY: Hash = [
    0x01, 0x7e, 0xc5, 0xc7, 0xa5, 0x47, 0x29, 0x96, 0xfd, 0x94, 0x66, 0x66, 0xb4, 0x8a, 0x02, 0xe6,
    0x5d, 0xdd, 0x53, 0x6f, 0x37, 0xc7, 0x6d, 0xd2, 0xf8, 0x63, 0x52, 0xe6, 0x4a, 0x53, 0x71, 0x3f,
];
const MIN_CHUNK: usize = 8 * 1024;
const MAX_CHUNK: usize = 128 * 1024;
const MASK: u64 = 0xffff_0000_0000_0000;

/// Renders a hash as four numbers of eight bytes each.
pub(crate) fn text(hash: &Hash) -> String {
    let words = hash.chunks_exact(8).map(|word| {
        let word: [u8; 8] = word.try_into().unwrap_or_default();
        format!("{:016x}", u64::from_le_bytes(word))
    });
    words.collect()
}

pub(crate) fn chunk_hash(bytes: &[u8]) -> Hash {
    *blake3::keyed_hash(&CHUNK_KEY, bytes).as_bytes()
}

/// Reads a content and calls `visit` with each of its chunks.
pub(crate) fn each_chunk(content: &Content, visit: &mut dyn FnMut(&[u8])) {
    let mut chunk: Vec<u8> = Vec::with_capacity(MAX_CHUNK);
    let mut gear = gearhash::Hasher::default();
    content.each_block(|mut block| {
        while !block.is_empty() {
            let most = block.len().min(MAX_CHUNK - chunk.len());
            // Cuts before the minimum are ignored, but every byte updates the rolling hash.
            let (taken, cut) = match gear.next_match(&block[..most], MASK) {
                Some(n) => (n, chunk.len() + n >= MIN_CHUNK),
                None => (most, chunk.len() + most == MAX_CHUNK),
            };
            chunk.extend_from_slice(&block[..taken]);
            block = &block[taken..];
            if cut {
                visit(&chunk);
                chunk.clear();
                gear.set_hash(0);
            }
        }
    });
    if !chunk.is_empty() {
        visit(&chunk);
    }
}

/// Returns the root of the Merkle tree over a list of hashes with lengths.
pub(crate) fn root(mut nodes: Vec<(Hash, u64)>) -> Option<Hash> {
    while nodes.len() > 1 {
        let mut above = Vec::new();
        let mut rest = nodes.as_slice();
        while !rest.is_empty() {
            let (group, others) = rest.split_at(group_size(rest));
            let lines: String = group
                .iter()
                .map(|(hash, length)| format!("{} : {length}\n", text(hash)))
                .collect();
            let node = *blake3::keyed_hash(&NODE_KEY, lines.as_bytes()).as_bytes();
            above.push((node, group.iter().map(|(_, length)| length).sum()));
            rest = others;
        }
        nodes = above;
    }
    nodes.first().map(|(hash, _)| *hash)
}

fn group_size(nodes: &[(Hash, u64)]) -> usize {
    let most = nodes.len().min(9);
    let ends_a_group = |index: &usize| nodes[*index].0[24].is_multiple_of(4);
    (2..most).find(ends_a_group).map_or(most, |index| index + 1)
}

/// Returns the hash of a file with these chunks.
pub(crate) fn file_hash(chunks: &[(Hash, u64)]) -> Hash {
    match root(chunks.to_vec()) {
        Some(root) => *blake3::keyed_hash(&[0; 32], &root).as_bytes(),
        None => [0; 32],
    }
}

/// Packs a chunk in its shortest form, with its header.
pub(crate) fn pack(chunk: &[u8]) -> Vec<u8> {
    let grouped: Vec<u8> = (0..4)
        .flat_map(|k| chunk.iter().skip(k).step_by(4).copied())
        .collect();
    let (scheme, packed) = [(1, frame(chunk)), (2, frame(&grouped))].into_iter().fold(
        (0, chunk.to_vec()),
        |best, other| {
            if other.1.len() < best.1.len() {
                other
            } else {
                best
            }
        },
    );
    let mut record = vec![0];
    record.extend_from_slice(&(packed.len() as u32).to_le_bytes()[..3]);
    record.push(scheme);
    record.extend_from_slice(&(chunk.len() as u32).to_le_bytes()[..3]);
    record.extend_from_slice(&packed);
    record
}

fn frame(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = lz4_flex::frame::FrameEncoder::new(Vec::new());
    // Writing to memory cannot fail; an incomplete frame would be too short to be chosen.
    let written = encoder.write_all(bytes);
    match (written, encoder.finish()) {
        (Ok(()), Ok(frame)) => frame,
        _ => bytes.to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known_as(bytes: Vec<u8>) -> (String, String) {
        let mut chunks = Vec::new();
        each_chunk(&Content::bytes(bytes), &mut |chunk| {
            chunks.push((chunk_hash(chunk), chunk.len() as u64));
        });
        let root = root(chunks.clone()).map(|root| text(&root));
        (root.unwrap_or_default(), text(&file_hash(&chunks)))
    }

    #[test]
    fn file_hashes_match_those_of_the_official_uploader() {
        for (bytes, root, file) in [
            (vec![], "", "0".repeat(64).as_str()),
            (
                b"x".to_vec(),
                "06ce6a7a21b7b0a1d5f78961c0121bad538b70f033b096dfa588f37bc0805276",
                "ee8f129a399d20f10cae506c65e70831a63945b2cf619d39bb4eae90736fd8d7",
            ),
            (
                b"abcdefgh".repeat(1024),
                "e73d87f65584b984bb31bd8504c82fa0a48bd8d14472c85d87d5a3edc007e374",
                "491acc840026650d63eafaa8d4097fbcac5b5eac1e40d3d71b15b93a6acd50ba",
            ),
            (
                vec![59; 1_000_000],
                "a6b5a7f0bb38b6fd5fb39031eb7564e18ea0e7a0b7bea87de54ed1db8bc85884",
                "53f845640fcd1c7440befff65bd93434c83a30c6559a705597d61f2ef64e2f88",
            ),
        ] {
            let found = known_as(bytes);
            assert_eq!((found.0.as_str(), found.1.as_str()), (root, file));
        }
    }

    #[test]
    fn a_chunk_is_packed_as_short_as_it_gets() {
        let packed_as = |chunk: &[u8]| pack(chunk)[4];
        assert_eq!(packed_as(b"Hello, World!"), 0);
        assert_eq!(packed_as(&[b'a'; 64]), 1);
        let floats: Vec<u8> = (0..4000u32)
            .flat_map(|n| (1.0 + (n * n % 977) as f32).to_le_bytes())
            .collect();
        assert_eq!(packed_as(&floats), 2);
    }
}
