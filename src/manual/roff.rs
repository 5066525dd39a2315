//! Renders blocks as a manual page, in the `man` macros of roff with `tbl` for tables.

use super::code;
use super::markdown::{Element, Inline, InlineText, plain};

/// Columns of text on a terminal of 80: man leaves two, and the text is indented by seven.
const COLUMNS: usize = 71;
const CODE_INDENT: usize = 4;

/// Title, section and version of a page.
#[derive(Clone, Copy, Debug)]
pub struct PageHead<'a> {
    pub name: &'a str,
    pub section: u8,
    pub version: &'a str,
    pub summary: &'a str,
}

/// Returns the beginning of a page: title and NAME.
pub fn head(page: &PageHead<'_>) -> String {
    format!(
        "'\\\" t\n.TH {} {} \"\" \"hfdl {}\" \"hfdl manual\"\n.ad l\n.nh\n.SH NAME\n{} \\- {}\n",
        escaped(page.name).to_uppercase().replace("\\-", "-"),
        page.section,
        page.version,
        escaped(page.name),
        escaped(page.summary),
    )
}

/// Renders a topic; its title is the summary in the head.
pub fn topic(page: &PageHead<'_>, blocks: &[Element]) -> String {
    let mut text = head(page);
    text.push_str(".SH DESCRIPTION\n");
    let rest = blocks.get(1..).unwrap_or_default();
    text.push_str(&body(rest));
    text.push_str(&section("SEE ALSO"));
    text.push_str(".BR hfdl (1)\n");
    text
}

/// Renders blocks without a head.
pub fn body(blocks: &[Element]) -> String {
    let text: String = blocks.iter().map(block).collect();
    // Behind the title of a section, a paragraph begins by itself.
    let mut shown = String::new();
    for line in text.lines() {
        if line != ".PP" || !begins_section(&shown) {
            shown.push_str(line);
            shown.push('\n');
        }
    }
    shown
}

fn begins_section(text: &str) -> bool {
    let last = text.lines().next_back();
    last.is_none_or(|line| line.starts_with(".SH "))
}

/// Begins a section.
pub fn section(title: &str) -> String {
    format!(".SH {}\n", quoted(title))
}

/// Renders a paragraph with a tag in bold, such as an option and its meaning.
pub fn tagged(tag: &str, text: &str) -> String {
    format!(".TP\n\\fB{}\\fR\n{}\n", escaped(tag), prose(&escaped(text)))
}

/// Renders the lines of a code block, folded where they are too long.
pub fn verbatim(lines: &[String]) -> String {
    let indent = code::indent(lines, COLUMNS, CODE_INDENT);
    let mut text = format!(".RS {indent}\n.nf\n");
    for line in code::folded(lines, COLUMNS - indent) {
        text.push_str(&prose(&escaped(&line)));
        text.push('\n');
    }
    text.push_str(".fi\n.RE\n");
    text
}

/// Renders words of a text, each with its style.
pub fn inline(text: &[Inline]) -> String {
    let pieces = text.iter().map(|piece| match piece {
        Inline::Text(text) => escaped(text),
        Inline::Code(text) | Inline::Bold(text) => format!("\\fB{}\\fR", escaped(text)),
        Inline::Link { text, target } => match target.strip_suffix(".md") {
            Some(topic) if !topic.contains('/') => {
                format!("\\fBhfdl\\-{}\\fR(7)", escaped(topic))
            }
            _ if target.starts_with("http") => format!("{} ({})", escaped(text), escaped(target)),
            _ => escaped(text),
        },
    });
    prose(&pieces.collect::<String>())
}

fn block(block: &Element) -> String {
    match block {
        Element::Heading { text, .. } => section(&plain(text).to_uppercase()),
        Element::Paragraph(text) => format!(".PP\n{}\n", inline(text)),
        Element::List { is_numbered, items } => {
            let mut shown = String::new();
            for (index, item) in items.iter().enumerate() {
                let mark = if *is_numbered {
                    format!("{}. 4", index + 1)
                } else {
                    "\\(bu 2".to_owned()
                };
                shown.push_str(&format!(".IP {mark}\n{}\n", inline(item)));
            }
            shown
        }
        Element::Code { lines, .. } => format!(".PP\n{}", verbatim(lines)),
        Element::Table { titles, rows } => table(titles, rows),
    }
}

/// Columns before the last one that leave it enough room.
const MOST_KEPT_COLUMNS: usize = 38;

/// Renders a table. Where the last column would be too narrow, each row becomes a paragraph.
fn table(titles: &[InlineText], rows: &[Vec<InlineText>]) -> String {
    let last = titles.len() - 1;
    let width_of = |column: usize| {
        let widths = rows.iter().map(|row| plain(&row[column]).len());
        widths.max().unwrap_or_default()
    };
    if (0..last).map(width_of).sum::<usize>() > MOST_KEPT_COLUMNS {
        let rows = rows.iter().map(|row| row_as_paragraph(titles, row));
        return rows.collect();
    }
    let mut text = format!(".PP\n.TS\ntab(|);\n{}lx.\n", "l ".repeat(last));
    let titles = titles
        .iter()
        .map(|title| format!("\\fB{}\\fR", escaped(&plain(title))));
    text.push_str(&format!("{}\n", titles.collect::<Vec<_>>().join("|")));
    for row in rows {
        let cells = row.iter().enumerate().map(|(index, cell)| {
            if index == last {
                format!("T{{\n{}\nT}}", inline(cell))
            } else {
                inline(cell)
            }
        });
        text.push_str(&format!("{}\n", cells.collect::<Vec<_>>().join("|")));
    }
    text.push_str(".TE\n");
    text
}

/// Renders a row below its first cell; of several other cells, each has its title.
fn row_as_paragraph(titles: &[InlineText], row: &[InlineText]) -> String {
    let cells = titles.iter().zip(row).skip(1);
    let cells = cells.map(|(title, cell)| {
        if row.len() > 2 {
            format!("{}: {}", inline(title), inline(cell))
        } else {
            inline(cell)
        }
    });
    let cells: Vec<String> = cells.collect();
    let tag = row.first().map(|cell| inline(cell)).unwrap_or_default();
    format!(".TP\n{tag}\n{}\n", cells.join("\n.br\n"))
}

/// Escapes the characters that roff would take for its own.
pub fn escaped(text: &str) -> String {
    let mut shown = String::new();
    for c in text.chars() {
        match c {
            '\\' => shown.push_str("\\e"),
            '-' => shown.push_str("\\-"),
            '`' => shown.push_str("\\(ga"),
            '^' => shown.push_str("\\(ha"),
            '~' => shown.push_str("\\(ti"),
            '"' => shown.push_str("\\(dq"),
            '\'' => shown.push_str("\\(aq"),
            '|' => shown.push_str("\\(ba"),
            c => shown.push(c),
        }
    }
    ascii(&shown)
}

/// Writes characters beyond ASCII in the form that each roff reads.
pub fn ascii(text: &str) -> String {
    let mut shown = String::new();
    for c in text.chars() {
        if c.is_ascii() {
            shown.push(c);
        } else {
            shown.push_str(&format!("\\[u{:04X}]", u32::from(c)));
        }
    }
    shown
}

/// Keeps a line that begins with a dot from being a request.
fn prose(line: &str) -> String {
    if line.starts_with('.') {
        format!("\\&{line}")
    } else {
        line.to_owned()
    }
}

/// Quotes an argument of a request that has several words.
fn quoted(text: &str) -> String {
    if text.contains(' ') {
        format!("\"{}\"", escaped(text))
    } else {
        escaped(text)
    }
}

#[cfg(test)]
mod tests {
    use super::super::markdown::parse;
    use super::*;

    #[test]
    fn the_blocks_of_the_subset_become_requests() {
        let page = "# a page\n\nSee `--x` and [hooks](hooks.md).\n\n## A part\n\n- one\n\n```text\n.dot 'quoted' \\\n```\n\n\
                    | A | B |\n| - | - |\n| `x` | y |\n";
        let head = PageHead {
            name: "hfdl-page",
            section: 7,
            version: "1.2.3",
            summary: "a page",
        };
        let shown = topic(&head, &parse(page).unwrap());
        let expected = "'\\\" t\n.TH HFDL-PAGE 7 \"\" \"hfdl 1.2.3\" \"hfdl manual\"\n\
            .ad l\n.nh\n.SH NAME\nhfdl\\-page \\- a page\n.SH DESCRIPTION\n\
            See \\fB\\-\\-x\\fR and \\fBhfdl\\-hooks\\fR(7).\n.SH \"A PART\"\n.IP \\(bu 2\none\n\
            .PP\n.RS 4\n.nf\n\\&.dot \\(aqquoted\\(aq \\e\n.fi\n.RE\n\
            .PP\n.TS\ntab(|);\nl lx.\n\\fBA\\fR|\\fBB\\fR\n\\fBx\\fR|T{\ny\nT}\n.TE\n";
        let expected = format!("{expected}.SH \"SEE ALSO\"\n.BR hfdl (1)\n");
        assert_eq!(shown, expected);
    }
}
