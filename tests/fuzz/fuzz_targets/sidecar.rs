//! What is kept beside a file about what it is made of.

#![no_main]

use hfdl::domain::content::ContentId;
use hfdl::domain::xet::{FileMap, Term, XetHash};
use hfdl::xet::sidecar::{parse, render};
use hfdl_fuzz::within;
use libfuzzer_sys::fuzz_target;

const CONTENT: ContentId = ContentId::Sha256([7; 32]);

/// The file's own hash, three counts, and a hash of all before it.
const WITHOUT_LISTS: usize = 32 + 12 + 16;

fuzz_target!(|bytes: &[u8]| {
    // Few are as they were written, and those that are not say nothing.
    assert_eq!(parse_within(bytes, 0), None);
    if let Some((size, body)) = bytes.split_first_chunk() {
        let size = u64::from(u32::from_le_bytes(*size));
        read_signed(body, size);
        write_and_read(body, size);
    }
});

fn parse_within(bytes: &[u8], size_bytes: u64) -> Option<FileMap> {
    within((4 << 10) + 8 * bytes.len(), || {
        parse(bytes, &CONTENT, size_bytes)
    })
}

/// Takes the bytes for what stands behind the head, and signs them.
fn read_signed(body: &[u8], size_bytes: u64) {
    let mut bytes = render(&CONTENT, size_bytes, &map(Vec::new(), None));
    bytes.truncate(bytes.len() - WITHOUT_LISTS);
    bytes.extend(body);
    let check = blake3::hash(&bytes);
    bytes.extend(&check.as_bytes()[..16]);
    let Some(found) = parse_within(&bytes, size_bytes) else {
        return;
    };
    assert!(found.is_sound(size_bytes));
    let lengths = found.chunk_lengths.as_ref();
    let n_chunks: u64 = found.terms.iter().map(|t| u64::from(t.n_chunks())).sum();
    assert!(lengths.is_none_or(|lengths| lengths.len() as u64 == n_chunks));
    let again = render(&CONTENT, size_bytes, &found);
    assert!(again.len() <= bytes.len(), "it grew");
    assert_eq!(parse(&again, &CONTENT, size_bytes), Some(found));
    assert_eq!(parse(&again, &CONTENT, size_bytes + 1), None);
    let other = ContentId::Sha256([8; 32]);
    assert_eq!(parse(&again, &other, size_bytes), None);
}

/// Makes a map of the bytes: it is read as it was written exactly when it is sound.
fn write_and_read(body: &[u8], size_bytes: u64) {
    let terms = body.chunks_exact(8).take(16).map(|b| Term {
        xorb: XetHash::from_bytes([b[0] % 4; 32]),
        start: u32::from(b[1]),
        end: u32::from(b[1]) + u32::from(b[2]) + u32::from(b[3] / 255),
        length: u32::from_le_bytes([b[4], b[5], b[6], 0]),
    });
    let terms: Vec<Term> = terms.collect();
    let total: u64 = terms.iter().map(|term| u64::from(term.length)).sum();
    // Chunks as long as a term's length allows: the last one takes the rest.
    let lengths = terms.iter().flat_map(|term| {
        let n = term.n_chunks();
        let each = term.length.checked_div(n).unwrap_or(0);
        (0..n).map(move |k| {
            if k + 1 < n {
                each
            } else {
                term.length - each * k
            }
        })
    });
    let lengths: Vec<u32> = lengths.collect();
    let is_empty = lengths.is_empty();
    for lengths in [None, Some(lengths)] {
        for size in [total, size_bytes] {
            let map = map(terms.clone(), lengths.clone().filter(|_| !is_empty));
            let found = parse(&render(&CONTENT, size, &map), &CONTENT, size);
            assert_eq!(found.is_some(), map.is_sound(size));
            assert!(found.is_none_or(|found| found == map));
        }
    }
}

fn map(terms: Vec<Term>, chunk_lengths: Option<Vec<u32>>) -> FileMap {
    FileMap {
        hash: XetHash::from_bytes([9; 32]),
        terms,
        chunk_lengths,
    }
}
