//! Placement: whether a repository's paths can be files side by side in one
//! directory.
//!
//! A `RepoPath` cannot leave its folder, but two of them may be one file on a
//! file system that ignores case, or no valid file name on Windows. These pure
//! functions check that before a byte is fetched.
//!
//! Each file system refuses other names, so the caller tries unusual ones on the disk.
//! Some file systems, such as those of macOS, also treat names as equal that
//! differ only in Unicode normalisation: `é` as one code point or as two. A
//! table in this program could be of another Unicode version than the file
//! system's, so the caller tests such names on the disk itself.

use std::collections::HashMap;

use thiserror::Error;

use super::repo::RepoPath;

/// The rules for file names in a destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placement {
    pub names: FileNames,
    pub case: LetterCase,
    pub forms: NormalForms,
    /// The top folder reserved for the writer's own records, if there is one;
    /// no repository may put a file there. A destination with such a folder is
    /// a user's directory, where names that are dangerous on other systems are
    /// refused too.
    pub private: Option<&'static str>,
}

/// The platform whose rules for file names apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileNames {
    Posix,
    Windows,
}

/// Whether `A` and `a` are two files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LetterCase {
    Matters,
    Ignored,
}

/// Whether `é` as one code point and as two are two files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NormalForms {
    Matter,
    Ignored,
}

/// The reason why the disk cannot hold some names side by side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NameProblem<'a> {
    /// The disk treats two names as one.
    SameFile(&'a RepoPath, &'a RepoPath),
    /// The path is in the folder of the writer's own records.
    Private(&'a RepoPath),
    /// The disk does not store this name, with the message of the system.
    Refused(&'a RepoPath, String),
}

/// A path that cannot be created, and why.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PlacementError {
    #[error("`{path}` cannot be a file on Windows: {why}")]
    NotAName { path: RepoPath, why: &'static str },
    #[error("`{first}` and `{second}` would be one file on this file system, which ignores case")]
    SameFile { first: RepoPath, second: RepoPath },
    // The two look the same on screen, so the difference is escaped.
    #[error(
        "`{}` and `{}` would be one file on this file system, which treats their names as equal",
        first.as_str().escape_default(),
        second.as_str().escape_default()
    )]
    SameName { first: RepoPath, second: RepoPath },
    #[error("the file system cannot store the name `{path}`: {why}")]
    Refused { path: RepoPath, why: String },
    #[error("`{file}` is a file, but `{below}` needs a folder of that name")]
    FileAndFolder { file: RepoPath, below: RepoPath },
    #[error(
        "`{path}` is refused in a directory, because it is reserved on Windows ({why}); `--exclude` leaves it out"
    )]
    ReservedName { path: RepoPath, why: &'static str },
    #[error(
        "`{path}` is refused in a directory, because git would use it as a repository; `--exclude` leaves it out"
    )]
    GitFolder { path: RepoPath },
    #[error("`{path}` lies in the folder that holds the download's own records")]
    Private { path: RepoPath },
}

impl Placement {
    /// Checks that all paths can be files side by side.
    pub fn check<'a>(
        &self,
        paths: impl IntoIterator<Item = &'a RepoPath>,
    ) -> Result<(), PlacementError> {
        let mut files: HashMap<String, &RepoPath> = HashMap::new();
        for path in paths {
            self.check_one(path)?;
            if let Some(first) = files.insert(self.key(path.as_str()), path) {
                return Err(PlacementError::SameFile {
                    first: first.clone(),
                    second: path.clone(),
                });
            }
        }
        for (key, path) in &files {
            let folders = key.match_indices('/').map(|(end, _)| &key[..end]);
            if let Some(file) = folders.filter_map(|folder| files.get(folder)).next() {
                return Err(PlacementError::FileAndFolder {
                    file: (*file).clone(),
                    below: (*path).clone(),
                });
            }
        }
        Ok(())
    }

    /// Like `check`, and also tries names on the disk where its rules are not known: it
    /// may store two names as one, or refuse a name.
    ///
    /// `first_problem` receives the folder of the writer's own records and the paths
    /// to try.
    pub fn check_with_disk<'a, E: From<PlacementError>>(
        &self,
        paths: &[&'a RepoPath],
        first_problem: impl FnOnce(Option<&str>, &[&'a RepoPath]) -> Result<Option<NameProblem<'a>>, E>,
    ) -> Result<(), E> {
        self.check(paths.iter().copied())?;
        let unusual: Vec<&RepoPath> = paths
            .iter()
            .copied()
            .filter(|path| !path.segments().all(is_usual))
            .collect();
        let may_be_equal = self.forms == NormalForms::Ignored
            && unusual.iter().any(|path| !path.as_str().is_ascii());
        let tried = if may_be_equal { paths } else { &unusual };
        if tried.is_empty() {
            return Ok(());
        }
        let error = match first_problem(self.private, tried)? {
            None => return Ok(()),
            Some(NameProblem::SameFile(first, second)) => PlacementError::SameName {
                first: first.clone(),
                second: second.clone(),
            },
            Some(NameProblem::Private(path)) => PlacementError::Private { path: path.clone() },
            Some(NameProblem::Refused(path, why)) => PlacementError::Refused {
                path: path.clone(),
                why,
            },
        };
        Err(error.into())
    }

    fn check_one(&self, path: &RepoPath) -> Result<(), PlacementError> {
        if self.names == FileNames::Windows
            && let Some(why) = path.segments().find_map(why_not_on_windows)
        {
            let path = path.clone();
            return Err(PlacementError::NotAName { path, why });
        }
        if self.private.is_some() {
            check_in_directory(path)?;
        }
        match self.private {
            Some(private) if self.is_private(private, path) => {
                Err(PlacementError::Private { path: path.clone() })
            }
            _ => Ok(()),
        }
    }

    /// Ignores case on every platform: no honest repository is affected, and
    /// the result does not depend on the probe of the file system.
    fn is_private(&self, private: &str, path: &RepoPath) -> bool {
        let path = fold(path.as_str());
        let inside = path
            .strip_prefix(&fold(private))
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        // On Windows `.cache` also has a short name such as `CACHE~1`.
        let short_name = self.names == FileNames::Windows
            && path.starts_with("ca")
            && path.split('/').next().is_some_and(|top| top.contains('~'));
        inside || short_name
    }

    fn key(&self, path: &str) -> String {
        match self.case {
            LetterCase::Matters => path.to_owned(),
            LetterCase::Ignored => fold(path),
        }
    }
}

/// Refuses names that are harmful when the directory is used later: a `.git`
/// folder, whose `config` can start programs, and names that are reserved on
/// Windows.
fn check_in_directory(path: &RepoPath) -> Result<(), PlacementError> {
    if path.segments().any(is_git_folder) {
        let path = path.clone();
        return Err(PlacementError::GitFolder { path });
    }
    if let Some(why) = path.segments().find_map(why_reserved_on_windows) {
        let path = path.clone();
        return Err(PlacementError::ReservedName { path, why });
    }
    Ok(())
}

/// Reports whether some file system treats a name as `.git`.
///
/// HFS+ ignores some zero-width characters. NTFS ignores dots and spaces at the
/// end and everything behind a colon, and has the short name `GIT~1`. Most file
/// systems ignore case. Git refuses the same spellings in a tree.
fn is_git_folder(segment: &str) -> bool {
    let is_ignored = |c: &char| matches!(c, '\u{200c}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{206a}'..='\u{206f}' | '\u{feff}');
    let visible: String = segment.chars().filter(|c| !is_ignored(c)).collect();
    let name = visible.split(':').next().unwrap_or_default();
    let name = fold(name.trim_end_matches(['.', ' ']));
    name == ".git" || name == "git~1"
}

/// Folds case.
///
/// Upper case first and then lower case, so that letters with two lower-case
/// forms (`ſ`, `s`) become equal. This joins a few more names than any single
/// file system does: better to refuse an unusual repository than to overwrite a
/// file.
fn fold(text: &str) -> String {
    text.chars()
        .flat_map(char::to_uppercase)
        .flat_map(char::to_lowercase)
        .collect()
}

/// Reports whether every file system stores a part of a path under this name.
fn is_usual(segment: &str) -> bool {
    const LONG: usize = 120;
    segment.len() <= LONG
        && segment.bytes().all(|byte| matches!(byte, b' '..=b'~'))
        && why_not_on_windows(segment).is_none()
}

/// Returns why one part of a path is no valid file name on Windows.
pub fn why_not_on_windows(segment: &str) -> Option<&'static str> {
    if segment.contains(['<', '>', ':', '"', '|', '?', '*', '\\']) {
        return Some("it contains one of < > : \" | ? *");
    }
    why_reserved_on_windows(segment)
}

/// Returns why a part of a path is reserved on Windows.
fn why_reserved_on_windows(segment: &str) -> Option<&'static str> {
    if segment.contains(':') {
        return Some("a part of it contains a colon, which begins the name of a stream");
    }
    if segment.ends_with(['.', ' ']) {
        return Some("a part of it ends with a dot or a space");
    }
    let stem = segment.split('.').next().unwrap_or(segment);
    let stem = stem.trim_end().to_ascii_uppercase();
    let numbered = |device: &str| {
        stem.strip_prefix(device)
            .is_some_and(|rest| matches!(rest.chars().next(), Some('1'..='9' | '¹' | '²' | '³')))
            && stem.chars().count() == device.len() + 1
    };
    let reserved = matches!(
        stem.as_str(),
        "CON" | "PRN" | "AUX" | "NUL" | "CONIN$" | "CONOUT$"
    );
    (reserved || numbered("COM") || numbered("LPT"))
        .then_some("a part of it is the name of a device, such as CON or NUL")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(placement: Placement, paths: &[&str]) -> Result<(), PlacementError> {
        let paths: Vec<RepoPath> = paths.iter().map(|path| path.parse().unwrap()).collect();
        placement.check(&paths)
    }

    const POSIX: Placement = Placement {
        names: FileNames::Posix,
        case: LetterCase::Matters,
        forms: NormalForms::Matter,
        private: None,
    };

    #[test]
    fn names_that_differ_in_case_clash_only_where_case_is_ignored() {
        let mac = Placement {
            case: LetterCase::Ignored,
            ..POSIX
        };
        for pair in [
            ["README.md", "readme.MD"],
            ["a/B/c", "A/b/C"],
            ["ÄRGER", "ärger"],
            ["ſ", "S"],
        ] {
            assert_eq!(check(POSIX, &pair), Ok(()), "{pair:?}");
            assert!(
                matches!(check(mac, &pair), Err(PlacementError::SameFile { .. })),
                "{pair:?}"
            );
        }
        assert_eq!(check(mac, &["a/x", "A/y"]), Ok(()), "two files, one folder");
    }

    #[test]
    fn names_that_may_differ_in_normalisation_are_tested_on_the_disk() {
        let paths = ["caf\u{e9}.txt", "cafe\u{301}.txt"].map(|path| path.parse().unwrap());
        let paths: Vec<&RepoPath> = paths.iter().collect();
        let mac = Placement {
            forms: NormalForms::Ignored,
            ..POSIX
        };
        let check = |problem| mac.check_with_disk(&paths, |_, _| Ok::<_, PlacementError>(problem));
        assert_eq!(check(None), Ok(()));
        let error = check(Some(NameProblem::SameFile(paths[0], paths[1]))).unwrap_err();
        assert_eq!(
            error.to_string(),
            "`caf\\u{e9}.txt` and `cafe\\u{301}.txt` would be one file on this file system, \
             which treats their names as equal"
        );
        let error = check(Some(NameProblem::Private(paths[0]))).unwrap_err();
        assert!(matches!(error, PlacementError::Private { .. }));
    }

    #[test]
    fn only_unusual_names_are_tried_on_the_disk_unless_some_may_be_equal() {
        let long = "x".repeat(121);
        let names = [
            "a/b c+d.txt",
            "what?.txt",
            "\u{e9}",
            "nul.txt",
            long.as_str(),
        ];
        let paths = names.map(|path| path.parse().unwrap());
        let paths: Vec<&RepoPath> = paths.iter().collect();
        let tried = |placement: Placement, paths: &[&RepoPath]| {
            let mut n_tried = 0;
            let checked = placement.check_with_disk(paths, |_, tried| {
                n_tried = tried.len();
                Ok::<_, PlacementError>(None)
            });
            checked.map(|()| n_tried)
        };
        let mac = Placement {
            forms: NormalForms::Ignored,
            ..POSIX
        };
        assert_eq!(tried(POSIX, &paths), Ok(4));
        assert_eq!(tried(mac, &paths), Ok(5));
        assert_eq!(tried(mac, &paths[..2]), Ok(1));
        let never = |_: Option<&str>, _: &[&RepoPath]| unreachable!("all names are usual");
        let checked: Result<(), PlacementError> = mac.check_with_disk(&paths[..1], never);
        assert_eq!(checked, Ok(()));
    }

    #[test]
    fn a_name_cannot_be_a_file_and_a_folder() {
        let clash = Err(PlacementError::FileAndFolder {
            file: "a/b".parse().unwrap(),
            below: "a/b/c/d".parse().unwrap(),
        });
        assert_eq!(check(POSIX, &["a/b", "a/b/c/d"]), clash);
        assert_eq!(check(POSIX, &["a/b/c/d", "a/b"]), clash);
        assert_eq!(check(POSIX, &["a/b", "a/bc/d", "a/B/e"]), Ok(()));
        let mac = Placement {
            case: LetterCase::Ignored,
            ..POSIX
        };
        assert!(check(mac, &["a/b", "a/B/e"]).is_err());
    }

    #[test]
    fn names_invalid_on_windows_are_refused_there_only() {
        let windows = Placement {
            names: FileNames::Windows,
            ..POSIX
        };
        for bad in [
            "CON",
            "sub/nul.txt",
            "aux.tar.gz",
            "com1",
            "LPT9.log",
            "com²",
            "ab:c",
            "a/what?.json",
            "a./b",
            "ends ",
            "x/conin$",
            "nul .txt",
        ] {
            assert_eq!(check(POSIX, &[bad]), Ok(()), "{bad}");
            assert!(check(windows, &[bad]).is_err(), "{bad}");
        }
        for good in [
            "console",
            "com",
            "com10",
            "a/nullable.txt",
            ".gitattributes",
            "lpt0",
        ] {
            assert_eq!(check(windows, &[good]), Ok(()), "{good}");
        }
    }

    #[test]
    fn a_directory_takes_no_git_folder_and_no_reserved_name() {
        let directory = Placement {
            private: Some(".cache/huggingface"),
            ..POSIX
        };
        for bad in [
            ".git/config",
            ".GIT/hooks/post-checkout",
            "sub/.Git",
            ".git./config",
            ".git /config",
            ".git. ./config",
            "git~1/config",
            "GIT~1",
            ".g\u{200c}it/config",
            "\u{feff}.git/config",
            ".git::$INDEX_ALLOCATION/config",
        ] {
            let clash = check(directory, &[bad]);
            assert!(
                matches!(clash, Err(PlacementError::GitFolder { .. })),
                "{bad}: {clash:?}"
            );
            assert_eq!(check(POSIX, &[bad]), Ok(()), "{bad}");
        }
        for bad in ["con", "sub/NUL.txt", "COM1", "dot.", "space ", "ab:c"] {
            let clash = check(directory, &[bad]);
            assert!(
                matches!(clash, Err(PlacementError::ReservedName { .. })),
                "{bad}: {clash:?}"
            );
        }
        for good in [
            ".gitattributes",
            ".gitignore",
            "git/config",
            "x.git/config",
            "git~2",
            "what?.txt",
            "console",
        ] {
            assert_eq!(check(directory, &[good]), Ok(()), "{good}");
        }
    }

    #[test]
    fn no_repository_file_may_be_inside_the_records_folder() {
        let directory = Placement {
            private: Some(".cache/huggingface"),
            ..POSIX
        };
        for bad in [
            ".cache/huggingface/download/x.metadata",
            ".Cache/HuggingFace/x",
            ".cache/huggingface",
        ] {
            assert_eq!(check(POSIX, &[bad]), Ok(()), "{bad}");
            assert!(check(directory, &[bad]).is_err(), "{bad}");
        }
        for good in [".cache/other", ".cache/huggingface2/x", "cache~1/x"] {
            assert_eq!(check(directory, &[good]), Ok(()), "{good}");
        }
        let windows = Placement {
            names: FileNames::Windows,
            ..directory
        };
        assert!(check(windows, &["CACHE~1/HUGGIN~1/x"]).is_err());
    }
}
