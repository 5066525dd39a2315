//! Output for people and programs: tables, JSON, YAML, progress bars, messages.
//!
//! stdout carries results and stderr carries messages, above the lines of progress
//! (`sys::live_lines`); only this room and the log print. A result enters as text for people
//! and as a `serde_json::Value` for programs, and the chosen [`Format`] decides which is
//! written. A reader that closes the pipe (`| head`) is no error. Text from elsewhere cannot steer the terminal: control
//! characters are replaced.
//!
//! Deliberately absent: the shapes of JSON documents (`json`), and the wording of
//! errors (`cli::explain`).

mod clock;
mod output;
pub mod progress;
mod rate;
pub mod table;
pub mod text;
mod waits;
pub mod yaml;

pub use clock::Clock;
pub use output::{ColourChoice, Format, Output, ask, ask_line, yes_or_no};
pub use progress::ProgressLines;
pub use yaml::yaml_document;
