//! Finds names that a file system treats as the same or cannot store, by trying them.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use super::abilities::is_name_refused;
use super::files::{create_new, remove_folder, unused_name};
use crate::domain::placement::NameProblem;
use crate::domain::repo::RepoPath;

/// Creates empty files with these names in a scratch folder, and removes them
/// again; returns the first name that the file system refuses, or takes for another.
///
/// `private` is a name that none of the paths may equal or lie below.
pub fn first_problem<'a>(
    aside: &Path,
    private: Option<&str>,
    paths: &[&'a RepoPath],
) -> io::Result<Option<NameProblem<'a>>> {
    let scratch = unused_name(aside);
    fs::create_dir(&scratch)?;
    let problem = try_all(&scratch, private, paths);
    remove_folder(&scratch)?;
    problem
}

fn try_all<'a>(
    scratch: &Path,
    private: Option<&str>,
    paths: &[&'a RepoPath],
) -> io::Result<Option<NameProblem<'a>>> {
    // Each file contains its own number, which identifies the earlier owner of a
    // name.
    let number = |place: usize| (place + 1).to_string();
    if let Some(private) = private {
        occupy(&scratch.join(private), "0")?;
    }
    for (place, path) in paths.iter().enumerate() {
        let mut file = scratch.to_path_buf();
        file.extend(path.segments());
        let occupant = match occupy(&file, &number(place)) {
            Ok(None) => continue,
            Ok(Some(occupant)) => occupant,
            Err(err) if is_name_refused(&err) => {
                // With the folder gone or closed, no name would do.
                drop(create_new(&unused_name(scratch))?);
                return Ok(Some(NameProblem::Refused(path, err.to_string())));
            }
            Err(err) => return Err(err),
        };
        return Ok(Some(match occupant.parse() {
            Ok(first @ 1..) => NameProblem::SameFile(paths[first - 1], path),
            _ => NameProblem::Private(path),
        }));
    }
    Ok(None)
}

/// Creates a file with its folders; if the name is taken, returns the content of
/// the file that takes it.
fn occupy(file: &Path, text: &str) -> io::Result<Option<String>> {
    let parent = file.parent().unwrap_or(file);
    let created = fs::create_dir_all(parent).and_then(|()| create_new(file));
    let err = match created {
        Ok(mut created) => return created.write_all(text.as_bytes()).map(|()| None),
        Err(err) => err,
    };
    // Taken by the name itself, a file in place of a folder, or a folder of that
    // name.
    let existing = file.ancestors().find(|path| path.exists());
    let mut blocking = existing
        .filter(|path| *path == file || !path.is_dir())
        .map(Path::to_path_buf);
    while let Some(folder) = blocking.take_if(|path| path.is_dir()) {
        blocking = match fs::read_dir(&folder)?.next() {
            Some(entry) => Some(entry?.path()),
            None => return Err(err),
        };
    }
    blocking.map_or(Err(err), |path| fs::read_to_string(path).map(Some))
}

#[cfg(test)]
mod tests {
    use super::super::abilities::placement;
    use super::*;
    use crate::domain::placement::NormalForms;

    fn clash(private: Option<&str>, paths: &[&str]) -> Option<(usize, usize)> {
        let dir = tempfile::tempdir().unwrap();
        let paths: Vec<RepoPath> = paths.iter().map(|path| path.parse().unwrap()).collect();
        let paths: Vec<&RepoPath> = paths.iter().collect();
        let problem = first_problem(dir.path(), private, &paths).unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        // Equal paths are equal values, so positions are compared by address.
        let place = |wanted: &RepoPath| {
            let mut places = paths.iter();
            places.position(|path| std::ptr::eq(*path, wanted)).unwrap() + 1
        };
        problem.map(|problem| match problem {
            NameProblem::SameFile(first, second) => (place(first), place(second)),
            NameProblem::Private(path) => (0, place(path)),
            NameProblem::Refused(path, why) => panic!("`{path}`: {why}"),
        })
    }

    #[test]
    fn names_that_clash_on_disk_are_found() {
        let twice = ["a/x", "a/y", "b/\u{e9}", "b/\u{e9}"];
        assert_eq!(clash(None, &twice), Some((3, 4)));
        assert_eq!(clash(None, &twice[..3]), None);
        assert_eq!(clash(None, &["x", "a", "a/b"]), Some((2, 3)));
        assert_eq!(clash(None, &["x", "a/b/c", "a"]), Some((2, 3)));
    }

    #[test]
    fn the_private_folder_is_part_of_the_clash_check() {
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
        let forms = placement(dir.path(), None).unwrap().forms;
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
