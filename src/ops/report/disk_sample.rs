//! The daily sample of the disk use.

use std::path::Path;

use anyhow::Result;

use crate::domain::outcome::Outcome;
use crate::domain::report::DiskSample;
use crate::domain::session::Session;
use crate::ops::services::Services;
use crate::sys::disk::space_at;

/// Samples the disk use at the end of a run: when the day has no sample yet, and after a
/// run that changed files.
pub fn sample_disk(services: &Services<'_>, sessions: &[Session]) -> Result<()> {
    let (store, host) = (&services.store, services.host);
    let now = host.now();
    let day = now.to_zoned(host.time_zone()).date();
    let changed = |session: &Session| {
        let progress = &session.progress;
        session.outcome() == Some(Outcome::Updated)
            || progress.bytes.fetched > 0
            || progress.files.deleted > 0
    };
    if sessions.is_empty() || !sessions.iter().any(changed) && store.has_disk_sample(day)? {
        return Ok(());
    }
    let cache = Path::new(services.settings.cache_dir());
    let (cache_bytes, directory_bytes) = store.proven_bytes(cache)?;
    let space = cache.ancestors().find_map(|folder| space_at(folder).ok());
    let sample = DiskSample {
        day,
        cache_bytes,
        directory_bytes,
        free_bytes: space.and_then(|space| space.free_bytes),
    };
    Ok(store.save_disk_sample(&sample, now)?)
}
