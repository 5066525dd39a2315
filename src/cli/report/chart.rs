//! Charts as SVG, from the figures of a report. Colours come from the style of the page.

use std::fmt::Write as _;

use super::html::escape;
use super::page::{Chart, Series, Shape, Unit};
use crate::domain::units::ByteSize;

// The size of a drawing in its own units. It is small enough that its text can be read
// when a narrow window shrinks the drawing.
const WIDTH: f64 = 480.0;
const HEIGHT: f64 = 190.0;
const LEFT: f64 = 62.0;
const RIGHT: f64 = 474.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 164.0;

/// So many labels fit below a chart.
const MOST_LABELS: usize = 7;

/// Returns the drawing of a chart. `id` is unique in the page.
pub(super) fn svg(chart: &Chart, id: &str) -> String {
    let top = nice_maximum(highest(chart), chart.unit);
    let mut svg = format!(
        "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-labelledby=\"{id}-t {id}-d\">\n\
         <title id=\"{id}-t\">{}</title>\n<desc id=\"{id}-d\">{}</desc>\n",
        escape(chart.title),
        escape(&description(chart)),
    );
    svg.push_str(&axis(chart.unit, top));
    svg.push_str(&labels(&chart.labels));
    match chart.shape {
        Shape::StackedBars => svg.push_str(&bars(chart, top)),
        Shape::Lines => {
            for series in &chart.series {
                svg.push_str(&line(chart, series, top));
            }
        }
    }
    svg.push_str("</svg>\n");
    svg
}

/// Returns the class of a series, which has a colour in the style of the page.
pub(super) fn class(series: &Series) -> String {
    format!("s-{}", series.name)
}

/// Describes a chart in words, for screen readers.
fn description(chart: &Chart) -> String {
    let part = |series: &Series| {
        let values = series.values.iter().flatten();
        match chart.shape {
            Shape::StackedBars => {
                let sum = values.fold(0, |sum: u64, value| sum.saturating_add(*value));
                format!("{} {}", series.name, shown(chart.unit, sum))
            }
            Shape::Lines => {
                let last = values.last().copied().unwrap_or(0);
                format!("{} {} at the end", series.name, shown(chart.unit, last))
            }
        }
    };
    let parts: Vec<String> = chart.series.iter().map(part).collect();
    let days = match (chart.labels.first(), chart.labels.last()) {
        (Some(first), Some(last)) => format!("{first} to {last}"),
        _ => String::new(),
    };
    format!("{days}: {}. The table has the figures.", parts.join(", "))
}

fn shown(unit: Unit, value: u64) -> String {
    match unit {
        Unit::Bytes => ByteSize(value).render_short(),
        Unit::Count => value.to_string(),
    }
}

/// Returns the highest value that the chart has to show.
fn highest(chart: &Chart) -> u64 {
    let value = |series: &Series, day: usize| series.values.get(day).copied().flatten();
    let of_day = |day| {
        let values = chart.series.iter().filter_map(|it| value(it, day));
        match chart.shape {
            Shape::StackedBars => values.fold(0, u64::saturating_add),
            Shape::Lines => values.max().unwrap_or(0),
        }
    };
    (0..chart.labels.len()).map(of_day).max().unwrap_or(0)
}

/// Returns the smallest round value that is not below a value.
fn nice_maximum(highest: u64, unit: Unit) -> u64 {
    let step = match unit {
        Unit::Bytes => {
            let exponent = highest.max(1).ilog2() / 10 * 10;
            1u64 << exponent
        }
        Unit::Count => 1,
    };
    let mut power = step;
    loop {
        for factor in [2, 4, 6, 8, 10] {
            let value = power.saturating_mul(factor);
            if value >= highest {
                return value;
            }
        }
        power = power.saturating_mul(10);
    }
}

fn height_of(value: u64, top: u64) -> f64 {
    (BOTTOM - TOP) * value as f64 / top as f64
}

/// Draws the lines at nothing, half and the top, with their values.
fn axis(unit: Unit, top: u64) -> String {
    let mut drawn = String::new();
    for value in [0, top / 2, top] {
        let y = BOTTOM - height_of(value, top);
        let _ = writeln!(
            drawn,
            "<line class=\"grid\" x1=\"{LEFT}\" y1=\"{y:.1}\" x2=\"{RIGHT}\" y2=\"{y:.1}\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            LEFT - 6.0,
            y + 4.0,
            escape(&shown(unit, value)),
        );
    }
    drawn
}

fn slot(n_days: usize) -> f64 {
    (RIGHT - LEFT) / n_days.max(1) as f64
}

fn middle(day: usize, n_days: usize) -> f64 {
    LEFT + slot(n_days) * (day as f64 + 0.5)
}

/// Writes some of the days below the chart, without their year.
fn labels(days: &[String]) -> String {
    let every = days.len().div_ceil(MOST_LABELS).max(1);
    let mut drawn = String::new();
    for (day, label) in days.iter().enumerate().step_by(every) {
        let short = label.get(5..).unwrap_or(label);
        let _ = writeln!(
            drawn,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
            // The last one must not be cut by the edge.
            middle(day, days.len()).min(WIDTH - 18.0),
            BOTTOM + 18.0,
            escape(short),
        );
    }
    drawn
}

fn bars(chart: &Chart, top: u64) -> String {
    let n_days = chart.labels.len();
    let width = (slot(n_days) * 0.8).clamp(0.3, 40.0);
    let mut drawn = String::new();
    for (day, label) in chart.labels.iter().enumerate() {
        let mut below = 0u64;
        for series in &chart.series {
            let value = series.values.get(day).copied().flatten().unwrap_or(0);
            if value == 0 {
                continue;
            }
            below = below.saturating_add(value);
            let _ = writeln!(
                drawn,
                "<rect class=\"{}\" x=\"{:.1}\" y=\"{:.2}\" width=\"{width:.2}\" height=\"{:.2}\">\
                 <title>{}</title></rect>",
                class(series),
                middle(day, n_days) - width / 2.0,
                BOTTOM - height_of(below, top),
                height_of(value, top),
                escape(&format!(
                    "{label}: {} {}",
                    series.name,
                    shown(chart.unit, value)
                )),
            );
        }
    }
    drawn
}

/// Draws a line through the days that have a value, with a point at each.
fn line(chart: &Chart, series: &Series, top: u64) -> String {
    let n_days = chart.labels.len();
    let days = series.values.iter().enumerate();
    let known = days.filter_map(|(day, value)| Some((day, (*value)?)));
    let points: Vec<(usize, u64)> = known.collect();
    let place = |day: usize, value: u64| (middle(day, n_days), BOTTOM - height_of(value, top));
    let path: Vec<String> = (points.iter())
        .map(|(day, value)| {
            let (x, y) = place(*day, *value);
            format!("{x:.1},{y:.1}")
        })
        .collect();
    let class = class(series);
    let mut drawn = format!(
        "<polyline class=\"{class}\" points=\"{}\"/>\n",
        path.join(" ")
    );
    for (day, value) in points {
        let (x, y) = place(day, value);
        let words = format!(
            "{}: {} {}",
            chart.labels[day],
            series.name,
            shown(chart.unit, value)
        );
        let _ = writeln!(
            drawn,
            "<circle class=\"{class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"2.5\"><title>{}</title></circle>",
            escape(&words),
        );
    }
    drawn
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_top_of_a_chart_is_round_and_not_below_its_highest_value() {
        for (highest, unit, expected) in [
            (0, Unit::Count, 2),
            (3, Unit::Count, 4),
            (11, Unit::Count, 20),
            (0, Unit::Bytes, 2),
            (1500, Unit::Bytes, 2048),
            (900 << 20, Unit::Bytes, 1000 << 20),
            (u64::MAX, Unit::Bytes, u64::MAX),
        ] {
            assert_eq!(nice_maximum(highest, unit), expected, "{highest}");
        }
    }

    #[test]
    fn bars_of_a_day_stand_on_each_other_within_the_drawing() {
        let series = |name, values: &[u64]| Series {
            name,
            values: values.iter().map(|value| Some(*value)).collect(),
        };
        let chart = Chart {
            title: "t",
            unit: Unit::Count,
            shape: Shape::StackedBars,
            labels: vec!["2026-03-01".to_owned(), "2026-03-02".to_owned()],
            series: vec![series("fetched", &[1, 0]), series("reused", &[1, 0])],
        };
        let drawn = svg(&chart, "c");
        assert_eq!(drawn.matches("<rect").count(), 2, "none for nothing");
        // The maximum is 2: the lower bar ends in the middle, the upper one at the top.
        assert!(drawn.contains("y=\"88.00\""), "{drawn}");
        assert!(drawn.contains("y=\"12.00\""), "{drawn}");
        assert!(drawn.contains("2026-03-01: fetched 1"), "{drawn}");
    }
}
