//! The findings of the Hub's own scanners.

use super::files::{ListingPair, list};
use crate::domain::hold::{Finding, HoldReason};

/// A file in which a scanner of the Hub found something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScanIssue {
    pub path: String,
    /// `unsafe`, `suspicious`, or a milder word.
    pub level: String,
}

/// The levels that hold an update. Milder ones, such as `caution`, mark most pickles.
const SEVERE: &[&str] = &["unsafe", "suspicious", "malicious", "infected"];

/// Finds severe issues of new and changed files. An unchanged file was published
/// knowingly, or before the scanners knew it.
pub fn scan_finding(update: &ListingPair<'_>, issues: &[ScanIssue]) -> Option<Finding> {
    let is_severe = |issue: &&ScanIssue| SEVERE.contains(&issue.level.as_str());
    let is_new = |issue: &&ScanIssue| update.news().any(|file| file.path.as_str() == issue.path);
    let severe = issues.iter().filter(is_severe).filter(is_new);
    let severe: Vec<String> = severe
        .map(|issue| format!("`{}` ({})", issue.path, issue.level))
        .collect();
    (!severe.is_empty()).then(|| Finding {
        reason: HoldReason::SecurityScan,
        detail: format!("the Hub's scan reports {}", list(severe)),
    })
}

#[cfg(test)]
mod tests {
    use super::super::files::fixture::{files, update};
    use super::*;

    #[test]
    fn severe_issues_of_new_selected_files_are_found() {
        let issue = |path: &str, level: &str| ScanIssue {
            path: path.to_owned(),
            level: level.to_owned(),
        };
        let (old, new) = (files(&["a.bin"]), files(&["a.bin", "b.bin", "c.bin"]));
        let update = update(&old, &new);
        let found = scan_finding(
            &update,
            &[issue("b.bin", "unsafe"), issue("c.bin", "caution")],
        );
        assert_eq!(
            found.unwrap().detail,
            "the Hub's scan reports `b.bin` (unsafe)"
        );
        for harmless in [
            issue("a.bin", "unsafe"),
            issue("elsewhere.bin", "unsafe"),
            issue("b.bin", "safe"),
        ] {
            assert_eq!(scan_finding(&update, &[harmless]), None);
        }
    }
}
