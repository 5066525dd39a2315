//! What one process learned of the Hub's rate limits, for the next one.

use std::time::Duration;

use anyhow::Result;

use crate::domain::time::Timestamp;
use crate::domain::units::Seconds;
use crate::hub::HubClient;
use crate::store::{RateLimit, Store};
use crate::sys::host::Host;
use crate::sys::stop::StopFlag;

/// The buckets that a download draws on.
const BUCKETS: [&str; 2] = ["api", "resolvers"];

/// Writes down the Hub's counters as the latest answers told them.
pub fn remember(store: &Store, hub: &HubClient, now: Timestamp) -> Result<()> {
    let endpoint = hub.endpoint().as_str();
    store.transaction(|store| -> Result<()> {
        for limit in hub.rate_limits() {
            // Whole seconds, rounded up: a request too early is refused.
            let seconds = limit.resets_in.as_millis().div_ceil(1_000);
            let resets_in = Seconds(u64::try_from(seconds)?).span();
            store.save_rate_limit(&RateLimit {
                endpoint: endpoint.to_owned(),
                bucket: limit.bucket,
                remaining: limit.remaining,
                resets_at: now.saturating_add(resets_in)?,
            })?;
        }
        Ok(())
    })
}

/// Sits out what an earlier process has used up of the Hub's patience: asking
/// before would only be refused.
pub fn wait_out(store: &Store, hub: &HubClient, host: &Host, stop: &StopFlag) -> Result<()> {
    const STEP: Duration = Duration::from_millis(250);
    // One window of the Hub's counters; what is told beyond is not believed.
    const LONGEST: Duration = Duration::from_secs(330);
    let now = host.now();
    let Some(until) = exhausted_until(store, hub, now)? else {
        return Ok(());
    };
    log::info!("the Hub allows no more requests until {until}; waiting");
    let span = Duration::try_from(until.duration_since(now)).unwrap_or_default();
    let mut waited = Duration::ZERO;
    while waited < span.min(LONGEST) && !stop.is_raised() {
        host.pause(STEP);
        waited += STEP;
    }
    Ok(())
}

/// Returns when the Hub will answer again, if an earlier process has used up
/// what it allows.
pub fn exhausted_until(
    store: &Store,
    hub: &HubClient,
    now: Timestamp,
) -> Result<Option<Timestamp>> {
    let endpoint = hub.endpoint().as_str();
    let limits = store.rate_limits(now)?;
    let exhausted = limits.into_iter().filter(|limit| {
        limit.endpoint == endpoint
            && limit.remaining == 0
            && BUCKETS.contains(&limit.bucket.as_str())
    });
    Ok(exhausted.map(|limit| limit.resets_at).max())
}
