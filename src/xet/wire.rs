//! The JSON of the storage's API: the reconstruction of a file.

use std::collections::HashMap;
use std::sync::Arc;

use serde::Deserialize;

use super::reconstruction::{Fetch, Reconstruction};
use crate::domain::xet::{MAX_XORB_BYTES, MAX_XORB_CHUNKS, Term, XetHash};
use crate::sys::http::Url;

/// Upper limit for any response; one term takes some hundred bytes of JSON.
const MAX_TERMS: usize = 1 << 20;
/// Maximum length of all chunks of a xorb with their headers.
const MAX_PACKED_BYTES: u64 = MAX_XORB_BYTES + 16 * MAX_XORB_CHUNKS as u64;

/// The two versions of the same response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApiVersion {
    V1,
    V2,
}

#[derive(Deserialize)]
struct ReconstructionV1 {
    #[serde(default)]
    offset_into_first_range: u64,
    terms: Vec<TermJson>,
    #[serde(default)]
    fetch_info: HashMap<String, Vec<FetchV1>>,
}

#[derive(Deserialize)]
struct ReconstructionV2 {
    #[serde(default)]
    offset_into_first_range: u64,
    terms: Vec<TermJson>,
    #[serde(default)]
    xorbs: HashMap<String, Vec<FetchV2>>,
}

#[derive(Deserialize)]
struct TermJson {
    hash: String,
    unpacked_length: u32,
    range: ChunkRange,
}

/// `end` is exclusive.
#[derive(Clone, Copy, Deserialize)]
struct ChunkRange {
    start: u32,
    end: u32,
}

/// `end` is inclusive.
#[derive(Clone, Copy, Deserialize)]
struct InclusiveBytes {
    start: u64,
    end: u64,
}

#[derive(Deserialize)]
struct FetchV1 {
    range: ChunkRange,
    url: String,
    url_range: InclusiveBytes,
}

#[derive(Deserialize)]
struct FetchV2 {
    url: String,
    ranges: Vec<FetchRange>,
}

#[derive(Deserialize)]
struct FetchRange {
    chunks: ChunkRange,
    bytes: InclusiveBytes,
}

/// Parses a response. The error describes the defect and repeats none of the response.
pub fn parse_reconstruction(json: &[u8], version: ApiVersion) -> Result<Reconstruction, String> {
    let (offset, terms, fetches) = match version {
        ApiVersion::V1 => {
            let response: ReconstructionV1 = parse(json)?;
            let mut fetches = HashMap::new();
            for (xorb, entries) in response.fetch_info {
                let own: &mut Vec<Fetch> = fetches.entry(hash(&xorb)?).or_default();
                for entry in entries {
                    own.push(fetch(&url(&entry.url)?, entry.range, entry.url_range)?);
                }
            }
            (response.offset_into_first_range, response.terms, fetches)
        }
        ApiVersion::V2 => {
            let response: ReconstructionV2 = parse(json)?;
            let mut fetches = HashMap::new();
            for (xorb, entries) in response.xorbs {
                let own: &mut Vec<Fetch> = fetches.entry(hash(&xorb)?).or_default();
                for entry in entries {
                    let url = url(&entry.url)?;
                    for range in entry.ranges {
                        own.push(fetch(&url, range.chunks, range.bytes)?);
                    }
                }
            }
            (response.offset_into_first_range, response.terms, fetches)
        }
    };
    if terms.len() > MAX_TERMS {
        return Err("it has too many terms".to_owned());
    }
    // Runs of a xorb have distinct chunks, because adjacent chunks version one run.
    let most_runs = MAX_XORB_CHUNKS as usize;
    if fetches.values().any(|runs| runs.len() > most_runs) {
        return Err("it has too many runs of one xorb".to_owned());
    }
    let terms: Vec<Term> = terms.into_iter().map(term).collect::<Result<_, _>>()?;
    let total: u64 = terms.iter().map(|term| u64::from(term.length)).sum();
    if offset > total {
        return Err("its offset is beyond its end".to_owned());
    }
    Ok(Reconstruction {
        offset,
        terms,
        fetches,
    })
}

fn parse<'j, T: Deserialize<'j>>(json: &'j [u8]) -> Result<T, String> {
    serde_json::from_slice(json)
        .map_err(|error| format!("line {}, column {}", error.line(), error.column()))
}

fn hash(text: &str) -> Result<XetHash, String> {
    text.parse()
        .map_err(|_| "the name of a xorb is not a hash".to_owned())
}

fn url(text: &str) -> Result<Arc<Url>, String> {
    // The error of the URL parser could repeat a signature.
    text.parse()
        .map(Arc::new)
        .map_err(|_| "the URL of a xorb is malformed".to_owned())
}

fn term(version: TermJson) -> Result<Term, String> {
    let term = Term {
        xorb: hash(&version.hash)?,
        start: version.range.start,
        end: version.range.end,
        length: version.unpacked_length,
    };
    if term.is_sound() {
        Ok(term)
    } else {
        Err(format!(
            "a term of {} bytes has chunks {} to {}",
            term.length, term.start, term.end
        ))
    }
}

fn fetch(url: &Arc<Url>, chunks: ChunkRange, bytes: InclusiveBytes) -> Result<Fetch, String> {
    let is_sound = chunks.start < chunks.end
        && chunks.end <= MAX_XORB_CHUNKS
        && bytes.start <= bytes.end
        && bytes.end < MAX_PACKED_BYTES;
    if !is_sound {
        return Err(format!(
            "chunks {} to {} are assigned to bytes {} to {} of a xorb",
            chunks.start, chunks.end, bytes.start, bytes.end
        ));
    }
    Ok(Fetch {
        url: Arc::clone(url),
        chunks: chunks.start..chunks.end,
        first_byte: bytes.start,
        last_byte: bytes.end,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn name(n: u8) -> String {
        XetHash::from_bytes([n; 32]).to_string()
    }

    fn v1() -> String {
        let (a, b) = (name(1), name(2));
        format!(
            r#"{{"offset_into_first_range":7,
              "terms":[{{"hash":"{a}","unpacked_length":263873,"range":{{"start":0,"end":4}}}},
                       {{"hash":"{b}","unpacked_length":90000,"range":{{"start":5,"end":6}}}}],
              "fetch_info":{{"{a}":[{{"range":{{"start":0,"end":4}},"url":"http://h/a?s","url_range":{{"start":0,"end":131071}}}}],
                             "{b}":[{{"range":{{"start":4,"end":8}},"url":"http://h/b","url_range":{{"start":9,"end":99}}}}]}}}}"#
        )
    }

    fn v2() -> String {
        let (a, b) = (name(1), name(2));
        format!(
            r#"{{"offset_into_first_range":7,
              "terms":[{{"hash":"{a}","unpacked_length":263873,"range":{{"start":0,"end":4}}}},
                       {{"hash":"{b}","unpacked_length":90000,"range":{{"start":5,"end":6}}}}],
              "xorbs":{{"{a}":[{{"url":"http://h/a?s","ranges":[{{"chunks":{{"start":0,"end":4}},"bytes":{{"start":0,"end":131071}}}}]}}],
                        "{b}":[{{"url":"http://h/b","ranges":[{{"chunks":{{"start":4,"end":8}},"bytes":{{"start":9,"end":99}}}}]}}]}}}}"#
        )
    }

    #[test]
    fn both_versions_parse_to_the_same_reconstruction() {
        let one = parse_reconstruction(v1().as_bytes(), ApiVersion::V1).unwrap();
        let two = parse_reconstruction(v2().as_bytes(), ApiVersion::V2).unwrap();
        assert_eq!(one, two);
        assert_eq!((one.offset, one.terms.len()), (7, 2));
        assert_eq!(one.total(), 353_873);
        let (fetch, term) = (one.fetch_for(&one.terms[1]).unwrap(), one.terms[1]);
        assert_eq!((fetch.chunks.clone(), fetch.n_bytes()), (4..8, 91));
        assert_eq!(term.chunks(), 5..6);
    }

    #[test]
    fn an_empty_file_has_empty_lists() {
        let json = br#"{"offset_into_first_range":0,"terms":[],"xorbs":{}}"#;
        let empty = parse_reconstruction(json, ApiVersion::V2).unwrap();
        assert_eq!((empty.total(), empty.terms.len()), (0, 0));
    }

    #[test]
    fn invalid_responses_are_refused() {
        for (from, to) in [
            ("\"start\":5,\"end\":6", "\"start\":6,\"end\":6"),
            ("\"start\":5,\"end\":6", "\"start\":8192,\"end\":8193"),
            ("263873", "3"),
            ("263873", "999999999"),
            ("263873", "-1"),
            ("263873", "99999999999"),
            ("\"end\":131071", "\"end\":99131071"),
            ("\"start\":9,\"end\":99", "\"start\":99,\"end\":9"),
            ("\"start\":4,\"end\":8", "\"start\":8,\"end\":8"),
            ("http://h/b", "ftp://h/b"),
            ("http://h/b", "/b"),
            (&name(2), "*"),
            ("range\":7", "range\":353874"),
            ("\"terms\"", "\"words\""),
        ] {
            for (json, version) in [(v1(), ApiVersion::V1), (v2(), ApiVersion::V2)] {
                let changed = json.replace(from, to);
                assert_ne!(changed, json, "{from} {version:?}");
                let found = parse_reconstruction(changed.as_bytes(), version);
                assert!(found.is_err(), "{version:?}: {from} to {to}");
            }
        }
    }

    #[test]
    fn a_xorb_has_no_more_runs_than_chunks() {
        let run = r#"{"chunks":{"start":0,"end":1},"bytes":{"start":0,"end":9}}"#;
        let with = |n| {
            let (name, runs) = (name(1), vec![run; n].join(","));
            let json = format!(
                r#"{{"terms":[],"xorbs":{{"{name}":[{{"url":"http://h/a","ranges":[{runs}]}}]}}}}"#
            );
            parse_reconstruction(json.as_bytes(), ApiVersion::V2)
        };
        assert!(with(8192).is_ok());
        assert!(with(8193).is_err());
    }

    #[test]
    fn errors_show_no_signature() {
        let json = v2().replace("http://h/a?s", "http://u:geheim@h/a?geheim");
        let why = parse_reconstruction(json.as_bytes(), ApiVersion::V2).unwrap_err();
        assert!(!why.contains("geheim"), "{why}");
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// A response that is accepted after any damage is still valid.
        #[test]
        fn accepted_responses_are_valid_after_any_damage(
            version in prop::sample::select(vec![ApiVersion::V1, ApiVersion::V2]),
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
            cut in any::<prop::sample::Index>(),
            whole in any::<bool>(),
        ) {
            let mut json = match version {
                ApiVersion::V1 => v1().into_bytes(),
                ApiVersion::V2 => v2().into_bytes(),
            };
            for (index, byte) in changes {
                let at = index.index(json.len());
                json[at] = byte;
            }
            if !whole {
                json.truncate(cut.index(json.len()));
            }
            if let Ok(found) = parse_reconstruction(&json, version) {
                prop_assert!(found.terms.iter().all(Term::is_sound));
                prop_assert!(found.offset <= found.total());
                for fetch in found.fetches.values().flatten() {
                    prop_assert!(fetch.chunks.start < fetch.chunks.end);
                    prop_assert!((1..=MAX_PACKED_BYTES).contains(&fetch.n_bytes()));
                }
            }
        }
    }
}
