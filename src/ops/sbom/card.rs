//! The licence facts of a model card: the YAML block at the begin of `README.md`.

use crate::domain::licence::CardLicence;
use crate::ops::document::{Document, Node};

/// Returns the licence facts of a model card; a card without any has no words.
pub fn licence_of(card: &[u8]) -> CardLicence {
    let Some(Node::Map(fields)) = front_matter(card) else {
        return CardLicence::default();
    };
    let text = |key: &str| match field(&fields, key) {
        Some(Node::Text(text)) => Some(text.clone()),
        _ => None,
    };
    let words = match field(&fields, "license") {
        Some(Node::Text(word)) => vec![word.clone()],
        Some(Node::List(words)) => words.iter().filter_map(word_of).collect(),
        _ => Vec::new(),
    };
    CardLicence {
        words,
        name: text("license_name"),
        link: text("license_link"),
    }
}

fn word_of(node: &Node) -> Option<String> {
    match node {
        Node::Text(word) => Some(word.clone()),
        _ => None,
    }
}

fn field<'a>(fields: &'a [(String, Node)], key: &str) -> Option<&'a Node> {
    let found = fields.iter().find(|(name, _)| name == key);
    found.map(|(_, value)| value)
}

fn front_matter(card: &[u8]) -> Option<Node> {
    let text = String::from_utf8_lossy(card);
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let mut lines = text.lines();
    if lines.next()?.trim_end() != "---" {
        return None;
    }
    let mut block = String::new();
    for line in lines {
        if line.trim_end() == "---" {
            return Some(Document::parse(block.as_bytes()).ok()?.root);
        }
        block.push_str(line);
        block.push('\n');
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_licence_is_read_from_the_block_at_the_begin() {
        let read = |card: &str| licence_of(card.as_bytes());
        let one = read("---\ntags: [x]\nlicense: apache-2.0\n---\n# Tiny\nlicense: mit\n");
        assert_eq!(one.words, ["apache-2.0"]);
        let two = read("\u{feff}---\r\nlicense:\r\n- mit\r\n- apache-2.0\r\n---\r\n");
        assert_eq!(two.words, ["mit", "apache-2.0"]);
        let other = read(
            "---\nlicense: other\nlicense_name: acme-1\nlicense_link: https://acme.example/l\n---\n",
        );
        assert_eq!(other.name.as_deref(), Some("acme-1"));
        assert_eq!(other.link.as_deref(), Some("https://acme.example/l"));
        for none in [
            "",
            "# Tiny",
            "---\nlicense: mit\n",
            "---\n[[[\n---\n",
            "---\n- a\n---\n",
        ] {
            assert_eq!(read(none), CardLicence::default(), "{none:?}");
        }
    }
}
