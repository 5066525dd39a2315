//! Headers of weights that the real writers wrote, and what is left of them when bytes are
//! missing or wrong. `tests/clients/header_corpus.py` writes the files.

use std::fs;
use std::io::Cursor;
use std::path::Path;

use hfdl::domain::guard::{HeaderKind, check_header};
use proptest::prelude::*;

/// Returns each file with its name and format.
fn corpus() -> Vec<(String, HeaderKind, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/data/headers");
    let entries = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let read = |path: std::path::PathBuf| {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let kind = HeaderKind::of(&name.parse().unwrap()).unwrap();
        (name, kind, fs::read(&path).unwrap())
    };
    entries.map(read).collect()
}

fn judged(kind: HeaderKind, bytes: &[u8]) -> Result<(), String> {
    check_header(kind, Cursor::new(bytes), bytes.len() as u64)
}

#[test]
fn files_of_the_real_writers_fit_their_headers() {
    let corpus = corpus();
    assert!(corpus.len() >= 4, "{} files", corpus.len());
    for (name, kind, bytes) in corpus {
        assert_eq!(judged(kind, &bytes), Ok(()), "{name}");
    }
}

#[test]
fn no_beginning_of_a_file_fits_its_header() {
    for (name, kind, bytes) in corpus() {
        // The end of a GGUF file may be padding.
        let spared = if kind == HeaderKind::Gguf { 64 } else { 1 };
        for length in 0..=bytes.len() - spared {
            assert!(
                judged(kind, &bytes[..length]).is_err(),
                "{length} bytes of {name}"
            );
        }
    }
}

proptest! {
    #[test]
    fn wrong_bytes_end_with_a_reason(
        n in 0_usize..4, at in 0_usize..600, value: u64, length in 1_usize..=8,
    ) {
        let corpus = corpus();
        let (_, kind, mut bytes) = corpus[n % corpus.len()].clone();
        let at = at.min(bytes.len().saturating_sub(length));
        let length = length.min(bytes.len());
        bytes[at..at + length].copy_from_slice(&value.to_le_bytes()[..length]);
        if let Err(reason) = judged(kind, &bytes) {
            prop_assert!(!reason.is_empty() && reason.len() < 400, "{reason}");
            prop_assert!(!reason.contains(char::is_control), "{reason:?}");
        }
    }

    #[test]
    fn arbitrary_bytes_end(bytes in prop::collection::vec(any::<u8>(), 0..200), n in 0_u64..40) {
        let mut gguf = b"GGUF\x03\0\0\0".to_vec();
        gguf.extend(n.to_le_bytes());
        gguf.extend(&bytes);
        let _ = judged(HeaderKind::Gguf, &gguf);
        let mut tensors = n.to_le_bytes().to_vec();
        tensors.extend(&bytes);
        let _ = judged(HeaderKind::Safetensors, &tensors);
    }
}
