//! The table of `data/truth_table.md`, row by row.
//!
//! Zones are POSIX rules rather than names: governments change zones and
//! packages of zone data follow, and neither may break this test.

#![allow(clippy::unwrap_used)]

use hfdl::domain::schedule::{ClockEvent, DueState, assess};

use crate::support::truth_table::{Row, normalise, rows};

#[test]
fn every_row_of_the_truth_table_holds() {
    let wrong: Vec<_> = rows().iter().filter_map(problem).collect();
    assert!(
        wrong.is_empty(),
        "{} rows differ:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

/// Returns a sentence if the row does not hold.
fn problem(row: &Row<'_>) -> Option<String> {
    let (spec, state, look) = row.inputs();
    let verdict = assess(&spec, &state, &row.zone, &look);
    let actual = render(&verdict.state, verdict.clock);
    let expected = normalise(row.expected);
    (actual != expected).then(|| {
        let Row {
            number,
            schedule,
            why,
            ..
        } = row;
        format!("{number} {schedule} ({why})\n  expected {expected}\n  but got  {actual}")
    })
}

/// Writes an answer in the words of the table, in UTC.
fn render(state: &DueState, clock: Option<ClockEvent>) -> String {
    let mut text = match state {
        DueState::Disabled => "disabled".to_owned(),
        DueState::Done => "done".to_owned(),
        DueState::Wait { next } => format!("wait next={next}"),
        DueState::Backoff { slot, until } => format!("backoff slot={slot} next={until}"),
        DueState::Closed { slot, next } => format!("closed slot={slot} next={next}"),
        DueState::Expired { slot, missed, next } => {
            let next = next.map_or("none".to_owned(), |next| next.to_string());
            format!("expired slot={slot} missed={missed} next={next}")
        }
        DueState::Due(due) => {
            let how = match due.resume {
                true => "resume".to_owned(),
                false => format!("coalesced={} late={}", due.coalesced, due.late.get()),
            };
            let deadline = due.deadline.map(|at| format!(" deadline={at}"));
            format!(
                "due slot={} {how}{}",
                due.slot,
                deadline.unwrap_or_default()
            )
        }
    };
    if let Some(clock) = clock {
        text.push_str(&format!(" [{clock}]"));
    }
    text
}
