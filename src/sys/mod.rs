//! The doors to the outside: what talks to the operating system or the network.

pub mod file_io;
pub mod lock;
pub mod stop;
