//! The text of a home's records: one word and its values a line. A line that
//! is not understood is left out: it can only make something not ours, or, of
//! a newer version, claim something that this one does not know.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use crate::domain::content::ContentId;
use crate::domain::deletion::{
    Begun, FetchKey, HomeIdentity, HomeRecord, OwnershipStamp, UnfinishedFetch,
};
use crate::domain::repo::CommitSha;
use crate::domain::time::Timestamp;

const HEAD: &str = "hfdl home record 1";
const FETCH: &str = "fetch";
const BY_HAND: &str = "fetch-by-hand";

pub(super) fn render_claims(home: &HomeIdentity, wanted: &BTreeSet<CommitSha>) -> String {
    // A path may contain any character, also a line feed.
    let line = |text: &str| text.replace(char::is_control, "?");
    let (path, host) = (line(&home.path), line(&home.host));
    let seen = home.seen_at.as_second();
    let mut text = format!("{HEAD}\nseen {seen}\nhost {host}\npath {path}\n");
    for commit in wanted {
        let _ = writeln!(text, "want {commit}");
    }
    text
}

pub(super) fn parse_claims(id: &str, text: &[u8], record: &mut HomeRecord) {
    let text = String::from_utf8_lossy(text);
    let mut lines = text.lines();
    if lines.next() != Some(HEAD) {
        return;
    }
    let (mut path, mut host, mut seen) = (String::new(), String::new(), None);
    for (word, value) in lines.filter_map(|line| line.split_once(' ')) {
        match word {
            "seen" => seen = value.parse().ok(),
            "host" => host = value.to_owned(),
            "path" => path = value.to_owned(),
            "want" => record.wanted.extend(value.parse::<CommitSha>()),
            _ => {}
        }
    }
    let seen = seen.and_then(|seen| Timestamp::from_second(seen).ok());
    record.home = seen.map(|seen_at| HomeIdentity {
        id: id.to_owned(),
        path,
        host,
        seen_at,
    });
}

pub(super) fn render_begun(begun: &Begun) -> String {
    let mut text = String::new();
    for (key, fetch) in &begun.fetches {
        let word = if key.is_by_hand { BY_HAND } else { FETCH };
        let _ = writeln!(text, "{word} {} {}", fetch.commit, key.revision);
        for content in &fetch.contents {
            let _ = writeln!(text, "part {}", content.etag());
        }
    }
    for content in &begun.earlier {
        let _ = writeln!(text, "earlier {}", content.etag());
    }
    for commit in &begun.abandoned {
        let _ = writeln!(text, "abandoned {commit}");
    }
    text
}

pub(super) fn render_made(blobs: &BTreeMap<ContentId, OwnershipStamp>) -> String {
    let lines = blobs
        .iter()
        .map(|(content, stamp)| blob_line(content, stamp));
    lines.collect()
}

pub(super) fn blob_line(content: &ContentId, stamp: &OwnershipStamp) -> String {
    let OwnershipStamp {
        size_bytes,
        modified,
    } = stamp;
    // The end of the line is the mark of a whole one: a crash may cut the last.
    format!("blob {} {size_bytes} {modified} .\n", content.etag())
}

/// Parses the text of `render_begun` and `blob_line`.
pub(super) fn parse_made(text: &[u8], record: &mut HomeRecord) {
    let text = String::from_utf8_lossy(text);
    let mut fetched: Option<FetchKey> = None;
    for (word, value) in text.lines().filter_map(|line| line.split_once(' ')) {
        let content = || ContentId::from_etag(value).ok();
        match word {
            FETCH | BY_HAND => {
                fetched = value.split_once(' ').and_then(|(commit, revision)| {
                    let fetch = UnfinishedFetch {
                        commit: commit.parse().ok()?,
                        contents: BTreeSet::new(),
                    };
                    let key = FetchKey {
                        revision: revision.parse().ok()?,
                        is_by_hand: word == BY_HAND,
                    };
                    record.begun.fetches.insert(key.clone(), fetch);
                    Some(key)
                });
            }
            "part" => {
                let fetches = &mut record.begun.fetches;
                let fetch = fetched.as_ref().and_then(|of| fetches.get_mut(of));
                if let Some((fetch, content)) = fetch.zip(content()) {
                    fetch.contents.insert(content);
                }
            }
            "earlier" => record.begun.earlier.extend(content()),
            "abandoned" => record.begun.abandoned.extend(value.parse::<CommitSha>()),
            "blob" => record.blobs.extend(parse_blob(value)),
            _ => {}
        }
    }
}

fn parse_blob(value: &str) -> Option<(ContentId, OwnershipStamp)> {
    let mut values = value.split(' ');
    let content = ContentId::from_etag(values.next()?).ok()?;
    let stamp = OwnershipStamp {
        size_bytes: values.next()?.parse().ok()?,
        modified: values.next()?.parse().ok()?,
    };
    (values.next() == Some(".")).then_some((content, stamp))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commit(c: char) -> CommitSha {
        c.to_string().repeat(40).parse().unwrap()
    }

    #[test]
    fn a_record_survives_its_text_and_damaged_lines() {
        let content = |n: u8| ContentId::Sha256([n; 32]);
        let home = HomeIdentity {
            id: "id".into(),
            path: "/with\nline".into(),
            host: "here".into(),
            seen_at: Timestamp::from_second(1_700_000_000).unwrap(),
        };
        let wanted = BTreeSet::from([commit('a'), commit('b')]);
        let mut begun = Begun::default();
        let fetch = UnfinishedFetch {
            commit: commit('c'),
            contents: BTreeSet::from([content(1), content(2)]),
        };
        for is_by_hand in [false, true] {
            let key = FetchKey {
                revision: "refs/pr/1".parse().unwrap(),
                is_by_hand,
            };
            begun.begin(&key, fetch.clone());
        }
        begun.earlier.insert(content(3));
        begun.abandoned.insert(commit('d'));
        let stamp = OwnershipStamp {
            size_bytes: 7,
            modified: 1_700_000_000_123_456_789,
        };
        let blobs = BTreeMap::from([(content(4), stamp)]);

        let mut record = HomeRecord::default();
        let claims = render_claims(&home, &wanted) + "want zz\nnews from later\n";
        parse_claims("id", claims.as_bytes(), &mut record);
        let torn = "blob 0505";
        let text = render_begun(&begun) + &render_made(&blobs) + "part x\nearlier\n" + torn;
        parse_made(text.as_bytes(), &mut record);
        let expected = HomeRecord {
            home: Some(HomeIdentity {
                path: "/with?line".into(),
                ..home
            }),
            wanted,
            begun,
            blobs,
            snapshots: BTreeMap::new(),
        };
        assert_eq!(record, expected);
    }

    #[test]
    fn a_blob_line_that_was_cut_says_nothing() {
        let stamp = OwnershipStamp {
            size_bytes: 1234,
            modified: 5678,
        };
        let whole = blob_line(&ContentId::GitSha1([9; 20]), &stamp);
        for end in 0..whole.len() - 1 {
            let mut record = HomeRecord::default();
            parse_made(&whole.as_bytes()[..end], &mut record);
            assert!(record.blobs.is_empty(), "{:?}", &whole[..end]);
        }
    }
}
