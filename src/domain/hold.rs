//! Holds: updates that look like data loss upstream and need approval.
//!
//! A repository that was emptied, or whose files no longer match the filter,
//! has a new commit like any other. Publishing it unattended would replace the
//! good copy, and retention would delete that copy later.

use super::model::EntryName;
use super::outcome::words;
use super::repo::CommitSha;
use super::snapshot::Amount;
use super::units::ByteSize;

/// An update with less than 1/`LEAST_PART` of the published bytes is held.
const LEAST_PART: u64 = 10;

words! {
    /// Why an update is held.
    HoldReason {
        NoFiles = "no-files",
        FewBytes = "few-bytes",
    }
}

/// A commit upstream that is not published until it is accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldUpdate {
    pub commit: CommitSha,
    pub reason: HoldReason,
    /// The hold was accepted; the next run publishes the commit.
    pub is_accepted: bool,
}

impl HeldUpdate {
    pub fn is_waiting(&self) -> bool {
        !self.is_accepted
    }
}

/// Compares the selected files of a new commit with those of the published
/// commit; returns the reason to hold the update, if there is one.
///
/// Both sides are measured with the current filter, so narrowing the filter
/// does not look like a loss.
pub fn hold_reason(published: Amount, found: Amount) -> Option<HoldReason> {
    if published.files == 0 {
        return None;
    }
    if found.files == 0 {
        return Some(HoldReason::NoFiles);
    }
    let has_few = found.bytes.saturating_mul(LEAST_PART) < published.bytes;
    has_few.then_some(HoldReason::FewBytes)
}

/// The facts shown to the user about a held update.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loss {
    pub reason: HoldReason,
    /// The other model of the revision that would lose files; `None` for the model itself.
    pub sibling: Option<EntryName>,
    pub published: (CommitSha, Amount),
    pub found: (CommitSha, Amount),
}

impl Loss {
    /// Describes the loss.
    pub fn message(&self) -> String {
        let (old, before) = &self.published;
        let (new, after) = &self.found;
        let for_sibling = match &self.sibling {
            Some(name) => format!(" for `{name}`, which shares the revision"),
            None => String::new(),
        };
        format!(
            "upstream is at {new} with {}, and {old} is published with {}{for_sibling}",
            describe(*after),
            describe(*before)
        )
    }

    /// Returns the command that accepts the update.
    pub fn hint(&self, label: &str) -> String {
        let commit = self.found.0.short();
        format!("`hfdl download {label} --accept {commit}` publishes it all the same")
    }
}

fn describe(amount: Amount) -> String {
    match amount.files {
        0 => "no selected file".to_owned(),
        1 => format!(
            "1 selected file ({})",
            ByteSize(amount.bytes).render_short()
        ),
        n => format!(
            "{n} selected files ({})",
            ByteSize(amount.bytes).render_short()
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn amount(files: u64, bytes: u64) -> Amount {
        Amount { files, bytes }
    }

    #[test]
    fn a_tenth_is_enough_and_less_is_held() {
        let before = amount(3, 1000);
        assert_eq!(hold_reason(before, amount(3, 100)), None);
        assert_eq!(
            hold_reason(before, amount(3, 99)),
            Some(HoldReason::FewBytes)
        );
        assert_eq!(hold_reason(before, amount(0, 0)), Some(HoldReason::NoFiles));
        assert_eq!(
            hold_reason(amount(2, 0), amount(0, 0)),
            Some(HoldReason::NoFiles)
        );
        assert_eq!(hold_reason(amount(2, 0), amount(1, 0)), None);
    }

    #[test]
    fn the_message_names_both_sides() {
        let loss = Loss {
            reason: HoldReason::NoFiles,
            sibling: None,
            published: ("a".repeat(40).parse().unwrap(), amount(2, 2048)),
            found: ("b".repeat(40).parse().unwrap(), amount(0, 0)),
        };
        let message = loss.message();
        for part in [
            "aaaa",
            "bbbb",
            "2 selected files (2.00 KiB)",
            "no selected file",
        ] {
            assert!(message.contains(part), "{message}");
        }
    }

    proptest! {
        #[test]
        fn growth_is_never_held_and_an_empty_revision_never_replaces_files(
            files in 0u64..1000, bytes in 0u64..=u64::MAX, more in 0u64..=u64::MAX, n in 1u64..1000,
        ) {
            let before = amount(files, if files == 0 { 0 } else { bytes });
            let grown = amount(n, before.bytes.saturating_add(more));
            prop_assert_eq!(hold_reason(before, grown), None);
            let emptied = hold_reason(before, Amount::default());
            prop_assert_eq!(emptied.is_some(), files > 0);
        }

        #[test]
        fn less_is_held_whenever_more_is(
            bytes in 0u64..1 << 50, one in 0u64..1 << 50, other in 0u64..1 << 50, n in 1u64..9,
        ) {
            let before = amount(3, bytes);
            let held = |bytes| hold_reason(before, amount(n, bytes)).is_some();
            let (less, more) = (one.min(other), one.max(other));
            prop_assert!(!held(more) || held(less));
            prop_assert!(!held(bytes));
        }
    }
}
