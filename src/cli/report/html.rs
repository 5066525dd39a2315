//! A report as one HTML page: no script, nothing loaded from anywhere, charts inline.
//!
//! The page forbids scripts and requests by its own policy as well, so that a title that
//! got past the escaping could do nothing.

use std::fmt::Write as _;

use super::chart;
use super::page::{Block, Chart, Grid, Line, Page, PageEntry, Section};
use crate::ui::text;

const STYLE: &str = include_str!("report.css");

/// Renders a page.
pub(super) fn render(page: &Page) -> String {
    let mut html = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n\
         <meta http-equiv=\"Content-Security-Policy\" \
         content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:\"/>\n\
         <meta name=\"referrer\" content=\"no-referrer\"/>\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n\
         <meta name=\"color-scheme\" content=\"light dark\"/>\n\
         <link rel=\"icon\" href=\"data:,\"/>\n\
         <title>{title}: {subtitle}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n\
         <header>\n<h1>{title}</h1>\n<p class=\"subtitle\">{subtitle}</p>\n</header>\n<main>\n",
        title = escape(&page.title),
        subtitle = escape(&page.subtitle),
    );
    for (number, section) in page.sections.iter().enumerate() {
        html.push_str(&render_section(section, number));
    }
    html.push_str("</main>\n</body>\n</html>\n");
    html
}

fn render_section(section: &Section, number: usize) -> String {
    let mut html = format!(
        "<section aria-labelledby=\"h{number}\">\n<h2 id=\"h{number}\">{}</h2>\n",
        escape(section.title)
    );
    for (index, block) in section.blocks.iter().enumerate() {
        html.push_str(&match block {
            Block::Paragraph(words) => format!("<p>{}</p>\n", escape(words)),
            Block::Facts(facts) => render_facts(facts),
            Block::Table(grid) => render_grid(grid, section.title),
            Block::Entry(entry) => render_entry(entry),
            Block::Chart(chart) => render_chart(chart, &format!("c{number}-{index}")),
        });
    }
    html.push_str("</section>\n");
    html
}

fn render_facts(facts: &[(&'static str, String)]) -> String {
    let mut html = "<dl>\n".to_owned();
    for (name, value) in facts {
        let _ = writeln!(html, "<dt>{}</dt><dd>{}</dd>", escape(name), escape(value));
    }
    html + "</dl>\n"
}

fn render_grid(grid: &Grid, title: &str) -> String {
    let columns: Vec<_> = grid.columns.iter().map(|it| Grid::column(it)).collect();
    let class = |is_number| if is_number { " class=\"number\"" } else { "" };
    let mut html = format!(
        "<div class=\"scroll\" role=\"region\" aria-label=\"{}, figures\" tabindex=\"0\">\n\
         <table>\n<thead><tr>",
        escape(title)
    );
    for (is_number, name) in &columns {
        let _ = write!(
            html,
            "<th scope=\"col\"{}>{}</th>",
            class(*is_number),
            escape(name)
        );
    }
    html.push_str("</tr></thead>\n<tbody>\n");
    for row in &grid.rows {
        html.push_str("<tr>");
        for (index, (cell, (is_number, _))) in row.iter().zip(&columns).enumerate() {
            let cell = escape(cell);
            if index == 0 {
                let _ = write!(html, "<th scope=\"row\">{cell}</th>");
            } else {
                let _ = write!(html, "<td{}>{cell}</td>", class(*is_number));
            }
        }
        html.push_str("</tr>\n");
    }
    html + "</tbody>\n</table>\n</div>\n"
}

fn render_entry(entry: &PageEntry) -> String {
    let heading = escape(&entry.heading);
    let heading = match &entry.page {
        Some(page) => format!(
            "<a href=\"{}\" rel=\"noreferrer\">{heading}</a>",
            escape(page)
        ),
        None => heading,
    };
    let mut html = format!(
        "<article>\n<h3>{heading}</h3>\n{}",
        render_facts(&entry.facts)
    );
    for (name, lines) in &entry.lists {
        let _ = writeln!(html, "<h4>{}</h4>\n<ul>", escape(name));
        lines
            .iter()
            .for_each(|line| html.push_str(&render_line(line)));
        html.push_str("</ul>\n");
    }
    html + "</article>\n"
}

fn render_line(line: &Line) -> String {
    let mut html = format!("<li><span class=\"aside\">{}</span>", escape(&line.before));
    if !line.quoted.is_empty() {
        let _ = write!(html, " <bdi>{}</bdi>", escape(&line.quoted));
    }
    if !line.after.is_empty() {
        let _ = write!(
            html,
            " <span class=\"aside\">{}</span>",
            escape(&line.after)
        );
    }
    html + "</li>\n"
}

fn render_chart(chart: &Chart, id: &str) -> String {
    let mut html = format!(
        "<figure>\n<figcaption>{}</figcaption>\n<ul>",
        escape(chart.title)
    );
    for series in &chart.series {
        let (class, name) = (chart::class(series), escape(series.name));
        let _ = write!(html, "<li><span class=\"key {class}\"></span>{name}</li>");
    }
    html + "</ul>\n" + &chart::svg(chart, id) + "</figure>\n"
}

/// Escapes a text for elements and quoted attributes, and replaces control characters.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text::clean(text).chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_and_control_characters_are_escaped() {
        let hostile = "<script>alert('1')</script> \" onload=x & \u{202e}\u{1b}[31m";
        assert_eq!(
            escape(hostile),
            "&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt; &quot; onload=x &amp; \u{fffd}\u{fffd}[31m"
        );
    }
}
