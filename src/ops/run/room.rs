//! Room for a target that does not fit.

use super::active::ActiveRun;
use crate::domain::units::ByteSize;
use crate::ops::retention::{CacheShortage, make_room, room_hint};
use crate::ops::sync::{Syncer, TargetId};

impl ActiveRun<'_> {
    /// Makes room for a target once, if `prune.auto` is on; else ends it with proposals.
    pub(super) fn settle_short(
        &mut self,
        syncer: &mut Syncer<'_>,
        target: TargetId,
        missing: ByteSize,
    ) {
        let shortage = CacheShortage {
            missing,
            busy: syncer.repos_beside(target),
        };
        let is_first = self.made_room_for.insert(target);
        if is_first && self.services.settings.prune_is_auto() {
            match make_room(self.services, &shortage, &self.id) {
                Ok(removed) if !removed.is_empty() => {
                    self.removed.extend(removed);
                    return syncer.retry_short(target);
                }
                Ok(_) => {}
                Err(err) => log::warn!("could not make room: {err:#}"),
            }
        }
        let hint = room_hint(self.services, &shortage).unwrap_or_else(|err| {
            log::debug!("no proposals: {err:#}");
            None
        });
        syncer.end_short(target, hint);
    }
}
