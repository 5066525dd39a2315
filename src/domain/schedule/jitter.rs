//! Jitter: a fixed delay of each schedule on each host, so that hosts do not
//! all start at once.

use sha2::{Digest, Sha256};

use super::entry::ScheduleId;
use crate::domain::units::Seconds;

/// Returns the delay of a schedule's slots on this host: 0 to `jitter`.
///
/// The delay is derived from fixed values, not random: a new random delay at
/// each check could postpone a slot for ever. The host name distinguishes
/// machines cloned from one image together with their database.
pub fn jitter_offset(
    install_id: &str,
    host_name: &str,
    schedule: ScheduleId,
    jitter: Seconds,
) -> Seconds {
    let mut hash = Sha256::new();
    // The zero bytes keep `a` + `bc` and `ab` + `c` apart.
    for part in [install_id, host_name, &schedule.0.to_string()] {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    let mut first = [0; 8];
    first.copy_from_slice(&hash.finalize()[..8]);
    Seconds(u64::from_be_bytes(first) % jitter.get().saturating_add(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_is_stable_and_stays_within_the_jitter() {
        let offset = |host: &str, id, jitter| {
            jitter_offset("install", host, ScheduleId(id), Seconds(jitter)).get()
        };
        // Stored nowhere, so this number must never change between releases.
        assert_eq!(offset("host", 1, 3600), 2466);
        assert_eq!(offset("host", 1, 0), 0);
        let spread: std::collections::BTreeSet<_> =
            (0..100).map(|id| offset("host", id, 3600)).collect();
        assert!(spread.len() > 90 && spread.iter().all(|at| *at <= 3600));
        assert_ne!(offset("host", 1, u64::MAX), offset("clone", 1, u64::MAX));
    }
}
