//! Edits of a crontab's text: the block of hfdl is added, found and removed, and
//! all other bytes stay.
//!
//! The text is bytes, because crontabs contain Latin-1, carriage returns and last
//! lines without a newline, which must not be altered. The block:
//!
//! ```text
//! # >>> hfdl 7f3a9c12 >>> managed by "hfdl start"; remove it with "hfdl stop"
//! 4,19,34,49 * * * * '/usr/bin/hfdl' --home '/home/me/.local/share/hfdl' run-due --trigger timer --database 1f2e3d4c
//! # <<< hfdl 7f3a9c12 <<<
//! ```
//!
//! It sets no variables: BusyBox supports three and drops the rest, and they
//! would affect lines added below.

use std::ops::Range;

use super::crontab_line::{BlockFlags, END, START, render};
use super::refusal::TimerRefusal;
use super::spec::{TimerId, TimerSpec};

/// The position of hfdl's block in a crontab.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CrontabBlock {
    range: Range<usize>,
    flags: BlockFlags,
}

/// A crontab after an edit; `None`: no crontab.
pub type Crontab = Option<Vec<u8>>;

/// Returns a crontab with the block of `spec`: replaced in place, or appended.
pub fn with_block(before: Option<&[u8]>, spec: &TimerSpec) -> Result<Vec<u8>, TimerRefusal> {
    let text = before.unwrap_or_default();
    if let Some(block) = find(text, &spec.id)? {
        let ours = render(spec, block.flags)?;
        return Ok([
            &text[..block.range.start],
            ours.as_bytes(),
            &text[block.range.end..],
        ]
        .concat());
    }
    let flags = BlockFlags {
        newline_added: !text.is_empty() && !text.ends_with(b"\n"),
        is_new: before.is_none(),
    };
    let newline: &[u8] = if flags.newline_added { b"\n" } else { b"" };
    Ok([text, newline, render(spec, flags)?.as_bytes()].concat())
}

/// Returns a crontab with the block of `spec`: replaced in place, or appended.
pub fn without_block(text: &[u8], id: &TimerId) -> Result<Option<Crontab>, TimerRefusal> {
    let Some(block) = find(text, id)? else {
        return Ok(None);
    };
    let mut before = text[..block.range.start].to_vec();
    let mut after = text[block.range.end..].to_vec();
    if after.is_empty() {
        if block.flags.newline_added && before.ends_with(b"\n") {
            before.pop();
        }
        let is_gone = block.flags.is_new && before.is_empty();
        return Ok(Some((!is_gone).then_some(before)));
    }
    // If a later block of another home follows, it inherits the changes to undo.
    if let Some(marked) = add_flags(&after, block.flags) {
        after = marked;
    }
    before.extend(after);
    Ok(Some(Some(before)))
}

/// Tells whether a crontab contains exactly the block of `spec`; `None` when it
/// contains none.
pub fn is_current(text: &[u8], spec: &TimerSpec) -> Result<Option<bool>, TimerRefusal> {
    let Some(block) = find(text, &spec.id)? else {
        return Ok(None);
    };
    let ours = render(spec, block.flags);
    Ok(Some(
        ours.is_ok_and(|ours| ours.as_bytes() == &text[block.range]),
    ))
}

/// Returns the current text of the block of `id`.
pub fn block_text(text: &[u8], id: &TimerId) -> Option<String> {
    let block = find(text, id).ok()??;
    Some(String::from_utf8_lossy(&text[block.range]).into_owned())
}

/// Finds the block of an id; fails unless it is one well-formed pair of markers
/// with at most the line of hfdl between them.
pub fn find(text: &[u8], id: &TimerId) -> Result<Option<CrontabBlock>, TimerRefusal> {
    let mut start = None;
    let mut found = None;
    let mut line_number = 0;
    let mut n_lines = 0;
    let mut at = 0;
    let damaged = |line: usize, problem: &str| {
        let reason =
            format!("the markers of hfdl {id} in the crontab are damaged: line {line} {problem}");
        Err(TimerRefusal::state(reason).next(format!(
            "remove the lines of hfdl {id} by hand with `crontab -e`, then try again"
        )))
    };
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        let range = at..at + line.len();
        at = range.end;
        line_number += 1;
        match (marker(line, id), start) {
            (Some(Marker::Start(flags)), None) if found.is_none() => {
                start = Some((range.start, flags));
                n_lines = 0;
            }
            (Some(Marker::Start(_)), _) => return damaged(line_number, "begins a second block"),
            (Some(Marker::End), Some((start_at, flags))) => {
                found = Some(CrontabBlock {
                    range: start_at..range.end,
                    flags,
                });
                start = None;
            }
            (Some(Marker::End), None) => {
                return damaged(line_number, "ends a block that has not begun");
            }
            (None, Some(_)) => {
                n_lines += 1;
                if n_lines > 1 || !is_ours(line) {
                    return damaged(line_number, "is within the block and not from hfdl");
                }
            }
            (None, None) => {}
        }
    }
    match start {
        Some(_) => damaged(line_number, "is the last, and the block has not ended"),
        None => Ok(found),
    }
}

/// Tells whether a line, possibly edited or commented out, is that of hfdl.
fn is_ours(line: &[u8]) -> bool {
    contains(line, b" run-due")
}

enum Marker {
    Start(BlockFlags),
    End,
}

fn marker(line: &[u8], id: &TimerId) -> Option<Marker> {
    let line = std::str::from_utf8(line).ok()?.trim_end();
    if let Some(rest) = line.strip_prefix(END) {
        let is_end = rest.strip_suffix(" <<<") == Some(id.as_str());
        return is_end.then_some(Marker::End);
    }
    let (found, flags) = start_marker(line)?;
    (found == id.as_str()).then_some(Marker::Start(flags))
}

/// Parses the id and the flags of a line that begins a block.
fn start_marker(line: &str) -> Option<(&str, BlockFlags)> {
    let (head, _) = line.strip_prefix(START)?.split_once(" >>>")?;
    let mut parts = head.split(' ');
    let id = parts.next()?;
    let mut flags = BlockFlags::default();
    for word in parts {
        match word {
            "nl" => flags.newline_added = true,
            "new" => flags.is_new = true,
            _ => {}
        }
    }
    Some((id, flags))
}

/// Adds flags to the marker if the text begins with a block.
fn add_flags(text: &[u8], flags: BlockFlags) -> Option<Vec<u8>> {
    let end = text.iter().position(|byte| *byte == b'\n')?;
    let line = std::str::from_utf8(&text[..end]).ok()?;
    let (id, own) = start_marker(line)?;
    let (_, rest) = line.strip_prefix(START)?.split_once(" >>>")?;
    let both = BlockFlags {
        newline_added: flags.newline_added || own.newline_added,
        is_new: flags.is_new || own.is_new,
    };
    let marked = format!("{START}{id}{} >>>", both.words());
    Some([marked.as_bytes(), rest.as_bytes(), &text[end..]].concat())
}

/// Removes the three header lines that old versions of `crontab -l` print; written
/// back, they would double each time.
pub fn without_header(text: &[u8]) -> &[u8] {
    let mut rest = text;
    let mut take = |is_header: fn(&[u8]) -> bool| {
        let end = rest.iter().position(|byte| *byte == b'\n')? + 1;
        let is_header = is_header(&rest[..end]);
        rest = &rest[end..];
        is_header.then_some(())
    };
    let is_whole =
        take(|line| line.starts_with(b"# DO NOT EDIT THIS FILE - edit the master and reinstall."))
            .and_then(|()| {
                take(|line| line.starts_with(b"# (") && contains(line, b" installed on "))
            })
            .and_then(|()| take(|line| line.starts_with(b"# (Cron version")));
    if is_whole.is_some() { rest } else { text }
}

/// Tells whether comments at the top say that a program generates this file: its
/// next write would remove the block.
pub fn is_generated(text: &[u8]) -> bool {
    let top = text
        .split(|byte| *byte == b'\n')
        .take_while(|line| line.starts_with(b"#") && !line.starts_with(START.as_bytes()));
    let phrases: [&[u8]; 4] = [
        b"do not edit",
        b"do not modify",
        b"autogenerated",
        b"automatically generated",
    ];
    top.map(<[u8]>::to_ascii_lowercase)
        .any(|line| phrases.iter().any(|phrase| contains(&line, phrase)))
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::spec::tests::{plain, with_tick};
    use super::*;

    const BLOCK: &str = "# >>> hfdl 7f3a9c12 >>> managed by \"hfdl start\"; remove it with \"hfdl stop\"
4,19,34,49 * * * * '/home/me/.cargo/bin/hfdl' --home '/home/me/.local/share/hfdl' run-due --trigger timer
# <<< hfdl 7f3a9c12 <<<
";

    fn other_home() -> TimerSpec {
        TimerSpec {
            id: TimerId::parse("00c0ffee").unwrap(),
            home: "/srv/hfdl".to_owned(),
            ..plain()
        }
    }

    fn install(text: Option<&[u8]>, spec: &TimerSpec) -> Vec<u8> {
        with_block(text, spec).unwrap()
    }

    fn remove(text: &[u8], spec: &TimerSpec) -> Crontab {
        without_block(text, &spec.id)
            .unwrap()
            .expect("there is a block")
    }

    #[test]
    fn the_block_is_appended_and_nothing_else_changes() {
        let before = b"MAILTO=me\n\t5 4 * * *\tbackup\n";
        let after = install(Some(before), &plain());
        assert_eq!(after, [before, BLOCK.as_bytes()].concat());
        assert_eq!(install(Some(&after), &plain()), after, "twice is once");
    }

    #[test]
    fn a_missing_newline_and_a_missing_crontab_are_remembered() {
        let text = install(Some(b"0 1 * * * x"), &plain());
        assert!(text.starts_with(b"0 1 * * * x\n# >>> hfdl 7f3a9c12 nl >>> managed"));
        assert_eq!(remove(&text, &plain()), Some(b"0 1 * * * x".to_vec()));
        let text = install(None, &plain());
        assert!(text.starts_with(b"# >>> hfdl 7f3a9c12 new >>> managed"));
        assert_eq!(remove(&text, &plain()), None);
        let text = install(Some(b""), &plain());
        assert_eq!(remove(&text, &plain()), Some(Vec::new()));
    }

    #[test]
    fn lines_added_after_the_block_are_kept() {
        for (before, kept) in [
            (None, &b"0 2 * * * y\n"[..]),
            (Some(&b"x"[..]), b"x\n0 2 * * * y\n"),
        ] {
            let mut text = install(before, &plain());
            text.extend(b"0 2 * * * y\n");
            assert_eq!(remove(&text, &plain()), Some(kept.to_vec()));
        }
    }

    #[test]
    fn a_changed_interval_or_program_replaces_only_what_is_between_the_markers() {
        let text = install(Some(b"a\n"), &plain());
        let text = [&text, &b"z\n"[..]].concat();
        let changed = install(Some(&text), &with_tick(30, 4));
        let expected = String::from_utf8(text)
            .unwrap()
            .replace("4,19,34,49", "4,34");
        assert_eq!(changed, expected.as_bytes());
        assert_eq!(is_current(&changed, &plain()).unwrap(), Some(false));
        assert_eq!(is_current(&changed, &with_tick(30, 4)).unwrap(), Some(true));
        assert_eq!(is_current(b"a\n", &plain()).unwrap(), None);
    }

    #[test]
    fn an_edited_or_commented_out_line_is_replaced() {
        for edited in [
            BLOCK.replace("4,19", "#4,19"),
            BLOCK.replace(" --trigger timer", " >/dev/null 2>&1"),
            BLOCK.replace('\n', "\r\n"),
            {
                let lines: Vec<&str> = BLOCK.lines().collect();
                format!("{}\n{}", lines[0], lines[2])
            },
        ] {
            assert_eq!(
                is_current(edited.as_bytes(), &plain()).unwrap(),
                Some(false)
            );
            assert_eq!(install(Some(edited.as_bytes()), &plain()), BLOCK.as_bytes());
        }
    }

    #[test]
    fn damaged_markers_are_refused_with_the_line_number() {
        let lines: Vec<&str> = BLOCK.lines().collect();
        let (start, line, end) = (lines[0], lines[1], lines[2]);
        for (text, reason) in [
            (
                format!("{start}\n{line}\n"),
                "line 2 is the last, and the block has not ended",
            ),
            (
                format!("{line}\n{end}\n"),
                "line 2 ends a block that has not begun",
            ),
            (
                format!("{end}\n{line}\n{start}\n"),
                "line 1 ends a block that has not begun",
            ),
            (format!("{BLOCK}{BLOCK}"), "line 4 begins a second block"),
            (
                format!("{start}\n{start}\n{line}\n{end}\n"),
                "line 2 begins a second block",
            ),
            (
                format!("{start}\nMAILTO=x\n{line}\n{end}\n"),
                "line 2 is within the block and not from hfdl",
            ),
            (
                format!("{start}\n{line}\n{line}\n{end}\n"),
                "line 3 is within the block and not from hfdl",
            ),
        ] {
            let refusal = with_block(Some(text.as_bytes()), &plain()).unwrap_err();
            assert!(refusal.reason.contains(reason), "{text}\n{refusal}");
            assert_eq!(
                without_block(text.as_bytes(), &plain().id).unwrap_err(),
                refusal
            );
            assert!(is_current(text.as_bytes(), &plain()).is_err());
            // The block of another home does not matter.
            assert!(with_block(Some(text.as_bytes()), &other_home()).is_ok());
        }
    }

    #[test]
    fn only_the_header_of_old_crontabs_is_removed() {
        let header = "# DO NOT EDIT THIS FILE - edit the master and reinstall.
# (/tmp/crontab.XX installed on Thu Nov 12 10:00:00 2026)
# (Cron version -- $Id: crontab.c,v 2.13 1994/01/17 03:20:37 vixie Exp $)
";
        let text = format!("{header}0 1 * * * x\n");
        assert_eq!(without_header(text.as_bytes()), b"0 1 * * * x\n");
        let others = [
            format!("\n{text}"),
            header.lines().next().unwrap().to_owned(),
            text.replace("(Cron version", "(Kron version"),
            "0 1 * * * x\n".to_owned(),
            String::new(),
        ];
        for other in others {
            assert_eq!(without_header(other.as_bytes()), other.as_bytes());
        }
    }

    #[test]
    fn a_generated_crontab_is_recognised_by_its_top_comments() {
        for text in [
            "# This file is managed by Puppet, DO NOT EDIT\n0 1 * * * x\n",
            "# Server crontab\n# Autogenerated by cPanel\n",
        ] {
            assert!(is_generated(text.as_bytes()), "{text}");
        }
        for text in [
            "",
            BLOCK,
            "0 1 * * * x # do not edit\n",
            "# my jobs\n0 1 * * * x\n# do not edit below\n",
            "#Ansible: backup\n0 1 * * * x\n",
        ] {
            assert!(!is_generated(text.as_bytes()), "{text}");
        }
    }

    /// Pieces of crontabs, odd ones more often than in practice.
    fn crontab() -> impl Strategy<Value = Option<Vec<u8>>> {
        let line = prop_oneof![
            Just(b"# a comment".to_vec()),
            Just(b"MAILTO=\"me@example.org\"".to_vec()),
            Just(b"CRON_TZ=Europe/Berlin".to_vec()),
            Just(b"5 4 * * sun\tbackup --to '/mnt/a b' %stdin%line".to_vec()),
            Just(b"30 1 * * * caf\xe9 \xff".to_vec()),
            Just(b"# <<< hfdl <<<".to_vec()),
            Just(b"# >>> hfdl 7f3a9c1 >>>".to_vec()),
            Just(install(None, &other_home()).trim_ascii_end().to_vec()),
            Just(install(
                Some(b"x"),
                &TimerSpec {
                    id: TimerId::parse("abcdef01").unwrap(),
                    ..plain()
                }
            )),
            proptest::collection::vec(any::<u8>(), 0..20),
        ];
        let ending = prop_oneof![
            Just(&b"\n"[..]),
            Just(&b"\r\n"[..]),
            Just(&b"\n\n"[..]),
            Just(&b""[..])
        ];
        let text = proptest::collection::vec((line, ending), 0..12).prop_map(|lines| {
            lines
                .into_iter()
                .flat_map(|(line, ending)| [line, ending.to_vec()].concat())
                .collect()
        });
        proptest::option::weighted(0.95, text)
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            failure_persistence: None,
            ..ProptestConfig::default()
        })]

        #[test]
        fn install_then_remove_is_identity(before in crontab()) {
            let with = install(before.as_deref(), &plain());
            prop_assert_eq!(is_current(&with, &plain()).unwrap(), Some(true));
            prop_assert_eq!(&install(Some(&with), &plain()), &with);
            let changed = install(Some(&with), &with_tick(5, 1));
            prop_assert_eq!(remove(&changed, &plain()), before.clone());
            prop_assert_eq!(remove(&with, &plain()), before);
        }

        #[test]
        fn two_homes_can_be_removed_in_any_order(before in crontab(), first_goes_first in any::<bool>()) {
            let one = TimerSpec { id: TimerId::parse("11111111").unwrap(), ..plain() };
            let two = TimerSpec { id: TimerId::parse("22222222").unwrap(), ..plain() };
            let with = install(Some(&install(before.as_deref(), &one)), &two);
            let (first, last) = if first_goes_first { (&one, &two) } else { (&two, &one) };
            let left = remove(&with, first).expect("the other block is left");
            prop_assert_eq!(is_current(&left, last).unwrap(), Some(true));
            prop_assert_eq!(remove(&left, last), before);
        }
    }
}
