//! A report as plain text, for terminals and mails.

use super::page::{Block, Grid, Line, Page, PageEntry};
use crate::ui::table::Column;
use crate::ui::{Output, table, text};

/// Renders a page. A file is not as wide as a terminal, and has no colours.
pub(super) fn render(page: &Page, out: &Output, is_file: bool) -> String {
    let mut out = out.clone();
    if is_file {
        (out.width, out.colour) = (None, false);
    }
    let subtitle = text::paragraph(&out, &page.subtitle, 0);
    let mut text = format!("{}\n{subtitle}", page.title);
    for section in &page.sections {
        let title = section.title.to_uppercase();
        text.push_str(&format!("\n{title}\n"));
        for (index, block) in section.blocks.iter().enumerate() {
            if index > 0 && matches!(block, Block::Entry(_) | Block::Paragraph(_)) {
                text.push('\n');
            }
            text.push_str(&render_block(block, &out));
        }
    }
    text
}

fn render_block(block: &Block, out: &Output) -> String {
    match block {
        Block::Paragraph(words) => text::paragraph(out, words, 0),
        Block::Facts(facts) => table::facts(out, facts),
        Block::Table(grid) => render_grid(grid, out),
        Block::Entry(entry) => render_entry(entry, out),
        // The table has its figures.
        Block::Chart(_) => String::new(),
    }
}

fn render_grid(grid: &Grid, out: &Output) -> String {
    let titles: Vec<String> = grid.columns.iter().map(|it| it.to_uppercase()).collect();
    // A number further to the right is less useful.
    let columns = titles.iter().zip(0..).map(|(title, index)| {
        match (title.strip_prefix('>'), title.as_str()) {
            (Some(title), _) => Column::number(title).least(index),
            (None, "MODEL" | "SCHEDULE") => Column::name(title),
            (None, "STATE" | "ERROR" | "DETAIL") => Column::sentence(title),
            (None, "KIND" | "UNTIL") => Column::kept(title).least(9),
            (None, _) => Column::kept(title),
        }
    });
    let columns: Vec<Column> = columns.collect();
    table::render(out, &columns, grid.rows.clone())
}

fn render_entry(entry: &PageEntry, out: &Output) -> String {
    let width = out.width.map_or(usize::MAX, usize::from);
    let heading = text::paragraph(out, &entry.heading, 2);
    let heading = heading.lines();
    let heading = heading.map(|line| table::cut_middle(line, width, out.ellipsis()) + "\n");
    let mut text: String = heading.collect();
    let mut facts = entry.facts.clone();
    for (name, lines) in &entry.lists {
        let name = match *name {
            "Commits" => "commits",
            _ => "files",
        };
        let lines: Vec<String> = lines.iter().map(render_line).collect();
        facts.push((name, lines.join("\n")));
    }
    facts.extend(entry.page.clone().map(|page| ("page", page)));
    let mut inner = out.clone();
    inner.width = out.width.map(|width| width.saturating_sub(2));
    for line in table::facts(&inner, &facts).lines() {
        text.push_str(&format!("  {line}\n"));
    }
    text
}

fn render_line(line: &Line) -> String {
    let quoted = text::clean(&line.quoted);
    match (quoted.is_empty(), line.after.is_empty()) {
        (true, true) => line.before.clone(),
        (_, true) => format!("{} {quoted}", line.before),
        (true, false) => format!("{} ({})", line.before, line.after),
        (false, false) => format!("{} {quoted} ({})", line.before, line.after),
    }
}
