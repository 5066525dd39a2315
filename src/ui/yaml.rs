//! The JSON documents, rendered as YAML.

use std::io::{self, ErrorKind, Write};

use anyhow::{Context, Result};
use serde::Serialize;

use crate::domain::yaml::Quoter;

/// Renders a document as YAML.
pub fn render(document: &impl Serialize) -> Result<String> {
    let mut text = Vec::new();
    write(&mut text, document).context("cannot render the result as YAML")?;
    Ok(String::from_utf8(text)?)
}

/// Writes a document as YAML, item by item.
pub fn write(out: impl Write, document: &impl Serialize) -> io::Result<()> {
    let mut lines = QuotedLines {
        out,
        quoter: Quoter::default(),
        line: Vec::new(),
        failure: None,
    };
    let rendered = serde_yaml::to_writer(&mut lines, document);
    match lines.failure {
        Some(err) => Err(err),
        None => rendered.map_err(io::Error::other),
    }
}

/// Renders one document of a stream, with its start and without the final newline.
///
/// Commands whose JSON is one document a line write such a stream.
pub fn yaml_document(document: &impl Serialize) -> Result<String> {
    Ok(format!("---\n{}", render(document)?.trim_end()))
}

/// Quotes the lines of a YAML text for readers of version 1.1.
struct QuotedLines<W> {
    out: W,
    quoter: Quoter,
    /// The beginning of the next line.
    line: Vec<u8>,
    /// The error of `out`, which the YAML package hides in its own.
    failure: Option<io::Error>,
}

impl<W: Write> QuotedLines<W> {
    fn write_line(&mut self) -> io::Result<()> {
        let line = str::from_utf8(&self.line);
        let line = line.map_err(|err| io::Error::new(ErrorKind::InvalidData, err))?;
        self.out.write_all(self.quoter.quoted(line).as_bytes())?;
        self.line.clear();
        Ok(())
    }
}

impl<W: Write> Write for QuotedLines<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.line.extend(part);
            if part.ends_with(b"\n")
                && let Err(err) = self.write_line()
            {
                self.failure = Some(err);
                return Err(ErrorKind::Other.into());
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_quoted_however_its_text_is_divided() {
        let document =
            serde_json::json!({"at": "12:30", "text": "ä 1\n12:30\n", "list": ["no", 7]});
        let text = render(&document).unwrap();
        assert_eq!(
            text,
            "at: '12:30'\ntext: |\n  ä 1\n  12:30\nlist:\n- 'no'\n- 7\n"
        );
        for size in 1..text.len() {
            let mut lines = QuotedLines {
                out: Vec::new(),
                quoter: Quoter::default(),
                line: Vec::new(),
                failure: None,
            };
            let plain = serde_yaml::to_string(&document).unwrap();
            for part in plain.as_bytes().chunks(size) {
                lines.write_all(part).unwrap();
            }
            assert_eq!(lines.out, text.as_bytes(), "{size}");
        }
    }

    #[test]
    fn the_error_of_the_writer_is_told() {
        struct Gone;
        impl Write for Gone {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(ErrorKind::BrokenPipe.into())
            }

            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let error = write(Gone, &serde_json::json!({"a": 1})).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BrokenPipe);
    }
}
