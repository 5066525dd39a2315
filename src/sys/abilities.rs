//! The abilities of a folder's file system, found by trying them: links, letter
//! case, accents.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;

use super::files::{create_new, link_metadata_if_present, symlink_file, unused_name};
use crate::domain::placement::{FileNames, LetterCase, NormalForms, Placement};

/// Finds out which file names a folder can hold, besides its own `private` one.
pub fn placement(dir: &Path, private: Option<&'static str>) -> io::Result<Placement> {
    Ok(Placement {
        names: file_names(),
        case: letter_case(dir)?,
        forms: normal_forms(dir)?,
        private,
    })
}

/// Tries whether symbolic links can be created in a folder by this user.
pub fn supports_symlinks(dir: &Path) -> bool {
    let probe = unused_name(dir);
    let made = symlink_file(Path::new("nothing"), &probe).is_ok();
    let _ = fs::remove_file(&probe);
    made
}

/// Tries whether hard links can be created in a folder.
pub fn supports_hard_links(dir: &Path) -> bool {
    let (probe, second) = (unused_name(dir), unused_name(dir));
    let made = create_new(&probe).is_ok() && fs::hard_link(&probe, &second).is_ok();
    for name in [probe, second] {
        let _ = fs::remove_file(name);
    }
    made
}

/// Tries whether a folder's file system distinguishes `a` from `A`.
fn letter_case(dir: &Path) -> io::Result<LetterCase> {
    let probe = unused_name(dir);
    drop(create_new(&probe)?);
    let name = probe.file_name().unwrap_or_default().to_string_lossy();
    let seen = link_metadata_if_present(&dir.join(name.to_uppercase()));
    fs::remove_file(&probe)?;
    Ok(match seen? {
        Some(_) => LetterCase::Ignored,
        None => LetterCase::Matters,
    })
}

/// Returns the file name rules of this platform.
pub fn file_names() -> FileNames {
    if cfg!(windows) {
        FileNames::Windows
    } else {
        FileNames::Posix
    }
}

/// Tries whether a folder's file system distinguishes `é` of one code point from
/// `é` of two.
pub fn normal_forms(dir: &Path) -> io::Result<NormalForms> {
    let name = unused_name(dir);
    let spelt = |accent: &str| {
        let mut name = name.clone();
        name.as_mut_os_string().push(accent);
        name
    };
    let (one, two) = (spelt("\u{e9}"), spelt("e\u{301}"));
    match create_new(&one) {
        Ok(file) => drop(file),
        // A file system that cannot store the name cannot confuse it.
        Err(err) if is_name_unsupported(&err) => return Ok(NormalForms::Matter),
        Err(err) => return Err(err),
    }
    let seen = link_metadata_if_present(&two);
    fs::remove_file(&one)?;
    Ok(match seen {
        Ok(Some(_)) => NormalForms::Ignored,
        Ok(None) => NormalForms::Matter,
        Err(err) if is_name_unsupported(&err) => NormalForms::Matter,
        Err(err) => return Err(err),
    })
}

fn is_name_unsupported(err: &io::Error) -> bool {
    matches!(
        err.kind(),
        ErrorKind::InvalidInput | ErrorKind::InvalidFilename | ErrorKind::InvalidData
    )
}
