//! One row in the report of a prune, and proposals that would make room.

use super::plan::StayReason;
use crate::domain::deletion::Refusal;
use crate::domain::model::EntryName;
use crate::domain::outcome::words;
use crate::domain::repo::{CommitSha, Repo};
use crate::domain::units::ByteSize;

words! {
    /// The kinds of things that can be removed.
    ItemKind {
        /// A published commit, with the blobs that it alone uses.
        Revision = "revision",
        /// The rest of a revision after an interrupted prune.
        Trash = "trash",
        /// A content that no revision uses.
        Blob = "blob",
        /// An unfinished download.
        Partial = "partial",
        /// Bytes with a wrong hash, kept as evidence.
        Evidence = "evidence",
    }
}

/// A thing on disk, with the decision about it and the reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// A model that it belongs to.
    pub model: Option<EntryName>,
    pub repo: Repo,
    pub what: ItemKind,
    /// The commit, or the hash of the content.
    pub id: String,
    /// The bytes that a removal frees; for a revision that stays, the bytes that no
    /// other revision uses.
    pub size_bytes: u64,
    pub goes: bool,
    pub reason: &'static str,
    /// The held update that needs it.
    pub held_commit: Option<CommitSha>,
}

/// A thing that a run removed to make room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Removal {
    pub repo: Repo,
    pub what: ItemKind,
    /// The commit, or the hash of the content.
    pub id: String,
    pub size_bytes: u64,
}

impl From<Item> for Removal {
    fn from(item: Item) -> Self {
        Self {
            repo: item.repo,
            what: item.what,
            id: item.id,
            size_bytes: item.size_bytes,
        }
    }
}

/// A command that would free space; a person has to run it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal {
    pub item: Item,
    pub reason: &'static str,
    pub command: String,
}

/// Returns the items that would make room, the largest first: those that `hfdl prune`
/// removes, revisions that only their number keeps, and the files of disabled models.
/// Files of other programs are never proposed.
pub fn proposals(items: &[Item], is_disabled: impl Fn(&EntryName) -> bool) -> Vec<Proposal> {
    let propose = |item: &Item| {
        let name = item.model.as_ref();
        let (reason, command) = if item.goes {
            (item.reason, "hfdl prune".to_owned())
        } else if item.reason == StayReason::AmongNewest.as_str() {
            let command = format!("hfdl prune {} --keep-revisions 2", name?);
            (item.reason, command)
        } else if item.reason == StayReason::Published.as_str() && is_disabled(name?) {
            let command = format!("hfdl models remove {} --delete-files", name?);
            ("its model is disabled", command)
        } else {
            return None;
        };
        (item.size_bytes > 0).then(|| Proposal {
            item: item.clone(),
            reason,
            command,
        })
    };
    let mut proposals: Vec<_> = items.iter().filter_map(propose).collect();
    proposals.sort_by_key(|it| std::cmp::Reverse(it.item.size_bytes));
    proposals
}

/// Describes the largest proposals in one line, for the hint of an error; `None` without any.
pub fn proposals_text(proposals: &[Proposal]) -> Option<String> {
    const MOST: usize = 5;
    let line = |it: &Proposal| {
        let size = ByteSize(it.item.size_bytes).render_short();
        let (item, what) = (&it.item, it.item.what);
        let (repo, reason, command) = (&item.repo, it.reason, &it.command);
        format!("{size} of a {what} of `{repo}` ({reason}): `{command}`")
    };
    let lines: Vec<String> = proposals.iter().take(MOST).map(line).collect();
    let more = match proposals.len().saturating_sub(MOST) {
        0 => String::new(),
        _ => "; `hfdl prune --dry-run` shows more".to_owned(),
    };
    (!lines.is_empty()).then(|| format!("these would make room: {}{more}", lines.join("; ")))
}

impl Item {
    /// Keeps a content for the held update of its model.
    pub fn is_kept_for(&mut self, model: &EntryName, commit: &CommitSha) {
        self.model = Some(model.clone());
        self.reason = Refusal::HeldUpdate.as_str();
        self.held_commit = Some(commit.clone());
    }

    /// Describes the reason; a held update with the command that lets it go.
    pub fn reason_text(&self) -> String {
        match (&self.model, &self.held_commit) {
            (Some(model), Some(commit)) => format!(
                "the held update {} of `{model}` needs it; `hfdl updates reject {model}` lets it go",
                commit.short()
            ),
            _ => self.reason.to_owned(),
        }
    }

    /// Notes that the removal failed.
    pub fn stays_after_all(&mut self) {
        self.goes = false;
        self.reason = "another program has it in use";
    }
}
