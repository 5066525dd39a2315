//! The fields of an entity as a table: how each is read, written and named.
//!
//! `models` and `schedules` have one table each. The flags of `add` and `set`,
//! the apply file, the export, the differences that `apply` prints, `show` and
//! the JSON output loop over it, so that they cannot disagree.

use std::str::FromStr;

use super::model::Destination;

/// A kind of entry with a table of its fields.
pub trait Entity: Clone + 'static {
    /// All fields, in the order of an exported file.
    const FIELDS: &'static [Field<Self>];

    /// Returns the entry with the default of each field that has one.
    fn with_defaults(&self) -> Self;
}

/// One field of an entity.
#[derive(Debug)]
pub struct Field<S> {
    /// The key in an apply file.
    pub key: &'static str,
    /// The key in JSON output; `None` where that output has another shape.
    pub json: Option<&'static str>,
    /// No entry is complete without it: listed first, and always exported.
    pub is_essential: bool,
    /// `None` when the entry cannot be built before it is read.
    pub read: Option<Read<S>>,
    pub write: fn(&S) -> FieldValue,
    pub flag: Option<Flag>,
    /// The word of `show` when there is no value.
    pub absent: &'static str,
}

/// The reader of a field. `None` stands for the default.
#[derive(Debug)]
pub enum Read<S> {
    Switch(fn(&mut S, bool)),
    Text(fn(&mut S, Option<&str>) -> Result<(), String>),
    /// A text that a file may also spell as a number.
    Number(fn(&mut S, Option<&str>) -> Result<(), String>),
    List(fn(&mut S, Option<Vec<String>>) -> Result<(), String>),
    /// The word `cache`, or a directory that the caller makes absolute.
    Place(fn(&mut S, Destination)),
}

/// The flag of a field on the command line.
#[derive(Clone, Copy, Debug)]
pub struct Flag {
    pub name: &'static str,
    pub value_name: &'static str,
    pub help: &'static str,
    /// Flags that cannot stand beside it.
    pub conflicts: &'static [&'static str],
    /// The help of `--no-NAME`, which takes the value back.
    pub no_help: Option<&'static str>,
}

/// The value of a field, as text and files have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FieldValue {
    Absent,
    Switch(bool),
    Number(u64),
    Text(String),
    List(Vec<String>),
}

impl<S> Field<S> {
    pub const fn new(key: &'static str, write: fn(&S) -> FieldValue) -> Self {
        Self {
            key,
            json: Some(key),
            is_essential: false,
            read: None,
            write,
            flag: None,
            absent: "-",
        }
    }

    pub const fn json(self, json: Option<&'static str>) -> Self {
        Self { json, ..self }
    }

    pub const fn essential(self) -> Self {
        Self {
            is_essential: true,
            ..self
        }
    }

    pub const fn read(self, read: Read<S>) -> Self {
        Self {
            read: Some(read),
            ..self
        }
    }

    pub const fn absent(self, absent: &'static str) -> Self {
        Self { absent, ..self }
    }

    pub const fn flag(self, flag: Flag) -> Self {
        Self {
            flag: Some(flag),
            ..self
        }
    }
}

impl Flag {
    pub const fn new(name: &'static str, value_name: &'static str, help: &'static str) -> Self {
        Self {
            name,
            value_name,
            help,
            conflicts: &[],
            no_help: None,
        }
    }

    pub const fn conflicts(self, conflicts: &'static [&'static str]) -> Self {
        Self { conflicts, ..self }
    }

    pub const fn no(self, help: &'static str) -> Self {
        Self {
            no_help: Some(help),
            ..self
        }
    }
}

impl FieldValue {
    pub fn text(value: impl ToString) -> Self {
        Self::Text(value.to_string())
    }

    pub fn optional(value: Option<impl ToString>) -> Self {
        value.map_or(Self::Absent, Self::text)
    }

    pub fn list<T: ToString>(values: impl IntoIterator<Item = T>) -> Self {
        Self::List(values.into_iter().map(|value| value.to_string()).collect())
    }

    /// Tells whether a person would say that there is no value.
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Absent | Self::Switch(false) => true,
            Self::List(values) => values.is_empty(),
            Self::Switch(true) | Self::Number(_) | Self::Text(_) => false,
        }
    }
}

/// Returns the fields in the order of lists: the essential ones first.
pub fn listed<S: Entity>() -> impl Iterator<Item = &'static Field<S>> {
    let part = |is_essential| {
        let fields = S::FIELDS.iter();
        fields.filter(move |field| field.is_essential == is_essential)
    };
    part(true).chain(part(false))
}

/// Returns the values that an entry must mention to be built again.
pub fn needed_values<S: Entity>(entry: &S) -> Vec<(&'static str, FieldValue)> {
    let defaults = entry.with_defaults();
    let needed = |field: &&Field<S>| {
        let value = (field.write)(entry);
        field.is_essential && !value.is_empty() || value != (field.write)(&defaults)
    };
    let fields = S::FIELDS.iter().filter(needed);
    fields
        .map(|field| (field.key, (field.write)(entry)))
        .collect()
}

/// Returns the fields in which two entries differ, with both values.
pub fn differences<S: Entity>(old: &S, new: &S) -> Vec<(&'static str, FieldValue, FieldValue)> {
    let fields = S::FIELDS.iter();
    fields
        .map(|field| (field.key, (field.write)(old), (field.write)(new)))
        .filter(|(_, old, new)| old != new)
        .collect()
}

/// Parses a text if there is one.
pub fn parsed<T: FromStr<Err: ToString>>(text: Option<&str>) -> Result<Option<T>, String> {
    let parse = |text: &str| text.parse().map_err(|err: T::Err| err.to_string());
    text.map(parse).transpose()
}

/// Parses each text of a list; no list is an empty one.
pub fn parsed_list<T: FromStr<Err: ToString>, C: FromIterator<T>>(
    texts: Option<Vec<String>>,
) -> Result<C, String> {
    let texts = texts.into_iter().flatten();
    texts
        .map(|text| text.parse().map_err(|err: T::Err| err.to_string()))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fmt::Debug;

    use super::*;
    use crate::domain::model::{EntryName, ModelSpec};
    use crate::domain::repo::{Repo, RepoType};
    use crate::domain::schedule::{Cadence, CadenceKind, CatchUp, ScheduleSpec, Windows};
    use crate::domain::units::{ByteSize, Seconds};

    fn name(text: &str) -> EntryName {
        text.parse().unwrap()
    }

    /// Returns a model whose fields all differ from their defaults.
    fn model() -> ModelSpec {
        let repo = Repo::new(RepoType::Model, "a/b".parse().unwrap());
        let mut model = ModelSpec::new(name("m"), repo);
        model.revision = "v1".parse().unwrap();
        model.filter.include = Some(vec!["*.json".to_owned()]);
        model.filter.exclude = vec!["x/".to_owned()];
        model.destination = Destination::Directory("/srv".into());
        model.tags = [name("llm")].into();
        model.priority = "70".parse().unwrap();
        model.keep_revisions = Some(4);
        model.enabled = false;
        model
    }

    /// Returns a schedule whose fields all differ from their defaults.
    fn schedule() -> ScheduleSpec {
        let cadence = Cadence::parse(CadenceKind::Daily, "02:30").unwrap();
        let mut schedule = ScheduleSpec::new(name("s"), cadence, "Europe/Berlin".to_owned());
        schedule.windows = Windows::parse(["22:00-07:00"]).unwrap();
        let within = Some(Seconds(3_600));
        schedule.catch_up = CatchUp::Once { within };
        schedule.jitter = Seconds(60);
        schedule.limit_rate = Some("1M".parse().unwrap());
        schedule.max_duration = within;
        schedule.max_transfer = Some(ByteSize(1_000));
        schedule.priority = "70".parse().unwrap();
        schedule.enabled = false;
        schedule.selection.all = true;
        schedule.selection.models = [name("m")].into();
        schedule.selection.tags = [name("llm")].into();
        schedule
    }

    fn read<S>(field: &Field<S>, entry: &mut S, value: &FieldValue) {
        let text = match value {
            FieldValue::Text(text) => Some(text.clone()),
            FieldValue::Number(number) => Some(number.to_string()),
            _ => None,
        };
        match (&field.read, value) {
            (Some(Read::Switch(read)), value) => read(entry, *value == FieldValue::Switch(true)),
            (Some(Read::Text(read) | Read::Number(read)), _) => {
                read(entry, text.as_deref()).unwrap();
            }
            (Some(Read::List(read)), FieldValue::List(texts)) => {
                read(entry, Some(texts.clone())).unwrap();
            }
            (Some(Read::List(read)), _) => read(entry, None).unwrap(),
            (Some(Read::Place(read)), _) => read(
                entry,
                match text.as_deref() {
                    None | Some("cache") => Destination::Cache,
                    Some(path) => Destination::Directory(path.into()),
                },
            ),
            (None, _) => {}
        }
    }

    /// `same` are the fields that have their default in `full`, too.
    fn check_table<S: Entity + PartialEq + Debug>(full: &S, same: &[&str]) {
        let keys: BTreeSet<&str> = S::FIELDS.iter().map(|field| field.key).collect();
        assert_eq!(keys.len(), S::FIELDS.len(), "a key twice");
        let flags = S::FIELDS.iter().filter_map(|field| field.flag);
        let flags: Vec<&str> = flags.map(|flag| flag.name).collect();
        let distinct: BTreeSet<&str> = flags.iter().copied().collect();
        assert_eq!(distinct.len(), flags.len(), "a flag twice");

        let defaults = full.with_defaults();
        let mut copy = defaults.clone();
        for field in S::FIELDS {
            read(field, &mut copy, &(field.write)(full));
        }
        assert_eq!(copy, *full, "written and read back");

        for field in S::FIELDS.iter().filter(|field| !field.is_essential) {
            let default = (field.write)(&defaults);
            let is_same = (field.write)(full) == default;
            assert_eq!(is_same, same.contains(&field.key), "`{}`", field.key);
            if field.flag.is_some_and(|flag| flag.no_help.is_some()) {
                let mut cleared = full.clone();
                read(field, &mut cleared, &FieldValue::Absent);
                assert_eq!((field.write)(&cleared), default, "`{}`", field.key);
            }
        }
    }

    #[test]
    fn each_field_of_a_model_is_written_read_back_and_cleared() {
        check_table(&model(), &[]);
    }

    #[test]
    fn each_field_of_a_schedule_is_written_read_back_and_cleared() {
        // Only the rule `once` has a limit.
        check_table(&schedule(), &["catch_up"]);
    }
}
