//! Words of a command line: files of the repository before them, or repositories.

use thiserror::Error;

use crate::domain::repo::RepoType;

/// A word may be a file of the repository before it, or a repository: both have one part.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{word}` may be a file of `{repo}`, or a repository")]
pub struct AmbiguousWord {
    pub repo: String,
    pub word: String,
}

/// A repository or registered name, with the files of it that follow.
pub type WordGroup<'w> = (&'w str, Vec<&'w str>);

/// Divides the words of a command line into repositories with their files.
///
/// After a repository, a word without `/` that is no registered name is a file of it, and
/// so is one that looks like a file or a folder.
pub fn group_words<'w>(
    words: &'w [String],
    is_name: impl Fn(&str) -> bool,
) -> Result<Vec<WordGroup<'w>>, AmbiguousWord> {
    let has_one_part = |word: &str| !word.contains(['/', ':', '@']);
    let mut groups: Vec<WordGroup<'w>> = Vec::new();
    for word in words {
        match groups.last_mut().filter(|_| !is_name(word)) {
            Some((_, files)) if looks_like_file(word) => files.push(word),
            Some((repo, _)) if has_one_part(word) && has_one_part(repo) && !is_name(repo) => {
                return Err(AmbiguousWord {
                    repo: (*repo).to_owned(),
                    word: word.clone(),
                });
            }
            Some((_, files)) if has_one_part(word) => files.push(word),
            _ => groups.push((word, Vec::new())),
        }
    }
    Ok(groups)
}

/// Tells a file of a repository from a repository: a folder ends in `/`, a
/// file has an extension that begins with a letter, which versions do not.
fn looks_like_file(word: &str) -> bool {
    let is_page = ["hf://", "http://", "https://"]
        .iter()
        .any(|scheme| word.starts_with(scheme));
    let has_type = RepoType::ALL.iter().any(|kind| {
        let rest = word.strip_prefix(kind.plural());
        rest.is_some_and(|rest| rest.starts_with('/'))
    });
    // A file behind a colon belongs to the repository before it.
    let is_repo = is_page || has_type || word.contains(':');
    if is_repo && !word.ends_with('/') {
        return false;
    }
    if word.ends_with('/') || word.matches('/').count() > 1 {
        return !word.starts_with("hf://") && !word.contains("://");
    }
    let name = word.rsplit('/').next().unwrap_or(word);
    name.rsplit_once('.').is_some_and(|(_, extension)| {
        extension.starts_with(|c: char| c.is_ascii_alphabetic())
            && extension.len() <= 16
            && extension.chars().all(|c| c.is_ascii_alphanumeric())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_after_a_repository_are_its_files_unless_they_are_names_or_have_two_parts() {
        let groups = |line: &str| {
            let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
            let groups = group_words(&words, |word| word == "kept" || word == "notes.txt");
            groups.map(|groups| {
                let texts = groups.iter().map(|(repo, files)| {
                    if files.is_empty() {
                        (*repo).to_owned()
                    } else {
                        format!("{repo}<{}>", files.join(" "))
                    }
                });
                texts.collect::<Vec<_>>().join(" ")
            })
        };
        for (line, expected) in [
            ("org/a LICENSE config.json", "org/a<LICENSE config.json>"),
            ("org/a LICENSE org/b x/", "org/a<LICENSE> org/b<x/>"),
            ("org/a kept LICENSE", "org/a kept<LICENSE>"),
            ("kept Makefile", "kept<Makefile>"),
            ("org/a notes.txt", "org/a notes.txt"),
            ("gpt2 config.json", "gpt2<config.json>"),
            ("gpt2 hf.co/bert org/b", "gpt2 hf.co/bert org/b"),
            ("org/a sub/LICENSE", "org/a sub/LICENSE"),
            ("org/a gpt2:Q4_0", "org/a gpt2:Q4_0"),
        ] {
            assert_eq!(groups(line).unwrap(), expected, "{line}");
        }
        let error = groups("gpt2 LICENSE").unwrap_err();
        assert_eq!(
            error.to_string(),
            "`LICENSE` may be a file of `gpt2`, or a repository"
        );
    }

    #[test]
    fn files_are_told_from_repositories() {
        for file in [
            "config.json",
            "sub/model.bin",
            "a/b/c",
            "data/",
            "tokenizer.model",
            ".gitattributes",
        ] {
            assert!(looks_like_file(file), "{file}");
        }
        for repo in [
            "org/name",
            "Qwen/Qwen2.5-7B",
            "org/Llama-3.1",
            "org/phi-1.5b",
            "gpt2",
            "datasets/org/x",
            "kernels/org/x.y",
            "org/name:Q4_K_M",
            "org/name:sub/m-Q4_K_M.gguf",
            "hf://org/name/x.json",
            "https://huggingface.co/org/name",
        ] {
            assert!(!looks_like_file(repo), "{repo}");
        }
    }
}
