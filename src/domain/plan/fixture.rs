//! Listings and local facts for the tests of this module.

use super::{ContentLocation, InPlace, LocalContent, LocalFacts, PlannedFile, SyncPlan, plan_sync};
use crate::domain::content::ContentId;
use crate::domain::filter::Filter;
use crate::domain::placement::{FileNames, LetterCase, NormalForms, Placement};
use crate::domain::snapshot::{RemoteFile, RemoteSnapshot};

pub(super) const ANYWHERE: Placement = Placement {
    names: FileNames::Posix,
    case: LetterCase::Matters,
    forms: NormalForms::Matter,
    private: None,
};

pub(super) fn content(n: u8) -> ContentId {
    ContentId::Sha256([n; 32])
}

pub(super) fn file(path: &str, n: u8, size_bytes: u64) -> RemoteFile {
    RemoteFile {
        path: path.parse().unwrap(),
        size_bytes,
        content: content(n),
        git_oid: [n; 20],
        xet_hash: None,
    }
}

pub(super) fn listing(files: Vec<RemoteFile>) -> RemoteSnapshot {
    RemoteSnapshot {
        commit: "c".repeat(40).parse().unwrap_or_else(|_| unreachable!()),
        files,
    }
}

pub(super) fn plan(files: Vec<RemoteFile>, local: &LocalFacts) -> SyncPlan {
    plan_sync(&listing(files), &Filter::default(), &ANYWHERE, local).unwrap()
}

pub(super) fn here(size_bytes: u64) -> LocalContent {
    LocalContent {
        size_bytes,
        place: ContentLocation::Here,
    }
}

/// Returns the local facts after a plan is carried out.
pub(super) fn carried_out(plan: &SyncPlan, mut local: LocalFacts) -> LocalFacts {
    for PlannedFile { file, .. } in &plan.files {
        local.partials.remove(&file.content);
        local.contents.insert(file.content, here(file.size_bytes));
        let there = InPlace {
            size_bytes: file.size_bytes,
            content: Some(file.content),
        };
        local.in_place.insert(file.path.clone(), there);
    }
    local.previous = plan.files.iter().map(|f| f.file.path.clone()).collect();
    local
}
