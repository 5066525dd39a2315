//! `--since` and other instants on the command line: a duration before now, or a time.

use anyhow::Result;

use super::context::Context;
use super::explain::Complaint;
use crate::domain::time::{Timestamp, parse_moment};
use crate::domain::units::Seconds;

/// Parses a duration before now, or else a time.
pub fn parse_since(context: &Context, text: &str) -> Result<Timestamp> {
    if let Ok(span) = text.parse::<Seconds>() {
        let ago = context.now().checked_sub(span.span());
        return Ok(ago.unwrap_or(Timestamp::UNIX_EPOCH));
    }
    parse_moment(text, &context.host.time_zone()).map_err(|_| {
        let text: String = text.chars().take(80).flat_map(char::escape_debug).collect();
        Complaint::usage(format!("`{text}` is neither a duration nor a time"))
            .next("write `6h` or `2d` for a duration before now, or `2026-06-01 08:00`")
            .into()
    })
}
