//! The JSON form of what no query looks into: lists, the pause, and where
//! reused bytes came from.

use std::collections::BTreeSet;
use std::str::FromStr;

use rusqlite::Row;
use serde::{Deserialize, Serialize};

use super::value::unreadable;
use crate::domain::origin::{Origin, OriginKind, Reused};
use crate::domain::pause::Pause;
use crate::domain::repo::Repo;
use crate::domain::time::{Timestamp, render_utc};

/// Renders a list of texts as a JSON array.
pub(super) fn render_list(texts: &[String]) -> String {
    serde_json::Value::from(texts.to_vec()).to_string()
}

/// Reads a column that holds a JSON array of texts, or NULL.
pub(super) fn read_list(row: &Row<'_>, column: &str) -> rusqlite::Result<Option<Vec<String>>> {
    let text: Option<String> = row.get(column)?;
    text.map(|text| serde_json::from_str(&text).map_err(|err| unreadable(column, err)))
        .transpose()
}

/// Reads a column of a query that gathers words with `json_group_array`.
pub(super) fn read_words<T: FromStr<Err: ToString> + Ord>(
    row: &Row<'_>,
    column: &str,
) -> rusqlite::Result<BTreeSet<T>> {
    let words = read_list(row, column)?.unwrap_or_default();
    words
        .iter()
        .map(|word| word.parse().map_err(|err: T::Err| unreadable(column, err)))
        .collect()
}

/// The form of a pause: times are RFC 3339, as a person who looks into the
/// database reads them.
#[derive(Deserialize, Serialize)]
struct PauseForm {
    since: String,
    #[serde(default)]
    until: Option<String>,
    #[serde(default)]
    reason: Option<String>,
}

pub(super) fn render_pause(pause: &Pause) -> String {
    let form = PauseForm {
        since: render_utc(pause.since),
        until: pause.until.map(render_utc),
        reason: pause.reason.clone(),
    };
    serde_json::json!(form).to_string()
}

/// Reads a pause, or says why it is none.
pub(super) fn read_pause(text: &str) -> Result<Pause, String> {
    let form: PauseForm = serde_json::from_str(text).map_err(|err| err.to_string())?;
    let time = |text: String| text.parse::<Timestamp>().map_err(|err| err.to_string());
    Ok(Pause {
        since: time(form.since)?,
        until: form.until.map(time).transpose()?,
        reason: form.reason,
    })
}

/// The form of an origin; what is not known takes no space.
#[derive(Deserialize, Serialize)]
struct ReusedForm {
    kind: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    repo_type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    repo: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    revision: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    content: Option<String>,
    n: u64,
    bytes: u64,
}

pub(super) fn render_reused(reused: &[Reused]) -> String {
    let forms: Vec<ReusedForm> = reused
        .iter()
        .map(|one| {
            let origin = &one.origin;
            let (repo_type, repo) = origin
                .repo
                .as_ref()
                .map(|repo| {
                    let kind = repo.kind.to_string();
                    (kind, repo.id.to_string())
                })
                .unzip();
            ReusedForm {
                kind: origin.kind.to_string(),
                repo_type,
                repo,
                revision: origin.revision.as_ref().map(ToString::to_string),
                path: origin.path.as_ref().map(ToString::to_string),
                content: origin.content.as_ref().map(ToString::to_string),
                n: one.n_origins,
                bytes: one.bytes,
            }
        })
        .collect();
    serde_json::json!(forms).to_string()
}

/// Reads where reused bytes came from; where nobody wrote it down, all of them
/// are of unknown origin.
pub(super) fn read_reused(
    row: &Row<'_>,
    column: &str,
    bytes_reused: u64,
) -> rusqlite::Result<Vec<Reused>> {
    let text: Option<String> = row.get(column)?;
    let Some(text) = text else {
        let unknown = Reused::one(Origin::of_kind(OriginKind::Unknown), bytes_reused);
        return Ok(Some(unknown)
            .filter(|it| it.bytes > 0)
            .into_iter()
            .collect());
    };
    let forms: Result<Vec<ReusedForm>, _> = serde_json::from_str(&text);
    let forms = forms.map_err(|err| unreadable(column, err))?;
    let read = forms.into_iter().map(ReusedForm::read);
    read.map(|one| one.map_err(|why| unreadable(column, why)))
        .collect()
}

impl ReusedForm {
    fn read(self) -> Result<Reused, String> {
        let repo = match (self.repo_type, self.repo) {
            (Some(kind), Some(id)) => Some(Repo::new(parsed(&kind)?, parsed(&id)?)),
            _ => None,
        };
        let origin = Origin {
            kind: parsed(&self.kind)?,
            repo,
            revision: self.revision.as_deref().map(parsed).transpose()?,
            path: self.path.as_deref().map(parsed).transpose()?,
            content: self.content.as_deref().map(parsed).transpose()?,
        };
        Ok(Reused {
            origin,
            n_origins: self.n,
            bytes: self.bytes,
        })
    }
}

fn parsed<T: FromStr<Err: ToString>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|err: T::Err| err.to_string())
}
