//! One GGUF quantisation of a repository: the files that llama.cpp loads for a word
//! such as `Q4_K_M`, or for the name of a file.
//!
//! The rule is that of llama.cpp, which loads one model file with one projector. Its
//! choice among several depends on the order of the listing and on the mode, so all
//! candidates are kept: with `UD-Q4_K_M` beside `Q4_K_M`, the word `Q4_K_M` selects both.
//! In one case fewer are kept: where the word stands alone in some names, longer words
//! that end in it are left out, so `F16` does not select `BF16`. Draft models
//! (`mtp-`, `eagle3-`, `dflash-`, `dspark-`) and importance matrices are no model files.

use std::collections::BTreeSet;
use std::fmt;

use super::filter::matches;

/// Parts of a file name that mark a GGUF file as something other than a model.
const NOT_MODELS: [&str; 6] = ["mmproj", "imatrix", "mtp-", "eagle3-", "dflash-", "dspark-"];

/// Small files that belong to every quantisation.
const TEXTS: [&str; 9] = [
    "*.json",
    "*.md",
    "*.txt",
    "*.jinja",
    "*.yaml",
    "*.yml",
    "LICENSE*",
    ".gitattributes",
    "preset.ini",
];

/// Beginnings of the names of quantisations; a digit follows.
const FAMILIES: [&str; 8] = ["IQ", "Q", "TQ", "BF", "F", "FP", "MXFP", "NVFP"];

/// A quantisation, or one GGUF file, as it is written behind `org/name:`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quantisation<'a> {
    Word(&'a str),
    File(&'a str),
}

impl fmt::Display for Quantisation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Word(text) | Self::File(text)) = self;
        write!(f, "`{text}`")
    }
}

impl<'a> Quantisation<'a> {
    /// Parses the text behind the colon; the error is the broken rule.
    pub fn parse(text: &'a str) -> Result<Self, &'static str> {
        const RULE: &str = "after `:` write a GGUF quantisation such as Q4_K_M, or FILE.gguf";
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        if is_gguf(text) {
            return Ok(Self::File(text));
        }
        if text.is_empty() || text.len() > 40 || !text.chars().all(is_plain) {
            return Err(RULE);
        }
        Ok(Self::Word(text))
    }

    /// Returns the include pattern for a text behind the colon: a word in one spelling,
    /// so that equal selections are seen to be equal.
    pub fn pattern(text: &'a str) -> String {
        match Self::parse(text) {
            Ok(Quantisation::Word(word)) => format!(":{}", word.to_ascii_uppercase()),
            _ => format!(":{text}"),
        }
    }

    /// Returns the files of a listing that belong to the quantisation; empty if the
    /// listing has no model file of it.
    pub fn files<'p>(self, paths: &[&'p str]) -> BTreeSet<&'p str> {
        let models = match self {
            Self::Word(word) => models_of_word(word, paths),
            Self::File(name) => shards_of_file(name, paths),
        };
        if models.is_empty() {
            return BTreeSet::new();
        }
        let folders: BTreeSet<&str> = models.iter().map(|path| folder(path)).collect();
        let is_companion = |path: &str| {
            let is_text = || TEXTS.iter().any(|pattern| matches(pattern, path));
            is_projector_for(path, &folders) || (matches!(self, Self::Word(_)) && is_text())
        };
        let companions = paths.iter().copied().filter(|path| is_companion(path));
        models.into_iter().chain(companions).collect()
    }
}

/// Returns the quantisations that a listing has, for messages.
pub fn quantisations(paths: &[&str]) -> BTreeSet<String> {
    let models = paths.iter().filter(|path| is_model(path));
    models.filter_map(|path| quantisation_of(path)).collect()
}

/// Tells whether a path is a GGUF file.
pub fn is_gguf(path: &str) -> bool {
    path.to_ascii_lowercase().ends_with(".gguf")
}

fn models_of_word<'p>(word: &str, paths: &[&'p str]) -> BTreeSet<&'p str> {
    let word = word.to_ascii_lowercase();
    let found = |path: &&'p str| Some((*path, find_word(&path.to_ascii_lowercase(), &word)?));
    let models = paths.iter().filter(|path| is_model(path));
    let models: Vec<(&str, WordMatch)> = models.filter_map(found).collect();
    let has_whole = models.iter().any(|(_, found)| *found == WordMatch::Whole);
    let kept = models
        .into_iter()
        .filter(|(_, found)| !has_whole || *found == WordMatch::Whole);
    kept.map(|(path, _)| path).collect()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum WordMatch {
    /// The end of a longer word, as `Q4_XS` in `IQ4_XS`.
    End,
    Whole,
}

/// Finds a word that `.`, `-` or `/` follows: at the end of a name, before another
/// word, or as a folder.
fn find_word(path: &str, word: &str) -> Option<WordMatch> {
    let ends = |at: usize| path[at + word.len()..].starts_with(['.', '-', '/']);
    let places = path.char_indices().map(|(at, _)| at);
    let places = places.filter(|at| path[*at..].starts_with(word) && ends(*at));
    let kinds = places.map(|at| {
        let begins = !path[..at].ends_with(|c: char| c.is_ascii_alphanumeric());
        if begins {
            WordMatch::Whole
        } else {
            WordMatch::End
        }
    });
    kinds.max()
}

/// Returns the file of a path or of a bare name, with the other shards of its model.
fn shards_of_file<'p>(name: &str, paths: &[&'p str]) -> BTreeSet<&'p str> {
    let wanted = without_shard(name);
    let file_name = |stem: &str| stem.rsplit('/').next().unwrap_or_default().to_owned();
    let ggufs = || paths.iter().copied().filter(|path| is_gguf(path));
    let exact: BTreeSet<&str> = ggufs()
        .filter(|path| without_shard(path) == wanted)
        .collect();
    if !exact.is_empty() || name.contains('/') {
        return exact;
    }
    ggufs()
        .filter(|path| file_name(&without_shard(path)) == wanted)
        .collect()
}

/// Returns a path in lower case without `.gguf` and without `-00001-of-00003`.
fn without_shard(path: &str) -> String {
    let path = path.to_ascii_lowercase();
    let stem = path.strip_suffix(".gguf").unwrap_or(&path);
    let is_number = |text: &str| text.len() == 5 && text.bytes().all(|c| c.is_ascii_digit());
    let whole = stem.rsplit_once("-of-").and_then(|(before, count)| {
        let (whole, index) = before.rsplit_once('-')?;
        (is_number(count) && is_number(index)).then_some(whole)
    });
    whole.unwrap_or(stem).to_owned()
}

fn is_model(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path).to_ascii_lowercase();
    is_gguf(&name) && !NOT_MODELS.iter().any(|part| name.contains(part))
}

/// Tells whether a file is a projector in the folder of a model, or in one above.
fn is_projector_for(path: &str, models: &BTreeSet<&str>) -> bool {
    let own = folder(path);
    let is_above = |model: &&str| {
        let below = model.strip_prefix(own);
        own.is_empty() || below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    is_gguf(path) && path.to_ascii_lowercase().contains("mmproj") && models.iter().any(is_above)
}

fn folder(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// Reads the quantisation from the name of a model file, or from its folder.
fn quantisation_of(path: &str) -> Option<String> {
    let stem = without_shard(path).to_ascii_uppercase();
    let is_known = |word: &&str| {
        let digit = |rest: &str| rest.starts_with(|c: char| c.is_ascii_digit());
        let mut families = FAMILIES.iter();
        families.any(|family| word.strip_prefix(family).is_some_and(digit))
    };
    let mut words = stem.rsplit(['-', '.', '/']);
    let word = words.find(is_known)?;
    Some(match words.next() {
        Some("UD") => format!("UD-{word}"),
        _ => word.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: [&str; 4] = [".gitattributes", "README.md", "config.json", "preset.ini"];

    /// Model files with their quantisation in the name, as most repositories have them.
    const FLAT: [&str; 9] = [
        "README.md",
        "Tiny-7B-IQ4_XS.gguf",
        "Tiny-7B-Q4_K_M.gguf",
        "Tiny-7B-Q4_K_S.gguf",
        "Tiny-7B-Q8_0.gguf",
        "Tiny-7B-UD-Q4_K_M.gguf",
        "Tiny-7B.imatrix.gguf",
        "mmproj-F16.gguf",
        "mtp-Tiny-7B-Q4_K_M.gguf",
    ];

    /// A folder for each quantisation, with shards.
    const FOLDERS: [&str; 8] = [
        "BF16/Big-BF16-00001-of-00002.gguf",
        "BF16/Big-BF16-00002-of-00002.gguf",
        "Q4_K_M/Big-00001-of-00002.gguf",
        "Q4_K_M/Big-00002-of-00002.gguf",
        "Q4_K_M/mmproj-Big.gguf",
        "config.json",
        "mmproj-BF16.gguf",
        "vision/mmproj-F32.gguf",
    ];

    fn selected(text: &str, listing: &[&'static str]) -> Vec<&'static str> {
        let quantisation = Quantisation::parse(text).unwrap();
        quantisation.files(listing).into_iter().collect()
    }

    #[test]
    fn a_word_selects_the_files_that_llama_cpp_loads() {
        let rows: &[(&str, &[&'static str], &[&'static str])] = &[
            // Any letter case; the file of another quantiser is kept beside it.
            (
                "q4_k_m",
                &FLAT,
                &[
                    "README.md",
                    "Tiny-7B-Q4_K_M.gguf",
                    "Tiny-7B-UD-Q4_K_M.gguf",
                    "mmproj-F16.gguf",
                ],
            ),
            (
                "UD-Q4_K_M",
                &FLAT,
                &["README.md", "Tiny-7B-UD-Q4_K_M.gguf", "mmproj-F16.gguf"],
            ),
            // The end of a longer word counts where no name has the whole word.
            (
                "Q4_XS",
                &FLAT,
                &["README.md", "Tiny-7B-IQ4_XS.gguf", "mmproj-F16.gguf"],
            ),
            (
                "F16",
                &["m-BF16.gguf", "m-F16.gguf", "m.f16.gguf"],
                &["m-F16.gguf", "m.f16.gguf"],
            ),
            ("F16", &["m-BF16.gguf", "m-Q8_0.gguf"], &["m-BF16.gguf"]),
            // No part of a word, no word in another file.
            ("Q4_K", &FLAT, &[]),
            ("F16", &FLAT, &[]),
            ("Q9", &TEXT, &[]),
            // A word stands behind the quantisation.
            (
                "Q4_K_M",
                &["m-Q4_K_M-imat.gguf", "m-Q4_K_M-v2.gguf", "m-Q4_K_M_L.gguf"],
                &["m-Q4_K_M-imat.gguf", "m-Q4_K_M-v2.gguf"],
            ),
            // Projectors of the folder and of those above it.
            (
                "Q4_K_M",
                &FOLDERS,
                &[
                    "Q4_K_M/Big-00001-of-00002.gguf",
                    "Q4_K_M/Big-00002-of-00002.gguf",
                    "Q4_K_M/mmproj-Big.gguf",
                    "config.json",
                    "mmproj-BF16.gguf",
                ],
            ),
            (
                "bf16",
                &FOLDERS,
                &[
                    "BF16/Big-BF16-00001-of-00002.gguf",
                    "BF16/Big-BF16-00002-of-00002.gguf",
                    "config.json",
                    "mmproj-BF16.gguf",
                ],
            ),
        ];
        for (word, listing, wanted) in rows {
            assert_eq!(selected(word, listing), *wanted, "{word} of {listing:?}");
        }
    }

    #[test]
    fn the_small_text_files_belong_to_each_quantisation() {
        let listing: Vec<&str> = TEXT.into_iter().chain(["m-Q8_0.gguf"]).collect();
        assert_eq!(selected("Q8_0", &listing).len(), listing.len());
    }

    #[test]
    fn a_file_name_selects_the_file_its_shards_and_its_projector() {
        let both = [
            "BF16/Big-BF16-00001-of-00002.gguf",
            "BF16/Big-BF16-00002-of-00002.gguf",
            "mmproj-BF16.gguf",
        ];
        for name in [
            "BF16/Big-BF16-00001-of-00002.gguf",
            "BF16/Big-BF16.gguf",
            "big-bf16.gguf",
        ] {
            assert_eq!(selected(name, &FOLDERS), both, "{name}");
        }
        assert_eq!(
            selected("mtp-Tiny-7B-Q4_K_M.gguf", &FLAT),
            ["mmproj-F16.gguf", "mtp-Tiny-7B-Q4_K_M.gguf"]
        );
        assert_eq!(selected("other/Big-BF16.gguf", &FOLDERS), [""; 0]);
    }

    #[test]
    fn the_quantisations_of_a_listing_are_named() {
        let flat = ["IQ4_XS", "Q4_K_M", "Q4_K_S", "Q8_0", "UD-Q4_K_M"];
        assert_eq!(quantisations(&FLAT), flat.map(str::to_owned).into());
        let folders = ["BF16", "Q4_K_M"].map(str::to_owned);
        assert_eq!(quantisations(&FOLDERS), folders.into());
        assert_eq!(
            quantisations(&["gpt-oss-20b-mxfp4.gguf", "v2.gguf"]).len(),
            1
        );
    }

    #[test]
    fn text_that_is_no_quantisation_is_refused() {
        for bad in ["", "a b", "Q4/K", &"Q".repeat(41)] {
            assert!(Quantisation::parse(bad).is_err(), "{bad}");
        }
    }
}
