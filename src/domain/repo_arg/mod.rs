//! Repository arguments in all the forms that people paste: `org/name`,
//! `datasets/org/name`, `hf://…`, a page of the Hub, and `org/name:Q4_K_M` or
//! `org/name:FILE.gguf` for one quantisation of a GGUF repository.
//!
//! `RepoArg::parse` is the only entry. The result names the repository and, if
//! given, a revision and a part of it, which becomes include patterns.
//! Deliberately absent: requests to the Hub; whether the repository exists is
//! checked later.

mod address;
mod argument;
mod file_word;
mod patterns;
mod short;

pub use argument::{RepoArg, RepoPart};
pub use file_word::{AmbiguousWord, group_words};
pub use patterns::escape_pattern;
