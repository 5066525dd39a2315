//! The patterns that older versions stored for one GGUF quantisation.

use rusqlite::{Connection, params};

use super::row::{ColumnOrder, Row};
use super::wire::{read_list, render_list};

/// Gives models with such patterns the short form, which also selects projectors.
pub(super) fn shorten(connection: &Connection) -> rusqlite::Result<()> {
    let sql = "SELECT id, include FROM models WHERE include LIKE '[\"%.gguf\"%'";
    let mut statement = connection.prepare(sql)?;
    let columns = ColumnOrder::default();
    let rows = statement.query_map([], |row| {
        let row = Row::new(row, &columns);
        Ok((row.get("id")?, read_list(&row, "include")?))
    })?;
    let rows: Vec<(i64, Option<Vec<String>>)> = rows.collect::<rusqlite::Result<_>>()?;
    for (id, patterns) in rows {
        let Some(shorter) = patterns.as_deref().and_then(short_form) else {
            continue;
        };
        // Two models with the same selection cannot be stored: then the older form stays.
        let sql = "UPDATE OR IGNORE models SET include = ?2 WHERE id = ?1";
        connection.execute(sql, params![id, render_list(shorter)])?;
    }
    Ok(())
}

/// Returns the list with its first patterns replaced, if they were made for a quantisation.
fn short_form(patterns: &[String]) -> Option<Vec<String>> {
    let word = word_of(patterns.first()?.strip_suffix(".gguf")?);
    let old = old_form(&word);
    let rest = patterns.strip_prefix(&*old)?;
    Some(
        [format!(":{word}")]
            .into_iter()
            .chain(rest.iter().cloned())
            .collect(),
    )
}

/// Reads `Q4_0` from `[Qq]4_0`.
fn word_of(pattern: &str) -> String {
    let mut word = String::new();
    let mut letters = pattern.chars();
    while let Some(letter) = letters.next() {
        if letter == '[' {
            word.extend(letters.next());
            letters
                .by_ref()
                .take_while(|letter| *letter != ']')
                .for_each(drop);
        } else {
            word.push(letter);
        }
    }
    word
}

fn old_form(word: &str) -> Vec<String> {
    let letter = |c: char| {
        if c.is_ascii_alphabetic() {
            format!("[{}{}]", c.to_ascii_uppercase(), c.to_ascii_lowercase())
        } else {
            c.to_string()
        }
    };
    let word: String = word.chars().map(letter).collect();
    let ends = [".gguf", "-?????-of-?????.gguf", "/*.gguf"];
    let begins = ["", "*[-._/]"];
    let models = begins.iter().flat_map(|before| {
        let word = &word;
        ends.iter()
            .map(move |behind| format!("{before}{word}{behind}"))
    });
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
    models.chain(texts.map(str::to_owned)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_lists_of_the_old_form_are_shortened() {
        let old = old_form("UD-Q4_K_M");
        assert_eq!(old[0], "[Uu][Dd]-[Qq]4_[Kk]_[Mm].gguf");
        assert_eq!(old.len(), 14);
        assert_eq!(short_form(&old).unwrap(), [":UD-Q4_K_M"]);
        let more = [&old[..], &["*.pdf".to_owned()]].concat();
        assert_eq!(short_form(&more).unwrap(), [":UD-Q4_K_M", "*.pdf"]);
        assert_eq!(short_form(&old[..13]), None);
        assert_eq!(short_form(&["*.gguf".to_owned()]), None);
    }
}
