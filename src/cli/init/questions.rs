//! Questions on the terminal, asked until the answer is right.

use anyhow::{Error, Result};

use crate::cli::context::Context;
use crate::cli::explain::{Complaint, explain};
use crate::ui::{ask_line, is_yes, table};

/// A question with its default.
#[derive(Clone, Copy)]
pub struct Prompt<'a> {
    pub text: &'a str,
    /// The answer of an empty line, and of `--yes`.
    pub default: &'a str,
}

/// Returns the value of a flag, of an answer, or with `--yes` of the default. A wrong
/// flag is an error; a wrong answer is asked again after the reason.
pub fn answer<T>(
    context: &Context,
    flag: Option<&str>,
    question: Prompt<'_>,
    mut read: impl FnMut(&str) -> Result<T>,
) -> Result<T> {
    if let Some(text) = flag {
        return read(text);
    }
    if context.yes {
        return read(question.default);
    }
    loop {
        let line = line(context, question.text)?;
        let text = if line.is_empty() {
            question.default
        } else {
            &line
        };
        match read(text) {
            Ok(value) => return Ok(value),
            Err(err) => context.show_problem(&explain(&err)),
        }
    }
}

/// Asks a question that an empty line affirms.
pub fn agrees(context: &Context, question: &str) -> Result<bool> {
    if context.yes {
        return Ok(true);
    }
    let answer = line(context, &format!("{question} [Y/n]"))?;
    Ok(answer.is_empty() || is_yes(&answer))
}

/// Reads one line. The end of the input ends the command.
fn line(context: &Context, question: &str) -> Result<String> {
    let question = table::paragraph(&context.out, question, 0);
    ask_line(question.trim_end())?.ok_or_else(|| {
        // The line of the question has no end.
        context.out.say("");
        not_changed()
    })
}

/// Returns the error of a person who does not go on.
pub fn not_changed() -> Error {
    Complaint::usage("not set up; nothing was changed").into()
}
