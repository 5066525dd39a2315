//! The JSON form of values that no query searches: lists, the pause, and the
//! origins of reused bytes.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::str::FromStr;

use rusqlite::types::ValueRef;
use serde::{Deserialize, Serialize};

use super::row::Row;
use super::value::unreadable;
use crate::domain::hold::Finding;
use crate::domain::origin::{OriginKind, Reused};
use crate::domain::pause::Pause;
use crate::domain::repo::Repo;
use crate::domain::time::{Timestamp, render_utc};

/// Renders a list of texts as a JSON array.
pub(super) fn render_list(texts: impl IntoIterator<Item: ToString>) -> String {
    let texts = texts.into_iter().map(|text| text.to_string());
    serde_json::Value::from_iter(texts).to_string()
}

/// Renders the parameter of a query about several rows, for `json_each`.
pub(super) fn render_ids(ids: impl IntoIterator<Item = i64>) -> String {
    serde_json::Value::from_iter(ids).to_string()
}

/// Reads a column that holds a JSON array of texts, or NULL.
pub(super) fn read_list(
    row: &Row<'_>,
    column: &'static str,
) -> rusqlite::Result<Option<Vec<String>>> {
    // Nearly all lists are empty.
    if let ValueRef::Text(b"[]") = row.get_ref(column)? {
        return Ok(Some(Vec::new()));
    }
    row.converted_if_any(column, |text: String| serde_json::from_str(&text))
}

/// Reads a column of a query that gathers words with `json_group_array`.
pub(super) fn read_words<T: FromStr<Err: ToString> + Ord>(
    row: &Row<'_>,
    column: &'static str,
) -> rusqlite::Result<BTreeSet<T>> {
    let parse = |word: &str| word.parse().map_err(|err: T::Err| unreadable(column, err));
    match row.get_ref(column)? {
        ValueRef::Null | ValueRef::Text(b"[]") => return Ok(BTreeSet::new()),
        // Words without escapes, which nearly all are, need no copy.
        ValueRef::Text(text) => {
            if let Ok(words) = serde_json::from_slice::<Vec<&str>>(text) {
                return words.into_iter().map(parse).collect();
            }
        }
        _ => {}
    }
    let words = read_list(row, column)?.unwrap_or_default();
    words.iter().map(|word| parse(word)).collect()
}

/// The JSON form of a pause; times are RFC 3339, for people who read the database.
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

/// Reads a pause, or returns the reason why it cannot be read.
pub(super) fn read_pause(text: &str) -> Result<Pause, String> {
    let form: PauseForm = serde_json::from_str(text).map_err(|err| err.to_string())?;
    let time = |text: String| text.parse::<Timestamp>().map_err(|err| err.to_string());
    Ok(Pause {
        since: time(form.since)?,
        until: form.until.map(time).transpose()?,
        reason: form.reason,
    })
}

/// The JSON form of a finding.
#[derive(Deserialize, Serialize)]
struct FindingForm {
    reason: String,
    detail: String,
}

pub(super) fn render_findings(findings: &[Finding]) -> String {
    let forms: Vec<_> = findings
        .iter()
        .map(|finding| FindingForm {
            reason: finding.reason.to_string(),
            detail: finding.detail.clone(),
        })
        .collect();
    serde_json::json!(forms).to_string()
}

/// Reads the column `findings`.
pub(super) fn read_findings(row: &Row<'_>) -> rusqlite::Result<Vec<Finding>> {
    const COLUMN: &str = "findings";
    let forms: Option<Vec<FindingForm>> =
        row.converted_if_any(COLUMN, |text: String| serde_json::from_str(&text))?;
    let findings = forms.unwrap_or_default().into_iter().map(|form| {
        let reason = form.reason.parse().map_err(|err| unreadable(COLUMN, err))?;
        let detail = form.detail;
        Ok(Finding { reason, detail })
    });
    findings.collect()
}

/// The JSON form of an origin; fields of older versions are ignored.
#[derive(Deserialize, Serialize)]
struct ReusedForm {
    kind: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    repo_type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    repo: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    folder: Option<PathBuf>,
    n: u64,
    bytes: u64,
}

pub(super) fn render_reused(reused: &[Reused]) -> String {
    let form = |one: &Reused| ReusedForm {
        kind: one.kind.to_string(),
        repo_type: one.repo.as_ref().map(|repo| repo.kind.to_string()),
        repo: one.repo.as_ref().map(|repo| repo.id.to_string()),
        folder: one.folder.clone(),
        n: one.n_files,
        bytes: one.bytes,
    };
    serde_json::json!(reused.iter().map(form).collect::<Vec<_>>()).to_string()
}

/// Reads the origins of reused bytes. In rows without them all bytes are of
/// unknown origin.
pub(super) fn read_reused(
    row: &Row<'_>,
    column: &'static str,
    bytes_reused: u64,
) -> rusqlite::Result<Vec<Reused>> {
    let Some(text) = row.get::<Option<String>>(column)? else {
        let unknown = Reused {
            kind: OriginKind::Unknown,
            repo: None,
            folder: None,
            n_files: 1,
            bytes: bytes_reused,
        };
        return Ok(Vec::from_iter((bytes_reused > 0).then_some(unknown)));
    };
    let forms: Vec<ReusedForm> =
        serde_json::from_str(&text).map_err(|err| unreadable(column, err))?;
    let read: Result<Vec<Reused>, String> = forms.into_iter().map(ReusedForm::read).collect();
    read.map_err(|why| unreadable(column, why))
}

impl ReusedForm {
    fn read(self) -> Result<Reused, String> {
        let repo = match (self.repo_type, self.repo) {
            (Some(kind), Some(id)) => Some(Repo::new(parsed(&kind)?, parsed(&id)?)),
            _ => None,
        };
        Ok(Reused {
            kind: parsed(&self.kind)?,
            repo,
            folder: self.folder,
            n_files: self.n,
            bytes: self.bytes,
        })
    }
}

fn parsed<T: FromStr<Err: ToString>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|err: T::Err| err.to_string())
}
