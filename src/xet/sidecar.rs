//! The sidecar file: terms and chunk lengths of a file, stored for its next change.
//!
//! The terms come from the storage, the chunk lengths from the bytes. A few bytes per chunk
//! save a request and another read of the file. A scrub, which asks no storage, records the
//! chunk lengths alone. The sidecar contains the content id and the Xet
//! hash of its file, and ends in a checksum: a torn, altered or foreign sidecar is ignored.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::Path;

use crate::domain::content::ContentId;
use crate::domain::xet::{FileMap, Term, XetHash};
use crate::sys::{files, open};

const MAGIC: &[u8; 8] = b"hfdl-x1\n";
const CHECK_BYTES: usize = 16;

/// Size limit; a file of 2 TB has thirty million chunks.
const MAX_BYTES: u64 = 128 << 20;

/// Writes the sidecar of a content to a temporary file and renames it.
pub fn write(path: &Path, content: &ContentId, size_bytes: u64, map: &FileMap) -> io::Result<()> {
    let folder = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    fs::create_dir_all(folder)?;
    // Not synced: after a power cut its checksum may fail, and it is made again.
    files::write_unsynced(path, &render(content, size_bytes, map), folder)
}

/// Writes chunk lengths without terms, unless the sidecar has terms or the same lengths. It
/// creates no folder: files of other programs have no sidecars.
pub fn write_lengths(
    path: &Path,
    content: &ContentId,
    size_bytes: u64,
    new: &FileMap,
) -> io::Result<()> {
    let is_known = read(path, content, size_bytes)?
        .is_some_and(|known| !known.has_only_lengths() || known == *new);
    if is_known || !path.parent().is_some_and(Path::is_dir) {
        return Ok(());
    }
    write(path, content, size_bytes, new)
}

/// Reads the sidecar of a content; `None` if there is no valid one for this content.
pub fn read(path: &Path, content: &ContentId, size_bytes: u64) -> io::Result<Option<FileMap>> {
    match files::link_metadata_if_present(path)? {
        Some(found) if found.is_file() && found.len() <= MAX_BYTES => {}
        _ => return Ok(None),
    }
    let bytes = open::read_if_present(path)?;
    Ok(bytes.and_then(|bytes| parse(&bytes, content, size_bytes)))
}

pub fn render(content: &ContentId, size_bytes: u64, map: &FileMap) -> Vec<u8> {
    let mut bytes = header(content, size_bytes);
    bytes.extend_from_slice(map.hash.as_bytes());
    let mut places: HashMap<XetHash, u32> = HashMap::new();
    let mut xorbs = Vec::new();
    for term in &map.terms {
        places.entry(term.xorb).or_insert_with(|| {
            xorbs.push(term.xorb);
            xorbs.len() as u32 - 1
        });
    }
    let mut number = |value: u32| bytes.extend_from_slice(&value.to_le_bytes());
    number(xorbs.len() as u32);
    number(map.terms.len() as u32);
    number(
        map.chunk_lengths
            .as_ref()
            .map_or(0, |lengths| lengths.len() as u32),
    );
    for xorb in xorbs {
        bytes.extend_from_slice(xorb.as_bytes());
    }
    for term in &map.terms {
        for value in [places[&term.xorb], term.start, term.end, term.length] {
            bytes.extend_from_slice(&value.to_le_bytes());
        }
    }
    for length in map.chunk_lengths.iter().flatten() {
        bytes.extend_from_slice(&length.to_le_bytes()[..3]);
    }
    let check = blake3::hash(&bytes);
    bytes.extend_from_slice(&check.as_bytes()[..CHECK_BYTES]);
    bytes
}

pub fn parse(bytes: &[u8], content: &ContentId, size_bytes: u64) -> Option<FileMap> {
    let (body, check) = bytes.split_last_chunk::<CHECK_BYTES>()?;
    if blake3::hash(body).as_bytes()[..CHECK_BYTES] != *check {
        return None;
    }
    let mut rest = body.strip_prefix(header(content, size_bytes).as_slice())?;
    let hash = XetHash::from_bytes(*take(&mut rest)?);
    let n_xorbs = number(&mut rest)? as usize;
    let n_terms = number(&mut rest)? as usize;
    let n_chunks = number(&mut rest)? as usize;
    // Each entry takes bytes of the file, so no count can allocate more than the file's length.
    if n_xorbs
        .checked_mul(32)?
        .checked_add(n_terms.checked_mul(16)?)?
        > rest.len()
    {
        return None;
    }
    let mut xorbs = Vec::with_capacity(n_xorbs);
    for _ in 0..n_xorbs {
        xorbs.push(XetHash::from_bytes(*take(&mut rest)?));
    }
    let mut terms = Vec::with_capacity(n_terms);
    for _ in 0..n_terms {
        terms.push(Term {
            xorb: *xorbs.get(number(&mut rest)? as usize)?,
            start: number(&mut rest)?,
            end: number(&mut rest)?,
            length: number(&mut rest)?,
        });
    }
    if n_chunks.checked_mul(3)? != rest.len() {
        return None;
    }
    let lengths = rest.chunks_exact(3);
    let lengths = lengths.map(|l| u32::from_le_bytes([l[0], l[1], l[2], 0]));
    let map = FileMap {
        hash,
        terms,
        chunk_lengths: (n_chunks > 0).then(|| lengths.collect()),
    };
    let is_sound = map.is_sound(size_bytes) || map.is_sound_beginning(size_bytes);
    is_sound.then_some(map)
}

fn header(content: &ContentId, size_bytes: u64) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(format!("{content}\n").as_bytes());
    bytes.extend_from_slice(&size_bytes.to_le_bytes());
    bytes
}

fn take<'b, const N: usize>(rest: &mut &'b [u8]) -> Option<&'b [u8; N]> {
    let (first, others) = rest.split_first_chunk()?;
    *rest = others;
    Some(first)
}

fn number(rest: &mut &[u8]) -> Option<u32> {
    take(rest).map(|bytes| u32::from_le_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CONTENT: ContentId = ContentId::Sha256([7; 32]);

    fn map() -> FileMap {
        let term = |xorb, start, end, length| Term {
            xorb: XetHash::from_bytes([xorb; 32]),
            start,
            end,
            length,
        };
        FileMap {
            hash: XetHash::from_bytes([9; 32]),
            terms: vec![
                term(1, 0, 2, 70_000),
                term(2, 5, 6, 9000),
                term(1, 8, 9, 131_072),
            ],
            chunk_lengths: Some(vec![30_000, 40_000, 9000, 131_072]),
        }
    }

    const SIZE: u64 = 70_000 + 9000 + 131_072;

    #[test]
    fn a_sidecar_is_read_back_for_its_content_only() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deep/sidecar");
        assert_eq!(read(&path, &CONTENT, SIZE).unwrap(), None);
        let without_lengths = FileMap {
            chunk_lengths: None,
            ..map()
        };
        for map in [without_lengths, map()] {
            write(&path, &CONTENT, SIZE, &map).unwrap();
            assert_eq!(read(&path, &CONTENT, SIZE).unwrap(), Some(map));
        }
        assert_eq!(
            read(&path, &ContentId::Sha256([8; 32]), SIZE).unwrap(),
            None
        );
        assert_eq!(read(&path, &CONTENT, SIZE + 1).unwrap(), None);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn lengths_alone_are_written_unless_terms_are_known() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("folder/sidecar");
        let of_lengths = |lengths: &[u32]| FileMap::of_lengths(map().hash, lengths.to_vec());
        write_lengths(&path, &CONTENT, SIZE, &of_lengths(&[30_000])).unwrap();
        assert!(!path.parent().unwrap().exists(), "no folder is created");
        fs::create_dir(path.parent().unwrap()).unwrap();
        for lengths in [&[30_000][..], &[30_000, 40_000]] {
            write_lengths(&path, &CONTENT, SIZE, &of_lengths(lengths)).unwrap();
            let known = read(&path, &CONTENT, SIZE).unwrap();
            assert_eq!(known, Some(of_lengths(lengths)));
        }
        write(&path, &CONTENT, SIZE, &map()).unwrap();
        write_lengths(&path, &CONTENT, SIZE, &of_lengths(&[30_000])).unwrap();
        assert_eq!(read(&path, &CONTENT, SIZE).unwrap(), Some(map()));
        for wrong in [&[131_072, 131_072][..], &[131_073], &[0]] {
            let wrong = render(&CONTENT, SIZE, &of_lengths(wrong));
            assert_eq!(parse(&wrong, &CONTENT, SIZE), None);
        }
    }

    #[test]
    fn lengths_that_do_not_add_up_are_rejected_despite_a_valid_checksum() {
        let mut wrong = map();
        wrong.chunk_lengths = Some(vec![30_001, 40_000, 9000, 131_072]);
        assert_eq!(parse(&render(&CONTENT, SIZE, &wrong), &CONTENT, SIZE), None);
        let mut wrong = map();
        wrong.terms.pop();
        assert_eq!(parse(&render(&CONTENT, SIZE, &wrong), &CONTENT, SIZE), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_damaged_sidecar_is_rejected(
            flips in prop::collection::vec((any::<prop::sample::Index>(), 1u8..), 0..4),
            cut in any::<prop::sample::Index>(),
            resigned in any::<bool>(),
        ) {
            let whole = render(&CONTENT, SIZE, &map());
            let mut bytes = whole.clone();
            for (index, mask) in flips {
                let at = index.index(bytes.len());
                bytes[at] ^= mask;
            }
            bytes.truncate(cut.index(bytes.len() + 1));
            if resigned && bytes.len() > CHECK_BYTES {
                let end = bytes.len() - CHECK_BYTES;
                let check = blake3::hash(&bytes[..end]);
                bytes[end..].copy_from_slice(&check.as_bytes()[..CHECK_BYTES]);
            }
            match parse(&bytes, &CONTENT, SIZE) {
                Some(found) => {
                    prop_assert!(found.is_sound(SIZE) || found.is_sound_beginning(SIZE));
                }
                None => prop_assert_ne!(bytes, whole),
            }
        }
    }
}
