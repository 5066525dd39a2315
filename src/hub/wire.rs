//! The JSON of the Hub's API, as structs without the fields that mirrors leave out.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::io::{self, BufReader, Read};

use serde::Deserialize;
pub(super) use serde::de::DeserializeOwned;
use serde::de::{Deserializer as _, Error as _, IgnoredAny, SeqAccess, Visitor};

use crate::sys::http::HttpError;

const BUFFER_BYTES: usize = 64 * 1024;
/// An entry has a path of at most 4096 bytes and some hashes.
const MAX_ENTRY_BYTES: usize = 256 * 1024;

#[derive(Debug, Deserialize)]
pub(super) struct RepoInfo {
    pub id: Option<String>,
    pub sha: Option<String>,
    pub private: Option<bool>,
    pub gated: Option<GatedForm>,
    pub disabled: Option<bool>,
    #[serde(rename = "lastModified")]
    pub last_modified: Option<String>,
    #[serde(rename = "cardData")]
    pub card: Option<Lenient<Card>>,
    pub tags: Option<Lenient<Vec<String>>>,
    /// Only on request.
    #[serde(rename = "securityRepoStatus", alias = "security_repo_status")]
    pub security_status: Option<Lenient<SecurityStatus>>,
}

/// A field that must not make the whole answer unreadable.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Lenient<T> {
    Known(T),
    Other(IgnoredAny),
}

impl<T> Lenient<T> {
    pub fn known(self) -> Option<T> {
        match self {
            Self::Known(value) => Some(value),
            Self::Other(_) => None,
        }
    }
}

/// The metadata that authors write at the head of a README.
#[derive(Debug, Deserialize)]
pub(super) struct Card {
    #[serde(rename = "license")]
    pub licence: Option<OneOrMany>,
    #[serde(rename = "license_name")]
    pub licence_name: Option<Lenient<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum OneOrMany {
    One(String),
    Many(Vec<String>),
    Other(IgnoredAny),
}

#[derive(Debug, Deserialize)]
pub(super) struct SecurityStatus {
    #[serde(rename = "filesWithIssues", default)]
    pub files_with_issues: Vec<FileIssue>,
}

#[derive(Debug, Deserialize)]
pub(super) struct FileIssue {
    pub path: String,
    pub level: String,
}

/// `false`, `"auto"` or `"manual"`.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum GatedForm {
    Flag(bool),
    Word(String),
}

#[derive(Debug, Deserialize)]
pub(super) struct TreeEntry {
    #[serde(rename = "type")]
    pub kind: String,
    pub path: String,
    pub oid: Option<String>,
    pub size: Option<u64>,
    pub lfs: Option<Lfs>,
    #[serde(rename = "xetHash")]
    pub xet_hash: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Lfs {
    pub oid: String,
    pub size: Option<u64>,
}

#[derive(Debug, Deserialize)]
pub(super) struct CommitEntry {
    pub id: String,
    pub title: Option<String>,
    pub date: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Refs {
    #[serde(default)]
    pub tags: Vec<RefEntry>,
}

#[derive(Debug, Deserialize)]
pub(super) struct RefEntry {
    pub name: String,
    #[serde(rename = "targetCommit")]
    pub target_commit: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct WhoAmI {
    pub name: String,
    #[serde(rename = "type")]
    pub kind: Option<String>,
    pub auth: Option<Auth>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Auth {
    #[serde(rename = "accessToken")]
    pub access_token: Option<AccessToken>,
}

#[derive(Debug, Deserialize)]
pub(super) struct AccessToken {
    #[serde(rename = "displayName")]
    pub display_name: Option<String>,
    pub role: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct XetReadToken {
    #[serde(rename = "accessToken")]
    pub access_token: String,
    #[serde(rename = "casUrl")]
    pub cas_url: String,
    pub exp: i64,
}

/// The answer to a request for a token.
#[derive(Deserialize)]
pub(super) struct TokenGrant {
    pub access_token: String,
    pub refresh_token: Option<String>,
    /// Seconds.
    pub expires_in: Option<u64>,
}

/// The part of a signed token that names its issuer.
#[derive(Deserialize)]
struct TokenClaims {
    iss: String,
}

pub(super) fn issuer(payload: &[u8]) -> Option<String> {
    let claims: TokenClaims = serde_json::from_slice(payload).ok()?;
    Some(claims.iss)
}

/// Parses the identity of a pipeline, as GitHub issues it.
pub(super) fn identity(text: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Identity {
        value: String,
    }
    let identity: Identity = serde_json::from_str(text).ok()?;
    Some(identity.value)
}

/// Renders the request for a token in exchange for the identity of a pipeline.
pub(super) fn exchange_request(id_token: &str, resource: &str) -> Vec<u8> {
    let request = serde_json::json!({
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "subject_token_type": "urn:ietf:params:oauth:token-type:id_token",
        "subject_token": id_token,
        "resource": resource,
    });
    request.to_string().into_bytes()
}

/// The reason why a body could not be parsed.
#[derive(Debug)]
pub(super) enum Unreadable {
    Network(HttpError),
    /// The message does not repeat the content.
    Malformed(String),
}

/// Parses a response as it arrives; only the result is kept in memory.
pub(super) fn parse<T: DeserializeOwned>(body: impl Read) -> Result<T, Unreadable> {
    let mut reader = serde_json::Deserializer::from_reader(buffered(body));
    let found = T::deserialize(&mut reader).and_then(|found| reader.end().map(|()| found));
    found.map_err(unreadable)
}

/// Parses a list as it arrives and passes on its entries one by one; if `take`
/// refuses an entry, the whole list is refused.
pub(super) fn parse_entries(
    body: impl Read,
    mut take: impl FnMut(TreeEntry) -> Result<(), String>,
) -> Result<(), Unreadable> {
    let since_entry = Cell::new(0);
    let refused = RefCell::new(None);
    let body = EntryLimit {
        body,
        since_entry: &since_entry,
    };
    let mut reader = serde_json::Deserializer::from_reader(buffered(body));
    let entries = Entries {
        take: &mut |entry| {
            since_entry.set(0);
            take(entry).map_err(|reason| *refused.borrow_mut() = Some(reason))
        },
    };
    let read = reader.deserialize_seq(entries);
    let read = read.and_then(|()| reader.end());
    read.map_err(|error| match refused.take() {
        Some(reason) => Unreadable::Malformed(reason),
        None => unreadable(error),
    })
}

/// Drains a body.
pub(super) fn drain(mut body: impl Read) -> Result<(), Unreadable> {
    match io::copy(&mut body, &mut io::sink()) {
        Ok(_) => Ok(()),
        Err(error) => Err(of_io(&error)),
    }
}

fn buffered(body: impl Read) -> impl Read {
    BufReader::with_capacity(BUFFER_BYTES, body)
}

fn unreadable(error: serde_json::Error) -> Unreadable {
    use serde_json::error::Category;
    let what = match error.classify() {
        Category::Eof if error.line() == 1 && error.column() == 0 => {
            return Unreadable::Malformed("it is empty".to_owned());
        }
        Category::Eof => "the JSON ends too early",
        Category::Data => "the JSON does not have the expected fields",
        Category::Syntax => "it is not JSON",
        Category::Io => return of_io(&error.into()),
    };
    let (line, column) = (error.line(), error.column());
    Unreadable::Malformed(format!("{what} (line {line}, column {column})"))
}

fn of_io(error: &io::Error) -> Unreadable {
    match HttpError::in_io(error) {
        Some(error) => Unreadable::Network(error.clone()),
        None => Unreadable::Malformed(error.to_string()),
    }
}

/// Limits the size of a single entry of a list.
struct EntryLimit<'c, R> {
    body: R,
    since_entry: &'c Cell<usize>,
}

impl<R: Read> Read for EntryLimit<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.body.read(buffer)?;
        self.since_entry.set(self.since_entry.get() + n);
        if self.since_entry.get() > MAX_ENTRY_BYTES + BUFFER_BYTES {
            let what = format!("an entry is longer than {MAX_ENTRY_BYTES} bytes");
            return Err(io::Error::other(what));
        }
        Ok(n)
    }
}

struct Entries<'f> {
    take: &'f mut dyn FnMut(TreeEntry) -> Result<(), ()>,
}

impl<'de> Visitor<'de> for Entries<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of entries")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while let Some(entry) = list.next_element()? {
            (self.take)(entry).map_err(|()| A::Error::custom("refused"))?;
        }
        Ok(())
    }
}

#[cfg(test)]
pub(super) fn parse_bytes<T: DeserializeOwned>(json: &[u8]) -> Result<T, String> {
    parse(json).map_err(|error| match error {
        Unreadable::Malformed(reason) => reason,
        Unreadable::Network(error) => error.to_string(),
    })
}

/// Finds the message of an error body, in any of the Hub's formats.
pub(super) fn error_text(body: &str) -> Option<String> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Texts {
        One(String),
        Many(Vec<String>),
    }
    #[derive(Deserialize)]
    struct Message {
        message: String,
    }
    #[derive(Deserialize)]
    struct ErrorBody {
        error: Option<Texts>,
        error_description: Option<String>,
        errors: Option<Vec<Message>>,
    }
    let body: ErrorBody = serde_json::from_str(body).ok()?;
    let mut texts = match body.error {
        Some(Texts::One(text)) => vec![text],
        Some(Texts::Many(texts)) => texts,
        None => Vec::new(),
    };
    texts.extend(body.error_description);
    texts.extend(
        body.errors
            .unwrap_or_default()
            .into_iter()
            .map(|m| m.message),
    );
    let mut distinct: Vec<String> = Vec::new();
    for text in texts {
        if !text.is_empty() && !distinct.contains(&text) {
            distinct.push(text);
        }
    }
    (!distinct.is_empty()).then(|| distinct.join("; "))
}

/// Finds the message of a storage host's error: code and message of S3's XML, or a
/// short plain text. The rest of such XML repeats the signed request.
pub(super) fn storage_text(body: &str) -> Option<String> {
    let tag = |name: &str| {
        let (_, rest) = body.split_once(&format!("<{name}>"))?;
        let (text, _) = rest.split_once("</")?;
        Some(text.to_owned())
    };
    match (tag("Code"), tag("Message")) {
        (Some(code), Some(message)) => Some(format!("{code}: {message}")),
        (Some(text), None) | (None, Some(text)) => Some(text),
        (None, None) => {
            let text = body.trim();
            let is_plain = !text.is_empty() && !text.starts_with('<') && text.len() <= 200;
            is_plain.then(|| text.to_owned())
        }
    }
}

/// Finds the `rel="next"` target among `Link` headers.
pub(super) fn next_link<'a>(links: impl Iterator<Item = &'a str>) -> Option<String> {
    for header in links {
        let mut rest = header;
        while let Some((_, after)) = rest.split_once('<') {
            let (target, after) = after.split_once('>')?;
            let parameters = after.split('<').next().unwrap_or("");
            let is_next = parameters
                .split([';', ','])
                .any(|part| matches!(part.trim(), "rel=\"next\"" | "rel=next"));
            if is_next {
                return Some(target.to_owned());
            }
            rest = after;
        }
    }
    None
}

#[cfg(test)]
pub(super) fn quote(text: &str) -> String {
    serde_json::to_string(text).unwrap()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_error_body_is_parsed() {
        for (body, text) in [
            (r#"{"error":"a"}"#, Some("a")),
            (r#"{"error":["a","b","a"]}"#, Some("a; b")),
            (
                r#"{"error":"invalid_grant","error_description":"why"}"#,
                Some("invalid_grant; why"),
            ),
            (r#"{"errors":[{"message":"m"}]}"#, Some("m")),
            ("<html>", None),
            ("", None),
            ("{}", None),
        ] {
            assert_eq!(error_text(body).as_deref(), text, "{body}");
        }
    }

    #[test]
    fn a_storage_error_does_not_repeat_the_signed_request() {
        let xml = "<?xml?><Error><Code>AccessDenied</Code><Message>Request has expired</Message>\
                   <StringToSign>geheim</StringToSign></Error>";
        assert_eq!(
            storage_text(xml).unwrap(),
            "AccessDenied: Request has expired"
        );
        assert_eq!(
            storage_text("Auth failed: invalid range").unwrap(),
            "Auth failed: invalid range"
        );
        assert_eq!(storage_text("<html>x</html>"), None);
    }

    #[test]
    fn the_next_page_is_found_among_other_links() {
        let links = ["<https://h/prev>; rel=\"prev\", <https://h/n?cursor=a,b;c>; rel=\"next\""];
        assert_eq!(
            next_link(links.into_iter()).as_deref(),
            Some("https://h/n?cursor=a,b;c")
        );
        assert_eq!(
            next_link(["<https://h/x>; rel=\"xet-auth\""].into_iter()),
            None
        );
        assert_eq!(next_link(["<https://h/x"].into_iter()), None);
    }

    #[test]
    fn the_error_about_malformed_json_does_not_repeat_it() {
        let error = parse_bytes::<RepoInfo>(b"{\"sha\": geheim}").unwrap_err();
        assert_eq!(error, "it is not JSON (line 1, column 9)");
        assert!(
            parse_bytes::<RepoInfo>(b"{\"sha\": 1")
                .unwrap_err()
                .contains("expected fields")
        );
        assert!(
            parse_bytes::<RepoInfo>(b"{\"sha\": \"1\"")
                .unwrap_err()
                .contains("too early")
        );
    }
}
