//! Renders blocks as plain text for a terminal.

use super::code::{self, indented};
use super::markdown::{Element, Inline, InlineText};

/// The widest line; longer ones are hard to read.
const MOST_COLUMNS: usize = 100;

/// Indentation of text below a heading.
const INDENT: usize = 2;

const GAP: usize = 2;

/// The least width of the last column of a table; a row becomes a block where less is left.
const LEAST_LAST_COLUMN: usize = 30;

/// Renders a page for a terminal of so many columns.
pub fn render(blocks: &[Element], columns: usize, colour: bool) -> String {
    let width = columns.clamp(30, MOST_COLUMNS);
    let style = Style { colour };
    let mut text = String::new();
    for block in blocks {
        if !text.is_empty() {
            text.push('\n');
        }
        for line in style.block(block, width) {
            text.push_str(line.trim_end());
            text.push('\n');
        }
    }
    text
}

/// Returns a text in bold for a terminal.
pub fn bold(text: &str, colour: bool) -> String {
    if colour {
        format!("\u{1b}[1m{text}\u{1b}[0m")
    } else {
        text.to_owned()
    }
}

#[derive(Clone, Copy)]
struct Style {
    colour: bool,
}

impl Style {
    fn block(self, block: &Element, width: usize) -> Vec<String> {
        let inner = width - INDENT;
        match block {
            Element::Heading { text, .. } => {
                let words = self.words(text);
                let lines = wrap(&words, width).into_iter();
                lines.map(|line| bold(&line, self.colour)).collect()
            }
            Element::Paragraph(text) => indented(wrap(&self.words(text), inner), INDENT),
            Element::List { is_numbered, items } => {
                let mut lines = Vec::new();
                for (index, item) in items.iter().enumerate() {
                    let mark = if *is_numbered {
                        format!("{}. ", index + 1)
                    } else {
                        "- ".to_owned()
                    };
                    let wrapped = wrap(&self.words(item), inner - mark.len());
                    for (number, line) in wrapped.into_iter().enumerate() {
                        let start = if number == 0 { mark.as_str() } else { "" };
                        lines.push(format!(
                            "{start:mark_width$}{line}",
                            mark_width = mark.len()
                        ));
                    }
                }
                indented(lines, INDENT)
            }
            Element::Code { lines, .. } => {
                let indent = code::indent(lines, width, 2 * INDENT);
                indented(code::folded(lines, width - indent), indent)
            }
            Element::Table { titles, rows } => indented(self.table(titles, rows, inner), INDENT),
        }
    }

    /// Renders a table, or its rows as blocks where its columns do not fit.
    fn table(self, titles: &[InlineText], rows: &[Vec<InlineText>], width: usize) -> Vec<String> {
        let bold_title = |title: &InlineText| {
            let words = self.words(title).into_iter();
            words.map(|word| bold(&word, self.colour)).collect()
        };
        let row_words = |row: &Vec<InlineText>| row.iter().map(|cell| self.words(cell)).collect();
        let mut cells: Vec<Vec<Vec<String>>> = vec![titles.iter().map(bold_title).collect()];
        cells.extend(rows.iter().map(row_words));
        let Some(widths) = column_widths(&cells, width) else {
            let blocks = cells[1..].iter().enumerate();
            let blocks = blocks.map(|(index, row)| row_as_block(index == 0, &cells[0], row, width));
            return blocks.flatten().collect();
        };
        let mut lines = Vec::new();
        for row in &cells {
            let wrapped: Vec<Vec<String>> = (row.iter().zip(&widths))
                .map(|(words, width)| wrap(words, *width))
                .collect();
            let height = wrapped.iter().map(Vec::len).max().unwrap_or_default();
            for index in 0..height {
                let mut line = String::new();
                for (cell, width) in wrapped.iter().zip(&widths) {
                    let text = cell.get(index).map_or("", String::as_str);
                    let fill = width.saturating_sub(visible(text)) + GAP;
                    line = format!("{line}{text}{:fill$}", "");
                }
                lines.push(line);
            }
        }
        lines
    }

    /// Returns the words of a text; code stays in one piece.
    fn words(self, text: &[Inline]) -> Vec<String> {
        let mut words = Vec::new();
        let mut word = String::new();
        let mut push_text = |word: &mut String, text: &str, is_bold: bool| {
            for (index, piece) in text.split(' ').enumerate() {
                if index > 0 && !word.is_empty() {
                    words.push(std::mem::take(word));
                }
                if is_bold && !piece.is_empty() {
                    word.push_str(&bold(piece, self.colour));
                } else {
                    word.push_str(piece);
                }
            }
        };
        for piece in text {
            match piece {
                Inline::Text(text) => push_text(&mut word, text, false),
                Inline::Bold(text) => push_text(&mut word, text, true),
                Inline::Code(code) => word.push_str(&format!("`{code}`")),
                Inline::Link { text, target } => match target.strip_suffix(".md") {
                    Some(topic) if !topic.contains('/') => {
                        word.push_str(&format!("`hfdl help {topic}`"));
                    }
                    _ => {
                        push_text(&mut word, text, false);
                        if target.starts_with("http") {
                            push_text(&mut word, &format!(" ({target})"), false);
                        }
                    }
                },
            }
        }
        words.extend(Some(word).filter(|word| !word.is_empty()));
        words
    }
}

/// Returns the width of each column: that of its longest cell. Where these are too wide
/// together, the widest columns give way as far as their longest words allow; `None` where
/// that is not enough.
fn column_widths(rows: &[Vec<Vec<String>>], width: usize) -> Option<Vec<usize>> {
    let n_columns = rows.first().map_or(0, Vec::len);
    let of_column = |column: usize, of_cell: fn(&[String]) -> usize| {
        let cells = rows.iter().map(|row| of_cell(&row[column]));
        cells.max().unwrap_or_default()
    };
    let whole = |words: &[String]| words.iter().map(|word| visible(word) + 1).sum::<usize>();
    let longest = |words: &[String]| words.iter().map(|word| visible(word)).max().unwrap_or(0);
    // The width of a column, and the least one.
    let of_text = |column| of_column(column, whole).max(1) - 1;
    let mut widths: Vec<(usize, usize)> = (0..n_columns)
        .map(|column| (of_text(column), of_column(column, longest)))
        .collect();
    if let Some((width, least)) = widths.last_mut() {
        *least = (*least).max(LEAST_LAST_COLUMN.min(*width));
    }
    let available = width.saturating_sub(GAP * n_columns.saturating_sub(1));
    while widths.iter().map(|(width, _)| width).sum::<usize>() > available {
        let shrinkable = widths.iter_mut().filter(|(width, least)| width > least);
        shrinkable.max()?.0 -= 1;
    }
    Some(widths.into_iter().map(|(width, _)| width).collect())
}

/// Renders a row below its first cell; of several other cells, each has its title.
fn row_as_block(
    is_first: bool,
    titles: &[Vec<String>],
    row: &[Vec<String>],
    width: usize,
) -> Vec<String> {
    let inner = width - 2 * INDENT;
    let mut lines = Vec::new();
    if row.len() > 2 && !is_first {
        lines.push(String::new());
    }
    lines.extend(wrap(&row[0], width));
    for (title, cell) in titles.iter().zip(row).skip(1) {
        let mut words = Vec::new();
        if row.len() > 2 {
            words.extend_from_slice(title);
            words.last_mut().into_iter().for_each(|word| word.push(':'));
        }
        words.extend_from_slice(cell);
        lines.extend(indented(wrap(&words, inner), 2 * INDENT));
    }
    lines
}

/// Joins words to lines. Code is one word, and breaks at its spaces only where it is
/// longer than a line.
fn wrap(words: &[String], width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let pieces = words.iter().flat_map(|word| {
        let is_too_long = visible(word) > width;
        word.split(move |c| is_too_long && c == ' ')
    });
    for word in pieces {
        match lines.last_mut() {
            Some(line) if visible(line) + 1 + visible(word) <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// Counts the characters of a text without its colours.
fn visible(text: &str) -> usize {
    let (mut n, mut in_colour) = (0, false);
    for c in text.chars() {
        match c {
            '\u{1b}' => in_colour = true,
            'm' if in_colour => in_colour = false,
            _ if in_colour => {}
            _ => n += 1,
        }
    }
    n
}

#[cfg(test)]
mod tests {
    use super::super::markdown::parse;
    use super::*;

    const PAGE: &str = "# A page\n\nSome words of a paragraph that is too long for one narrow line, with `a b` and \
                        **bold words**.\n\n## Second\n\n1. first, see [hooks](hooks.md)\n2. second\n\n```text\nleft as it is\n```\n\n\
                        | Key | Meaning |\n| --- | --- |\n| `a` | a sentence that does not fit in the line |\n";

    #[test]
    fn a_page_is_wrapped_to_the_width() {
        let shown = render(&parse(PAGE).unwrap(), 40, false);
        let expected = "\
A page

  Some words of a paragraph that is too
  long for one narrow line, with `a b`
  and bold words.

Second

  1. first, see `hfdl help hooks`
  2. second

    left as it is

  Key  Meaning
  `a`  a sentence that does not fit in
       the line
";
        assert_eq!(shown, expected);
    }

    #[test]
    fn bold_text_is_bold_where_colours_are_on_and_takes_no_room() {
        let blocks = parse(PAGE).unwrap();
        let coloured = render(&blocks, 40, true);
        assert!(coloured.contains("\u{1b}[1mA page\u{1b}[0m"), "{coloured}");
        let plain = coloured.replace("\u{1b}[1m", "").replace("\u{1b}[0m", "");
        assert_eq!(plain, render(&blocks, 40, false));
    }
}
