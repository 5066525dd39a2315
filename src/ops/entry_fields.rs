//! The fields of models and schedules as values of the file, for the
//! differences and for the export.

use super::document::Node;
use crate::domain::model::{Destination, ModelSpec, Priority};
use crate::domain::repo::{Repo, Revision};
use crate::domain::repo_arg::RepoArg;
use crate::domain::schedule::{CadenceKind, ScheduleSpec, Selection};
use crate::domain::units::Seconds;

/// A field of an entry, for the differences and for the export.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    pub name: &'static str,
    pub value: Node,
    /// A new entry that does not mention the field has the same value.
    pub is_default: bool,
}

/// Returns all fields of a model but its name.
pub fn model_fields(spec: &ModelSpec) -> Vec<Field> {
    let plain = Revision::main();
    let destination = match &spec.destination {
        Destination::Cache => "cache".to_owned(),
        Destination::Directory(path) => path.to_string_lossy().into_owned(),
    };
    let include = spec.filter.include.as_ref();
    let keep = spec.keep_revisions;
    vec![
        field("repo", Node::Text(repo_text(&spec.repo)), false),
        field("revision", text(&spec.revision), spec.revision == plain),
        field(
            "include",
            include.map_or(Node::Null, texts),
            include.is_none(),
        ),
        field(
            "exclude",
            texts(&spec.filter.exclude),
            spec.filter.exclude.is_empty(),
        ),
        field(
            "to",
            Node::Text(destination),
            spec.destination == Destination::Cache,
        ),
        field("tags", texts(&spec.tags), spec.tags.is_empty()),
        priority(spec.priority),
        field(
            "keep_revisions",
            keep.map_or(Node::Null, |count| Node::Number(count.into())),
            keep.is_none(),
        ),
        field("enabled", Node::Switch(spec.enabled), spec.enabled),
    ]
}

/// Writes a repository so that it is read back: `datasets/name`, without a
/// namespace, would look like a slip, and its page does not.
fn repo_text(repo: &Repo) -> String {
    let short = repo.to_string();
    match RepoArg::parse(&short, "") {
        Ok(arg) if arg.repo == *repo => short,
        _ => format!("https://huggingface.co/{}/{}", repo.kind.plural(), repo.id),
    }
}

/// Returns all fields of a schedule but its name.
pub fn schedule_fields(spec: &ScheduleSpec) -> Vec<Field> {
    let windows = spec.windows.texts();
    let Selection { all, models, tags } = &spec.selection;
    let covers_nothing = !all && models.is_empty() && tags.is_empty();
    let within = spec.catch_up.within();
    vec![
        field(
            cadence_field(spec.cadence.kind()),
            Node::Text(spec.cadence.spec()),
            false,
        ),
        field("tz", text(&spec.time_zone), false),
        field("window", texts(&windows), windows.is_empty()),
        field(
            "catch_up",
            text(spec.catch_up.as_str()),
            spec.catch_up.as_str() == "once",
        ),
        optional("catch_up_within", within),
        field("jitter", text(spec.jitter), spec.jitter == Seconds(0)),
        optional("limit_rate", spec.limit_rate.as_ref()),
        optional("max_duration", spec.max_duration),
        optional("max_transfer", spec.max_transfer),
        priority(spec.priority),
        field("enabled", Node::Switch(spec.enabled), spec.enabled),
        field("all", Node::Switch(*all), !all),
        field(
            "models",
            texts(models),
            models.is_empty() && !covers_nothing,
        ),
        field("tags", texts(tags), tags.is_empty()),
    ]
}

fn field(name: &'static str, value: Node, is_default: bool) -> Field {
    Field {
        name,
        value,
        is_default,
    }
}

fn optional(name: &'static str, value: Option<impl ToString>) -> Field {
    let is_default = value.is_none();
    field(name, value.map_or(Node::Null, text), is_default)
}

fn priority(priority: Priority) -> Field {
    let number = Node::Number(priority.get().into());
    field("priority", number, priority == Priority::default())
}

fn text(value: impl ToString) -> Node {
    Node::Text(value.to_string())
}

fn texts<T: ToString>(values: impl IntoIterator<Item = T>) -> Node {
    Node::List(values.into_iter().map(text).collect())
}

/// Returns the key that stands for a kind of cadence.
pub(super) fn cadence_field(kind: CadenceKind) -> &'static str {
    match kind {
        CadenceKind::Interval => "every",
        other => other.as_str(),
    }
}
