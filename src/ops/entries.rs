//! Models, schedules and settings as the apply file has them.
//!
//! One table per kind says which fields there are, so that reading, writing
//! and comparing cannot drift apart.

use std::path::{Path, PathBuf};

use super::document::{Document, Fault, Node, Place};
use super::entry_fields::cadence_field;
use super::entry_items::{Fields, Item};
use crate::domain::argv::Argv;
use crate::domain::filter::Filter;
use crate::domain::model::{Destination, EntryName, ModelSpec};
use crate::domain::repo::Revision;
use crate::domain::repo_arg::RepoArg;
use crate::domain::schedule::{
    Cadence, CadenceKind, CatchUp, ScheduleSpec, Selection, Windows, find_zone,
};
use crate::domain::settings::{SettingError, SettingKey, ValueKind};
use crate::domain::units::Seconds;
use crate::sys::paths;

/// What a file means only together with the machine that it is read on.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// The base URL whose pages name repositories.
    pub endpoint: String,
    pub time_zone: Option<String>,
    /// What `~/` stands for.
    pub home: Option<PathBuf>,
}

/// Everything that a file says; a section that it does not have is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    pub settings: Option<Vec<Entry<(SettingKey, String)>>>,
    pub models: Option<Vec<Entry<ModelSpec>>>,
    pub schedules: Option<Vec<Entry<ScheduleSpec>>>,
}

/// An entry and where the file has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry<T> {
    pub value: T,
    pub place: Place,
    /// Where it names other entries.
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

/// What is wrong at a place of the file.
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

    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub fn locate(self, document: &Document) -> Fault {
        document.fault(&self.place, self.message, self.hint)
    }
}

pub(super) type Result<T> = std::result::Result<T, Objection>;

const SECTIONS: &[&str] = &["version", "config", "models", "schedules"];
const MODEL_FIELDS: &[&str] = &[
    "repo",
    "name",
    "revision",
    "include",
    "exclude",
    "to",
    "tags",
    "priority",
    "keep_revisions",
    "enabled",
];
const SCHEDULE_FIELDS: &[&str] = &[
    "name",
    "every",
    "daily",
    "weekly",
    "monthly",
    "cron",
    "once",
    "tz",
    "window",
    "catch_up",
    "catch_up_within",
    "jitter",
    "limit_rate",
    "max_duration",
    "max_transfer",
    "priority",
    "enabled",
    "all",
    "models",
    "tags",
];

impl Wanted {
    /// Reads the whole file; what one entry says alone is checked here.
    pub fn read(root: &Node, around: &Surroundings) -> Result<Self> {
        let root = Item::root(root);
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
            models: file.entries("models", |item| read_model(item, &around))?,
            schedules: file.entries("schedules", |item| read_schedule(item, &around))?,
        })
    }

    /// Returns the saved value that the file wants for a key.
    pub fn setting(&self, key: SettingKey) -> Option<&str> {
        let mut entries = self.settings.iter().flatten();
        entries
            .find(|entry| entry.value.0 == key)
            .map(|entry| entry.value.1.as_str())
    }
}

fn read_settings(section: Item<'_>) -> Result<Vec<Entry<(SettingKey, String)>>> {
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
            ValueKind::Count { .. } | ValueKind::Size | ValueKind::Rate
        );
        let text = match item.node {
            Node::Number(number) if takes_number => number.to_string(),
            Node::List(_) if key.spec().kind == ValueKind::Argv => program(&item)?.to_string(),
            _ => item.text()?.to_owned(),
        };
        let value = key.check(&text).map_err(|err| match err {
            SettingError::WrongValue { why, .. } => item.refuse(format!(
                "`{}` is not a valid value for `{key}`: {why}",
                key.shown(&text)
            )),
            other => item.refuse(other.to_string()),
        })?;
        settings.push(Entry::new((key, value.to_string()), item.place));
    }
    Ok(settings)
}

fn program(item: &Item<'_>) -> Result<Argv> {
    let words = item
        .list()
        .iter()
        .map(Item::text_owned)
        .collect::<Result<Vec<_>>>()?;
    Argv::from_words(words).map_err(|err| item.refuse_value(err))
}

/// A relative path would mean another place for each caller.
fn expand_paths(
    mut settings: Vec<Entry<(SettingKey, String)>>,
    around: &Surroundings,
) -> Result<Vec<Entry<(SettingKey, String)>>> {
    for entry in &mut settings {
        let (key, value) = &mut entry.value;
        if matches!(key.spec().kind, ValueKind::Path | ValueKind::File) {
            let path = directory(value, around)
                .map_err(|why| Objection::new(&entry.place, format!("`{value}`: {why}")))?;
            *value =
                paths::text(&path).map_err(|err| Objection::new(&entry.place, err.to_string()))?;
        }
    }
    Ok(settings)
}

fn read_model(item: Item<'_>, around: &Surroundings) -> Result<Entry<ModelSpec>> {
    let fields = item.fields("a model", MODEL_FIELDS)?;
    let repo = fields.required("repo")?;
    let arg =
        RepoArg::parse(repo.text()?, &around.endpoint).map_err(|err| repo.refuse_value(err))?;
    let revision = match (fields.parsed::<Revision>("revision")?, &arg.revision) {
        (Some(given), Some(own)) if given != *own => {
            let place = fields.required("revision")?;
            return Err(place.refuse(format!("`repo` names another revision: `{own}`")));
        }
        (given, own) => given.or(own.clone()).unwrap_or_else(Revision::main),
    };
    let mut include = arg.include_patterns();
    if let Some(patterns) = fields.texts("include")? {
        include.get_or_insert_default().extend(patterns);
    }
    let name = match fields.parsed("name")? {
        Some(name) => name,
        None => arg
            .default_name()
            .parse()
            .map_err(|err| repo.refuse_value(err))?,
    };
    let destination = match fields.get("to") {
        None => Destination::Cache,
        Some(to) => match to.text()? {
            "cache" => Destination::Cache,
            path => Destination::Directory(
                directory(path, around).map_err(|why| to.refuse(format!("`{path}`: {why}")))?,
            ),
        },
    };
    let keep_revisions = match fields.get("keep_revisions") {
        None => None,
        Some(item) => match item.number_or_text()?.parse::<u32>() {
            Ok(count @ 1..) => Some(count),
            _ => return Err(item.refuse("`keep_revisions` must be a whole number from 1")),
        },
    };
    let value = ModelSpec {
        name,
        repo: arg.repo,
        revision,
        filter: Filter {
            include,
            exclude: fields.texts("exclude")?.unwrap_or_default(),
        },
        destination,
        priority: fields.parsed_number("priority")?.unwrap_or_default(),
        keep_revisions,
        enabled: fields.switch("enabled")?.unwrap_or(true),
        tags: fields.words("tags")?.into_iter().flatten().collect(),
    };
    Ok(Entry::new(value, item.place))
}

/// Accepts an absolute path, or one below the home directory.
fn directory(text: &str, around: &Surroundings) -> std::result::Result<PathBuf, &'static str> {
    let path = match (text.strip_prefix("~/"), &around.home) {
        (Some(rest), Some(home)) => home.join(rest),
        (Some(_), None) => return Err("no home directory is known; write the whole path"),
        (None, _) => Path::new(text).to_path_buf(),
    };
    if text.contains('\0') {
        return Err("it contains a NUL");
    }
    if !path.is_absolute() {
        return Err(
            "a relative path would mean another place for each caller; write an absolute path, or `cache`",
        );
    }
    // Without `.` and final slashes, so that one place has one spelling.
    Ok(path.components().collect())
}

fn read_schedule(item: Item<'_>, around: &Surroundings) -> Result<Entry<ScheduleSpec>> {
    let fields = item.fields("a schedule", SCHEDULE_FIELDS)?;
    let value = ScheduleSpec {
        name: fields
            .parsed("name")?
            .ok_or_else(|| fields.missing("name"))?,
        cadence: read_cadence(&fields)?,
        time_zone: read_zone(&fields, around)?,
        windows: match fields.get("window") {
            None => Windows::default(),
            Some(item) => read_windows(item)?,
        },
        catch_up: read_catch_up(&fields)?,
        jitter: fields.parsed("jitter")?.unwrap_or_default(),
        limit_rate: fields.parsed_number("limit_rate")?,
        max_duration: fields.parsed("max_duration")?,
        max_transfer: fields.parsed_number("max_transfer")?,
        priority: fields.parsed_number("priority")?.unwrap_or_default(),
        enabled: fields.switch("enabled")?.unwrap_or(true),
        selection: read_selection(&fields)?,
    };
    Ok(Entry {
        mentions: fields.places_of_words("models")?,
        ..Entry::new(value, item.place)
    })
}

fn read_cadence(fields: &Fields<'_>) -> Result<Cadence> {
    let mut found: Option<Cadence> = None;
    for kind in CadenceKind::ALL.iter().copied() {
        let Some(item) = fields.get(cadence_field(kind)) else {
            continue;
        };
        if let Some(other) = &found {
            let other = cadence_field(other.kind());
            let message = format!("`{}` stands beside `{other}`", item.name);
            return Err(item
                .refuse(message)
                .hint("a schedule has one cadence; write two schedules for two"));
        }
        found = Some(Cadence::parse(kind, item.text()?).map_err(|err| item.refuse_value(err))?);
    }
    found.ok_or_else(|| {
        fields
            .item
            .refuse("it is not said when to look")
            .hint("write one of every, daily, weekly, monthly, cron and once")
    })
}

fn read_zone(fields: &Fields<'_>, around: &Surroundings) -> Result<String> {
    let Some(item) = fields.get("tz") else {
        return around.time_zone.clone().ok_or_else(|| {
            fields
                .item
                .refuse("`tz` is missing, and the system's time zone has no name")
                .hint("write a zone such as `tz: Europe/Berlin`")
        });
    };
    let name = item.text()?;
    let zone = find_zone(name).map_err(|err| item.refuse_value(err))?;
    Ok(zone.iana_name().unwrap_or(name).to_owned())
}

fn read_windows(item: Item<'_>) -> Result<Windows> {
    let mut texts = Vec::new();
    for part in item.list() {
        let text = part.text()?;
        // One by one first: only then is it known which of them is wrong.
        Windows::parse([text]).map_err(|err| part.refuse_value(err))?;
        texts.push(text);
    }
    Windows::parse(texts).map_err(|err| item.refuse_value(err))
}

fn read_catch_up(fields: &Fields<'_>) -> Result<CatchUp> {
    let within: Option<Seconds> = fields.parsed("catch_up_within")?;
    let word = fields.get("catch_up");
    let text = word.as_ref().map(Item::text).transpose()?;
    CatchUp::parse(text.unwrap_or("once"), within)
        .map_err(|err| word.as_ref().unwrap_or(&fields.item).refuse_value(err))
}

/// An empty list is a choice, too: a schedule that covers nothing for now.
fn read_selection(fields: &Fields<'_>) -> Result<Selection> {
    let all = fields.switch("all")?;
    let models = fields.words("models")?;
    let tags = fields.words("tags")?;
    if all.is_none() && models.is_none() && tags.is_none() {
        return Err(fields
            .item
            .refuse("it is not said what to look at")
            .hint("write `all: true`, `models: [NAME]` or `tags: [TAG]`"));
    }
    Ok(Selection {
        all: all.unwrap_or(false),
        models: models.into_iter().flatten().collect(),
        tags: tags.into_iter().flatten().collect(),
    })
}
