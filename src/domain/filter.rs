//! Filters: which files of a repository are wanted, by `--include` and
//! `--exclude`.
//!
//! The semantics are those of the official client, which uses Python's
//! `fnmatch.fnmatchcase` on the whole path, so `*` crosses directories. The
//! published glob crates give `*` and `**` another meaning, hence this
//! implementation.

/// A model's include and exclude patterns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// `None` selects all files; an empty list selects none.
    pub include: Option<Vec<String>>,
    pub exclude: Vec<String>,
}

impl Filter {
    /// Reports whether the filter selects a file of the repository.
    pub fn selects(&self, path: &str) -> bool {
        let path = path.replace('\\', "/");
        let any = |patterns: &[String]| {
            patterns
                .iter()
                .any(|pattern| matches(&normalise(pattern), &path))
        };
        self.include.as_deref().is_none_or(any) && !any(&self.exclude)
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
        };
        assert!(filter(&["*.json"], &[]).selects("a/b/c.json"));
        assert!(filter(&["data/"], &[]).selects("data/x/y"));
        assert!(!filter(&["data"], &[]).selects("data/x"));
        assert!(!filter(&["*.safetensors"], &[]).selects("X.SAFETENSORS"));
        assert!(!filter(&["*"], &["*.bin"]).selects("a/model.bin"));
        assert!(!filter(&[""], &[]).selects("a"));
        assert!(
            !Filter {
                include: Some(vec![]),
                exclude: vec![]
            }
            .selects("a")
        );
        assert!(Filter::default().selects("anything"));
    }

    #[test]
    fn a_pattern_with_many_stars_does_not_backtrack_exponentially() {
        let name = "a".repeat(5_000);
        assert!(!matches(&"a*".repeat(40).replace("a*a*", "a*a*b*"), &name));
    }
}
