//! The sections that list single things: updates, holds, failures, events, next starts.

use super::page::{Block, Grid, Line, PageEntry};
use crate::domain::changes::{ChangeNote, ChangedFiles, NewCommits};
use crate::domain::hold::{Decision, summed_up};
use crate::domain::report::{Offer, PeriodReport, PublishedUpdate};
use crate::domain::units::ByteSize;
use crate::domain::update::{OfferedUpdate, UpdateState};
use crate::ui::{Clock, text};

/// An update lists so many of its commits and of its files.
const MOST_LINES: usize = 10;

pub(super) fn updates(report: &PeriodReport, clock: &Clock) -> Vec<Block> {
    if report.updates.is_empty() {
        return vec![Block::Paragraph("No update was published.".to_owned())];
    }
    let entries = report
        .updates
        .iter()
        .map(|it| Block::Entry(update(it, clock)));
    let mut blocks: Vec<Block> = entries.collect();
    if report.n_more_updates > 0 {
        let more = text::count(report.n_more_updates, "earlier update", "earlier updates");
        let more = format!("and {more}");
        blocks.push(Block::Paragraph(more));
    }
    blocks
}

fn update(update: &PublishedUpdate, clock: &Clock) -> PageEntry {
    let at = clock.local(update.at);
    let (fetched, reused) = (update.bytes.fetched, update.bytes.reused);
    let size = |bytes| ByteSize(bytes).render_short();
    let mut facts = vec![(
        "commit",
        match &update.old_commit {
            Some(old) => format!("{} to {}", old.short(), update.commit.short()),
            None => format!("{}, the first download", update.commit.short()),
        },
    )];
    match &update.note {
        Some(note) => facts.push(("changes", note.summary())),
        None => facts.push((
            "bytes",
            format!("{} fetched, {} reused", size(fetched), size(reused)),
        )),
    }
    PageEntry {
        heading: format!("{} ({at})", update.label),
        page: update.page.clone(),
        facts,
        lists: note_lists(update.note.as_ref(), clock),
    }
}

pub(super) fn offers(report: &PeriodReport, clock: &Clock) -> Vec<Block> {
    let entry = |offer: &Offer| {
        let update = &offer.update;
        let mut facts = vec![
            ("commit", update.commit.short().to_owned()),
            ("found", clock.local(update.found_at)),
            ("decision", decision(update, clock)),
        ];
        facts.extend(update.note.clone().map(|remark| ("remark", remark)));
        let details: Vec<String> = (summed_up(&update.findings).iter())
            .map(|finding| format!("{}: {}", finding.reason, clock.told(&finding.detail)))
            .collect();
        facts.push(("findings", details.join("; ")));
        facts.extend(offer.note.as_ref().map(|note| ("changes", note.summary())));
        Block::Entry(PageEntry {
            heading: update.model.to_string(),
            page: offer.page.clone(),
            facts,
            lists: note_lists(offer.note.as_ref(), clock),
        })
    };
    report.offers.iter().map(entry).collect()
}

/// Returns the decision about an update as one sentence.
fn decision(update: &OfferedUpdate, clock: &Clock) -> String {
    let on = |at| format!("on {}", clock.local(at));
    let decided = update.decided_at.map(|at| format!(" {}", on(at)));
    let decided = format!("{}{}", update.decision, decided.unwrap_or_default());
    let is_decided = update.decision != Decision::Waiting;
    match (update.state(), update.waits_until, update.published_at) {
        (UpdateState::Delayed, Some(until), _) => {
            format!("none yet: its delay ends {}", on(until))
        }
        (UpdateState::Published, _, Some(at)) if is_decided => {
            format!("{decided}, and published {}", on(at))
        }
        (UpdateState::Published, _, Some(at)) => format!("none: it was published {}", on(at)),
        (UpdateState::Approved, ..) => format!("{decided}; the next run publishes it"),
        (UpdateState::Superseded, ..) if is_decided => {
            format!("{decided}, before a newer commit took its place")
        }
        (UpdateState::Superseded, ..) => "none: a newer commit took its place".to_owned(),
        (UpdateState::Waiting, ..) => "none yet".to_owned(),
        _ => decided,
    }
}

fn note_lists(note: Option<&ChangeNote>, clock: &Clock) -> Vec<(&'static str, Vec<Line>)> {
    let Some(note) = note else {
        return Vec::new();
    };
    let commits = note.changes.commits.as_ref();
    let commits = commits.map_or_else(Vec::new, |new| commit_lines(new, clock));
    let files = note.changes.files.as_ref();
    let files = files.map_or_else(Vec::new, file_lines);
    let mut lists = vec![("Commits", commits), ("Files", files)];
    lists.retain(|(_, lines)| !lines.is_empty());
    lists
}

fn commit_lines(new: &NewCommits, clock: &Clock) -> Vec<Line> {
    let shown = new.commits.iter().take(MOST_LINES).map(|commit| Line {
        before: commit.commit.short().to_owned(),
        quoted: commit.title.clone(),
        after: text::or_nothing(commit.at.map(|at| clock.local(at))),
    });
    let mut lines: Vec<Line> = shown.collect();
    let n_more = new.commits.len().saturating_sub(MOST_LINES);
    if n_more > 0 || new.has_more {
        let at_least = if new.has_more { "at least " } else { "" };
        lines.push(more(&format!("{at_least}{}", n_more.max(1))));
    }
    lines
}

fn file_lines(files: &ChangedFiles) -> Vec<Line> {
    let shown = files.files.iter().take(MOST_LINES).map(|file| {
        let size = ByteSize(file.size_bytes).render_short();
        let code = if file.has_code { ", runs code" } else { "" };
        Line {
            before: file.change.to_string(),
            quoted: file.path.to_string(),
            after: format!("{size}{code}"),
        }
    });
    let mut lines: Vec<Line> = shown.collect();
    let n_more = files.n_more + files.files.len().saturating_sub(MOST_LINES) as u64;
    if n_more > 0 {
        lines.push(more(&n_more.to_string()));
    }
    lines
}

fn more(n: &str) -> Line {
    Line {
        before: format!("and {n} more"),
        ..Line::default()
    }
}

pub(super) fn failures(report: &PeriodReport, clock: &Clock) -> Vec<Block> {
    if report.failures.is_empty() {
        return vec![Block::Paragraph("No model failed.".to_owned())];
    }
    let rows = report.failures.iter().map(|failure| {
        let state = match failure.recovered_at {
            Some(at) => format!("well again {}", clock.local(at)),
            None if failure.lasts() => "lasts".to_owned(),
            // A download by hand, which nothing repeats.
            None => text::or_nothing::<&str>(None),
        };
        vec![
            failure.label.clone(),
            failure.n_failures.to_string(),
            clock.local(failure.last_at),
            state,
            text::or_nothing(failure.kind),
            text::shorten(&clock.told(&failure.message), 200),
        ]
    });
    let rows = rows.collect();
    let columns = vec!["Model", ">Failures", "Last", "State", "Kind", "Error"];
    vec![Block::Table(Grid { columns, rows })]
}

pub(super) fn events(report: &PeriodReport, clock: &Clock) -> Vec<Block> {
    if report.events.is_empty() {
        return Vec::new();
    }
    let rows = report.events.iter().map(|(model, event)| {
        vec![
            clock.local(event.at),
            event.kind.to_string(),
            text::or_nothing(model.as_ref().filter(|name| !name.is_empty())),
            text::shorten(&clock.told(&event.detail), 200),
        ]
    });
    let rows = rows.collect();
    let columns = vec!["Time", "Event", "Model", "Detail"];
    let mut blocks = vec![Block::Table(Grid { columns, rows })];
    if report.n_more_events > 0 {
        let more = format!("and {} earlier events", report.n_more_events);
        blocks.push(Block::Paragraph(more));
    }
    blocks
}

pub(super) fn next_due(report: &PeriodReport, clock: &Clock) -> Vec<Block> {
    if report.next_due.is_empty() {
        return Vec::new();
    }
    let rows = report.next_due.iter().map(|due| {
        let planned = due.next.planned;
        vec![
            due.schedule.to_string(),
            clock.exact(planned.ready, &due.zone),
            text::or_nothing(planned.deadline.map(|at| clock.exact(at, &due.zone))),
        ]
    });
    let rows = rows.collect();
    let columns = vec!["Schedule", "Starts", "Until"];
    vec![Block::Table(Grid { columns, rows })]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::model::ModelId;
    use jiff::tz::TimeZone;

    #[test]
    fn a_decision_is_one_sentence() {
        let at = |day: u8| format!("2026-03-{day:02}T10:00:00Z").parse().unwrap();
        let clock = Clock {
            now: at(9),
            zone: TimeZone::UTC,
            absolute: true,
        };
        let offered = OfferedUpdate {
            model_id: ModelId(1),
            model: "tiny".parse().unwrap(),
            commit: "a".repeat(40).parse().unwrap(),
            old_commit: None,
            found_at: at(1),
            findings: Vec::new(),
            decision: Decision::Waiting,
            decided_at: None,
            note: None,
            published_at: None,
            waits_until: None,
            is_current: true,
        };
        let decision = |change: &dyn Fn(&mut OfferedUpdate)| {
            let mut update = offered.clone();
            change(&mut update);
            super::decision(&update, &clock)
        };
        assert_eq!(decision(&|_| ()), "none yet");
        let approve = |it: &mut OfferedUpdate| {
            (it.decision, it.decided_at) = (Decision::Approved, Some(at(2)));
        };
        let approved = "approved on 2026-03-02 10:00 UTC";
        assert_eq!(
            decision(&approve),
            format!("{approved}; the next run publishes it")
        );
        let published = decision(&|it| {
            approve(it);
            (it.is_current, it.published_at) = (false, Some(at(3)));
        });
        assert_eq!(
            published,
            format!("{approved}, and published on 2026-03-03 10:00 UTC")
        );
        let overtaken = decision(&|it| it.is_current = false);
        assert_eq!(overtaken, "none: a newer commit took its place");
        let delayed = decision(&|it| it.waits_until = Some(at(4)));
        assert_eq!(delayed, "none yet: its delay ends on 2026-03-04 10:00 UTC");
        let rejected = decision(&|it| {
            (it.decision, it.decided_at) = (Decision::Rejected, Some(at(2)));
        });
        assert_eq!(rejected, "rejected on 2026-03-02 10:00 UTC");
    }
}
