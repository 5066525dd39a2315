//! Questions on the terminal, asked until the answer is right.

use anyhow::{Error, Result};

use crate::cli::context::Context;
use crate::cli::explain::{Complaint, explain};
use crate::ui::{ask_line, text, yes_or_no};

/// The defaults of questions for [`agrees`].
pub const YES: &str = "yes";
pub const NO: &str = "no";

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

/// Asks a question with the answers yes and no; its default is one of them.
pub fn agrees(context: &Context, question: Prompt<'_>) -> Result<bool> {
    let choices = if question.default == YES {
        "[Y/n]"
    } else {
        "[y/N]"
    };
    let text = format!("{} {choices}", question.text);
    let question = Prompt {
        text: &text,
        ..question
    };
    answer(context, None, question, |text| {
        yes_or_no(text).ok_or_else(|| {
            Complaint::usage(format!("`{text}` is neither yes nor no"))
                .next("answer `y` or `n`")
                .into()
        })
    })
}

/// Reads one line. The end of the input ends the command.
fn line(context: &Context, question: &str) -> Result<String> {
    let question = text::paragraph(&context.out, question, 0);
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
