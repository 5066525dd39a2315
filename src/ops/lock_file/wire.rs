//! The text of a lock file.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::domain::content::ContentId;
use crate::domain::filter::Filter;
use crate::domain::lock_file::{LockFile, LockedFile, LockedModel};
use crate::domain::repo::{Repo, RepoId, RepoType};

const VERSION: u64 = 1;

/// A larger file is no lock file: a thousand models of a thousand files need half of it.
pub const MAX_BYTES: u64 = 256 << 20;

/// The reason why a text is no lock file.
#[derive(Debug, Error)]
pub enum LockFileFault {
    #[error("{0}")]
    NotJson(#[from] serde_json::Error),
    #[error("it has version {0}, and this hfdl reads version {VERSION}")]
    OtherVersion(u64),
    #[error("model `{model}`: {why}")]
    Value { model: String, why: String },
    #[error("`{0}` comes twice or out of order")]
    Order(String),
}

#[derive(Deserialize)]
struct VersionOnly {
    version: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Root {
    version: u64,
    models: Vec<WrittenModel>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenModel {
    name: String,
    repo_type: String,
    repo: String,
    revision: String,
    commit: String,
    include: Option<Vec<String>>,
    exclude: Vec<String>,
    files: Vec<File>,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct File {
    path: String,
    size: u64,
    hash: String,
}

/// Renders a lock file, one file a line.
pub fn render(lock: &LockFile) -> String {
    let mut text = format!("{{\n  \"version\": {VERSION},\n  \"models\": [");
    for (index, model) in lock.models.iter().enumerate() {
        text.push_str(if index == 0 { "\n" } else { ",\n" });
        text.push_str("    {\n");
        let fields = [
            ("name", json(model.name.as_str())),
            ("repo_type", json(model.repo.kind.as_str())),
            ("repo", json(model.repo.id.as_str())),
            ("revision", json(model.revision.as_str())),
            ("commit", json(model.commit.as_str())),
            ("include", json(&model.filter.include)),
            ("exclude", json(&model.filter.exclude)),
        ];
        for (key, value) in fields {
            text.push_str(&format!("      \"{key}\": {value},\n"));
        }
        text.push_str("      \"files\": [");
        for (index, file) in model.files.iter().enumerate() {
            text.push_str(if index == 0 { "\n" } else { ",\n" });
            let (path, hash) = (json(file.path.as_str()), json(&file.content.to_string()));
            let size = file.size_bytes;
            let line = format!("{{\"path\": {path}, \"size\": {size}, \"hash\": {hash}}}");
            text.push_str(&format!("        {line}"));
        }
        text.push_str(if model.files.is_empty() {
            "]\n"
        } else {
            "\n      ]\n"
        });
        text.push_str("    }");
    }
    text.push_str(if lock.models.is_empty() {
        "]\n}\n"
    } else {
        "\n  ]\n}\n"
    });
    text
}

fn json(value: &(impl Serialize + ?Sized)) -> String {
    // Texts and lists of texts cannot fail.
    serde_json::to_string(value).unwrap_or_default()
}

/// Reads a lock file.
pub fn parse(bytes: &[u8]) -> Result<LockFile, LockFileFault> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let root: Root = match serde_json::from_slice(bytes) {
        Ok(root) => root,
        // A newer version may have other fields: its number says more than they do.
        Err(err) => match serde_json::from_slice(bytes) {
            Ok(VersionOnly { version }) if version != VERSION => {
                return Err(LockFileFault::OtherVersion(version));
            }
            _ => return Err(err.into()),
        },
    };
    if root.version != VERSION {
        return Err(LockFileFault::OtherVersion(root.version));
    }
    let models = root.models.into_iter().map(read_model);
    let models = models.collect::<Result<Vec<_>, _>>()?;
    let unordered = models.windows(2).find(|pair| pair[0].name >= pair[1].name);
    match unordered {
        Some(pair) => Err(LockFileFault::Order(pair[1].name.to_string())),
        None => Ok(LockFile { models }),
    }
}

fn read_model(model: WrittenModel) -> Result<LockedModel, LockFileFault> {
    let name = model.name.clone();
    let fault = |why: String| LockFileFault::Value {
        model: name.chars().take(200).collect(),
        why,
    };
    let id: RepoId = model.repo.parse().map_err(|err| fault(format!("{err}")))?;
    let kind: RepoType = (model.repo_type.parse()).map_err(|err| fault(format!("{err}")))?;
    let files = model.files.into_iter().map(read_file);
    let files = files.collect::<Result<Vec<_>, _>>().map_err(&fault)?;
    if let Some(pair) = files.windows(2).find(|pair| pair[0].path >= pair[1].path) {
        return Err(LockFileFault::Order(pair[1].path.to_string()));
    }
    Ok(LockedModel {
        name: model.name.parse().map_err(|err| fault(format!("{err}")))?,
        repo: Repo::new(kind, id),
        revision: (model.revision.parse()).map_err(|err| fault(format!("{err}")))?,
        commit: (model.commit.parse()).map_err(|err| fault(format!("{err}")))?,
        filter: Filter {
            include: model.include,
            exclude: model.exclude,
            others: Vec::new(),
        },
        files,
    })
}

fn read_file(file: File) -> Result<LockedFile, String> {
    let content: ContentId = file.hash.parse().map_err(|err| format!("{err}"))?;
    if content.to_string() != file.hash {
        return Err(format!("the hash `{}` is not in lower case", file.hash));
    }
    Ok(LockedFile {
        path: file.path.parse().map_err(|err| format!("{err}"))?,
        size_bytes: file.size,
        content,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use proptest::prelude::*;

    fn content() -> impl Strategy<Value = ContentId> {
        prop_oneof![
            any::<[u8; 32]>().prop_map(ContentId::Sha256),
            any::<[u8; 20]>().prop_map(ContentId::GitSha1),
        ]
    }

    fn patterns() -> impl Strategy<Value = Vec<String>> {
        prop::collection::vec(any::<String>(), 0..3)
    }

    prop_compose! {
        fn model()(
            kind in 0..4usize,
            files in prop::collection::btree_map("[a-z\"ü ]{0,4}/?[a-z]", (any::<u64>(), content()), 0..5),
            include in prop::option::of(patterns()),
            exclude in patterns(),
            commit in "[0-9a-f]{40}",
        ) -> LockedModel {
            let files = files.into_iter().filter_map(|(path, (size_bytes, content))| {
                Some(LockedFile { path: path.parse().ok()?, size_bytes, content })
            });
            let mut files: Vec<LockedFile> = files.collect();
            files.sort_by(|a, b| a.path.cmp(&b.path));
            LockedModel {
                name: "x".parse().unwrap(),
                repo: Repo::new(RepoType::ALL[kind], "acme/tiny".parse().unwrap()),
                revision: "refs/pr/1".parse().unwrap(),
                commit: commit.parse().unwrap(),
                filter: Filter { include, exclude, others: Vec::new() },
                files,
            }
        }
    }

    fn lock() -> impl Strategy<Value = LockFile> {
        prop::collection::btree_map("[a-z./]{1,6}", model(), 0..4).prop_map(|models| {
            let models: BTreeMap<_, _> = models;
            let named = |(name, model): (String, LockedModel)| LockedModel {
                name: name.parse().unwrap(),
                ..model
            };
            LockFile::new(models.into_iter().map(named).collect())
        })
    }

    proptest! {
        #[test]
        fn a_lock_file_is_read_as_it_was_written(lock in lock()) {
            let text = render(&lock);
            prop_assert_eq!(parse(text.as_bytes()).unwrap(), lock.clone());
            let n_files: usize = lock.models.iter().map(|model| model.files.len()).sum();
            let n_lines = text.lines().filter(|line| line.contains("\"hash\": ")).count();
            prop_assert_eq!(n_lines, n_files);
        }

        #[test]
        fn garbage_is_an_error_and_never_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(parse(&bytes).is_err());
        }

        #[test]
        fn a_changed_text_is_an_error_or_another_lock_file(lock in lock(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
            let mut bytes = render(&lock).into_bytes();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            if let Ok(read) = parse(&bytes) {
                prop_assert_eq!(parse(render(&read).as_bytes()).unwrap(), read);
            }
        }
    }

    #[test]
    fn each_fault_is_named() {
        let good = render(&LockFile::default());
        let model = |fields: &str| {
            let rest = "\"repo\":\"a/b\",\"revision\":\"main\",\"exclude\":[]";
            format!("{{\"version\":1,\"models\":[{{{fields},{rest}}}]}}")
        };
        let commit = "a".repeat(40);
        let file = |path: &str, hash: &str| {
            format!("{{\"path\":\"{path}\",\"size\":1,\"hash\":\"{hash}\"}}")
        };
        let with = |files: &str| {
            model(&format!(
                "\"name\":\"x\",\"repo_type\":\"model\",\"commit\":\"{commit}\",\"files\":[{files}]"
            ))
        };
        let git = format!("git:{}", "0".repeat(40));
        assert!(parse(with(&file("a", &git)).as_bytes()).is_ok());
        for (text, why) in [
            (String::new(), "EOF"),
            ("[]".to_owned(), "invalid"),
            (good.replace('1', "2"), "it has version 2"),
            (
                r#"{"version":9,"things":{}}"#.to_owned(),
                "it has version 9",
            ),
            (
                good.replace("\"models\"", "\"x\": 1, \"models\""),
                "unknown field `x`",
            ),
            (format!("{good}{{}}"), "trailing characters"),
            (with(&file("../a", &git)), "model `x`: "),
            (with(&file("a", "md5:00")), "is no content id"),
            (
                with(&file("a", &git.replace('0', "A"))),
                "not in lower case",
            ),
            (
                with(&[file("b", &git), file("a", &git)].join(",")),
                "`a` comes twice or out of order",
            ),
            (
                with(&[file("a", &git), file("a", &git)].join(",")),
                "`a` comes twice or out of order",
            ),
            (with("").replace(&commit, "main"), "model `x`: "),
            (with("").replace("a/b", "../b"), "model `x`: "),
            ("[".repeat(100_000), "invalid type"),
        ] {
            let found = parse(text.as_bytes()).unwrap_err().to_string();
            assert!(found.contains(why), "{text:.200}: {found}");
        }
    }
}
