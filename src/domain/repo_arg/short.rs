//! The short form: `org/name` with optional type, revision and quantisation.

use super::RepoArg;
use super::argument::{refusal, refuse};
use crate::domain::invalid_value::InvalidValue;
use crate::domain::quantisation::Quantisation;
use crate::domain::repo::{Repo, RepoPath, RepoType};

/// Parses `org/name` with an optional type in front and `@revision` or
/// `:quantisation` behind; `text` is the whole argument, for messages.
pub(super) fn parse_short(text: &str, short: &str) -> Result<RepoArg, InvalidValue> {
    let (rest, revision) = match short.split_once('@') {
        Some((rest, revision)) => (rest, Some(revision.parse()?)),
        None => (short, None),
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
                return Err(refusal(text)
                    .because("it has three parts, and the first is not models, datasets, spaces or kernels")
                    .next("write `org/name`, and files with `--include`"));
            }
        },
        [kind, _] if RepoType::ALL.iter().any(|it| it.plural() == *kind) => {
            return Err(refusal(text)
                .because("a name is missing")
                .next(format!("write `{kind}/org/name`")));
        }
        [_] | [_, _] => (RepoType::Model, rest),
        _ => {
            return Err(refusal(text)
                .because("it has too many parts")
                .next("write `org/name`, and files with `--include`"));
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

fn parse_quantisation(text: &str, word: &str) -> Result<String, InvalidValue> {
    match Quantisation::parse(word) {
        Ok(Quantisation::Word(_)) => Ok(word.to_owned()),
        Ok(Quantisation::File(_)) => match word.parse::<RepoPath>() {
            Ok(_) => Ok(word.to_owned()),
            Err(err) => Err(refusal(text).because_of(err)),
        },
        Err(rule) => refuse(text, rule),
    }
}
