//! Hashes of chunks, xorbs and files in Xet storage.

use std::fmt::Write;

use crate::domain::xet::XetHash;

const CHUNK_KEY: [u8; 32] = [
    0x66, 0x97, 0xf5, 0x77, 0x5b, 0x95, 0x50, 0xde, 0x31, 0x35, 0xcb, 0xac, 0xa5, 0x97, 0x18, 0x1c,
    0x9d, 0xe4, 0x21, 0x10, 0x9b, 0xeb, 0x2b, 0x58, 0xb4, 0xd0, 0xb0, 0x4b, 0x93, 0xad, 0xf2, 0x29,
];

const NODE_KEY: [u8; 32] = [
    0x01, 0x7e, 0xc5, 0xc7, 0xa5, 0x47, 0x29, 0x96, 0xfd, 0x94, 0x66, 0x66, 0xb4, 0x8a, 0x02, 0xe6,
    0x5d, 0xdd, 0x53, 0x6f, 0x37, 0xc7, 0x6d, 0xd2, 0xf8, 0x63, 0x52, 0xe6, 0x4a, 0x53, 0x71, 0x3f,
];

const FILE_KEY: [u8; 32] = [0; 32];

/// Most children of a node.
const MAX_CHILDREN: usize = 9;

/// Returns the hasher for a chunk that arrives in blocks.
pub(super) fn chunk_hasher() -> blake3::Hasher {
    blake3::Hasher::new_keyed(&CHUNK_KEY)
}

/// Returns the hash of a file from the Merkle root of its chunks; an empty file has no root.
pub fn file_hash(root: Option<XetHash>) -> XetHash {
    match root {
        Some(root) => keyed(&FILE_KEY, root.as_bytes()),
        None => XetHash::ZERO,
    }
}

fn keyed(key: &[u8; 32], bytes: &[u8]) -> XetHash {
    XetHash::from_bytes(*blake3::keyed_hash(key, bytes).as_bytes())
}

/// The Merkle tree over chunks, built incrementally with a few nodes per level.
///
/// A group ends at a node with a matching hash, or at the maximum number of children. The last
/// group of a level ends with the list.
#[derive(Debug, Default)]
pub struct MerkleTree {
    levels: Vec<Level>,
    text: String,
}

#[derive(Debug, Default)]
struct Level {
    /// Nodes without a parent yet: hash and length.
    open: Vec<(XetHash, u64)>,
    n_nodes: u64,
}

impl MerkleTree {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn push(&mut self, hash: XetHash, length: u64) {
        self.push_at(0, hash, length);
    }

    fn push_at(&mut self, level: usize, hash: XetHash, length: u64) {
        if self.levels.len() == level {
            self.levels.push(Level::default());
        }
        let here = &mut self.levels[level];
        here.open.push((hash, length));
        here.n_nodes += 1;
        let n_open = here.open.len();
        if n_open == MAX_CHILDREN || n_open > 2 && hash.last_word().is_multiple_of(4) {
            self.close_group(level);
        }
    }

    fn close_group(&mut self, level: usize) {
        self.text.clear();
        let mut total = 0;
        for (hash, length) in self.levels[level].open.drain(..) {
            // Writing to a string cannot fail.
            let _ = writeln!(self.text, "{hash} : {length}");
            total += length;
        }
        let node = keyed(&NODE_KEY, self.text.as_bytes());
        self.push_at(level + 1, node, total);
    }

    /// Returns the root; `None` for an empty tree.
    pub fn root(mut self) -> Option<XetHash> {
        let mut level = 0;
        while level < self.levels.len() {
            let here = &self.levels[level];
            if here.n_nodes == 1 {
                return here.open.first().map(|(hash, _)| *hash);
            }
            if !here.open.is_empty() {
                self.close_group(level);
            }
            level += 1;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAVES: &[(&str, u64)] = &[
        (
            "cfc5d07f6f03c29bbf424132963fe08d19a37d5757aaf520bf08119f05cd56d6",
            100,
        ),
        (
            "c3e67584b5c4fc2a89837ec39e40f2c8a6bb0b2987ac94cd4b31e5fbdd210a72",
            200,
        ),
        (
            "0d2beb91b9196929a5ddec9f6e306924ddf4a24268e3e59fd8464738d525af37",
            300,
        ),
        (
            "adf8773496a9b7319b2e50dc98093f344053b17d8ad37100b9c07d9805988784",
            400,
        ),
        (
            "4ac202caf347fc1e9c874b1ef6a1c5e619141eb775a6f43f0f0124ccd0060d9e",
            500,
        ),
        (
            "b3b28636f65c149ea52eb1f94669466f70f033b54cea792824c696ba6ef3c389",
            600,
        ),
        (
            "0e2c1a002aae913d2c0fc8ddfa4e9e14b7b311b3b0d458726d5d9f6a6318013c",
            700,
        ),
    ];

    fn chunk_hash(bytes: &[u8]) -> XetHash {
        keyed(&CHUNK_KEY, bytes)
    }

    fn root(leaves: &[(&str, u64)]) -> Option<XetHash> {
        let mut tree = MerkleTree::new();
        for (hash, length) in leaves {
            tree.push(hash.parse().unwrap(), *length);
        }
        tree.root()
    }

    #[test]
    fn short_texts_have_their_published_hashes() {
        for (text, chunk, file) in [
            (
                "hello world",
                "4e39378b9d359f118190557a1f44130219a54e5fcfa07bd96cf50b466fe651b1",
                "f15edd43b7e85cfd25e2758ffe13b99fdd09dfa817e8d9f6548722a7a126db7f",
            ),
            (
                "Hello, World!",
                "45143e5337d3e15599eb0f1370a9ee88e5114a633b3dd960ee673dbc191bf089",
                "2028081f8fc86d0698acffb85c902a410549c3ffcc45a0b6ed666e1032d17157",
            ),
        ] {
            let hash = chunk_hash(text.as_bytes());
            assert_eq!(hash.to_string(), chunk);
            assert_eq!(file_hash(Some(hash)).to_string(), file);
        }
        assert_eq!(
            chunk_hash(b"").to_string(),
            "e0f2cf784e7e5f10c34f84af150e9a5ff9664216debad915364d741049870f67"
        );
        assert_eq!(
            chunk_hash(b"Hello World!").to_string(),
            "d8d408e608fb9ca213b9909a65d86d725f2de4d8d540324be8a363e7a6e228cb"
        );
        assert_eq!(file_hash(None), XetHash::ZERO);
    }

    #[test]
    fn trees_have_their_published_roots() {
        let two = [
            (
                "c28f58387a60d4aa200c311cda7c7f77f686614864f5869eadebf765d0a14a69",
                100,
            ),
            (
                "6e4e3263e073ce2c0e78cc770c361e2778db3b054b98ab65e277fc084fa70f22",
                200,
            ),
        ];
        assert_eq!(
            root(&two).unwrap().to_string(),
            "be64c7003ccd3cf4357364750e04c9592b3c36705dee76a71590c011766b6c14"
        );
        let zero = "0".repeat(64);
        let named = |names: &str| -> Vec<(&str, u64)> {
            let leaf = |name: u8| match name {
                b'z' => (zero.as_str(), 0),
                name => LEAVES[usize::from(name - b'a')],
            };
            names.bytes().map(leaf).collect()
        };
        for (names, expected_root, expected_file) in [
            (
                "a",
                LEAVES[0].0,
                "8e16257caa3fe079d484d872a8975264b2ff683b0d6db9028cc7c0f968a45661",
            ),
            (
                "abc",
                "71ec1275fca074724e2dd666921b3277c7cee603e4d025bcab2d4050015be2bc",
                "54e55dccc6653c612bdb5576c5d3cb34bb31bc4e100248abccf4c908b3ef7715",
            ),
            (
                "aaaa",
                "89f2ada89ff8c96763c6b25010e6dd76a4c05b1466207633ea559acf2093211b",
                "2cdba690d0e09563596e0cda626d43eb4c96ef1e994fe72d9b2f5a83cfcd36dd",
            ),
            (
                "ababcd",
                "52c826f99507aa05d0b45e9837fa1709e0485425cfbcb1e80db3905cf98b3ee9",
                "91d21684db364c8883ab8209fa5eb2e781cf07f37e1fa43e731c30839afe422f",
            ),
            (
                "zabcdefg",
                "f62abe77e3fb9c954fe52b0028027ddc90c064c45951a4fd2211d87e5c0011db",
                "d1b068be5bbdb38992269e8efe61f601881e39f7a7585fd76883cc6ea5c23b44",
            ),
        ] {
            let found = root(&named(names));
            assert_eq!(found.unwrap().to_string(), expected_root, "{names}");
            assert_eq!(file_hash(found).to_string(), expected_file, "{names}");
        }
        assert_eq!(root(&[]), None);
    }

    /// The tree by its written definition, over complete lists.
    fn root_of_lists(mut nodes: Vec<(XetHash, u64)>) -> Option<XetHash> {
        while nodes.len() > 1 {
            let mut above = Vec::new();
            let mut rest = nodes.as_slice();
            while !rest.is_empty() {
                let most = rest.len().min(MAX_CHILDREN);
                let size = if rest.len() <= 2 {
                    rest.len()
                } else {
                    let cut = (2..most).find(|&i| rest[i].0.last_word().is_multiple_of(4));
                    cut.map_or(most, |i| i + 1)
                };
                let (group, others) = rest.split_at(size);
                let lines: String = group.iter().map(|(h, l)| format!("{h} : {l}\n")).collect();
                let total = group.iter().map(|(_, l)| l).sum();
                above.push((keyed(&NODE_KEY, lines.as_bytes()), total));
                rest = others;
            }
            nodes = above;
        }
        nodes.first().map(|(hash, _)| *hash)
    }

    #[test]
    fn the_incremental_tree_is_the_tree_of_the_whole_list() {
        for n in 0..300u64 {
            let leaves: Vec<_> = (0..n)
                .map(|i| (chunk_hash(&(i * n).to_le_bytes()), i))
                .collect();
            let mut tree = MerkleTree::new();
            leaves
                .iter()
                .for_each(|(hash, length)| tree.push(*hash, *length));
            assert_eq!(tree.root(), root_of_lists(leaves), "{n} leaves");
        }
    }
}
