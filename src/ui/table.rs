//! Tables and facts that fit the terminal: a row is always one line.

use std::borrow::Cow;
use std::iter::repeat_n;

use console::{measure_text_width, truncate_str};

use super::Output;
use super::text::{clean, folded};

const SPACE_BETWEEN: &str = "  ";

/// Spaces between columns.
const GAP: usize = SPACE_BETWEEN.len();

/// Width below which a name is not cut while there are columns to leave out.
const LEAST_NAME: usize = 16;

/// Width below which a sentence is not cut.
const LEAST_SENTENCE: usize = 20;

/// Width to which names are cut when no more columns can be left out.
const LEAST_OF_ALL: usize = 8;

/// How a column gives way where the terminal is too narrow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cut {
    Never,
    Middle,
    End,
}

/// A column of a table: its title, and how it shrinks.
#[derive(Clone, Copy, Debug)]
pub struct Column<'a> {
    title: &'a str,
    is_number: bool,
    cut: Cut,
    /// Columns with the highest number are left out first; 0 stays always.
    least: u8,
    if_any: bool,
}

impl<'a> Column<'a> {
    /// A column whose cells stay whole.
    pub const fn kept(title: &'a str) -> Self {
        Self {
            title,
            is_number: false,
            cut: Cut::Never,
            least: 0,
            if_any: false,
        }
    }

    /// A column of numbers, aligned on the right.
    pub const fn number(title: &'a str) -> Self {
        Self {
            is_number: true,
            ..Self::kept(title)
        }
    }

    /// A column of names, which are cut in the middle.
    pub const fn name(title: &'a str) -> Self {
        Self {
            cut: Cut::Middle,
            ..Self::kept(title)
        }
    }

    /// A column of sentences, which are cut at their end.
    pub const fn sentence(title: &'a str) -> Self {
        Self {
            cut: Cut::End,
            ..Self::kept(title)
        }
    }

    /// Lets the column be left out; those with the highest number go first.
    pub const fn least(self, least: u8) -> Self {
        Self { least, ..self }
    }

    /// Leaves the column out when all of its cells are empty or a dash.
    pub const fn if_any(self) -> Self {
        Self {
            if_any: true,
            ..self
        }
    }

    /// Returns the width below which the column is left out rather than cut.
    fn least_width(self, widest: usize) -> usize {
        let least = match self.cut {
            Cut::Never => widest,
            Cut::Middle => LEAST_NAME,
            Cut::End => LEAST_SENTENCE,
        };
        least.min(widest)
    }
}

/// A column with the number of its cells and its width.
#[derive(Clone, Copy, Debug)]
struct FittedColumn<'a> {
    column: Column<'a>,
    index: usize,
    width: usize,
    /// Whether each of its cells is empty or a dash.
    is_empty: bool,
}

/// Renders rows below their titles. Without a terminal no cell is cut and no column is
/// left out, so that `grep` and `awk` see everything.
pub fn render(out: &Output, columns: &[Column], mut rows: Vec<Vec<String>>) -> String {
    for cell in rows.iter_mut().flatten().filter(|cell| !is_plain(cell)) {
        *cell = clean(cell);
    }
    let has_any = |index: usize| {
        let mut cells = rows.iter().filter_map(|row| row.get(index));
        cells.any(|cell| !cell.is_empty() && cell != super::text::NOTHING)
    };
    let placed = columns.iter().enumerate();
    let placed = placed.filter(|(index, column)| !column.if_any || has_any(*index));
    let mut placed: Vec<FittedColumn> = placed
        .map(|(index, column)| {
            let cells = rows.iter().filter_map(|row| row.get(index));
            let widest = cells.map(|cell| width_of(cell)).max();
            FittedColumn {
                column: *column,
                index,
                is_empty: !rows.is_empty() && !has_any(index),
                width: widest.unwrap_or(0).max(measure_text_width(column.title)),
            }
        })
        .collect();
    if let Some(width) = out.width {
        fit(&mut placed, usize::from(width));
    }
    let mut line = String::new();
    for column in &placed {
        let (on, off) = if out.colour {
            ("\u{1b}[1m", "\u{1b}[0m")
        } else {
            ("", "")
        };
        line.push_str(on);
        push_aligned(&mut line, column, column.column.title, out);
        line.push_str(off);
        line.push_str(SPACE_BETWEEN);
    }
    let mut text = String::new();
    push_line(&mut text, &line, out);
    for row in &rows {
        line.clear();
        for column in &placed {
            let cell = row.get(column.index).map_or("", String::as_str);
            push_aligned(&mut line, column, cell, out);
            line.push_str(SPACE_BETWEEN);
        }
        push_line(&mut text, &line, out);
    }
    text
}

/// Leaves columns out and narrows the others until a row fits. Columns without a value go
/// before a name is cut.
fn fit(placed: &mut Vec<FittedColumn>, width: usize) {
    while row_width(placed.iter().map(|it| it.width)) > width {
        let may_go = |it: &&FittedColumn| it.is_empty && it.column.least > 0;
        let first = placed.iter().filter(may_go).map(|it| it.column.least).max();
        let Some(first) = first else { break };
        placed.retain(|it| !(it.is_empty && it.column.least == first));
    }
    loop {
        let least = placed.iter().map(|it| it.column.least_width(it.width));
        if row_width(least) <= width {
            break;
        }
        let first = placed.iter().map(|it| it.column.least).max().unwrap_or(0);
        let Some(index) = placed.iter().rposition(|it| it.column.least == first) else {
            return;
        };
        if first == 0 {
            break;
        }
        placed.remove(index);
    }
    while row_width(placed.iter().map(|it| it.width)) > width {
        let can_shrink =
            |it: &&mut FittedColumn, to: usize| it.column.cut != Cut::Never && it.width > to;
        let widest = |to: fn(&FittedColumn) -> usize, placed: &mut Vec<FittedColumn>| {
            let columns = placed.iter_mut().filter(|it| can_shrink(it, to(it)));
            columns
                .max_by_key(|it| it.width)
                .map(|it| it.width -= 1)
                .is_some()
        };
        if !widest(|it| it.column.least_width(it.width), placed)
            && !widest(|_| LEAST_OF_ALL, placed)
        {
            return;
        }
    }
}

fn row_width(widths: impl Iterator<Item = usize>) -> usize {
    let (n_columns, sum) = widths.fold((0, 0), |(n, sum), width| (n + 1, sum + width));
    sum + GAP * usize::saturating_sub(n_columns, 1)
}

/// Adds a cell to a line, cut and padded to the width of its column.
fn push_aligned(line: &mut String, placed: &FittedColumn, cell: &str, out: &Output) {
    let cell: Cow<'_, str> = match placed.column.cut {
        _ if width_of(cell) <= placed.width => cell.into(),
        Cut::Middle => cut_middle(cell, placed.width, out.ellipsis()).into(),
        _ => truncate_str(cell, placed.width, out.ellipsis()),
    };
    let padding = placed.width.saturating_sub(width_of(&cell));
    if placed.column.is_number {
        line.extend(repeat_n(' ', padding));
        line.push_str(&cell);
    } else {
        line.push_str(&cell);
        line.extend(repeat_n(' ', padding));
    }
}

/// Tells whether a text has only characters of one column each. Most cells do, and the search
/// for colours and wide characters takes long.
fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
}

/// Returns the columns that a text takes.
fn width_of(text: &str) -> usize {
    if is_plain(text) {
        return text.len();
    }
    measure_text_width(text)
}

/// Adds a line without the spaces behind its last cell. It ends at the border of the terminal
/// at the latest.
fn push_line(text: &mut String, line: &str, out: &Output) {
    let line = line.trim_end();
    match out.width {
        Some(width) => text.push_str(&truncate_str(line, usize::from(width), out.ellipsis())),
        None => text.push_str(line),
    }
    text.push('\n');
}

/// Cuts a name in the middle: its beginning and its end tell it from others.
pub fn cut_middle(name: &str, width: usize, ellipsis: &str) -> String {
    if width_of(name) <= width {
        return name.to_owned();
    }
    let room = width.saturating_sub(measure_text_width(ellipsis));
    let start = truncate_str(name, room.div_ceil(2), "");
    let mut end = name;
    while measure_text_width(end) > room / 2 {
        end = end.char_indices().nth(1).map_or("", |(at, _)| &end[at..]);
    }
    format!("{start}{ellipsis}{end}")
}

/// Renders facts as two columns, names and values. On a terminal, values are folded
/// between words; where a value has several lines, the rest of each is indented. A path or an
/// address stays whole, so that it can be copied.
pub fn facts(out: &Output, rows: &[(&str, String)]) -> String {
    let names = rows.iter().map(|(name, _)| name.chars().count());
    let width = names.max().unwrap_or(0);
    let room = out.width.map_or(usize::MAX, |columns| {
        usize::from(columns).saturating_sub(width + GAP)
    });
    let mut text = String::new();
    for (name, value) in rows {
        let hanging = if value.lines().count() > 1 { GAP } else { 0 };
        let lines = value.lines();
        let lines = lines.flat_map(|line| folded(&clean(line), room, hanging));
        let lines: Vec<String> = lines.collect();
        let lines = if lines.is_empty() {
            vec![String::new()]
        } else {
            lines
        };
        for (index, line) in lines.iter().enumerate() {
            let name = if index == 0 { name } else { "" };
            let line = format!("{name:width$}  {line}");
            text.push_str(line.trim_end());
            text.push('\n');
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: [Column; 5] = [
        Column::name("NAME"),
        Column::kept("STATE"),
        Column::number("SIZE"),
        Column::kept("CHECKED").least(1),
        Column::kept("TAGS").least(2).if_any(),
    ];

    fn table(width: Option<u16>) -> String {
        let row = |name: &str, tags: &str| {
            let cells = [name, "ok", "1.0 GiB", "2 min ago", tags];
            cells.map(str::to_owned).to_vec()
        };
        let name = "organisation/a-model-with-a-name-of-fifty-characters";
        render(
            &Output::plain(width),
            &COLUMNS,
            vec![row("a/b", "-"), row(name, "llm")],
        )
    }

    #[test]
    fn a_row_is_one_line_that_fits_at_any_width() {
        for width in 20..120 {
            for line in table(Some(width)).lines() {
                assert!(
                    measure_text_width(line) <= usize::from(width),
                    "{width}: {line}"
                );
            }
            assert_eq!(table(Some(width)).lines().count(), 3);
        }
    }

    #[test]
    fn columns_go_by_their_number_and_names_are_cut_in_the_middle() {
        let last = |width| table(width).lines().last().unwrap_or_default().to_owned();
        assert!(last(None).contains("of-fifty-characters  ok"));
        assert!(last(None).ends_with("llm"));
        assert_eq!(
            last(Some(60)),
            "organisation/…ty-characters  ok     1.0 GiB  2 min ago  llm"
        );
        assert!(!table(Some(46)).contains("TAGS"));
        assert!(!table(Some(38)).contains("CHECKED"));
    }

    #[test]
    fn a_column_without_a_value_is_left_out_where_its_table_says_so() {
        let rows = vec![["a", "ok", "1", "-", "-"].map(str::to_owned).to_vec()];
        let text = render(&Output::plain(None), &COLUMNS, rows);
        assert!(text.contains("CHECKED") && !text.contains("TAGS"), "{text}");
    }

    #[test]
    fn a_column_without_a_value_goes_before_a_name_is_cut() {
        let columns = [
            Column::name("NAME"),
            Column::kept("CHECKED").least(1),
            Column::kept("CHANGE").least(2),
        ];
        let name = "a-name-of-thirty-characters-00";
        let shown = |checked: &str, change: &str| {
            let row = [name, checked, change].map(str::to_owned).to_vec();
            render(&Output::plain(Some(40)), &columns, vec![row])
        };
        assert_eq!(
            shown("-", "now"),
            format!("{:32}CHANGE\n{name}  now\n", "NAME")
        );
        assert_eq!(
            shown("-", "-"),
            format!("{:32}CHECKED\n{name}  -\n", "NAME")
        );
        assert!(shown("now", "now").contains('…'));
    }

    #[test]
    fn a_long_path_of_a_fact_stays_whole() {
        let path = "https://example.org/acme/a-model/resolve/main/model.safetensors";
        let rows = [("url", format!("at {path}"))];
        let text = facts(&Output::plain(Some(30)), &rows);
        assert_eq!(text, format!("url  at\n     {path}\n"));
    }

    #[test]
    fn a_fold_keeps_numbers_with_their_units_and_dates_whole() {
        let last = |line: &str| {
            let width = measure_text_width(line) - 1;
            folded(line, width, 0).last().unwrap().trim().to_owned()
        };
        for whole in [
            "75.4 KiB/s",
            "(20.0 MiB)",
            "in 3 h",
            "Tue 02:30 CET",
            "Tue 3 Mar 2026 02:30 CET,",
            "2026-03-01 02:30 CET",
        ] {
            let kept = whole.strip_prefix("in ").unwrap_or(whole);
            assert_eq!(last(&format!("some words before {whole}")), kept);
        }
        assert_eq!(last("it is Sun, 3 models"), "models");
        assert_eq!(
            folded("  now  a b c d", 11, 2),
            ["  now  a b", "    c d"],
            "spaces between columns stay"
        );
    }

    #[test]
    fn facts_fold_between_words() {
        let rows = [
            ("name", "a value of several words".to_owned()),
            ("b", String::new()),
        ];
        assert_eq!(
            facts(&Output::plain(Some(20)), &rows),
            "name  a value of\n      several words\nb\n"
        );
        assert_eq!(
            facts(&Output::plain(None), &rows),
            "name  a value of several words\nb\n"
        );
        let rows = [("name", "a first line\nsecond".to_owned())];
        assert_eq!(
            facts(&Output::plain(Some(14)), &rows),
            "name  a first\n        line\n      second\n"
        );
    }
}
