//! The subset of Markdown that topics use, parsed into blocks.
//!
//! Headings of two levels, paragraphs, flat lists, fenced code, tables; in the text code,
//! bold and links. Everything else is refused, so that no renderer shows it wrongly.

use thiserror::Error;

/// A piece of text with one style.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Inline {
    Text(String),
    Code(String),
    Bold(String),
    Link { text: String, target: String },
}

pub type InlineText = Vec<Inline>;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Element {
    Heading {
        level: usize,
        text: InlineText,
    },
    Paragraph(InlineText),
    List {
        is_numbered: bool,
        items: Vec<InlineText>,
    },
    Code {
        language: String,
        lines: Vec<String>,
    },
    Table {
        titles: Vec<InlineText>,
        rows: Vec<Vec<InlineText>>,
    },
}

/// A construct that the renderers do not know.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("line {line}: {why}")]
pub struct NotInSubset {
    /// Counted from 1.
    pub line: usize,
    pub why: &'static str,
}

/// Parses a text, or names the first line outside the subset.
pub fn parse(text: &str) -> Result<Vec<Element>, NotInSubset> {
    let mut lines = SourceLines {
        rest: text.lines().collect(),
        next: 0,
    };
    let mut blocks = Vec::new();
    while let Some(line) = lines.peek() {
        if line.trim().is_empty() {
            lines.next += 1;
        } else {
            blocks.push(block(&mut lines, line)?);
        }
    }
    Ok(blocks)
}

/// Returns a text without its marks.
pub fn plain(text: &[Inline]) -> String {
    let pieces = text.iter().map(|piece| match piece {
        Inline::Text(text) | Inline::Code(text) | Inline::Bold(text) => text.as_str(),
        Inline::Link { text, .. } => text.as_str(),
    });
    pieces.collect()
}

struct SourceLines<'a> {
    rest: Vec<&'a str>,
    next: usize,
}

impl<'a> SourceLines<'a> {
    fn peek(&self) -> Option<&'a str> {
        self.rest.get(self.next).copied()
    }

    /// Takes lines as long as a condition holds.
    fn take_while(&mut self, condition: impl Fn(&str) -> bool) -> Vec<&'a str> {
        let rest = self.rest[self.next..].iter().copied();
        let taken: Vec<&str> = rest.take_while(|line| condition(line)).collect();
        self.next += taken.len();
        taken
    }

    fn refuse(&self, why: &'static str) -> NotInSubset {
        NotInSubset {
            line: self.next + 1,
            why,
        }
    }
}

fn block(lines: &mut SourceLines<'_>, line: &str) -> Result<Element, NotInSubset> {
    let refused = [
        (">", "no quotes"),
        ("* ", "items begin with `- `"),
        ("+ ", "items begin with `- `"),
        ("---", "no rules"),
        ("===", "headings begin with `#`"),
        (" ", "nothing is indented but the next lines of an item"),
        ("\t", "no tabs"),
        ("<", "no HTML"),
        ("###", "headings have two levels"),
    ];
    if let Some((_, why)) = refused.iter().find(|(start, _)| line.starts_with(start)) {
        return Err(lines.refuse(why));
    }
    if let Some(language) = line.strip_prefix("```") {
        return code(lines, language);
    }
    if line.starts_with('#') {
        let level = line.len() - line.trim_start_matches('#').len();
        let text = inline(line.trim_start_matches('#').trim(), lines)?;
        lines.next += 1;
        return Ok(Element::Heading { level, text });
    }
    if line.starts_with('|') {
        return table(lines);
    }
    if let Some(is_numbered) = begins_item(line) {
        return list(lines, is_numbered);
    }
    let start = lines.next;
    let taken = lines.take_while(|line| {
        let ends = line.trim().is_empty() || line.starts_with(['#', '|']);
        !ends && !line.starts_with("```") && begins_item(line).is_none()
    });
    let text = inline_from(&taken.join(" "), start)?;
    Ok(Element::Paragraph(text))
}

/// Reports whether a line begins an item, and whether of a numbered list.
fn begins_item(line: &str) -> Option<bool> {
    if line.starts_with("- ") {
        return Some(false);
    }
    let (number, _) = line.split_once(". ")?;
    let is_number = !number.is_empty() && number.chars().all(|c| c.is_ascii_digit());
    is_number.then_some(true)
}

fn code(lines: &mut SourceLines<'_>, language: &str) -> Result<Element, NotInSubset> {
    let unclosed = lines.refuse("a code block is not closed");
    lines.next += 1;
    let taken = lines.take_while(|line| line != "```");
    if lines.peek().is_none() {
        return Err(unclosed);
    }
    lines.next += 1;
    Ok(Element::Code {
        language: language.to_owned(),
        lines: taken.into_iter().map(str::to_owned).collect(),
    })
}

fn list(lines: &mut SourceLines<'_>, is_numbered: bool) -> Result<Element, NotInSubset> {
    let mut items = Vec::new();
    while lines.peek().and_then(begins_item) == Some(is_numbered) {
        let start = lines.next;
        let first = lines.peek().and_then(|line| line.split_once(' '));
        let mut text = first.map_or("", |(_, text)| text).to_owned();
        lines.next += 1;
        for line in lines.take_while(|line| line.starts_with("  ")) {
            if begins_item(line.trim_start()).is_some() {
                return Err(NotInSubset {
                    line: start + 2,
                    why: "lists are flat",
                });
            }
            text = format!("{text} {}", line.trim());
        }
        items.push(inline_from(&text, start)?);
    }
    Ok(Element::List { is_numbered, items })
}

fn table(lines: &mut SourceLines<'_>) -> Result<Element, NotInSubset> {
    let start = lines.next;
    let taken = lines.take_while(|line| line.starts_with('|'));
    let refuse = |line: usize, why| NotInSubset {
        line: start + line + 1,
        why,
    };
    let mut rows = Vec::new();
    for (index, line) in taken.iter().enumerate() {
        let inside = line
            .trim()
            .strip_prefix('|')
            .and_then(|l| l.strip_suffix('|'));
        let inside = inside.ok_or_else(|| refuse(index, "a row ends with `|`"))?;
        if index == 1 {
            let is_rule = inside.chars().all(|c| matches!(c, '-' | ':' | ' ' | '|'));
            if !is_rule {
                return Err(refuse(1, "a rule stands below the titles"));
            }
            continue;
        }
        let cells = inside
            .split('|')
            .map(|cell| inline_from(cell.trim(), start + index));
        rows.push(cells.collect::<Result<Vec<_>, _>>()?);
    }
    if rows.len() < 2 {
        return Err(refuse(0, "a table has titles and rows"));
    }
    let titles = rows.remove(0);
    if let Some(index) = rows.iter().position(|row| row.len() != titles.len()) {
        return Err(refuse(index + 2, "a row has as many cells as the titles"));
    }
    Ok(Element::Table { titles, rows })
}

fn inline(text: &str, lines: &SourceLines<'_>) -> Result<InlineText, NotInSubset> {
    inline_from(text, lines.next)
}

/// Parses the text of a block that begins at a line, counted from 0.
fn inline_from(text: &str, line: usize) -> Result<InlineText, NotInSubset> {
    let refuse = |why| NotInSubset {
        line: line + 1,
        why,
    };
    let mut pieces = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        if let Some(behind) = rest.strip_prefix('`') {
            let (code, after) = behind
                .split_once('`')
                .ok_or_else(|| refuse("code ends with a second backtick"))?;
            pieces.push(Inline::Code(code.to_owned()));
            rest = after;
        } else if let Some(behind) = rest.strip_prefix("**") {
            let (bold, after) = behind
                .split_once("**")
                .filter(|(bold, _)| !bold.contains(['`', '*', '[']))
                .ok_or_else(|| refuse("bold text is plain and ends with `**`"))?;
            pieces.push(Inline::Bold(bold.to_owned()));
            rest = after;
        } else if let Some(behind) = rest.strip_prefix('[') {
            let link = behind.split_once("](").and_then(|(text, behind)| {
                let (target, after) = behind.split_once(')')?;
                Some((text, target, after))
            });
            let (text, target, after) =
                link.filter(|(text, ..)| !text.contains(['`', '*', ']']))
                    .ok_or_else(|| refuse("a bracket begins a link with plain text"))?;
            pieces.push(Inline::Link {
                text: text.to_owned(),
                target: target.to_owned(),
            });
            rest = after;
        } else {
            let end = rest.find(['`', '*', '[']).unwrap_or(rest.len());
            let (text, after) = rest.split_at(end);
            if text.is_empty() {
                return Err(refuse("no emphasis but bold"));
            }
            if text.contains(['<', '\\', '_', '~', ']'])
                || text.ends_with('!') && after.starts_with('[')
            {
                return Err(refuse(
                    "`<`, `\\`, `_`, `~` and brackets stand in code only, and no image is shown",
                ));
            }
            pieces.push(Inline::Text(text.to_owned()));
            rest = after;
        }
    }
    if !text.is_ascii() {
        return Err(refuse("the manual is plain ASCII"));
    }
    Ok(pieces)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Inline {
        Inline::Text(text.to_owned())
    }

    #[test]
    fn the_subset_is_parsed_into_blocks() {
        let source = "# A title\n\nTwo lines\nof `code` and **bold**.\n\n- one\n  and more\n- two, see [hooks](hooks.md)\n\n\
                      ```text\n| no table |\n```\n\n| A | B |\n| --- | ---: |\n| x | `y` |\n";
        let code = |code: &str| Inline::Code(code.to_owned());
        let expected = vec![
            Element::Heading {
                level: 1,
                text: vec![text("A title")],
            },
            Element::Paragraph(vec![
                text("Two lines of "),
                code("code"),
                text(" and "),
                Inline::Bold("bold".to_owned()),
                text("."),
            ]),
            Element::List {
                is_numbered: false,
                items: vec![
                    vec![text("one and more")],
                    vec![
                        text("two, see "),
                        Inline::Link {
                            text: "hooks".to_owned(),
                            target: "hooks.md".to_owned(),
                        },
                    ],
                ],
            },
            Element::Code {
                language: "text".to_owned(),
                lines: vec!["| no table |".to_owned()],
            },
            Element::Table {
                titles: vec![vec![text("A")], vec![text("B")]],
                rows: vec![vec![vec![text("x")], vec![code("y")]]],
            },
        ];
        assert_eq!(parse(source).unwrap(), expected);
    }

    #[test]
    fn everything_else_is_refused_with_its_line() {
        let refused = [
            "> a quote",
            "* an item",
            "- one\n  - nested",
            "### a third level",
            "    indented code",
            "<p>HTML</p>",
            "an <i>inline</i> tag",
            "some *emphasis*",
            "some _emphasis_",
            "a \\* escape",
            "an ![image](a.png)",
            "`no end",
            "**no end",
            "[no link]",
            "```text\nnot closed",
            "| a | b |\n| --- | --- |\n| one cell |",
            "| a |\n| b |",
            "---",
            "caf\u{e9}",
        ];
        for source in refused {
            let error = parse(&format!("\n{source}\n")).unwrap_err();
            assert!((2..=4).contains(&error.line), "{source}: {error}");
        }
    }
}
