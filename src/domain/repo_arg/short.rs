//! The short form: `org/name` with optional type, revision and quantisation.

use super::RepoArg;
use super::argument::refuse;
use crate::domain::repo::{NameError, Repo, RepoType};

/// Parses `org/name` with an optional type in front and `@revision` or
/// `:quantisation` behind.
pub(super) fn parse_short(text: &str) -> Result<RepoArg, NameError> {
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
                    "it has three parts, and the first is not models, datasets or spaces",
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
        return refuse(text, "after `:` write a GGUF quantisation such as Q4_K_M");
    }
    Ok(word.to_owned())
}
