//! Which names a disk takes for one, found out by trying.

use std::fs;
use std::io::{self, ErrorKind, Write};
use std::path::Path;

use super::files::{create_new, link_metadata_if_present, unused_name};
use crate::domain::placement::{Clash, NormalForms};
use crate::domain::repo::RepoPath;

/// Tries whether a folder's file system tells `é` of one code point from `é` of two.
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
        // A file system that cannot hold the name at all cannot confuse it.
        Err(err) if is_unspeakable(&err) => return Ok(NormalForms::Matter),
        Err(err) => return Err(err),
    }
    let seen = link_metadata_if_present(&two);
    fs::remove_file(&one)?;
    Ok(match seen {
        Ok(Some(_)) => NormalForms::Ignored,
        Ok(None) => NormalForms::Matter,
        Err(err) if is_unspeakable(&err) => NormalForms::Matter,
        Err(err) => return Err(err),
    })
}

fn is_unspeakable(err: &io::Error) -> bool {
    matches!(
        err.kind(),
        ErrorKind::InvalidInput | ErrorKind::InvalidFilename | ErrorKind::InvalidData
    )
}

/// Creates an empty world of these names below a folder, and removes it again;
/// returns the first two of which the disk makes one.
///
/// `private` is a name that none of the paths may have or lie below.
pub fn first_clash<'a>(
    aside: &Path,
    private: Option<&str>,
    paths: &[&'a RepoPath],
) -> io::Result<Option<Clash<'a>>> {
    let scratch = unused_name(aside);
    fs::create_dir(&scratch)?;
    let clash = try_all(&scratch, private, paths);
    fs::remove_dir_all(&scratch)?;
    clash
}

fn try_all<'a>(
    scratch: &Path,
    private: Option<&str>,
    paths: &[&'a RepoPath],
) -> io::Result<Option<Clash<'a>>> {
    // Each file holds its own number, and so tells who has a name already.
    let number = |place: usize| (place + 1).to_string();
    if let Some(private) = private {
        occupy(&scratch.join(private), "0")?;
    }
    for (place, path) in paths.iter().enumerate() {
        let mut file = scratch.to_path_buf();
        file.extend(path.segments());
        let Some(occupant) = occupy(&file, &number(place))? else {
            continue;
        };
        return Ok(Some(match occupant.parse() {
            Ok(first @ 1..) => Clash::Files(paths[first - 1], path),
            _ => Clash::Private(path),
        }));
    }
    Ok(None)
}

/// Creates a file with its folders; returns what the file holds that is in the way.
fn occupy(file: &Path, text: &str) -> io::Result<Option<String>> {
    let parent = file.parent().unwrap_or(file);
    let created = fs::create_dir_all(parent).and_then(|()| create_new(file));
    let err = match created {
        Ok(mut created) => return created.write_all(text.as_bytes()).map(|()| None),
        Err(err) => err,
    };
    // The name itself, or a file where a folder has to be, or a folder of that name.
    let mut in_the_way = file
        .ancestors()
        .find(|path| path.exists())
        .map(Path::to_path_buf);
    while let Some(folder) = in_the_way.take_if(|path| path.is_dir()) {
        in_the_way = match fs::read_dir(&folder)?.next() {
            Some(entry) => Some(entry?.path()),
            None => return Err(err),
        };
    }
    in_the_way.map_or(Err(err), |path| fs::read_to_string(path).map(Some))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clash(private: Option<&str>, paths: &[&str]) -> Option<(usize, usize)> {
        let dir = tempfile::tempdir().unwrap();
        let paths: Vec<RepoPath> = paths.iter().map(|path| path.parse().unwrap()).collect();
        let paths: Vec<&RepoPath> = paths.iter().collect();
        let clash = first_clash(dir.path(), private, &paths).unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        // Equal paths are equal values, so the places are told apart by their addresses.
        let place = |wanted: &RepoPath| {
            let mut places = paths.iter();
            places.position(|path| std::ptr::eq(*path, wanted)).unwrap() + 1
        };
        clash.map(|clash| match clash {
            Clash::Files(first, second) => (place(first), place(second)),
            Clash::Private(path) => (0, place(path)),
        })
    }

    #[test]
    fn the_disk_says_which_names_are_one() {
        let twice = ["a/x", "a/y", "b/\u{e9}", "b/\u{e9}"];
        assert_eq!(clash(None, &twice), Some((3, 4)));
        assert_eq!(clash(None, &twice[..3]), None);
        assert_eq!(clash(None, &["x", "a", "a/b"]), Some((2, 3)));
        assert_eq!(clash(None, &["x", "a/b/c", "a"]), Some((2, 3)));
    }

    #[test]
    fn the_private_folder_is_a_name_too() {
        let private = Some(".cache/records");
        assert_eq!(
            clash(private, &["a", ".cache/x", ".cache/records"]),
            Some((0, 3))
        );
        assert_eq!(clash(private, &["a", ".cache/records/x"]), Some((0, 2)));
        assert_eq!(clash(private, &["a", ".cache/x"]), None);
    }

    #[test]
    fn the_probe_and_the_trial_agree_on_accents() {
        let dir = tempfile::tempdir().unwrap();
        let forms = normal_forms(dir.path()).unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        let clash = clash(None, &["caf\u{e9}", "cafe\u{301}"]);
        assert_eq!(clash.is_some(), forms == NormalForms::Ignored);
        if cfg!(target_os = "macos") {
            assert_eq!(forms, NormalForms::Ignored);
        }
        if cfg!(windows) {
            assert_eq!(forms, NormalForms::Matter);
        }
    }
}
