//! Content-defined chunking, with the chunk hashes in the same pass.
//!
//! A rolling hash over the last 64 bytes sets the boundaries. It restarts at every boundary, so
//! the same content has the same boundaries anywhere in a file.

use super::chunked_file::ChunkedFile;
use super::hashes::{MerkleTree, chunk_hasher, file_hash};
use crate::domain::xet::{MAX_CHUNK, MIN_CHUNK, XetHash};

/// A boundary follows where these bits of the rolling hash are all zero.
const MASK: u64 = 0xffff_0000_0000_0000;

/// Number of bytes that determine the rolling hash.
const WINDOW: usize = 64;

/// Finds the boundaries of chunks, without their hashes.
#[derive(Default)]
struct Cutter {
    gear: gearhash::Hasher<'static>,
    /// Bytes of the current chunk.
    length: usize,
}

impl Cutter {
    /// Splits off the bytes of the current chunk; also returns its length if it ends there.
    fn take<'b>(&mut self, bytes: &'b [u8]) -> (&'b [u8], &'b [u8], Option<u32>) {
        let (n, is_cut) = self.next_cut(bytes);
        let (own, rest) = bytes.split_at(n);
        self.length += n;
        (own, rest, is_cut.then(|| self.end_chunk()))
    }

    fn end_chunk(&mut self) -> u32 {
        self.gear.set_hash(0);
        std::mem::take(&mut self.length) as u32
    }

    /// Returns how many of the bytes belong to the current chunk, and whether it ends there.
    ///
    /// No boundary lies before the minimum length, so the rolling hash skips the bytes that cannot
    /// influence it there.
    fn next_cut(&mut self, bytes: &[u8]) -> (usize, bool) {
        const FIRST_SEEN: usize = MIN_CHUNK - WINDOW;
        const LAST_WITHOUT_CUT: usize = MIN_CHUNK - 1;
        let mut n = FIRST_SEEN.saturating_sub(self.length).min(bytes.len());
        let warm_up = LAST_WITHOUT_CUT.saturating_sub(self.length + n);
        let warm_up = warm_up.min(bytes.len() - n);
        self.gear.update(&bytes[n..n + warm_up]);
        n += warm_up;
        let most = (MAX_CHUNK - self.length).min(bytes.len());
        if self.length + n < LAST_WITHOUT_CUT {
            return (n, false);
        }
        match self.gear.next_match(&bytes[n..most], MASK) {
            Some(matched) => (n + matched, true),
            None => (most, self.length + most == MAX_CHUNK),
        }
    }
}

/// Chunks bytes that arrive in blocks of any size.
pub struct Chunker {
    cutter: Cutter,
    hasher: blake3::Hasher,
}

impl Default for Chunker {
    fn default() -> Self {
        Self::new()
    }
}

impl Chunker {
    pub fn new() -> Self {
        Self {
            cutter: Cutter::default(),
            hasher: chunk_hasher(),
        }
    }

    /// Adds bytes; calls `on_chunk` with the hash and length of each chunk that ends in them.
    pub fn update(&mut self, mut bytes: &[u8], on_chunk: &mut dyn FnMut(XetHash, u32)) {
        while !bytes.is_empty() {
            let (own, rest, cut) = self.cutter.take(bytes);
            self.hasher.update(own);
            if let Some(length) = cut {
                on_chunk(self.take_hash(), length);
            }
            bytes = rest;
        }
    }

    /// Ends the last chunk of the file.
    pub fn finish(mut self, on_chunk: &mut dyn FnMut(XetHash, u32)) {
        if self.cutter.length > 0 {
            on_chunk(self.take_hash(), self.cutter.end_chunk());
        }
    }

    fn take_hash(&mut self) -> XetHash {
        let hash = XetHash::from_bytes(*self.hasher.finalize().as_bytes());
        self.hasher.reset();
        hash
    }
}

/// Finds the chunk lengths of a file whose bytes arrive in blocks.
#[derive(Default)]
pub struct ChunkLengths {
    cutter: Cutter,
    lengths: Vec<u32>,
}

impl ChunkLengths {
    /// Continues after chunks that are known; the next block begins at their end.
    pub fn after(lengths: Vec<u32>) -> Self {
        Self {
            cutter: Cutter::default(),
            lengths,
        }
    }

    pub fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let (_, rest, cut) = self.cutter.take(bytes);
            self.lengths.extend(cut);
            bytes = rest;
        }
    }

    /// Returns the lengths of the chunks that have ended.
    pub fn ended(&self) -> &[u32] {
        &self.lengths
    }

    /// Ends the last chunk of the file.
    pub fn finish(mut self) -> Vec<u32> {
        if self.cutter.length > 0 {
            self.lengths.push(self.cutter.end_chunk());
        }
        self.lengths
    }
}

/// Computes the Xet hash of a file whose bytes arrive in blocks.
#[derive(Default)]
pub struct FileHasher {
    chunker: Chunker,
    tree: MerkleTree,
    chunk_lengths: Vec<u32>,
}

impl FileHasher {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn update(&mut self, bytes: &[u8]) {
        self.chunker.update(bytes, &mut |hash, length| {
            self.tree.push(hash, u64::from(length));
            self.chunk_lengths.push(length);
        });
    }

    /// Returns the hash and the chunk lengths.
    pub fn finish(mut self) -> ChunkedFile {
        self.chunker.finish(&mut |hash, length| {
            self.tree.push(hash, u64::from(length));
            self.chunk_lengths.push(length);
        });
        ChunkedFile {
            hash: file_hash(self.tree.root()),
            chunk_lengths: self.chunk_lengths,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::noise::noise;
    use super::*;

    fn chunks(bytes: &[u8]) -> Vec<(XetHash, u32)> {
        let mut found = Vec::new();
        let mut chunker = Chunker::new();
        chunker.update(bytes, &mut |hash, length| found.push((hash, length)));
        chunker.finish(&mut |hash, length| found.push((hash, length)));
        found
    }

    fn root(chunks: &[(XetHash, u32)]) -> Option<XetHash> {
        let mut tree = MerkleTree::new();
        for (hash, length) in chunks {
            tree.push(*hash, u64::from(*length));
        }
        tree.root()
    }

    #[test]
    fn a_file_hashed_in_blocks_of_any_size_has_its_published_hash() {
        let bytes = noise(1_000_000, 0);
        for n in [1, 63, 8192, 1_000_000] {
            let mut hasher = FileHasher::new();
            bytes.chunks(n).for_each(|piece| hasher.update(piece));
            assert_eq!(
                hasher.finish().hash.to_string(),
                "3d17b2d7d64a0e011b6717a52d9a16bd2c3f05b743fa8adf52a7d75dafab6d89"
            );
        }
        assert_eq!(FileHasher::new().finish().hash, XetHash::ZERO);
    }

    #[test]
    fn noise_has_its_published_chunks() {
        assert_eq!(
            noise(10, 0),
            [0xaf, 0xcd, 0x1d, 0x7b, 0x39, 0xa8, 0x20, 0xe2, 0xf4, 0x65]
        );
        let found = chunks(&noise(1_000_000, 0));
        let expected = [
            (
                84493,
                "6eca1e7dadaf08cca5d82d318c800f07c2ddcec115a7e8627e5edd9605b94b8d",
            ),
            (
                49928,
                "624ea34d72a06e5d43a1b8dd10763f0d22f165992c397ed97563899b27fdd88a",
            ),
            (
                10432,
                "4411d2ec847c6e3f451a7451ff3933adb4f1c31587421b9f730b698a78313b47",
            ),
            (
                98465,
                "6342bde97433e29e0779ad33eb8040d986679040361b3cc3a06230fe60dd6c9b",
            ),
            (
                28475,
                "405253fcf15bba751adc4f507d3453273daff81ed4d8acd71c521aa1cbddc0b5",
            ),
            (
                64664,
                "4482374af7f8bebfdb5c5df0299f80128d6c58886ad7b218c562b1d74064e4cb",
            ),
            (
                131072,
                "80acc8d39c853b4b8a8c6ad7b63bf2ea68f62c2226b92f06349f92cc84d213cc",
            ),
            (
                27052,
                "a7076d7d343f711fb20fe6cd023248d8d051e8fe7d44172596cd5c7ea7edaf65",
            ),
            (
                87419,
                "44755217bbb4dadc81ea7695765230a34a2e6cb3b55f373f1de35aeba79ae92c",
            ),
            (
                14735,
                "001adc1d302d5f039278325dcbd5ec3b194f4794f1629d6f962f9f4bb78a7bff",
            ),
            (
                20080,
                "f8460a337c186f07c2e225bb287a1d3d3d686dc69d0828e99640f7d8852c5b90",
            ),
            (
                36349,
                "c9bc3da29025dc1ba562d303d815151d9a937367abb766ae842a165e8493d9fe",
            ),
            (
                25038,
                "5044339dfd65e8163bdfe642614a6be604b04d6aeacf222cf219ad287bfc5cf1",
            ),
            (
                46308,
                "163622db0fe0da93f2ef964eed4c485f3c7a9c312f8e8e8a312ab4bb8141f13e",
            ),
            (
                91081,
                "e1730534a858aa0258ad8904ef12b829b8a123a1c611250275c9ca9471e4c650",
            ),
            (
                12169,
                "1fbc6854f9185caba1e1f55393f41f83b895b18f9c99245c029025ca48f1e14b",
            ),
            (
                131072,
                "8a27b66ccf05b864b6bef6fb5c970fe894f73d2330e8e98fe7841dcdbd9e9576",
            ),
            (
                32260,
                "bc70a33e7a9ec820cac24b87023469a57bdae1bf91cc3961b95806c64a525221",
            ),
            (
                8908,
                "03e5b5f5a088269ec4b329f1e04debfac4cb54b9c0facf038f7e8e0f054be7e2",
            ),
        ];
        let found_texts: Vec<_> = found.iter().map(|(h, n)| (*n, h.to_string())).collect();
        let expected: Vec<_> = expected
            .iter()
            .map(|(n, h)| (*n, (*h).to_owned()))
            .collect();
        assert_eq!(found_texts, expected);
        assert_eq!(
            file_hash(root(&found)).to_string(),
            "3d17b2d7d64a0e011b6717a52d9a16bd2c3f05b743fa8adf52a7d75dafab6d89"
        );
    }

    #[test]
    fn edge_cases_have_their_published_chunks() {
        type Case<'a> = (Vec<u8>, usize, &'a [u32], &'a str, &'a str);
        let cases: &[Case<'_>] = &[
            (
                vec![59; 1_000_000],
                8,
                &[131_072, 131_072],
                "a6b5a7f0bb38b6fd5fb39031eb7564e18ea0e7a0b7bea87de54ed1db8bc85884",
                "53f845640fcd1c7440befff65bd93434c83a30c6559a705597d61f2ef64e2f88",
            ),
            (
                vec![0; 300_000],
                3,
                &[131_072, 131_072, 37_856],
                "c2c391c2780688107997606ed6798520928296386f08a43bdf7e28cd1b06b37b",
                "3d7bd4178bc2851ba07d59c24c3a88ae0c7220e9920d6c5c6a06b01556d46404",
            ),
            (
                noise(16_777_216, 1),
                250,
                &[25_125, 79_372, 131_072, 94_636],
                "17660e173d6753437395464aebf8fea0ca127a4d0867e25c54ff7d2ce6ca8902",
                "aba260b17117d465008ab35f153ce92ee17256dd7991295ae092eb73c4303229",
            ),
            (
                noise(8192, 5),
                1,
                &[8192],
                "f66d2da8e0bafad4a3b83fccdceb4f4c20d86654be024ea4c0851d022459bf6c",
                "ee904b7d1cca80379533df879c344cd676f4e48e3bbf99ba1cab00df8070889e",
            ),
            (
                noise(8193, 5),
                1,
                &[8193],
                "fecab7eec331b7cb7e787324e40cffb61734f91e303a1e7ac5ab27fb0357c61b",
                "ca352b3919c747673285b3c72bf3638f5c608061eab8e55013e7b4a2e19a28e1",
            ),
            (
                noise(131_072, 6),
                3,
                &[32_172, 19_277, 79_623],
                "95c3141b99d6ace02575105427bd35e6195f3b0157a4b4dbd2951df5c3ec3cee",
                "e4748bfc017f4e9abebcceb69783f009ae9abf5221729ff25b2a6d4f96a1c1bd",
            ),
            (
                noise(131_073, 6),
                3,
                &[32_172, 19_277, 79_624],
                "d97a0c4a1c6abaa2fcbb5a87e7f201a5ffe4f4d18aa55779f912073688f40df3",
                "0b4ff7d14c762eaa550ce56defc35e010cc5412193932a0bfc2cea9c81238395",
            ),
            (
                noise(1, 7),
                1,
                &[1],
                "376d347ac7331c6d0a75fdb44ccf779f35a4d2026a0ec086b7e9b1d701b00aa6",
                "59f4ff5bcbe140e0cceea47dd1884f0759da89217ffa3b218085566d3cbf87d8",
            ),
            (
                b"x".to_vec(),
                1,
                &[1],
                "06ce6a7a21b7b0a1d5f78961c0121bad538b70f033b096dfa588f37bc0805276",
                "ee8f129a399d20f10cae506c65e70831a63945b2cf619d39bb4eae90736fd8d7",
            ),
            (
                b"abcdefgh".repeat(1024),
                1,
                &[8192],
                "e73d87f65584b984bb31bd8504c82fa0a48bd8d14472c85d87d5a3edc007e374",
                "491acc840026650d63eafaa8d4097fbcac5b5eac1e40d3d71b15b93a6acd50ba",
            ),
        ];
        for (bytes, n_chunks, first_lengths, expected_root, expected_file) in cases {
            let found = chunks(bytes);
            let lengths: Vec<u32> = found.iter().map(|(_, length)| *length).collect();
            assert_eq!(lengths.len(), *n_chunks, "{expected_root}");
            assert_eq!(&lengths[..first_lengths.len()], *first_lengths);
            let found = root(&found);
            assert_eq!(found.unwrap().to_string(), *expected_root);
            assert_eq!(file_hash(found).to_string(), *expected_file);
        }
    }

    #[test]
    fn sixty_four_mebibytes_have_their_published_hash() {
        let found = chunks(&noise(64 << 20, 2));
        assert_eq!(found.len(), 1058);
        assert_eq!(
            file_hash(root(&found)).to_string(),
            "741e8dd160682afd99f71baf3566e10bb32f4d4f1d06c767ee270ed5e2faef54"
        );
    }

    #[test]
    fn zeros_are_one_chunk_used_many_times() {
        let found = chunks(&vec![0; 5 << 20]);
        assert!(found.iter().all(|chunk| *chunk == found[0]));
        assert_eq!(
            found[0].0.to_string(),
            "2e39f13c248013b27e22913ba2893a654120ed0ad8eb7ecbf3f05b9d708634fc"
        );
        assert_eq!(
            file_hash(root(&found)).to_string(),
            "cb734480fbf82ac5292d8b0da056c30b4982ea4ef0f7d68b40c8369ea9fb3dde"
        );
    }

    /// The boundaries by the written rule, byte by byte.
    fn cuts_by_the_rule(bytes: &[u8]) -> Vec<u32> {
        let (mut cuts, mut hash, mut size) = (Vec::new(), 0u64, 0usize);
        for byte in bytes {
            hash = (hash << 1).wrapping_add(gearhash::DEFAULT_TABLE[usize::from(*byte)]);
            size += 1;
            if size >= MIN_CHUNK && hash & MASK == 0 || size == MAX_CHUNK {
                cuts.push(size as u32);
                (hash, size) = (0, 0);
            }
        }
        if size > 0 {
            cuts.push(size as u32);
        }
        cuts
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            cases: 24,
            failure_persistence: None,
            ..ProptestConfig::default()
        })]

        #[test]
        fn boundaries_follow_the_rule_for_blocks_of_any_size(
            seed in any::<u64>(),
            size in 0usize..700_000,
            few_values in any::<bool>(),
            pieces in prop::collection::vec(1usize..90_000, 1..20),
        ) {
            let mut bytes = noise(size, seed);
            if few_values {
                bytes.iter_mut().for_each(|byte| *byte &= 3);
            }
            let mut found = Vec::new();
            let mut chunker = Chunker::new();
            let mut rest = bytes.as_slice();
            for n in pieces.into_iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (piece, others) = rest.split_at(n.min(rest.len()));
                chunker.update(piece, &mut |_, length| found.push(length));
                rest = others;
            }
            chunker.finish(&mut |_, length| found.push(length));
            prop_assert_eq!(found, cuts_by_the_rule(&bytes));
        }
    }
}
