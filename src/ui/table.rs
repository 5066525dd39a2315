//! Tables that fit the terminal.

use comfy_table::{
    Cell, CellAlignment, ColumnConstraint, ContentArrangement, Table, Width, presets,
};

use super::Output;
use crate::sys::text::steers_terminal;

/// Spaces between columns.
const PADDING: u16 = 2;

/// Longer words than this are broken where the terminal is too narrow.
const LONGEST_WORD: usize = 24;

/// Renders rows below their titles. Without a terminal no cell is folded, so that
/// `grep` and `awk` see whole lines.
///
/// A title that begins with `>` is that of a column of numbers, which are aligned on
/// the right.
pub fn render(out: &Output, titles: &[&str], rows: Vec<Vec<String>>) -> String {
    let names = || titles.iter().map(|title| title.trim_start_matches('>'));
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    match out.width {
        Some(width) => {
            table
                .set_content_arrangement(ContentArrangement::Dynamic)
                .set_width(width);
        }
        None => {
            table.set_content_arrangement(ContentArrangement::Disabled);
        }
    }
    if out.colour {
        table.enforce_styling();
    } else {
        table.force_no_tty();
    }
    table.set_header(names().map(|name| {
        let cell = Cell::new(name);
        if out.colour {
            cell.add_attribute(comfy_table::Attribute::Bold)
        } else {
            cell
        }
    }));
    let mut longest: Vec<usize> = names().map(longest_word).collect();
    for row in rows {
        for (index, text) in row.iter().enumerate().take(titles.len()) {
            // People copy the name in the first column, so it is never broken.
            let most = if index == 0 { usize::MAX } else { LONGEST_WORD };
            longest[index] = longest_word(text).min(most).max(longest[index]);
        }
        table.add_row(row.into_iter().map(|text| clean(&text)));
    }
    for (index, title) in titles.iter().enumerate() {
        if let Some(place) = table.column_mut(index) {
            place.set_padding((0, PADDING));
            if title.starts_with('>') {
                place.set_cell_alignment(CellAlignment::Right);
            }
            if out.width.is_some() {
                // Words stay whole, so that they can be read and copied, even if
                // the terminal has to fold the line then.
                let width = u16::try_from(longest[index]).unwrap_or(u16::MAX);
                let width = width.saturating_add(PADDING);
                place.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(width)));
            }
        }
    }
    trim_lines(&table.to_string())
}

fn longest_word(text: &str) -> usize {
    let words = text.split_whitespace().map(|word| word.chars().count());
    words.max().unwrap_or(0)
}

/// Renders facts as two columns, names and values.
pub fn facts(rows: &[(&str, String)]) -> String {
    let width = rows
        .iter()
        .map(|(name, _)| name.chars().count())
        .max()
        .unwrap_or(0);
    let mut text = String::new();
    for (name, value) in rows {
        let mut lines = value.lines();
        text.push_str(&format!(
            "{name:width$}  {}\n",
            clean(lines.next().unwrap_or_default())
        ));
        for line in lines {
            text.push_str(&format!("{:width$}  {}\n", "", clean(line)));
        }
    }
    trim_lines(&text)
}

/// Returns the width of the terminal behind stdout.
pub fn terminal_width() -> Option<u16> {
    Table::new().width()
}

/// Replaces control characters: a name from elsewhere must not move the cursor.
pub fn clean(text: &str) -> String {
    text.chars()
        .map(|c| if steers_terminal(c) { '\u{fffd}' } else { c })
        .collect()
}

/// Replaces control characters within lines, and keeps the line breaks.
pub fn clean_lines(text: &str) -> String {
    text.lines().map(clean).collect::<Vec<_>>().join("\n")
}

fn trim_lines(text: &str) -> String {
    let mut trimmed = String::with_capacity(text.len());
    for line in text.lines() {
        trimmed.push_str(line.trim_end());
        trimmed.push('\n');
    }
    trimmed
}
