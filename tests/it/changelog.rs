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
