//! The layout of an ollama view: blobs by their SHA-256, then a manifest.
//!
//! The manifest is that of the Docker registry, version 2. Its configuration and its
//! layers are blobs; the weights are the repository's own file. The name is the one
//! under which ollama itself keeps models of the Hub: `hf.co/OWNER/NAME:TAG`, where
//! the tag is the quantisation that the file name ends with, else `latest`.

use std::collections::BTreeSet;

use super::gguf::GgufFacts;
use super::layout::{
    EntrySource, NoLayout, ViewEntry, ViewLayout, ViewListing, file_name, is_gguf, is_part,
    is_projector, models_only, owner_and_name,
};
use crate::domain::content::ContentId;
use crate::domain::repo::RepoPath;
use crate::domain::snapshot::RemoteFile;

/// The host part of the name, as ollama writes it for models of the Hub.
const HOST: &str = "hf.co";

/// The contents of the files by which a repository tells ollama how to run it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OllamaTexts {
    pub template: Option<Vec<u8>>,
    pub system: Option<Vec<u8>>,
    pub params: Option<Vec<u8>>,
}

impl OllamaTexts {
    /// The names of the files, in the order of the fields.
    pub const NAMES: [&'static str; 3] = ["template", "system", "params"];

    /// Returns the media type and the content of each present file.
    fn layers(&self) -> impl Iterator<Item = (&'static str, &Vec<u8>)> {
        let all = [&self.template, &self.system, &self.params];
        let named = Self::NAMES.into_iter().zip(all);
        named.filter_map(|(name, content)| Some((name, content.as_ref()?)))
    }
}

/// Returns the file with the weights.
pub fn model_file(files: &[RemoteFile]) -> Result<&RemoteFile, NoLayout> {
    let models = files.iter();
    let models = models.filter(|file| is_gguf(&file.path) && !is_projector(&file.path));
    let models: Vec<&RemoteFile> = models.collect();
    match *models {
        [only] if is_part(&only.path) => Err(NoLayout::SplitGguf(only.path.as_str().to_owned())),
        [only] => Ok(only),
        _ => {
            let names = models.iter().map(|file| file.path.as_str().to_owned());
            Err(NoLayout::NotOneGguf(names.collect()))
        }
    }
}

pub(super) fn lay_out(listing: &ViewListing<'_>) -> Result<ViewLayout, NoLayout> {
    models_only(listing)?;
    let model = model_file(listing.files)?;
    let Some(header) = &listing.header else {
        return Err(NoLayout::NotGguf(model.path.as_str().to_owned()));
    };
    let mut blobs = Vec::new();
    let mut layers = Vec::new();
    let weights = blob_of(model)?;
    layers.push(descriptor("application/vnd.ollama.image.model", &weights));
    let diff = digest(&weights);
    blobs.push(weights);
    let mut projectors = listing.files.iter().filter(|file| is_projector(&file.path));
    if let (Some(projector), None) = (projectors.next(), projectors.next()) {
        let blob = blob_of(projector)?;
        layers.push(descriptor("application/vnd.ollama.image.projector", &blob));
        blobs.push(blob);
    }
    for (name, content) in listing.texts.layers() {
        let blob = written(content.clone(), listing);
        let media = format!("application/vnd.ollama.image.{name}");
        layers.push(descriptor(&media, &blob));
        blobs.push(blob);
    }
    let tag = quantisation(&model.path);
    let config = written(configuration(header, tag, &diff).into_bytes(), listing);
    let manifest = format!(
        r#"{{"schemaVersion":2,"mediaType":"application/vnd.docker.distribution.manifest.v2+json","config":{},"layers":[{}]}}"#,
        descriptor("application/vnd.docker.container.image.v1+json", &config),
        layers.join(",")
    );
    blobs.push(config);
    let (owner, name) = owner_and_name(listing.repo);
    let path = format!(
        "manifests/{HOST}/{owner}/{name}/{}",
        tag.unwrap_or("latest")
    );
    let manifest = manifest.into_bytes();
    // Two layers may have one content.
    let mut seen = BTreeSet::new();
    blobs.retain(|blob| seen.insert(blob.path.clone()));
    blobs.push(ViewEntry {
        path: path.parse()?,
        content: ContentId::Sha256((listing.sha256)(&manifest)),
        size_bytes: manifest.len() as u64,
        source: EntrySource::Written(manifest),
        is_named_by_content: false,
    });
    Ok(ViewLayout {
        tree: None,
        entries: blobs,
    })
}

fn blob_of(file: &RemoteFile) -> Result<ViewEntry, NoLayout> {
    let ContentId::Sha256(_) = file.content else {
        return Err(NoLayout::NoSha256(file.path.as_str().to_owned()));
    };
    Ok(ViewEntry {
        is_named_by_content: true,
        ..ViewEntry::of_file(blob_path(&file.content), file)
    })
}

fn written(bytes: Vec<u8>, listing: &ViewListing<'_>) -> ViewEntry {
    let content = ContentId::Sha256((listing.sha256)(&bytes));
    ViewEntry {
        path: blob_path(&content),
        content,
        size_bytes: bytes.len() as u64,
        source: EntrySource::Written(bytes),
        is_named_by_content: true,
    }
}

fn blob_path(content: &ContentId) -> RepoPath {
    let path = format!("blobs/sha256-{}", content.etag());
    path.parse().expect("hexadecimal digits are a valid name")
}

fn digest(entry: &ViewEntry) -> String {
    format!("sha256:{}", entry.content.etag())
}

fn descriptor(media_type: &str, entry: &ViewEntry) -> String {
    format!(
        r#"{{"mediaType":"{media_type}","digest":"{}","size":{}}}"#,
        digest(entry),
        entry.size_bytes
    )
}

/// Returns the configuration blob: facts that ollama shows, and the digest of the weights.
fn configuration(header: &GgufFacts, tag: Option<&str>, diff: &str) -> String {
    let family = plain(header.architecture.as_deref());
    format!(
        r#"{{"model_format":"gguf","model_family":"{family}","model_families":["{family}"],"model_type":"{}","file_type":"{}","architecture":"amd64","os":"linux","rootfs":{{"type":"layers","diff_ids":["{diff}"]}}}}"#,
        plain(header.size_label.as_deref()),
        tag.unwrap_or("unknown"),
    )
}

/// Returns a value of a header that needs no escape in JSON; others are left out.
fn plain(value: Option<&str>) -> &str {
    let is_plain = |text: &&str| {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        text.len() <= 80 && text.chars().all(allowed)
    };
    value.filter(is_plain).unwrap_or("unknown")
}

/// Returns the quantisation in a file name: the last of its words that reads like one.
fn quantisation(path: &RepoPath) -> Option<&str> {
    let name = file_name(path);
    let stem = &name[..name.len() - ".gguf".len()];
    stem.rsplit(['-', '.']).find(|word| is_quantisation(word))
}

fn is_quantisation(word: &str) -> bool {
    let upper = word.to_ascii_uppercase();
    let has_allowed = upper
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b == b'_');
    let digit_follows = |prefix: &str| {
        let rest = upper.strip_prefix(prefix);
        rest.is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
    };
    let is_float = matches!(upper.as_str(), "F16" | "BF16" | "F32" | "FP16" | "FP32");
    has_allowed && (is_float || ["Q", "IQ", "TQ", "MXFP"].into_iter().any(digit_follows))
}

#[cfg(test)]
mod tests {
    use super::super::ViewKind;
    use super::super::layout::tests::{file, laid_out};
    use super::*;
    use crate::domain::repo::{Repo, RepoType, Revision};

    #[test]
    fn the_tag_is_the_quantisation_of_the_file_name() {
        for (name, tag) in [
            ("m-Q4_K_M.gguf", "Q4_K_M"),
            ("m.Q8_0.gguf", "Q8_0"),
            ("UD/m-UD-IQ2_XXS.gguf", "IQ2_XXS"),
            ("m-Q4_K_M-imat.gguf", "Q4_K_M"),
            ("m-BF16.GGUF", "BF16"),
            ("Qwen2-instruct.gguf", "latest"),
        ] {
            let (_, paths) =
                laid_out(ViewKind::Ollama, ("acme/tiny", "main"), &[name], &[]).unwrap();
            let manifest = paths.last().unwrap();
            assert_eq!(manifest, &format!("manifests/hf.co/acme/tiny/{tag}"));
        }
    }

    #[test]
    fn the_weights_come_first_and_the_manifest_that_names_all_blobs_last() {
        let files = [
            file("README.md", 7),
            file("m-Q4_0.gguf", 1),
            file("mmproj-m.gguf", 2),
        ];
        let repo = Repo::new(RepoType::Model, "acme/tiny".parse().unwrap());
        let listing = ViewListing {
            repo: &repo,
            revision: &Revision::main(),
            files: &files,
            mappings: &Default::default(),
            header: Some(GgufFacts {
                architecture: Some("llama".to_owned()),
                size_label: Some("8\"B".to_owned()),
            }),
            texts: OllamaTexts {
                template: Some(b"{{ .Prompt }}".to_vec()),
                ..OllamaTexts::default()
            },
            // Tells the written contents apart by their lengths.
            sha256: |bytes| [u8::try_from(bytes.len() % 251).unwrap(); 32],
            checksums: None,
        };
        let layout = lay_out(&listing).unwrap();
        let hex = |n: u8| format!("{n:02x}").repeat(32);
        let config = r#"{"model_format":"gguf","model_family":"llama","model_families":["llama"],"model_type":"unknown","file_type":"Q4_0","architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":["sha256:WEIGHTS"]}}"#;
        let config = config.replace("WEIGHTS", &hex(1));
        let config_hex = hex(u8::try_from(config.len() % 251).unwrap());
        let paths: Vec<&str> = layout.entries.iter().map(|it| it.path.as_str()).collect();
        let blob = |hex: String| format!("blobs/sha256-{hex}");
        assert_eq!(
            paths,
            [
                blob(hex(1)),
                blob(hex(2)),
                blob(hex(13)),
                blob(config_hex.clone()),
                "manifests/hf.co/acme/tiny/Q4_0".to_owned(),
            ]
        );
        let EntrySource::Written(manifest) = &layout.entries[4].source else {
            panic!("the manifest is written");
        };
        let layer = |kind: &str, hex: String, size: usize| {
            format!(r#"{{"mediaType":"{kind}","digest":"sha256:{hex}","size":{size}}}"#)
        };
        let docker = "application/vnd.docker";
        let image = "application/vnd.ollama.image";
        let expected = format!(
            r#"{{"schemaVersion":2,"mediaType":"{docker}.distribution.manifest.v2+json","config":{},"layers":[{},{},{}]}}"#,
            layer(
                &format!("{docker}.container.image.v1+json"),
                config_hex,
                config.len()
            ),
            layer(&format!("{image}.model"), hex(1), 1),
            layer(&format!("{image}.projector"), hex(2), 2),
            layer(&format!("{image}.template"), hex(13), 13),
        );
        assert_eq!(String::from_utf8_lossy(manifest), expected);
    }
}
