//! Refuses before the first byte what cannot fit.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use thiserror::Error;

use super::check::Planned;
use crate::domain::plan::Action;
use crate::domain::units::ByteSize;
use crate::sys::disk;

/// The missing bytes and the reserve do not fit.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("it needs {} more on the file system of `{place}`, which has {} free and is to keep {}", .need.render_short(), .free.render_short(), .reserve.render_short())]
pub struct NoSpace {
    place: String,
    need: ByteSize,
    free: ByteSize,
    reserve: ByteSize,
}

/// The file system can hold no more files, however small.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "it needs up to {need} more files on the file system of `{place}`, which has room for {free}"
)]
pub struct NoFiles {
    place: String,
    need: u64,
    free: u64,
}

impl NoSpace {
    pub fn hint(&self) -> String {
        "free space there, choose fewer files with `--include`, or lower `disk.reserve`".to_owned()
    }
}

/// Goes through the plans in order and returns for each whether it fits beside
/// those before it; a model that does not fit takes no space from the next.
pub fn refuse_what_does_not_fit(plans: &[&Planned<'_>], reserve: ByteSize) -> Vec<Result<()>> {
    let mut promised: BTreeMap<u64, u64> = BTreeMap::new();
    plans
        .iter()
        .map(|planned| {
            let need = missing_bytes(planned);
            if need == 0 {
                return Ok(());
            }
            let folder = planned.place.folder();
            let exists = folder.ancestors().find(|folder| folder.exists());
            let space = disk::space_at(exists.unwrap_or(&folder))
                .with_context(|| format!("cannot tell the free space at `{}`", folder.display()))?;
            let promised = promised.entry(space.file_system).or_default();
            let free = space.free_bytes.saturating_sub(*promised);
            if need.saturating_add(reserve.bytes()) > free {
                return Err(NoSpace {
                    place: folder.display().to_string(),
                    need: ByteSize(need),
                    free: ByteSize(free),
                    reserve,
                }
                .into());
            }
            if let Some(free) = space.free_files {
                // A blob and a name in the snapshot each.
                let need = 2 * planned.plan.files.len() as u64;
                if need > free {
                    let place = folder.display().to_string();
                    return Err(NoFiles { place, need, free }.into());
                }
            }
            *promised += need;
            Ok(())
        })
        .collect()
}

/// Counts what has still to be written. A partial file may own its whole space already.
fn missing_bytes(planned: &Planned<'_>) -> u64 {
    let files = planned.plan.files.iter();
    let need = files.map(|file| match file.action {
        Action::Fetch => file.file.size_bytes,
        Action::Resume { .. } => {
            let partial = planned.place.partial(&file.file.content);
            file.file
                .size_bytes
                .saturating_sub(disk::allocated_bytes(&partial))
        }
        _ => 0,
    });
    need.fold(0, u64::saturating_add)
}
