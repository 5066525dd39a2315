//! Values as people read them: local times, shortened lists, counts.

use jiff::tz::TimeZone;

use crate::domain::time::Timestamp;

/// What stands where there is no value.
pub const NOTHING: &str = "-";

/// Renders an instant in the reader's zone, to the minute.
pub fn local_time(at: Timestamp, zone: &TimeZone) -> String {
    at.to_zoned(zone.clone())
        .strftime("%Y-%m-%d %H:%M")
        .to_string()
}

pub fn optional_time(at: Option<Timestamp>, zone: &TimeZone) -> String {
    at.map_or_else(|| NOTHING.to_owned(), |at| local_time(at, zone))
}

/// Renders a list in one line, or a dash.
pub fn list<T: ToString>(items: impl IntoIterator<Item = T>) -> String {
    let items: Vec<String> = items.into_iter().map(|item| item.to_string()).collect();
    if items.is_empty() {
        NOTHING.to_owned()
    } else {
        items.join(", ")
    }
}

/// Renders `1 file`, `2 files`.
pub fn count(number: u64, one: &str, many: &str) -> String {
    if number == 1 {
        format!("1 {one}")
    } else {
        format!("{number} {many}")
    }
}
