//! The next step for a database that cannot be used: the newest automatic copy, and the
//! commands that put it back. Nothing here changes a file.

use std::path::{Path, PathBuf};

use super::migrations::{MIGRATIONS, copy_path};

/// Returns the next step for a damaged database.
pub(super) fn from_damage(database: &Path) -> String {
    match newest_copy(database) {
        Some(copy) => format!(
            "put back the newest automatic copy, which an update of hfdl made; later changes are not \
             in it, and downloaded files stay:\n{}",
            commands(database, &copy, "damaged")
        ),
        None => format!(
            "there is no automatic copy beside it: move `{}` aside and restore a backup, or begin anew \
             with `hfdl apply` from an export; downloaded files stay",
            database.display()
        ),
    }
}

/// Returns the next step for a database that a newer hfdl has changed.
pub(super) fn from_newer(database: &Path) -> String {
    match newest_copy(database) {
        Some(copy) => format!(
            "update hfdl; or put back the copy that the newer one kept, in which later changes are \
             missing:\n{}",
            commands(database, &copy, "newer")
        ),
        None => "update hfdl: no copy of an older version is beside the database".to_owned(),
    }
}

/// Returns the copy of the latest schema that this hfdl knows.
fn newest_copy(database: &Path) -> Option<PathBuf> {
    // A copy has the schema before the version of its name.
    let versions = (1..=MIGRATIONS.len() as i64 + 1).rev();
    let mut copies = versions.map(|version| copy_path(database, version));
    copies.find(|copy| copy.is_file())
}

/// Returns the commands for a shell. The log of the old file moves with it: SQLite would
/// write it into the copy.
fn commands(database: &Path, copy: &Path, word: &str) -> String {
    let beside = |suffix: &str| {
        let mut name = database.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    };
    let (moving, copying) = if cfg!(windows) {
        ("move", "copy")
    } else {
        ("mv", "cp")
    };
    let mut lines = Vec::new();
    for suffix in ["", "-wal", "-shm", "-journal"] {
        let from = beside(suffix);
        if from.exists() {
            let to = beside(&format!("{suffix}.{word}"));
            lines.push(format!("{moving} {} {}", quoted(&from), quoted(&to)));
        }
    }
    lines.push(format!("{copying} {} {}", quoted(copy), quoted(database)));
    lines.join("\n")
}

/// Quotes a path for a shell.
fn quoted(path: &Path) -> String {
    let path = path.display().to_string();
    if cfg!(windows) {
        return format!("\"{path}\"");
    }
    format!("'{}'", path.replace('\'', r"'\''"))
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn the_log_of_a_damaged_database_moves_with_it() {
        let home = tempfile::tempdir().unwrap();
        let path = |name: &str| home.path().join(name);
        for name in ["hfdl.db", "hfdl.db-wal", "hfdl.db.before-v3"] {
            std::fs::write(path(name), name).unwrap();
        }
        let hint = from_damage(&path("hfdl.db"));
        let commands: Vec<&str> = hint.lines().skip(1).collect();
        let place = home.path().display();
        let expected = [
            format!("mv '{place}/hfdl.db' '{place}/hfdl.db.damaged'"),
            format!("mv '{place}/hfdl.db-wal' '{place}/hfdl.db-wal.damaged'"),
            format!("cp '{place}/hfdl.db.before-v3' '{place}/hfdl.db'"),
        ];
        assert_eq!(commands, expected);
        assert_eq!(quoted(Path::new("/a'b")), r"'/a'\''b'");
    }
}
