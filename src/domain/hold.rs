//! Holds: updates that wait for a person.
//!
//! A repository that was emptied, or whose files no longer match the filter,
//! has a new commit like any other. Publishing it unattended would replace the
//! good copy, and retention would delete that copy later. Policies, guards and the
//! gate hold updates for other reasons; each reason to hold one is a finding.

use super::model::EntryName;
use super::outcome::words;
use super::repo::CommitSha;
use super::snapshot::Amount;
use super::time::Timestamp;
use super::units::{ByteSize, count};

/// An update with less than 1/`LEAST_PART` of the published bytes is held.
const LEAST_PART: u64 = 10;

words! {
    /// The reason of a finding.
    HoldReason {
        NoFiles = "no-files",
        FewBytes = "few-bytes",
        /// The policy of the model asks for an approval.
        Approval = "approval",
        /// The commit is not old enough yet.
        Delay = "delay",
        NewCode = "new-code",
        ChangedCode = "changed-code",
        NoSafetensors = "no-safetensors",
        SizeChange = "size-change",
        LicenceChanged = "licence-changed",
        GatingChanged = "gating-changed",
        MassDeletion = "mass-deletion",
        HistoryRewritten = "history-rewritten",
        SecurityScan = "security-scan",
        BadHeader = "bad-header",
        /// The program of `hooks.gate` did not let it pass.
        Gate = "gate",
        /// The program of `hooks.gate` exited with 75: it decides later.
        GateLater = "gate-later",
    }
}

impl HoldReason {
    /// Tells whether the hold is not reported to a person: it ends by itself.
    pub fn is_silent(self) -> bool {
        matches!(self, Self::Delay | Self::GateLater)
    }
}

words! {
    /// A person's decision about a held update.
    Decision {
        Waiting = "waiting",
        Approved = "approved",
        Rejected = "rejected",
    }
}

/// One reason to hold an update, with a sentence for a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub reason: HoldReason,
    pub detail: String,
}

/// A commit upstream that is not published until it is approved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldUpdate {
    pub commit: CommitSha,
    /// Never empty.
    pub findings: Vec<Finding>,
    pub decision: Decision,
    pub found_at: Timestamp,
}

impl HeldUpdate {
    pub fn is_waiting(&self) -> bool {
        self.decision == Decision::Waiting
    }

    /// Tells whether the next run publishes the commit.
    pub fn is_approved(&self) -> bool {
        self.decision == Decision::Approved
    }

    /// Tells whether a person keeps the commit back.
    pub fn is_rejected(&self) -> bool {
        self.decision == Decision::Rejected
    }

    /// Tells whether the update is not reported to a person.
    pub fn is_silent(&self) -> bool {
        are_silent(&self.findings)
    }

    /// Returns the words of all reasons, such as `new-code, size-change`.
    pub fn reasons(&self) -> String {
        words_of(&self.findings)
    }
}

/// The findings about one commit at a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// Never empty.
    pub findings: Vec<Finding>,
    pub commit: CommitSha,
    /// The commit that stays published.
    pub published: Option<CommitSha>,
    /// A person has rejected the commit for this model.
    pub is_rejected: bool,
}

impl Hold {
    /// Tells whether the hold is no trouble: it ends by itself.
    pub fn is_silent(&self) -> bool {
        are_silent(&self.findings)
    }

    /// Returns the words of all reasons.
    pub fn reasons(&self) -> String {
        words_of(&self.findings)
    }

    /// Describes the findings.
    pub fn message(&self) -> String {
        let commit = self.commit.short();
        if self.is_rejected && self.is_silent() {
            return format!("{commit} was rejected, and stays back until a newer commit comes");
        }
        let findings = summed_up(&self.findings);
        let details: Vec<_> = findings.iter().map(|it| it.detail.as_str()).collect();
        let details = details.join("; ");
        if self.is_rejected {
            return format!("{commit} was rejected after these findings: {details}");
        }
        details
    }

    /// Returns the command that approves the update.
    pub fn hint(&self, label: &str) -> String {
        let commit = self.commit.short();
        format!("`hfdl download {label} --accept {commit}` publishes it all the same")
    }

    /// Returns the update that is held from now on. A decision about the same commit
    /// stays.
    pub fn update(&self, before: Option<&HeldUpdate>, now: Timestamp) -> HeldUpdate {
        let before = before.filter(|before| before.commit == self.commit);
        HeldUpdate {
            commit: self.commit.clone(),
            findings: self.findings.clone(),
            decision: match before {
                Some(before) => before.decision,
                None if self.is_rejected => Decision::Rejected,
                None => Decision::Waiting,
            },
            found_at: before.map_or(now, |before| before.found_at),
        }
    }
}

/// Returns the findings for people: of many files with bad headers the first is described, and
/// the others are counted.
pub fn summed_up(findings: &[Finding]) -> Vec<Finding> {
    let is_header = |it: &&Finding| it.reason == HoldReason::BadHeader;
    let n_more = findings.iter().filter(is_header).count().saturating_sub(1);
    let mut left = findings.to_vec();
    let first = left.iter().position(|it| is_header(&it));
    if let Some(first) = first.filter(|_| n_more > 0) {
        let files = count(n_more as u64, "more file has", "more files have");
        let detail = format!("{}; {files} a bad header, too", left[first].detail);
        left[first].detail = detail;
        let mut index = 0;
        left.retain(|it| {
            index += 1;
            index - 1 == first || !is_header(&it)
        });
    }
    left
}

fn are_silent(findings: &[Finding]) -> bool {
    findings.iter().all(|it| it.reason.is_silent())
}

fn words_of(findings: &[Finding]) -> String {
    let mut words: Vec<_> = findings.iter().map(|it| it.reason.as_str()).collect();
    words.dedup();
    words.join(", ")
}

words! {
    /// The origin of a pin.
    PinKind {
        Policy = "policy",
        /// A lock file that was applied.
        Lock = "lock",
    }
}

/// A commit that a model stays at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pin {
    pub commit: CommitSha,
    pub by: PinKind,
}

/// The selected files of the published and of the new commit.
#[derive(Clone, Copy, Debug)]
pub struct Comparison<'a> {
    pub published: (&'a CommitSha, Amount),
    pub found: (&'a CommitSha, Amount),
    /// The other model of the revision that is compared; `None` for the model itself.
    pub sibling: Option<&'a EntryName>,
}

impl Comparison<'_> {
    /// Returns the loss of files or bytes, if there is one.
    ///
    /// Both sides are measured with the current filter, so narrowing the filter
    /// does not look like a loss.
    pub fn loss(&self) -> Option<Finding> {
        let reason = loss(self.published.1, self.found.1)?;
        let (old, before) = self.published;
        let (new, after) = self.found;
        let for_sibling = match self.sibling {
            Some(name) => format!(" for `{name}`, which shares the revision"),
            None => String::new(),
        };
        let detail = format!(
            "upstream is at {new} with {}, and {old} is published with {}{for_sibling}",
            describe(after),
            describe(before)
        );
        Some(Finding { reason, detail })
    }
}

fn loss(published: Amount, found: Amount) -> Option<HoldReason> {
    if published.files == 0 {
        return None;
    }
    if found.files == 0 {
        return Some(HoldReason::NoFiles);
    }
    let has_few = found.bytes.saturating_mul(LEAST_PART) < published.bytes;
    has_few.then_some(HoldReason::FewBytes)
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
        assert_eq!(loss(before, amount(3, 100)), None);
        assert_eq!(loss(before, amount(3, 99)), Some(HoldReason::FewBytes));
        assert_eq!(loss(before, amount(0, 0)), Some(HoldReason::NoFiles));
        assert_eq!(loss(amount(2, 0), amount(0, 0)), Some(HoldReason::NoFiles));
        assert_eq!(loss(amount(2, 0), amount(1, 0)), None);
    }

    #[test]
    fn of_many_bad_headers_the_first_is_described() {
        let finding = |reason, detail: &str| Finding {
            reason,
            detail: detail.to_owned(),
        };
        let header = |name: &str| finding(HoldReason::BadHeader, name);
        let code = finding(HoldReason::NewCode, "code");
        let hold = |findings: Vec<Finding>, is_rejected| Hold {
            findings,
            commit: "a".repeat(40).parse().unwrap(),
            published: None,
            is_rejected,
        };
        let many = vec![header("`1` is bad"), code.clone(), header("2"), header("3")];
        let message = "`1` is bad; 2 more files have a bad header, too; code";
        assert_eq!(hold(many.clone(), false).message(), message);
        assert!(
            hold(many, true)
                .message()
                .ends_with(&format!("findings: {message}"))
        );
        assert_eq!(hold(vec![header("1"), code], false).message(), "1; code");
        let delay = finding(HoldReason::Delay, "the delay ends at 2026-03-05T01:31:00Z");
        assert_eq!(
            hold(vec![delay], true).message(),
            "aaaaaaaaaa was rejected, and stays back until a newer commit comes"
        );
    }

    #[test]
    fn the_message_names_both_sides() {
        let (a, b) = (
            "a".repeat(40).parse().unwrap(),
            "b".repeat(40).parse().unwrap(),
        );
        let compared = Comparison {
            published: (&a, amount(2, 2048)),
            found: (&b, amount(0, 0)),
            sibling: None,
        };
        let message = compared.loss().unwrap().detail;
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
            prop_assert_eq!(loss(before, grown), None);
            let emptied = loss(before, Amount::default());
            prop_assert_eq!(emptied.is_some(), files > 0);
        }

        #[test]
        fn less_is_held_whenever_more_is(
            bytes in 0u64..1 << 50, one in 0u64..1 << 50, other in 0u64..1 << 50, n in 1u64..9,
        ) {
            let before = amount(3, bytes);
            let held = |bytes| loss(before, amount(n, bytes)).is_some();
            let (less, more) = (one.min(other), one.max(other));
            prop_assert!(!held(more) || held(less));
            prop_assert!(!held(bytes));
        }
    }
}
