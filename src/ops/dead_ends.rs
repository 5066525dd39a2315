//! The health of download routes, kept in the database for the next process.

use anyhow::Result;

use crate::domain::time::{Timestamp, believed_wait};
use crate::domain::units::Seconds;
use crate::hub::HubClient;
use crate::store::{DeadEnd, Store};
use crate::xet::XetStorage;

/// Less than a day, so that a nightly run tries again every night.
const GOOD_FOR: Seconds = Seconds(20 * 3600);

/// Loads the health of the routes before the first request.
pub fn recall(store: &Store, hub: &HubClient, xet: &XetStorage, now: Timestamp) -> Result<()> {
    let host = hub.endpoint().host_and_port();
    for end in store.dead_ends(&host, now)? {
        // A record of a clock that was wrong must not close a route for years.
        if believed_wait(end.expires_at, now, GOOD_FOR).is_some() {
            log::debug!("`{}` is not tried before {}", end.way, end.expires_at);
            xet.routes().load(end.way, end.from_size);
        }
    }
    Ok(())
}

/// Saves the health of the routes, and deletes records that have become invalid.
pub fn remember(store: &Store, hub: &HubClient, xet: &XetStorage, now: Timestamp) -> Result<()> {
    let news = xet.routes().changes();
    if news.is_empty() {
        return Ok(());
    }
    let host = hub.endpoint().host_and_port();
    let expires_at = now.saturating_add(GOOD_FOR.span())?;
    store.transaction(|store| -> Result<()> {
        for (way, dead_from) in news {
            match dead_from {
                Some(from_size) => store.save_dead_end(&DeadEnd {
                    host: host.clone(),
                    way,
                    from_size,
                    expires_at,
                })?,
                None => {
                    store.forget_dead_end(&host, way)?;
                }
            }
        }
        Ok(())
    })
}
