//! Words of a command line: files of the repository before them, or repositories.

use crate::domain::repo::RepoType;

/// Tells a file of a repository from a repository: a folder ends in `/`, a
/// file has an extension that begins with a letter, which versions do not.
pub fn looks_like_file(word: &str) -> bool {
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
