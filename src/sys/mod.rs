//! The doors to the outside: what talks to the operating system or the network.

pub mod http;
pub mod pause;
//! The doors to the operating system: everything else asks here.
pub mod fs;
//! The doors to the operating system; platform differences end here.
pub mod files;
pub mod file_io;
pub mod lock;
pub mod stop;
