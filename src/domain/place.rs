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
pub struct PlaceIdentity {
    /// The random id in the mark file; `None` without a mark file.
    pub mark: Option<String>,
    /// Type and number of the file system, where the platform provides them.
    pub file_system: Option<String>,
}

/// The share of the published revisions that is present in a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PublishedContent {
    /// Nothing was published in the directory.
    NothingExpected,
    All,
    Some,
    None,
}

/// Why a directory may not be the recorded one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlaceMismatch {
    /// The directory does not exist.
    Missing,
    /// It carries the mark of another directory.
    OtherMark,
    /// It has no mark and is on another file system.
    OtherFileSystem,
    /// It has neither the mark nor any of the models.
    Empty,
}

impl PlaceMismatch {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "the directory does not exist",
            Self::OtherMark => "it has the mark of another directory",
            Self::OtherFileSystem => "it is on another file system, without hfdl's mark",
            Self::Empty => "hfdl's mark and the published models are missing from it",
        }
    }
}

/// Compares a directory with its record; `None` when it may be used.
///
/// `is_there` says whether the directory exists. `content` is evaluated only
/// when the mark does not settle the question.
pub fn find_mismatch(
    known: Option<&PlaceIdentity>,
    seen: &PlaceIdentity,
    is_there: bool,
    content: impl FnOnce() -> PublishedContent,
) -> Option<PlaceMismatch> {
    let recorded_mark = known.and_then(|known| known.mark.as_ref());
    if recorded_mark.is_some() && recorded_mark == seen.mark.as_ref() {
        return None;
    }
    let is_same_file_system = known
        .is_some_and(|known| known.file_system.is_some() && known.file_system == seen.file_system);
    let is_fine = match content() {
        PublishedContent::All => true,
        // Without a record, missing revisions contradict nothing.
        PublishedContent::Some | PublishedContent::NothingExpected => {
            known.is_none() || is_same_file_system
        }
        PublishedContent::None => false,
    };
    if is_fine {
        return None;
    }
    Some(if !is_there {
        PlaceMismatch::Missing
    } else if seen.mark.is_some() && recorded_mark.is_some() {
        PlaceMismatch::OtherMark
    } else if known.is_some() && !is_same_file_system {
        PlaceMismatch::OtherFileSystem
    } else {
        PlaceMismatch::Empty
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(mark: &str, file_system: &str) -> PlaceIdentity {
        let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        PlaceIdentity {
            mark: text(mark),
            file_system: text(file_system),
        }
    }

    #[test]
    fn the_mark_decides_before_anything_else() {
        let known = identity("a", "ext4 1");
        let unasked = || unreachable!("the mark is enough");
        // A copy on a larger disk counts as the same directory.
        let seen = identity("a", "xfs 2");
        assert_eq!(find_mismatch(Some(&known), &seen, true, unasked), None);
    }

    #[test]
    fn without_the_mark_the_models_and_the_file_system_decide() {
        use PublishedContent::{All, None as Nothing, NothingExpected, Some as Part};
        let known = identity("a", "ext4 1");
        let same = identity("", "ext4 1");
        let other = identity("", "tmpfs 2");
        let marked = identity("b", "tmpfs 2");
        let unknown = identity("", "");
        for (seen, content, mismatch) in [
            (&same, All, None),
            (&same, Part, None),
            (&same, NothingExpected, None),
            (&same, Nothing, Some(PlaceMismatch::Empty)),
            (&other, All, None),
            (&other, Part, Some(PlaceMismatch::OtherFileSystem)),
            (
                &other,
                NothingExpected,
                Some(PlaceMismatch::OtherFileSystem),
            ),
            (&other, Nothing, Some(PlaceMismatch::OtherFileSystem)),
            (&marked, All, None),
            (&marked, Part, Some(PlaceMismatch::OtherMark)),
            (&unknown, Part, Some(PlaceMismatch::OtherFileSystem)),
        ] {
            let found = find_mismatch(Some(&known), seen, true, || content);
            assert_eq!(found, mismatch, "{seen:?} {content:?}");
        }
        let found = find_mismatch(Some(&known), &other, false, || Nothing);
        assert_eq!(found, Some(PlaceMismatch::Missing));
    }

    #[test]
    fn a_place_without_a_record_is_new_unless_models_were_published_there() {
        let seen = identity("", "ext4 1");
        let about = |content| find_mismatch(None, &seen, true, || content);
        assert_eq!(about(PublishedContent::NothingExpected), None);
        assert_eq!(about(PublishedContent::Some), None);
        assert_eq!(about(PublishedContent::All), None);
        assert_eq!(about(PublishedContent::None), Some(PlaceMismatch::Empty));
    }
}
