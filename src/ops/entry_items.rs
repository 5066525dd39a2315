//! Readers for the values of an apply file, with errors that name their place.

use std::collections::BTreeSet;
use std::str::FromStr;

use super::document::{Node, Place};
use super::entries::{EntryResult, Objection};
use crate::domain::field::Entity;
use crate::domain::invalid_value::{InvalidValue, shown};
use crate::domain::model::EntryName;
use crate::domain::nearest::nearest;

/// A value of the file with its name and its place.
pub(super) struct EntryItem<'a> {
    pub(super) name: String,
    pub(super) node: &'a Node,
    pub(super) place: Place,
}

impl<'a> EntryItem<'a> {
    pub(super) fn root(node: &'a Node) -> Self {
        Self {
            name: "the file".to_owned(),
            node,
            place: Place::default(),
        }
    }

    pub(super) fn child(&self, index: usize, name: &str, node: &'a Node) -> Self {
        Self {
            name: name.to_owned(),
            node,
            place: self.place.child(index),
        }
    }

    pub(super) fn refuse(&self, message: impl Into<String>) -> Objection {
        Objection::new(&self.place, message)
    }

    pub(super) fn refuse_value(&self, value: InvalidValue) -> Objection {
        Objection::to(&self.place, value.within(format!("`{}`", self.name)))
    }

    pub(super) fn refuse_kind(&self, wanted: &str) -> Objection {
        let found = match self.node {
            Node::Null => "nothing",
            Node::Switch(_) => "true or false",
            Node::Number(_) => "a number",
            Node::Fraction => "a number with a fraction",
            Node::Text(_) => "a text",
            Node::List(_) => "a list",
            Node::Map(_) => "a mapping",
        };
        self.refuse(format!("`{}` must be {wanted}, not {found}", self.name))
    }

    /// Takes a text as it is written. Numbers are refused, because their
    /// spelling is lost: `1.0` and `1.00` are the same number.
    pub(super) fn text(&self) -> EntryResult<&'a str> {
        match self.node {
            Node::Text(text) => Ok(text),
            Node::Switch(_) | Node::Number(_) | Node::Fraction => {
                Err(self.refuse_kind("a text").hint("write it in quotes"))
            }
            _ => Err(self.refuse_kind("a text")),
        }
    }

    pub(super) fn number_or_text(&self) -> EntryResult<String> {
        match self.node {
            Node::Number(number) => Ok(number.to_string()),
            _ => self.text().map(str::to_owned),
        }
    }

    pub(super) fn switch(&self) -> EntryResult<bool> {
        match self.node {
            Node::Switch(value) => Ok(*value),
            _ => Err(self.refuse_kind("true or false")),
        }
    }

    /// Takes a list, or one value as a list of one.
    pub(super) fn list(&self) -> Vec<EntryItem<'a>> {
        match self.node {
            Node::List(nodes) => nodes
                .iter()
                .enumerate()
                .map(|(index, node)| self.child(index, &self.name, node))
                .collect(),
            node => vec![EntryItem {
                name: self.name.clone(),
                node,
                place: self.place.clone(),
            }],
        }
    }

    pub(super) fn refuse_repeated(&self, entries: &[(String, Node)]) -> EntryResult<()> {
        let mut seen = BTreeSet::new();
        match entries.iter().position(|(key, _)| !seen.insert(key)) {
            Some(index) => {
                let message = format!("`{}` stands here a second time", shown(&entries[index].0));
                Err(Objection::new(&self.place.key(index), message))
            }
            None => Ok(()),
        }
    }

    /// Takes a mapping with fields of an entity, each at most once.
    pub(super) fn entity<S: Entity>(&self, what: &str) -> EntryResult<Fields<'a>> {
        let keys: Vec<&str> = S::FIELDS.iter().map(|field| field.key).collect();
        self.fields(what, &keys)
    }

    /// Takes a mapping with some of the known keys, each at most once.
    pub(super) fn fields(&self, what: &str, known: &[&str]) -> EntryResult<Fields<'a>> {
        let Node::Map(entries) = self.node else {
            return Err(self.refuse(format!("{what} must be a mapping of keys to values")));
        };
        for (index, (key, _)) in entries.iter().enumerate() {
            if known.contains(&key.as_str()) {
                continue;
            }
            let place = self.place.key(index);
            let wrong = Objection::new(&place, format!("{what} has no key `{}`", shown(key)));
            return Err(wrong.hint(match nearest(key, known.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("the keys are {}", known.join(", ")),
            }));
        }
        self.refuse_repeated(entries)?;
        Ok(Fields {
            item: EntryItem {
                name: what.to_owned(),
                node: self.node,
                place: self.place.clone(),
            },
            entries,
        })
    }
}

/// A mapping whose keys are all known. A key without a value counts as absent.
pub(super) struct Fields<'a> {
    pub(super) item: EntryItem<'a>,
    pub(super) entries: &'a [(String, Node)],
}

impl<'a> Fields<'a> {
    pub(super) fn get(&self, name: &str) -> Option<EntryItem<'a>> {
        let index = self.entries.iter().position(|(key, _)| key == name)?;
        let node = &self.entries[index].1;
        (*node != Node::Null).then(|| self.item.child(index, name, node))
    }

    pub(super) fn missing(&self, name: &str) -> Objection {
        self.item.refuse(format!("`{name}` is missing"))
    }

    pub(super) fn required(&self, name: &str) -> EntryResult<EntryItem<'a>> {
        self.get(name).ok_or_else(|| self.missing(name))
    }

    pub(super) fn parsed<T: FromStr<Err = InvalidValue>>(
        &self,
        name: &str,
    ) -> EntryResult<Option<T>> {
        let parse =
            |item: EntryItem<'a>| item.text()?.parse().map_err(|err| item.refuse_value(err));
        self.get(name).map(parse).transpose()
    }

    /// Returns words that name other entries, each with its place.
    pub(super) fn places_of_words(&self, name: &str) -> EntryResult<Vec<(EntryName, Place)>> {
        let items = self.get(name).map(|item| item.list()).unwrap_or_default();
        let read = |part: EntryItem<'a>| {
            let word = part.text()?.parse().map_err(|err| part.refuse_value(err))?;
            Ok((word, part.place))
        };
        items.into_iter().map(read).collect()
    }

    /// Refuses a section without a value: with pruning it would delete all entries.
    pub(super) fn section(&self, name: &str, empty: &str) -> EntryResult<Option<EntryItem<'a>>> {
        let Some(index) = self.entries.iter().position(|(key, _)| key == name) else {
            return Ok(None);
        };
        let item = self.item.child(index, name, &self.entries[index].1);
        match item.node {
            Node::Null => Err(Objection::new(
                &self.item.place.key(index),
                format!("`{name}` has no value"),
            )
            .hint(format!("write `{name}: {empty}` for none, or leave it out"))),
            _ => Ok(Some(item)),
        }
    }

    pub(super) fn entries<T>(
        &self,
        name: &str,
        read: impl Fn(EntryItem<'a>) -> EntryResult<T>,
    ) -> EntryResult<Option<Vec<T>>> {
        let Some(section) = self.section(name, "[]")? else {
            return Ok(None);
        };
        match section.node {
            Node::List(_) => section.list().into_iter().map(read).collect(),
            _ => Err(section.refuse_kind("a list")),
        }
        .map(Some)
    }
}
