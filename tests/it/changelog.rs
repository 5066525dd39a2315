//! The change log knows the version that is about to be released.

const CHANGELOG: &str = include_str!("../../CHANGELOG.md");

/// Returns the versions that have an entry, newest first.
fn versions(text: &str) -> Vec<&str> {
    text.lines()
        .filter_map(|line| line.strip_prefix("## "))
        .filter_map(|heading| heading.split_whitespace().next())
        .collect()
}

#[test]
fn the_current_version_has_the_first_entry() {
    assert_eq!(
        versions(CHANGELOG).first(),
        Some(&env!("CARGO_PKG_VERSION")),
        "CHANGELOG.md begins with another version than Cargo.toml"
    );
}

#[test]
fn a_version_is_the_first_word_of_a_heading() {
    let text = "# Changes\n\n## 0.2.0 (2027-01-01)\n\n### Added\n\n## 0.1.0\n";
    assert_eq!(versions(text), ["0.2.0", "0.1.0"]);
}

/// The text of a release, and the check that starts one.
#[cfg(unix)]
#[test]
fn release_notes_are_the_first_section_of_the_tagged_version() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/release-notes");
    let notes = |tag: &str| {
        std::process::Command::new("bash")
            .args([script, tag])
            .output()
            .unwrap()
    };
    let tag = concat!("v", env!("CARGO_PKG_VERSION"));
    let printed = String::from_utf8(notes(tag).stdout).unwrap();
    let newest = CHANGELOG.split("\n## ").nth(1).unwrap();
    let (_, newest) = newest.split_once('\n').unwrap();
    assert_eq!(printed.trim(), newest.trim());
    for wrong in ["v0.0.1", env!("CARGO_PKG_VERSION")] {
        let refused = notes(wrong);
        assert!(!refused.status.success() && refused.stdout.is_empty());
    }
}
