//! The text of an apply file: YAML or JSON, in and out.
//!
//! What is read becomes a tree of plain values that remembers no positions. A
//! complaint names its place in the tree, and only then is the text walked a
//! second time to find line and column; so every complaint has them, also one
//! about a whole entry that both libraries have long read past.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};

/// Larger files are a mistake: ten thousand models need about one megabyte.
pub const MAX_BYTES: usize = 16 << 20;

/// Bounds what YAML aliases can unfold to, together with `MAX_BYTES` of text.
const MAX_NODES: usize = 1 << 20;

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

/// Where something stands: which entry of the root, which entry of that, and so on.
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

/// Says what is wrong with a file, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Counted from 1, in characters.
    pub line: usize,
    pub column: usize,
    pub message: String,
    pub hint: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Yaml,
    Json,
}

/// A file that could be read; what its values mean is not looked at yet.
#[derive(Debug)]
pub struct Document {
    text: String,
    form: Form,
    pub root: Node,
}

impl Document {
    /// Reads a file of one document, YAML or JSON.
    pub fn parse(bytes: &[u8]) -> Result<Self, Fault> {
        let text = check_text(bytes)?;
        let (form, root) = if text.trim_start().starts_with(['{', '[']) {
            read_json(text)?
        } else {
            (Form::Yaml, read_yaml(text)?)
        };
        Ok(Self {
            text: text.to_owned(),
            form,
            root,
        })
    }

    /// Finds the line and column of a place that a complaint is about.
    pub fn fault(&self, place: &Place, message: String, hint: Option<String>) -> Fault {
        let walk = Walk {
            steps: &place.steps,
            at_key: place.at_key,
            form: self.form,
        };
        let (line, column) = match self.form {
            Form::Yaml => walk_yaml(&self.text, walk),
            Form::Json => walk_json(&self.text, walk),
        };
        Fault {
            line,
            column,
            message,
            hint,
        }
    }
}

/// Renders a tree as YAML.
pub fn to_yaml(node: &Node) -> anyhow::Result<String> {
    Ok(serde_yaml::to_string(node)?)
}

/// Renders a tree as JSON, for programs.
pub fn to_json(node: &Node) -> serde_json::Value {
    // Trees have text keys only, and numbers that came from 64 bits.
    serde_json::to_value(node).unwrap_or_default()
}

/// Refuses what no text editor shows, before a parser complains in its own words.
fn check_text(bytes: &[u8]) -> Result<&str, Fault> {
    let first_line = |message: &str, hint: Option<&str>| Fault {
        line: 1,
        column: 1,
        message: message.to_owned(),
        hint: hint.map(str::to_owned),
    };
    if bytes.len() > MAX_BYTES {
        return Err(first_line("the file is larger than 16 MiB", None));
    }
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        let hint = "save it as UTF-8; in PowerShell: `hfdl export | Out-File -Encoding utf8 FILE`";
        return Err(first_line("the file is UTF-16, not UTF-8", Some(hint)));
    }
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let at = |end: usize, message: &str| {
        let before = String::from_utf8_lossy(&bytes[..end]);
        let (line, column) = position(&before, before.len());
        Fault {
            line,
            column,
            message: message.to_owned(),
            hint: None,
        }
    };
    let text = std::str::from_utf8(bytes).map_err(|err| {
        at(
            err.valid_up_to(),
            "the file contains bytes that are no UTF-8",
        )
    })?;
    if let Some(end) = text.find('\0') {
        return Err(at(end, "the file contains a NUL, so it is no text"));
    }
    if text.trim().is_empty() {
        return Err(empty_file());
    }
    Ok(text)
}

/// Counts lines and characters before a byte of the text, from 1.
fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = &text[..offset];
    let start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let line = 1 + before.matches('\n').count();
    (line, 1 + before[start..].chars().count())
}

fn read_json(text: &str) -> Result<(Form, Node), Fault> {
    let mut budget = Budget::new();
    let mut reader = serde_json::Deserializer::from_str(text);
    let read = Grow(&mut budget)
        .deserialize(&mut reader)
        .and_then(|node| reader.end().map(|()| node));
    let err = match read {
        Ok(node) => return Ok((Form::Json, node)),
        Err(err) => err,
    };
    // YAML has lists and mappings in brackets too.
    if err.is_syntax() || err.is_eof() {
        let is_quoted = text.trim_start()[1..].trim_start().starts_with('"');
        match read_yaml(text) {
            Ok(node) => return Ok((Form::Yaml, node)),
            Err(fault) if !is_quoted => return Err(fault),
            Err(_) => {}
        }
    }
    let (line, column) = json_position(text, &err);
    Err(Fault {
        line,
        column,
        message: without_position(&err.to_string(), err.line(), err.column()),
        hint: None,
    })
}

fn read_yaml(text: &str) -> Result<Node, Fault> {
    let mut root = None;
    for document in serde_yaml::Deserializer::from_str(text) {
        if root.is_some() {
            let err = document.deserialize_any(Stop).err();
            let location = err.and_then(|err| err.location());
            return Err(Fault {
                line: location.as_ref().map_or(1, |at| at.line()),
                column: location.as_ref().map_or(1, |at| at.column()),
                message: "a second document begins here".to_owned(),
                hint: Some("put each document into a file of its own".to_owned()),
            });
        }
        let mut budget = Budget::new();
        let read = Grow(&mut budget).deserialize(document);
        root = Some(read.map_err(|err| yaml_fault(text, &err))?);
    }
    match root {
        Some(Node::Null) | None => Err(empty_file()),
        Some(root) => Ok(root),
    }
}

fn empty_file() -> Fault {
    Fault {
        line: 1,
        column: 1,
        message: "the file is empty".to_owned(),
        hint: Some("write `version: 1` as the first line".to_owned()),
    }
}

fn yaml_fault(text: &str, err: &serde_yaml::Error) -> Fault {
    let location = err.location();
    let (line, column) = location.map_or((1, 1), |at| (at.line(), at.column()));
    let refused = text.lines().nth(line - 1).unwrap_or_default().chars();
    // The library only says that it found some character.
    let hint = (refused.skip(column - 1).take(1).collect::<String>() == "\t")
        .then(|| "YAML is indented with spaces, not with tabs".to_owned());
    Fault {
        line,
        column,
        message: without_position(&err.to_string(), line, column),
        hint,
    }
}

/// Cuts off the position that a library puts behind its message.
fn without_position(message: &str, line: usize, column: usize) -> String {
    let position = format!(" at line {line} column {column}");
    message.replacen(&position, "", 1)
}

/// Returns the position of the character that the library refused: the last it has read.
fn json_position(text: &str, err: &serde_json::Error) -> (usize, usize) {
    let read = &text[..json_offset(text, err)];
    let last = read.char_indices().next_back();
    position(text, last.map_or(0, |(offset, _)| offset))
}

/// Turns a line and a column in bytes into an offset.
fn json_offset(text: &str, err: &serde_json::Error) -> usize {
    let skipped: usize = text
        .split_inclusive('\n')
        .take(err.line().saturating_sub(1))
        .map(str::len)
        .sum();
    let mut offset = (skipped + err.column()).min(text.len());
    while !text.is_char_boundary(offset) {
        offset -= 1;
    }
    offset
}

/// How much may still be read.
struct Budget {
    nodes: usize,
    bytes: usize,
}

impl Budget {
    fn new() -> Self {
        Self {
            nodes: MAX_NODES,
            bytes: MAX_BYTES,
        }
    }

    fn spend<E: serde::de::Error>(&mut self, bytes: usize) -> Result<(), E> {
        match (self.nodes.checked_sub(1), self.bytes.checked_sub(bytes)) {
            (Some(nodes), Some(bytes)) => {
                *self = Self { nodes, bytes };
                Ok(())
            }
            _ => Err(E::custom(
                "the file unfolds to more than a million values or 16 MiB",
            )),
        }
    }
}

/// Reads any value.
struct Grow<'a>(&'a mut Budget);

impl<'de> DeserializeSeed<'de> for Grow<'_> {
    type Value = Node;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Grow<'_> {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text, a number, true, false, a list or a mapping, without a YAML tag")
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<Node, E> {
        self.0.spend(0)?;
        Ok(Node::Null)
    }

    fn visit_none<E: serde::de::Error>(self) -> Result<Node, E> {
        self.visit_unit()
    }

    fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<Node, E> {
        self.0.spend(0)?;
        Ok(Node::Switch(value))
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Node, E> {
        self.visit_i128(value.into())
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Node, E> {
        self.visit_i128(value.into())
    }

    fn visit_i128<E: serde::de::Error>(self, value: i128) -> Result<Node, E> {
        self.0.spend(0)?;
        Ok(Node::Number(value))
    }

    fn visit_u128<E: serde::de::Error>(self, _: u128) -> Result<Node, E> {
        // No field takes a number of this size; its kind is all that matters.
        self.visit_i128(i128::MAX)
    }

    fn visit_f64<E: serde::de::Error>(self, _: f64) -> Result<Node, E> {
        self.0.spend(0)?;
        Ok(Node::Fraction)
    }

    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<Node, E> {
        self.0.spend(value.len())?;
        Ok(Node::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Node, A::Error> {
        self.0.spend(0)?;
        let mut nodes = Vec::new();
        while let Some(node) = list.next_element_seed(Grow(self.0))? {
            nodes.push(node);
        }
        Ok(Node::List(nodes))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        self.0.spend(0)?;
        let mut entries = Vec::new();
        while let Some(key) = map.next_key::<String>()? {
            self.0.spend(key.len())?;
            entries.push((key, map.next_value_seed(Grow(self.0))?));
        }
        Ok(Node::Map(entries))
    }
}

/// Goes to a place and stops there with an error, which has the position.
struct Walk<'a> {
    steps: &'a [usize],
    at_key: bool,
    form: Form,
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
            ([], Form::Yaml) => deserializer.deserialize_any(Stop),
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
struct Stop;

impl Visitor<'_> for Stop {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("nothing")
    }
}

fn walk_yaml(text: &str, walk: Walk<'_>) -> (usize, usize) {
    let stopped = walk.deserialize(serde_yaml::Deserializer::from_str(text));
    let location = stopped.err().and_then(|err| err.location());
    location.map_or((1, 1), |at| (at.line(), at.column()))
}

fn walk_json(text: &str, walk: Walk<'_>) -> (usize, usize) {
    let stopped = walk.deserialize(&mut serde_json::Deserializer::from_str(text));
    let offset = stopped.err().map_or(0, |err| json_offset(text, &err));
    let skipped = text[offset..].find(|c: char| !c.is_whitespace() && c != ',' && c != ':');
    position(text, offset + skipped.unwrap_or(0))
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

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn brackets_may_be_json_or_yaml() {
        let form = |text: &str| Document::parse(text.as_bytes()).map(|document| document.form);
        assert_eq!(form("{\"a\": \"\\ud83d\\ude00\"}"), Ok(Form::Json));
        assert_eq!(form("{a: 1}"), Ok(Form::Yaml));
        let fault = form("{\n \"a\": 1 \"b\": 2}").unwrap_err();
        assert_eq!(fault.message, "expected `,` or `}`");
        assert_eq!((fault.line, fault.column), (2, 9));
        let fault = form("{a: 1,\n b: ]}").unwrap_err();
        assert_eq!((fault.line, fault.column), (2, 5));
    }

    #[test]
    fn aliases_that_unfold_without_end_are_refused() {
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..12 {
            let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
            bomb.push_str(&format!("a{level}: &a{level} [{aliases}]\n"));
        }
        assert!(Document::parse(bomb.as_bytes()).is_err());
        // Flat ones pass the limits of the library.
        let text = format!(
            "a: &a {}\nb: [{}]\n",
            "x".repeat(1 << 20),
            "*a, ".repeat(99)
        );
        let list = format!(
            "a: &a [{}]\nb: [{}]\n",
            "x, ".repeat(9_999),
            "*a, ".repeat(999)
        );
        for flat in [text, list] {
            let fault = Document::parse(flat.as_bytes()).unwrap_err();
            assert!(fault.message.contains("unfolds to more"), "{fault:?}");
            assert_eq!(fault.line, 1);
        }
        let deep = "[".repeat(100_000);
        assert!(Document::parse(deep.as_bytes()).is_err());
    }
}
