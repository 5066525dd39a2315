//! Lines and columns of a text.

/// Counts lines and characters before a byte of the text, from 1.
pub(super) fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = &text[..offset];
    let start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let line = 1 + before.matches('\n').count();
    (line, 1 + before[start..].chars().count())
}

/// Returns the position of the character that the library refused: the last it has read.
pub(super) fn json_position(text: &str, err: &serde_json::Error) -> (usize, usize) {
    let read = &text[..json_offset(text, err)];
    let last = read.char_indices().next_back();
    position(text, last.map_or(0, |(offset, _)| offset))
}

/// Turns a line and a column in bytes into an offset.
pub(super) fn json_offset(text: &str, err: &serde_json::Error) -> usize {
    let skipped: usize = text
        .split_inclusive('\n')
        .take(err.line().saturating_sub(1))
        .map(str::len)
        .sum();
    let mut offset = (skipped + err.column()).min(text.len());
    while !text.is_char_boundary(offset) {
        offset -= 1;
    }
    offset
}
