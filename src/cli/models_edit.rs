//! What `models add` and `models set` have in common: the flags that describe
//! a model, and what they mean.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::Result;
use clap::Args;

use super::context::Context;
use super::explain::Complaint;
use crate::domain::filter::Filter;
use crate::domain::model::{Destination, EntryName, ModelSpec, Priority, Tag};
use crate::domain::repo::Revision;
use crate::domain::repo_arg::RepoArg;
use crate::domain::settings::Settings;
use crate::ops::directories::Reserved;
use crate::sys::paths;

/// What may be said about a model.
#[derive(Debug, Default, Args)]
pub struct ModelFlags {
    /// Branch, tag, refs/pr/N or full commit (default: main)
    #[arg(long, value_name = "REV")]
    pub revision: Option<Revision>,

    /// Keep only files that match; `*` crosses directories, `data/` takes a folder
    #[arg(long, value_name = "GLOB", value_parser = pattern)]
    pub include: Vec<String>,

    /// Leave out files that match
    #[arg(long, value_name = "GLOB", value_parser = pattern)]
    pub exclude: Vec<String>,

    /// The Hub's cache, or a directory of plain files (default: cache)
    #[arg(long, value_name = "cache|DIR")]
    pub to: Option<String>,

    /// What to call it (default: as the repository)
    #[arg(long)]
    pub name: Option<EntryName>,

    /// Group, by which schedules can select
    #[arg(long)]
    pub tag: Vec<Tag>,

    /// What is fetched first: 0 to 100, higher first (default: 50)
    #[arg(long, value_name = "0..100")]
    pub priority: Option<Priority>,

    /// Revisions to keep on disk (default: the setting keep.revisions)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub keep_revisions: Option<u32>,
}

impl ModelFlags {
    pub fn is_empty(&self) -> bool {
        self.revision.is_none()
            && self.include.is_empty()
            && self.exclude.is_empty()
            && self.to.is_none()
            && self.name.is_none()
            && self.tag.is_empty()
            && self.priority.is_none()
            && self.keep_revisions.is_none()
    }

    /// Makes a new model of a repository argument and the flags.
    pub fn describe(
        self,
        context: &Context,
        settings: &Settings,
        arg: &RepoArg,
    ) -> Result<ModelSpec> {
        let revision = match (self.revision, arg.revision.clone()) {
            (Some(flag), Some(own)) if flag != own => {
                return Err(Complaint::usage("two different revisions are given")
                    .cause(format!(
                        "`--revision {flag}`, and `{own}` in the repository argument"
                    ))
                    .next("leave one of them out")
                    .into());
            }
            (flag, own) => flag.or(own).unwrap_or_else(Revision::main),
        };
        let mut include = arg.include_patterns();
        if !self.include.is_empty() {
            include.get_or_insert_default().extend(self.include);
        }
        let name = match self.name {
            Some(name) => name,
            None => arg.default_name().parse()?,
        };
        Ok(ModelSpec {
            name,
            repo: arg.repo.clone(),
            revision,
            filter: Filter {
                include,
                exclude: self.exclude,
            },
            destination: self.to.map_or(Ok(Destination::Cache), |to| {
                destination(context, settings, &to)
            })?,
            priority: self.priority.unwrap_or_default(),
            keep_revisions: self.keep_revisions,
            enabled: true,
            tags: self.tag.into_iter().collect(),
        })
    }

    /// Changes what the flags name and leaves the rest.
    pub fn change(
        self,
        context: &Context,
        settings: &Settings,
        spec: &mut ModelSpec,
    ) -> Result<()> {
        if let Some(revision) = self.revision {
            spec.revision = revision;
        }
        if !self.include.is_empty() {
            spec.filter.include = Some(self.include);
        }
        if !self.exclude.is_empty() {
            spec.filter.exclude = self.exclude;
        }
        if let Some(to) = self.to {
            spec.destination = destination(context, settings, &to)?;
        }
        if let Some(name) = self.name {
            spec.name = name;
        }
        if !self.tag.is_empty() {
            spec.tags = self.tag.into_iter().collect::<BTreeSet<_>>();
        }
        if let Some(priority) = self.priority {
            spec.priority = priority;
        }
        if self.keep_revisions.is_some() {
            spec.keep_revisions = self.keep_revisions;
        }
        Ok(())
    }
}

/// Ways to take back what a flag of `models set` once said.
#[derive(Debug, Default, Args)]
pub struct ModelClears {
    /// Keep all files again
    #[arg(long, conflicts_with = "include")]
    pub no_include: bool,

    /// Leave out no files any more
    #[arg(long, conflicts_with = "exclude")]
    pub no_exclude: bool,

    /// Remove all tags
    #[arg(long, conflicts_with = "tag")]
    pub no_tag: bool,

    /// Follow the setting keep.revisions again
    #[arg(long, conflicts_with = "keep_revisions")]
    pub no_keep_revisions: bool,
}

impl ModelClears {
    pub fn is_empty(&self) -> bool {
        !(self.no_include || self.no_exclude || self.no_tag || self.no_keep_revisions)
    }

    pub fn change(&self, spec: &mut ModelSpec) {
        if self.no_include {
            spec.filter.include = None;
        }
        if self.no_exclude {
            spec.filter.exclude.clear();
        }
        if self.no_tag {
            spec.tags.clear();
        }
        if self.no_keep_revisions {
            spec.keep_revisions = None;
        }
    }
}

/// Refuses what an unset shell variable leaves behind: nothing would match it.
fn pattern(text: &str) -> Result<String, &'static str> {
    match text {
        "" => Err("an empty pattern matches no file"),
        text => Ok(text.to_owned()),
    }
}

/// Understands `--to`: the word `cache`, or a directory that may hold plain files.
pub fn destination(context: &Context, settings: &Settings, to: &str) -> Result<Destination> {
    if to == "cache" {
        return Ok(Destination::Cache);
    }
    if to.is_empty() || to.contains('\0') {
        return Err(Complaint::usage("`--to` needs a directory or the word `cache`").into());
    }
    let path = paths::expand_home(&context.host, to)?;
    let reserved = Reserved::find(&context.host, Path::new(settings.cache_dir()))?;
    if let Some(why) = reserved.objection(&path) {
        let headline = format!("`{}` cannot hold the files of a model", path.display());
        return Err(Complaint::usage(headline)
            .cause(why)
            .next("leave `--to` out to use the cache, or name another directory")
            .into());
    }
    Ok(Destination::Directory(path))
}
