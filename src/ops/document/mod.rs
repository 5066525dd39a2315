//! The text of an apply file: YAML or JSON, in and out.
//!
//! A file is read into a tree of plain values without positions. A
//! complaint names its place in the tree, and only then is the text walked a
//! second time to find line and column; so every complaint has them, also one
//! about a whole entry that both libraries have long read past.

mod file;
mod grow;
mod node;
mod position;
mod read;
mod walk;

pub use file::{Document, FileFault};
pub use grow::MAX_BYTES;
pub use node::{Node, Place, to_json, to_yaml};
