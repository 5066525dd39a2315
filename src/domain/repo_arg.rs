//! What a person types to name a repository, in all the forms that people
//! paste: `org/name`, `datasets/org/name`, `hf://…`, a page of the Hub, and
//! `org/name:Q4_K_M` for one quantisation of a GGUF repository.

use percent_encoding::percent_decode_str;

use super::repo::{NameError, Repo, RepoId, RepoPath, RepoType, Revision};

/// A repository argument, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepoArg {
    pub repo: Repo,
    pub revision: Option<Revision>,
    /// A file or folder inside the repository.
    pub part: Option<RepoPart>,
    /// A GGUF quantisation such as `Q4_K_M`.
    pub quantisation: Option<String>,
}

/// Which part of a repository was named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RepoPart {
    File(RepoPath),
    Folder(RepoPath),
}

/// Hosts whose pages are the Hub's own, besides the configured endpoint.
const HUB_HOSTS: [&str; 4] = ["huggingface.co", "www.huggingface.co", "hf.co", "www.hf.co"];

impl RepoArg {
    /// Parses a repository argument; `endpoint` is the base URL whose pages count as the Hub's.
    pub fn parse(text: &str, endpoint: &str) -> Result<Self, NameError> {
        let text = text.trim();
        if let Some(rest) = text.strip_prefix("hf://") {
            return parse_uri(text, rest);
        }
        if let Some(rest) = text
            .strip_prefix("https://")
            .or_else(|| text.strip_prefix("http://"))
        {
            return parse_page(text, rest, endpoint);
        }
        for host in HUB_HOSTS {
            if text
                .strip_prefix(host)
                .is_some_and(|rest| rest.starts_with('/'))
            {
                return parse_page(text, text, endpoint);
            }
        }
        parse_short(text)
    }

    /// Returns the name that the model gets when the user gives none.
    pub fn default_name(&self) -> String {
        match &self.quantisation {
            Some(quantisation) => format!("{}:{quantisation}", self.repo),
            None => self.repo.to_string(),
        }
    }

    /// Returns the include patterns that the argument itself stands for.
    pub fn include_patterns(&self) -> Option<Vec<String>> {
        if let Some(quantisation) = &self.quantisation {
            return Some(gguf_patterns(quantisation));
        }
        self.part.as_ref().map(|part| match part {
            RepoPart::File(path) => vec![escape_pattern(path.as_str())],
            RepoPart::Folder(path) => vec![format!("{}/", escape_pattern(path.as_str()))],
        })
    }
}

fn refuse<T>(text: &str, why: impl Into<String>) -> Result<T, NameError> {
    Err(NameError::new("repository", text, why))
}

/// `org/name`, with an optional type in front, `@revision` or `:quantisation` behind.
fn parse_short(text: &str) -> Result<RepoArg, NameError> {
    let (rest, revision) = match text.split_once('@') {
        Some((rest, revision)) => (rest, Some(revision.parse()?)),
        None => (text, None),
    };
    let (rest, quantisation) = match rest.split_once(':') {
        Some((rest, word)) => (rest, Some(parse_quantisation(text, word)?)),
        None => (rest, None),
    };
    let segments: Vec<&str> = rest.split('/').collect();
    let (kind, id) = match segments.as_slice() {
        [kind, _, _] => match kind.parse::<RepoType>() {
            Ok(known) if known.plural() == *kind => (known, &rest[kind.len() + 1..]),
            _ => {
                return refuse(
                    text,
                    "it has three parts, and the first is none of models, datasets and spaces",
                );
            }
        },
        [kind, _] if matches!(*kind, "datasets" | "spaces" | "models") => {
            return refuse(text, format!("a name is missing; write `{kind}/org/name`"));
        }
        [_] | [_, _] => (RepoType::Model, rest),
        _ => {
            return refuse(
                text,
                "it has too many parts; write `org/name`, and files with `--include`",
            );
        }
    };
    if quantisation.is_some() && kind != RepoType::Model {
        return refuse(text, "only models have quantisations");
    }
    Ok(RepoArg {
        repo: Repo::new(kind, id.parse()?),
        revision,
        part: None,
        quantisation,
    })
}

fn parse_quantisation(text: &str, word: &str) -> Result<String, NameError> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    if word.is_empty() || word.len() > 40 || !word.chars().all(allowed) {
        return refuse(
            text,
            "behind the `:` stands a GGUF quantisation such as Q4_K_M",
        );
    }
    Ok(word.to_owned())
}

/// `hf://[type/]org/name[@revision][/path]`
fn parse_uri(text: &str, rest: &str) -> Result<RepoArg, NameError> {
    let (kind, rest) = split_type(rest);
    if rest.starts_with("buckets/") || rest.starts_with("kernels/") {
        return refuse(text, "only models, datasets and spaces can be kept");
    }
    let mut parts = rest.splitn(3, '/');
    let (Some(namespace), Some(name)) = (parts.next(), parts.next()) else {
        return refuse(text, "write `hf://org/name`");
    };
    let (name, revision) = match name.split_once('@') {
        Some((name, revision)) => (name, Some(revision)),
        None => (name, None),
    };
    let tail = parts.next();
    let (revision, path) = match revision {
        Some(revision) => {
            let (revision, path) = split_revision(revision, tail);
            (Some(decode(text, &revision)?.parse()?), path)
        }
        None => (None, tail.map(str::to_owned)),
    };
    let id: RepoId = format!("{namespace}/{name}").parse()?;
    let part = path
        .map(|path| parse_part(text, &path, None))
        .transpose()?
        .flatten();
    Ok(RepoArg {
        repo: Repo::new(kind, id),
        revision,
        part,
        quantisation: None,
    })
}

/// Takes `refs/pr/1` and `refs/convert/x` whole although they contain slashes.
fn split_revision(first: &str, tail: Option<&str>) -> (String, Option<String>) {
    let Some(tail) = tail else {
        return (first.to_owned(), None);
    };
    if first == "refs" {
        let mut parts = tail.splitn(3, '/');
        if let (Some(group @ ("pr" | "convert")), Some(name)) = (parts.next(), parts.next()) {
            return (
                format!("refs/{group}/{name}"),
                parts.next().map(str::to_owned),
            );
        }
    }
    (first.to_owned(), Some(tail.to_owned()))
}

fn split_type(rest: &str) -> (RepoType, &str) {
    for kind in RepoType::ALL {
        if let Some(id) = rest
            .strip_prefix(kind.plural())
            .and_then(|id| id.strip_prefix('/'))
        {
            return (kind, id);
        }
    }
    (RepoType::Model, rest)
}

/// A page of the Hub: the repository, `/tree/REV[/folder]`, `/blob/REV/file`
/// or the `/resolve/` form of a download link.
fn parse_page(text: &str, rest: &str, endpoint: &str) -> Result<RepoArg, NameError> {
    let rest = rest
        .split(['?', '#'])
        .next()
        .unwrap_or(rest)
        .trim_end_matches('/');
    let own = endpoint
        .split_once("://")
        .map_or(endpoint, |(_, own)| own)
        .trim_end_matches('/');
    let path = HUB_HOSTS.into_iter().chain([own]).find_map(|base| {
        rest.strip_prefix(base)
            .and_then(|path| path.strip_prefix('/'))
    });
    let Some(path) = path else {
        return refuse(text, format!("it is no page of the Hub at {endpoint}"));
    };
    let (kind, path) = split_type(path);
    let mut parts = path.splitn(5, '/');
    let (Some(first), second) = (parts.next(), parts.next()) else {
        return refuse(text, "it names no repository");
    };
    let Some(second) = second else {
        let id = decode(text, first)?.parse()?;
        return Ok(RepoArg {
            repo: Repo::new(kind, id),
            revision: None,
            part: None,
            quantisation: None,
        });
    };
    let id: RepoId = format!("{first}/{second}").parse()?;
    let repo = Repo::new(kind, id);
    let (verb, revision, tail) = (parts.next(), parts.next(), parts.next());
    let file = match verb {
        None => {
            return Ok(RepoArg {
                repo,
                revision: None,
                part: None,
                quantisation: None,
            });
        }
        Some("tree") => false,
        Some("blob" | "resolve" | "raw") => true,
        Some(other) => {
            return refuse(
                text,
                format!("a page `/{other}` is no file or folder; use the repository's own address"),
            );
        }
    };
    let Some(revision) = revision else {
        return refuse(text, "it names no revision");
    };
    let (revision, tail) = split_revision(revision, tail);
    let revision = decode(text, &revision)?.parse()?;
    let part = match tail {
        Some(tail) => parse_part(text, &decode(text, &tail)?, Some(file))?,
        None if file => return refuse(text, "it names no file"),
        None => None,
    };
    Ok(RepoArg {
        repo,
        revision: Some(revision),
        part,
        quantisation: None,
    })
}

/// Without knowing better, a final `/` means a folder.
fn parse_part(
    text: &str,
    path: &str,
    is_file: Option<bool>,
) -> Result<Option<RepoPart>, NameError> {
    let trimmed = path.trim_end_matches('/');
    if trimmed.is_empty() {
        return Ok(None);
    }
    let is_file = is_file.unwrap_or(!path.ends_with('/'));
    match trimmed.parse::<RepoPath>() {
        Ok(path) if is_file => Ok(Some(RepoPart::File(path))),
        Ok(path) => Ok(Some(RepoPart::Folder(path))),
        Err(err) => refuse(text, err.why()),
    }
}

fn decode(text: &str, part: &str) -> Result<String, NameError> {
    match percent_decode_str(part).decode_utf8() {
        Ok(decoded) => Ok(decoded.into_owned()),
        Err(_) => refuse(text, "it contains bytes that are no UTF-8"),
    }
}

/// Writes a path so that a pattern matches just it.
pub fn escape_pattern(path: &str) -> String {
    let mut pattern = String::with_capacity(path.len());
    for c in path.chars() {
        match c {
            '*' | '?' | '[' => pattern.extend(['[', c, ']']),
            _ => pattern.push(c),
        }
    }
    pattern
}

/// All shards of one quantisation, in the spellings that repositories use, and
/// the small text files that go with any model.
///
/// The word must stand alone: `Q4_K` does not take `Q4_K_M` along.
fn gguf_patterns(quantisation: &str) -> Vec<String> {
    let mut word = String::new();
    for c in quantisation.chars() {
        if c.is_ascii_alphabetic() {
            word.extend(['[', c.to_ascii_uppercase(), c.to_ascii_lowercase(), ']']);
        } else {
            word.push(c);
        }
    }
    let mut patterns = Vec::new();
    for before in ["", "*[-._/]"] {
        for behind in [".gguf", "-?????-of-?????.gguf", "/*.gguf"] {
            patterns.push(format!("{before}{word}{behind}"));
        }
    }
    let texts = [
        "*.json",
        "*.md",
        "*.txt",
        "*.jinja",
        "*.yaml",
        "*.yml",
        "LICENSE*",
        ".gitattributes",
    ];
    patterns.extend(texts.map(str::to_owned));
    patterns
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::filter::Filter;

    const HUB: &str = "https://huggingface.co";

    fn parse(text: &str) -> RepoArg {
        RepoArg::parse(text, HUB).unwrap_or_else(|err| panic!("{text}: {err}"))
    }

    #[test]
    fn all_forms_that_people_paste_are_understood() {
        for (text, repo, revision, part) in [
            ("gpt2", "gpt2", None, None),
            ("org/name", "org/name", None, None),
            ("models/org/name", "org/name", None, None),
            ("datasets/org/name", "datasets/org/name", None, None),
            ("spaces/org/name", "spaces/org/name", None, None),
            ("org/name@v1.0", "org/name", Some("v1.0"), None),
            ("org/name@refs/pr/1", "org/name", Some("refs/pr/1"), None),
            ("hf://org/name", "org/name", None, None),
            (
                "hf://datasets/org/name@rev",
                "datasets/org/name",
                Some("rev"),
                None,
            ),
            (
                "hf://org/name@refs/pr/1/a/b.txt",
                "org/name",
                Some("refs/pr/1"),
                Some(("a/b.txt", true)),
            ),
            (
                "hf://org/name@a%2Fb/x/",
                "org/name",
                Some("a/b"),
                Some(("x", false)),
            ),
            ("https://huggingface.co/org/name", "org/name", None, None),
            ("https://huggingface.co/org/name/", "org/name", None, None),
            ("https://huggingface.co/gpt2", "gpt2", None, None),
            ("huggingface.co/org/name", "org/name", None, None),
            (
                "https://hf.co/datasets/org/name?x=1#y",
                "datasets/org/name",
                None,
                None,
            ),
            (
                "https://huggingface.co/org/name/tree/main",
                "org/name",
                Some("main"),
                None,
            ),
            (
                "https://huggingface.co/org/name/tree/refs%2Fpr%2F2",
                "org/name",
                Some("refs/pr/2"),
                None,
            ),
            (
                "https://huggingface.co/org/name/tree/refs/pr/2/sub",
                "org/name",
                Some("refs/pr/2"),
                Some(("sub", false)),
            ),
            (
                "https://huggingface.co/spaces/org/name/blob/dev/a/b%20c.py",
                "spaces/org/name",
                Some("dev"),
                Some(("a/b c.py", true)),
            ),
            (
                "https://huggingface.co/org/name/resolve/main/x.bin?download=true",
                "org/name",
                Some("main"),
                Some(("x.bin", true)),
            ),
        ] {
            let arg = parse(text);
            assert_eq!(arg.repo.to_string(), repo, "{text}");
            assert_eq!(
                arg.revision.as_ref().map(Revision::as_str),
                revision,
                "{text}"
            );
            let found = arg.part.as_ref().map(|part| match part {
                RepoPart::File(path) => (path.as_str(), true),
                RepoPart::Folder(path) => (path.as_str(), false),
            });
            assert_eq!(found, part, "{text}");
        }
    }

    #[test]
    fn a_page_of_the_configured_endpoint_counts_as_the_hubs() {
        let arg = RepoArg::parse(
            "http://127.0.0.1:8080/x/org/name/tree/main",
            "http://127.0.0.1:8080/x",
        )
        .unwrap();
        assert_eq!(arg.repo.to_string(), "org/name");
        assert!(RepoArg::parse("https://example.com/org/name", HUB).is_err());
    }

    #[test]
    fn what_names_no_repository_is_refused() {
        for bad in [
            "",
            "/",
            "a/b/c",
            "kernels/a/b",
            "datasets/x",
            "a/b/c/d",
            "org/name:",
            "org/name:a b",
            "datasets/org/name:Q4_0",
            "hf://",
            "hf://name",
            "hf://buckets/a/b",
            "https://huggingface.co",
            "https://huggingface.co/org/name/discussions/3",
            "https://huggingface.co/org/name/blob/main",
            "hf://org/name/../x",
            "org/name@",
            "org/name@a b",
            "-x/y",
            "https://huggingface.co/org/name/tree/%FF",
        ] {
            assert!(RepoArg::parse(bad, HUB).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_quantisation_takes_all_its_shards_and_no_other_quantisation() {
        let arg = parse("org/name:Q4_K");
        assert_eq!(arg.default_name(), "org/name:Q4_K");
        let filter = Filter {
            include: arg.include_patterns(),
            exclude: vec![],
        };
        for wanted in [
            "model-Q4_K.gguf",
            "model.q4_k.gguf",
            "Q4_K/model-00001-of-00002.gguf",
            "sub/Q4_K.gguf",
            "model-Q4_K-00001-of-00002.gguf",
            "config.json",
            "README.md",
            "LICENSE",
        ] {
            assert!(filter.selects(wanted), "{wanted}");
        }
        for other in [
            "model-Q4_K_M.gguf",
            "model-IQ4_K.gguf",
            "model-Q8_0.gguf",
            "model.safetensors",
        ] {
            assert!(!filter.selects(other), "{other}");
        }
    }

    #[test]
    fn a_file_argument_selects_just_that_file() {
        let arg = parse("https://huggingface.co/org/name/blob/main/a%5B1%5D.txt");
        let filter = Filter {
            include: arg.include_patterns(),
            exclude: vec![],
        };
        assert!(filter.selects("a[1].txt") && !filter.selects("a1.txt"));
    }
}
