//! The text of a change note, for `sessions show` and other commands.

use crate::domain::changes::{ChangeNote, ChangedFiles, TitledCommit};
use crate::domain::units::ByteSize;
use crate::ui::Clock;

/// Commits and files beyond this number are counted only.
pub(super) const MOST_LINES: usize = 20;

/// Returns the facts of a change note; a fact may have several lines.
pub(super) fn facts(note: &ChangeNote, clock: &Clock) -> Vec<(&'static str, String)> {
    let mut facts = vec![("changes", note.summary())];
    let commits = commit_lines(note, clock, MOST_LINES);
    if !commits.is_empty() {
        facts.push(("commits", commits.join("\n")));
    }
    let files = note.changes.files.as_ref();
    let files = files.map_or_else(Vec::new, |files| file_lines(files, MOST_LINES));
    if !files.is_empty() {
        facts.push(("changed files", files.join("\n")));
    }
    facts
}

/// Returns one line for each commit, newest first, and one for those left out.
pub(super) fn commit_lines(note: &ChangeNote, clock: &Clock, most: usize) -> Vec<String> {
    let Some(new) = &note.changes.commits else {
        return Vec::new();
    };
    let line = |commit: &TitledCommit| {
        let at = clock.past_or_nothing(commit.at);
        format!("{} {at} {}", commit.commit.short(), commit.title)
    };
    let mut lines: Vec<String> = new.commits.iter().take(most).map(line).collect();
    let n_more = new.commits.len().saturating_sub(most);
    if n_more > 0 || new.has_more {
        let at_least = if new.has_more { "at least " } else { "" };
        lines.push(format!("and {at_least}{} more", n_more.max(1)));
    }
    lines
}

/// Returns one line for each changed file, and one for those left out.
pub(super) fn file_lines(files: &ChangedFiles, most: usize) -> Vec<String> {
    let first = files.files.iter().take(most).map(|file| {
        let size = ByteSize(file.size_bytes).render_short();
        let code = if file.has_code { ", runs code" } else { "" };
        format!("{} {} ({size}{code})", file.change, file.path)
    });
    let mut lines: Vec<String> = first.collect();
    let n_more = files.n_more + files.files.len().saturating_sub(most) as u64;
    if n_more > 0 {
        lines.push(format!("and {n_more} more"));
    }
    lines
}
