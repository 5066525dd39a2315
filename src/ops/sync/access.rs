//! The check that the files of a gated repository may be downloaded.

use anyhow::Result;

use super::check::Planned;
use super::target::Target;
use crate::hub::{FileAddress, HubClient};

/// Checks that the files to fetch may be downloaded: the listing of a gated repository
/// is open, and the refusal must come before any byte.
pub(super) fn check_access(hub: &HubClient, target: &Target, planned: &Planned) -> Result<()> {
    let Some(file) = planned.plan.fetches().next() else {
        return Ok(());
    };
    Ok(hub.check_access(&FileAddress {
        repo: target.repo.clone(),
        commit: planned.remote.commit.clone(),
        path: file.file.path.clone(),
    })?)
}
