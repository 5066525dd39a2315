//! The sections of a report.

use super::lists;
use super::page::{Block, Chart, Grid, Page, Section, Series, Shape, Unit};
use crate::domain::outcome::{Outcome, RunOutcome};
use crate::domain::report::{DayFigures, ModelFigures, PeriodReport};
use crate::domain::units::{ByteSize, Seconds};
use crate::ui::{Clock, text};

/// Models beyond this number are summed up.
const MOST_MODELS: usize = 30;

/// Turns a report into a page. An empty section is left out, unless it reports that
/// there was nothing.
pub(super) fn page(report: &PeriodReport, clock: &Clock) -> Page {
    let mut sections = vec![Section::new("Summary", summary(report))];
    if !report.is_empty() {
        sections.extend([
            Section::new("Updates", lists::updates(report, clock)),
            Section::new("Held updates", lists::offers(report, clock)),
            Section::new("Failures", lists::failures(report, clock)),
            Section::new("By day", by_day(report)),
            Section::new("By model", by_model(report)),
        ]);
    }
    sections.extend([
        Section::new("Disk use", disk(report)),
        Section::new("Verification", vec![verification(report, clock)]),
        Section::new("Runs", vec![runs(report)]),
        Section::new("Other events", lists::events(report, clock)),
        Section::new("Due next", lists::next_due(report, clock)),
    ]);
    sections.retain(|section| !section.blocks.is_empty());
    let time = |at| clock.local(at);
    let mut subtitle = format!("{} to {}", time(report.since), time(report.until));
    if !report.selection.is_empty() {
        subtitle.push_str(&format!("; models: {}", text::list(&report.selection)));
    }
    Page {
        title: "hfdl report".to_owned(),
        subtitle: format!("{subtitle}; made {}", time(report.made_at)),
        sections,
    }
}

fn size(bytes: u64) -> String {
    ByteSize(bytes).render_short()
}

fn summary(report: &PeriodReport) -> Vec<Block> {
    if report.is_empty() {
        let nothing = "Nothing happened in this period: no run, no check and no event.";
        return vec![Block::Paragraph(nothing.to_owned())];
    }
    let (bytes, n_failing) = (report.bytes(), report.failures.len() as u64);
    let n_lasting = report.failures.iter().filter(|it| it.lasts()).count();
    let failing = match n_failing {
        0 => "none".to_owned(),
        n => format!(
            "{}, {n_lasting} still failing",
            text::count(n, "model", "models")
        ),
    };
    let n_waiting = report
        .offers
        .iter()
        .filter(|offer| offer.is_waiting())
        .count();
    let held = match report.offers.len() {
        0 => "none".to_owned(),
        held => format!("{held}, {n_waiting} of them waiting for a person"),
    };
    let facts = vec![
        ("updates", report.n_updates().to_string()),
        ("held updates", held),
        ("failures", failing),
        ("checks", report.n_checks().to_string()),
        ("verifications", report.n_verifications().to_string()),
        ("fetched", size(bytes.fetched)),
        ("reused", size(bytes.reused)),
        ("runs", report.runs.n_runs().to_string()),
    ];
    vec![Block::Facts(facts)]
}

/// Returns the outcomes that occur, in the order of their list.
fn outcomes_of(days: &[DayFigures]) -> Vec<Outcome> {
    let occurs = |outcome: &Outcome| days.iter().any(|day| day.outcomes.contains_key(outcome));
    Outcome::ALL.iter().copied().filter(occurs).collect()
}

fn by_day(report: &PeriodReport) -> Vec<Block> {
    let days = &report.days;
    let outcomes = outcomes_of(days);
    let is_busy = |day: &&DayFigures| {
        !day.bytes.is_none() || !day.outcomes.is_empty() || day.n_verifications > 0
    };
    let rows = days.iter().filter(is_busy).map(|day| {
        let mut row = vec![
            day.date.to_string(),
            size(day.bytes.fetched),
            size(day.bytes.reused),
        ];
        row.extend(
            outcomes
                .iter()
                .map(|outcome| count(day, *outcome).to_string()),
        );
        row.push(day.n_verifications.to_string());
        row
    });
    let rows: Vec<Vec<String>> = rows.collect();
    if rows.is_empty() {
        return Vec::new();
    }
    let mut columns = vec!["Day", ">Fetched", ">Reused"];
    columns.extend(outcomes.iter().map(|outcome| number_title(*outcome)));
    columns.push(">verifications");
    let mut blocks = Vec::new();
    if !report.bytes().is_none() {
        blocks.push(Block::Chart(bytes_chart(days)));
    }
    if !outcomes.is_empty() {
        blocks.push(Block::Chart(outcomes_chart(days, &outcomes)));
    }
    blocks.push(Block::Table(Grid { columns, rows }));
    blocks
}

fn count(day: &DayFigures, outcome: Outcome) -> u64 {
    day.outcomes.get(&outcome).copied().unwrap_or(0)
}

fn bytes_chart(days: &[DayFigures]) -> Chart {
    Chart {
        title: "Bytes by day",
        unit: Unit::Bytes,
        shape: Shape::StackedBars,
        labels: labels(days),
        series: vec![
            series("fetched", days, |day| Some(day.bytes.fetched)),
            series("reused", days, |day| Some(day.bytes.reused)),
        ],
    }
}

fn outcomes_chart(days: &[DayFigures], outcomes: &[Outcome]) -> Chart {
    let of_outcome =
        |outcome: &Outcome| series(outcome.as_str(), days, |day| Some(count(day, *outcome)));
    Chart {
        title: "Outcomes by day",
        unit: Unit::Count,
        shape: Shape::StackedBars,
        labels: labels(days),
        series: outcomes.iter().map(of_outcome).collect(),
    }
}

fn labels(days: &[DayFigures]) -> Vec<String> {
    days.iter().map(|day| day.date.to_string()).collect()
}

fn series(
    name: &'static str,
    days: &[DayFigures],
    value: impl Fn(&DayFigures) -> Option<u64>,
) -> Series {
    let values = days.iter().map(value).collect();
    Series { name, values }
}

/// Returns the title of the column of an outcome.
fn number_title(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Updated => ">updated",
        Outcome::UpToDate => ">up-to-date",
        Outcome::Repaired => ">repaired",
        Outcome::Partial => ">partial",
        Outcome::Held => ">held",
        Outcome::CouldNotCheck => ">could-not-check",
        Outcome::Orphaned => ">orphaned",
        Outcome::Skipped => ">skipped",
        Outcome::Failed => ">failed",
    }
}

fn by_model(report: &PeriodReport) -> Vec<Block> {
    let row = |label: String, figures: [String; 4]| {
        let mut row = vec![label];
        row.extend(figures);
        row
    };
    let shown = report.models.iter().take(MOST_MODELS).map(|model| {
        let (updates, failures) = (model.n_updates.to_string(), model.n_failures.to_string());
        let bytes = [size(model.bytes.fetched), size(model.bytes.reused)];
        let [fetched, reused] = bytes;
        row(model.label.clone(), [fetched, reused, updates, failures])
    });
    let mut rows: Vec<Vec<String>> = shown.collect();
    let others = report.models.get(MOST_MODELS..).unwrap_or_default();
    if !others.is_empty() {
        let sum = |count: fn(&ModelFigures) -> u64| others.iter().map(count).sum::<u64>();
        let figures = [
            size(sum(|it| it.bytes.fetched)),
            size(sum(|it| it.bytes.reused)),
            sum(|it| it.n_updates).to_string(),
            sum(|it| it.n_failures).to_string(),
        ];
        let label = text::count(others.len() as u64, "other", "others");
        rows.push(row(label, figures));
    }
    if rows.is_empty() {
        return Vec::new();
    }
    let columns = vec!["Model", ">Fetched", ">Reused", ">Updates", ">Failures"];
    vec![Block::Table(Grid { columns, rows })]
}

fn disk(report: &PeriodReport) -> Vec<Block> {
    let samples = &report.disk;
    if samples.is_empty() {
        return Vec::new();
    }
    let days = &report.days;
    let sample = |day: &DayFigures| {
        let found = samples.binary_search_by_key(&day.date, |sample| sample.day);
        found.ok().and_then(|index| samples.get(index))
    };
    let mut lines = vec![series("cache", days, |day| Some(sample(day)?.cache_bytes))];
    if samples.iter().any(|sample| sample.directory_bytes > 0) {
        let directories = |day: &DayFigures| Some(sample(day)?.directory_bytes);
        lines.push(series("directories", days, directories));
    }
    let chart = Chart {
        title: "Disk use by day",
        unit: Unit::Bytes,
        shape: Shape::Lines,
        labels: labels(days),
        series: lines,
    };
    let rows = samples.iter().map(|sample| {
        vec![
            sample.day.to_string(),
            size(sample.cache_bytes),
            size(sample.directory_bytes),
            text::or_nothing(sample.free_bytes.map(size)),
        ]
    });
    let rows = rows.collect();
    let columns = vec!["Day", ">Cache", ">Directories", ">Free"];
    vec![Block::Chart(chart), Block::Table(Grid { columns, rows })]
}

fn verification(report: &PeriodReport, clock: &Clock) -> Block {
    let proofs = &report.proofs;
    let files = text::count(proofs.n_files, "file", "files");
    let verified = match proofs.n_verified {
        0 => "none yet".to_owned(),
        n => format!("{n} of {}", proofs.n_models),
    };
    Block::Facts(vec![
        ("models", proofs.n_models.to_string()),
        ("verified models", verified),
        ("damaged", text::list(&proofs.damaged)),
        (
            "proven files",
            format!("{files} ({})", size(proofs.n_bytes)),
        ),
        (
            "oldest proof",
            text::or_nothing(proofs.oldest_at.map(|at| clock.local(at))),
        ),
    ])
}

fn runs(report: &PeriodReport) -> Block {
    let runs = &report.runs;
    let outcome = |(outcome, n): (&RunOutcome, &u64)| format!("{n} {outcome}");
    let span = |seconds| match runs.n_with_work {
        0 => text::NOTHING.to_owned(),
        _ if seconds == 0 => "less than 1s".to_owned(),
        _ => Seconds(seconds).to_string(),
    };
    Block::Facts(vec![
        ("runs", text::list(runs.outcomes.iter().map(outcome))),
        ("with work", runs.n_with_work.to_string()),
        ("time in all", span(runs.total_seconds)),
        ("median run", span(runs.median_seconds)),
        ("longest run", span(runs.longest_seconds)),
    ])
}
