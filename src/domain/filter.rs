//! Filters: the wanted files of a repository, by `--include` and `--exclude`.
//!
//! The semantics are those of the official client, which uses Python's
//! `fnmatch.fnmatchcase` on the whole path, so `*` crosses directories. The
//! published glob crates give `*` and `**` another meaning, hence this
//! implementation. One form is not the client's: an include pattern `:Q4_K_M` or
//! `:FILE.gguf` selects a GGUF quantisation. The rule of [`super::quantisation`]
//! needs the whole listing for it.

use std::collections::BTreeSet;

use super::quantisation::Quantisation;

/// A model's include and exclude patterns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// `None` selects all files; an empty list selects none.
    pub include: Option<Vec<String>>,
    pub exclude: Vec<String>,
    /// Filters of other models in the same snapshot: a file that one of them selects
    /// is selected too. Empty in the entry of a model.
    pub others: Vec<Filter>,
}

impl Filter {
    /// Applies the filter to a listing. A filter with a quantisation of which the
    /// listing has no model file selects nothing.
    pub fn among<'a>(&'a self, paths: &[&'a str]) -> FileSelection<'a> {
        let mut quantised = BTreeSet::new();
        let mut is_empty = false;
        for quantisation in self.quantisations() {
            let files = quantisation.files(paths);
            is_empty |= files.is_empty();
            quantised.extend(files);
        }
        FileSelection {
            patterns: Some(self).filter(|_| !is_empty),
            quantised,
            others: self.others.iter().map(|other| other.among(paths)).collect(),
        }
    }

    /// Returns the include patterns that match no file of a listing.
    pub fn unmatched(&self, paths: &[&str]) -> Vec<&str> {
        let patterns = self.include.iter().flatten();
        let patterns = patterns.filter(|pattern| quantisation(pattern).is_none());
        let has_none = |pattern: &&String| {
            let pattern = normalise(pattern);
            !paths.iter().any(|path| matches(&pattern, path))
        };
        patterns.filter(has_none).map(String::as_str).collect()
    }

    /// Returns the quantisations among the include patterns.
    pub fn quantisations(&self) -> impl Iterator<Item = Quantisation<'_>> {
        let patterns = self.include.iter().flatten();
        patterns.filter_map(|pattern| quantisation(pattern))
    }
}

fn quantisation(pattern: &str) -> Option<Quantisation<'_>> {
    Quantisation::parse(pattern.strip_prefix(':')?).ok()
}

/// The files of one listing that a filter selects.
#[derive(Debug)]
pub struct FileSelection<'a> {
    /// `None` if a quantisation is missing.
    patterns: Option<&'a Filter>,
    quantised: BTreeSet<&'a str>,
    others: Vec<FileSelection<'a>>,
}

impl FileSelection<'_> {
    /// Reports whether a file of the listing is selected.
    pub fn has(&self, path: &str) -> bool {
        let any = |patterns: &[String]| {
            let path = path.replace('\\', "/");
            let mut patterns = patterns.iter();
            patterns.any(|pattern| matches(&normalise(pattern), &path))
        };
        let is_own = self.patterns.is_some_and(|filter| {
            let is_included = || filter.include.as_deref().is_none_or(any);
            (self.quantised.contains(path) || is_included()) && !any(&filter.exclude)
        });
        is_own || self.others.iter().any(|other| other.has(path))
    }
}

/// Expands a final `/` to everything below that folder.
fn normalise(pattern: &str) -> String {
    let mut pattern = pattern.replace('\\', "/");
    if pattern.ends_with('/') {
        pattern.push('*');
    }
    pattern
}

/// One element of a pattern.
enum PatternToken {
    Star,
    AnyOne,
    Literal(char),
    Class {
        negated: bool,
        ranges: Vec<(char, char)>,
    },
}

/// Python's `fnmatch.fnmatchcase`: the pattern must match the whole name.
pub fn matches(pattern: &str, name: &str) -> bool {
    let tokens = parse(pattern);
    let name: Vec<char> = name.chars().collect();
    let (mut token, mut at) = (0, 0);
    // Backtracking position after a failed match: behind the last star, one
    // character later.
    let mut retry: Option<(usize, usize)> = None;
    loop {
        match tokens.get(token) {
            Some(PatternToken::Star) => {
                retry = Some((token + 1, at));
                token += 1;
                continue;
            }
            Some(one) if at < name.len() && one.accepts(name[at]) => {
                token += 1;
                at += 1;
                continue;
            }
            None if at == name.len() => return true,
            _ => {}
        }
        match retry {
            Some((behind, start)) if start < name.len() => {
                retry = Some((behind, start + 1));
                token = behind;
                at = start + 1;
            }
            _ => return false,
        }
    }
}

impl PatternToken {
    fn accepts(&self, c: char) -> bool {
        match self {
            Self::Star => false,
            Self::AnyOne => true,
            Self::Literal(own) => *own == c,
            Self::Class { negated, ranges } => {
                ranges.iter().any(|(low, high)| (*low..=*high).contains(&c)) != *negated
            }
        }
    }
}

fn parse(pattern: &str) -> Vec<PatternToken> {
    let chars: Vec<char> = pattern.chars().collect();
    let mut tokens = Vec::with_capacity(chars.len());
    let mut at = 0;
    while at < chars.len() {
        let c = chars[at];
        at += 1;
        match c {
            '*' if matches!(tokens.last(), Some(PatternToken::Star)) => {}
            '*' => tokens.push(PatternToken::Star),
            '?' => tokens.push(PatternToken::AnyOne),
            '[' => match class_end(&chars, at) {
                Some(end) => {
                    tokens.push(parse_class(&chars[at..end]));
                    at = end + 1;
                }
                None => tokens.push(PatternToken::Literal('[')),
            },
            other => tokens.push(PatternToken::Literal(other)),
        }
    }
    tokens
}

/// Finds the `]` that closes a class; a `]` at the start is a member.
fn class_end(chars: &[char], start: usize) -> Option<usize> {
    let mut at = start;
    if chars.get(at) == Some(&'!') {
        at += 1;
    }
    if chars.get(at) == Some(&']') {
        at += 1;
    }
    (at..chars.len()).find(|i| chars[*i] == ']')
}

fn parse_class(body: &[char]) -> PatternToken {
    let mut chunks = class_chunks(body);
    // Python tests for `!` only after removing backwards ranges, so a `!` left
    // in front by one negates too: `[z-a!b]` is `[!b]`.
    let negated = chunks.first().and_then(|first| first.first()) == Some(&'!');
    if negated {
        chunks[0].remove(0);
        if chunks[0].is_empty() && chunks.len() > 1 {
            // A `!` that began a range was removed; its hyphen is a plain
            // member.
            chunks.remove(0);
            chunks[0].insert(0, '-');
        }
    }
    PatternToken::Class {
        negated,
        ranges: chunk_ranges(&chunks),
    }
}

/// Splits a class at the hyphens that form ranges, as Python does: a `-` joins
/// its neighbours unless it comes first or last, the search for the next hyphen
/// continues three characters later, and a backwards range matches nothing.
fn class_chunks(body: &[char]) -> Vec<Vec<char>> {
    let mut chunks: Vec<Vec<char>> = Vec::new();
    let mut start = 0;
    let mut search = if body.first() == Some(&'!') { 2 } else { 1 };
    while let Some(hyphen) = (search..body.len()).find(|i| body[*i] == '-') {
        chunks.push(body[start..hyphen].to_vec());
        start = hyphen + 1;
        search = hyphen + 3;
    }
    let tail = &body[start.min(body.len())..];
    if tail.is_empty() {
        match chunks.last_mut() {
            Some(last) => last.push('-'),
            None => return chunks,
        }
    } else {
        chunks.push(tail.to_vec());
    }
    // A backwards range is removed together with its two ends.
    for k in (1..chunks.len()).rev() {
        let (Some(&low), Some(&high)) = (chunks[k - 1].last(), chunks[k].first()) else {
            continue;
        };
        if low > high {
            let rest = chunks.remove(k);
            chunks[k - 1].pop();
            chunks[k - 1].extend(&rest[1..]);
        }
    }
    chunks
}

/// Returns the ranges between neighbouring chunks and the single members inside
/// the chunks.
fn chunk_ranges(chunks: &[Vec<char>]) -> Vec<(char, char)> {
    let mut ranges = Vec::new();
    for (k, chunk) in chunks.iter().enumerate() {
        let from = usize::from(k > 0);
        let to = chunk.len() - usize::from(k + 1 < chunks.len()).min(chunk.len());
        for &c in chunk.get(from..to).unwrap_or_default() {
            ranges.push((c, c));
        }
        if let (Some(&low), Some(&high)) = (
            chunk.last(),
            chunks.get(k + 1).and_then(|next| next.first()),
        ) {
            ranges.push((low, high));
        }
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_crosses_directories_and_a_final_slash_means_everything_below() {
        let filter = |include: &[&str], exclude: &[&str]| Filter {
            include: (!include.is_empty()).then(|| include.iter().map(|s| s.to_string()).collect()),
            exclude: exclude.iter().map(|s| s.to_string()).collect(),
            ..Filter::default()
        };
        let selects = |filter: &Filter, path: &str| filter.among(&[path]).has(path);
        assert!(selects(&filter(&["*.json"], &[]), "a/b/c.json"));
        assert!(selects(&filter(&["data/"], &[]), "data/x/y"));
        assert!(!selects(&filter(&["data"], &[]), "data/x"));
        assert!(!selects(&filter(&["*.safetensors"], &[]), "X.SAFETENSORS"));
        assert!(!selects(&filter(&["*"], &["*.bin"]), "a/model.bin"));
        assert!(!selects(&filter(&[""], &[]), "a"));
        let nothing = Filter {
            include: Some(vec![]),
            ..Filter::default()
        };
        assert!(!selects(&nothing, "a"));
        assert!(selects(&Filter::default(), "anything"));
    }

    #[test]
    fn a_quantisation_stands_beside_patterns_and_a_missing_one_selects_nothing() {
        let listing = ["a-Q4_0.gguf", "a-Q8_0.gguf", "mmproj-a.gguf", "notes.pdf"];
        let selected = |include: &[&str], exclude: &[&str]| -> Vec<&str> {
            let texts = |list: &[&str]| list.iter().map(|s| s.to_string()).collect();
            let filter = Filter {
                include: Some(texts(include)),
                exclude: texts(exclude),
                ..Filter::default()
            };
            let selection = filter.among(&listing);
            listing
                .into_iter()
                .filter(|path| selection.has(path))
                .collect()
        };
        assert_eq!(
            selected(&[":Q8_0", "*.pdf"], &["mmproj*"]),
            ["a-Q8_0.gguf", "notes.pdf"]
        );
        assert_eq!(selected(&[":Q8_0", ":q4_0"], &[]), listing[..3]);
        assert_eq!(selected(&[":Q5_0", "*.pdf"], &[]), [""; 0]);
    }

    #[test]
    fn the_filters_of_other_models_add_their_files() {
        let only = |pattern: &str, exclude: &str| Filter {
            include: Some(vec![pattern.to_owned()]),
            exclude: vec![exclude.to_owned()],
            ..Filter::default()
        };
        let both = Filter {
            others: vec![only("b*", "*.tmp"), only(":Q9", "")],
            ..only("a*", "ab")
        };
        let listing = ["a", "ab", "b", "b.tmp", "c"];
        let selection = both.among(&listing);
        let selected = listing.into_iter().filter(|path| selection.has(path));
        assert_eq!(selected.collect::<Vec<_>>(), ["a", "b"]);
    }

    #[test]
    fn a_pattern_with_many_stars_does_not_backtrack_exponentially() {
        let name = "a".repeat(5_000);
        assert!(!matches(&"a*".repeat(40).replace("a*a*", "a*a*b*"), &name));
    }
}
