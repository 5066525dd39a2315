//! The JSON of the Hub's API, as structs that accept what mirrors leave out.

/// What an answer can be parsed into, for signatures outside this file.
pub(super) use serde::de::DeserializeOwned as Answer;
use serde::{Deserialize, Serialize};

#[derive(Debug, Deserialize)]
pub(super) struct RepoInfo {
    pub id: Option<String>,
    pub sha: Option<String>,
    pub private: Option<bool>,
    pub gated: Option<GatedForm>,
    pub disabled: Option<bool>,
    #[serde(rename = "lastModified")]
    pub last_modified: Option<String>,
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

#[derive(Serialize)]
struct PathsInfoQuestion<'a> {
    paths: Vec<&'a str>,
    expand: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Refs {
    pub branches: Vec<Ref>,
    pub converts: Vec<Ref>,
    pub tags: Vec<Ref>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Ref {
    pub name: String,
    #[serde(rename = "ref")]
    pub full_name: Option<String>,
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

/// Reads an answer; the error says where it is malformed but repeats none of it.
pub(super) fn parse<T: Answer>(json: &[u8]) -> Result<T, String> {
    serde_json::from_slice(json).map_err(|error| {
        use serde_json::error::Category;
        let what = match error.classify() {
            Category::Eof => "the JSON ends too early",
            Category::Data => "the JSON does not have the expected fields",
            Category::Syntax | Category::Io => "it is not JSON",
        };
        format!("{what} (line {}, column {})", error.line(), error.column())
    })
}

/// Renders the question for selected paths.
pub(super) fn paths_info_question(paths: &[&str]) -> Vec<u8> {
    let question = PathsInfoQuestion {
        paths: paths.to_vec(),
        expand: false,
    };
    serde_json::to_vec(&question).expect("strings and a flag always serialise")
}

/// Finds what an error body says, in any of the forms that the Hub uses.
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

/// Finds what a storage host's refusal says: the code and message of S3's XML,
/// or a short plain text. The rest of such XML repeats the signed request.
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
    fn every_form_of_error_body_is_read() {
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
    fn the_signed_request_in_a_storage_error_is_not_repeated() {
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
    fn malformed_json_is_described_without_repeating_it() {
        let error = parse::<RepoInfo>(b"{\"sha\": geheim}").unwrap_err();
        assert_eq!(error, "it is not JSON (line 1, column 9)");
        assert!(
            parse::<RepoInfo>(b"{\"sha\": 1")
                .unwrap_err()
                .contains("expected fields")
        );
        assert!(
            parse::<RepoInfo>(b"{\"sha\": \"1\"")
                .unwrap_err()
                .contains("too early")
        );
    }
}
