//! Reads models, schedules and settings from the values of an apply file.
//!
//! The tables of fields in `domain` give the keys and the readers; this file
//! adds the checks that need more than one field, and the place of each error.

use std::path::{Path, PathBuf};

use super::document::{Document, FileFault, Node, Place};
use super::entry_items::{EntryItem, Fields};
use crate::domain::argv::Argv;
use crate::domain::field::{Entity, Read};
use crate::domain::invalid_value::InvalidValue;
use crate::domain::model::{Destination, EntryName, ModelSpec};
use crate::domain::repo_arg::RepoArg;
use crate::domain::schedule::{CADENCE_KEYS, Cadence, CadenceKind, SELECTION_KEYS, ScheduleSpec};
use crate::domain::settings::{SettingError, SettingKey, ValueKind};
use crate::domain::tag::TagSpec;
use crate::sys::paths;

/// Values of this machine that complete a file.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// The base URL whose pages name repositories.
    pub endpoint: String,
    pub time_zone: Option<String>,
    /// The directory that `~/` means.
    pub home: Option<PathBuf>,
}

/// The entries of a file; a missing section is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    pub settings: Option<Vec<Entry<(SettingKey, String)>>>,
    pub tags: Option<Vec<Entry<TagSpec>>>,
    pub models: Option<Vec<Entry<ModelSpec>>>,
    pub schedules: Option<Vec<Entry<ScheduleSpec>>>,
}

/// An entry and its place in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry<T> {
    pub value: T,
    pub place: Place,
    /// The models that it names, each with its place.
    pub mentions: Vec<(EntryName, Place)>,
}

impl<T> Entry<T> {
    fn new(value: T, place: Place) -> Self {
        Self {
            value,
            place,
            mentions: Vec::new(),
        }
    }
}

/// An error at a place of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Objection {
    pub place: Place,
    pub message: String,
    pub hint: Option<String>,
}

impl Objection {
    pub fn new(place: &Place, message: impl Into<String>) -> Self {
        Self {
            place: place.clone(),
            message: message.into(),
            hint: None,
        }
    }

    /// Objects to a value with its own next step.
    pub fn to(place: &Place, value: InvalidValue) -> Self {
        Self {
            hint: value.next_step().map(str::to_owned),
            ..Self::new(place, value.to_string())
        }
    }

    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub fn locate(self, document: &Document) -> FileFault {
        document.fault(&self.place, self.message, self.hint)
    }
}

pub(super) type EntryResult<T> = Result<T, Objection>;

const SECTIONS: &[&str] = &["version", "config", "tags", "models", "schedules"];

impl Wanted {
    /// Reads the whole file and checks each entry by itself.
    pub fn read(root: &Node, around: &Surroundings) -> EntryResult<Self> {
        let root = EntryItem::root(root);
        let file = root.fields("the file", SECTIONS)?;
        match file.get("version").map(|item| (item.node, item)) {
            Some((Node::Number(1), _)) => {}
            Some((_, item)) => {
                return Err(item.refuse("this hfdl reads files of `version: 1`"));
            }
            None => {
                return Err(root
                    .refuse("`version` is missing")
                    .hint("write `version: 1` as the first line"));
            }
        }
        let settings = file.section("config", "{}")?.map(read_settings);
        let settings = settings.transpose()?;
        let endpoint = settings.iter().flatten().find_map(|entry| {
            (entry.value.0 == SettingKey::HubEndpoint).then(|| entry.value.1.clone())
        });
        let around = Surroundings {
            endpoint: endpoint.unwrap_or_else(|| around.endpoint.clone()),
            ..around.clone()
        };
        let settings = settings.map(|list| expand_paths(list, &around));
        Ok(Self {
            settings: settings.transpose()?,
            tags: file.entries("tags", |item| read_tag(item, &around))?,
            models: file.entries("models", |item| read_model(item, &around))?,
            schedules: file.entries("schedules", |item| read_schedule(item, &around))?,
        })
    }

    /// Returns the value of a key in the file.
    pub fn setting(&self, key: SettingKey) -> Option<&str> {
        let mut entries = self.settings.iter().flatten();
        entries
            .find(|entry| entry.value.0 == key)
            .map(|entry| entry.value.1.as_str())
    }
}

fn read_settings(section: EntryItem<'_>) -> EntryResult<Vec<Entry<(SettingKey, String)>>> {
    let Node::Map(entries) = section.node else {
        return Err(section.refuse("`config` must be a mapping of settings to values"));
    };
    section.refuse_repeated(entries)?;
    let mut settings = Vec::new();
    for (index, (name, node)) in entries.iter().enumerate() {
        let key = SettingKey::find(name).map_err(|err| {
            Objection::new(&section.place.key(index), err.to_string()).hint(err.hint())
        })?;
        let item = section.child(index, name, node);
        let takes_number = matches!(
            key.spec().kind,
            ValueKind::Count { .. } | ValueKind::Size { .. } | ValueKind::Rate
        );
        let text = match item.node {
            Node::Number(number) if takes_number => number.to_string(),
            Node::List(_) if key.spec().kind == ValueKind::Argv => program(&item)?.to_string(),
            _ => item.text()?.to_owned(),
        };
        let value = key.check(&text).map_err(|err| match err {
            SettingError::WrongValue { why, .. } => {
                let fact = format!("`{}` is not a valid value for `{key}`", key.shown(&text));
                Objection::to(&item.place, why.within(fact))
            }
            other => item.refuse(other.to_string()),
        })?;
        settings.push(Entry::new((key, value.to_string()), item.place));
    }
    Ok(settings)
}

fn program(item: &EntryItem<'_>) -> EntryResult<Argv> {
    let words = item
        .list()
        .iter()
        .map(|word| word.text().map(str::to_owned))
        .collect::<EntryResult<Vec<_>>>()?;
    Argv::from_words(words).map_err(|err| item.refuse_value(err))
}

/// Makes paths absolute: a relative one would mean another place for each caller.
fn expand_paths(
    mut settings: Vec<Entry<(SettingKey, String)>>,
    around: &Surroundings,
) -> EntryResult<Vec<Entry<(SettingKey, String)>>> {
    for entry in &mut settings {
        let (key, value) = &mut entry.value;
        let is_path = matches!(key.spec().kind, ValueKind::Path | ValueKind::File);
        if is_path && !key.is_off(value) {
            let path = directory(value, around)
                .map_err(|why| Objection::to(&entry.place, why.within(format!("`{value}`"))))?;
            *value =
                paths::text(&path).map_err(|err| Objection::new(&entry.place, err.to_string()))?;
        }
    }
    Ok(settings)
}

fn read_tag(item: EntryItem<'_>, around: &Surroundings) -> EntryResult<Entry<TagSpec>> {
    let fields = item.entity::<TagSpec>("a tag")?;
    let name = fields
        .parsed("name")?
        .ok_or_else(|| fields.missing("name"))?;
    let mut tag = TagSpec::new(name);
    read_fields(&fields, &mut tag, around)?;
    Ok(Entry::new(tag, item.place))
}

fn read_model(item: EntryItem<'_>, around: &Surroundings) -> EntryResult<Entry<ModelSpec>> {
    let fields = item.entity::<ModelSpec>("a model")?;
    let repo = fields.required("repo")?;
    let arg =
        RepoArg::parse(repo.text()?, &around.endpoint).map_err(|err| repo.refuse_value(err))?;
    let name = match fields.parsed("name")? {
        Some(name) => name,
        None => arg
            .default_name()
            .parse()
            .map_err(|err| repo.refuse_value(err))?,
    };
    let mut model = ModelSpec::new(name, arg.repo.clone());
    read_fields(&fields, &mut model, around)?;
    let revision = fields.get("revision");
    let completed = model.complete(&arg, revision.is_some());
    completed.map_err(|own| {
        let place = revision.as_ref().unwrap_or(&repo);
        place.refuse(format!("`repo` names another revision: `{own}`"))
    })?;
    if let Some(why) = model.contradiction() {
        return Err(item.refuse(format!(
            "the model `{}` contradicts itself: {why}",
            model.name
        )));
    }
    Ok(Entry::new(model, item.place))
}

/// Reads the fields that the file gives, each by its entry in the table.
fn read_fields<S: Entity>(
    fields: &Fields<'_>,
    entry: &mut S,
    around: &Surroundings,
) -> EntryResult<()> {
    for field in S::FIELDS {
        let Some(item) = fields.get(field.key) else {
            continue;
        };
        match field.read {
            Read::Before => {}
            Read::Switch(read) => read(entry, item.switch()?),
            Read::Text(read) => {
                read(entry, Some(item.text()?)).map_err(|err| item.refuse_value(err))?;
            }
            Read::Number(read) => {
                let text = item.number_or_text()?;
                read(entry, Some(&text)).map_err(|err| item.refuse_value(err))?;
            }
            Read::List(read) => read_list(&item, entry, read, Ok)?,
            Read::Places(read) => {
                let absolute = |text: String| {
                    let Some((word, path)) = text.split_once('=') else {
                        return Ok(text);
                    };
                    let path = directory(path, around)?;
                    Ok(format!("{word}={}", path.display()))
                };
                read_list(&item, entry, read, absolute)?;
            }
            Read::Place(read) => {
                let text = item.text()?;
                let place = destination(text, around)
                    .map_err(|why| Objection::to(&item.place, why.within(format!("`{text}`"))));
                read(entry, place?);
            }
        }
    }
    Ok(())
}

/// Reads a list, in which `complete` makes each text absolute.
fn read_list<S: Entity>(
    item: &EntryItem<'_>,
    entry: &mut S,
    read: fn(&mut S, Option<Vec<String>>) -> Result<(), InvalidValue>,
    complete: impl Fn(String) -> Result<String, InvalidValue>,
) -> EntryResult<()> {
    let mut texts = Vec::new();
    let mut scratch = entry.clone();
    for part in item.list() {
        let text = complete(part.text()?.to_owned()).map_err(|why| part.refuse_value(why))?;
        // First one by one, to find the place of the wrong one.
        read(&mut scratch, Some(vec![text.clone()])).map_err(|err| part.refuse_value(err))?;
        texts.push(text);
    }
    read(entry, Some(texts)).map_err(|err| item.refuse_value(err))
}

fn destination(text: &str, around: &Surroundings) -> Result<Destination, InvalidValue> {
    Ok(match text {
        "cache" => Destination::Cache,
        path => Destination::Directory(directory(path, around)?),
    })
}

/// Accepts an absolute path, or one below the home directory.
fn directory(text: &str, around: &Surroundings) -> Result<PathBuf, InvalidValue> {
    let path = match (text.strip_prefix("~/"), &around.home) {
        (Some(rest), Some(home)) => home.join(rest),
        (Some(_), None) => {
            let refusal = InvalidValue::new("no home directory is known");
            return Err(refusal.next("write the whole path"));
        }
        (None, _) => Path::new(text).to_path_buf(),
    };
    if text.contains('\0') {
        return Err(InvalidValue::new("it contains a NUL"));
    }
    if !path.is_absolute() {
        let why = "a relative path would mean another place for each caller";
        return Err(InvalidValue::new(why).next("write an absolute path, or `cache`"));
    }
    // Without `.` and final slashes, so that one place has one spelling.
    Ok(path.components().collect())
}

fn read_schedule(item: EntryItem<'_>, around: &Surroundings) -> EntryResult<Entry<ScheduleSpec>> {
    let fields = item.entity::<ScheduleSpec>("a schedule")?;
    let name = fields.required("name")?;
    let name = name.text()?.parse().map_err(|err| name.refuse_value(err))?;
    let cadence = read_cadence(&fields)?;
    let zone = match (fields.get("tz"), &around.time_zone) {
        (None, None) => {
            return Err(fields
                .item
                .refuse("`tz` is missing, and the system's time zone has no name")
                .hint("write a zone such as `tz: Europe/Berlin`"));
        }
        (_, zone) => zone.clone().unwrap_or_default(),
    };
    let mut schedule = ScheduleSpec::new(name, cadence, zone);
    read_fields(&fields, &mut schedule, around)?;
    // An empty list is a valid selection: the schedule includes no model for now.
    if SELECTION_KEYS.iter().all(|key| fields.get(key).is_none()) {
        return Err(fields
            .item
            .refuse("no models are selected")
            .hint("write `all: true`, `models: [NAME]` or `tags: [TAG]`"));
    }
    Ok(Entry {
        mentions: fields.places_of_words("models")?,
        ..Entry::new(schedule, item.place)
    })
}

fn read_cadence(fields: &Fields<'_>) -> EntryResult<Cadence> {
    let mut given = CadenceKind::ALL
        .iter()
        .zip(CADENCE_KEYS)
        .filter_map(|(kind, key)| Some((*kind, fields.get(key)?)));
    let Some((kind, item)) = given.next() else {
        return Err(fields
            .item
            .refuse("no time is given for the schedule")
            .hint("write one of every, daily, weekly, monthly, cron and once"));
    };
    if let Some((_, second)) = given.next() {
        return Err(second
            .refuse(format!("`{}` stands beside `{}`", second.name, item.name))
            .hint("a schedule has one cadence; write two schedules for two"));
    }
    Cadence::parse(kind, item.text()?).map_err(|err| item.refuse_value(err))
}
