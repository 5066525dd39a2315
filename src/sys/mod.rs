//! The operating system: clock, environment, files, locks, network, child processes.
//!
//! Every system call of the program is made here; a test over the sources
//! enforces it. Code above this layer works on plain values, which keeps its
//! tests free of mocks. Code that differs between platforms has one function
//! here for each platform.
//!
//! - `Host` holds arguments, environment and clock; test variables are read
//!   there, in builds with debug assertions only.
//! - Errors are `io::Error`, or typed errors that name the path or program.
//! - Secrets are removed from the environment of every child process.
//!
//! Deliberately absent: decisions (`domain`), printing (`ui`), the database
//! (`store`).

pub mod abilities;
pub mod background;
pub mod child;
pub mod copy;
pub mod disk;
pub mod exchange;
pub mod file_io;
pub mod file_limit;
pub mod files;
pub mod fs;
pub mod helper;
pub mod host;
pub mod http;
pub mod live_lines;
pub mod lock;
pub mod logging;
pub mod names;
pub mod open;
pub mod open_files;
pub mod paths;
pub mod pause;
pub mod private_file;
pub mod process;
mod process_group;
pub mod program;
pub mod removal;
pub mod retry;
pub mod search_path;
pub mod share;
pub mod signals;
pub mod stamp;
pub mod stop;
pub mod text;
pub mod windowless;
pub mod zone_data;
