//! The tree of plain values, and how it is written.

use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};

use crate::domain::field::FieldValue;
use crate::domain::yaml::quote_for_1_1;

/// A value of the file.
#[derive(Clone, Debug, PartialEq)]
pub enum Node {
    Null,
    Switch(bool),
    Number(i128),
    /// The digits as they were written are gone, so this is never taken for text.
    Fraction,
    Text(String),
    List(Vec<Node>),
    /// In the order of the file, repetitions included.
    Map(Vec<(String, Node)>),
}

impl From<FieldValue> for Node {
    fn from(value: FieldValue) -> Self {
        match value {
            FieldValue::Absent => Self::Null,
            FieldValue::Switch(value) => Self::Switch(value),
            FieldValue::Number(value) => Self::Number(value.into()),
            FieldValue::Text(text) => Self::Text(text),
            FieldValue::List(texts) => Self::List(texts.into_iter().map(Self::Text).collect()),
        }
    }
}

/// The path of a node: the entry of the root, the entry below it, and so on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    pub steps: Vec<usize>,
    /// The key of the last step is meant, not its value.
    pub at_key: bool,
}

impl Place {
    pub fn child(&self, index: usize) -> Self {
        let mut steps = self.steps.clone();
        steps.push(index);
        Self {
            steps,
            at_key: false,
        }
    }

    pub fn key(&self, index: usize) -> Self {
        Self {
            at_key: true,
            ..self.child(index)
        }
    }
}

/// Renders a tree as YAML.
pub fn to_yaml(node: &Node) -> anyhow::Result<String> {
    Ok(quote_for_1_1(&serde_yaml::to_string(node)?))
}

/// Renders a tree as JSON, for programs.
pub fn to_json(node: &Node) -> serde_json::Value {
    // Trees have text keys only, and numbers that came from 64 bits.
    serde_json::to_value(node).unwrap_or_default()
}

impl Serialize for Node {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null | Self::Fraction => serializer.serialize_unit(),
            Self::Switch(value) => serializer.serialize_bool(*value),
            Self::Number(value) => match (u64::try_from(*value), i64::try_from(*value)) {
                (Ok(value), _) => serializer.serialize_u64(value),
                (_, Ok(value)) => serializer.serialize_i64(value),
                _ => serializer.serialize_str(&value.to_string()),
            },
            Self::Text(text) => serializer.serialize_str(text),
            Self::List(nodes) => {
                let mut list = serializer.serialize_seq(Some(nodes.len()))?;
                for node in nodes {
                    list.serialize_element(node)?;
                }
                list.end()
            }
            Self::Map(entries) => {
                let mut map = serializer.serialize_map(Some(entries.len()))?;
                for (key, node) in entries {
                    map.serialize_entry(key, node)?;
                }
                map.end()
            }
        }
    }
}
