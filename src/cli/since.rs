//! Times on the command line: of the past and of the future, and durations before now.

use anyhow::Result;

use super::context::Context;
use super::explain::Complaint;
use crate::domain::invalid_value::shown;
use crate::domain::time::{Present, Timestamp, Toward};
use crate::domain::units::Seconds;

/// Returns the present of the reader, for times that lie in a direction.
pub fn present(context: &Context, toward: Toward) -> Present {
    Present {
        now: context.now(),
        zone: context.host.time_zone(),
        toward,
    }
}

/// Parses a duration before now, or else a time.
pub fn parse_since(context: &Context, text: &str) -> Result<Timestamp> {
    if let Ok(span) = text.parse::<Seconds>() {
        let ago = context.now().checked_sub(span.span());
        return Ok(ago.unwrap_or(Timestamp::UNIX_EPOCH));
    }
    present(context, Toward::Past).parse(text).map_err(|_| {
        Complaint::usage(format!(
            "`{}` is neither a duration nor a time",
            shown(text)
        ))
        .next(
            "write `6h` or `2d` for a duration before now, or a time such as \
                 `2026-06-01 08:00`, `08:00`, `yesterday 22:00` or `mon`",
        )
        .into()
    })
}
