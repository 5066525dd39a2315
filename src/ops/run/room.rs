//! Room for a target that does not fit.

use std::collections::BTreeSet;

use super::active::ActiveRun;
use crate::domain::units::ByteSize;
use crate::ops::retention::{CacheShortage, make_room, room_hint};
use crate::ops::sync::{Syncer, TargetId};

/// The attempts of a run to make room. Each one reads the folders of all models, so
/// that an attempt without prospect is not repeated.
#[derive(Default)]
pub(super) struct RoomAttempts {
    /// Targets for which room was made.
    made: BTreeSet<TargetId>,
    /// So much could not be freed.
    too_much: Option<ByteSize>,
    /// The commands that would make room; computed once.
    hint: Option<Option<String>>,
}

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
        if self.services.settings.prune_is_auto()
            && self.room.too_much.is_none_or(|too_much| missing < too_much)
            && self.room.made.insert(target)
        {
            match make_room(self.services, &shortage, &self.id) {
                Ok(removed) if !removed.is_empty() => {
                    self.removed.extend(removed);
                    return syncer.retry_short(target);
                }
                Ok(_) => self.room.too_much = Some(missing),
                Err(err) => log::warn!("could not make room: {err:#}"),
            }
        }
        let services = self.services;
        let hint = self.room.hint.get_or_insert_with(|| {
            room_hint(services, &shortage).unwrap_or_else(|err| {
                log::debug!("no proposals: {err:#}");
                None
            })
        });
        syncer.end_short(target, hint.clone());
    }
}
