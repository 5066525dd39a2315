//! Instants: whole seconds UTC in the database, RFC 3339 in JSON.

pub use jiff::Timestamp;

/// Cuts an instant to whole seconds, the resolution of everything that is stored.
pub fn whole_seconds(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}

/// Renders an instant for machines: RFC 3339 in UTC with whole seconds.
pub fn render_utc(at: Timestamp) -> String {
    whole_seconds(at).to_string()
}
