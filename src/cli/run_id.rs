//! Run ids on the command line: a whole id, or its end.

use anyhow::Result;

use super::explain::Complaint;
use crate::domain::run::RunId;

/// Returns whether a text identifies the run of an id. Ids are long and begin with
/// the time, so a unique ending is enough.
pub fn is_id_or_ending(typed: &str, id: &str) -> bool {
    id == typed || (typed.len() >= RunId::SHORTEST_ENDING && id.ends_with(typed))
}

/// Returns the only match, or an error if there is none or more than one. `noun` is
/// the word for a match in messages.
pub fn the_only<T>(found: Vec<T>, typed: &str, noun: &str, list_command: &str) -> Result<T> {
    let mut found = found.into_iter();
    match (found.next(), found.next()) {
        (Some(one), None) => Ok(one),
        (None, _) => {
            let mut complaint = Complaint::usage(format!("no {noun} `{typed}`"));
            if typed.len() < RunId::SHORTEST_ENDING {
                complaint = complaint.cause(format!(
                    "an id is given whole, or by its last {} or more characters",
                    RunId::SHORTEST_ENDING
                ));
            }
            Err(complaint
                .next(format!("`{list_command}` lists what there is"))
                .into())
        }
        (Some(_), Some(_)) => Err(Complaint::usage(format!("several runs end in `{typed}`"))
            .next("give more of the id")
            .into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_or_a_long_enough_ending_identifies_a_run() {
        let id = "018bcfe5-6800-7fff-bfff-ffffffff1234";
        assert!(is_id_or_ending(id, id) && is_id_or_ending("1234", id));
        assert!(
            !is_id_or_ending("234", id)
                && !is_id_or_ending("", id)
                && !is_id_or_ending("018bcfe5", id)
        );
    }

    #[test]
    fn one_match_is_returned_and_none_or_several_are_refused() {
        assert_eq!(the_only(vec![7], "x", "run", "y").unwrap(), 7);
        let refuse = |found| {
            the_only::<i32>(found, "abcd", "run", "y")
                .unwrap_err()
                .to_string()
        };
        assert_eq!(refuse(vec![]), "no run `abcd`");
        assert_eq!(refuse(vec![1, 2]), "several runs end in `abcd`");
    }
}
