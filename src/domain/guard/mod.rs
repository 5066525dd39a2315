//! Guards: checks of an update that can hold it for a person.
//!
//! Each guard is a pure function of facts about the published and the new commit: the
//! selected files of both, the terms, the history, the Hub's scan, the headers of
//! fetched files. It returns findings, each with the reason and one sentence with names
//! and numbers. `ops::sync::holds` collects the facts, and asks the Hub only when there
//! is an update.
//!
//! Invariants: a fact that is unknown is no finding; an unchanged file is none either, so
//! that a commit once approved does not hold the next one for the same file. Headers are
//! read with bounded memory, because any byte of a file may be hostile. With no published
//! commit only the scan and the headers can be checked: the other guards compare.
//! Deliberately absent: the contents of pickles and archives, which a program of
//! `hooks.gate` can check, and the loss rules, which no setting switches off.

mod auto_map;
mod code;
mod files;
mod gguf;
mod guards;
mod header;
mod history;
mod index;
mod safetensors;
mod scan;
mod terms;
mod wire;

pub use auto_map::{AutoMap, MAX_CONFIG_BYTES, auto_map_findings, names_code};
pub use code::{CodeKind, code_findings, code_kind};
pub use files::{ListingPair, file_findings};
pub use guards::{GUARDS, GuardRules, Guards};
pub use header::{HeaderKind, check_header, header_finding};
pub use history::{Ancestry, history_finding};
pub use index::{Index, index_finding, is_index};
pub use scan::{ScanIssue, scan_finding};
pub use terms::{Terms, terms_findings};
