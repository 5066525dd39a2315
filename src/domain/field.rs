//! The fields of an entity as a table: how each is read, written and named.
//!
//! `models` and `schedules` have one table each. The flags of `add` and `set`,
//! the apply file, the export, the differences that `apply` prints, `show` and
//! the JSON output loop over it, so that they cannot disagree.

use std::str::FromStr;

use super::model::Destination;
use crate::domain::invalid_value::InvalidValue;

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
    pub write: fn(&S) -> FieldValue,
    pub read: Read<S>,
    /// The key in JSON output; `None` where that output has another shape.
    pub json: Option<&'static str>,
    /// No entry is complete without it: listed first, and always exported.
    pub is_essential: bool,
    /// The word of `show` when there is no value.
    pub absent: &'static str,
    pub flag: Option<&'static str>,
    pub value_name: &'static str,
    pub help: &'static str,
    /// The help of `--no-FLAG`, which takes the value back.
    pub no_help: Option<&'static str>,
    /// Flags that cannot stand beside this one.
    pub conflicts: &'static [&'static str],
}

/// The reader of a field. `None` stands for the default.
#[derive(Debug)]
pub enum Read<S> {
    Switch(fn(&mut S, bool)),
    Text(fn(&mut S, Option<&str>) -> Result<(), InvalidValue>),
    /// A text that a file may also spell as a number.
    Number(fn(&mut S, Option<&str>) -> Result<(), InvalidValue>),
    List(fn(&mut S, Option<Vec<String>>) -> Result<(), InvalidValue>),
    /// The word `cache`, or a directory that the caller makes absolute.
    Place(fn(&mut S, Destination)),
    /// A list of `WORD=DIR`, in which the caller makes each directory absolute.
    Places(fn(&mut S, Option<Vec<String>>) -> Result<(), InvalidValue>),
    /// Read by the caller, because no entry can be built without it.
    Before,
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
    pub const fn new(key: &'static str, write: fn(&S) -> FieldValue, read: Read<S>) -> Self {
        Self {
            key,
            write,
            read,
            json: Some(key),
            is_essential: false,
            absent: "-",
            flag: None,
            value_name: "",
            help: "",
            no_help: None,
            conflicts: &[],
        }
    }

    /// Adds a flag: its name, the name of its value, its help.
    pub const fn flag(
        mut self,
        name: &'static str,
        value: &'static str,
        help: &'static str,
    ) -> Self {
        self.flag = Some(name);
        self.value_name = value;
        self.help = help;
        self
    }

    pub const fn no(mut self, help: &'static str) -> Self {
        self.no_help = Some(help);
        self
    }

    pub const fn conflicts(mut self, flags: &'static [&'static str]) -> Self {
        self.conflicts = flags;
        self
    }

    pub const fn json(mut self, key: Option<&'static str>) -> Self {
        self.json = key;
        self
    }

    pub const fn essential(mut self) -> Self {
        self.is_essential = true;
        self
    }

    pub const fn absent(mut self, word: &'static str) -> Self {
        self.absent = word;
        self
    }
}

impl FieldValue {
    pub fn text(value: impl ToString) -> Self {
        Self::Text(value.to_string())
    }

    pub fn optional(value: Option<impl ToString>) -> Self {
        value.map_or(Self::Absent, Self::text)
    }

    pub fn optional_number(value: Option<u32>) -> Self {
        value.map_or(Self::Absent, |number| Self::Number(number.into()))
    }

    pub fn optional_list(values: Option<&Vec<String>>) -> Self {
        values.map_or(Self::Absent, Self::list)
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

/// Sets a value, or its default without a text.
pub fn set<T>(slot: &mut T, text: Option<&str>) -> Result<(), InvalidValue>
where
    T: FromStr<Err = InvalidValue> + Default,
{
    *slot = parsed(text)?.unwrap_or_default();
    Ok(())
}

pub fn set_list<T, C>(slot: &mut C, texts: Option<Vec<String>>) -> Result<(), InvalidValue>
where
    T: FromStr<Err = InvalidValue>,
    C: FromIterator<T>,
{
    let texts = texts.into_iter().flatten();
    let values = texts.map(|text| text.parse());
    *slot = values.collect::<Result<_, _>>()?;
    Ok(())
}

/// Parses a text if there is one.
pub fn parsed<T: FromStr<Err = InvalidValue>>(
    text: Option<&str>,
) -> Result<Option<T>, InvalidValue> {
    text.map(str::parse).transpose()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fmt::Debug;

    use super::*;
    use crate::domain::guard::Guards;
    use crate::domain::model::{EntryName, ModelSpec};
    use crate::domain::policy::UpdateRules;
    use crate::domain::repo::{Repo, RepoType};
    use crate::domain::schedule::{Cadence, CadenceKind, CatchUp, ScheduleSpec, Windows};
    use crate::domain::tag::TagSpec;
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
        let root = if cfg!(windows) { r"C:\m" } else { "/m" };
        model.views = [format!("dir={root}").parse().unwrap()].into();
        model.view_map = ["a=b/c".parse().unwrap()].into();
        model.view_copy = true;
        model.checksums = true;
        model.enabled = false;
        model.token_name = Some("work".parse().unwrap());
        model.update = rules("pin@0123abc");
        model
    }

    fn rules(policy: &str) -> UpdateRules {
        UpdateRules {
            policy: Some(policy.parse().unwrap()),
            delay: Some(Seconds(604_800)),
            follow_tags: Some("v*".parse().unwrap()),
            guards: Some(Guards::default()),
        }
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
        schedule.limit_daily = Some(ByteSize(1 << 20));
        schedule.limit_monthly = Some(ByteSize(1 << 30));
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
            (Read::Switch(read), value) => read(entry, *value == FieldValue::Switch(true)),
            (Read::Text(read) | Read::Number(read), _) => {
                read(entry, text.as_deref()).unwrap();
            }
            (Read::List(read) | Read::Places(read), FieldValue::List(texts)) => {
                read(entry, Some(texts.clone())).unwrap();
            }
            (Read::List(read) | Read::Places(read), _) => read(entry, None).unwrap(),
            (Read::Place(read), _) => read(
                entry,
                match text.as_deref() {
                    None | Some("cache") => Destination::Cache,
                    Some(path) => Destination::Directory(path.into()),
                },
            ),
            (Read::Before, _) => {}
        }
    }

    /// `same` are the fields that have their default in `full`, too.
    fn check_table<S: Entity + PartialEq + Debug>(full: &S, same: &[&str]) {
        let keys: BTreeSet<&str> = S::FIELDS.iter().map(|field| field.key).collect();
        assert_eq!(keys.len(), S::FIELDS.len(), "a key twice");
        let flags: Vec<&str> = S::FIELDS.iter().filter_map(|field| field.flag).collect();
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
            if field.no_help.is_some() {
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
    fn each_field_of_a_tag_is_written_read_back_and_cleared() {
        let update = rules("approve");
        let name = name("llm");
        let tag = TagSpec {
            name,
            update,
            limit_daily: Some(ByteSize(1 << 20)),
            limit_monthly: Some(ByteSize(1 << 30)),
        };
        check_table(&tag, &[]);
    }

    #[test]
    fn each_field_of_a_schedule_is_written_read_back_and_cleared() {
        // Only the rule `once` has a limit.
        check_table(&schedule(), &["catch_up"]);
    }
}
