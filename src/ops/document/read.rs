//! The parsers of YAML and JSON, with the place of each error.

use serde::de::{DeserializeSeed, Deserializer};

use super::file::{FileFault, Form};
use super::grow::{Budget, Grow};
use super::position::{json_position, position};
use super::walk::WalkStop;
use super::{MAX_BYTES, Node};

/// Refuses characters that no text editor shows, with a better message than the parser's.
pub(super) fn check_text(bytes: &[u8]) -> Result<&str, FileFault> {
    let first_line = |message: &str, hint: Option<&str>| FileFault {
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
        FileFault {
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
    if let Some(offset) = too_deep(text) {
        return Err(at(
            offset,
            "more brackets are open here than any file needs",
        ));
    }
    Ok(text)
}

/// Finds the bracket with which more are open than are worth reading: the
/// YAML library takes minutes for a hundred thousand of them. No setting of an
/// apply file needs ten.
fn too_deep(text: &str) -> Option<usize> {
    const MOST_OPEN: usize = 100;
    let mut n_open: usize = 0;
    for (offset, c) in text.bytes().enumerate() {
        match c {
            b'[' | b'{' => n_open += 1,
            b']' | b'}' => n_open = n_open.saturating_sub(1),
            _ => {}
        }
        if n_open > MOST_OPEN {
            return Some(offset);
        }
    }
    None
}

pub(super) fn read_json(text: &str) -> Result<(Form, Node), FileFault> {
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
    let mut message = without_position(&err.to_string(), err.line(), err.column());
    if err.is_syntax() || err.is_eof() {
        message.insert_str(0, "the JSON cannot be read: ");
    }
    Err(FileFault {
        line,
        column,
        message,
        hint: None,
    })
}

pub(super) fn read_yaml(text: &str) -> Result<Node, FileFault> {
    let mut root = None;
    for document in serde_yaml::Deserializer::from_str(text) {
        if root.is_some() {
            let err = document.deserialize_any(WalkStop).err();
            let location = err.and_then(|err| err.location());
            return Err(FileFault {
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

fn empty_file() -> FileFault {
    FileFault {
        line: 1,
        column: 1,
        message: "the file is empty".to_owned(),
        hint: Some("write `version: 1` as the first line".to_owned()),
    }
}

fn yaml_fault(text: &str, err: &serde_yaml::Error) -> FileFault {
    let location = err.location();
    let (line, column) = location.map_or((1, 1), |at| (at.line(), at.column()));
    let refused = text.lines().nth(line - 1).unwrap_or_default().chars();
    // The library reports no more than the unexpected character.
    let hint = (refused.skip(column - 1).take(1).collect::<String>() == "\t")
        .then(|| "YAML is indented with spaces, not with tabs".to_owned());
    let reason = without_position(&err.to_string(), line, column);
    FileFault {
        line,
        column,
        message: format!("the YAML cannot be read: {reason}"),
        hint,
    }
}

/// Cuts off the position that a library puts behind its message.
fn without_position(message: &str, line: usize, column: usize) -> String {
    let position = format!(" at line {line} column {column}");
    message.replacen(&position, "", 1)
}
