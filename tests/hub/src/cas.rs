//! The third host: reconstruction data of Xet files, for callers with a Xet token.

use std::collections::BTreeMap;
use std::ops::Range;

use serde_json::{Value, json};

use super::http::{Incoming, RangeAsked, Reply};
use super::server::{Shared, lock};
use super::settings::Settings;
use super::store::{Store, Term};

pub(crate) fn answer(shared: &Shared, incoming: &Incoming, settings: &Settings) -> Reply {
    let Some(xet) = &settings.xet else {
        return Reply::text(404, "no storage");
    };
    let segments: Vec<&str> = incoming.raw_path().split('/').skip(1).collect();
    let [version, "reconstructions", hash] = segments.as_slice() else {
        return Reply::text(404, "unknown");
    };
    let is_second = match *version {
        "v1" => false,
        "v2" if xet.second_form => true,
        _ => return Reply::text(404, "unknown"),
    };
    if incoming.header("authorization") != Some(&format!("Bearer {}", xet.access_token)) {
        return Reply::text(401, "invalid token");
    }
    if hash.len() != 64 || !hash.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Reply::text(400, "malformed hash");
    }
    let store = lock(&shared.store);
    let Some(terms) = store.file(hash) else {
        return Reply::text(404, "unknown file");
    };
    let size: u64 = terms.iter().map(|term| length(&store, term)).sum();
    let asked = incoming.header("range").and_then(RangeAsked::parse);
    let (start, end) = match asked.map(|range| range.within(size)) {
        None => (0, size),
        Some(Some((start, length))) => (start, start + length),
        Some(None) => return Reply::text(416, "Range Not Satisfiable"),
    };
    let (offset, terms) = if xet.whole_terms {
        whole(&store, terms, start, end)
    } else {
        trimmed(&store, terms, start, end)
    };
    let listed: Vec<Value> = terms
        .iter()
        .map(|term| {
            json!({
                "hash": store.xorb(term.xorb).name,
                "unpacked_length": length(&store, term),
                "range": range(&term.chunks),
            })
        })
        .collect();
    let mut fetches = serde_json::Map::new();
    for (xorb, runs) in runs(&terms) {
        let xorb = store.xorb(xorb);
        let Some(content) = &xorb.content else {
            return Reply::text(500, "an upload is under way");
        };
        let bytes: Vec<(u64, u64)> = runs.iter().map(|run| xorb.bytes(run)).collect();
        let sign = |bytes: &[(u64, u64)]| {
            let target = shared.links.sign_xorb(&xorb.name, content, bytes, settings);
            format!("{}{target}", shared.cdn_origin())
        };
        let both = runs.iter().zip(&bytes);
        let entries: Vec<Value> = if is_second {
            let ranges: Vec<Value> = both
                .map(|(run, (first, last))| {
                    json!({"chunks": range(run), "bytes": {"start": first, "end": last}})
                })
                .collect();
            vec![json!({"url": sign(&bytes), "ranges": ranges})]
        } else {
            both.map(|(run, (first, last))| {
                json!({
                    "range": range(run),
                    "url": sign(&[(*first, *last)]),
                    "url_range": {"start": first, "end": last},
                })
            })
            .collect()
        };
        fetches.insert(xorb.name.clone(), Value::Array(entries));
    }
    let place = if is_second { "xorbs" } else { "fetch_info" };
    let body = json!({"offset_into_first_range": offset, "terms": listed, place: fetches});
    Reply::json(200, &body)
}

fn length(store: &Store, term: &Term) -> u64 {
    store.xorb(term.xorb).unpacked(&term.chunks)
}

fn range(chunks: &Range<u32>) -> Value {
    json!({"start": chunks.start, "end": chunks.end})
}

/// Cuts terms down to the chunks that contain bytes of a range; also returns the number of bytes in
/// the first chunk before the range.
fn trimmed(store: &Store, terms: &[Term], start: u64, end: u64) -> (u64, Vec<Term>) {
    let (mut at, mut offset) = (0, 0);
    let mut kept: Vec<Term> = Vec::new();
    for term in terms {
        let xorb = store.xorb(term.xorb);
        let mut own: Option<Range<u32>> = None;
        for chunk in term.chunks.clone() {
            let length = xorb.unpacked(&(chunk..chunk + 1));
            if at < end && at + length > start {
                if kept.is_empty() && own.is_none() {
                    offset = start - at;
                }
                own = Some(own.map_or(chunk, |own| own.start)..chunk + 1);
            }
            at += length;
        }
        kept.extend(own.map(|chunks| Term {
            xorb: term.xorb,
            chunks,
        }));
    }
    (offset, kept)
}

/// Returns the terms that contain bytes of a range, and the number of bytes before it.
fn whole(store: &Store, terms: &[Term], start: u64, end: u64) -> (u64, Vec<Term>) {
    let (mut at, mut offset) = (0, 0);
    let mut kept: Vec<Term> = Vec::new();
    for term in terms {
        let after = at + length(store, term);
        if at < end && after > start {
            if kept.is_empty() {
                offset = start - at;
            }
            kept.push(term.clone());
        }
        at = after;
    }
    (offset, kept)
}

/// Returns the runs of chunks that the terms need, by xorb; adjacent runs are merged.
fn runs(terms: &[Term]) -> BTreeMap<usize, Vec<Range<u32>>> {
    let mut runs: BTreeMap<usize, Vec<Range<u32>>> = BTreeMap::new();
    for term in terms {
        runs.entry(term.xorb).or_default().push(term.chunks.clone());
    }
    for own in runs.values_mut() {
        own.sort_by_key(|run| run.start);
        let mut merged: Vec<Range<u32>> = Vec::new();
        for run in own.drain(..) {
            match merged.last_mut() {
                Some(last) if run.start <= last.end => last.end = last.end.max(run.end),
                _ => merged.push(run),
            }
        }
        *own = merged;
    }
    runs
}
