//! A file that was read, and the complaints about it.

use super::read::{check_text, read_json, read_yaml};
use super::walk::{Walk, walk_json, walk_yaml};
use super::{Node, Place};

/// An error in a file, with its position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileFault {
    /// Counted from 1, in characters.
    pub line: usize,
    pub column: usize,
    pub message: String,
    pub hint: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Yaml,
    Json,
}

/// A parsed file; its values are not interpreted yet.
#[derive(Debug)]
pub struct Document {
    text: String,
    form: Form,
    pub root: Node,
}

impl Document {
    /// Reads a file of one document, YAML or JSON.
    pub fn parse(bytes: &[u8]) -> Result<Self, FileFault> {
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
    pub fn fault(&self, place: &Place, message: String, hint: Option<String>) -> FileFault {
        let walk = Walk {
            steps: &place.steps,
            at_key: place.at_key,
            form: self.form,
        };
        let (line, column) = match self.form {
            Form::Yaml => walk_yaml(&self.text, walk),
            Form::Json => walk_json(&self.text, walk),
        };
        FileFault {
            line,
            column,
            message,
            hint,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_may_be_json_or_yaml() {
        let form = |text: &str| Document::parse(text.as_bytes()).map(|document| document.form);
        assert_eq!(form("{\"a\": \"\\ud83d\\ude00\"}"), Ok(Form::Json));
        assert_eq!(form("{a: 1}"), Ok(Form::Yaml));
        let fault = form("{\n \"a\": 1 \"b\": 2}").unwrap_err();
        assert_eq!(
            fault.message,
            "the JSON cannot be read: expected `,` or `}`"
        );
        assert_eq!((fault.line, fault.column), (2, 9));
        let fault = form("{a: 1,\n b: ]}").unwrap_err();
        assert_eq!((fault.line, fault.column), (2, 5));
    }
}
