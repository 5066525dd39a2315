//! Doors to the operating system: clock, environment, files, locks, network, programs.
//!
//! Nobody else asks what time it is, what a variable says or where a terminal
//! ends, so that everything above can be driven with plain values.

pub mod child;
pub mod copy;
pub mod disk;
mod family;
pub mod file_io;
pub mod file_limit;
pub mod files;
pub mod fs;
pub mod helper;
pub mod host;
pub mod http;
pub mod lock;
pub mod logging;
pub mod names;
pub mod open;
pub mod open_files;
pub mod paths;
pub mod pause;
pub mod process;
pub mod program;
pub mod removal;
pub mod search_path;
pub mod signals;
pub mod stamp;
pub mod stop;
pub mod text;
pub mod windowless;
pub mod zone_data;
