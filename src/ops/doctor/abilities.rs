//! The abilities of a folder's file system, found out by using them.

use std::io;
use std::path::{Path, PathBuf};

use super::check_result::CheckResult;
use crate::sys::abilities;
use crate::sys::files;
use crate::sys::lock::FileLock;

/// The abilities of a file system that runs need; an error means no.
#[derive(Debug)]
pub(super) struct Abilities {
    /// A new file can be flushed to disk and renamed over an old one.
    pub replaces: io::Result<()>,
    pub locks: io::Result<Locking>,
    pub has_symlinks: bool,
    pub has_hard_links: bool,
}

/// The answer to a second request for a held lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Locking {
    Refused,
    /// Both requests got the lock.
    Granted,
}

/// A temporary folder for the probes.
struct Probes(PathBuf);

impl Probes {
    fn new(folder: &Path) -> io::Result<Self> {
        let path = files::unused_name(folder);
        std::fs::create_dir(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Probes {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Tries all abilities in a folder; fails if nothing can be written there.
pub(super) fn try_out(folder: &Path) -> io::Result<Abilities> {
    let probes = Probes::new(folder)?;
    let at = &probes.0;
    let file = at.join("replaced");
    let write = |text: &str| files::write_atomically(&file, text.as_bytes(), at);
    // The first write fails if there is no space.
    write("old")?;
    let replaces = write("new").and_then(|()| match std::fs::read(&file)?.as_slice() {
        b"new" => Ok(()),
        _ => Err(io::Error::other("a renamed file has other bytes")),
    });
    Ok(Abilities {
        replaces,
        locks: lock_twice(&at.join("locked")),
        has_symlinks: abilities::supports_symlinks(at)?,
        has_hard_links: abilities::supports_hard_links(at),
    })
}

fn lock_twice(path: &Path) -> io::Result<Locking> {
    let held = FileLock::try_acquire(path)?
        .ok_or_else(|| io::Error::other("a lock that nobody holds is refused"))?;
    let second = FileLock::try_acquire(path)?;
    drop(held);
    Ok(match second {
        Some(_) => Locking::Granted,
        None => Locking::Refused,
    })
}

/// The need for symbolic links in a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Symlinks {
    Wanted,
    SwitchedOff,
    /// Files there are never linked.
    NotNeeded,
}

/// Judges the abilities.
pub(super) fn judge(
    check: &'static str,
    folder: &Path,
    abilities: &Abilities,
    symlinks: Symlinks,
) -> CheckResult {
    let place = format!("`{}`", folder.display());
    let elsewhere = "use a place on a local disk";
    if let Err(err) = &abilities.replaces {
        return CheckResult::fail(check, format!("{place} cannot replace a file in one step"))
            .why(err.to_string())
            .next(elsewhere);
    }
    match &abilities.locks {
        Ok(Locking::Refused) => {}
        Ok(Locking::Granted) => {
            return CheckResult::fail(check, format!("{place} gives the same lock twice"))
                .why("two runs at once would write the same files")
                .next(elsewhere);
        }
        Err(err) => {
            return CheckResult::fail(check, format!("{place} gives no locks"))
                .why(err.to_string())
                .next(format!(
                    "{elsewhere}; a network mount may need its lock service"
                ));
        }
    }
    let instead = if abilities.has_hard_links {
        "hfdl shares the files of revisions by hard links; other programs may copy them"
    } else {
        "files that revisions share are copied, which takes more space"
    };
    match symlinks {
        Symlinks::SwitchedOff => {
            CheckResult::warn(check, format!("{place}: symbolic links are switched off"))
                .why(format!("`HF_HUB_DISABLE_SYMLINKS` is set; {instead}"))
                .next("unset `HF_HUB_DISABLE_SYMLINKS` if the place has links")
        }
        Symlinks::Wanted if !abilities.has_symlinks => {
            CheckResult::warn(check, format!("{place} has no symbolic links that work"))
                .why(instead)
                .next(if cfg!(windows) {
                    "switch on the developer mode of Windows, or use another place"
                } else {
                    "use a place with links for the cache; sshfs needs `-o no_contain_symlinks`"
                })
        }
        _ => {
            let mut can = vec!["locks", "renames", "forces to disk"];
            if symlinks == Symlinks::Wanted {
                can.push("has symbolic links");
            }
            if abilities.has_hard_links {
                can.push("has hard links");
            }
            CheckResult::ok(check, format!("{place} {}", can.join(", ")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::doctor::check_result::CheckLevel;

    fn able() -> Abilities {
        Abilities {
            replaces: Ok(()),
            locks: Ok(Locking::Refused),
            has_symlinks: true,
            has_hard_links: true,
        }
    }

    fn verdict(abilities: Abilities, symlinks: Symlinks) -> (CheckLevel, bool) {
        let result = judge("x", Path::new("/x"), &abilities, symlinks);
        (result.verdict, result.next.is_some())
    }

    #[test]
    fn a_local_folder_has_all_abilities_and_stays_unchanged() {
        let folder = tempfile::tempdir().unwrap();
        let abilities = try_out(folder.path()).unwrap();
        assert_eq!(
            verdict(abilities, Symlinks::NotNeeded),
            (CheckLevel::Ok, false)
        );
        assert_eq!(folder.path().read_dir().unwrap().count(), 0);
        assert!(try_out(&folder.path().join("missing")).is_err());
        assert_eq!(folder.path().read_dir().unwrap().count(), 0);
        std::fs::write(folder.path().join("file"), "").unwrap();
        assert!(try_out(&folder.path().join("file")).is_err());
    }

    #[test]
    fn each_missing_ability_has_a_next_step() {
        let broken = || io::Error::other("no");
        let fails = |abilities| verdict(abilities, Symlinks::Wanted);
        assert_eq!(fails(able()), (CheckLevel::Ok, false));
        let lacks = [
            Abilities {
                replaces: Err(broken()),
                ..able()
            },
            Abilities {
                locks: Err(broken()),
                ..able()
            },
            Abilities {
                locks: Ok(Locking::Granted),
                ..able()
            },
        ];
        for lack in lacks {
            assert_eq!(fails(lack), (CheckLevel::Fail, true));
        }
        let no_links = || Abilities {
            has_symlinks: false,
            ..able()
        };
        assert_eq!(fails(no_links()), (CheckLevel::Warn, true));
        for (has_hard_links, consequence) in [(true, "by hard links"), (false, "are copied")] {
            let abilities = Abilities {
                has_hard_links,
                ..no_links()
            };
            let result = judge("x", Path::new("/x"), &abilities, Symlinks::Wanted);
            assert!(result.why.unwrap().contains(consequence));
        }
        assert_eq!(
            verdict(no_links(), Symlinks::NotNeeded),
            (CheckLevel::Ok, false)
        );
        assert_eq!(
            verdict(able(), Symlinks::SwitchedOff),
            (CheckLevel::Warn, true)
        );
    }
}
