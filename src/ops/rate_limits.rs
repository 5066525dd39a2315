//! The Hub's rate limits, kept in the database for the next process.

use std::time::Duration;

use anyhow::Result;

use super::services::Services;
use crate::domain::retry::{LONGEST_RETRY_AFTER, RATE_LIMIT_WINDOW, RETRY_AFTER, longest_wait};
use crate::domain::time::{Timestamp, render_utc};
use crate::domain::units::Seconds;
use crate::hub::HubClient;
use crate::store::{RateLimit, Store};
use crate::sys::pause::Stopwatch;

/// The counters of a download, and the time of a `Retry-After`.
const BUCKETS: [&str; 3] = ["api", "resolvers", RETRY_AFTER];

/// The Hub accepts no requests before a time that is too far away to wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the Hub allows no more requests until {}", render_utc(*until))]
pub struct AskedToWait {
    pub until: Timestamp,
}

/// Saves the Hub's counters from its latest answers.
pub fn remember(store: &Store, hub: &HubClient, now: Timestamp) -> Result<()> {
    let endpoint = hub.endpoint().as_str();
    store.transaction(|store| -> Result<()> {
        for limit in hub.rate_limits() {
            let longest = longest_wait(&limit.bucket);
            store.save_rate_limit(&RateLimit {
                endpoint: endpoint.to_owned(),
                resets_at: after(now, limit.resets_in, longest),
                bucket: limit.bucket,
                remaining: limit.remaining,
            })?;
        }
        Ok(())
    })
}

/// Returns an error when the Hub asked to wait for longer than one window.
pub fn refuse_long_wait(store: &Store, hub: &HubClient, now: Timestamp) -> Result<()> {
    let until = exhausted_until(store, hub.endpoint().as_str(), now)?;
    let window = now.saturating_add(RATE_LIMIT_WINDOW.span())?;
    match until.filter(|until| *until > window) {
        Some(until) => Err(AskedToWait { until }.into()),
        None => Ok(()),
    }
}

/// Waits for the end of a rate limit window that an earlier process has used up.
///
/// The wait ends early with the run, by a signal or a deadline; then it returns
/// `false`. `on_step` is called several times a second, with the time left.
pub fn wait_out(services: &Services<'_>, on_step: &mut dyn FnMut(Duration)) -> Result<bool> {
    const STEP: Duration = Duration::from_millis(250);
    let Services {
        store, host, stop, ..
    } = services;
    let endpoint = services.network()?.hub.endpoint();
    let now = host.now();
    let Some(until) = exhausted_until(store, endpoint.as_str(), now)? else {
        return Ok(true);
    };
    let span = Duration::try_from(until.duration_since(now)).unwrap_or_default();
    log::info!("{}; waiting", AskedToWait { until });
    let waited = Stopwatch::start();
    // Without pauses, as in tests, there is nothing to wait for.
    while host.takes_pauses() && waited.elapsed() < span && host.now() < until {
        on_step(span.saturating_sub(waited.elapsed()));
        if stop.pause(STEP) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Returns the end of the wait when an earlier process has used up a limit or was
/// asked to wait.
pub fn exhausted_until(store: &Store, endpoint: &str, now: Timestamp) -> Result<Option<Timestamp>> {
    let limits = store.rate_limits(now)?;
    let exhausted = limits.into_iter().filter(|limit| {
        limit.endpoint == endpoint
            && limit.remaining == 0
            && BUCKETS.contains(&limit.bucket.as_str())
    });
    Ok(exhausted.map(|limit| limit.resets_at).max())
}

/// Returns the time before which the Hub accepts no requests, as this process and
/// earlier ones know it.
pub fn not_before(store: &Store, hub: &HubClient, now: Timestamp) -> Result<Option<Timestamp>> {
    let asked = hub.asked_to_wait();
    let asked = asked.map(|wait| after(now, wait, LONGEST_RETRY_AFTER));
    Ok(exhausted_until(store, hub.endpoint().as_str(), now)?.max(asked))
}

/// Adds a wait in whole seconds, rounded up, because a request too early is refused.
fn after(now: Timestamp, wait: Duration, longest: Seconds) -> Timestamp {
    let seconds = u64::try_from(wait.as_millis().div_ceil(1_000)).unwrap_or(u64::MAX);
    let wait = Seconds(seconds.min(longest.get()));
    now.saturating_add(wait.span()).unwrap_or(Timestamp::MAX)
}
