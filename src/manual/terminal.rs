//! Renders blocks as plain text for a terminal.

use super::markdown::{Element, Inline};

/// The widest line; longer ones are hard to read.
const MOST_COLUMNS: usize = 100;

/// Indentation of text below a heading.
const INDENT: usize = 2;

const GAP: usize = 2;

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
                let room = width - 2 * INDENT;
                let lines = lines.iter().flat_map(|line| code_lines(line, room));
                indented(lines.collect(), 2 * INDENT)
            }
            Element::Table { titles, rows } => indented(self.table(titles, rows, inner), INDENT),
        }
    }

    fn table(self, titles: &[Vec<Inline>], rows: &[Vec<Vec<Inline>>], width: usize) -> Vec<String> {
        let mut cells: Vec<Vec<Vec<String>>> = Vec::new();
        let bold_titles = titles.iter().map(|title| {
            let words = self.words(title).into_iter();
            words.map(|word| bold(&word, self.colour)).collect()
        });
        cells.push(bold_titles.collect());
        cells.extend(
            rows.iter()
                .map(|row| row.iter().map(|cell| self.words(cell)).collect()),
        );
        let widths = column_widths(&cells, width);
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
/// together, the widest columns give way as far as their longest words allow.
fn column_widths(rows: &[Vec<Vec<String>>], width: usize) -> Vec<usize> {
    let n_columns = rows.first().map_or(0, Vec::len);
    let of_column = |column: usize, of_cell: fn(&[String]) -> usize| {
        let cells = rows.iter().map(|row| of_cell(&row[column]));
        cells.max().unwrap_or_default()
    };
    let whole = |words: &[String]| words.iter().map(|word| visible(word) + 1).sum::<usize>();
    let longest = |words: &[String]| words.iter().map(|word| visible(word)).max().unwrap_or(0);
    // The width of a column, and the least one.
    let mut widths: Vec<(usize, usize)> = (0..n_columns)
        .map(|column| {
            (
                of_column(column, whole).max(1) - 1,
                of_column(column, longest),
            )
        })
        .collect();
    let available = width.saturating_sub(GAP * n_columns.saturating_sub(1));
    while widths.iter().map(|(width, _)| width).sum::<usize>() > available {
        let shrinkable = widths.iter_mut().filter(|(width, least)| width > least);
        let Some(widest) = shrinkable.max() else {
            break;
        };
        widest.0 -= 1;
    }
    widths.into_iter().map(|(width, _)| width).collect()
}

/// Folds the explanation behind a command where the line is too long.
fn code_lines(line: &str, width: usize) -> Vec<String> {
    const LEAST: usize = 20;
    let start = line.rfind("  ").map_or(0, |gap| gap + GAP);
    let room = width.saturating_sub(start);
    if visible(line) <= width || !line.starts_with("hfdl ") || start == 0 || room < LEAST {
        return vec![line.to_owned()];
    }
    let words: Vec<String> = line[start..].split(' ').map(str::to_owned).collect();
    let mut lines = indented(wrap(&words, room), start);
    lines[0] = format!("{}{}", &line[..start], lines[0].trim_start());
    lines
}

fn wrap(words: &[String], width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in words {
        match lines.last_mut() {
            Some(line) if visible(line) + 1 + visible(word) <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.clone()),
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

fn indented(lines: Vec<String>, n: usize) -> Vec<String> {
    let lines = lines.into_iter();
    lines.map(|line| format!("{:n$}{line}", "")).collect()
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
