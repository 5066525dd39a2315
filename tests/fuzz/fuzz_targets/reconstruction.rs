//! What the storage says about a file, in both forms.

#![no_main]

use hfdl::domain::xet::{MAX_XORB_BYTES, MAX_XORB_CHUNKS, Term};
use hfdl::xet::{ApiVersion, Fetch, Reconstruction, parse_reconstruction};
use hfdl_fuzz::within;
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};

const FORMS: [ApiVersion; 2] = [ApiVersion::V1, ApiVersion::V2];

fuzz_target!(|bytes: &[u8]| {
    // A few bytes for each of the text, whatever it says.
    let most_memory = (4 << 10) + 16 * bytes.len();
    for form in FORMS {
        match within(most_memory, || parse_reconstruction(bytes, form)) {
            Ok(found) => {
                is_sound(&found);
                for form in FORMS {
                    let again = parse_reconstruction(render(&found, form).as_bytes(), form);
                    assert_eq!(again.as_ref(), Ok(&found), "{form:?}");
                }
            }
            // A diary is no place for what a stranger sent.
            Err(why) => assert!(why.len() < 200, "{why}"),
        }
    }
});

fn is_sound(found: &Reconstruction) {
    assert!(found.terms.iter().all(Term::is_sound));
    let total: u64 = found.terms.iter().map(|term| u64::from(term.length)).sum();
    assert_eq!(found.total(), total);
    assert!(found.offset <= total);
    let mut packed = 0;
    for fetch in found.fetches.values().flatten() {
        assert!(fetch.chunks.start < fetch.chunks.end);
        assert!(fetch.chunks.end <= MAX_XORB_CHUNKS);
        let most = MAX_XORB_BYTES + 16 * u64::from(MAX_XORB_CHUNKS);
        assert!((1..=most).contains(&fetch.n_bytes()));
        packed += fetch.n_bytes();
        // The signature is in the query, and nobody shall read that.
        let shown = format!("{fetch:?}");
        assert!(!shown.contains('?'), "{shown}");
    }
    assert_eq!(found.packed_bytes(), packed);
    for term in &found.terms {
        if let Some(fetch) = found.fetch_for(term) {
            assert!(found.fetches[&term.xorb].contains(fetch));
            assert!(fetch.chunks.start <= term.start && term.end <= fetch.chunks.end);
        }
    }
}

fn render(found: &Reconstruction, form: ApiVersion) -> String {
    let term = |term: &Term| {
        json!({
            "hash": term.xorb.to_string(),
            "unpacked_length": term.length,
            "range": {"start": term.start, "end": term.end},
        })
    };
    let fetch = |fetch: &Fetch| {
        let url = fetch.url.as_str();
        let chunks = json!({"start": fetch.chunks.start, "end": fetch.chunks.end});
        let bytes = json!({"start": fetch.first_byte, "end": fetch.last_byte});
        match form {
            ApiVersion::V1 => json!({"range": chunks, "url": url, "url_range": bytes}),
            ApiVersion::V2 => json!({"url": url, "ranges": [{"chunks": chunks, "bytes": bytes}]}),
        }
    };
    let fetches = found.fetches.iter().map(|(xorb, fetches)| {
        let fetches: Vec<Value> = fetches.iter().map(fetch).collect();
        (xorb.to_string(), Value::from(fetches))
    });
    let name = match form {
        ApiVersion::V1 => "fetch_info",
        ApiVersion::V2 => "xorbs",
    };
    let mut answer = json!({
        "offset_into_first_range": found.offset,
        "terms": found.terms.iter().map(term).collect::<Vec<Value>>(),
    });
    answer[name] = Value::Object(fetches.collect());
    answer.to_string()
}
