//! YAML that readers of version 1.1 understand as well.
//!
//! They take `12:30` for a number to the base of sixty, 750. The writer in use
//! follows version 1.2 and leaves such a text without quotes.

/// Puts quotes around values of a YAML text that look like numbers to the base of sixty.
pub fn quote_base_60(yaml: &str) -> String {
    let mut quoted = String::with_capacity(yaml.len());
    // The indentation of a key whose value is a block of lines.
    let mut block: Option<usize> = None;
    for line in yaml.split_inclusive('\n') {
        let text = line.trim_end_matches('\n');
        let indentation = text.len() - text.trim_start().len();
        if block.is_some_and(|block| indentation > block || text.trim().is_empty()) {
            quoted.push_str(line);
            continue;
        }
        let start = value_start(text);
        let value = &text[start..];
        block = is_block_head(value).then_some(indentation);
        if is_base_60(value) {
            quoted.push_str(&format!("{}'{value}'\n", &text[..start]));
        } else {
            quoted.push_str(line);
        }
    }
    quoted
}

/// Returns where the value of a line begins: behind dashes and behind a key.
fn value_start(line: &str) -> usize {
    let mut start = line.len() - line.trim_start().len();
    while line[start..].starts_with("- ") {
        start += 2;
    }
    match line[start..].find(": ") {
        Some(colon) => start + colon + 2,
        None => start,
    }
}

fn is_block_head(value: &str) -> bool {
    matches!(value, "|" | "|-" | "|+" | ">" | ">-" | ">+")
}

/// Tells whether a plain value reads as digits and groups of at most 59.
fn is_base_60(value: &str) -> bool {
    let mut groups = value.strip_prefix(['+', '-']).unwrap_or(value).split(':');
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|c| c.is_ascii_digit());
    let first = groups.next().is_some_and(is_number);
    let rest: Vec<&str> = groups.collect();
    let fits = |text: &&str| is_number(text) && text.parse::<u8>().is_ok_and(|number| number < 60);
    first && !rest.is_empty() && rest.iter().all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_quoted_and_everything_else_stays() {
        let yaml = "daily: 12:30\nlist:\n- 1:00:00\n- - 09:15\n- at: 7:05\n- 1.2.3\n- a: 12:75\n\
            window: 22:00-07:00\ntext: '12:30'\nblock: |-\n  12:30\n  at: 12:30\nend: 2:00\n";
        let expected = "daily: '12:30'\nlist:\n- '1:00:00'\n- - '09:15'\n- at: '7:05'\n- 1.2.3\n\
            - a: 12:75\nwindow: 22:00-07:00\ntext: '12:30'\nblock: |-\n  12:30\n  at: 12:30\n\
            end: '2:00'\n";
        assert_eq!(quote_base_60(yaml), expected);
    }
}
