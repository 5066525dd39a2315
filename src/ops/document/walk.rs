//! The second way through a text: to one place, for its line and column.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::file::Form;
use super::position::{json_offset, position};

/// Goes to a place and stops there with an error, which has the position.
pub(super) struct Walk<'a> {
    pub(super) steps: &'a [usize],
    pub(super) at_key: bool,
    pub(super) form: Form,
}

impl Walk<'_> {
    fn rest(&self) -> Self {
        Self {
            steps: &self.steps[1..],
            ..*self
        }
    }
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        match (self.steps, self.form) {
            // The YAML library knows where each value begins, the JSON library
            // only how far it has read: there the value must stay unread.
            ([], Form::Yaml) => deserializer.deserialize_any(WalkStop),
            ([], Form::Json) => Err(serde::de::Error::custom("here")),
            _ => deserializer.deserialize_any(self),
        }
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list or a mapping")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        for _ in 0..self.steps[0] {
            list.next_element::<IgnoredAny>()?;
        }
        list.next_element_seed(self.rest()).map(drop)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        for _ in 0..self.steps[0] {
            map.next_entry::<IgnoredAny, IgnoredAny>()?;
        }
        let rest = self.rest();
        if rest.steps.is_empty() && self.at_key {
            return map.next_key_seed(rest).map(drop);
        }
        map.next_key::<IgnoredAny>()?;
        map.next_value_seed(rest)
    }
}

/// Takes no value at all.
pub(super) struct WalkStop;

impl Visitor<'_> for WalkStop {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("nothing")
    }
}

pub(super) fn walk_yaml(text: &str, walk: Walk<'_>) -> (usize, usize) {
    let stopped = walk.deserialize(serde_yaml::Deserializer::from_str(text));
    let location = stopped.err().and_then(|err| err.location());
    location.map_or((1, 1), |at| (at.line(), at.column()))
}

pub(super) fn walk_json(text: &str, walk: Walk<'_>) -> (usize, usize) {
    let stopped = walk.deserialize(&mut serde_json::Deserializer::from_str(text));
    let offset = stopped.err().map_or(0, |err| json_offset(text, &err));
    let skipped = text[offset..].find(|c: char| !c.is_whitespace() && c != ',' && c != ':');
    position(text, offset + skipped.unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use crate::ops::document::{Document, Place};

    fn at(text: &str, steps: &[usize], at_key: bool) -> (usize, usize) {
        let document = Document::parse(text.as_bytes()).unwrap();
        let place = Place {
            steps: steps.to_vec(),
            at_key,
        };
        let fault = document.fault(&place, String::new(), None);
        (fault.line, fault.column)
    }

    #[test]
    fn every_place_of_a_yaml_file_is_found() {
        let text = "a: 1\nß: [x,  {y: z}]\nlist:\n  - k: v\n    l: &m [1, 2]\n  - *m\n";
        assert_eq!(at(text, &[], false), (1, 1));
        assert_eq!(at(text, &[0], true), (1, 1));
        assert_eq!(at(text, &[0], false), (1, 4));
        assert_eq!(at(text, &[1, 1, 0], true), (2, 10));
        assert_eq!(at(text, &[1, 1, 0], false), (2, 13));
        assert_eq!(at(text, &[2, 0], false), (4, 5));
        assert_eq!(at(text, &[2, 0, 1], true), (5, 5));
        assert_eq!(at(text, &[2, 0, 1, 1], false), (5, 15));
        // Inside an alias the value itself is meant.
        assert_eq!(at(text, &[2, 1, 0], false), (5, 12));
    }

    #[test]
    fn every_place_of_a_json_file_is_found() {
        let text = "\t{\"a\": 1,\n\t \"ß\" : [\"x\",\n  {\"y\": null}], \"l\": [[], {}, true ]}\n";
        assert_eq!(at(text, &[], false), (1, 2));
        assert_eq!(at(text, &[0], true), (1, 3));
        assert_eq!(at(text, &[0], false), (1, 8));
        assert_eq!(at(text, &[1], true), (2, 3));
        assert_eq!(at(text, &[1], false), (2, 9));
        assert_eq!(at(text, &[1, 0], false), (2, 10));
        assert_eq!(at(text, &[1, 1], false), (3, 3));
        assert_eq!(at(text, &[1, 1, 0], true), (3, 4));
        assert_eq!(at(text, &[1, 1, 0], false), (3, 9));
        assert_eq!(at(text, &[2], true), (3, 17));
        assert_eq!(at(text, &[2, 0], false), (3, 23));
        assert_eq!(at(text, &[2, 1], false), (3, 27));
        assert_eq!(at(text, &[2, 2], false), (3, 31));
    }
}
