//! The user's specification of a model, and the table of its fields.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::str::FromStr;

use super::{EntryName, Tag};
use crate::domain::field::Read::{Before, List, Number, Place, Places, Switch, Text};
use crate::domain::field::{Entity, Field, FieldValue, parsed, set, set_list};
use crate::domain::filter::Filter;
use crate::domain::invalid_value::InvalidValue;
use crate::domain::login::TokenName;
use crate::domain::policy::{
    HasRules, UpdateRules, delay_field, follow_tags_field, guards_field, policy_field,
};
use crate::domain::repo::{Repo, Revision};
use crate::domain::repo_arg::RepoArg;
use crate::domain::view::{ViewMapping, ViewSpec};

/// The place of a model's files.
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
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        match text.parse() {
            Ok(value @ 0..=100) => Ok(Self(value)),
            _ => Err(InvalidValue::not_valid("priority", text)
                .next("write a whole number from 0 to 100")),
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
    /// The number of revisions to keep; `None` follows the setting.
    pub keep_revisions: Option<u32>,
    pub enabled: bool,
    pub tags: BTreeSet<Tag>,
    /// The token of `stored_tokens` to use; `None` uses that of the machine.
    pub token_name: Option<TokenName>,
    /// Where other programs find the files, too.
    pub views: BTreeSet<ViewSpec>,
    /// The paths of files in views whose kind asks for them.
    pub view_map: BTreeSet<ViewMapping>,
    /// Whether views may copy where no link is possible.
    pub view_copy: bool,
    /// Whether `SHA256SUMS` is written into the directory and the views.
    pub checksums: bool,
    /// Its own rules about updates; others are those of its tags.
    pub update: UpdateRules,
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
            token_name: None,
            views: BTreeSet::new(),
            view_map: BTreeSet::new(),
            view_copy: false,
            checksums: false,
            update: UpdateRules::default(),
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

    /// Returns the views, with that of the checksums in a directory.
    pub fn all_views(&self) -> BTreeSet<ViewSpec> {
        let mut views = self.views.clone();
        if let (true, Destination::Directory(root)) = (self.checksums, &self.destination) {
            views.insert(ViewSpec::checksums(root));
        }
        views
    }

    /// Returns the reason why the fields contradict each other, if they do.
    pub fn contradiction(&self) -> Option<String> {
        let commit = self.revision.as_commit()?;
        let pin = self
            .update
            .policy
            .as_ref()
            .and_then(|it| it.commit.as_ref());
        if let Some(pattern) = &self.update.follow_tags {
            return Some(format!(
                "it follows the tags `{pattern}`, and its revision is a commit, which never moves"
            ));
        }
        let other = pin.filter(|pin| !pin.is_start_of(&commit))?;
        Some(format!(
            "it is pinned at {}, and its revision is the commit {}",
            other.as_str(),
            commit.short()
        ))
    }

    /// Tells whether two entries pin the ref that they share at different commits.
    pub fn is_pinned_apart(&self, other: &Self) -> bool {
        let pin = |spec: &Self| spec.update.policy.as_ref()?.commit.clone();
        let (Some(one), Some(two)) = (pin(self), pin(other)) else {
            return false;
        };
        let (one, two) = (one.as_str(), two.as_str());
        self.shares_ref(other) && !one.starts_with(two) && !two.starts_with(one)
    }

    /// Tells whether two entries mean the same files in the same place; there can be
    /// only one entry of each. The cache holds several selections of a revision, a
    /// directory one.
    pub fn is_same_copy(&self, other: &Self) -> bool {
        self.is_same_revision(other)
            && (self.destination != Destination::Cache || self.filter == other.filter)
    }

    /// Tells whether two entries mean the same repository at the same revision in the
    /// same place.
    pub fn is_same_revision(&self, other: &Self) -> bool {
        self.repo == other.repo
            && self.revision == other.revision
            && self.destination == other.destination
    }

    /// Tells whether two entries follow one ref of the cache.
    pub fn shares_ref(&self, other: &Self) -> bool {
        self.destination == Destination::Cache && self.is_same_revision(other)
    }
}

impl HasRules for ModelSpec {
    fn rules(&self) -> &UpdateRules {
        &self.update
    }

    fn rules_mut(&mut self) -> &mut UpdateRules {
        &mut self.update
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

type ModelField = Field<ModelSpec>;

#[rustfmt::skip]
const FIELDS: &[ModelField] = &[
    ModelField::new("repo", |m| FieldValue::Text(repo_text(&m.repo)), Before).json(None).essential(),
    ModelField::new("name", |m| FieldValue::text(&m.name), Text(set_name)).json(None)
        .flag("name", "NAME", "Name of the entry (default: as the repository)"),
    ModelField::new("revision", |m| FieldValue::text(&m.revision), Text(|m, text| { m.revision = parsed(text)?.unwrap_or_else(Revision::main); Ok(()) }))
        .flag("revision", "REV", "Branch, tag, refs/pr/N or full commit (default: main)"),
    ModelField::new("include", |m| FieldValue::optional_list(m.filter.include.as_ref()), List(|m, texts| { m.filter.include = texts.map(patterns).transpose()?; Ok(()) }))
        .absent("all files")
        .flag("include", "GLOB", "Keep only files that match; `*` crosses directories, `data/` takes a folder")
        .no("Keep all files again"),
    ModelField::new("exclude", |m| FieldValue::list(&m.filter.exclude), List(|m, texts| { m.filter.exclude = patterns(texts.unwrap_or_default())?; Ok(()) }))
        .flag("exclude", "GLOB", "Leave out files that match")
        .no("Exclude no files"),
    ModelField::new("to", |m| FieldValue::Text(place_text(&m.destination)), Place(|m, to| m.destination = to))
        .flag("to", "cache|DIR", "The Hub's cache, or a directory of plain files (default: cache)"),
    ModelField::new("tags", |m| FieldValue::list(&m.tags), List(|m, texts| set_list(&mut m.tags, texts)))
        .flag("tag", "TAG", "Group, by which schedules can select")
        .no("Remove all tags"),
    ModelField::new("priority", |m| FieldValue::Number(m.priority.get().into()), Number(|m, text| set(&mut m.priority, text)))
        .flag("priority", "0..100", "Order of downloads: 0 to 100, higher first (default: 50)"),
    ModelField::new("keep_revisions", |m| FieldValue::optional_number(m.keep_revisions), Number(set_keep_revisions))
        .absent("default (keep.revisions)")
        .flag("keep-revisions", "N", "Revisions to keep on disk in all, the published one included (default: the setting keep.revisions)")
        .no("Follow the setting keep.revisions again"),
    ModelField::new("token_name", |m| FieldValue::optional(m.token_name.as_ref()), Text(|m, text| { m.token_name = parsed(text)?; Ok(()) }))
        .absent("none: the default token")
        .flag("token-name", "NAME", "Token to use, by its name in `hf auth list` (default: that of this machine)")
        .no("Use this machine's token again"),
    ModelField::new("views", |m| FieldValue::list(&m.views), Places(set_views))
        .flag("view", "KIND=DIR", "Show the files to another program, in DIR: dir, lmstudio, ollama, comfyui, text-generation-webui or modelscope")
        .no("Remove all views; `--view none` does the same"),
    ModelField::new("view_map", |m| FieldValue::list(&m.view_map), List(|m, texts| set_list(&mut m.view_map, texts)))
        .flag("view-map", "FILE=PATH", "Path of a file in a comfyui view, such as checkpoints/name.safetensors")
        .no("Map no files"),
    ModelField::new("view_copy", |m| FieldValue::Switch(m.view_copy), Switch(|m, copy| m.view_copy = copy))
        .flag("copy", "", "Let views copy files where no link is possible")
        .no("Let views make links only"),
    ModelField::new("checksums", |m| FieldValue::Switch(m.checksums), Switch(|m, write| m.checksums = write))
        .flag("checksums", "", "Write a file SHA256SUMS into the directory of --to and into views")
        .no("Write no SHA256SUMS, and remove it"),
    policy_field(),
    delay_field(),
    follow_tags_field(),
    guards_field(),
    ModelField::new("enabled", |m| FieldValue::Switch(m.enabled), Switch(|m, enabled| m.enabled = enabled)),
];

fn set_name(model: &mut ModelSpec, text: Option<&str>) -> Result<(), InvalidValue> {
    if let Some(name) = parsed(text)? {
        model.name = name;
    }
    Ok(())
}

/// The word that means no view, beside an empty list.
const NO_VIEW: &str = "none";

fn set_views(model: &mut ModelSpec, texts: Option<Vec<String>>) -> Result<(), InvalidValue> {
    let texts = texts.filter(|texts| texts.as_slice() != [NO_VIEW]);
    set_list(&mut model.views, texts)
}

fn set_keep_revisions(model: &mut ModelSpec, text: Option<&str>) -> Result<(), InvalidValue> {
    let number = text.map(str::parse).transpose();
    model.keep_revisions = match number {
        Ok(count @ (None | Some(1..=1_000))) => count,
        _ => {
            let refusal = InvalidValue::new("it is out of range");
            return Err(refusal.next("write a whole number from 1 to 1000"));
        }
    };
    Ok(())
}

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
fn patterns(texts: Vec<String>) -> Result<Vec<String>, InvalidValue> {
    for text in &texts {
        if text.is_empty() {
            let refusal = InvalidValue::new("an empty pattern matches no file");
            return Err(refusal.next("write one such as `*.json`"));
        }
        if text.contains('\0') {
            return Err(InvalidValue::new("it contains a NUL"));
        }
    }
    Ok(texts)
}

/// Writes a destination as `--to` takes it.
fn place_text(destination: &Destination) -> String {
    match destination {
        Destination::Cache => "cache".to_owned(),
        Destination::Directory(path) => path.display().to_string(),
    }
}
