//! The text of a file `SHA256SUMS`, as `sha256sum -c` of coreutils reads it.

use super::content::render_hex;

pub const CHECKSUMS_FILE: &str = "SHA256SUMS";

/// Renders the line of one file.
///
/// A name with a backslash or a line end is escaped, and a backslash before the hash says
/// so.
pub fn checksum_line(name: &str, sha256: &[u8; 32]) -> String {
    let hash = render_hex(sha256);
    if !name.contains(['\\', '\n', '\r']) {
        return format!("{hash}  {name}\n");
    }
    let name = name.replace('\\', "\\\\");
    let name = name.replace('\n', "\\n").replace('\r', "\\r");
    format!("\\{hash}  {name}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_names_are_escaped_as_coreutils_does() {
        let hash = "07".repeat(32);
        let line = |name| checksum_line(name, &[7; 32]);
        assert_eq!(line("a b.txt"), format!("{hash}  a b.txt\n"));
        assert_eq!(line("a\\b"), format!("\\{hash}  a\\\\b\n"));
        assert_eq!(line("a\nb\r"), format!("\\{hash}  a\\nb\\r\n"));
    }
}
