//! The `auto_map` of small configuration files: the classes of custom code that a loader
//! imports, from this repository or from another one.

use std::collections::BTreeMap;

use super::code::count;
use super::files::list;
use super::wire;
use crate::domain::hold::{Finding, HoldReason};
use crate::domain::repo::RepoPath;

/// The largest configuration that is read. Those of tokenizers list added words.
pub const MAX_CONFIG_BYTES: u64 = 4 << 20;

/// The files in which loaders look for `auto_map`.
const CONFIGS: &[&str] = &[
    "config.json",
    "generation_config.json",
    "image_processor_config.json",
    "preprocessor_config.json",
    "processor_config.json",
    "tokenizer_config.json",
    "video_preprocessor_config.json",
];

/// The entries of `auto_map`, or the reason why the file cannot be read.
pub struct AutoMap(Result<BTreeMap<String, String>, String>);

/// Tells whether loaders look for `auto_map` in a file.
pub fn names_code(path: &RepoPath) -> bool {
    let name = path.as_str().rsplit('/').next().unwrap_or_default();
    CONFIGS.contains(&name)
}

impl AutoMap {
    pub fn read(json: &[u8]) -> Self {
        Self(wire::read_auto_map(json))
    }

    /// Describes a configuration that did not exist.
    pub fn absent() -> Self {
        Self(Ok(BTreeMap::new()))
    }

    /// Describes a configuration that is too large to read.
    pub fn too_large(size_bytes: u64) -> Self {
        Self(Err(format!("it has {size_bytes} bytes")))
    }
}

/// Compares the `auto_map` of a new or changed configuration with the published one.
///
/// A file that cannot be read may name code to a more tolerant reader, so that it is a
/// finding unless the published one could not be read either.
pub fn auto_map_findings(path: &RepoPath, old: &AutoMap, new: &AutoMap) -> Vec<Finding> {
    let new = match &new.0 {
        Ok(new) => new,
        Err(_) if old.0.is_err() => return Vec::new(),
        Err(reason) => {
            return vec![Finding {
                reason: HoldReason::NewCode,
                detail: format!("`{path}` cannot be searched for `auto_map`: {reason}"),
            }];
        }
    };
    let none = BTreeMap::new();
    let old = old.0.as_ref().unwrap_or(&none);
    let entries = |is_wanted: &dyn Fn(Option<&String>, &String) -> bool| -> Vec<String> {
        let wanted = new
            .iter()
            .filter(|(task, class)| is_wanted(old.get(*task), class));
        wanted.map(|(task, class)| shown(task, class)).collect()
    };
    let added = entries(&|old, _| old.is_none());
    let changed = entries(&|old, new| old.is_some_and(|old| old != new));
    let finding = |reason, verb: &str, entries: Vec<String>| {
        (!entries.is_empty()).then(|| Finding {
            reason,
            detail: format!(
                "`auto_map` in `{path}` has {} {verb}: {}",
                match entries.len() {
                    1 => "1 entry".to_owned(),
                    n => count(n, "entrie"),
                },
                list(entries)
            ),
        })
    };
    let added = finding(HoldReason::NewCode, "more", added);
    let changed = finding(HoldReason::ChangedCode, "changed", changed);
    added.into_iter().chain(changed).collect()
}

fn shown(task: &str, class: &str) -> String {
    let text: String = format!("{task} = {class}").chars().take(120).collect();
    format!("`{}`", text.escape_debug())
}

#[cfg(test)]
mod tests {
    use super::super::files::fixture::reasons;
    use super::*;

    fn judged(old: &str, new: &str) -> Vec<Finding> {
        let path = "config.json".parse().unwrap();
        let read = |json: &str| AutoMap::read(json.as_bytes());
        auto_map_findings(&path, &read(old), &read(new))
    }

    #[test]
    fn new_and_changed_entries_are_found_and_named() {
        let one = r#"{"auto_map":{"AutoModel":"modeling.One"},"x":1}"#;
        let other = r#"{"auto_map":{"AutoModel":"else/where--modeling.One"}}"#;
        let found = judged("{}", one);
        assert_eq!(reasons(&found), ["new-code"]);
        assert!(found[0].detail.contains("`AutoModel = modeling.One`"));
        let found = judged(one, other);
        assert_eq!(reasons(&found), ["changed-code"]);
        assert!(found[0].detail.contains("else/where"));
        assert_eq!(judged(one, one), []);
        assert_eq!(judged(one, "{}"), []);
        assert_eq!(judged(one, r#"{"auto_map":null}"#), []);
        let list = r#"{"auto_map":{"AutoTokenizer":["t.Slow",null]}}"#;
        assert_eq!(reasons(&judged("{}", list)), ["new-code"]);
        assert_eq!(
            reasons(&judged("{}", r#"{"auto_map":"x.Y"}"#)),
            ["new-code"]
        );
    }

    #[test]
    fn an_unreadable_configuration_is_found_once() {
        let nan = r#"{"auto_map":{"AutoModel":"m.X"},"eps":NaN}"#;
        assert_eq!(reasons(&judged("{}", nan)), ["new-code"]);
        assert_eq!(judged(nan, nan), []);
        let deep = format!("{}{}", r#"{"a":"#, "[".repeat(100_000));
        assert_eq!(reasons(&judged("{}", &deep)), ["new-code"]);
        let large = AutoMap::too_large(MAX_CONFIG_BYTES + 1);
        let path = "u/config.json".parse().unwrap();
        assert!(names_code(&path));
        let found = auto_map_findings(&path, &AutoMap::absent(), &large);
        assert_eq!(reasons(&found), ["new-code"]);
    }

    #[test]
    fn a_configuration_with_the_key_twice_cannot_hide_the_first() {
        let twice = r#"{"auto_map":{"A":"a.B"},"auto_map":{}}"#;
        assert_eq!(reasons(&judged("{}", twice)), ["new-code"]);
    }
}
