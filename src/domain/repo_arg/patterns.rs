//! The include patterns that an argument implies.

/// Escapes a path so that the pattern matches only that path; a `:` at its beginning
/// would make it a quantisation.
pub fn escape_pattern(path: &str) -> String {
    let mut pattern = String::with_capacity(path.len());
    for (at, c) in path.char_indices() {
        match c {
            '*' | '?' | '[' => pattern.extend(['[', c, ']']),
            ':' if at == 0 => pattern.push_str("[:]"),
            _ => pattern.push(c),
        }
    }
    pattern
}

#[cfg(test)]
mod tests {
    use crate::domain::filter::Filter;
    use crate::domain::repo_arg::{RepoArg, escape_pattern};

    const HUB: &str = "https://huggingface.co";

    fn parse(text: &str) -> RepoArg {
        RepoArg::parse(text, HUB).unwrap_or_else(|err| panic!("{text}: {err}"))
    }

    #[test]
    fn a_quantisation_takes_all_its_shards_and_no_other_quantisation() {
        let arg = parse("org/name:Q4_K");
        assert_eq!(arg.default_name(), "org/name:Q4_K");
        let filter = Filter {
            include: arg.include_patterns(),
            ..Filter::default()
        };
        let wanted = [
            "model-Q4_K.gguf",
            "model.q4_k.gguf",
            "Q4_K/model-00001-of-00002.gguf",
            "sub/Q4_K.gguf",
            "model-Q4_K-00001-of-00002.gguf",
            "config.json",
            "README.md",
            "LICENSE",
        ];
        let others = [
            "model-Q4_K_M.gguf",
            "model-IQ4_K.gguf",
            "model-Q8_0.gguf",
            "model.safetensors",
        ];
        let listing = [&wanted[..], &others].concat();
        let selection = filter.among(&listing);
        for path in listing {
            assert_eq!(selection.has(path), wanted.contains(&path), "{path}");
        }
    }

    #[test]
    fn a_gguf_file_behind_the_colon_is_named_with_its_folder() {
        let arg = parse("org/name:sub/m-Q4_K_M.gguf@v1");
        assert_eq!(arg.include_patterns().unwrap(), [":sub/m-Q4_K_M.gguf"]);
        assert_eq!(arg.default_name(), "org/name:sub/m-Q4_K_M.gguf");
        assert_eq!(arg.revision.unwrap().as_str(), "v1");
    }

    #[test]
    fn a_file_argument_selects_just_that_file() {
        let arg = parse("https://huggingface.co/org/name/blob/main/a%5B1%5D.txt");
        let filter = Filter {
            include: arg.include_patterns(),
            ..Filter::default()
        };
        let selection = filter.among(&["a[1].txt", "a1.txt"]);
        assert!(selection.has("a[1].txt") && !selection.has("a1.txt"));
    }
    #[test]
    fn an_escaped_path_is_no_quantisation() {
        let filter = Filter {
            include: Some(vec![escape_pattern(":Q4_0")]),
            ..Filter::default()
        };
        let selection = filter.among(&[":Q4_0", "m-Q4_0.gguf"]);
        assert!(selection.has(":Q4_0") && !selection.has("m-Q4_0.gguf"));
    }
}
