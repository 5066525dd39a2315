//! `hfdl report`: a period of the history as text, Markdown, JSON, YAML or one HTML page.
//!
//! `content` turns a report into a [`page::Page`] of paragraphs, facts, tables, entries and
//! charts; `text`, `markdown` and `html` render that page. Cells of a page are plain
//! strings, and each renderer escapes all of them: titles of commits and names of files
//! come from anybody. The HTML page has no script and loads nothing; its charts are SVG
//! made by `chart`.
//!
//! Deliberately absent: the figures (`domain::report`) and the JSON shape (`json`).

mod chart;
mod command;
mod content;
mod html;
mod lists;
mod markdown;
mod page;
mod text;

pub(super) use command::ReportCommand;
