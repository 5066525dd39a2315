//! Views: the files of a model under the names that another program expects.
//!
//! A view has a kind (the program) and a root (its directory). `layout` turns the
//! listing of a commit into entries: a path below the root, and a file of the
//! commit or content to be written. Entries that name others come last: a program
//! that reads an ollama manifest finds its blobs. `plan` compares the entries with
//! the records and the disk.
//!
//! Invariants: a path below the root is a [`RepoPath`](super::repo::RepoPath), so
//! that no entry leaves it; a file that no record describes is never replaced.
//!
//! Deliberately absent: the making of links and copies (`crate::view`), and the
//! choice of the revision to show (`ops::views`).

mod checksums;
mod gguf;
mod layout;
mod ollama;
mod plan;
mod spec;
mod state;

pub use gguf::{GGUF_PREFIX_BYTES, GgufFacts};
pub use layout::{EntrySource, NoLayout, ViewEntry, ViewLayout, ViewListing, lay_out};
pub use ollama::{OllamaTexts, model_file};
pub use plan::{
    FileState, FoundFile, FoundKind, ViewFile, ViewMethod, ViewPlan, file_state, of_other,
    plan_view,
};
pub use spec::{ViewKind, ViewMapping, ViewSpec};
pub use state::{MadeView, ViewState, view_state};
