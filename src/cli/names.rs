//! Names of models or schedules, as commands for several entries take them.

use std::collections::BTreeSet;

use clap::Args;

use crate::domain::model::EntryName;

#[derive(Debug, Args)]
pub struct Names {
    /// One or more names
    #[arg(required = true, value_name = "NAME")]
    names: Vec<EntryName>,
}

impl Names {
    /// Returns the names, each once.
    pub fn distinct(self) -> Vec<EntryName> {
        distinct(self.names)
    }
}

/// Leaves out the names that were given before.
pub fn distinct(names: Vec<EntryName>) -> Vec<EntryName> {
    let mut seen = BTreeSet::new();
    let is_first = |name: &EntryName| seen.insert(name.clone());
    names.into_iter().filter(is_first).collect()
}

/// Renders names for a sentence.
pub fn quoted(names: &[EntryName]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    quoted.join(", ")
}

/// Returns names for a JSON document.
pub fn texts(names: &[EntryName]) -> Vec<&str> {
    names.iter().map(EntryName::as_str).collect()
}
