//! The kinds of views, and the views of a model as a person writes them.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::domain::invalid_value::InvalidValue;
use crate::domain::outcome::words;
use crate::domain::repo::RepoPath;

words! {
    /// The program for which a view is made.
    ViewKind {
        /// A plain tree of the files.
        Dir = "dir",
        LmStudio = "lmstudio",
        Ollama = "ollama",
        ComfyUi = "comfyui",
        TextGenerationWebUi = "text-generation-webui",
        ModelScope = "modelscope",
        /// The file `SHA256SUMS` in the directory of a model. It follows from a field of
        /// the model and is never written as `KIND=DIR`.
        Checksums = "checksums",
    }
}

impl ViewKind {
    /// Returns the kinds that a person can choose.
    pub fn for_people() -> impl Iterator<Item = Self> {
        let all = Self::ALL.iter().copied();
        all.filter(|kind| *kind != Self::Checksums)
    }
}

/// One view of a model, written as `KIND=DIR`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ViewSpec {
    pub kind: ViewKind,
    /// The directory in which the program looks; always absolute.
    pub root: PathBuf,
}

impl ViewSpec {
    /// Returns the view of the checksums of a model in a directory.
    pub fn checksums(root: &Path) -> Self {
        Self {
            kind: ViewKind::Checksums,
            root: root.to_owned(),
        }
    }
}

impl FromStr for ViewSpec {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let Some((kind, root)) = text.split_once('=') else {
            let kinds: Vec<&str> = ViewKind::for_people().map(ViewKind::as_str).collect();
            return Err(InvalidValue::is_not(text, "KIND=DIR").next(format!(
                "write one of these kinds and a directory: {}",
                kinds.join(", ")
            )));
        };
        let kind = kind.parse()?;
        if kind == ViewKind::Checksums {
            return Err(InvalidValue::new("`--checksums` writes them"));
        }
        if root.contains('\0') {
            return Err(InvalidValue::new("it contains a NUL"));
        }
        let root = PathBuf::from(root);
        if !root.is_absolute() {
            let why = if cfg!(windows) {
                r"a view needs an absolute directory, as in `dir=D:\model`"
            } else {
                "a view needs an absolute directory, as in `dir=/srv/model`"
            };
            return Err(InvalidValue::new(format!("`{text}`")).because(why));
        }
        // One directory has one spelling.
        let root = root.components().collect();
        Ok(Self { kind, root })
    }
}

impl fmt::Display for ViewSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.kind, self.root.display())
    }
}

/// The name of one file of the repository in a view that needs such names, written
/// as `FILE=PATH`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ViewMapping {
    pub file: RepoPath,
    /// Below the root of the view, such as `checkpoints/name.safetensors`.
    pub path: RepoPath,
}

impl FromStr for ViewMapping {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let Some((file, path)) = text.split_once('=') else {
            let form = "write one such as `model.safetensors=checkpoints/name.safetensors`";
            return Err(InvalidValue::is_not(text, "FILE=PATH").next(form));
        };
        Ok(Self {
            file: file.parse()?,
            path: path.parse()?,
        })
    }
}

impl fmt::Display for ViewMapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.file.as_str(), self.path.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_view_is_read_and_written_the_same() {
        let root = if cfg!(windows) { r"C:\m" } else { "/srv/m" };
        for kind in ViewKind::for_people() {
            let text = format!("{kind}={root}");
            assert_eq!(text.parse::<ViewSpec>().unwrap().to_string(), text);
        }
        let text = "a/b.safetensors=checkpoints/b.safetensors";
        assert_eq!(text.parse::<ViewMapping>().unwrap().to_string(), text);
    }

    #[test]
    fn other_texts_are_no_view() {
        for (text, why) in [
            ("/srv/m", "is not KIND=DIR"),
            ("vllm=/srv/m", "is not one of dir, lmstudio"),
            ("dir=srv/m", "absolute directory"),
            ("checksums=/srv/m", "`--checksums`"),
        ] {
            let err = text.parse::<ViewSpec>().unwrap_err().to_string();
            assert!(err.contains(why), "{text}: {err}");
        }
        for text in ["a", "a=../b", "a=/b", "=b", "a="] {
            assert!(text.parse::<ViewMapping>().is_err(), "{text}");
        }
    }
}
