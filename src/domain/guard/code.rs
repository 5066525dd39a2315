//! The kinds of files that run code when a program loads them.

use super::files::{ListingPair, list, names};
use crate::domain::hold::{Finding, HoldReason};
use crate::domain::outcome::words;
use crate::domain::repo::RepoType;
use crate::domain::snapshot::RemoteFile;
use crate::domain::units;

words! {
    /// A kind of files that run code.
    CodeKind {
        Pickle = "pickle",
        Keras = "keras",
        Graph = "tensorflow graph",
        Python = "python",
        Script = "script",
        Notebook = "notebook",
        Native = "native program",
    }
}

impl CodeKind {
    /// Tells whether each change of the file is a change of code. The others hold
    /// weights as well, whose bytes differ with every training.
    fn is_source(self) -> bool {
        !matches!(self, Self::Pickle | Self::Keras | Self::Graph)
    }
}

/// The endings of files that run code, in lower case, and the kind of each.
///
/// Left out, with the reason: `npy` and `npz` (NumPy refuses objects in them unless it
/// is configured otherwise), `onnx` and `tflite` (operators, but no code), `gguf` (its template
/// runs in a sandbox), `skops` (refuses unknown types), `zip` and `tar` (not run; a gate can
/// unpack them).
const ENDINGS: &[(&str, CodeKind)] = &[
    // PyTorch and its relatives save a pickle, which names any function to call.
    ("bin", CodeKind::Pickle),
    ("ckpt", CodeKind::Pickle),
    ("nemo", CodeKind::Pickle),
    ("pdopt", CodeKind::Pickle),
    ("pdparams", CodeKind::Pickle),
    ("pt", CodeKind::Pickle),
    ("pt2", CodeKind::Pickle),
    ("pth", CodeKind::Pickle),
    ("ptl", CodeKind::Pickle),
    ("th", CodeKind::Pickle),
    ("torchscript", CodeKind::Pickle),
    ("dill", CodeKind::Pickle),
    ("joblib", CodeKind::Pickle),
    ("pickle", CodeKind::Pickle),
    ("pkl", CodeKind::Pickle),
    // A Lambda layer is stored as Python bytecode.
    ("h5", CodeKind::Keras),
    ("hdf5", CodeKind::Keras),
    ("keras", CodeKind::Keras),
    // A graph can read and write files.
    ("pb", CodeKind::Graph),
    ("py", CodeKind::Python),
    ("pyc", CodeKind::Python),
    ("pyx", CodeKind::Python),
    ("whl", CodeKind::Python),
    ("ipynb", CodeKind::Notebook),
    ("bash", CodeKind::Script),
    ("bat", CodeKind::Script),
    ("cmd", CodeKind::Script),
    ("js", CodeKind::Script),
    ("ps1", CodeKind::Script),
    ("sh", CodeKind::Script),
    ("zsh", CodeKind::Script),
    ("dll", CodeKind::Native),
    ("dylib", CodeKind::Native),
    ("exe", CodeKind::Native),
    ("jar", CodeKind::Native),
    ("llamafile", CodeKind::Native),
    ("mar", CodeKind::Native),
    ("pyd", CodeKind::Native),
    ("so", CodeKind::Native),
];

/// Endings of raw numbers in datasets, where no library unpickles them.
const DATA_OF_DATASETS: &[&str] = &["bin", "h5", "hdf5", "pb"];

/// Beginnings and endings of names that hold plain numbers in spite of the ending:
/// weights of ggml and OpenVINO, and the weights that transformers loads by name.
const PLAIN_NAMES: &[(&str, &str)] = &[("ggml-", "bin"), ("openvino_", "bin"), ("tf_model", "h5")];

/// Endings of the folders of Core ML models, which hold plain numbers in `bin` files.
const CORE_ML: &[&str] = &[".mlmodelc", ".mlpackage"];

/// Returns the kind of code that a file of a repository runs, if it runs any.
pub fn code_kind(repo: RepoType, path: &str) -> Option<CodeKind> {
    let path = path.to_ascii_lowercase();
    let (folders, name) = path.rsplit_once('/').unwrap_or(("", &path));
    let (beginning, ending) = name.rsplit_once('.')?;
    let (_, kind) = ENDINGS.iter().find(|(known, _)| *known == ending)?;
    let is_data = repo == RepoType::Dataset && DATA_OF_DATASETS.contains(&ending);
    let mut plain = PLAIN_NAMES.iter();
    let is_plain = plain.any(|it| beginning.starts_with(it.0) && ending == it.1);
    let mut folders = folders.split('/');
    let is_core_ml = ending == "bin"
        && folders.any(|folder| CORE_ML.iter().any(|plain| folder.ends_with(plain)));
    (!is_data && !is_plain && !is_core_ml).then_some(*kind)
}

/// Finds files that run code and are new, and source files that have changed.
///
/// A new file is found although the published commit had others of its kind: many
/// repositories hold a harmless `training_args.bin` for years.
pub fn code_findings(update: &ListingPair<'_>) -> Vec<Finding> {
    let kind = |file: &RemoteFile| code_kind(update.kind, file.path.as_str());
    let added: Vec<&RemoteFile> = update.added().filter(|file| kind(file).is_some()).collect();
    let changed: Vec<&RemoteFile> = update
        .changed()
        .filter(|file| kind(file).is_some_and(CodeKind::is_source))
        .collect();
    let new_code = (!added.is_empty()).then(|| {
        let mut kinds: Vec<CodeKind> = added.iter().filter_map(|file| kind(file)).collect();
        kinds.sort();
        kinds.dedup();
        Finding {
            reason: HoldReason::NewCode,
            detail: format!(
                "{} can run code and {} not published before: {} ({})",
                count(added.len(), "file"),
                if added.len() == 1 { "was" } else { "were" },
                names(added.iter().copied()),
                list(kinds.iter().map(ToString::to_string)),
            ),
        }
    });
    let changed_code = (!changed.is_empty()).then(|| Finding {
        reason: HoldReason::ChangedCode,
        detail: format!(
            "{} of code changed: {}",
            count(changed.len(), "file"),
            names(changed.iter().copied())
        ),
    });
    new_code.into_iter().chain(changed_code).collect()
}

pub(super) fn count(n: usize, noun: &str) -> String {
    units::count(n as u64, noun, &format!("{noun}s"))
}

#[cfg(test)]
mod tests {
    use super::super::files::fixture::{file, files, reasons, update};
    use super::*;

    #[test]
    fn formats_that_run_code_are_told_from_those_that_do_not() {
        let kind = |path| code_kind(RepoType::Model, path);
        for path in [
            "pytorch_model.bin",
            "a/b/model.CKPT",
            "optimizer.pt",
            "x.pkl",
            "m.joblib",
        ] {
            assert_eq!(kind(path), Some(CodeKind::Pickle), "{path}");
        }
        assert_eq!(kind("saved_model.pb"), Some(CodeKind::Graph));
        assert_eq!(kind("modeling_x.py"), Some(CodeKind::Python));
        assert_eq!(kind("model.keras"), Some(CodeKind::Keras));
        for path in [
            "model.safetensors",
            "model.gguf",
            "model.onnx",
            "x.npy",
            "bin",
            "a.bin/readme",
            "ggml-base.bin",
            "openvino_model.bin",
            "tf_model.h5",
            "m.mlpackage/Data/com.apple.CoreML/weights/weight.bin",
            "Encoder.mlmodelc/coremldata.bin",
            "pickle",
        ] {
            assert_eq!(kind(path), None, "{path}");
        }
        for path in [
            "ggml-base.pkl",
            "openvino_model.pt",
            "m.mlpackage/weight.pt",
        ] {
            assert_eq!(kind(path), Some(CodeKind::Pickle), "{path}");
        }
        // A name decides nothing about source code.
        assert_eq!(kind("ggml-build.py"), Some(CodeKind::Python));
        assert_eq!(code_kind(RepoType::Dataset, "train.bin"), None);
        let script = code_kind(RepoType::Dataset, "corpus.py");
        assert_eq!(script, Some(CodeKind::Python));
        let pickle = code_kind(RepoType::Dataset, "train.pkl");
        assert_eq!(pickle, Some(CodeKind::Pickle));
    }

    #[test]
    fn new_files_of_code_are_found_beside_old_ones_of_their_kind() {
        let old = files(&["a.safetensors", "training_args.bin"]);
        let new = files(&["a.safetensors", "training_args.bin", "pytorch_model.bin"]);
        let found = code_findings(&update(&old, &new));
        assert_eq!(reasons(&found), ["new-code"]);
        assert!(found[0].detail.contains("`pytorch_model.bin` (pickle)"));
        assert_eq!(code_findings(&update(&new, &old)), []);
    }

    #[test]
    fn changed_source_is_found_and_retrained_pickles_are_not() {
        let old = [
            file("m.py", 1, 5),
            file("w.bin", 1, 5),
            file("c.json", 1, 5),
        ];
        let new = [
            file("m.py", 2, 5),
            file("w.bin", 2, 5),
            file("c.json", 2, 5),
        ];
        let found = code_findings(&update(&old, &new));
        assert_eq!(reasons(&found), ["changed-code"]);
        assert!(found[0].detail.contains("1 file of code changed: `m.py`"));
    }
}
