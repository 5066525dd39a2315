//! The next step at the end of a message about a refused value.
//!
//! Such a message ends with the correct form: `…: write 22:00-07:00`, `…; did you mean x?`.
//! Where an error has parts, the form is its next step.

/// The words with which a next step begins.
const STEPS: [&str; 7] = [
    "write ",
    "did you mean ",
    "use ",
    "choose ",
    "give ",
    "widen ",
    "move ",
];

/// Splits a message into the fact and the next step that it ends with.
pub fn split_advice(message: &str) -> (&str, Option<&str>) {
    let mut before = message;
    while let Some(at) = before.rfind([':', ';']) {
        let step = message[at + 1..].trim_start();
        before = &message[..at];
        // Text in backticks is not ours.
        let is_quoted = before.matches('`').count() % 2 == 1;
        if !is_quoted && STEPS.iter().any(|word| step.starts_with(word)) {
            return (before, Some(step));
        }
    }
    (message, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_at_the_end_of_a_message_is_its_next_step() {
        for (message, fact, step) in [
            (
                "`x` is not a size: write 5K",
                "`x` is not a size",
                Some("write 5K"),
            ),
            ("`a: write b` is no name", "`a: write b` is no name", None),
            (
                "`x`: no zone: did you mean `y`?",
                "`x`: no zone",
                Some("did you mean `y`?"),
            ),
            (
                "it is empty; write `a/b`",
                "it is empty",
                Some("write `a/b`"),
            ),
            ("the disk is full", "the disk is full", None),
        ] {
            assert_eq!(split_advice(message), (fact, step));
        }
    }
}
