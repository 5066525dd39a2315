//! The parts of a report, independent of its format.

/// A report as a sequence of sections.
pub(super) struct Page {
    pub title: String,
    /// The period, the models and the time of the report.
    pub subtitle: String,
    pub sections: Vec<Section>,
}

pub(super) struct Section {
    pub title: &'static str,
    pub blocks: Vec<Block>,
}

pub(super) enum Block {
    Paragraph(String),
    Facts(Vec<(&'static str, String)>),
    Table(Grid),
    Entry(PageEntry),
    Chart(Chart),
}

/// Rows below titles. A title that begins with `>` is that of a column of numbers.
pub(super) struct Grid {
    pub columns: Vec<&'static str>,
    pub rows: Vec<Vec<String>>,
}

/// One update, with its facts and lists.
pub(super) struct PageEntry {
    pub heading: String,
    /// The address of its page.
    pub page: Option<String>,
    pub facts: Vec<(&'static str, String)>,
    pub lists: Vec<(&'static str, Vec<Line>)>,
}

/// A line of a list: a quoted text of foreign origin, between own words.
#[derive(Default)]
pub(super) struct Line {
    pub before: String,
    pub quoted: String,
    pub after: String,
}

/// A chart over days. Its figures are in a table as well.
pub(super) struct Chart {
    pub title: &'static str,
    pub unit: Unit,
    pub shape: Shape,
    /// One for each day.
    pub labels: Vec<String>,
    pub series: Vec<Series>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Bytes,
    Count,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    StackedBars,
    Lines,
}

/// The values of a chart in one colour.
pub(super) struct Series {
    pub name: &'static str,
    /// One for each day; `None` for a day without a value.
    pub values: Vec<Option<u64>>,
}

impl Section {
    pub fn new(title: &'static str, blocks: Vec<Block>) -> Self {
        Self { title, blocks }
    }
}

impl Grid {
    /// Tells whether a column has numbers, and returns its name.
    pub fn column(title: &'static str) -> (bool, &'static str) {
        match title.strip_prefix('>') {
            Some(name) => (true, name),
            None => (false, title),
        }
    }
}
