//! Identity of a directory: is it still the one that models were published in?
//!
//! A disk that is not mounted leaves an empty mount point on the system disk. A
//! download there would fill that disk and report success. So each directory
//! carries a random mark, which the database records together with the file
//! system.
//!
//! An equal mark settles the question. Without it the published models decide,
//! and the file system says how many of them must be present. The file system
//! alone proves nothing, because its number may change at boot.

/// Facts that identify a directory, recorded or observed now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Witness {
    /// The random id in the mark file; `None` without a mark file.
    pub mark: Option<String>,
    /// Type and number of the file system, where the platform provides them.
    pub file_system: Option<String>,
}

/// The share of the published revisions that is present in a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// Nothing was published in the directory.
    NothingExpected,
    All,
    Some,
    None,
}

/// Why a directory may not be the recorded one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// The directory does not exist.
    Missing,
    /// It carries the mark of another directory.
    OtherMark,
    /// It has no mark and is on another file system.
    OtherFileSystem,
    /// It has neither the mark nor any of the models.
    Empty,
}

impl Doubt {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "there is no such directory",
            Self::OtherMark => "it carries the mark of another place",
            Self::OtherFileSystem => "it is on another file system, without hfdl's mark",
            Self::Empty => "hfdl's mark and the published models are missing from it",
        }
    }
}

/// Compares a directory with its record; `None` when it may be used.
///
/// `is_there` says whether the directory exists. `content` is evaluated only
/// when the mark does not settle the question.
pub fn doubt_about(
    known: Option<&Witness>,
    seen: &Witness,
    is_there: bool,
    content: impl FnOnce() -> Content,
) -> Option<Doubt> {
    let recorded_mark = known.and_then(|known| known.mark.as_ref());
    if recorded_mark.is_some() && recorded_mark == seen.mark.as_ref() {
        return None;
    }
    let is_same_file_system = known
        .is_some_and(|known| known.file_system.is_some() && known.file_system == seen.file_system);
    let is_fine = match content() {
        Content::All => true,
        // Without a record, missing revisions contradict nothing.
        Content::Some | Content::NothingExpected => known.is_none() || is_same_file_system,
        Content::None => false,
    };
    if is_fine {
        return None;
    }
    Some(if !is_there {
        Doubt::Missing
    } else if seen.mark.is_some() && recorded_mark.is_some() {
        Doubt::OtherMark
    } else if known.is_some() && !is_same_file_system {
        Doubt::OtherFileSystem
    } else {
        Doubt::Empty
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn witness(mark: &str, file_system: &str) -> Witness {
        let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Witness {
            mark: text(mark),
            file_system: text(file_system),
        }
    }

    #[test]
    fn the_mark_decides_before_anything_else() {
        let known = witness("a", "ext4 1");
        let unasked = || unreachable!("the mark is enough");
        // A copy on a larger disk counts as the same directory.
        let seen = witness("a", "xfs 2");
        assert_eq!(doubt_about(Some(&known), &seen, true, unasked), None);
    }

    #[test]
    fn without_the_mark_the_models_and_the_file_system_decide() {
        use Content::{All, None as Nothing, NothingExpected, Some as Part};
        let known = witness("a", "ext4 1");
        let same = witness("", "ext4 1");
        let other = witness("", "tmpfs 2");
        let marked = witness("b", "tmpfs 2");
        let unknown = witness("", "");
        for (seen, content, doubt) in [
            (&same, All, None),
            (&same, Part, None),
            (&same, NothingExpected, None),
            (&same, Nothing, Some(Doubt::Empty)),
            (&other, All, None),
            (&other, Part, Some(Doubt::OtherFileSystem)),
            (&other, NothingExpected, Some(Doubt::OtherFileSystem)),
            (&other, Nothing, Some(Doubt::OtherFileSystem)),
            (&marked, All, None),
            (&marked, Part, Some(Doubt::OtherMark)),
            (&unknown, Part, Some(Doubt::OtherFileSystem)),
        ] {
            let found = doubt_about(Some(&known), seen, true, || content);
            assert_eq!(found, doubt, "{seen:?} {content:?}");
        }
        let found = doubt_about(Some(&known), &other, false, || Nothing);
        assert_eq!(found, Some(Doubt::Missing));
    }

    #[test]
    fn a_place_without_a_record_is_new_unless_models_were_published_there() {
        let seen = witness("", "ext4 1");
        let about = |content| doubt_about(None, &seen, true, || content);
        assert_eq!(about(Content::NothingExpected), None);
        assert_eq!(about(Content::Some), None);
        assert_eq!(about(Content::All), None);
        assert_eq!(about(Content::None), Some(Doubt::Empty));
    }
}
