//! The version of the time zone rules in use, as a text to compare.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use super::host::Host;

/// The folders of zone files; `TZDIR` comes before them.
const FOLDERS: &[&str] = &[
    "/usr/share/zoneinfo",
    "/usr/share/lib/zoneinfo",
    "/etc/zoneinfo",
];

/// Describes the data of each zone: size and modification time of its file, or the
/// copy that is built into the program.
pub fn fingerprint(host: &Host, zones: &[String]) -> String {
    let given = host.variable("TZDIR").map(PathBuf::from);
    let folders: Vec<PathBuf> = given
        .into_iter()
        .chain(FOLDERS.iter().map(PathBuf::from))
        .collect();
    let lines = zones.iter().map(|zone| {
        let found = folders
            .iter()
            .find_map(|folder| describe(&folder.join(zone)));
        let bundled = || format!("bundled {}", env!("CARGO_PKG_VERSION"));
        format!("{zone}={}", found.unwrap_or_else(bundled))
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Tells whether two fingerprints differ in a zone that both contain.
pub fn differs(old: &str, new: &str) -> bool {
    let (old, new) = (parse(old), parse(new));
    new.iter()
        .any(|(zone, data)| old.get(zone).is_some_and(|before| before != data))
}

fn parse(fingerprint: &str) -> BTreeMap<&str, &str> {
    fingerprint
        .lines()
        .filter_map(|line| line.split_once('='))
        .collect()
}

fn describe(path: &Path) -> Option<String> {
    let found = std::fs::metadata(path).ok()?;
    let age = found.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
    Some(format!("{} {}", found.len(), age.as_secs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_changed_data_of_the_same_zone_is_a_difference() {
        let old = "Europe/Berlin=2298 1700000000\nUTC=bundled 0.1.0";
        assert!(!differs(old, old));
        assert!(!differs(old, "Asia/Kolkata=285 1700000000"));
        assert!(!differs("", old));
        assert!(differs(old, "UTC=bundled 0.1.1"));
        assert!(differs(
            old,
            "Europe/Berlin=2298 1800000000\nAsia/Kolkata=285 1"
        ));
    }

    #[test]
    fn a_zone_is_described_by_its_file() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(describe(&folder.path().join("UTC")), None);
        std::fs::write(folder.path().join("UTC"), "abc").unwrap();
        assert!(
            describe(&folder.path().join("UTC"))
                .unwrap()
                .starts_with("3 ")
        );
    }
}
