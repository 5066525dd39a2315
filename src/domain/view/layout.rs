//! The entries of a view, for each kind: pure functions of a listing.

use std::collections::{BTreeMap, BTreeSet};

use thiserror::Error;

use super::checksums;
use super::gguf::GgufFacts;
use super::ollama::{self, OllamaTexts};
use super::spec::{ViewKind, ViewMapping};
use crate::domain::checksums::CHECKSUMS_FILE;
use crate::domain::content::ContentId;
use crate::domain::invalid_value::InvalidValue;
use crate::domain::repo::{Repo, RepoPath, RepoType, Revision};
use crate::domain::snapshot::RemoteFile;

/// The published files of a model.
pub struct ViewListing<'a> {
    pub repo: &'a Repo,
    pub revision: &'a Revision,
    /// The files that the model's filter selects.
    pub files: &'a [RemoteFile],
    pub mappings: &'a BTreeSet<ViewMapping>,
    /// The header of the file that `model_file` returns; read for `ollama` only.
    pub header: Option<GgufFacts>,
    pub texts: OllamaTexts,
    pub sha256: fn(&[u8]) -> [u8; 32],
    /// The SHA-256 of each content, if the model wants a file of checksums.
    pub checksums: Option<BTreeMap<ContentId, [u8; 32]>>,
}

/// The files of a view, in the order in which they are to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ViewLayout {
    /// The folder that holds all entries and nothing else: `""` is the root itself.
    /// `None` for directories that other models and programs share.
    pub tree: Option<String>,
    pub entries: Vec<ViewEntry>,
}

/// One file of a view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ViewEntry {
    /// Below the root.
    pub path: RepoPath,
    pub content: ContentId,
    pub size_bytes: u64,
    pub source: EntrySource,
    /// The name follows from the content: an equal file of another program serves, too.
    pub is_named_by_content: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntrySource {
    /// A file of the repository.
    File(RepoPath),
    /// Bytes that the view writes itself.
    Written(Vec<u8>),
}

impl ViewEntry {
    pub(super) fn of_file(path: RepoPath, file: &RemoteFile) -> Self {
        Self {
            path,
            content: file.content,
            size_bytes: file.size_bytes,
            source: EntrySource::File(file.path.clone()),
            is_named_by_content: false,
        }
    }
}

/// The reason why a model has no view of a kind.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NoLayout {
    #[error("it has no file to show")]
    Empty,
    #[error("{0}")]
    Name(#[from] InvalidValue),
    #[error("an ollama view needs exactly one GGUF file, and the model has {}", count_of(.0))]
    NotOneGguf(Vec<String>),
    #[error("`{0}` is one part of several, and ollama reads single files only")]
    SplitGguf(String),
    #[error("`{0}` is not a GGUF file")]
    NotGguf(String),
    #[error("`{0}` is no LFS file, so that its SHA-256 is not known")]
    NoSha256(String),
    #[error("a comfyui view needs a path for each file that it shows")]
    NoMapping,
    #[error("the model has no file `{0}`, which the view maps")]
    NoSuchFile(String),
    #[error("two files would have the path `{0}`")]
    SamePath(String),
    #[error("the repository has a file `{CHECKSUMS_FILE}` of its own")]
    OwnChecksums,
    #[error("the SHA-256 of `{0}` is not known, because the file on disk is missing or changed")]
    UnknownChecksum(String),
    #[error("a view of this kind shows models only, not {0}")]
    OtherRepoType(&'static str),
}

impl NoLayout {
    /// Returns the step that mends it, if there is one.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::NotOneGguf(_) | Self::SplitGguf(_) => {
                Some("choose one file with `hfdl models set NAME --include FILE.gguf`")
            }
            Self::NoMapping => {
                Some("add `--view-map FILE=checkpoints/NAME`, with the folder that ComfyUI expects")
            }
            Self::NoSuchFile(_) => Some("`hfdl models set NAME --view-map FILE=PATH` replaces it"),
            _ => None,
        }
    }
}

fn count_of(names: &[String]) -> String {
    match names {
        [] => "none".to_owned(),
        names => {
            let shown: Vec<String> = names.iter().take(4).map(|it| format!("`{it}`")).collect();
            format!("{}: {}", names.len(), shown.join(", "))
        }
    }
}

/// Returns the entries of a view.
pub fn lay_out(kind: ViewKind, listing: &ViewListing<'_>) -> Result<ViewLayout, NoLayout> {
    let mut layout = match kind {
        ViewKind::Dir => tree(String::new(), listing)?,
        ViewKind::LmStudio => lm_studio(listing)?,
        ViewKind::Ollama => ollama::lay_out(listing)?,
        ViewKind::ComfyUi => comfy_ui(listing)?,
        ViewKind::TextGenerationWebUi => text_generation_web_ui(listing)?,
        ViewKind::ModelScope => {
            let (kind, id) = (listing.repo.kind, listing.repo.id.as_str());
            // The revision that ModelScope means by default is `master`.
            let revision = match listing.revision.as_str() {
                "main" => "master".to_owned(),
                other => other.replace('/', "_"),
            };
            let id = id.replace('/', "--");
            let folder = format!("{}/{id}/snapshots/{revision}", kind.plural());
            tree(folder, listing)?
        }
        ViewKind::Checksums => checksums::alone(listing)?,
    };
    if kind != ViewKind::Checksums
        && let Some(folder) = layout.tree.clone()
    {
        checksums::add(&mut layout, &folder, listing)?;
    }
    if layout.entries.is_empty() {
        return Err(NoLayout::Empty);
    }
    let mut paths = BTreeSet::new();
    for entry in &layout.entries {
        if !paths.insert(&entry.path) {
            return Err(NoLayout::SamePath(entry.path.as_str().to_owned()));
        }
    }
    Ok(layout)
}

/// Tells whether a file is a GGUF file.
pub(super) fn is_gguf(path: &RepoPath) -> bool {
    path.as_str().to_ascii_lowercase().ends_with(".gguf")
}

/// Tells whether a GGUF file is the projector of a vision model.
pub(super) fn is_projector(path: &RepoPath) -> bool {
    is_gguf(path) && path.as_str().to_ascii_lowercase().contains("mmproj")
}

/// Tells whether a GGUF file is a part, as in `name-00001-of-00003.gguf`.
pub(super) fn is_part(path: &RepoPath) -> bool {
    let stem = &path.as_str()[..path.as_str().len() - ".gguf".len()];
    let mut words = stem.rsplit('-');
    let is_number = |word: Option<&str>| {
        word.is_some_and(|word| word.len() == 5 && word.bytes().all(|b| b.is_ascii_digit()))
    };
    is_number(words.next()) && words.next() == Some("of") && is_number(words.next())
}

/// Returns the parts of a repository's id; one without an owner belongs to Hugging Face.
pub(super) fn owner_and_name(repo: &Repo) -> (&str, &str) {
    let id = repo.id.as_str();
    id.split_once('/').unwrap_or(("huggingface", id))
}

pub(super) fn file_name(path: &RepoPath) -> &str {
    path.segments().last().unwrap_or_default()
}

/// Shows all files below a folder.
pub(super) fn tree(folder: String, listing: &ViewListing<'_>) -> Result<ViewLayout, NoLayout> {
    let entry = |file: &RemoteFile| {
        let path = match folder.as_str() {
            "" => file.path.clone(),
            folder => format!("{folder}/{}", file.path.as_str()).parse()?,
        };
        Ok(ViewEntry::of_file(path, file))
    };
    let entries = listing.files.iter().map(entry);
    let entries = entries.collect::<Result<Vec<_>, NoLayout>>()?;
    Ok(ViewLayout {
        tree: Some(folder),
        entries,
    })
}

/// LM Studio expects GGUF files directly in the folder of their model.
fn lm_studio(listing: &ViewListing<'_>) -> Result<ViewLayout, NoLayout> {
    models_only(listing)?;
    let (owner, name) = owner_and_name(listing.repo);
    let mut layout = tree(format!("{owner}/{name}"), listing)?;
    for (entry, file) in layout.entries.iter_mut().zip(listing.files) {
        if is_gguf(&file.path) {
            entry.path = format!("{owner}/{name}/{}", file_name(&file.path)).parse()?;
        }
    }
    Ok(layout)
}

/// One GGUF file lies directly in the folder of models, everything else in a folder.
fn text_generation_web_ui(listing: &ViewListing<'_>) -> Result<ViewLayout, NoLayout> {
    models_only(listing)?;
    let mut models = listing.files.iter().filter(|file| is_gguf(&file.path));
    if let (Some(only), None) = (models.next(), models.next()) {
        let path = file_name(&only.path).parse()?;
        return Ok(ViewLayout {
            tree: None,
            entries: vec![ViewEntry::of_file(path, only)],
        });
    }
    let (owner, name) = owner_and_name(listing.repo);
    let branch = match listing.revision.as_str() {
        "main" => String::new(),
        other => format!("_{}", other.replace('/', "_")),
    };
    tree(format!("{owner}_{name}{branch}"), listing)
}

fn comfy_ui(listing: &ViewListing<'_>) -> Result<ViewLayout, NoLayout> {
    let files: BTreeMap<&RepoPath, &RemoteFile> = listing
        .files
        .iter()
        .map(|file| (&file.path, file))
        .collect();
    let entry = |mapping: &ViewMapping| -> Result<ViewEntry, NoLayout> {
        let file = files.get(&mapping.file);
        let file = file.ok_or_else(|| NoLayout::NoSuchFile(mapping.file.as_str().to_owned()))?;
        Ok(ViewEntry::of_file(mapping.path.clone(), file))
    };
    let entries: Vec<ViewEntry> = listing
        .mappings
        .iter()
        .map(entry)
        .collect::<Result<_, _>>()?;
    if entries.is_empty() {
        return Err(NoLayout::NoMapping);
    }
    Ok(ViewLayout {
        tree: None,
        entries,
    })
}

pub(super) fn models_only(listing: &ViewListing<'_>) -> Result<(), NoLayout> {
    match listing.repo.kind {
        RepoType::Model => Ok(()),
        other => Err(NoLayout::OtherRepoType(other.plural())),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in super::super) fn file(path: &str, n: u8) -> RemoteFile {
        RemoteFile {
            path: path.parse().unwrap(),
            size_bytes: u64::from(n),
            content: ContentId::Sha256([n; 32]),
            git_oid: [0; 20],
            xet_hash: None,
        }
    }

    /// Lays out a model; returns the folder of the tree and the paths in their order.
    pub(in super::super) fn laid_out(
        kind: ViewKind,
        (repo, revision): (&str, &str),
        files: &[&str],
        mappings: &[&str],
    ) -> Result<(Option<String>, Vec<String>), NoLayout> {
        let files: Vec<RemoteFile> = (1..).zip(files).map(|(n, path)| file(path, n)).collect();
        let repo = Repo::new(RepoType::Model, repo.parse().unwrap());
        let mappings = mappings.iter().map(|text| text.parse().unwrap()).collect();
        let listing = ViewListing {
            repo: &repo,
            revision: &revision.parse().unwrap(),
            files: &files,
            mappings: &mappings,
            header: Some(GgufFacts::default()),
            texts: OllamaTexts::default(),
            sha256: |_| [9; 32],
            checksums: None,
        };
        let layout = lay_out(kind, &listing)?;
        let paths = layout.entries.iter();
        let paths = paths.map(|entry| entry.path.as_str().to_owned());
        Ok((layout.tree, paths.collect()))
    }

    #[test]
    fn each_program_finds_the_files_where_it_looks() {
        use ViewKind::{ComfyUi, Dir, LmStudio, ModelScope, TextGenerationWebUi};
        type Row<'r> = (
            ViewKind,
            &'r str,
            &'r [&'r str],
            Option<&'r str>,
            &'r [&'r str],
        );
        let main = "acme/tiny";
        #[rustfmt::skip]
        let rows: &[Row<'_>] = &[
            (Dir, "main", &["a/b.bin", "c.json"], Some(""), &["a/b.bin", "c.json"]),
            (LmStudio, "main", &["Q4/m.gguf", "README.md"], Some("acme/tiny"), &["acme/tiny/m.gguf", "acme/tiny/README.md"]),
            (TextGenerationWebUi, "main", &["Q4/m.gguf", "README.md"], None, &["m.gguf"]),
            (TextGenerationWebUi, "main", &["config.json", "m.safetensors"], Some("acme_tiny"), &["acme_tiny/config.json", "acme_tiny/m.safetensors"]),
            (TextGenerationWebUi, "8bit", &["m.safetensors"], Some("acme_tiny_8bit"), &["acme_tiny_8bit/m.safetensors"]),
            (ModelScope, "main", &["config.json"], Some("models/acme--tiny/snapshots/master"), &["models/acme--tiny/snapshots/master/config.json"]),
            (ModelScope, "v2", &["config.json"], Some("models/acme--tiny/snapshots/v2"), &["models/acme--tiny/snapshots/v2/config.json"]),
        ];
        for (kind, revision, files, folder, paths) in rows {
            let (tree, found) = laid_out(*kind, (main, revision), files, &[]).unwrap();
            assert_eq!(tree.as_deref(), *folder, "{kind} at {revision}");
            assert_eq!(found, *paths, "{kind} at {revision}");
        }
        let mappings = ["vae.safetensors=vae/tiny.safetensors"];
        let files = ["README.md", "vae.safetensors"];
        let found = laid_out(ComfyUi, (main, "main"), &files, &mappings).unwrap();
        assert_eq!(found, (None, vec!["vae/tiny.safetensors".to_owned()]));
    }

    #[test]
    fn a_view_that_cannot_be_made_has_a_reason() {
        use ViewKind::{ComfyUi, Dir, LmStudio, Ollama};
        let two = ["a-Q4_K_M.gguf", "a-Q8_0.gguf"];
        let names = two.map(str::to_owned).to_vec();
        let rows: &[(ViewKind, &[&str], &[&str], NoLayout)] = &[
            (Dir, &[], &[], NoLayout::Empty),
            (Ollama, &two, &[], NoLayout::NotOneGguf(names)),
            (
                Ollama,
                &["a.safetensors"],
                &[],
                NoLayout::NotOneGguf(Vec::new()),
            ),
            (
                Ollama,
                &["a-00001-of-00001.gguf"],
                &[],
                NoLayout::SplitGguf("a-00001-of-00001.gguf".to_owned()),
            ),
            (ComfyUi, &["a"], &[], NoLayout::NoMapping),
            (
                ComfyUi,
                &["a"],
                &["b=vae/b"],
                NoLayout::NoSuchFile("b".to_owned()),
            ),
            (
                ComfyUi,
                &["a", "b"],
                &["a=vae/x", "b=vae/x"],
                NoLayout::SamePath("vae/x".to_owned()),
            ),
            (
                LmStudio,
                &["a/m.gguf", "b/m.gguf"],
                &[],
                NoLayout::SamePath("acme/tiny/m.gguf".to_owned()),
            ),
        ];
        for (kind, files, mappings, reason) in rows {
            let found = laid_out(*kind, ("acme/tiny", "main"), files, mappings);
            assert_eq!(found, Err(reason.clone()), "{kind} of {files:?}");
        }
    }
}
