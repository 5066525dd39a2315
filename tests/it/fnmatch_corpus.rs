//! Patterns mean what Python's `fnmatch` and the official client say they mean.
//!
//! The corpora are written by `tests/clients/fnmatch_corpus.py`; CI writes them
//! again and compares.

use hfdl::domain::filter::{Filter, matches};
use serde_json::Value;

const FNMATCH: &str = include_str!("data/fnmatch_corpus.txt");
const FILTERS: &str = include_str!("data/filter_corpus.jsonl");

fn unescape(text: &str) -> String {
    let mut plain = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        plain.push(match c {
            '\\' => match chars.next().unwrap() {
                'n' => '\n',
                't' => '\t',
                'r' => '\r',
                '\\' => '\\',
                other => panic!("unknown escape `\\{other}`"),
            },
            c => c,
        });
    }
    plain
}

/// Fails with the first few rows that differ and the number of all of them.
fn expect_none(differences: &[String], n_rows: usize, at_least: usize) {
    assert!(n_rows >= at_least, "only {n_rows} rows");
    assert!(
        differences.is_empty(),
        "{} of {n_rows} rows differ:\n{}",
        differences.len(),
        differences[..differences.len().min(20)].join("\n")
    );
}

#[test]
fn every_pattern_matches_what_python_says() {
    let mut differences = Vec::new();
    let mut n_rows = 0;
    for row in FNMATCH.split_terminator('\n') {
        let fields: Vec<String> = row.split('\t').map(unescape).collect();
        let [pattern, name, verdict] = fields.as_slice() else {
            panic!("not three fields: {row:?}");
        };
        n_rows += 1;
        let expected = verdict == "1";
        if matches(pattern, name) != expected {
            differences.push(format!("{pattern:?} on {name:?}: Python says {expected}"));
        }
    }
    expect_none(&differences, n_rows, 5_000);
}

#[test]
fn filters_select_what_the_official_client_selects() {
    let words = |list: &Value| -> Vec<String> {
        let list = list.as_array().unwrap().iter();
        list.map(|word| word.as_str().unwrap().to_owned()).collect()
    };
    let mut differences = Vec::new();
    let mut n_rows = 0;
    for line in FILTERS.lines() {
        let row: Value = serde_json::from_str(line).unwrap();
        let filter = Filter {
            include: (!row["include"].is_null()).then(|| words(&row["include"])),
            exclude: words(&row["exclude"]),
            ..Filter::default()
        };
        n_rows += 1;
        let path = row["path"].as_str().unwrap();
        if filter.among(&[path]).has(path) != row["selected"].as_bool().unwrap() {
            differences.push(line.to_owned());
        }
    }
    expect_none(&differences, n_rows, 500);
}
