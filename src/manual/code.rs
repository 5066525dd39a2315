//! Folds the lines of code blocks that are too long for a page.

/// The spaces between a command and its explanation.
const GAP: &str = "  ";

/// The least room for explanations beside their commands.
const LEAST_BESIDE: usize = 24;

/// Indentation of a line that continues another one.
const CONTINUATION: usize = 4;

/// Returns the spaces before a block: as many as wanted, and less where its output fits
/// only without them.
pub fn indent(lines: &[String], columns: usize, wanted: usize) -> usize {
    let outputs = lines.iter().filter(|line| !is_command(line));
    let widest = outputs.map(|line| line.chars().count()).max().unwrap_or(0);
    let room = columns.saturating_sub(widest);
    if widest > columns {
        wanted
    } else {
        room.min(wanted)
    }
}

/// Folds lines to a width. Commands are continued as a shell reads it, explanations stay
/// beside or below their command, and other lines break between words. A single word is
/// never broken.
pub fn folded(lines: &[String], width: usize) -> Vec<String> {
    let starts = lines.iter().filter_map(|line| explanation(line));
    let widest_command = starts.map(|start| start + LEAST_BESIDE).max();
    let is_beside = widest_command.is_none_or(|widest| widest <= width) || fits(lines, width);
    let folded = lines.iter().flat_map(|line| match explanation(line) {
        Some(start) if !is_beside => explained_below(line, start, width),
        Some(start) => prose(line, start, width),
        None if is_command(line) => command(line, width),
        None => prose(line, hanging(line), width),
    });
    folded.collect()
}

fn fits(lines: &[String], width: usize) -> bool {
    lines.iter().all(|line| line.chars().count() <= width)
}

fn is_command(line: &str) -> bool {
    let starts = ["$ ", "hfdl ", "export ", "MODEL=$("];
    starts.iter().any(|start| line.starts_with(start))
}

/// Returns the column of the explanation behind a command.
fn explanation(line: &str) -> Option<usize> {
    let start = line.rfind(GAP)? + GAP.len();
    line.starts_with("hfdl ").then_some(start)
}

fn explained_below(line: &str, start: usize, width: usize) -> Vec<String> {
    let below = format!("{:CONTINUATION$}{}", "", &line[start..]);
    let mut lines = command(line[..start].trim_end(), width);
    lines.extend(prose(&below, CONTINUATION, width));
    lines
}

/// Returns the indentation of the lines that continue an output.
fn hanging(line: &str) -> usize {
    let labels = ["error: ", "cause: ", " next: "];
    if let Some(label) = labels.iter().find(|label| line.starts_with(**label)) {
        return label.len();
    }
    line.len() - line.trim_start().len() + CONTINUATION
}

/// Breaks a line between words; spaces within it stay.
fn prose(line: &str, hanging: usize, width: usize) -> Vec<String> {
    let is_break = |(index, c): (usize, char)| (c == ' ' && index >= hanging).then_some(index);
    let breaks = line.char_indices().filter_map(is_break);
    broken(line, breaks.collect(), hanging, width, "")
}

/// Breaks a command at spaces outside of quotes.
fn command(line: &str, width: usize) -> Vec<String> {
    let mut quote = None;
    let mut breaks = Vec::new();
    for (index, c) in line.char_indices() {
        match quote {
            None if matches!(c, '\'' | '"') => quote = Some(c),
            None if c == ' ' && index > 1 => breaks.push(index),
            Some(open) if open == c => quote = None,
            _ => {}
        }
    }
    broken(line, breaks, CONTINUATION, width, " \\")
}

/// Breaks a line at the last of the places that fits, else at the first one.
fn broken(line: &str, breaks: Vec<usize>, hanging: usize, width: usize, mark: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut start = 0;
    loop {
        let indent = if start == 0 { 0 } else { hanging };
        let rest = &line[start..];
        if indent + rest.chars().count() <= width {
            lines.push(format!("{:indent$}{rest}", ""));
            return lines;
        }
        let later = breaks.iter().copied().filter(|at| *at > start);
        let room = |at: &usize| indent + line[start..*at].chars().count() + mark.len() <= width;
        let last = later.clone().take_while(room).last();
        let Some(at) = last.or_else(|| later.clone().next()) else {
            lines.push(format!("{:indent$}{rest}", ""));
            return lines;
        };
        lines.push(format!(
            "{:indent$}{}{mark}",
            "",
            line[start..at].trim_end()
        ));
        start = at + line[at..].len() - line[at..].trim_start().len();
    }
}

/// Indents lines.
pub fn indented(lines: impl IntoIterator<Item = String>, n: usize) -> Vec<String> {
    let lines = lines.into_iter();
    lines.map(|line| format!("{:n$}{line}", "")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str, width: usize) -> String {
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        folded(&lines, width).join("\n")
    }

    #[test]
    fn commands_continue_with_a_backslash_outside_of_quotes() {
        let line = "$ hfdl models add org/name --include '*.safetensors and more' --tag llm";
        let expected =
            "$ hfdl models add org/name --include \\\n    '*.safetensors and more' --tag llm";
        assert_eq!(shown(line, 40), expected);
        assert_eq!(shown(line, 80), line);
    }

    #[test]
    fn explanations_stay_beside_their_commands_as_long_as_there_is_room() {
        let lines =
            "hfdl stop       remove the entry, and ask a run to end\nhfdl start      install it";
        let beside = "hfdl stop       remove the entry, and ask\n                a run to end\nhfdl start      install it";
        assert_eq!(shown(lines, 41), beside);
        let below = "hfdl stop\n    remove the entry, and ask a\n    run to end\nhfdl start\n    install it";
        assert_eq!(shown(lines, 34), below);
    }

    #[test]
    fn output_breaks_between_words_and_a_single_word_stays_whole() {
        let error = " next: did you mean `x`? `hfdl config list` shows all";
        assert_eq!(
            shown(error, 40),
            " next: did you mean `x`? `hfdl config\n       list` shows all"
        );
        let path = "path    /a/long/path/that/does/not/fit";
        assert_eq!(shown(path, 20), "path\n    /a/long/path/that/does/not/fit");
        let table = ["a table of twenty-two".to_owned()];
        assert_eq!((indent(&table, 30, 4), indent(&table, 23, 4)), (4, 2));
    }
}
