//! The include patterns that an argument implies.

/// Escapes a path so that the pattern matches only that path.
pub fn escape_pattern(path: &str) -> String {
    let mut pattern = String::with_capacity(path.len());
    for c in path.chars() {
        match c {
            '*' | '?' | '[' => pattern.extend(['[', c, ']']),
            _ => pattern.push(c),
        }
    }
    pattern
}

/// Returns patterns for all shards of one quantisation, in the spellings that
/// repositories use, and for the small text files that belong to any model.
///
/// The quantisation must be a whole word: `Q4_K` does not select `Q4_K_M`.
pub(super) fn gguf_patterns(quantisation: &str) -> Vec<String> {
    let mut word = String::new();
    for c in quantisation.chars() {
        if c.is_ascii_alphabetic() {
            word.extend(['[', c.to_ascii_uppercase(), c.to_ascii_lowercase(), ']']);
        } else {
            word.push(c);
        }
    }
    let mut patterns = Vec::new();
    for before in ["", "*[-._/]"] {
        for behind in [".gguf", "-?????-of-?????.gguf", "/*.gguf"] {
            patterns.push(format!("{before}{word}{behind}"));
        }
    }
    let texts = [
        "*.json",
        "*.md",
        "*.txt",
        "*.jinja",
        "*.yaml",
        "*.yml",
        "LICENSE*",
        ".gitattributes",
    ];
    patterns.extend(texts.map(str::to_owned));
    patterns
}

#[cfg(test)]
mod tests {
    use crate::domain::filter::Filter;
    use crate::domain::repo_arg::RepoArg;

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
            exclude: vec![],
        };
        for wanted in [
            "model-Q4_K.gguf",
            "model.q4_k.gguf",
            "Q4_K/model-00001-of-00002.gguf",
            "sub/Q4_K.gguf",
            "model-Q4_K-00001-of-00002.gguf",
            "config.json",
            "README.md",
            "LICENSE",
        ] {
            assert!(filter.selects(wanted), "{wanted}");
        }
        for other in [
            "model-Q4_K_M.gguf",
            "model-IQ4_K.gguf",
            "model-Q8_0.gguf",
            "model.safetensors",
        ] {
            assert!(!filter.selects(other), "{other}");
        }
    }

    #[test]
    fn a_file_argument_selects_just_that_file() {
        let arg = parse("https://huggingface.co/org/name/blob/main/a%5B1%5D.txt");
        let filter = Filter {
            include: arg.include_patterns(),
            exclude: vec![],
        };
        assert!(filter.selects("a[1].txt") && !filter.selects("a1.txt"));
    }
}
