//! Repository arguments in all the forms that people paste: `org/name`,
//! `datasets/org/name`, `hf://…`, a page of the Hub, and `org/name:Q4_K_M` for
//! one quantisation of a GGUF repository.

mod address;
mod argument;
mod patterns;
mod short;

pub use argument::{RepoArg, RepoPart};
pub use patterns::escape_pattern;
