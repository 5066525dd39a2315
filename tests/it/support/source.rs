//! A reader of Rust source that finds the paths that it names.

/// Splits source into names, `::` and single characters, without comments, literals and unit tests.
pub fn tokens(source: &str) -> Vec<String> {
    let code = without_tests(&blanked(source));
    let mut found = Vec::new();
    let mut rest = code.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = if first.is_alphanumeric() || first == '_' {
            rest.find(|c: char| !c.is_alphanumeric() && c != '_')
                .unwrap_or(rest.len())
        } else if rest.starts_with("::") {
            2
        } else {
            first.len_utf8()
        };
        found.push(rest[..length].to_owned());
        rest = rest[length..].trim_start();
    }
    found
}

/// Returns each path in the code with all its parts, those of `use` trees one by one.
pub fn paths(tokens: &[String]) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let behind = at.checked_sub(1).map(|i| tokens[i].as_str());
        // A leading `::` begins a path when no name stands before it.
        let goes_on = behind == Some("::") && at > 1 && is_name(&tokens[at - 2]);
        let starts = is_name(&tokens[at])
            && !goes_on
            && (behind == Some("use") || tokens.get(at + 1).is_some_and(|next| next == "::"));
        at = if starts {
            tree(tokens, at, &[], &mut found)
        } else {
            at + 1
        };
    }
    found
}

/// Reads a path or a `use` tree from `at` on; returns where it ends.
fn tree(
    tokens: &[String],
    mut at: usize,
    prefix: &[String],
    found: &mut Vec<Vec<String>>,
) -> usize {
    let mut path = prefix.to_vec();
    while at < tokens.len() {
        if tokens[at] == "{" && !path.is_empty() {
            at += 1;
            while at < tokens.len() && tokens[at] != "}" {
                at = if is_name(&tokens[at]) {
                    tree(tokens, at, &path, found)
                } else {
                    at + 1
                };
            }
            return at + 1;
        }
        if !is_name(&tokens[at]) {
            break;
        }
        path.push(tokens[at].clone());
        at += 1;
        if tokens.get(at).is_none_or(|next| next != "::") {
            break;
        }
        at += 1;
    }
    found.push(path);
    at
}

/// Tells names from signs and from the keywords that may stand before `::`.
fn is_name(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphabetic() || c == '_')
        && !["use", "as", "in", "impl", "dyn", "mut", "return"].contains(&token)
}

/// Cuts off the unit tests, which come last in a file.
fn without_tests(code: &str) -> String {
    match code.find("#[cfg(test)]\nmod tests {") {
        Some(start) => code[..start].to_owned(),
        None => code.to_owned(),
    }
}

/// Replaces comments and the insides of literals by blanks; lines stay lines.
fn blanked(source: &str) -> String {
    let chars: Vec<char> = source.chars().collect();
    let mut out = String::with_capacity(source.len());
    let mut at = 0;
    while at < chars.len() {
        let end = match chars[at] {
            '/' if chars.get(at + 1) == Some(&'/') => line_end(&chars, at),
            '/' if chars.get(at + 1) == Some(&'*') => comment_end(&chars, at),
            '"' => string_end(&chars, at),
            'r' if !follows_a_name(&chars, at) => raw_string_end(&chars, at),
            'b' if !follows_a_name(&chars, at) && chars.get(at + 1) == Some(&'r') => {
                raw_string_end(&chars, at + 1)
            }
            '\'' => char_end(&chars, at),
            _ => at,
        };
        if end == at {
            out.push(chars[at]);
            at += 1;
        } else {
            out.extend(
                chars[at..end]
                    .iter()
                    .map(|c| if *c == '\n' { '\n' } else { ' ' }),
            );
            at = end;
        }
    }
    out
}

fn follows_a_name(chars: &[char], at: usize) -> bool {
    at.checked_sub(1)
        .is_some_and(|i| chars[i].is_alphanumeric() || chars[i] == '_')
}

fn line_end(chars: &[char], at: usize) -> usize {
    (at..chars.len())
        .find(|i| chars[*i] == '\n')
        .unwrap_or(chars.len())
}

fn comment_end(chars: &[char], start: usize) -> usize {
    let (mut depth, mut at) = (0, start);
    while at + 1 < chars.len() {
        match (chars[at], chars[at + 1]) {
            ('/', '*') => (depth, at) = (depth + 1, at + 2),
            ('*', '/') if depth == 1 => return at + 2,
            ('*', '/') => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
    }
    chars.len()
}

fn string_end(chars: &[char], start: usize) -> usize {
    let mut at = start + 1;
    while at < chars.len() && chars[at] != '"' {
        at += if chars[at] == '\\' { 2 } else { 1 };
    }
    (at + 1).min(chars.len())
}

/// Returns where `r"…"` or `r#"…"#` ends; `start` itself for any other `r`.
fn raw_string_end(chars: &[char], start: usize) -> usize {
    let n_hashes = chars[start + 1..].iter().take_while(|c| **c == '#').count();
    let quote = start + 1 + n_hashes;
    if chars.get(quote) != Some(&'"') {
        return start;
    }
    let closes = |i: &usize| {
        chars[*i] == '"'
            && chars[i + 1..]
                .iter()
                .take(n_hashes)
                .filter(|c| **c == '#')
                .count()
                == n_hashes
    };
    (quote + 1..chars.len())
        .find(closes)
        .map_or(chars.len(), |i| i + 1 + n_hashes)
}

/// Returns where a character ends; `start` itself for a lifetime.
fn char_end(chars: &[char], start: usize) -> usize {
    match chars.get(start + 1) {
        Some('\\') => (start + 3..chars.len())
            .find(|i| chars[*i] == '\'')
            .map_or(chars.len(), |i| i + 1),
        Some(_) if chars.get(start + 2) == Some(&'\'') => start + 3,
        _ => start,
    }
}
