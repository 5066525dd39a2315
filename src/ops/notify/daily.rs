//! Warnings about the same trouble, once a day: cron mails all output of each tick, and a
//! timer ticks every few minutes.

use anyhow::Result;

use super::Notifier;
use crate::domain::time::{Timestamp, believed, render_utc};
use crate::store::MetaKey;

/// The time between two warnings of the same trouble.
const REMINDS_AFTER_SECONDS: i64 = 24 * 3_600;

/// Warns of trouble, once a day while it is the same. Without trouble the record ends.
pub fn warn_daily(notifier: &Notifier<'_>, key: MetaKey, trouble: Option<&str>) {
    let words = trouble.unwrap_or_default();
    match remember(notifier, key, trouble) {
        Ok(true) => log::warn!("{words}"),
        Ok(false) => {}
        Err(err) => log::warn!("{words}: {err:#}"),
    }
}

/// Tells whether a warning is due, and records it.
fn remember(notifier: &Notifier<'_>, key: MetaKey, trouble: Option<&str>) -> Result<bool> {
    let (store, now) = (notifier.store, notifier.host.now());
    let told = store.meta(key)?;
    let Some(trouble) = trouble else {
        if told.is_some() {
            store.clear_meta(key)?;
        }
        return Ok(false);
    };
    let is_news = notifier.host.stderr_is_terminal() || is_news(told.as_deref(), trouble, now);
    if is_news {
        let told = format!("{} {trouble}", render_utc(now));
        store.set_meta(key, &told)?;
    }
    Ok(is_news)
}

/// Compares trouble with the record: an instant, a space, the message.
fn is_news(told: Option<&str>, trouble: &str, now: Timestamp) -> bool {
    let told = told.and_then(|told| told.split_once(' '));
    let Some((Ok(at), words)) = told.map(|(at, words)| (at.parse::<Timestamp>(), words)) else {
        return true;
    };
    let told = believed(at, now);
    words != trouble
        || told.is_none_or(|at| now.as_second() - at.as_second() >= REMINDS_AFTER_SECONDS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_trouble_is_news_once_a_day() {
        let now: Timestamp = "2026-03-02T10:00:00Z".parse().unwrap();
        for (told, expected) in [
            (None, true),
            (Some("2026-03-02T09:45:00Z no metrics"), false),
            (Some("2026-03-01T10:00:01Z no metrics"), false),
            (Some("2026-03-01T10:00:00Z no metrics"), true),
            (Some("2026-03-02T09:45:00Z another trouble"), true),
            (Some("nobody can read this"), true),
        ] {
            assert_eq!(is_news(told, "no metrics", now), expected, "{told:?}");
        }
    }
}
