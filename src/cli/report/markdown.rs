//! A report as Markdown.

use super::page::{Block, Grid, Line, Page, PageEntry};
use crate::ui::text;

/// Renders a page.
pub(super) fn render(page: &Page) -> String {
    let mut text = format!("# {}\n\n{}\n", escape(&page.title), escape(&page.subtitle));
    for section in &page.sections {
        text.push_str(&format!("\n## {}\n", section.title));
        for block in &section.blocks {
            if let Some(block) = render_block(block) {
                text.push_str(&format!("\n{block}"));
            }
        }
    }
    text
}

/// Renders a block; a chart has its figures in a table.
fn render_block(block: &Block) -> Option<String> {
    Some(match block {
        Block::Paragraph(words) => format!("{}\n", escape(words)),
        Block::Facts(facts) => render_facts(facts),
        Block::Table(grid) => render_grid(grid),
        Block::Entry(entry) => render_entry(entry),
        Block::Chart(_) => return None,
    })
}

fn render_facts(facts: &[(&'static str, String)]) -> String {
    let line = |(name, value): &(&str, String)| format!("- {name}: {}\n", escape(value));
    facts.iter().map(line).collect()
}

fn render_grid(grid: &Grid) -> String {
    let row = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    let columns = grid.columns.iter().map(|title| Grid::column(title));
    let names = columns.clone().map(|(_, name)| name.to_owned()).collect();
    let rules = columns.map(|(is_number, _)| {
        let rule = if is_number { "---:" } else { "---" };
        rule.to_owned()
    });
    let mut text = row(names) + &row(rules.collect());
    for cells in &grid.rows {
        text.push_str(&row(cells.iter().map(|cell| escape(cell)).collect()));
    }
    text
}

fn render_entry(entry: &PageEntry) -> String {
    let mut text = format!(
        "### {}\n\n{}",
        escape(&entry.heading),
        render_facts(&entry.facts)
    );
    if let Some(page) = &entry.page {
        text.push_str(&format!("- page: <{page}>\n"));
    }
    for (name, lines) in &entry.lists {
        text.push_str(&format!("\n{name}:\n\n"));
        lines
            .iter()
            .for_each(|line| text.push_str(&render_line(line)));
    }
    text
}

fn render_line(line: &Line) -> String {
    let mut text = format!("- {}", escape(&line.before));
    if !line.quoted.is_empty() {
        text.push_str(&format!(" {}", code(&line.quoted)));
    }
    if !line.after.is_empty() {
        text.push_str(&format!(" ({})", escape(&line.after)));
    }
    text.push('\n');
    text
}

/// Escapes the characters that Markdown and HTML treat as markup.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text::clean(text).chars() {
        if matches!(
            c,
            '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '|' | '~' | '&' | '#' | '!'
        ) {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

/// Renders a text as code, in which nothing is markup: the fence is longer than any
/// sequence of backticks in it.
fn code(text: &str) -> String {
    let text = text::clean(text);
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest + 1);
    if longest > 0 || text.starts_with(' ') {
        return format!("{fence} {text} {fence}");
    }
    format!("{fence}{text}{fence}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quoted_text_cannot_end_its_code() {
        assert_eq!(code("plain"), "`plain`");
        assert_eq!(code("a ``b`` <script>"), "``` a ``b`` <script> ```");
        assert_eq!(code("`"), "`` ` ``");
    }

    #[test]
    fn markup_is_escaped() {
        let hostile = "[x](javascript:alert(1)) <img src=x> | **b** `c` &lt;";
        let escaped =
            "\\[x\\](javascript:alert(1)) \\<img src=x\\> \\| \\*\\*b\\*\\* \\`c\\` \\&lt;";
        assert_eq!(escape(hostile), escaped);
    }
}
