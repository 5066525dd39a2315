//! A strict reader of Prometheus' text format; every scraper reads a text that it accepts.

use std::collections::{BTreeMap, BTreeSet};

/// The value of each sample, by its name and labels as they are written.
#[derive(Debug)]
pub struct Exposition {
    samples: BTreeMap<String, f64>,
}

impl Exposition {
    /// Reads a file, or says which line breaks which rule.
    pub fn parse(text: &str) -> Result<Self, String> {
        if !text.is_empty() && !text.ends_with('\n') {
            return Err("the last line has no end".to_owned());
        }
        let mut samples = BTreeMap::new();
        let mut seen = BTreeSet::new();
        let mut family: Option<Family> = None;
        for (number, line) in text.lines().enumerate() {
            let wrong = |why: &str| format!("line {}: {why}: {line}", number + 1);
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, help) = rest.split_once(' ').ok_or_else(|| wrong("no help"))?;
                if !is_name(name, true) || help.trim() != help || help.is_empty() {
                    return Err(wrong("name or help"));
                }
                if !seen.insert(name.to_owned()) {
                    return Err(wrong("a family twice, or in two pieces"));
                }
                if family.is_some_and(|family| family.n_samples == 0) {
                    return Err(wrong("the family before has no samples"));
                }
                family = Some(Family {
                    name: name.to_owned(),
                    kind: None,
                    n_samples: 0,
                });
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').ok_or_else(|| wrong("no type"))?;
                let family = family.as_mut().filter(|family| family.name == name);
                let family = family.ok_or_else(|| wrong("TYPE without its HELP"))?;
                if family.kind.is_some() || family.n_samples > 0 {
                    return Err(wrong("TYPE twice, or behind samples"));
                }
                match (kind, name.ends_with("_total")) {
                    ("counter", true) | ("gauge", false) => {}
                    _ => return Err(wrong("counters, and no others, end in _total")),
                }
                family.kind = Some(kind.to_owned());
            } else {
                let family = family.as_mut().ok_or_else(|| wrong("no family"))?;
                let (key, value) = sample(line, family).map_err(|why| wrong(&why))?;
                family.n_samples += 1;
                if samples.insert(key, value).is_some() {
                    return Err(wrong("a sample twice"));
                }
            }
        }
        Ok(Self { samples })
    }

    pub fn get(&self, sample: &str) -> Option<f64> {
        self.samples.get(sample).copied()
    }
}

struct Family {
    name: String,
    kind: Option<String>,
    n_samples: usize,
}

fn is_name(name: &str, may_have_colon: bool) -> bool {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_' || (may_have_colon && c == ':');
    name.chars().all(is_word) && !name.starts_with(|c: char| c.is_ascii_digit()) && !name.is_empty()
}

/// Reads `name{label="value",…} number`; a timestamp is refused, because the
/// node exporter refuses it.
fn sample(line: &str, family: &Family) -> Result<(String, f64), String> {
    let kind = family.kind.as_deref().ok_or("no TYPE before the sample")?;
    let rest = line.strip_prefix(&family.name).ok_or("not of the family")?;
    let (labels, value) = match rest.strip_prefix('{') {
        Some(inner) => {
            let end = labels(inner)?;
            (&inner[..end], inner[end + 1..].strip_prefix(' '))
        }
        None => ("", rest.strip_prefix(' ')),
    };
    let value = value.ok_or("no value")?;
    let number: f64 = value.parse().map_err(|_| "no number, or a timestamp")?;
    if kind == "counter" && number < 0.0 {
        return Err("a counter below zero".to_owned());
    }
    let key = match labels {
        "" => family.name.clone(),
        labels => format!("{}{{{labels}}}", family.name),
    };
    Ok((key, number))
}

/// Returns where the labels end; each has a name of its own and an escaped value.
fn labels(text: &str) -> Result<usize, String> {
    let mut names = BTreeSet::new();
    let mut at = 0;
    loop {
        let rest = &text[at..];
        let equals = rest.find("=\"").ok_or("a label without a value")?;
        let name = &rest[..equals];
        if !is_name(name, false) || name.starts_with("__") || !names.insert(name) {
            return Err(format!("label `{name}`"));
        }
        at += equals + 2;
        let mut chars = text[at..].char_indices();
        let end = loop {
            match chars.next().ok_or("an open value")? {
                (index, '"') => break index,
                (_, '\\') => match chars.next() {
                    Some((_, '\\' | '"' | 'n')) => {}
                    _ => return Err("an escape that is none".to_owned()),
                },
                _ => {}
            }
        };
        at += end + 1;
        match text[at..].chars().next() {
            Some(',') => at += 1,
            Some('}') => return Ok(at),
            _ => return Err("what follows a label".to_owned()),
        }
    }
}

#[test]
fn the_reader_refuses_what_scrapers_refuse() {
    let head = "# HELP a_b Words.\n# TYPE a_b gauge\n";
    for good in [
        "a_b 1\n",
        "a_b{x=\"\\\\\\\"\\n,}\",y=\"\"} -1.5\n",
        "a_b{x=\"1\"} 1\na_b{x=\"2\"} 1\n",
    ] {
        Exposition::parse(&format!("{head}{good}")).unwrap();
    }
    for bad in [
        "a_b 1",
        "a_b 1 1700000000000\n",
        "a_b{x=1} 1\n",
        "a_b{x=\"1\",x=\"2\"} 1\n",
        "a_b{1x=\"1\"} 1\n",
        "a_b{x=\"\\t\"} 1\n",
        "a_b{x=\"1\"}1\n",
        "a_b 1\na_b 2\n",
        "a_c 1\n",
        "a_b 1\n# HELP a_b Words.\n# TYPE a_b gauge\na_b 2\n",
        "# HELP c Words.\n# TYPE c counter\nc 1\n",
        "a_b one\n",
    ] {
        assert!(Exposition::parse(&format!("{head}{bad}")).is_err(), "{bad}");
    }
    assert!(Exposition::parse("a_b 1\n").is_err());
    assert!(Exposition::parse("# TYPE a_b gauge\na_b 1\n").is_err());
}
