//! The user's specification of a model, and the table of its fields.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::str::FromStr;

use super::{EntryName, Tag};
use crate::domain::field::{Entity, Field, FieldValue, Flag, Read, parsed, parsed_list};
use crate::domain::filter::Filter;
use crate::domain::repo::{NameError, Repo, Revision};
use crate::domain::repo_arg::RepoArg;

/// Where a model's files go.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Destination {
    /// The Hub cache that all libraries share.
    Cache,
    /// A directory of real files; always absolute.
    Directory(PathBuf),
}

/// The order in which due work is done: 0 to 100, higher first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Priority(u8);

impl Priority {
    pub fn get(self) -> u8 {
        self.0
    }
}

impl Default for Priority {
    fn default() -> Self {
        Self(50)
    }
}

impl FromStr for Priority {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        match text.parse() {
            Ok(value @ 0..=100) => Ok(Self(value)),
            _ => Err(NameError::new(
                "priority",
                text,
                "it must be a whole number from 0 to 100",
            )),
        }
    }
}

/// The user's specification of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelSpec {
    pub name: EntryName,
    pub repo: Repo,
    pub revision: Revision,
    pub filter: Filter,
    pub destination: Destination,
    pub priority: Priority,
    /// How many revisions to keep; `None` follows the setting.
    pub keep_revisions: Option<u32>,
    pub enabled: bool,
    pub tags: BTreeSet<Tag>,
}

impl ModelSpec {
    /// Returns a model with the default of each other field.
    pub fn new(name: EntryName, repo: Repo) -> Self {
        Self {
            name,
            repo,
            revision: Revision::main(),
            filter: Filter::default(),
            destination: Destination::Cache,
            priority: Priority::default(),
            keep_revisions: None,
            enabled: true,
            tags: BTreeSet::new(),
        }
    }

    /// Adds the revision and the patterns that a repository argument implies
    /// to those that were given beside it; fails with the argument's revision
    /// when `revision` was given and is another one.
    pub fn complete(&mut self, arg: &RepoArg, is_revision_given: bool) -> Result<(), Revision> {
        if let Some(own) = &arg.revision {
            if is_revision_given && self.revision != *own {
                return Err(own.clone());
            }
            self.revision = own.clone();
        }
        if let Some(mut patterns) = arg.include_patterns() {
            patterns.extend(self.filter.include.take().into_iter().flatten());
            self.filter.include = Some(patterns);
        }
        Ok(())
    }

    /// Tells whether two entries mean the same repository at the same revision
    /// in the same place; there can be only one entry of each.
    pub fn is_same_copy(&self, other: &Self) -> bool {
        self.repo == other.repo
            && self.revision == other.revision
            && self.destination == other.destination
    }
}

impl Entity for ModelSpec {
    const FIELDS: &'static [Field<Self>] = FIELDS;

    fn with_defaults(&self) -> Self {
        let name = self.repo.to_string().parse();
        Self::new(
            name.unwrap_or_else(|_| self.name.clone()),
            self.repo.clone(),
        )
    }
}

const fn field(key: &'static str, write: fn(&ModelSpec) -> FieldValue) -> Field<ModelSpec> {
    Field::new(key, write)
}

const FIELDS: &[Field<ModelSpec>] = &[
    field("repo", |model| FieldValue::Text(repo_text(&model.repo)))
        .json(None)
        .essential(),
    field("name", |model| FieldValue::text(&model.name))
        .json(None)
        .read(Read::Text(|model, text| {
            if let Some(name) = parsed(text)? {
                model.name = name;
            }
            Ok(())
        }))
        .flag(Flag::new(
            "name",
            "NAME",
            "Name of the entry (default: as the repository)",
        )),
    field("revision", |model| FieldValue::text(&model.revision))
        .read(Read::Text(|model, text| {
            model.revision = parsed(text)?.unwrap_or_else(Revision::main);
            Ok(())
        }))
        .flag(Flag::new(
            "revision",
            "REV",
            "Branch, tag, refs/pr/N or full commit (default: main)",
        )),
    field("include", |model| match &model.filter.include {
        Some(patterns) => FieldValue::list(patterns),
        None => FieldValue::Absent,
    })
    .absent("all files")
    .read(Read::List(|model, texts| {
        model.filter.include = texts.map(patterns).transpose()?;
        Ok(())
    }))
    .flag(
        Flag::new(
            "include",
            "GLOB",
            "Keep only files that match; `*` crosses directories, `data/` takes a folder",
        )
        .no("Keep all files again"),
    ),
    field("exclude", |model| FieldValue::list(&model.filter.exclude))
        .read(Read::List(|model, texts| {
            model.filter.exclude = patterns(texts.unwrap_or_default())?;
            Ok(())
        }))
        .flag(Flag::new("exclude", "GLOB", "Leave out files that match").no("Exclude no files")),
    field("to", |model| match &model.destination {
        Destination::Cache => FieldValue::text("cache"),
        Destination::Directory(path) => FieldValue::text(path.display()),
    })
    .read(Read::Place(|model, destination| {
        model.destination = destination;
    }))
    .flag(Flag::new(
        "to",
        "cache|DIR",
        "The Hub's cache, or a directory of plain files (default: cache)",
    )),
    field("tags", |model| FieldValue::list(&model.tags))
        .read(Read::List(|model, texts| {
            model.tags = parsed_list(texts)?;
            Ok(())
        }))
        .flag(
            Flag::new("tag", "TAG", "Group, by which schedules can select").no("Remove all tags"),
        ),
    field("priority", |model| {
        FieldValue::Number(model.priority.get().into())
    })
    .read(Read::Number(|model, text| {
        model.priority = parsed(text)?.unwrap_or_default();
        Ok(())
    }))
    .flag(Flag::new(
        "priority",
        "0..100",
        "Order of downloads: 0 to 100, higher first (default: 50)",
    )),
    field("keep_revisions", |model| match model.keep_revisions {
        Some(count) => FieldValue::Number(count.into()),
        None => FieldValue::Absent,
    })
    .absent("as the setting says")
    .read(Read::Number(|model, text| {
        model.keep_revisions = text.map(revision_count).transpose()?;
        Ok(())
    }))
    .flag(
        Flag::new(
            "keep-revisions",
            "N",
            "Revisions to keep on disk (default: the setting keep.revisions)",
        )
        .no("Follow the setting keep.revisions again"),
    ),
    field("enabled", |model| FieldValue::Switch(model.enabled))
        .read(Read::Switch(|model, enabled| model.enabled = enabled)),
];

/// Writes a repository so that it is read back: the short form of a dataset
/// without a namespace, `datasets/name`, means a model; its page does not.
fn repo_text(repo: &Repo) -> String {
    let short = repo.to_string();
    match RepoArg::parse(&short, "") {
        Ok(arg) if arg.repo == *repo => short,
        _ => format!("https://huggingface.co/{}/{}", repo.kind.plural(), repo.id),
    }
}

/// Refuses an empty pattern, which an unset shell variable leaves behind.
fn patterns(texts: Vec<String>) -> Result<Vec<String>, String> {
    for text in &texts {
        if text.is_empty() {
            return Err("an empty pattern matches no file".to_owned());
        }
        if text.contains('\0') {
            return Err("it contains a NUL".to_owned());
        }
    }
    Ok(texts)
}

fn revision_count(text: &str) -> Result<u32, String> {
    match text.parse() {
        Ok(count @ 1..=1_000) => Ok(count),
        _ => Err("it must be a whole number from 1 to 1000".to_owned()),
    }
}
