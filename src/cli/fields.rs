//! The flags of a table of fields, and its rows in `show`.

use std::marker::PhantomData;
use std::path::Path;

use anyhow::Result;
use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};

use super::context::Context;
use super::explain::Complaint;
use crate::domain::field::{Entity, Field, FieldValue, Read, listed};
use crate::domain::invalid_value::InvalidValue;
use crate::domain::model::Destination;
use crate::domain::settings::Settings;
use crate::ops::directories::Reserved;
use crate::sys::paths;
use crate::ui::text;

/// The given flags of an entity; with `CAN_CLEAR` also `--no-FLAG` for the
/// fields that have it.
#[derive(Debug)]
pub struct FieldFlags<S: Entity, const CAN_CLEAR: bool> {
    given: Vec<GivenField>,
    entity: PhantomData<S>,
}

/// A field that was given; `--no-FLAG` gives it without values.
#[derive(Debug)]
struct GivenField {
    key: &'static str,
    values: Option<Vec<String>>,
}

/// Returns the fields that have a flag, with its name, in the order of the help.
fn flags<S: Entity>() -> impl Iterator<Item = (&'static Field<S>, &'static str)> {
    listed::<S>().filter_map(|field| Some((field, field.flag?)))
}

fn no_flag(flag: &str) -> String {
    format!("no-{flag}")
}

fn value_arg<S>(field: &Field<S>, flag: &'static str) -> Arg {
    let others = field.conflicts.iter().filter(|other| **other != flag);
    let arg = Arg::new(flag).long(flag).help(field.help);
    let arg = arg.conflicts_with_all(others);
    match field.read {
        Read::Switch(_) => arg.action(ArgAction::SetTrue),
        Read::List(_) | Read::Places(_) => {
            arg.value_name(field.value_name).action(ArgAction::Append)
        }
        _ => arg.value_name(field.value_name),
    }
}

fn no_arg<S>(field: &Field<S>, flag: &'static str) -> Option<Arg> {
    let arg = Arg::new(no_flag(flag)).long(no_flag(flag));
    let arg = arg.help(field.no_help?).conflicts_with(flag);
    Some(arg.action(ArgAction::SetTrue))
}

impl<S: Entity, const CAN_CLEAR: bool> Args for FieldFlags<S, CAN_CLEAR> {
    fn augment_args(command: Command) -> Command {
        let command = command.args(flags::<S>().map(|(field, flag)| value_arg(field, flag)));
        let no_args = flags::<S>().filter_map(|(field, flag)| no_arg(field, flag));
        command.args(no_args.filter(|_| CAN_CLEAR))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl<S: Entity, const CAN_CLEAR: bool> FromArgMatches for FieldFlags<S, CAN_CLEAR> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let given = flags::<S>().filter_map(|(field, flag)| {
            let values: Option<Vec<String>> = match field.read {
                Read::Switch(_) => matches.get_flag(flag).then(Vec::new),
                _ => matches
                    .get_many(flag)
                    .map(|values| values.cloned().collect()),
            };
            let has_no_flag = CAN_CLEAR && field.no_help.is_some();
            let is_cleared = has_no_flag && matches.get_flag(&no_flag(flag));
            let key = field.key;
            (values.is_some() || is_cleared).then_some(GivenField { key, values })
        });
        Ok(Self {
            given: given.collect(),
            entity: PhantomData,
        })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl<S: Entity, const CAN_CLEAR: bool> FieldFlags<S, CAN_CLEAR> {
    pub fn is_empty(&self) -> bool {
        self.given.is_empty()
    }

    /// Returns the text of the first of these keys that was given.
    pub fn first_text(&self, keys: &[&str]) -> Option<&str> {
        let mut given = self.given.iter();
        let found = given.find(|given| keys.contains(&given.key))?;
        found.values.as_ref()?.first().map(String::as_str)
    }

    /// Replaces the text of a field that was given.
    pub fn replace_text(&mut self, key: &str, text: String) {
        let given = self.given.iter_mut().find(|given| given.key == key);
        if let Some(given) = given {
            given.values = Some(vec![text]);
        }
    }

    pub fn has_any(&self, keys: &[&str]) -> bool {
        self.given.iter().any(|given| keys.contains(&given.key))
    }

    /// Reads the given flags into an entry and leaves its other fields.
    pub fn read_into(&self, context: &Context, settings: &Settings, entry: &mut S) -> Result<()> {
        for (field, flag) in flags::<S>() {
            let Some(given) = self.given.iter().find(|given| given.key == field.key) else {
                continue;
            };
            let refuse = |why: InvalidValue| Complaint::from(why.within(format!("`--{flag}`")));
            let values = &given.values;
            let text = values.as_ref().and_then(|values| values.first());
            let text = text.map(String::as_str);
            match field.read {
                Read::Switch(read) => read(entry, values.is_some()),
                Read::Place(read) => {
                    read(
                        entry,
                        destination(context, settings, text.unwrap_or("cache"))?,
                    );
                }
                Read::Text(read) | Read::Number(read) => read(entry, text).map_err(refuse)?,
                Read::List(read) => read(entry, values.clone()).map_err(refuse)?,
                Read::Places(read) => {
                    let absolute = |text: &String| with_absolute_directory(context, text);
                    let values = values.as_ref();
                    let values = values.map(|values| values.iter().map(absolute).collect());
                    read(entry, values.transpose()?).map_err(refuse)?;
                }
                Read::Before => {}
            }
        }
        Ok(())
    }
}

/// Makes the directory of `WORD=DIR` absolute.
fn with_absolute_directory(context: &Context, text: &str) -> Result<String> {
    match text.split_once('=') {
        Some((word, directory)) if !directory.is_empty() && !directory.contains('\0') => {
            let path = paths::expand_home(&context.host, directory)?;
            Ok(format!("{word}={}", paths::text(&path)?))
        }
        _ => Ok(text.to_owned()),
    }
}

/// Understands `--to`: the word `cache`, or a directory that may hold plain files.
pub fn destination(context: &Context, settings: &Settings, to: &str) -> Result<Destination> {
    if to == "cache" {
        return Ok(Destination::Cache);
    }
    if to.is_empty() || to.contains('\0') {
        return Err(
            Complaint::usage("`--to` needs a directory or the word `cache`")
                .next("write `--to DIR`, or leave it out for the cache")
                .into(),
        );
    }
    let path = paths::expand_home(&context.host, to)?;
    let reserved = Reserved::find(
        &context.host,
        &context.home,
        Path::new(settings.cache_dir()),
    )?;
    if let Some(why) = reserved.objection(&path) {
        let headline = format!("`{}` cannot hold the files of a model", path.display());
        return Err(Complaint::usage(headline)
            .cause(why)
            .next("leave `--to` out to use the cache, or name another directory")
            .into());
    }
    Ok(Destination::Directory(path))
}

/// Returns the fields that have no row of their own in `show`, with their values.
pub fn rows<S: Entity>(entry: &S) -> Vec<(String, String)> {
    let plain = listed::<S>().filter(|field| !field.is_essential);
    let row = |field: &Field<S>| {
        let label = field.json?.replace('_', " ");
        let value = match (field.write)(entry) {
            FieldValue::Switch(true) => "yes".to_owned(),
            FieldValue::Switch(false) => "no".to_owned(),
            FieldValue::Number(number) => number.to_string(),
            FieldValue::Text(text) => text,
            FieldValue::List(texts) if !texts.is_empty() => text::list(texts),
            FieldValue::Absent | FieldValue::List(_) => field.absent.to_owned(),
        };
        Some((label, value))
    };
    plain.filter_map(row).collect()
}
